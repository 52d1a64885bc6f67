// What reductions combine, and how a contiguous block comes down to one value.
#pragma once
#include "cpu/kernels/level.h"
#include "cpu/simd/rows.h"

namespace FASTDL_CPU_NAMESPACE {

template <class T> FASTDL_INLINE T lowest() {
  if constexpr (sizeof(T) == 8 && static_cast<T>(0.5) == 0) return INT64_MIN;
  else return static_cast<T>(-__builtin_inf());
}
template <class T> FASTDL_INLINE T highest() {
  if constexpr (sizeof(T) == 8 && static_cast<T>(0.5) == 0) return INT64_MAX;
  else return static_cast<T>(__builtin_inf());
}

// How two values combine, what one becomes before that, the value of nothing, and whether combining rounds. X is a scalar
// or a vector.
struct Sum {
  static constexpr bool rounds = true;
  template <class T> FASTDL_INLINE static T identity() { return T(0); }
  template <class X> FASTDL_INLINE static X map(X x) { return x; }
  template <class X> FASTDL_INLINE static X combine(X a, X b) { return a + b; }
};
struct SumAbs : Sum {
  template <class X> FASTDL_INLINE static X map(X x) { return x < 0 ? -x : x; }
};
struct SumSquares : Sum {
  template <class X> FASTDL_INLINE static X map(X x) { return x * x; }
};
struct Prod : Sum {
  template <class T> FASTDL_INLINE static T identity() { return T(1); }
  template <class X> FASTDL_INLINE static X combine(X a, X b) { return a * b; }
};
struct Max : Sum {
  static constexpr bool rounds = false;
  template <class T> FASTDL_INLINE static T identity() { return lowest<T>(); }
  template <class X> FASTDL_INLINE static X combine(X a, X b) { return max_nan(a, b); }
};
struct Min : Sum {
  static constexpr bool rounds = false;
  template <class T> FASTDL_INLINE static T identity() { return highest<T>(); }
  template <class X> FASTDL_INLINE static X combine(X a, X b) { return min_nan(a, b); }
};
struct Any : Max {
  template <class T> FASTDL_INLINE static T identity() { return T(0); }
  template <class X> FASTDL_INLINE static X map(X x) { return x != 0 ? X{} + 1 : X{}; }
};
struct All : Min {
  template <class T> FASTDL_INLINE static T identity() { return T(1); }
  template <class X> FASTDL_INLINE static X map(X x) { return x != 0 ? X{} + 1 : X{}; }
};

// The largest number; a NaN may be lost, for one instruction a vector.
struct Largest : Max {
  template <class X> FASTDL_INLINE static X combine(X a, X b) { return max<X>(a, b); }
};

// n contiguous elements, four vectors at a time; map(v) is what becomes of a vector first.
template <class Op, class S, class Map> FASTDL_INLINE auto reduce_block(const S* p, int64_t n, const Map& map) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  constexpr int L = lanes<V>;
  const T identity = Op::template identity<T>();
  V part[4] = {broadcast<V>(identity), broadcast<V>(identity), broadcast<V>(identity), broadcast<V>(identity)};
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) part[k] = Op::combine(part[k], map(load_as<V>(p + i + k * L)));
  each_vector<V>(n - i, [&](int64_t at, int64_t count) {
    part[0] = Op::combine(part[0], fill_past<V>(map(load_part<V>(p + i + at, count)), count, identity));
  });
  T x[L];
  store<V>(x, Op::combine(Op::combine(part[0], part[1]), Op::combine(part[2], part[3])));
  for (int w = L / 2; w > 0; w /= 2)
    for (int k = 0; k < w; ++k) x[k] = Op::combine(x[k], x[k + w]);
  return x[0];
}
template <class Op, class S> FASTDL_INLINE auto reduce_block(const S* p, int64_t n) {
  return reduce_block<Op>(p, n, [](auto v) { return Op::map(v); });
}

}  // namespace FASTDL_CPU_NAMESPACE
