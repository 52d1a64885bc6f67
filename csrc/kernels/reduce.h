// Reductions, scans and sorting.
#pragma once
#include <cstdint>

#include "core/view.h"

namespace fastdl {

enum class ReduceOp : int32_t { sum, sum_abs, sum_squares, prod, max, min, any, all };

// Devices other than the CPU cut the reduced range of inputs with that many elements into pieces; their partial results
// need a workspace of kReduceWorkspace bytes.
constexpr int64_t kReduceSplit = 1 << 15, kReduceWorkspace = int64_t{1} << 19;

// out[kept dims] = scale * reduce(in). `out` has in's shape, with stride 0 in the reduced dimensions (bits of `reduced`).
// float16, bfloat16 and float32 are reduced in float32 blocks whose results are added in float64; integers in int64.
struct ReduceArgs {
  View in;
  View out;
  uint32_t reduced;
  ReduceOp op;
  double scale;     // of the sums only
  void* workspace;  // null on the CPU and below kReduceSplit elements
};

// The extreme value along one dimension and its first place; a NaN counts as the most extreme.
struct ArgReduceArgs {
  View in;
  View values;   // in's shape without the dimension; data may be null
  View indices;  // int64
  int32_t dim;
  bool max;
  void* workspace;  // as in ReduceArgs
};

enum class ScanOp : int32_t { sum, prod, logsumexp, max, min };

// out[.., i, ..] = the op over in[.., 0..i, ..] along one dimension; floats in float64, integers in int64. Of max and min
// `indices` (int64) gets the last place of the extreme so far; a NaN stays the extreme from its place on.
struct ScanArgs {
  View in;
  View out;      // of in's shape
  View indices;  // of max and min only
  int32_t dim;
  ScanOp op;
};

// Stable sort along one dimension; NaN comes last (first when descending).
struct SortArgs {
  View in;
  View values;
  View indices;     // int64
  void* workspace;  // 32 bytes an element of `in`
  int32_t dim;
  bool descending;
};

}  // namespace fastdl
