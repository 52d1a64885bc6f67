#include "kernels/pool.h"

#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {
namespace {

// What a pooling op works on: images as the kernels read them, and its windows.
struct Pooling {
  Tensor images;  // (N, C, H, W), contiguous or channels-last
  Shape output;   // (N, C, OH, OW)
  PoolWindows windows{{1, 1}, {1, 1}, {0, 0}, {1, 1}, false};
};

void check_input(const char* op, int dims, const Tensor& input) {
  check_floating(op, input);
  if (input.ndim() != dims + 1 && input.ndim() != dims + 2)
    throw ShapeError(
        str(op, ": input needs ", dims + 2, " dimensions (or ", dims + 1, " without the batch), got ", input.shape()));
  for (int d = 0; d < dims; ++d)
    if (input.size(d - dims) == 0)
      throw ShapeError(str(op, ": the pooled dimensions of input ", input.shape(), " must not be empty"));
}

// The input as a batch of images; sequences are images of one row.
Tensor as_images(const Tensor& input, int dims) {
  Tensor t = input.ndim() == dims + 2 ? input : unsqueeze(input, 0);
  return dims == 2 ? t : unsqueeze(t, 2);
}
Tensor from_images(Tensor t, const Tensor& input, int dims) {
  if (dims == 1) t = squeeze(t, Shape{2});
  return input.ndim() == dims + 2 ? t : squeeze(t, Shape{0});
}
Tensor dense(const Tensor& images) { return images.is_channels_last() ? images : contiguous(images); }
Tensor in_layout(const Tensor& t, bool channels_last) { return channels_last ? channels_innermost(t) : contiguous(t); }
Tensor empty_images(const Shape& shape, DType dtype, Device device, bool channels_last) {
  return channels_last ? make_empty_strided(shape, channels_last_strides(shape), dtype, device)
                       : make_empty(shape, dtype, device);
}

void set_values(const char* op, const char* what, int dims, const Shape& from, int64_t least, int64_t* to) {
  if (from.size() != 1 && from.size() != dims)
    throw ShapeError(str(op, ": ", what, " needs 1 or ", dims, " values, got ", from));
  for (int d = 0; d < dims; ++d) {
    const int64_t v = from[from.size() == 1 ? 0 : d];
    if (v < least) throw ValueError(str(op, ": ", what, " must be at least ", least, ", got ", from));
    to[2 - dims + d] = v;
  }
}

Pooling regular(const char* op, int dims, const Tensor& input, const Shape& kernel, const std::optional<Shape>& stride,
                const Shape& padding, const Shape& dilation, bool ceil_mode) {
  check_input(op, dims, input);
  Pooling p{dense(as_images(input, dims)), {}};
  PoolWindows& w = p.windows;
  set_values(op, "kernel_size", dims, kernel, 1, w.kernel);
  set_values(op, "stride", dims, stride && !stride->empty() ? *stride : kernel, 1, w.stride);
  set_values(op, "padding", dims, padding, 0, w.padding);
  set_values(op, "dilation", dims, dilation, 1, w.dilation);
  p.output = p.images.shape();
  for (int d = 0; d < 2; ++d) {
    const int64_t size = p.images.size(2 + d), span = (w.kernel[d] - 1) * w.dilation[d] + 1;
    if (w.padding[d] > w.kernel[d] / 2)
      throw ValueError(str(op, ": padding ", padding, " must be at most half of kernel_size ", kernel));
    const int64_t room = size + 2 * w.padding[d] - span;
    int64_t out =
        room < 0 && !(ceil_mode && room > -w.stride[d]) ? 0 : (room + (ceil_mode ? w.stride[d] - 1 : 0)) / w.stride[d] + 1;
    // The last window starts inside the input or its left padding.
    if (ceil_mode && (out - 1) * w.stride[d] >= size + w.padding[d]) --out;
    if (out < 1)
      throw ShapeError(str(op, ": windows of kernel_size ", kernel, " and dilation ", dilation, " do not fit into input ",
                           input.shape(), ", padding ", padding));
    p.output[2 + d] = out;
  }
  return p;
}

// -1 keeps the input's size.
Pooling adaptive(const char* op, int dims, const Tensor& input, const Shape& output_size) {
  check_input(op, dims, input);
  Pooling p{dense(as_images(input, dims)), {}};
  if (output_size.size() != 1 && output_size.size() != dims)
    throw ShapeError(str(op, ": output_size needs 1 or ", dims, " values, got ", output_size));
  p.output = p.images.shape();
  bool even = true;
  for (int d = 2 - dims; d < 2; ++d) {
    const int64_t wanted = output_size[output_size.size() == 1 ? 0 : d - (2 - dims)], size = p.images.size(2 + d);
    if (wanted < -1) throw ValueError(str(op, ": output_size must not be negative, got ", output_size));
    const int64_t out = wanted == -1 ? size : wanted;
    p.output[2 + d] = out;
    even &= out > 0 && size % out == 0;
    if (out > 0) p.windows.kernel[d] = p.windows.stride[d] = size / out;
  }
  p.windows.adaptive = !even;  // equal windows side by side are regular ones
  return p;
}

// --- maximum ---

Tensor max_pool_gradient(const Tensor& grad, const Tensor& indices, const Shape& input_shape, const PoolWindows& windows,
                         bool channels_last) {
  const Tensor gy = in_layout(grad, channels_last);
  Tensor gx = empty_images(input_shape, gy.dtype(), gy.device(), channels_last);
  if (gx.numel() > 0)
    launch(&KernelTable::max_pool_backward, gx.device(), MaxPoolArgs{gx.view(), gy.view(), indices.view(), windows});
  if (records(gy))
    record("max_pool_backward", gx, {gy}, [indices](GradCall& c) {
      c.set(0, reshape(gather(flatten(c.grad(), 2, 3), 2, flatten(indices, 2, 3)), indices.shape()));
    });
  return gx;
}

// The maxima and where they are; without `indices`, those are made only if a gradient needs them.
std::pair<Tensor, Tensor> max_pool(const char* op, int dims, const Tensor& input, const Pooling& p, bool want_indices) {
  const Tensor& x = p.images;
  if (x.size(2) * x.size(3) >= int64_t{1} << 31)
    throw ShapeError(str(op, ": a plane of input ", input.shape(), " has 2^31 elements or more"));
  const bool channels_last = !x.is_contiguous();
  Tensor y = empty_images(p.output, x.dtype(), x.device(), channels_last), indices;
  if (want_indices || records(x)) indices = empty_images(p.output, DType::i64, x.device(), channels_last);
  if (y.numel() > 0)
    launch(&KernelTable::max_pool_forward, x.device(),
           MaxPoolArgs{x.view(), y.view(), indices.defined() ? indices.view() : View{}, p.windows});
  if (records(x))
    record(op, y, {x}, [indices, shape = x.shape(), w = p.windows, channels_last](GradCall& c) {
      c.set(0, max_pool_gradient(c.grad(), indices, shape, w, channels_last));
    });
  return {from_images(y, input, dims), want_indices ? from_images(indices, input, dims) : Tensor()};
}

// --- average ---

struct Averaging {
  PoolWindows windows;
  bool count_include_pad;
  int64_t divisor;
};

Tensor avg_pool_gradient(const char* op, const Tensor& grad, const Shape& input_shape, const Averaging& a, bool channels_last);

Tensor avg_pool_images(const char* op, const Tensor& images, const Shape& output_shape, const Averaging& a) {
  const Tensor x = dense(images);
  const bool channels_last = !x.is_contiguous();
  Tensor y = empty_images(output_shape, x.dtype(), x.device(), channels_last);
  if (y.numel() > 0)
    launch(&KernelTable::avg_pool_forward, x.device(),
           AvgPoolArgs{x.view(), y.view(), a.windows, a.count_include_pad, a.divisor});
  if (records(x))
    record(op, y, {x}, [op, shape = x.shape(), a, channels_last](GradCall& c) {
      c.set(0, avg_pool_gradient(op, c.grad(), shape, a, channels_last));
    });
  return y;
}

Tensor avg_pool_gradient(const char* op, const Tensor& grad, const Shape& input_shape, const Averaging& a, bool channels_last) {
  const Tensor gy = in_layout(grad, channels_last);
  Tensor gx = empty_images(input_shape, gy.dtype(), gy.device(), channels_last);
  if (gx.numel() > 0)
    launch(&KernelTable::avg_pool_backward, gx.device(),
           AvgPoolArgs{gx.view(), gy.view(), a.windows, a.count_include_pad, a.divisor});
  if (records(gy))
    record(op, gx, {gy}, [op, shape = gy.shape(), a](GradCall& c) { c.set(0, avg_pool_images(op, c.grad(), shape, a)); });
  return gx;
}

constexpr const char* kMaxNames[3] = {"max_pool1d", "max_pool2d", "max_pool3d"};
constexpr const char* kAvgNames[3] = {"avg_pool1d", "avg_pool2d", "avg_pool3d"};
constexpr const char* kAdaptiveMaxNames[3] = {"adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"};
constexpr const char* kAdaptiveAvgNames[3] = {"adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"};

// --- volumes: windows are boxes, so pooling the planes and then the depth gives the same maxima, sums and sizes ---

// A geometric argument of a pooling of volumes: its values for the planes, and for the depth in images (depth, plane).
struct Sides {
  Shape plane, depth;
};
Sides sides(const char* op, const char* what, const Shape& values, int64_t neutral) {
  if (values.size() != 1 && values.size() != 3) throw ShapeError(str(op, ": ", what, " needs 1 or 3 values, got ", values));
  return {values.size() == 1 ? values : Shape{values[1], values[2]}, {values[0], neutral}};
}

// f(stage, images) pools the planes (stage 0), then the depth (stage 1).
template <class F> Tensor over_volumes(const char* op, const Tensor& input, const F& f) {
  check_input(op, 3, input);
  const Tensor v = input.ndim() == 5 ? input : unsqueeze(input, 0);
  const Tensor planes = f(0, reshape(v, {v.size(0), v.size(1) * v.size(2), v.size(3), v.size(4)}));
  const int64_t height = planes.size(2), width = planes.size(3);
  const Tensor out = f(1, reshape(planes, {v.size(0), v.size(1), v.size(2), height * width}));
  const Tensor y = reshape(out, {v.size(0), v.size(1), out.size(2), height, width});
  return input.ndim() == 5 ? y : squeeze(y, Shape{0});
}

// `windows(stage, images)` says how each stage pools. Equal maxima: the first in order of depth, height and width.
template <class F>
std::pair<Tensor, Tensor> max_pool_volumes(const char* op, const Tensor& input, bool want_indices, const F& windows) {
  Tensor within, planes_of;  // the maxima's places in their planes, and in (depth, plane)
  const Tensor y = over_volumes(op, input, [&](int stage, const Tensor& images) {
    auto [values, indices] = max_pool(op, 2, images, windows(stage, images), want_indices);
    (stage == 0 ? within : planes_of) = indices;
    return values;
  });
  if (!want_indices) return {y, Tensor()};
  const int64_t n = planes_of.size(0), c = planes_of.size(1), plane = planes_of.size(3), area = input.size(-1) * input.size(-2);
  const Tensor places = reshape(planes_of, {n, c, -1});
  const Tensor depth = floor_divide(places, scalar_tensor(plane));
  const Tensor in_plane = gather(reshape(within, {n, c, -1}), 2, places);
  return {y, reshape(add(in_plane, mul(depth, scalar_tensor(area))), y.shape())};
}

std::pair<Tensor, Tensor> pool_maxima(const Tensor& input, int64_t dims, const Shape& kernel,
                                      const std::optional<Shape>& stride, const Shape& padding, const Shape& dilation,
                                      bool ceil_mode, bool want_indices) {
  const char* op = kMaxNames[dims - 1];
  const int n = static_cast<int>(dims);
  if (dims < 3)
    return max_pool(op, n, input, regular(op, n, input, kernel, stride, padding, dilation, ceil_mode), want_indices);
  const Sides k = sides(op, "kernel_size", kernel, 1), p = sides(op, "padding", padding, 0),
              d = sides(op, "dilation", dilation, 1), s = stride && !stride->empty() ? sides(op, "stride", *stride, 1) : k;
  return max_pool_volumes(op, input, want_indices, [&](int stage, const Tensor& images) {
    return stage == 0 ? regular(op, 2, images, k.plane, s.plane, p.plane, d.plane, ceil_mode)
                      : regular(op, 2, images, k.depth, s.depth, p.depth, d.depth, ceil_mode);
  });
}

}  // namespace

std::pair<Tensor, Tensor> max_pool_with_indices(const Tensor& input, int64_t dims, const Shape& kernel,
                                                const std::optional<Shape>& stride, const Shape& padding, const Shape& dilation,
                                                bool ceil_mode) {
  return pool_maxima(input, dims, kernel, stride, padding, dilation, ceil_mode, true);
}
Tensor max_pool(const Tensor& input, int64_t dims, const Shape& kernel, const std::optional<Shape>& stride,
                const Shape& padding, const Shape& dilation, bool ceil_mode) {
  return pool_maxima(input, dims, kernel, stride, padding, dilation, ceil_mode, false).first;
}
Tensor avg_pool(const Tensor& input, int64_t dims, const Shape& kernel, const std::optional<Shape>& stride,
                const Shape& padding, bool ceil_mode, bool count_include_pad, const std::optional<int64_t>& divisor_override) {
  const char* op = kAvgNames[dims - 1];
  const int n = static_cast<int>(dims);
  if (divisor_override && *divisor_override == 0) throw ValueError(str(op, ": divisor_override must not be 0"));
  const int64_t divisor = divisor_override.value_or(0);
  if (dims < 3) {
    const Pooling p = regular(op, n, input, kernel, stride, padding, {1}, ceil_mode);
    return from_images(avg_pool_images(op, p.images, p.output, {p.windows, count_include_pad, divisor}), input, n);
  }
  const Sides k = sides(op, "kernel_size", kernel, 1), p = sides(op, "padding", padding, 0),
              s = stride && !stride->empty() ? sides(op, "stride", *stride, 1) : k;
  return over_volumes(op, input, [&](int stage, const Tensor& images) {
    const Pooling w = stage == 0 ? regular(op, 2, images, k.plane, s.plane, p.plane, {1}, ceil_mode)
                                 : regular(op, 2, images, k.depth, s.depth, p.depth, {1}, ceil_mode);
    return avg_pool_images(op, w.images, w.output, {w.windows, count_include_pad, divisor && stage == 0 ? 1 : divisor});
  });
}
std::pair<Tensor, Tensor> adaptive_max_pool(const Tensor& input, int64_t dims, const Shape& output_size) {
  const char* op = kAdaptiveMaxNames[dims - 1];
  const int n = static_cast<int>(dims);
  if (dims < 3) return max_pool(op, n, input, adaptive(op, n, input, output_size), true);
  const Sides size = sides(op, "output_size", output_size, -1);
  return max_pool_volumes(op, input, true, [&](int stage, const Tensor& images) {
    return adaptive(op, 2, images, stage == 0 ? size.plane : size.depth);
  });
}
Tensor adaptive_avg_pool(const Tensor& input, int64_t dims, const Shape& output_size) {
  const char* op = kAdaptiveAvgNames[dims - 1];
  const int n = static_cast<int>(dims);
  if (dims < 3) {
    const Pooling p = adaptive(op, n, input, output_size);
    return from_images(avg_pool_images(op, p.images, p.output, {p.windows, true, 0}), input, n);
  }
  const Sides size = sides(op, "output_size", output_size, -1);
  return over_volumes(op, input, [&](int stage, const Tensor& images) {
    const Pooling p = adaptive(op, 2, images, stage == 0 ? size.plane : size.depth);
    return avg_pool_images(op, p.images, p.output, {p.windows, true, 0});
  });
}

}  // namespace fastdl::ops
