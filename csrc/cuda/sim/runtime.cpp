#include "cuda/sim/runtime.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

namespace fastdl::cuda::sim {
namespace {

constexpr size_t kAlignment = 512, kGap = 512;
constexpr int kMaxDevices = 8;

size_t environment(const char* name, size_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::mutex lock;  // of what follows
int open_count = 0;

// First fit in an address range, with the free ranges merged.
class Arena {
 public:
  void create(size_t bytes) {
    bytes_ = bytes;
    void* p = mmap(nullptr, bytes + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) std::abort();
    base_ = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(p) + kPage - 1) / kPage * kPage);
    madvise(base_, bytes, MADV_HUGEPAGE);  // protecting these is 512 times less work
    free_[0] = bytes;
    ASAN_POISON_MEMORY_REGION(base_, bytes);
  }
  bool created() const { return base_ != nullptr; }
  bool holds(const void* p) const { return base_ && p >= base_ && p < base_ + bytes_; }
  size_t used() const { return used_; }

  void* allocate(size_t bytes) {
    const size_t wanted = (bytes + kGap + kAlignment - 1) / kAlignment * kAlignment;
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      const auto [offset, size] = *it;
      if (size < wanted) continue;
      free_.erase(it);
      if (size > wanted) free_[offset + wanted] = size - wanted;
      taken_[offset] = wanted;
      used_ += wanted;
      if (offset + wanted > high_) {
        high_ = (offset + wanted + kPage - 1) / kPage * kPage;
        if (high_ > bytes_) high_ = bytes_;
        protect(open_count > 0);
      }
      char* const block = base_ + offset;
      if (open_count == 0) protect(true);
      ASAN_UNPOISON_MEMORY_REGION(block, bytes);
      std::memset(block, 0xFF, bytes);
      if (open_count == 0) protect(false);
      return block;
    }
    return nullptr;
  }

  void deallocate(void* block) {
    const size_t offset = static_cast<size_t>(static_cast<char*>(block) - base_);
    const auto it = taken_.find(offset);
    if (it == taken_.end()) std::abort();
    size_t begin = offset, size = it->second;
    used_ -= size;
    ASAN_POISON_MEMORY_REGION(block, size);
    taken_.erase(it);
    auto next = free_.lower_bound(begin);
    if (next != free_.end() && begin + size == next->first) {
      size += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == begin) {
        before->second += size;
        return;
      }
    }
    free_[begin] = size;
  }

  void protect(bool open) {
    if (high_) mprotect(base_, high_, open ? PROT_READ | PROT_WRITE : PROT_NONE);
  }

 private:
  static constexpr size_t kPage = 2 << 20;
  char* base_ = nullptr;
  size_t bytes_ = 0, high_ = 0, used_ = 0;
  std::map<size_t, size_t> free_, taken_;
};

Arena arenas[kMaxDevices];

Arena& arena(int device) {
  if (!arenas[device].created()) arenas[device].create(device_memory());
  return arenas[device];
}

}  // namespace

int device_count() {
  static const int n = static_cast<int>(environment("FASTDL_SIM_DEVICES", 1));
  return n < kMaxDevices ? n : kMaxDevices;
}
size_t device_memory() {
  static const size_t n = environment("FASTDL_SIM_MEMORY", size_t{4} << 30);
  return n;
}

void* allocate(int device, size_t bytes) {
  const std::lock_guard<std::mutex> guard(lock);
  return arena(device).allocate(bytes);
}
void deallocate(int device, void* block) {
  const std::lock_guard<std::mutex> guard(lock);
  arena(device).deallocate(block);
}
size_t memory_in_use(int device) {
  const std::lock_guard<std::mutex> guard(lock);
  return arena(device).used();
}
int device_of(const void* p) {
  for (int i = 0; i < kMaxDevices; ++i)
    if (arenas[i].holds(p)) return i;
  return -1;
}

Access::Access() {
  const std::lock_guard<std::mutex> guard(lock);
  if (open_count++ == 0)
    for (Arena& a : arenas) a.protect(true);
}
Access::~Access() {
  const std::lock_guard<std::mutex> guard(lock);
  if (--open_count == 0)
    for (Arena& a : arenas) a.protect(false);
}

void copy(void* to, const void* from, size_t bytes) {
  const Access access;
  std::memmove(to, from, bytes);
}
void fill_bytes(void* to, int value, size_t bytes) {
  const Access access;
  std::memset(to, value, bytes);
}

namespace {
std::mutex graph_lock;
std::set<void*> open_graphs;
std::atomic<int> open_graph_count{0};
}  // namespace

// The stream's handle is the graph that it fills.
void* begin_graph() {
  const std::lock_guard<std::mutex> guard(graph_lock);
  ++open_graph_count;
  return *open_graphs.insert(new Graph).first;
}
Graph* end_graph(void* stream) {
  const std::lock_guard<std::mutex> guard(graph_lock);
  --open_graph_count;
  open_graphs.erase(stream);
  return static_cast<Graph*>(stream);
}
Graph* graph_of(void* stream) {
  if (open_graph_count.load(std::memory_order_relaxed) == 0) return nullptr;
  const std::lock_guard<std::mutex> guard(graph_lock);
  return open_graphs.contains(stream) ? static_cast<Graph*>(stream) : nullptr;
}

void check_arguments(const void* arguments, size_t bytes) {
  // Sizes and strides are far below any address, and doubles of that bit pattern are denormal. A small number in the lower
  // half is a 32-bit field with undefined padding above it.
  constexpr uint64_t kLowest = uint64_t{0x550000000000}, kHighest = uint64_t{0x7fffffffffff};
  for (size_t at = 0; at + 8 <= bytes; at += 8) {
    uint64_t word;
    std::memcpy(&word, static_cast<const char*>(arguments) + at, 8);
    if (word < kLowest || word > kHighest || static_cast<uint32_t>(word) < 0x10000 ||
        is_device_pointer(reinterpret_cast<const void*>(word)))
      continue;
    char message[160];
    std::snprintf(message, sizeof message, "a kernel argument holds the host address %#llx (byte %zu of %zu)",
                  static_cast<unsigned long long>(word), at, bytes);
    set_error(message);
    return;
  }
}

}  // namespace fastdl::cuda::sim
