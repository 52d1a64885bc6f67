// The ceilings of this CPU at this instruction set, measured by the library's own means: its vectors, its threads, its
// memory. probe_flops: independent chains of multiply-adds, as many as hide their latency, nothing but registers;
// 2 * lanes * chains flops an iteration. probe_copy: n floats read and written, with plain or streaming stores;
// 8 n bytes. A benchmark gives its own rate as a share of these.
#include "cpu/kernels/level.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int kChains = FASTDL_VECTOR_BYTES == 64 ? 16 : 12;  // with two constants they fill the registers of a level

// Ties a chain's value to its iteration, so that the compiler cannot solve the recurrence.
FASTDL_INLINE vf32 keep(vf32 v) {
#if FASTDL_VECTOR_BYTES == 64
  asm volatile("" : "+v"(v));
#else
  asm volatile("" : "+x"(v));
#endif
  return v;
}

constexpr int64_t kCopyGrain = 1 << 16;

}  // namespace

void probe_flops(const Context&, const ProbeFlopsArgs& args) {
  parallel_tasks(args.tasks, [&](int64_t task) {
    vf32 chains[kChains];
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) chains[c] = broadcast<vf32>(1e-3f * static_cast<float>(c));
    const vf32 factor = keep(broadcast<vf32>(0.999f)), addend = keep(broadcast<vf32>(1e-4f));
    for (int64_t i = 0; i < args.iterations; ++i) {
#pragma GCC unroll 16
      for (int c = 0; c < kChains; ++c) chains[c] = keep(chains[c] * factor + addend);
    }
    vf32 total = zero<vf32>();
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) total += chains[c];
    args.sums[task] = sum(total);
  });
}

void probe_copy(const Context&, const ProbeCopyArgs& args) {
  parallel_for(args.n, kCopyGrain, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    if (args.streaming) {  // the target is aligned, as all memory of the allocator
      for (; i + kF32 <= end; i += kF32) store_stream(args.target + i, load<vf32>(args.source + i));
      stream_fence();
    } else {
      for (; i + kF32 <= end; i += kF32) store<vf32>(args.target + i, load<vf32>(args.source + i));
    }
    for (; i < end; ++i) args.target[i] = args.source[i];
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
