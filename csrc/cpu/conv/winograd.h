// Winograd's convolution of 3 x 3 taps: a tile of M x M outputs reads (M + 2) x (M + 2) of the source. Seen as polynomials,
// a row of outputs is determined by the products at M + 2 points, so that the tile costs (M + 2)^2 multiplications instead
// of 9 M^2, 2.25 times fewer for M = 2 and 4 times for M = 4. With source d, kernel g and output y, in one dimension,
//   y = A^T ((G g) * (B^T d))        and its adjoint        dg = G^T ((A dy) * (B^T d)),
// in two dimensions each along rows and columns. The points are 0, 1, -1 and infinity for M = 2; for M = 4 they are 0,
// +-sqrt(1/2), +-sqrt(2) and infinity, whose powers stay closer to one than those of the usual 0, +-1, +-2: a quarter of
// the rounding error.
// (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016; Alam et al., "Winograd convolution for deep
//  neural networks: efficient point selection", 2022.)
#pragma once
#include "cpu/conv/geometry.h"
#include "cpu/conv/pack.h"

namespace FASTDL_CPU_NAMESPACE {

// Float32 passes and gradients for which args.winograd is the size M.
void conv_winograd(const ConvPass& pass);
void conv_weight_winograd(const ConvWeightArgs& a);  // fills the partial sums

namespace {

// The matrices, applied to a row: Source B^T, Kernel G, Output A^T, and for the gradient of the kernel A and G^T.
template <int M> struct WinogradSource;
template <int M> struct WinogradKernel;
template <int M> struct WinogradOutput;
template <int M> struct WinogradGradient;
template <int M> struct WinogradKernelGradient;

template <> struct WinogradSource<2> {
  static constexpr int kIn = 4, kOut = 4;
  template <class V> static FASTDL_INLINE void apply(const V (&d)[4], V (&v)[4]) {
    v[0] = d[0] - d[2];
    v[1] = d[2] + d[1];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
};
template <> struct WinogradKernel<2> {
  static constexpr int kIn = 3, kOut = 4;
  template <class V> static FASTDL_INLINE void apply(const V (&g)[3], V (&u)[4]) {
    const V even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = g[2];
  }
};
template <> struct WinogradOutput<2> {
  static constexpr int kIn = 4, kOut = 2;
  template <class V> static FASTDL_INLINE void apply(const V (&m)[4], V (&y)[2]) {
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = m[3] + (m[1] - m[2]);
  }
};
template <> struct WinogradGradient<2> {
  static constexpr int kIn = 2, kOut = 4;
  template <class V> static FASTDL_INLINE void apply(const V (&y)[2], V (&z)[4]) {
    z[0] = y[0];
    z[1] = y[0] + y[1];
    z[2] = y[0] - y[1];
    z[3] = y[1];
  }
};
template <> struct WinogradKernelGradient<2> {
  static constexpr int kIn = 4, kOut = 3;
  template <class V> static FASTDL_INLINE void apply(const V (&u)[4], V (&g)[3]) {
    const V sum = 0.5f * (u[1] + u[2]);
    g[0] = u[0] + sum;
    g[1] = 0.5f * (u[1] - u[2]);
    g[2] = u[3] + sum;
  }
};

constexpr float kNear = 0.70710678118654752f, kFar = 1.41421356237309505f;  // the points; their product is 1

template <> struct WinogradSource<4> {
  static constexpr int kIn = 6, kOut = 6;
  template <class V> static FASTDL_INLINE void apply(const V (&d)[6], V (&v)[6]) {
    const V near_even = d[4] - 2.0f * d[2], near_odd = kNear * (d[3] - 2.0f * d[1]);
    const V far_even = d[4] - 0.5f * d[2], far_odd = kFar * (d[3] - 0.5f * d[1]);
    v[0] = (d[0] + d[4]) - 2.5f * d[2];
    v[1] = near_even + near_odd;
    v[2] = near_even - near_odd;
    v[3] = far_even + far_odd;
    v[4] = far_even - far_odd;
    v[5] = (d[1] + d[5]) - 2.5f * d[3];
  }
};
template <> struct WinogradKernel<4> {
  static constexpr int kIn = 3, kOut = 6;
  template <class V> static FASTDL_INLINE void apply(const V (&g)[3], V (&u)[6]) {
    const V near_even = (-2.0f / 3) * g[0] - (1.0f / 3) * g[2], near_odd = (-2.0f / 3 * kNear) * g[1];
    const V far_even = (1.0f / 6) * g[0] + (1.0f / 3) * g[2], far_odd = (1.0f / 6 * kFar) * g[1];
    u[0] = g[0];
    u[1] = near_even + near_odd;
    u[2] = near_even - near_odd;
    u[3] = far_even + far_odd;
    u[4] = far_even - far_odd;
    u[5] = g[2];
  }
};
template <> struct WinogradOutput<4> {
  static constexpr int kIn = 6, kOut = 4;
  template <class V> static FASTDL_INLINE void apply(const V (&m)[6], V (&y)[4]) {
    const V near_even = m[1] + m[2], near_odd = m[1] - m[2], far_even = m[3] + m[4], far_odd = m[3] - m[4];
    y[0] = m[0] + (near_even + far_even);
    y[1] = kNear * near_odd + kFar * far_odd;
    y[2] = 0.5f * near_even + 2.0f * far_even;
    y[3] = m[5] + ((0.5f * kNear) * near_odd + (2.0f * kFar) * far_odd);
  }
};
template <> struct WinogradGradient<4> {
  static constexpr int kIn = 4, kOut = 6;
  template <class V> static FASTDL_INLINE void apply(const V (&y)[4], V (&z)[6]) {
    const V near_even = y[0] + 0.5f * y[2], near_odd = kNear * (y[1] + 0.5f * y[3]);
    const V far_even = y[0] + 2.0f * y[2], far_odd = kFar * (y[1] + 2.0f * y[3]);
    z[0] = y[0];
    z[1] = near_even + near_odd;
    z[2] = near_even - near_odd;
    z[3] = far_even + far_odd;
    z[4] = far_even - far_odd;
    z[5] = y[3];
  }
};
template <> struct WinogradKernelGradient<4> {
  static constexpr int kIn = 6, kOut = 3;
  template <class V> static FASTDL_INLINE void apply(const V (&u)[6], V (&g)[3]) {
    const V near_even = u[1] + u[2], near_odd = u[1] - u[2], far_even = u[3] + u[4], far_odd = u[3] - u[4];
    g[0] = u[0] + ((1.0f / 6) * far_even - (2.0f / 3) * near_even);
    g[1] = (1.0f / 6 * kFar) * far_odd - (2.0f / 3 * kNear) * near_odd;
    g[2] = u[5] + (1.0f / 3) * (far_even - near_even);
  }
};

// store(i, j, x) of the transform of load(i, j), along both dimensions.
template <class Step, class V, class Load, class Store>
FASTDL_INLINE void transform_square(const Load& load, const Store& store) {
  constexpr int kIn = Step::kIn, kOut = Step::kOut;
  V half[kOut][kIn];
#pragma GCC unroll 6
  for (int j = 0; j < kIn; ++j) {
    V column[kIn], out[kOut];
#pragma GCC unroll 6
    for (int i = 0; i < kIn; ++i) column[i] = load(i, j);
    Step::apply(column, out);
#pragma GCC unroll 6
    for (int i = 0; i < kOut; ++i) half[i][j] = out[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < kOut; ++i) {
    V out[kOut];
    Step::apply(half[i], out);
#pragma GCC unroll 6
    for (int j = 0; j < kOut; ++j) store(i, j, out[j]);
  }
}

// Tiles that a task transforms at a time, and channels that it reads: its transformed tiles stay in L2.
constexpr int64_t kWinogradTiles = 64, kWinogradChannels = 64;
constexpr int64_t kLine = 16;  // floats between what would otherwise fall into one set of the first-level cache

// A window of the image for one vector of channels, a vector a pixel, zero outside.
FASTDL_INLINE void pack_window(const View& x, int64_t image, int64_t channel, int64_t channels, int64_t row0, int64_t rows,
                               int64_t column0, int64_t columns, float* out) {
  constexpr int L = kF32;
  const int64_t begin = clamped(-column0, 0, columns), end = clamped(x.shape[3] - column0, begin, columns);
  const int64_t top = clamped(-row0, 0, rows), bottom = clamped(x.shape[2] - row0, top, rows);
  const auto pack = [&](int64_t r, int64_t count) {
    const ConvBlock inside{image, 1, row0 + r, count, column0 + begin, end - begin};
    pack_pixels<float, float>(x, inside, channel, channels, 1, out + (r * columns + begin) * L);
  };
  fill_zero(out, top * columns * L);
  if (end - begin == columns) {
    pack(top, bottom - top);
  } else {
    for (int64_t r = top; r < bottom; ++r) {
      float* const line = out + r * columns * L;
      fill_zero(line, begin * L);
      if (end > begin) pack(r, 1);
      fill_zero(line + end * L, (columns - end) * L);
    }
  }
  fill_zero(out + bottom * columns * L, (rows - bottom) * columns * L);
}

// f(tile number, place in the window of the tile's image, image) for the tiles of a block, M pixels apart in windows of
// `columns` columns.
template <int M, class F> FASTDL_INLINE void for_tiles(const ConvBlock& b, int64_t columns, int64_t image, const F& f) {
  int64_t i = image * b.rows * b.columns;
  for (int64_t r = 0; r < b.rows; ++r)
    for (int64_t c = 0; c < b.columns; ++c) f(i++, (r * columns + c) * M * kF32);
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
