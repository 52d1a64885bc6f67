// The register tile: H rows by W vectors of C, accumulated over a block of K as rank-1 updates: one load of W vectors of
// B, then per row one broadcast of A and W FMAs. 2 H W lanes FLOP per step against (H + W lanes) elements read.
// (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.)
#pragma once
#include "cpu/gemm/gemm.h"
#include "cpu/simd/convert.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

// Block sizes by level. A tile is rows x (vectors * lanes) of C: accumulators, a row of B and one broadcast fill the
// registers (32, 16, 16 of them). k: depth of a block, so that a panel of B stays in L1 or close to it.
struct Blocking {
  int rows, vectors;
  int64_t k;
};
#if FASTDL_VECTOR_BYTES == 64
constexpr Blocking kBlocking{12, 2, 512};
#elif FASTDL_VECTOR_BYTES == 32
constexpr Blocking kBlocking{6, 2, 320};
#else
constexpr Blocking kBlocking{4, 2, 256};
#endif
constexpr int kTileRows = kBlocking.rows;
template <class T> constexpr int kTileCols = kBlocking.vectors * lanes<compute_vector<T>>;

template <class T> struct TileArgs {
  int64_t k;
  const T* a;  // element (i, p) at a[i * a_row + p * a_k]
  int64_t a_row, a_k;
  const T* b;  // element (p, j) at b[p * b_k + j]
  int64_t b_k;
  T* c;
  int64_t c_row;
  int cols;     // columns of C to write: at most W vectors, more than W - 1
  T alpha, beta;
  const T* addend;  // null: none; else c = alpha * sum + beta * addend
  int64_t addend_row, addend_col;
};

// kUnitRows: a_row is 1, as in packed panels and transposed matrices.
template <class T, int H, int W, bool kUnitRows> void tile(const TileArgs<T>& t) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  V acc[H][W] = {};
  const T* b = t.b;
  // Rows in groups of four: one pointer each, and three offsets shared by all.
  constexpr int kGroups = (H + 3) / 4;
  const int64_t row = kUnitRows ? 1 : t.a_row, offset[4] = {0, row, 2 * row, 3 * row};
  const T* a[kGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) a[g] = t.a + 4 * g * row;
#pragma GCC unroll 16
  for (int i = 0; i < H; ++i) {  // C arrives while the sums are formed
    __builtin_prefetch(t.c + i * t.c_row, 1);
    if (W > 1) __builtin_prefetch(t.c + i * t.c_row + L, 1);
  }
  for (int64_t p = t.k; p > 0; --p) {
    V bv[W];
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) bv[w] = load<V>(b + w * L);
#pragma GCC unroll 16
    for (int i = 0; i < H; ++i) {
      const V x = broadcast<V>(kUnitRows ? a[0][i] : a[i / 4][offset[i % 4]]);
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) acc[i][w] += x * bv[w];
    }
    b += t.b_k;
#pragma GCC unroll 4
    for (int g = 0; g < (kUnitRows ? 1 : kGroups); ++g) a[g] += t.a_k;
  }

  const int tail = t.cols - (W - 1) * L;  // columns of the last vector
  T* c = t.c;
  const T* addend = t.addend;
#pragma GCC unroll 16
  for (int i = 0; i < H; ++i) {
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) {
      const bool whole = w < W - 1 || tail == L;
      V v = t.alpha * acc[i][w];
      if (addend) {
        const T* d = addend + w * L * t.addend_col;
        v += t.beta * (t.addend_col == 0 ? broadcast<V>(*d) : whole ? load<V>(d) : load_n<V>(d, tail));
      }
      if (whole) store<V>(c + w * L, v);
      else store_n<V>(c + w * L, v, tail);
    }
    c += t.c_row;
    if (addend) addend += t.addend_row;
  }
}

template <class T> using TileFn = void (*)(const TileArgs<T>&);

template <class T, int W, bool kUnitRows> FASTDL_INLINE TileFn<T> tile_of_height(int rows) {
  switch (rows) {
    case 1: return tile<T, 1, W, kUnitRows>;
    case 2: return tile<T, 2, W, kUnitRows>;
    case 3: return tile<T, 3, W, kUnitRows>;
    case 4: return tile<T, 4, W, kUnitRows>;
#if FASTDL_VECTOR_BYTES >= 32
    case 5: return tile<T, 5, W, kUnitRows>;
    case 6: return tile<T, 6, W, kUnitRows>;
#endif
#if FASTDL_VECTOR_BYTES >= 64
    case 7: return tile<T, 7, W, kUnitRows>;
    case 8: return tile<T, 8, W, kUnitRows>;
    case 9: return tile<T, 9, W, kUnitRows>;
    case 10: return tile<T, 10, W, kUnitRows>;
    case 11: return tile<T, 11, W, kUnitRows>;
    case 12: return tile<T, 12, W, kUnitRows>;
#endif
  }
  __builtin_unreachable();
}

template <class T> FASTDL_INLINE TileFn<T> choose_tile(int rows, int cols, bool unit_rows) {
  if (cols > lanes<compute_vector<T>>) return unit_rows ? tile_of_height<T, 2, true>(rows) : tile_of_height<T, 2, false>(rows);
  return unit_rows ? tile_of_height<T, 1, true>(rows) : tile_of_height<T, 1, false>(rows);
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
