// Packing weights: a vector of the channels that a pass writes, a row of it for each (channel that is read, tap).
#pragma once
#include "cpu/conv/geometry.h"
#include "cpu/simd/convert.h"
#include "cpu/simd/transpose.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

struct Channels {  // of the source, in blocks
  int64_t total, count;
  FASTDL_INLINE int64_t begin(int64_t i) const { return i * total / count; }
};

// The weights of the channels [c0, c1) for vector number `vector` of a group's written channels, zero past the last.
template <class T, class S>
void pack_weight_vector(const ConvPass& pass, int64_t group, int64_t vector, int64_t c0, int64_t c1, T* out, int64_t out_row) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  const View& weight = pass.args.weight;
  const int64_t taps = pass.h.taps * pass.w.taps, steps = (c1 - c0) * taps, row = weight.strides[2], column = weight.strides[3];
  const int64_t lanes_used = clamped(pass.written - vector * L, 0, L);
  const S* const from = weight.as<S>() + group * (weight.shape[0] / pass.args.geometry.groups) * weight.strides[0] +
                        vector * L * pass.written_stride;
  // (channel, tap) adjacent in memory: squares can be transposed in registers.
  if (taps == weight.shape[2] * weight.shape[3] && column == 1 && row == weight.shape[3] && pass.read_stride == taps &&
      pass.h.tap_step == 1 && pass.w.tap_step == 1) {
    for (int64_t k = 0; k < steps; k += L) {
      const int64_t count = clamped(steps - k, 0, L);
      const S* at = from + c0 * taps + k;
      V square[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) square[i] = V{};
      for (int i = 0; i < lanes_used; ++i)
        square[i] = count == L ? load_as<V>(at + i * pass.written_stride) : load_as_n<V>(at + i * pass.written_stride, count);
      transpose(square);
      for (int64_t i = 0; i < count; ++i) store<V>(out + (k + i) * out_row, square[i]);
    }
    return;
  }
  // The taps of a channel adjacent, as the gradient of the input reads them: a few rows of the square.
  if (taps < L && column == 1 && row == weight.shape[3] && taps == row * weight.shape[2] && pass.h.tap_step == 1 &&
      pass.w.tap_step == 1) {
    for (int64_t c = c0; c < c1; ++c) {
      const S* at = from + c * pass.read_stride;
      V square[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) square[i] = V{};
      for (int i = 0; i < lanes_used; ++i) square[i] = load_as_n<V>(at + i * pass.written_stride, taps);
      transpose(square);
      for (int64_t i = 0; i < taps; ++i, out += out_row) store<V>(out, square[i]);
    }
    return;
  }
  for (int64_t c = c0; c < c1; ++c)
    for (int64_t p = 0; p < pass.h.taps; ++p)
      for (int64_t q = 0; q < pass.w.taps; ++q, out += out_row) {
        const S* at = from + c * pass.read_stride + pass.h.tap(p) * row + pass.w.tap(q) * column;
        for (int i = 0; i < L; ++i) out[i] = i < lanes_used ? to_compute(at[i * pass.written_stride]) : 0;
      }
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
