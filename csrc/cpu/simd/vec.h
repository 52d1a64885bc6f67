// Width-generic vectors over the compiler's vector extensions: a level's registers are 16, 32 or 64 bytes, and the same
// source compiles for each. Arithmetic and comparison are the built-in operators (+ - * / < & | ~ << ?:); this header
// adds loads, stores, conversions and what has no operator. a * b + c contracts to an FMA where the level has one.
//
//   vf32 acc = zero<vf32>();
//   for (; i + kF32 <= n; i += kF32) acc += load<vf32>(x + i) * load<vf32>(y + i);
//   if (i < n) acc += load_n<vf32>(x + i, n - i) * load_n<vf32>(y + i, n - i);   // lanes past n read as zero
//   float s = sum(acc);
#pragma once
#include <immintrin.h>

#include "core/dtype.h"
#include "core/macros.h"

#if defined(__AVX512F__)
#define FASTDL_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define FASTDL_VECTOR_BYTES 32
#else
#define FASTDL_VECTOR_BYTES 16
#endif

namespace FASTDL_CPU_NAMESPACE {

using namespace fastdl;

template <class T, int N> struct vector_of {
  typedef T type __attribute__((vector_size(sizeof(T) * N), may_alias));
};

constexpr int kF32 = FASTDL_VECTOR_BYTES / 4;  // lanes
constexpr int kF64 = FASTDL_VECTOR_BYTES / 8;

using vf32 = vector_of<float, kF32>::type;
using vf64 = vector_of<double, kF64>::type;
using vi32 = vector_of<int32_t, kF32>::type;
using vu32 = vector_of<uint32_t, kF32>::type;
using vi64 = vector_of<int64_t, kF64>::type;
using vu64 = vector_of<uint64_t, kF64>::type;
using vu16 = vector_of<uint16_t, kF32>::type;  // as many 16-bit lanes as there are floats: half a register
using vu8 = vector_of<uint8_t, kF32>::type;    // a quarter of a register

template <class V> struct lane_of;
// clang-format off
template <> struct lane_of<vf32> { using type = float; using mask = vi32; };
template <> struct lane_of<vf64> { using type = double; using mask = vi64; };
template <> struct lane_of<vi32> { using type = int32_t; using mask = vi32; };
template <> struct lane_of<vi64> { using type = int64_t; using mask = vi64; };
// clang-format on
template <class V> using lane_t = typename lane_of<V>::type;
template <class V> using mask_t = typename lane_of<V>::mask;
template <class V> constexpr int lanes = sizeof(V) / sizeof(lane_t<V>);

template <class V> FASTDL_INLINE V zero() { return V{}; }
template <class V> FASTDL_INLINE mask_t<V> lane_numbers() {  // 0, 1, 2, ...
  mask_t<V> lane{};
  for (int i = 0; i < lanes<V>; ++i) lane[i] = i;
  return lane;
}
template <class V> FASTDL_INLINE V broadcast(lane_t<V> x) { return x - V{}; }

template <class V> FASTDL_INLINE V load(const lane_t<V>* p) {  // unaligned
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V> FASTDL_INLINE void store(lane_t<V>* p, V v) { __builtin_memcpy(p, &v, sizeof v); }

// First n lanes, 0 < n < lanes<V>; the rest read as zero and are not touched by the store.
template <class V> FASTDL_INLINE V load_n(const lane_t<V>* p, int64_t n) {
#if FASTDL_VECTOR_BYTES == 64
  if constexpr (sizeof(lane_t<V>) == 4) return (V)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
  else return (V)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
#else
  V v{};
  for (int i = 0; i < lanes<V>; ++i)
    if (i < n) v[i] = p[i];
  return v;
#endif
}
template <class V> FASTDL_INLINE void store_n(lane_t<V>* p, V v, int64_t n) {
#if FASTDL_VECTOR_BYTES == 64
  if constexpr (sizeof(lane_t<V>) == 4) _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), (__m512)v);
  else _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), (__m512d)v);
#else
  for (int i = 0; i < lanes<V>; ++i)
    if (i < n) p[i] = v[i];
#endif
}

// Past the caches, for outputs much larger than they are; p is aligned to the vector's size. Other threads see these
// stores after stream_fence() only.
FASTDL_INLINE void stream_fence() { _mm_sfence(); }
FASTDL_INLINE void store_stream(float* p, vf32 v) {
#if FASTDL_VECTOR_BYTES == 64
  _mm512_stream_ps(p, (__m512)v);
#elif FASTDL_VECTOR_BYTES == 32
  _mm256_stream_ps(p, (__m256)v);
#else
  _mm_stream_ps(p, (__m128)v);
#endif
}

// Whether a lane of a comparison's result is set.
FASTDL_INLINE bool any(vi32 mask) {
#if FASTDL_VECTOR_BYTES == 64
  return _mm512_movepi32_mask((__m512i)mask) != 0;
#elif FASTDL_VECTOR_BYTES == 32
  return _mm256_movemask_ps((__m256)mask) != 0;
#else
  return _mm_movemask_ps((__m128)mask) != 0;
#endif
}

template <class V> FASTDL_INLINE V select(mask_t<V> mask, V a, V b) { return mask ? a : b; }

// One instruction; b where either is NaN. (GCC makes a comparison and a blend of a > b ? a : b at 512 bits.)
template <class V> FASTDL_INLINE V max(V a, V b) {
#if FASTDL_VECTOR_BYTES == 64
  if constexpr (__is_same(V, vf32)) return (vf32)_mm512_max_ps((__m512)a, (__m512)b);
  else if constexpr (__is_same(V, vf64)) return (vf64)_mm512_max_pd((__m512d)a, (__m512d)b);
  else
#endif
    return a > b ? a : b;
}
template <class V> FASTDL_INLINE V min(V a, V b) {
#if FASTDL_VECTOR_BYTES == 64
  if constexpr (__is_same(V, vf32)) return (vf32)_mm512_min_ps((__m512)a, (__m512)b);
  else if constexpr (__is_same(V, vf64)) return (vf64)_mm512_min_pd((__m512d)a, (__m512d)b);
  else
#endif
    return a < b ? a : b;
}
// NaN-propagating in both operands, unlike the instructions alone. Also of numbers.
template <class V> FASTDL_INLINE V max_nan(V a, V b) {
  const V m = max<V>(a, b);
  return a != a ? a : m;
}
template <class V> FASTDL_INLINE V min_nan(V a, V b) {
  const V m = min<V>(a, b);
  return a != a ? a : m;
}

FASTDL_INLINE vf32 abs(vf32 v) { return (vf32)((vi32)v & 0x7fffffff); }
FASTDL_INLINE vf64 abs(vf64 v) { return (vf64)((vi64)v & 0x7fffffffffffffff); }

FASTDL_INLINE vf32 sqrt(vf32 v) {
#if FASTDL_VECTOR_BYTES == 64
  return (vf32)_mm512_sqrt_ps((__m512)v);
#elif FASTDL_VECTOR_BYTES == 32
  return (vf32)_mm256_sqrt_ps((__m256)v);
#else
  return (vf32)_mm_sqrt_ps((__m128)v);
#endif
}
FASTDL_INLINE vf64 sqrt(vf64 v) {
#if FASTDL_VECTOR_BYTES == 64
  return (vf64)_mm512_sqrt_pd((__m512d)v);
#elif FASTDL_VECTOR_BYTES == 32
  return (vf64)_mm256_sqrt_pd((__m256d)v);
#else
  return (vf64)_mm_sqrt_pd((__m128d)v);
#endif
}

// Rounding modes as in SSE4.1: nearest even, down, up, towards zero.
enum Rounding { kNearest = 0, kDown = 1, kUp = 2, kTruncate = 3 };
template <Rounding R> FASTDL_INLINE vf32 round(vf32 v) {
#if FASTDL_VECTOR_BYTES == 64
  return (vf32)_mm512_roundscale_ps((__m512)v, R | _MM_FROUND_NO_EXC);
#elif FASTDL_VECTOR_BYTES == 32
  return (vf32)_mm256_round_ps((__m256)v, R | _MM_FROUND_NO_EXC);
#else
  return (vf32)_mm_round_ps((__m128)v, R | _MM_FROUND_NO_EXC);
#endif
}
template <Rounding R> FASTDL_INLINE vf64 round(vf64 v) {
#if FASTDL_VECTOR_BYTES == 64
  return (vf64)_mm512_roundscale_pd((__m512d)v, R | _MM_FROUND_NO_EXC);
#elif FASTDL_VECTOR_BYTES == 32
  return (vf64)_mm256_round_pd((__m256d)v, R | _MM_FROUND_NO_EXC);
#else
  return (vf64)_mm_round_pd((__m128d)v, R | _MM_FROUND_NO_EXC);
#endif
}

FASTDL_INLINE vi32 to_int(vf32 v) { return __builtin_convertvector(v, vi32); }  // truncates
FASTDL_INLINE vf32 to_float(vi32 v) { return __builtin_convertvector(v, vf32); }

// Horizontal reductions, in a fixed tree order.
FASTDL_INLINE float sum(vf32 v) {
  float x[kF32];
  store<vf32>(x, v);
  for (int w = kF32 / 2; w > 0; w /= 2)
    for (int i = 0; i < w; ++i) x[i] += x[i + w];
  return x[0];
}
FASTDL_INLINE double sum(vf64 v) {
  double x[kF64];
  store<vf64>(x, v);
  for (int w = kF64 / 2; w > 0; w /= 2)
    for (int i = 0; i < w; ++i) x[i] += x[i + w];
  return x[0];
}
template <class V> FASTDL_INLINE lane_t<V> max_lane(V v) {
  lane_t<V> x[lanes<V>];
  store<V>(x, v);
  for (int w = lanes<V> / 2; w > 0; w /= 2)
    for (int i = 0; i < w; ++i) x[i] = x[i] > x[i + w] ? x[i] : x[i + w];
  return x[0];
}

// bfloat16 is the upper half of a float32; rounding to nearest even, NaN kept quiet.
FASTDL_INLINE vf32 load_bf16(const bf16* p) {
  vu16 h;
  __builtin_memcpy(&h, p, sizeof h);
  return (vf32)(__builtin_convertvector(h, vu32) << 16);
}
FASTDL_INLINE void store_bf16(bf16* p, vf32 v) {
  const vu32 u = (vu32)v;
  const vu32 rounded = u + 0x7fff + ((u >> 16) & 1);
  const vu32 bits = (v != v) ? (u | 0x400000) : rounded;
  const vu16 h = __builtin_convertvector(bits >> 16, vu16);
  __builtin_memcpy(p, &h, sizeof h);
}
FASTDL_INLINE float to_f32(bf16 x) {
  const uint32_t u = static_cast<uint32_t>(x.bits) << 16;
  float f;
  __builtin_memcpy(&f, &u, 4);
  return f;
}
FASTDL_INLINE bf16 to_bf16(float f) {
  uint32_t u;
  __builtin_memcpy(&u, &f, 4);
  if (f != f) return {static_cast<uint16_t>((u | 0x400000) >> 16)};
  return {static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16)};
}

// float16: F16C above the base level, integer arithmetic below.
FASTDL_INLINE float to_f32(f16 x) {
#if defined(__F16C__)
  return _cvtsh_ss(x.bits);
#else
  const uint32_t sign = (x.bits & 0x8000u) << 16, em = x.bits & 0x7fffu;
  uint32_t u;
  if (em >= 0x7c00) u = sign | 0x7f800000 | ((em & 0x3ff) << 13);
  else if (em >= 0x400) u = sign | ((em << 13) + 0x38000000);
  else {  // subnormal: an integer multiple of 2^-24, exact in float32
    const float f = static_cast<float>(em) * 0x1p-24f;
    __builtin_memcpy(&u, &f, 4);
    u |= sign;
  }
  float f;
  __builtin_memcpy(&f, &u, 4);
  return f;
#endif
}
FASTDL_INLINE f16 to_f16(float f) {
#if defined(__F16C__)
  return {static_cast<uint16_t>(_cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT))};
#else
  uint32_t u;
  __builtin_memcpy(&u, &f, 4);
  const uint16_t sign = static_cast<uint16_t>((u >> 16) & 0x8000);
  u &= 0x7fffffff;
  if (u > 0x7f800000) return {static_cast<uint16_t>(sign | 0x7e00)};
  if (u >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};  // rounds to infinity
  if (u < 0x38800000) {  // subnormal: adding 0.5 puts the bits at the bottom of the mantissa, rounded to nearest even
    float a;
    __builtin_memcpy(&a, &u, 4);
    a += 0.5f;
    uint32_t b;
    __builtin_memcpy(&b, &a, 4);
    return {static_cast<uint16_t>(sign | (b - 0x3f000000))};
  }
  return {static_cast<uint16_t>(sign | ((u - 0x38000000 + 0xfff + ((u >> 13) & 1)) >> 13))};
#endif
}
FASTDL_INLINE vf32 load_f16(const f16* p) {
#if FASTDL_VECTOR_BYTES == 64
  return (vf32)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif FASTDL_VECTOR_BYTES == 32
  return (vf32)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  vf32 v;
  for (int i = 0; i < kF32; ++i) v[i] = to_f32(p[i]);
  return v;
#endif
}
FASTDL_INLINE void store_f16(f16* p, vf32 v) {
#if FASTDL_VECTOR_BYTES == 64
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif FASTDL_VECTOR_BYTES == 32
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
  for (int i = 0; i < kF32; ++i) p[i] = to_f16(v[i]);
#endif
}

}  // namespace FASTDL_CPU_NAMESPACE
