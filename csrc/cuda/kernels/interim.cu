// Kernels still to be written report themselves. Weak: the real one, once there, takes the place.
#include "cuda/device/language.h"
#include "kernels/table.h"
#if FASTDL_SIMULATED
#define FASTDL_MISSING(name) sim::set_error(#name " is not written yet for CUDA")
#else
#define FASTDL_MISSING(name) cudaMemset(nullptr, 0, 1)
#endif
namespace fastdl::cuda {
#define FASTDL_KERNEL(name, Args) \
  __attribute__((weak)) void name(const Context&, const Args&) { FASTDL_MISSING(name); }
#include "kernels/kernels.def"
#undef FASTDL_KERNEL
}  // namespace fastdl::cuda
