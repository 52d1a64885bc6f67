// The gradient of a weight of 3 x 3 taps by Winograd's algorithm (cpu/conv/winograd.h): for each of the (M + 2)^2 points,
// the product over all tiles of the transformed input (channels x tiles) and the transformed gradient of the output (tiles x
// channels). A task is up to 64 channels of the input, up to 128 of the output and a part of the images: it transforms both
// for about 64 tiles at a time, adds their products to its sums, and transforms the sums into its part's gradient.
// Per tile 2 C O (M + 2)^2 FLOP; reads the input O / 128 times and the gradient of the output C / 64 times.
#include "cpu/conv/winograd.h"
#include "cpu/kernels/level.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int kWindowScratch = 3, kSumsScratch = 4, kOffsetScratch = 5, kTilesScratch = 6, kPanelScratch = 7;
constexpr int L = kF32;
constexpr int64_t kChannelsPerTask = 128;
constexpr int64_t kTaps = 9;

template <int M> void run(const ConvWeightArgs& a) {
  constexpr int64_t kPoints = (M + 2) * (M + 2);
  const View &x = a.input, &dy = a.grad_output, &dw = a.grad_weight;
  const ConvArgs forward{x, dw, {}, dy, a.geometry, nullptr, M};
  const ConvAxis h = forward_axis(forward, 0), w = forward_axis(forward, 1);
  const int64_t groups = a.geometry.groups, read = dw.shape[1], written = dw.shape[0] / groups;
  const ConvBlocks blocks(dy.shape[0], ceil_div(h.count, M), ceil_div(w.count, M), kWinogradTiles);
  const ChannelTiles tiles(written, L);
  const int64_t channel_parts = ceil_div(read, kWinogradChannels);
  const int64_t tile_parts = ceil_div(tiles.count(), clamped(kChannelsPerTask / (2 * L), 1, tiles.count()));
  const int64_t out_row = tiles.vectors * L;  // of the partial sums: (channel, tap) x channels
  const int64_t part_size = groups * read * kTaps * out_row;

  parallel_tasks(a.parts * groups * channel_parts * tile_parts, [&](int64_t index) {
    const int64_t tile_part = index % tile_parts, channel_part = index / tile_parts % channel_parts;
    const int64_t group = index / tile_parts / channel_parts % groups, part = index / tile_parts / channel_parts / groups;
    const int tile0 = static_cast<int>(tile_part * tiles.count() / tile_parts);
    const int tile1 = static_cast<int>((tile_part + 1) * tiles.count() / tile_parts);
    const int vectors = tiles.first(tile1 - 1) + tiles.width(tile1 - 1) - tiles.first(tile0);
    const int64_t c0 = channel_part * read / channel_parts, channels = (channel_part + 1) * read / channel_parts - c0;
    const int64_t row = ceil_div(channels, L) * L, rows = channels + kMaxConvTileRows, most = blocks.max_pixels();

    const int64_t sums_point = rows * vectors * L + kLine, point = most * row + kLine, panel_point = most * vectors * L + kLine;
    float* const sums = static_cast<float*>(scratch(kSumsScratch, static_cast<size_t>(kPoints * sums_point) * 4));
    float* const transformed = static_cast<float*>(scratch(kTilesScratch, static_cast<size_t>(kPoints * point) * 4));
    float* const panels = static_cast<float*>(scratch(kPanelScratch, static_cast<size_t>(kPoints * panel_point) * 4));
    auto* const offsets = static_cast<int32_t*>(scratch(kOffsetScratch, static_cast<size_t>(rows + most) * 4));
    int32_t* const steps = offsets + rows;
    for (int64_t i = 0; i < rows; ++i) offsets[i] = static_cast<int32_t>(i < channels ? i : channels - 1);
    for (int64_t i = 0; i < most; ++i) steps[i] = static_cast<int32_t>(i * row);

    const int64_t first = part * blocks.count() / a.parts, last = (part + 1) * blocks.count() / a.parts;
    for (int64_t i = first; i < last; ++i) {
      const ConvBlock block = blocks.at(i);
      const int64_t count = block.pixels(), columns = block.columns * M, source_columns = columns + 2;
      float* const window =
          static_cast<float*>(scratch(kWindowScratch, static_cast<size_t>((block.rows * M + 2) * source_columns + 1) * L * 4));
      for (int64_t n = 0; n < block.images; ++n) {
        for (int64_t c = 0; c < channels; c += L) {
          pack_window(x, block.image + n, group * read + c0 + c, clamped(channels - c, 0, L), block.row * M + h.min_offset(),
                      block.rows * M + 2, block.column * M + w.min_offset(), source_columns, window);
          for_tiles<M>(block, source_columns, n, [&](int64_t tile, int64_t place) {
            const float* const from = window + place;
            float* const to = transformed + tile * row + c;
            transform_square<WinogradSource<M>, vf32>(
                [&](int r, int s) __attribute__((always_inline)) { return load<vf32>(from + (r * source_columns + s) * L); },
                [&](int r, int s, vf32 v) __attribute__((always_inline)) { store<vf32>(to + (r * (M + 2) + s) * point, v); });
          });
        }
        float* tile_panels = panels;
        for (int t = tile0; t < tile1; ++t) {
          const int width = tiles.width(t);
          for (int v = 0; v < width; ++v) {
            const int64_t channel = (tiles.first(t) + v) * L;
            pack_window(dy, block.image + n, group * written + channel, clamped(written - channel, 0, L), block.row * M,
                        block.rows * M, block.column * M, columns, window);
            for_tiles<M>(block, columns, n, [&](int64_t tile, int64_t place) {
              const float* const from = window + place;
              float* const to = tile_panels + (tile * width + v) * L;
              transform_square<WinogradGradient<M>, vf32>(
                  [&](int r, int s) __attribute__((always_inline)) { return load<vf32>(from + (r * columns + s) * L); },
                  [&](int r, int s, vf32 g)
                      __attribute__((always_inline)) { store<vf32>(to + (r * (M + 2) + s) * panel_point, g); });
            });
          }
          tile_panels += most * width * L;
        }
      }
      for (int64_t p = 0; p < kPoints; ++p) {
        float* to = sums + p * sums_point;
        const float* panel = panels + p * panel_point;
        for (int t = tile0; t < tile1; ++t) {
          const int width = tiles.width(t);
          const RowTiles row_tiles(channels, width);
          ConvTile<float> tile;
          conv_tile(row_tiles.height, width, &tile);
          for (int64_t r = 0; r < row_tiles.count * row_tiles.height; r += row_tiles.height)
            tile(transformed + p * point, offsets + r, steps, count, panel, to + r * width * L, i > first);
          to += rows * width * L;
          panel += most * width * L;
        }
      }
    }

    const float* tile_sums = sums;
    float* const out = static_cast<float*>(a.partial_sums) + part * part_size + (group * read + c0) * kTaps * out_row;
    for (int t = tile0; t < tile1; ++t) {
      const int width = tiles.width(t);
      for (int64_t c = 0; c < channels; ++c)
        for (int v = 0; v < width; ++v) {
          const float* const from = tile_sums + (c * width + v) * L;
          float* const to = out + c * kTaps * out_row + (tiles.first(t) + v) * L;
          transform_square<WinogradKernelGradient<M>, vf32>(
              [&](int r, int s) __attribute__((always_inline)) { return load<vf32>(from + (r * (M + 2) + s) * sums_point); },
              [&](int r, int s, vf32 g) __attribute__((always_inline)) { store<vf32>(to + (r * 3 + s) * out_row, g); });
        }
      tile_sums += rows * width * L;
    }
  });
}

}  // namespace

void conv_weight_winograd(const ConvWeightArgs& a) { a.winograd == 4 ? run<4>(a) : run<2>(a); }

}  // namespace FASTDL_CPU_NAMESPACE
