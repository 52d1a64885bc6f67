// Runs of elements of any dtype and stride as contiguous float, double or int64; single numbers of any dtype.
#pragma once
#include "cpu/kernels/convert.h"

namespace FASTDL_CPU_NAMESPACE {

// n elements from p on as T: in place if they lie so already, else converted into buffer.
template <class T> const T* load_run(const void* p, DType dtype, int64_t stride, int64_t n, T* buffer) {
  if (dtype == dtype_of<T> && stride == 1) return static_cast<const T*>(p);
  converter(dtype_of<T>, dtype)(buffer, p, Box{1, n, n, 1, 0, stride});
  return buffer;
}

// n contiguous elements into as many of a dtype at p.
template <class T> FASTDL_INLINE void store_run(void* p, DType dtype, const T* x, int64_t n) {
  converter(dtype, dtype_of<T>)(p, x, Box{1, n, n, 1, n, 1});
}

// One number of any dtype.
template <class T> T load_number(const void* p, DType dtype) {
  return visit_dtype(dtype, [&]<class S>(S) { return convert<T>(*static_cast<const S*>(p)); });
}
template <class T> void store_number(void* p, DType dtype, T x) {
  visit_dtype(dtype, [&]<class D>(D) { *static_cast<D*>(p) = convert<D>(x); });
}

}  // namespace FASTDL_CPU_NAMESPACE
