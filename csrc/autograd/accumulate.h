// Leaves: the node that adds an arriving gradient to .grad.
#pragma once
#include "autograd/autograd.h"

namespace fastdl {

Ref<Node> accumulator_of(const Tensor& leaf);
// The leaves that the graph behind these tensors reaches, each once.
TensorList leaves_of(const TensorList& outputs);
void add_to_grad(TensorImpl* leaf, Tensor gradient);

// The few ops that the engine itself needs. ops/ supplies them at start-up, since autograd lies below ops.
struct EngineOps {
  Tensor (*add)(const Tensor& a, const Tensor& b);
  Tensor (*zeros)(const Shape& shape, DType dtype, Device device);
  Tensor (*ones_like)(const Tensor& t);
  Tensor (*clone)(const Tensor& t);
  void (*add_in_place)(const Tensor& a, const Tensor& b);
  void (*copy)(const Tensor& to, const Tensor& from);
  Tensor (*as_strided)(const Tensor& t, const Shape& shape, const Shape& strides, int64_t offset);
  bool (*has_nan)(const Tensor& t);
};
void set_engine_ops(const EngineOps& ops);
const EngineOps& engine_ops();
Tensor zeros_for(const Shape& shape, DType dtype, Device device);

}  // namespace fastdl
