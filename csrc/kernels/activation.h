// Activations that matrix products and recurrent cells apply to their output while it is in registers or cache.
#pragma once
#include <cstdint>

namespace fastdl {

enum class Activation : int32_t { none, relu, gelu, gelu_tanh, silu, tanh, sigmoid };

}  // namespace fastdl
