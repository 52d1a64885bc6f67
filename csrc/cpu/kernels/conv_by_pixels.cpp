// Direct convolution with a vector of neighbouring pixels, for groups that write few channels (depthwise, a network's
// first gradient). A channel of the padded source is copied to scratch as one strip for each phase of the stride, rows
// after rows of one length, so that every tap reads the strip at a constant offset from the pixel: the image is one long
// row, with a few unused results at the end of each of its rows. 2 N O OH OW (C / groups) KH KW FLOP, one load a
// multiplication for a single channel, shared by up to four; reads the source and writes the output once.
#include "cpu/conv/by_pixels.h"

#include "cpu/conv/pack.h"
#include "cpu/conv/row_window.h"
#include "cpu/kernels/level.h"
#include "cpu/simd/strided.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int kSourceScratch = 3, kSumsScratch = 4, kOffsetScratch = 5, kWeightScratch = 6, kLineScratch = 7;
constexpr int64_t kPixelsPerBlock = 4096;
constexpr int64_t kTaskFlops = 2'000'000;
constexpr int kMaxTogether = 4;  // written channels of a tile
constexpr bool kManyRegisters = FASTDL_VECTOR_BYTES == 64;

// Strips of a block: element (row r, column c) of the padded window, relative to its first, is in the strip of phase
// (r mod stride, c mod stride), at (r / stride) * length + c / stride.
struct Strips {
  int64_t row_stride, column_stride;  // of the convolution
  int64_t rows, length;               // of a strip
  int64_t size;                       // from strip to strip, with room for a vector that reads over the end
  FASTDL_INLINE Strips(const ConvAxis& h, const ConvAxis& w, const ConvBlock& b, int64_t lanes_)
      : row_stride(h.stride),
        column_stride(w.stride),
        rows(b.rows + (h.window(1) - 1) / h.stride),
        length(b.columns + (w.window(1) - 1) / w.stride),
        size(rows * length + (kManyRegisters ? 8 : 6) * lanes_) {}
  FASTDL_INLINE int64_t elements() const { return row_stride * column_stride * size; }
  FASTDL_INLINE int64_t offset(int64_t r, int64_t c) const {
    return (r % row_stride * column_stride + c % column_stride) * size + r / row_stride * length + c / column_stride;
  }
};

template <class T, class S>
void pack_strips(const View& x, int64_t image, int64_t channel, int64_t row0, int64_t column0, const Strips& s, T* out) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  const S* const plane = x.as<S>() + image * x.strides[0] + channel * x.strides[1];
  const int64_t height = x.shape[2], width = x.shape[3], sw = x.strides[3];
  for (int64_t pr = 0; pr < s.row_stride; ++pr)
    for (int64_t pc = 0; pc < s.column_stride; ++pc) {
      // Strip columns [begin, end) lie inside the image.
      const int64_t first = column0 + pc, step = s.column_stride * sw;
      const int64_t begin = clamped(first < 0 ? ceil_div(-first, s.column_stride) : 0, 0, s.length);
      const int64_t end = width > first ? clamped(ceil_div(width - first, s.column_stride), begin, s.length) : begin;
      T* to = out + (pr * s.column_stride + pc) * s.size;
      for (int64_t i = 0; i < s.rows; ++i, to += s.length) {
        const int64_t row = row0 + i * s.row_stride + pr;
        if (row < 0 || row >= height) {
          fill_zero(to, s.length);
          continue;
        }
        const S* at = plane + row * x.strides[2] + (first + begin * s.column_stride) * sw;
        fill_zero(to, begin);
        int64_t c = begin;
        if (step == 1) {
          for (; c + L <= end; c += L, at += L) store<V>(to + c, load_as<V>(at));
          if (c < end) store<V>(to + c, load_as_n<V>(at, end - c));
        } else {
          for (; c < end; c += L, at += L * step) store<V>(to + c, load_strided<V>(at, step, end - c < L ? end - c : L));
        }
        fill_zero(to + end, s.length - end);
      }
    }
  // What tiles read past the last pixel.
  for (int64_t p = 0; p < s.row_stride * s.column_stride; ++p)
    for (int64_t i = s.rows * s.length; i < s.size; i += L) store<V>(out + p * s.size + i, V{});
}

// sums[o][p] (+)= sum over k of weights[k][o] * source[steps[k] + p], for kVectors vectors of pixels from p = 0.
template <class T, int kTogether, int kVectors> FASTDL_INLINE void pixel_tile(const T* source, const int32_t* steps,
                                                                              const T* weights, int64_t step_count, T* sums,
                                                                              int64_t sums_stride, bool accumulate) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  V acc[kTogether][kVectors];
#pragma GCC unroll 4
  for (int o = 0; o < kTogether; ++o)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[o][v] = accumulate ? load<V>(sums + o * sums_stride + v * L) : V{};
  for (int64_t k = 0; k < step_count; ++k, weights += kTogether) {
    const T* const x = source + steps[k];
    V weight[kTogether];
#pragma GCC unroll 4
    for (int o = 0; o < kTogether; ++o) weight[o] = broadcast<V>(weights[o]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const V pixel = load<V>(x + v * L);
#pragma GCC unroll 4
      for (int o = 0; o < kTogether; ++o) acc[o][v] += weight[o] * pixel;
    }
  }
#pragma GCC unroll 4
  for (int o = 0; o < kTogether; ++o)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store<V>(sums + o * sums_stride + v * L, acc[o][v]);
}

template <class T, int kTogether> void all_pixels(const T* source, const int32_t* steps, const T* weights, int64_t step_count,
                                                  int64_t count, T* sums, int64_t sums_stride, bool accumulate) {
  constexpr int L = lanes<compute_vector<T>>;
  constexpr int kVectors = kManyRegisters ? (kTogether == 1 ? 8 : 4) : (kTogether == 1 ? 6 : 2);
  int64_t p = 0;
  for (; p + (kVectors - 1) * L < count; p += kVectors * L)
    pixel_tile<T, kTogether, kVectors>(source + p, steps, weights, step_count, sums + p, sums_stride, accumulate);
  for (; p < count; p += L)
    pixel_tile<T, kTogether, 1>(source + p, steps, weights, step_count, sums + p, sums_stride, accumulate);
}

// One channel from one, three taps without gaps and stride 1 down the rows, as in depthwise layers and their gradients: the
// padded strip is read by a sliding window (cpu/conv/row_window.h), which writes the output.
constexpr int kWindowTaps = 3;
constexpr int64_t kMostWindowColumns = 16;
FASTDL_INLINE bool slides(const ConvAxis& h, const ConvAxis& w) {
  return h.stride == 1 && h.taps == kWindowTaps && (h.offset_step == 1 || h.offset_step == -1) && w.taps > 0 &&
         w.taps <= kMostWindowColumns;
}
bool takes_windows(const ConvPass& pass) {
  return pass.read == 1 && pass.written == 1 && slides(pass.h, pass.w) && pass.w.step * pass.dest.strides[3] == 1;
}
template <class S> void run_windows(const ConvPass& pass) {
  using T = lane_t<compute_vector<S>>;
  const ConvAxis &h = pass.h, &w = pass.w;
  const View &weight = pass.args.weight, &dest = pass.dest, &bias = pass.args.bias;
  const int64_t groups = pass.args.geometry.groups;
  const ConvBlocks blocks(dest.shape[0], h.count, w.count, kPixelsPerBlock);
  const int64_t flops = 2 * blocks.max_pixels() * kWindowTaps * w.taps;
  const int64_t group_parts = ceil_div(groups, clamped(kTaskFlops / (flops + 1), 1, groups));
  parallel_tasks(blocks.count() * group_parts, [&](int64_t index) {
    const ConvBlock b = blocks.at(index / group_parts);
    const int64_t part = index % group_parts;
    const Strips strips(h, w, b, lanes<compute_vector<S>>);
    T* const source = static_cast<T*>(scratch(kSourceScratch, static_cast<size_t>(strips.elements()) * sizeof(T)));
    int32_t columns[kMostWindowColumns];
    T weights[kMostWindowColumns * kWindowTaps];
    for (int64_t q = 0; q < w.taps; ++q) columns[q] = static_cast<int32_t>(strips.offset(0, w.offset(q) - w.min_offset()));
    for (int64_t c = part * groups / group_parts; c < (part + 1) * groups / group_parts; ++c) {
      const S* const from = weight.as<S>() + c * weight.strides[0];
      for (int64_t q = 0; q < w.taps; ++q)
        for (int64_t p = 0; p < kWindowTaps; ++p)
          weights[q * kWindowTaps + h.offset(p) - h.min_offset()] =
              to_compute(from[h.tap(p) * weight.strides[2] + w.tap(q) * weight.strides[3]]);
      const T start = bias.data ? to_compute(bias.as<S>()[c * bias.strides[0]]) : 0;
      for (int64_t n = b.image; n < b.image + b.images; ++n) {
        pack_strips<T, S>(pass.source, n, c, b.row + h.min_offset(), b.column * w.stride + w.min_offset(), strips, source);
        window_block<T, S, kWindowTaps>(source, strips.length, columns, w.taps, weights, start,
                                        dest.as<S>() + n * dest.strides[0] + c * dest.strides[1] +
                                            (h.first + b.row * h.step) * dest.strides[2] + w.first + b.column,
                                        h.step * dest.strides[2], b.rows, b.columns);
      }
    }
  });
}

template <class S> void run_pass(const ConvPass& pass) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  constexpr int L = lanes<V>;
  const ConvAxis &h = pass.h, &w = pass.w;
  const View &weight = pass.args.weight, &dest = pass.dest;
  const int64_t taps = h.taps * w.taps, groups = pass.args.geometry.groups, written = pass.written;
  const ConvBlocks blocks(dest.shape[0], h.count, w.count, kPixelsPerBlock);
  if (blocks.images * blocks.rows * blocks.columns == 0) return;
  const int64_t together = ceil_div(written, ceil_div(written, kMaxTogether));  // channels of a tile, balanced
  const int64_t flops = 2 * blocks.max_pixels() * pass.read * taps * written;
  const int64_t groups_per_task = clamped(kTaskFlops / (flops + 1), 1, groups);
  const int64_t group_parts = ceil_div(groups, groups_per_task);
  const int64_t weight_group = weight.shape[0] / groups * weight.strides[0];

  parallel_tasks(blocks.count() * group_parts, [&](int64_t index) {
    const ConvBlock b = blocks.at(index / group_parts);
    const int64_t part = index % group_parts;
    T* sums = nullptr;
    int64_t count = b.rows * b.columns, length = b.columns;
    if (taps > 0) {
      length = Strips(h, w, b, L).length;
      count = (b.rows - 1) * length + b.columns;
    }
    const int64_t sums_stride = b.rows * length + (kManyRegisters ? 8 : 6) * L;
    sums = static_cast<T*>(scratch(kSumsScratch, static_cast<size_t>(written * sums_stride) * sizeof(T)));
    if (taps == 0 || pass.read == 0) memset(sums, 0, static_cast<size_t>(written * sums_stride) * sizeof(T));

    for (int64_t group = part * groups / group_parts; group < (part + 1) * groups / group_parts; ++group)
      for (int64_t n = b.image; n < b.image + b.images; ++n) {
        for (int64_t c = 0; taps > 0 && c < pass.read; ++c) {
          const Strips strips(h, w, b, L);
          T* const source = static_cast<T*>(scratch(kSourceScratch, static_cast<size_t>(strips.elements()) * sizeof(T)));
          pack_strips<T, S>(pass.source, n, group * pass.read + c, b.row * h.stride + h.min_offset(),
                            b.column * w.stride + w.min_offset(), strips, source);
          auto* const steps = static_cast<int32_t*>(scratch(kOffsetScratch, static_cast<size_t>(taps) * 4));
          T* const weights = static_cast<T*>(scratch(kWeightScratch, static_cast<size_t>(taps * kMaxTogether) * sizeof(T)));
          for (int64_t o = 0; o < written; o += together) {
            const int64_t width = clamped(written - o, 0, together);
            int64_t k = 0;
            for (int64_t p = 0; p < h.taps; ++p)
              for (int64_t q = 0; q < w.taps; ++q, ++k) {
                steps[k] = static_cast<int32_t>(strips.offset(h.offset(p) - h.min_offset(), w.offset(q) - w.min_offset()));
                const S* const at = weight.as<S>() + group * weight_group + c * pass.read_stride +
                                    h.tap(p) * weight.strides[2] + w.tap(q) * weight.strides[3];
                for (int64_t i = 0; i < width; ++i) weights[k * width + i] = to_compute(at[(o + i) * pass.written_stride]);
              }
            T* const to = sums + o * sums_stride;
            switch (width) {
              case 1: all_pixels<T, 1>(source, steps, weights, taps, count, to, sums_stride, c > 0); break;
              case 2: all_pixels<T, 2>(source, steps, weights, taps, count, to, sums_stride, c > 0); break;
              case 3: all_pixels<T, 3>(source, steps, weights, taps, count, to, sums_stride, c > 0); break;
              default: all_pixels<T, 4>(source, steps, weights, taps, count, to, sums_stride, c > 0);
            }
          }
        }
        for (int64_t o = 0; o < written; ++o) {
          const int64_t channel = group * written + o, step = w.step * dest.strides[3];
          const T bias = pass.args.bias.data ? to_compute(pass.args.bias.as<S>()[channel * pass.args.bias.strides[0]]) : 0;
          for (int64_t r = 0; r < b.rows; ++r) {
            const T* const from = sums + o * sums_stride + r * length;
            S* const to = dest.as<S>() + n * dest.strides[0] + channel * dest.strides[1] +
                          (h.first + (b.row + r) * h.step) * dest.strides[2] + (w.first + b.column * w.step) * dest.strides[3];
            int64_t i = 0;
            if (step == 1) {
              for (; i + L <= b.columns; i += L) store_as<V>(to + i, load<V>(from + i) + bias);
              if (i < b.columns) store_as_n<V>(to + i, load<V>(from + i) + bias, b.columns - i);
            } else {
              for (; i < b.columns; ++i) from_compute(to + i * step, from[i] + bias);
            }
          }
        }
      }
  });
}

// sums[k] += sum over p of source[steps[k] + p] * gradient[p], for kSteps steps.
template <class T, int kSteps> void tap_tile(const T* source, const int32_t* steps, const T* gradient, int64_t count, T* sums) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  V acc[kSteps] = {};
  for (int64_t p = 0; p < count; p += L) {
    const V g = load<V>(gradient + p);
#pragma GCC unroll 8
    for (int k = 0; k < kSteps; ++k) acc[k] += load<V>(source + steps[k] + p) * g;
  }
#pragma GCC unroll 8
  for (int k = 0; k < kSteps; ++k) sums[k] += sum(acc[k]);
}

template <class S> void backward_weight(const ConvWeightArgs& a) {
  using T = lane_t<compute_vector<S>>;
  constexpr int L = lanes<compute_vector<S>>;
  const View &x = a.input, &dy = a.grad_output, &dw = a.grad_weight;
  const ConvArgs forward{x, dw, {}, dy, a.geometry, nullptr, 0};
  const ConvAxis h = forward_axis(forward, 0), w = forward_axis(forward, 1);
  const int64_t taps = h.taps * w.taps, groups = a.geometry.groups, read = dw.shape[1], written = dw.shape[0] / groups;
  const ConvBlocks blocks(dy.shape[0], h.count, w.count, kPixelsPerBlock);
  const bool windows = read == 1 && written == 1 && slides(h, w) && w.taps == kWindowTaps && dy.strides[3] == 1;
  T* const partial = static_cast<T*>(a.partial_sums);  // [part][output channel][channel][tap]

  parallel_tasks(a.parts * groups, [&](int64_t index) {
    const int64_t part = index / groups, group = index % groups;
    T* const sums = partial + (part * groups + group) * written * read * taps;
    memset(sums, 0, static_cast<size_t>(written * read * taps) * sizeof(T));
    auto* const steps = static_cast<int32_t*>(scratch(kOffsetScratch, static_cast<size_t>(taps) * 4));
    for (int64_t i = part * blocks.count() / a.parts; i < (part + 1) * blocks.count() / a.parts; ++i) {
      const ConvBlock b = blocks.at(i);
      const Strips strips(h, w, b, L);
      const int64_t count = b.rows * strips.length, padded = count + L;
      T* const source = static_cast<T*>(scratch(kSourceScratch, static_cast<size_t>(strips.elements()) * sizeof(T)));
      T* const gradients = static_cast<T*>(scratch(kSumsScratch, static_cast<size_t>(written * padded) * sizeof(T)));
      int64_t k = 0;
      for (int64_t p = 0; p < h.taps; ++p)
        for (int64_t q = 0; q < w.taps; ++q)
          steps[k++] = static_cast<int32_t>(strips.offset(h.offset(p) - h.min_offset(), w.offset(q) - w.min_offset()));
      if (windows) {
        for (int64_t n = b.image; n < b.image + b.images; ++n) {
          pack_strips<T, S>(x, n, group, b.row + h.min_offset(), b.column * w.stride + w.min_offset(), strips, source);
          window_gradient<T, S, kWindowTaps>(
              source, strips.length, steps,
              dy.as<S>() + n * dy.strides[0] + group * dy.strides[1] + b.row * dy.strides[2] + b.column, dy.strides[2], b.rows,
              b.columns, sums);
        }
        continue;
      }
      for (int64_t n = b.image; n < b.image + b.images; ++n) {
        for (int64_t o = 0; o < written; ++o) {
          // Zeros where the strip has no pixel.
          T* to = gradients + o * padded;
          const S* const plane = dy.as<S>() + n * dy.strides[0] + (group * written + o) * dy.strides[1];
          for (int64_t r = 0; r < b.rows; ++r) {
            const S* const from = plane + (b.row + r) * dy.strides[2] + b.column * dy.strides[3];
            if (dy.strides[3] == 1) {
              to = copy_run(to, from, b.columns);
            } else {
              for (int64_t c = 0; c < b.columns; ++c) *to++ = to_compute(from[c * dy.strides[3]]);
            }
            for (int64_t c = b.columns; c < strips.length; ++c) *to++ = 0;
          }
          fill_zero(to, L);
        }
        for (int64_t c = 0; c < read; ++c) {
          pack_strips<T, S>(x, n, group * read + c, b.row * h.stride + h.min_offset(), b.column * w.stride + w.min_offset(),
                            strips, source);
          for (int64_t o = 0; o < written; ++o) {
            T* const to = sums + (o * read + c) * taps;
            const T* const g = gradients + o * padded;
            for (k = 0; k + 8 <= taps; k += 8) tap_tile<T, 8>(source, steps + k, g, count, to + k);
            for (; k + 3 <= taps; k += 3) tap_tile<T, 3>(source, steps + k, g, count, to + k);
            for (; k < taps; ++k) tap_tile<T, 1>(source, steps + k, g, count, to + k);
          }
        }
      }
    }
  });

  const int64_t size = groups * written * read * taps;
  for (int64_t i = 0; i < size; ++i) {
    T total = partial[i];
    for (int64_t part = 1; part < a.parts; ++part) total += partial[part * size + i];
    const int64_t tap = i % taps;
    from_compute(dw.as<S>() + i / taps / read * dw.strides[0] + i / taps % read * dw.strides[1] + tap / w.taps * dw.strides[2] +
                     tap % w.taps * dw.strides[3],
                 total);
  }
}

}  // namespace

void conv_by_pixels(const ConvPass& pass) {
  visit_floating(pass.dest.dtype, [&](auto s) {
    if (takes_windows(pass)) run_windows<decltype(s)>(pass);
    else run_pass<decltype(s)>(pass);
  });
}
void conv_weight_by_pixels(const ConvWeightArgs& a) {
  visit_floating(a.grad_weight.dtype, [&](auto s) { backward_weight<decltype(s)>(a); });
}

}  // namespace FASTDL_CPU_NAMESPACE
