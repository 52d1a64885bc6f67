// From an op to the kernel of the tensors' device.
#pragma once
#include "core/flush_denormals.h"
#include "core/tensor.h"
#include "kernels/table.h"

namespace fastdl {

// The kernel table of a device; set by the binding when a backend is loaded.
const KernelTable& kernel_table(DeviceType device);
void set_kernel_table(DeviceType device, const KernelTable* table);

// The one place through which every kernel is called: (function pointer, plain arguments).
template <class Args> void launch(Kernel<Args> KernelTable::* kernel, Device device, const Args& args) {
  const Context context{device.index, nullptr};
  const FlushDenormals flush;
  (kernel_table(device.type).*kernel)(context, args);
}

}  // namespace fastdl
