// Products of bf16, f16 or float32 rounded to TF32 on the warps' tensor cores (sm_80): any layout, sums in float32. A block
// owns a tile of the output, a warp a part of it in registers. Slices of both operands, 64 bytes deep, go through a ring of
// three buffers in shared memory: in 16-byte asynchronous copies where the operand allows, else element by element. A slice
// keeps its operand's adjacent dimension, so that rows of it are rows of memory; fragments along the other dimension are
// transposed on their way into registers. Rows are padded by 16 bytes, which spreads a fragment's rows over all banks.
#pragma once
#include "cuda/device/fragment.h"
#include "cuda/device/launch.h"
#include "cuda/gemm/operand.h"

namespace fastdl::cuda {

template <int M, int N, int WarpsM, int WarpsN> struct MmaTile {
  static constexpr int m = M, n = N, warps_n = WarpsN;
  static constexpr int threads = 32 * WarpsM * WarpsN;
  static constexpr int warp_m = M / WarpsM, warp_n = N / WarpsN;  // of one warp
};
constexpr int kMmaStages = 3, kMmaPad = 8;  // elements
template <class T> constexpr int kMmaDepth = 64 / sizeof(T);

// --- device functions ---

template <class T, int kRows> struct alignas(16) MmaSlice {
  static constexpr int kPitchAlongK = kMmaDepth<T> + kPiece<T>, kPitchAcross = kRows + kMmaPad;
  static constexpr int kSize =
      kRows * kPitchAlongK > kMmaDepth<T>* kPitchAcross ? kRows* kPitchAlongK : kMmaDepth<T>* kPitchAcross;
  T elements[kSize];

  __device__ __forceinline__ T* at(int row, int k, bool along_k) {
    return elements + (along_k ? row * kPitchAlongK + k : k * kPitchAcross + row);
  }
};

template <class T, class Tile> struct MmaShared {
  MmaSlice<T, Tile::m> a[kMmaStages];
  MmaSlice<T, Tile::n> b[kMmaStages];
};

// This thread's share in bringing an operand's slices.
template <int kRows, int kThreads, class Operand> struct MmaLoad {
  using T = typename Operand::Element;
  static constexpr int kPieces = kRows * kMmaDepth<T> / kPiece<T> / kThreads, kElements = kRows * kMmaDepth<T> / kThreads;
  const Operand& operand;
  int first_row, row_count;
  int64_t depth;
  bool along_k, pieces;
  int row, k, row_step, k_step;                       // of pieces or elements within the slice
  typename Operand::Row rows[kPieces];  // of pieces; the first that of elements across k

  __device__ __forceinline__ MmaLoad(const Operand& operand_, int first_row_, int row_count_, int64_t depth_)
      : operand(operand_),
        first_row(first_row_),
        row_count(row_count_),
        depth(depth_),
        along_k(operand_.k_adjacent()),
        pieces(operand_.in_pieces()) {
    const int t = static_cast<int>(threadIdx.x), unit = pieces ? kPiece<T> : 1;
    const int along = (along_k ? kMmaDepth<T> : kRows) / unit;  // units in a row of the slice
    row = along_k ? t / along : t % along * unit;
    k = along_k ? t % along * unit : t / along;
    row_step = along_k ? kThreads / along : 0;
    k_step = along_k ? 0 : kThreads / along;
#pragma unroll
    for (int i = 0; i < kPieces; ++i)
      if (first_row + row + i * row_step < row_count) rows[i] = operand.row(first_row + row + i * row_step);
  }

  __device__ __forceinline__ void begin(MmaSlice<T, kRows>& slice, int64_t first_k) {
    if (!pieces) return;
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      const int r = first_row + row + i * row_step;
      const int64_t q = first_k + k + i * k_step, left = along_k ? depth - q : row_count - r;
      const T* const from = r < row_count && q < depth ? operand.address(rows[i], operand.depth(q)) : nullptr;
      const int valid = !from ? 0 : left < kPiece<T> ? static_cast<int>(left) : kPiece<T>;
      async_copy_16(slice.at(row + i * row_step, k + i * k_step, along_k), from ? from : operand.origin(),
                    valid * static_cast<int>(sizeof(T)));
    }
  }
  // Elements, a few at a time: held in registers while the slice before is multiplied, they would crowd out the sums.
  __device__ __forceinline__ void finish(MmaSlice<T, kRows>& slice, int64_t first_k) {
    constexpr int kTogether = 4;
    if (pieces) return;
#pragma unroll 1
    for (int i = 0; i < kElements; i += kTogether) {
      T values[kTogether];
#pragma unroll
      for (int j = 0; j < kTogether; ++j) {
        const int r = first_row + row + (i + j) * row_step;
        const int64_t q = first_k + k + (i + j) * k_step;
        const typename Operand::Row from = along_k ? r < row_count ? operand.row(r) : typename Operand::Row{} : rows[0];
        values[j] = q < depth ? operand.at(from, operand.depth(q)) : T{};
      }
#pragma unroll
      for (int j = 0; j < kTogether; ++j) *slice.at(row + (i + j) * row_step, k + (i + j) * k_step, along_k) = values[j];
    }
  }
};

// --- kernel ---

template <class Tile, class A, class B, class Out> __global__ void __launch_bounds__(Tile::threads)
    multiply_mma(const __grid_constant__ A a_batch, const __grid_constant__ B b_batch, const __grid_constant__ Out out_batch,
                 const TileGrid grid) {
  const TileGrid::Place place = grid.at(blockIdx.x);
  const auto a = a_batch.select(place.z);
  const auto b = b_batch.select(place.z);
  const auto out = out_batch.select(place.z);
  using OperandA = std::remove_cv_t<decltype(a)>;
  using OperandB = std::remove_cv_t<decltype(b)>;
  using T = typename OperandA::Element;
  using Shared = MmaShared<T, Tile>;
  constexpr int kDown = Tile::warp_m / 16, kAcross = Tile::warp_n / 8;
  static_assert(kAcross % 2 == 0);
  FASTDL_SHARED(Shared, shared);

  const int row0 = static_cast<int>(place.row) * Tile::m, column0 = static_cast<int>(place.column) * Tile::n;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp / Tile::warps_n * Tile::warp_m, warp_column = warp % Tile::warps_n * Tile::warp_n;
  MmaLoad<Tile::m, Tile::threads, OperandA> from_a(a, row0, grid.m, grid.k);
  MmaLoad<Tile::n, Tile::threads, OperandB> from_b(b, column0, grid.n, grid.k);
  const auto begin = [&](int step) {
    from_a.begin(shared.a[step % kMmaStages], int64_t{step} * kMmaDepth<T>);
    from_b.begin(shared.b[step % kMmaStages], int64_t{step} * kMmaDepth<T>);
  };
  const auto finish = [&](int step) {
    from_a.finish(shared.a[step % kMmaStages], int64_t{step} * kMmaDepth<T>);
    from_b.finish(shared.b[step % kMmaStages], int64_t{step} * kMmaDepth<T>);
  };

  float sums[kDown][kAcross][4] = {};
  const int steps = static_cast<int>((grid.k + kMmaDepth<T> - 1) / kMmaDepth<T>);
  for (int step = 0; step < kMmaStages - 1; ++step) {
    if (step < steps) begin(step), finish(step);
    async_copy_commit();
  }
  for (int step = 0; step < steps; ++step) {
    async_copy_wait<kMmaStages - 2>();
    __syncthreads();  // this slice is there, and the one before it is read
    const int next = step + kMmaStages - 1;
    if (next < steps) begin(next);
    async_copy_commit();
    MmaSlice<T, Tile::m>& slice_a = shared.a[step % kMmaStages];
    MmaSlice<T, Tile::n>& slice_b = shared.b[step % kMmaStages];
#pragma unroll
    for (int k = 0; k < kMmaDepth<T>; k += kProductDepth<T>) {
      Operand16x x[kDown], y[kAcross / 2];
#pragma unroll
      for (int i = 0; i < kDown; ++i)
        if (from_a.along_k) load_a(x[i], slice_a.elements, slice_a.kPitchAlongK, warp_row + 16 * i, k);
        else load_a_across(x[i], slice_a.elements, slice_a.kPitchAcross, warp_row + 16 * i, k);
#pragma unroll
      for (int j = 0; j < kAcross / 2; ++j)
        if (from_b.along_k) load_b(y[j], slice_b.elements, slice_b.kPitchAlongK, warp_column + 16 * j, k);
        else load_b_across<T, DepthOrder::plain>(y[j], slice_b.elements, slice_b.kPitchAcross, warp_column + 16 * j, k);
#pragma unroll
      for (int i = 0; i < kDown; ++i)
#pragma unroll
        for (int j = 0; j < kAcross; j += 2) multiply_two<T>(sums[i][j], sums[i][j + 1], x[i], y[j / 2]);
    }
    if (next < steps) finish(next);
  }

#pragma unroll
  for (int i = 0; i < kDown; ++i)
#pragma unroll
    for (int j = 0; j < kAcross; ++j)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int row = row0 + warp_row + 16 * i + lane / 4 + 8 * h, column = column0 + warp_column + 8 * j + lane % 4 * 2;
        if (row < grid.m) store_two(out, row, column, grid.n, sums[i][j][2 * h], sums[i][j][2 * h + 1]);
      }
}

// --- launcher ---

template <class Tile, class A, class B, class Out>
void launch_mma(const Context& context, const A& a, const B& b, const Out& out, int m, int n, int64_t k, unsigned batch) {
  using T = typename decltype(a.select(0))::Element;
  const TileGrid grid(m, n, k, Tile::m, Tile::n);
  launch(multiply_mma<Tile, A, B, Out>, {grid.tiles() * batch, Tile::threads, sizeof(MmaShared<T, Tile>)}, context, a, b, out,
         grid);
}

}  // namespace fastdl::cuda
