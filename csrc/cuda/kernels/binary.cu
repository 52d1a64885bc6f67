// Functions of two and three operands, comparisons, and the gradients of activations. Each is a formula; the walk over
// memory is kernels/elementwise.h. Bytes: every operand once.
#include "cuda/device/math.h"
#include "cuda/kernels/elementwise.h"
#include "kernels/elementwise.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

template <BinaryOp> struct B {};
template <CompareOp> struct C {};
template <TernaryOp> struct Z {};

// ---- arithmetic ----
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::add>, T a, T b, Params<T>) { return a + b; }
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::sub>, T a, T b, Params<T>) { return a - b; }
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::mul>, T a, T b, Params<T>) { return a * b; }
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::div>, T a, T b, Params<T>) { return a / b; }
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::add_scaled>, T a, T b, Params<T> p) { return a + p.a * b; }
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::maximum>, T a, T b, Params<T>) {
  return a > b || a != a ? a : b;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::minimum>, T a, T b, Params<T>) {
  return a < b || a != a ? a : b;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::atan2>, T a, T b, Params<T>) { return atan2(a, b); }
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::hypot>, T a, T b, Params<T>) { return hypot(a, b); }
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::copysign>, T a, T b, Params<T>) { return copysign(a, b); }
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::nextafter>, T a, T b, Params<T>) { return nextafter(a, b); }

// Computed by the host (ops/elementwise.h: computed_on_host); never reached.
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::zeta>, T, T, Params<T>) { return T(NAN); }
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::gamma_lower>, T, T, Params<T>) { return T(NAN); }
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::gamma_upper>, T, T, Params<T>) { return T(NAN); }

// Of integers. Ops refuse a zero divisor before; here it gives 0.
__device__ __forceinline__ int64_t integer_fmod(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
__device__ __forceinline__ int64_t integer_floor_divide(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return static_cast<int64_t>(-static_cast<uint64_t>(a));
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
// Wraps; a negative exponent gives 0 except for 1 and -1.
__device__ __forceinline__ int64_t integer_pow(int64_t a, int64_t b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
  uint64_t result = 1, base = static_cast<uint64_t>(a);
  for (; b > 0; b >>= 1, base *= base)
    if (b & 1) result *= base;
  return static_cast<int64_t>(result);
}
// Python's floor division: exact where floor(a / b) would round up to the next integer.
template <class T> __device__ __forceinline__ T floor_divide(T a, T b) {
  const T ratio = a / b;
  if (b == 0) return ratio;
  const T mod = fmod(a, b);
  const T quotient = (a - mod) / b - T(mod != 0 && (b < 0) != (mod < 0));
  if (quotient == 0) return ratio * 0;
  const T down = floor(quotient);
  return quotient - down > T(0.5) ? down + 1 : down;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::fmod>, T a, T b, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) return fmod(a, b);
  else return integer_fmod(a, b);
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::remainder>, T a, T b, Params<T> p) {
  const T r = apply(B<BinaryOp::fmod>(), a, b, p);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::floor_divide>, T a, T b, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) return floor_divide(a, b);
  else return integer_floor_divide(a, b);
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::pow>, T a, T b, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) return pow(a, b);
  else return integer_pow(a, b);
}
// Ops refuse floating-point tensors.
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::bitwise_and>, T a, T b, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) return a;
  else return a & b;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::bitwise_or>, T a, T b, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) return a;
  else return a | b;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::bitwise_xor>, T a, T b, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) return a;
  else return a ^ b;
}
// Shifts by 64 and more move all bits out; a negative count is one too large.
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::shift_left>, T a, T b, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) return a;
  else return static_cast<uint64_t>(b) > 63 ? 0 : static_cast<T>(static_cast<uint64_t>(a) << b);
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::shift_right>, T a, T b, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) return a;
  else return a >> (static_cast<uint64_t>(b) > 63 ? 63 : b);
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::gcd>, T a, T b, Params<T>) {
  if constexpr (std::is_floating_point_v<T>) {
    return a;
  } else {
    uint64_t x = a < 0 ? -static_cast<uint64_t>(a) : static_cast<uint64_t>(a);
    uint64_t y = b < 0 ? -static_cast<uint64_t>(b) : static_cast<uint64_t>(b);
    while (y) {
      const uint64_t rest = x % y;
      x = y;
      y = rest;
    }
    return static_cast<T>(x);
  }
}

// ---- gradients of activations: g the incoming gradient ----
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::relu_backward>, T g, T y, Params<T>) {
  return y <= 0 ? T(0) : g;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::tanh_backward>, T g, T y, Params<T>) {
  return g * (T(1) - y * y);
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::sigmoid_backward>, T g, T y, Params<T>) {
  return g * (T(1) - y) * y;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::log_sigmoid_backward>, T g, T x, Params<T>) {
  return g * sigmoid(-x);
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::leaky_relu_backward>, T g, T x, Params<T> p) {
  return x > 0 ? g : g * p.a;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::elu_backward>, T g, T x, Params<T> p) {
  return x <= 0 ? g * p.a * p.b * p.c * exp(x * p.c) : g * p.b;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::gelu_backward>, T g, T x, Params<T>) {
  return g * (normal_cdf(x) + x * normal_pdf(x));
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::gelu_tanh_backward>, T g, T x, Params<T>) {
  const T t = tanh(gelu_tanh_inner(x));
  return g * (T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * gelu_tanh_slope(x));
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::silu_backward>, T g, T x, Params<T>) {
  const T s = sigmoid(x);
  return g * s * (T(1) + x * (T(1) - s));
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::mish_backward>, T g, T x, Params<T>) {
  const T t = tanh(softplus(x));
  return g * (t + x * sigmoid(x) * (T(1) - t * t));
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::softplus_backward>, T g, T x, Params<T> p) {
  const T scaled = x * p.a;
  return scaled > p.b ? g : g * sigmoid(scaled);
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::softsign_backward>, T g, T x, Params<T>) {
  const T d = T(1) + abs(x);
  return g / (d * d);
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::hardswish_backward>, T g, T x, Params<T>) {
  const T inside = x < 3 ? g * (x / 3 + T(0.5)) : g;
  return x <= -3 ? T(0) : inside;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::hardsigmoid_backward>, T g, T x, Params<T>) {
  return abs(x) < 3 ? g / 6 : T(0);
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::clamp_backward>, T g, T x, Params<T> p) {
  return x < p.a || x > p.b ? T(0) : g;
}
template <class T> __device__ __forceinline__ T apply(B<BinaryOp::hardtanh_backward>, T g, T x, Params<T> p) {
  return x <= p.a || x >= p.b ? T(0) : g;
}

// ---- comparisons ----
template <class T> __device__ __forceinline__ bool apply(C<CompareOp::eq>, T a, T b) { return a == b; }
template <class T> __device__ __forceinline__ bool apply(C<CompareOp::ne>, T a, T b) { return a != b; }
template <class T> __device__ __forceinline__ bool apply(C<CompareOp::lt>, T a, T b) { return a < b; }
template <class T> __device__ __forceinline__ bool apply(C<CompareOp::le>, T a, T b) { return a <= b; }
template <class T> __device__ __forceinline__ bool apply(C<CompareOp::gt>, T a, T b) { return a > b; }
template <class T> __device__ __forceinline__ bool apply(C<CompareOp::ge>, T a, T b) { return a >= b; }
template <class T> __device__ __forceinline__ bool apply(C<CompareOp::logical_and>, T a, T b) { return a != 0 && b != 0; }
template <class T> __device__ __forceinline__ bool apply(C<CompareOp::logical_or>, T a, T b) { return a != 0 || b != 0; }
template <class T> __device__ __forceinline__ bool apply(C<CompareOp::logical_xor>, T a, T b) { return (a != 0) != (b != 0); }

// ---- three operands ----
template <class T> __device__ __forceinline__ T apply(Z<TernaryOp::where>, T condition, T a, T b, Params<T>) {
  return condition != 0 ? a : b;
}
template <class T> __device__ __forceinline__ T apply(Z<TernaryOp::addcmul>, T a, T b, T c, Params<T> p) {
  return a + p.a * b * c;
}
template <class T> __device__ __forceinline__ T apply(Z<TernaryOp::addcdiv>, T a, T b, T c, Params<T> p) {
  return a + p.a * b / c;
}
template <class T> __device__ __forceinline__ T apply(Z<TernaryOp::lerp>, T a, T b, T w, Params<T>) {  // exact at both ends
  return abs(w) < T(0.5) ? a + w * (b - a) : b - (b - a) * (T(1) - w);
}

// ---- functions of many elements ----
template <class T> struct Binary : ElementwiseFunction<T, 2, BinaryOp> {
  Params<T> params;
  explicit Binary(const double* p) : params(p) {}

  template <int M> __device__ __forceinline__ void operator()(BinaryOp op, T (&x)[2][M]) const {
    switch (op) {
#define FASTDL_BINARY(name, types) \
  case BinaryOp::name: return each<BinaryOp::name, Types::types>(x);
#include "kernels/elementwise_ops.def"
    }
  }
  template <BinaryOp kOp, Types types, int M> __device__ __forceinline__ void each(T (&x)[2][M]) const {
    if constexpr (has_formula<types, T>) {
#pragma unroll
      for (int i = 0; i < M; ++i) x[0][i] = apply(B<kOp>(), x[0][i], x[1][i], params);
    }
  }
};

template <class T> struct Compare : ElementwiseFunction<T, 2, CompareOp> {
  template <int M> __device__ __forceinline__ void operator()(CompareOp op, T (&x)[2][M]) const {
    switch (op) {
#define FASTDL_COMPARE(name, types) \
  case CompareOp::name: return each<CompareOp::name>(x);
#include "kernels/elementwise_ops.def"
    }
  }
  template <CompareOp kOp, int M> __device__ __forceinline__ void each(T (&x)[2][M]) const {
#pragma unroll
    for (int i = 0; i < M; ++i) x[0][i] = T(apply(C<kOp>(), x[0][i], x[1][i]));
  }
};

template <class T> struct Ternary : ElementwiseFunction<T, 3, TernaryOp> {
  Params<T> params;
  explicit Ternary(const double* p) : params(p) {}

  template <int M> __device__ __forceinline__ void operator()(TernaryOp op, T (&x)[3][M]) const {
    switch (op) {
#define FASTDL_TERNARY(name, types) \
  case TernaryOp::name: return each<TernaryOp::name, Types::types>(x);
#include "kernels/elementwise_ops.def"
    }
  }
  template <TernaryOp kOp, Types types, int M> __device__ __forceinline__ void each(T (&x)[3][M]) const {
    if constexpr (has_formula<types, T>) {
#pragma unroll
      for (int i = 0; i < M; ++i) x[0][i] = apply(Z<kOp>(), x[0][i], x[1][i], x[2][i], params);
    }
  }
};

}  // namespace

// --- launchers ---

void binary(const Context& context, const BinaryArgs& a) {
  for_compute(a.compute, [&]<class T>() { run_elementwise(context, a.op, Binary<T>(a.params), {&a.out, &a.a, &a.b}); });
}

void compare(const Context& context, const CompareArgs& a) {
  for_compute(a.compute, [&]<class T>() { run_elementwise(context, a.op, Compare<T>(), {&a.out, &a.a, &a.b}); });
}

void ternary(const Context& context, const TernaryArgs& a) {
  for_compute(a.compute, [&]<class T>() { run_elementwise(context, a.op, Ternary<T>(a.params), {&a.out, &a.a, &a.b, &a.c}); });
}

}  // namespace fastdl::cuda
