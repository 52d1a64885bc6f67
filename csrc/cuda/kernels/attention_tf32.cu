// Attention's forward of float32, its products rounded to TF32, on the warps' tensor cores (attention/forward.h).
#include "cuda/attention/forward.h"

namespace fastdl::cuda {

void attention_forward_tf32(const Context& context, const AttentionArgs& a) {
  attention_forward_on_tensor_cores<float>(context, a);
}

}  // namespace fastdl::cuda
