// Elementary functions over the vectors of vec.h. float32: argument reduction and a minimax polynomial (or rational) in
// FMAs, at most 3 ulp (most of them 1), NaN, infinities, signed zeros, subnormals and overflow as in the C library.
// float64, and functions that no hot path uses, call the C library lane by lane.
//
// Tails use load_n and store_n around the same functions: lanes past the end hold zero, for which every function here is
// defined.
//
// Coefficients: Lawson-weighted least squares on Chebyshev nodes in 40 digits, rounded to float32 one at a time with the
// rest fitted again. The reduction constants have trailing zeros, so n * constant is exact also without an FMA.
#pragma once
#include "cpu/simd/vec.h"

namespace FASTDL_CPU_NAMESPACE {

// c0 + x * (c1 + x * (c2 + ...))
template <class V> FASTDL_INLINE V polynomial(V, lane_t<V> c0) { return broadcast<V>(c0); }
template <class V, class... C> FASTDL_INLINE V polynomial(V x, lane_t<V> c0, C... rest) {
  return polynomial<V>(x, static_cast<lane_t<V>>(rest)...) * x + c0;
}

// f on each lane, for scalar library functions.
template <class V, class F> FASTDL_INLINE V map_lanes(V v, F f) {
  lane_t<V> x[lanes<V>];
  store<V>(x, v);
  for (int i = 0; i < lanes<V>; ++i) x[i] = f(x[i]);
  return load<V>(x);
}
template <class V, class F> FASTDL_INLINE V map_lanes(V a, V b, F f) {
  lane_t<V> x[lanes<V>], y[lanes<V>];
  store<V>(x, a);
  store<V>(y, b);
  for (int i = 0; i < lanes<V>; ++i) x[i] = f(x[i], y[i]);
  return load<V>(x);
}

FASTDL_INLINE vf32 copy_sign(vf32 magnitude, vf32 sign) {
  return (vf32)((vi32)magnitude | ((vi32)sign & static_cast<int32_t>(0x80000000)));  // of a magnitude >= 0
}

constexpr float kInfF32 = __builtin_inff();
constexpr float kNanF32 = __builtin_nanf("");

// ---- exponentials ----

// v * 2^n for integral n in [-252, 254], rounding once into the subnormals.
FASTDL_INLINE vf32 scale_by_power_of_two(vf32 v, vf32 n) {
#if FASTDL_VECTOR_BYTES == 64
  return (vf32)_mm512_scalef_ps((__m512)v, (__m512)n);
#else
  const vi32 k = to_int(n), half = k >> 1;
  return v * (vf32)((half + 127) << 23) * (vf32)((k - half + 127) << 23);
#endif
}

// For x in [-104, 89].
FASTDL_INLINE vf32 exp_in_range(vf32 x) {
  const vf32 n = round<kNearest>(x * 1.44269504f);
  const vf32 r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  const vf32 p = polynomial<vf32>(r, 4.9999994e-01f, 1.666652e-01f, 4.1668244e-02f, 8.3688395e-03f, 1.3822948e-03f);
  return scale_by_power_of_two((p * (r * r) + r) + 1.0f, n);
}
FASTDL_INLINE vf32 exp(vf32 x) {
  return exp_in_range(min<vf32>(broadcast<vf32>(89.0f), max<vf32>(broadcast<vf32>(-104.0f), x)));  // keeps NaN
}

FASTDL_INLINE vf32 exp_of_negative(vf32 x) { return exp_in_range(max<vf32>(broadcast<vf32>(-104.0f), x)); }  // or of 0, NaN

// For x in [-151, 129].
FASTDL_INLINE vf32 exp2_in_range(vf32 x) {
  const vf32 n = round<kNearest>(x);
  const vf32 r = x - n;
  const vf32 p =
      polynomial<vf32>(r, 6.931472e-01f, 2.4022648e-01f, 5.5503592e-02f, 9.618498e-03f, 1.3391188e-03f, 1.5330012e-04f);
  return scale_by_power_of_two(p * r + 1.0f, n);
}
FASTDL_INLINE vf32 exp2(vf32 x) {
  return exp2_in_range(min<vf32>(broadcast<vf32>(129.0f), max<vf32>(broadcast<vf32>(-151.0f), x)));
}

// e^x - 1 = 2 (2^(n-1) expm1(r) + (2^(n-1) - 1/2)): halved, so that n = 128 does not overflow.
FASTDL_INLINE vf32 expm1(vf32 x) {
  const vf32 clamped = min<vf32>(broadcast<vf32>(89.0f), max<vf32>(broadcast<vf32>(-18.0f), x));
  const vf32 n = round<kNearest>(clamped * 1.44269504f);
  const vf32 r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  const vf32 p = polynomial<vf32>(r, 5.e-01f, 1.6666666e-01f, 4.1666493e-02f, 8.333543e-03f, 1.3932362e-03f, 1.9764379e-04f);
  const vf32 half_power = (vf32)((to_int(n) + 126) << 23);
  const vf32 y = 2.0f * (half_power * (p * (r * r) + r) + (half_power - 0.5f));
  return x == 0.0f ? x : y;
}

// 1 / (1 + e^-x)
FASTDL_INLINE vf32 sigmoid(vf32 x) { return 1.0f / (1.0f + exp(-x)); }

// An odd polynomial below 0.62, 1 - 2 / (e^2x + 1) above; 1 in float32 beyond 9.02.
FASTDL_INLINE vf32 tanh(vf32 x) {
  const vf32 a = min<vf32>(broadcast<vf32>(9.02f), abs(x)), u = a * a;
  const vf32 small =
      x + x * (u * polynomial<vf32>(u, -3.3333278e-01f, 1.3331322e-01f, -5.3729367e-02f, 2.0604296e-02f, -5.665064e-03f));
  const vf32 large = 1.0f - 2.0f / (exp_in_range(a + a) + 1.0f);
  return a < 0.62f ? small : copy_sign(large, x);
}

// ---- logarithms ----

// x = 2^e m with m in [sqrt(1/2), sqrt(2)), for positive finite x (log_domain() mends the rest); returns m - 1.
FASTDL_INLINE vf32 split_exponent(vf32 x, vi32& e) {
  const mask_t<vf32> subnormal = x < 0x1p-126f;
  const vu32 bits = (vu32)(subnormal ? x * 0x1p23f : x);  // unsigned: whatever the other numbers' bits are, they wrap
  const vi32 k = (vi32)(bits - 0x3f3504f3u) >> 23;
  e = k + (subnormal & -23);
  return (vf32)(bits - ((vu32)k << 23)) - 1.0f;
}
// log(1 + f) as f - f^2 / 2 + f^3 P(f).
FASTDL_INLINE vf32 log_one_plus(vf32 f) {
  const vf32 p = polynomial<vf32>(f, 3.3333313e-01f, -2.500001e-01f, 2.0002072e-01f, -1.6667992e-01f, 1.4220364e-01f,
                                  -1.2406168e-01f, 1.1883413e-01f, -1.1670448e-01f, 6.750023e-02f);
  const vf32 f2 = f * f;
  return f - (0.5f * f2 - f2 * f * p);
}
FASTDL_INLINE vf32 log_domain(vf32 x, vf32 y) {
  y = x < kInfF32 ? y : x;  // infinity and NaN
  const vf32 outside = x == 0.0f ? broadcast<vf32>(-kInfF32) : broadcast<vf32>(kNanF32);
  return x <= 0.0f ? outside : y;
}

FASTDL_INLINE vf32 log(vf32 x) {
  vi32 k;
  const vf32 l = log_one_plus(split_exponent(x, k)), e = to_float(k);
  return log_domain(x, e * 0.693359375f + (e * -2.12194440e-4f + l));
}
FASTDL_INLINE vf32 log2(vf32 x) {
  vi32 k;
  const vf32 l = log_one_plus(split_exponent(x, k));
  return log_domain(x, to_float(k) + (l * 1.925963033e-8f + l * 1.44269504f));
}
FASTDL_INLINE vf32 log10(vf32 x) {
  vi32 k;
  const vf32 l = log_one_plus(split_exponent(x, k)), e = to_float(k);
  return log_domain(x, e * 0.30078125f + (e * 2.48745663981195e-4f + l * 0.434294482f));
}
// log(1 + x): u = 1 + x rounded, and what the rounding lost goes into the reduced argument.
FASTDL_INLINE vf32 log1p(vf32 x) {
  const vf32 u = 1.0f + x, one = broadcast<vf32>(1.0f);
  const vf32 lost = abs(x) > 1.0f ? one - (u - x) : x - (u - one);
  vi32 k;
  const vf32 f = split_exponent(u, k), e = to_float(k);
  const vf32 l = log_one_plus(f + (u < 0x1p64f ? lost * (vf32)((127 - k) << 23) : zero<vf32>()));
  const vf32 y = log_domain(u, e * 0.693359375f + (e * -2.12194440e-4f + l));
  return x == 0.0f ? x : y;
}

// log(1 + e^x)
FASTDL_INLINE vf32 softplus(vf32 x) { return max_nan<vf32>(x, zero<vf32>()) + log1p(exp(-abs(x))); }

// ---- the error function and the normal distribution ----

// An odd polynomial below 1, 1 - e^P(|x|) above; 1 in float32 beyond 3.95.
FASTDL_INLINE vf32 erf(vf32 x) {
  const vf32 a = min<vf32>(broadcast<vf32>(3.95f), abs(x)), u = x * x;
  const vf32 small = x + x * polynomial<vf32>(u, 1.2837917e-01f, -3.7612626e-01f, 1.12835795e-01f, -2.6853422e-02f,
                                              5.1873913e-03f, -8.000632e-04f, 7.8185454e-05f);
  const vf32 large = 1.0f - exp_in_range(polynomial<vf32>(a, -3.207104e-04f, -1.1271712e+00f, -6.380129e-01f, -1.0321779e-01f,
                                                          2.1889543e-02f, -2.960119e-03f, 1.8760875e-04f));
  return a < 1.0f ? small : copy_sign(large, x);
}

// ---- trigonometric functions ----

// sin(x + quarter * pi / 2). Reduction by pi / 2 in four parts up to |x| = 8192 (n * part is exact in 24 bits); beyond,
// the library.
template <int quarter> FASTDL_INLINE vf32 sine_shifted(vf32 x) {
  const vf32 n = round<kNearest>(x * 0.636619772f);
  const vf32 r = (((x - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.549533620476723e-8f) - n * 2.5633440682e-12f;
  const vi32 q = to_int(n) + quarter;
  const vf32 u = r * r;
  const vf32 s = r + r * u * polynomial<vf32>(u, -1.6666667e-01f, 8.333379e-03f, -1.9853067e-04f, 2.8326044e-06f);
  const vf32 c = 1.0f - (0.5f * u - u * u * polynomial<vf32>(u, 4.1666646e-02f, -1.388731e-03f, 2.4432336e-05f));
  const vf32 y = (q & 1) != 0 ? c : s;
  return (vf32)((vi32)y ^ ((q & 2) << 30));
}
FASTDL_INLINE vf32 sin(vf32 x) {
  if (FASTDL_UNLIKELY(any(abs(x) > 8192.0f))) return map_lanes(x, [](float v) { return __builtin_sinf(v); });
  return sine_shifted<0>(x);
}
FASTDL_INLINE vf32 cos(vf32 x) {
  if (FASTDL_UNLIKELY(any(abs(x) > 8192.0f))) return map_lanes(x, [](float v) { return __builtin_cosf(v); });
  return sine_shifted<1>(x);
}

// ---- functions that stay with the C library ----

FASTDL_INLINE vf32 tan(vf32 x) {
  return map_lanes(x, [](float v) { return __builtin_tanf(v); });
}
FASTDL_INLINE vf32 asin(vf32 x) {
  return map_lanes(x, [](float v) { return __builtin_asinf(v); });
}
FASTDL_INLINE vf32 acos(vf32 x) {
  return map_lanes(x, [](float v) { return __builtin_acosf(v); });
}
FASTDL_INLINE vf32 atan(vf32 x) {
  return map_lanes(x, [](float v) { return __builtin_atanf(v); });
}
FASTDL_INLINE vf32 sinh(vf32 x) {
  return map_lanes(x, [](float v) { return __builtin_sinhf(v); });
}
FASTDL_INLINE vf32 cosh(vf32 x) {
  return map_lanes(x, [](float v) { return __builtin_coshf(v); });
}
FASTDL_INLINE vf32 pow(vf32 x, vf32 y) {
  return map_lanes(x, y, [](float a, float b) { return __builtin_powf(a, b); });
}
FASTDL_INLINE vf32 atan2(vf32 x, vf32 y) {
  return map_lanes(x, y, [](float a, float b) { return __builtin_atan2f(a, b); });
}
FASTDL_INLINE vf32 fmod(vf32 x, vf32 y) {
  return map_lanes(x, y, [](float a, float b) { return __builtin_fmodf(a, b); });
}

FASTDL_INLINE vf64 exp(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_exp(v); });
}
FASTDL_INLINE vf64 exp_of_negative(vf64 x) { return exp(x); }
FASTDL_INLINE vf64 exp2(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_exp2(v); });
}
FASTDL_INLINE vf64 expm1(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_expm1(v); });
}
FASTDL_INLINE vf64 sigmoid(vf64 x) { return 1.0 / (1.0 + exp(-x)); }
FASTDL_INLINE vf64 tanh(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_tanh(v); });
}
FASTDL_INLINE vf64 log(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_log(v); });
}
FASTDL_INLINE vf64 log2(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_log2(v); });
}
FASTDL_INLINE vf64 log10(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_log10(v); });
}
FASTDL_INLINE vf64 log1p(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_log1p(v); });
}
FASTDL_INLINE vf64 softplus(vf64 x) { return max_nan<vf64>(x, zero<vf64>()) + log1p(exp(-abs(x))); }
FASTDL_INLINE vf64 erf(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_erf(v); });
}
FASTDL_INLINE vf64 sin(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_sin(v); });
}
FASTDL_INLINE vf64 cos(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_cos(v); });
}
FASTDL_INLINE vf64 tan(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_tan(v); });
}
FASTDL_INLINE vf64 asin(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_asin(v); });
}
FASTDL_INLINE vf64 acos(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_acos(v); });
}
FASTDL_INLINE vf64 atan(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_atan(v); });
}
FASTDL_INLINE vf64 sinh(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_sinh(v); });
}
FASTDL_INLINE vf64 cosh(vf64 x) {
  return map_lanes(x, [](double v) { return __builtin_cosh(v); });
}
FASTDL_INLINE vf64 pow(vf64 x, vf64 y) {
  return map_lanes(x, y, [](double a, double b) { return __builtin_pow(a, b); });
}
FASTDL_INLINE vf64 atan2(vf64 x, vf64 y) {
  return map_lanes(x, y, [](double a, double b) { return __builtin_atan2(a, b); });
}
FASTDL_INLINE vf64 fmod(vf64 x, vf64 y) {
  return map_lanes(x, y, [](double a, double b) { return __builtin_fmod(a, b); });
}

// The standard normal distribution function and density.
template <class V> FASTDL_INLINE V normal_cdf(V x) {
  using T = lane_t<V>;
  return T(0.5) * erf(x * T(0.70710678118654752440)) + T(0.5);
}
template <class V> FASTDL_INLINE V normal_pdf(V x) {
  using T = lane_t<V>;
  return T(0.39894228040143267794) * exp(T(-0.5) * x * x);
}

// x normal_cdf(x) as max(x, 0) - |x| q(|x|), where q(a) = erfc(a / sqrt(2)) / 2 = 2^(a P(a) - 1) is the upper tail, to 1e-8
// of q(0): one exponential for all x. From |x| = 6 on, the second term, below 1e-8, is left out: below -6 the result is 0,
// its limit at minus infinity.
FASTDL_INLINE vf32 gelu(vf32 x) {
  const vf32 a = min<vf32>(broadcast<vf32>(6.0f), abs(x));
  const vf32 p = polynomial<vf32>(a, -1.15110517f, -0.459208518f, -0.0524952412f, 0.00706209196f, -0.000135923518f,
                                  -0.000186602891f, 3.94681374e-05f, -2.84264911e-06f);
  const vf32 positive = x <= 0 ? zero<vf32>() : x;
  return positive - select<vf32>(a >= 6.0f, zero<vf32>(), 0.5f * a * exp2_in_range(a * p));
}
// The derivative, normal_cdf(x) + x normal_pdf(x): t(|x|) below 0 and 1 - t(|x|) above, with t(a) = q(a) - a normal_pdf(a) =
// e^(-a^2 / 2) D(a).
FASTDL_INLINE vf32 gelu_slope(vf32 x) {
  const vf32 a = min<vf32>(broadcast<vf32>(6.0f), abs(x));
  const vf32 d =
      polynomial<vf32>(a, 0.49999997f, -0.797881961f, 0.249962032f, -0.132757485f, 0.0618092567f, -0.0253130887f,
                       0.00886782724f, -0.0025160301f, 0.000538081978f, -7.93665968e-05f, 7.07294794e-06f, -2.83736483e-07f);
  const vf32 t = select<vf32>(a >= 6.0f, zero<vf32>(), d * exp_in_range(-0.5f * a * a));
  return x > 0.0f ? 1.0f - t : t;
}
FASTDL_INLINE vf64 gelu_slope(vf64 x) { return normal_cdf(x) + x * normal_pdf(x); }
FASTDL_INLINE vf64 gelu(vf64 x) { return select<vf64>(x < -40.0, zero<vf64>(), x * normal_cdf(x)); }

}  // namespace FASTDL_CPU_NAMESPACE
