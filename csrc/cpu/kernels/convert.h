// Conversion between dtypes, of single elements and of boxes of any strides: what copies, the tiles of elementwise kernels
// and the runs of reductions share.
#pragma once
#include "cpu/kernels/level.h"
#include "cpu/simd/convert.h"

namespace FASTDL_CPU_NAMESPACE {

template <class D, class S> FASTDL_INLINE D convert(S x) {
  if constexpr (__is_same(D, S)) return x;
  else if constexpr (__is_same(S, f16) || __is_same(S, bf16)) return convert<D>(to_f32(x));
  else if constexpr (__is_same(D, f16)) return to_f16(static_cast<float>(x));
  else if constexpr (__is_same(D, bf16)) return to_bf16(static_cast<float>(x));
  else if constexpr (__is_same(D, bool)) return x != 0;
  // Through int64, so that values out of range wrap as PyTorch's do.
  else if constexpr ((__is_same(S, float) || __is_same(S, double)) && sizeof(D) < 4)
    return static_cast<D>(static_cast<int64_t>(x));
  else return static_cast<D>(x);
}

// f(S{}) with the storage type of a dtype.
template <class F> FASTDL_INLINE decltype(auto) visit_dtype(DType dtype, const F& f) {
  switch (dtype) {
    case DType::b8: return f(bool{});
    case DType::u8: return f(uint8_t{});
    case DType::i8: return f(int8_t{});
    case DType::i32: return f(int32_t{});
    case DType::i64: return f(int64_t{});
    case DType::f16: return f(f16{});
    case DType::bf16: return f(bf16{});
    case DType::f32: return f(float{});
    default: return f(double{});
  }
}

// dst = src, a box of rows x cols elements, strides in elements.
struct Box {
  int64_t rows, cols;
  int64_t dst_row_stride, dst_col_stride;
  int64_t src_row_stride, src_col_stride;
};
using ConvertFn = void (*)(void* dst, const void* src, const Box& box);
// From one dtype to the same, or between any dtype and float32, float64 or int64; null for other pairs.
ConvertFn converter(DType to, DType from);

}  // namespace FASTDL_CPU_NAMESPACE
