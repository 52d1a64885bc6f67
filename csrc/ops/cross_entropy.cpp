// Cross-entropy and negative log-likelihood, fused over the classes.
#include "ops/fused.h"
#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl {

Reduction reduction_from(const char* op, const std::string& name) {
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  if (name == "none") return Reduction::none;
  throw ValueError(str(op, ": reduction '", name, "', expected 'none', 'mean' or 'sum'"));
}

namespace ops {
namespace {

void check_labels(const char* name, const Tensor& labels, int64_t classes, int64_t ignore_index) {
  const Tensor found = make_empty({}, DType::i64, labels.device());
  launch(&KernelTable::find_bad_label, labels.device(),
         FindBadLabelArgs{labels.data<int64_t>(), labels.numel(), classes, ignore_index, found.data<int64_t>()});
  on_host("check labels", [name, labels, found, classes, ignore_index] {
    const int64_t position = host_integer(found, 0);
    if (position >= 0)
      throw IndexError(str(name, ": label ", host_integer(labels, position), " at position ", position, " is out of range for ",
                           classes, " classes (expected 0 to ", classes - 1, ", or ignore_index ", ignore_index, ")"));
  });
}

// A call's tensors, contiguous and without history, and its numbers: what forward and backward have in common.
struct Call {
  Tensor input, labels, probabilities, weight, maximum, log_sum, divisor;
  Shape positions;
  int64_t outer = 1, classes = 1, inner = 1, ignore_index = 0;
  double smoothing = 0;
  Reduction reduction = Reduction::mean;
  bool normalized = false;

  CrossEntropyArgs args() const {
    CrossEntropyArgs a{};
    a.input = input.data();
    a.labels = labels.defined() ? labels.data<int64_t>() : nullptr;
    a.probabilities = probabilities.defined() ? probabilities.data() : nullptr;
    a.weight = weight.defined() ? weight.data() : nullptr;
    a.maximum = maximum.data();
    a.log_sum = log_sum.data();
    a.divisor = divisor.data<double>();
    a.outer = outer, a.classes = classes, a.inner = inner;
    a.ignore_index = ignore_index;
    a.smoothing = smoothing;
    a.dtype = input.dtype();
    a.reduction = reduction;
    a.normalized = normalized;
    return a;
  }

  Tensor backward(const Tensor& grad) const {
    const Tensor g = contiguous(grad), gx = empty(input.shape(), input.dtype(), input.device());
    if (gx.numel() > 0)
      launch(&KernelTable::cross_entropy_backward, input.device(), CrossEntropyBackwardArgs{args(), g.data(), gx.data()});
    return gx;
  }

  // What the log-probabilities are multiplied with, before the reduction: -q of kernels/loss.h. Linear, so it is the
  // gradient of the loss of log-probabilities.
  Tensor coefficients(const Tensor& target) const {
    if (!labels.defined()) {
      Tensor q = mul(to_dtype(target, compute_dtype(input.dtype())), scalar_tensor(smoothing - 1));
      if (smoothing > 0) q = sub(q, scalar_tensor(smoothing / static_cast<double>(classes)));
      if (!weight.defined()) return q;
      Shape per_class = Shape::filled(input.ndim(), 1);
      per_class[input.ndim() == 1 ? 0 : 1] = classes;
      return mul(q, reshape(weight, per_class));
    }
    GradMode no_grad(false);
    Call linear = *this;
    linear.input = to_dtype(input, compute_dtype(input.dtype()));
    linear.normalized = true;
    linear.reduction = Reduction::none;
    return linear.backward(ones(positions, linear.input.dtype(), input.device()));
  }

  // The same loss made of plain ops.
  Tensor composed(const Tensor& x, const Tensor& target) const {
    const int class_dim = x.ndim() == 1 ? 0 : 1;
    const DType compute = compute_dtype(x.dtype());
    const Tensor wide = to_dtype(x, compute);
    const Tensor terms = mul(coefficients(target), normalized ? wide : log_softmax(wide, class_dim));
    if (reduction == Reduction::none) return to_dtype(sum(terms, Shape{class_dim}, false), x.dtype());
    return to_dtype(div(sum(terms, std::nullopt, false), to_dtype(divisor, compute)), x.dtype());
  }
};

Tensor loss(const char* name, const Tensor& x, const Tensor& target, const std::optional<Tensor>& weight, int64_t ignore_index,
            const std::string& reduction, double smoothing, bool normalized) {
  check_floating(name, x);
  check_same_device(name, {x, target, weight});
  if (x.ndim() < 1) throw ShapeError(str(name, ": expected input (C), (N, C) or (N, C, d1, ...), got ", x.shape()));
  if (!(smoothing >= 0 && smoothing <= 1)) throw ValueError(str(name, ": label_smoothing ", smoothing, ", expected 0 to 1"));
  const int class_dim = x.ndim() == 1 ? 0 : 1;
  Call call;
  call.reduction = reduction_from(name, reduction);
  call.smoothing = smoothing;
  call.ignore_index = ignore_index;
  call.normalized = normalized;
  for (int d = 0; d < x.ndim(); ++d) {
    (d < class_dim ? call.outer : d == class_dim ? call.classes : call.inner) *= x.size(d);
    if (d != class_dim) call.positions.push_back(x.size(d));
  }
  const Shape& positions = call.positions;
  const bool soft = is_floating(target.dtype()) && !normalized;
  if (target.dtype() == DType::b8 || (is_floating(target.dtype()) && !soft))
    throw DTypeError(str(name, ": target is ", target.dtype(), ", expected class indices (int64)"));
  if (!(target.shape() == (soft ? x.shape() : positions)))
    throw ShapeError(str(name, ": input ", x.shape(), " needs a target of class ", soft ? "probabilities " : "indices ",
                         soft ? x.shape() : positions, ", got ", target.shape()));
  if (weight && !(weight->shape() == Shape{call.classes}))
    throw ShapeError(str(name, ": weight has shape ", weight->shape(), ", expected ", Shape{call.classes}));

  const Tensor input = contiguous(x);
  Tensor y;
  {
    GradMode no_grad(false);
    const DType compute = compute_dtype(x.dtype());
    call.input = input;
    if (soft) call.probabilities = contiguous(to_dtype(target, x.dtype()));
    else call.labels = contiguous(to_dtype(target, DType::i64));
    if (weight) call.weight = contiguous(to_dtype(*weight, compute));
    call.maximum = empty(positions, compute, x.device());
    call.log_sum = empty(positions, compute, x.device());
    const Tensor losses = empty(positions, compute, x.device());
    call.divisor = empty({}, DType::f64, x.device());
    if (call.labels.defined()) check_labels(name, call.labels, call.classes, ignore_index);
    y = empty(call.reduction == Reduction::none ? positions : Shape{}, x.dtype(), x.device());
    CrossEntropyArgs args = call.args();
    args.losses = losses.data();
    args.output = y.data();
    launch(&KernelTable::cross_entropy_forward, x.device(), args);
  }
  if (!records(input, target)) return y;
  if (needs_grad(target)) return call.composed(input, target);
  // The call keeps its input through `input`, which notices changes in place.
  call.input = Tensor();
  record(name, y, {input}, [call, input = save(input), target = save(target)](GradCall& c) {
    Call now = call;
    now.input = c(input);
    if (grad_enabled()) composed_gradient(c, {now.input}, [&] { return now.composed(now.input, c(target)); });
    else c.set(0, now.backward(c.grad()));
  });
  return y;
}

}  // namespace

Tensor cross_entropy(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight, int64_t ignore_index,
                     const std::string& reduction, double label_smoothing) {
  return loss("cross_entropy", input, target, weight, ignore_index, reduction, label_smoothing, false);
}

Tensor nll_loss(const Tensor& input, const Tensor& target, const std::optional<Tensor>& weight, int64_t ignore_index,
                const std::string& reduction) {
  return loss("nll_loss", input, target, weight, ignore_index, reduction, 0, true);
}

}  // namespace ops
}  // namespace fastdl
