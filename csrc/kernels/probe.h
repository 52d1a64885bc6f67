// What the machine can do: the ceilings that benchmarks are measured against.
#pragma once
#include <cstdint>

namespace fastdl {

struct ProbeFlopsArgs {
  int64_t tasks, iterations;
  float* sums;  // one a task
};

struct ProbeCopyArgs {
  const float* source;
  float* target;
  int64_t n;
  bool streaming;  // stores that go past the caches
};

}  // namespace fastdl
