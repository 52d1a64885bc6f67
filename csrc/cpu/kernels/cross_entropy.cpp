// Cross-entropy fused over the classes: normalizer and loss while a row of logits is in the cache; the backward is one
// pass from the saved normalizer. As in softmax.cpp, inner == 1 runs along rows and inner > 1 has inner in the lanes.
// Bytes: forward reads the logits once, backward reads and writes them once. The total is added up in order of position.
#include "cpu/kernels/reductions.h"
#include "cpu/simd/math.h"
#include "cpu/simd/rows.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

template <class T> struct Normalizer {  // of a position, or of a vector of them
  T maximum, log_sum;
  template <class X> FASTDL_INLINE auto log_probability(X x) const { return (x - maximum) - log_sum; }
};

template <class S> struct CrossEntropy {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  static constexpr T kInf = static_cast<T>(__builtin_inf());

  const CrossEntropyArgs& a;
  const T* weight = static_cast<const T*>(a.weight);
  const T on = static_cast<T>(1 - a.smoothing), off = static_cast<T>(a.smoothing / a.classes);

  FASTDL_INLINE T weight_of(int64_t c) const { return weight ? weight[c] : T(1); }
  FASTDL_INLINE V weights(int64_t c, int64_t count) const {
    return weight ? fill_past<V>(load_part<V>(weight + c, count), count, 0) : fill_past<V>(broadcast<V>(1), count, 0);
  }
  FASTDL_INLINE const S* logits() const { return static_cast<const S*>(a.input); }
  FASTDL_INLINE const S* probabilities() const { return static_cast<const S*>(a.probabilities); }
  FASTDL_INLINE bool ignored(int64_t position) const { return a.labels && a.labels[position] == a.ignore_index; }

  // --- rows ---

  Normalizer<T> row_normalizer(const S* x) const {
    if (a.normalized) return {0, 0};
    const T m = reduce_block<Largest>(x, a.classes);
    V total = zero<V>();
    each_vector<V>(a.classes, [&](int64_t c, int64_t count) {
      total += exp_of_negative(fill_past<V>(load_part<V>(x + c, count), count, -kInf) - m);
    });
    return {m, log(broadcast<V>(sum(total)))[0]};
  }

  void row(int64_t position) const {
    const S* x = logits() + position * a.classes;
    const Normalizer<T> norm = row_normalizer(x);
    static_cast<T*>(a.maximum)[position] = norm.maximum;
    static_cast<T*>(a.log_sum)[position] = norm.log_sum;
    V total = zero<V>();
    T on_label = 0;
    if (a.labels) {
      if (ignored(position)) {
        static_cast<T*>(a.losses)[position] = 0;
        return;
      }
      const int64_t label = a.labels[position];
      on_label = on * weight_of(label) * norm.log_probability(to_compute(x[label]));
      if (a.smoothing > 0)
        each_vector<V>(a.classes, [&](int64_t c, int64_t count) {
          total += fill_past<V>(off * weights(c, count) * norm.log_probability(load_part<V>(x + c, count)), count, 0);
        });
    } else {
      const S* p = probabilities() + position * a.classes;
      each_vector<V>(a.classes, [&](int64_t c, int64_t count) {
        const V q = weights(c, count) * (on * load_part<V>(p + c, count) + off);
        total += fill_past<V>(q * norm.log_probability(load_part<V>(x + c, count)), count, 0);
      });
    }
    static_cast<T*>(a.losses)[position] = -(on_label + sum(total));
  }

  void backward_row(int64_t position, T scale, S* grad_input, bool stream) const {
    const S* x = logits() + position * a.classes;
    const Normalizer<T> norm{static_cast<const T*>(a.maximum)[position], static_cast<const T*>(a.log_sum)[position]};
    const S* p = a.labels ? nullptr : probabilities() + position * a.classes;
    const int64_t label = a.labels ? a.labels[position] : -1;
    V total = zero<V>();
    if (p || a.smoothing > 0)
      each_vector<V>(a.classes, [&](int64_t c, int64_t count) {
        total += weights(c, count) * (p ? on * load_part<V>(p + c, count) + off : broadcast<V>(off));
      });
    const T on_label = p ? T(0) : on * weight_of(label), q_total = a.normalized ? T(0) : sum(total) + on_label;
    S* const gx = grad_input + position * a.classes;
    if (p || a.smoothing > 0 || a.normalized)
      write_row<V>(gx, a.classes, stream, [&](int64_t c, int64_t count) {
        V g = a.normalized ? zero<V>() : exp(norm.log_probability(load_part<V>(x + c, count))) * q_total;
        if (p || a.smoothing > 0) g -= weights(c, count) * (p ? on * load_part<V>(p + c, count) + off : broadcast<V>(off));
        return g * scale;
      });
    else
      write_row<V>(gx, a.classes, stream, [=](int64_t c, int64_t count) {
        return exp(norm.log_probability(load_part<V>(x + c, count))) * q_total * scale;
      });
    if (p) return;
    // The label's element again, now with its own term.
    const T g = a.normalized ? T(0) : exp(broadcast<V>(norm.log_probability(to_compute(x[label]))))[0] * q_total;
    from_compute(gx + label, (g - on_label - off * weight_of(label)) * scale);
  }

  // --- columns: positions (o, i .. i + count) ---

  void columns(int64_t o, int64_t i, int64_t count) const {
    const S* x = logits() + o * a.classes * a.inner + i;
    Normalizer<V> norm{};
    if (!a.normalized) {
      norm.maximum = broadcast<V>(-kInf);
      for (int64_t c = 0; c < a.classes; ++c) norm.maximum = max<V>(norm.maximum, load_part<V>(x + c * a.inner, count));
      V total = zero<V>();
      for (int64_t c = 0; c < a.classes; ++c) total += exp_of_negative(load_part<V>(x + c * a.inner, count) - norm.maximum);
      norm.log_sum = log(total);
    }
    V total = zero<V>();
    if (a.labels) {
      if (a.smoothing > 0)
        for (int64_t c = 0; c < a.classes; ++c)
          total += off * weight_of(c) * norm.log_probability(load_part<V>(x + c * a.inner, count));
      V at_label = zero<V>(), on_label = zero<V>();
      for (int64_t j = 0; j < count; ++j) {
        const int64_t label = a.labels[o * a.inner + i + j];
        if (label == a.ignore_index) continue;
        at_label[j] = to_compute(x[label * a.inner + j]);
        on_label[j] = on * weight_of(label);
      }
      total += on_label * norm.log_probability(at_label);
      for (int64_t j = 0; j < count; ++j)
        if (ignored(o * a.inner + i + j)) total[j] = 0;
    } else {
      const S* p = probabilities() + o * a.classes * a.inner + i;
      for (int64_t c = 0; c < a.classes; ++c)
        total += weight_of(c) * (on * load_part<V>(p + c * a.inner, count) + off) *
                 norm.log_probability(load_part<V>(x + c * a.inner, count));
    }
    const int64_t position = o * a.inner + i;
    store_part<V>(static_cast<T*>(a.maximum) + position, norm.maximum, count);
    store_part<V>(static_cast<T*>(a.log_sum) + position, norm.log_sum, count);
    store_part<V>(static_cast<T*>(a.losses) + position, -total, count);
  }

  void backward_columns(int64_t o, int64_t i, int64_t count, V scale, S* grad_input) const {
    const int64_t at = o * a.classes * a.inner + i;
    const S *x = logits() + at, *p = a.labels ? nullptr : probabilities() + at;
    S* gx = grad_input + at;
    const int64_t position = o * a.inner + i;
    const Normalizer<V> norm{load_part<V>(static_cast<const T*>(a.maximum) + position, count),
                             load_part<V>(static_cast<const T*>(a.log_sum) + position, count)};
    V q_total = zero<V>();
    if (p || a.smoothing > 0)
      for (int64_t c = 0; c < a.classes; ++c)
        q_total += weight_of(c) * (p ? on * load_part<V>(p + c * a.inner, count) + off : broadcast<V>(off));
    if (!p)
      for (int64_t j = 0; j < count; ++j) {
        const int64_t label = a.labels[o * a.inner + i + j];
        if (label != a.ignore_index) q_total[j] += on * weight_of(label);
      }
    for (int64_t c = 0; c < a.classes; ++c) {
      V g = a.normalized ? zero<V>() : exp(norm.log_probability(load_part<V>(x + c * a.inner, count))) * q_total;
      if (p || a.smoothing > 0) g -= weight_of(c) * (p ? on * load_part<V>(p + c * a.inner, count) + off : broadcast<V>(off));
      if (!p)
        for (int64_t j = 0; j < count; ++j)
          if (a.labels[o * a.inner + i + j] == c) g[j] -= on * weight_of(c);
      // Not scale * g alone: an ignored position may hold infinities.
      store_part<V>(gx + c * a.inner, select<V>(scale == T(0), zero<V>(), g * scale), count);
    }
  }
};

template <class V> FASTDL_INLINE int64_t column_blocks(int64_t inner) { return (inner + lanes<V> - 1) / lanes<V>; }

// f(begin) + ... + f(end - 1), halving, so that rounding grows with the logarithm of the count.
template <class F> double pairwise_sum(int64_t begin, int64_t end, const F& f) {
  if (end - begin > 16) {
    const int64_t middle = begin + (end - begin) / 2;
    return pairwise_sum(begin, middle, f) + pairwise_sum(middle, end, f);
  }
  double total = 0;
  for (int64_t i = begin; i < end; ++i) total += f(i);
  return total;
}

}  // namespace

void cross_entropy_forward(const Context&, const CrossEntropyArgs& a) {
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    using T = lane_t<V>;
    const CrossEntropy<S> ce{a};
    const int64_t positions = a.outer * a.inner;
    if (a.inner == 1) {
      parallel_for(a.outer, grain_for(a.classes * sizeof(S)), [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o) ce.row(o);
      });
    } else {
      const int64_t blocks = column_blocks<V>(a.inner);
      parallel_for(a.outer * blocks, grain_for(a.classes * lanes<V> * sizeof(S)), [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
          const int64_t i = b % blocks * lanes<V>;
          ce.columns(b / blocks, i, a.inner - i < lanes<V> ? a.inner - i : lanes<V>);
        }
      });
    }
    const T* losses = static_cast<const T*>(a.losses);
    S* out = static_cast<S*>(a.output);
    if (a.reduction == Reduction::none) {
      for (int64_t i = 0; i < positions; ++i) from_compute(out + i, losses[i]);
      return;
    }
    const double total = pairwise_sum(0, positions, [&](int64_t i) { return losses[i]; });
    const double total_weight =
        !a.labels ? 0 : pairwise_sum(0, positions, [&](int64_t i) { return ce.ignored(i) ? T(0) : ce.weight_of(a.labels[i]); });
    *a.divisor = a.reduction == Reduction::sum ? 1 : a.labels ? total_weight : static_cast<double>(positions);
    from_compute(out, static_cast<T>(total / *a.divisor));
  });
}

void cross_entropy_backward(const Context&, const CrossEntropyBackwardArgs& args) {
  const CrossEntropyArgs& a = args.forward;
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    using T = lane_t<V>;
    const CrossEntropy<S> ce{a};
    const S* grad = static_cast<const S*>(args.grad);
    S* gx = static_cast<S*>(args.grad_input);
    const bool reduced = a.reduction != Reduction::none;
    const auto scale_of = [&](int64_t position) {
      return reduced ? to_compute(grad[0]) / static_cast<T>(*a.divisor) : static_cast<T>(to_compute(grad[position]));
    };
    if (a.inner == 1) {
      const bool stream = a.outer * a.classes * static_cast<int64_t>(sizeof(S)) >= kStreamBytes;
      parallel_for(a.outer, grain_for(2 * a.classes * sizeof(S)), [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o) {
          if (ce.ignored(o)) memset(gx + o * a.classes, 0, a.classes * sizeof(S));
          else ce.backward_row(o, scale_of(o), gx, stream);
        }
        if (stream) stream_fence();
      });
      return;
    }
    const int64_t blocks = column_blocks<V>(a.inner);
    parallel_for(a.outer * blocks, grain_for(2 * a.classes * lanes<V> * sizeof(S)), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t o = b / blocks, i = b % blocks * lanes<V>, count = a.inner - i < lanes<V> ? a.inner - i : lanes<V>;
        V scale = zero<V>();
        for (int64_t j = 0; j < count; ++j) scale[j] = ce.ignored(o * a.inner + i + j) ? T(0) : scale_of(o * a.inner + i + j);
        ce.backward_columns(o, i, count, scale, gx);
      }
    });
  });
}

void find_bad_label(const Context&, const FindBadLabelArgs& a) {
  const auto bad = [&](int64_t i) {  // without branches; a negative label is a huge unsigned one
    return (static_cast<uint64_t>(a.labels[i]) >= static_cast<uint64_t>(a.limit)) & (a.labels[i] != a.ignore_index);
  };
  constexpr int64_t kBlock = 1024;
  for (int64_t begin = 0; begin < a.n; begin += kBlock) {
    const int64_t end = begin + kBlock < a.n ? begin + kBlock : a.n;
    int64_t found = 0;
    for (int64_t i = begin; i < end; ++i) found |= bad(i);
    for (int64_t i = begin; found && i < end; ++i) {
      if (!bad(i)) continue;
      *a.position = i;
      return;
    }
  }
  *a.position = -1;
}

}  // namespace FASTDL_CPU_NAMESPACE
