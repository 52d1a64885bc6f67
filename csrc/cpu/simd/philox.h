// core/philox.h, a lane each.
#pragma once
#include "core/philox.h"
#include "cpu/simd/vec.h"

namespace FASTDL_CPU_NAMESPACE {

struct PhiloxVectors { vu32 v[4]; };

// Both halves of the 32 x 32 -> 64 bit products.
FASTDL_INLINE void multiply_wide(vu32 x, uint32_t factor, vu32& low, vu32& high) {
  const vu64 even = ((vu64)x & 0xffffffff) * uint64_t{factor}, odd = ((vu64)x >> 32) * uint64_t{factor};
  low = x * factor;
  high = (vu32)((even >> 32) | (odd & 0xffffffff00000000));
}

// counter = high:low
FASTDL_INLINE PhiloxVectors philox(uint64_t seed, vu32 counter_low, vu32 counter_high) {
  vu32 c0 = counter_low, c1 = counter_high, c2{}, c3{};
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    vu32 l0, h0, l1, h1;
    multiply_wide(c0, 0xD2511F53, l0, h0);
    multiply_wide(c2, 0xCD9E8D57, l1, h1);
    c0 = h1 ^ c1 ^ k0;
    c2 = h0 ^ c3 ^ k1;
    c1 = l1;
    c3 = l0;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

// [0, 1) with 24 random bits.
FASTDL_INLINE vf32 uniform_float(vu32 bits) { return to_float((vi32)(bits >> 8)) * 0x1p-24f; }

}  // namespace FASTDL_CPU_NAMESPACE
