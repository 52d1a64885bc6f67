#include "cpu/backend.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace fastdl::cpu {

#define FASTDL_DECLARE_LEVEL(name) \
  namespace name {                 \
  extern const KernelTable table;  \
  }
#ifdef FASTDL_HAVE_BASE
FASTDL_DECLARE_LEVEL(base)
#endif
#ifdef FASTDL_HAVE_AVX2
FASTDL_DECLARE_LEVEL(avx2)
#endif
#ifdef FASTDL_HAVE_AVX512
FASTDL_DECLARE_LEVEL(avx512)
#endif

namespace {

constexpr const char* kNames[] = {"base", "avx2", "avx512"};

const KernelTable* const kTables[] = {
#ifdef FASTDL_HAVE_BASE
    &base::table,
#else
    nullptr,
#endif
#ifdef FASTDL_HAVE_AVX2
    &avx2::table,
#else
    nullptr,
#endif
#ifdef FASTDL_HAVE_AVX512
    &avx512::table,
#else
    nullptr,
#endif
};

bool cpu_has(Level l) {
  __builtin_cpu_init();
  switch (l) {
    case Level::base: return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    case Level::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    case Level::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
  }
  return false;
}

Level choose() {
  if (const char* asked = std::getenv("FASTDL_ISA"); asked && *asked) {
    for (int i = 0; i < 3; ++i) {
      if (std::strcmp(asked, kNames[i]) != 0) continue;
      if (level_supported(static_cast<Level>(i))) return static_cast<Level>(i);
      throw std::runtime_error(std::string("FASTDL_ISA=") + asked + ": this CPU or this build does not have that level");
    }
    throw std::runtime_error(std::string("FASTDL_ISA=") + asked + ": expected base, avx2 or avx512");
  }
  for (Level l : {Level::avx512, Level::avx2, Level::base})
    if (level_supported(l)) return l;
  throw std::runtime_error("fastdl needs an x86-64-v2 CPU (SSE4.2) at least");
}

Level& current() {
  static Level l = choose();
  return l;
}

}  // namespace

const KernelTable& kernels() { return *kTables[static_cast<int>(current())]; }
Level level() { return current(); }
const char* level_name(Level l) { return kNames[static_cast<int>(l)]; }
bool level_built(Level l) { return kTables[static_cast<int>(l)] != nullptr; }
bool level_supported(Level l) { return level_built(l) && cpu_has(l); }
void set_level(Level l) {
  if (!level_supported(l)) throw std::runtime_error(std::string("CPU level not available: ") + level_name(l));
  current() = l;
}

}  // namespace fastdl::cpu
