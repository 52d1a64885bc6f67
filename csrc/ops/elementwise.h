// What the elementwise ops share: result types, outputs and launches. Internal to csrc/ops.
#pragma once
#include "kernels/elementwise.h"
#include "ops/ops.h"

namespace fastdl::ops {

struct Params {
  double v[kMaxParams] = {};
};

// The type for functions with fractional values: integers become the default floating-point type.
inline DType floating_result(DType t) { return is_floating(t) ? t : default_dtype(); }
inline DType compute_type(DType t) { return t == DType::f64 ? t : is_floating(t) ? DType::f32 : DType::i64; }

// Functions that have no kernel but the CPU's: tensors of other devices make a journey.
inline bool computed_on_host(UnaryOp op) {
  switch (op) {
    case UnaryOp::erfinv:
    case UnaryOp::ndtri:
    case UnaryOp::digamma:
    case UnaryOp::bessel_i0:
    case UnaryOp::bessel_i0e:
    case UnaryOp::bessel_i1:
    case UnaryOp::bessel_i1e: return true;
    default: return false;
  }
}
inline bool computed_on_host(BinaryOp op) {
  return op == BinaryOp::zeta || op == BinaryOp::gamma_lower || op == BinaryOp::gamma_upper;
}

// Allocates the output (of `result`, in x's layout) and runs the kernel. Without gradients.
Tensor run_unary(UnaryOp op, const Tensor& x, DType result, const Params& p = {});
Tensor run_binary(const char* name, BinaryOp op, const Tensor& a, const Tensor& b, DType result, const Params& p = {});
// Into an existing tensor of the broadcast shape.
void run_unary_into(UnaryOp op, const Tensor& out, const Tensor& x, const Params& p = {});
void run_binary_into(const char* name, BinaryOp op, const Tensor& out, const Tensor& a, const Tensor& b, const Params& p = {});

// The gradient g of a broadcast or converted operand that had this shape and dtype.
Tensor unbroadcast(const Tensor& g, const Shape& shape, DType dtype);

// Before an in-place op writes `self`: checks that it may be written, and that a result of that type and shape fits.
void check_in_place(const char* name, const Tensor& self, const Shape& shape, DType result);
// `x`, or a copy of it where it shares memory with `out` in another arrangement, so that writing out would change it.
Tensor without_partial_overlap(const Tensor& x, const Tensor& out);

}  // namespace fastdl::ops
