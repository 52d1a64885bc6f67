// Batch normalization in two passes over x: statistics, then the map. Statistics are taken of pieces that stay in L1, mean
// first, then squared deviations from it, and merged in double, so that a large mean costs no precision; the pieces are
// merged in order. Backward is two passes too: sums of grad_y and grad_y (x - mean), then grad_x.
// Forward 12 bytes and 7 FLOP a float32 element, backward 20 bytes and 9 FLOP.
// (Ioffe and Szegedy 2015; Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
//  variances", 1979.)
#include "kernels/batch_norm.h"
#include "cpu/kernels/level.h"
#include "cpu/simd/strided.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int64_t kPiece = 4096;  // numbers of a plane
constexpr int64_t kPieceRows = 64;

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
    const double delta = other_mean - mean, total = count + n;
    mean += delta * (n / total);
    deviations += other_deviations + delta * delta * (count * n / total);
    count = total;
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

template <class S> void statistics_of_rows(const BatchNormArgs& a, int64_t parts) {
  using V = compute_vector<S>;
  const BatchNormShape& s = a.shape;
  parallel_tasks(parts, [&](int64_t part) {
    const int64_t first = part * s.batch / parts, last = (part + 1) * s.batch / parts;
    double* const out = a.partial + 2 * part * s.channels;
    for (int64_t row = first; row < last; row += kPieceRows) {
      const int64_t rows = at_most(kPieceRows, last - row);
      const S* const p = static_cast<const S*>(a.x) + row * s.channels;
      for (int64_t c = 0; c < s.channels; c += lanes<V>) {
        const int64_t n = at_most(lanes<V>, s.channels - c);
        V total{}, squares{};
        for (int64_t r = 0; r < rows; ++r) total += load_up_to<V>(p + r * s.channels + c, n);
        const V mean = total / static_cast<lane_t<V>>(rows);
        for (int64_t r = 0; r < rows; ++r) {
          const V d = load_up_to<V>(p + r * s.channels + c, n) - mean;
          squares += d * d;
        }
        for (int64_t i = 0; i < n; ++i) {
          double* const at = out + 2 * (c + i);
          Moments m{0, 0, 0};
          if (row > first) m = {static_cast<double>(row - first), at[0], at[1]};
          m.merge(static_cast<double>(rows), mean[i], squares[i]);
          at[0] = m.mean;
          at[1] = m.deviations;
        }
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

// y = (x - mean) * scale + bias over planes and over rows.
template <class S> void normalize(const BatchNormArgs& a) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  const BatchNormShape& s = a.shape;
  const S* const x = static_cast<const S*>(a.x);
  S* const y = static_cast<S*>(a.y);
  if (s.plane > 1) {
    parallel_for(s.batch * s.channels, grain_for(2 * s.plane * static_cast<int64_t>(sizeof(S))),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t p = begin; p < end; ++p) {
                     const int64_t c = p % s.channels;
                     const V mean = broadcast<V>(static_cast<T>(a.mean[c])),
                             scale = broadcast<V>(static_cast<T>(a.rstd[c] * element(a.weight, c, 1)));
                     const V bias = broadcast<V>(static_cast<T>(element(a.bias, c, 0)));
                     for (int64_t i = 0; i < s.plane; i += lanes<V>)
                       store_up_to<V>(y + p * s.plane + i,
                                      (load_up_to<V>(x + p * s.plane + i, s.plane - i) - mean) * scale + bias, s.plane - i);
                   }
                 });
    return;
  }
  parallel_for(s.batch, grain_for(2 * s.channels * static_cast<int64_t>(sizeof(S))), [&](int64_t begin, int64_t end) {
    for (int64_t c = 0; c < s.channels; c += lanes<V>) {
      V mean{}, scale{}, bias{};
      for (int64_t i = 0; i < at_most(lanes<V>, s.channels - c); ++i) {
        mean[i] = static_cast<T>(a.mean[c + i]);
        scale[i] = static_cast<T>(a.rstd[c + i] * element(a.weight, c + i, 1));
        bias[i] = static_cast<T>(element(a.bias, c + i, 0));
      }
      for (int64_t r = begin; r < end; ++r) {
        const int64_t at = r * s.channels + c;
        store_up_to<V>(y + at, (load_up_to<V>(x + at, s.channels - c) - mean) * scale + bias, s.channels - c);
      }
    }
  });
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
  parallel_tasks(parts, [&](int64_t part) {
    const int64_t first = part * s.batch / parts, last = (part + 1) * s.batch / parts;
    double* const out = a.partial + 2 * part * s.channels;
    for (int64_t c = 0; c < s.channels; c += L) {
      const int64_t n = at_most(L, s.channels - c);
      V mean{};
      for (int64_t i = 0; i < n; ++i) mean[i] = static_cast<T>(a.mean[c + i]), out[2 * (c + i)] = out[2 * (c + i) + 1] = 0;
      for (int64_t row = first; row < last; row += kPieceRows) {
        V sums{}, products{};
        for (int64_t r = row; r < at_most(last, row + kPieceRows); ++r) {
          const V g = load_up_to<V>(gy + r * s.channels + c, n);
          sums += g;
          products += g * (load_up_to<V>(x + r * s.channels + c, n) - mean);
        }
        for (int64_t i = 0; i < n; ++i) out[2 * (c + i)] += sums[i], out[2 * (c + i) + 1] += products[i];
      }
    }
  });
}

// grad_x = (grad_y - offset - (x - mean) * slope) * scale
template <class S> void map_gradient(const BatchNormBackwardArgs& a) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  const BatchNormShape& s = a.shape;
  const S* const x = static_cast<const S*>(a.x);
  const S* const gy = static_cast<const S*>(a.grad_y);
  S* const gx = static_cast<S*>(a.grad_x);
  const double count = static_cast<double>(s.count());
  const auto offset = [&](int64_t c) { return static_cast<T>(a.training ? a.partial[2 * c] / count : 0); };
  const auto slope = [&](int64_t c) {
    return static_cast<T>(a.training ? a.partial[2 * c + 1] / count * a.rstd[c] * a.rstd[c] : 0);
  };
  const auto scale = [&](int64_t c) { return static_cast<T>(a.rstd[c] * element(a.weight, c, 1)); };
  if (s.plane > 1) {
    parallel_for(s.batch * s.channels, grain_for(3 * s.plane * static_cast<int64_t>(sizeof(S))),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t p = begin; p < end; ++p) {
                     const int64_t c = p % s.channels;
                     const V mean = broadcast<V>(static_cast<T>(a.mean[c])), o = broadcast<V>(offset(c)),
                             k = broadcast<V>(slope(c)), f = broadcast<V>(scale(c));
                     for (int64_t i = p * s.plane; i < (p + 1) * s.plane; i += lanes<V>) {
                       const int64_t n = (p + 1) * s.plane - i;
                       store_up_to<V>(gx + i, (load_up_to<V>(gy + i, n) - o - (load_up_to<V>(x + i, n) - mean) * k) * f, n);
                     }
                   }
                 });
    return;
  }
  parallel_for(s.batch, grain_for(3 * s.channels * static_cast<int64_t>(sizeof(S))), [&](int64_t begin, int64_t end) {
    for (int64_t c = 0; c < s.channels; c += lanes<V>) {
      const int64_t n = at_most(lanes<V>, s.channels - c);
      V mean{}, o{}, k{}, f{};
      for (int64_t i = 0; i < n; ++i)
        mean[i] = static_cast<T>(a.mean[c + i]), o[i] = offset(c + i), k[i] = slope(c + i), f[i] = scale(c + i);
      for (int64_t r = begin; r < end; ++r) {
        const int64_t at = r * s.channels + c;
        store_up_to<V>(gx + at, (load_up_to<V>(gy + at, n) - o - (load_up_to<V>(x + at, n) - mean) * k) * f, n);
      }
    }
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
