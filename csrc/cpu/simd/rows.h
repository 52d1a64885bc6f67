// Walking along a contiguous row in vectors.
#pragma once
#include "cpu/simd/convert.h"

namespace FASTDL_CPU_NAMESPACE {

// f(i, count) for each vector of [0, n): count is lanes<V>, less for the last one. Instantiated once with a constant
// count, so that load_part below costs nothing in the body of the loop.
template <class V, class F> FASTDL_INLINE void each_vector(int64_t n, const F& f) {
  constexpr int64_t L = lanes<V>;
  int64_t i = 0;
  for (; i + L <= n; i += L) f(i, L);
  if (i < n) f(i, n - i);
}

template <class V, class S> FASTDL_INLINE V load_part(const S* p, int64_t count) {
  return count == lanes<V> ? load_as<V>(p) : load_as_n<V>(p, count);
}
template <class V, class S> FASTDL_INLINE void store_part(S* p, V v, int64_t count) {
  if (count == lanes<V>) store_as<V>(p, v);
  else store_as_n<V>(p, v, count);
}
// Lanes past count hold `fill`.
template <class V> FASTDL_INLINE V fill_past(V v, int64_t count, lane_t<V> fill) {
  if (count == lanes<V>) return v;
  return select<V>(lane_numbers<V>() < static_cast<lane_t<mask_t<V>>>(count), v, broadcast<V>(fill));
}

}  // namespace FASTDL_CPU_NAMESPACE
