// Losses.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace fastdl {

enum class Reduction : uint8_t { none, mean, sum };

// Logits (outer, classes, inner), contiguous; a "position" is a pair (outer, inner). With w the class weights, e the
// smoothing and q[c] = w[c] ((1 - e) target[c] + e / classes), the target being one-hot for class indices:
//   loss = -sum over c of q[c] log p[c],   log p[c] = (x[c] - maximum) - log_sum
// The mean divides by the sum of w[label] over positions that are not ignored, or, with probabilities, by `outer * inner`.
struct CrossEntropyArgs {
  const void* input;
  const int64_t* labels;      // [positions], or null:
  const void* probabilities;  // like input
  const void* weight;         // [classes] in the type computed in, or null
  void* output;               // in the input's dtype: [positions], or one element
  void* maximum;              // [positions], in the type computed in: of a position's logits
  void* log_sum;              // the same: log of the sum of exp(logit - maximum)
  void* losses;               // [positions], in the type computed in
  double* divisor;            // one element: what the reduction divided by
  int64_t outer, classes, inner;
  int64_t ignore_index;
  double smoothing;
  DType dtype;
  Reduction reduction;
  bool normalized;            // the input holds log-probabilities: maximum and log_sum are 0 (nll_loss)
};

struct CrossEntropyBackwardArgs {
  CrossEntropyArgs forward;  // as it left the forward; output and losses are not read
  const void* grad;          // like the forward's output
  void* grad_input;
};

// position = the first index outside [0, limit) that is not ignore_index, or -1.
struct FindBadLabelArgs {
  const int64_t* labels;
  int64_t n, limit, ignore_index;
  int64_t* position;
};

// Losses of two equal-shaped inputs.
//   squared          (x - y)^2
//   absolute         |x - y|
//   smooth_absolute  d^2 / (2 beta) below beta, d - beta / 2 above, d = |x - y|  (beta > 0)
//   huber            d^2 / 2 below beta, beta (d - beta / 2) above
//   logistic         binary cross-entropy of logits x: (1 - y) x + (1 + (p - 1) y) softplus(-x), p = positive_weight
//   binary           -y log(x) - (1 - y) log(1 - x), logarithms not below -100
//   divergence       y (log(y) - x), 0 where y is 0 (kl_div);  log_divergence  e^y (y - x)
enum class PointwiseLoss : uint8_t { squared, absolute, smooth_absolute, huber, logistic, binary, divergence, log_divergence };

// All contiguous, n elements.
struct PointwiseLossArgs {
  const void* input;
  const void* target;
  const void* weight;           // or null; of the input's dtype
  const void* positive_weight;  // or null; logistic only
  void* output;                 // n elements, or one
  double* parts;                // [ceil(n / kLossPart)] when reducing
  int64_t n;
  double beta;
  double divisor;               // of a reduced loss
  DType dtype;
  PointwiseLoss kind;
  bool reduce;
};
constexpr int64_t kLossPart = 1 << 14;

struct PointwiseLossBackwardArgs {
  PointwiseLossArgs forward;  // output and parts are not read
  const void* grad;           // n elements, or one
  void* grad_input;
};

}  // namespace fastdl
