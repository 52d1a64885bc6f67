#include "core/cgroup.h"

#include <fstream>
#include <sstream>
#include <vector>

namespace fastdl {
namespace {

struct Mount {
  std::string root, point, type, options;
};

// "36 25 0:31 / /sys/fs/cgroup/cpu rw,nosuid - cgroup cgroup rw,cpu": root and mount point are fields 4 and 5; the type
// and the options follow the lone dash.
std::vector<Mount> cgroup_mounts(const std::string& mountinfo_file) {
  std::vector<Mount> mounts;
  std::ifstream file(mountinfo_file);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string skip, source;
    Mount m;
    fields >> skip >> skip >> skip >> m.root >> m.point;
    while (fields >> skip && skip != "-") {
    }
    if (fields >> m.type >> source >> m.options && (m.type == "cgroup" || m.type == "cgroup2")) mounts.push_back(m);
  }
  return mounts;
}

bool lists(const std::string& comma_separated, const std::string& name) {
  return ("," + comma_separated + ",").find("," + name + ",") != std::string::npos;
}

double read_number(const std::string& path) {
  double x = 0;
  std::ifstream file(path);
  return file >> x ? x : 0;  // absent, or the word "max"
}

// "max 100000" or "150000 100000": microseconds of CPU time per period.
double read_cpu_max(const std::string& path) {
  double quota = 0, period = 0;
  std::ifstream file(path);
  return file >> quota >> period && period > 0 ? quota / period : 0;
}

void tighten(double& limit, double found) {
  if (found > 0 && (limit == 0 || found < limit)) limit = found;
}

}  // namespace

CgroupLimits cgroup_limits(const std::string& cgroup_file, const std::string& mountinfo_file) {
  double cpus = 0, memory = 0;
  const std::vector<Mount> mounts = cgroup_mounts(mountinfo_file);
  std::ifstream file(cgroup_file);
  for (std::string line; std::getline(file, line);) {  // "4:cpu,cpuacct:/group", in version 2 "0::/group"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    const bool v2 = controllers.empty();
    for (const Mount& m : mounts) {
      if (v2 != (m.type == "cgroup2")) continue;
      const bool for_cpu = v2 || (lists(controllers, "cpu") && lists(m.options, "cpu"));
      const bool for_memory = v2 || (lists(controllers, "memory") && lists(m.options, "memory"));
      if (!for_cpu && !for_memory) continue;
      // Inside a container the mount may show only the subtree below its root.
      std::string below = group;
      if (m.root != "/" && group.compare(0, m.root.size(), m.root) == 0) below = group.substr(m.root.size());
      while (true) {
        while (!below.empty() && below.back() == '/') below.pop_back();
        const std::string dir = m.point + below + "/";
        if (for_cpu && v2) tighten(cpus, read_cpu_max(dir + "cpu.max"));
        if (for_cpu && !v2) {
          const double period = read_number(dir + "cpu.cfs_period_us");
          if (period > 0) tighten(cpus, read_number(dir + "cpu.cfs_quota_us") / period);  // -1: no quota
        }
        if (for_memory) tighten(memory, read_number(dir + (v2 ? "memory.max" : "memory.limit_in_bytes")));
        if (below.empty()) break;
        const size_t slash = below.rfind('/');
        below.resize(slash == std::string::npos ? 0 : slash);
      }
    }
  }
  return {cpus, memory < 0x1p62 ? static_cast<int64_t>(memory) : 0};  // version 1 writes about 2^63 for "no limit"
}

}  // namespace fastdl
