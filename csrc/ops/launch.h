// From an op to the kernel of the tensors' device.
#pragma once
#include <cstddef>

#include "core/accelerator.h"
#include "core/flush_denormals.h"
#include "core/tensor.h"
#include "kernels/table.h"

namespace fastdl {

// The kernel table of a device; set by the binding when a backend is loaded.
const KernelTable& kernel_table(DeviceType device);
void set_kernel_table(DeviceType device, const KernelTable* table);
// Of the kernel at a place in the table.
const char* kernel_name(size_t offset);

template <class Args>
void launch_on_accelerator(Kernel<Args> KernelTable::* kernel, Device device, const Args& args) {
  const KernelTable& table = kernel_table(device.type);
  (table.*kernel)({device.index, current_stream(device.index)}, args);
  const auto offset = reinterpret_cast<const char*>(&(table.*kernel)) - reinterpret_cast<const char*>(&table);
  check_accelerator(kernel_name(static_cast<size_t>(offset)));
}

// The one place through which every kernel is called: (function pointer, plain arguments).
template <class Args> void launch(Kernel<Args> KernelTable::* kernel, Device device, const Args& args) {
  if (FASTDL_UNLIKELY(!device.is_cpu())) return launch_on_accelerator(kernel, device, args);
  const Context context{device.index, nullptr};
  const FlushDenormals flush;
  (kernel_table(device.type).*kernel)(context, args);
}

}  // namespace fastdl
