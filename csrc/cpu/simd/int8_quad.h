// Quads of bytes that are multiplied and summed: sum += x0 y0 + x1 y1 + x2 y2 + x3 y3 for each lane of 32 bits, x unsigned
// and y signed, exactly. AVX512_VNNI has one instruction for it, vpdpbusd; it belongs to no level of x86-64, so the avx512
// level asks has_int8_dot() first (compare bf16_pair.h). Elsewhere bytes are widened to 16 bits, which cannot saturate.
#pragma once
#include "cpu/simd/vec.h"

namespace FASTDL_CPU_NAMESPACE {

#if FASTDL_VECTOR_BYTES == 64
FASTDL_INLINE bool has_int8_dot() { return __builtin_cpu_supports("avx512vnni"); }
FASTDL_INLINE vi32 multiply_pairs(vi32 x, vi32 y) { return (vi32)_mm512_madd_epi16((__m512i)x, (__m512i)y); }
#elif FASTDL_VECTOR_BYTES == 32
FASTDL_INLINE bool has_int8_dot() { return false; }
FASTDL_INLINE vi32 multiply_pairs(vi32 x, vi32 y) { return (vi32)_mm256_madd_epi16((__m256i)x, (__m256i)y); }
#else
FASTDL_INLINE bool has_int8_dot() { return false; }
FASTDL_INLINE vi32 multiply_pairs(vi32 x, vi32 y) { return (vi32)_mm_madd_epi16((__m128i)x, (__m128i)y); }
#endif

// What is kept of a vector of quads: the quads, or their even and odd bytes in 16 bits each.
template <bool kDot> struct Quads;
template <> struct Quads<true> {
  vi32 all;
};
template <> struct Quads<false> {
  vi32 even, odd;
};

using vi16 = vector_of<int16_t, 2 * kF32>::type;

template <bool kDot> FASTDL_INLINE Quads<kDot> signed_quads(const int8_t* p) {
  vi32 v;
  __builtin_memcpy(&v, p, sizeof v);
  if constexpr (kDot) return {v};
  else return {(vi32)((vi16)v << 8 >> 8), (vi32)((vi16)v >> 8)};
}
template <bool kDot> FASTDL_INLINE Quads<kDot> broadcast_unsigned_quad(const uint8_t* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  const vi32 v = bits - vi32{};
  if constexpr (kDot) return {v};
  else return {v & 0x00ff00ff, (v >> 8) & 0x00ff00ff};
}
template <bool kDot> FASTDL_INLINE void add_dot(vi32& sum, const Quads<kDot>& x, const Quads<kDot>& y) {
#if FASTDL_VECTOR_BYTES == 64
  if constexpr (kDot) asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x.all), "v"(y.all));
  else
#endif
      if constexpr (!kDot)
    sum += multiply_pairs(x.even, y.even) + multiply_pairs(x.odd, y.odd);
}

}  // namespace FASTDL_CPU_NAMESPACE
