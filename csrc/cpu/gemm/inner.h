// Products as inner products, for a few rows times a matrix whose rows run along K (a matrix times a vector, a linear
// layer on a small batch): packing would cost as much as the product. A tile is kInnerRows x kInnerColumns sums, each kept
// as one vector of partial sums; together they are as many as there are lanes, so a transposition adds them all up.
// Reads the matrix once, in order.
#pragma once
#include "cpu/gemm/pack.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

template <class T> constexpr int kInnerColumns = lanes<compute_vector<T>> < 4 ? lanes<compute_vector<T>> : 4;
template <class T> constexpr int kInnerRows = lanes<compute_vector<T>> / kInnerColumns<T>;

// sums[j * Rows + i] = a_i . b_j; rows beyond the counts repeat the last one.
template <class T, int Rows>
void inner_tile(int64_t k, const T* a, int64_t a_stride, int rows, const T* b, int64_t b_stride, int columns, T* sums) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>, kColumns = kInnerColumns<T>;
  const T* left[Rows];
  const T* right[kColumns];
#pragma GCC unroll 4
  for (int i = 0; i < Rows; ++i) left[i] = a + (i < rows ? i : rows - 1) * a_stride;
#pragma GCC unroll 4
  for (int j = 0; j < kColumns; ++j) right[j] = b + (j < columns ? j : columns - 1) * b_stride;
  V acc[L] = {};
  const auto step = [&](auto load_at) __attribute__((always_inline)) {
    V x[Rows];
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) x[i] = load_at(left[i]);
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      const V y = load_at(right[j]);
#pragma GCC unroll 4
      for (int i = 0; i < Rows; ++i) acc[j * Rows + i] += x[i] * y;
    }
  };
  int64_t p = 0;
  for (; p + L <= k; p += L) step([&](const T* x) __attribute__((always_inline)) { return load<V>(x + p); });
  if (p < k) step([&](const T* x) __attribute__((always_inline)) { return load_n<V>(x + p, k - p); });
  transpose<V>(acc);
#pragma GCC unroll 16
  for (int i = 1; i < L; ++i) acc[0] += acc[i];
  store<V>(sums, acc[0]);
}

// The rows [begin, end) of `many`, against all `few_count` rows of `few`; c(i, j) is the place of few_i . many_j.
template <class T, class Place> void inner_rows(const Gemm<T>& g, const GemmOperand<T>& few, int64_t few_count,
                                                const GemmOperand<T>& many, int64_t begin, int64_t end, const Place& place) {
  alignas(64) T sums[lanes<compute_vector<T>>];
  const auto tile = [&]<int Rows>(int64_t i, int64_t j) {
    const int rows = static_cast<int>(few_count - i < Rows ? few_count - i : Rows);
    const int columns = static_cast<int>(end - j < kInnerColumns<T> ? end - j : kInnerColumns<T>);
    inner_tile<T, Rows>(g.k, static_cast<const T*>(few.data) + i * few.stride, few.stride, rows,
                        static_cast<const T*>(many.data) + j * many.stride, many.stride, columns, sums);
    for (int y = 0; y < columns; ++y)
      for (int x = 0; x < rows; ++x) place(i + x, j + y, sums[y * Rows + x]);
  };
  for (int64_t j = begin; j < end; j += kInnerColumns<T>) {
    int64_t i = 0;
    for (; i + 1 < few_count; i += kInnerRows<T>) tile.template operator()<kInnerRows<T>>(i, j);
    if (i < few_count) tile.template operator()<1>(i, j);
  }
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
