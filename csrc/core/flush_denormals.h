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
  static constexpr unsigned kFlags = 0x8040;  // flush to zero, denormals are zero
  unsigned before_;
};

}  // namespace fastdl
