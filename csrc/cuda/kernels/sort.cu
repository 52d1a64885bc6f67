// Stable sort along one dimension, NaN last (first when descending).
//
// Each value becomes an unsigned key of the same order; (key, place) pairs are all different, so any order by them is
// stable. Pairs are merged by rank: an element's place in the merged run is its place in its own run plus the number of
// smaller ones in the other, found by bisection. Runs of up to 1024 grow in shared memory (several short lines a block);
// longer lines go on in the workspace, one kernel for each doubling, the last of which writes the results.
// Bytes: input and outputs once, and 32 an element for each doubling beyond 1024; n log^2(n) / 2 comparisons.
#include <algorithm>
#include <bit>

#include "cuda/device/launch.h"
#include "cuda/device/strided.h"
#include "cuda/device/visit.h"
#include "kernels/reduce.h"

namespace fastdl::cuda {
namespace {

constexpr int kBlock = 256, kTile = 1024, kPerThread = kTile / kBlock;

// --- device functions ---

struct Item {
  uint64_t key;
  int64_t place;
};
__device__ __forceinline__ bool less(const Item& a, const Item& b) {
  return a.key != b.key ? a.key < b.key : a.place < b.place;
}

// Unsigned keys in the order of the values; NaN above all, -0 equal to 0.
__device__ __forceinline__ uint64_t key_of(double x) {
  if (x != x) return ~uint64_t{0};
  const uint64_t u = std::bit_cast<uint64_t>(x + 0.0);
  return u >> 63 ? ~u : u | uint64_t{1} << 63;
}
__device__ __forceinline__ uint64_t key_of(float x) { return key_of(static_cast<double>(x)); }
__device__ __forceinline__ uint64_t key_of(int64_t x) { return static_cast<uint64_t>(x) ^ uint64_t{1} << 63; }

// Where the element at `at` of a line of n goes when its run of `width` is merged with the neighbouring one.
__device__ __forceinline__ int64_t merged_place(const Item* line, int64_t at, int64_t n, int64_t width) {
  const int64_t begin = at / (2 * width) * (2 * width);
  const int64_t middle = begin + width < n ? begin + width : n, end = begin + 2 * width < n ? begin + 2 * width : n;
  const bool first = at < middle;
  const Item item = line[at];
  int64_t low = first ? middle : begin, high = first ? end : middle;
  const int64_t start = low;
  while (low < high) {
    const int64_t half = (low + high) / 2;
    if (less(line[half], item)) low = half + 1;
    else high = half;
  }
  return begin + (at - (first ? begin : middle)) + (low - start);
}

struct SortJob {
  const char* in;
  char* values;
  int64_t* indices;
  Item *items, *other;  // (lines, n)
  Strided<3> lines;
  int64_t n, in_step, value_step, index_step;
  uint64_t flip;        // of the keys, when descending
  uint32_t count;       // of lines
  uint32_t width;       // of the segments that are sorted in shared memory: a power of two
  int32_t dtype, unused;
};

__device__ __forceinline__ void write_result(const SortJob& job, const int64_t (&offset)[3], int64_t at, int64_t place) {
  const int64_t to = offset[1] + at * job.value_step, from = offset[0] + place * job.in_step;
  for_size(size_of(static_cast<DType>(job.dtype)), [&]<class Word>() {
    reinterpret_cast<Word*>(job.values)[to] = reinterpret_cast<const Word*>(job.in)[from];
  });
  job.indices[offset[2] + at * job.index_step] = place;
}

struct SortShared {
  Item items[2][kTile];
};

// --- kernels ---

// Segments of `width` elements: whole lines if they are as short.
template <class T> __global__ void __launch_bounds__(kBlock) sort_segments(const __grid_constant__ SortJob job) {
  FASTDL_SHARED(SortShared, shared);
  const int64_t width = job.width, segments = (job.n + width - 1) / width;
  struct Slot {
    int64_t line, first, at, length;  // of the segment that the slot belongs to; at: the slot's place in it
  };
  const auto slot_of = [&](int k) {
    const int64_t slot = int64_t{blockIdx.x} * kTile + threadIdx.x + k * kBlock, segment = slot / width;
    const int64_t first = segment % segments * width, left = job.n - first;
    return Slot{segment / segments, first, slot % width, left < width ? left : width};
  };
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) {
    const Slot s = slot_of(k);
    if (s.line >= job.count || s.at >= s.length) continue;
    int64_t offset[3];
    job.lines.offsets(static_cast<uint32_t>(s.line), offset);
    const int64_t place = s.first + s.at;
    const T x = load_element<T>(job.in, static_cast<DType>(job.dtype), offset[0] + place * job.in_step);
    shared.items[0][threadIdx.x + k * kBlock] = {key_of(x) ^ job.flip, place};
  }
  __syncthreads();
  int now = 0;
  for (int64_t run = 1; run < width; run *= 2, now ^= 1) {
#pragma unroll
    for (int k = 0; k < kPerThread; ++k) {
      const Slot s = slot_of(k);
      if (s.line >= job.count || s.at >= s.length) continue;
      const int64_t base = threadIdx.x + k * kBlock - s.at;
      const Item* segment = shared.items[now] + base;
      shared.items[now ^ 1][base + merged_place(segment, s.at, s.length, run)] = segment[s.at];
    }
    __syncthreads();
  }
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) {
    const Slot s = slot_of(k);
    if (s.line >= job.count || s.at >= s.length) continue;
    const Item item = shared.items[now][threadIdx.x + k * kBlock];
    if (segments > 1) {
      job.items[s.line * job.n + s.first + s.at] = item;
    } else {
      int64_t offset[3];
      job.lines.offsets(static_cast<uint32_t>(s.line), offset);
      write_result(job, offset, s.at, item.place);
    }
  }
}

// Runs of `width` into runs of twice that, from `items` to `other`, or, the last time, to the results.
__global__ void __launch_bounds__(kBlock) merge_runs(const __grid_constant__ SortJob job, int64_t width) {
  const int64_t total = job.count * job.n;
  for (int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x; i < total; i += int64_t{gridDim.x} * kBlock) {
    const int64_t line = i / job.n, at = i % job.n;
    const Item* items = job.items + line * job.n;
    const int64_t to = merged_place(items, at, job.n, width);
    if (2 * width < job.n) {
      job.other[line * job.n + to] = items[at];
    } else {
      int64_t offset[3];
      job.lines.offsets(static_cast<uint32_t>(line), offset);
      write_result(job, offset, to, items[at].place);
    }
  }
}

}  // namespace

// --- launchers ---

void sort(const Context& context, const SortArgs& a) {
  const int64_t n = a.in.shape[a.dim], total = a.in.numel();
  const Dims<3> lines = merged_dims<3>({&a.in, &a.values, &a.indices}, ~(1u << a.dim));
  const uint32_t width = static_cast<uint32_t>(std::min<uint64_t>(kTile, std::bit_ceil(static_cast<uint64_t>(n))));
  int64_t done = 0;  // lines of the parts before
  for_parts(lines, [&](const Dims<3>& part, const int64_t (&offset)[3]) {
    const int64_t element = size_of(a.in.dtype), count = part.count();
    Item* items = static_cast<Item*>(a.workspace) + done * n;
    SortJob job{a.in.as<char>() + offset[0] * element, a.values.as<char>() + offset[1] * element,
                a.indices.as<int64_t>() + offset[2], items, items + total, Strided<3>(part), n, a.in.strides[a.dim],
                a.values.strides[a.dim], a.indices.strides[a.dim], a.descending ? ~uint64_t{0} : 0,
                static_cast<uint32_t>(count), width, static_cast<int32_t>(a.in.dtype), 0};
    const int64_t segments = (n + width - 1) / width;
    const LaunchShape shape{blocks_for(count * segments * width, kTile), kBlock, sizeof(SortShared)};
    for_compute(a.in.dtype, [&]<class T>() { launch(sort_segments<T>, shape, context, job); });
    for (int64_t run = width; run < n; run *= 2) {
      launch(merge_runs, {blocks_for(count * n, kBlock, 32 * multiprocessors(context)), kBlock}, context, job, run);
      std::swap(job.items, job.other);
    }
    done += count;
  });
}

}  // namespace fastdl::cuda
