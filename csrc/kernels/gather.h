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

// to[.., index[.., i, ..], ..] = or += values[.., i, ..], in order of i: the last of several equal ones stays. `index`
// and `values` have one shape, `values` has the dtype of `to`.
struct ScatterArgs {
  View to, index, values;
  int32_t dim;
  bool accumulate;
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
