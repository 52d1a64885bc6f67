// Functions of one operand, and predicates. Each is a formula; the walk over memory is kernels/elementwise.h.
// Bytes: one read, one write of every element.
#include "cuda/device/math.h"
#include "cuda/kernels/elementwise.h"
#include "kernels/elementwise.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

template <UnaryOp> struct U {};
template <PredicateOp> struct Q {};

// ---- arithmetic ----
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::neg>, T x, Params<T>) { return -x; }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::abs>, T x, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) return abs(x);
  else return x < 0 ? -x : x;
}
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::sign>, T x, Params<T>) { return T((x > 0) - (x < 0)); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::square>, T x, Params<T>) { return x * x; }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::bitwise_not>, T x, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) return x;  // ops refuse floating-point tensors
  else return ~x;
}

// ---- exponentials and logarithms ----
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::exp>, T x, Params<T>) { return exp(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::exp2>, T x, Params<T>) { return exp2(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::expm1>, T x, Params<T>) { return expm1(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::log>, T x, Params<T>) { return log(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::log2>, T x, Params<T>) { return log2(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::log10>, T x, Params<T>) { return log10(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::log1p>, T x, Params<T>) { return log1p(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::sqrt>, T x, Params<T>) { return sqrt(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::rsqrt>, T x, Params<T>) { return T(1) / sqrt(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::reciprocal>, T x, Params<T>) { return T(1) / x; }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::erf>, T x, Params<T>) { return erf(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::erfc>, T x, Params<T>) { return erfc(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::lgamma>, T x, Params<T>) { return lgamma(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::asinh>, T x, Params<T>) { return asinh(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::acosh>, T x, Params<T>) { return acosh(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::atanh>, T x, Params<T>) { return atanh(x); }

// ---- computed by the host (ops/elementwise.h: computed_on_host); never reached ----
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::erfinv>, T, Params<T>) { return T(NAN); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::ndtri>, T, Params<T>) { return T(NAN); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::digamma>, T, Params<T>) { return T(NAN); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::bessel_i0>, T, Params<T>) { return T(NAN); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::bessel_i0e>, T, Params<T>) { return T(NAN); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::bessel_i1>, T, Params<T>) { return T(NAN); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::bessel_i1e>, T, Params<T>) { return T(NAN); }

// ---- trigonometric and hyperbolic ----
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::sin>, T x, Params<T>) { return sin(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::cos>, T x, Params<T>) { return cos(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::tan>, T x, Params<T>) { return tan(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::asin>, T x, Params<T>) { return asin(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::acos>, T x, Params<T>) { return acos(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::atan>, T x, Params<T>) { return atan(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::sinh>, T x, Params<T>) { return sinh(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::cosh>, T x, Params<T>) { return cosh(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::tanh>, T x, Params<T>) { return tanh(x); }

// ---- rounding ----
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::floor>, T x, Params<T>) { return floor(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::ceil>, T x, Params<T>) { return ceil(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::round>, T x, Params<T>) { return rint(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::trunc>, T x, Params<T>) { return trunc(x); }

// ---- activations ----
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::relu>, T x, Params<T>) { return x <= 0 ? T(0) : x; }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::sigmoid>, T x, Params<T>) { return sigmoid(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::log_sigmoid>, T x, Params<T>) { return -softplus(-x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::leaky_relu>, T x, Params<T> p) { return x > 0 ? x : x * p.a; }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::elu>, T x, Params<T> p) {
  return x > 0 ? p.b * x : p.a * p.b * expm1(x * p.c);
}
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::gelu>, T x, Params<T>) { return gelu(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::gelu_tanh>, T x, Params<T>) { return gelu_tanh(x); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::silu>, T x, Params<T>) { return x / (T(1) + exp(-x)); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::mish>, T x, Params<T>) { return x * tanh(softplus(x)); }
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::softplus>, T x, Params<T> p) {
  const T scaled = x * p.a;
  return scaled > p.b ? x : softplus(scaled) / p.a;
}
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::softsign>, T x, Params<T>) { return x / (T(1) + abs(x)); }
template <class T> __device__ __forceinline__ T clamped(T x, T low, T high) {  // NaN stays
  const T above = low > x ? low : x;
  return high < above ? high : above;
}
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::hardswish>, T x, Params<T>) {
  return x * clamped(x + 3, T(0), T(6)) / 6;
}
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::hardsigmoid>, T x, Params<T>) {
  return clamped(x + 3, T(0), T(6)) / 6;
}
template <class T> __device__ __forceinline__ T apply(U<UnaryOp::clamp>, T x, Params<T> p) { return clamped(x, p.a, p.b); }

// ---- predicates ----
template <class T> __device__ __forceinline__ bool apply(Q<PredicateOp::logical_not>, T x) { return x == 0; }
template <class T> __device__ __forceinline__ bool apply(Q<PredicateOp::signbit>, T x) {
  if constexpr (std::is_floating_point_v<T>) return signbit(x);
  else return x < 0;
}
template <class T> __device__ __forceinline__ bool apply(Q<PredicateOp::isnan>, T x) { return x != x; }
template <class T> __device__ __forceinline__ bool apply(Q<PredicateOp::isinf>, T x) { return abs(x) == T(INFINITY); }
template <class T> __device__ __forceinline__ bool apply(Q<PredicateOp::isfinite>, T x) { return abs(x) < T(INFINITY); }

// ---- functions of many elements ----
template <class T> struct Unary : ElementwiseFunction<T, 1, UnaryOp> {
  Params<T> params;
  explicit Unary(const double* p) : params(p) {}

  template <int M> __device__ __forceinline__ void operator()(UnaryOp op, T (&x)[1][M]) const {
    switch (op) {
#define FASTDL_UNARY(name, types) \
  case UnaryOp::name: return each<UnaryOp::name, Types::types>(x[0]);
#include "kernels/elementwise_ops.def"
    }
  }
  template <UnaryOp kOp, Types types, int M> __device__ __forceinline__ void each(T (&x)[M]) const {
    if constexpr (has_formula<types, T>) {
#pragma unroll
      for (T& v : x) v = apply(U<kOp>(), v, params);
    }
  }
};

template <class T> struct Predicate : ElementwiseFunction<T, 1, PredicateOp> {
  template <int M> __device__ __forceinline__ void operator()(PredicateOp op, T (&x)[1][M]) const {
    switch (op) {
#define FASTDL_PREDICATE(name, types) \
  case PredicateOp::name: return each<PredicateOp::name, Types::types>(x[0]);
#include "kernels/elementwise_ops.def"
    }
  }
  template <PredicateOp kOp, Types types, int M> __device__ __forceinline__ void each(T (&x)[M]) const {
    if constexpr (has_formula<types, T>) {
#pragma unroll
      for (T& v : x) v = T(apply(Q<kOp>(), v));
    }
  }
};

}  // namespace

// --- launchers ---

void unary(const Context& context, const UnaryArgs& a) {
  for_compute(a.compute, [&]<class T>() { run_elementwise(context, a.op, Unary<T>(a.params), {&a.out, &a.x}); });
}

void predicate(const Context& context, const PredicateArgs& a) {
  for_compute(a.compute, [&]<class T>() { run_elementwise(context, a.op, Predicate<T>(), {&a.out, &a.x}); });
}

}  // namespace fastdl::cuda
