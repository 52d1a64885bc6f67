// A batch of matrix products as kernels see it, and the ways to run them on tensor cores.
#pragma once
#include "cuda/gemm/operand.h"
#include "kernels/context.h"

namespace fastdl::cuda {

// The output's adjacent dimension is that of its columns.
template <class T> struct Product {
  MatrixBatch<T> a, b;
  MatrixOutputBatch<T> out;
  int64_t m, n, k;
  unsigned batch;
};

// kernels/matmul_mma.cu: any layout, any device from sm_80.
void multiply_mma(const Context& context, Product<bf16> p);
void multiply_mma(const Context& context, Product<f16> p);
void multiply_mma(const Context& context, Product<float> p);  // rounds operands to TF32

// kernels/matmul_hopper.cu: false, and nothing is done, on other devices than sm_90 and for layouts that the copy engine
// does not take.
bool multiply_hopper(const Context& context, const Product<bf16>& p);
bool multiply_hopper(const Context& context, const Product<f16>& p);

}  // namespace fastdl::cuda
