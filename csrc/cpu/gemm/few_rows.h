// Products of a few rows with a matrix that is read once, its rows adjacent in memory: as fast as the matrix arrives, so
// what counts is the order of the loads. A tile takes a few steps of K over wide columns, and the tiles of a task's columns
// follow one another before the next steps: a handful of streams, which the caches fetch ahead, instead of a column of
// short pieces. The sums stay in the first-level cache. 2 M N K FLOP, N K elements.
#pragma once
#include "cpu/gemm/pack.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

// As many vectors of columns as fit beside the rows, up to four.
constexpr int kStreamSums = FASTDL_VECTOR_BYTES == 64 ? 24 : 10;
constexpr int kStreamRows = kTileRows < 8 ? kTileRows : 8;
constexpr int stream_vectors(int rows) { return rows * 4 <= kStreamSums ? 4 : rows * 3 <= kStreamSums ? 3 : 2; }
constexpr int64_t stream_steps(int64_t rows) { return rows < 2 ? 8 : 4 * rows; }

template <class T, int H = kStreamRows> FASTDL_INLINE TileFn<T> stream_tile(int64_t rows) {
  if constexpr (H == 1) return tile<T, 1, stream_vectors(1), false>;
  else return rows == H ? tile<T, H, stream_vectors(H), false> : stream_tile<T, H - 1>(rows);
}

// sums (rows of `sums_row`) = alpha A B + beta addend, for the columns [begin, end) of C.
template <class T> void stream_columns(const Gemm<T>& g, int64_t begin, int64_t end, T* sums, int64_t sums_row) {
  constexpr int kCols = kTileCols<T>;
  const int rows = static_cast<int>(g.m);
  const int64_t width = stream_vectors(rows) * lanes<compute_vector<T>>;
  const TileFn<T> wide = stream_tile<T>(rows);
  alignas(64) T rest[stream_steps(kStreamRows) * kCols];
  for (int64_t k0 = 0; k0 < g.k; k0 += stream_steps(rows)) {
    TileArgs<T> t;
    t.k = g.k - k0 < stream_steps(rows) ? g.k - k0 : stream_steps(rows);
    t.a = static_cast<const T*>(g.a.data) + k0 * g.a.k_stride;
    t.a_row = g.a.stride;
    t.a_k = g.a.k_stride;
    t.c_row = sums_row;
    t.alpha = g.alpha;
    const auto run = [&](TileFn<T> tile, int64_t column, const T* b, int64_t b_k, int64_t cols) {
      t.b = b;
      t.b_k = b_k;
      t.c = sums + column - begin;
      t.cols = static_cast<int>(cols);
      if (k0 > 0) {
        t.addend = t.c, t.addend_row = sums_row, t.addend_col = 1, t.beta = 1;
      } else {
        t.addend = g.addend ? static_cast<const T*>(g.addend) + column * g.addend_col_stride : nullptr;
        t.addend_row = g.addend_row_stride, t.addend_col = g.addend_col_stride, t.beta = g.beta;
      }
      tile(t);
    };
    int64_t j = begin;
    const T* const b = static_cast<const T*>(g.b.data) + k0 * g.b.k_stride;
    for (; j + width <= end; j += width) run(wide, j, b + j, g.b.k_stride, width);
    for (; j < end; j += kCols) {
      const int cols = end - j < kCols ? static_cast<int>(end - j) : kCols;
      pack_panel<kCols>(g.b, g.k, j, cols, k0, t.k, rest);
      run(choose_tile<T>(rows, cols, false), j, rest, kCols, cols);
    }
  }
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
