// This level's kernel table.
#include "cpu/kernels/level.h"

namespace FASTDL_CPU_NAMESPACE {

extern const KernelTable table;
const KernelTable table = {
#define FASTDL_KERNEL(name, Args) name,
#include "kernels/kernels.def"
#undef FASTDL_KERNEL
};

}  // namespace FASTDL_CPU_NAMESPACE
