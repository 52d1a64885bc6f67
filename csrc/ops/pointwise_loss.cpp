// Losses of two tensors of equal shape, fused with their reduction.
#include "ops/fused.h"
#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {
namespace {

using Kind = PointwiseLoss;

Tensor number(double v) { return scalar_tensor(v); }

// The loss of every element, of plain ops (the formulas of kernels/loss.h).
Tensor terms(Kind kind, const Tensor& x, const Tensor& y, const Tensor& positive_weight, double beta) {
  const Tensor d = sub(x, y);
  switch (kind) {
    case Kind::squared: return mul(d, d);
    case Kind::absolute: return abs(d);
    case Kind::smooth_absolute:
      return where(lt(abs(d), number(beta)), mul(mul(d, d), number(0.5 / beta)), sub(abs(d), number(0.5 * beta)));
    case Kind::huber:
      return where(lt(abs(d), number(beta)), mul(mul(d, d), number(0.5)), mul(sub(abs(d), number(0.5 * beta)), number(beta)));
    case Kind::logistic: {
      const Tensor negative = mul(sub(number(1), y), x), tail = neg(log_sigmoid(x));
      if (!positive_weight.defined()) return add(negative, tail);
      return add(negative, mul(add(mul(sub(positive_weight, number(1)), y), number(1)), tail));
    }
    case Kind::binary: {
      const auto clamped_log = [](const Tensor& t) { return maximum(log(t), number(-100)); };
      return neg(add(mul(y, clamped_log(x)), mul(sub(number(1), y), clamped_log(sub(number(1), x)))));
    }
    case Kind::divergence: return mul(y, sub(log(where(eq(y, number(0)), number(1), y)), x));
    case Kind::log_divergence: return mul(exp(y), sub(y, x));
  }
  return {};
}

struct Call {
  Tensor input, target, weight, positive_weight;  // contiguous, of one shape and dtype
  Kind kind;
  double beta = 0, divisor = 1;
  bool reduce = false;

  PointwiseLossArgs args() const {
    PointwiseLossArgs a{};
    a.input = input.data();
    a.target = target.data();
    a.weight = weight.defined() ? weight.data() : nullptr;
    a.positive_weight = positive_weight.defined() ? positive_weight.data() : nullptr;
    a.n = input.numel();
    a.beta = beta;
    a.divisor = divisor;
    a.dtype = input.dtype();
    a.kind = kind;
    a.reduce = reduce;
    return a;
  }

  Tensor composed() const {
    Tensor t = terms(kind, input, target, positive_weight, beta);
    if (weight.defined()) t = mul(t, weight);
    return reduce ? mul(sum(t, std::nullopt, false), number(1 / divisor)) : t;
  }
};

struct Options {
  Reduction reduction = Reduction::mean;
  std::optional<Tensor> weight = {}, positive_weight = {};
  double beta = 0;
  bool batch_mean = false;  // divide by the first size
};

Tensor loss(const char* name, Kind kind, const Tensor& x, const Tensor& y, const Options& options) {
  check_floating(name, x);
  check_same_device(name, {x, y, options.weight, options.positive_weight});
  const DType dtype = is_floating(y.dtype()) ? promote(x.dtype(), y.dtype()) : x.dtype();
  const Shape shape = broadcast_shapes(name, x.shape(), y.shape());
  const auto prepare = [&](const Tensor& t) { return contiguous(expand(to_dtype(t, dtype), shape)); };
  Call call{prepare(x), prepare(y), {}, {}, kind};
  if (options.weight) call.weight = prepare(*options.weight);
  if (options.positive_weight) call.positive_weight = prepare(*options.positive_weight);
  call.beta = options.beta;
  call.reduce = options.reduction != Reduction::none;
  if (options.batch_mean) call.divisor = shape.size() > 0 ? static_cast<double>(shape[0]) : 1;
  else if (options.reduction == Reduction::mean) call.divisor = static_cast<double>(call.input.numel());

  // The kernels differentiate by the input, and by the target where the loss depends on their difference alone.
  const bool symmetric = kind <= Kind::huber;
  if (grad_enabled() &&
      (needs_grad(call.weight) || needs_grad(call.positive_weight) || (!symmetric && needs_grad(call.target))))
    return call.composed();

  const Tensor out = empty(call.reduce ? Shape{} : shape, dtype, x.device());
  PointwiseLossArgs args = call.args();
  const Tensor parts = call.reduce ? empty({(args.n + kLossPart - 1) / kLossPart}, DType::f64, x.device()) : Tensor();
  args.output = out.data();
  args.parts = call.reduce ? parts.data<double>() : nullptr;
  launch(&KernelTable::pointwise_loss_forward, x.device(), args);
  if (!records(call.input, call.target)) return out;
  const SavedTensor input = save(call.input), target = save(call.target);
  Call kept = call;
  kept.input = kept.target = Tensor();
  record(name, out, {call.input, call.target}, [kept, input, target](GradCall& c) {
    Call now = kept;
    now.input = c(input);
    now.target = c(target);
    if (grad_enabled()) return composed_gradient(c, {now.input, now.target}, [&] { return now.composed(); });
    const Tensor g = contiguous(c.grad()), gx = empty_like(now.input);
    launch(&KernelTable::pointwise_loss_backward, g.device(), PointwiseLossBackwardArgs{now.args(), g.data(), gx.data()});
    if (c.wants(1)) c.set(1, neg(gx));
    if (c.wants(0)) c.set(0, gx);
  });
  return out;
}

void check_equal_shapes(const char* name, const Tensor& x, const Tensor& y) {
  if (!(x.shape() == y.shape()))
    throw ShapeError(str(name, ": target ", y.shape(), " must have the shape of input ", x.shape()));
}

}  // namespace

Tensor mse_loss(const Tensor& input, const Tensor& target, const std::string& reduction) {
  return loss("mse_loss", Kind::squared, input, target, {reduction_from("mse_loss", reduction)});
}

Tensor l1_loss(const Tensor& input, const Tensor& target, const std::string& reduction) {
  return loss("l1_loss", Kind::absolute, input, target, {reduction_from("l1_loss", reduction)});
}

Tensor smooth_l1_loss(const Tensor& input, const Tensor& target, const std::string& reduction, double beta) {
  if (!(beta >= 0)) throw ValueError(str("smooth_l1_loss: beta ", beta, ", expected at least 0"));
  const Kind kind = beta == 0 ? Kind::absolute : Kind::smooth_absolute;
  return loss("smooth_l1_loss", kind, input, target, {reduction_from("smooth_l1_loss", reduction), {}, {}, beta});
}

Tensor huber_loss(const Tensor& input, const Tensor& target, const std::string& reduction, double delta) {
  if (!(delta > 0)) throw ValueError(str("huber_loss: delta ", delta, ", expected more than 0"));
  return loss("huber_loss", Kind::huber, input, target, {reduction_from("huber_loss", reduction), {}, {}, delta});
}

namespace {
void check_probabilities(const char* name, const Tensor& input) {
  if (input.numel() == 0) return;
  const Tensor x = detach(input);
  const Tensor inside = to_dtype(logical_and(ge(amin(x, {}, false), number(0)), le(amax(x, {}, false), number(1))), DType::i64);
  on_host("check probabilities", [name, inside] {
    if (!host_integer(inside, 0))
      throw ValueError(
          str(name, ": input has values outside [0, 1], expected probabilities; ", name, "_with_logits takes logits"));
  });
}
}  // namespace

Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight,
                            const std::string& reduction) {
  check_equal_shapes("binary_cross_entropy", input, target);
  check_probabilities("binary_cross_entropy", input);
  return loss("binary_cross_entropy", Kind::binary, input, target, {reduction_from("binary_cross_entropy", reduction), weight});
}

Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight,
                                        const std::string& reduction, const std::optional<Tensor>& pos_weight) {
  const char* name = "binary_cross_entropy_with_logits";
  check_equal_shapes(name, input, target);
  return loss(name, Kind::logistic, input, target, {reduction_from(name, reduction), weight, pos_weight});
}

Tensor kl_div(const Tensor& input, const Tensor& target, const std::string& reduction, bool log_target) {
  const bool batch_mean = reduction == "batchmean";
  Options options{batch_mean ? Reduction::sum : reduction_from("kl_div", reduction)};
  options.batch_mean = batch_mean;
  return loss("kl_div", log_target ? Kind::log_divergence : Kind::divergence, input, target, options);
}

}  // namespace fastdl::ops
