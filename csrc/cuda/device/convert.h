// Element types on the device: 16-bit floats are stored as in core/dtype.h and computed with in float32.
#pragma once
#include "core/dtype.h"
#include "cuda/device/language.h"
#if !FASTDL_SIMULATED
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <bit>
#endif

namespace fastdl::cuda {

FASTDL_INLINE float to_float(bf16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

FASTDL_INLINE bf16 to_bf16(float x) {  // to the nearest, ties to even
#if FASTDL_SIMULATED
  const uint32_t u = std::bit_cast<uint32_t>(x);
  if ((u & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>(u >> 16 | 0x40)};
  return {static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16)};
#else
  return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
#endif
}

FASTDL_INLINE float to_float(f16 x) {
#if FASTDL_SIMULATED
  const uint32_t sign = uint32_t{x.bits & 0x8000u} << 16, exponent = x.bits >> 10 & 31, mantissa = x.bits & 0x3ff;
  if (exponent == 0) {
    const float f = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -f : f;
  }
  return std::bit_cast<float>(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | mantissa << 13);
#else
  return __half2float(__ushort_as_half(x.bits));
#endif
}

FASTDL_INLINE f16 to_f16(float x) {
#if FASTDL_SIMULATED
  const uint32_t u = std::bit_cast<uint32_t>(x), sign = u >> 16 & 0x8000;
  const uint32_t magnitude = u & 0x7fffffff;
  if (magnitude > 0x7f800000) return {static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff))};
  if (magnitude >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};  // rounds to infinity
  if (magnitude < 0x38800000) {  // below the normal numbers: the sum rounds at the right bit
    const float f = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(f) & 0xffff))};
  }
  return {static_cast<uint16_t>(sign | (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13)};
#else
  return {__half_as_ushort(__float2half_rn(x))};
#endif
}

// The value of an element in a wider type, and back.
template <class To, class From> FASTDL_INLINE To convert(From x) {
  if constexpr (std::is_same_v<To, From>) return x;
  else if constexpr (std::is_same_v<From, bf16> || std::is_same_v<From, f16>) return convert<To>(to_float(x));
  else if constexpr (std::is_same_v<To, bf16>) return to_bf16(static_cast<float>(x));
  else if constexpr (std::is_same_v<To, f16>) return to_f16(static_cast<float>(x));
  else if constexpr (std::is_same_v<To, bool>) return x != From{};
  // Through int64, so that values out of range wrap as PyTorch's do.
  else if constexpr (std::is_floating_point_v<From> && sizeof(To) < 4) return static_cast<To>(static_cast<int64_t>(x));
  else return static_cast<To>(x);
}

// The type that elements of T are computed with: float for the 16-bit floats.
template <class T> struct ComputeOf {
  using type = T;
};
template <> struct ComputeOf<bf16> {
  using type = float;
};
template <> struct ComputeOf<f16> {
  using type = float;
};
template <class T> using Compute = typename ComputeOf<T>::type;

// f.template operator()<T>() for the floating-point element type t.
template <class F> FASTDL_INLINE void for_float(DType t, const F& f) {
  switch (t) {
    case DType::f32: return f.template operator()<float>();
    case DType::f64: return f.template operator()<double>();
    case DType::bf16: return f.template operator()<bf16>();
    case DType::f16: return f.template operator()<f16>();
    default: return;
  }
}

// f.template operator()<T>() for the type that elements of t are computed with: float, double or int64.
inline DType compute_type(DType t) { return t == DType::f64 ? t : is_floating(t) ? DType::f32 : DType::i64; }
template <class F> void for_compute(DType t, const F& f) {
  switch (compute_type(t)) {
    case DType::f32: return f.template operator()<float>();
    case DType::f64: return f.template operator()<double>();
    default: return f.template operator()<int64_t>();
  }
}

}  // namespace fastdl::cuda
