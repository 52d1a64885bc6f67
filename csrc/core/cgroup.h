// What the control groups of this process (version 1 or 2) allow it: containers are limited this way.
#pragma once
#include <cstdint>
#include <string>

namespace fastdl {

struct CgroupLimits {
  double cpus = 0;           // CPU time per wall time; 0: no quota
  int64_t memory_bytes = 0;  // 0: no limit
};

// The tightest limit among the process's groups and their ancestors. The arguments are for tests.
CgroupLimits cgroup_limits(const std::string& cgroup_file = "/proc/self/cgroup",
                           const std::string& mountinfo_file = "/proc/self/mountinfo");

}  // namespace fastdl
