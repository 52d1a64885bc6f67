// The blocks that a pass is cut into.
#pragma once
#include "kernels/conv.h"

namespace FASTDL_CPU_NAMESPACE {

FASTDL_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
FASTDL_INLINE int64_t clamped(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

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
