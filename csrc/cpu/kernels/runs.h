// Runs of elements of any dtype and stride as contiguous float, double or int64, and back.
#pragma once
#include "cpu/simd/vec.h"

namespace FASTDL_CPU_NAMESPACE {

// The vector of a compute type; int64 loops are left to the compiler.
template <class T> struct vec_of;
template <> struct vec_of<float> { using type = vf32; };
template <> struct vec_of<double> { using type = vf64; };
template <> struct vec_of<int64_t> { using type = vi64; };
template <class T> using vec_t = typename vec_of<T>::type;

FASTDL_INLINE double to_number(f16 x) { return to_f32(x); }
FASTDL_INLINE double to_number(bf16 x) { return to_f32(x); }
template <class T> FASTDL_INLINE T to_number(T x) { return x; }

template <class T, class S> FASTDL_INLINE void convert_run(const S* p, int64_t stride, int64_t n, T* out) {
  if (stride == 1) {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(to_number(p[i]));
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(to_number(p[i * stride]));
  }
}

// n elements from p on as T: in place if they lie so already, else converted into buffer.
template <class T> const T* load_run(const void* p, DType dtype, int64_t stride, int64_t n, T* buffer) {
  if (dtype == dtype_of<T> && stride == 1) return static_cast<const T*>(p);
  switch (dtype) {
    case DType::f32: convert_run<T>(static_cast<const float*>(p), stride, n, buffer); break;
    case DType::f64: convert_run<T>(static_cast<const double*>(p), stride, n, buffer); break;
    case DType::i64: convert_run<T>(static_cast<const int64_t*>(p), stride, n, buffer); break;
    case DType::i32: convert_run<T>(static_cast<const int32_t*>(p), stride, n, buffer); break;
    case DType::i8: convert_run<T>(static_cast<const int8_t*>(p), stride, n, buffer); break;
    case DType::u8: convert_run<T>(static_cast<const uint8_t*>(p), stride, n, buffer); break;
    case DType::b8: convert_run<T>(static_cast<const bool*>(p), stride, n, buffer); break;
    case DType::f16:
    case DType::bf16: {
      int64_t i = 0;
      if constexpr (sizeof(T) == 4) {
        if (stride == 1)
          for (; i + kF32 <= n; i += kF32)
            store<vf32>(buffer + i, dtype == DType::f16 ? load_f16(static_cast<const f16*>(p) + i)
                                                        : load_bf16(static_cast<const bf16*>(p) + i));
      }
      for (; i < n; ++i)
        buffer[i] = static_cast<T>(dtype == DType::f16 ? to_f32(static_cast<const f16*>(p)[i * stride])
                                                       : to_f32(static_cast<const bf16*>(p)[i * stride]));
      break;
    }
  }
  return buffer;
}

// One number into an element of any dtype.
template <class T> void store_number(void* p, DType dtype, T x) {
  switch (dtype) {
    case DType::f32: *static_cast<float*>(p) = static_cast<float>(x); break;
    case DType::f64: *static_cast<double*>(p) = static_cast<double>(x); break;
    case DType::i64: *static_cast<int64_t*>(p) = static_cast<int64_t>(x); break;
    case DType::i32: *static_cast<int32_t*>(p) = static_cast<int32_t>(x); break;
    case DType::i8: *static_cast<int8_t*>(p) = static_cast<int8_t>(x); break;
    case DType::u8: *static_cast<uint8_t*>(p) = static_cast<uint8_t>(x); break;
    case DType::b8: *static_cast<bool*>(p) = x != 0; break;
    case DType::f16: *static_cast<f16*>(p) = to_f16(static_cast<float>(x)); break;
    case DType::bf16: *static_cast<bf16*>(p) = to_bf16(static_cast<float>(x)); break;
  }
}

}  // namespace FASTDL_CPU_NAMESPACE
