// A linear layer with weights of 8 bits: a block a row finds the row's range and quantises it; then tiles of 32 x 32 outputs
// are summed from quads in shared memory, two rows and two columns a thread. The integers are those of the CPU.
// 2 M N K operations; reads x twice, the weights once for every 32 rows.
#include "cuda/device/launch.h"
#include "cuda/device/reduce.h"
#include "kernels/int8.h"

namespace fastdl::cuda {
namespace {

constexpr int kBlock = 256, kTile = 32, kQuadsAtOnce = 16;
static_assert(kTile == kInt8Columns);

struct RangeShared {
  float parts[kBlock / 32];
};
struct TileShared {
  uint32_t x[kTile][kQuadsAtOnce + 1], weight[kTile][kQuadsAtOnce + 1];
};

// --- device functions ---

// Four unsigned by four signed bytes.
__device__ __forceinline__ int32_t dot_quads(uint32_t x, uint32_t w) {
  int32_t sum = 0;
#pragma unroll
  for (int i = 0; i < 32; i += 8) sum += static_cast<int32_t>(x >> i & 255) * static_cast<int8_t>(w >> i & 255);
  return sum;
}

// --- kernels ---

__global__ void quantise_rows(const float* __restrict__ x, uint32_t* __restrict__ quantized, float* __restrict__ scales,
                              int32_t* __restrict__ zeros, int64_t k, int64_t quads) {
  FASTDL_SHARED(RangeShared, shared);
  x += blockIdx.x * k, quantized += blockIdx.x * quads;
  float low = 0, high = 0;
  for (int64_t i = threadIdx.x; i < k; i += kBlock) low = Min{}(low, x[i]), high = Max{}(high, x[i]);
  low = block_reduce(low, Min{}, 0.0f, shared.parts);
  high = block_reduce(high, Max{}, 0.0f, shared.parts);
  float scale = high / 255 - low / 255, inverse = 0;
  int32_t zero = 0;
  if (!(scale <= 0x1p127f)) {
    scale = NAN;
  } else if (scale < 0x1p-120f) {
    scale = 0;
  } else {
    inverse = 1 / scale;
    zero = static_cast<int32_t>(rint(-low * inverse));
  }
  if (threadIdx.x == 0) scales[blockIdx.x] = scale, zeros[blockIdx.x] = zero;
  for (int64_t q = threadIdx.x; q < quads; q += kBlock) {
    uint32_t quad = 0;
    for (int64_t i = 4 * q; i < 4 * q + 4 && i < k; ++i) {
      const float steps = rint(x[i] * inverse);
      const int32_t v = (steps == steps ? static_cast<int32_t>(fmin(fmax(steps, -256.0f), 256.0f)) : 0) + zero;
      quad |= static_cast<uint32_t>(v < 0 ? 0 : v > 255 ? 255 : v) << 8 * (i % 4);
    }
    quantized[q] = quad;
  }
}

__global__ void int8_tiles(const uint32_t* __restrict__ x, const uint32_t* __restrict__ weight,
                           const float* __restrict__ scales, const int32_t* __restrict__ zeros,
                           const float* __restrict__ weight_scale, const int32_t* __restrict__ weight_sum,
                           const float* __restrict__ bias, float* __restrict__ y, int64_t rows, int64_t columns,
                           int64_t quads) {
  FASTDL_SHARED(TileShared, shared);
  const int64_t row0 = int64_t{blockIdx.x} * kTile, column0 = int64_t{blockIdx.y} * kTile;
  weight += column0 * quads;
  const int across = threadIdx.x % 16, down = threadIdx.x / 16;
  int32_t sums[2][2] = {};
  for (int64_t q0 = 0; q0 < quads; q0 += kQuadsAtOnce) {
    for (int i = threadIdx.x; i < kTile * kQuadsAtOnce; i += kBlock) {
      const int row = i / kQuadsAtOnce, q = i % kQuadsAtOnce, column = i % kTile, step = i / kTile;
      shared.x[row][q] = row0 + row < rows && q0 + q < quads ? x[(row0 + row) * quads + q0 + q] : 0;
      shared.weight[column][step] = q0 + step < quads ? weight[(q0 + step) * kTile + column] : 0;
    }
    __syncthreads();
    for (int q = 0; q < kQuadsAtOnce; ++q)
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 2; ++j) sums[i][j] += dot_quads(shared.x[down + 16 * i][q], shared.weight[across + 16 * j][q]);
    __syncthreads();
  }
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j) {
      const int64_t row = row0 + down + 16 * i, column = column0 + across + 16 * j;
      if (row >= rows || column >= columns) continue;
      const int32_t sum = sums[i][j] - weight_sum[column] * zeros[row];
      y[row * columns + column] = static_cast<float>(sum) * (weight_scale[column] * scales[row]) + (bias ? bias[column] : 0);
    }
}

}  // namespace

// --- launchers ---

void linear_int8(const Context& context, const Int8LinearArgs& a) {
  const int64_t quads = int8_quads(a.k);
  uint32_t* quantized = reinterpret_cast<uint32_t*>(a.quantized);
  launch(quantise_rows, {static_cast<unsigned>(a.rows), kBlock, sizeof(RangeShared)}, context, a.x, quantized, a.scale, a.zero,
         a.k, quads);
  const dim3 grid(static_cast<unsigned>((a.rows + kTile - 1) / kTile), static_cast<unsigned>(int8_panels(a.columns)));
  launch(int8_tiles, {grid, kBlock, sizeof(TileShared)}, context, quantized, reinterpret_cast<const uint32_t*>(a.weight),
         a.scale, a.zero, a.weight_scale, a.weight_sum, a.bias, a.y, a.rows, a.columns, quads);
}

}  // namespace fastdl::cuda
