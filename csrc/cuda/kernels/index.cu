// Indexing by integer tensors: offsets of the places, then copies of what lies there, a thread an element. Scattering
// takes the places sorted by target: who stands first in a run of equal targets walks the run in order, so that sums come
// out in one order and the last of several values stays, without atomics. Bytes: those read and written.
#include "cuda/device/launch.h"
#include "cuda/device/reduce.h"
#include "cuda/device/visit.h"
#include "kernels/index.h"

namespace fastdl::cuda {
namespace {

constexpr int kThreads = 256;

// --- kernels ---

__global__ void offsets_of_places(IndexOffsetsArgs a, int64_t n) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= n) return;
  int64_t offset = 0;
  for (int k = 0; k < a.count; ++k) {
    const View& v = a.index[k];
    int64_t x = v.as<int64_t>()[position(v, 0, v.ndim, i)];
    if (x < -a.size[k] || x >= a.size[k]) {
      if (atomicCAS(reinterpret_cast<unsigned long long*>(a.bad), 0ull, 1ull) == 0) {
        a.bad[1] = k;
        a.bad[2] = x;
      }
      x = 0;
    }
    offset += (x < 0 ? x + a.size[k] : x) * a.stride[k];
  }
  a.offsets[i] = offset;
}

template <class T> __global__ void gather_places(IndexGatherArgs a, int64_t block, int64_t n) {
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    const int64_t p = i / block, e = i % block;
    const int64_t to = position(a.out, 0, a.place_dims, p) + position(a.out, a.place_dims, a.out.ndim, e);
    a.out.as<T>()[to] = a.from.as<T>()[a.offsets[p] + position(a.from, 0, a.from.ndim, e)];
  }
}

// Element e of the block at sorted place s; only the first place of each run of equal targets works.
template <class T, bool Accumulate> __global__ void scatter_places(IndexScatterArgs a, int64_t places, int64_t block) {
  const int64_t n = places * block;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    const int64_t s = i / block, e = i % block, target = a.offsets[a.order[s]];
    if (s > 0 && a.offsets[a.order[s - 1]] == target) continue;
    const int64_t within = position(a.values, a.place_dims, a.values.ndim, e);
    const auto value = [&](int64_t k) { return a.values.as<T>()[position(a.values, 0, a.place_dims, a.order[k]) + within]; };
    T& to = a.to.as<T>()[target + position(a.to, 0, a.to.ndim, e)];
    int64_t k = s;
    if constexpr (Accumulate) {
      using C = Compute<T>;
      C total = convert<C>(to);
      for (; k < places && a.offsets[a.order[k]] == target; ++k) {
        if constexpr (std::is_same_v<T, bool>) total = total || value(k);
        else total = static_cast<C>(total + convert<C>(value(k)));
      }
      to = convert<T>(total);
    } else {
      while (k + 1 < places && a.offsets[a.order[k + 1]] == target) ++k;
      to = value(k);
    }
  }
}

// --- nonzero: a chunk a block; counts, then their running sums, then the coordinates ---

struct Counts {
  int warps[32];
};
struct Totals {
  int64_t warps[32];
};

template <class T> __device__ __forceinline__ bool is_nonzero(const View& v, int64_t i, int64_t n) {
  return i < n && convert<bool>(convert<Compute<T>>(v.as<T>()[position(v, 0, v.ndim, i)]));
}

template <class T> __global__ void count_nonzeros(View v, int64_t n, int64_t* counts) {
  FASTDL_SHARED(Counts, shared);
  int count = 0;
  for (int64_t i = threadIdx.x; i < kNonzeroChunk; i += kThreads) count += is_nonzero<T>(v, blockIdx.x * kNonzeroChunk + i, n);
  count = block_reduce(count, Add{}, 0, shared.warps);
  if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

// One thread: there is one chunk for thousands of elements.
__global__ void running_sums(int64_t* counts, int64_t chunks) {
  int64_t before = 0;
  for (int64_t i = 0; i < chunks; ++i) {
    const int64_t count = counts[i];
    counts[i] = before;
    before += count;
  }
}

template <class T> __global__ void write_nonzeros(NonzeroArgs a, int64_t n) {
  FASTDL_SHARED(Counts, shared);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int64_t found = a.workspace[blockIdx.x];
  for (int64_t start = 0; start < kNonzeroChunk; start += kThreads) {
    const int64_t i = blockIdx.x * kNonzeroChunk + start + threadIdx.x;
    const bool yes = is_nonzero<T>(a.in, i, n);
    const unsigned ballot = __ballot_sync(kFullWarp, yes);
    if (lane == 0) shared.warps[warp] = __popc(ballot);
    __syncthreads();
    int before = __popc(ballot & ((1u << lane) - 1)), total = 0;
    for (int w = 0; w < kThreads / 32; ++w) {
      if (w < warp) before += shared.warps[w];
      total += shared.warps[w];
    }
    __syncthreads();
    if (yes) {
      int64_t rest = i;
      for (int d = a.in.ndim - 1; d >= 0; --d) {
        a.out[d * a.count + found + before] = rest % a.in.shape[d];
        rest /= a.in.shape[d];
      }
    }
    found += total;
  }
}

LaunchShape shape_for(const Context& context, int64_t n) {
  return {blocks_for(n, kThreads, 32 * multiprocessors(context)), kThreads};
}

}  // namespace

// --- launchers ---

void index_offsets(const Context& context, const IndexOffsetsArgs& a) {
  const int64_t n = a.index[0].numel();
  launch(offsets_of_places, {blocks_for(n, kThreads), kThreads}, context, a, n);
}

void index_gather(const Context& context, const IndexGatherArgs& a) {
  const int64_t n = a.out.numel(), block = elements(a.out, a.place_dims, a.out.ndim);
  for_size(size_of(a.from.dtype), [&]<class T>() { launch(gather_places<T>, shape_for(context, n), context, a, block, n); });
}

void index_scatter(const Context& context, const IndexScatterArgs& a) {
  const int64_t places = elements(a.values, 0, a.place_dims), block = elements(a.values, a.place_dims, a.values.ndim);
  const LaunchShape shape = shape_for(context, places * block);
  if (a.accumulate) for_any(a.to.dtype, [&]<class T>() { launch(scatter_places<T, true>, shape, context, a, places, block); });
  else for_size(size_of(a.to.dtype), [&]<class T>() { launch(scatter_places<T, false>, shape, context, a, places, block); });
}

void nonzero(const Context& context, const NonzeroArgs& a) {
  const int64_t n = a.in.numel(), chunks = (n + kNonzeroChunk - 1) / kNonzeroChunk;
  const unsigned blocks = static_cast<unsigned>(chunks);
  for_any(a.in.dtype, [&]<class T>() {
    launch(count_nonzeros<T>, {blocks, kThreads, sizeof(Counts)}, context, a.in, n, a.workspace);
    launch(running_sums, {1, 1}, context, a.workspace, chunks);
    launch(write_nonzeros<T>, {blocks, kThreads, sizeof(Counts)}, context, a, n);
  });
}

}  // namespace fastdl::cuda
