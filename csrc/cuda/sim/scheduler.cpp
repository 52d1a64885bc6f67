#include "cuda/sim/scheduler.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}
#endif

namespace fastdl::cuda::sim {

thread_local Thread* this_thread = nullptr;
thread_local Group* this_group = nullptr;

struct Group {
  void* host_stack_pointer = nullptr;
  void* host_tsan_fiber = nullptr;
  void* host_fake_stack = nullptr;
  const void* host_stack = nullptr;  // bounds of the host's stack, for AddressSanitizer
  size_t host_stack_size = 0;
  std::vector<Thread> threads;
  std::vector<Block> blocks;
  unsigned current = 0, alive = 0, idle = 0, turns = 0;
  LaunchConfig config{};
  void (*body)(void*) = nullptr;
  void* argument = nullptr;
};

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStackBytes = 256 << 10;
#else
constexpr size_t kStackBytes = 64 << 10;
#endif
constexpr size_t kSharedAlignment = 1024;

std::mutex error_lock;
std::atomic<bool> failed{false};
char error_message[768];

// --- switching stacks ---

__attribute__((naked, noinline)) void swap_stacks(void** /*save*/, void* /*to*/) {
  asm("pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
      "movq %rsp,(%rdi)\n movq %rsi,%rsp\n"
      "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret");
}

void thread_main();

// Where a thread that has not run yet begins. Written when it is switched to: most take over another's stack instead, and
// a launch of threads that never wait touches one stack.
#if defined(__SANITIZE_THREAD__)
__attribute__((no_sanitize("thread")))
#endif
void prepare_stack(Thread& t) {
  // Staggered, as equal offsets in all stacks would share cache sets.
  void** top = reinterpret_cast<void**>(t.stack + kStackBytes - 64 - t.linear % 61 * 192);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&thread_main);
  t.stack_pointer = top - 6;
}

// Leaves the running context, kept at *save, for a thread, or for the host when `to` is null.
#if defined(__SANITIZE_THREAD__)
__attribute__((no_sanitize("thread")))
#endif
void switch_to(void** save, [[maybe_unused]] void** fake_stack, Thread* to, [[maybe_unused]] bool dying = false) {
  Group* g = this_group;
  this_thread = to;
  if (to && !to->started) {
    prepare_stack(*to);
    to->started = true;
  }
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(to ? to->tsan_fiber : g->host_tsan_fiber, 1 /* implies no order */);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(dying ? nullptr : fake_stack, to ? to->stack : g->host_stack,
                                 to ? kStackBytes : g->host_stack_size);
#endif
  swap_stacks(save, to ? to->stack_pointer : g->host_stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(*fake_stack, &bottom, &size);
#endif
}

// --- which thread is next ---

struct Schedule {
  enum Mode { in_turn, skewed, random } mode = skewed;
  uint64_t seed = 1;
  Schedule() {
    const char* asked = std::getenv("FASTDL_SIM_SCHEDULE");
    if (!asked) return;
    if (!std::strcmp(asked, "rr")) mode = in_turn;
    if (!std::strncmp(asked, "random", 6)) mode = random;
    if (const char* colon = std::strchr(asked, ':')) seed = std::strtoull(colon + 1, nullptr, 10) * 2 + 1;
  }
};

bool can_run(const Thread& t) { return !t.done && (!t.awaited || *t.awaited != t.seen); }

// The thread that runs after the current one, which may be itself; the number of threads when all sleep.
unsigned next_thread(Group* g) {
  static const Schedule schedule;
  static thread_local uint64_t state = schedule.seed;
  const unsigned n = static_cast<unsigned>(g->threads.size()), me = g->current;
  const unsigned first = me & ~31u, end = std::min(first + 32, n);
  unsigned from = me + 1;
  if (schedule.mode == Schedule::random) state = state * 6364136223846793005ull + 1442695040888963407ull;
  const bool leaves = schedule.mode == Schedule::random && state >> 61 == 0;
  if (schedule.mode != Schedule::in_turn && !leaves && ++g->turns <= 33) {  // within the warp
    for (unsigned i = me + 1; i < end; ++i)
      if (can_run(g->threads[i])) return i;
    for (unsigned i = first; i < me; ++i)
      if (can_run(g->threads[i])) return i;
  }
  g->turns = 0;
  if (schedule.mode == Schedule::random) from = static_cast<unsigned>((state >> 33) % ((n + 31) / 32)) * 32;
  if (schedule.mode == Schedule::skewed) from = end;
  for (unsigned i = from; i < n; ++i)
    if (can_run(g->threads[i])) return i;
  for (unsigned i = 0; i < std::min(from, n); ++i)
    if (can_run(g->threads[i])) return i;
  return n;
}

[[noreturn]] void report_deadlock(Group* g) {
  char list[256] = "";
  unsigned listed = 0;
  for (const Thread& t : g->threads) {
    if (t.done || listed == 4) continue;
    ++listed;
    const size_t used = std::strlen(list);
    std::snprintf(list + used, sizeof list - used, " thread %u at %s;", t.linear, t.waits_at ? t.waits_at : "?");
  }
  fail("deadlock: %u threads wait:%s", g->alive, list);
}

void open_if_complete(Barrier& b, unsigned alive) {
  if (b.arrived && b.arrived == alive) {
    b.arrived = 0;
    ++b.generation;
    progress();
  }
}

void thread_main() {
#if defined(__SANITIZE_ADDRESS__)
  {
    const void* bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
    if (!this_group->host_stack) {
      this_group->host_stack = bottom;
      this_group->host_stack_size = size;
    }
  }
#endif
  for (;;) {
    Group* g;
    Thread* me;
    {
      const Quiet quiet;
      g = this_group;
      me = this_thread;
      acquire_order(&g->config);  // not of threads that ended before: on a device they run at the same time
    }
    g->body(g->argument);
    release_order(g);
    Thread* to = nullptr;
    {
      const Quiet quiet;
      me->copies.clear();  // never waited for: nobody can have read them
      me->done = true;
      --g->alive;
      --me->block->alive;
      open_if_complete(me->block->barriers[0], me->block->alive);
      progress();
      if (g->alive) {
        const unsigned next = next_thread(g);
        if (next == g->threads.size()) report_deadlock(g);
        g->current = next;
        to = &g->threads[next];
      }
    }
#if !defined(__SANITIZE_THREAD__)
    if (to && !to->started) {  // takes over this stack: threads that never wait need no switches
      std::swap(me->stack, to->stack);
      to->started = true;
      this_thread = to;
      continue;
    }
#endif
    switch_to(&me->stack_pointer, &me->asan_fake_stack, to, true);
    std::abort();
  }
}

// The stacks of a host thread's fibers; kept from launch to launch.
class Stacks {
 public:
  ~Stacks() {
    if (memory_) munmap(memory_, bytes_);
  }
  char* reserve(size_t threads) {
    if (threads * kStackBytes > bytes_) {
      if (memory_) munmap(memory_, bytes_);
      bytes_ = threads * kStackBytes;
      void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (p == MAP_FAILED) std::abort();
      memory_ = static_cast<char*>(p);
    }
    return memory_;
  }

 private:
  char* memory_ = nullptr;
  size_t bytes_ = 0;
};

void start_thread(Thread& t, Block& b, const dim3& shape, unsigned linear) {
  t.block = &b;
  t.linear = linear;
  t.lane = linear % 32;
  t.warp = linear / 32;
  t.started = t.done = false;
  t.awaited = nullptr;
  t.waits_at = "start";
  t.asan_fake_stack = nullptr;
  t.index = {linear % shape.x, linear / shape.x % shape.y, linear / shape.x / shape.y};
  t.copies.clear();
  t.copy_groups.clear();
  t.product_groups.clear();
  t.products_issued = 0;
}

void start_block(Block& b, const LaunchConfig& c, unsigned id, unsigned rank, unsigned threads) {
  b.index = {id % c.grid.x, id / c.grid.x % c.grid.y, id / c.grid.x / c.grid.y};
  b.shape = c.block;
  b.rank = rank;
  b.threads = b.alive = threads;
  std::memset(b.barriers, 0, sizeof b.barriers);
  std::memset(&b.cluster_barrier, 0, sizeof b.cluster_barrier);
  std::memset(b.shared, 0xFF, c.shared_bytes);  // NaN: nobody may rely on what was there
  for (Warp& w : b.warps) w.count = 0;
  if (b.release_extension) b.release_extension(&b);
}

void run_worker(const LaunchConfig& c, void (*body)(void*), void* argument, std::atomic<unsigned>& next) {
  static thread_local Stacks stacks;
  const unsigned threads = c.block.x * c.block.y * c.block.z, side_by_side = c.cluster;
  const unsigned blocks = c.grid.x * c.grid.y * c.grid.z;
  // Kept from launch to launch, as they are large; a launch within a launch finds none.
  static thread_local std::vector<Thread> kept_threads;
  static thread_local std::vector<Block> kept_blocks;
  Group g;
  g.threads.swap(kept_threads);
  g.blocks.swap(kept_blocks);
  g.config = c;
  g.body = body;
  g.argument = argument;
  g.threads.resize(size_t{threads} * side_by_side);
  g.blocks.resize(side_by_side);
  char* const memory = stacks.reserve(g.threads.size());
  for (size_t i = 0; i < g.threads.size(); ++i) {
    g.threads[i].stack = memory + i * kStackBytes;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(g.threads[i].stack, kStackBytes);  // what an abandoned fiber left
#endif
#if defined(__SANITIZE_THREAD__)
    g.threads[i].tsan_fiber = __tsan_create_fiber(0);
#endif
  }
#if defined(__SANITIZE_THREAD__)
  g.host_tsan_fiber = __tsan_get_current_fiber();
#endif
  const size_t rounded = (c.shared_bytes + kSharedAlignment) / kSharedAlignment * kSharedAlignment;
  for (Block& b : g.blocks) {
    b.shared_bytes = c.shared_bytes;
    b.shared = static_cast<char*>(std::aligned_alloc(kSharedAlignment, rounded));
    b.extension = nullptr;
    b.release_extension = nullptr;
    b.warps.resize((threads + 31) / 32);
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(b.shared + c.shared_bytes, rounded - c.shared_bytes);
#endif
  }
  Group* const outer_group = this_group;
  Thread* const outer_thread = this_thread;
  this_group = &g;
  for (unsigned first; !failed && (first = next.fetch_add(side_by_side)) < blocks;) {
    const unsigned count = std::min(side_by_side, blocks - first);
    for (unsigned k = 0; k < count; ++k) {
      start_block(g.blocks[k], c, first + k, k, threads);
      for (unsigned t = 0; t < threads; ++t) start_thread(g.threads[size_t{k} * threads + t], g.blocks[k], c.block, t);
    }
    for (size_t i = size_t{count} * threads; i < g.threads.size(); ++i) g.threads[i].done = true;
    g.current = 0;
    g.alive = count * threads;
    g.idle = g.turns = 0;
    release_order(&g.config);
    void* fake_stack = nullptr;
    switch_to(&g.host_stack_pointer, &fake_stack, &g.threads[0]);
    acquire_order(&g);
  }
  this_group = outer_group;
  this_thread = outer_thread;
  for (Block& b : g.blocks) {
    if (b.release_extension) b.release_extension(&b);
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(b.shared, rounded);
#endif
    std::free(b.shared);
  }
#if defined(__SANITIZE_THREAD__)
  for (Thread& t : g.threads) __tsan_destroy_fiber(t.tsan_fiber);
#endif
  g.threads.swap(kept_threads);
  g.blocks.swap(kept_blocks);
}

unsigned workers() {
  static const unsigned n = [] {
    const char* asked = std::getenv("FASTDL_SIM_WORKERS");
    return asked ? std::max(1, std::atoi(asked)) : 1;
  }();
  return n;
}

}  // namespace

const dim3& grid_shape() { return this_group->config.grid; }
unsigned cluster_size() { return this_group->config.cluster; }
Block& cluster_block(unsigned rank) {
  if (rank >= this_group->config.cluster) fail("rank %u in a cluster of %u blocks", rank, this_group->config.cluster);
  return this_group->blocks[rank];
}

void run_grid(const LaunchConfig& config, void (*body)(void*), void* argument) {
  std::atomic<unsigned> next{0};
  const unsigned blocks = config.grid.x * config.grid.y * config.grid.z;
  const unsigned groups = (blocks + config.cluster - 1) / config.cluster;
  const unsigned n = groups >= 8 ? std::min(workers(), groups) : 1;
  std::vector<std::thread> others;
  for (unsigned i = 1; i < n; ++i) others.emplace_back([&] { run_worker(config, body, argument, next); });
  run_worker(config, body, argument, next);
  for (std::thread& t : others) t.join();
}

void set_error(const char* message) {
  const std::lock_guard<std::mutex> guard(error_lock);
  if (!failed.exchange(true)) std::snprintf(error_message, sizeof error_message, "%s", message);
}

const char* take_error() {
  if (!failed) return nullptr;
  failed = false;
  return error_message;
}

void fail(const char* format, ...) {
  char what[512], message[768];
  va_list list;
  va_start(list, format);
  std::vsnprintf(what, sizeof what, format, list);
  va_end(list);
  if (!this_thread) {  // on the host
    set_error(what);
    std::abort();
  }
  const uint3 b = this_thread->block->index, t = this_thread->index;
  std::snprintf(message, sizeof message, "block (%u,%u,%u) thread (%u,%u,%u): %s", b.x, b.y, b.z, t.x, t.y, t.z, what);
  set_error(message);
  // Every thread of the launch is abandoned where it stands.
  void *stack_pointer, *fake_stack = nullptr;
  switch_to(&stack_pointer, &fake_stack, nullptr, true);
  std::abort();
}

void progress() { this_group->idle = this_group->turns = 0; }

namespace {

void leave(Thread* me, const char* waits_at) {
  Group* g = this_group;
  me->waits_at = waits_at;
  if (failed) fail("stopped");
  const unsigned next = next_thread(g);
  if (next == g->threads.size()) report_deadlock(g);
  if (next == g->current) return;
  g->current = next;
  switch_to(&me->stack_pointer, &me->asan_fake_stack, &g->threads[next]);
}

}  // namespace

void sleep_on(const unsigned& generation, const char* waits_at) {
  const Quiet quiet;
  Thread* me = this_thread;
  me->awaited = &generation;
  me->seen = generation;
  leave(me, waits_at);
  me->awaited = nullptr;
}

void yield(const char* waits_at) {
  const Quiet quiet;
  if (++this_group->idle > 80 * this_group->alive + 640) report_deadlock(this_group);
  leave(this_thread, waits_at);
}

LaneValues exchange(uint32_t mask, const void* value, size_t bytes, const char* where, bool ordered) {
  const Quiet quiet;
  Thread* me = this_thread;
  Warp& warp = me->block->warps[me->warp];
  if (!(mask >> me->lane & 1)) fail("%s: the calling lane %u is not in mask %08x", where, me->lane, mask);
  int i = 0;
  while (i < warp.count && warp.meetings[i].mask != mask) ++i;
  if (i == warp.count) {
    if (warp.count == Warp::kMasks) fail("%s: more than %d different masks in one warp", where, Warp::kMasks);
    Rendezvous& fresh = warp.meetings[warp.count++];
    fresh.mask = mask;
    fresh.arrived = 0;
    fresh.generation = 0;
  }
  Rendezvous& r = warp.meetings[i];
  LaneValues values = r.values[r.generation & 1];
  __builtin_memcpy(values[me->lane], value, bytes);
  if (ordered) release_order(values);
  r.arrived |= 1u << me->lane;
  if (r.arrived == mask) {
    r.arrived = 0;
    ++r.generation;
    progress();
  } else {
    sleep_on(r.generation, where);
  }
  if (ordered) acquire_order(values);
  return values;
}

int block_barrier(unsigned id, unsigned count, const char* site, int vote) {
  const Quiet quiet;
  Block* block = this_thread->block;
  Barrier& b = block->barriers[id];
  if (!b.arrived) {
    b.site = site;
    b.expected = count;
    b.votes[b.generation & 1] = 0;
  } else if (id == 0 && b.site != site && std::strcmp(b.site, site) != 0) {
    fail("__syncthreads at %s meets one at %s", site, b.site);
  } else if (b.expected != count) {
    fail("barrier %u: %u and %u threads expected", id, b.expected, count);
  }
  int* const votes = &b.votes[b.generation & 1];
  release_order(votes);
  ++b.arrived;
  *votes += vote;
  if (b.arrived == (count ? count : block->alive)) {
    b.arrived = 0;
    ++b.generation;
    progress();
  } else {
    sleep_on(b.generation, site);
  }
  acquire_order(votes);
  return *votes;
}

void cluster_barrier(const char* site) {
  const Quiet quiet;
  Group* g = this_group;
  Barrier& b = g->blocks[0].cluster_barrier;
  unsigned expected = 0;
  for (const Block& block : g->blocks) expected += block.alive;
  int* const order = &b.votes[b.generation & 1];
  release_order(order);
  if (++b.arrived == expected) {
    b.arrived = 0;
    ++b.generation;
    progress();
  } else {
    sleep_on(b.generation, site);
  }
  acquire_order(order);
}

#if defined(__SANITIZE_THREAD__)
Quiet::Quiet() {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
Quiet::~Quiet() {
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
}
#endif

void release_order([[maybe_unused]] void* at) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(at);
#endif
}
void acquire_order([[maybe_unused]] void* at) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(at);
#endif
}

}  // namespace fastdl::cuda::sim
