// Attention on the warps' tensor cores: false, and nothing is done, for what they do not take.
#pragma once
#include "cuda/attention/operand.h"
#include "kernels/context.h"

namespace fastdl::cuda {

constexpr int64_t kWidestMma = 128;  // columns

// bf16 and f16; float32 where args.tf32 allows it.
inline bool takes_tensor_cores(const AttentionArgs& a) {
  const int64_t qk_columns = a.query.shape[a.query.ndim - 1], v_columns = a.value.shape[a.value.ndim - 1];
  const bool narrow = qk_columns <= kWidestMma && v_columns <= kWidestMma;
  return narrow && (a.query.dtype == DType::bf16 || a.query.dtype == DType::f16 || (a.query.dtype == DType::f32 && a.tf32));
}

// The width of tiles for those columns, and f.template operator()<width>().
template <class F> void for_mma_width(int64_t columns, const F& f) {
  if (columns <= 32) f.template operator()<32>();
  else if (columns <= 64) f.template operator()<64>();
  else f.template operator()<128>();
}

// kernels/attention_mma.cu and kernels/attention_tf32.cu
void attention_forward_mma(const Context& context, const AttentionArgs& args);
void attention_forward_tf32(const Context& context, const AttentionArgs& args);

// kernels/attention_backward_mma.cu and kernels/attention_backward_tf32.cu. args.row_products is there.
void attention_backward_mma(const Context& context, const AttentionBackwardArgs& args);
void attention_backward_tf32(const Context& context, const AttentionBackwardArgs& args);

}  // namespace fastdl::cuda
