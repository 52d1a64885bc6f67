// From a dtype or an element size to a type, and offsets of row-major positions within views.
#pragma once
#include "core/view.h"
#include "cuda/device/convert.h"

namespace fastdl::cuda {

// f.template operator()<T>() for the element type t. Inside kernels it is a branch that all threads take alike.
template <class F> FASTDL_INLINE void for_any(DType t, const F& f) {
  switch (t) {
    case DType::b8: return f.template operator()<bool>();
    case DType::u8: return f.template operator()<uint8_t>();
    case DType::i8: return f.template operator()<int8_t>();
    case DType::i32: return f.template operator()<int32_t>();
    case DType::i64: return f.template operator()<int64_t>();
    default: return for_float(t, f);
  }
}

// One element of any dtype, as T and from T.
template <class T> FASTDL_INLINE T load_element(const void* p, DType t, int64_t at = 0) {
  T value{};
  for_any(t, [&]<class S>() { value = convert<T>(static_cast<const S*>(p)[at]); });
  return value;
}
template <class T> FASTDL_INLINE void store_element(void* p, DType t, int64_t at, T value) {
  for_any(t, [&]<class S>() { static_cast<S*>(p)[at] = convert<S>(value); });
}

// f.template operator()<T>() for an unsigned type of the size: for what is only moved.
template <class F> FASTDL_INLINE void for_size(int64_t size, const F& f) {
  switch (size) {
    case 1: return f.template operator()<uint8_t>();
    case 2: return f.template operator()<uint16_t>();
    case 4: return f.template operator()<uint32_t>();
    default: return f.template operator()<uint64_t>();
  }
}

// The offset of row-major position i within dimensions [first, last) of a view.
__device__ __forceinline__ int64_t position(const View& v, int first, int last, int64_t i) {
  int64_t offset = 0;
  for (int d = last - 1; d >= first; --d) {
    offset += i % v.shape[d] * v.strides[d];
    i /= v.shape[d];
  }
  return offset;
}

inline int64_t elements(const View& v, int first, int last) {
  int64_t n = 1;
  for (int d = first; d < last; ++d) n *= v.shape[d];
  return n;
}

}  // namespace fastdl::cuda
