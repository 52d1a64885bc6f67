// Layer, RMS and group normalization.
#include "ops/fused.h"
#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {
namespace {

// Partial sums of the weight's gradient, by shape alone: enough for the threads, few enough to add up quickly.
int64_t gradient_parts(int64_t rows, int64_t row_bytes) {
  const int64_t wanted = rows * row_bytes / (1 << 18);
  return std::min<int64_t>({std::max<int64_t>(wanted, 1), rows, 64});
}

const void* data_or_null(const Tensor& t) { return t.defined() ? t.data() : nullptr; }

// A weight as the kernels want it: contiguous, in the type computed in. Undefined stays so.
Tensor kernel_weight(const std::optional<Tensor>& w, DType input) {
  return w && w->defined() ? contiguous(to_dtype(*w, compute_dtype(input))) : Tensor();
}

void check_weight(const char* op, const char* what, const std::optional<Tensor>& w, const Tensor& x, const Shape& shape) {
  if (!w || !w->defined()) return;
  check_same_device(op, {x, w});
  if (!(w->shape() == shape)) throw ShapeError(str(op, ": ", what, " has shape ", w->shape(), ", expected ", shape));
  if (w->dtype() != x.dtype() && w->dtype() != compute_dtype(x.dtype()))
    throw DTypeError(str(op, ": ", what, " is ", w->dtype(), ", expected ", x.dtype(), " like the input"));
}

// (x - mean) / sqrt(variance + eps) over dims, of plain ops.
Tensor normalize(const Tensor& x, const Shape& dims, bool centred, double eps) {
  int64_t n = 1;
  for (int64_t d : dims) n *= x.size(d);
  const Tensor inverse_n = scalar_tensor(1.0 / static_cast<double>(n));
  const Tensor h = centred ? sub(x, mul(sum(x, dims, true), inverse_n)) : x;
  const Tensor variance = mul(sum(mul(h, h), dims, true), inverse_n);
  return mul(h, pow(add(variance, scalar_tensor(eps)), scalar_tensor(-0.5)));
}

Tensor affine(Tensor h, const Tensor& weight, const Tensor& bias) {
  if (weight.defined()) h = mul(h, weight);
  if (bias.defined()) h = add(h, bias);
  return h;
}

// parts[p][...] added up in order, in the weight's shape.
Tensor add_parts(const Tensor& parts, const Shape& shape) { return reshape(sum(parts, Shape{0}, false), shape); }

Tensor row_norm(const char* name, const Tensor& x, const Shape& normalized_shape, const std::optional<Tensor>& weight,
                const std::optional<Tensor>& bias, double eps, bool centred) {
  check_floating(name, x);
  const int k = normalized_shape.size();
  bool matches = k > 0 && k <= x.ndim();
  for (int i = 0; matches && i < k; ++i) matches = normalized_shape[i] == x.shape()[x.ndim() - k + i];
  if (!matches) throw ShapeError(str(name, ": input ", x.shape(), " does not end in normalized_shape ", normalized_shape));
  check_weight(name, "weight", weight, x, normalized_shape);
  check_weight(name, "bias", bias, x, normalized_shape);

  const Tensor input = contiguous(x), w = kernel_weight(weight, x.dtype()), b = kernel_weight(bias, x.dtype());
  int64_t n = 1;
  for (int64_t size : normalized_shape) n *= size;
  const int64_t rows = n > 0 ? x.numel() / n : 0;
  const DType compute = compute_dtype(x.dtype());
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  const Tensor mean = centred ? empty({rows}, compute, x.device()) : Tensor();
  const Tensor rstd = empty({rows}, compute, x.device());
  if (rows > 0)
    launch(&KernelTable::layer_norm_forward, x.device(),
           LayerNormArgs{input.data(), data_or_null(w), data_or_null(b), y.data(), centred ? mean.data() : nullptr, rstd.data(),
                         rows, n, eps, x.dtype()});
  if (records(input, w, b)) {
    record(name, y, {input, w, b}, [=, input = save(input), w = save(w), b = save(b)](GradCall& c) {
      const Tensor x = c(input), weight = c(w), bias = c(b);
      if (grad_enabled()) {
        composed_gradient(c, {x, weight, bias}, [&] {
          Shape dims;
          for (int i = x.ndim() - k; i < x.ndim(); ++i) dims.push_back(i);
          return to_dtype(affine(normalize(to_dtype(x, compute), dims, centred, eps), weight, bias), x.dtype());
        });
        return;
      }
      const Tensor g = contiguous(c.grad());
      const Tensor gx = c.wants(0) ? empty(x.shape(), x.dtype(), x.device()) : Tensor();
      const int64_t parts = gradient_parts(rows, n * size_of(x.dtype()));
      const Tensor gw = c.wants(1) ? empty({parts, n}, compute, x.device()) : Tensor();
      const Tensor gb = c.wants(2) ? empty({parts, n}, compute, x.device()) : Tensor();
      LayerNormBackwardArgs args{};
      args.grad = g.data();
      args.input = x.data();
      args.weight = data_or_null(weight);
      args.mean = data_or_null(mean);
      args.rstd = rstd.data();
      args.grad_input = const_cast<void*>(data_or_null(gx));
      args.weight_parts = const_cast<void*>(data_or_null(gw));
      args.bias_parts = const_cast<void*>(data_or_null(gb));
      args.rows = rows, args.n = n, args.parts = parts, args.dtype = x.dtype();
      if (rows > 0) launch(&KernelTable::layer_norm_backward, x.device(), args);
      if (gx.defined()) c.set(0, gx);
      if (gw.defined()) c.set(1, add_parts(gw, weight.shape()));
      if (gb.defined()) c.set(2, add_parts(gb, bias.shape()));
    });
  }
  return y;
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const std::optional<Tensor>& weight,
                  const std::optional<Tensor>& bias, double eps) {
  return row_norm("layer_norm", x, normalized_shape, weight, bias, eps, true);
}

Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const std::optional<Tensor>& weight,
                const std::optional<double>& eps) {
  return row_norm("rms_norm", x, normalized_shape, weight, {},
                  eps.value_or(compute_dtype(x.dtype()) == DType::f64 ? 0x1p-52 : 0x1p-23), false);
}

Tensor group_norm(const Tensor& x, int64_t num_groups, const std::optional<Tensor>& weight, const std::optional<Tensor>& bias,
                  double eps) {
  const char* name = "group_norm";
  check_floating(name, x);
  if (x.ndim() < 2) throw ShapeError(str("group_norm: expected input (N, C, ...), got ", x.shape()));
  const int64_t batch = x.size(0), channels = x.size(1);
  if (num_groups < 1 || channels % num_groups != 0)
    throw ShapeError(
        str("group_norm: ", channels, " channels of input ", x.shape(), " do not divide into ", num_groups, " groups"));
  check_weight(name, "weight", weight, x, {channels});
  check_weight(name, "bias", bias, x, {channels});

  const Tensor input = contiguous(x), w = kernel_weight(weight, x.dtype()), b = kernel_weight(bias, x.dtype());
  int64_t spatial = 1;
  for (int d = 2; d < x.ndim(); ++d) spatial *= x.size(d);
  const DType compute = compute_dtype(x.dtype());
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  const Tensor mean = empty({batch, num_groups}, compute, x.device()), rstd = empty({batch, num_groups}, compute, x.device());
  if (x.numel() > 0)
    launch(&KernelTable::group_norm_forward, x.device(),
           GroupNormArgs{input.data(), data_or_null(w), data_or_null(b), y.data(), mean.data(), rstd.data(), batch, channels,
                         spatial, num_groups, eps, x.dtype()});
  if (records(input, w, b)) {
    record(name, y, {input, w, b}, [=, input = save(input), w = save(w), b = save(b)](GradCall& c) {
      const Tensor x = c(input), weight = c(w), bias = c(b);
      if (grad_enabled()) {
        composed_gradient(c, {x, weight, bias}, [&] {
          const Tensor rows =
              reshape(to_dtype(x, compute), {batch, num_groups, x.numel() / std::max<int64_t>(batch * num_groups, 1)});
          Shape per_channel = Shape::filled(x.ndim(), 1);
          per_channel[1] = channels;
          const Tensor h = reshape(normalize(rows, {2}, true, eps), x.shape());
          return to_dtype(affine(h, weight.defined() ? reshape(weight, per_channel) : weight,
                                 bias.defined() ? reshape(bias, per_channel) : bias),
                          x.dtype());
        });
        return;
      }
      const Tensor g = contiguous(c.grad());
      const Tensor gx = c.wants(0) ? empty(x.shape(), x.dtype(), x.device()) : Tensor();
      const Tensor gw = zeros({batch, channels}, compute, x.device()), gb = zeros({batch, channels}, compute, x.device());
      if (x.numel() > 0)
        launch(&KernelTable::group_norm_backward, x.device(),
               GroupNormBackwardArgs{g.data(), x.data(), data_or_null(weight), mean.data(), rstd.data(),
                                     const_cast<void*>(data_or_null(gx)), gw.data(), gb.data(), batch, channels, spatial,
                                     num_groups, x.dtype()});
      if (gx.defined()) c.set(0, gx);
      if (c.wants(1)) c.set(1, add_parts(gw, weight.shape()));
      if (c.wants(2)) c.set(2, add_parts(gb, bias.shape()));
    });
  }
  return y;
}

}  // namespace fastdl::ops
