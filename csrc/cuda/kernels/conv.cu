// Convolution, forward and gradient of the input, as implicit products (conv/operand.h): a tile of channels x pixels a
// block, for bf16 and f16, and for float32 where TF32 is allowed, on tensor cores (conv_mma.cu). The gradient of the input is
// the same pass over the gradient of the output, with the weight's channels exchanged, once for each phase of the stride.
// Groups that write few channels, depthwise above all, would leave tiles empty: there a thread sums one output element.
// 2 N O OH OW (C / groups) KH KW FLOP. (Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014.)
#include "cuda/conv/pass.h"
#include "cuda/gemm/simt.h"

namespace fastdl::cuda {
namespace {

// --- tiles ---

using LargeTile = SimtTile<128, 128, 8, 8, 8>;
using SmallTile = SimtTile<64, 64, 16, 4, 4>;
constexpr int64_t kFewChannels = 8;  // written per group
constexpr int kDirectBlock = 256;

// --- kernel ---

// One element a thread, neighbours in memory on neighbouring threads.
template <class T, bool kChannelsInnermost> __global__ void __launch_bounds__(kDirectBlock)
    conv_direct(const __grid_constant__ ConvWeightOperand<T> weight, const __grid_constant__ ConvSource<T> source,
                const __grid_constant__ ConvOutput<T, false> out, const Divisor channels, const Divisor per_group,
                int64_t count) {
  using Sum = SumOf<T>;
  const int64_t index = int64_t{blockIdx.x} * kDirectBlock + threadIdx.x;
  if (index >= count) return;
  // Within an image, in memory order: (channel, pixel) or (pixel, channel).
  const int64_t inner = kChannelsInnermost ? channels.d : source.pixels.area.d;
  const int64_t outer = index / inner;
  int channel, pixel;
  if (kChannelsInnermost) {
    channel = static_cast<int>(index % inner);
    pixel = static_cast<int>(outer);
  } else {
    channel = static_cast<int>(outer % channels.d);
    pixel = static_cast<int>(outer / channels.d * inner + index % inner);
  }
  uint32_t in_group = static_cast<uint32_t>(channel);
  const uint32_t group = per_group.split(in_group);
  const T* const w = weight.data + group * weight.group_stride + in_group * weight.row_stride;
  const ConvPart place = source.pixel(pixel);
  const T* const x = source.data + group * source.group_stride + place.offset;
  const int taps = static_cast<int>(source.steps.width.d), reads = static_cast<int>(source.steps.count);
  Sum sum = 0;
  for (int step = 0; step < reads; step += taps) {  // a row of taps
    const ConvSteps::Place p = source.steps.at(step);
    const int row = place.row + source.offset_first[0] + p.row * source.offset_step[0];
    if (static_cast<unsigned>(row) >= static_cast<unsigned>(source.size[0])) continue;
    const int64_t from = p.channel * source.strides[1] + (row - place.row) * source.strides[2];
    const T* const row_weight = w + p.channel * weight.channel_stride + p.row * weight.tap_strides[0];
    for (int j = 0; j < taps; ++j) {
      const int offset = source.offset_first[1] + j * source.offset_step[1];
      if (static_cast<unsigned>(place.column + offset) < static_cast<unsigned>(source.size[1]))
        sum += convert<Sum>(row_weight[j * weight.tap_strides[1]]) * convert<Sum>(x[from + offset * source.strides[3]]);
    }
  }
  out.select(group).store(static_cast<int>(in_group), pixel, sum);
}

// --- launchers ---

template <class T> void run_direct(const Context& context, const ConvPass& pass) {
  const ConvPixels pixels(pass.dest.shape[0], pass.h, pass.w);
  const ConvSteps steps(pass.read, pass.h, pass.w, false);
  const ConvWeightOperand<T> weight(pass.args.weight, pass.h, pass.w, pass.group_stride, pass.written_stride, pass.read_stride,
                                    steps);
  const ConvSource<T> source(pass.source, pass.h, pass.w, pass.read * pass.source.strides[1], pixels, steps);
  const ConvOutput<T, false> out(pass.dest, pass.args.bias, pass.h, pass.w, pass.written, pixels);
  const int64_t channels = pass.dest.shape[1], count = pixels.count * channels;
  const auto kernel = pass.channels_last() ? conv_direct<T, true> : conv_direct<T, false>;
  launch(kernel, {blocks_for(count, kDirectBlock), kDirectBlock}, context, weight, source, out, Divisor(channels),
         Divisor(pass.written), count);
}

template <class T> void run_pass(const Context& context, const ConvPass& pass) {
  if (pass.pixels() == 0) return;
  if (pass.written < kFewChannels) return run_direct<T>(context, pass);
  if (sizeof(T) == 2 || (std::is_same_v<T, float> && pass.args.tf32)) return convolve_mma(context, pass);
  if constexpr (sizeof(T) >= 4) {
    const int64_t tiles128 = (pass.written + 127) / 128 * pass.args.geometry.groups * ((pass.pixels() + 127) / 128);
    const int64_t depth = pass.read * pass.h.taps * pass.w.taps;
    const unsigned groups = static_cast<unsigned>(pass.args.geometry.groups);
    for_product<T>(pass, [&](const auto& a, const auto& b, const auto& out, int rows, int columns) {
      if constexpr (std::is_same_v<T, float>)
        if (pass.written > 64 && tiles128 >= multiprocessors(context))
          return launch_simt<LargeTile>(context, a, b, out, rows, columns, depth, groups);
      launch_simt<SmallTile>(context, a, b, out, rows, columns, depth, groups);
    });
  }
}

}  // namespace

void conv2d_forward(const Context& context, const ConvArgs& a) {
  for_float(a.output.dtype, [&]<class T>() {
    const int64_t written = a.weight.shape[0] / a.geometry.groups;
    run_pass<T>(context, {a.input, a.output, a, forward_axis(a, 0), forward_axis(a, 1), a.weight.shape[1], written,
                          a.weight.strides[1], a.weight.strides[0], written * a.weight.strides[0]});
  });
}

void conv2d_backward_input(const Context& context, const ConvArgs& a) {
  for_float(a.input.dtype, [&]<class T>() {
    const int64_t read = a.weight.shape[0] / a.geometry.groups;
    for (int64_t i = 0; i < a.geometry.stride[0]; ++i)
      for (int64_t j = 0; j < a.geometry.stride[1]; ++j)
        run_pass<T>(context, {a.output, a.input, a, transposed_axis(a, 0, i), transposed_axis(a, 1, j), read, a.weight.shape[1],
                              a.weight.strides[0], a.weight.strides[1], read * a.weight.strides[0]});
  });
}

}  // namespace fastdl::cuda
