// Vectors that may be cut short by the end of a row, and vectors of every other element.
#pragma once
#include "cpu/simd/convert.h"

namespace FASTDL_CPU_NAMESPACE {

// The first n lanes, n >= 0; all from n = lanes on.
template <class V, class S> FASTDL_INLINE V load_up_to(const S* p, int64_t n) {
  return n >= lanes<V> ? load_as<V>(p) : n > 0 ? load_as_n<V>(p, n) : V{};
}
template <class V, class S> FASTDL_INLINE void store_up_to(S* p, V v, int64_t n) {
  if (n >= lanes<V>) store_as<V>(p, v);
  else if (n > 0) store_as_n<V>(p, v, n);
}

// p[0], p[stride], ...: the first n lanes, n <= lanes.
template <class V, class S> FASTDL_INLINE V load_strided(const S* p, int64_t stride, int64_t n) {
  if (stride == 1) return load_up_to<V>(p, n);
  if (stride == 2) {
    const int64_t span = 2 * n - 1;
    return __builtin_shuffle(load_up_to<V>(p, span), load_up_to<V>(p + lanes<V>, span - lanes<V>), lane_numbers<V>() * 2);
  }
  V v{};
  for (int64_t i = 0; i < n; ++i) v[i] = to_compute(p[i * stride]);
  return v;
}

// A whole vector of p[0], p[stride], ...; two vectors from p on may be read.
template <class V, class S> FASTDL_INLINE V load_every(const S* p, int64_t stride) {
  if (stride == 1) return load_as<V>(p);
  if (stride == 2) return __builtin_shuffle(load_as<V>(p), load_as<V>(p + lanes<V>), lane_numbers<V>() * 2);
  V v{};
  for (int i = 0; i < lanes<V>; ++i) v[i] = to_compute(p[i * stride]);
  return v;
}

}  // namespace FASTDL_CPU_NAMESPACE
