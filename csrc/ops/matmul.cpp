// Matrix products. The gradient of C = A B is dA = dC B^T, dB = A^T dC, summed over broadcast batches.
#include "ops/launch.h"
#include "ops/ops.h"
#include "ops/precision.h"

namespace fastdl::ops {

namespace {

Tensor transposed(const Tensor& t) { return transpose(t, -2, -1); }
Tensor scaled(const Tensor& t, double factor) { return factor == 1 ? t : mul(t, scalar_tensor(factor)); }

Shape batch_of(const Tensor& t) { return Shape(t.shape().begin(), t.shape().end() - 2); }

Shape with_matrix(Shape batch, int64_t rows, int64_t columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return batch;
}

void check_dtypes(const char* op, const Tensor& a, const Tensor& b) {
  check_same_device(op, {a, b});
  if (a.dtype() != b.dtype())
    throw DTypeError(str(op, ": needs operands of one dtype, got ", name_of(a.dtype()), " and ", name_of(b.dtype())));
  if (a.dtype() == DType::b8) throw DTypeError(str(op, ": not defined for bool; convert to an integer or float dtype"));
}

// The shape of a b for matrices with broadcast batches.
Shape product_shape(const char* op, const Tensor& a, const Tensor& b) {
  check_dtypes(op, a, b);
  if (a.size(-1) != b.size(-2))
    throw ShapeError(str(op, ": cannot multiply ", a.shape(), " by ", b.shape(), ": needs the last dimension of the first (",
                         a.size(-1), ") equal to the second to last of the second (", b.size(-2), ")"));
  if (a.ndim() == 2 && b.ndim() == 2) return {a.size(0), b.size(1)};
  return with_matrix(broadcast_shapes(op, batch_of(a), batch_of(b)), a.size(-2), b.size(-1));
}

// out = alpha * a b + beta * addend; nothing is checked or recorded.
void multiply_into(const Tensor& out, const Tensor& a, const Tensor& b, double alpha = 1, const Tensor& addend = {},
                   double beta = 1) {
  if (out.numel() == 0) return;
  MatmulArgs args;
  const Shape batch = batch_of(out);
  args.a = batch.empty() ? a.view() : broadcast_view(a, with_matrix(batch, a.size(-2), a.size(-1)));
  args.b = batch.empty() ? b.view() : broadcast_view(b, with_matrix(batch, b.size(-2), b.size(-1)));
  args.c = out.view();
  args.alpha = alpha;
  args.beta = beta;
  args.tf32 = tf32_in_products();
  args.addend.data = nullptr;
  if (addend.defined()) args.addend = broadcast_view(addend, out.shape());
  launch(&KernelTable::matmul, out.device(), args);
}

// a b for matrices with broadcast batches.
Tensor product(const char* op, const Tensor& a, const Tensor& b) {
  Tensor out = empty(product_shape(op, a, b), a.dtype(), a.device());
  multiply_into(out, a, b);
  if (records(a, b))
    record(op, out, {a, b}, [a = save(a), b = save(b)](GradCall& c) {
      const Tensor left = c(a), right = c(b);
      if (c.wants(0)) c.set(0, sum_to(matmul(c.grad(), transposed(right)), left.shape()));
      if (c.wants(1)) c.set(1, sum_to(matmul(transposed(left), c.grad()), right.shape()));
    });
  return out;
}

void check_ndim(const char* op, const Tensor& t, int ndim, const char* which) {
  if (t.ndim() != ndim) throw ShapeError(str(op, ": needs ", which, " of ", ndim, " dimensions, got shape ", t.shape()));
}

// The product written to `out`, which must have its shape and dtype.
Tensor write_out(const char* op, const Tensor& a, const Tensor& b, const Tensor& out) {
  check_writable(op, out);
  if (records(a, b, out)) throw ValueError(str(op, ": out= does not record gradients; use it under no_grad()"));
  const Shape shape = product_shape(op, a, b);
  check_dtypes(op, a, out);
  if (out.shape() != shape) throw ShapeError(str(op, ": out has shape ", out.shape(), ", the product has ", shape));
  const bool shares = out.storage() == a.storage() || out.storage() == b.storage();
  if (out.is_contiguous() && !shares) {
    multiply_into(out, a, b);
    changed(out);
  } else {
    copy_(out, product(op, a, b));
  }
  return out;
}

// beta * input + alpha * a b.
Tensor add_product(const char* op, const Tensor& input, const Tensor& a, const Tensor& b, double beta, double alpha) {
  const Shape shape = product_shape(op, a, b);
  check_dtypes(op, input, a);
  if (broadcast_shapes(op, input.shape(), shape) != shape)
    throw ShapeError(str(op, ": input ", input.shape(), " does not broadcast to the product's shape ", shape));
  Tensor out = empty(shape, a.dtype(), a.device());
  const bool adjacent = input.ndim() == 0 || input.size(-1) == 1 || input.stride(-1) == 1;
  multiply_into(out, a, b, alpha, beta == 0 ? Tensor() : adjacent ? input : contiguous(detach(input)), beta);
  if (records(input, a, b))
    record(op, out, {input, a, b}, [a = save(a), b = save(b), shape = input.shape(), alpha, beta](GradCall& c) {
      const Tensor left = c(a), right = c(b);
      if (c.wants(0)) c.set(0, scaled(sum_to(c.grad(), shape), beta));
      if (c.wants(1)) c.set(1, scaled(matmul(c.grad(), transposed(right)), alpha));
      if (c.wants(2)) c.set(2, scaled(matmul(transposed(left), c.grad()), alpha));
    });
  return out;
}

// t's memory (none if t is undefined) as a matrix.
View matrix_view(const Tensor& t, int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride) {
  View v;
  v.data = t.defined() ? t.data() : nullptr;
  v.dtype = t.defined() ? t.dtype() : DType::f32;
  v.ndim = 2;
  v.shape[0] = rows, v.shape[1] = columns;
  v.strides[0] = row_stride, v.strides[1] = column_stride;
  return v;
}

// t (..., K) as a matrix: every dimension but the last in one.
Tensor rows_of(const Tensor& t) {
  if (t.ndim() == 2) return t;
  const int64_t last = t.size(-1);
  int64_t rows = 1;
  for (int d = 0; d < t.ndim() - 1; ++d) rows *= t.shape()[d];
  return reshape(t, {rows, last});
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  if (a.ndim() == 2 && b.ndim() == 2) return product("matmul", a, b);
  if (a.ndim() == 0 || b.ndim() == 0)
    throw ShapeError(str("matmul: needs operands of at least one dimension, got ", a.shape(), " and ", b.shape()));
  if (a.ndim() == 1 && b.ndim() == 1) return dot(a, b);
  if (a.ndim() == 1) return squeeze(matmul(unsqueeze(a, 0), b), Shape{-2});
  if (b.ndim() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), Shape{-1});
  if (b.ndim() == 2 && a.is_contiguous()) {  // one matrix for the whole batch: one product
    Shape shape = a.shape();
    shape[shape.size() - 1] = b.size(1);
    return reshape(product("matmul", rows_of(a), b), shape);
  }
  return product("matmul", a, b);
}

Tensor matmul_out(const Tensor& a, const Tensor& b, const Tensor& out) {
  if (a.ndim() < 2 || b.ndim() < 2)
    throw ShapeError(str("matmul: out= needs operands of at least two dimensions, got ", a.shape(), " and ", b.shape()));
  return write_out("matmul", a, b, out);
}

Tensor mm(const Tensor& a, const Tensor& b) {
  check_ndim("mm", a, 2, "a first matrix");
  check_ndim("mm", b, 2, "a second matrix");
  return product("mm", a, b);
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  check_ndim("bmm", a, 3, "a first batch of matrices");
  check_ndim("bmm", b, 3, "a second batch of matrices");
  if (a.size(0) != b.size(0)) throw ShapeError(str("bmm: needs batches of one size, got ", a.shape(), " and ", b.shape()));
  return product("bmm", a, b);
}

Tensor mv(const Tensor& a, const Tensor& x) {
  check_ndim("mv", a, 2, "a matrix");
  check_ndim("mv", x, 1, "a vector");
  return squeeze(product("mv", a, unsqueeze(x, 1)), Shape{1});
}

Tensor dot(const Tensor& a, const Tensor& b) {
  check_ndim("dot", a, 1, "a first vector");
  check_ndim("dot", b, 1, "a second vector");
  return reshape(product("dot", unsqueeze(a, 0), unsqueeze(b, 1)), Shape{});
}

Tensor outer(const Tensor& a, const Tensor& b) {
  check_ndim("outer", a, 1, "a first vector");
  check_ndim("outer", b, 1, "a second vector");
  return mul(unsqueeze(a, 1), unsqueeze(b, 0));
}

Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, double beta, double alpha) {
  check_ndim("addmm", a, 2, "a first matrix");
  check_ndim("addmm", b, 2, "a second matrix");
  return add_product("addmm", input, a, b, beta, alpha);
}

Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, double beta, double alpha) {
  check_ndim("baddbmm", a, 3, "a first batch of matrices");
  check_ndim("baddbmm", b, 3, "a second batch of matrices");
  if (a.size(0) != b.size(0)) throw ShapeError(str("baddbmm: needs batches of one size, got ", a.shape(), " and ", b.shape()));
  return add_product("baddbmm", input, a, b, beta, alpha);
}

Tensor linear(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias) {
  if (weight.ndim() != 2 || input.ndim() == 0)
    throw ShapeError(str("linear: needs input (..., in_features) and weight (out_features, in_features), got ", input.shape(),
                         " and ", weight.shape()));
  check_dtypes("linear", input, weight);
  const int64_t in = weight.size(1), out = weight.size(0);
  if (input.size(-1) != in)
    throw ShapeError(str("linear: input ", input.shape(), " needs last dimension ", in, " for weight ", weight.shape()));
  if (bias) {
    check_dtypes("linear", input, *bias);
    if (bias->shape() != Shape{out})
      throw ShapeError(
          str("linear: needs bias of shape ", Shape{out}, " for weight ", weight.shape(), ", got ", bias->shape()));
  }
  Shape shape = input.shape();
  shape[shape.size() - 1] = out;
  Tensor y = empty(shape, input.dtype(), input.device());
  if (y.numel() > 0) {
    Tensor x = input, b;
    {
      GradMode no_grad(false);
      if (input.ndim() != 2) x = contiguous(input);
      if (bias) b = contiguous(*bias);
    }
    const int64_t rows = y.numel() / out;
    MatmulArgs args;
    args.a = matrix_view(x, rows, in, input.ndim() == 2 ? input.strides()[0] : in, input.ndim() == 2 ? input.strides()[1] : 1);
    args.b = matrix_view(weight, in, out, weight.strides()[1], weight.strides()[0]);
    args.c = matrix_view(y, rows, out, out, 1);
    args.addend = matrix_view(b, rows, out, 0, 1);
    args.tf32 = tf32_in_products();
    launch(&KernelTable::matmul, y.device(), args);
  }
  if (records(input, weight, bias))
    record("linear", y, {input, weight, bias}, [x = save(input), w = save(weight), bias = bias.has_value()](GradCall& c) {
      const Tensor& g = c.grad();
      if (c.wants(0)) c.set(0, matmul(g, c(w)));
      if (c.wants(1)) c.set(1, matmul(transposed(rows_of(g)), rows_of(c(x))));
      if (bias && c.wants(2)) c.set(2, sum_to(g, Shape{g.size(-1)}));
    });
  return y;
}

}  // namespace fastdl::ops
