// Tiles of attention in shared memory and their products on the warps' tensor cores (sm_80): bf16, f16, and float32 as TF32.
//
// Of a tile of scores, "down" is the side that a block owns, its rows in shared memory all the time, and "across" the side
// that it goes over. A warp owns whole rows of scores: 16 for each of its kDown groups. It multiplies them on as they are,
// from registers, so that weights never go through shared memory. Registers hold of 8 columns of scores number j the sums
// [j][0], [1] of row g and columns 2 t, 2 t + 1 and [2], [3] of row g + 8, with g = lane / 4 and t = lane % 4.
#pragma once
#include "cuda/attention/operand.h"
#include "cuda/device/fragment.h"
#include "cuda/device/math.h"
#include "cuda/device/reduce.h"

namespace fastdl::cuda {

constexpr int kAttentionWarps = 4, kMmaAttentionThreads = 32 * kAttentionWarps;

// --- tiles in shared memory ---

template <class T, int kRows, int kWidth> struct alignas(16) OperandTile {
  static constexpr int kPitch = kWidth + kPiece<T>;
  T at[kRows][kPitch];
};

// Begins to bring the rows from `row` of a matrix of `rows` x `columns`, with zeros outside: in asynchronous copies of 16
// bytes, which the caller commits, or element by element, neighbouring threads along the matrix's adjacent dimension.
template <class T, int kRows, int kWidth> __device__ __forceinline__ void begin_tile(OperandTile<T, kRows, kWidth>& tile,
                                                                                     const AttentionMatrix<const T>& m, int row,
                                                                                     int rows, int columns) {
  const int thread = static_cast<int>(threadIdx.x);
  if (m.pieces) {
    constexpr int kAcross = kWidth / kPiece<T>, kCount = kRows * kAcross / kMmaAttentionThreads;
    static_assert(kRows * kAcross % kMmaAttentionThreads == 0 && kMmaAttentionThreads % kAcross == 0);
    const int r = thread / kAcross, c = thread % kAcross * kPiece<T>, left = columns - c;
    const int bytes = left >= kPiece<T> ? 16 : left > 0 ? left * static_cast<int>(sizeof(T)) : 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int down = r + i * (kMmaAttentionThreads / kAcross);
      const bool inside = row + down < rows && bytes > 0;
      async_copy_16(&tile.at[down][c], inside ? &m.at(row + down, c) : m.data, inside ? bytes : 0);
    }
    return;
  }
  const bool along_rows = m.column_stride == 1;
#pragma unroll 1
  for (int i = thread; i < kRows * kWidth; i += kMmaAttentionThreads) {
    const int r = along_rows ? i / kWidth : i % kRows, c = along_rows ? i % kWidth : i / kRows;
    tile.at[r][c] = row + r < rows && c < columns ? m.at(row + r, c) : T{};
  }
}

// --- products ---

template <int kDown, int kColumns> using WarpSums = float[kDown][kColumns / 8][4];

template <int kDown, int kTiles> __device__ __forceinline__ void clear(float (&sums)[kDown][kTiles][4]) {
#pragma unroll
  for (auto& row : sums)
#pragma unroll
    for (auto& tile : row)
#pragma unroll
      for (float& x : tile) x = 0;
}

// scores = down across^T, of the warp's rows from `row`.
template <class T, int kDown, int kRows, int kColumns, int kWidth>
__device__ __forceinline__ void multiply_sides(float (&scores)[kDown][kColumns / 8][4],
                                               const OperandTile<T, kRows, kWidth>& down,
                                               const OperandTile<T, kColumns, kWidth>& across, int row) {
  constexpr int kPitch = OperandTile<T, kRows, kWidth>::kPitch;
  clear(scores);
#pragma unroll
  for (int k = 0; k < kWidth; k += kProductDepth<T>) {
    Operand16x a[kDown];
#pragma unroll
    for (int i = 0; i < kDown; ++i) load_a(a[i], &down.at[0][0], kPitch, row + 16 * i, k);
#pragma unroll
    for (int j = 0; j < kColumns / 8; j += 2) {
      Operand16x b;
      load_b(b, &across.at[0][0], kPitch, 8 * j, k);
#pragma unroll
      for (int i = 0; i < kDown; ++i) multiply_two<T>(scores[i][j], scores[i][j + 1], a[i], b);
    }
  }
}

// sums += weights across
template <class T, int kDown, int kColumns, int kWidth>
__device__ __forceinline__ void multiply_weights(float (&sums)[kDown][kWidth / 8][4],
                                                 const float (&weights)[kDown][kColumns / 8][4],
                                                 const OperandTile<T, kColumns, kWidth>& across) {
  constexpr int kPitch = OperandTile<T, kColumns, kWidth>::kPitch;
#pragma unroll
  for (int step = 0; step < kColumns / kProductDepth<T>; ++step) {
    Operand16x a[kDown];
#pragma unroll
    for (int i = 0; i < kDown; ++i) sums_as_a<T>(a[i], weights[i], step);
#pragma unroll
    for (int j = 0; j < kWidth / 8; j += 2) {
      Operand16x b;
      load_b_across<T, DepthOrder::of_sums>(b, &across.at[0][0], kPitch, 8 * j, step * kProductDepth<T>);
#pragma unroll
      for (int i = 0; i < kDown; ++i) multiply_two<T>(sums[i][j], sums[i][j + 1], a[i], b);
    }
  }
}

// --- places ---

struct WarpPlace {
  int row, g, t;  // the warp's first row within the block's tile; the lane's place
  __device__ __forceinline__ explicit WarpPlace(int rows)
      : row(static_cast<int>(threadIdx.x) / 32 * rows),
        g(static_cast<int>(threadIdx.x) % 32 / 4),
        t(static_cast<int>(threadIdx.x) % 4) {}
  // Of element e of tile j of group i.
  __device__ __forceinline__ int row_of(int i, int e) const { return row + 16 * i + g + e / 2 * 8; }
  __device__ __forceinline__ int column_of(int j, int e) const { return 8 * j + 2 * t + e % 2; }
};

// f(row within the block's tile, column, its sum and the next column's)
template <int kDown, int kTiles, class F>
__device__ __forceinline__ void each_pair(const float (&sums)[kDown][kTiles][4], WarpPlace place, const F& f) {
#pragma unroll
  for (int i = 0; i < kDown; ++i)
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
#pragma unroll
      for (int e = 0; e < 4; e += 2) f(place.row_of(i, e), place.column_of(j, e), sums[i][j][e], sums[i][j][e + 1]);
}

// --- dropout ---

// A counter decides on the weights of four neighbouring keys. Lanes that hold weights of the same counters compute one each
// and exchange.

// factors[n][e] of element e of tile n of two neighbouring ones: rows are queries from `query`, columns keys from `key`.
template <class T> __device__ __forceinline__ void dropout_factors_of_queries(float (&factors)[2][4], const ScoreRule<T>& rule,
                                                                              int64_t head, int query, int key,
                                                                              WarpPlace place) {
  const bool odd = place.t % 2;
#pragma unroll
  for (int e = 0; e < 4; e += 2) {
    const Philox4 bits = rule.dropout_bits(head, query + place.g + e / 2 * 8, key + (odd ? 8 : 0) + place.t / 2 * 4);
    const uint32_t mine[2] = {odd ? bits.v[2] : bits.v[0], odd ? bits.v[3] : bits.v[1]};
    const uint32_t other[2] = {odd ? bits.v[0] : bits.v[2], odd ? bits.v[1] : bits.v[3]};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint32_t received = shuffle_xor(other[i], 1);
      factors[0][e + i] = rule.dropout_factor(odd ? received : mine[i]);
      factors[1][e + i] = rule.dropout_factor(odd ? mine[i] : received);
    }
  }
}

// factors[e] of element e of a tile: rows are keys from `key`, columns queries from `query`. Lane q of the four that hold
// neighbouring keys computes the counter of element q, and gets number q of each of theirs: a transposition of 4 x 4.
template <class T> __device__ __forceinline__ void dropout_factors_of_keys(float (&factors)[4], const ScoreRule<T>& rule,
                                                                           int64_t head, int query, int key, WarpPlace place) {
  const int q = place.g % 4;
  Philox4 bits = rule.dropout_bits(head, query + 2 * place.t + q % 2, key + place.g / 4 * 4 + q / 2 * 8);
#pragma unroll
  for (int bit = 1; bit < 4; bit *= 2) {
    const bool high = q & bit;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & bit) continue;
      const uint32_t low = bits.v[i], up = bits.v[i + bit], received = shuffle_xor(high ? low : up, 4 * bit);
      bits.v[i] = high ? received : low;
      bits.v[i + bit] = high ? up : received;
    }
  }
#pragma unroll
  for (int e = 0; e < 4; ++e) factors[e] = rule.dropout_factor(bits.v[e]);
}

}  // namespace fastdl::cuda
