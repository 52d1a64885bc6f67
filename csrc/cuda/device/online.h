// The largest value so far and the sum of exponentials relative to it, in one pass (Milakov and Gimelshein, "Online
// normalizer calculation for softmax", 2018).
#pragma once
#include "cuda/device/reduce.h"

namespace fastdl::cuda {

template <class C> struct Running {
  C maximum = C(-INFINITY), sum = 0;  // of no values
};

struct Merge {
  template <class C> __device__ __forceinline__ Running<C> operator()(Running<C> a, Running<C> b) const {
    const C m = Max{}(a.maximum, b.maximum);
    if (m == C(-INFINITY)) return {m, C(0)};  // exp(-inf - -inf) would be NaN
    return {m, a.sum * exp(a.maximum - m) + b.sum * exp(b.maximum - m)};
  }
  template <class C> __device__ __forceinline__ Running<C> operator()(Running<C> a, C value) const {
    return (*this)(a, Running<C>{value, C(1)});
  }
};

}  // namespace fastdl::cuda
