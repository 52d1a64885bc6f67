// Barriers beside __syncthreads: named ones for some of a block's warps (sm_80), mbarriers in shared memory that also
// count the bytes of asynchronous copies, and the cluster's (sm_90).
#pragma once
#include "cuda/device/async_copy.h"

namespace fastdl::cuda {

// `threads` threads, whole warps, meet at barrier `id`, 1 to 15.
__device__ __forceinline__ void named_barrier(int id, int threads) {
#if FASTDL_SIMULATED
  sim::block_barrier(static_cast<unsigned>(id), static_cast<unsigned>(threads), "named_barrier");
#else
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

// A phase of an mbarrier ends when `arrivals` have arrived and the bytes that they announced have been copied.
using MBarrier = uint64_t;

__device__ __forceinline__ void mbarrier_init(MBarrier* b, int arrivals) {
#if FASTDL_SIMULATED
  sim::mbarrier_init(b, static_cast<unsigned>(arrivals));
#else
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
#endif
}
// By the thread that has initialised mbarriers, before the block's barrier.
__device__ __forceinline__ void mbarrier_init_fence() {
#if !FASTDL_SIMULATED
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
__device__ __forceinline__ void mbarrier_arrive(MBarrier* b) {
#if FASTDL_SIMULATED
  sim::mbarrier_arrive(b, 0);
#else
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
#endif
}
__device__ __forceinline__ void mbarrier_arrive_expect(MBarrier* b, int bytes) {
#if FASTDL_SIMULATED
  sim::mbarrier_arrive(b, static_cast<unsigned>(bytes));
#else
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
#endif
}
// Until the phase of this parity (0 for the first) has ended.
__device__ __forceinline__ void mbarrier_wait(MBarrier* b, int parity) {
#if FASTDL_SIMULATED
  sim::mbarrier_wait(b, static_cast<unsigned>(parity));
#else
  uint32_t done;
  do {
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done) : "r"(shared_address(b)), "r"(parity) : "memory");
  } while (!done);
#endif
}

// Makes this thread's ordinary writes to shared memory visible to the copy engine and wgmma, before a barrier.
__device__ __forceinline__ void fence_async_proxy() {
#if !FASTDL_SIMULATED
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// All threads of the cluster; shared memory written before is seen by the others after.
__device__ __forceinline__ void cluster_sync() {
#if FASTDL_SIMULATED
  sim::cluster_barrier("cluster_sync");
#else
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ unsigned cluster_rank() {
#if FASTDL_SIMULATED
  return sim::this_thread->block->rank;
#else
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#endif
}
// What `p` of the calling block's shared memory is in that of the cluster's block `rank`.
template <class T> __device__ __forceinline__ T* cluster_pointer(T* p, unsigned rank) {
#if FASTDL_SIMULATED
  return reinterpret_cast<T*>(sim::cluster_block(rank).shared + sim::shared_address(p));
#else
  void* peer;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(peer) : "l"(p), "r"(rank));
  return static_cast<T*>(peer);
#endif
}

}  // namespace fastdl::cuda
