// What every CPU kernel file includes first. The files in cpu/kernels are compiled once per instruction set, each time
// inside another namespace: fastdl::cpu::base, ::avx2, ::avx512. They use no STL and instantiate no shared template.
#pragma once
#include <cstdint>
#include <cstring>

#include "core/parallel.h"
#include "core/view.h"
#include "cpu/simd/vec.h"
#include "kernels/table.h"

namespace FASTDL_CPU_NAMESPACE {

#define FASTDL_KERNEL(name, Args) void name(const Context&, const Args&);
#include "kernels/kernels.def"
#undef FASTDL_KERNEL

}  // namespace FASTDL_CPU_NAMESPACE
