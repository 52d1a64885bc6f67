// Copying a block of an image into scratch, its padding as zeros, in the type that is computed in; and writing a block of
// results, kept as a row of channels a pixel, back to an image of any layout.
#pragma once
#include "cpu/conv/geometry.h"
#include "cpu/conv/tile.h"
#include "cpu/simd/convert.h"
#include "cpu/simd/transpose.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

// Where a packed block has its elements. Channels are innermost where they are in the image.
struct PackedLayout {
  int64_t image, channel, row, column;
  int64_t elements;
};
FASTDL_INLINE bool channels_innermost(const View& x) { return x.strides[1] == 1 && x.strides[3] != 1; }
FASTDL_INLINE PackedLayout packed_layout(const View& x, int64_t channels, int64_t images, int64_t rows, int64_t columns) {
  if (channels_innermost(x))
    return {rows * columns * channels, 1, columns * channels, channels, images * rows * columns * channels};
  // An odd number of cache lines from channel to channel, so that a tap's loads spread over the cache's sets.
  const int64_t plane = ((rows * columns + 15) / 16 | 1) * 16;
  return {channels * plane, plane, columns, 1, images * channels * plane};
}

template <class T> FASTDL_INLINE T* fill_zero(T* out, int64_t n) {  // may write up to a vector more
  using V = compute_vector<T>;
  for (int64_t i = 0; i < n; i += lanes<V>) store<V>(out + i, V{});
  return out + n;
}
template <class T, class S> FASTDL_INLINE T* copy_run(T* out, const S* x, int64_t n) {  // may write up to a vector more
  using V = compute_vector<T>;
  int64_t i = 0;
  for (; i + lanes<V> <= n; i += lanes<V>) store<V>(out + i, load_as<V>(x + i));
  if (i < n) store<V>(out + i, load_as_n<V>(x + i, n - i));
  return out + n;
}

// The source rows [row0, row0 + rows) and columns [column0, column0 + columns) of some channels and images. `out` has
// room for a vector more than the layout's elements.
template <class T, class S> void pack_block(const View& x, int64_t image0, int64_t images, int64_t channel0, int64_t channels,
                                            int64_t row0, int64_t rows, int64_t column0, int64_t columns,
                                            const PackedLayout& layout, T* out) {
  const int64_t height = x.shape[2], width = x.shape[3];
  const int64_t sc = x.strides[1], sh = x.strides[2], sw = x.strides[3];
  const int64_t begin = column0 < 0 ? (-column0 < columns ? -column0 : columns) : 0;  // first and last column inside
  const int64_t inside = width - column0 < columns ? width - column0 : columns;
  const int64_t end = inside > begin ? inside : begin;
  const bool innermost = channels_innermost(x);
  const int64_t run = innermost ? channels : 1;     // elements of a pixel side by side
  const int64_t planes = innermost ? 1 : channels;
  for (int64_t n = 0; n < images; ++n)
    for (int64_t c = 0; c < planes; ++c) {
      const S* plane = x.as<S>() + (image0 + n) * x.strides[0] + (channel0 + c) * sc;
      T* p = out + n * layout.image + c * layout.channel;
      for (int64_t r = 0; r < rows; ++r) {
        if (row0 + r < 0 || row0 + r >= height || end == begin) {
          p = fill_zero(p, columns * run);
          continue;
        }
        const S* line = plane + (row0 + r) * sh + (column0 + begin) * sw;
        p = fill_zero(p, begin * run);
        if (innermost ? sw == run : sw == 1) {
          p = copy_run(p, line, (end - begin) * run);
        } else if (innermost) {
          for (int64_t i = begin; i < end; ++i, line += sw) p = copy_run(p, line, run);
        } else {
          for (int64_t i = begin; i < end; ++i, line += sw) *p++ = to_compute(*line);
        }
        p = fill_zero(p, (columns - end) * run);
      }
    }
}

// Pixels [block] of an image as panels: a row of `vectors` * lanes channels a pixel, zero past the last channel.
template <class T, class S>
void pack_pixels(const View& x, const ConvBlock& b, int64_t channel0, int64_t channels, int vectors, T* out) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  const int64_t stride = vectors * L;
  const int64_t sc = x.strides[1], sh = x.strides[2], sw = x.strides[3];
  // Rows that follow one another in memory are one run.
  const bool merged = sh == b.columns * sw;
  const int64_t runs = merged ? 1 : b.rows, length = merged ? b.rows * b.columns : b.columns;
  for (int64_t n = 0; n < b.images; ++n)
    for (int64_t r = 0; r < runs; ++r) {
      const S* run = x.as<S>() + (b.image + n) * x.strides[0] + channel0 * sc + (b.row + r) * sh + b.column * sw;
      for (int v = 0; v < vectors; ++v) {
        const S* at = run + v * L * sc;
        T* panel = out + v * L;
        const int64_t count = channels - v * L < L ? channels - v * L : L;
        for (int64_t i = 0; i < length; i += L) {
          const int64_t pixels = length - i < L ? length - i : L;
          if (sc == 1 && sw != 1) {
            for (int64_t j = 0; j < pixels; ++j)
              store<V>(panel + (i + j) * stride,
                       count == L ? load_as<V>(at + (i + j) * sw) : load_as_n<V>(at + (i + j) * sw, count));
            continue;
          }
          V square[L];
#pragma GCC unroll 16
          for (int c = 0; c < L; ++c) square[c] = V{};
          if (sw == 1) {
            for (int c = 0; c < count; ++c)
              square[c] = pixels == L ? load_as<V>(at + c * sc + i) : load_as_n<V>(at + c * sc + i, pixels);
          } else {
            for (int c = 0; c < count; ++c)
              for (int64_t j = 0; j < pixels; ++j) square[c][j] = to_compute(at[c * sc + (i + j) * sw]);
          }
          transpose(square);
          for (int64_t j = 0; j < pixels; ++j) store<V>(panel + (i + j) * stride, square[j]);
        }
      }
      out += length * stride;
    }
}

// rows x channels numbers, a row of `stride` each, into an array with any strides; plus a number per channel.
template <class T, class S> void write_rows(const T* sums, int64_t stride, int64_t rows, int64_t channels, const S* bias,
                                            int64_t bias_stride, S* out, int64_t row_stride, int64_t channel_stride) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  for (int64_t c = 0; c < channels; c += L) {
    const int64_t count = channels - c < L ? channels - c : L;
    V add{};
    if (bias)
      for (int64_t i = 0; i < count; ++i) add[i] = to_compute(bias[(c + i) * bias_stride]);
    S* const to = out + c * channel_stride;
    if (channel_stride == 1 && row_stride != 1) {
      for (int64_t p = 0; p < rows; ++p) {
        const V v = load<V>(sums + p * stride + c) + add;
        if (count == L) store_as<V>(to + p * row_stride, v);
        else store_as_n<V>(to + p * row_stride, v, count);
      }
      continue;
    }
    for (int64_t p = 0; p < rows; p += L) {
      const int64_t height = rows - p < L ? rows - p : L;
      V square[L];
      if (height == L) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) square[i] = load<V>(sums + (p + i) * stride + c) + add;
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) square[i] = load<V>(sums + (p + (i < height ? i : 0)) * stride + c) + add;
      }
      transpose(square);
      S* line = to + p * row_stride;
      if (row_stride == 1 && height == L) {
        for (int64_t i = 0; i < count; ++i, line += channel_stride) store_as<V>(line, square[i]);
      } else if (row_stride == 1) {
        for (int64_t i = 0; i < count; ++i, line += channel_stride) store_as_n<V>(line, square[i], height);
      } else {
        for (int64_t i = 0; i < count; ++i, line += channel_stride)
          for (int64_t j = 0; j < height; ++j) from_compute(line + j * row_stride, square[i][j]);
      }
    }
  }
}

// Offsets of the pixels of a block in a packed source; the last is repeated to fill a tile.
FASTDL_INLINE void pixel_offsets(const ConvBlock& b, const ConvAxis& h, const ConvAxis& w, const PackedLayout& layout,
                                 int32_t* out) {
  int64_t i = 0;
  for (int64_t n = 0; n < b.images; ++n)
    for (int64_t r = 0; r < b.rows; ++r)
      for (int64_t c = 0; c < b.columns; ++c)
        out[i++] = static_cast<int32_t>(n * layout.image + r * h.stride * layout.row + c * w.stride * layout.column);
  for (int64_t last = i; i < last + kMaxConvTileRows; ++i) out[i] = out[last - 1];
}
// Offsets of (channel, tap row, tap column), the same way.
FASTDL_INLINE void tap_offsets(int64_t channels, const ConvAxis& h, const ConvAxis& w, const PackedLayout& layout,
                               int32_t* out) {
  int64_t i = 0;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t p = 0; p < h.taps; ++p)
      for (int64_t q = 0; q < w.taps; ++q)
        out[i++] = static_cast<int32_t>(c * layout.channel + (h.offset(p) - h.min_offset()) * layout.row +
                                        (w.offset(q) - w.min_offset()) * layout.column);
  for (int64_t last = i; last > 0 && i < last + kMaxConvTileRows; ++i) out[i] = out[last - 1];
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
