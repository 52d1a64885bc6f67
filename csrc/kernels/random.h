// Random numbers. Element i of a contiguous output draws from Philox counter offset + i / 4, lane i % 4 (float64 and
// 64-bit integers: offset + i / 2, lanes 2 (i % 2) and the next), whatever thread computes it.
#pragma once
#include <cstdint>

#include "core/macros.h"
#include "core/philox.h"
#include "core/view.h"

namespace fastdl {

enum class Distribution : int32_t { uniform, normal, integers };

struct RandomArgs {
  View out;  // contiguous
  PhiloxState philox;
  Distribution distribution;
  double a, b;               // uniform: [a, b); normal: mean and standard deviation
  int64_t low;               // integers: [low, low + range)
  uint64_t range;
};

// The largest number of the output's dtype (16 or 32 bits) below the end of a uniform range: rounding must not reach it.
FASTDL_INLINE float largest_below(const RandomArgs& a) {
  if (!(a.a < a.b)) return static_cast<float>(a.a);
  const int digits = a.out.dtype == DType::f16 ? 11 : a.out.dtype == DType::bf16 ? 8 : 24;
  const int smallest = a.out.dtype == DType::f16 ? -24 : a.out.dtype == DType::bf16 ? -133 : -149;
  const double next = __builtin_nextafter(static_cast<double>(static_cast<float>(a.b)), a.a);
  int exponent;
  __builtin_frexp(next, &exponent);
  const double spacing = __builtin_ldexp(1.0, exponent - digits < smallest ? smallest : exponent - digits);
  const double below = __builtin_floor(next / spacing) * spacing;
  return static_cast<float>(a.out.dtype == DType::f16 && below > 65504.0 ? 65504.0 : below);
}

// out = bits(i) >= p 2^32 ? in * scale : 0. The same call on the gradient is the backward: no mask is stored.
struct DropoutArgs {
  View in;   // contiguous
  View out;  // contiguous, of in's dtype
  PhiloxState philox;
  double p;
  double scale;
};

}  // namespace fastdl
