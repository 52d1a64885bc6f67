// Batch normalization: y = (x - mean) * rstd * weight + bias, per channel.
#pragma once
#include "core/view.h"

namespace fastdl {

// x is (N, C, S), contiguous: planes of S numbers; with S = 1, rows of C channels (channels-last images, vectors).
struct BatchNormShape {
  int64_t batch, channels, plane;
  FASTDL_INLINE int64_t count() const { return batch * plane; }  // numbers per channel
};

// Partial sums of a channel: the batch is cut into so many parts (rows: kRowsPerPart each), added in order.
struct BatchNormParts {
  static constexpr int64_t kRowsPerPart = 256, kChannelsWanted = 16;
  static FASTDL_INLINE int64_t count(const BatchNormShape& s) {
    if (s.plane == 1) {
      const int64_t parts = (s.batch + kRowsPerPart - 1) / kRowsPerPart;
      return parts < 1 ? 1 : parts < 64 ? parts : 64;
    }
    const int64_t parts = (kChannelsWanted + s.channels - 1) / (s.channels > 0 ? s.channels : 1);
    return parts < s.batch ? parts : s.batch > 0 ? s.batch : 1;
  }
};

struct BatchNormArgs {
  void* x;
  void* y;
  DType dtype;
  BatchNormShape shape;
  View weight, bias;                // (C), floating; data null: 1 and 0
  View running_mean, running_var;   // (C), floating; data null: none. Read in evaluation, updated in training
  bool training;
  double momentum, eps;
  double* mean;                     // (C), written: what was subtracted
  double* rstd;                     // (C), written
  double* partial;                  // workspace: parts x C x 2
};

struct BatchNormBackwardArgs {
  const void* x;
  const void* grad_y;
  void* grad_x;                     // written; null: not wanted
  DType dtype;
  BatchNormShape shape;
  View weight;                      // data null: 1
  const double* mean;
  const double* rstd;
  bool training;                    // mean and rstd depend on x
  View grad_weight, grad_bias;      // written; data null: not wanted
  double* partial;                  // workspace: parts x C x 2
};

}  // namespace fastdl
