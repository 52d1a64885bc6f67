// Indexing by tensors of integers: one offset a place, then a copy of what lies there.
#pragma once
#include <cstdint>

#include "core/view.h"

namespace fastdl {

// offsets[p] = sum over k of index[k][p] * stride[k], p over the common shape of the indices. A negative index counts from
// the end. The first index out of range is noted, and its place gets offset 0.
struct IndexOffsetsArgs {
  View index[kMaxDims];  // int64, broadcast to one shape
  int64_t count;
  int64_t size[kMaxDims];
  int64_t stride[kMaxDims];
  int64_t* offsets;
  int64_t* bad;  // {whether there is one, k, its value}, zeros before
};

// out[p, ...] = from[offsets[p], ...]: `from` is a view of the dimensions that are not indexed, at offset 0; `out` has the
// dimensions of the places first (place_dims of them), any strides.
struct IndexGatherArgs {
  View from;
  View out;
  int32_t place_dims;
  const int64_t* offsets;
};

// to[offsets[p], ...] = or += values[p, ...], places in order: the last of several equal ones stays.
struct IndexScatterArgs {
  View to;
  View values;  // same dtype as `to`
  int32_t place_dims;
  const int64_t* offsets;
  bool accumulate;
  const int64_t* order;  // the places sorted by offset, equal ones in order; null on the CPU
};

// out[d][i] = coordinate d of the i-th element that is not zero, in row-major order.
struct NonzeroArgs {
  View in;
  int64_t* out;        // ndim rows of `count`
  int64_t count;       // of such elements
  int64_t* workspace;  // one for each kNonzeroChunk elements; null on the CPU
};
constexpr int64_t kNonzeroChunk = 4096;

}  // namespace fastdl
