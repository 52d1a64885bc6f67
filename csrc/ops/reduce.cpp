#include <cmath>
#include <limits>

#include "ops/fused.h"
#include "ops/launch.h"

namespace fastdl::ops {

namespace {

uint32_t dim_mask(const char* op, const Tensor& t, const Dims& dims) {
  if (!dims || dims->empty()) return (1u << t.ndim()) - 1;
  uint32_t mask = 0;
  for (int64_t d : *dims) {
    const uint32_t bit = 1u << normalize_dim(d, t.ndim(), op);
    if (mask & bit) throw ValueError(str(op, ": dimension ", d, " appears twice in ", *dims));
    mask |= bit;
  }
  return t.ndim() ? mask : 0;
}

Shape kept_shape(const Shape& shape, uint32_t mask) {  // with keepdim
  Shape out = shape;
  for (int i = 0; i < out.size(); ++i)
    if (mask >> i & 1) out[i] = 1;
  return out;
}

int64_t reduced_count(const Tensor& t, uint32_t mask) {
  int64_t n = 1;
  for (int i = 0; i < t.ndim(); ++i)
    if (mask >> i & 1) n *= t.shape()[i];
  return n;
}

// No gradient; the result keeps the reduced dimensions with size 1.
Tensor run(ReduceOp op, const Tensor& t, uint32_t mask, DType dtype, double scale = 1.0) {
  Tensor out = empty(kept_shape(t.shape(), mask), dtype, t.device());
  if (out.numel() == 0) return out;
  if (t.numel() == 0) {  // nothing to add up: the value of an empty sum, product, any or all
    GradMode no_grad(false);
    const bool one = op == ReduceOp::prod || op == ReduceOp::all;
    return fill_(out, one ? Scalar(1.0) : Scalar(scale * 0.0));  // the mean of nothing is NaN: scale is infinite
  }
  const Tensor workspace = reduce_workspace(t);
  launch(
      &KernelTable::reduce, t.device(),
      ReduceArgs{t.view(), broadcast_view(out, t.shape()), mask, op, scale, workspace.defined() ? workspace.data() : nullptr});
  return out;
}

Tensor drop_dims(const Tensor& t, uint32_t mask, bool keepdim) {  // of a tensor without history
  if (keepdim || mask == 0) return t;
  Shape shape;
  for (int i = 0; i < t.ndim(); ++i)
    if (!(mask >> i & 1)) shape.push_back(t.shape()[i]);
  return make_tensor(t.storage(), t.data(), shape, contiguous_strides(shape), t.dtype());
}

// g, which lacks the reduced dimensions unless they were kept, with them as size 1.
Tensor restore_dims(const Tensor& g, const Shape& shape, uint32_t mask) { return reshape(g, kept_shape(shape, mask)); }

// Bool, but uint8 of uint8, as in PyTorch.
DType truth_dtype(const Tensor& t) { return t.dtype() == DType::u8 ? DType::u8 : DType::b8; }

DType sum_dtype(const Tensor& t, const std::optional<DType>& dtype) {
  return dtype.value_or(is_floating(t.dtype()) ? t.dtype() : DType::i64);
}

Tensor summed(const char* op, const Tensor& t, uint32_t mask, bool keepdim, DType dtype, double scale) {
  Tensor out = drop_dims(run(ReduceOp::sum, t, mask, dtype, scale), mask, keepdim);
  if (records(t))
    record(op, out, {t}, [shape = t.shape(), from = t.dtype(), mask, scale](GradCall& c) {
      Tensor g = to_dtype(c.grad(), from);
      if (scale != 1.0) g = mul(g, scalar_tensor(scale));
      c.set(0, expand(restore_dims(g, shape, mask), shape));
    });
  return out;
}

Tensor extreme(const char* op, ReduceOp which, const Tensor& t, const Dims& dims, bool keepdim) {
  const uint32_t mask = dim_mask(op, t, dims);
  if (reduced_count(t, mask) == 0 && kept_shape(t.shape(), mask).numel() != 0)
    throw ShapeError(str(op, ": input ", t.shape(), " has no elements along the reduced dimensions"));
  Tensor full = run(which, t, mask, t.dtype());
  Tensor out = drop_dims(full, mask, keepdim);
  if (records(t))  // shared evenly among equals
    record(op, out, {t}, [x = save(t), full, mask](GradCall& c) {
      const Tensor x0 = c(x);
      Tensor chosen = to_dtype(eq(detach(x0), full), x0.dtype());
      Tensor share = div(chosen, sum_to(chosen, full.shape()));
      c.set(0, mul(restore_dims(c.grad(), x0.shape(), mask), share));
    });
  return out;
}

}  // namespace

Tensor sum(const Tensor& t, const Dims& dims, bool keepdim, const std::optional<DType>& dtype) {
  return summed("sum", t, dim_mask("sum", t, dims), keepdim, sum_dtype(t, dtype), 1.0);
}
Tensor sum(const Tensor& t, const Dims& dims, bool keepdim) { return sum(t, dims, keepdim, std::nullopt); }

Tensor sum_to(const Tensor& t, const Shape& shape) {
  if (t.shape() == shape) return t;
  const int lead = t.ndim() - shape.size();
  uint32_t mask = 0;
  for (int i = 0; i < t.ndim(); ++i)
    if (i < lead || (shape[i - lead] == 1 && t.shape()[i] != 1)) mask |= 1u << i;
  return reshape(summed("sum_to", t, mask, true, t.dtype(), 1.0), shape);
}

Tensor mean(const Tensor& t, const Dims& dims, bool keepdim, const std::optional<DType>& dtype) {
  const DType out = dtype.value_or(t.dtype());
  if (!is_floating(out))
    throw DTypeError(str("mean: expected a floating-point tensor, got ", name_of(t.dtype()), "; pass dtype"));
  const uint32_t mask = dim_mask("mean", t, dims);
  return summed("mean", t, mask, keepdim, out, 1.0 / static_cast<double>(reduced_count(t, mask)));
}

Tensor prod(const Tensor& t, const Dims& dims, bool keepdim, const std::optional<DType>& dtype) {
  const uint32_t mask = dim_mask("prod", t, dims);
  Tensor full = run(ReduceOp::prod, t, mask, sum_dtype(t, dtype));
  Tensor out = drop_dims(full, mask, keepdim);
  if (records(t))
    record("prod", out, {t}, [x = save(t), mask](GradCall& c) {
      // The product of the others: prod / x, and where x is the only zero, the product of the rest.
      const Tensor x0 = c(x);
      const Tensor zero = to_dtype(eq(detach(x0), scalar_tensor(0.0)), x0.dtype());
      const Tensor zeros_there = sum_to(zero, kept_shape(x0.shape(), mask));
      const Tensor filled = add(x0, zero);  // ones for the zeros
      Dims reduced = Shape();
      for (int i = 0; i < x0.ndim(); ++i)
        if (mask >> i & 1) reduced->push_back(i);
      if (x0.ndim() == 0) reduced = std::nullopt;
      const Tensor rest = prod(filled, reduced, true, std::nullopt);
      const Tensor none = to_dtype(eq(zeros_there, scalar_tensor(0.0)), x0.dtype());
      const Tensor one = to_dtype(eq(zeros_there, scalar_tensor(1.0)), x0.dtype());
      const Tensor weight = add(none, mul(one, zero));
      c.set(0, mul(mul(to_dtype(restore_dims(c.grad(), x0.shape(), mask), x0.dtype()), weight), div(rest, filled)));
    });
  return out;
}

Tensor amax(const Tensor& t, const Dims& dims, bool keepdim) { return extreme("amax", ReduceOp::max, t, dims, keepdim); }
Tensor amin(const Tensor& t, const Dims& dims, bool keepdim) { return extreme("amin", ReduceOp::min, t, dims, keepdim); }

Tensor any(const Tensor& t, const Dims& dims, bool keepdim) {
  const uint32_t mask = dim_mask("any", t, dims);
  return drop_dims(run(ReduceOp::any, t, mask, truth_dtype(t)), mask, keepdim);
}
Tensor all(const Tensor& t, const Dims& dims, bool keepdim) {
  const uint32_t mask = dim_mask("all", t, dims);
  return drop_dims(run(ReduceOp::all, t, mask, truth_dtype(t)), mask, keepdim);
}

Tensor count_nonzero(const Tensor& t, const Dims& dims) {
  return sum(ne(detach(t), scalar_tensor(int64_t{0})), dims, false, std::nullopt);
}

Tensor var(const Tensor& t, const Dims& dims, double correction, bool keepdim) {
  check_floating("var", t);
  const uint32_t mask = dim_mask("var", t, dims);
  const double n = static_cast<double>(reduced_count(t, mask));
  Dims reduced = Shape();
  for (int i = 0; i < t.ndim(); ++i)
    if (mask >> i & 1) reduced->push_back(i);
  if (t.ndim() == 0) reduced = std::nullopt;
  const Tensor d = sub(t, mean(t, reduced, true, std::nullopt));
  const double rest = n - correction > 0 ? n - correction : 0.0;
  return mul(sum(mul(d, d), reduced, keepdim, std::nullopt), scalar_tensor(1.0 / rest));
}

Tensor std(const Tensor& t, const Dims& dims, double correction, bool keepdim) {
  return pow(var(t, dims, correction, keepdim), scalar_tensor(0.5));
}

namespace {

// (sum |x|^order)^(1 / order); the gradient is 0 where an element or the whole norm is 0.
Tensor norm_of_order(const Tensor& t, double order, uint32_t mask, const Dims& dims, bool keepdim) {
  Tensor out;
  {
    GradMode no_grad(false);
    out = pow(sum(pow(abs(t), scalar_tensor(order)), dims, keepdim, std::nullopt), scalar_tensor(1.0 / order));
  }
  if (records(t))
    record("norm", out, {t}, [x = save(t), order, mask, y = save_output(out)](GradCall& c) {
      const Tensor x0 = c(x), norm = restore_dims(c(y), x0.shape(), mask), one = scalar_tensor(1.0), none = scalar_tensor(0.0);
      const Tensor zero = logical_or(eq(detach(x0), none), eq(detach(norm), none));
      const Tensor ratio = where(zero, one, div(abs(x0), norm));
      const Tensor slope = mul(sign(x0), pow(ratio, scalar_tensor(order - 1)));
      c.set(0, mul(restore_dims(c.grad(), x0.shape(), mask), where(zero, none, slope)));
    });
  return out;
}

}  // namespace

Tensor vector_norm(const Tensor& t, double order, const Dims& dims, bool keepdim) {
  check_floating("norm", t);
  const uint32_t mask = dim_mask("norm", t, dims);
  const double inf = std::numeric_limits<double>::infinity();
  if (order == inf) return amax(abs(t), dims, keepdim);
  if (order == -inf) return amin(abs(t), dims, keepdim);
  if (order == 0) {
    const Tensor count = sum(to_dtype(ne(detach(t), scalar_tensor(0.0)), t.dtype()), dims, keepdim, std::nullopt);
    if (records(t))
      record("norm", count, {t},
             [shape = t.shape()](GradCall& c) { c.set(0, zeros(shape, c.grad().dtype(), c.grad().device())); });
    return count;
  }
  if (order != 1 && order != 2) return norm_of_order(t, order, mask, dims, keepdim);
  // One pass for the two common norms.
  Tensor full = run(order == 2 ? ReduceOp::sum_squares : ReduceOp::sum_abs, t, mask, t.dtype());
  if (order == 2) {
    GradMode no_grad(false);
    full = pow(full, scalar_tensor(0.5));
  }
  Tensor out = drop_dims(full, mask, keepdim);
  if (records(t))
    record("norm", out, {t}, [x = save(t), mask, order, y = save_output(out)](GradCall& c) {
      const Tensor x0 = c(x), g = restore_dims(c.grad(), x0.shape(), mask);
      if (order == 1)
        return c.set(0, mul(g, sub(to_dtype(gt(detach(x0), scalar_tensor(0.0)), x0.dtype()),
                                   to_dtype(lt(detach(x0), scalar_tensor(0.0)), x0.dtype()))));
      const Tensor norm = restore_dims(c(y), x0.shape(), mask);
      const Tensor zero = to_dtype(eq(detach(norm), scalar_tensor(0.0)), x0.dtype());  // the subgradient 0 at 0
      c.set(0, mul(mul(g, x0), div(sub(scalar_tensor(1.0), zero), add(norm, zero))));
    });
  return out;
}

}  // namespace fastdl::ops
