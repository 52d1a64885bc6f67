// The thread pool. Sized by affinity and the cgroup quota; starts on first use; starts anew in a forked child.
//
// Work is a number of tasks that depends on the shape alone, never on the number of threads, and each task writes its
// own part of the output (or its own partial sum, added up in task order): results are the same at any thread count.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/macros.h"

namespace fastdl {

using TaskFn = void (*)(const void* closure, int64_t task);

// Runs fn(closure, 0 .. tasks-1), each once, on the pool and the calling thread; returns when all are done. Called from
// inside a task, from a second thread while the pool is busy, or with one thread, it runs the tasks on the caller.
void parallel_run(int64_t tasks, TaskFn fn, const void* closure);

int num_threads();
void set_num_threads(int n);   // n >= 1
int available_threads();       // affinity and cgroup quota of this process
bool in_parallel_region();

// Called around the parallel part of a kernel by the thread that waits for it: lets the Python binding give up the GIL.
struct BlockingHooks {
  void* (*enter)();
  void (*leave)(void*);
};
void set_blocking_hooks(BlockingHooks hooks);

// Per-thread scratch memory, 64-byte aligned, kept and grown; contents are undefined. A slot's memory is valid until the
// same thread asks for the same slot again. For blocking buffers of bounded size (at most a few MiB); anything that
// grows with the input is a tensor that the op allocates.
constexpr int kScratchSlots = 8;
void* scratch(int slot, size_t bytes);

// f(task) for task in [0, tasks).
template <class F> FASTDL_INLINE void parallel_tasks(int64_t tasks, const F& f) {
  if (tasks == 1) {
    f(int64_t{0});
  } else if (tasks > 1) {
    parallel_run(tasks, [](const void* c, int64_t t) { (*static_cast<const F*>(c))(t); }, &f);
  }
}

// f(begin, end) over [0, n) in pieces of `grain`; runs on the caller alone when there is one piece.
template <class F> FASTDL_INLINE void parallel_for(int64_t n, int64_t grain, const F& f) {
  if (n <= grain) {
    if (n > 0) f(int64_t{0}, n);
    return;
  }
  parallel_tasks((n + grain - 1) / grain, [&](int64_t t) {
    const int64_t begin = t * grain, end = begin + grain < n ? begin + grain : n;
    f(begin, end);
  });
}

// A piece of work worth handing to another thread: about 20 us of streaming. In bytes touched.
constexpr int64_t kGrainBytes = 1 << 17;
FASTDL_INLINE int64_t grain_for(int64_t bytes_per_item) {
  const int64_t g = kGrainBytes / (bytes_per_item > 0 ? bytes_per_item : 1);
  return g > 0 ? g : 1;
}

}  // namespace fastdl
