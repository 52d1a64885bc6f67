// Attention's backward of float32, its products rounded to TF32, on the warps' tensor cores (attention/backward.h).
#include "cuda/attention/backward.h"

namespace fastdl::cuda {

void attention_backward_tf32(const Context& context, const AttentionBackwardArgs& args) {
  attention_backward_on_tensor_cores<float>(context, args);
}

}  // namespace fastdl::cuda
