// Operands of a warp's tensor cores from tiles in shared memory, and sums as operands of the next product, for bf16, f16 and
// float32 rounded to TF32. One product is 32 bytes deep: 16 elements of 16 bits, or 8 of float32. Rows of a tile are `pitch`
// elements apart, an odd number of 16 bytes, so that eight rows lie in different banks.
#pragma once
#include "cuda/device/convert.h"
#include "cuda/device/mma.h"

namespace fastdl::cuda {

template <class T> constexpr int kProductDepth = 2 * kPiece<T>;

using Operand16x = uint32_t[4];  // a: 16 rows, one product deep; or b: two times 8 columns

template <class T> __device__ __forceinline__ void round_operand([[maybe_unused]] Operand16x& r) {
  if constexpr (std::is_same_v<T, float>) {
#pragma unroll
    for (uint32_t& x : r) x = to_tf32(std::bit_cast<float>(x));
  }
}

// a(row, k), rows of the tile being the product's rows: from its row `row` and column `k`.
template <class T> __device__ __forceinline__ void load_a(Operand16x& a, const T* tile, int pitch, int row, int k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  load_matrices<false>(a, tile + (row + lane % 16) * pitch + k + lane / 16 * kPiece<T>);
  round_operand<T>(a);
}
// b(k, column), rows of the tile being the product's columns.
template <class T> __device__ __forceinline__ void load_b(Operand16x& b, const T* tile, int pitch, int column, int k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  load_matrices<false>(b, tile + (column + lane / 16 * 8 + lane % 8) * pitch + k + lane / 8 % 2 * kPiece<T>);
  round_operand<T>(b);
}

// In which order a product takes its depth, where its two operands agree on one. Sums hold neighbouring columns: TF32, whose
// registers hold one element each, takes neighbours together where an operand was a sum.
enum class DepthOrder { plain, of_sums };

// b(k, column), rows of the tile being the depth.
template <class T, DepthOrder kOrder>
__device__ __forceinline__ void load_b_across(Operand16x& b, const T* tile, int pitch, int column, int k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if constexpr (sizeof(T) == 2) {
    load_matrices<true>(b, tile + (k + lane % 16) * pitch + column + lane / 16 * 8);
  } else {
    const int g = lane / 4, t = lane % 4;
    const T* const first = tile + (k + (kOrder == DepthOrder::plain ? t : 2 * t)) * pitch + column + g;
    const T* const second = first + (kOrder == DepthOrder::plain ? 4 : 1) * pitch;
    b[0] = to_tf32(first[0]), b[1] = to_tf32(second[0]);
    b[2] = to_tf32(first[8]), b[3] = to_tf32(second[8]);
  }
}
// a(row, k), rows of the tile being the depth.
template <class T> __device__ __forceinline__ void load_a_across(Operand16x& a, const T* tile, int pitch, int row, int k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if constexpr (sizeof(T) == 2) {
    load_matrices<true>(a, tile + (k + lane / 16 * 8 + lane % 8) * pitch + row + lane / 8 % 2 * 8);
  } else {
    const int g = lane / 4, t = lane % 4;
    const T *const first = tile + (k + t) * pitch + row + g, *const second = first + 4 * pitch;
    a[0] = to_tf32(first[0]), a[1] = to_tf32(first[8]);
    a[2] = to_tf32(second[0]), a[3] = to_tf32(second[8]);
  }
}

// Two elements as a register holds them.
template <class T> __device__ __forceinline__ uint32_t pair_of(float low, float high) {
#if !FASTDL_SIMULATED
  if constexpr (std::is_same_v<T, bf16>) {
    const __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&two);
  } else if constexpr (std::is_same_v<T, f16>) {
    const __half2 two = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&two);
  }
#endif
  return uint32_t{convert<T>(low).bits} | uint32_t{convert<T>(high).bits} << 16;
}
// a(row, k) from sums, 16 rows of kProductDepth columns: number `step` along the row. DepthOrder::of_sums.
template <class T, int kTiles>
__device__ __forceinline__ void sums_as_a(Operand16x& a, const float (&sums)[kTiles][4], int step) {
  if constexpr (sizeof(T) == 2) {
    const float(&x)[4] = sums[2 * step], (&y)[4] = sums[2 * step + 1];
    a[0] = pair_of<T>(x[0], x[1]), a[1] = pair_of<T>(x[2], x[3]);
    a[2] = pair_of<T>(y[0], y[1]), a[3] = pair_of<T>(y[2], y[3]);
  } else {
    const float(&x)[4] = sums[step];
    a[0] = to_tf32(x[0]), a[1] = to_tf32(x[2]), a[2] = to_tf32(x[1]), a[3] = to_tf32(x[3]);
  }
}

// sums += a b for two times 8 columns.
template <class T>
__device__ __forceinline__ void multiply_two(float (&first)[4], float (&second)[4], const Operand16x& a, const Operand16x& b) {
  const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
  if constexpr (sizeof(T) == 2) {
    multiply_add(first, a, left, T{});
    multiply_add(second, a, right, T{});
  } else {
    multiply_add_tf32(first, a, left);
    multiply_add_tf32(second, a, right);
  }
}

}  // namespace fastdl::cuda
