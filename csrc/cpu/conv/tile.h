// The register tile of all convolutions: sums[p][o] += sum over k of source[rows[p] + steps[k]] * panel[k][o].
//
// The source is a packed block of an image whose padding is there as zeros, so that each operand of the sum is one load:
// for the forward pass and the gradient of the input, rows are pixels, steps are (channel, tap), and the panel holds
// weights; for the gradient of the weight, rows are (channel, tap), steps are pixels, and the panel holds the gradient of
// the output. The im2col matrix is these two lists of offsets; it is never formed. 2 rows vectors lanes FLOP a step,
// against rows broadcasts and `vectors` loads.
#pragma once
#include "cpu/simd/convert.h"

namespace FASTDL_CPU_NAMESPACE {

// Rows of a tile of 1, 2 and 3 vectors: accumulators, a row of the panel and a broadcast fit into the registers.
#if FASTDL_VECTOR_BYTES == 64
constexpr int kConvTileRows[3] = {16, 12, 8};
#else
constexpr int kConvTileRows[3] = {12, 6, 4};
#endif
constexpr int kMaxConvTileRows = kConvTileRows[0];

// `sums` has a row of vectors * lanes elements for each of the tile's rows; without `accumulate` it is only written.
template <class T> using ConvTile = void (*)(const T* source, const int32_t* rows, const int32_t* steps, int64_t step_count,
                                             const T* panel, T* sums, bool accumulate);

void conv_tile(int rows, int vectors, ConvTile<float>* tile);
void conv_tile(int rows, int vectors, ConvTile<double>* tile);

// The vectors of `channels` channels in tiles of two, the first of three where the number is odd.
struct ChannelTiles {
  int vectors;
  FASTDL_INLINE ChannelTiles(int64_t channels, int lanes_) : vectors(static_cast<int>((channels + lanes_ - 1) / lanes_)) {}
  FASTDL_INLINE int count() const { return vectors <= 3 ? 1 : vectors / 2; }
  FASTDL_INLINE int first(int tile) const { return tile == 0 ? 0 : 2 * tile + vectors % 2; }  // vector
  FASTDL_INLINE int width(int tile) const { return vectors < 2 ? 1 : tile == 0 ? 2 + vectors % 2 : 2; }
};

// Rows in tiles of equal height; the last is filled up with repeated rows.
struct RowTiles {
  int64_t count;
  int height;
  FASTDL_INLINE RowTiles(int64_t rows, int vectors)
      : count((rows + kConvTileRows[vectors - 1] - 1) / kConvTileRows[vectors - 1]),
        height(static_cast<int>((rows + count - 1) / count)) {}
};

}  // namespace FASTDL_CPU_NAMESPACE
