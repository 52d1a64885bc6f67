// Matrix products for the kernels of one instruction set: C = activation(alpha * A B + beta * addend), C of M x N.
//
// Both operands are described alike, as vectors along K: A has M of them (its rows), B has N (its columns). An operand is
// strided memory (any strides: all transpositions, any view), a function that writes panels (implicit im2col), or panels
// packed beforehand (weights used many times). All work is split by M, N and K alone: results are the same bits at any
// number of threads. Uses the scratch slots kGemmScratch .. kGemmScratch + 2 of the calling thread.
//
//   Gemm<float> g{m, n, k};
//   g.a = strided(a, lda, 1);        // A row-major
//   g.b = strided(w, ldw, 1);        // B = W^T with W (N, K) row-major: column j of B is row j of W
//   g.c = c; g.c_stride = n;
//   gemm(g);
#pragma once
#include "core/parallel.h"
#include "cpu/simd/vec.h"
#include "kernels/activation.h"

namespace FASTDL_CPU_NAMESPACE {

constexpr int kGemmScratch = 0;

// Panel of an operand: out[k * width + i] = element k0 + k of vector first + i for i < count, zero for the other i < width.
template <class T>
using PackPanel = void (*)(const void* source, int64_t first, int count, int64_t k0, int64_t k_count, int width, T* out);

template <class T> struct GemmOperand {
  const void* data = nullptr;  // elements, or the source handed to `pack`, or the packed panels
  int64_t stride = 0;         // from vector to vector, in elements
  int64_t k_stride = 0;       // along K
  DType dtype = dtype_of<T>;  // T, or float16 and bfloat16 where T is float
  PackPanel<T> pack = nullptr;
  bool packed = false;        // data comes from pack_rows (for A) or pack_columns (for B) with the same M or N, and K
};

template <class T> FASTDL_INLINE GemmOperand<T> strided(const T* data, int64_t stride, int64_t k_stride) {
  return {data, stride, k_stride};
}
template <class T> FASTDL_INLINE GemmOperand<T> strided(const void* data, int64_t stride, int64_t k_stride, DType dtype) {
  return {data, stride, k_stride, dtype};
}
template <class T> FASTDL_INLINE GemmOperand<T> from_panels(const void* source, PackPanel<T> pack) {
  return {source, 0, 0, dtype_of<T>, pack};
}
template <class T> FASTDL_INLINE GemmOperand<T> prepacked(const T* panels) {
  return {panels, 0, 0, dtype_of<T>, nullptr, true};
}

template <class T> struct Gemm {
  int64_t m, n, k;
  GemmOperand<T> a = {}, b = {};
  void* c = nullptr;
  int64_t c_stride = 0;           // between rows; columns are adjacent
  DType c_dtype = dtype_of<T>;    // T, or float16 and bfloat16 where T is float (sums are kept in float32)
  T alpha = 1;
  const void* addend = nullptr;   // of C's dtype; may be C itself (accumulate). Null: none
  int64_t addend_row_stride = 0;  // (0, 1) adds a bias to each column, (1, 0) to each row
  int64_t addend_col_stride = 1;  // 0 or 1
  T beta = 1;
  Activation activation = Activation::none;
};

// K = 0 gives activation(beta * addend).
void gemm(const Gemm<float>& g);
void gemm(const Gemm<double>& g);

// Elements of packed operands, and packing them; the panels may be used by several threads at once.
int64_t packed_rows_size(int64_t m, int64_t k, float);
int64_t packed_rows_size(int64_t m, int64_t k, double);
int64_t packed_columns_size(int64_t n, int64_t k, float);
int64_t packed_columns_size(int64_t n, int64_t k, double);
void pack_rows(const GemmOperand<float>& a, int64_t m, int64_t k, float* panels);
void pack_rows(const GemmOperand<double>& a, int64_t m, int64_t k, double* panels);
void pack_columns(const GemmOperand<float>& b, int64_t n, int64_t k, float* panels);
void pack_columns(const GemmOperand<double>& b, int64_t n, int64_t k, double* panels);

}  // namespace FASTDL_CPU_NAMESPACE
