// Kernels that can make one mistake each: tests/test_simulated_device.py shows that the simulated device finds it.
//
//   mistakes NAME right|wrong    prints `error TEXT` where the device reports one, else the sum of the output
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/device/async_copy.h"
#include "cuda/device/barrier.h"
#include "cuda/device/launch.h"

using namespace fastdl;
using namespace fastdl::cuda;

namespace {

constexpr int kThreads = 64, kStages = 2, kTiles = 6;

struct Values {
  float v[kThreads];
};
struct Ring {
  alignas(16) float stage[kStages][32 * 4];
  MBarrier full[kStages], empty[kStages];
};

// --- kernels: without the mistake the output's sum is 1 + ... + 64, and 32 (1 + ... + 6) for early_release ---

// Each thread reads what a thread of the other warp wrote.
__global__ void missing_barrier(float* out, bool wrong) {
  FASTDL_SHARED(Values, shared);
  const int t = static_cast<int>(threadIdx.x);
  shared.v[t] = static_cast<float>(t + 1);
  if (!wrong) __syncthreads();
  out[t] = shared.v[kThreads - 1 - t];
}

// The two warps come to different barriers.
__global__ void divergent_barrier(float* out, bool wrong) {
  FASTDL_SHARED(Values, shared);
  const int t = static_cast<int>(threadIdx.x);
  shared.v[t] = static_cast<float>(t + 1);
  if (wrong && t < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[t] = shared.v[kThreads - 1 - t];
}

// One warp waits for two at a named barrier.
__global__ void deadlock(float* out, bool wrong) {
  const int t = static_cast<int>(threadIdx.x);
  if (!wrong || t < 32) named_barrier(1, kThreads);
  out[t] = static_cast<float>(t + 1);
}

// A shuffle of lanes that do not all come.
__global__ void divergent_shuffle(float* out, bool wrong) {
  const int t = static_cast<int>(threadIdx.x);
  float v = static_cast<float>(t + 1);
  if (!wrong || t % 32 < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);
  out[t] = v;
}

// One element is read that nobody wrote.
__global__ void uninitialised_shared_memory(float* out, bool wrong) {
  FASTDL_SHARED(Values, shared);
  const int t = static_cast<int>(threadIdx.x);
  if (!wrong || t < kThreads - 1) shared.v[t] = static_cast<float>(t + 1);
  __syncthreads();
  out[t] = shared.v[t];
}

__global__ void outside_of_shared_memory(float* out, bool wrong) {
  FASTDL_SHARED(Values, shared);
  const int t = static_cast<int>(threadIdx.x);
  shared.v[wrong ? t + 1 : t] = static_cast<float>(t + 1);
  out[t] = shared.v[wrong ? t + 1 : t];
}

__global__ void outside_of_device_memory(float* out, bool wrong) {
  const int t = static_cast<int>(threadIdx.x);
  out[t] = static_cast<float>(t + 1);
  if (wrong && t == 0) out[kThreads] = 1.0f;
}

// Reads a 16-byte copy before it has been waited for.
__global__ void early_read(float* out, const float* in, bool wrong) {
  FASTDL_SHARED(Values, shared);
  const int t = static_cast<int>(threadIdx.x);
  if (t % 4 == 0) async_copy_16(&shared.v[t], in + t);
  async_copy_commit();
  if (!wrong) async_copy_wait<0>();
  __syncthreads();
  out[t] = shared.v[t];
  async_copy_wait<0>();
}

// A ring of two slots: warp 0 fills them, warp 1 adds what they hold. The consumer gives a slot back before it has read it.
__global__ void early_release(float* out, bool wrong) {
  FASTDL_SHARED(Ring, ring);
  const int t = static_cast<int>(threadIdx.x), lane = t % 32;
  if (t == 0) {
    for (int s = 0; s < kStages; ++s) mbarrier_init(&ring.full[s], 32), mbarrier_init(&ring.empty[s], 32);
    mbarrier_init_fence();
  }
  __syncthreads();
  float sum = 0;
  for (int tile = 0; tile < kTiles; ++tile) {
    const int s = tile % kStages, parity = tile / kStages % 2;
    if (t < 32) {
      mbarrier_wait(&ring.empty[s], parity ^ 1);
      ring.stage[s][lane] = static_cast<float>(tile + 1);
      mbarrier_arrive(&ring.full[s]);
    } else {
      mbarrier_wait(&ring.full[s], parity);
      if (wrong) mbarrier_arrive(&ring.empty[s]);
      __syncwarp();
      sum += ring.stage[s][31 - lane];
      __syncwarp();
      if (!wrong) mbarrier_arrive(&ring.empty[s]);
    }
  }
  out[t] = t < 32 ? 0 : sum;
}

// An mbarrier's arrivals are one short.
__global__ void missing_arrival(float* out, bool wrong) {
  FASTDL_SHARED(Ring, ring);
  const int t = static_cast<int>(threadIdx.x);
  if (t == 0) mbarrier_init(&ring.full[0], kThreads);
  __syncthreads();
  if (!wrong || t != 5) mbarrier_arrive(&ring.full[0]);
  mbarrier_wait(&ring.full[0], 0);
  out[t] = static_cast<float>(t + 1);
}

// `in` lies in the host's memory.
__global__ void host_pointer(float* out, const float* in, bool) { out[threadIdx.x] = in[threadIdx.x]; }

// --- running one ---

float* device_floats(const std::vector<float>& host) {
  const size_t bytes = host.size() * sizeof(float);
  float* p = static_cast<float*>(sim::allocate(0, bytes));
  sim::copy(p, host.data(), bytes);
  return p;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const std::string name = arguments[1];
  const bool wrong = !std::strcmp(arguments[2], "wrong");
  std::vector<float> ramp(kThreads);
  for (int i = 0; i < kThreads; ++i) ramp[i] = static_cast<float>(i + 1);
  float* const out = device_floats(std::vector<float>(kThreads));
  float* const in = device_floats(ramp);
  const LaunchShape shape{1, kThreads, std::max(sizeof(Values), sizeof(Ring))};
  const LaunchShape exact{1, kThreads, sizeof(Values)};
  const Context context{0, nullptr};
  if (name == "missing_barrier") launch(missing_barrier, shape, context, out, wrong);
  else if (name == "divergent_barrier") launch(divergent_barrier, shape, context, out, wrong);
  else if (name == "deadlock") launch(deadlock, shape, context, out, wrong);
  else if (name == "divergent_shuffle") launch(divergent_shuffle, shape, context, out, wrong);
  else if (name == "uninitialised_shared_memory") launch(uninitialised_shared_memory, shape, context, out, wrong);
  else if (name == "outside_of_shared_memory") launch(outside_of_shared_memory, exact, context, out, wrong);
  else if (name == "outside_of_device_memory") launch(outside_of_device_memory, shape, context, out, wrong);
  else if (name == "early_read") launch(early_read, shape, context, out, in, wrong);
  else if (name == "early_release") launch(early_release, shape, context, out, wrong);
  else if (name == "missing_arrival") launch(missing_arrival, shape, context, out, wrong);
  else if (name == "host_pointer") launch(host_pointer, shape, context, out, wrong ? ramp.data() : in, wrong);
  else return 2;
  if (const char* error = sim::take_error()) return std::printf("error %s\n", error), 0;
  std::vector<float> result(kThreads);
  sim::copy(result.data(), out, kThreads * sizeof(float));
  double sum = 0;
  for (const float v : result) sum += static_cast<double>(v);
  std::printf("%g\n", sum);
}
