// Products of a few rows with a matrix that is read once, its rows adjacent in memory: as fast as the matrix arrives, so
// what counts is the order of the loads. A tile takes a few steps of K over wide columns, and the tiles of a task's columns
// follow one another before the next steps: a handful of streams, which the caches fetch ahead, instead of a column of
// short pieces. The sums stay in the first-level cache. 2 M N K FLOP, N K elements.
#pragma once
#include <cstring>

#include "cpu/gemm/tile.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

// As many vectors of columns as fit beside the rows, up to four.
constexpr int kStreamSums = FASTDL_VECTOR_BYTES == 64 ? 24 : 10;
constexpr int kStreamRows = kTileRows < 8 ? kTileRows : 8;
constexpr int stream_vectors(int rows) { return rows * 4 <= kStreamSums ? 4 : rows * 3 <= kStreamSums ? 3 : 2; }
constexpr int64_t stream_steps(int64_t rows) { return rows < 2 ? 8 : 4 * rows; }

template <class P, int H = kStreamRows> FASTDL_INLINE TileFn<P> stream_tile(int rows) {
  if constexpr (H == 1) return tile<P, 1, stream_vectors(1), false>;
  else return rows == H ? tile<P, H, stream_vectors(H), false> : stream_tile<P, H - 1>(rows);
}

// sums (rows of `sums_row`) = alpha A B + beta addend, for the columns [begin, end) of C. P: what A, B and addend are of.
template <class P>
void stream_columns(const Gemm<sum_of<P>>& g, int64_t begin, int64_t end, sum_of<P>* sums, int64_t sums_row) {
  using T = sum_of<P>;
  constexpr int L = lanes<compute_vector<T>>;
  const int rows = static_cast<int>(g.m);
  const int64_t width = stream_vectors(rows) * L;
  const TileFn<P> tile = stream_tile<P>(rows);
  alignas(64) P rest[stream_steps(kStreamRows) * 4 * L];   // the last columns, filled up with zeros,
  alignas(64) T rest_sums[kStreamRows * 4 * L];            // and their sums
  TileArgs<P> t;
  t.a_row = g.a.stride;
  t.a_k = g.a.k_stride;
  t.cols = static_cast<int>(width);
  t.alpha = g.alpha;
  for (int64_t k0 = 0; k0 < g.k; k0 += stream_steps(rows)) {
    t.k = g.k - k0 < stream_steps(rows) ? g.k - k0 : stream_steps(rows);
    t.a = static_cast<const P*>(g.a.data) + k0 * g.a.k_stride;
    // What the sums start from, and a tile adds where that is of their type.
    const auto start = [&](int i, int64_t j) -> T {
      if (k0 > 0) return sums[i * sums_row + j - begin];
      if (!g.addend) return 0;
      return g.beta * to_compute(static_cast<const P*>(g.addend)[i * g.addend_row_stride + j * g.addend_col_stride]);
    };
    t.b_k = g.b.k_stride;
    t.c_row = sums_row;
    int64_t j = begin;
    for (; j + width <= end; j += width) {
      t.b = static_cast<const P*>(g.b.data) + k0 * g.b.k_stride + j;
      t.c = sums + j - begin;
      t.addend = nullptr;
      if (k0 > 0) {
        t.addend = t.c, t.addend_row = sums_row, t.addend_col = 1, t.beta = 1;
      } else if (g.addend) {
        if constexpr (__is_same(P, T)) {
          t.addend = static_cast<const T*>(g.addend) + j * g.addend_col_stride, t.beta = g.beta;
          t.addend_row = g.addend_row_stride, t.addend_col = g.addend_col_stride;
        } else {
          for (int i = 0; i < rows; ++i)
            for (int64_t x = 0; x < width; ++x) t.c[i * sums_row + x] = start(i, j + x);
          t.addend = t.c, t.addend_row = sums_row, t.addend_col = 1, t.beta = 1;
        }
      }
      tile(t);
    }
    if (j == end) continue;
    for (int64_t p = 0; p < t.k; ++p) {
      P* const to = rest + p * width;
      memset(to, 0, static_cast<size_t>(width) * sizeof(P));
      memcpy(to, static_cast<const P*>(g.b.data) + (k0 + p) * g.b.k_stride + j, static_cast<size_t>(end - j) * sizeof(P));
    }
    t.b = rest, t.b_k = width;
    t.c = rest_sums, t.c_row = width;
    t.addend = nullptr;
    tile(t);
    for (int i = 0; i < rows; ++i)
      for (int64_t x = j; x < end; ++x) sums[i * sums_row + x - begin] = start(i, x) + rest_sums[i * width + x - j];
  }
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
