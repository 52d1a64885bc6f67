// The table of kernels: one function pointer per row of kernels.def. Each backend, and each CPU instruction set, fills
// one constant table, so a missing kernel is a link error and dispatch is one indirect call.
#pragma once
#include "kernels/args.h"
#include "kernels/context.h"

namespace fastdl {

template <class Args> using Kernel = void (*)(const Context&, const Args&);

struct KernelTable {
#define FASTDL_KERNEL(name, Args) Kernel<Args> name;
#include "kernels/kernels.def"
#undef FASTDL_KERNEL
};

}  // namespace fastdl
