// Random numbers. Element i of a contiguous output draws from Philox counter offset + i / 4, lane i % 4 (float64 and
// 64-bit integers: offset + i / 2, lanes 2 (i % 2) and the next), whatever thread computes it.
#pragma once
#include <cstdint>

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

// out = bits(i) >= p 2^32 ? in * scale : 0. The same call on the gradient is the backward: no mask is stored.
struct DropoutArgs {
  View in;   // contiguous
  View out;  // contiguous, of in's dtype
  PhiloxState philox;
  double p;
  double scale;
};

}  // namespace fastdl
