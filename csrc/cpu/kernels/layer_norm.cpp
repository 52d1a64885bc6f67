// Layer, RMS and group normalization: statistics of a contiguous row in two passes over the cache (mean, then centred
// squares, which does not cancel), then the affine output.
// Backward, with h the normalized input and w the gradient times the weight:
//   grad_input = rstd (w - mean(w) - h mean(w h)), without mean(w) for RMS norm.
// Bytes: 2 elements an element forward, 3 backward.
#include "cpu/kernels/reductions.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

template <class T> struct Moments {
  T mean, rstd;
};

template <class V, class S> FASTDL_INLINE Moments<lane_t<V>> moments(const S* x, int64_t n, bool centred, double eps) {
  using T = lane_t<V>;
  const T mean = centred ? reduce_block<Sum>(x, n) / static_cast<T>(n) : T(0);
  const T variance = reduce_block<Sum>(x, n, [=](V v) { return (v - mean) * (v - mean); }) / static_cast<T>(n);
  return {mean, T(1) / sqrt(broadcast<V>(variance + static_cast<T>(eps)))[0]};
}

template <class V> FASTDL_INLINE V load_or(const lane_t<V>* p, int64_t i, int64_t count, lane_t<V> otherwise) {
  return p ? load_part<V>(p + i, count) : broadcast<V>(otherwise);
}

}  // namespace

void layer_norm_forward(const Context&, const LayerNormArgs& a) {
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    using T = lane_t<V>;
    const T *weight = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
    const int64_t n = a.n;
    const bool stream = a.rows * n * static_cast<int64_t>(sizeof(S)) >= kStreamBytes;
    parallel_for(a.rows, grain_for(2 * n * sizeof(S)), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const S* x = static_cast<const S*>(a.input) + r * n;
        const Moments<T> s = moments<V>(x, n, a.mean != nullptr, a.eps);
        if (a.mean) static_cast<T*>(a.mean)[r] = s.mean;
        static_cast<T*>(a.rstd)[r] = s.rstd;
        write_row<V>(static_cast<S*>(a.output) + r * n, n, stream, [=](int64_t i, int64_t count) {
          const V h = (load_part<V>(x + i, count) - s.mean) * s.rstd;
          return h * load_or<V>(weight, i, count, 1) + load_or<V>(bias, i, count, 0);
        });
      }
      if (stream) stream_fence();
    });
  });
}

void layer_norm_backward(const Context&, const LayerNormBackwardArgs& a) {
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    using T = lane_t<V>;
    const T* weight = static_cast<const T*>(a.weight);
    const int64_t n = a.n;
    const bool stream = a.rows * n * static_cast<int64_t>(sizeof(S)) >= kStreamBytes;
    parallel_tasks(a.parts, [&, weight, n](int64_t part) {
      T* weight_part = a.weight_parts ? static_cast<T*>(a.weight_parts) + part * a.n : nullptr;
      T* bias_part = a.bias_parts ? static_cast<T*>(a.bias_parts) + part * a.n : nullptr;
      if (weight_part) memset(weight_part, 0, a.n * sizeof(T));
      if (bias_part) memset(bias_part, 0, a.n * sizeof(T));
      for (int64_t r = a.rows * part / a.parts; r < a.rows * (part + 1) / a.parts; ++r) {
        const S *x = static_cast<const S*>(a.input) + r * a.n, *g = static_cast<const S*>(a.grad) + r * a.n;
        const T mean = a.mean ? static_cast<const T*>(a.mean)[r] : T(0), rstd = static_cast<const T*>(a.rstd)[r];
        V sum_w = zero<V>(), sum_wh = zero<V>();
        each_vector<V>(n, [&, weight, weight_part, bias_part, x, g](int64_t i, int64_t count) {
          const V h = (load_part<V>(x + i, count) - mean) * rstd, gradient = load_part<V>(g + i, count);
          const V w = gradient * load_or<V>(weight, i, count, 1);
          sum_w += w;
          sum_wh += w * h;  // w is zero past the end
          if (weight_part) store_part<V>(weight_part + i, load_part<V>(weight_part + i, count) + gradient * h, count);
          if (bias_part) store_part<V>(bias_part + i, load_part<V>(bias_part + i, count) + gradient, count);
        });
        if (!a.grad_input) continue;
        const T mean_w = a.mean ? sum(sum_w) / static_cast<T>(a.n) : T(0), mean_wh = sum(sum_wh) / static_cast<T>(a.n);
        write_row<V>(static_cast<S*>(a.grad_input) + r * n, n, stream, [=](int64_t i, int64_t count) {
          const V h = (load_part<V>(x + i, count) - mean) * rstd;
          const V w = load_part<V>(g + i, count) * load_or<V>(weight, i, count, 1);
          return ((w - mean_w) - h * mean_wh) * rstd;
        });
      }
      if (stream) stream_fence();
    });
  });
}

void group_norm_forward(const Context&, const GroupNormArgs& a) {
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    using T = lane_t<V>;
    const T *weight = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
    const int64_t group_channels = a.channels / a.groups, n = group_channels * a.spatial;
    parallel_for(a.batch * a.groups, grain_for(2 * n * sizeof(S)), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const S* x = static_cast<const S*>(a.input) + r * n;
        S* y = static_cast<S*>(a.output) + r * n;
        const Moments<T> s = moments<V>(x, n, true, a.eps);
        static_cast<T*>(a.mean)[r] = s.mean;
        static_cast<T*>(a.rstd)[r] = s.rstd;
        for (int64_t j = 0; j < group_channels; ++j, x += a.spatial, y += a.spatial) {
          const int64_t channel = r % a.groups * group_channels + j;
          const T w = weight ? weight[channel] : T(1), b = bias ? bias[channel] : T(0);
          each_vector<V>(a.spatial, [&](int64_t i, int64_t count) {
            store_part<V>(y + i, (load_part<V>(x + i, count) - s.mean) * s.rstd * w + b, count);
          });
        }
      }
    });
  });
}

void group_norm_backward(const Context&, const GroupNormBackwardArgs& a) {
  visit_floating(a.dtype, [&](auto tag) {
    using S = decltype(tag);
    using V = compute_vector<S>;
    using T = lane_t<V>;
    const T* weight = static_cast<const T*>(a.weight);
    const int64_t group_channels = a.channels / a.groups, n = group_channels * a.spatial;
    parallel_for(a.batch * a.groups, grain_for(3 * n * sizeof(S)), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const S *x = static_cast<const S*>(a.input) + r * n, *g = static_cast<const S*>(a.grad) + r * n;
        const T mean = static_cast<const T*>(a.mean)[r], rstd = static_cast<const T*>(a.rstd)[r];
        T* weight_part = static_cast<T*>(a.weight_parts) + r * group_channels;
        T* bias_part = static_cast<T*>(a.bias_parts) + r * group_channels;
        const T* channel_weight = weight ? weight + r % a.groups * group_channels : nullptr;
        T sum_w = 0, sum_wh = 0;
        for (int64_t j = 0; j < group_channels; ++j) {
          V total = zero<V>(), total_h = zero<V>();
          each_vector<V>(a.spatial, [&](int64_t i, int64_t count) {
            const V gradient = load_part<V>(g + j * a.spatial + i, count);
            total += gradient;
            total_h += gradient * ((load_part<V>(x + j * a.spatial + i, count) - mean) * rstd);
          });
          bias_part[j] = sum(total);
          weight_part[j] = sum(total_h);
          const T w = channel_weight ? channel_weight[j] : T(1);
          sum_w += w * bias_part[j];
          sum_wh += w * weight_part[j];
        }
        if (!a.grad_input) continue;
        const T mean_w = sum_w / static_cast<T>(n), mean_wh = sum_wh / static_cast<T>(n);
        S* gx = static_cast<S*>(a.grad_input) + r * n;
        for (int64_t j = 0; j < group_channels; ++j) {
          const T w = channel_weight ? channel_weight[j] : T(1);
          each_vector<V>(a.spatial, [&](int64_t i, int64_t count) {
            const int64_t at = j * a.spatial + i;
            const V h = (load_part<V>(x + at, count) - mean) * rstd;
            store_part<V>(gx + at, ((load_part<V>(g + at, count) * w - mean_w) - h * mean_wh) * rstd, count);
          });
        }
      }
    });
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
