// Loads and stores of elements of any floating type, by pointer type; 16-bit floats are float32 in registers.
#pragma once
#include "cpu/simd/vec.h"

namespace FASTDL_CPU_NAMESPACE {

FASTDL_INLINE vf32 load_as(const float* p) { return load<vf32>(p); }
FASTDL_INLINE vf64 load_as(const double* p) { return load<vf64>(p); }
FASTDL_INLINE vf32 load_as(const f16* p) { return load_f16(p); }
FASTDL_INLINE vf32 load_as(const bf16* p) { return load_bf16(p); }

FASTDL_INLINE float value(float x) { return x; }
FASTDL_INLINE double value(double x) { return x; }
FASTDL_INLINE float value(f16 x) { return to_f32(x); }
FASTDL_INLINE float value(bf16 x) { return to_f32(x); }

FASTDL_INLINE void store_as(float* p, vf32 v) { store<vf32>(p, v); }
FASTDL_INLINE void store_as(double* p, vf64 v) { store<vf64>(p, v); }
FASTDL_INLINE void store_as(f16* p, vf32 v) { store_f16(p, v); }
FASTDL_INLINE void store_as(bf16* p, vf32 v) { store_bf16(p, v); }

// The first n lanes, 0 < n < lanes.
FASTDL_INLINE void store_as_n(float* p, vf32 v, int64_t n) { store_n<vf32>(p, v, n); }
FASTDL_INLINE void store_as_n(double* p, vf64 v, int64_t n) { store_n<vf64>(p, v, n); }
template <class S> FASTDL_INLINE void store_as_n(S* p, vf32 v, int64_t n) {
  S x[kF32];
  store_as(x, v);
  __builtin_memcpy(p, x, n * sizeof(S));
}

}  // namespace FASTDL_CPU_NAMESPACE
