// Runs every function of csrc/cuda/device that stands for an instruction, and prints what it gave, a line a case:
// name, then numbers. tests/test_device_primitives.py builds this with the simulated device and compares the lines with
// plain arithmetic. Built with nvcc for sm_90a, the lines of a GPU are what tests/device/primitives.txt may hold.
// Inputs are small integers, exact in every type: element i of operand `seed` is (37 i + 11 seed) % 15 - 7.
#include <cstdio>
#include <vector>

#include "cuda/device/barrier.h"
#include "cuda/device/convert.h"
#include "cuda/device/launch.h"
#include "cuda/device/mma.h"
#include "cuda/device/tma.h"
#include "cuda/device/wgmma.h"

using namespace fastdl;
using namespace fastdl::cuda;

namespace {

__host__ __device__ int value(int i, int seed) { return (37 * i + 11 * seed) % 15 - 7; }

// --- memory on the device ---

void check() {
#if FASTDL_SIMULATED
  if (const char* error = sim::take_error()) std::printf("error %s\n", error), std::exit(1);
#else
  if (const cudaError_t e = cudaDeviceSynchronize(); e != cudaSuccess) std::printf("error %s\n", cudaGetErrorString(e)), std::exit(1);
#endif
}
template <class T> T* to_device(const std::vector<T>& host) {
#if FASTDL_SIMULATED
  T* p = static_cast<T*>(sim::allocate(0, host.size() * sizeof(T)));
  sim::copy(p, host.data(), host.size() * sizeof(T));
#else
  T* p = nullptr;
  cudaMalloc(&p, host.size() * sizeof(T));
  cudaMemcpy(p, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice);
#endif
  return p;
}
template <class T> std::vector<T> to_host(const T* p, size_t count) {
  std::vector<T> host(count);
#if FASTDL_SIMULATED
  sim::copy(host.data(), p, count * sizeof(T));
#else
  cudaMemcpy(host.data(), p, count * sizeof(T), cudaMemcpyDeviceToHost);
#endif
  return host;
}

template <class... Parameters, class... Arguments>
void print(const char* name, size_t count, LaunchShape shape, void (*kernel)(float*, Parameters...), Arguments&&... arguments) {
  float* out = to_device(std::vector<float>(count, -1.0f));
  launch(kernel, shape, Context{0, nullptr}, out, arguments...);
  check();
  std::printf("%s", name);
  for (const float v : to_host(out, count)) std::printf(" %g", static_cast<double>(v));
  std::printf("\n");
}

template <class T> std::vector<T> halves(int count, int seed) {
  std::vector<T> v(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {  // integers of up to three bits, without the device's conversions
    const float f = static_cast<float>(value(i, seed));
    uint32_t bits;
    __builtin_memcpy(&bits, &f, 4);
    if constexpr (std::is_same_v<T, bf16>) v[i].bits = static_cast<uint16_t>(bits >> 16);
    else v[i].bits = f == 0 ? 0 : static_cast<uint16_t>((bits >> 16 & 0x8000) | ((bits >> 13 & 0x3ffff) - (112 << 10)));
  }
  return v;
}

// --- cases ---

struct CopyShared {
  alignas(16) float values[32][4];
};
__global__ void copy_case(float* out, const float* from) {
  FASTDL_SHARED(CopyShared, shared);
  const int t = static_cast<int>(threadIdx.x);
  async_copy_16(shared.values[t], from + 4 * t, t % 5 * 4);
  async_copy_commit();
  async_copy_wait<0>();
  __syncthreads();
  for (int i = 0; i < 4; ++i) out[4 * t + i] = shared.values[31 - t][i];
}

struct MatrixShared {
  alignas(16) uint16_t values[32][8];
};
template <bool kTransposed> __global__ void load_matrices_case(float* out) {
  FASTDL_SHARED(MatrixShared, shared);
  const int t = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 8; ++i) shared.values[t][i] = static_cast<uint16_t>(8 * t + i);
  __syncwarp();
  uint32_t r[4];
  load_matrices<kTransposed>(r, shared.values[t]);
  for (int i = 0; i < 4; ++i) out[8 * t + 2 * i] = static_cast<float>(r[i] & 0xffff), out[8 * t + 2 * i + 1] = static_cast<float>(r[i] >> 16);
}

__device__ void write_sums(float* out, const float (&sums)[4]) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  for (int i = 0; i < 4; ++i) out[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}
template <class T> __global__ void multiply_add_case(float* out, const T* a, const T* b) {  // a (16, 16), b (16, 8)
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  uint32_t x[4], y[2];
  for (int i = 0; i < 4; ++i) {
    const int at = (g + i % 2 * 8) * 16 + 2 * t + i / 2 * 8;
    x[i] = a[at].bits | static_cast<uint32_t>(a[at + 1].bits) << 16;
  }
  for (int i = 0; i < 2; ++i) {
    const int at = (2 * t + i * 8) * 8 + g;
    y[i] = b[at].bits | static_cast<uint32_t>(b[at + 8].bits) << 16;
  }
  float sums[4] = {1, 1, 1, 1};
  multiply_add(sums, x, y, T{});
  write_sums(out, sums);
}
__global__ void multiply_add_tf32_case(float* out, const float* a, const float* b) {  // a (16, 8), b (8, 8)
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  uint32_t x[4], y[2];
  for (int i = 0; i < 4; ++i) x[i] = to_tf32(a[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
  for (int i = 0; i < 2; ++i) y[i] = to_tf32(b[(t + i * 4) * 8 + g]);
  float sums[4] = {1, 1, 1, 1};
  multiply_add_tf32(sums, x, y);
  write_sums(out, sums);
}
__global__ void to_tf32_case(float* out, const float* in) { out[threadIdx.x] = __uint_as_float(to_tf32(in[threadIdx.x])); }

struct BarrierShared {
  float values[128];
  MBarrier full, empty;
};
__global__ void named_barrier_case(float* out) {  // two pairs of warps exchange values, each at a barrier of its own
  FASTDL_SHARED(BarrierShared, shared);
  const int t = static_cast<int>(threadIdx.x), pair = t / 64;
  shared.values[t] = static_cast<float>(t);
  named_barrier(1 + pair, 64);
  out[t] = shared.values[t ^ 32];
}
__global__ void mbarrier_case(float* out) {  // 32 threads pass 32 others values through one buffer, three times
  FASTDL_SHARED(BarrierShared, shared);
  const int t = static_cast<int>(threadIdx.x);
  if (t == 0) {
    mbarrier_init(&shared.full, 32);
    mbarrier_init(&shared.empty, 32);
    mbarrier_init_fence();
  }
  __syncthreads();
  float sum = 0;
  for (int phase = 0; phase < 3; ++phase) {
    if (t < 32) {
      mbarrier_wait(&shared.empty, (phase & 1) ^ 1);  // at once in the first phase
      shared.values[t] = static_cast<float>(t + phase);
      mbarrier_arrive(&shared.full);
    } else {
      mbarrier_wait(&shared.full, phase & 1);
      sum += shared.values[63 - t];
      mbarrier_arrive(&shared.empty);
    }
  }
  if (t >= 32) out[t - 32] = sum;
}
__global__ void cluster_case(float* out) {
  FASTDL_SHARED(BarrierShared, shared);
  const unsigned rank = cluster_rank();
  cluster_sync();
  if (threadIdx.x == 0) *cluster_pointer(&shared.values[rank], (rank + 1) % 4) = static_cast<float>(rank);
  cluster_sync();
  if (threadIdx.x == 0) out[blockIdx.x] = shared.values[(rank + 3) % 4];
}

constexpr int kBoxRows = 16;
struct BoxShared {
  alignas(1024) bf16 box[kBoxRows * kTensorBoxColumns];
  MBarrier barrier;
};
__global__ void tensor_load_case(float* out, const __grid_constant__ TensorMap map, int x, int y, int z) {
  FASTDL_SHARED(BoxShared, shared);
  if (threadIdx.x == 0) {
    mbarrier_init(&shared.barrier, 1);
    mbarrier_init_fence();
    mbarrier_arrive_expect(&shared.barrier, sizeof shared.box);
    tensor_load(shared.box, &map, &shared.barrier, x, y, z);
  }
  __syncthreads();
  mbarrier_wait(&shared.barrier, 0);
  for (int i = static_cast<int>(threadIdx.x); i < kBoxRows * kTensorBoxColumns; i += 32) out[i] = to_float(shared.box[i]);
}
__global__ void tensor_store_case(float* out, const __grid_constant__ TensorMap map, const bf16* tensor, int count, int x, int y, int z) {
  FASTDL_SHARED(BoxShared, shared);
  for (int i = static_cast<int>(threadIdx.x); i < kBoxRows * kTensorBoxColumns; i += 32)
    shared.box[i] = to_bf16(static_cast<float>(value(i, 5)));
  fence_async_proxy();
  __syncthreads();
  if (threadIdx.x == 0) {
    tensor_store(&map, shared.box, x, y, z);
    tensor_store_commit();
    tensor_store_wait<0>();
#if !FASTDL_SIMULATED
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
#endif
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < count; i += 32) out[i] = to_float(tensor[i]);
}

template <class T> struct WgmmaShared {
  alignas(1024) T a[64 * 64];
  alignas(1024) T b[256 * 64];
  MBarrier barrier;
};
// 64 x N, 64 deep, in four steps; operands as (row, k) or (k, row).
template <class T, Major kA, Major kB, int kRegisters>
__global__ void __launch_bounds__(128, 1)
wgmma_case(float* out, const __grid_constant__ TensorMap a_map, const __grid_constant__ TensorMap b_map) {
  constexpr int kColumns = 2 * kRegisters, kBlock = 64 * 64;
  using Shared = WgmmaShared<T>;
  FASTDL_SHARED(Shared, shared);
  const int t = static_cast<int>(threadIdx.x);
  if (t == 0) {
    mbarrier_init(&shared.barrier, 1);
    mbarrier_init_fence();
    mbarrier_arrive_expect(&shared.barrier, (64 + kColumns) * 64 * 2);
    tensor_load(shared.a, &a_map, &shared.barrier, 0, 0, 0);
    for (int i = 0; i < kColumns; i += 64)
      tensor_load(shared.b + i * 64, &b_map, &shared.barrier, kB == Major::mn ? i : 0, kB == Major::mn ? 0 : i, 0);
  }
  __syncthreads();
  mbarrier_wait(&shared.barrier, 0);
  float d[kRegisters];
#pragma unroll
  for (int i = 0; i < kRegisters; ++i) d[i] = 100;
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < 64; k += 16)
    wgmma<T, kA, kB>(d, operand_descriptor<kA>(shared.a + k * (kA == Major::mn ? 64 : 1), 2 * kBlock),
                     operand_descriptor<kB>(shared.b + k * (kB == Major::mn ? 64 : 1), 2 * kBlock), k > 0);
  wgmma_commit();
  wgmma_wait<0>();
#pragma unroll
  for (int i = 0; i < kRegisters; ++i)
    out[(t / 32 * 16 + t % 32 / 4 + (i >> 1 & 1) * 8) * kColumns + i / 4 * 8 + t % 4 * 2 + (i & 1)] = d[i];
}

TensorMap map_of(const void* data, int64_t columns, int64_t rows, int64_t matrices, int box_rows, bool is_bf16) {
  TensorMap map;
  const int64_t row_stride = (columns + 7) / 8 * 8;
  if (!make_tensor_map(&map, {data, columns, rows, matrices, row_stride, row_stride * rows}, box_rows, is_bf16))
    std::printf("error no tensor map\n"), std::exit(1);
  return map;
}

template <class T, Major kA, Major kB, int kRegisters> void print_wgmma(const char* type) {
  constexpr int kColumns = 2 * kRegisters;
  const T *a = to_device(halves<T>(64 * 64, 1)), *b = to_device(halves<T>(kColumns * 64, 2));
  const bool is_bf16 = std::is_same_v<T, bf16>;
  const TensorMap a_map = map_of(a, 64, 64, 1, 64, is_bf16),
                  b_map = kB == Major::mn ? map_of(b, kColumns, 64, 1, 64, is_bf16) : map_of(b, 64, kColumns, 1, 64, is_bf16);
  char name[64];
  std::snprintf(name, sizeof name, "wgmma_%s_%s_%s_%d", type, kA == Major::mn ? "mn" : "k", kB == Major::mn ? "mn" : "k", kColumns);
  print(name, 64 * kColumns, {1, 128, sizeof(WgmmaShared<T>)}, wgmma_case<T, kA, kB, kRegisters>, a_map, b_map);
}
template <class T, int kRegisters> void print_wgmmas(const char* type) {
  print_wgmma<T, Major::k, Major::k, kRegisters>(type);
  print_wgmma<T, Major::k, Major::mn, kRegisters>(type);
  print_wgmma<T, Major::mn, Major::k, kRegisters>(type);
  print_wgmma<T, Major::mn, Major::mn, kRegisters>(type);
}

std::vector<float> floats(int count, int seed) {
  std::vector<float> v(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) v[i] = static_cast<float>(value(i, seed));
  return v;
}

}  // namespace

int main() {
  print("async_copy", 128, {1, 32, sizeof(CopyShared)}, copy_case, to_device(floats(128, 0)));
  print("load_matrices", 256, {1, 32, sizeof(MatrixShared)}, load_matrices_case<false>);
  print("load_matrices_transposed", 256, {1, 32, sizeof(MatrixShared)}, load_matrices_case<true>);
  print("multiply_add_bf16", 128, {1, 32}, multiply_add_case<bf16>, to_device(halves<bf16>(256, 1)), to_device(halves<bf16>(128, 2)));
  print("multiply_add_f16", 128, {1, 32}, multiply_add_case<f16>, to_device(halves<f16>(256, 1)), to_device(halves<f16>(128, 2)));
  print("multiply_add_tf32", 128, {1, 32}, multiply_add_tf32_case, to_device(floats(128, 1)), to_device(floats(64, 2)));
  print("to_tf32", 4, {1, 4}, to_tf32_case, to_device(std::vector<float>{1, 1 + 0x1p-11f, 1 + 0x1.8p-11f, -1 - 0x1p-12f}));
  print("named_barrier", 128, {1, 128, sizeof(BarrierShared)}, named_barrier_case);
  print("mbarrier", 32, {1, 64, sizeof(BarrierShared)}, mbarrier_case);
  print("cluster", 8, {8, 32, sizeof(BarrierShared), 4}, cluster_case);
  const int columns = 72, rows = 20, matrices = 2;
  const bf16* tensor = to_device(halves<bf16>(columns * rows * matrices, 3));
  const TensorMap map = map_of(tensor, columns, rows, matrices, kBoxRows, true);
  print("tensor_load", kBoxRows * 64, {1, 32, sizeof(BoxShared)}, tensor_load_case, map, 0, 0, 0);
  print("tensor_load_outside", kBoxRows * 64, {1, 32, sizeof(BoxShared)}, tensor_load_case, map, 24, -3, 1);
  print("tensor_store_outside", columns * rows * matrices, {1, 32, sizeof(BoxShared)}, tensor_store_case, map, tensor,
        columns * rows * matrices, 64, 8, 1);
  print_wgmmas<bf16, 32>("bf16");
  print_wgmmas<bf16, 64>("bf16");
  print_wgmmas<bf16, 128>("bf16");
  print_wgmmas<f16, 32>("f16");
  print_wgmmas<f16, 64>("f16");
  print_wgmmas<f16, 128>("f16");
}
