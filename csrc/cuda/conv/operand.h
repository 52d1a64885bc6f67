// Convolutions as products (implicit GEMM). Forward, and each phase of the gradient of the input:
//   out(channel, pixel) = sum over steps of weight(channel, step) source(pixel, step)
// A pixel is (image, row, column) of what is written, a step is (channel, tap) of what is read. Gradient of the weight:
//   out(channel, step) = sum over pixels of grad(channel, pixel) source(step, pixel)
// Operands are gathered where they are; nothing is unfolded in memory. Which of a product's sides is pixels and which
// channels follows the layout of what is written.
#pragma once
#include <climits>

#include "cuda/device/divide.h"
#include "cuda/gemm/operand.h"
#include "kernels/conv.h"

namespace fastdl::cuda {

// The pixels of a pass: images x h.count x w.count.
struct ConvPixels {
  Divisor area, width;
  int64_t count;

  ConvPixels(int64_t images, const ConvAxis& h, const ConvAxis& w)
      : area(h.count * w.count), width(w.count), count(images * h.count * w.count) {}
  struct Place {
    int image, row, column;
  };
  __device__ __forceinline__ Place at(int pixel) const {
    uint32_t rest = static_cast<uint32_t>(pixel);
    const int image = static_cast<int>(area.split(rest)), row = static_cast<int>(width.split(rest));
    return {image, row, static_cast<int>(rest)};
  }
};

// The steps of a pass: channels x taps, one of them innermost.
struct ConvSteps {
  Divisor inner, width;
  int64_t channels_innermost;  // a flag; kernels' arguments have no undefined bytes
  int64_t count;

  ConvSteps(int64_t channels, const ConvAxis& h, const ConvAxis& w, bool channels_innermost_)
      : inner(channels_innermost_ ? channels : h.taps * w.taps),
        width(w.taps),
        channels_innermost(channels_innermost_),
        count(channels * h.taps * w.taps) {}
  struct Place {
    int channel, row, column;  // of the taps
  };
  __device__ __forceinline__ Place at(int step) const {
    uint32_t rest = static_cast<uint32_t>(step);
    const uint32_t outer = inner.split(rest);
    uint32_t tap = channels_innermost ? outer : rest;
    const int channel = static_cast<int>(channels_innermost ? rest : outer), row = static_cast<int>(width.split(tap));
    return {channel, row, static_cast<int>(tap)};
  }
};

// --- the weight: (channel written, step) ---

template <class T> struct ConvWeightOperand {
  using Element = T;
  const T* data;
  int64_t group_stride, row_stride, channel_stride, tap_strides[2];
  ConvSteps steps;
  int along_k, pieces;

  ConvWeightOperand(const View& weight, const ConvAxis& h, const ConvAxis& w, int64_t group_stride_, int64_t written_stride,
                    int64_t read_stride, const ConvSteps& steps_)
      : data(weight.as<const T>() + h.tap_first * weight.strides[2] + w.tap_first * weight.strides[3]),
        group_stride(group_stride_),
        row_stride(written_stride),
        channel_stride(read_stride),
        tap_strides{h.tap_step * weight.strides[2], w.tap_step * weight.strides[3]},
        steps(steps_),
        along_k((steps_.channels_innermost ? read_stride : tap_strides[1]) == 1) {
    const bool rows = h.taps == 1 || tap_strides[0] == w.taps, channels = read_stride == h.taps * w.taps;
    const bool linear = steps_.channels_innermost ? steps_.inner.d % kPiece<T> == 0 && tap_strides[0] % kPiece<T> == 0 &&
                                                        tap_strides[1] % kPiece<T> == 0
                                                  : rows && channels;
    pieces = along_k && linear && row_stride % kPiece<T> == 0 && group_stride % kPiece<T> == 0 &&
             reinterpret_cast<uintptr_t>(data) % 16 == 0;
  }

  struct Row {
    const T* data = nullptr;
  };
  using Depth = int64_t;
  __device__ __forceinline__ ConvWeightOperand select(unsigned group) const {
    ConvWeightOperand w = *this;
    w.data += group * group_stride;
    return w;
  }
  __device__ __forceinline__ bool k_adjacent() const { return along_k; }
  __device__ __forceinline__ bool in_pieces() const { return pieces; }
  __device__ __forceinline__ const T* origin() const { return data; }
  __device__ __forceinline__ const T* address(Row r, Depth d) const { return r.data ? r.data + d : nullptr; }
  __device__ __forceinline__ Row row(int channel) const { return {data + channel * row_stride}; }
  __device__ __forceinline__ Depth depth(int64_t step) const {
    const ConvSteps::Place p = steps.at(static_cast<int>(step));
    return p.channel * channel_stride + p.row * tap_strides[0] + p.column * tap_strides[1];
  }
  __device__ __forceinline__ T at(Row r, Depth d) const { return r.data ? r.data[d] : T{}; }
};

// --- the source under a pixel and a step ---

// The element's place is the sum of the pixel's and the step's.
struct ConvPart {
  int64_t offset = 0;
  int row = INT_MIN / 2, column = 0;  // outside of the source
};

template <class T> struct ConvSource {
  const T* data;
  int64_t strides[4];
  int64_t group_stride;
  int size[2], stride[2], offset_first[2], offset_step[2];
  ConvPixels pixels;
  ConvSteps steps;

  ConvSource(const View& source, const ConvAxis& h, const ConvAxis& w, int64_t group_stride_, const ConvPixels& pixels_,
             const ConvSteps& steps_)
      : data(source.as<const T>()),
        strides{source.strides[0], source.strides[1], source.strides[2], source.strides[3]},
        group_stride(group_stride_),
        size{static_cast<int>(h.source_size), static_cast<int>(w.source_size)},
        stride{static_cast<int>(h.stride), static_cast<int>(w.stride)},
        offset_first{static_cast<int>(h.offset_first), static_cast<int>(w.offset_first)},
        offset_step{static_cast<int>(h.offset_step), static_cast<int>(w.offset_step)},
        pixels(pixels_),
        steps(steps_) {}

  // Whether neighbouring steps, channels of one tap, are kPiece<T> aligned elements.
  bool in_pieces() const {
    return steps.channels_innermost && steps.inner.d % kPiece<T> == 0 && strides[1] == 1 && strides[0] % kPiece<T> == 0 &&
           strides[2] % kPiece<T> == 0 && strides[3] % kPiece<T> == 0 && group_stride % kPiece<T> == 0 &&
           reinterpret_cast<uintptr_t>(data) % 16 == 0;
  }
  __device__ __forceinline__ ConvPart pixel(int index) const {
    const ConvPixels::Place p = pixels.at(index);
    const int row = p.row * stride[0], column = p.column * stride[1];
    return {p.image * strides[0] + row * strides[2] + column * strides[3], row, column};
  }
  __device__ __forceinline__ ConvPart step(int index) const {
    const ConvSteps::Place p = steps.at(index);
    const int row = offset_first[0] + p.row * offset_step[0], column = offset_first[1] + p.column * offset_step[1];
    return {p.channel * strides[1] + row * strides[2] + column * strides[3], row, column};
  }
  __device__ __forceinline__ const T* address(const ConvPart& a, const ConvPart& b) const {
    const bool inside = static_cast<unsigned>(a.row + b.row) < static_cast<unsigned>(size[0]) &&
                        static_cast<unsigned>(a.column + b.column) < static_cast<unsigned>(size[1]);
    return inside ? data + a.offset + b.offset : nullptr;
  }
  __device__ __forceinline__ T at(const ConvPart& a, const ConvPart& b) const {
    const T* const p = address(a, b);
    return p ? *p : T{};
  }
};

// Rows are pixels.
template <class T> struct ConvSourceOperand {
  using Element = T;
  using Row = ConvPart;
  using Depth = ConvPart;
  ConvSource<T> source;
  int along_k, pieces;

  // Neighbours are channels, or else pixels.
  ConvSourceOperand(const ConvSource<T>& source_, bool along_channels)
      : source(source_), along_k(along_channels), pieces(along_channels && source_.in_pieces()) {}

  __device__ __forceinline__ ConvSourceOperand select(unsigned group) const {
    ConvSourceOperand s = *this;
    s.source.data += group * source.group_stride;
    return s;
  }
  __device__ __forceinline__ bool k_adjacent() const { return along_k; }
  __device__ __forceinline__ bool in_pieces() const { return pieces; }
  __device__ __forceinline__ const T* origin() const { return source.data; }
  __device__ __forceinline__ const T* address(const Row& r, const Depth& d) const { return source.address(r, d); }
  __device__ __forceinline__ Row row(int pixel) const { return source.pixel(pixel); }
  __device__ __forceinline__ Depth depth(int64_t step) const { return source.step(static_cast<int>(step)); }
  __device__ __forceinline__ T at(const Row& r, const Depth& d) const { return source.at(r, d); }
};

// --- what is written: (channel, pixel), or (pixel, channel) ---

template <class T, bool kPixelRows> struct ConvOutput {
  using Sum = SumOf<T>;
  T* data;
  const T* bias;  // null: none
  int64_t strides[4], group_stride, bias_stride, bias_group_stride;
  int64_t steps[2];  // between pixels
  ConvPixels pixels;

  ConvOutput(const View& dest, const View& bias_, const ConvAxis& h, const ConvAxis& w, int64_t written,
             const ConvPixels& pixels_)
      : data(dest.as<T>() + h.first * dest.strides[2] + w.first * dest.strides[3]),
        bias(bias_.as<const T>()),
        strides{dest.strides[0], dest.strides[1], dest.strides[2], dest.strides[3]},
        group_stride(written * dest.strides[1]),
        bias_stride(bias_.data ? bias_.strides[0] : 0),
        bias_group_stride(written * bias_stride),
        steps{h.step * dest.strides[2], w.step * dest.strides[3]},
        pixels(pixels_) {}

  __device__ __forceinline__ ConvOutput select(unsigned group) const {
    ConvOutput o = *this;
    o.data += group * group_stride;
    if (o.bias) o.bias += group * bias_group_stride;
    return o;
  }
  __device__ __forceinline__ void store(int row, int column, Sum sum) const {
    const int channel = kPixelRows ? column : row;
    const ConvPixels::Place p = pixels.at(kPixelRows ? row : column);
    if (bias) sum += convert<Sum>(bias[channel * bias_stride]);
    data[p.image * strides[0] + channel * strides[1] + p.row * steps[0] + p.column * steps[1]] = convert<T>(sum);
  }
};

}  // namespace fastdl::cuda
