// The caching allocator for host memory. Blocks are 64-byte aligned and come in size classes (64-byte steps up to 1
// KiB, then four to each power of two); a freed block goes to its class's list and serves the next request of the
// class. Blocks from 2 MiB on are mapped at huge-page boundaries with huge-page advice.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/spin_lock.h"

namespace fastdl {

struct MemoryStats {
  int64_t bytes_in_use = 0;  // of blocks handed out, in whole blocks
  int64_t bytes_cached = 0;  // of freed blocks kept
  int64_t peak_bytes = 0;    // the highest bytes_in_use since the last reset
  int64_t blocks_in_use = 0;
  int64_t allocations = 0;   // requests served, ever
  int64_t cache_misses = 0;  // of which new memory was needed
};

class MemoryPool {
 public:
  MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool() { empty_cache(); }

  // nullptr for 0 bytes. Throws OutOfMemoryError when the system has not that much.
  void* allocate(size_t bytes);
  void deallocate(void* block, size_t bytes);  // `bytes` as requested

  void empty_cache();                  // gives cached blocks back to the system
  void set_cache_limit(size_t bytes);  // cached at most; 0 turns caching off
  MemoryStats stats() const;
  void reset_peak();

  // Around fork, so that the child finds the lock free.
  void lock() { lock_.lock(); }
  void unlock() { lock_.unlock(); }

 private:
  struct FreeBlock {
    FreeBlock* next;
  };
  static constexpr int kClasses = 16 + 4 * 38;  // up to 2^48

  void* map_new(size_t bytes, size_t block_bytes);
  void note_peak();

  mutable SpinLock lock_;
  FreeBlock* free_[kClasses] = {};
  MemoryStats stats_;
  const int64_t available_;  // memory of the machine or of the control group
  int64_t cache_limit_;
};

// The pool that tensors on the CPU use. It caches up to a quarter of the memory.
MemoryPool& cpu_memory();

// Takes the cache limit from FASTDL_CACHE_BYTES, where it is set.
void configure_memory();

inline void* allocate(size_t bytes) { return cpu_memory().allocate(bytes); }
inline void deallocate(void* block, size_t bytes) { cpu_memory().deallocate(block, bytes); }

}  // namespace fastdl
