// The simulated device's execution model. The threads of a block are fibers on one host thread, switched only where
// CUDA threads meet (barriers, warp intrinsics, waits), so a run is deterministic. Blocks run one after another on each
// host thread; the blocks of a cluster run side by side. Shared memory is filled with NaN before a block starts.
//
// FASTDL_SIM_SCHEDULE  which thread runs next: `rr` in turn; `skew` (default) stays within a warp as long as it can go
//                      on, so that warps drift as far apart as their barriers allow; `random:SEED` leaves it now and then
//                      before, for any other
// FASTDL_SIM_WORKERS   host threads for large grids (default: 1)
//
// A kernel that breaks the rules (divergent barriers, deadlock, ...) ends the launch with a message: see take_error().
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/sim/vectors.h"

namespace fastdl::cuda::sim {

struct Block;

// An asynchronous copy to shared memory that has not been done yet.
struct PendingCopy {
  void* to;
  const void* from;
  int bytes;  // of them `valid` are copied and the rest zeroed
  int valid;
};

struct Thread {
  void* stack_pointer;
  char* stack;
  Block* block;
  uint3 index;
  unsigned linear, lane, warp;
  bool started, done;
  const unsigned* awaited;  // sleeps while this holds `seen`; null: wants to run
  unsigned seen;
  const char* waits_at;  // for reports of deadlocks
  void* tsan_fiber;
  void* asan_fake_stack;
  std::vector<PendingCopy> copies;
  std::vector<size_t> copy_groups;  // the number of copies up to each commit
  std::vector<size_t> product_groups;
  size_t products_issued;
};

// The lanes of a mask meet here. Two generations of values, as a fast lane may be back before a slow one has read.
struct Rendezvous {
  uint32_t mask, arrived;
  unsigned generation;
  alignas(16) unsigned char values[2][32][64];
};

struct Warp {
  static constexpr int kMasks = 8;
  Rendezvous meetings[kMasks];
  int count;
};

struct Barrier {
  unsigned arrived, generation, expected;
  const char* site;
  int votes[2];
};

struct Block {
  static constexpr int kBarriers = 16;
  uint3 index;
  dim3 shape;
  unsigned rank;  // among the blocks that run side by side
  unsigned threads, alive;
  char* shared;
  size_t shared_bytes;
  Barrier barriers[kBarriers];
  Barrier cluster_barrier;
  std::vector<Warp> warps;
  void* extension;  // of sim/tensor_core.cpp: what asynchronous units have in flight
  void (*release_extension)(Block*);
};

struct LaunchConfig {
  dim3 grid, block;
  size_t shared_bytes;
  unsigned cluster;  // blocks that run side by side and see each other's shared memory
};

struct Group;  // the blocks that run side by side on one host thread

extern thread_local Thread* this_thread;
extern thread_local Group* this_group;
const dim3& grid_shape();
Block& cluster_block(unsigned rank);  // of the running block's cluster
unsigned cluster_size();

// Runs body(argument) as every thread of the grid.
void run_grid(const LaunchConfig& config, void (*body)(void*), void* argument);

// Ends the launch with a message (printf style).
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
// The message of the first failure since the last call, or null.
const char* take_error();
void set_error(const char* message);

// Lets others run until *generation is no longer what it is now. Everybody asleep is a deadlock.
void sleep_on(const unsigned& generation, const char* waits_at);
// Lets others run. Called in a loop by whoever waits for memory to change; nobody getting anywhere for long is a deadlock.
void yield(const char* waits_at);
void progress();  // somebody got somewhere

// The lanes of `mask` exchange `bytes` each (at most 64); returns all lanes' values. `ordered`: memory too.
using LaneValues = unsigned char (*)[64];
LaneValues exchange(uint32_t mask, const void* value, size_t bytes, const char* where, bool ordered = false);
// bar.sync: `count` threads, or with 0 every live thread of the block. Returns the votes of those who came.
int block_barrier(unsigned id, unsigned count, const char* site, int vote = 0);
void cluster_barrier(const char* site);

// The simulator's own memory accesses are no CUDA thread's: hidden from ThreadSanitizer while one of these lives.
struct Quiet {
#if defined(__SANITIZE_THREAD__)
  Quiet();
  ~Quiet();
#else
  Quiet() {}
#endif
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
};
// Happens-before edges for ThreadSanitizer: what released before a barrier sees what acquired after it.
void release_order(void* at);
void acquire_order(void* at);

}  // namespace fastdl::cuda::sim
