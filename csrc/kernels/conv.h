// Two-dimensional convolution (cross-correlation) with groups, and its two gradients.
//   y[n, o, i, j] = bias[o] + sum over c, p, q of w[o, c, p, q] x[n, g C/groups + c, i sh - ph + p dh, j sw - pw + q dw]
// with g the group of o, and x zero outside. 2 N O OH OW (C / groups) KH KW FLOP each.
#pragma once
#include "core/view.h"

namespace fastdl {

struct ConvGeometry {
  int64_t stride[2], padding[2], dilation[2];
  int64_t groups;
};

// float32 or float64 panels of the weight: destination channels are rounded up to a vector.
FASTDL_INLINE constexpr int64_t conv_panel_channels(int64_t channels) { return (channels + 15) / 16 * 16; }

// conv2d_forward: output from input. conv2d_backward_input: input (written) from output (its gradient).
struct ConvArgs {
  View input;   // (N, C, H, W)
  View weight;  // (O, C / groups, KH, KW)
  View bias;    // a number per channel of what is written; data null: none
  View output;  // (N, O, OH, OW)
  ConvGeometry geometry;
  void* panels;      // workspace: groups x conv_panel_channels(channels written per group) x channels read per group x
                     // conv_panel_points
  int64_t winograd;  // on the CPU, stride 1, 3 x 3 taps: the size M of the tiles of Winograd's algorithm, 2 or 4; else 0
  bool tf32 = false;  // float32 products may be rounded to TF32, on devices that are faster for it
};
// Numbers of a weight for each pair of channels: its taps, or the points at which Winograd's tiles are multiplied.
FASTDL_INLINE constexpr int64_t conv_panel_points(int64_t kernel_height, int64_t kernel_width, int64_t winograd) {
  return winograd ? (winograd + 2) * (winograd + 2) : kernel_height * kernel_width;
}

struct ConvWeightArgs {
  View input;
  View grad_output;
  View grad_weight;  // written
  ConvGeometry geometry;
  int64_t parts;  // the images are split in as many parts, whose sums are added in order
  void* partial_sums;  // workspace: parts x groups x conv_panel_channels(O / groups) x C / groups x KH KW
  int64_t winograd;    // as above
  bool tf32 = false;
};

// --- which source element each tap reads, for the forward pass and for its transpose ---

// One dimension of a pass. Element number t of `count` is written to first + t * step, and reads the source at
// t * stride + offset(j) with tap(j) of the weight.
struct ConvAxis {
  int64_t source_size;
  int64_t count, first, step;
  int64_t stride;
  int64_t taps, tap_first, tap_step;
  int64_t offset_first, offset_step;

  FASTDL_INLINE int64_t tap(int64_t j) const { return tap_first + j * tap_step; }
  FASTDL_INLINE int64_t offset(int64_t j) const { return offset_first + j * offset_step; }
  FASTDL_INLINE int64_t min_offset() const { return offset_step < 0 ? offset(taps - 1) : offset_first; }
  // Source elements under n neighbouring ones.
  FASTDL_INLINE int64_t window(int64_t n) const {
    const int64_t spread = (taps - 1) * offset_step;
    return (n - 1) * stride + (spread < 0 ? -spread : spread) + 1;
  }
};

FASTDL_INLINE ConvAxis forward_axis(const ConvArgs& a, int d) {
  const ConvGeometry& g = a.geometry;
  return {a.input.shape[2 + d], a.output.shape[2 + d], 0, 1, g.stride[d], a.weight.shape[2 + d], 0, 1,
          -g.padding[d],        g.dilation[d]};
}

// The gradient of the input reads the gradient of the output: input i gets from output o through tap k where
// o * stride - padding + k * dilation = i. Inputs of one phase, i = phase (mod stride), share their taps, every
// stride / gcd(stride, dilation)-th one, and are again a convolution, of stride 1.
FASTDL_INLINE ConvAxis transposed_axis(const ConvArgs& a, int d, int64_t phase) {
  const ConvGeometry& g = a.geometry;
  const int64_t s = g.stride[d], dilation = g.dilation[d], size = a.input.shape[2 + d], kernel = a.weight.shape[2 + d];
  int64_t gcd = s;
  for (int64_t r = dilation; r != 0;) {
    const int64_t next = gcd % r;
    gcd = r;
    r = next;
  }
  const int64_t tap_step = s / gcd;
  ConvAxis axis{a.output.shape[2 + d], phase < size ? (size - phase + s - 1) / s : 0, phase, s, 1, 0, 0, tap_step, 0,
                -(dilation / gcd)};
  for (int64_t k = 0; k < tap_step && k < kernel; ++k) {
    const int64_t o = phase + g.padding[d] - k * dilation;
    if (o % s != 0) continue;
    axis.taps = (kernel - k + tap_step - 1) / tap_step;
    axis.tap_first = k;
    axis.offset_first = o / s;
    break;
  }
  return axis;
}

}  // namespace fastdl
