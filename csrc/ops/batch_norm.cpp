#include "kernels/batch_norm.h"

#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {
namespace {

using OptionalTensor = std::optional<Tensor>;

View view_of(const OptionalTensor& t) { return t && t->defined() ? t->view() : View{}; }

// Channels innermost in memory: (N, C), or channels-last images.
bool is_rows(const Tensor& x) { return x.ndim() == 2 || (!x.is_contiguous() && x.is_channels_last()); }

BatchNormShape kernel_shape(const Tensor& x) {
  const int64_t n = x.size(0), c = x.size(1), plane = n * c > 0 ? x.numel() / (n * c) : 0;
  return is_rows(x) ? BatchNormShape{n * plane, c, 1} : BatchNormShape{n, c, plane};
}
// x, or a dense copy of it.
Tensor dense(const Tensor& x) { return x.ndim() > 2 && is_rows(x) ? x : contiguous(x); }

Tensor workspace(const BatchNormShape& s, const Tensor& like) {
  return make_empty({BatchNormParts::count(s), s.channels, 2}, DType::f64, like.device());
}

void check_channels(const Tensor& input, const char* what, const OptionalTensor& t) {
  if (!t) return;
  if (t->ndim() != 1 || t->size(0) != input.size(1))
    throw ShapeError(str("batch_norm: ", what, " needs shape [", input.size(1), "], one number per channel of input ",
                         input.shape(), ", got ", t->shape()));
  check_floating("batch_norm", *t);
}

// One number per channel, shaped to broadcast with x.
Tensor per_channel(const Tensor& t, const Tensor& x) {
  Shape shape = Shape::filled(x.ndim(), 1);
  shape[1] = t.numel();
  return reshape(t, shape);
}

struct Statistics {
  Tensor mean, rstd;  // (C) in float64
};

// The gradients from plain ops, which record: for gradients of gradients.
void composed_gradients(GradCall& c, const Tensor& x, const OptionalTensor& weight, const Statistics& s, bool training,
                        double eps) {
  const Tensor gy = c.grad();
  Shape dims;
  for (int d = 0; d < x.ndim(); ++d)
    if (d != 1) dims.push_back(d);
  const auto mean_of = [&](const Tensor& t) { return mean(t, dims, true, {}); };
  Tensor centered, rstd;
  if (training) {
    centered = sub(x, mean_of(x));
    rstd = pow(add(mean_of(mul(centered, centered)), scalar_tensor(eps)), scalar_tensor(-0.5));
  } else {
    centered = sub(x, per_channel(to_dtype(s.mean, x.dtype()), x));
    rstd = per_channel(to_dtype(s.rstd, x.dtype()), x);
  }
  const Tensor normalized = mul(centered, rstd);
  if (c.wants(1)) c.set(1, to_dtype(sum(mul(gy, normalized), dims, false), weight->dtype()));
  if (c.wants(2)) c.set(2, sum(gy, dims, false));
  if (!c.wants(0)) return;
  Tensor g = gy;
  if (training) g = sub(sub(gy, mean_of(gy)), mul(normalized, mean_of(mul(gy, normalized))));
  g = mul(g, rstd);
  c.set(0, weight ? mul(g, per_channel(to_dtype(*weight, x.dtype()), x)) : g);
}

}  // namespace

Tensor batch_norm(const Tensor& input, const OptionalTensor& running_mean, const OptionalTensor& running_var,
                  const OptionalTensor& weight, const OptionalTensor& bias, bool training, double momentum, double eps) {
  check_floating("batch_norm", input);
  check_same_device("batch_norm", {input, running_mean, running_var, weight, bias});
  if (input.ndim() < 2) throw ShapeError(str("batch_norm: input needs at least 2 dimensions (N, C, ...), got ", input.shape()));
  check_channels(input, "running_mean", running_mean);
  check_channels(input, "running_var", running_var);
  check_channels(input, "weight", weight);
  check_channels(input, "bias", bias);
  if (!training && (!running_mean || !running_var))
    throw ValueError("batch_norm: evaluation needs running_mean and running_var");
  if (training && running_mean) check_writable("batch_norm", *running_mean);
  if (training && running_var) check_writable("batch_norm", *running_var);
  const Tensor x = dense(input);
  const BatchNormShape shape = kernel_shape(x);
  if (training && shape.count() == 1)
    throw ValueError(str("batch_norm: training needs more than one value per channel, got input ", input.shape()));
  Tensor y = empty_like(x);
  const Statistics s{make_empty({shape.channels}, DType::f64, x.device()),
                     make_empty({shape.channels}, DType::f64, x.device())};
  if (x.numel() > 0) {
    const Tensor partial = training ? workspace(shape, x) : Tensor();
    launch(&KernelTable::batch_norm_forward, x.device(),
           BatchNormArgs{x.data(), y.data(), x.dtype(), shape, view_of(weight), view_of(bias), view_of(running_mean),
                         view_of(running_var), training, momentum, eps, s.mean.data<double>(), s.rstd.data<double>(),
                         training ? partial.data<double>() : nullptr});
    if (training && running_mean) changed(*running_mean);
    if (training && running_var) changed(*running_var);
  }
  if (records(x, weight, bias)) {
    const DType bias_dtype = bias ? bias->dtype() : x.dtype();
    record("batch_norm", y, {x, weight, bias},
           [x = save(x), has_weight = weight.has_value(), w = save(weight ? *weight : Tensor()), bias_dtype, s, training,
            eps](GradCall& c) {
             const Tensor input = c(x);
             OptionalTensor weight;
             if (has_weight) weight = c(w);
             if (grad_enabled()) return composed_gradients(c, input, weight, s, training, eps);
             const BatchNormShape shape = kernel_shape(input);
             const Tensor gy = is_rows(input) && input.ndim() > 2 ? channels_innermost(c.grad()) : contiguous(c.grad());
             Tensor gx, gw, gb;
             if (c.wants(0)) gx = empty_like(input);
             if (c.wants(1)) gw = make_empty({shape.channels}, weight->dtype(), input.device());
             if (c.wants(2)) gb = make_empty({shape.channels}, bias_dtype, input.device());
             if (input.numel() > 0) {
               const Tensor partial = workspace(shape, input);
               launch(&KernelTable::batch_norm_backward, input.device(),
                      BatchNormBackwardArgs{input.data(), gy.data(), gx.defined() ? gx.data() : nullptr, input.dtype(), shape,
                                            view_of(weight), s.mean.data<double>(), s.rstd.data<double>(), training,
                                            view_of(gw), view_of(gb), partial.data<double>()});
             } else {
               if (gw.defined()) fill_(gw, int64_t{0});
               if (gb.defined()) fill_(gb, int64_t{0});
             }
             if (gx.defined()) c.set(0, gx);
             if (gw.defined()) c.set(1, gw);
             if (gb.defined()) c.set(2, gb);
           });
  }
  return y;
}

}  // namespace fastdl::ops
