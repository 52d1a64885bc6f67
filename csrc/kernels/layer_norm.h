// Layer, RMS and group normalization. Statistics, weights and biases are in the type computed in: float32 (float64 for
// float64).
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace fastdl {

// Rows of n contiguous elements: y = (x - mean) * rstd * weight + bias.
struct LayerNormArgs {
  const void* input;
  const void* weight;  // [n] or null
  const void* bias;    // [n] or null
  void* output;
  void* mean;          // [rows]; null for RMS norm, which does not subtract it
  void* rstd;          // [rows]
  int64_t rows, n;
  double eps;
  DType dtype;
};

struct LayerNormBackwardArgs {
  const void* grad;
  const void* input;
  const void* weight;  // or null
  const void* mean;    // null for RMS norm
  const void* rstd;
  void* grad_input;    // or null
  void* weight_parts;  // [parts][n] or null: part p comes from rows [rows * p / parts, rows * (p + 1) / parts)
  void* bias_parts;    // the same
  int64_t rows, n, parts;
  DType dtype;
};

// (batch, channels, spatial), contiguous; the channels of a group share mean and rstd.
struct GroupNormArgs {
  const void* input;
  const void* weight;  // [channels] or null
  const void* bias;
  void* output;
  void* mean;          // [batch][groups]
  void* rstd;
  int64_t batch, channels, spatial, groups;
  double eps;
  DType dtype;
};

struct GroupNormBackwardArgs {
  const void* grad;
  const void* input;
  const void* weight;
  const void* mean;
  const void* rstd;
  void* grad_input;    // or null
  void* weight_parts;  // [batch][channels]: the sum of grad * normalized input over the channel
  void* bias_parts;    // [batch][channels]: the sum of grad over the channel
  int64_t batch, channels, spatial, groups;
  DType dtype;
};

}  // namespace fastdl
