// From an op to the kernel of the tensors' device.
#pragma once
#include <cstddef>

#include "core/accelerator.h"
#include "core/flush_denormals.h"
#include "core/tensor.h"
#include "kernels/table.h"
#include "ops/plan.h"

namespace fastdl {

// The kernel table of a device; set by the binding when a backend is loaded.
const KernelTable& kernel_table(DeviceType device);
void set_kernel_table(DeviceType device, const KernelTable* table);
const char* kernel_name(size_t index);  // of the table's entry

// The one place through which every kernel is called: (function pointer, plain arguments). While a plan is recorded, it
// takes both. `update`, if given, writes what may be another value at every call into the arguments, here and before
// each replay; one that returns false leaves the kernel out.
template <class Args, class Update = NoUpdate>
void launch(Kernel<Args> KernelTable::* kernel, Device device, const Args& args, Update update = {}) {
  const KernelTable& table = kernel_table(device.type);
  const auto name = [&] {
    const auto place = reinterpret_cast<const char*>(&(table.*kernel)) - reinterpret_cast<const char*>(&table);
    return kernel_name(static_cast<size_t>(place) / sizeof(void*));
  };
  if (FASTDL_UNLIKELY(recording() != nullptr)) {
    recorder()->launch(name(), table.*kernel, device, args, std::move(update));
    return;
  }
  const Context context = context_of(device);
  const FlushDenormals flush;
  if constexpr (std::is_same_v<Update, NoUpdate>) {
    (table.*kernel)(context, args);
  } else {
    plan_detail::KernelBlock<Args, Update> block{table.*kernel, args, std::move(update)};
    block.run(context, &block);
  }
  if (FASTDL_UNLIKELY(!device.is_cpu())) check_accelerator(name());
}

// Work of the host between kernels, such as a check of what one of them found: f runs now and, in a plan, at this place of
// every replay. What it refers to it must hold itself.
template <class F> void on_host(const char* name, F f) {
  if (FASTDL_UNLIKELY(recording() != nullptr)) recorder()->on_host(name, std::move(f));
  else f();
}

// Where a kernel leaves a value for the host: a local variable or, in a plan, the plan's own.
template <class T> T* host_cell(T& local) { return FASTDL_UNLIKELY(recording() != nullptr) ? recorder()->cell<T>() : &local; }

// Element i of a contiguous int64 tensor, wherever it lives: for what on_host looks at.
int64_t host_integer(const Tensor& t, int64_t i);

}  // namespace fastdl
