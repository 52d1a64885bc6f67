// tensor[index]: basic steps, which are views, then indices by tensors.
#pragma once
#include "ops/ops.h"

namespace fastdl {

struct IndexStep {
  enum Kind { select, slice, unsqueeze } kind;
  int dim;
  int64_t start = 0, stop = 0, step = 1;  // of a slice; select: start
};

struct IndexSpec {
  std::vector<IndexStep> steps;
  TensorList
      indices;  // one for each dimension of the view that the steps give, undefined where all of it is taken; may be short
  bool advanced() const { return !indices.empty(); }
};

namespace ops {

Tensor apply_step(const Tensor& t, const IndexStep& step);
Tensor index(const Tensor& t, const TensorList& indices);  // int64; bool masks are expanded by nonzero_indices
Tensor index_put(const Tensor& t, const TensorList& indices, const Tensor& values, bool accumulate);
Tensor index_put_(const Tensor& self, const TensorList& indices, const Tensor& values, bool accumulate);
void set_item(const Tensor& self, const IndexSpec& spec, const Tensor& value);
// The places of a mask's true elements: an int64 vector for each of its dimensions.
TensorList nonzero_indices(const Tensor& mask);
// Masks replaced by the indices of their true elements.
TensorList expand_masks(const char* op, const Tensor& t, const TensorList& indices);
Tensor nonzero(const Tensor& t);  // (count, ndim)
Tensor masked_select(const Tensor& t, const Tensor& mask);

}  // namespace ops
}  // namespace fastdl
