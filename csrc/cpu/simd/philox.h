// core/philox.h for as many counters at a time as a vector has lanes.
#pragma once
#include "core/philox.h"
#include "cpu/simd/vec.h"

namespace FASTDL_CPU_NAMESPACE {

struct PhiloxVectors {
  vu32 v[4];
};  // v[j][l]: output j of lane l's counter

// The two halves of the 64-bit products of each lane with a constant.
FASTDL_INLINE void multiply_wide(vu32 x, uint32_t by, vu32& high, vu32& low) {
  low = x * by;
#if FASTDL_VECTOR_BYTES == 64
  const __m512i m = _mm512_set1_epi64(by);
  const __m512i even = _mm512_mul_epu32((__m512i)x, m), odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)x, 32), m);
  high = (vu32)_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
#elif FASTDL_VECTOR_BYTES == 32
  const __m256i m = _mm256_set1_epi64x(by);
  const __m256i even = _mm256_mul_epu32((__m256i)x, m), odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)x, 32), m);
  high = (vu32)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#else
  const __m128i m = _mm_set1_epi64x(by);
  const __m128i even = _mm_mul_epu32((__m128i)x, m), odd = _mm_mul_epu32(_mm_srli_epi64((__m128i)x, 32), m);
  high = (vu32)_mm_blend_epi16(_mm_srli_epi64(even, 32), odd, 0xcc);
#endif
}

// The counter of a lane is high:low.
FASTDL_INLINE PhiloxVectors philox_vectors(uint64_t seed, vu32 low, vu32 high) {
  vu32 c0 = low, c1 = high, c2{}, c3{};
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    vu32 high0, low0, high1, low1;
    multiply_wide(c0, 0xD2511F53, high0, low0);
    multiply_wide(c2, 0xCD9E8D57, high1, low1);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

// Counters counter, counter + 1, ...
FASTDL_INLINE PhiloxVectors philox_vectors(uint64_t seed, uint64_t counter) {
  vu32 low{}, high{};
  for (int l = 0; l < kF32; ++l) {
    low[l] = static_cast<uint32_t>(counter + l);
    high[l] = static_cast<uint32_t>((counter + l) >> 32);
  }
  return philox_vectors(seed, low, high);
}

// The bits of elements [4 counter, 4 counter + 4 kF32) in order.
FASTDL_INLINE void philox_bits(uint64_t seed, uint64_t counter, uint32_t* out) {
  const PhiloxVectors x = philox_vectors(seed, counter);
  uint32_t lanes_of[4][kF32];
  for (int j = 0; j < 4; ++j) __builtin_memcpy(lanes_of[j], &x.v[j], sizeof x.v[j]);
  for (int l = 0; l < kF32; ++l)
    for (int j = 0; j < 4; ++j) out[4 * l + j] = lanes_of[j][l];
}

// [0, 1) with 24 random bits.
FASTDL_INLINE vf32 uniform_float(vu32 bits) { return to_float((vi32)(bits >> 8)) * 0x1p-24f; }

}  // namespace FASTDL_CPU_NAMESPACE
