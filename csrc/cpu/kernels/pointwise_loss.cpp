// Losses of two equal-shaped tensors: one pass that maps and, for mean and sum, reduces. A part of kLossPart elements is
// summed in vectors, parts in float64 in order. The backward is one pass. Bytes: forward 2 elements read, backward 2 read
// and 1 written (one more for each weight).
#include "cpu/kernels/level.h"
#include "cpu/simd/math.h"
#include "cpu/simd/rows.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int64_t kRun = 512;

template <class V> FASTDL_INLINE V sign(V d) {
  using T = lane_t<V>;
  return select<V>(d > T(0), broadcast<V>(1), select<V>(d < T(0), broadcast<V>(-1), d));
}

// value(x, y, p) and slope(x, y, p) = d value / d x for each kind; p is the weight of positive targets.
template <class V> struct Loss {
  using T = lane_t<V>;
  PointwiseLoss kind;
  T beta;

  FASTDL_INLINE V value(V x, V y, V p) const {
    const V d = x - y, distance = abs(d);
    switch (kind) {
      case PointwiseLoss::squared: return d * d;
      case PointwiseLoss::absolute: return distance;
      case PointwiseLoss::smooth_absolute: return select<V>(distance < beta, d * d * (T(0.5) / beta), distance - T(0.5) * beta);
      case PointwiseLoss::huber: return select<V>(distance < beta, T(0.5) * d * d, beta * (distance - T(0.5) * beta));
      case PointwiseLoss::logistic: return (T(1) - y) * x + (T(1) + (p - T(1)) * y) * softplus(-x);
      case PointwiseLoss::binary: return -(y * clamped_log(x) + (T(1) - y) * clamped_log(T(1) - x));
      case PointwiseLoss::divergence: return select<V>(y == T(0), zero<V>(), y * (log(y) - x));
      case PointwiseLoss::log_divergence: return exp(y) * (y - x);
    }
    return d;
  }

  FASTDL_INLINE V slope(V x, V y, V p) const {
    const V d = x - y, distance = abs(d);
    switch (kind) {
      case PointwiseLoss::squared: return T(2) * d;
      case PointwiseLoss::absolute: return sign(d);
      case PointwiseLoss::smooth_absolute: return select<V>(distance < beta, d / beta, sign(d));
      case PointwiseLoss::huber: return select<V>(distance < beta, d, beta * sign(d));
      case PointwiseLoss::logistic: return (T(1) - y) - (T(1) + (p - T(1)) * y) * sigmoid(-x);
      case PointwiseLoss::binary: return d / max<V>(x * (T(1) - x), broadcast<V>(static_cast<T>(1e-12)));
      case PointwiseLoss::divergence: return -y;
      case PointwiseLoss::log_divergence: return -exp(y);
    }
    return d;
  }

  FASTDL_INLINE static V clamped_log(V v) { return max_nan<V>(log(v), broadcast<V>(-100)); }
};

template <class V, class S> FASTDL_INLINE V load_or_one(const void* p, int64_t i, int64_t count) {
  return p ? load_part<V>(static_cast<const S*>(p) + i, count) : broadcast<V>(1);
}

// f(kind) with the kind a constant, so that each loop holds one formula.
template <class F> FASTDL_INLINE void visit_loss(PointwiseLoss kind, const F& f) {
  switch (kind) {
    case PointwiseLoss::squared: return f(PointwiseLoss::squared);
    case PointwiseLoss::absolute: return f(PointwiseLoss::absolute);
    case PointwiseLoss::smooth_absolute: return f(PointwiseLoss::smooth_absolute);
    case PointwiseLoss::huber: return f(PointwiseLoss::huber);
    case PointwiseLoss::logistic: return f(PointwiseLoss::logistic);
    case PointwiseLoss::binary: return f(PointwiseLoss::binary);
    case PointwiseLoss::divergence: return f(PointwiseLoss::divergence);
    case PointwiseLoss::log_divergence: return f(PointwiseLoss::log_divergence);
  }
}

}  // namespace

void pointwise_loss_forward(const Context&, const PointwiseLossArgs& a) {
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    using T = lane_t<V>;
    S* out = static_cast<S*>(a.output);
    parallel_for(a.n, kLossPart, [&](int64_t begin, int64_t end) {
      visit_loss(a.kind, [&](PointwiseLoss kind) __attribute__((always_inline)) {
        const Loss<V> loss{kind, static_cast<T>(a.beta)};
        double total = 0;
        for (int64_t run = begin; run < end; run += kRun) {  // short sums, so that rounding does not build up
          V run_total = zero<V>();
          each_vector<V>(end - run < kRun ? end - run : kRun, [&](int64_t at, int64_t count) {
            const int64_t i = run + at;
            const V x = load_part<V>(static_cast<const S*>(a.input) + i, count);
            const V y = load_part<V>(static_cast<const S*>(a.target) + i, count);
            const V v =
                loss.value(x, y, load_or_one<V, S>(a.positive_weight, i, count)) * load_or_one<V, S>(a.weight, i, count);
            if (a.reduce) run_total += fill_past<V>(v, count, 0);
            else store_part<V>(out + i, v, count);
          });
          total += sum(run_total);
        }
        if (a.reduce) a.parts[begin / kLossPart] = total;
      });
    });
    if (!a.reduce) return;
    double total = 0;
    for (int64_t part = 0; part * kLossPart < a.n; ++part) total += a.parts[part];
    from_compute(out, static_cast<T>(total / a.divisor));
  });
}

void pointwise_loss_backward(const Context&, const PointwiseLossBackwardArgs& args) {
  const PointwiseLossArgs& a = args.forward;
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    using T = lane_t<V>;
    const S* grad = static_cast<const S*>(args.grad);
    S* gx = static_cast<S*>(args.grad_input);
    const T scale = a.reduce ? to_compute(grad[0]) / static_cast<T>(a.divisor) : T(0);
    parallel_for(a.n, kLossPart, [&](int64_t begin, int64_t end) {
      visit_loss(a.kind, [&](PointwiseLoss kind) __attribute__((always_inline)) {
        const Loss<V> loss{kind, static_cast<T>(a.beta)};
        each_vector<V>(end - begin, [&](int64_t at, int64_t count) {
          const int64_t i = begin + at;
          const V x = load_part<V>(static_cast<const S*>(a.input) + i, count);
          const V y = load_part<V>(static_cast<const S*>(a.target) + i, count);
          const V slope = loss.slope(x, y, load_or_one<V, S>(a.positive_weight, i, count));
          const V g = a.reduce ? broadcast<V>(scale) : load_part<V>(grad + i, count);
          store_part<V>(gx + i, slope * load_or_one<V, S>(a.weight, i, count) * g, count);
        });
      });
    });
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
