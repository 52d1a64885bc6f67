// Functions of two and three operands, comparisons, and the gradients of activations. Each is a formula over vectors;
// the loop over contiguous tiles is one template, the walk over everything else is tiles.cpp. Bytes: every operand
// once.
#include "cpu/kernels/tiles.h"
#include "cpu/simd/math.h"
#include "cpu/simd/special.h"

namespace FASTDL_CPU_NAMESPACE {

namespace {

template <BinaryOp> struct B {};
template <CompareOp> struct C {};
template <TernaryOp> struct T3 {};
template <class V> struct Params {
  V a, b, c;
};

template <class V> FASTDL_INLINE V ones() { return broadcast<V>(1); }

// ---- arithmetic ----
template <class V> FASTDL_INLINE V apply(B<BinaryOp::add>, V a, V b, Params<V>) { return a + b; }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::sub>, V a, V b, Params<V>) { return a - b; }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::mul>, V a, V b, Params<V>) { return a * b; }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::div>, V a, V b, Params<V>) { return a / b; }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::add_scaled>, V a, V b, Params<V> p) { return a + p.a * b; }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::maximum>, V a, V b, Params<V>) {
  if constexpr (__is_same(V, vi64)) return a > b ? a : b;
  else return max_nan<V>(a, b);
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::minimum>, V a, V b, Params<V>) {
  if constexpr (__is_same(V, vi64)) return a < b ? a : b;
  else return min_nan<V>(a, b);
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::atan2>, V a, V b, Params<V>) { return atan2(a, b); }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::hypot>, V a, V b, Params<V>) {
  return in_float64(a, b, [](double x, double y) { return __builtin_hypot(x, y); });
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::copysign>, V a, V b, Params<V>) {
  using M = mask_t<V>;
  const M magnitude = (M)abs(a);
  return (V)(magnitude | ((M)b ^ (M)abs(b)));
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::nextafter>, V a, V b, Params<V>) {
  return map_lanes(a, b, [](lane_t<V> x, lane_t<V> y) { return next_after(x, y); });
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::zeta>, V a, V b, Params<V>) {
  return in_float64(a, b, [](double s, double q) { return hurwitz_zeta(s, q); });
}

template <class V> FASTDL_INLINE V apply(B<BinaryOp::gamma_lower>, V a, V b, Params<V>) {
  return in_float64(a, b, [](double s, double x) { return incomplete_gamma(s, x, false); });
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::gamma_upper>, V a, V b, Params<V>) {
  return in_float64(a, b, [](double s, double x) { return incomplete_gamma(s, x, true); });
}

// Of integers, lane by lane. Ops refuse a zero divisor before; here it gives 0, also in the lanes past the end.
FASTDL_INLINE int64_t integer_fmod(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
FASTDL_INLINE int64_t integer_remainder(int64_t a, int64_t b) {
  const int64_t r = integer_fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
FASTDL_INLINE int64_t integer_floor_divide(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return static_cast<int64_t>(-static_cast<uint64_t>(a));
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
FASTDL_INLINE int64_t integer_pow(int64_t a, int64_t b) {  // wraps; a negative exponent gives 0 except for 1 and -1
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
  uint64_t result = 1, base = static_cast<uint64_t>(a);
  for (; b > 0; b >>= 1, base *= base)
    if (b & 1) result *= base;
  return static_cast<int64_t>(result);
}
// Python's floor division: exact where floor(a / b) would round up to the next integer.
template <class V> FASTDL_INLINE V floor_divide(V a, V b) {
  const V mod = fmod(a, b), ratio = a / b;
  const V borrow = (mod != 0) & ((b < 0) != (mod < 0)) ? ones<V>() : zero<V>();
  const V quotient = (a - mod) / b - borrow;
  const V down = round<kDown>(quotient);
  const V whole = quotient - down > lane_t<V>(0.5) ? down + 1 : down;
  const V signed_zero = ratio * 0;
  const V y = quotient != 0 ? whole : signed_zero;
  return b == 0 ? ratio : y;
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::fmod>, V a, V b, Params<V>) {
  if constexpr (__is_same(V, vi64)) return map_lanes(a, b, [](int64_t x, int64_t y) { return integer_fmod(x, y); });
  else return fmod(a, b);
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::remainder>, V a, V b, Params<V>) {
  if constexpr (__is_same(V, vi64)) return map_lanes(a, b, [](int64_t x, int64_t y) { return integer_remainder(x, y); });
  else {
    const V r = fmod(a, b);
    return (r != 0) & ((r < 0) != (b < 0)) ? r + b : r;
  }
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::floor_divide>, V a, V b, Params<V>) {
  if constexpr (__is_same(V, vi64)) return map_lanes(a, b, [](int64_t x, int64_t y) { return integer_floor_divide(x, y); });
  else return floor_divide<V>(a, b);
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::pow>, V a, V b, Params<V>) {
  if constexpr (__is_same(V, vi64)) return map_lanes(a, b, [](int64_t x, int64_t y) { return integer_pow(x, y); });
  else return pow(a, b);
}

// On integers; ops refuse floating-point tensors, and their rows in the table are never used.
template <class V> FASTDL_INLINE V apply(B<BinaryOp::bitwise_and>, V a, V b, Params<V>) { return (V)((vi64)a & (vi64)b); }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::bitwise_or>, V a, V b, Params<V>) { return (V)((vi64)a | (vi64)b); }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::bitwise_xor>, V a, V b, Params<V>) { return (V)((vi64)a ^ (vi64)b); }

template <class V> FASTDL_INLINE V apply(B<BinaryOp::shift_left>, V a, V b, Params<V>) {
  return (V)map_lanes((vi64)a, (vi64)b, [](int64_t x, int64_t n) { return shift_left(x, n); });
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::shift_right>, V a, V b, Params<V>) {
  return (V)map_lanes((vi64)a, (vi64)b, [](int64_t x, int64_t n) { return shift_right(x, n); });
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::gcd>, V a, V b, Params<V>) {
  return (V)map_lanes((vi64)a, (vi64)b, [](int64_t x, int64_t y) { return greatest_common_divisor(x, y); });
}

// ---- gradients of activations: g the incoming gradient ----
template <class V> FASTDL_INLINE V apply(B<BinaryOp::relu_backward>, V g, V y, Params<V>) { return y <= 0 ? zero<V>() : g; }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::tanh_backward>, V g, V y, Params<V>) { return g * (ones<V>() - y * y); }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::sigmoid_backward>, V g, V y, Params<V>) { return g * (ones<V>() - y) * y; }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::log_sigmoid_backward>, V g, V x, Params<V>) { return g * sigmoid(-x); }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::leaky_relu_backward>, V g, V x, Params<V> p) {
  return x > 0 ? g : g * p.a;
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::elu_backward>, V g, V x, Params<V> p) {
  return x <= 0 ? g * p.a * p.b * p.c * exp(x * p.c) : g * p.b;
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::gelu_backward>, V g, V x, Params<V>) { return g * gelu_slope(x); }
template <class V> FASTDL_INLINE V apply(B<BinaryOp::gelu_tanh_backward>, V g, V x, Params<V>) {
  using T = lane_t<V>;
  const V t = tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x));
  const V slope = T(0.79788456080286535588) * (ones<V>() + T(3 * 0.044715) * x * x);
  return g * (T(0.5) * (ones<V>() + t) + T(0.5) * x * (ones<V>() - t * t) * slope);
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::silu_backward>, V g, V x, Params<V>) {
  const V s = sigmoid(x);
  return g * s * (ones<V>() + x * (ones<V>() - s));
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::mish_backward>, V g, V x, Params<V>) {
  const V t = tanh(softplus(x));
  return g * (t + x * sigmoid(x) * (ones<V>() - t * t));
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::softplus_backward>, V g, V x, Params<V> p) {
  const V scaled = x * p.a;
  return scaled > p.b ? g : g * sigmoid(scaled);
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::softsign_backward>, V g, V x, Params<V>) {
  const V d = ones<V>() + abs(x);
  return g / (d * d);
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::hardswish_backward>, V g, V x, Params<V>) {
  const V inside = x < 3 ? g * (x / 3 + lane_t<V>(0.5)) : g;
  return x <= -3 ? zero<V>() : inside;
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::hardsigmoid_backward>, V g, V x, Params<V>) {
  return abs(x) < 3 ? g / 6 : zero<V>();
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::clamp_backward>, V g, V x, Params<V> p) {
  return (x < p.a) | (x > p.b) ? zero<V>() : g;
}
template <class V> FASTDL_INLINE V apply(B<BinaryOp::hardtanh_backward>, V g, V x, Params<V> p) {
  return (x <= p.a) | (x >= p.b) ? zero<V>() : g;
}

// ---- comparisons ----
template <class V> FASTDL_INLINE mask_t<V> apply(C<CompareOp::eq>, V a, V b) { return a == b; }
template <class V> FASTDL_INLINE mask_t<V> apply(C<CompareOp::ne>, V a, V b) { return a != b; }
template <class V> FASTDL_INLINE mask_t<V> apply(C<CompareOp::lt>, V a, V b) { return a < b; }
template <class V> FASTDL_INLINE mask_t<V> apply(C<CompareOp::le>, V a, V b) { return a <= b; }
template <class V> FASTDL_INLINE mask_t<V> apply(C<CompareOp::gt>, V a, V b) { return a > b; }
template <class V> FASTDL_INLINE mask_t<V> apply(C<CompareOp::ge>, V a, V b) { return a >= b; }
template <class V> FASTDL_INLINE mask_t<V> apply(C<CompareOp::logical_and>, V a, V b) { return (a != 0) & (b != 0); }
template <class V> FASTDL_INLINE mask_t<V> apply(C<CompareOp::logical_or>, V a, V b) { return (a != 0) | (b != 0); }
template <class V> FASTDL_INLINE mask_t<V> apply(C<CompareOp::logical_xor>, V a, V b) { return (a != 0) ^ (b != 0); }

// ---- three operands ----
template <class V> FASTDL_INLINE V apply(T3<TernaryOp::where>, V condition, V a, V b, Params<V>) {
  return condition != 0 ? a : b;
}
template <class V> FASTDL_INLINE V apply(T3<TernaryOp::addcmul>, V a, V b, V c, Params<V> p) { return a + p.a * b * c; }
template <class V> FASTDL_INLINE V apply(T3<TernaryOp::addcdiv>, V a, V b, V c, Params<V> p) { return a + p.a * b / c; }
template <class V> FASTDL_INLINE V apply(T3<TernaryOp::lerp>, V a, V b, V w, Params<V>) {  // exact at both ends
  return abs(w) < lane_t<V>(0.5) ? a + w * (b - a) : b - (b - a) * (ones<V>() - w);
}

// ---- tiles ----
template <class V> FASTDL_INLINE Params<V> load_params(const double* params) {
  using T = lane_t<V>;
  return {broadcast<V>(static_cast<T>(params[0])), broadcast<V>(static_cast<T>(params[1])),
          broadcast<V>(static_cast<T>(params[2]))};
}

template <BinaryOp op, class T>
void binary_tile(void* out, const void* const* in, int64_t n, const double* params, bool stream) {
  using V = compute_vector<T>;
  T* y = static_cast<T*>(out);
  const T* a = static_cast<const T*>(in[0]);
  const T* b = static_cast<const T*>(in[1]);
  const Params<V> p = load_params<V>(params);
  int64_t i = 0;
  for (; i + lanes<V> <= n; i += lanes<V>) put<V>(y + i, apply(B<op>(), load<V>(a + i), load<V>(b + i), p), stream);
  if (i < n) store_n<V>(y + i, apply(B<op>(), load_n<V>(a + i, n - i), load_n<V>(b + i, n - i), p), n - i);
}

template <CompareOp op, class T> void compare_tile(void* out, const void* const* in, int64_t n, const double*, bool) {
  using V = compute_vector<T>;
  uint8_t* y = static_cast<uint8_t*>(out);
  const T* a = static_cast<const T*>(in[0]);
  const T* b = static_cast<const T*>(in[1]);
  int64_t i = 0;
  for (; i + lanes<V> <= n; i += lanes<V>) store_mask<V>(y + i, apply(C<op>(), load<V>(a + i), load<V>(b + i)), lanes<V>);
  if (i < n) store_mask<V>(y + i, apply(C<op>(), load_n<V>(a + i, n - i), load_n<V>(b + i, n - i)), n - i);
}

template <TernaryOp op, class T>
void ternary_tile(void* out, const void* const* in, int64_t n, const double* params, bool stream) {
  using V = compute_vector<T>;
  T* y = static_cast<T*>(out);
  const T* a = static_cast<const T*>(in[0]);
  const T* b = static_cast<const T*>(in[1]);
  const T* c = static_cast<const T*>(in[2]);
  const Params<V> p = load_params<V>(params);
  int64_t i = 0;
  for (; i + lanes<V> <= n; i += lanes<V>)
    put<V>(y + i, apply(T3<op>(), load<V>(a + i), load<V>(b + i), load<V>(c + i), p), stream);
  if (i < n) {
    const int64_t m = n - i;
    store_n<V>(y + i, apply(T3<op>(), load_n<V>(a + i, m), load_n<V>(b + i, m), load_n<V>(c + i, m), p), m);
  }
}

template <BinaryOp op, Types types> constexpr TileRow binary_row() {
  if constexpr (types == Types::any) return {binary_tile<op, float>, binary_tile<op, double>, binary_tile<op, int64_t>};
  else return {binary_tile<op, float>, binary_tile<op, double>, nullptr};
}
template <CompareOp op, Types> constexpr TileRow compare_row() {
  return {compare_tile<op, float>, compare_tile<op, double>, compare_tile<op, int64_t>};
}
template <TernaryOp op, Types types> constexpr TileRow ternary_row() {
  if constexpr (types == Types::any) return {ternary_tile<op, float>, ternary_tile<op, double>, ternary_tile<op, int64_t>};
  else return {ternary_tile<op, float>, ternary_tile<op, double>, nullptr};
}

constexpr TileRow kBinary[] = {
#define FASTDL_BINARY(name, types) binary_row<BinaryOp::name, Types::types>(),
#include "kernels/elementwise_ops.def"
};
constexpr TileRow kCompare[] = {
#define FASTDL_COMPARE(name, types) compare_row<CompareOp::name, Types::types>(),
#include "kernels/elementwise_ops.def"
};
constexpr TileRow kTernary[] = {
#define FASTDL_TERNARY(name, types) ternary_row<TernaryOp::name, Types::types>(),
#include "kernels/elementwise_ops.def"
};

}  // namespace

void binary(const Context&, const BinaryArgs& a) {
  run_tiles({kBinary[static_cast<int>(a.op)][a.compute], a.params, a.compute, a.compute, 2, &a.out, {&a.a, &a.b}});
}

void compare(const Context&, const CompareArgs& a) {
  run_tiles({kCompare[static_cast<int>(a.op)][a.compute], nullptr, a.compute, DType::b8, 2, &a.out, {&a.a, &a.b}});
}

void ternary(const Context&, const TernaryArgs& a) {
  run_tiles({kTernary[static_cast<int>(a.op)][a.compute], a.params, a.compute, a.compute, 3, &a.out, {&a.a, &a.b, &a.c}});
}

}  // namespace FASTDL_CPU_NAMESPACE
