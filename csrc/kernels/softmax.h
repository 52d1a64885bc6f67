// Softmax along one dimension.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace fastdl {

// Contiguous (outer, n, inner); the softmax runs over n.
struct SoftmaxArgs {
  const void* input;
  void* output;
  int64_t outer, n, inner;
  DType dtype;
  bool log;  // log_softmax
};

struct SoftmaxBackwardArgs {
  const void* grad;
  const void* output;  // of the forward
  void* grad_input;
  int64_t outer, n, inner;
  DType dtype;
  bool log;
};

}  // namespace fastdl
