#include "ops/launch.h"

namespace fastdl {

static const KernelTable* tables[2] = {};

const KernelTable& kernel_table(DeviceType device) { return *tables[static_cast<int>(device)]; }
void set_kernel_table(DeviceType device, const KernelTable* table) { tables[static_cast<int>(device)] = table; }

}  // namespace fastdl
