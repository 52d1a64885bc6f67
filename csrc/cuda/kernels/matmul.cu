// Batched matrix products of every dtype. Those of bf16 and f16 run on tensor cores (matmul_mma.cu, matmul_hopper.cu),
// and those of float32 where TF32 is allowed; float32, float64 and integers, which wrap around, on the ordinary arithmetic
// units (gemm/simt.h). A product with a vector reads the matrix once: a warp or a block a row where the row's elements are
// adjacent, else a thread a row, with the depth in eight parts that are added in order. 2 M N K operations a matrix.
#include <utility>

#include "cuda/device/launch.h"
#include "cuda/device/reduce.h"
#include "cuda/gemm/product.h"
#include "cuda/gemm/simt.h"
#include "kernels/matmul.h"

namespace fastdl::cuda {
namespace {

// --- tiles ---

// `tiles128`: tiles of 128 x 128 that the batch has. Smaller ones where large ones would leave multiprocessors idle.
using LargeTile = SimtTile<128, 128, 16, 8, 8>;
using SmallTile = SimtTile<64, 64, 16, 4, 4>;
constexpr bool takes_large_tiles(int64_t tiles128, int multiprocessors) { return tiles128 >= multiprocessors; }

constexpr int kVectorBlock = 256, kColumnsPerBlock = 32, kDepthParts = kVectorBlock / kColumnsPerBlock;
constexpr int64_t kWarpDepth = 1024;  // longer rows get a block each

// --- kernels ---

template <class Sum> struct VectorShared {
  Sum parts[kDepthParts][kColumnsPerBlock];
};

// out(row) = a(row, .) x for rows whose elements are adjacent. `lanes`: threads a row, 32 or the whole block.
template <class T> __global__ void __launch_bounds__(kVectorBlock)
    multiply_vector_by_rows(const __grid_constant__ MatrixBatch<T> a_batch, const __grid_constant__ MatrixBatch<T> x_batch,
                            const __grid_constant__ MatrixOutputBatch<T> out_batch, int rows, int64_t depth, unsigned blocks,
                            int lanes) {
  using Sum = SumOf<T>;
  FASTDL_SHARED(VectorShared<Sum>, shared);
  const unsigned z = blockIdx.x / blocks;
  const Matrix<T> a = a_batch.select(z), x = x_batch.select(z);
  const MatrixOutput<T> out = out_batch.select(z);
  const int row = static_cast<int>(blockIdx.x % blocks) * (kVectorBlock / lanes) + static_cast<int>(threadIdx.x) / lanes;
  Sum sum = 0;
  if (row < rows) {
    const auto row_of_a = a.row(row);
#pragma unroll 4
    for (int64_t k = threadIdx.x % lanes; k < depth; k += lanes)
      sum += convert<Sum>(a.at(row_of_a, a.depth(k))) * convert<Sum>(x.data[x.depth(k)]);
  }
  sum = lanes == 32 ? warp_reduce(sum, Add{}) : block_reduce(sum, Add{}, Sum(0), &shared.parts[0][0]);
  if (row < rows && threadIdx.x % lanes == 0) out.store(row, 0, sum);
}

// The same for neighbouring rows that are adjacent, or any strides.
template <class T> __global__ void __launch_bounds__(kVectorBlock)
    multiply_vector_by_columns(const __grid_constant__ MatrixBatch<T> a_batch, const __grid_constant__ MatrixBatch<T> x_batch,
                               const __grid_constant__ MatrixOutputBatch<T> out_batch, int rows, int64_t depth,
                               unsigned blocks) {
  using Sum = SumOf<T>;
  FASTDL_SHARED(VectorShared<Sum>, shared);
  const unsigned z = blockIdx.x / blocks;
  const Matrix<T> a = a_batch.select(z), x = x_batch.select(z);
  const MatrixOutput<T> out = out_batch.select(z);
  const int lane = static_cast<int>(threadIdx.x) % kColumnsPerBlock, part = static_cast<int>(threadIdx.x) / kColumnsPerBlock;
  const int row = static_cast<int>(blockIdx.x % blocks) * kColumnsPerBlock + lane;
  Sum sum = 0;
  if (row < rows) {
    const auto row_of_a = a.row(row);
#pragma unroll 4
    for (int64_t k = part; k < depth; k += kDepthParts)
      sum += convert<Sum>(a.at(row_of_a, a.depth(k))) * convert<Sum>(x.data[x.depth(k)]);
  }
  shared.parts[part][lane] = sum;
  __syncthreads();
  if (part > 0 || row >= rows) return;
  for (int i = 1; i < kDepthParts; ++i) sum += shared.parts[i][lane];
  out.store(row, 0, sum);
}

// --- launchers ---

template <class T> Product<T> product_of(const MatmulArgs& args) {
  using Sum = SumOf<T>;
  const auto scalar = [](double x) {
    if constexpr (std::is_integral_v<T>) return static_cast<Sum>(static_cast<int64_t>(x));
    else return static_cast<Sum>(x);
  };
  const View &a = args.a, &b = args.b, &c = args.c, &addend = args.addend;
  const int i = c.ndim - 2, j = c.ndim - 1;
  Product<T> p{{{a.as<const T>(), a.strides[i], a.strides[j]}, BatchOffsets::of(a)},
               {{b.as<const T>(), b.strides[j], b.strides[i]}, BatchOffsets::of(b)},
               {{c.as<T>(), c.strides[i], c.strides[j], nullptr, 0, 0, scalar(args.alpha), scalar(args.beta), args.activation},
                BatchOffsets::of(c),
                {}},
               c.shape[i],
               c.shape[j],
               a.shape[j],
               1};
  for (int d = 0; d < i; ++d) p.batch *= static_cast<unsigned>(c.shape[d]);
  if (addend.data) {
    p.out.first.addend = addend.as<const T>();
    p.out.first.addend_row_stride = addend.strides[i];
    p.out.first.addend_column_stride = addend.strides[j];
    p.out.addend_offsets = BatchOffsets::of(addend);
  }
  if (p.n == 1 || (p.m > 1 && p.out.first.column_stride != 1)) {  // C^T = B^T A^T
    std::swap(p.a, p.b);
    std::swap(p.m, p.n);
    std::swap(p.out.first.row_stride, p.out.first.column_stride);
    std::swap(p.out.first.addend_row_stride, p.out.first.addend_column_stride);
  }
  p.out.first.pairs = p.out.first.column_stride == 1 && p.out.first.row_stride % 2 == 0 && p.out.offsets.multiples_of(2) &&
                      reinterpret_cast<uintptr_t>(p.out.first.data) % alignof(Two<T>) == 0;
  return p;
}

// One row: the columns' matrix, times the row's vector.
template <class T> void multiply_vector(const Context& context, Product<T> p) {
  std::swap(p.out.first.row_stride, p.out.first.column_stride);
  std::swap(p.out.first.addend_row_stride, p.out.first.addend_column_stride);
  const int rows = static_cast<int>(p.n);
  const size_t shared = sizeof(VectorShared<SumOf<T>>);
  if (p.b.first.k_stride == 1 || rows == 1) {
    const int lanes = p.k > kWarpDepth ? kVectorBlock : 32;
    const unsigned blocks = blocks_for(rows, kVectorBlock / lanes);
    launch(multiply_vector_by_rows<T>, {blocks * p.batch, kVectorBlock, shared}, context, p.b, p.a, p.out, rows, p.k, blocks,
           lanes);
  } else {
    const unsigned blocks = blocks_for(rows, kColumnsPerBlock);
    launch(multiply_vector_by_columns<T>, {blocks * p.batch, kVectorBlock, shared}, context, p.b, p.a, p.out, rows, p.k,
           blocks);
  }
}

template <class T> void multiply(const Context& context, const Product<T>& p, [[maybe_unused]] bool tf32) {
  const int m = static_cast<int>(p.m), n = static_cast<int>(p.n);
  if constexpr (sizeof(T) == 2) {
    if (!multiply_hopper(context, p)) multiply_mma(context, p);
  } else {
    if constexpr (std::is_same_v<T, float>) {
      if (tf32) return multiply_mma(context, p);
      const int64_t tiles128 = (p.m + 127) / 128 * ((p.n + 127) / 128) * p.batch;
      if (takes_large_tiles(tiles128, multiprocessors(context)))
        return launch_simt<LargeTile>(context, p.a, p.b, p.out, m, n, p.k, p.batch);
    }
    launch_simt<SmallTile>(context, p.a, p.b, p.out, m, n, p.k, p.batch);
  }
}

template <class T> void matmul_of(const Context& context, const MatmulArgs& args) {
  constexpr int64_t kMost = int64_t{1} << 30;  // rows and columns are int inside the kernels
  const Product<T> whole = product_of<T>(args);
  for (int64_t i = 0; i < whole.m; i += kMost)
    for (int64_t j = 0; j < whole.n; j += kMost) {
      Product<T> p = whole;
      p.m = whole.m - i < kMost ? whole.m - i : kMost;
      p.n = whole.n - j < kMost ? whole.n - j : kMost;
      p.a.first.data += i * p.a.first.row_stride;
      p.b.first.data += j * p.b.first.row_stride;
      p.out.first.data += i * p.out.first.row_stride + j * p.out.first.column_stride;
      if (p.out.first.addend) p.out.first.addend += i * p.out.first.addend_row_stride + j * p.out.first.addend_column_stride;
      if (p.m == 1) multiply_vector(context, p);
      else multiply(context, p, args.tf32);
    }
}

}  // namespace

void matmul(const Context& context, const MatmulArgs& args) {
  switch (args.c.dtype) {
    case DType::f32: return matmul_of<float>(context, args);
    case DType::f64: return matmul_of<double>(context, args);
    case DType::bf16: return matmul_of<bf16>(context, args);
    case DType::f16: return matmul_of<f16>(context, args);
    case DType::i64: return matmul_of<uint64_t>(context, args);  // unsigned: wrap-around is defined
    case DType::i32: return matmul_of<uint32_t>(context, args);
    default: return matmul_of<uint8_t>(context, args);
  }
}

}  // namespace fastdl::cuda
