// A lock for critical sections of a few nanoseconds.
#pragma once
#include <sched.h>

#include <atomic>

namespace fastdl {

class SpinLock {
 public:
  void lock() {
    for (int tries = 0; locked_.exchange(true, std::memory_order_acquire); ++tries) {
      if (tries < 100) __builtin_ia32_pause();
      else sched_yield();  // the holder lost its CPU
    }
  }
  void unlock() { locked_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> locked_{false};
};

}  // namespace fastdl
