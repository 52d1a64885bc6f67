// The CUDA backend: its kernel table and its runtime, handed out through one exported function.
#include "cuda/device/language.h"
#include "cuda/device/runtime.h"
#include "kernels/library.h"

namespace fastdl::cuda {

#define FASTDL_KERNEL(name, Args) void name(const Context&, const Args&);
#include "kernels/kernels.def"
#undef FASTDL_KERNEL

const KernelTable table = {
#define FASTDL_KERNEL(name, Args) name,
#include "kernels/kernels.def"
#undef FASTDL_KERNEL
};

}  // namespace fastdl::cuda

extern "C" __attribute__((visibility("default"))) const fastdl::DeviceLibrary* fastdl_device_library() {
  static const fastdl::DeviceLibrary library{fastdl::kernel_fingerprint(), &fastdl::cuda::runtime(), &fastdl::cuda::table};
  return &library;
}
