// Convolutions of bf16, f16 and float32 as TF32 as implicit products on the warps' tensor cores (conv/operand.h,
// gemm/tensor_core.h): with channels innermost, the source is copied in pieces of neighbouring channels, with zeros for the
// padding.
#include "cuda/conv/pass.h"
#include "cuda/gemm/tensor_core.h"

namespace fastdl::cuda {
namespace {

// --- tiles ---

using LargeTile = MmaTile<128, 128, 2, 4>;
using SmallTile = MmaTile<64, 64, 2, 2>;
constexpr bool takes_large_tiles(int64_t written, int64_t tiles128, int multiprocessors) {
  return written > 64 && tiles128 >= multiprocessors;
}

}  // namespace

// --- launcher ---

void convolve_mma(const Context& context, const ConvPass& pass) {
  const int64_t tiles128 = (pass.written + 127) / 128 * pass.args.geometry.groups * ((pass.pixels() + 127) / 128);
  const int64_t depth = pass.read * pass.h.taps * pass.w.taps;
  const unsigned groups = static_cast<unsigned>(pass.args.geometry.groups);
  const auto convolve = [&]<class T>() {
    for_product<T>(pass, [&](const auto& a, const auto& b, const auto& out, int rows, int columns) {
      if (takes_large_tiles(pass.written, tiles128, multiprocessors(context)))
        launch_mma<LargeTile>(context, a, b, out, rows, columns, depth, groups);
      else launch_mma<SmallTile>(context, a, b, out, rows, columns, depth, groups);
    });
  };
  switch (pass.dest.dtype) {
    case DType::bf16: return convolve.template operator()<bf16>();
    case DType::f16: return convolve.template operator()<f16>();
    default: return convolve.template operator()<float>();
  }
}

}  // namespace fastdl::cuda
