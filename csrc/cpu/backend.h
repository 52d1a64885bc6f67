// The CPU backend: which instruction set's table is in use.
#pragma once
#include "kernels/table.h"

namespace fastdl::cpu {

enum class Level { base, avx2, avx512 };

const KernelTable& kernels();      // of the level in use
Level level();                     // chosen on first use: the best the CPU has, or FASTDL_ISA
const char* level_name(Level l);
bool level_built(Level l);
bool level_supported(Level l);     // by this CPU, and built in
void set_level(Level l);           // for tests; the level must be supported

}  // namespace fastdl::cpu
