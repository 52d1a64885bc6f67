#include "core/small_objects.h"

namespace fastdl {

constinit thread_local detail::SmallLists detail::small_lists{};

namespace {

// Gives a thread's lists back when it ends. The main thread's end with the process.
struct Cleaner {
  bool used = false;
  ~Cleaner() {
    for (size_t c = 0; c < kSmallClasses; ++c) {
      detail::small_lists.count[c] = detail::SmallLists::kMost;  // what is freed later goes straight back
      while (detail::SmallLists::Free* p = detail::small_lists.first[c]) {
        detail::small_lists.first[c] = p->next;
        ::operator delete(p);
      }
    }
  }
};
thread_local Cleaner cleaner;

}  // namespace

void detail::keep_small(void* p, size_t c) {
  SmallLists& lists = small_lists;
#ifdef __SANITIZE_ADDRESS__
  constexpr int kMost = 0;  // so that the use of a freed object is seen
#else
  constexpr int kMost = SmallLists::kMost;
#endif
  if (lists.count[c] >= kMost) return ::operator delete(p);
  if (FASTDL_UNLIKELY(!lists.first[c])) cleaner.used = true;  // registers its destructor
  lists.first[c] = new (p) SmallLists::Free{lists.first[c]};
  ++lists.count[c];
}

}  // namespace fastdl
