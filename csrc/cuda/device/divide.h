// Division by a number that is known at launch: one high product and a shift in place of some twenty instructions.
// (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994.)
#pragma once
#include "cuda/device/language.h"

namespace fastdl::cuda {

// Of 0 <= n < 2^31 by 1 <= d < 2^31.
struct Divisor {
  uint32_t d, factor, shift;

  explicit Divisor(int64_t divisor) : d(static_cast<uint32_t>(divisor < 1 ? 1 : divisor)), factor(0), shift(0) {
    if (d == 1) return;
    uint32_t log = 0;
    while ((uint64_t{1} << log) < d) ++log;
    factor = static_cast<uint32_t>(((uint64_t{1} << (31 + log)) + d - 1) / d);
    shift = log - 1;
  }
  __device__ __forceinline__ uint32_t quotient(uint32_t n) const { return d == 1 ? n : __umulhi(n, factor) >> shift; }
  // n / d; n becomes n % d.
  __device__ __forceinline__ uint32_t split(uint32_t& n) const {
    const uint32_t q = quotient(n);
    n -= q * d;
    return q;
  }
};

}  // namespace fastdl::cuda
