// The instances of the convolution's register tile, by height and width (cpu/conv/tile.h).
#include "cpu/conv/tile.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

template <class T, int kRows, int kVectors> void tile(const T* source, const int32_t* rows, const int32_t* steps,
                                                      int64_t step_count, const T* panel, T* sums, bool accumulate) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  V acc[kRows][kVectors];
  const T* row[kRows];
#pragma GCC unroll 16
  for (int p = 0; p < kRows; ++p) {
    row[p] = source + rows[p];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) acc[p][v] = V{};
  }
  for (int64_t k = 0; k < step_count; ++k) {
    const int64_t step = steps[k];
    V b[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) b[v] = load<V>(panel + v * L);
    panel += kVectors * L;
#pragma GCC unroll 16
    for (int p = 0; p < kRows; ++p) {
      const V a = broadcast<V>(row[p][step]);
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) acc[p][v] += a * b[v];
    }
  }
  if (accumulate) {
#pragma GCC unroll 16
    for (int p = 0; p < kRows; ++p)
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) acc[p][v] += load<V>(sums + (p * kVectors + v) * L);
  }
#pragma GCC unroll 16
  for (int p = 0; p < kRows; ++p)
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) store<V>(sums + (p * kVectors + v) * L, acc[p][v]);
}

// The instance of `rows` rows, by descending from the highest.
template <class T, int kVectors, int kRows> ConvTile<T> of_height(int rows) {
  if constexpr (kRows == 1) {
    return tile<T, 1, kVectors>;
  } else {
    return rows == kRows ? tile<T, kRows, kVectors> : of_height<T, kVectors, kRows - 1>(rows);
  }
}
template <class T> ConvTile<T> of_size(int rows, int vectors) {
  if (vectors == 1) return of_height<T, 1, kConvTileRows[0]>(rows);
  if (vectors == 2) return of_height<T, 2, kConvTileRows[1]>(rows);
  return of_height<T, 3, kConvTileRows[2]>(rows);
}

}  // namespace

void conv_tile(int rows, int vectors, ConvTile<float>* tile) { *tile = of_size<float>(rows, vectors); }
void conv_tile(int rows, int vectors, ConvTile<double>* tile) { *tile = of_size<double>(rows, vectors); }

}  // namespace FASTDL_CPU_NAMESPACE
