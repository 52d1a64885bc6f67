// Transposing a square of vectors in registers.
#pragma once
#include "cpu/simd/vec.h"

namespace FASTDL_CPU_NAMESPACE {

// r[i][j] becomes r[j][i]: exchanges the off-diagonal blocks of size Step, then of half of it.
template <class V, int Step = lanes<V> / 2> FASTDL_INLINE void transpose(V (&r)[lanes<V>]) {
  constexpr int L = lanes<V>;
  const mask_t<V> lane = lane_numbers<V>();
  const mask_t<V> low = (lane & Step) != 0 ? lane + (L - Step) : lane;
  const mask_t<V> high = (lane & Step) != 0 ? lane + L : lane + Step;
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (i & Step) continue;
    const V a = r[i], b = r[i + Step];
    r[i] = __builtin_shuffle(a, b, low);
    r[i + Step] = __builtin_shuffle(a, b, high);
  }
  if constexpr (Step > 1) transpose<V, Step / 2>(r);
}

}  // namespace FASTDL_CPU_NAMESPACE
