// Special functions of one number in float64: for vectors of float32 too they are evaluated here, lane by lane, because
// no hot path uses them. What the C library has (erfc, lgamma) is taken from it.
//
// Formulas: Abramowitz and Stegun, chapters 6 (digamma), 7 (erf), 9 (Bessel) and 23 (zeta).
#pragma once
#include "cpu/simd/math.h"

namespace FASTDL_CPU_NAMESPACE {

// f in float64 on each lane.
template <class V, class F> FASTDL_INLINE V in_float64(V v, F f) {
  return map_lanes(v, [f](lane_t<V> x) { return static_cast<lane_t<V>>(f(static_cast<double>(x))); });
}
template <class V, class F> FASTDL_INLINE V in_float64(V a, V b, F f) {
  return map_lanes(a, b, [f](lane_t<V> x, lane_t<V> y) {
    return static_cast<lane_t<V>>(f(static_cast<double>(x), static_cast<double>(y)));
  });
}

constexpr double kPi = 3.14159265358979323846;

// A closed first guess (Winitzki), then Halley steps on erf(y) - x; near 1 on erfc, which keeps the small difference.
FASTDL_INLINE double inverse_erf(double x) {
  const double magnitude = __builtin_fabs(x);
  if (magnitude == 0) return x;
  if (!(magnitude < 1)) return magnitude == 1 ? x * __builtin_inf() : __builtin_nan("");
  const double l = __builtin_log1p(-magnitude * magnitude), b = 2 / (kPi * 0.147) + 0.5 * l;
  double y = magnitude < 1e-3 ? magnitude * 0.886226925452758 : __builtin_sqrt(__builtin_sqrt(b * b - l / 0.147) - b);
  for (int step = 0; step < 3; ++step) {
    const double error = magnitude < 0.5 ? __builtin_erf(y) - magnitude : (1 - magnitude) - __builtin_erfc(y);
    const double t = error * 0.886226925452758 * __builtin_exp(y * y);  // by the slope 2 / sqrt(pi) e^(-y^2)
    y -= t / (1 + y * t);
  }
  return __builtin_copysign(y, x);
}

// Where the area below the normal density left of it is p: a rational guess (26.2.23), then Halley steps on the upper
// tail, whose area keeps its digits however small it is.
FASTDL_INLINE double normal_quantile(double p) {
  if (!(p > 0 && p < 1)) return p == 0 ? -__builtin_inf() : p == 1 ? __builtin_inf() : __builtin_nan("");
  const double area = p < 0.5 ? p : 1 - p, t = __builtin_sqrt(-2 * __builtin_log(area));
  double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int step = 0; step < 2; ++step) {
    const double tail = 0.5 * __builtin_erfc(z * 0.70710678118654752440);
    const double u = (tail - area) * 2.50662827463100050242 * __builtin_exp(0.5 * z * z);  // by the density
    z += u / (1 - 0.5 * u * z);
  }
  return p < 0.5 ? -z : z;
}

// log |Gamma(x)|. (lgamma itself writes a global variable.)
FASTDL_INLINE double log_gamma(double x) {
  int sign;
  return __builtin_lgamma_r(x, &sign);
}

// The slope of log_gamma: upwards by psi(x + 1) = psi(x) + 1 / x, then the asymptotic series; reflected below 0.
FASTDL_INLINE double digamma(double x) {
  if (x == 0) return __builtin_copysign(__builtin_inf(), -x);
  double result = 0;
  if (x < 0) {
    const double fraction = x - __builtin_trunc(x);
    if (fraction == 0) return __builtin_nan("");
    result = -kPi / __builtin_tan(kPi * fraction);
    x = 1 - x;
  }
  for (; x < 10; x += 1) result -= 1 / x;
  const double z = 1 / (x * x);
  const double series =
      z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
  return result + __builtin_log(x) - 0.5 / x - (x < 1e17 ? series : 0);
}

// Hurwitz' zeta of s > 1, q > 0: terms up to q + k = 10, then Euler and Maclaurin's formula for the rest.
FASTDL_INLINE double zeta_of_positive(double s, double q) {
  constexpr double kBernoulli[] = {// B_2j / (2j)!
                                   1.0 / 12,
                                   -1.0 / 720,
                                   1.0 / 30240,
                                   -1.0 / 1209600,
                                   1.0 / 47900160,
                                   -691.0 / 1307674368000,
                                   1.0 / 74724249600,
                                   -3617.0 / 10670622842880000,
                                   43867.0 / 5109094217170944000,
                                   -174611.0 / 802857662698291200000.0};
  if (q == __builtin_inf()) return 0;
  double sum = 0;
  for (; q < 10; q += 1) sum += __builtin_pow(q, -s);
  double power = __builtin_pow(q, -s);
  sum += power * q / (s - 1) + 0.5 * power;
  double factor = s * power / q;
  for (int j = 0; j < 10; ++j) {
    sum += factor * kBernoulli[j];
    factor *= (s + 2 * j + 1) * (s + 2 * j + 2) / (q * q);
  }
  return sum;
}

// sum over k >= 0 of (q + k)^-s. Below 0, for whole s, the terms on both sides of 0 are two such sums.
FASTDL_INLINE double hurwitz_zeta(double s, double q) {
  if (s == 1) return __builtin_inf();
  if (!(s > 1) || q != q) return __builtin_nan("");
  if (q > 0) return zeta_of_positive(s, q);
  const double up = __builtin_ceil(-q);
  if (q + up == 0) return __builtin_inf();
  if (s != __builtin_floor(s)) return __builtin_nan("");
  const double nearest = 1 - (q + up);  // |q + k| of the last term below 0
  const double below = zeta_of_positive(s, nearest) - zeta_of_positive(s, nearest + up);
  return zeta_of_positive(s, q + up) + (__builtin_fmod(s, 2) == 0 ? below : -below);
}

// The regularized incomplete gamma functions, lower P(a, x) and upper Q = 1 - P: the series of P below x = a + 1,
// Legendre's continued fraction of Q above, by Lentz's method. About 5 sqrt(a) terms near x = a, which the limit allows
// up to 1e8.
FASTDL_INLINE double incomplete_gamma(double a, double x, bool upper) {
  if (!(a >= 0) || !(x >= 0)) return __builtin_nan("");
  if (a == 0) return x == 0 ? __builtin_nan("") : upper ? 0 : 1;
  if (x == 0) return upper ? 1 : 0;
  if (x == __builtin_inf()) return a == __builtin_inf() ? __builtin_nan("") : upper ? 0 : 1;
  if (a == __builtin_inf()) return upper ? 1 : 0;
  constexpr int kLimit = 50000;
  const double factor = __builtin_exp(a * __builtin_log(x) - x - log_gamma(a));
  if (x < a + 1) {
    double term = 1 / a, sum = term;
    for (int k = 1; k < kLimit && term > 1e-17 * sum; ++k) sum += term *= x / (a + k);
    return upper ? 1 - factor * sum : factor * sum;
  }
  double b = x + 1 - a, c = 1e300, d = 1 / b, fraction = d;
  for (int k = 1; k < kLimit; ++k) {
    const double numerator = -k * (k - a);
    b += 2;
    d = 1 / (numerator * d + b);
    c = b + numerator / c;
    fraction *= c * d;
    if (__builtin_fabs(c * d - 1) < 1e-16) break;
  }
  return upper ? factor * fraction : 1 - factor * fraction;
}

// e^(-|x|) I_order(x) of order 0 or 1: the power series, beyond 25 the asymptotic one.
FASTDL_INLINE double scaled_bessel_i(int order, double x) {
  const double magnitude = __builtin_fabs(x);
  double term = 1, sum = 1;
  if (magnitude <= 25) {
    const double quarter = 0.25 * x * x;
    for (int k = 1; term > 1e-17 * sum; ++k) sum += term *= quarter / (static_cast<double>(k) * (k + order));
    return sum * __builtin_exp(-magnitude) * (order == 0 ? 1 : 0.5 * x);
  }
  for (int k = 1; k < 50 && __builtin_fabs(term) > 1e-17; ++k)
    sum += term *= ((2 * k - 1) * (2 * k - 1) - 4 * order) / (8 * k * magnitude);
  const double y = sum / __builtin_sqrt(2 * kPi * magnitude);
  return order == 1 && x < 0 ? -y : y;
}
FASTDL_INLINE double bessel_i(int order, double x) {  // e^x overflows before I does
  const double half = __builtin_exp(0.5 * __builtin_fabs(x));
  if (half == __builtin_inf()) return order == 1 ? __builtin_copysign(half, x) : half;
  return half * scaled_bessel_i(order, x) * half;
}

FASTDL_INLINE int64_t greatest_common_divisor(int64_t a, int64_t b) {
  uint64_t x = a < 0 ? -static_cast<uint64_t>(a) : static_cast<uint64_t>(a);
  uint64_t y = b < 0 ? -static_cast<uint64_t>(b) : static_cast<uint64_t>(b);
  while (y != 0) {
    const uint64_t rest = x % y;
    x = y;
    y = rest;
  }
  return static_cast<int64_t>(x);
}

// Counts outside the 64 bits shift everything out.
FASTDL_INLINE int64_t shift_left(int64_t a, int64_t n) {
  return n < 0 || n > 63 ? 0 : static_cast<int64_t>(static_cast<uint64_t>(a) << n);
}
FASTDL_INLINE int64_t shift_right(int64_t a, int64_t n) { return n < 0 || n > 63 ? (a < 0 ? -1 : 0) : a >> n; }

FASTDL_INLINE float next_after(float a, float b) { return __builtin_nextafterf(a, b); }
FASTDL_INLINE double next_after(double a, double b) { return __builtin_nextafter(a, b); }

}  // namespace FASTDL_CPU_NAMESPACE
