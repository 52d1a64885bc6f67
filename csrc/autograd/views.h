// Views that are changed in place, and views of tensors that were.
#pragma once
#include "autograd/autograd.h"

namespace fastdl {

// `view` was written to by `node`, whose first input is the view's old value: gives its base the history of that write
// (as if the base had been the op's operand), and the view the history of being a view of it.
void rewrite_base(const Ref<Node>& node, const Tensor& view);

// What refresh_view is set to.
void refresh_from_base(TensorImpl* view);

}  // namespace fastdl
