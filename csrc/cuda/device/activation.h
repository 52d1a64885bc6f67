// The activations that matrix products and recurrent cells apply to their output.
#pragma once
#include "cuda/device/math.h"
#include "kernels/activation.h"

namespace fastdl::cuda {

// Called, as products apply them to a hundred registers: the code would be there a hundred times.
template <class C> __device__ FASTDL_NOINLINE C activate_smooth(Activation a, C x) {
  switch (a) {
    case Activation::gelu: return gelu(x);
    case Activation::gelu_tanh: return gelu_tanh(x);
    case Activation::silu: return x == C(-INFINITY) ? C(0) : x * sigmoid(x);
    case Activation::tanh: return tanh(x);
    case Activation::sigmoid: return sigmoid(x);
    default: return x;
  }
}

// The same branch for every thread. NaN stays NaN.
template <class C> __device__ __forceinline__ C activate(Activation a, C x) {
  if (a == Activation::none) return x;
  if (a == Activation::relu) return x < C(0) ? C(0) : x;
  return activate_smooth(a, x);
}

}  // namespace fastdl::cuda
