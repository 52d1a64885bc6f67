// What the forward and the backward of attention share: operands, tiles in shared memory, their products on the ordinary
// arithmetic units, masks and dropout.
//
// A block of 256 threads computes 64 x 64 tiles of the attention weights, its rows down and the rows of the other side
// across. Thread (down, across) of 16 x 16 owns rows 4 down + i and columns 4 across + j. In shared memory those lie in
// slots down + 16 i and across + 16 j, so that threads that read side by side meet no bank twice.
#pragma once
#include "cuda/device/convert.h"
#include "cuda/device/launch.h"
#include "cuda/device/reduce.h"
#include "cuda/device/visit.h"
#include "cuda/gemm/operand.h"
#include "kernels/attention.h"

namespace fastdl::cuda {

constexpr int kAttentionThreads = 256, kTile = 64, kThreadRows = 4, kThreadColumns = 4;
constexpr int kAcross = kTile / kThreadColumns;
constexpr double kLog2E = 1.44269504088896340736;

// --- operands ---

// One matrix of a view, and all of them.
template <class T> struct AttentionMatrix {
  T* data;
  int64_t row_stride, column_stride;
  __device__ __forceinline__ T& at(int row, int column) const { return data[row * row_stride + column * column_stride]; }
};
template <class T> struct AttentionMatrices {
  T* data;
  int64_t row_stride, column_stride;
  BatchOffsets offsets;

  explicit AttentionMatrices(const View& v)
      : data(v.as<T>()), row_stride(v.strides[v.ndim - 2]), column_stride(v.strides[v.ndim - 1]), offsets(BatchOffsets::of(v)) {}
  __device__ __forceinline__ AttentionMatrix<T> select(int64_t index) const {
    return {data + offsets.at(static_cast<unsigned>(index)), row_stride, column_stride};
  }
};

inline int64_t attention_heads(const View& v) { return elements(v, 0, v.ndim - 2); }

enum class MaskKind : int32_t { none, boolean, stored, computed };  // additive ones: of the operands' type or of float32

// What a score of query head `head` is modified by. Scores are in base 2.
template <class T> struct ScoreRule {
  using C = Compute<T>;
  const void* mask;
  int64_t mask_row_stride, mask_column_stride;
  BatchOffsets mask_offsets;
  int queries, keys;
  MaskKind mask_kind;
  bool causal, drops;
  float dropout;
  C kept;
  PhiloxState random;

  explicit ScoreRule(const AttentionArgs& a)
      : mask(a.mask.data), mask_row_stride(0), mask_column_stride(0),
        queries(static_cast<int>(a.query.shape[a.query.ndim - 2])), keys(static_cast<int>(a.key.shape[a.key.ndim - 2])),
        mask_kind(MaskKind::none), causal(a.causal), drops(a.dropout > 0), dropout(static_cast<float>(a.dropout)),
        kept(static_cast<C>(1 / (1 - a.dropout))), random(a.random) {
    if (!mask) return;
    mask_row_stride = a.mask.strides[a.mask.ndim - 2];
    mask_column_stride = a.mask.strides[a.mask.ndim - 1];
    mask_offsets = BatchOffsets::of(a.mask);
    mask_kind = a.mask.dtype == DType::b8 ? MaskKind::boolean : a.mask.dtype == a.query.dtype ? MaskKind::stored : MaskKind::computed;
  }

  __device__ __forceinline__ int64_t mask_start(int64_t head) const {
    return mask_kind == MaskKind::none ? 0 : mask_offsets.at(static_cast<unsigned>(head));
  }
  // The keys that some query before `end` sees.
  __device__ __forceinline__ int visible_keys(int end) const { return causal && end < keys ? end : keys; }

  // The score of a query and a key, with the mask of a head that starts at `start`; -infinity outside.
  __device__ __forceinline__ C masked(C score, int64_t start, int query, int key) const {
    if (key >= keys || (causal && key > query)) return C(-INFINITY);
    if (mask_kind == MaskKind::none || query >= queries) return score;
    const int64_t at = start + query * mask_row_stride + key * mask_column_stride;
    if (mask_kind == MaskKind::boolean) return static_cast<const bool*>(mask)[at] ? score : C(-INFINITY);
    const C added = mask_kind == MaskKind::stored ? convert<C>(static_cast<const T*>(mask)[at]) : static_cast<const C*>(mask)[at];
    return score + added * C(kLog2E);
  }
  // Whether a tile of scores needs no masked().
  __device__ __forceinline__ bool all_visible(int first_query, int first_key) const {
    return mask_kind == MaskKind::none && first_key + kTile <= keys && (!causal || first_key + kTile - 1 <= first_query);
  }

  // The factors of the weights of keys `key` to key + 3; key is a multiple of 4.
  __device__ __forceinline__ void dropout_factors(C (&factors)[4], int64_t head, int query, int key) const {
    const uint64_t row = static_cast<uint64_t>(head) * queries + query;
    const Philox4 bits = philox(random.seed, random.offset + row * ((keys + 3) / 4) + key / 4);
#pragma unroll
    for (int j = 0; j < 4; ++j) factors[j] = uniform_float(bits.v[j]) >= dropout ? kept : C(0);
  }
};

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
    for (int j = 0; j < kThreadColumns; ++j) b[j] = *reinterpret_cast<const Pack<C>*>(&across.at[place.across + j * kAcross][d]);
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
__device__ __forceinline__ void multiply_matrices(ThreadScores<C>& scores, SharedTile<C, Width>& down, SharedTile<C, Width>& across,
                                                  const AttentionMatrix<const T>& a, int down_row, int down_rows, C down_factor,
                                                  const AttentionMatrix<const T>& b, int across_row, int across_rows,
                                                  C across_factor, int columns, bool down_is_there, ThreadPlace place) {
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
    if (columns <= 32 || std::is_same_v<T, double>) f.template operator()<T, 32>();
    else if constexpr (!std::is_same_v<T, double>) f.template operator()<T, 64>();
  });
}

}  // namespace fastdl::cuda
