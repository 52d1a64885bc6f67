// A linear layer with weights of 8 bits: rows of x are quantised into panels (quads of K side by side for the rows of a
// tile), tiles of 32-bit sums come from them and the packed weights, scales and bias are applied while a tile is in L1.
// 2 M N K operations; reads x twice, weights once for each task's rows, writes M K bytes and y. With vpdpbusd a step does
// four times the float32 tile's operations.
#include "cpu/kernels/level.h"
#include "cpu/simd/int8_quad.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int kRows = FASTDL_VECTOR_BYTES == 64 ? 12 : 4;
constexpr int kVectors = 2;  // of columns at a time
constexpr int64_t kColumns = kInt8Columns;
static_assert(kRows <= 16);  // what int8_workspace leaves for the last tile

// Heights of tiles; fewer rows are filled up.
FASTDL_INLINE int height(int64_t rows) { return rows > 8 ? kRows : rows > 4 ? 8 : rows > 2 ? 4 : static_cast<int>(rows); }

struct Range {
  float scale, inverse;
  int32_t zero;
};
Range range_of(const float* x, int64_t k) {
  vf32 low{}, high{};
  int64_t i = 0;
  const auto take = [&](vf32 v) {
    low = min<vf32>(v, low);
    high = max_nan<vf32>(v, high);
  };
  for (; i + kF32 <= k; i += kF32) take(load<vf32>(x + i));
  if (i < k) take(load_n<vf32>(x + i, k - i));
  float lowest = 0, highest = 0;
  for (int lane = 0; lane < kF32; ++lane) {
    lowest = min<float>(low[lane], lowest);
    highest = max_nan<float>(high[lane], highest);
  }
  constexpr float kSmallest = 0x1p-120f;  // its inverse is finite
  const float scale = highest / 255 - lowest / 255;
  if (!(scale <= 0x1p127f)) return {__builtin_nanf(""), 0, 0};
  if (scale < kSmallest) return {0, 0, 0};
  const float inverse = 1 / scale;
  return {scale, inverse, static_cast<int32_t>(__builtin_rintf(-lowest * inverse))};
}

// Row `row` of a panel of `rows` rows.
void quantise_row(const float* x, int64_t k, const Range& r, int rows, int row, uint8_t* panel) {
  const auto place = [&](int64_t at, vf32 v, int64_t n) {
    const vi32 q = to_int(round<kNearest>(v * r.inverse)) + r.zero;
    const vu8 bytes = __builtin_convertvector(q < 0 ? vi32{} : q > 255 ? vi32{} + 255 : q, vu8);
    uint32_t quads[kF32 / 4];
    __builtin_memcpy(quads, &bytes, sizeof quads);
    for (int64_t i = 0; 4 * i < n; ++i) __builtin_memcpy(panel + ((at / 4 + i) * rows + row) * 4, &quads[i], 4);
  };
  int64_t at = 0;
  for (; at + kF32 <= k; at += kF32) place(at, load<vf32>(x + at), kF32);
  if (at < k) place(at, load_n<vf32>(x + at, k - at), k - at);
}

// sums (H, 32) = panels of x and weights over all quads.
template <bool kDot, int H> void tile(int64_t quads, const uint8_t* x, const int8_t* weight, int32_t* sums) {
  for (int64_t column = 0; column < kColumns; column += kVectors * kF32) {
    vi32 acc[H][kVectors] = {};
    const uint8_t* a = x;
    const int8_t* b = weight + column * 4;
    for (int64_t q = 0; q < quads; ++q, a += H * 4, b += kColumns * 4) {
      Quads<kDot> w[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) w[v] = signed_quads<kDot>(b + v * kF32 * 4);
#pragma GCC unroll 16
      for (int i = 0; i < H; ++i) {
        const Quads<kDot> one = broadcast_unsigned_quad<kDot>(a + i * 4);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) add_dot<kDot>(acc[i][v], one, w[v]);
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < H; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) store<vi32>(sums + i * kColumns + column + v * kF32, acc[i][v]);
  }
}
using TileFn = void (*)(int64_t, const uint8_t*, const int8_t*, int32_t*);
template <bool kDot> TileFn tile_of_height(int rows) {
  switch (rows) {
    case 1: return tile<kDot, 1>;
    case 2: return tile<kDot, 2>;
#if FASTDL_VECTOR_BYTES == 64
    case 4: return tile<kDot, 4>;
    case 8: return tile<kDot, 8>;
#endif
    default: return tile<kDot, kRows>;
  }
}
TileFn choose_tile(int rows, [[maybe_unused]] bool dot) {
#if FASTDL_VECTOR_BYTES == 64
  if (dot) return tile_of_height<true>(rows);
#endif
  return tile_of_height<false>(rows);
}

void finish(const Int8LinearArgs& a, const int32_t* sums, int64_t row0, int64_t rows, int64_t column0) {
  for (int64_t column = column0; column < column0 + kColumns && column < a.columns; column += kF32) {
    const int64_t n = a.columns - column < kF32 ? a.columns - column : kF32;
    const auto take = [n]<class V>(const lane_t<V>* p, V) { return n == kF32 ? load<V>(p) : load_n<V>(p, n); };
    const vf32 scale = take(a.weight_scale + column, vf32{}), bias = a.bias ? take(a.bias + column, vf32{}) : vf32{};
    const vi32 weight_sum = take(a.weight_sum + column, vi32{});
    for (int64_t i = 0; i < rows; ++i) {
      const vi32 sum = load<vi32>(sums + i * kColumns + column - column0) - weight_sum * a.zero[row0 + i];
      const vf32 y = to_float(sum) * (scale * a.scale[row0 + i]) + bias;
      float* const to = a.y + (row0 + i) * a.columns + column;
      if (n == kF32) store<vf32>(to, y);
      else store_n<vf32>(to, y, n);
    }
  }
}

}  // namespace

void linear_int8(const Context&, const Int8LinearArgs& a) {
  const int64_t quads = int8_quads(a.k), tiles = (a.rows + kRows - 1) / kRows, panels = int8_panels(a.columns);
  const auto rows_of = [&](int64_t t) { return a.rows - t * kRows < kRows ? a.rows - t * kRows : kRows; };
  const auto panel_of = [&](int64_t t) { return a.quantized + t * kRows * quads * kInt8Quad; };
  parallel_for(tiles, grain_for(kRows * a.k * int64_t{sizeof(float)}), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int rows = height(rows_of(t));
      for (int i = 0; i < rows; ++i) {
        const int64_t row = t * kRows + (i < rows_of(t) ? i : 0);  // whatever fills up is not written
        const Range r = range_of(a.x + row * a.k, a.k);
        quantise_row(a.x + row * a.k, a.k, r, rows, i, panel_of(t));
        a.scale[row] = r.scale;
        a.zero[row] = r.zero;
      }
    }
  });

  // A task takes up to 8 x 8 tiles, fewer where that makes too few tasks. A tile costs about as much as reading its weights.
  const int64_t tile_bytes = quads * kColumns * kInt8Quad;
  int64_t task_rows = tiles < 8 ? tiles : 8, task_panels = panels < 8 ? panels : 8;
  const auto parts = [](int64_t n, int64_t size) { return (n + size - 1) / size; };
  while (parts(tiles, task_rows) * parts(panels, task_panels) < 16 && task_rows * task_panels * tile_bytes > 2 * kGrainBytes) {
    if (task_rows * kRows > task_panels * kColumns) task_rows = parts(task_rows, 2);
    else if (task_panels > 1) task_panels = parts(task_panels, 2);
    else break;
  }
  const bool dot = has_int8_dot();
  const int64_t across = parts(panels, task_panels), down = parts(tiles, task_rows);
  const auto run_task = [&](int64_t task) {
    alignas(64) int32_t sums[kRows * kColumns];
    const int64_t t0 = task / across * task_rows, p0 = task % across * task_panels;
    for (int64_t p = p0; p < p0 + task_panels && p < panels; ++p)
      for (int64_t t = t0; t < t0 + task_rows && t < tiles; ++t) {
        choose_tile(height(rows_of(t)), dot)(quads, panel_of(t), a.weight + p * tile_bytes, sums);
        finish(a, sums, t * kRows, rows_of(t), p * kColumns);
      }
  };
  if (tiles * panels * tile_bytes < 2 * kGrainBytes)
    for (int64_t task = 0; task < down * across; ++task) run_task(task);
  else parallel_tasks(down * across, run_task);
}

}  // namespace FASTDL_CPU_NAMESPACE
