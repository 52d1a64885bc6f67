// Softmax and log-softmax over the middle dimension of (outer, n, inner).
// inner == 1: three passes over a row that stays in the cache (maximum; exponentials and their sum; scale), so memory is
// read once and written once. inner > 1: the same with inner in the lanes, n a strided walk.
// Bytes 2 elements an element; per vector one exp and about 5 other operations.
#include "cpu/kernels/level.h"
#include "cpu/simd/math.h"
#include "cpu/simd/rows.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

// n vectors, `stride` elements apart, of `count` lanes: a column block of the strided case.
template <class V, class S> struct Columns {
  S* p;
  int64_t stride, n, count;
  FASTDL_INLINE V load(int64_t k) const { return load_part<V>(p + k * stride, count); }
  FASTDL_INLINE void store(int64_t k, V v) const { store_part<V>(p + k * stride, v, count); }
};

template <class V> constexpr int64_t kRun = 16 * lanes<V>;

template <class V> FASTDL_INLINE lane_t<V> log_scalar(lane_t<V> x) { return log(broadcast<V>(x))[0]; }

template <class S> void softmax_row(const S* x, S* y, int64_t n, bool log_output) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  constexpr T kInf = static_cast<T>(__builtin_inf());
  // Storing the exponentials saves computing them again, but would round a 16-bit result twice.
  constexpr bool kKeepExp = sizeof(S) == sizeof(T);
  V maxima = broadcast<V>(-kInf);
  each_vector<V>(n, [&](int64_t i, int64_t count) {
    maxima = max<V>(maxima, fill_past<V>(load_part<V>(x + i, count), count, -kInf));
  });
  const T maximum = max_lane(maxima);
  V total = zero<V>();
  for (int64_t run = 0; run < n; run += kRun<V>) {  // short sums, so that rounding does not build up
    V run_total = zero<V>();
    each_vector<V>(n - run < kRun<V> ? n - run : kRun<V>, [&](int64_t at, int64_t count) {
      const int64_t i = run + at;
      const V e = exp(fill_past<V>(load_part<V>(x + i, count), count, -kInf) - maximum);
      if (kKeepExp && !log_output) store_part<V>(y + i, e, count);
      run_total += e;
    });
    total += run_total;
  }
  if (log_output) {
    const T log_total = log_scalar<V>(sum(total));
    each_vector<V>(n, [&](int64_t i, int64_t count) {
      store_part<V>(y + i, (load_part<V>(x + i, count) - maximum) - log_total, count);
    });
  } else {
    const T scale = 1 / sum(total);
    each_vector<V>(n, [&](int64_t i, int64_t count) {
      const V e = kKeepExp ? load_part<V>(y + i, count) : exp(load_part<V>(x + i, count) - maximum);
      store_part<V>(y + i, e * scale, count);
    });
  }
}

template <class S> void softmax_columns(Columns<compute_vector<S>, const S> x, Columns<compute_vector<S>, S> y, bool log_output) {
  using V = compute_vector<S>;
  constexpr bool kKeepExp = sizeof(S) == sizeof(lane_t<V>);
  V maximum = x.load(0);
  for (int64_t k = 1; k < x.n; ++k) maximum = max<V>(maximum, x.load(k));
  V total = zero<V>();
  for (int64_t k = 0; k < x.n; ++k) {
    const V e = exp(x.load(k) - maximum);
    if (kKeepExp && !log_output) y.store(k, e);
    total += e;
  }
  if (log_output) {
    const V log_total = log(total);
    for (int64_t k = 0; k < x.n; ++k) y.store(k, (x.load(k) - maximum) - log_total);
  } else {
    const V scale = lane_t<V>(1) / total;
    for (int64_t k = 0; k < x.n; ++k) {
      const V e = kKeepExp ? load_part<V>(static_cast<const S*>(y.p) + k * y.stride, y.count) : exp(x.load(k) - maximum);
      y.store(k, e * scale);
    }
  }
}

template <class S> void softmax_backward_row(const S* g, const S* y, S* gx, int64_t n, bool log_output) {
  using V = compute_vector<S>;
  V total = zero<V>();
  each_vector<V>(n, [&](int64_t i, int64_t count) {
    const V gradient = load_part<V>(g + i, count);
    total += log_output ? gradient : gradient * load_part<V>(y + i, count);
  });
  const lane_t<V> dot = sum(total);
  each_vector<V>(n, [&](int64_t i, int64_t count) {
    const V gradient = load_part<V>(g + i, count), out = load_part<V>(y + i, count);
    store_part<V>(gx + i, log_output ? gradient - exp(out) * dot : (gradient - dot) * out, count);
  });
}

template <class S>
void softmax_backward_columns(Columns<compute_vector<S>, const S> g, Columns<compute_vector<S>, const S> y,
                              Columns<compute_vector<S>, S> gx, bool log_output) {
  using V = compute_vector<S>;
  V dot = zero<V>();
  for (int64_t k = 0; k < g.n; ++k) dot += log_output ? g.load(k) : g.load(k) * y.load(k);
  for (int64_t k = 0; k < g.n; ++k)
    gx.store(k, log_output ? g.load(k) - exp(y.load(k)) * dot : (g.load(k) - dot) * y.load(k));
}

// row(o) for each row, or columns(first element, count) for each block of columns.
template <class V, class Args, class Row, class Block>
FASTDL_INLINE void each_row_or_columns(const Args& a, int64_t bytes, const Row& row, const Block& columns) {
  if (a.n == 0) return;
  if (a.inner == 1) {
    parallel_for(a.outer, grain_for(a.n * bytes), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) row(o * a.n);
    });
    return;
  }
  const int64_t blocks = (a.inner + lanes<V> - 1) / lanes<V>;
  parallel_for(a.outer * blocks, grain_for(a.n * lanes<V> * bytes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i % blocks * lanes<V>, count = a.inner - c < lanes<V> ? a.inner - c : lanes<V>;
      columns(i / blocks * a.n * a.inner + c, count);
    }
  });
}

}  // namespace

void softmax_forward(const Context&, const SoftmaxArgs& a) {
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    const S* x = static_cast<const S*>(a.input);
    S* y = static_cast<S*>(a.output);
    each_row_or_columns<V>(
        a, 2 * sizeof(S), [&](int64_t at) { softmax_row<S>(x + at, y + at, a.n, a.log); },
        [&](int64_t at, int64_t count) {
          softmax_columns<S>({x + at, a.inner, a.n, count}, {y + at, a.inner, a.n, count}, a.log);
        });
  });
}

void softmax_backward(const Context&, const SoftmaxBackwardArgs& a) {
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    const S *g = static_cast<const S*>(a.grad), *y = static_cast<const S*>(a.output);
    S* gx = static_cast<S*>(a.grad_input);
    each_row_or_columns<V>(
        a, 3 * sizeof(S), [&](int64_t at) { softmax_backward_row<S>(g + at, y + at, gx + at, a.n, a.log); },
        [&](int64_t at, int64_t count) {
          softmax_backward_columns<S>({g + at, a.inner, a.n, count}, {y + at, a.inner, a.n, count},
                                      {gx + at, a.inner, a.n, count}, a.log);
        });
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
