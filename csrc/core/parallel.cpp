// The pool. A job is published by one store to `gate`: its epoch and the number of tickets, one for each worker that
// may join. A worker joins by taking a ticket; the submitting thread takes part, and when no task is left it closes the
// gate and waits for the workers that joined, not for those that had not woken up yet. Nothing here holds a lock, so a
// child forked at any moment only has to forget the pool.
#include "core/parallel.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "core/cgroup.h"
#include "core/error.h"
#include "core/flush_denormals.h"

namespace fastdl {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int64_t kSpinNs = 40'000;        // before a worker parks, or the submitter sleeps
constexpr int64_t kCrowdedSpinNs = 1'000;  // when there are more threads than CPUs to run them

int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

void futex_wait(const void* word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}
void futex_wake(const void* word, int threads) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0); }

// Spins until ready() or the time is over; true when ready.
template <class Ready> bool spin_until(int64_t limit_ns, const Ready& ready) {
  for (int i = 0; i < 32; ++i) {  // before the first look at the clock
    if (ready()) return true;
    _mm_pause();
  }
  const int64_t end = now_ns() + limit_ns;
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      _mm_pause();
    }
  } while (now_ns() < end);
  return ready();
}

struct Pool {
  // The job, constant while anyone is inside it.
  TaskFn fn = nullptr;
  const void* closure = nullptr;
  int64_t tasks = 0;

  int workers = 0;  // started; only the submitter looks
  const int cpus = available_threads();
  alignas(64) std::atomic<uint64_t> gate{0};  // epoch << 32 | tickets left
  alignas(64) std::atomic<int64_t> next{0};
  alignas(64) std::atomic<uint32_t> finished{0};  // workers that joined this job and left it
  std::atomic<bool> submitter_sleeps{false};
  alignas(64) std::atomic<int> parked{0};
  std::atomic<int64_t> spin_ns{kSpinNs};

  static uint32_t tickets(uint64_t gate) { return static_cast<uint32_t>(gate); }
  static uint32_t epoch(uint64_t gate) { return static_cast<uint32_t>(gate >> 32); }
  const void* epoch_word() const { return reinterpret_cast<const char*>(&gate) + 4; }  // x86 is little-endian

  void run_tasks() {
    for (int64_t t; (t = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) fn(closure, t);
  }

  bool try_join() {
    uint64_t g = gate.load(std::memory_order_relaxed);
    while (tickets(g) > 0)
      if (gate.compare_exchange_weak(g, g - 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
    return false;
  }

  void park() {
    parked.fetch_add(1);  // then look once more: a job published before this is seen, a later one sees the count
    const uint64_t g = gate.load();
    if (tickets(g) == 0) futex_wait(epoch_word(), epoch(g));
    parked.fetch_sub(1);
  }

  [[noreturn]] void work() {
    while (true) {
      const auto open = [this] { return tickets(gate.load(std::memory_order_relaxed)) > 0; };
      if (!spin_until(spin_ns.load(std::memory_order_relaxed), open)) park();
      if (!try_join()) continue;
      run_tasks();
      finished.fetch_add(1);
      if (submitter_sleeps.load()) futex_wake(&finished, 1);
    }
  }

  void run(int64_t n, TaskFn f, const void* c, int helpers) {
    fn = f;
    closure = c;
    tasks = n;
    next.store(0, std::memory_order_relaxed);
    finished.store(0, std::memory_order_relaxed);
    const uint64_t next_epoch = uint64_t{epoch(gate.load(std::memory_order_relaxed)) + 1} << 32;
    gate.store(next_epoch | static_cast<uint32_t>(helpers));
    const int asleep = parked.load(), awake = workers - asleep;
    if (asleep > 0 && helpers > awake) futex_wake(epoch_word(), helpers - awake);

    run_tasks();

    const uint32_t joined = static_cast<uint32_t>(helpers) - tickets(gate.exchange(next_epoch));
    const auto all_left = [&] { return finished.load(std::memory_order_acquire) == joined; };
    if (spin_until(spin_ns.load(std::memory_order_relaxed), all_left)) return;
    submitter_sleeps.store(true);
    for (uint32_t left; (left = finished.load()) != joined;) futex_wait(&finished, left);
    submitter_sleeps.store(false);
  }
};

std::atomic<bool> busy{false};     // a thread is submitting
Pool* pool = nullptr;              // owned by the busy thread; never destroyed, its threads outlive static destructors
std::atomic<int> thread_count{0};  // 0: not asked yet
BlockingHooks blocking_hooks{nullptr, nullptr};
thread_local bool inside = false;  // a task is running on this thread

// The child of a fork has the forking thread only: no worker, and no thread that would reset `busy`.
[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, [] {
  pool = nullptr;
  busy.store(false);
});

void* worker_main(void* p) {
  inside = true;
  const FlushDenormals flush;
  static_cast<Pool*>(p)->work();
}

// Starts workers up to `wanted`; fewer when the system refuses more threads.
void start_workers(int wanted) {
  if (!pool) pool = new Pool;
  if (pool->workers >= wanted) return;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the application's threads
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  while (pool->workers < wanted) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, worker_main, pool) != 0) break;
    pthread_setname_np(thread, "fastdl");
    ++pool->workers;
  }
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void run_serially(int64_t tasks, TaskFn fn, const void* closure) {
  for (int64_t t = 0; t < tasks; ++t) fn(closure, t);
}

int affinity_count() {
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {  // the kernel refuses a set smaller than its own
    cpu_set_t* set = CPU_ALLOC(cpus);
    const size_t size = CPU_ALLOC_SIZE(cpus);
    const int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return 1;
}

int initial_threads() {
  if (const char* text = std::getenv("FASTDL_NUM_THREADS"); text && *text) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (*end != '\0' || n < 1 || n > kMaxThreads)
      throw ValueError(str("FASTDL_NUM_THREADS=", text, ": expected a number from 1 to ", kMaxThreads));
    return static_cast<int>(n);
  }
  return available_threads();
}

}  // namespace

void parallel_run(int64_t tasks, TaskFn fn, const void* closure) {
  if (inside) return run_serially(tasks, fn, closure);
  const int threads = num_threads();
  inside = true;
  void* hook_state = blocking_hooks.enter ? blocking_hooks.enter() : nullptr;
  {
    const FlushDenormals flush;
    const int helpers = static_cast<int>(tasks < threads ? tasks : threads) - 1;
    if (helpers < 1 || busy.exchange(true, std::memory_order_acquire)) {
      run_serially(tasks, fn, closure);
    } else {
      start_workers(threads - 1);
      pool->spin_ns.store(threads > pool->cpus ? kCrowdedSpinNs : kSpinNs, std::memory_order_relaxed);
      pool->run(tasks, fn, closure, helpers);
      busy.store(false, std::memory_order_release);
    }
  }
  if (blocking_hooks.leave) blocking_hooks.leave(hook_state);
  inside = false;
}

int num_threads() {
  int n = thread_count.load(std::memory_order_relaxed);
  if (n == 0) {
    n = initial_threads();
    thread_count.store(n, std::memory_order_relaxed);
  }
  return n;
}

void set_num_threads(int n) {
  if (n < 1 || n > kMaxThreads) throw ValueError(str("set_num_threads: expected 1 to ", kMaxThreads, ", got ", n));
  thread_count.store(n, std::memory_order_relaxed);
}

int available_threads() {
  const int cpus = affinity_count();
  const double quota = std::ceil(cgroup_limits().cpus);
  return quota >= 1 && quota < cpus ? static_cast<int>(quota) : cpus;
}

bool in_parallel_region() { return inside; }

void set_blocking_hooks(BlockingHooks hooks) { blocking_hooks = hooks; }

namespace {

constexpr size_t kHugePage = size_t{1} << 21;

struct Scratch {
  void* data[kScratchSlots] = {};
  size_t bytes[kScratchSlots] = {};
  ~Scratch() {
    for (void* p : data) std::free(p);
  }
  void grow(int slot, size_t wanted) {
    std::free(data[slot]);
    const bool huge = wanted >= 2 * kHugePage;
    bytes[slot] = huge ? (wanted + kHugePage - 1) & ~(kHugePage - 1) : std::bit_ceil(wanted < 4096 ? 4096 : wanted);
    data[slot] = std::aligned_alloc(huge ? kHugePage : 64, bytes[slot]);
    if (!data[slot]) {  // kernels neither throw nor fail, and this is a few MiB at most
      std::fprintf(stderr, "fastdl: no memory for %zu bytes of scratch\n", bytes[slot]);
      std::abort();
    }
    if (huge) madvise(data[slot], bytes[slot], MADV_HUGEPAGE);
  }
};
thread_local Scratch scratch_memory;

}  // namespace

void* scratch(int slot, size_t bytes) {
  Scratch& s = scratch_memory;
  if (FASTDL_UNLIKELY(bytes > s.bytes[slot])) s.grow(slot, bytes);
  return s.data[slot];
}

}  // namespace fastdl
