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

// Outputs from here on bypass the caches: they would push out everything else, and a store into a cache first reads the
// line that it will overwrite.
constexpr int64_t kStreamBytes = 16 << 20;

// y[i] = the vector f(i, count) for each vector of [0, n). With `stream`, whole vectors of y go past the caches, those of a
// start or an end that shares its cache line do not, nor do rows shorter than a vector; the caller ends with stream_fence().
template <class V, class S, class F> FASTDL_INLINE void write_row(S* y, int64_t n, bool stream, const F& f) {
  constexpr int64_t L = lanes<V>;
  if constexpr (sizeof(S) == sizeof(lane_t<V>)) {
    if (stream && n >= L) {
      const int64_t misaligned = static_cast<int64_t>(reinterpret_cast<uintptr_t>(y) % sizeof(V) / sizeof(S));
      int64_t i = misaligned == 0 ? 0 : L - misaligned;
      if (i > 0) store_part<V>(y, f(int64_t{0}, i), i);
      for (; i + L <= n; i += L) store_stream(reinterpret_cast<float*>(y + i), (vf32)f(i, L));
      if (i < n) store_part<V>(y + i, f(i, n - i), n - i);
      return;
    }
  }
  each_vector<V>(n, [&](int64_t i, int64_t count) { store_part<V>(y + i, f(i, count), count); });
}

}  // namespace FASTDL_CPU_NAMESPACE
