// What a device's own library hands to the rest: its runtime and its kernels. The two sides are compiled by different
// compilers, so they compare a fingerprint of the kernel list before they talk.
#pragma once
#include "core/accelerator.h"
#include "kernels/table.h"

namespace fastdl {

struct DeviceLibrary {
  uint64_t fingerprint;
  const Accelerator* accelerator;
  const KernelTable* kernels;
};

// Of the kernels' names and the sizes of their arguments (FNV-1a).
constexpr uint64_t kernel_fingerprint() {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](const char* name, uint64_t size) {
    for (; *name; ++name) hash = (hash ^ static_cast<unsigned char>(*name)) * 0x100000001b3u;
    hash = (hash ^ size) * 0x100000001b3u;
  };
#define FASTDL_KERNEL(name, Args) add(#name, sizeof(Args));
#include "kernels/kernels.def"
#undef FASTDL_KERNEL
  add("Accelerator", sizeof(Accelerator));
  return hash;
}

// The one symbol that a device's library exports.
constexpr const char* kDeviceLibrarySymbol = "fastdl_device_library";
using DeviceLibraryFunction = const DeviceLibrary* (*)();

}  // namespace fastdl
