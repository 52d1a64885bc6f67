// Which source element each tap reads, for the forward pass and for its transpose, and the blocks that a pass is cut into.
#pragma once
#include "kernels/conv.h"

namespace FASTDL_CPU_NAMESPACE {

// One dimension of a pass. Element number t of `count` is written to first + t * step, and reads the source at
// t * stride + offset(j) with tap(j) of the weight.
struct ConvAxis {
  int64_t source_size;
  int64_t count, first, step;
  int64_t stride;
  int64_t taps, tap_first, tap_step;
  int64_t offset_first, offset_step;

  FASTDL_INLINE int64_t tap(int64_t j) const { return tap_first + j * tap_step; }
  FASTDL_INLINE int64_t offset(int64_t j) const { return offset_first + j * offset_step; }
  FASTDL_INLINE int64_t min_offset() const { return offset_step < 0 ? offset(taps - 1) : offset_first; }
  // Source elements under n neighbouring ones.
  FASTDL_INLINE int64_t window(int64_t n) const {
    const int64_t spread = (taps - 1) * offset_step;
    return (n - 1) * stride + (spread < 0 ? -spread : spread) + 1;
  }
};

FASTDL_INLINE ConvAxis forward_axis(const ConvArgs& a, int d) {
  const ConvGeometry& g = a.geometry;
  return {a.input.shape[2 + d], a.output.shape[2 + d], 0, 1, g.stride[d], a.weight.shape[2 + d], 0, 1,
          -g.padding[d],        g.dilation[d]};
}

// The gradient of the input reads the gradient of the output: input i gets from output o through tap k where
// o * stride - padding + k * dilation = i. Inputs of one phase, i = phase (mod stride), share their taps, every
// stride / gcd(stride, dilation)-th one, and are again a convolution, of stride 1.
FASTDL_INLINE ConvAxis transposed_axis(const ConvArgs& a, int d, int64_t phase) {
  const ConvGeometry& g = a.geometry;
  const int64_t s = g.stride[d], dilation = g.dilation[d], size = a.input.shape[2 + d], kernel = a.weight.shape[2 + d];
  int64_t gcd = s;
  for (int64_t r = dilation; r != 0;) {
    const int64_t next = gcd % r;
    gcd = r;
    r = next;
  }
  const int64_t tap_step = s / gcd;
  ConvAxis axis{a.output.shape[2 + d], phase < size ? (size - phase + s - 1) / s : 0, phase, s, 1, 0, 0, tap_step, 0,
                -(dilation / gcd)};
  for (int64_t k = 0; k < tap_step && k < kernel; ++k) {
    const int64_t o = phase + g.padding[d] - k * dilation;
    if (o % s != 0) continue;
    axis.taps = (kernel - k + tap_step - 1) / tap_step;
    axis.tap_first = k;
    axis.offset_first = o / s;
    break;
  }
  return axis;
}

// A box of elements to write: images x rows x columns.
struct ConvBlock {
  int64_t image, images, row, rows, column, columns;
  FASTDL_INLINE int64_t pixels() const { return images * rows * columns; }
};

// One pass over the weight: the forward pass, or a phase of the gradient of the input, with the weight seen from the
// channels that are written.
struct ConvPass {
  const View& source;
  const View& dest;
  const ConvArgs& args;
  ConvAxis h, w;
  int64_t read, written;                // channels per group
  int64_t read_stride, written_stride;  // of the weight
};

// The number of the images' boxes in each direction. At most `pixels` pixels in each (or one), whole rows where they fit,
// whole images where those are small; the sizes differ by one at most.
struct ConvBlocks {
  int64_t images, rows, columns;           // to cut
  int64_t image_parts, row_parts, column_parts;

  FASTDL_INLINE ConvBlocks(int64_t images_, int64_t rows_, int64_t columns_, int64_t pixels)
      : images(images_), rows(rows_), columns(columns_) {
    image_parts = row_parts = column_parts = 1;
    if (images * rows * columns == 0) return;  // a phase of a stride that is wider than the image
    column_parts = parts(columns, pixels);
    row_parts = parts(rows, pixels / largest(columns, column_parts));
    image_parts = parts(images, pixels / (largest(columns, column_parts) * largest(rows, row_parts)));
  }
  FASTDL_INLINE int64_t count() const { return image_parts * row_parts * column_parts; }
  FASTDL_INLINE int64_t max_pixels() const {
    return largest(images, image_parts) * largest(rows, row_parts) * largest(columns, column_parts);
  }
  FASTDL_INLINE int64_t max_source(const ConvAxis& h, const ConvAxis& w) const {  // elements of a channel
    return largest(images, image_parts) * h.window(largest(rows, row_parts)) * w.window(largest(columns, column_parts));
  }
  FASTDL_INLINE ConvBlock at(int64_t i) const {
    const int64_t c = i % column_parts, r = i / column_parts % row_parts, n = i / column_parts / row_parts;
    return {begin(images, image_parts, n),   begin(images, image_parts, n + 1) - begin(images, image_parts, n),
            begin(rows, row_parts, r),       begin(rows, row_parts, r + 1) - begin(rows, row_parts, r),
            begin(columns, column_parts, c), begin(columns, column_parts, c + 1) - begin(columns, column_parts, c)};
  }

  static FASTDL_INLINE int64_t parts(int64_t total, int64_t size) { return size > 1 ? (total + size - 1) / size : total; }
  static FASTDL_INLINE int64_t begin(int64_t total, int64_t count, int64_t i) { return i * total / count; }
  static FASTDL_INLINE int64_t largest(int64_t total, int64_t count) { return (total + count - 1) / count; }
};

}  // namespace FASTDL_CPU_NAMESPACE
