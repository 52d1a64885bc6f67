// A view of memory as kernels see it: pointer, shape, strides in elements, dtype. Plain data, owns nothing.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace fastdl {

constexpr int kMaxDims = 8;

struct View {
  void* data;
  int64_t shape[kMaxDims];
  int64_t strides[kMaxDims];  // in elements; 0 where the dimension is broadcast, may be negative
  int32_t ndim;
  DType dtype;
  bool host;         // the memory is the host's; for other devices only where a kernel takes a number of the host
  uint16_t unused;   // in place of padding, which GCC 12's __builtin_clear_padding misplaces behind arrays

  template <class T> FASTDL_INLINE T* as() const { return static_cast<T*>(data); }
  FASTDL_INLINE int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
  FASTDL_INLINE bool contiguous() const {
    int64_t expected = 1;
    for (int i = ndim - 1; i >= 0; --i) {
      if (shape[i] != 1 && strides[i] != expected) return false;
      expected *= shape[i];
    }
    return true;
  }
};

}  // namespace fastdl
