// Products of bf16, f16 and float32 as TF32 on the warps' tensor cores, any layout (gemm/tensor_core.h): sm_80 and later.
#include "cuda/gemm/product.h"
#include "cuda/gemm/tensor_core.h"

namespace fastdl::cuda {
namespace {

// --- tiles ---

using LargeTile = MmaTile<128, 128, 2, 4>;
using SmallTile = MmaTile<64, 64, 2, 2>;
// `tiles128`: tiles of 128 x 128 that the batch has. Smaller ones where large ones would leave multiprocessors idle.
constexpr bool takes_large_tiles(int64_t tiles128, int multiprocessors) { return tiles128 >= multiprocessors; }

// --- launcher ---

template <class T> bool in_pieces(const MatrixBatch<T>& x) {
  const int64_t other = x.first.k_stride == 1 ? x.first.row_stride : x.first.k_stride;
  return (x.first.k_stride == 1 || x.first.row_stride == 1) && other % kPiece<T> == 0 && x.offsets.multiples_of(kPiece<T>) &&
         reinterpret_cast<uintptr_t>(x.first.data) % 16 == 0;
}

template <class T> void multiply(const Context& context, Product<T> p) {
  p.a.first.pieces = in_pieces(p.a);
  p.b.first.pieces = in_pieces(p.b);
  const int m = static_cast<int>(p.m), n = static_cast<int>(p.n);
  const int64_t tiles128 = (p.m + 127) / 128 * ((p.n + 127) / 128) * p.batch;
  if (takes_large_tiles(tiles128, multiprocessors(context)))
    launch_mma<LargeTile>(context, p.a, p.b, p.out, m, n, p.k, p.batch);
  else launch_mma<SmallTile>(context, p.a, p.b, p.out, m, n, p.k, p.batch);
}

}  // namespace

void multiply_mma(const Context& context, Product<bf16> p) { multiply(context, p); }
void multiply_mma(const Context& context, Product<f16> p) { multiply(context, p); }
void multiply_mma(const Context& context, Product<float> p) { multiply(context, p); }

}  // namespace fastdl::cuda
