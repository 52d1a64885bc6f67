// Convolutions of 3 x 3 taps by Winograd's algorithm (cpu/conv/winograd.h), forward and gradient of the input. The weights
// are transformed once, into panels for each of the (M + 2)^2 points. A task is a block of about 64 tiles and up to 128
// channels to write: for 64 channels that are read at a time it packs the source as vectors of channels, transforms it, and
// adds the product of tiles x channels and the weights to its sums, point by point; then it transforms the sums and writes
// them. Per tile 2 C O (M + 2)^2 FLOP, and (M + 2)^2 (C + O) elements that pass through L2 (for M = 4, C = O = 64: one
// for 16 multiply-adds); reads the source (1 + 2 / M)^2 O / 128 times, the weights' panels once a block, from L2 or L3.
#include "cpu/conv/pack_weight.h"
#include "cpu/conv/winograd.h"
#include "cpu/kernels/level.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int kWindowScratch = 3, kSumsScratch = 4, kOffsetScratch = 5, kTilesScratch = 6;
constexpr int L = kF32;
constexpr int64_t kChannelsPerTask = 128, kLeastChannelsPerTask = 64;
constexpr int64_t kTasksWanted = 16;
constexpr int64_t kTaskFlops = 2'000'000;
constexpr int64_t kTaps = 9;

// panels[group][tile of channels][block][point][channel][vectors of the tile]
FASTDL_INLINE float* panel(float* panels, const ConvPass& pass, int64_t points, const ChannelTiles& tiles, int64_t group,
                           int tile, int64_t channel) {
  return panels +
         points * L * (group * pass.read * tiles.vectors + tiles.first(tile) * pass.read + channel * tiles.width(tile));
}

template <int M> void transform_weight(const ConvPass& pass, const Channels& blocks, const ChannelTiles& tiles, float* panels) {
  constexpr int64_t kPoints = (M + 2) * (M + 2);
  parallel_tasks(pass.args.geometry.groups * tiles.count() * blocks.count, [&](int64_t index) {
    const int64_t block = index % blocks.count, group = index / blocks.count / tiles.count();
    const int t = static_cast<int>(index / blocks.count % tiles.count());
    const int64_t c0 = blocks.begin(block), count = blocks.begin(block + 1) - c0, width = tiles.width(t);
    float* const weights = static_cast<float*>(scratch(kWindowScratch, static_cast<size_t>(count * kTaps * width * L) * 4));
    float* const out = panel(panels, pass, kPoints, tiles, group, t, c0);
    for (int64_t v = 0; v < width; ++v)
      pack_weight_vector<float, float>(pass, group, tiles.first(t) + v, c0, c0 + count, weights + v * L, width * L);
    // Taps in the order of what they read.
    const int64_t h0 = pass.h.offset_step > 0 ? 0 : 2, w0 = pass.w.offset_step > 0 ? 0 : 2;
    const int64_t row = 3 * pass.h.offset_step * width * L, column = pass.w.offset_step * width * L;
    for (int64_t c = 0; c < count; ++c)
      for (int64_t v = 0; v < width; ++v) {
        const float* const from = weights + ((c * kTaps + 3 * h0 + w0) * width + v) * L;
        float* const to = out + (c * width + v) * L;
        transform_square<WinogradKernel<M>, vf32>(
            [&](int i, int j) __attribute__((always_inline)) { return load<vf32>(from + i * row + j * column); },
            [&](int i, int j, vf32 x)
                __attribute__((always_inline)) { store<vf32>(to + (i * (M + 2) + j) * count * width * L, x); });
      }
  });
}

template <int M> void run(const ConvPass& pass) {
  constexpr int64_t kPoints = (M + 2) * (M + 2);
  const ConvAxis &h = pass.h, &w = pass.w;
  const View &dest = pass.dest, &bias = pass.args.bias;
  const ConvBlocks blocks(dest.shape[0], ceil_div(h.count, M), ceil_div(w.count, M), kWinogradTiles);
  const int64_t groups = pass.args.geometry.groups;
  const ChannelTiles tiles(pass.written, L);
  const Channels channels{pass.read, ceil_div(pass.read, kWinogradChannels)};
  float* const panels = static_cast<float*>(pass.args.panels);
  transform_weight<M>(pass, channels, tiles, panels);

  // Channels go to a task together, but for few blocks of tiles.
  const int64_t flops = 2 * kPoints * blocks.max_pixels() * pass.read * pass.written;
  const int64_t least = ceil_div(pass.written, kChannelsPerTask);
  const int64_t most = clamped(pass.written / kLeastChannelsPerTask, least, tiles.count());
  const int64_t parts =
      clamped(clamped(ceil_div(kTasksWanted, blocks.count() * groups), 1, clamped(flops / kTaskFlops, 1, most)), least, most);

  parallel_tasks(blocks.count() * groups * parts, [&](int64_t index) {
    const int64_t part = index % parts, group = index / parts % groups;
    const ConvBlock block = blocks.at(index / parts / groups);
    const int tile0 = static_cast<int>(part * tiles.count() / parts);
    const int tile1 = static_cast<int>((part + 1) * tiles.count() / parts);
    const int vectors = tiles.first(tile1 - 1) + tiles.width(tile1 - 1) - tiles.first(tile0);
    const int64_t count = block.pixels(), rows = count + kMaxConvTileRows;
    const int64_t source_rows = block.rows * M + 2, source_columns = block.columns * M + 2;

    const int64_t sums_point = rows * vectors * L + kLine, most_channels = ceil_div(kWinogradChannels, L) * L;
    float* const sums = static_cast<float*>(scratch(kSumsScratch, static_cast<size_t>(kPoints * sums_point) * 4));
    float* const transformed =
        static_cast<float*>(scratch(kTilesScratch, static_cast<size_t>(kPoints * (count * most_channels + kLine)) * 4));
    float* window = static_cast<float*>(scratch(kWindowScratch, static_cast<size_t>(source_rows * source_columns + 1) * L * 4));
    auto* const offsets = static_cast<int32_t*>(scratch(kOffsetScratch, static_cast<size_t>(rows + kWinogradChannels) * 4));
    int32_t* const steps = offsets + rows;
    for (int64_t k = 0; k < kWinogradChannels; ++k) steps[k] = static_cast<int32_t>(k);

    for (int64_t cb = 0; cb < channels.count; ++cb) {
      const int64_t c0 = channels.begin(cb), read = channels.begin(cb + 1) - c0;
      const int64_t row = ceil_div(read, L) * L, point = count * row + kLine;
      for (int64_t i = 0; i < rows; ++i) offsets[i] = static_cast<int32_t>((i < count ? i : count - 1) * row);
      for (int64_t c = 0; c < read; c += L)
        for (int64_t n = 0; n < block.images; ++n) {
          pack_window(pass.source, block.image + n, group * pass.read + c0 + c, clamped(read - c, 0, L),
                      block.row * M + h.min_offset(), source_rows, block.column * M + w.min_offset(), source_columns, window);
          for_tiles<M>(block, source_columns, n, [&](int64_t i, int64_t place) {
            const float* const from = window + place;
            float* const to = transformed + i * row + c;
            transform_square<WinogradSource<M>, vf32>(
                [&](int y, int x) __attribute__((always_inline)) { return load<vf32>(from + (y * source_columns + x) * L); },
                [&](int y, int x, vf32 v) __attribute__((always_inline)) { store<vf32>(to + (y * (M + 2) + x) * point, v); });
          });
        }
      for (int64_t p = 0; p < kPoints; ++p) {
        float* to = sums + p * sums_point;
        for (int t = tile0; t < tile1; ++t) {
          const int width = tiles.width(t);
          const RowTiles row_tiles(count, width);
          ConvTile<float> tile;
          conv_tile(row_tiles.height, width, &tile);
          const float* const weights = panel(panels, pass, kPoints, tiles, group, t, c0) + p * read * width * L;
          for (int64_t r = 0; r < row_tiles.count * row_tiles.height; r += row_tiles.height)
            tile(transformed + p * point, offsets + r, steps, read, weights, to + r * width * L, cb > 0);
          to += rows * width * L;
        }
      }
    }

    // Pixels of the block that are there.
    const int64_t columns = block.columns * M;
    const int64_t height = clamped(h.count - block.row * M, 0, block.rows * M);
    const int64_t length = clamped(w.count - block.column * M, 0, columns);
    const int64_t row_stride = h.step * dest.strides[2], column_stride = w.step * dest.strides[3];
    const bool merged = length == columns && row_stride == columns * column_stride;
    window = static_cast<float*>(scratch(kWindowScratch, static_cast<size_t>(block.rows * M * columns * L) * 4));
    const float* tile_sums = sums;
    for (int t = tile0; t < tile1; ++t) {
      const int width = tiles.width(t);
      for (int v = 0; v < width; ++v) {
        const int64_t first = (tiles.first(t) + v) * L, channel = group * pass.written + first;
        const float* const add = bias.data ? bias.as<float>() + channel * bias.strides[0] : nullptr;
        for (int64_t n = 0; n < block.images; ++n) {
          for_tiles<M>(block, columns, n, [&](int64_t i, int64_t place) {
            const float* const from = tile_sums + (i * width + v) * L;
            float* const to = window + place;
            transform_square<WinogradOutput<M>, vf32>(
                [&](int y, int x) __attribute__((always_inline)) { return load<vf32>(from + (y * (M + 2) + x) * sums_point); },
                [&](int y, int x, vf32 s) __attribute__((always_inline)) { store<vf32>(to + (y * columns + x) * L, s); });
          });
          float* const out = dest.as<float>() + (block.image + n) * dest.strides[0] + channel * dest.strides[1] +
                             (h.first + block.row * M * h.step) * dest.strides[2] +
                             (w.first + block.column * M * w.step) * dest.strides[3];
          for (int64_t r = 0; r < (merged ? 1 : height); ++r)
            write_rows<float, float>(window + r * columns * L, L, merged ? height * columns : length,
                                     clamped(pass.written - first, 0, L), add, bias.strides[0], out + r * row_stride,
                                     column_stride, dest.strides[1]);
        }
      }
      tile_sums += rows * width * L;
    }
  });
}

}  // namespace

void conv_winograd(const ConvPass& pass) { pass.args.winograd == 4 ? run<4>(pass) : run<2>(pass); }

}  // namespace FASTDL_CPU_NAMESPACE
