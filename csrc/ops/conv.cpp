#include "kernels/conv.h"

#include <algorithm>
#include <atomic>

#include "ops/launch.h"
#include "ops/ops.h"
#include "ops/precision.h"

namespace fastdl::ops {
namespace {

constexpr const char* kNames[2] = {"conv1d", "conv2d"};
constexpr const char* kTransposedNames[2] = {"conv_transpose1d", "conv_transpose2d"};

// What convolutions need to know besides their operands, for two dimensions.
ConvGeometry geometry(const char* op, int dims, const Shape& stride, const Shape& padding, const Shape& dilation,
                      int64_t groups) {
  ConvGeometry g{{1, 1}, {0, 0}, {1, 1}, groups};
  const auto set = [&](const char* what, const Shape& from, int64_t least, int64_t* to) {
    if (from.size() != 1 && from.size() != dims)
      throw ShapeError(str(op, ": ", what, " needs 1 or ", dims, " values, got ", from));
    for (int d = 0; d < dims; ++d) {
      const int64_t v = from[from.size() == 1 ? 0 : d];
      if (v < least) throw ValueError(str(op, ": ", what, " must be at least ", least, ", got ", from));
      to[2 - dims + d] = v;
    }
  };
  set("stride", stride, 1, g.stride);
  set("padding", padding, 0, g.padding);
  set("dilation", dilation, 1, g.dilation);
  if (groups < 1) throw ValueError(str(op, ": groups must be at least 1, got ", groups));
  return g;
}

int64_t output_size(int64_t input, int64_t kernel, const ConvGeometry& g, int d) {
  const int64_t span = input + 2 * g.padding[d] - g.dilation[d] * (kernel - 1) - 1;
  return span < 0 ? 0 : span / g.stride[d] + 1;
}

void check_operands(const char* op, int dims, const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias) {
  check_floating(op, input);
  check_same_device(op, {input, weight, bias});
  if (weight.dtype() != input.dtype() || (bias && bias->dtype() != input.dtype()))
    throw DTypeError(str(op, ": input, weight and bias must have one dtype, got ", input.dtype(), ", ", weight.dtype(),
                         bias ? str(" and ", bias->dtype()) : std::string()));
  if (input.ndim() != dims + 1 && input.ndim() != dims + 2)
    throw ShapeError(
        str(op, ": input needs ", dims + 2, " dimensions (or ", dims + 1, " without the batch), got ", input.shape()));
  if (weight.ndim() != dims + 2) throw ShapeError(str(op, ": weight needs ", dims + 2, " dimensions, got ", weight.shape()));
  for (int d = 0; d < dims; ++d)
    if (weight.size(2 + d) == 0) throw ShapeError(str(op, ": weight has an empty kernel, shape ", weight.shape()));
}

void check_bias(const char* op, const std::optional<Tensor>& bias, int64_t channels) {
  if (bias && (bias->ndim() != 1 || bias->size(0) != channels))
    throw ShapeError(str(op, ": bias needs shape [", channels, "], one number per output channel, got ", bias->shape()));
}

Tensor empty_in_layout_of(const Tensor& like, const Shape& shape) {
  if (!like.is_contiguous() && like.is_channels_last())
    return make_empty_strided(shape, channels_last_strides(shape), like.dtype(), like.device());
  return make_empty(shape, like.dtype(), like.device());
}

DType sum_dtype(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

std::atomic<bool> winograd_on{true};

// The tile of Winograd's algorithm (ConvArgs::winograd) that is the least work for one of the three passes, by shape alone;
// 0 where the direct sum is. In multiply-adds a pair of channels: the products at the points of all tiles, an element's
// transformation, which is shared by the channels of the other side, and a weight's. The products run at 0.85 of the direct
// sum's rate, being short.
int64_t winograd_tile(const Tensor& input, const Shape& weight, const Shape& output, const ConvGeometry& g) {
  if (!winograd_on.load(std::memory_order_relaxed) || !input.device().is_cpu() || input.dtype() != DType::f32) return 0;
  if (weight[2] != 3 || weight[3] != 3) return 0;
  for (int d = 0; d < 2; ++d)
    if (g.stride[d] != 1 || g.dilation[d] != 1) return 0;
  constexpr int64_t kLeastChannels = 32;
  const int64_t read = weight[1], written = weight[0] / g.groups;
  if (read < kLeastChannels || written < kLeastChannels) return 0;
  constexpr double kTransform = 8, kWeightTransform = 16, kRate = 0.85;
  const double shared = kTransform * (1.0 / static_cast<double>(read) + 1.0 / static_cast<double>(written));
  double least = kRate * 9 * static_cast<double>(output[0] * output[2] * output[3]);
  int64_t best = 0;
  for (const int64_t m : {4, 2}) {
    const int64_t tiles = output[0] * ((output[2] + m - 1) / m) * ((output[3] + m - 1) / m);
    const double work = static_cast<double>((m + 2) * (m + 2)) * (static_cast<double>(tiles) * (1 + shared) + kWeightTransform);
    if (work < least) least = work, best = m;
  }
  return best;
}

// The panels of weights for writing `written` channels a group.
Tensor panels_for(const Tensor& weight, int64_t groups, int64_t written, int64_t winograd) {
  const int64_t read = weight.numel() / (written * groups * weight.size(2) * weight.size(3));
  const int64_t points = conv_panel_points(weight.size(2), weight.size(3), winograd);
  return make_empty({conv_panel_channels(written) * groups * read * points}, sum_dtype(weight.dtype()), weight.device());
}

Tensor weight_gradient(const Tensor& input, const Tensor& grad_output, const Shape& weight_shape, const ConvGeometry& g);

// The gradient of the input; as a forward op, the transposed convolution.
Tensor input_gradient(const char* op, const Tensor& grad_output, const Tensor& weight, const std::optional<Tensor>& bias,
                      const Shape& input_shape, const ConvGeometry& g);

Tensor forward(const char* op, const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
               const ConvGeometry& g) {
  const Shape shape{input.size(0), weight.size(0), output_size(input.size(2), weight.size(2), g, 0),
                    output_size(input.size(3), weight.size(3), g, 1)};
  Tensor out = empty_in_layout_of(input, shape);
  if (out.numel() > 0) {
    const int64_t winograd = winograd_tile(input, weight.shape(), shape, g);
    const Tensor panels = weight.numel() > 0 ? panels_for(weight, g.groups, weight.size(0) / g.groups, winograd) : Tensor();
    launch(&KernelTable::conv2d_forward, input.device(),
           ConvArgs{input.view(), weight.view(), bias ? bias->view() : View{}, out.view(), g,
                    panels.defined() ? panels.data() : nullptr, winograd, tf32_in_convolutions()});
  }
  if (records(input, weight, bias))
    record(op, out, {input, weight, bias}, [x = save(input), w = save(weight), g](GradCall& c) {
      const Tensor input = c(x), weight = c(w);
      if (c.wants(0)) c.set(0, input_gradient("conv_backward_input", c.grad(), weight, {}, input.shape(), g));
      if (c.wants(1)) c.set(1, weight_gradient(input, c.grad(), weight.shape(), g));
      if (c.wants(2)) c.set(2, sum(c.grad(), Shape{0, 2, 3}, false));
    });
  return out;
}

Tensor input_gradient(const char* op, const Tensor& grad_output, const Tensor& weight, const std::optional<Tensor>& bias,
                      const Shape& input_shape, const ConvGeometry& g) {
  Tensor out = empty_in_layout_of(grad_output, input_shape);
  if (out.numel() > 0) {
    const int64_t winograd = winograd_tile(grad_output, weight.shape(), input_shape, g);
    const Tensor panels = weight.numel() > 0 ? panels_for(weight, g.groups, weight.size(1), winograd) : Tensor();
    launch(&KernelTable::conv2d_backward_input, grad_output.device(),
           ConvArgs{out.view(), weight.view(), bias ? bias->view() : View{}, grad_output.view(), g,
                    panels.defined() ? panels.data() : nullptr, winograd, tf32_in_convolutions()});
  }
  if (records(grad_output, weight, bias))
    record(op, out, {grad_output, weight, bias}, [y = save(grad_output), w = save(weight), g](GradCall& c) {
      const Tensor source = c(y), weight = c(w);
      if (c.wants(0)) {
        // An output padding of the stride or more makes room for positions that the input does not have.
        Tensor gx = forward("conv_backward_output", c.grad(), weight, {}, g);
        for (int d = 2; d < 4; ++d)
          if (gx.size(d) != source.size(d)) gx = narrow(gx, d, 0, source.size(d));
        c.set(0, gx);
      }
      if (c.wants(1)) c.set(1, weight_gradient(c.grad(), source, weight.shape(), g));
      if (c.wants(2)) c.set(2, sum(c.grad(), Shape{0, 2, 3}, false));
    });
  return out;
}

// Parts that the pixels are split into, where channels alone make too few tasks: the kernels' tiles of (channel, tap) x
// output channels, and how many of them keep a large machine busy; each has a block of pixels, or of Winograd's tiles, at
// least. By shape alone, so that the sums are the same anywhere.
int64_t weight_gradient_parts(Device device, const Shape& grad_output, const Shape& weight, int64_t groups, int64_t winograd) {
  struct Split {
    int64_t tasks, task_flops, rows, channels, pixels;
  };
  const Split split = device.is_cpu() ? Split{16, 2'000'000, 640, 128, 512} : Split{512, 1'000'000, 64, 64, 256};
  const int64_t block = winograd ? 64 * winograd * winograd : split.pixels;
  const int64_t pixels = grad_output[0] * grad_output[2] * grad_output[3];
  const int64_t rows = weight[1] * weight[2] * weight[3], written = weight[0] / groups;
  const int64_t tiles = groups * ((rows + split.rows - 1) / split.rows) * ((written + split.channels - 1) / split.channels);
  const int64_t work = 2 * pixels * rows * written / split.task_flops;
  return std::max<int64_t>(1, std::min({(split.tasks + tiles - 1) / tiles, pixels / block, work}));
}

Tensor weight_gradient(const Tensor& input, const Tensor& grad_output, const Shape& weight_shape, const ConvGeometry& g) {
  Tensor out = make_empty(weight_shape, input.dtype(), input.device());
  if (grad_output.numel() == 0 || input.numel() == 0) {
    fill_(out, int64_t{0});
  } else if (out.numel() > 0) {
    const int64_t winograd = winograd_tile(input, weight_shape, grad_output.shape(), g);
    const int64_t parts = weight_gradient_parts(input.device(), grad_output.shape(), weight_shape, g.groups, winograd);
    const int64_t columns = conv_panel_channels(weight_shape[0] / g.groups) * g.groups;
    const Tensor partial = make_empty({parts, columns, weight_shape[1], weight_shape[2], weight_shape[3]},
                                      sum_dtype(input.dtype()), input.device());
    launch(&KernelTable::conv2d_backward_weight, input.device(),
           ConvWeightArgs{input.view(), grad_output.view(), out.view(), g, parts, partial.data(), winograd,
                          tf32_in_convolutions()});
  }
  if (records(input, grad_output))
    record("conv_backward_weight", out, {input, grad_output}, [x = save(input), y = save(grad_output), g](GradCall& c) {
      const Tensor input = c(x), grad_output = c(y);
      if (c.wants(0)) c.set(0, input_gradient("conv_backward_input", grad_output, c.grad(), {}, input.shape(), g));
      if (c.wants(1)) c.set(1, forward("conv_backward_output", input, c.grad(), {}, g));
    });
  return out;
}

// One-dimensional operands are images of one row.
Tensor as_image(const Tensor& t, int dims) { return dims == 2 ? t : unsqueeze(t, 2); }

// f over a batch of images; the batch dimension and the row are taken off again.
template <class F> Tensor over_images(const Tensor& input, int dims, const F& f) {
  const bool batched = input.ndim() == dims + 2;
  Tensor out = f(as_image(batched ? input : unsqueeze(input, 0), dims));
  if (dims == 1) out = squeeze(out, Shape{2});
  return batched ? out : squeeze(out, Shape{0});
}

Tensor conv(int dims, const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Shape& stride,
            const Shape& padding, const Shape& dilation, int64_t groups) {
  const char* op = kNames[dims - 1];
  const ConvGeometry g = geometry(op, dims, stride, padding, dilation, groups);
  check_operands(op, dims, input, weight, bias);
  const int64_t channels = input.size(-dims - 1);
  if (weight.size(0) % groups != 0)
    throw ShapeError(
        str(op, ": ", weight.size(0), " output channels (weight ", weight.shape(), ") do not divide into ", groups, " groups"));
  if (channels != weight.size(1) * groups)
    throw ShapeError(str(op, ": weight ", weight.shape(), " with ", groups, groups == 1 ? " group" : " groups",
                         " expects an input of ", weight.size(1) * groups, " channels, got input ", input.shape()));
  check_bias(op, bias, weight.size(0));
  for (int d = 0; d < dims; ++d)
    if (input.size(d - dims) + 2 * g.padding[2 - dims + d] < g.dilation[2 - dims + d] * (weight.size(2 + d) - 1) + 1)
      throw ShapeError(str(op, ": the kernel of weight ", weight.shape(), ", dilation ", dilation,
                           ", is larger than the padded input ", input.shape(), ", padding ", padding));
  return over_images(input, dims, [&](const Tensor& x) { return forward(op, x, as_image(weight, dims), bias, g); });
}

Tensor conv_transpose(int dims, const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                      const Shape& stride, const Shape& padding, const Shape& output_padding, int64_t groups,
                      const Shape& dilation) {
  const char* op = kTransposedNames[dims - 1];
  const ConvGeometry g = geometry(op, dims, stride, padding, dilation, groups);
  check_operands(op, dims, input, weight, bias);
  const int64_t channels = input.size(-dims - 1);
  if (channels != weight.size(0) || channels % groups != 0)
    throw ShapeError(str(op, ": weight ", weight.shape(), " expects an input of ", weight.size(0), " channels, divisible by ",
                         groups, groups == 1 ? " group" : " groups", ", got input ", input.shape()));
  check_bias(op, bias, weight.size(1) * groups);
  if (output_padding.size() != 1 && output_padding.size() != dims)
    throw ShapeError(str(op, ": output_padding needs 1 or ", dims, " values, got ", output_padding));
  return over_images(input, dims, [&](const Tensor& x) {
    const Tensor w = as_image(weight, dims);
    Shape shape{x.size(0), w.size(1) * groups, 1, 1};
    for (int d = 2 - dims; d < 2; ++d) {
      const int64_t extra = output_padding[output_padding.size() == 1 ? 0 : d - (2 - dims)];
      if (extra < 0 || (extra >= g.stride[d] && extra >= g.dilation[d]))
        throw ValueError(
            str(op, ": output_padding ", output_padding, " must be smaller than stride ", stride, " or dilation ", dilation));
      shape[2 + d] = (x.size(2 + d) - 1) * g.stride[d] - 2 * g.padding[d] + g.dilation[d] * (w.size(2 + d) - 1) + extra + 1;
      if (shape[2 + d] < 0 || x.size(2 + d) == 0)
        throw ShapeError(str(op, ": input ", input.shape(), " and weight ", weight.shape(), " with stride ", stride,
                             ", padding ", padding, " give no output"));
    }
    return input_gradient(op, x, w, bias, shape, g);
  });
}

}  // namespace

bool winograd_enabled() { return winograd_on.load(std::memory_order_relaxed); }
void set_winograd_enabled(bool on) { winograd_on.store(on, std::memory_order_relaxed); }

Tensor conv1d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Shape& stride,
              const Shape& padding, const Shape& dilation, int64_t groups) {
  return conv(1, input, weight, bias, stride, padding, dilation, groups);
}
Tensor conv2d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Shape& stride,
              const Shape& padding, const Shape& dilation, int64_t groups) {
  return conv(2, input, weight, bias, stride, padding, dilation, groups);
}
Tensor conv_transpose1d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Shape& stride,
                        const Shape& padding, const Shape& output_padding, int64_t groups, const Shape& dilation) {
  return conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation);
}
Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, const Shape& stride,
                        const Shape& padding, const Shape& output_padding, int64_t groups, const Shape& dilation) {
  return conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation);
}

}  // namespace fastdl::ops
