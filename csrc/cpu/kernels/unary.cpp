// Functions of one operand, and predicates. Each is a formula over vectors; the loop over a contiguous tile is one
// template, the walk over everything else is tiles.cpp. Bytes: one read, one write of every element.
#include "cpu/kernels/tiles.h"
#include "cpu/simd/math.h"
#include "cpu/simd/special.h"

namespace FASTDL_CPU_NAMESPACE {

namespace {

template <UnaryOp> struct U {};
template <PredicateOp> struct Q {};
template <class V> struct Params {
  V a, b, c;
};

template <class V> FASTDL_INLINE V ones() { return broadcast<V>(1); }

// ---- arithmetic ----
template <class V> FASTDL_INLINE V apply(U<UnaryOp::neg>, V x, Params<V>) { return -x; }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::abs>, V x, Params<V>) {
  if constexpr (__is_same(V, vi64)) return x < 0 ? -x : x;
  else return abs(x);
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::sign>, V x, Params<V>) {
  const V up = x > 0 ? ones<V>() : zero<V>();
  return x < 0 ? -ones<V>() : up;
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::square>, V x, Params<V>) { return x * x; }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::bitwise_not>, V x, Params<V>) {
  if constexpr (__is_same(V, vi64)) return ~x;
  else return x;  // ops refuse floating-point tensors
}

// ---- exponentials and logarithms ----
template <class V> FASTDL_INLINE V apply(U<UnaryOp::exp>, V x, Params<V>) { return exp(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::exp2>, V x, Params<V>) { return exp2(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::expm1>, V x, Params<V>) { return expm1(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::log>, V x, Params<V>) { return log(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::log2>, V x, Params<V>) { return log2(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::log10>, V x, Params<V>) { return log10(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::log1p>, V x, Params<V>) { return log1p(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::sqrt>, V x, Params<V>) { return sqrt(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::rsqrt>, V x, Params<V>) { return ones<V>() / sqrt(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::reciprocal>, V x, Params<V>) { return ones<V>() / x; }

// ---- special functions ----
template <class V> FASTDL_INLINE V apply(U<UnaryOp::erf>, V x, Params<V>) { return erf(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::erfc>, V x, Params<V>) {
  return in_float64(x, [](double v) { return __builtin_erfc(v); });
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::erfinv>, V x, Params<V>) {
  return in_float64(x, [](double v) { return inverse_erf(v); });
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::ndtri>, V x, Params<V>) {
  return in_float64(x, [](double v) { return normal_quantile(v); });
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::lgamma>, V x, Params<V>) {
  return in_float64(x, [](double v) { return log_gamma(v); });
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::digamma>, V x, Params<V>) {
  return in_float64(x, [](double v) { return digamma(v); });
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::bessel_i0>, V x, Params<V>) {
  return in_float64(x, [](double v) { return bessel_i(0, v); });
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::bessel_i0e>, V x, Params<V>) {
  return in_float64(x, [](double v) { return scaled_bessel_i(0, v); });
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::bessel_i1>, V x, Params<V>) {
  return in_float64(x, [](double v) { return bessel_i(1, v); });
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::bessel_i1e>, V x, Params<V>) {
  return in_float64(x, [](double v) { return scaled_bessel_i(1, v); });
}

// ---- trigonometric and hyperbolic ----
template <class V> FASTDL_INLINE V apply(U<UnaryOp::sin>, V x, Params<V>) { return sin(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::cos>, V x, Params<V>) { return cos(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::tan>, V x, Params<V>) { return tan(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::asin>, V x, Params<V>) { return asin(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::acos>, V x, Params<V>) { return acos(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::atan>, V x, Params<V>) { return atan(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::sinh>, V x, Params<V>) { return sinh(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::cosh>, V x, Params<V>) { return cosh(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::tanh>, V x, Params<V>) { return tanh(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::asinh>, V x, Params<V>) {
  return in_float64(x, [](double v) { return __builtin_asinh(v); });
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::acosh>, V x, Params<V>) {
  return in_float64(x, [](double v) { return __builtin_acosh(v); });
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::atanh>, V x, Params<V>) {
  return in_float64(x, [](double v) { return __builtin_atanh(v); });
}

// ---- rounding ----
template <class V> FASTDL_INLINE V apply(U<UnaryOp::floor>, V x, Params<V>) { return round<kDown>(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::ceil>, V x, Params<V>) { return round<kUp>(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::round>, V x, Params<V>) { return round<kNearest>(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::trunc>, V x, Params<V>) { return round<kTruncate>(x); }

// ---- activations ----
template <class V> FASTDL_INLINE V apply(U<UnaryOp::relu>, V x, Params<V>) { return x <= 0 ? zero<V>() : x; }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::sigmoid>, V x, Params<V>) { return sigmoid(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::log_sigmoid>, V x, Params<V>) { return -softplus(-x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::leaky_relu>, V x, Params<V> p) { return x > 0 ? x : x * p.a; }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::elu>, V x, Params<V> p) {
  return x > 0 ? p.b * x : p.a * p.b * expm1(x * p.c);
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::gelu>, V x, Params<V>) { return gelu(x); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::gelu_tanh>, V x, Params<V>) {
  using T = lane_t<V>;
  return T(0.5) * x * (ones<V>() + tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x)));
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::silu>, V x, Params<V>) { return x / (ones<V>() + exp(-x)); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::mish>, V x, Params<V>) { return x * tanh(softplus(x)); }
template <class V> FASTDL_INLINE V apply(U<UnaryOp::softplus>, V x, Params<V> p) {
  const V scaled = x * p.a;
  return scaled > p.b ? x : softplus(scaled) / p.a;
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::softsign>, V x, Params<V>) { return x / (ones<V>() + abs(x)); }
template <class V> FASTDL_INLINE V clamped(V x, V low, V high) { return min<V>(high, max<V>(low, x)); }  // NaN stays
template <class V> FASTDL_INLINE V apply(U<UnaryOp::hardswish>, V x, Params<V>) {
  return x * clamped<V>(x + 3, zero<V>(), 6 * ones<V>()) / 6;
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::hardsigmoid>, V x, Params<V>) {
  return clamped<V>(x + 3, zero<V>(), 6 * ones<V>()) / 6;
}
template <class V> FASTDL_INLINE V apply(U<UnaryOp::clamp>, V x, Params<V> p) { return clamped<V>(x, p.a, p.b); }

// ---- predicates ----
template <class V> FASTDL_INLINE mask_t<V> apply(Q<PredicateOp::logical_not>, V x) { return x == 0; }
template <class V> FASTDL_INLINE mask_t<V> apply(Q<PredicateOp::isnan>, V x) { return x != x; }
template <class V> FASTDL_INLINE mask_t<V> apply(Q<PredicateOp::isinf>, V x) { return abs(x) == lane_t<V>(__builtin_inf()); }
template <class V> FASTDL_INLINE mask_t<V> apply(Q<PredicateOp::isfinite>, V x) { return abs(x) < lane_t<V>(__builtin_inf()); }

template <class V> FASTDL_INLINE mask_t<V> apply(Q<PredicateOp::signbit>, V x) { return (mask_t<V>)x < 0; }

// ---- tiles ----
template <UnaryOp op, class T> void unary_tile(void* out, const void* const* in, int64_t n, const double* params, bool stream) {
  using V = compute_vector<T>;
  T* y = static_cast<T*>(out);
  const T* x = static_cast<const T*>(in[0]);
  const Params<V> p{broadcast<V>(static_cast<T>(params[0])), broadcast<V>(static_cast<T>(params[1])),
                    broadcast<V>(static_cast<T>(params[2]))};
  int64_t i = 0;
  for (; i + lanes<V> <= n; i += lanes<V>) put<V>(y + i, apply(U<op>(), load<V>(x + i), p), stream);
  if (i < n) store_n<V>(y + i, apply(U<op>(), load_n<V>(x + i, n - i), p), n - i);
}

template <PredicateOp op, class T> void predicate_tile(void* out, const void* const* in, int64_t n, const double*, bool) {
  using V = compute_vector<T>;
  uint8_t* y = static_cast<uint8_t*>(out);
  const T* x = static_cast<const T*>(in[0]);
  int64_t i = 0;
  for (; i + lanes<V> <= n; i += lanes<V>) store_mask<V>(y + i, apply(Q<op>(), load<V>(x + i)), lanes<V>);
  if (i < n) store_mask<V>(y + i, apply(Q<op>(), load_n<V>(x + i, n - i)), n - i);
}

template <UnaryOp op, Types types> constexpr TileRow unary_row() {
  if constexpr (types == Types::any) return {unary_tile<op, float>, unary_tile<op, double>, unary_tile<op, int64_t>};
  else return {unary_tile<op, float>, unary_tile<op, double>, nullptr};
}
template <PredicateOp op, Types types> constexpr TileRow predicate_row() {
  if constexpr (types == Types::any)
    return {predicate_tile<op, float>, predicate_tile<op, double>, predicate_tile<op, int64_t>};
  else return {predicate_tile<op, float>, predicate_tile<op, double>, nullptr};
}

constexpr TileRow kUnary[] = {
#define FASTDL_UNARY(name, types) unary_row<UnaryOp::name, Types::types>(),
#include "kernels/elementwise_ops.def"
};
constexpr TileRow kPredicates[] = {
#define FASTDL_PREDICATE(name, types) predicate_row<PredicateOp::name, Types::types>(),
#include "kernels/elementwise_ops.def"
};

}  // namespace

void unary(const Context&, const UnaryArgs& a) {
  run_tiles({kUnary[static_cast<int>(a.op)][a.compute], a.params, a.compute, a.compute, 1, &a.out, {&a.x}});
}

void predicate(const Context&, const PredicateArgs& a) {
  run_tiles({kPredicates[static_cast<int>(a.op)][a.compute], nullptr, a.compute, DType::b8, 1, &a.out, {&a.x}});
}

}  // namespace FASTDL_CPU_NAMESPACE
