// Arguments of the elementwise kernels. All views have the output's shape (broadcast operands with strides of 0), any
// strides and any dtypes; `compute` is the type that the function is evaluated in: float32, float64 or int64.
#pragma once
#include "core/view.h"

namespace fastdl {

#define FASTDL_NAME(name, types) name,
enum class UnaryOp : int32_t {
#define FASTDL_UNARY FASTDL_NAME
#include "kernels/elementwise_ops.def"
};
enum class PredicateOp : int32_t {
#define FASTDL_PREDICATE FASTDL_NAME
#include "kernels/elementwise_ops.def"
};
enum class BinaryOp : int32_t {
#define FASTDL_BINARY FASTDL_NAME
#include "kernels/elementwise_ops.def"
};
enum class CompareOp : int32_t {
#define FASTDL_COMPARE FASTDL_NAME
#include "kernels/elementwise_ops.def"
};
enum class TernaryOp : int32_t {
#define FASTDL_TERNARY FASTDL_NAME
#include "kernels/elementwise_ops.def"
};
#undef FASTDL_NAME

constexpr int kMaxParams = 3;

struct UnaryArgs {
  View out, x;
  UnaryOp op;
  DType compute;
  double params[kMaxParams];
};
struct PredicateArgs {  // out: bool
  View out, x;
  PredicateOp op;
  DType compute;
};
struct BinaryArgs {
  View out, a, b;
  BinaryOp op;
  DType compute;
  double params[kMaxParams];
};
struct CompareArgs {  // out: bool
  View out, a, b;
  CompareOp op;
  DType compute;
};
struct TernaryArgs {
  View out, a, b, c;
  TernaryOp op;
  DType compute;
  double params[kMaxParams];
};
struct CopyArgs {  // out = x, converted
  View out, x;
};
struct FillArgs {  // out = the float64 or int64 `value`, converted
  View out;
  DType type;
  double floating;
  int64_t integer;
};
struct ArangeArgs {  // out[i] = start + i step, out contiguous; in int64 or float64 as `type` says
  View out;
  DType type;
  double start, step;
  int64_t integer_start, integer_step;
};

}  // namespace fastdl
