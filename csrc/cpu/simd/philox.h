// core/philox.h for as many counters at a time as a vector has lanes.
#pragma once
#include "core/philox.h"
#include "cpu/simd/vec.h"

namespace FASTDL_CPU_NAMESPACE {

// The 64-bit products of the low halves of each lane with a constant.
FASTDL_INLINE vu64 multiply_low_halves(vu64 x, uint32_t by) {
#if FASTDL_VECTOR_BYTES == 64
  return (vu64)_mm512_mul_epu32((__m512i)x, _mm512_set1_epi64(by));
#elif FASTDL_VECTOR_BYTES == 32
  return (vu64)_mm256_mul_epu32((__m256i)x, _mm256_set1_epi64x(by));
#else
  return (vu64)_mm_mul_epu32((__m128i)x, _mm_set1_epi64x(by));
#endif
}

// v[j]: output j of each lane's counter in the lane's low half; what the high halves hold is undefined. A product thus
// brings its two halves to where the next round wants them, or one shift away.
struct PhiloxLanes {
  vu64 v[4];
};
FASTDL_INLINE PhiloxLanes philox_lanes(uint64_t seed, vu64 counter) {
  vu64 c0 = counter, c1 = counter >> 32, c2{}, c3{};
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const vu64 p0 = multiply_low_halves(c0, 0xD2511F53), p1 = multiply_low_halves(c2, 0xCD9E8D57);
    c0 = p1 >> 32 ^ c1 ^ k0;
    c1 = p1;
    c2 = p0 >> 32 ^ c3 ^ k1;
    c3 = p0;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

// Output j of the counters of two vectors, side by side.
FASTDL_INLINE vu32 philox_output(const PhiloxLanes& a, const PhiloxLanes& b, int j) {
  return (vu32)__builtin_shuffle((vi32)a.v[j], (vi32)b.v[j], lane_numbers<vi32>() * 2);
}

// The bits of elements [4 counter, 4 counter + 4 kF32) in order.
FASTDL_INLINE void philox_bits(uint64_t seed, uint64_t counter, uint32_t* out) {
  const vi64 lane = lane_numbers<vi64>(), first = lane / 2 + lane % 2 * kF64;  // 0, kF64, 1, kF64 + 1, ...
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    const PhiloxLanes x = philox_lanes(seed, counter + static_cast<uint64_t>(half * kF64) + (vu64)lane);
    const vi64 low = (vi64)((x.v[0] & 0xffffffff) | x.v[1] << 32), high = (vi64)((x.v[2] & 0xffffffff) | x.v[3] << 32);
    int64_t* const to = reinterpret_cast<int64_t*>(out + half * 4 * kF64);
    store<vi64>(to, __builtin_shuffle(low, high, first));
    store<vi64>(to + kF64, __builtin_shuffle(low, high, first + kF64 / 2));
  }
}

// [0, 1) with 24 random bits.
FASTDL_INLINE vf32 uniform_float(vu32 bits) { return to_float((vi32)(bits >> 8)) * 0x1p-24f; }

}  // namespace FASTDL_CPU_NAMESPACE
