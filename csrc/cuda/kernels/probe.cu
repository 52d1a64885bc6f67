// The ceilings of this device, measured by the library's own means. probe_flops: independent chains of float32
// multiply-adds in registers, as many as hide their latency; a task is a thread, 2 kChains flops an iteration.
// probe_copy: n floats read and written, 16 bytes at a time; 8 n bytes; `streaming` marks the lines to be evicted first.
#include "cuda/device/launch.h"
#include "kernels/probe.h"

namespace fastdl::cuda {
namespace {

constexpr int kBlock = 256, kChains = 8, kLoads = 4;

// --- device functions ---

__device__ __forceinline__ void store(float4* p, float4 v, bool streaming) {
#if FASTDL_SIMULATED
  (void)streaming;
  *p = v;
#else
  if (streaming) __stcs(p, v);
  else *p = v;
#endif
}

// --- kernels ---

__global__ void __launch_bounds__(kBlock)
    multiply_adds(int64_t tasks, int64_t iterations, float factor, float addend, float* __restrict__ sums) {
  const int64_t task = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (task >= tasks) return;
  float chains[kChains];
#pragma unroll
  for (int c = 0; c < kChains; ++c) chains[c] = 1e-3f * static_cast<float>(c);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma unroll
    for (float& c : chains) c = fma(c, factor, addend);  // of unknown numbers: no compiler solves the recurrence
  }
  float total = 0;
#pragma unroll
  for (const float c : chains) total += c;
  sums[task] = total;
}

__global__ void __launch_bounds__(kBlock)
    copy_vectors(const float* __restrict__ source, float* __restrict__ target, int64_t n, bool streaming) {
  const int64_t vectors = n / 4, first = int64_t{blockIdx.x} * (kBlock * kLoads) + threadIdx.x;
  float4 v[kLoads];
#pragma unroll
  for (int j = 0; j < kLoads; ++j)
    if (first + j * kBlock < vectors) v[j] = reinterpret_cast<const float4*>(source)[first + j * kBlock];
#pragma unroll
  for (int j = 0; j < kLoads; ++j)
    if (first + j * kBlock < vectors) store(reinterpret_cast<float4*>(target) + first + j * kBlock, v[j], streaming);
  if (blockIdx.x == 0 && threadIdx.x < n % 4) target[4 * vectors + threadIdx.x] = source[4 * vectors + threadIdx.x];
}

__global__ void __launch_bounds__(kBlock) copy_floats(const float* __restrict__ source, float* __restrict__ target, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (i < n) target[i] = source[i];
}

}  // namespace

// --- launchers ---

void probe_flops(const Context& context, const ProbeFlopsArgs& a) {
  launch(multiply_adds, {blocks_for(a.tasks, kBlock), kBlock}, context, a.tasks, a.iterations, 0.999f, 1e-4f, a.sums);
}

void probe_copy(const Context& context, const ProbeCopyArgs& a) {
  const bool aligned = (reinterpret_cast<uintptr_t>(a.source) | reinterpret_cast<uintptr_t>(a.target)) % 16 == 0;
  if (!aligned) return launch(copy_floats, {blocks_for(a.n, kBlock), kBlock}, context, a.source, a.target, a.n);
  launch(copy_vectors, {blocks_for(a.n / 4, kBlock * kLoads), kBlock}, context, a.source, a.target, a.n, a.streaming);
}

}  // namespace fastdl::cuda
