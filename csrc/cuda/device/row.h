// A row of n elements shared out to the threads of a block, held in registers when PerThread > 0 (n at most PerThread
// times the block's threads), else read again each time.
#pragma once
#include "cuda/device/convert.h"

namespace fastdl::cuda {

template <class T, int PerThread> class Row {
 public:
  using C = Compute<T>;
  __device__ __forceinline__ Row(const T* __restrict__ x, int64_t n) : x_(x), n_(n) {
    if constexpr (PerThread > 0) {
#pragma unroll
      for (int k = 0; k < PerThread; ++k)
        if (const int64_t i = index(k); i < n) values_[k] = convert<C>(x[i]);
    }
  }
  // f(i, value) for this thread's elements.
  template <class F> __device__ __forceinline__ void each(const F& f) const {
    if constexpr (PerThread > 0) {
#pragma unroll
      for (int k = 0; k < PerThread; ++k)
        if (const int64_t i = index(k); i < n_) f(i, values_[k]);
    } else {
      for (int64_t i = threadIdx.x; i < n_; i += blockDim.x) f(i, convert<C>(x_[i]));
    }
  }

 private:
  static __device__ __forceinline__ int64_t index(int k) { return threadIdx.x + int64_t{k} * blockDim.x; }
  const T* x_;
  int64_t n_;
  C values_[PerThread > 0 ? PerThread : 1];
};

// f.template operator()<PerThread>(threads) with the block that suits rows of n elements.
template <class F> void for_row_length(int64_t n, const F& f) {
  if (n <= 128) f.template operator()<4>(32u);
  else if (n <= 512) f.template operator()<4>(128u);
  else if (n <= 4096) f.template operator()<16>(256u);
  else f.template operator()<0>(512u);
}

}  // namespace fastdl::cuda
