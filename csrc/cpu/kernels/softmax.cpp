// Softmax and log-softmax over the middle dimension of (outer, n, inner).
// inner == 1: three passes over a row that stays in the cache (maximum; exponentials and their sum; scale), so memory is
// read once and written once. inner > 1: the same with inner in the lanes, n a strided walk.
// Bytes 2 elements an element; per vector one exp and about 5 other operations.
#include "cpu/kernels/reductions.h"
#include "cpu/simd/math.h"
#include "cpu/simd/rows.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

// A block of columns of the strided case: W vectors side by side in each of n rows, `stride` elements apart. A wide
// block is whole vectors, so that a row's visit takes several cache lines; a narrow one (W = 1) has `count` lanes.
template <class V, class S, int W> struct Columns {
  S* p;
  int64_t stride, n, count;
  FASTDL_INLINE V load(int64_t k, int j) const {
    if constexpr (W > 1) return load_as<V>(p + k * stride + j * lanes<V>);
    else return load_part<V>(p + k * stride, count);
  }
  FASTDL_INLINE void store(int64_t k, int j, V v) const {
    if constexpr (W > 1) store_as<V>(p + k * stride + j * lanes<V>, v);
    else store_part<V>(p + k * stride, v, count);
  }
};
constexpr int kWide = 8;

template <class V> constexpr int64_t kRun = 16 * lanes<V>;

template <class V> FASTDL_INLINE lane_t<V> log_scalar(lane_t<V> x) { return log(broadcast<V>(x))[0]; }

// What a row's exponentials need, to be scaled in one go; longer rows keep them where the result will be.
constexpr int64_t kKeptBytes = 1 << 18;
constexpr int kRowScratch = 0;

template <class S> void softmax_row(const S* x, S* y, int64_t n, bool log_output, bool stream) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  constexpr T kInf = static_cast<T>(__builtin_inf());
  const T maximum = reduce_block<Largest>(x, n);
  // Storing the exponentials saves computing them again. Not in a 16-bit result, which would be rounded twice.
  const bool buffered = n * static_cast<int64_t>(sizeof(T)) <= kKeptBytes && (stream || sizeof(S) != sizeof(T));
  T* kept = buffered ? static_cast<T*>(scratch(kRowScratch, kKeptBytes)) : nullptr;
  if constexpr (sizeof(S) == sizeof(T)) kept = buffered ? kept : y;
  if (log_output) kept = nullptr;
  V total = zero<V>();
  for (int64_t run = 0; run < n; run += kRun<V>) {  // short sums, so that rounding does not build up
    V run_total = zero<V>();
    each_vector<V>(n - run < kRun<V> ? n - run : kRun<V>, [&](int64_t at, int64_t count) {
      const V e = exp_of_negative(fill_past<V>(load_part<V>(x + run + at, count), count, -kInf) - maximum);
      if (kept) store_part<V>(kept + run + at, e, count);
      run_total += e;
    });
    total += run_total;
  }
  if (log_output) {
    const T log_total = log_scalar<V>(sum(total));
    write_row<V>(y, n, stream, [=](int64_t i, int64_t count) { return (load_part<V>(x + i, count) - maximum) - log_total; });
  } else {
    const T scale = 1 / sum(total);
    if (kept) write_row<V>(y, n, stream, [=](int64_t i, int64_t count) { return load_part<V>(kept + i, count) * scale; });
    else
      write_row<V>(y, n, stream,
                   [=](int64_t i, int64_t count) { return exp_of_negative(load_part<V>(x + i, count) - maximum) * scale; });
  }
}

template <class S, int W>
void softmax_columns(const S* input, S* output, int64_t stride, int64_t n, int64_t count, bool log_output) {
  using V = compute_vector<S>;
  constexpr bool kKeepExp = sizeof(S) == sizeof(lane_t<V>);
  const Columns<V, const S, W> x{input, stride, n, count}, kept{output, stride, n, count};
  const Columns<V, S, W> y{output, stride, n, count};
  V maximum[W], total[W];
  for (int j = 0; j < W; ++j) maximum[j] = x.load(0, j), total[j] = zero<V>();
  for (int64_t k = 1; k < n; ++k)
    for (int j = 0; j < W; ++j) maximum[j] = max<V>(maximum[j], x.load(k, j));
  for (int64_t k = 0; k < n; ++k)
    for (int j = 0; j < W; ++j) {
      const V e = exp_of_negative(x.load(k, j) - maximum[j]);
      if (kKeepExp && !log_output) y.store(k, j, e);
      total[j] += e;
    }
  for (int j = 0; j < W; ++j) total[j] = log_output ? log(total[j]) : lane_t<V>(1) / total[j];
  for (int64_t k = 0; k < n; ++k)
    for (int j = 0; j < W; ++j) {
      if (log_output) y.store(k, j, (x.load(k, j) - maximum[j]) - total[j]);
      else y.store(k, j, (kKeepExp ? kept.load(k, j) : exp_of_negative(x.load(k, j) - maximum[j])) * total[j]);
    }
}

template <class S> void softmax_backward_row(const S* g, const S* y, S* gx, int64_t n, bool log_output, bool stream) {
  using V = compute_vector<S>;
  V total[2] = {};
  each_vector<V>(n, [&](int64_t i, int64_t count) {
    const V gradient = load_part<V>(g + i, count);
    total[1] = log_output ? total[1] + gradient : total[1] + gradient * load_part<V>(y + i, count);
    const V other = total[0];
    total[0] = total[1];
    total[1] = other;
  });
  const lane_t<V> dot = sum(total[0] + total[1]);
  write_row<V>(gx, n, stream, [=](int64_t i, int64_t count) {
    const V gradient = load_part<V>(g + i, count), out = load_part<V>(y + i, count);
    return log_output ? gradient - exp(out) * dot : (gradient - dot) * out;
  });
}

template <class S, int W> void softmax_backward_columns(const S* grad, const S* output, S* grad_input, int64_t stride,
                                                        int64_t n, int64_t count, bool log_output) {
  using V = compute_vector<S>;
  const Columns<V, const S, W> g{grad, stride, n, count}, y{output, stride, n, count};
  const Columns<V, S, W> gx{grad_input, stride, n, count};
  V dot[W];
  for (int j = 0; j < W; ++j) dot[j] = zero<V>();
  for (int64_t k = 0; k < n; ++k)
    for (int j = 0; j < W; ++j) dot[j] += log_output ? g.load(k, j) : g.load(k, j) * y.load(k, j);
  for (int64_t k = 0; k < n; ++k)
    for (int j = 0; j < W; ++j)
      gx.store(k, j, log_output ? g.load(k, j) - exp(y.load(k, j)) * dot[j] : (g.load(k, j) - dot[j]) * y.load(k, j));
}

// row(first element, whether it goes past the caches) for each row; or wide(first element) for each whole block of columns and,
// for those that are left, narrow(first element, count).
template <class V, class Args, class Row, class Wide, class Narrow>
FASTDL_INLINE void each_row_or_columns(const Args& a, int64_t bytes, const Row& row, const Wide& wide, const Narrow& narrow) {
  if (a.n == 0) return;
  if (a.inner == 1) {
    const bool stream = a.outer * a.n * size_of(a.dtype) >= kStreamBytes;
    parallel_for(a.outer, grain_for(a.n * bytes), [=](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) row(o * a.n, stream);
      if (stream) stream_fence();
    });
    return;
  }
  constexpr int64_t L = lanes<V>, kBlock = kWide * L;
  const int64_t blocks = (a.inner + kBlock - 1) / kBlock;
  parallel_for(a.outer * blocks, grain_for(a.n * kBlock * bytes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / blocks * a.n * a.inner, c = i % blocks * kBlock;
      if (c + kBlock <= a.inner) wide(first + c);
      else
        for (int64_t j = c; j < a.inner; j += L) narrow(first + j, a.inner - j < L ? a.inner - j : L);
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
        a, 2 * sizeof(S), [=](int64_t at, bool stream) { softmax_row<S>(x + at, y + at, a.n, a.log, stream); },
        [&](int64_t at) { softmax_columns<S, kWide>(x + at, y + at, a.inner, a.n, kWide * lanes<V>, a.log); },
        [&](int64_t at, int64_t count) { softmax_columns<S, 1>(x + at, y + at, a.inner, a.n, count, a.log); });
  });
}

void softmax_backward(const Context&, const SoftmaxBackwardArgs& a) {
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    const S *g = static_cast<const S*>(a.grad), *y = static_cast<const S*>(a.output);
    S* gx = static_cast<S*>(a.grad_input);
    each_row_or_columns<V>(
        a, 3 * sizeof(S),
        [=](int64_t at, bool stream) { softmax_backward_row<S>(g + at, y + at, gx + at, a.n, a.log, stream); },
        [&](int64_t at) { softmax_backward_columns<S, kWide>(g + at, y + at, gx + at, a.inner, a.n, kWide * lanes<V>, a.log); },
        [&](int64_t at, int64_t count) {
          softmax_backward_columns<S, 1>(g + at, y + at, gx + at, a.inner, a.n, count, a.log);
        });
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
