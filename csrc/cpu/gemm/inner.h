// Products as inner products, for a few rows times a matrix whose rows run along K (a matrix times a vector, a linear
// layer on a small batch): packing would cost as much as the product. A tile is as many sums as a vector has lanes, of
// kInnerRows few rows or of one, each kept as one vector of partial sums; they are added up together. Reads the matrix once.
#pragma once
#include "cpu/gemm/pack.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

template <class T> constexpr int kInnerColumns = lanes<compute_vector<T>>;  // the most that a tile takes
template <class T> constexpr int kInnerRows = lanes<compute_vector<T>> < 4 ? 1 : lanes<compute_vector<T>> / 4;
constexpr int64_t kWideRowBytes = 3 << 10;  // longer rows fall into few cache sets when many are read side by side

// Lane i of the result is the sum of the lanes of r[i]: each step folds pairs of vectors into one.
template <class V, int Step = lanes<V> / 2> FASTDL_INLINE V sum_each(V (&r)[lanes<V>]) {
  constexpr int L = lanes<V>;
  mask_t<V> lane{};
  for (int i = 0; i < L; ++i) lane[i] = i;
  const mask_t<V> low = (lane & Step) != 0 ? lane + (L - Step) : lane;
  const mask_t<V> high = (lane & Step) != 0 ? lane + L : lane + Step;
#pragma GCC unroll 8
  for (int i = 0; i < Step; ++i) r[i] = __builtin_shuffle(r[i], r[i + Step], low) + __builtin_shuffle(r[i], r[i + Step], high);
  if constexpr (Step > 1) return sum_each<V, Step / 2>(r);
  return r[0];
}

// sums[j * Rows + i] = a_i . b_j; rows beyond the counts repeat the last one. P: S, or pairs of it.
template <class P, class S, int Rows, int kColumns>
void inner_tile(int64_t k, const S* a, int64_t a_stride, int rows, const S* b, int64_t b_stride, int columns, sum_of<P>* sums) {
  using V = compute_vector<P>;
  constexpr int L = lanes<V>;
  constexpr int64_t kStep = L * int64_t{sizeof(P) / sizeof(S)};
  const S* left[Rows];
  const S* right[kColumns];
#pragma GCC unroll 4
  for (int i = 0; i < Rows; ++i) left[i] = a + (i < rows ? i : rows - 1) * a_stride;
#pragma GCC unroll 16
  for (int j = 0; j < kColumns; ++j) right[j] = b + (j < columns ? j : columns - 1) * b_stride;
  V acc[L] = {};
  const auto step = [&](auto load_at) __attribute__((always_inline)) {
    V x[Rows];
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) x[i] = load_at(left[i]);
#pragma GCC unroll 16
    for (int j = 0; j < kColumns; ++j) {
      const V y = load_at(right[j]);
#pragma GCC unroll 4
      for (int i = 0; i < Rows; ++i) multiply_add<P>(acc[j * Rows + i], x[i], y);
    }
  };
  int64_t p = 0;
  for (; p + kStep <= k; p += kStep)
    step([&](const S* x) __attribute__((always_inline)) { return load_operand<V>(reinterpret_cast<const P*>(x + p)); });
  if (p < k)
    step([&](const S* x) __attribute__((always_inline)) {
      if constexpr (__is_same(P, bf16_pair)) return load_pairs_n(x + p, k - p);
      else return load_as_n<V>(x + p, k - p);
    });
  store<V>(sums, sum_each<V>(acc));
}

// The rows [begin, end) of `many`, against all `few_count` rows of `few`; place(i, j, sum) takes few_i . many_j.
template <class P, class S, class Place> void inner_rows(int64_t k, const GemmOperand<sum_of<P>>& few, int64_t few_count,
                                                         const GemmOperand<sum_of<P>>& many, int64_t begin, int64_t end,
                                                         const Place& place) {
  using T = sum_of<P>;
  alignas(64) T sums[lanes<compute_vector<T>>];
  const auto tile = [&]<int Rows, int Columns>(int64_t i, int64_t j) {
    const int rows = static_cast<int>(few_count - i < Rows ? few_count - i : Rows);
    const int columns = static_cast<int>(end - j < Columns ? end - j : Columns);
    inner_tile<P, S, Rows, Columns>(k, static_cast<const S*>(few.data) + i * few.stride, few.stride, rows,
                                    static_cast<const S*>(many.data) + j * many.stride, many.stride, columns, sums);
    for (int y = 0; y < columns; ++y)
      for (int x = 0; x < rows; ++x) place(i + x, j + y, sums[y * Rows + x]);
  };
  constexpr int kRows = kInnerRows<T>, kColumns = lanes<compute_vector<T>> / kRows;
  if (few_count == 1 && k * int64_t{sizeof(S)} <= kWideRowBytes) {
    for (int64_t j = begin; j < end; j += kInnerColumns<T>) tile.template operator()<1, kInnerColumns<T>>(0, j);
    return;
  }
  for (int64_t j = begin; j < end; j += kColumns) {
    int64_t i = 0;
    for (; i + 1 < few_count; i += kRows) tile.template operator()<kRows, kColumns>(i, j);
    if (i < few_count) tile.template operator()<1, kColumns>(i, j);
  }
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
