#include "ops/launch.h"

namespace fastdl {

static const KernelTable* tables[2] = {};

const KernelTable& kernel_table(DeviceType device) { return *tables[static_cast<int>(device)]; }
void set_kernel_table(DeviceType device, const KernelTable* table) { tables[static_cast<int>(device)] = table; }

const char* kernel_name(size_t offset) {
  static constexpr const char* names[] = {
#define FASTDL_KERNEL(name, Args) #name,
#include "kernels/kernels.def"
#undef FASTDL_KERNEL
  };
  return names[offset / sizeof(Kernel<CopyArgs>)];
}

}  // namespace fastdl
