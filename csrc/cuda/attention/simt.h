// Tiles of attention in shared memory and their products on the ordinary arithmetic units: what the forward and the backward
// of float32, float64 and wide matrices share.
//
// A block of 256 threads computes 64 x 64 tiles of the attention weights, its rows down and the rows of the other side
// across. Thread (down, across) of 16 x 16 owns rows 4 down + i and columns 4 across + j. In shared memory those lie in
// slots down + 16 i and across + 16 j, so that threads that read side by side meet no bank twice.
#pragma once
#include "cuda/attention/operand.h"
#include "cuda/device/launch.h"
#include "cuda/device/reduce.h"

namespace fastdl::cuda {

constexpr int kAttentionThreads = 256, kTile = 64, kThreadRows = 4, kThreadColumns = 4;
constexpr int kAcross = kTile / kThreadColumns;

// --- tiles in shared memory ---

// 16 bytes.
template <class C> struct alignas(16) Pack {
  static constexpr int kCount = 16 / sizeof(C);
  C v[kCount];
};
template <class C, int Width> struct alignas(16) SharedTile {
  C at[kTile][Width + Pack<C>::kCount];
};

struct ThreadPlace {
  int down, across;
  __device__ __forceinline__ ThreadPlace()
      : down(static_cast<int>(threadIdx.x) / kAcross), across(static_cast<int>(threadIdx.x) % kAcross) {}
  __device__ __forceinline__ int row(int i) const { return down * kThreadRows + i; }
  __device__ __forceinline__ int column(int j) const { return across * kThreadColumns + j; }
};

enum class Side { down, across };

// Rows [row, row + 64) and columns [column, column + Width) of a matrix of rows x columns, times factor, into the slots of
// one side of the tile; zeros outside.
template <Side kSide, class C, int Width, class T>
__device__ __forceinline__ void load_tile(SharedTile<C, Width>& tile, const AttentionMatrix<const T>& m, int row, int rows,
                                          int column, int columns, C factor = C(1)) {
  constexpr int kStep = kSide == Side::down ? kTile / kThreadRows : kAcross, kPer = kTile / kStep;
  const bool along_rows = m.column_stride == 1;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < kTile * Width; i += kAttentionThreads) {
    const int r = along_rows ? i / Width : i % kTile, c = along_rows ? i % Width : i / kTile;
    const C value = row + r < rows && column + c < columns ? convert<C>(m.at(row + r, column + c)) * factor : C(0);
    tile.at[r % kPer * kStep + r / kPer][c] = value;
  }
}

// --- products ---

template <class C> using ThreadScores = C[kThreadRows][kThreadColumns];

// scores += down across^T over the first `depth` columns of both.
template <class C, int Width>
__device__ __forceinline__ void multiply_tiles(ThreadScores<C>& scores, const SharedTile<C, Width>& down,
                                               const SharedTile<C, Width>& across, int depth, ThreadPlace place) {
  constexpr int N = Pack<C>::kCount;
#pragma unroll 2
  for (int d = 0; d < depth; d += N) {
    Pack<C> a[kThreadRows], b[kThreadColumns];
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i)
      a[i] = *reinterpret_cast<const Pack<C>*>(&down.at[place.down + i * (kTile / kThreadRows)][d]);
#pragma unroll
    for (int j = 0; j < kThreadColumns; ++j)
      b[j] = *reinterpret_cast<const Pack<C>*>(&across.at[place.across + j * kAcross][d]);
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
      for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
        for (int j = 0; j < kThreadColumns; ++j) scores[i][j] += a[i].v[n] * b[j].v[n];
  }
}

// Weights of a block as multiply_weights() reads them; a row is written and read by the same half warp.
template <class C>
__device__ __forceinline__ void store_weights(SharedTile<C, kTile>& weights, const ThreadScores<C>& values, ThreadPlace place) {
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
    for (int j = 0; j < kThreadColumns; ++j)
      weights.at[place.down + i * (kTile / kThreadRows)][place.across + j * kAcross] = values[i][j];
  __syncwarp();
}

// A thread's rows of a product of 64 rows and Width columns.
template <class C, int Width> struct ThreadSums {
  static constexpr int kCount = Width / kAcross, kPack = kCount < Pack<C>::kCount ? kCount : Pack<C>::kCount;
  C v[kThreadRows][kCount] = {};

  static __device__ __forceinline__ int column(int j, ThreadPlace place) {
    return j / kPack * (kAcross * kPack) + place.across * kPack + j % kPack;
  }
  // += weights across
  __device__ __forceinline__ void multiply_weights(const SharedTile<C, kTile>& weights, const SharedTile<C, Width>& across,
                                                   ThreadPlace place) {
    constexpr int N = Pack<C>::kCount;
    struct alignas(sizeof(C) * kPack) Columns {
      C v[kPack];
    };
    for (int k = 0; k < kTile; k += N) {
      Pack<C> a[kThreadRows];
#pragma unroll
      for (int i = 0; i < kThreadRows; ++i)
        a[i] = *reinterpret_cast<const Pack<C>*>(&weights.at[place.down + i * (kTile / kThreadRows)][k]);
#pragma unroll
      for (int n = 0; n < N; ++n)
#pragma unroll
        for (int g = 0; g < kCount / kPack; ++g) {
          const Columns b = *reinterpret_cast<const Columns*>(&across.at[k + n][column(g * kPack, place)]);
#pragma unroll
          for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
            for (int j = 0; j < kPack; ++j) v[i][g * kPack + j] += a[i].v[n] * b.v[j];
        }
    }
  }
  // f(row of the tile, column of the tile, sum)
  template <class F> __device__ __forceinline__ void each(ThreadPlace place, const F& f) const {
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
      for (int j = 0; j < kCount; ++j) f(place.row(i), column(j, place), v[i][j]);
  }
};

// scores = down across^T over `columns` columns of two matrices, their rows from `down_row` and `across_row`, in slices
// of Width. Slices of `down` are loaded where they are not there already, as a single one is after the first time.
// Begins and ends with a barrier around the tiles' use, unless the single slices stay.
template <class C, int Width, class T>
__device__ __forceinline__ void multiply_matrices(ThreadScores<C>& scores, SharedTile<C, Width>& down,
                                                  SharedTile<C, Width>& across, const AttentionMatrix<const T>& a, int down_row,
                                                  int down_rows, C down_factor, const AttentionMatrix<const T>& b,
                                                  int across_row, int across_rows, C across_factor, int columns,
                                                  bool down_is_there, ThreadPlace place) {
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
    for (int j = 0; j < kThreadColumns; ++j) scores[i][j] = 0;
  for (int d = 0; d < columns; d += Width) {
    __syncthreads();
    if (!down_is_there || columns > Width) load_tile<Side::down>(down, a, down_row, down_rows, d, columns, down_factor);
    load_tile<Side::across>(across, b, across_row, across_rows, d, columns, across_factor);
    __syncthreads();
    multiply_tiles(scores, down, across, columns - d < Width ? columns - d : Width, place);
  }
}

// The width of tiles for matrices of so many columns, and f.template operator()<T, width>().
template <class F> void for_attention_width(DType dtype, int64_t columns, const F& f) {
  for_float(dtype, [&]<class T>() {
    if constexpr (sizeof(T) == 4)
      if (columns <= 32) return f.template operator()<T, 32>();
    f.template operator()<T, sizeof(T) == 8 ? 32 : 64>();
  });
}

}  // namespace fastdl::cuda
