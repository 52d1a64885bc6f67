#include "core/dtype.h"

namespace fastdl {

const char* name_of(DType t) {
  constexpr const char* names[kNumDTypes] = {"bool",    "uint8",    "int8",    "int32",  "int64",
                                             "float16", "bfloat16", "float32", "float64"};
  return names[static_cast<int>(t)];
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  const DType high = a > b ? a : b, low = a > b ? b : a;
  if (high == DType::bf16 && low == DType::f16) return DType::f32;
  // PyTorch gives int16, which is not among our types; int32 is the next that holds both.
  if (high == DType::i8 && low == DType::u8) return DType::i32;
  return high;
}

}  // namespace fastdl
