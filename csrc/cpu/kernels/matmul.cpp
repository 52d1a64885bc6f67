// Batched matrix products of every dtype. Floating-point matrices go to gemm (see gemm.cpp); integers, which wrap around,
// to plain loops over rows of B. A large batch is split into matrices, a small one inside each matrix.
// 2 M N K operations a matrix.
#include "cpu/gemm/gemm.h"
#include "cpu/kernels/level.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

// One matrix of a batch.
struct Matrix {
  char* data;
  int64_t row_stride, col_stride;
};
Matrix matrix(const View& v, int64_t index) {
  int64_t offset = 0;
  for (int d = v.ndim - 3; d >= 0; --d) {
    offset += index % v.shape[d] * v.strides[d];
    index /= v.shape[d];
  }
  return {static_cast<char*>(v.data) + offset * size_of(v.dtype), v.strides[v.ndim - 2], v.strides[v.ndim - 1]};
}
void transpose(Matrix& x) {
  const int64_t stride = x.row_stride;
  x.row_stride = x.col_stride;
  x.col_stride = stride;
}

struct Product {
  int64_t m, n, k;
  Matrix a, b, c, addend;
};

template <class T> void multiply_floats(const MatmulArgs& args, const Product& p) {
  Gemm<T> g{p.m, p.n, p.k};
  g.a = strided<T>(static_cast<const void*>(p.a.data), p.a.row_stride, p.a.col_stride, args.a.dtype);
  g.b = strided<T>(static_cast<const void*>(p.b.data), p.b.col_stride, p.b.row_stride, args.b.dtype);
  g.c = p.c.data;
  g.c_stride = p.c.row_stride;
  g.c_dtype = args.c.dtype;
  g.alpha = static_cast<T>(args.alpha);
  g.beta = static_cast<T>(args.beta);
  g.addend = p.addend.data;
  g.addend_row_stride = p.addend.row_stride;
  g.addend_col_stride = p.addend.col_stride;
  g.activation = args.activation;
  gemm(g);
}

template <class T> void multiply_integers(const MatmulArgs& args, const Product& p) {
  constexpr int64_t kColumns = 1024;  // a piece of a row of C stays in L1
  const T* a = reinterpret_cast<const T*>(p.a.data);
  const T* b = reinterpret_cast<const T*>(p.b.data);
  const T alpha = static_cast<T>(static_cast<int64_t>(args.alpha)), beta = static_cast<T>(static_cast<int64_t>(args.beta));
  parallel_for(p.m, grain_for(p.n * p.k * int64_t{sizeof(T)}), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j0 = 0; j0 < p.n; j0 += kColumns) {
        const int64_t n = p.n - j0 < kColumns ? p.n - j0 : kColumns;
        T sums[kColumns] = {};
        for (int64_t q = 0; q < p.k; ++q) {
          const T x = a[i * p.a.row_stride + q * p.a.col_stride];
          const T* row = b + q * p.b.row_stride + j0 * p.b.col_stride;
          if (p.b.col_stride == 1)
            for (int64_t j = 0; j < n; ++j) sums[j] = static_cast<T>(sums[j] + x * row[j]);
          else
            for (int64_t j = 0; j < n; ++j) sums[j] = static_cast<T>(sums[j] + x * row[j * p.b.col_stride]);
        }
        T* c = reinterpret_cast<T*>(p.c.data) + i * p.c.row_stride + j0;
        const T* addend = reinterpret_cast<const T*>(p.addend.data);
        if (addend) addend += i * p.addend.row_stride + j0 * p.addend.col_stride;
        for (int64_t j = 0; j < n; ++j) {
          const T sum = static_cast<T>(alpha * sums[j]);
          c[j] = addend ? static_cast<T>(sum + beta * addend[j * p.addend.col_stride]) : sum;
        }
      }
  });
}

void multiply(const MatmulArgs& args, int64_t index) {
  const View& a = args.a;
  const View& b = args.b;
  Product p{a.shape[a.ndim - 2], b.shape[b.ndim - 1],   a.shape[a.ndim - 1], matrix(a, index),
            matrix(b, index),    matrix(args.c, index), {nullptr, 0, 1}};
  if (args.addend.data) p.addend = matrix(args.addend, index);
  if (p.c.col_stride != 1 && p.n > 1) {  // C^T = B^T A^T
    const Matrix right = p.b;
    p.b = p.a;
    p.a = right;
    p.m = b.shape[b.ndim - 1];
    p.n = a.shape[a.ndim - 2];
    transpose(p.a);
    transpose(p.b);
    transpose(p.c);
    transpose(p.addend);
  }
  switch (args.c.dtype) {
    case DType::f64: return multiply_floats<double>(args, p);
    case DType::f32:
    case DType::f16:
    case DType::bf16: return multiply_floats<float>(args, p);
    case DType::i64: return multiply_integers<uint64_t>(args, p);  // unsigned: wrap-around is defined
    case DType::i32: return multiply_integers<uint32_t>(args, p);
    default: return multiply_integers<uint8_t>(args, p);
  }
}

}  // namespace

void matmul(const Context&, const MatmulArgs& args) {
  constexpr int64_t kManyMatrices = 8;
  constexpr double kTaskFlops = 1e6;
  const View& c = args.c;
  int64_t batch = 1;
  for (int d = 0; d < c.ndim - 2; ++d) batch *= c.shape[d];
  if (batch < kManyMatrices) {
    for (int64_t i = 0; i < batch; ++i) multiply(args, i);
    return;
  }
  const double flops = 2.0 * static_cast<double>(c.shape[c.ndim - 2] * c.shape[c.ndim - 1] * args.a.shape[args.a.ndim - 1]);
  const int64_t grain = flops < kTaskFlops ? static_cast<int64_t>(kTaskFlops / (flops + 1)) + 1 : 1;
  parallel_for(batch, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) multiply(args, i);
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
