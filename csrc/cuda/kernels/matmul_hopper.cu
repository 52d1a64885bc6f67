// Products of bf16 and f16 on sm_90: the copy engine brings slices of both operands, 64 deep, into a ring of buffers,
// and warpgroups multiply them where they lie. One warp produces: it waits until a buffer is free, announces its bytes and
// starts the copies. Two warpgroups consume: each holds 64 rows of the tile's sums in registers. Buffers change hands
// through two mbarriers each. As many blocks as multiprocessors go over the tiles, so that the producer fetches the next
// tile's first slices while the consumers write the last one's sums. Each operand is K-major or MN-major as it lies in
// memory. 2 M N K FLOP; a tile reads (M + N) K elements. (NVIDIA, "CUTLASS: warp-specialized persistent kernels", 2023.)
//
// Compiled for sm_90a alone (cmake/cuda.cmake).
#include "cuda/device/launch.h"
#include "cuda/device/tma.h"
#include "cuda/device/wgmma.h"
#include "cuda/gemm/product.h"

namespace fastdl::cuda {
namespace {

// --- tiles ---

constexpr int kTileM = 128, kDepth = 64;
constexpr int kConsumers = kTileM / 64, kThreads = 128 * (1 + kConsumers);
constexpr int kBlock = 64 * kDepth;  // elements of 64 rows of a slice

// Columns of the tiles: the widest that still give every multiprocessor one.
constexpr int tile_columns(int64_t m, int64_t n, int64_t batch, int multiprocessors) {
  const int64_t rows = (m + kTileM - 1) / kTileM * batch;
  if (n > 128 && rows * ((n + 255) / 256) >= multiprocessors) return 256;
  if (n > 64 && rows * ((n + 127) / 128) >= multiprocessors / 2) return 128;
  return 64;
}
constexpr int stages_for(int tile_n) { return tile_n == 256 ? 4 : 6; }  // that fit 227 KiB of shared memory

template <class T, int kTileN> struct Shared {
  static constexpr int kStages = stages_for(kTileN);
  alignas(1024) T a[kStages][kTileM * kDepth];
  alignas(1024) T b[kStages][kTileN * kDepth];
  MBarrier full[kStages], empty[kStages];
};

// --- device functions ---

// A place in the ring, and the parity of the phase that it is in.
template <int kStages> struct RingPlace {
  int stage = 0, parity = 0;
  __device__ __forceinline__ void advance() {
    if (++stage == kStages) stage = 0, parity ^= 1;
  }
};

// `rows` rows of a slice: of one box, or, where k is not adjacent, a box for each 64.
template <Major kMajor, class T>
__device__ __forceinline__ void load_slice(T* to, const TensorMap* map, MBarrier* full, int row, int rows, int k, int z) {
  if constexpr (kMajor == Major::k) {
    tensor_load(to, map, full, k, row, z);
  } else {
    for (int i = 0; i < rows; i += 64) tensor_load(to + i * kDepth, map, full, row + i, k, z);
  }
}

// --- kernel ---

template <class T, int kTileN, Major kA, Major kB>
__global__ void __launch_bounds__(kThreads, 1)
multiply_wgmma(const __grid_constant__ TensorMap a_map, const __grid_constant__ TensorMap b_map,
               const __grid_constant__ MatrixOutputBatch<T> out_batch, const TileGrid grid,
               unsigned tiles, bool a_batched, bool b_batched) {
  using Shared = Shared<T, kTileN>;
  FASTDL_SHARED(Shared, shared);
  const int warpgroup = static_cast<int>(threadIdx.x) / 128, t = static_cast<int>(threadIdx.x) % 128;
  if (threadIdx.x == 0) {
    for (int i = 0; i < Shared::kStages; ++i) {
      mbarrier_init(&shared.full[i], 1);
      mbarrier_init(&shared.empty[i], 4 * kConsumers);  // warps
    }
    mbarrier_init_fence();
  }
  __syncthreads();
  const int steps = static_cast<int>((grid.k + kDepth - 1) / kDepth);
  RingPlace<Shared::kStages> place;

  if (warpgroup == 0) {
    shrink_registers<40>();
    if (t == 0)
      for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const TileGrid::Place at = grid.at(tile);
        for (int step = 0; step < steps; ++step, place.advance()) {
          MBarrier* const full = &shared.full[place.stage];
          mbarrier_wait(&shared.empty[place.stage], place.parity ^ 1);  // at once in the first round
          mbarrier_arrive_expect(full, (kTileM + kTileN) * kDepth * static_cast<int>(sizeof(T)));
          load_slice<kA>(shared.a[place.stage], &a_map, full, static_cast<int>(at.row) * kTileM, kTileM, step * kDepth,
                         a_batched ? static_cast<int>(at.z) : 0);
          load_slice<kB>(shared.b[place.stage], &b_map, full, static_cast<int>(at.column) * kTileN, kTileN, step * kDepth,
                         b_batched ? static_cast<int>(at.z) : 0);
        }
      }
  } else {
    grow_registers<232>();
    for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const TileGrid::Place at = grid.at(tile);
      float sums[kTileN / 2];
#pragma unroll
      for (int i = 0; i < kTileN / 2; ++i) sums[i] = 0;
      int before = 0;  // the stage whose products may be under way
      for (int step = 0; step < steps; ++step, place.advance()) {
        mbarrier_wait(&shared.full[place.stage], place.parity);
        const T* const a = shared.a[place.stage] + (warpgroup - 1) * kBlock;
        const T* const b = shared.b[place.stage];
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < kDepth; k += 16)
          wgmma<T, kA, kB>(sums, operand_descriptor<kA>(a + k * (kA == Major::mn ? 64 : 1), kBlock * 2),
                           operand_descriptor<kB>(b + k * (kB == Major::mn ? 64 : 1), kBlock * 2), true);
        wgmma_commit();
        wgmma_wait<1>();  // the step before is done
        if (step > 0 && t % 32 == 0) mbarrier_arrive(&shared.empty[before]);
        before = place.stage;
      }
      wgmma_wait<0>();
      if (t % 32 == 0) mbarrier_arrive(&shared.empty[before]);

      const MatrixOutput<T> out = out_batch.select(at.z);
      const int row = static_cast<int>(at.row) * kTileM + (warpgroup - 1) * 64 + t / 32 * 16 + t % 32 / 4;
      const int column = static_cast<int>(at.column) * kTileN + t % 4 * 2;
#pragma unroll
      for (int j = 0; j < kTileN / 8; ++j)
#pragma unroll
        for (int h = 0; h < 2; ++h)
          if (row + 8 * h < grid.m) store_two(out, row + 8 * h, column + 8 * j, grid.n, sums[4 * j + 2 * h], sums[4 * j + 2 * h + 1]);
    }
  }
}

// --- launchers ---

// An operand as the copy engine sees it; null data where it cannot.
template <class T> Major major_of(const Matrix<T>& x) { return x.k_stride == 1 && x.row_stride != 1 ? Major::k : Major::mn; }
template <class T> TensorLayout layout_of(const MatrixBatch<T>& x, int64_t rows, int64_t depth, unsigned batch) {
  const bool along_k = major_of(x.first) == Major::k;
  if (!along_k && x.first.row_stride != 1) return {};
  const BatchOffsets& o = x.offsets;
  if (o.dims > 1 || (o.dims == 1 && o.shape[0] != batch)) return {};
  const bool repeated = o.dims == 0 || o.strides[0] == 0;  // one matrix for the whole batch
  const TensorLayout t{x.first.data, along_k ? depth : rows, along_k ? rows : depth, repeated ? 1 : batch,
                       along_k ? x.first.row_stride : x.first.k_stride, repeated ? 0 : o.strides[0]};
  return has_tensor_map(t) ? t : TensorLayout{};
}

template <class T, int kTileN, Major kA, Major kB>
bool launch_wgmma(const Context& context, const Product<T>& p, const TensorLayout& a, const TensorLayout& b) {
  TensorMap a_map, b_map;
  constexpr bool kBf16 = std::is_same_v<T, bf16>;
  if (!make_tensor_map(&a_map, a, kA == Major::k ? kTileM : kDepth, kBf16)) return false;
  if (!make_tensor_map(&b_map, b, kB == Major::k ? kTileN : kDepth, kBf16)) return false;
  const TileGrid grid(static_cast<int>(p.m), static_cast<int>(p.n), p.k, kTileM, kTileN);
  const unsigned tiles = grid.tiles() * p.batch, blocks = static_cast<unsigned>(multiprocessors(context));
  launch(multiply_wgmma<T, kTileN, kA, kB>, {tiles < blocks ? tiles : blocks, kThreads, sizeof(Shared<T, kTileN>)}, context, a_map,
         b_map, p.out, grid, tiles, a.matrices > 1, b.matrices > 1);
  return true;
}

template <class T, int kTileN>
bool launch_layout(const Context& context, const Product<T>& p, const TensorLayout& a, const TensorLayout& b) {
  const bool a_along_k = major_of(p.a.first) == Major::k, b_along_k = major_of(p.b.first) == Major::k;
  if (a_along_k)
    return b_along_k ? launch_wgmma<T, kTileN, Major::k, Major::k>(context, p, a, b)
                     : launch_wgmma<T, kTileN, Major::k, Major::mn>(context, p, a, b);
  return b_along_k ? launch_wgmma<T, kTileN, Major::mn, Major::k>(context, p, a, b)
                   : launch_wgmma<T, kTileN, Major::mn, Major::mn>(context, p, a, b);
}

template <class T> bool multiply(const Context& context, const Product<T>& p) {
  if (capability(context) != 90 || p.k == 0) return false;
  const TensorLayout a = layout_of(p.a, p.m, p.k, p.batch), b = layout_of(p.b, p.n, p.k, p.batch);
  if (!a.data || !b.data) return false;
  switch (tile_columns(p.m, p.n, p.batch, multiprocessors(context))) {
    case 256: return launch_layout<T, 256>(context, p, a, b);
    case 128: return launch_layout<T, 128>(context, p, a, b);
    default: return launch_layout<T, 64>(context, p, a, b);
  }
}

}  // namespace

bool multiply_hopper(const Context& context, const Product<bf16>& p) { return multiply(context, p); }
bool multiply_hopper(const Context& context, const Product<f16>& p) { return multiply(context, p); }

}  // namespace fastdl::cuda
