// Element types.
#pragma once
#include <cstdint>

#include "core/macros.h"

namespace fastdl {

// In the order of promotion within a category: bool < integers < floats.
enum class DType : uint8_t { b8, u8, i8, i32, i64, f16, bf16, f32, f64 };
constexpr int kNumDTypes = 9;

// Storage types of the two 16-bit floats; arithmetic on them is done in float32.
struct f16 {
  uint16_t bits;
};
struct bf16 {
  uint16_t bits;
};

FASTDL_INLINE constexpr int64_t size_of(DType t) {
  constexpr int64_t sizes[kNumDTypes] = {1, 1, 1, 4, 8, 2, 2, 4, 8};
  return sizes[static_cast<int>(t)];
}
FASTDL_INLINE constexpr bool is_floating(DType t) { return t >= DType::f16; }
FASTDL_INLINE constexpr bool is_integral(DType t) { return t > DType::b8 && t < DType::f16; }
FASTDL_INLINE constexpr bool is_half(DType t) { return t == DType::f16 || t == DType::bf16; }

const char* name_of(DType t);          // "float32"
DType promote(DType a, DType b);       // PyTorch's table for two tensors of the same category
template <class T> struct dtype_of_t;  // dtype_of<float> == DType::f32
// clang-format off
template <> struct dtype_of_t<bool> { static constexpr DType value = DType::b8; };
template <> struct dtype_of_t<uint8_t> { static constexpr DType value = DType::u8; };
template <> struct dtype_of_t<int8_t> { static constexpr DType value = DType::i8; };
template <> struct dtype_of_t<int32_t> { static constexpr DType value = DType::i32; };
template <> struct dtype_of_t<int64_t> { static constexpr DType value = DType::i64; };
template <> struct dtype_of_t<f16> { static constexpr DType value = DType::f16; };
template <> struct dtype_of_t<bf16> { static constexpr DType value = DType::bf16; };
template <> struct dtype_of_t<float> { static constexpr DType value = DType::f32; };
template <> struct dtype_of_t<double> { static constexpr DType value = DType::f64; };
// clang-format on
template <class T> constexpr DType dtype_of = dtype_of_t<T>::value;

}  // namespace fastdl
