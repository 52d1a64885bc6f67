#include "core/recording.h"

#include <pthread.h>

#include <mutex>
#include <set>

#include "core/accelerator.h"
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
  std::set<int> waited_for;  // replays on other streams than the block's may be under way
  for (const auto& [start, b] : blocks_) {
    void* const block = const_cast<char*>(start);
    if (b.device.is_cpu()) {
      fastdl::deallocate(block, b.bytes);
      continue;
    }
    if (waited_for.insert(b.device.index).second) accelerator().synchronize(b.device.index);
    accelerator_deallocate(b.device.index, b.stream, block, b.bytes);
  }
}

void* PlanMemory::allocate(size_t bytes, Device device) {
  if (bytes == 0) return nullptr;
  {
    const std::lock_guard guard(lock_);
    auto best = blocks_.end();
    for (auto it = blocks_.begin(); it != blocks_.end(); ++it) {
      const Block& b = it->second;
      if (!b.in_use && b.device == device && b.bytes >= bytes && b.bytes / 2 <= bytes &&
          (best == blocks_.end() || b.bytes < best->second.bytes))
        best = it;
    }
    if (best != blocks_.end()) {
      best->second.in_use = true;
      return const_cast<char*>(best->first);
    }
  }
  void* const block = device.is_cpu() ? fastdl::allocate(bytes) : accelerator_allocate(device.index, bytes);
  void* const stream = device.is_cpu() ? nullptr : current_stream(device.index);
  const std::lock_guard guard(lock_);
  blocks_.emplace(static_cast<char*>(block), Block{bytes, device, stream, true});
  bytes_ += bytes;
  return block;
}

void PlanMemory::deallocate(void* block) {
  if (!block) return;
  const std::lock_guard guard(lock_);
  blocks_.find(static_cast<char*>(block))->second.in_use = false;
}

std::pair<char*, size_t> PlanMemory::block_of(const void* address) const {
  auto it = blocks_.upper_bound(static_cast<const char*>(address));
  if (it == blocks_.begin()) return {nullptr, 0};
  --it;
  if (static_cast<const char*>(address) >= it->first + it->second.bytes) return {nullptr, 0};
  return {const_cast<char*>(it->first), it->second.bytes};
}

}  // namespace fastdl
