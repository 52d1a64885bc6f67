// Direct convolution, forward and gradient of the input, vectorised over the channels that are written (few of them:
// conv_by_pixels.cpp; 3 x 3 taps: conv_winograd.cpp, where the op chooses it). A task is a block of about 512 pixels and up
// to 128 channels to write. Channels are read in blocks of about 512 (channel, tap) steps: the source under the pixels is
// copied to scratch with its padding (never im2col), then tiles of pixels x channels accumulate over the steps, with weights
// packed as a row of channels a step. The gradient of the input is the same pass over the gradient of the output, with the
// weights' channels exchanged, once for each phase of the stride. 2 N O OH OW (C / groups) KH KW FLOP; reads the source about
// (channels / 128) times and the packed weights once a block, from L2.
// (Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD architectures", 2018;
//  Dukhan, "The indirect convolution algorithm", 2019.)
#include "cpu/conv/by_pixels.h"
#include "cpu/conv/pack.h"
#include "cpu/conv/pack_weight.h"
#include "cpu/conv/winograd.h"
#include "cpu/gemm/gemm.h"
#include "cpu/kernels/level.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int kSourceScratch = 3, kSumsScratch = 4, kOffsetScratch = 5;
// Pixels of a block and channels that a task writes. With one tap the source is used for its channels alone: more of those.
// With few steps writing is what counts: large blocks, so that few cache lines are shared by two tasks.
constexpr int64_t kFewSteps = 64;
FASTDL_INLINE int64_t pixels_per_block(int64_t taps, int64_t steps) {
  return taps == 1 ? 256 : steps <= kFewSteps ? 1024 : 512;
}
FASTDL_INLINE int64_t channels_per_task(int64_t taps) { return taps == 1 ? 256 : 128; }
constexpr int64_t kStepsPerBlock = 512;
constexpr int64_t kSourceBytes = 384 << 10;   // of a packed block: it stays in L2 beside the panels
constexpr int64_t kTasksWanted = 16;
constexpr int64_t kTaskFlops = 2'000'000;

// panels[group][block][tile][step][vectors of the tile]
template <class T, class S> void pack_weight(const ConvPass& pass, const Channels& blocks, T* panels) {
  constexpr int L = lanes<compute_vector<T>>;
  const int64_t taps = pass.h.taps * pass.w.taps;
  const ChannelTiles tiles(pass.written, L);
  const int64_t grain = grain_for(pass.read * taps * L * static_cast<int64_t>(sizeof(T)));
  parallel_for(pass.args.geometry.groups * tiles.vectors, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t group = task / tiles.vectors;
      const int vector = static_cast<int>(task % tiles.vectors);
      int tile = 0;
      while (tile + 1 < tiles.count() && tiles.first(tile + 1) <= vector) ++tile;
      const int64_t row = tiles.width(tile) * L;
      for (int64_t block = 0; block < blocks.count; ++block) {
        const int64_t c0 = blocks.begin(block), c1 = blocks.begin(block + 1);
        T* const out = panels + ((group * pass.read + c0) * tiles.vectors + tiles.first(tile) * (c1 - c0)) * taps * L +
                       (vector - tiles.first(tile)) * L;
        pack_weight_vector<T, S>(pass, group, vector, c0, c1, out, row);
      }
    }
  });
}

template <class T, class S> void run_pass(const ConvPass& pass, T* panels) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  if (pass.written <= L / 2) return conv_by_pixels(pass);
  const ConvGeometry& geometry = pass.args.geometry;
  const ConvAxis &h = pass.h, &w = pass.w;
  const int64_t taps = h.taps * w.taps;
  const ConvBlocks blocks(pass.dest.shape[0], h.count, w.count, pixels_per_block(taps, taps * pass.read));
  if (blocks.images * blocks.rows * blocks.columns == 0) return;

  const int64_t plane = taps > 0 ? blocks.max_source(h, w) : 1;
  const int64_t channels_per_block =
      taps > 0
          ? clamped(kStepsPerBlock / taps, 1, clamped(kSourceBytes / (plane * static_cast<int64_t>(sizeof(T))), 1, pass.read))
          : 1;
  const Channels channels{taps > 0 ? pass.read : 0, taps > 0 ? ceil_div(pass.read, channels_per_block) : 1};
  const int64_t max_channels = ceil_div(channels.total, channels.count);
  pack_weight<T, S>(pass, channels, panels);

  // Tiles of channels go to a task together, but for few blocks of pixels.
  const ChannelTiles tiles(pass.written, L);
  const int64_t pixel_tasks = blocks.count() * geometry.groups;
  const int64_t flops = 2 * blocks.max_pixels() * channels.total * taps * pass.written;
  const int64_t wanted = clamped(ceil_div(kTasksWanted, pixel_tasks), 1, clamped(flops / kTaskFlops, 1, tiles.count()));
  const int64_t most = clamped(channels_per_task(taps) / (2 * L), 1, tiles.count());
  const int64_t tile_parts = wanted > ceil_div(tiles.count(), most) ? wanted : ceil_div(tiles.count(), most);

  const auto task = [&](int64_t index) {
    const int64_t part = index % tile_parts, group = index / tile_parts % geometry.groups;
    const ConvBlock block = blocks.at(index / tile_parts / geometry.groups);
    const int tile0 = static_cast<int>(part * tiles.count() / tile_parts);
    const int tile1 = static_cast<int>((part + 1) * tiles.count() / tile_parts);
    const int64_t pixels = block.pixels();

    auto* offsets = static_cast<int32_t*>(
        scratch(kOffsetScratch, static_cast<size_t>(pixels + max_channels * taps + 2 * kMaxConvTileRows) * 4));
    int32_t* const steps = offsets + pixels + kMaxConvTileRows;
    const int64_t rows = taps > 0 ? h.window(block.rows) : 0, columns = taps > 0 ? w.window(block.columns) : 0;
    T* const source = static_cast<T*>(scratch(
        kSourceScratch,
        static_cast<size_t>(packed_layout(pass.source, max_channels, block.images, rows, columns).elements + L) * sizeof(T)));
    const int vectors = tiles.first(tile1 - 1) + tiles.width(tile1 - 1) - tiles.first(tile0);
    T* const sums =
        static_cast<T*>(scratch(kSumsScratch, static_cast<size_t>((pixels + kMaxConvTileRows) * vectors * L) * sizeof(T)));

    for (int64_t cb = 0; cb < channels.count; ++cb) {
      const int64_t c0 = channels.begin(cb), count = channels.begin(cb + 1) - c0, step_count = count * taps;
      const PackedLayout layout = packed_layout(pass.source, count, block.images, rows, columns);
      if (step_count > 0)
        pack_block<T, S>(pass.source, block.image, block.images, group * pass.read + c0, count,
                         block.row * h.stride + h.min_offset(), rows, block.column * w.stride + w.min_offset(), columns, layout,
                         source);
      pixel_offsets(block, h, w, layout, offsets);
      tap_offsets(count, h, w, layout, steps);
      const T* const block_panels = panels + (group * pass.read + c0) * taps * tiles.vectors * L;
      T* tile_sums = sums;
      for (int t = tile0; t < tile1; ++t) {
        const int width = tiles.width(t);
        const RowTiles row_tiles(pixels, width);
        ConvTile<T> tile;
        conv_tile(row_tiles.height, width, &tile);
        const T* const panel = block_panels + tiles.first(t) * L * step_count;
        for (int64_t p = 0; p < row_tiles.count * row_tiles.height; p += row_tiles.height)
          tile(source, offsets + p, steps, step_count, panel, tile_sums + p * width * L, cb > 0);
        tile_sums += (pixels + kMaxConvTileRows) * width * L;
      }
    }

    const View& dest = pass.dest;
    const int64_t row_stride = h.step * dest.strides[2], column_stride = w.step * dest.strides[3];
    const bool merged = row_stride == block.columns * column_stride;
    const int64_t runs = merged ? 1 : block.rows, length = merged ? block.rows * block.columns : block.columns;
    const T* tile_sums = sums;
    for (int t = tile0; t < tile1; ++t) {
      const int width = tiles.width(t);
      const int64_t first = tiles.first(t) * L, channel = group * pass.written + first;
      const S* bias = pass.args.bias.data ? pass.args.bias.as<S>() + channel * pass.args.bias.strides[0] : nullptr;
      for (int64_t n = 0; n < block.images; ++n)
        for (int64_t r = 0; r < runs; ++r)
          write_rows<T, S>(tile_sums + (n * runs + r) * length * width * L, width * L, length,
                           clamped(pass.written - first, 0, width * L), bias, pass.args.bias.strides[0],
                           dest.as<S>() + (block.image + n) * dest.strides[0] + channel * dest.strides[1] +
                               (h.first + (block.row + r) * h.step) * dest.strides[2] +
                               (w.first + block.column * w.step) * dest.strides[3],
                           column_stride, dest.strides[1]);
      tile_sums += (pixels + kMaxConvTileRows) * width * L;
    }
  };
  parallel_tasks(pixel_tasks * tile_parts, task);
}

// A kernel of one tap is a matrix product: of the weight and each image's (channels x pixels), or, with channels innermost,
// of all images' (pixels x channels) and the weight. Small images lose more to packing than they gain, and more so where the
// sums are long: what the direct pass loses is the transposing of its results. (Products of 16-bit floats are faster.)
template <class S> bool multiply(const ConvPass& pass) {
  using T = lane_t<compute_vector<S>>;
  constexpr int64_t kLeastPixels = 128, kLeastChannels = 16, kFewPixels = 256, kDeepSum = 512;
  const View &source = pass.source, &dest = pass.dest, &weight = pass.args.weight, &bias = pass.args.bias;
  const int64_t images = dest.shape[0], width = dest.shape[3], pixels = dest.shape[2] * width,
                groups = pass.args.geometry.groups;
  if (weight.shape[2] * weight.shape[3] != 1 || pass.read == 0 || (bias.data && bias.strides[0] != 1)) return false;
  if (groups > 1 && pass.written < kLeastChannels) return false;
  for (int d = 0; d < 2; ++d)
    if (pass.args.geometry.stride[d] != 1 || pass.args.geometry.padding[d] != 0) return false;
  const auto rows_merge = [&](const View& v) { return v.strides[2] == width * v.strides[3]; };
  if (!rows_merge(source) || !rows_merge(dest)) return false;
  const bool deep = pass.read >= kDeepSum && sizeof(S) >= 4;
  const bool planes = source.strides[3] == 1 && dest.strides[3] == 1 && pixels >= (deep ? kFewPixels : kLeastPixels);
  const bool innermost = source.strides[1] == 1 && dest.strides[1] == 1 && source.strides[0] == pixels * source.strides[3] &&
                         dest.strides[0] == pixels * dest.strides[3];
  if (!planes && !innermost) return false;

  const int64_t weight_group = weight.shape[0] / groups * weight.strides[0];
  for (int64_t group = 0; group < groups; ++group) {
    const S* const w = weight.as<S>() + group * weight_group;
    const S* const b = bias.data ? bias.as<S>() + group * pass.written * bias.strides[0] : nullptr;
    const auto weights = strided<T>(w, pass.written_stride, pass.read_stride, dest.dtype);
    for (int64_t n = 0; n < (planes ? images : 1); ++n) {
      const S* const x = source.as<S>() + n * source.strides[0] + group * pass.read * source.strides[1];
      Gemm<T> g;
      if (planes) {
        g.m = pass.written, g.n = pixels;
        g.a = weights;
        g.b = strided<T>(x, 1, source.strides[1], source.dtype);
        g.c_stride = dest.strides[1];
        g.addend_row_stride = 1, g.addend_col_stride = 0;
      } else {
        g.m = images * pixels, g.n = pass.written;
        g.a = strided<T>(x, source.strides[3], 1, source.dtype);
        g.b = weights;
        g.c_stride = dest.strides[3];
        g.addend_row_stride = 0, g.addend_col_stride = 1;
      }
      g.k = pass.read;
      g.c = dest.as<S>() + n * dest.strides[0] + group * pass.written * dest.strides[1];
      g.c_dtype = dest.dtype;
      g.addend = b;
      gemm(g);
    }
  }
  return true;
}

template <class S> void forward(const ConvArgs& a) {
  using T = lane_t<compute_vector<S>>;
  const ConvPass pass{a.input,
                      a.output,
                      a,
                      forward_axis(a, 0),
                      forward_axis(a, 1),
                      a.weight.shape[1],
                      a.weight.shape[0] / a.geometry.groups,
                      a.weight.strides[1],
                      a.weight.strides[0]};
  if (a.winograd) return conv_winograd(pass);
  if (!multiply<S>(pass)) run_pass<T, S>(pass, static_cast<T*>(a.panels));
}
template <class S> void backward_input(const ConvArgs& a) {
  using T = lane_t<compute_vector<S>>;
  for (int64_t i = 0; i < a.geometry.stride[0]; ++i)
    for (int64_t j = 0; j < a.geometry.stride[1]; ++j) {
      const ConvPass pass{a.output,
                          a.input,
                          a,
                          transposed_axis(a, 0, i),
                          transposed_axis(a, 1, j),
                          a.weight.shape[0] / a.geometry.groups,
                          a.weight.shape[1],
                          a.weight.strides[0],
                          a.weight.strides[1]};
      if (a.winograd) conv_winograd(pass);
      else if (!multiply<S>(pass)) run_pass<T, S>(pass, static_cast<T*>(a.panels));
    }
}

}  // namespace

void conv2d_forward(const Context&, const ConvArgs& a) {
  visit_floating(a.output.dtype, [&](auto s) { forward<decltype(s)>(a); });
}
void conv2d_backward_input(const Context&, const ConvArgs& a) {
  visit_floating(a.input.dtype, [&](auto s) { backward_input<decltype(s)>(a); });
}

}  // namespace FASTDL_CPU_NAMESPACE
