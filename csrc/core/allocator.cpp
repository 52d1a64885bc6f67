#include "core/allocator.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <mutex>

#include "core/cgroup.h"
#include "core/error.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, bytes) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, bytes) ((void)0)
#endif

namespace fastdl {
namespace {

// AddressSanitizer knows blocks, not requests: the rest of a block behind the request, and all of a cached block but its
// link, are out of bounds.
void set_accessible([[maybe_unused]] void* block, [[maybe_unused]] size_t bytes, [[maybe_unused]] size_t block_bytes) {
  ASAN_UNPOISON_MEMORY_REGION(block, bytes);
  ASAN_POISON_MEMORY_REGION(static_cast<char*>(block) + bytes, block_bytes - bytes);
}

constexpr size_t kMaxRequest = size_t{1} << 47;  // the address space of a process
constexpr size_t kHugePage = size_t{1} << 21;

struct SizeClass {
  int index;
  size_t bytes;
};

SizeClass size_class(size_t bytes) {
  if (bytes <= 1024) {
    const size_t steps = (bytes + 63) / 64;
    return {static_cast<int>(steps) - 1, steps * 64};
  }
  // 2^e < bytes <= 2^(e+1), in quarters of 2^e.
  const int e = std::bit_width(bytes - 1) - 1;
  const size_t quarter = size_t{1} << (e - 2);
  const size_t quarters = (bytes - (size_t{1} << e) + quarter - 1) / quarter;  // 1 .. 4
  return {16 + 4 * (e - 10) + static_cast<int>(quarters) - 1, (size_t{1} << e) + quarters * quarter};
}

// Memory that this process may have at all: what the machine has, or its control group allows.
int64_t physical_memory() {
  const int64_t machine = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  const int64_t group = cgroup_limits().memory_bytes;
  return group > 0 && group < machine ? group : machine;
}

void* system_allocate(size_t bytes) {
  if (bytes < kHugePage) return std::aligned_alloc(64, bytes);
  // One huge page too much, to cut the block out at a boundary.
  char* p = static_cast<char*>(
      mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (p == MAP_FAILED) return nullptr;
  const size_t before = -reinterpret_cast<uintptr_t>(p) & (kHugePage - 1);
  if (before > 0) munmap(p, before);
  munmap(p + before + bytes, kHugePage - before);
  madvise(p + before, bytes, MADV_HUGEPAGE);
  return p + before;
}

void system_free(void* p, size_t bytes) {
  set_accessible(p, bytes, bytes);
  if (bytes < kHugePage) std::free(p);
  else munmap(p, bytes);
}

size_t class_bytes(int index) {
  if (index < 16) return 64 * (static_cast<size_t>(index) + 1);
  const int e = 10 + (index - 16) / 4;
  return (size_t{1} << e) + ((index - 16) % 4 + 1) * (size_t{1} << (e - 2));
}

}  // namespace

MemoryPool::MemoryPool() : available_(physical_memory()), cache_limit_(available_ / 4) {}

void* MemoryPool::allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes > kMaxRequest) throw OutOfMemoryError(str("cannot allocate ", bytes, " bytes: more than an address space"));
  const SizeClass c = size_class(bytes);
  const int64_t size = static_cast<int64_t>(c.bytes);
  {
    const std::lock_guard guard(lock_);
    ++stats_.allocations;
    ++stats_.blocks_in_use;
    stats_.bytes_in_use += size;
    if (FreeBlock* block = free_[c.index]) {
      free_[c.index] = block->next;
      stats_.bytes_cached -= size;
      note_peak();
      set_accessible(block, bytes, c.bytes);
      return block;
    }
    ++stats_.cache_misses;
  }
  return map_new(bytes, c.bytes);
}

void MemoryPool::note_peak() {
  if (stats_.bytes_in_use > stats_.peak_bytes) stats_.peak_bytes = stats_.bytes_in_use;
}

// The request is in the statistics already, so that two threads cannot both take the last of the memory.
void* MemoryPool::map_new(size_t bytes, size_t block_bytes) {
  const MemoryStats now = stats();
  if (now.bytes_in_use + now.bytes_cached > available_) empty_cache();
  // Asked before mapping, because the system may promise memory that it does not have and end the process on its use.
  void* block = now.bytes_in_use <= available_ || block_bytes < kHugePage ? system_allocate(block_bytes) : nullptr;
  int64_t in_use;
  {
    const std::lock_guard guard(lock_);
    if (block) {
      note_peak();
      set_accessible(block, bytes, block_bytes);
      return block;
    }
    --stats_.allocations;
    --stats_.blocks_in_use;
    in_use = stats_.bytes_in_use -= static_cast<int64_t>(block_bytes);
  }
  throw OutOfMemoryError(str("cannot allocate ", bytes, " bytes: ", in_use, " of ", available_, " bytes are in use"));
}

void MemoryPool::deallocate(void* p, size_t bytes) {
  if (!p) return;
  const SizeClass c = size_class(bytes);
  const int64_t size = static_cast<int64_t>(c.bytes);
  {
    const std::lock_guard guard(lock_);
    --stats_.blocks_in_use;
    stats_.bytes_in_use -= size;
    if (stats_.bytes_cached + size <= cache_limit_) {
      stats_.bytes_cached += size;
      FreeBlock* block = static_cast<FreeBlock*>(p);
      set_accessible(block, sizeof *block, c.bytes);
      block->next = free_[c.index];
      free_[c.index] = block;
      return;
    }
  }
  system_free(p, c.bytes);
}

void MemoryPool::empty_cache() {
  FreeBlock* lists[kClasses];
  {
    const std::lock_guard guard(lock_);
    for (int i = 0; i < kClasses; ++i) {
      lists[i] = free_[i];
      free_[i] = nullptr;
    }
    stats_.bytes_cached = 0;
  }
  for (int i = 0; i < kClasses; ++i) {
    for (FreeBlock* block = lists[i]; block;) {
      FreeBlock* next = block->next;
      system_free(block, class_bytes(i));
      block = next;
    }
  }
}

void MemoryPool::set_cache_limit(size_t bytes) {
  bool over;
  {
    const std::lock_guard guard(lock_);
    cache_limit_ = bytes > kMaxRequest ? static_cast<int64_t>(kMaxRequest) : static_cast<int64_t>(bytes);
    over = stats_.bytes_cached > cache_limit_;
  }
  if (over) empty_cache();
}

MemoryStats MemoryPool::stats() const {
  const std::lock_guard guard(lock_);
  return stats_;
}

void MemoryPool::reset_peak() {
  const std::lock_guard guard(lock_);
  stats_.peak_bytes = stats_.bytes_in_use;
}

namespace {

// Made when the library is loaded: a lock around the first use could be held by another thread at a fork. Never
// destroyed: tensors may be among the objects that outlive static destructors.
MemoryPool* const pool = new MemoryPool;
[[maybe_unused]] const int fork_handlers = pthread_atfork([] { pool->lock(); }, [] { pool->unlock(); }, [] { pool->unlock(); });

}  // namespace

MemoryPool& cpu_memory() { return *pool; }

void configure_memory() {
  const char* text = std::getenv("FASTDL_CACHE_BYTES");
  if (!text || !*text) return;
  char* end = nullptr;
  const unsigned long long bytes = std::strtoull(text, &end, 10);
  if (*end != '\0' || *text == '-') throw ValueError(str("FASTDL_CACHE_BYTES=", text, ": expected a number of bytes"));
  cpu_memory().set_cache_limit(bytes);
}

}  // namespace fastdl
