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
  void* panels;  // workspace: groups x conv_panel_channels(channels written per group) x channels read per group x KH KW
};

struct ConvWeightArgs {
  View input;
  View grad_output;
  View grad_weight;  // written
  ConvGeometry geometry;
  int64_t parts;  // the images are split in as many parts, whose sums are added in order
  void* partial_sums;  // workspace: parts x groups x conv_panel_channels(O / groups) x C / groups x KH KW
};

}  // namespace fastdl
