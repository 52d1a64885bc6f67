// Max and average pooling. In (N, C, H, W) memory a vector holds neighbouring outputs of a row, its taps loaded with the
// stride of the windows; windows that reach over the left or right edge, or that are wider than the row of outputs, go one
// by one. A maximum without indices is separable instead. In channels-last memory a vector holds channels. Each reads the
// input once per tap, from L1 but for the first row, and writes the output (and 8 bytes of index) once. Tasks are planes, or
// rows of pixels.
#include "kernels/pool.h"
#include "cpu/kernels/level.h"
#include "cpu/simd/rows.h"
#include "cpu/simd/strided.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int kRowScratch = 3;

FASTDL_INLINE int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
FASTDL_INLINE int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }

template <class V> FASTDL_INLINE V lowest() { return broadcast<V>(-static_cast<lane_t<V>>(__builtin_inf())); }

// Outputs of a row whose windows lie inside the input: [begin, end).
struct Interior {
  int64_t begin, end;
};
FASTDL_INLINE Interior interior(const PoolWindows& w, int64_t width, int64_t outputs) {
  if (w.adaptive) return {0, 0};
  const int64_t span = (w.kernel[1] - 1) * w.dilation[1];
  const int64_t begin = (w.padding[1] + w.stride[1] - 1) / w.stride[1];
  const int64_t last = width - 1 - span + w.padding[1];  // the last start that fits, in padded columns
  const int64_t end = at_most(outputs, last < 0 ? 0 : last / w.stride[1] + 1);
  return {at_most(begin, outputs), at_least(end, at_most(begin, outputs))};
}

struct Image {
  int64_t channels, height, width, out_height, out_width;
};
FASTDL_INLINE Image image_of(const View& input, const View& output) {
  return {input.shape[1], input.shape[2], input.shape[3], output.shape[2], output.shape[3]};
}
FASTDL_INLINE bool channels_last(const View& v) { return !v.contiguous(); }

template <class T> FASTDL_INLINE bool replaces(T x, T best) { return x > best || x != x; }

// --- maximum ---

template <class V> FASTDL_INLINE void store_indices(int64_t* p, mask_t<V> index, int64_t n) {
  lane_t<mask_t<V>> x[lanes<V>];
  store<mask_t<V>>(x, index);
  if (n == lanes<V>)
    for (int k = 0; k < lanes<V>; ++k) p[k] = x[k];
  else
    for (int64_t k = 0; k < n; ++k) p[k] = x[k];
}

template <class S> void max_plane(const MaxPoolArgs& a, const Image& image, const S* x, S* y, int64_t* indices) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  using I = mask_t<V>;
  const PoolWindows w = a.windows;  // here, out of reach of the stores
  const Interior inside = interior(w, image.width, image.out_width);
  const int64_t plane = image.height * image.width;
  for (int64_t i = 0; i < image.out_height; ++i, y += image.out_width) {
    const PoolSpan rows = pool_span(w, 0, i, image.height, image.out_height);
    const auto single = [&](int64_t j) {
      const PoolSpan columns = pool_span(w, 1, j, image.width, image.out_width);
      T best = -static_cast<T>(__builtin_inf());
      const bool empty = rows.begin >= rows.end || columns.begin >= columns.end;  // dilated, and all in the padding
      int64_t index = empty ? 0 : rows.begin * image.width + columns.begin;
      for (int64_t r = rows.begin; r < rows.end; r += w.dilation[0])
        for (int64_t c = columns.begin; c < columns.end; c += w.dilation[1]) {
          const T v = to_compute(x[r * image.width + c]);
          if (replaces(v, best)) best = v, index = r * image.width + c;
        }
      from_compute(y + j, best);
      if (indices) indices[j] = index;
    };
    for (int64_t j = 0; j < inside.begin; ++j) single(j);
    for (int64_t j = inside.begin; j < inside.end; j += lanes<V>) {
      const int64_t n = at_most(lanes<V>, inside.end - j), first = j * w.stride[1] - w.padding[1];
      const I columns = lane_numbers<V>() * static_cast<lane_t<I>>(w.stride[1]);
      V best = lowest<V>();
      I index = columns + static_cast<lane_t<I>>(rows.begin < rows.end ? rows.begin * image.width + first : 0);
      for (int64_t r = rows.begin; r < rows.end; r += w.dilation[0])
        for (int64_t q = 0; q < w.kernel[1]; ++q) {
          const int64_t at = r * image.width + first + q * w.dilation[1];
          const V v = n == lanes<V> && at + 2 * lanes<V> <= plane ? load_every<V>(x + at, w.stride[1])
                                                                  : load_strided<V>(x + at, w.stride[1], n);
          const I better = (v > best) | (v != v);
          best = better ? v : best;
          index = better ? columns + static_cast<lane_t<I>>(at) : index;
        }
      store_up_to<V>(y + j, best, n);
      if (indices) store_indices<V>(indices + j, index, n);
    }
    for (int64_t j = inside.end; j < image.out_width; ++j) single(j);
    if (indices) indices += image.out_width;
  }
}

// Without indices: down the rows of a window first, into a row with margins of minus infinity, then along that.
template <class S> void max_plane_values(const PoolWindows& w, const Image& image, const S* x, S* y) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  constexpr int64_t L = lanes<V>;
  const int64_t width = image.width, outputs = image.out_width, left = w.padding[1], stride = w.stride[1];
  const int64_t taps = w.kernel[1], dilation = w.dilation[1], step = w.dilation[0];
  // What whole vectors of outputs read: the windows of outputs rounded up, and load_every's two vectors.
  const int64_t columns = at_least(left + width, (outputs + L) * stride + (taps - 1) * dilation + 2 * L);
  T* const row = static_cast<T*>(scratch(kRowScratch, static_cast<size_t>(columns) * sizeof(T)));
  for (int64_t c = 0; c < columns; ++c) row[c] = -static_cast<T>(__builtin_inf());
  for (int64_t i = 0; i < image.out_height; ++i, y += outputs) {
    const PoolSpan rows = pool_span(w, 0, i, image.height, image.out_height);
    each_vector<V>(width, [=](int64_t c, int64_t count) {
      V best = lowest<V>();
      for (int64_t r = rows.begin; r < rows.end; r += step) best = max_nan<V>(best, load_part<V>(x + r * width + c, count));
      store_part<V>(row + left + c, best, count);
    });
    each_vector<V>(outputs, [=](int64_t j, int64_t count) {
      V best = lowest<V>();
      for (int64_t q = 0; q < taps; ++q) best = max_nan<V>(best, load_every<V>(row + j * stride + q * dilation, stride));
      store_part<V>(y + j, best, count);
    });
  }
}

template <class S, bool kIndices>
void max_pixels(const MaxPoolArgs& a, const Image& image, int64_t row, const S* x, S* y, int64_t* indices) {
  using V = compute_vector<S>;
  using I = mask_t<V>;
  const PoolWindows& w = a.windows;
  const int64_t channels = image.channels, width = image.width, row_step = w.dilation[0], column_step = w.dilation[1];
  const PoolSpan rows = pool_span(w, 0, row, image.height, image.out_height);
  for (int64_t j = 0; j < image.out_width; ++j, y += channels) {
    const PoolSpan columns = pool_span(w, 1, j, width, image.out_width);
    const bool empty = rows.begin >= rows.end || columns.begin >= columns.end;
    const int64_t first = empty ? 0 : rows.begin * width + columns.begin;
    each_vector<V>(channels, [=](int64_t c, int64_t count) {
      V best = lowest<V>();
      I index = I{} + static_cast<lane_t<I>>(first);
      for (int64_t r = rows.begin; r < rows.end; r += row_step)
        for (int64_t q = columns.begin; q < columns.end; q += column_step) {
          const int64_t at = r * width + q;
          const V v = load_part<V>(x + at * channels + c, count);
          if constexpr (kIndices) {
            const I better = (v > best) | (v != v);
            best = better ? v : best;
            index = better ? I{} + static_cast<lane_t<I>>(at) : index;
          } else {
            best = max_nan<V>(best, v);
          }
        }
      store_part<V>(y + c, best, count);
      if constexpr (kIndices) store_indices<V>(indices + c, index, count);
    });
    if constexpr (kIndices) indices += channels;
  }
}

template <class S> void max_forward(const MaxPoolArgs& a) {
  const Image image = image_of(a.input, a.output);
  const int64_t images = a.input.shape[0], plane = image.height * image.width, out_plane = image.out_height * image.out_width;
  const S* x = a.input.as<S>();
  S* y = a.output.as<S>();
  int64_t* indices = a.indices.as<int64_t>();
  if (!channels_last(a.input)) {
    parallel_for(images * image.channels, grain_for(plane * size_of(a.input.dtype)), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const S* const from = x + p * plane;
        S* const to = y + p * out_plane;
        if (indices || a.windows.adaptive) max_plane(a, image, from, to, indices ? indices + p * out_plane : nullptr);
        else max_plane_values(a.windows, image, from, to);
      }
    });
    return;
  }
  const int64_t row = image.out_width * image.channels;
  parallel_for(images * image.out_height, grain_for(row * (size_of(a.input.dtype) + 8)), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const S* const from = x + p / image.out_height * plane * image.channels;
      if (indices) max_pixels<S, true>(a, image, p % image.out_height, from, y + p * row, indices + p * row);
      else max_pixels<S, false>(a, image, p % image.out_height, from, y + p * row, nullptr);
    }
  });
}

template <class S> FASTDL_INLINE void add_to(S* p, S g) { from_compute(p, to_compute(*p) + to_compute(g)); }

template <class S> void max_backward(const MaxPoolArgs& a) {
  const Image image = image_of(a.input, a.output);
  const int64_t plane = image.height * image.width, out_plane = image.out_height * image.out_width;
  S* gx = a.input.as<S>();
  const S* gy = a.output.as<S>();
  const int64_t* indices = a.indices.as<int64_t>();
  if (!channels_last(a.input)) {
    parallel_for(a.input.shape[0] * image.channels, grain_for(plane * size_of(a.input.dtype)), [&](int64_t begin, int64_t end) {
      memset(static_cast<void*>(gx + begin * plane), 0, static_cast<size_t>((end - begin) * plane) * sizeof(S));
      for (int64_t p = begin; p < end; ++p)
        for (int64_t i = 0; i < out_plane; ++i) add_to(gx + p * plane + indices[p * out_plane + i], gy[p * out_plane + i]);
    });
    return;
  }
  parallel_tasks(a.input.shape[0], [&](int64_t n) {
    S* const to = gx + n * plane * image.channels;
    memset(static_cast<void*>(to), 0, static_cast<size_t>(plane * image.channels) * sizeof(S));
    for (int64_t i = n * out_plane; i < (n + 1) * out_plane; ++i)
      for (int64_t c = 0; c < image.channels; ++c)
        add_to(to + indices[i * image.channels + c] * image.channels + c, gy[i * image.channels + c]);
  });
}

// --- average ---

FASTDL_INLINE double window_size(const AvgPoolArgs& a, const PoolSpan& rows, const PoolSpan& columns, int64_t i, int64_t j) {
  if (a.divisor != 0) return static_cast<double>(a.divisor);
  if (!a.count_include_pad || a.windows.adaptive)
    return static_cast<double>((rows.end - rows.begin) * (columns.end - columns.begin));
  const PoolWindows& w = a.windows;
  return static_cast<double>((rows.full_end - (i * w.stride[0] - w.padding[0])) *
                             (columns.full_end - (j * w.stride[1] - w.padding[1])));
}

template <class S> lane_t<compute_vector<S>> sum_run(const S* x, int64_t n) {
  using V = compute_vector<S>;
  V acc{};
  int64_t i = 0;
  for (; i + lanes<V> <= n; i += lanes<V>) acc += load_as<V>(x + i);
  if (i < n) acc += load_as_n<V>(x + i, n - i);
  return sum(acc);
}

template <class S> void avg_plane(const AvgPoolArgs& a, const Image& image, const S* x, S* y) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  const PoolWindows& w = a.windows;
  Interior inside = interior(w, image.width, image.out_width);
  if (w.kernel[1] > inside.end - inside.begin) inside.end = inside.begin;
  for (int64_t i = 0; i < image.out_height; ++i, y += image.out_width) {
    const PoolSpan rows = pool_span(w, 0, i, image.height, image.out_height);
    const auto single = [&](int64_t j) {
      const PoolSpan columns = pool_span(w, 1, j, image.width, image.out_width);
      const int64_t width = columns.end - columns.begin;
      T total = 0;
      if (width == image.width && rows.end > rows.begin) {
        total = sum_run(x + rows.begin * image.width, (rows.end - rows.begin) * width);
      } else if (width >= lanes<V>) {
        for (int64_t r = rows.begin; r < rows.end; ++r) total += sum_run(x + r * image.width + columns.begin, width);
      } else {
        for (int64_t r = rows.begin; r < rows.end; ++r)
          for (int64_t c = columns.begin; c < columns.end; ++c) total += to_compute(x[r * image.width + c]);
      }
      from_compute(y + j, static_cast<T>(total / static_cast<T>(window_size(a, rows, columns, i, j))));
    };
    for (int64_t j = 0; j < inside.begin; ++j) single(j);
    if (inside.begin < inside.end) {
      const V size = broadcast<V>(
          static_cast<T>(window_size(a, rows, pool_span(w, 1, inside.begin, image.width, image.out_width), i, inside.begin)));
      for (int64_t j = inside.begin; j < inside.end; j += lanes<V>) {
        const int64_t n = at_most(lanes<V>, inside.end - j), first = j * w.stride[1] - w.padding[1];
        V total{};
        for (int64_t r = rows.begin; r < rows.end; ++r)
          for (int64_t q = 0; q < w.kernel[1]; ++q) total += load_strided<V>(x + r * image.width + first + q, w.stride[1], n);
        store_up_to<V>(y + j, total / size, n);
      }
    }
    for (int64_t j = inside.end; j < image.out_width; ++j) single(j);
  }
}

template <class S> void avg_pixels(const AvgPoolArgs& a, const Image& image, int64_t i, const S* x, S* y) {
  using V = compute_vector<S>;
  const PoolSpan rows = pool_span(a.windows, 0, i, image.height, image.out_height);
  for (int64_t j = 0; j < image.out_width; ++j, y += image.channels) {
    const PoolSpan columns = pool_span(a.windows, 1, j, image.width, image.out_width);
    const V size = broadcast<V>(static_cast<lane_t<V>>(window_size(a, rows, columns, i, j)));
    for (int64_t c = 0; c < image.channels; c += lanes<V>) {
      const int64_t n = at_most(lanes<V>, image.channels - c);
      V total{};
      for (int64_t r = rows.begin; r < rows.end; ++r)
        for (int64_t q = columns.begin; q < columns.end; ++q)
          total += load_up_to<V>(x + (r * image.width + q) * image.channels + c, n);
      store_up_to<V>(y + c, total / size, n);
    }
  }
}

template <class S> void avg_forward(const AvgPoolArgs& a) {
  const Image image = image_of(a.input, a.output);
  const int64_t images = a.input.shape[0], plane = image.height * image.width, out_plane = image.out_height * image.out_width;
  const S* x = a.input.as<S>();
  S* y = a.output.as<S>();
  if (!channels_last(a.input)) {
    parallel_for(images * image.channels, grain_for(plane * size_of(a.input.dtype)), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) avg_plane(a, image, x + p * plane, y + p * out_plane);
    });
    return;
  }
  const int64_t row = image.out_width * image.channels;
  parallel_for(images * image.out_height,
               grain_for(plane * image.channels / at_least(image.out_height, 1) * size_of(a.input.dtype)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p)
                   avg_pixels(a, image, p % image.out_height, x + p / image.out_height * plane * image.channels, y + p * row);
               });
}

// A row of outputs spreads over a row of the input once; that row is added to each row of the windows. `channels` numbers
// stand side by side (1 in a plane).
template <class S> void avg_backward_image(const AvgPoolArgs& a, const Image& image, int64_t channels, const S* gy, S* gx) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  const int64_t row = image.width * channels;
  T* const spread = static_cast<T*>(scratch(kRowScratch, static_cast<size_t>(row) * sizeof(T)));
  memset(static_cast<void*>(gx), 0, static_cast<size_t>(image.height * row) * sizeof(S));
  for (int64_t i = 0; i < image.out_height; ++i) {
    const PoolSpan rows = pool_span(a.windows, 0, i, image.height, image.out_height);
    if (rows.begin >= rows.end) {
      gy += image.out_width * channels;
      continue;
    }
    memset(spread, 0, static_cast<size_t>(row) * sizeof(T));
    for (int64_t j = 0; j < image.out_width; ++j, gy += channels) {
      const PoolSpan columns = pool_span(a.windows, 1, j, image.width, image.out_width);
      const T size = static_cast<T>(window_size(a, rows, columns, i, j));
      for (int64_t c = 0; c < channels; ++c) {
        const T share = to_compute(gy[c]) / size;
        for (int64_t q = columns.begin; q < columns.end; ++q) spread[q * channels + c] += share;
      }
    }
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      S* const to = gx + r * row;
      for (int64_t k = 0; k < row; k += lanes<V>) {
        const int64_t n = at_most(lanes<V>, row - k);
        store_up_to<V>(to + k, load_up_to<V>(to + k, n) + load_up_to<V>(spread + k, n), n);
      }
    }
  }
}

template <class S> void avg_backward(const AvgPoolArgs& a) {
  const Image image = image_of(a.input, a.output);
  const int64_t plane = image.height * image.width, out_plane = image.out_height * image.out_width;
  const int64_t together = channels_last(a.input) ? image.channels : 1;
  parallel_for(a.input.shape[0] * image.channels / at_least(together, 1), grain_for(plane * together * size_of(a.input.dtype)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t p = begin; p < end; ++p)
                   avg_backward_image(a, image, together, a.output.as<S>() + p * out_plane * together,
                                      a.input.as<S>() + p * plane * together);
               });
}

}  // namespace

void max_pool_forward(const Context&, const MaxPoolArgs& a) {
  visit_floating(a.input.dtype, [&](auto s) { max_forward<decltype(s)>(a); });
}
void max_pool_backward(const Context&, const MaxPoolArgs& a) {
  visit_floating(a.input.dtype, [&](auto s) { max_backward<decltype(s)>(a); });
}
void avg_pool_forward(const Context&, const AvgPoolArgs& a) {
  visit_floating(a.input.dtype, [&](auto s) { avg_forward<decltype(s)>(a); });
}
void avg_pool_backward(const Context&, const AvgPoolArgs& a) {
  visit_floating(a.input.dtype, [&](auto s) { avg_backward<decltype(s)>(a); });
}

}  // namespace FASTDL_CPU_NAMESPACE
