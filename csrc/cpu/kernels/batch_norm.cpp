// Batch normalization in two passes over x: statistics, then the map. Statistics are taken of pieces that stay in L1, mean
// first, then squared deviations from it, and merged in double, so that a large mean costs no precision; the pieces are
// merged in order. Backward is two passes too: sums of grad_y and grad_y (x - mean), then grad_x.
// Forward 12 bytes and 7 FLOP a float32 element, backward 20 bytes and 9 FLOP.
// (Ioffe and Szegedy 2015; Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
//  variances", 1979.)
#include "kernels/batch_norm.h"
#include "cpu/kernels/level.h"
#include "cpu/simd/rows.h"
#include "cpu/simd/strided.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int64_t kPiece = 4096;  // numbers of a plane
constexpr int64_t kPieceRows = 64;
constexpr int kSumScratch = 3, kParameterScratch = 4;

FASTDL_INLINE int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

FASTDL_INLINE double element(const View& v, int64_t i, double otherwise) {
  if (!v.data) return otherwise;
  double x = 0;
  visit_floating(v.dtype, [&](auto s) { x = to_compute(v.as<decltype(s)>()[i * v.strides[0]]); });
  return x;
}
FASTDL_INLINE void set_element(const View& v, int64_t i, double x) {
  visit_floating(v.dtype, [&](auto s) {
    from_compute(v.as<decltype(s)>() + i * v.strides[0], static_cast<lane_t<compute_vector<decltype(s)>>>(x));
  });
}

struct Moments {
  double count, mean, deviations;  // deviations: the sum of squares about the mean
  FASTDL_INLINE void merge(double n, double other_mean, double other_deviations) {
    if (n == 0) return;
    const double delta = other_mean - mean, share = n / (count + n);
    mean += delta * share;
    deviations += other_deviations + delta * delta * (count * share);
    count += n;
  }
};

template <class S> void merge_run(const S* x, int64_t n, Moments* m) {
  using V = compute_vector<S>;
  constexpr int L = lanes<V>;
  for (int64_t start = 0; start < n; start += kPiece) {
    const S* const p = x + start;
    const int64_t count = at_most(kPiece, n - start);
    V sums[4] = {};
    int64_t i = 0;
    for (; i + 4 * L <= count; i += 4 * L)
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) sums[u] += load_as<V>(p + i + u * L);
    for (; i < count; i += L) sums[0] += load_up_to<V>(p + i, count - i);
    const auto mean = sum((sums[0] + sums[1]) + (sums[2] + sums[3])) / static_cast<lane_t<V>>(count);
    const V center = broadcast<V>(mean);
    V squares[4] = {};
    for (i = 0; i + 4 * L <= count; i += 4 * L)
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) {
        const V d = load_as<V>(p + i + u * L) - center;
        squares[u] += d * d;
      }
    for (; i + L <= count; i += L) {
      const V d = load_as<V>(p + i) - center;
      squares[0] += d * d;
    }
    double rest = 0;
    for (; i < count; ++i) rest += (to_compute(p[i]) - mean) * (to_compute(p[i]) - mean);
    m->merge(static_cast<double>(count), mean, sum((squares[0] + squares[1]) + (squares[2] + squares[3])) + rest);
  }
}

// partial[part][channel] = (mean, deviations) of the part.
template <class S> void statistics_of_planes(const BatchNormArgs& a, int64_t parts) {
  const BatchNormShape& s = a.shape;
  const S* const x = static_cast<const S*>(a.x);
  parallel_for(parts * s.channels, grain_for(s.batch / parts * s.plane * static_cast<int64_t>(sizeof(S))),
               [&](int64_t begin, int64_t end) {
                 for (int64_t task = begin; task < end; ++task) {
                   const int64_t part = task / s.channels, c = task % s.channels;
                   Moments m{0, 0, 0};
                   for (int64_t n = part * s.batch / parts; n < (part + 1) * s.batch / parts; ++n)
                     merge_run(x + (n * s.channels + c) * s.plane, s.plane, &m);
                   a.partial[2 * task] = m.mean;
                   a.partial[2 * task + 1] = m.deviations;
                 }
               });
}

// f(i, count, r) for each vector of channels and each row, four rows at a time: what f adds to stays in registers that long.
template <class V, class F> FASTDL_INLINE void each_vector_of_rows(int64_t rows, int64_t channels, const F& f) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) each_vector<V>(channels, [&](int64_t c, int64_t count) { f(c, count, r, r + 4); });
  if (r < rows) each_vector<V>(channels, [&](int64_t c, int64_t count) { f(c, count, r, rows); });
}

template <class S> void statistics_of_rows(const BatchNormArgs& a, int64_t parts) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  const int64_t batch = a.shape.batch, channels = a.shape.channels;
  const S* const x = static_cast<const S*>(a.x);
  double* const partial = a.partial;
  parallel_tasks(parts, [=](int64_t part) {
    const int64_t first = part * batch / parts, last = (part + 1) * batch / parts;
    T* const mean = static_cast<T*>(scratch(kSumScratch, static_cast<size_t>(2 * channels) * sizeof(T)));
    T* const squares = mean + channels;
    double* const out = partial + 2 * part * channels;
    memset(out, 0, static_cast<size_t>(2 * channels) * sizeof(double));
    for (int64_t row = first; row < last; row += kPieceRows) {
      const int64_t rows = at_most(kPieceRows, last - row);
      const S* const p = x + row * channels;
      memset(mean, 0, static_cast<size_t>(2 * channels) * sizeof(T));
      each_vector_of_rows<V>(rows, channels, [=](int64_t c, int64_t count, int64_t r, int64_t end) {
        V total = load_part<V>(mean + c, count);
        for (; r < end; ++r) total += load_part<V>(p + r * channels + c, count);
        store_part<V>(mean + c, total, count);
      });
      for (int64_t c = 0; c < channels; ++c) mean[c] /= static_cast<T>(rows);
      each_vector_of_rows<V>(rows, channels, [=](int64_t c, int64_t count, int64_t r, int64_t end) {
        const V center = load_part<V>(mean + c, count);
        V total = load_part<V>(squares + c, count);
        for (; r < end; ++r) {
          const V d = load_part<V>(p + r * channels + c, count) - center;
          total += d * d;
        }
        store_part<V>(squares + c, total, count);
      });
      for (int64_t c = 0; c < channels; ++c) {
        Moments m{static_cast<double>(row - first), out[2 * c], out[2 * c + 1]};
        m.merge(static_cast<double>(rows), mean[c], squares[c]);
        out[2 * c] = m.mean;
        out[2 * c + 1] = m.deviations;
      }
    }
  });
}

// Numbers per channel in a part.
FASTDL_INLINE double part_count(const BatchNormShape& s, int64_t parts, int64_t part) {
  return static_cast<double>(((part + 1) * s.batch / parts - part * s.batch / parts) * s.plane);
}

void finish_statistics(const BatchNormArgs& a, int64_t parts) {
  const BatchNormShape& s = a.shape;
  for (int64_t c = 0; c < s.channels; ++c) {
    Moments m{0, 0, 0};
    for (int64_t part = 0; part < parts; ++part) {
      const double* const p = a.partial + 2 * (part * s.channels + c);
      m.merge(part_count(s, parts, part), p[0], p[1]);
    }
    a.mean[c] = m.mean;
    a.rstd[c] = 1 / __builtin_sqrt(m.deviations / m.count + a.eps);
    if (a.running_mean.data)
      set_element(a.running_mean, c, (1 - a.momentum) * element(a.running_mean, c, 0) + a.momentum * m.mean);
    if (a.running_var.data)
      set_element(a.running_var, c,
                  (1 - a.momentum) * element(a.running_var, c, 0) + a.momentum * (m.deviations / (m.count - 1)));
  }
}

// output = f(i, count, parameters), where i .. i + count are elements of one channel (a plane) or of neighbouring channels
// (rows), and parameters[k], a vector, is the parameter k of these: parameter(k, channel).
template <int N, class S, class Parameter, class F>
FASTDL_INLINE void map_channels(const BatchNormShape& s, S* output, int64_t bytes, const Parameter& parameter, const F& f) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  const int64_t channels = s.channels, plane = s.plane;
  const bool stream = s.batch * channels * plane * static_cast<int64_t>(sizeof(S)) >= kStreamBytes;
  if (plane > 1) {
    parallel_for(s.batch * channels, grain_for(plane * bytes), [=](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        V values[N];
        for (int k = 0; k < N; ++k) values[k] = broadcast<V>(parameter(k, p % channels));
        write_row<V>(output + p * plane, plane, stream,
                     [&](int64_t i, int64_t count) { return f(p * plane + i, count, values); });
      }
      stream_fence();
    });
    return;
  }
  T* const all = static_cast<T*>(scratch(kParameterScratch, static_cast<size_t>(N * channels) * sizeof(T)));
  for (int k = 0; k < N; ++k)
    for (int64_t c = 0; c < channels; ++c) all[k * channels + c] = parameter(k, c);
  const bool whole = channels % lanes<V> == 0;
  parallel_for(s.batch, grain_for(channels * bytes), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      write_row<V>(output + r * channels, channels, stream && whole, [&](int64_t i, int64_t count) {
        V values[N];
        for (int k = 0; k < N; ++k) values[k] = load_part<V>(all + k * channels + i, count);
        return f(r * channels + i, count, values);
      });
    stream_fence();
  });
}

// y = (x - mean) * scale + bias
template <class S> void normalize(const BatchNormArgs& a) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  const S* const x = static_cast<const S*>(a.x);
  map_channels<3>(
      a.shape, static_cast<S*>(a.y), 2 * sizeof(S),
      [&a](int k, int64_t c) {
        return static_cast<T>(k == 0 ? a.mean[c] : k == 1 ? a.rstd[c] * element(a.weight, c, 1) : element(a.bias, c, 0));
      },
      [x](int64_t i, int64_t count, const V* p) { return (load_part<V>(x + i, count) - p[0]) * p[1] + p[2]; });
}

template <class S> void forward(const BatchNormArgs& a) {
  const BatchNormShape& s = a.shape;
  if (a.training) {
    const int64_t parts = BatchNormParts::count(s);
    if (s.plane > 1) statistics_of_planes<S>(a, parts);
    else statistics_of_rows<S>(a, parts);
    finish_statistics(a, parts);
  } else {
    for (int64_t c = 0; c < s.channels; ++c) {
      a.mean[c] = element(a.running_mean, c, 0);
      a.rstd[c] = 1 / __builtin_sqrt(element(a.running_var, c, 1) + a.eps);
    }
  }
  normalize<S>(a);
}

// partial[part][channel] = (sum of grad_y, sum of grad_y (x - mean)).
template <class S> void gradient_sums(const BatchNormBackwardArgs& a, int64_t parts) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  constexpr int L = lanes<V>;
  const BatchNormShape& s = a.shape;
  const S* const x = static_cast<const S*>(a.x);
  const S* const gy = static_cast<const S*>(a.grad_y);
  if (s.plane > 1) {
    parallel_for(parts * s.channels, grain_for(2 * (s.batch / parts) * s.plane * static_cast<int64_t>(sizeof(S))),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t task = begin; task < end; ++task) {
                     const int64_t part = task / s.channels, c = task % s.channels;
                     const V mean = broadcast<V>(static_cast<T>(a.mean[c]));
                     double total = 0, product = 0;
                     for (int64_t n = part * s.batch / parts; n < (part + 1) * s.batch / parts; ++n) {
                       const int64_t at = (n * s.channels + c) * s.plane;
                       for (int64_t start = 0; start < s.plane; start += kPiece) {
                         const int64_t end_piece = at + at_most(s.plane, start + kPiece);
                         V sums[2] = {}, products[2] = {};
                         int64_t i = at + start;
                         for (; i + 2 * L <= end_piece; i += 2 * L)
#pragma GCC unroll 2
                           for (int u = 0; u < 2; ++u) {
                             const V g = load_as<V>(gy + i + u * L);
                             sums[u] += g;
                             products[u] += g * (load_as<V>(x + i + u * L) - mean);
                           }
                         for (; i < end_piece; i += L) {  // lanes past the end hold grad_y = 0
                           const V g = load_up_to<V>(gy + i, end_piece - i);
                           sums[0] += g;
                           products[0] += g * (load_up_to<V>(x + i, end_piece - i) - mean);
                         }
                         total += sum(sums[0] + sums[1]);
                         product += sum(products[0] + products[1]);
                       }
                     }
                     a.partial[2 * task] = total;
                     a.partial[2 * task + 1] = product;
                   }
                 });
    return;
  }
  const int64_t batch = s.batch, channels = s.channels;
  T* const mean = static_cast<T*>(scratch(kParameterScratch, static_cast<size_t>(channels) * sizeof(T)));
  for (int64_t c = 0; c < channels; ++c) mean[c] = static_cast<T>(a.mean[c]);
  double* const partial = a.partial;
  parallel_tasks(parts, [=](int64_t part) {
    const int64_t first = part * batch / parts, last = (part + 1) * batch / parts;
    T* const sums = static_cast<T*>(scratch(kSumScratch, static_cast<size_t>(2 * channels) * sizeof(T)));
    T* const products = sums + channels;
    double* const out = partial + 2 * part * channels;
    memset(out, 0, static_cast<size_t>(2 * channels) * sizeof(double));
    for (int64_t row = first; row < last; row += kPieceRows) {
      memset(sums, 0, static_cast<size_t>(2 * channels) * sizeof(T));
      const S *const g = gy + row * channels, *const p = x + row * channels;
      each_vector_of_rows<V>(at_most(kPieceRows, last - row), channels, [=](int64_t c, int64_t count, int64_t r, int64_t end) {
        const V center = load_part<V>(mean + c, count);
        V total = load_part<V>(sums + c, count), product = load_part<V>(products + c, count);
        for (; r < end; ++r) {
          const V gradient = load_part<V>(g + r * channels + c, count);
          total += gradient;
          product += gradient * (load_part<V>(p + r * channels + c, count) - center);
        }
        store_part<V>(sums + c, total, count);
        store_part<V>(products + c, product, count);
      });
      for (int64_t c = 0; c < channels; ++c) out[2 * c] += sums[c], out[2 * c + 1] += products[c];
    }
  });
}

// grad_x = (grad_y - offset - (x - mean) * slope) * scale
template <class S> void map_gradient(const BatchNormBackwardArgs& a) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  const S* const x = static_cast<const S*>(a.x);
  const S* const gy = static_cast<const S*>(a.grad_y);
  const double count = static_cast<double>(a.shape.count());
  map_channels<4>(
      a.shape, static_cast<S*>(a.grad_x), 3 * sizeof(S),
      [&a, count](int k, int64_t c) {
        if (k == 0) return static_cast<T>(a.mean[c]);
        if (k == 1) return static_cast<T>(a.training ? a.partial[2 * c] / count : 0);
        if (k == 2) return static_cast<T>(a.training ? a.partial[2 * c + 1] / count * a.rstd[c] * a.rstd[c] : 0);
        return static_cast<T>(a.rstd[c] * element(a.weight, c, 1));
      },
      [x, gy](int64_t i, int64_t count, const V* p) {
        return (load_part<V>(gy + i, count) - p[1] - (load_part<V>(x + i, count) - p[0]) * p[2]) * p[3];
      });
}

template <class S> void backward(const BatchNormBackwardArgs& a) {
  const BatchNormShape& s = a.shape;
  const int64_t parts = BatchNormParts::count(s);
  gradient_sums<S>(a, parts);
  for (int64_t c = 0; c < s.channels; ++c) {
    double* const total = a.partial + 2 * c;
    for (int64_t part = 1; part < parts; ++part) {
      total[0] += a.partial[2 * (part * s.channels + c)];
      total[1] += a.partial[2 * (part * s.channels + c) + 1];
    }
    if (a.grad_bias.data) set_element(a.grad_bias, c, total[0]);
    if (a.grad_weight.data) set_element(a.grad_weight, c, total[1] * a.rstd[c]);
  }
  if (a.grad_x) map_gradient<S>(a);
}

}  // namespace

void batch_norm_forward(const Context&, const BatchNormArgs& a) {
  visit_floating(a.dtype, [&](auto s) { forward<decltype(s)>(a); });
}
void batch_norm_backward(const Context&, const BatchNormBackwardArgs& a) {
  visit_floating(a.dtype, [&](auto s) { backward<decltype(s)>(a); });
}

}  // namespace FASTDL_CPU_NAMESPACE
