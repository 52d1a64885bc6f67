// Reductions within a warp and a block. Every thread gets the result; the order of the additions is fixed.
#pragma once
#include <type_traits>

#include "cuda/device/language.h"

namespace fastdl::cuda {

constexpr unsigned kFullWarp = 0xffffffffu;

// __shfl_xor_sync for any plain type.
template <class T> __device__ __forceinline__ T shuffle_xor(T v, int distance) {
  if constexpr (std::is_arithmetic_v<T>) {
    return __shfl_xor_sync(kFullWarp, v, distance);
  } else {
    static_assert(sizeof(T) % 4 == 0);
    uint32_t words[sizeof(T) / 4];
    memcpy(words, &v, sizeof v);
#pragma unroll
    for (uint32_t& w : words) w = __shfl_xor_sync(kFullWarp, w, distance);
    memcpy(&v, words, sizeof v);
    return v;
  }
}

struct Add {
  template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return a + b; }
};
struct Max {  // NaN wins
  template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return b > a || b != b ? b : a; }
};
struct Min {
  template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return b < a || b != b ? b : a; }
};

template <int Lanes = 32, class T, class F> __device__ __forceinline__ T warp_reduce(T v, F f) {
#pragma unroll
  for (int distance = Lanes / 2; distance > 0; distance /= 2) v = f(v, shuffle_xor(v, distance));
  return v;
}

// `parts`: shared memory for one T a warp. Blocks are whole warps. May be called again at once with the same `parts`.
template <class T, class F> __device__ __forceinline__ T block_reduce(T v, F f, T neutral, T* parts) {
  const int warps = static_cast<int>(blockDim.x * blockDim.y) / 32;
  const int linear = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  v = warp_reduce(v, f);
  if (warps == 1) return v;
  if (linear % 32 == 0) parts[linear / 32] = v;
  __syncthreads();
  v = warp_reduce(linear % 32 < warps ? parts[linear % 32] : neutral, f);
  __syncthreads();
  return v;
}

}  // namespace fastdl::cuda
