// Small dense tiles: products whose operands stay in the first-level cache.
//
// C[m][n] (+)= sum over k of A(m, k) B[k][n]. Rows of B and C are whole vectors; A is read element by element and
// broadcast, at any strides, so one kernel serves every transposition of A. kTileRows x kTileVectors accumulators stay
// in registers: at 512 bits 6 x 4, for each k 10 loads to 24 FMAs.
#pragma once
#include "cpu/simd/vec.h"

namespace FASTDL_CPU_NAMESPACE {

constexpr int kTileRows = 6;
constexpr int kTileVectors = FASTDL_VECTOR_BYTES == 64 ? 4 : 2;

// What C starts from: zero, C itself, or C[m][n] * column_scale[n].
enum class TileStart { zero, accumulate, rescale };

template <class T> struct TileA {
  const T* data;
  int64_t row_stride, col_stride;
};

template <class V, int M, int N> FASTDL_INLINE void tile_block(int64_t depth, TileA<lane_t<V>> a, const lane_t<V>* b,
                                                               int64_t ldb, lane_t<V>* c, int64_t ldc, TileStart start,
                                                               const lane_t<V>* column_scale) {
  using T = lane_t<V>;
  constexpr int L = lanes<V>;
  V acc[M][N];
  if (start == TileStart::zero) {
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) acc[m][n] = zero<V>();
  } else {
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) acc[m][n] = load<V>(c + m * ldc + n * L);
    if (start == TileStart::rescale)
      for (int n = 0; n < N; ++n) {
        const V scale = load<V>(column_scale + n * L);
        for (int m = 0; m < M; ++m) acc[m][n] *= scale;
      }
  }
  const T* p = a.data;
  for (int64_t k = 0; k < depth; ++k) {
    V row[N];
    for (int n = 0; n < N; ++n) row[n] = load<V>(b + n * L);
    for (int m = 0; m < M; ++m) {
      const V x = broadcast<V>(p[m * a.row_stride]);
      for (int n = 0; n < N; ++n) acc[m][n] += x * row[n];
    }
    p += a.col_stride;
    b += ldb;
  }
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) store<V>(c + m * ldc + n * L, acc[m][n]);
}

template <class V, int N> FASTDL_INLINE void tile_columns(int64_t rows, int64_t depth, TileA<lane_t<V>> a, const lane_t<V>* b,
                                                          int64_t ldb, lane_t<V>* c, int64_t ldc, TileStart start,
                                                          const lane_t<V>* column_scale) {
  const auto advance = [&](int64_t m) {
    a.data += m * a.row_stride;
    c += m * ldc;
    rows -= m;
  };
  while (rows >= kTileRows) {
    tile_block<V, kTileRows, N>(depth, a, b, ldb, c, ldc, start, column_scale);
    advance(kTileRows);
  }
  if (rows & 4) {
    tile_block<V, 4, N>(depth, a, b, ldb, c, ldc, start, column_scale);
    advance(4);
  }
  if (rows & 2) {
    tile_block<V, 2, N>(depth, a, b, ldb, c, ldc, start, column_scale);
    advance(2);
  }
  if (rows & 1) tile_block<V, 1, N>(depth, a, b, ldb, c, ldc, start, column_scale);
}

// columns is a multiple of the vector's lanes.
template <class V> FASTDL_INLINE void tile_product(int64_t rows, int64_t columns, int64_t depth, TileA<lane_t<V>> a,
                                                   const lane_t<V>* b, int64_t ldb, lane_t<V>* c, int64_t ldc, TileStart start,
                                                   const lane_t<V>* column_scale) {
  constexpr int64_t kWidth = kTileVectors * lanes<V>;
  const auto advance = [&](int64_t n) {
    b += n;
    c += n;
    if (column_scale) column_scale += n;
    columns -= n;
  };
  while (columns >= kWidth) {
    tile_columns<V, kTileVectors>(rows, depth, a, b, ldb, c, ldc, start, column_scale);
    advance(kWidth);
  }
  const int64_t vectors = columns / lanes<V>;
  if constexpr (kTileVectors > 2) {
    if (vectors == 3) return tile_columns<V, 3>(rows, depth, a, b, ldb, c, ldc, start, column_scale);
    if (vectors == 2) return tile_columns<V, 2>(rows, depth, a, b, ldb, c, ldc, start, column_scale);
  }
  if (vectors == 1) tile_columns<V, 1>(rows, depth, a, b, ldb, c, ldc, start, column_scale);
}

}  // namespace FASTDL_CPU_NAMESPACE
