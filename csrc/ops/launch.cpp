#include "ops/launch.h"

namespace fastdl {

static const KernelTable* tables[2] = {};

const KernelTable& kernel_table(DeviceType device) { return *tables[static_cast<int>(device)]; }
void set_kernel_table(DeviceType device, const KernelTable* table) { tables[static_cast<int>(device)] = table; }

const char* kernel_name(size_t index) {
  static constexpr const char* names[] = {
#define FASTDL_KERNEL(name, Args) #name,
#include "kernels/kernels.def"
#undef FASTDL_KERNEL
  };
  return names[index];
}

int64_t host_integer(const Tensor& t, int64_t i) {
  if (t.device().is_cpu()) return t.data<int64_t>()[i];
  int64_t value = 0;
  copy_to_host(t.device(), &value, t.data<int64_t>() + i, sizeof value);
  check_accelerator("read");
  return value;
}

}  // namespace fastdl
