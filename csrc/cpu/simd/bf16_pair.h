// Pairs of bfloat16 that are multiplied and summed by one instruction: AVX512_BF16's vdpbf16ps, sum += low low' + high high',
// for each lane of 32 bits, in float32 (denormals count as zero). It belongs to no level of x86-64: the avx512 level asks
// has_bf16_dot() first. Written as assembly, since the level's code is compiled for processors without it.
#pragma once
#include "cpu/simd/convert.h"

namespace FASTDL_CPU_NAMESPACE {

struct bf16_pair {
  bf16 low, high;  // the elements 2 p and 2 p + 1
};

// A vector of pairs is a vf32 of their bits.
template <class V> FASTDL_INLINE V load_operand(const bf16_pair* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V> FASTDL_INLINE V broadcast_operand(const bf16_pair* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return (V)(bits - vi32{});
}
// Pairs of two vectors of bfloat16, each in the upper half of its lane.
FASTDL_INLINE vf32 interleave(vf32 low, vf32 high) { return (vf32)((vu32)low >> 16 | (vu32)high); }

#if FASTDL_VECTOR_BYTES == 64
using panel_of_bf16 = bf16_pair;  // what bfloat16 is packed to where has_bf16_dot()
FASTDL_INLINE bool has_bf16_dot() { return __builtin_cpu_supports("avx512bf16"); }
FASTDL_INLINE vf32 load_pairs_n(const bf16* p, int64_t n) {  // n < 2 lanes elements
  return (vf32)_mm512_maskz_loadu_epi16(static_cast<__mmask32>((uint64_t{1} << n) - 1), p);
}
FASTDL_INLINE void add_dot(vf32& sum, vf32 x, vf32 y) { asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y)); }
#else
using panel_of_bf16 = float;
FASTDL_INLINE bool has_bf16_dot() { return false; }
#endif

}  // namespace FASTDL_CPU_NAMESPACE
