// Optimizer steps and gradient norms over a whole list of tensors in one call.
#pragma once
#include "core/view.h"

namespace fastdl {

// One parameter: dense memory of `numel` elements, in the same order in each array. `offset` is the number of elements
// in the slots before this one: work is cut out of the concatenation of all slots.
struct ParameterSlot {
  void* param;
  const void* grad;
  void* state[3];  // SGD: momentum; Adam: mean, mean square, largest mean square (amsgrad)
  int64_t numel;
  int64_t offset;
};

struct SgdStepArgs {
  const ParameterSlot* slots;
  int64_t count;
  DType dtype;  // of parameters, gradients and state
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;
  bool first;  // the momentum buffers are set from the gradient
};

struct AdamStepArgs {
  const ParameterSlot* slots;
  int64_t count;
  DType dtype;
  double lr, beta1, beta2, eps, weight_decay;
  double correction1, correction2;  // 1 - beta^step
  bool decoupled;                   // AdamW's weight decay
  bool amsgrad, maximize;
};

enum class NormKind : int32_t { sum_abs, sum_squares, max_abs };

struct GradientSlot {
  void* grad;
  int64_t numel;
  int64_t offset;
};

constexpr int64_t kNormChunk = 1 << 14;  // elements that share a partial result

// The norm of all gradients as one vector; partial[total elements / kNormChunk, rounded up].
struct GradNormArgs {
  const GradientSlot* slots;
  int64_t count;
  DType dtype;
  NormKind kind;
  double* partial;
};

// Multiplies by `factor`.
struct ScaleGradsArgs {
  const GradientSlot* slots;
  int64_t count;
  DType dtype;
  double factor;
};

}  // namespace fastdl
