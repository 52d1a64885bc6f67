// Loads and stores that convert between a storage type and the vector it is computed in: float64 in vf64, int64
// in vi64, float32, float16 and bfloat16 in vf32. The _n forms take 0 < n < lanes; lanes past n read as zero.
#pragma once
#include "cpu/simd/vec.h"

namespace FASTDL_CPU_NAMESPACE {

// clang-format off
template <class S> struct compute_vector_of { using type = vf32; };
template <> struct compute_vector_of<double> { using type = vf64; };
template <> struct compute_vector_of<int64_t> { using type = vi64; };
// clang-format on
template <class S> using compute_vector = typename compute_vector_of<S>::type;

template <class V, class S> FASTDL_INLINE V load_as(const S* p) {
  if constexpr (sizeof(S) == sizeof(lane_t<V>)) return load<V>(p);
  else if constexpr (dtype_of<S> == DType::bf16) return load_bf16(p);
  else return load_f16(p);
}
template <class V, class S> FASTDL_INLINE void store_as(S* p, V v) {
  if constexpr (sizeof(S) == sizeof(lane_t<V>)) store<V>(p, v);
  else if constexpr (dtype_of<S> == DType::bf16) store_bf16(p, v);
  else store_f16(p, v);
}
template <class V, class S> FASTDL_INLINE V load_as_n(const S* p, int64_t n) {
  if constexpr (sizeof(S) == sizeof(lane_t<V>)) {
    return load_n<V>(p, n);
  } else {
    S x[lanes<V>] = {};
#if FASTDL_VECTOR_BYTES == 64
    const __m256i bits = _mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << n) - 1), p);
    __builtin_memcpy(x, &bits, sizeof x);
#else
    __builtin_memcpy(x, p, n * sizeof(S));
#endif
    return load_as<V>(x);
  }
}
template <class V, class S> FASTDL_INLINE void store_as_n(S* p, V v, int64_t n) {
  if constexpr (sizeof(S) == sizeof(lane_t<V>)) {
    store_n<V>(p, v, n);
  } else {
    S x[lanes<V>];
    store_as<V>(x, v);
#if FASTDL_VECTOR_BYTES == 64
    __m256i bits;
    __builtin_memcpy(&bits, x, sizeof x);
    _mm256_mask_storeu_epi16(p, static_cast<__mmask16>((1u << n) - 1), bits);
#else
    __builtin_memcpy(p, x, n * sizeof(S));
#endif
  }
}

// One element, in the type it is computed in.
FASTDL_INLINE float to_compute(float x) { return x; }
FASTDL_INLINE double to_compute(double x) { return x; }
FASTDL_INLINE float to_compute(f16 x) { return to_f32(x); }
FASTDL_INLINE float to_compute(bf16 x) { return to_f32(x); }
FASTDL_INLINE void from_compute(float* p, float x) { *p = x; }
FASTDL_INLINE void from_compute(double* p, double x) { *p = x; }
FASTDL_INLINE void from_compute(f16* p, float x) { *p = to_f16(x); }
FASTDL_INLINE void from_compute(bf16* p, float x) { *p = to_bf16(x); }

// f(S{}) with the storage type of a floating-point dtype.
template <class F> FASTDL_INLINE void visit_floating(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f16: return f(f16{});
    case DType::bf16: return f(bf16{});
    case DType::f64: return f(double{});
    default: return f(float{});
  }
}

}  // namespace FASTDL_CPU_NAMESPACE
