// Linear layers with weights of 8 bits.
#pragma once
#include <cstdint>

#include "core/macros.h"

namespace fastdl {

// Weights are packed once, for every backend alike: panels of 32 outputs, and in a panel quads of four steps of K, so that
// weight (n, k) lies at [n / 32][k / 4][n % 32][k % 4]; zeros fill up the last panel and the last quad.
constexpr int64_t kInt8Columns = 32, kInt8Quad = 4;
constexpr int64_t kInt8MaxK = 1 << 16;  // the most for which 255 * 127 * K fits 32 bits

// Each row of x is quantised on its own, to 8 bits from its minimum to its maximum (both widened to hold 0):
//   scale = max / 255 - min / 255,   zero = round(-min / scale),   q = clamp(round(x / scale) + zero, 0, 255)
//   y[i][j] = scale_i weight_scale_j (sum over k of q_ik w_jk - zero_i weight_sum_j) + bias_j
// The sums are exact, the same integers on every device. Rows that hold NaN or an infinity become NaN.
struct Int8LinearArgs {
  const float* x;  // (rows, k)
  const int8_t* weight;
  const float* weight_scale;   // (columns)
  const int32_t* weight_sum;   // (columns), over k
  const float* bias;           // (columns) or null
  float* y;                    // (rows, columns)
  uint8_t* quantized;          // workspace of int8_workspace(rows, k) bytes; its order is the backend's own
  float* scale;                // (rows), of x
  int32_t* zero;               // (rows)
  int64_t rows, columns, k;
};

constexpr int64_t int8_quads(int64_t k) { return (k + kInt8Quad - 1) / kInt8Quad; }
constexpr int64_t int8_panels(int64_t columns) { return (columns + kInt8Columns - 1) / kInt8Columns; }
constexpr int64_t int8_workspace(int64_t rows, int64_t k) { return (rows + 16) * int8_quads(k) * kInt8Quad; }

}  // namespace fastdl
