// The register tile: H rows by W vectors of C, accumulated over a block of K as rank-1 updates: one load of W vectors of
// B, then per row one broadcast of A and W FMAs. 2 H W lanes FLOP per step against (H + W lanes) elements read.
// (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.)
#pragma once
#include "cpu/gemm/gemm.h"
#include "cpu/simd/bf16_pair.h"

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
template <class P> constexpr int kTileCols = kBlocking.vectors * lanes<compute_vector<P>>;

// What operands are made of: the type of the sums, 16-bit floats that are converted as they are read, or pairs of bfloat16
// along K.
template <class P> using sum_of = lane_t<compute_vector<P>>;

template <class P> struct TileArgs {
  using T = sum_of<P>;
  int64_t k;
  const P* a;  // element (i, p) at a[i * a_row + p * a_k]
  int64_t a_row, a_k;
  const P* b;  // element (p, j) at b[p * b_k + j]
  int64_t b_k;
  T* c;
  int64_t c_row;
  int cols;     // columns of C to write: at most W vectors, more than W - 1
  T alpha, beta;
  const T* addend;  // null: none; else c = alpha * sum + beta * addend
  int64_t addend_row, addend_col;
};

template <class V, class P> FASTDL_INLINE V load_operand(const P* p) { return load_as<V>(p); }
template <class V, class P> FASTDL_INLINE V broadcast_operand(const P* p) { return broadcast<V>(to_compute(*p)); }
template <class P, class V> FASTDL_INLINE void multiply_add(V& sum, V x, V y) {
  if constexpr (__is_same(P, bf16_pair)) add_dot(sum, x, y);
  else sum += x * y;
}

// kUnitRows: a_row is 1, as in packed panels and transposed matrices.
template <class P, int H, int W, bool kUnitRows> void tile(const TileArgs<P>& t) {
  using V = compute_vector<P>;
  using T = lane_t<V>;
  constexpr int L = lanes<V>;
  V acc[H][W] = {};
  const P* b = t.b;
  // Rows in groups of four: one pointer each, and three offsets shared by all.
  constexpr int kGroups = (H + 3) / 4;
  const int64_t row = kUnitRows ? 1 : t.a_row, offset[4] = {0, row, 2 * row, 3 * row};
  const P* a[kGroups];
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
    for (int w = 0; w < W; ++w) bv[w] = load_operand<V>(b + w * L);
#pragma GCC unroll 16
    for (int i = 0; i < H; ++i) {
      const V x = broadcast_operand<V>(kUnitRows ? a[0] + i : a[i / 4] + offset[i % 4]);
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) multiply_add<P>(acc[i][w], x, bv[w]);
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

template <class P> using TileFn = void (*)(const TileArgs<P>&);

template <class P, int W, bool kUnitRows> FASTDL_INLINE TileFn<P> tile_of_height(int rows) {
  switch (rows) {
    case 1: return tile<P, 1, W, kUnitRows>;
    case 2: return tile<P, 2, W, kUnitRows>;
    case 3: return tile<P, 3, W, kUnitRows>;
    case 4: return tile<P, 4, W, kUnitRows>;
#if FASTDL_VECTOR_BYTES >= 32
    case 5: return tile<P, 5, W, kUnitRows>;
    case 6: return tile<P, 6, W, kUnitRows>;
#endif
#if FASTDL_VECTOR_BYTES >= 64
    case 7: return tile<P, 7, W, kUnitRows>;
    case 8: return tile<P, 8, W, kUnitRows>;
    case 9: return tile<P, 9, W, kUnitRows>;
    case 10: return tile<P, 10, W, kUnitRows>;
    case 11: return tile<P, 11, W, kUnitRows>;
    case 12: return tile<P, 12, W, kUnitRows>;
#endif
  }
  __builtin_unreachable();
}

template <class P> FASTDL_INLINE TileFn<P> choose_tile(int rows, int cols, bool unit_rows) {
  const bool wide = cols > lanes<compute_vector<P>>;
  if (__is_same(P, bf16_pair) || unit_rows) return wide ? tile_of_height<P, 2, true>(rows) : tile_of_height<P, 1, true>(rows);
  if constexpr (!__is_same(P, bf16_pair)) return wide ? tile_of_height<P, 2, false>(rows) : tile_of_height<P, 1, false>(rows);
  __builtin_unreachable();  // pairs are always packed
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
