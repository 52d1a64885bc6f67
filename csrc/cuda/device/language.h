// CUDA C++, from nvcc or from the simulated device. Every file under cuda/kernels includes this first; below it, only
// cuda/device/ and cuda/sim/ know which of the two compiles them.
//
// Kernels contain no inline assembly and no <<<>>>: instructions of one architecture are functions in cuda/device/, and
// launches go through device/launch.h. All shared memory is dynamic and described by one struct a kernel, see SHARED.
#pragma once
#include <cstdint>

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#define FASTDL_SIMULATED 0
#define FASTDL_NOINLINE __noinline__
// `Type& name`: the block's shared memory. Launch with sizeof(Type) bytes.
#define FASTDL_SHARED(Type, name)                                            \
  extern __shared__ __align__(1024) unsigned char fastdl_shared_memory[];    \
  Type& name = *reinterpret_cast<Type*>(fastdl_shared_memory)
#else
#include "cuda/sim/language.h"
#define FASTDL_SIMULATED 1
#define FASTDL_NOINLINE __attribute__((noinline))
#define FASTDL_SHARED(Type, name) Type& name = *reinterpret_cast<Type*>(fastdl::cuda::sim::this_thread->block->shared)
#endif
