// What ops with fused kernels share.
#pragma once
#include "kernels/loss.h"
#include "kernels/reduce.h"
#include "ops/ops.h"

namespace fastdl {

// The type in which kernels compute and keep statistics.
inline DType compute_dtype(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

Reduction reduction_from(const char* op, const std::string& name);  // throws naming the op

// Where a device other than the CPU keeps partial results of a reduction of t; undefined where it needs none.
inline Tensor reduce_workspace(const Tensor& t) {
  if (t.device().is_cpu() || t.numel() < kReduceSplit) return {};
  return make_empty({kReduceWorkspace}, DType::u8, t.device());
}

// The gradient of a fused op when it must be differentiable itself (create_graph): through `composed()`, the same
// function made of plain ops over `inputs`. Input i of the node is inputs[i]; undefined ones are skipped.
template <class F> void composed_gradient(GradCall& call, const TensorList& inputs, F composed) {
  TensorList wanted;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (call.wants(i)) wanted.push_back(inputs[i]);
  const TensorList result = gradients({composed()}, {call.grad()}, wanted, {.retain_graph = true, .create_graph = true});
  for (size_t i = 0, j = 0; i < inputs.size(); ++i)
    if (call.wants(i)) call.set(i, result[j++]);
}

}  // namespace fastdl
