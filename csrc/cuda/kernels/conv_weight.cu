// The gradient of a convolution's weight, as a product along the pixels (conv/operand.h). The pixels are cut into parts
// by shape alone; a block owns a tile of output channels x (channel, tap) of one part, on tensor cores for bf16 and f16 and
// for float32 where TF32 is allowed, and a second pass adds the parts in order. With channels innermost, both operands are
// copied in pieces of neighbouring channels. 2 N O OH OW (C / groups) KH KW FLOP.
#include "cuda/conv/operand.h"
#include "cuda/gemm/simt.h"
#include "cuda/gemm/tensor_core.h"

namespace fastdl::cuda {
namespace {

using Tile = SimtTile<64, 64, 16, 4, 4>;
using MatrixTile = MmaTile<64, 64, 2, 2>;  // on tensor cores
constexpr int kBlock = 256;

// --- operands ---

// Number z of the batch is group z % groups of part z / groups.
struct Parts {
  Divisor groups;
  int64_t pixels, length;  // in all; of a part
};

// (output channel, pixel)
template <class T> struct GradOperand {
  using Element = T;
  const T* data;
  int64_t strides[4], group_stride;
  ConvPixels pixels;
  Parts parts;
  int64_t pieces = 0, first = 0;

  bool has_pieces() const {
    return across() && strides[0] % kPiece<T> == 0 && strides[2] % kPiece<T> == 0 && strides[3] % kPiece<T> == 0 &&
           group_stride % kPiece<T> == 0 && reinterpret_cast<uintptr_t>(data) % 16 == 0;
  }

  struct Row {
    const T* data = nullptr;
  };
  struct Depth {
    int64_t offset;
    bool inside;
  };
  __device__ __forceinline__ GradOperand select(unsigned z) const {
    GradOperand g = *this;
    const unsigned part = parts.groups.split(z);
    g.data += z * group_stride;
    g.first = part * parts.length;
    return g;
  }
  // Neighbours are channels, or else pixels.
  __host__ __device__ __forceinline__ bool across() const { return strides[1] == 1 && strides[3] != 1; }
  __device__ __forceinline__ bool k_adjacent() const { return !across(); }
  __device__ __forceinline__ bool in_pieces() const { return pieces != 0; }
  __device__ __forceinline__ const T* origin() const { return data; }
  __device__ __forceinline__ const T* address(Row r, Depth d) const { return r.data && d.inside ? r.data + d.offset : nullptr; }
  __device__ __forceinline__ Row row(int channel) const { return {data + channel * strides[1]}; }
  __device__ __forceinline__ Depth depth(int64_t k) const {
    const int64_t pixel = first + k;
    if (pixel >= parts.pixels) return {0, false};
    const ConvPixels::Place p = pixels.at(static_cast<int>(pixel));
    return {p.image * strides[0] + p.row * strides[2] + p.column * strides[3], true};
  }
  __device__ __forceinline__ T at(Row r, Depth d) const { return r.data && d.inside ? r.data[d.offset] : T{}; }
};

// (step, pixel)
template <class T> struct SourceOperand {
  using Element = T;
  using Row = ConvPart;
  using Depth = ConvPart;
  ConvSource<T> source;
  Parts parts;
  int64_t pieces, first = 0;

  __device__ __forceinline__ SourceOperand select(unsigned z) const {
    SourceOperand s = *this;
    const unsigned part = parts.groups.split(z);
    s.source.data += z * source.group_stride;
    s.first = part * parts.length;
    return s;
  }
  __device__ __forceinline__ bool k_adjacent() const { return !source.steps.channels_innermost; }
  __device__ __forceinline__ bool in_pieces() const { return pieces != 0; }
  __device__ __forceinline__ const T* origin() const { return source.data; }
  __device__ __forceinline__ const T* address(const Row& r, const Depth& d) const { return source.address(r, d); }
  __device__ __forceinline__ Row row(int step) const { return source.step(step); }
  __device__ __forceinline__ Depth depth(int64_t k) const {
    const int64_t pixel = first + k;
    return pixel < parts.pixels ? source.pixel(static_cast<int>(pixel)) : ConvPart{};
  }
  __device__ __forceinline__ T at(const Row& r, const Depth& d) const { return source.at(r, d); }
};

// partial[part][group][output channel][step]
template <class S> struct PartialOutput {
  using Sum = S;
  S* data;
  int64_t row_stride, z_stride;
  __device__ __forceinline__ PartialOutput select(unsigned z) const { return {data + z * z_stride, row_stride, z_stride}; }
  __device__ __forceinline__ void store(int row, int column, S sum) const { data[row * row_stride + column] = sum; }
};

struct WeightStrides {
  int64_t channel, read, row, column;
};

// --- kernel ---

// A thread an element of the weight.
template <class T> __global__ void __launch_bounds__(kBlock)
    add_parts(const SumOf<T>* __restrict__ partial, T* __restrict__ weight, const __grid_constant__ WeightStrides strides,
              const __grid_constant__ ConvSteps steps, int64_t count, int64_t parts) {
  const int64_t index = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (index >= count) return;
  SumOf<T> sum = partial[index];
  for (int64_t part = 1; part < parts; ++part) sum += partial[part * count + index];
  const ConvSteps::Place p = steps.at(static_cast<int>(index % steps.count));
  weight[index / steps.count * strides.channel + p.channel * strides.read + p.row * strides.row + p.column * strides.column] =
      convert<T>(sum);
}

// --- launcher ---

template <class T> void backward_weight(const Context& context, const ConvWeightArgs& a) {
  using Sum = SumOf<T>;
  const View &x = a.input, &dy = a.grad_output, &dw = a.grad_weight;
  const ConvArgs forward{x, dw, {}, dy, a.geometry, nullptr, 0};
  const ConvAxis h = forward_axis(forward, 0), w = forward_axis(forward, 1);
  const int64_t groups = a.geometry.groups, written = dw.shape[0] / groups;
  const ConvPixels pixels(dy.shape[0], h, w);
  const ConvSteps steps(dw.shape[1], h, w, x.strides[1] == 1 && dw.shape[1] > 1);
  const Parts parts{Divisor(groups), pixels.count, (pixels.count + a.parts - 1) / a.parts};
  GradOperand<T> grad{
      dy.as<const T>(), {dy.strides[0], dy.strides[1], dy.strides[2], dy.strides[3]}, written * dy.strides[1], pixels, parts};
  const ConvSource<T> gathered(x, h, w, dw.shape[1] * x.strides[1], pixels, steps);
  const SourceOperand<T> source{gathered, parts, gathered.in_pieces()};
  grad.pieces = grad.has_pieces();
  Sum* const partial = static_cast<Sum*>(a.partial_sums);
  const PartialOutput<Sum> out{partial, steps.count, written * steps.count};
  const auto run = [&](auto launch_tiles) {
    launch_tiles(context, grad, source, out, static_cast<int>(written), static_cast<int>(steps.count), parts.length,
                 static_cast<unsigned>(a.parts * groups));
  };
  const auto on_tensor_cores = [](auto&&... arguments) { launch_mma<MatrixTile>(arguments...); };
  const auto on_others = [](auto&&... arguments) { launch_simt<Tile>(arguments...); };
  if constexpr (sizeof(T) == 2) run(on_tensor_cores);
  else if constexpr (sizeof(T) == 8) run(on_others);
  else if (a.tf32) run(on_tensor_cores);
  else run(on_others);
  const int64_t count = dw.shape[0] * steps.count;
  launch(add_parts<T>, {blocks_for(count, kBlock), kBlock}, context, partial, dw.as<T>(),
         WeightStrides{dw.strides[0], dw.strides[1], dw.strides[2], dw.strides[3]}, steps, count, a.parts);
}

}  // namespace

void conv2d_backward_weight(const Context& context, const ConvWeightArgs& a) {
  for_float(a.grad_weight.dtype, [&]<class T>() { backward_weight<T>(context, a); });
}

}  // namespace fastdl::cuda
