// Pooling over windows of an image. Input and output are both contiguous (N, C, H, W), or both channels-last.
#pragma once
#include "core/view.h"

namespace fastdl {

// Window o of a dimension covers begin, begin + dilation, ... below end. Regular windows start at o * stride - padding;
// adaptive ones cut the input into as many, nearly equal parts as there are outputs.
struct PoolWindows {
  int64_t kernel[2], stride[2], padding[2], dilation[2];
  bool adaptive;
};

struct PoolSpan {
  int64_t begin, end;  // inside the input
  int64_t full_end;    // inside the padded input
};

FASTDL_INLINE PoolSpan pool_span(const PoolWindows& w, int d, int64_t o, int64_t input, int64_t output) {
  if (w.adaptive) {
    const int64_t begin = o * input / output, end = ((o + 1) * input + output - 1) / output;
    return {begin, end, end};
  }
  int64_t begin = o * w.stride[d] - w.padding[d], end = begin + (w.kernel[d] - 1) * w.dilation[d] + 1;
  const int64_t full_end = end < input + w.padding[d] ? end : input + w.padding[d];
  if (begin < 0) begin += (-begin + w.dilation[d] - 1) / w.dilation[d] * w.dilation[d];
  return {begin, end < input ? end : input, full_end};
}

// max_pool_forward: output and indices (offset of the maximum in its H x W plane; data null: not wanted) from input. The
// first of equal maxima, the last NaN. max_pool_backward: input (a gradient, written) from output (its gradient) and indices.
struct MaxPoolArgs {
  View input, output, indices;  // indices: int64, laid out as output
  PoolWindows windows;
};

// avg_pool_forward: output from input; avg_pool_backward: input (a gradient, written) from output (its gradient).
// A window's sum is divided by `divisor`, where that is not 0, or by its size, with its padding or without.
struct AvgPoolArgs {
  View input, output;
  PoolWindows windows;
  bool count_include_pad;
  int64_t divisor;
};

}  // namespace fastdl
