// Functions of two and three tensors, with broadcasting and type promotion.
#include "ops/elementwise.h"
#include "ops/launch.h"

namespace fastdl::ops {

namespace {

using T = const Tensor&;

int category(T t) { return t.is_wrapped_number() ? 0 : t.ndim() == 0 ? 1 : 2; }
int kind(DType t) { return is_floating(t) ? 2 : t == DType::b8 ? 0 : 1; }
DType own_type(T t) { return t.is_wrapped_number() && is_floating(t.dtype()) ? default_dtype() : t.dtype(); }

// The output of operands that broadcast to `shape`, in the layout of the first that has that shape.
Tensor make_output(const Shape& shape, DType dtype, T a, T b) {
  if (a.shape() == shape && (shape.size() > 0 || !is_number(a))) return empty_like(a, dtype);
  return b.shape() == shape ? empty_like(b, dtype) : make_empty(shape, dtype, (is_number(a) ? b : a).device());
}
Shape common_shape(const char* name, T a, T b) {
  return a.shape() == b.shape() ? a.shape() : broadcast_shapes(name, a.shape(), b.shape());
}
View view_as(T t, const Shape& shape) { return t.shape() == shape ? t.view() : broadcast_view(t, shape); }

void check_devices(const char* name, T a, T b) {
  if (!(a.device() == b.device())) check_same_device(name, {a, b});
}

Tensor run_compare(const char* name, CompareOp op, T a, T b) {
  check_devices(name, a, b);
  const Shape shape = common_shape(name, a, b);
  const Tensor out = make_output(shape, DType::b8, a, b);
  CompareArgs args;
  args.out = out.view();
  args.a = view_as(a, shape);
  args.b = view_as(b, shape);
  args.op = op;
  args.compute = compute_type(result_type(a, b));
  launch(&KernelTable::compare, out.device(), args);
  return out;
}

Tensor run_ternary(const char* name, TernaryOp op, T a, T b, T c, DType result, const Params& p = {}) {
  check_same_device(name, {a, b, c});
  const Shape shape = broadcast_shapes(name, broadcast_shapes(name, a.shape(), b.shape()), c.shape());
  const Tensor out = make_output(shape, result, a, b.shape() == shape && !is_number(b) ? b : c);
  TernaryArgs args;
  args.out = out.view();
  args.a = broadcast_view(a, shape);
  args.b = broadcast_view(b, shape);
  args.c = broadcast_view(c, shape);
  args.op = op;
  args.compute = compute_type(result);
  std::copy(p.v, p.v + kMaxParams, args.params);
  launch(&KernelTable::ternary, out.device(), args);
  return out;
}

void check_not_bool(const char* name, T a, T b) {
  if (a.dtype() == DType::b8 && b.dtype() == DType::b8)
    throw DTypeError(str(name, ": bool tensors; use logical_xor, or convert them to integers"));
}
void check_integral(const char* name, T a, T b) {
  if (is_floating(a.dtype()) || is_floating(b.dtype()))
    throw DTypeError(str(name, ": expected integers or bools, got ", name_of(a.dtype()), " and ", name_of(b.dtype())));
}
void check_integers(const char* name, T a, T b) {
  check_integral(name, a, b);
  if (a.dtype() == DType::b8 && b.dtype() == DType::b8) throw DTypeError(str(name, ": expected integers, got bools"));
}
void check_divisor(const char* name, DType result, T b) {
  if (is_floating(result) || b.numel() == 0) return;
  GradMode no_grad(false);
  on_host("check divisors", [name, zero = any(logical_not(b), std::nullopt, false)] {
    if (item_scalar(zero).i) throw ValueError(str(name, ": integer division by zero"));
  });
}

Tensor number(double v) { return scalar_tensor(v); }

struct Operand {  // what the gradient of a broadcast operand must become
  explicit Operand(T t) : shape(t.shape()), dtype(t.dtype()), device(t.device()) {}
  Tensor operator()(T g) const { return to_device(unbroadcast(g, shape, dtype), device); }
  Shape shape;
  DType dtype;
  Device device;
};

}  // namespace

DType result_type(T a, T b) {
  const int ca = category(a), cb = category(b);
  const DType ta = own_type(a), tb = own_type(b);
  if (ta == tb) return ta;
  if (ca == cb) return promote(ta, tb);
  const DType first = ca > cb ? ta : tb, second = ca > cb ? tb : ta;
  return kind(second) > kind(first) ? second : first;
}

Tensor run_binary(const char* name, BinaryOp op, T a, T b, DType result, const Params& p) {
  check_devices(name, a, b);
  const Device device = is_number(a) ? b.device() : a.device();
  if (!device.is_cpu() && computed_on_host(op))
    return to_device(run_binary(name, op, to_device(detach(a), Device{}), to_device(detach(b), Device{}), result, p), device);
  const Tensor out = make_output(common_shape(name, a, b), result, a, b);
  run_binary_into(name, op, out, a, b, p);
  return out;
}

void run_binary_into(const char* name, BinaryOp op, T out, T a, T b, const Params& p) {
  check_devices(name, a, b);
  BinaryArgs args;
  args.out = out.view();
  args.a = view_as(a, out.shape());
  args.b = view_as(b, out.shape());
  args.op = op;
  args.compute = compute_type(out.dtype());
  std::copy(p.v, p.v + kMaxParams, args.params);
  launch(&KernelTable::binary, out.device(), args);
}

Tensor unbroadcast(T g, const Shape& shape, DType dtype) {
  const Tensor summed = g.shape() == shape ? g : sum_to(g, shape);
  return summed.dtype() == dtype ? summed : to_dtype(summed, dtype);
}

// --- arithmetic ---
Tensor add(T a, T b) {
  const Tensor y = run_binary("add", BinaryOp::add, a, b, result_type(a, b));
  if (records(a, b))
    record("add", y, {a, b}, [to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      if (c.wants(0)) c.set(0, to_a(c.grad()));
      if (c.wants(1)) c.set(1, to_b(c.grad()));
    });
  return y;
}
Tensor sub(T a, T b) {
  check_not_bool("sub", a, b);
  const Tensor y = run_binary("sub", BinaryOp::sub, a, b, result_type(a, b));
  if (records(a, b))
    record("sub", y, {a, b}, [to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      if (c.wants(0)) c.set(0, to_a(c.grad()));
      if (c.wants(1)) c.set(1, to_b(neg(c.grad())));
    });
  return y;
}
// a + alpha b
Tensor add_scaled(T a, T b, const Scalar& alpha) {
  if (alpha.d == 1) return add(a, b);
  const DType result = result_type(a, b);
  if (!is_floating(result)) {
    if (alpha.kind == Scalar::floating) throw DTypeError("add: alpha must be an integer for integer tensors");
    return add(a, mul(b, scalar_tensor(alpha)));
  }
  const Tensor y = run_binary("add", BinaryOp::add_scaled, a, b, result, {{alpha.d}});
  if (records(a, b))
    record("add", y, {a, b}, [to_a = Operand(a), to_b = Operand(b), alpha = alpha.d](GradCall& c) {
      if (c.wants(0)) c.set(0, to_a(c.grad()));
      if (c.wants(1)) c.set(1, to_b(mul(c.grad(), number(alpha))));
    });
  return y;
}
Tensor sub_scaled(T a, T b, const Scalar& alpha) {
  if (alpha.d == 1) return sub(a, b);
  return add_scaled(a, b, alpha.kind == Scalar::floating ? Scalar(-alpha.d) : Scalar(-alpha.i));
}
Tensor mul(T a, T b) {
  const Tensor y = run_binary("mul", BinaryOp::mul, a, b, result_type(a, b));
  if (records(a, b))
    record("mul", y, {a, b}, [a = save(a), b = save(b), to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      if (c.wants(0)) c.set(0, to_a(mul(c.grad(), c(b))));
      if (c.wants(1)) c.set(1, to_b(mul(c.grad(), c(a))));
    });
  return y;
}
Tensor div(T a, T b) {
  const Tensor y = run_binary("div", BinaryOp::div, a, b, floating_result(result_type(a, b)));
  if (records(a, b))
    record("div", y, {a, b}, [a = save(a), b = save(b), to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      const Tensor scaled = div(c.grad(), c(b));
      if (c.wants(0)) c.set(0, to_a(scaled));
      if (c.wants(1)) c.set(1, to_b(neg(mul(scaled, div(c(a), c(b))))));
    });
  return y;
}
Tensor floor_divide(T a, T b) {
  const DType result = result_type(a, b);
  check_divisor("floor_divide", result, b);
  const Tensor y = run_binary("floor_divide", BinaryOp::floor_divide, a, b, result);
  if (records(a, b))
    record("floor_divide", y, {a, b}, [to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      if (c.wants(0)) c.set(0, to_a(zeros_like(c.grad())));
      if (c.wants(1)) c.set(1, to_b(zeros_like(c.grad())));
    });
  return y;
}
Tensor remainder(T a, T b) {
  const DType result = result_type(a, b);
  check_divisor("remainder", result, b);
  const Tensor y = run_binary("remainder", BinaryOp::remainder, a, b, result);
  if (records(a, b))
    record("remainder", y, {a, b}, [a = save(a), b = save(b), to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      if (c.wants(0)) c.set(0, to_a(c.grad()));
      if (c.wants(1)) c.set(1, to_b(neg(mul(c.grad(), floor_divide(c(a), c(b))))));
    });
  return y;
}
Tensor fmod(T a, T b) {
  const DType result = result_type(a, b);
  check_divisor("fmod", result, b);
  const Tensor y = run_binary("fmod", BinaryOp::fmod, a, b, result);
  if (records(a, b))
    record("fmod", y, {a, b}, [a = save(a), b = save(b), to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      if (c.wants(0)) c.set(0, to_a(c.grad()));
      if (c.wants(1)) c.set(1, to_b(neg(mul(c.grad(), trunc(div(c(a), c(b)))))));
    });
  return y;
}
Tensor pow(T a, T b) {
  const DType result = result_type(a, b);
  if (b.is_wrapped_number()) {
    const Scalar e = item_scalar(b);
    if (!is_floating(result) && e.i < 0) throw ValueError("pow: integers to a negative power; convert them to floating point");
    if (e.d == 2 && result == a.dtype()) return square(a);
    if (is_floating(result) && e.d == 0.5) return sqrt(a);
    if (is_floating(result) && e.d == -1) return reciprocal(a);
  }
  const Tensor y = run_binary("pow", BinaryOp::pow, a, b, result);
  if (records(a, b))
    record("pow", y, {a, b}, [a = save(a), b = save(b), y = save_output(y), to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      const Tensor base = c(a), exponent = c(b);
      if (c.wants(0)) {  // 0 where the exponent is 0, also at a base of 0
               // A Python number less one stays a double: two numbers alone would give the default dtype.
        const Tensor less = !exponent.is_wrapped_number()   ? sub(exponent, number(1))
                            : is_floating(exponent.dtype()) ? scalar_tensor(item_scalar(exponent).d - 1)
                                                            : scalar_tensor(item_scalar(exponent).i - 1);
        const Tensor slope = mul(c.grad(), mul(exponent, pow(base, less)));
        c.set(0, to_a(where(eq(exponent, number(0)), zeros_like(slope), slope)));
      }
      if (c.wants(1)) {
        const Tensor slope = mul(c.grad(), mul(c(y), log(base)));
        c.set(1, to_b(where(eq(c(y), number(0)), zeros_like(slope), slope)));
      }
    });
  return y;
}
Tensor atan2(T a, T b) {
  const Tensor y = run_binary("atan2", BinaryOp::atan2, a, b, floating_result(result_type(a, b)));
  if (records(a, b))
    record("atan2", y, {a, b}, [a = save(a), b = save(b), to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      const Tensor scaled = div(c.grad(), add(square(c(a)), square(c(b))));
      if (c.wants(0)) c.set(0, to_a(mul(scaled, c(b))));
      if (c.wants(1)) c.set(1, to_b(neg(mul(scaled, c(a)))));
    });
  return y;
}
Tensor hypot(T a, T b) {
  const Tensor y = run_binary("hypot", BinaryOp::hypot, a, b, floating_result(result_type(a, b)));
  if (records(a, b))
    record("hypot", y, {a, b},
           [a = save(a), b = save(b), y = save_output(y), to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
             const Tensor scaled = div(c.grad(), c(y));
             if (c.wants(0)) c.set(0, to_a(mul(scaled, c(a))));
             if (c.wants(1)) c.set(1, to_b(mul(scaled, c(b))));
           });
  return y;
}
Tensor copysign(T a, T b) {
  const Tensor y = run_binary("copysign", BinaryOp::copysign, a, b, floating_result(result_type(a, b)));
  if (records(a, b))
    record("copysign", y, {a, b}, [a = save(a), b = save(b), to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      if (c.wants(0)) c.set(0, to_a(mul(c.grad(), mul(sign(c(a)), copysign(ones_like(c.grad()), c(b))))));
      if (c.wants(1)) c.set(1, to_b(zeros_like(c.grad())));
    });
  return y;
}
Tensor nextafter(T a, T b) {
  const DType result = result_type(a, b);
  if (result != DType::f32 && result != DType::f64)
    throw DTypeError(str("nextafter: expected float32 or float64, got ", name_of(a.dtype()), " and ", name_of(b.dtype())));
  return run_binary("nextafter", BinaryOp::nextafter, a, b, result);
}
namespace {
Tensor incomplete_gamma(const char* name, BinaryOp op, double sign, T a, T x) {
  if (records(a)) throw Error(str(name, ": there is no gradient for the first argument; detach it"));
  const Tensor y = run_binary(name, op, a, x, floating_result(result_type(a, x)));
  if (records(x))
    record(name, y, {x}, [a = save(a), x = save(x), sign, to_x = Operand(x)](GradCall& c) {  // x^(a - 1) e^-x / Gamma(a)
      const Tensor density = exp(sub(sub(mul(sub(c(a), number(1)), log(c(x))), c(x)), lgamma(c(a))));
      c.set(0, to_x(mul(c.grad(), mul(density, number(sign)))));
    });
  return y;
}
}  // namespace
Tensor igamma(T a, T x) { return incomplete_gamma("igamma", BinaryOp::gamma_lower, 1, a, x); }
Tensor igammac(T a, T x) { return incomplete_gamma("igammac", BinaryOp::gamma_upper, -1, a, x); }

Tensor zeta(T s, T q) {
  const Tensor y = run_binary("zeta", BinaryOp::zeta, s, q, floating_result(result_type(s, q)));
  if (records(s)) throw Error("zeta: there is no gradient for the exponent; detach it");
  if (records(q))
    record("zeta", y, {q}, [s = save(s), q = save(q), to_q = Operand(q)](GradCall& c) {
      c.set(0, to_q(neg(mul(c.grad(), mul(c(s), zeta(add(c(s), number(1)), c(q)))))));
    });
  return y;
}

namespace {
// The larger or the smaller: the gradient goes to the operand that won, half to each where they are equal.
Tensor choose(const char* name, BinaryOp op, Tensor (*wins)(T, T), T a, T b) {
  const Tensor y = run_binary(name, op, a, b, result_type(a, b));
  if (records(a, b))
    record(name, y, {a, b}, [a = save(a), b = save(b), wins, to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      const Tensor tie = mul(to_dtype(eq(c(a), c(b)), c.grad().dtype()), number(0.5));
      if (c.wants(0)) c.set(0, to_a(mul(c.grad(), add(tie, wins(c(a), c(b))))));
      if (c.wants(1)) c.set(1, to_b(mul(c.grad(), add(tie, wins(c(b), c(a))))));
    });
  return y;
}
}  // namespace
Tensor maximum(T a, T b) { return choose("maximum", BinaryOp::maximum, gt, a, b); }
Tensor minimum(T a, T b) { return choose("minimum", BinaryOp::minimum, lt, a, b); }

Tensor bitwise_and(T a, T b) {
  check_integral("bitwise_and", a, b);
  return run_binary("bitwise_and", BinaryOp::bitwise_and, a, b, result_type(a, b));
}
Tensor bitwise_or(T a, T b) {
  check_integral("bitwise_or", a, b);
  return run_binary("bitwise_or", BinaryOp::bitwise_or, a, b, result_type(a, b));
}
Tensor bitwise_xor(T a, T b) {
  check_integral("bitwise_xor", a, b);
  return run_binary("bitwise_xor", BinaryOp::bitwise_xor, a, b, result_type(a, b));
}
Tensor bitwise_left_shift(T a, T b) {
  check_integers("bitwise_left_shift", a, b);
  return run_binary("bitwise_left_shift", BinaryOp::shift_left, a, b, result_type(a, b));
}
Tensor bitwise_right_shift(T a, T b) {
  check_integers("bitwise_right_shift", a, b);
  return run_binary("bitwise_right_shift", BinaryOp::shift_right, a, b, result_type(a, b));
}
Tensor gcd(T a, T b) {
  check_integers("gcd", a, b);
  return run_binary("gcd", BinaryOp::gcd, a, b, result_type(a, b));
}

// --- comparisons: no gradients ---
Tensor eq(T a, T b) { return run_compare("eq", CompareOp::eq, a, b); }
Tensor ne(T a, T b) { return run_compare("ne", CompareOp::ne, a, b); }
Tensor lt(T a, T b) { return run_compare("lt", CompareOp::lt, a, b); }
Tensor le(T a, T b) { return run_compare("le", CompareOp::le, a, b); }
Tensor gt(T a, T b) { return run_compare("gt", CompareOp::gt, a, b); }
Tensor ge(T a, T b) { return run_compare("ge", CompareOp::ge, a, b); }
Tensor logical_and(T a, T b) { return run_compare("logical_and", CompareOp::logical_and, a, b); }
Tensor logical_or(T a, T b) { return run_compare("logical_or", CompareOp::logical_or, a, b); }
Tensor logical_xor(T a, T b) { return run_compare("logical_xor", CompareOp::logical_xor, a, b); }

// --- three tensors ---
Tensor where(T condition, T a, T b) {
  if (condition.dtype() != DType::b8 && condition.dtype() != DType::u8)
    throw DTypeError(str("where: the condition must be bool, got ", name_of(condition.dtype())));
  const Tensor y = run_ternary("where", TernaryOp::where, condition, a, b, result_type(a, b));
  if (records(a, b))
    record("where", y, {a, b}, [condition = save(condition), to_a = Operand(a), to_b = Operand(b)](GradCall& c) {
      const Tensor zero = scalar_tensor(0.0);
      if (c.wants(0)) c.set(0, to_a(where(c(condition), c.grad(), zero)));
      if (c.wants(1)) c.set(1, to_b(where(c(condition), zero, c.grad())));
    });
  return y;
}
Tensor masked_fill(T x, T mask, T value) {
  if (value.ndim() != 0) throw ShapeError(str("masked_fill: the value must be a number or 0-d, got shape ", value.shape()));
  if (mask.dtype() != DType::b8) throw DTypeError(str("masked_fill: the mask must be bool, got ", name_of(mask.dtype())));
  return where(mask, to_dtype(value, x.dtype()), x);
}
Tensor addcmul(T x, T a, T b, double value) {
  const DType result = promote(x.dtype(), result_type(a, b));
  const Tensor y = run_ternary("addcmul", TernaryOp::addcmul, x, a, b, result, {{value}});
  if (records(x, a, b))
    record("addcmul", y, {x, a, b},
           [a = save(a), b = save(b), to_x = Operand(x), to_a = Operand(a), to_b = Operand(b), value](GradCall& c) {
             if (c.wants(0)) c.set(0, to_x(c.grad()));
             if (c.wants(1)) c.set(1, to_a(mul(mul(c.grad(), number(value)), c(b))));
             if (c.wants(2)) c.set(2, to_b(mul(mul(c.grad(), number(value)), c(a))));
           });
  return y;
}
Tensor addcdiv(T x, T a, T b, double value) {
  const DType result = floating_result(promote(x.dtype(), result_type(a, b)));
  const Tensor y = run_ternary("addcdiv", TernaryOp::addcdiv, x, a, b, result, {{value}});
  if (records(x, a, b))
    record("addcdiv", y, {x, a, b},
           [a = save(a), b = save(b), to_x = Operand(x), to_a = Operand(a), to_b = Operand(b), value](GradCall& c) {
             if (c.wants(0)) c.set(0, to_x(c.grad()));
             const Tensor scaled = div(mul(c.grad(), number(value)), c(b));
             if (c.wants(1)) c.set(1, to_a(scaled));
             if (c.wants(2)) c.set(2, to_b(neg(mul(scaled, div(c(a), c(b))))));
           });
  return y;
}
Tensor lerp(T start, T end, T weight) {
  const DType result = floating_result(result_type(start, end));
  const Tensor y = run_ternary("lerp", TernaryOp::lerp, start, end, weight, result);
  if (records(start, end, weight))
    record("lerp", y, {start, end, weight},
           [a = save(start), b = save(end), w = save(weight), to_a = Operand(start), to_b = Operand(end),
            to_w = Operand(weight)](GradCall& c) {
             if (c.wants(0)) c.set(0, to_a(mul(c.grad(), sub(number(1), c(w)))));
             if (c.wants(1)) c.set(1, to_b(mul(c.grad(), c(w))));
             if (c.wants(2)) c.set(2, to_w(mul(c.grad(), sub(c(b), c(a)))));
           });
  return y;
}

// --- in place ---
void check_in_place(const char* name, T self, const Shape& shape, DType result) {
  check_writable(name, self);
  if (!(shape == self.shape()))
    throw ShapeError(str(name, ": the result has shape ", shape, ", which does not fit into ", self.shape()));
  if (kind(result) > kind(self.dtype()))
    throw DTypeError(str(name, ": the result is ", name_of(result), ", which does not fit into ", name_of(self.dtype())));
}

Tensor without_partial_overlap(T x, T out) {
  if (x.storage().get() != out.storage().get()) return x;
  if (x.data() == out.data() && x.shape() == out.shape() && x.strides() == out.strides()) return x;
  GradMode no_grad(false);
  return clone(x);
}

Tensor assign(const char* name, T self, T value) {
  check_in_place(name, self, value.shape(), value.dtype());
  return copy_(self, value);
}

namespace {
void update(const char* name, BinaryOp op, T self, T other, DType result, const Params& p = {}) {
  check_in_place(name, self, common_shape(name, self, other), result);
  const Tensor b = without_partial_overlap(other, self);
  if (is_floating(result) == is_floating(self.dtype())) {
    run_binary_into(name, op, self, self, b, p);
  } else {  // computed in `result`'s kind, then converted
    GradMode no_grad(false);
    copy_(self, run_binary(name, op, self, b, result, p));
    return;
  }
  changed(self);
}
}  // namespace

Tensor add_(T self, T other) { return add_scaled_(self, other, int64_t{1}); }
Tensor sub_(T self, T other) { return sub_scaled_(self, other, int64_t{1}); }
Tensor add_scaled_(T self, T other, const Scalar& alpha) {
  const DType result = result_type(self, other);
  if (alpha.d == 1) update("add_", BinaryOp::add, self, other, result);
  else if (is_floating(result)) update("add_", BinaryOp::add_scaled, self, other, result, {{alpha.d}});
  else return assign("add_", self, add_scaled(self, other, alpha));
  if (records(self, other))
    record("add_", self, {self, other}, [to_b = Operand(other), alpha = alpha.d](GradCall& c) {
      c.set(0, c.grad());
      if (c.wants(1)) c.set(1, to_b(alpha == 1 ? c.grad() : mul(c.grad(), number(alpha))));
    });
  return self;
}
Tensor sub_scaled_(T self, T other, const Scalar& alpha) {
  check_not_bool("sub_", self, other);
  const DType result = result_type(self, other);
  if (alpha.d != 1) return add_scaled_(self, other, alpha.kind == Scalar::floating ? Scalar(-alpha.d) : Scalar(-alpha.i));
  update("sub_", BinaryOp::sub, self, other, result);
  if (records(self, other))
    record("sub_", self, {self, other}, [to_b = Operand(other)](GradCall& c) {
      c.set(0, c.grad());
      if (c.wants(1)) c.set(1, to_b(neg(c.grad())));
    });
  return self;
}
Tensor mul_(T self, T other) {
  if (records(other)) return assign("mul_", self, mul(clone(self), other));
  update("mul_", BinaryOp::mul, self, other, result_type(self, other));
  if (records(self)) record("mul_", self, {self}, [b = save(other)](GradCall& c) { c.set(0, mul(c.grad(), c(b))); });
  return self;
}
Tensor div_(T self, T other) {
  if (records(other)) return assign("div_", self, div(clone(self), other));
  update("div_", BinaryOp::div, self, other, floating_result(result_type(self, other)));
  if (records(self)) record("div_", self, {self}, [b = save(other)](GradCall& c) { c.set(0, div(c.grad(), c(b))); });
  return self;
}
Tensor clamp_(T self, const std::optional<Tensor>& low, const std::optional<Tensor>& high) {
  return assign("clamp_", self, clamp(records(self) ? clone(self) : self, low, high));
}
Tensor masked_fill_(T self, T mask, T value) {
  return assign("masked_fill_", self, masked_fill(records(self) ? clone(self) : self, mask, value));
}
Tensor lerp_(T self, T end, T weight) { return assign("lerp_", self, lerp(records(self) ? clone(self) : self, end, weight)); }
Tensor addcmul_(T self, T a, T b, double value) {
  return assign("addcmul_", self, addcmul(records(self) ? clone(self) : self, a, b, value));
}
Tensor addcdiv_(T self, T a, T b, double value) {
  return assign("addcdiv_", self, addcdiv(records(self) ? clone(self) : self, a, b, value));
}
Tensor pow_(T self, T exponent) { return assign("pow_", self, pow(records(self) ? clone(self) : self, exponent)); }

}  // namespace fastdl::ops
