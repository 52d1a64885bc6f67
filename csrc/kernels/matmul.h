// Matrix products.
#pragma once
#include "core/view.h"
#include "kernels/activation.h"

namespace fastdl {

// c = activation(alpha * a b + beta * addend) for every matrix of the batch: a (..., M, K), b (..., K, N), c (..., M, N),
// all of the same number of dimensions and the same dtype. Any strides for a and b; 0 where a batch is broadcast. c has
// adjacent columns or adjacent rows, and no part in common with the operands.
struct MatmulArgs {
  View a, b, c;
  View addend;  // c's shape and dtype, 0 or c's stride along c's adjacent dimension; data null: none
  double alpha = 1, beta = 1;
  Activation activation = Activation::none;  // none for integers
  bool tf32 = false;  // float32 products may be rounded to TF32, on devices that are faster for it
};

}  // namespace fastdl
