// Products on the ordinary arithmetic units: any element type, any layout. A block of 256 threads owns a tile of the
// output, a thread thread_m x thread_n of it in registers. Slices of both operands along k go through two buffers in
// shared memory: while one is multiplied, the next is on its way from global memory in registers. Neighbouring threads
// read along each operand's adjacent dimension. (Volkov and Demmel, "Benchmarking GPUs to tune dense linear algebra", 2008.)
#pragma once
#include "cuda/device/launch.h"
#include "cuda/gemm/operand.h"

namespace fastdl::cuda {

template <int M, int N, int K, int ThreadM, int ThreadN> struct SimtTile {
  static constexpr int m = M, n = N, k = K, thread_m = ThreadM, thread_n = ThreadN;
};
constexpr int kSimtThreads = 256;

// --- device functions ---

template <class Tile, class Sum> struct alignas(16) SimtShared {
  static constexpr int kPad = 16 / sizeof(Sum);
  Sum a[2][Tile::k][Tile::m + kPad];
  Sum b[2][Tile::k][Tile::n + kPad];
};

// This thread's elements of one operand's slices: one row, or one step along k, for all of them.
template <int kRows, int kDepth, class Operand> struct SliceLoad {
  static constexpr int kCount = kRows * kDepth / kSimtThreads;
  using Element = typename Operand::Element;
  Element values[kCount];
  typename Operand::Row rows[kCount];
  int row, k, row_step, k_step;

  __device__ __forceinline__ SliceLoad(const Operand& operand, int first_row, int row_count) {
    const int t = static_cast<int>(threadIdx.x);
    const bool along_k = operand.k_adjacent();
    row = along_k ? t / kDepth : t % kRows;
    k = along_k ? t % kDepth : t / kRows;
    row_step = along_k ? kSimtThreads / kDepth : 0;
    k_step = along_k ? 0 : kSimtThreads / kRows;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int r = first_row + row + i * row_step;
      if (r < row_count) rows[i] = operand.row(r);
    }
  }
  __device__ __forceinline__ void fetch(const Operand& operand, int64_t first_k, int64_t depth) {
    if (k_step == 0) {
      const int64_t q = first_k + k;
      const typename Operand::Depth step = operand.depth(q);
#pragma unroll
      for (int i = 0; i < kCount; ++i) values[i] = q < depth ? operand.at(rows[i], step) : Element{};
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const int64_t q = first_k + k + i * k_step;
        values[i] = q < depth ? operand.at(rows[0], operand.depth(q)) : Element{};
      }
    }
  }
  template <class Sum, int kPitch> __device__ __forceinline__ void put(Sum (&slice)[kDepth][kPitch]) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) slice[k + i * k_step][row + i * row_step] = convert<Sum>(values[i]);
  }
};

template <class Sum> struct alignas(16) Four {
  Sum v[4];
};

// --- kernel ---

template <class Tile, class A, class B, class Out>
__global__ void __launch_bounds__(kSimtThreads)
multiply_simt(const __grid_constant__ A a_batch, const __grid_constant__ B b_batch, const __grid_constant__ Out out_batch,
              const TileGrid grid) {
  using Sum = typename Out::Sum;
  using Shared = SimtShared<Tile, Sum>;
  constexpr int kAcross = Tile::n / Tile::thread_n, kDown = Tile::m / Tile::thread_m;  // threads
  static_assert(kAcross * kDown == kSimtThreads && Tile::thread_m % 4 == 0 && Tile::thread_n % 4 == 0);
  FASTDL_SHARED(Shared, shared);
  const TileGrid::Place place = grid.at(blockIdx.x);
  const auto a = a_batch.select(place.z);
  const auto b = b_batch.select(place.z);
  const auto out = out_batch.select(place.z);
  const int row0 = static_cast<int>(place.row) * Tile::m, column0 = static_cast<int>(place.column) * Tile::n;
  const int down = static_cast<int>(threadIdx.x) / kAcross * 4, across = static_cast<int>(threadIdx.x) % kAcross * 4;

  Sum sums[Tile::thread_m][Tile::thread_n] = {};
  SliceLoad<Tile::m, Tile::k, std::remove_cv_t<decltype(a)>> load_a(a, row0, grid.m);
  SliceLoad<Tile::n, Tile::k, std::remove_cv_t<decltype(b)>> load_b(b, column0, grid.n);
  load_a.fetch(a, 0, grid.k);
  load_b.fetch(b, 0, grid.k);
  int buffer = 0;
  for (int64_t k0 = 0; k0 < grid.k; k0 += Tile::k, buffer ^= 1) {
    load_a.put(shared.a[buffer]);
    load_b.put(shared.b[buffer]);
    __syncthreads();  // one is enough: the other buffer was last read before it
    if (k0 + Tile::k < grid.k) {
      load_a.fetch(a, k0 + Tile::k, grid.k);
      load_b.fetch(b, k0 + Tile::k, grid.k);
    }
#pragma unroll
    for (int k = 0; k < Tile::k; ++k) {
      Four<Sum> x[Tile::thread_m / 4], y[Tile::thread_n / 4];
#pragma unroll
      for (int i = 0; i < Tile::thread_m / 4; ++i)
        x[i] = *reinterpret_cast<const Four<Sum>*>(&shared.a[buffer][k][down + i * 4 * kDown]);
#pragma unroll
      for (int j = 0; j < Tile::thread_n / 4; ++j)
        y[j] = *reinterpret_cast<const Four<Sum>*>(&shared.b[buffer][k][across + j * 4 * kAcross]);
#pragma unroll
      for (int i = 0; i < Tile::thread_m; ++i)
#pragma unroll
        for (int j = 0; j < Tile::thread_n; ++j) sums[i][j] += x[i / 4].v[i % 4] * y[j / 4].v[j % 4];
    }
  }
#pragma unroll
  for (int i = 0; i < Tile::thread_m; ++i)
#pragma unroll
    for (int j = 0; j < Tile::thread_n; ++j) {
      const int row = row0 + down + i / 4 * 4 * kDown + i % 4, column = column0 + across + j / 4 * 4 * kAcross + j % 4;
      if (row < grid.m && column < grid.n) out.store(row, column, sums[i][j]);
    }
}

// --- launcher ---

template <class Tile, class A, class B, class Out>
void launch_simt(const Context& context, const A& a, const B& b, const Out& out, int m, int n, int64_t k, unsigned batch) {
  const TileGrid grid(m, n, k, Tile::m, Tile::n);
  launch(multiply_simt<Tile, A, B, Out>, {grid.tiles() * batch, kSimtThreads, sizeof(SimtShared<Tile, typename Out::Sum>)},
         context, a, b, out, grid);
}

}  // namespace fastdl::cuda
