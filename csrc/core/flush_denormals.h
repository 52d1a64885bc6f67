// Denormal floats read as zero and results are flushed to zero while one of these is alive: they cost hundreds of
// cycles each and carry nothing for training. The thread's own setting comes back afterwards.
#pragma once
#include <immintrin.h>

#include "core/macros.h"

namespace fastdl {

class FlushDenormals {
 public:
  FASTDL_INLINE FlushDenormals() : before_(_mm_getcsr()) {
    if ((before_ & kFlags) != kFlags) _mm_setcsr(before_ | kFlags);
  }
  FASTDL_INLINE ~FlushDenormals() {
    if ((before_ & kFlags) != kFlags) _mm_setcsr(before_);
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  friend class KeepDenormals;
  static constexpr unsigned kFlags = 0x8040;  // flush to zero, denormals are zero
  unsigned before_;
};

// The opposite, for code of the host that runs between kernels.
class KeepDenormals {
 public:
  FASTDL_INLINE KeepDenormals() : before_(_mm_getcsr()) {
    if (before_ & FlushDenormals::kFlags) _mm_setcsr(before_ & ~FlushDenormals::kFlags);
  }
  FASTDL_INLINE ~KeepDenormals() {
    if (before_ & FlushDenormals::kFlags) _mm_setcsr(before_);
  }
  KeepDenormals(const KeepDenormals&) = delete;
  KeepDenormals& operator=(const KeepDenormals&) = delete;

 private:
  unsigned before_;
};

}  // namespace fastdl
