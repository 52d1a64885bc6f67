// A barrier of all blocks of a cooperative launch, and loads of what other blocks have written before it.
#pragma once
#include "cuda/device/language.h"

namespace fastdl::cuda {

// *arrivals starts at 0; the n-th barrier (from 1) waits until all blocks have come n times.
__device__ __forceinline__ void grid_barrier(unsigned* arrivals, unsigned n) {
  __syncthreads();
  if (threadIdx.x == 0 && threadIdx.y == 0) {
    const unsigned expected = n * gridDim.x * gridDim.y;
    __threadfence();
    atomicAdd(arrivals, 1u);
#if FASTDL_SIMULATED
    while (__atomic_load_n(arrivals, __ATOMIC_ACQUIRE) < expected) sim::yield("grid_barrier");
    sim::progress();
#else
    while (*const_cast<volatile unsigned*>(arrivals) < expected) __nanosleep(20);
    __threadfence();
#endif
  }
  __syncthreads();
}

// Past the first-level cache, which does not see other blocks' writes.
template <class T> __device__ __forceinline__ T load_shared_by_grid(const T* p) {
#if FASTDL_SIMULATED
  return *p;
#else
  return __ldcg(p);
#endif
}

}  // namespace fastdl::cuda
