// How products of float32 may be rounded on the way: to TF32, with 10 bits of mantissa, on devices that are faster for it.
// One setting for the process, read when an op is called. Sums stay float32.
#pragma once
#include <atomic>

namespace fastdl::ops {

// As PyTorch's float32_matmul_precision; the lower two both allow TF32.
enum class MatmulPrecision : int { highest, high, medium };

struct Precision {
  std::atomic<MatmulPrecision> matmul{MatmulPrecision::highest};  // products and attention
  std::atomic<bool> convolution_tf32{true};
};
inline Precision precision;

inline bool tf32_in_products() { return precision.matmul.load(std::memory_order_relaxed) != MatmulPrecision::highest; }
inline bool tf32_in_convolutions() { return precision.convolution_tf32.load(std::memory_order_relaxed); }

}  // namespace fastdl::ops
