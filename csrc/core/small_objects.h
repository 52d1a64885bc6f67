// Memory of the small objects that come and go with every op: tensors, storages, nodes. A freed one waits in its thread's
// list of that size for the next; the C library's own lists hold a handful, a graph has hundreds.
#pragma once
#include <cstddef>
#include <new>

#include "core/macros.h"

namespace fastdl {

constexpr size_t kSmallStep = 64, kSmallClasses = 8;  // up to 512 bytes

namespace detail {
struct SmallLists {
  struct Free {
    Free* next;
  };
  static constexpr int kMost = 4096;  // of one size
  Free* first[kSmallClasses];
  int count[kSmallClasses];
};
extern constinit thread_local SmallLists small_lists __attribute__((tls_model("initial-exec")));
void keep_small(void* p, size_t size_class);  // into its list, unless that is full
}  // namespace detail

FASTDL_INLINE void* allocate_small(size_t bytes) {
  const size_t c = (bytes - 1) / kSmallStep;
  if (c >= kSmallClasses) return ::operator new(bytes);
  if (detail::SmallLists::Free* p = detail::small_lists.first[c]) {
    detail::small_lists.first[c] = p->next;
    --detail::small_lists.count[c];
    return p;
  }
  return ::operator new((c + 1) * kSmallStep);
}
FASTDL_INLINE void deallocate_small(void* p, size_t bytes) {
  const size_t c = (bytes - 1) / kSmallStep;
  if (c >= kSmallClasses) return ::operator delete(p);
  detail::keep_small(p, c);
}

template <class T> struct SmallAllocator {
  using value_type = T;
  SmallAllocator() = default;
  template <class U> SmallAllocator(const SmallAllocator<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(allocate_small(n * sizeof(T))); }
  void deallocate(T* p, size_t n) { deallocate_small(p, n * sizeof(T)); }
  bool operator==(const SmallAllocator&) const = default;
};

}  // namespace fastdl
