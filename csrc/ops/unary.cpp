// Functions of one tensor. Each is one kernel row and the formula of its gradient in terms of its input or output.
#include "ops/elementwise.h"
#include "ops/launch.h"

namespace fastdl::ops {

Tensor run_unary(UnaryOp op, const Tensor& x, DType result, const Params& p) {
  if (!x.device().is_cpu() && computed_on_host(op))
    return to_device(run_unary(op, to_device(detach(x), Device{}), result, p), x.device());
  const Tensor out = empty_like(x, result);
  run_unary_into(op, out, x, p);
  return out;
}

void run_unary_into(UnaryOp op, const Tensor& out, const Tensor& x, const Params& p) {
  UnaryArgs args;
  args.out = out.view();
  args.x = x.view();
  args.op = op;
  args.compute = compute_type(out.dtype());
  std::copy(p.v, p.v + kMaxParams, args.params);
  launch(&KernelTable::unary, x.device(), args);
}

namespace {

// y = f(x), with gradient(g, x) or gradient(g, y).
template <class F> Tensor from_input(const char* name, UnaryOp op, const Tensor& x, DType result, F gradient) {
  const Tensor y = run_unary(op, x, result);
  if (records(x)) record(name, y, {x}, [x = save(x), gradient](GradCall& c) { c.set(0, gradient(c.grad(), c(x))); });
  return y;
}
template <class F> Tensor from_output(const char* name, UnaryOp op, const Tensor& x, DType result, F gradient) {
  const Tensor y = run_unary(op, x, result);
  if (records(x)) record(name, y, {x}, [y = save_output(y), gradient](GradCall& c) { c.set(0, gradient(c.grad(), c(y))); });
  return y;
}
// Of piecewise constant functions.
Tensor without_slope(const char* name, UnaryOp op, const Tensor& x) {
  const Tensor y = run_unary(op, x, x.dtype());
  if (records(x)) record(name, y, {x}, [](GradCall& c) { c.set(0, zeros_like(c.grad())); });
  return y;
}
// floor and the like leave integers as they are.
Tensor rounded(const char* name, UnaryOp op, const Tensor& x) {
  return is_floating(x.dtype()) ? without_slope(name, op, x) : clone(x);
}

Tensor number(double v) { return scalar_tensor(v); }
DType fractional(const Tensor& x) { return floating_result(x.dtype()); }

Tensor run_predicate(PredicateOp op, const Tensor& x) {
  const Tensor out = empty_like(x, DType::b8);
  PredicateArgs args;
  args.out = out.view();
  args.x = x.view();
  args.op = op;
  args.compute = compute_type(x.dtype());
  launch(&KernelTable::predicate, x.device(), args);
  return out;
}

using T = const Tensor&;

}  // namespace

// --- arithmetic ---
Tensor neg(T x) {
  if (x.dtype() == DType::b8) throw DTypeError("neg: bool tensors have no negative; use logical_not");
  return from_output("neg", UnaryOp::neg, x, x.dtype(), [](T g, T) { return neg(g); });
}
Tensor abs(T x) {
  return from_input("abs", UnaryOp::abs, x, x.dtype(), [](T g, T v) { return mul(g, sign(v)); });
}
Tensor sign(T x) { return without_slope("sign", UnaryOp::sign, x); }
Tensor square(T x) {
  if (x.dtype() == DType::b8) return square(to_dtype(x, DType::i64));
  return from_input("square", UnaryOp::square, x, x.dtype(), [](T g, T v) { return mul(g, mul(v, number(2))); });
}
Tensor sqrt(T x) {
  return from_output("sqrt", UnaryOp::sqrt, x, fractional(x), [](T g, T y) { return div(g, mul(y, number(2))); });
}
Tensor rsqrt(T x) {
  return from_output("rsqrt", UnaryOp::rsqrt, x, fractional(x),
                     [](T g, T y) { return mul(mul(g, number(-0.5)), mul(y, mul(y, y))); });
}
Tensor reciprocal(T x) {
  return from_output("reciprocal", UnaryOp::reciprocal, x, fractional(x), [](T g, T y) { return neg(mul(g, mul(y, y))); });
}

// --- exponentials and logarithms ---
constexpr double kLn2 = 0.693147180559945309417, kLn10 = 2.302585092994045684018;

Tensor exp(T x) {
  return from_output("exp", UnaryOp::exp, x, fractional(x), [](T g, T y) { return mul(g, y); });
}
Tensor exp2(T x) {
  return from_output("exp2", UnaryOp::exp2, x, fractional(x), [](T g, T y) { return mul(g, mul(y, number(kLn2))); });
}
Tensor expm1(T x) {
  return from_output("expm1", UnaryOp::expm1, x, fractional(x), [](T g, T y) { return mul(g, add(y, number(1))); });
}
Tensor log(T x) {
  return from_input("log", UnaryOp::log, x, fractional(x), [](T g, T v) { return div(g, v); });
}
Tensor log2(T x) {
  return from_input("log2", UnaryOp::log2, x, fractional(x), [](T g, T v) { return div(g, mul(v, number(kLn2))); });
}
Tensor log10(T x) {
  return from_input("log10", UnaryOp::log10, x, fractional(x), [](T g, T v) { return div(g, mul(v, number(kLn10))); });
}
Tensor log1p(T x) {
  return from_input("log1p", UnaryOp::log1p, x, fractional(x), [](T g, T v) { return div(g, add(v, number(1))); });
}

// --- special functions ---
Tensor erf(T x) {
  return from_input("erf", UnaryOp::erf, x, fractional(x), [](T g, T v) {
    return mul(g, mul(exp(neg(square(v))), number(1.12837916709551257390)));  // 2 / sqrt(pi)
  });
}

Tensor erfc(T x) {
  return from_input("erfc", UnaryOp::erfc, x, fractional(x),
                    [](T g, T v) { return mul(g, mul(exp(neg(square(v))), number(-1.12837916709551257390))); });
}
Tensor erfinv(T x) {
  return from_output("erfinv", UnaryOp::erfinv, x, fractional(x), [](T g, T y) {
    return mul(g, mul(exp(square(y)), number(0.88622692545275801365)));  // sqrt(pi) / 2
  });
}
Tensor ndtri(T x) {
  return from_output("ndtri", UnaryOp::ndtri, x, fractional(x), [](T g, T y) {
    return mul(g, mul(exp(mul(square(y), number(0.5))), number(2.50662827463100050242)));  // sqrt(2 pi)
  });
}
Tensor lgamma(T x) {
  return from_input("lgamma", UnaryOp::lgamma, x, fractional(x), [](T g, T v) { return mul(g, digamma(v)); });
}
Tensor digamma(T x) {
  return from_input("digamma", UnaryOp::digamma, x, fractional(x), [](T g, T v) { return mul(g, zeta(number(2), v)); });
}
Tensor i0(T x) {
  return from_input("i0", UnaryOp::bessel_i0, x, fractional(x), [](T g, T v) { return mul(g, i1(v)); });
}
Tensor i0e(T x) {
  return from_input("i0e", UnaryOp::bessel_i0e, x, fractional(x),
                    [](T g, T v) { return mul(g, sub(i1e(v), mul(sign(v), i0e(v)))); });
}
// I1(x) / x is 1/2 at 0.
Tensor i1(T x) {
  return from_input("i1", UnaryOp::bessel_i1, x, fractional(x), [](T g, T v) {
    const Tensor zero = eq(v, number(0)), safe = where(zero, number(1), v);
    return mul(g, where(zero, number(0.5), sub(i0(v), div(i1(v), safe))));
  });
}
Tensor i1e(T x) {
  return from_input("i1e", UnaryOp::bessel_i1e, x, fractional(x), [](T g, T v) {
    const Tensor zero = eq(v, number(0)), safe = where(zero, number(1), v);
    return mul(g, where(zero, number(0.5), sub(i0e(v), mul(i1e(v), add(sign(v), reciprocal(safe))))));
  });
}

// --- trigonometric and hyperbolic ---
Tensor sin(T x) {
  return from_input("sin", UnaryOp::sin, x, fractional(x), [](T g, T v) { return mul(g, cos(v)); });
}
Tensor cos(T x) {
  return from_input("cos", UnaryOp::cos, x, fractional(x), [](T g, T v) { return neg(mul(g, sin(v))); });
}
Tensor tan(T x) {
  return from_output("tan", UnaryOp::tan, x, fractional(x), [](T g, T y) { return mul(g, add(square(y), number(1))); });
}
Tensor asin(T x) {
  return from_input("asin", UnaryOp::asin, x, fractional(x), [](T g, T v) { return mul(g, rsqrt(sub(number(1), square(v)))); });
}
Tensor acos(T x) {
  return from_input("acos", UnaryOp::acos, x, fractional(x),
                    [](T g, T v) { return neg(mul(g, rsqrt(sub(number(1), square(v))))); });
}
Tensor atan(T x) {
  return from_input("atan", UnaryOp::atan, x, fractional(x), [](T g, T v) { return div(g, add(square(v), number(1))); });
}
Tensor sinh(T x) {
  return from_input("sinh", UnaryOp::sinh, x, fractional(x), [](T g, T v) { return mul(g, cosh(v)); });
}
Tensor cosh(T x) {
  return from_input("cosh", UnaryOp::cosh, x, fractional(x), [](T g, T v) { return mul(g, sinh(v)); });
}
Tensor asinh(T x) {
  return from_input("asinh", UnaryOp::asinh, x, fractional(x),
                    [](T g, T v) { return mul(g, rsqrt(add(square(v), number(1)))); });
}
Tensor acosh(T x) {
  return from_input("acosh", UnaryOp::acosh, x, fractional(x),
                    [](T g, T v) { return mul(g, rsqrt(sub(square(v), number(1)))); });
}
Tensor atanh(T x) {
  return from_input("atanh", UnaryOp::atanh, x, fractional(x), [](T g, T v) { return div(g, sub(number(1), square(v))); });
}

// --- rounding ---
Tensor floor(T x) { return rounded("floor", UnaryOp::floor, x); }
Tensor ceil(T x) { return rounded("ceil", UnaryOp::ceil, x); }
Tensor round(T x) { return rounded("round", UnaryOp::round, x); }
Tensor trunc(T x) { return rounded("trunc", UnaryOp::trunc, x); }

// --- predicates ---
Tensor logical_not(T x) { return run_predicate(PredicateOp::logical_not, x); }
Tensor isnan(T x) {
  return is_floating(x.dtype()) ? run_predicate(PredicateOp::isnan, x) : fill_(empty_like(x, DType::b8), false);
}
Tensor isinf(T x) {
  return is_floating(x.dtype()) ? run_predicate(PredicateOp::isinf, x) : fill_(empty_like(x, DType::b8), false);
}
Tensor isfinite(T x) {
  return is_floating(x.dtype()) ? run_predicate(PredicateOp::isfinite, x) : fill_(empty_like(x, DType::b8), true);
}
Tensor signbit(T x) {
  return x.dtype() == DType::b8 || x.dtype() == DType::u8 ? fill_(empty_like(x, DType::b8), false)
                                                          : run_predicate(PredicateOp::signbit, x);
}
Tensor bitwise_not(T x) {
  if (is_floating(x.dtype())) throw DTypeError(str("bitwise_not: expected integers or bool, got ", name_of(x.dtype())));
  return x.dtype() == DType::b8 ? logical_not(x) : run_unary(UnaryOp::bitwise_not, x, x.dtype());
}

}  // namespace fastdl::ops
