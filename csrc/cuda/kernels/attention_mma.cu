// Attention's forward of bf16 and f16 on the warps' tensor cores (attention/forward.h): sm_80 and later. 2 T S (D + E) FLOP
// a head, half of it when causal.
#include "cuda/attention/forward.h"

namespace fastdl::cuda {

void attention_forward_mma(const Context& context, const AttentionArgs& a) {
  if (a.query.dtype == DType::bf16) attention_forward_on_tensor_cores<bf16>(context, a);
  else attention_forward_on_tensor_cores<f16>(context, a);
}

}  // namespace fastdl::cuda
