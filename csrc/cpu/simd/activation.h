// The activations that products and recurrent cells fuse, on vectors.
#pragma once
#include "cpu/simd/math.h"
#include "kernels/activation.h"

namespace FASTDL_CPU_NAMESPACE {

template <Activation A, class V> FASTDL_INLINE V activate(V x) {
  if constexpr (A == Activation::relu) return max_nan<V>(x, zero<V>());
  if constexpr (A == Activation::gelu) return gelu(x);
  if constexpr (A == Activation::gelu_tanh) return 0.5f * x * (1 + tanh(0.7978845608028654f * (x + 0.044715f * (x * x * x))));
  if constexpr (A == Activation::silu) return x * sigmoid(x);
  if constexpr (A == Activation::tanh) return tanh(x);
  if constexpr (A == Activation::sigmoid) return sigmoid(x);
  return x;
}

}  // namespace FASTDL_CPU_NAMESPACE
