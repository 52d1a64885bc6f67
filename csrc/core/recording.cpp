#include "core/recording.h"

#include <pthread.h>

#include <mutex>

#include "core/allocator.h"
#include "core/error.h"

namespace fastdl {

constinit thread_local Recording* detail::recording = nullptr;

namespace {
// A child of fork continues without the plan: what it runs is not what the parent will.
[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, [] { detail::recording = nullptr; });
}  // namespace

void throw_host_read(const char* op) {
  throw CaptureError(
      str(op, ": reads a value on the host, which is not possible inside a captured step: its replays run without Python"));
}

PlanMemory::~PlanMemory() {
  for (const auto& [block, bytes] : blocks_) fastdl::deallocate(const_cast<char*>(block), bytes);
}

void* PlanMemory::allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  {
    const std::lock_guard guard(lock_);
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (it->second >= bytes && it->second / 2 <= bytes && (best == free_.end() || it->second < best->second)) best = it;
    if (best != free_.end()) {
      void* block = const_cast<char*>(best->first);
      free_.erase(best);
      return block;
    }
  }
  void* block = fastdl::allocate(bytes);
  const std::lock_guard guard(lock_);
  blocks_.emplace(static_cast<char*>(block), bytes);
  bytes_ += bytes;
  return block;
}

void PlanMemory::deallocate(void* block) {
  if (!block) return;
  const std::lock_guard guard(lock_);
  free_.emplace(*blocks_.find(static_cast<char*>(block)));
}

std::pair<char*, size_t> PlanMemory::block_of(const void* address) const {
  auto it = blocks_.upper_bound(static_cast<const char*>(address));
  if (it == blocks_.begin()) return {nullptr, 0};
  --it;
  if (static_cast<const char*>(address) >= it->first + it->second) return {nullptr, 0};
  return {const_cast<char*>(it->first), it->second};
}

}  // namespace fastdl
