// Element-wise gather and scatter along one dimension, and triangles.
#pragma once
#include "core/view.h"

namespace fastdl {

// out[.., i, ..] = in[.., index[.., i, ..], ..] along dimension `dim`. `index` (int64, all within range) and `out` have
// one shape; `in` is at least as large in the other dimensions.
struct GatherArgs {
  View in, index, out;
  int32_t dim;
};

// What a scatter does with the value that is there and the one that arrives. 16-bit floats are combined in float32; of
// bools sum and max are "or", prod and min are "and"; a NaN stays the extreme.
enum class ScatterOp : int32_t { assign, sum, prod, max, min };

// to[.., index[.., i, ..], ..] is combined with values[.., i, ..], in order of i: the last of several assigned stays.
// `index` and `values` have one shape, `values` has the dtype of `to`.
struct ScatterArgs {
  View to, index, values;
  int32_t dim;
  ScatterOp op;
};

// Matrices of `rows` x `columns`, contiguous: what is not above the diagonal is kept (lower), or not below it, else 0.
struct TriangleArgs {
  const void* in;
  void* out;
  int64_t matrices, rows, columns;
  int64_t diagonal;
  int32_t element_size;
  bool lower;
};

}  // namespace fastdl
