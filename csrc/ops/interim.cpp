// Plain loops that let the core be tested before the elementwise engine and the matrix kernels replace them; this file
// goes when copy.cpp, unary.cpp, binary.cpp, reduce.cpp and matmul.cpp are there.
#include <cmath>

#include "ops/ops.h"

namespace fastdl::ops {
namespace {
double get(DType t, const char* p) {
  switch (t) {
    case DType::f32: return *reinterpret_cast<const float*>(p);
    case DType::f64: return *reinterpret_cast<const double*>(p);
    case DType::i64: return static_cast<double>(*reinterpret_cast<const int64_t*>(p));
    case DType::i32: return *reinterpret_cast<const int32_t*>(p);
    case DType::u8: return *reinterpret_cast<const uint8_t*>(p);
    case DType::i8: return *reinterpret_cast<const int8_t*>(p);
    case DType::b8: return *p != 0;
    default: throw DTypeError("interim: 16-bit floats");
  }
}
void put(DType t, char* p, double v) {
  switch (t) {
    case DType::f32: *reinterpret_cast<float*>(p) = static_cast<float>(v); break;
    case DType::f64: *reinterpret_cast<double*>(p) = v; break;
    case DType::i64: *reinterpret_cast<int64_t*>(p) = static_cast<int64_t>(v); break;
    case DType::i32: *reinterpret_cast<int32_t*>(p) = static_cast<int32_t>(v); break;
    case DType::u8: *reinterpret_cast<uint8_t*>(p) = static_cast<uint8_t>(v); break;
    case DType::i8: *reinterpret_cast<int8_t*>(p) = static_cast<int8_t>(v); break;
    case DType::b8: *p = v != 0; break;
    default: throw DTypeError("interim: 16-bit floats");
  }
}
char* at(const View& v, int64_t i) {
  int64_t off = 0;
  for (int d = v.ndim - 1; d >= 0; --d) {
    off += i % v.shape[d] * v.strides[d];
    i /= v.shape[d];
  }
  return static_cast<char*>(v.data) + off * size_of(v.dtype);
}
template <class F> void loop(const View& o, const View& a, const View& b, F f) {
  for (int64_t i = 0, n = o.numel(); i < n; ++i) put(o.dtype, at(o, i), f(get(a.dtype, at(a, i)), get(b.dtype, at(b, i))));
}
template <class F> Tensor apply(const char* op, const Tensor& a, const Tensor& b, F f, bool compare = false) {
  const Shape s = broadcast_shapes(op, a.shape(), b.shape());
  DType t = a.is_wrapped_number() && !b.is_wrapped_number() ? b.dtype() : b.is_wrapped_number() ? a.dtype() : promote(a.dtype(), b.dtype());
  if (a.is_wrapped_number() != b.is_wrapped_number() && !is_floating(t) && (is_floating(a.dtype()) || is_floating(b.dtype()))) t = DType::f32;
  Tensor out = make_empty(s, compare ? DType::b8 : t);
  loop(out.view(), broadcast_view(a, s), broadcast_view(b, s), f);
  return out;
}
}  // namespace

Tensor copy_(const Tensor& self, const Tensor& source) {
  check_writable("copy_", self);
  if (!(broadcast_shapes("copy_", self.shape(), source.shape()) == self.shape())) throw ShapeError(str("copy_: ", source.shape(), " does not broadcast to ", self.shape()));
  loop(self.view(), broadcast_view(source, self.shape()), broadcast_view(source, self.shape()), [](double x, double) { return x; });
  changed(self);
  return self;
}
Tensor clone(const Tensor& t) {
  Tensor out = empty_like(t);
  { GradMode g(false); copy_(out, t); }
  if (records(t)) record("clone", out, {t}, [](GradCall& c) { c.set(0, c.grad()); });
  return out;
}
Tensor contiguous(const Tensor& t) {
  if (t.is_contiguous()) return t;
  Tensor out = make_empty(t.shape(), t.dtype());
  { GradMode g(false); copy_(out, t); }
  if (records(t)) record("contiguous", out, {t}, [](GradCall& c) { c.set(0, c.grad()); });
  return out;
}
Tensor to_dtype(const Tensor& t, DType d) {
  if (t.dtype() == d) return t;
  Tensor out = empty_like(t, d);
  { GradMode g(false); copy_(out, t); }
  if (records(t)) record("to", out, {t}, [d = t.dtype()](GradCall& c) { c.set(0, to_dtype(c.grad(), d)); });
  return out;
}
Tensor to_channels_last(const Tensor& t) { return t; }
Tensor fill_(const Tensor& self, const Scalar& v) {
  check_writable("fill_", self);
  View o = self.view();
  for (int64_t i = 0, n = o.numel(); i < n; ++i) put(o.dtype, at(o, i), v.d);
  changed(self);
  return self;
}
Tensor scatter(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  Tensor out = clone(self);
  const View o = out.view(), ix = index.view(), v = src.view();
  for (int64_t i = 0, n = ix.numel(); i < n; ++i) {
    View one = o;
    int64_t rest = i;
    char* p = static_cast<char*>(o.data);
    for (int d = ix.ndim - 1; d >= 0; --d) {
      const int64_t k = d == dim ? *reinterpret_cast<int64_t*>(at(ix, i)) : rest % ix.shape[d];
      p += k * one.strides[d] * size_of(o.dtype);
      rest /= ix.shape[d];
    }
    put(o.dtype, p, get(v.dtype, at(v, i)));
  }
  return out;
}
Tensor add(const Tensor& a, const Tensor& b) {
  Tensor o = apply("add", a, b, [](double x, double y) { return x + y; });
  if (records(a, b)) record("add", o, {a, b}, [sa = a.shape(), sb = b.shape()](GradCall& c) { c.set(0, sum_to(c.grad(), sa)); c.set(1, sum_to(c.grad(), sb)); });
  return o;
}
Tensor sub(const Tensor& a, const Tensor& b) { return add(a, neg(b)); }
Tensor mul(const Tensor& a, const Tensor& b) {
  Tensor o = apply("mul", a, b, [](double x, double y) { return x * y; });
  if (records(a, b)) record("mul", o, {a, b}, [a = save(a), b = save(b), sa = a.shape(), sb = b.shape()](GradCall& c) {
      if (c.wants(0)) c.set(0, sum_to(mul(c.grad(), c(b)), sa));
      if (c.wants(1)) c.set(1, sum_to(mul(c.grad(), c(a)), sb)); });
  return o;
}
Tensor div(const Tensor& a, const Tensor& b) { return mul(a, pow(b, scalar_tensor(-1.0))); }
Tensor neg(const Tensor& a) { return mul(a, scalar_tensor(int64_t{-1})); }
Tensor pow(const Tensor& a, const Tensor& b) {
  Tensor o = apply("pow", a, b, [](double x, double y) { return std::pow(x, y); });
  if (records(a)) record("pow", o, {a}, [a = save(a), e = item(b)](GradCall& c) { c.set(0, mul(c.grad(), mul(pow(c(a), scalar_tensor(e - 1)), scalar_tensor(e)))); });
  return o;
}
Tensor abs(const Tensor& a) { return apply("abs", a, a, [](double x, double) { return std::fabs(x); }); }
Tensor bitwise_not(const Tensor& a) { return apply("not", a, a, [](double x, double) { return x == 0; }); }
Tensor floor_divide(const Tensor& a, const Tensor& b) { return apply("floor_divide", a, b, [](double x, double y) { return std::floor(x / y); }); }
Tensor remainder(const Tensor& a, const Tensor& b) { return apply("remainder", a, b, [](double x, double y) { return x - y * std::floor(x / y); }); }
Tensor bitwise_and(const Tensor& a, const Tensor& b) { return apply("and", a, b, [](double x, double y) { return static_cast<double>(static_cast<int64_t>(x) & static_cast<int64_t>(y)); }); }
Tensor bitwise_or(const Tensor& a, const Tensor& b) { return apply("or", a, b, [](double x, double y) { return static_cast<double>(static_cast<int64_t>(x) | static_cast<int64_t>(y)); }); }
Tensor bitwise_xor(const Tensor& a, const Tensor& b) { return apply("xor", a, b, [](double x, double y) { return static_cast<double>(static_cast<int64_t>(x) ^ static_cast<int64_t>(y)); }); }
Tensor lt(const Tensor& a, const Tensor& b) { return apply("lt", a, b, [](double x, double y) { return x < y; }, true); }
Tensor le(const Tensor& a, const Tensor& b) { return apply("le", a, b, [](double x, double y) { return x <= y; }, true); }
Tensor eq(const Tensor& a, const Tensor& b) { return apply("eq", a, b, [](double x, double y) { return x == y; }, true); }
Tensor ne(const Tensor& a, const Tensor& b) { return apply("ne", a, b, [](double x, double y) { return x != y; }, true); }
Tensor gt(const Tensor& a, const Tensor& b) { return apply("gt", a, b, [](double x, double y) { return x > y; }, true); }
Tensor ge(const Tensor& a, const Tensor& b) { return apply("ge", a, b, [](double x, double y) { return x >= y; }, true); }
namespace {
template <Tensor (*Op)(const Tensor&, const Tensor&)> Tensor in_place(const char* name, const Tensor& self, const Tensor& other) {
  check_writable(name, self);
  Tensor r;
  { GradMode g(false); r = Op(self, other); copy_(self, r); }
  return self;
}
}  // namespace
Tensor add_(const Tensor& s, const Tensor& o) { return in_place<add>("add_", s, o); }
Tensor sub_(const Tensor& s, const Tensor& o) { return in_place<sub>("sub_", s, o); }
Tensor mul_(const Tensor& s, const Tensor& o) { return in_place<mul>("mul_", s, o); }
Tensor div_(const Tensor& s, const Tensor& o) { return in_place<div>("div_", s, o); }
}  // namespace fastdl::ops
