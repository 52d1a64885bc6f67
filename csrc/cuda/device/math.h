// Functions that several kernels compute, for float and double. Limits at infinity and NaN are as the CPU's.
#pragma once
#include "cuda/device/language.h"

namespace fastdl::cuda {

// 2^x to two bits of the last place, in one instruction; results below the normal numbers are 0.
__device__ __forceinline__ float exp2_approximate(float x) {
#if FASTDL_SIMULATED
  return exp2(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

template <class T> __device__ __forceinline__ T sigmoid(T x) { return T(1) / (T(1) + exp(-x)); }
// log(1 + e^x)
template <class T> __device__ __forceinline__ T softplus(T x) { return (x > 0 || x != x ? x : T(0)) + log1p(exp(-abs(x))); }

// The standard normal distribution function and density; normal_cdf(x) + x normal_pdf(x) is the derivative of gelu.
template <class T> __device__ __forceinline__ T normal_cdf(T x) { return T(0.5) * erfc(x * T(-0.70710678118654752440)); }
template <class T> __device__ __forceinline__ T normal_pdf(T x) { return T(0.39894228040143267794) * exp(T(-0.5) * x * x); }
template <class T> __device__ __forceinline__ T gelu(T x) { return x < T(-40) ? T(0) : x * normal_cdf(x); }
// tanh's argument in gelu's approximation, and the derivative of that argument.
template <class T> __device__ __forceinline__ T gelu_tanh_inner(T x) {
  return T(0.79788456080286535588) * (x + T(0.044715) * x * x * x);
}
template <class T> __device__ __forceinline__ T gelu_tanh_slope(T x) {
  return T(0.79788456080286535588) * (T(1) + T(3 * 0.044715) * x * x);
}
template <class T> __device__ __forceinline__ T gelu_tanh(T x) { return T(0.5) * x * (T(1) + tanh(gelu_tanh_inner(x))); }

}  // namespace fastdl::cuda
