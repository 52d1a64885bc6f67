// Copies from global to shared memory that run beside the thread (sm_80): issued, committed in groups, waited for.
#pragma once
#include "cuda/device/language.h"
#if FASTDL_SIMULATED
#include "cuda/sim/tensor_core.h"
#endif

namespace fastdl::cuda {

template <class T> constexpr int kPiece = 16 / sizeof(T);  // elements that are copied together

#if !FASTDL_SIMULATED
__device__ __forceinline__ uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }
#endif

// 16 bytes, of which the first `valid` are copied and the others zeroed. Both addresses are multiples of 16.
__device__ __forceinline__ void async_copy_16(void* to, const void* from, int valid = 16) {
#if FASTDL_SIMULATED
  sim::async_copy(to, from, 16, valid);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid) : "memory");
#endif
}

__device__ __forceinline__ void async_copy_commit() {
#if FASTDL_SIMULATED
  sim::async_copy_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Until at most kPending of this thread's groups are under way.
template <int kPending> __device__ __forceinline__ void async_copy_wait() {
#if FASTDL_SIMULATED
  sim::async_copy_wait(kPending);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

}  // namespace fastdl::cuda
