// Optimizer steps and gradient norms over a whole list of tensors in one call.
#pragma once
#include "core/view.h"

namespace fastdl {

enum class OptimizerRule : int32_t {
#define FASTDL_OPTIMIZER_RULE(name, states, cells, options) name,
#include "kernels/optimizer_rules.def"
#undef FASTDL_OPTIMIZER_RULE
};

constexpr int kRuleStates = 3, kRuleCells = 3, kRuleOptions = 4, kRuleCoefficients = 7;  // the most that a rule has

// One parameter: dense memory of `numel` elements, in the same order in each array. `offset` is the number of elements
// in the slots before this one: work is cut out of the concatenation of all slots.
struct ParameterSlot {
  void* param;
  const void* grad;
  void* state[kRuleStates];
  float* cells[kRuleCells];  // of this parameter alone; the kernel counts the steps in the first
  int64_t numel;
  int64_t offset;
  double shrink, k[kRuleCoefficients];  // filled by the kernel: what one step of the rule needs
};

// One step of a rule for all parameters. 3 to 9 arrays of the parameters' size are read or written once.
struct OptimizerStepArgs {
  ParameterSlot* slots;  // memory of the host
  int64_t count;
  void* workspace;  // slots_bytes(count) of the device's memory; null on the CPU
  DType dtype;  // of parameters, gradients and states
  OptimizerRule rule;
  double lr;
  const float* lr_cell;  // where not null, the learning rate is read from here
  double options[kRuleOptions];
  double weight_decay;
  bool decoupled;  // p is multiplied by 1 - lr weight_decay; else weight_decay p is added to the gradient
  bool maximize;
};

// Where a device keeps the slots of one call.
constexpr int64_t slots_bytes(int64_t count) { return count * static_cast<int64_t>(sizeof(ParameterSlot)); }

enum class NormKind : int32_t { sum_abs, sum_squares, max_abs };

struct GradientSlot {
  void* grad;
  int64_t numel;
  int64_t offset;
};

constexpr int64_t kNormChunk = 1 << 14;  // elements that share a partial result

// The norm of all gradients as one vector; partial[total elements / kNormChunk, rounded up].
struct GradNormArgs {
  const GradientSlot* slots;  // memory of the host
  int64_t count;
  void* workspace;  // as in OptimizerStepArgs
  DType dtype;
  NormKind kind;
  double* partial;
};

// Multiplies by `factor`.
struct ScaleGradsArgs {
  const GradientSlot* slots;  // memory of the host
  int64_t count;
  void* workspace;  // as in OptimizerStepArgs
  DType dtype;
  double factor;
};

}  // namespace fastdl
