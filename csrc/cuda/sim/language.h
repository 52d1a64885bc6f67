// CUDA C++ for the host compiler: qualifiers, built-in variables, warp and block intrinsics, atomics, device mathematics.
#pragma once
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "cuda/sim/scheduler.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __restrict__ __restrict

#define threadIdx (fastdl::cuda::sim::this_thread->index)
#define blockIdx (fastdl::cuda::sim::this_thread->block->index)
#define blockDim (fastdl::cuda::sim::this_thread->block->shape)
#define gridDim (fastdl::cuda::sim::grid_shape())
constexpr int warpSize = 32;

#define FASTDL_SIM_TEXT2(x) #x
#define FASTDL_SIM_TEXT(x) FASTDL_SIM_TEXT2(x)
#define FASTDL_SIM_SITE __FILE__ ":" FASTDL_SIM_TEXT(__LINE__)
#define __syncthreads() ((void)fastdl::cuda::sim::block_barrier(0, 0, FASTDL_SIM_SITE))
#define __syncthreads_or(p) (fastdl::cuda::sim::block_barrier(0, 0, FASTDL_SIM_SITE, !!(p)) != 0)
#define __syncthreads_count(p) (fastdl::cuda::sim::block_barrier(0, 0, FASTDL_SIM_SITE, !!(p)))
#define __syncthreads_and(p) (fastdl::cuda::sim::block_barrier(0, 0, FASTDL_SIM_SITE, !(p)) == 0)

namespace fastdl::cuda::sim {

// `checked`: the source lane must be in the mask (a shuffle up or down may point outside its segment instead).
template <class T> T shuffle(uint32_t mask, T value, int source, int width, const char* where, bool checked) {
  static_assert(sizeof(T) <= 16);
  const Quiet quiet;
  const LaneValues values = exchange(mask, &value, sizeof value, where);
  const int lane = static_cast<int>(this_thread->lane), base = lane & ~(width - 1);
  if (source < base || source >= base + width) source = lane;
  if (checked && !(mask >> source & 1)) fail("%s reads lane %d, which is not in mask %08x", where, source, mask);
  T result;
  __builtin_memcpy(&result, values[source], sizeof result);
  return result;
}

template <class F> uint32_t vote(uint32_t mask, int predicate, const char* where, F combine, uint32_t result) {
  const Quiet quiet;
  const LaneValues values = exchange(mask, &predicate, sizeof predicate, where);
  for (int i = 0; i < 32; ++i) {
    int p;
    if (!(mask >> i & 1)) continue;
    __builtin_memcpy(&p, values[i], sizeof p);
    result = combine(result, i, p != 0);
  }
  return result;
}

template <class T, class F> T atomic_update(T* at, F f) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  Bits* const bits = reinterpret_cast<Bits*>(at);
  Bits before = __atomic_load_n(bits, __ATOMIC_RELAXED), after;
  T old;
  do {
    __builtin_memcpy(&old, &before, sizeof old);
    const T next = f(old);
    __builtin_memcpy(&after, &next, sizeof after);
  } while (!__atomic_compare_exchange_n(bits, &before, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}

}  // namespace fastdl::cuda::sim

inline void __syncwarp(unsigned mask = ~0u) {
  const char nothing = 0;
  fastdl::cuda::sim::exchange(mask, &nothing, 1, "__syncwarp", true);
}
template <class T> T __shfl_sync(unsigned mask, T v, int source, int width = 32) {
  const int lane = static_cast<int>(fastdl::cuda::sim::this_thread->lane);
  return fastdl::cuda::sim::shuffle(mask, v, (lane & ~(width - 1)) + (source & (width - 1)), width, "__shfl_sync", true);
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int x, int width = 32) {
  const int lane = static_cast<int>(fastdl::cuda::sim::this_thread->lane);
  return fastdl::cuda::sim::shuffle(mask, v, lane ^ x, width, "__shfl_xor_sync", true);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, int d, int width = 32) {
  const int lane = static_cast<int>(fastdl::cuda::sim::this_thread->lane);
  return fastdl::cuda::sim::shuffle(mask, v, lane + d, width, "__shfl_down_sync", true);
}
template <class T> T __shfl_up_sync(unsigned mask, T v, int d, int width = 32) {
  const int lane = static_cast<int>(fastdl::cuda::sim::this_thread->lane);
  return fastdl::cuda::sim::shuffle(mask, v, lane - d, width, "__shfl_up_sync", true);
}
inline unsigned __ballot_sync(unsigned mask, int p) {
  return fastdl::cuda::sim::vote(mask, p, "__ballot_sync", [](uint32_t r, int i, bool q) { return r | uint32_t{q} << i; }, 0);
}
inline int __any_sync(unsigned mask, int p) {
  return static_cast<int>(
      fastdl::cuda::sim::vote(mask, p, "__any_sync", [](uint32_t r, int, bool q) { return r | uint32_t{q}; }, 0));
}
inline int __all_sync(unsigned mask, int p) {
  return static_cast<int>(
      fastdl::cuda::sim::vote(mask, p, "__all_sync", [](uint32_t r, int, bool q) { return r & uint32_t{q}; }, 1));
}
inline unsigned __activemask() { return ~0u; }

inline int atomicAdd(int* p, int v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
inline unsigned atomicAdd(unsigned* p, unsigned v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
inline unsigned long long atomicAdd(unsigned long long* p, unsigned long long v) {
  return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
template <class T> T atomicMax(T* p, T v) {
  return fastdl::cuda::sim::atomic_update(p, [=](T old) { return old > v ? old : v; });
}
template <class T> T atomicMin(T* p, T v) {
  return fastdl::cuda::sim::atomic_update(p, [=](T old) { return old < v ? old : v; });
}
template <class T> T atomicExch(T* p, T v) {
  return fastdl::cuda::sim::atomic_update(p, [=](T) { return v; });
}
template <class T> T atomicCAS(T* p, T expected, T v) {
  return fastdl::cuda::sim::atomic_update(p, [=](T old) { return old == expected ? v : old; });
}
inline unsigned atomicOr(unsigned* p, unsigned v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }
inline unsigned atomicAnd(unsigned* p, unsigned v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); }

inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __nanosleep(unsigned) { fastdl::cuda::sim::yield("__nanosleep"); }

inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float normcdff(float x) { return 0.5f * std::erfc(-x * 0.70710678118654752440f); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
template <class T> T __ldg(const T* p) { return *p; }
// The overloads for float, which CUDA has in the global namespace.
using std::abs, std::acos, std::asin, std::atan, std::atan2, std::ceil, std::cos, std::cosh, std::erf, std::erfc, std::exp,
    std::exp2, std::expm1, std::floor, std::fma, std::fmod, std::isfinite, std::isinf, std::isnan, std::lgamma, std::log,
    std::log10, std::log1p, std::log2, std::max, std::min, std::pow, std::rint, std::sin, std::sinh, std::sqrt, std::tan,
    std::tanh, std::trunc, std::copysign, std::signbit, std::asinh, std::acosh, std::atanh, std::hypot, std::nextafter,
    std::fmax, std::fmin, std::nearbyint;
