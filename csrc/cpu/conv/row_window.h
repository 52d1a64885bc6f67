// Stride 1 down the rows of one channel's padded strip: each row is loaded once for all the rows of taps that meet it, so
// that 3 x 3 taps cost a load for two multiplications instead of one for each. Taps are numbered by their place in the
// window, the rows of a tile by what they write.
#pragma once
#include "cpu/simd/strided.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int kWindowRows = 4;
constexpr int kWindowVectors = FASTDL_VECTOR_BYTES == 64 ? 4 : 2;

// out[r][j] = bias + sum over p, q of weights[q][p] x[r + p][columns[q] + j], for kRows rows and kVectors vectors, of which
// the last writes `tail` columns.
template <class T, class S, int kTaps, int kRows, int kVectors>
void window_tile(const T* x, int64_t x_row, const int32_t* columns, int64_t column_count, const T* weights, T bias, S* out,
                 int64_t out_row, int64_t tail) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  V acc[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[r][v] = broadcast<V>(bias);
  for (int64_t q = 0; q < column_count; ++q, weights += kTaps) {
    const T* at = x + columns[q];
    V weight[kTaps];
#pragma GCC unroll 8
    for (int p = 0; p < kTaps; ++p) weight[p] = broadcast<V>(weights[p]);
#pragma GCC unroll 16
    for (int i = 0; i < kRows + kTaps - 1; ++i, at += x_row)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const V pixel = load<V>(at + v * L);
#pragma GCC unroll 8
        for (int p = 0; p < kTaps; ++p)
          if (i - p >= 0 && i - p < kRows) acc[i - p][v] += weight[p] * pixel;
      }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r, out += out_row) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors - 1; ++v) store_as<V>(out + v * L, acc[r][v]);
    store_up_to<V>(out + (kVectors - 1) * L, acc[r][kVectors - 1], tail);
  }
}

// The same for a block of rows x width elements.
template <class T, class S, int kTaps> void window_block(const T* x, int64_t x_row, const int32_t* columns,
                                                         int64_t column_count, const T* weights, T bias, S* out,
                                                         int64_t out_row, int64_t rows, int64_t width) {
  constexpr int L = lanes<compute_vector<T>>;
  const auto strip = [&]<int kVectors>(int64_t c) {
    const int64_t left = width - c - (kVectors - 1) * L, tail = left < L ? left : L;
    int64_t r = 0;
    for (; r + kWindowRows <= rows; r += kWindowRows)
      window_tile<T, S, kTaps, kWindowRows, kVectors>(x + r * x_row + c, x_row, columns, column_count, weights, bias,
                                                      out + r * out_row + c, out_row, tail);
    for (; r < rows; ++r)
      window_tile<T, S, kTaps, 1, kVectors>(x + r * x_row + c, x_row, columns, column_count, weights, bias,
                                            out + r * out_row + c, out_row, tail);
  };
  int64_t c = 0;
  for (; c + (kWindowVectors - 1) * L < width; c += kWindowVectors * L) strip.template operator()<kWindowVectors>(c);
  for (; c < width; c += L) strip.template operator()<1>(c);
}

// sums[p * kTaps + q] += sum over rows r and columns j of x[r + p][columns[q] + j] gradient[r][j], for kTaps x kTaps taps.
// Each row is read from left to right, as it comes from memory.
template <class T, class S, int kTaps> void window_gradient(const T* x, int64_t x_row, const int32_t* columns,
                                                            const S* gradient, int64_t gradient_row, int64_t rows,
                                                            int64_t width, T* sums) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  V acc[kTaps][kTaps] = {};
  const auto strip = [&]<int kVectors>(int64_t c) __attribute__((always_inline)) {
    V g[kVectors][kTaps] = {};  // of the rows i, i - 1, ...
    const T* at = x + c;
    const S* from = gradient + c;
    for (int64_t i = 0; i < rows + kTaps - 1; ++i, at += x_row, from += gradient_row)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 8
        for (int p = kTaps - 1; p > 0; --p) g[v][p] = g[v][p - 1];
        g[v][0] = i < rows ? load_up_to<V>(from + v * L, width - c - v * L) : V{};
#pragma GCC unroll 8
        for (int q = 0; q < kTaps; ++q) {
          const V pixel = load<V>(at + columns[q] + v * L);
#pragma GCC unroll 8
          for (int p = 0; p < kTaps; ++p) acc[p][q] += pixel * g[v][p];
        }
      }
  };
  int64_t c = 0;
  if constexpr (FASTDL_VECTOR_BYTES == 64)
    for (; c + 2 * L < width; c += 4 * L) strip.template operator()<4>(c);
  for (; c < width; c += L) strip.template operator()<1>(c);
#pragma GCC unroll 8
  for (int p = 0; p < kTaps; ++p)
#pragma GCC unroll 8
    for (int q = 0; q < kTaps; ++q) sums[p * kTaps + q] += sum(acc[p][q]);
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
