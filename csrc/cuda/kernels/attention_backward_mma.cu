// Attention's backward of bf16 and f16 on the warps' tensor cores (attention/backward.h): sm_80 and later. Seven products to
// the forward's two: scores and the gradients of weights are computed for dQ, and again for dK and dV.
#include "cuda/attention/backward.h"

namespace fastdl::cuda {

void attention_backward_mma(const Context& context, const AttentionBackwardArgs& args) {
  if (args.forward.query.dtype == DType::bf16) attention_backward_on_tensor_cores<bf16>(context, args);
  else attention_backward_on_tensor_cores<f16>(context, args);
}

}  // namespace fastdl::cuda
