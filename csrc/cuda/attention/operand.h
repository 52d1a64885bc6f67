// What the kernels of attention read and write, and what they do to scores: masks and dropout.
#pragma once
#include "cuda/device/convert.h"
#include "cuda/device/visit.h"
#include "cuda/gemm/operand.h"
#include "kernels/attention.h"

namespace fastdl::cuda {

constexpr double kLog2E = 1.44269504088896340736, kLn2 = 0.69314718055994530942;

// --- operands ---

// One matrix of a view, and all of them.
template <class T> struct AttentionMatrix {
  T* data;
  int64_t row_stride, column_stride, pieces;
  __device__ __forceinline__ T& at(int row, int column) const { return data[row * row_stride + column * column_stride]; }
  // Elements `column` and column + 1 of a row, as far as there are so many columns.
  template <class C> __device__ __forceinline__ void store_two(int row, int column, int columns, C first, C second) const {
    if constexpr (sizeof(T) <= 4)
      if (pieces && column + 1 < columns) {
        *reinterpret_cast<Two<T>*>(&at(row, column)) = {{convert<T>(first), convert<T>(second)}};
        return;
      }
    if (column < columns) at(row, column) = convert<T>(first);
    if (column + 1 < columns) at(row, column + 1) = convert<T>(second);
  }
};
template <class T> struct AttentionMatrices {
  T* data;
  int64_t row_stride, column_stride;
  int64_t pieces;  // a flag: rows are made of 16 aligned bytes
  BatchOffsets offsets;

  explicit AttentionMatrices(const View& v)
      : data(v.as<T>()), row_stride(v.strides[v.ndim - 2]), column_stride(v.strides[v.ndim - 1]), offsets(BatchOffsets::of(v)) {
    pieces = column_stride == 1 && row_stride % kPiece<T> == 0 && offsets.multiples_of(kPiece<T>) &&
             reinterpret_cast<uintptr_t>(data) % 16 == 0;
  }
  __device__ __forceinline__ AttentionMatrix<T> select(int64_t index) const {
    return {data + offsets.at(static_cast<unsigned>(index)), row_stride, column_stride, pieces};
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
      : mask(a.mask.data),
        mask_row_stride(0),
        mask_column_stride(0),
        queries(static_cast<int>(a.query.shape[a.query.ndim - 2])),
        keys(static_cast<int>(a.key.shape[a.key.ndim - 2])),
        mask_kind(MaskKind::none),
        causal(a.causal),
        drops(a.dropout > 0),
        dropout(static_cast<float>(a.dropout)),
        kept(static_cast<C>(1 / (1 - a.dropout))),
        random(a.random) {
    if (!mask) return;
    mask_row_stride = a.mask.strides[a.mask.ndim - 2];
    mask_column_stride = a.mask.strides[a.mask.ndim - 1];
    mask_offsets = BatchOffsets::of(a.mask);
    mask_kind = a.mask.dtype == DType::b8       ? MaskKind::boolean
                : a.mask.dtype == a.query.dtype ? MaskKind::stored
                                                : MaskKind::computed;
  }

  __device__ __forceinline__ int64_t mask_start(int64_t head) const {
    return mask_kind == MaskKind::none ? 0 : mask_offsets.at(static_cast<unsigned>(head));
  }
  __device__ __forceinline__ bool outside(int query, int key) const { return key >= keys || (causal && key > query); }
  bool modifies() const { return mask_kind != MaskKind::none || drops; }
  // The keys that some query before `end` sees.
  __device__ __forceinline__ int visible_keys(int end) const { return causal && end < keys ? end : keys; }

  // The score of a query and a key, with the mask of a head that starts at `start`; -infinity outside.
  __device__ __forceinline__ C masked(C score, int64_t start, int query, int key) const {
    if (outside(query, key)) return C(-INFINITY);
    if (mask_kind == MaskKind::none || query >= queries) return score;
    const int64_t at = start + query * mask_row_stride + key * mask_column_stride;
    if (mask_kind == MaskKind::boolean) return static_cast<const bool*>(mask)[at] ? score : C(-INFINITY);
    const C added =
        mask_kind == MaskKind::stored ? convert<C>(static_cast<const T*>(mask)[at]) : static_cast<const C*>(mask)[at];
    return score + added * C(kLog2E);
  }
  // Whether scores of `length` keys, for queries from first_query, need no masked().
  __device__ __forceinline__ bool all_visible(int first_query, int first_key, int length) const {
    return mask_kind == MaskKind::none && first_key + length <= keys && (!causal || first_key + length - 1 <= first_query);
  }

  // What decides on the weights of keys `key` to key + 3, a multiple of 4.
  __device__ __forceinline__ Philox4 dropout_bits(int64_t head, int query, int key) const {
    const uint64_t row = static_cast<uint64_t>(head) * queries + query;
    return philox(random.seed, random.offset + row * ((keys + 3) / 4) + key / 4);
  }
  __device__ __forceinline__ C dropout_factor(uint32_t bits) const { return uniform_float(bits) >= dropout ? kept : C(0); }
  __device__ __forceinline__ void dropout_factors(C (&factors)[4], int64_t head, int query, int key) const {
    const Philox4 bits = dropout_bits(head, query, key);
#pragma unroll
    for (int j = 0; j < 4; ++j) factors[j] = dropout_factor(bits.v[j]);
  }
};

}  // namespace fastdl::cuda
