// The gradient of a convolution's weight: for each (channel, tap) of the input and each output channel, a dot product over
// all pixels. A task is up to 128 output channels, about 512 (channel, tap) rows and a part of the images: for each block
// of pixels it packs the input as the forward pass does, and the gradient of the output as a row of channels a pixel, and
// adds tiles of rows x channels over the block. The parts' sums are then added in order.
// 2 N O OH OW (C / groups) KH KW FLOP; reads both operands once for each 512 rows or 128 channels.
#include "cpu/conv/by_pixels.h"
#include "cpu/conv/pack.h"
#include "cpu/conv/winograd.h"
#include "cpu/gemm/gemm.h"
#include "cpu/kernels/level.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int kSourceScratch = 3, kPanelScratch = 4, kOffsetScratch = 5, kSumsScratch = 6;
constexpr int64_t kPixelsPerBlock = 512;
constexpr int64_t kRowsPerTask = 640;
constexpr int64_t kSourceBytes = 384 << 10;
constexpr int64_t kChannelsPerTask = 128;

// With one tap it is the matrix product of the output's gradient (channels x pixels) and the input (pixels x channels):
// added up image by image, or, with channels innermost, one product over all images' pixels.
template <class S> bool multiply(const ConvWeightArgs& a) {
  using T = lane_t<compute_vector<S>>;
  constexpr int64_t kLeastPixels = 128, kLeastChannels = 16;
  const View &x = a.input, &dy = a.grad_output, &dw = a.grad_weight;
  const int64_t images = dy.shape[0], width = dy.shape[3], pixels = dy.shape[2] * width, groups = a.geometry.groups;
  const int64_t read = dw.shape[1], written = dw.shape[0] / groups;
  if (dw.shape[2] * dw.shape[3] != 1 || read < kLeastChannels || images * pixels == 0) return false;
  for (int d = 0; d < 2; ++d)
    if (a.geometry.stride[d] != 1 || a.geometry.padding[d] != 0) return false;
  const auto rows_merge = [&](const View& v) { return v.strides[2] == width * v.strides[3]; };
  if (!rows_merge(x) || !rows_merge(dy)) return false;
  const auto images_merge = [&](const View& v) { return v.strides[0] == pixels * v.strides[3]; };
  const bool planes = x.strides[3] == 1 && dy.strides[3] == 1 && pixels >= kLeastPixels;
  if (!planes && !(images_merge(x) && images_merge(dy))) return false;

  for (int64_t group = 0; group < groups; ++group) {
    T* const sums = static_cast<T*>(a.partial_sums) + group * written * read;
    for (int64_t n = 0; n < (planes ? images : 1); ++n) {
      Gemm<T> g{written, read, planes ? pixels : images * pixels};
      g.a =
          strided<T>(dy.as<S>() + n * dy.strides[0] + group * written * dy.strides[1], dy.strides[1], dy.strides[3], dy.dtype);
      g.b = strided<T>(x.as<S>() + n * x.strides[0] + group * read * x.strides[1], x.strides[1], x.strides[3], x.dtype);
      g.c = sums;
      g.c_stride = read;
      if (n > 0) g.addend = sums, g.addend_row_stride = read;
      gemm(g);
    }
  }
  const T* const sums = static_cast<const T*>(a.partial_sums);
  parallel_for(dw.shape[0], grain_for(read * static_cast<int64_t>(sizeof(T))), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      for (int64_t c = 0; c < read; ++c) from_compute(dw.as<S>() + o * dw.strides[0] + c * dw.strides[1], sums[o * read + c]);
  });
  return true;
}

// The partial sums: [part][group][channel][tap][written channels, in vectors].
template <class S> void sum_blocks(const ConvWeightArgs& a) {
  using T = lane_t<compute_vector<S>>;
  constexpr int L = lanes<compute_vector<S>>;
  const View &x = a.input, &dy = a.grad_output, &dw = a.grad_weight;
  const ConvArgs forward{x, dw, {}, dy, a.geometry, nullptr, 0};
  const ConvAxis h = forward_axis(forward, 0), w = forward_axis(forward, 1);
  const int64_t taps = h.taps * w.taps, groups = a.geometry.groups;
  const int64_t read = dw.shape[1], written = dw.shape[0] / groups;
  const ConvBlocks blocks(dy.shape[0], h.count, w.count, kPixelsPerBlock);

  const int64_t plane = blocks.max_source(h, w);
  const int64_t max_channels =
      clamped(kRowsPerTask / taps, 1, clamped(kSourceBytes / (plane * static_cast<int64_t>(sizeof(T))), 1, read));
  const int64_t channel_parts = ceil_div(read, max_channels);
  const ChannelTiles tiles(written, L);
  const int64_t tile_parts = ceil_div(tiles.count(), clamped(kChannelsPerTask / (2 * L), 1, tiles.count()));
  const int64_t row_stride = tiles.vectors * L;                // of the partial sums: (channel, tap) x channels
  const int64_t part_size = groups * read * taps * row_stride;
  T* const partial = static_cast<T*>(a.partial_sums);

  parallel_tasks(a.parts * groups * channel_parts * tile_parts, [&](int64_t index) {
    const int64_t tile_part = index % tile_parts, channel_part = index / tile_parts % channel_parts;
    const int64_t group = index / tile_parts / channel_parts % groups, part = index / tile_parts / channel_parts / groups;
    const int tile0 = static_cast<int>(tile_part * tiles.count() / tile_parts);
    const int tile1 = static_cast<int>((tile_part + 1) * tiles.count() / tile_parts);
    const int64_t c0 = channel_part * read / channel_parts, channels = (channel_part + 1) * read / channel_parts - c0;
    const int64_t rows = channels * taps;
    const int vectors = tiles.first(tile1 - 1) + tiles.width(tile1 - 1) - tiles.first(tile0);

    auto* const offsets = static_cast<int32_t*>(
        scratch(kOffsetScratch, static_cast<size_t>(rows + blocks.max_pixels() + 2 * kMaxConvTileRows) * 4));
    int32_t* const steps = offsets + rows + kMaxConvTileRows;
    T* const panels = static_cast<T*>(scratch(kPanelScratch, static_cast<size_t>(blocks.max_pixels() * 3 * L) * sizeof(T)));
    T* const sums =
        static_cast<T*>(scratch(kSumsScratch, static_cast<size_t>((rows + kMaxConvTileRows) * vectors * L) * sizeof(T)));

    const int64_t first = part * blocks.count() / a.parts, last = (part + 1) * blocks.count() / a.parts;
    for (int64_t i = first; i < last; ++i) {
      const ConvBlock block = blocks.at(i);
      const int64_t source_rows = h.window(block.rows), columns = w.window(block.columns);
      const PackedLayout layout = packed_layout(x, channels, block.images, source_rows, columns);
      T* const source = static_cast<T*>(scratch(kSourceScratch, static_cast<size_t>(layout.elements + L) * sizeof(T)));
      pack_block<T, S>(x, block.image, block.images, group * read + c0, channels, block.row * h.stride + h.min_offset(),
                       source_rows, block.column * w.stride + w.min_offset(), columns, layout, source);
      tap_offsets(channels, h, w, layout, offsets);
      pixel_offsets(block, h, w, layout, steps);
      T* tile_sums = sums;
      for (int t = tile0; t < tile1; ++t) {
        const int width = tiles.width(t);
        const int64_t channel = tiles.first(t) * L;
        pack_pixels<T, S>(dy, block, group * written + channel, clamped(written - channel, 0, width * L), width, panels);
        const RowTiles row_tiles(rows, width);
        ConvTile<T> tile;
        conv_tile(row_tiles.height, width, &tile);
        for (int64_t r = 0; r < row_tiles.count * row_tiles.height; r += row_tiles.height)
          tile(source, offsets + r, steps, block.pixels(), panels, tile_sums + r * width * L, i > first);
        tile_sums += (rows + kMaxConvTileRows) * width * L;
      }
    }

    const T* tile_sums = sums;
    T* const out = partial + part * part_size + (group * read + c0) * taps * row_stride;
    for (int t = tile0; t < tile1; ++t) {
      const int width = tiles.width(t);
      for (int64_t r = 0; r < rows; ++r)
        memcpy(out + r * row_stride + tiles.first(t) * L, tile_sums + r * width * L,
               static_cast<size_t>(width * L) * sizeof(T));
      tile_sums += (rows + kMaxConvTileRows) * width * L;
    }
  });
}

// Adds the parts and transposes each channel's taps x channels into the weight's layout.
template <class S> void add_parts(const ConvWeightArgs& a) {
  using V = compute_vector<S>;
  using T = lane_t<V>;
  constexpr int L = lanes<V>;
  const View& dw = a.grad_weight;
  const int64_t groups = a.geometry.groups, taps = dw.shape[2] * dw.shape[3], read = dw.shape[1];
  const int64_t written = dw.shape[0] / groups, row_stride = ceil_div(written, L) * L,
                part_size = groups * read * taps * row_stride;
  T* const partial = static_cast<T*>(a.partial_sums);
  const bool merged = dw.strides[2] == dw.shape[3] * dw.strides[3];
  const int64_t runs = merged ? 1 : dw.shape[2], length = taps / runs;
  parallel_for(
      groups * read, grain_for(a.parts * taps * row_stride * static_cast<int64_t>(sizeof(T))), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          T* const sum = partial + i * taps * row_stride;
          for (int64_t part = 1; part < a.parts; ++part)
            for (int64_t j = 0; j < taps * row_stride; j += L)
              store<V>(sum + j, load<V>(sum + j) + load<V>(sum + part * part_size + j));
          for (int64_t r = 0; r < runs; ++r)
            write_rows<T, S>(sum + r * length * row_stride, row_stride, length, written, nullptr, 0,
                             dw.as<S>() + i / read * written * dw.strides[0] + i % read * dw.strides[1] + r * dw.strides[2],
                             dw.strides[3], dw.strides[0]);
        }
      });
}

template <class S> void backward_weight(const ConvWeightArgs& a) {
  if (a.winograd) {
    conv_weight_winograd(a);
  } else {
    if (a.grad_weight.shape[0] / a.geometry.groups <= lanes<compute_vector<S>> / 4) return conv_weight_by_pixels(a);
    if (multiply<S>(a)) return;
    sum_blocks<S>(a);
  }
  add_parts<S>(a);
}

}  // namespace

void conv2d_backward_weight(const Context&, const ConvWeightArgs& a) {
  visit_floating(a.grad_weight.dtype, [&](auto s) { backward_weight<decltype(s)>(a); });
}

}  // namespace FASTDL_CPU_NAMESPACE
