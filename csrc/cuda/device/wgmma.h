// Tensor cores of a warpgroup, four warps that start at a multiple of four (sm_90a). Both operands lie in shared memory as
// the copy engine leaves them (device/tma.h); the product runs beside the threads until it is waited for.
//
// Sums of a 64 x N product: thread t of the warpgroup holds in d[4 j + 2 h + i] the element
// (t / 32 * 16 + t % 32 / 4 + 8 h, 8 j + t % 4 * 2 + i).
#pragma once
#include "core/dtype.h"
#include "cuda/device/barrier.h"

namespace fastdl::cuda {

// Which index of an operand is adjacent in shared memory: k, or the row of A (column of B).
enum class Major { k, mn };

// Names an operand at `p`, in rows of 128 bytes.
// Major::k: row r at p + 128 r, `p` 32 bytes further for each 16 along k.
// Major::mn: rows of 64 adjacent elements, one for each k, `p` 2048 bytes further for each 16 along k; the next 64
// elements are `next` bytes away.
template <Major kMajor> __device__ __forceinline__ uint64_t operand_descriptor(const void* p, int next) {
#if FASTDL_SIMULATED
  const uint32_t address = sim::shared_address(p);
#else
  const uint32_t address = shared_address(p);
#endif
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62, kEightRows = 1024;
  const uint64_t leading = kMajor == Major::mn ? static_cast<uint64_t>(next) : 16;
  return uint64_t{(address & 0x3ffff) >> 4} | leading >> 4 << 16 | kEightRows >> 4 << 32 | kSwizzle128;
}

// Before the first product, and wherever registers of `d` were touched.
__device__ __forceinline__ void wgmma_fence() {
#if !FASTDL_SIMULATED
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void wgmma_commit() {
#if FASTDL_SIMULATED
  sim::product_commit();
#else
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
// Until at most kPending of the warpgroup's groups are under way.
template <int kPending> __device__ __forceinline__ void wgmma_wait() {
#if FASTDL_SIMULATED
  sim::product_wait(kPending);
#else
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
#endif
}

// d = a b + (accumulate ? d : 0) for 64 x 16 times 16 x N, N = 2 * registers: 64, 128 or 256.
#if FASTDL_SIMULATED
template <class T, Major kA, Major kB, int kRegisters>
void wgmma(float (&d)[kRegisters], uint64_t a, uint64_t b, bool accumulate) {
  static_assert(kRegisters == 32 || kRegisters == 64 || kRegisters == 128);
  sim::product(d, 2 * kRegisters, a, b, accumulate, std::is_same_v<T, bf16>, kA == Major::mn, kB == Major::mn);
}
#else
// The operand lists: "%0, ..., %9", "%t0, ..., %t9", and the registers from d[i].
#define FASTDL_ONES "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9"
#define FASTDL_TEN(t) ", %" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t "8, %" #t "9"
#define FASTDL_LIST_32 FASTDL_ONES FASTDL_TEN(1) FASTDL_TEN(2) ", %30, %31"
#define FASTDL_LIST_64 FASTDL_ONES FASTDL_TEN(1) FASTDL_TEN(2) FASTDL_TEN(3) FASTDL_TEN(4) FASTDL_TEN(5) ", %60, %61, %62, %63"
#define FASTDL_LIST_128                                                                                              \
  FASTDL_ONES FASTDL_TEN(1) FASTDL_TEN(2) FASTDL_TEN(3) FASTDL_TEN(4) FASTDL_TEN(5) FASTDL_TEN(6) FASTDL_TEN(7)      \
      FASTDL_TEN(8) FASTDL_TEN(9) FASTDL_TEN(10) FASTDL_TEN(11) ", %120, %121, %122, %123, %124, %125, %126, %127"
#define FASTDL_SUMS_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define FASTDL_SUMS_16(i) FASTDL_SUMS_4(i), FASTDL_SUMS_4(i + 4), FASTDL_SUMS_4(i + 8), FASTDL_SUMS_4(i + 12)
#define FASTDL_SUMS_32(i) FASTDL_SUMS_16(i), FASTDL_SUMS_16(i + 16)
#define FASTDL_SUMS_64(i) FASTDL_SUMS_32(i), FASTDL_SUMS_32(i + 32)
#define FASTDL_SUMS_128(i) FASTDL_SUMS_64(i), FASTDL_SUMS_64(i + 64)
// a, b, flag, ka, kb: the numbers of the operands after the sums.
#define FASTDL_WGMMA(registers, n, type, a_number, b_number, flag, ka, kb)                                          \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #flag ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type \
               " {" FASTDL_LIST_##registers "}, %" #a_number ", %" #b_number ", p, 1, 1, %" #ka ", %" #kb ";\n}"      \
               : FASTDL_SUMS_##registers(0)                                                                          \
               : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(kA == Major::mn), "n"(kB == Major::mn))
template <class T, Major kA, Major kB, int kRegisters>
__device__ __forceinline__ void wgmma(float (&d)[kRegisters], uint64_t a, uint64_t b, bool accumulate) {
  static_assert(kRegisters == 32 || kRegisters == 64 || kRegisters == 128);
  if constexpr (std::is_same_v<T, bf16>) {
    if constexpr (kRegisters == 32) FASTDL_WGMMA(32, 64, "bf16.bf16", 32, 33, 34, 35, 36);
    if constexpr (kRegisters == 64) FASTDL_WGMMA(64, 128, "bf16.bf16", 64, 65, 66, 67, 68);
    if constexpr (kRegisters == 128) FASTDL_WGMMA(128, 256, "bf16.bf16", 128, 129, 130, 131, 132);
  } else {
    if constexpr (kRegisters == 32) FASTDL_WGMMA(32, 64, "f16.f16", 32, 33, 34, 35, 36);
    if constexpr (kRegisters == 64) FASTDL_WGMMA(64, 128, "f16.f16", 64, 65, 66, 67, 68);
    if constexpr (kRegisters == 128) FASTDL_WGMMA(128, 256, "f16.f16", 128, 129, 130, 131, 132);
  }
}
#undef FASTDL_WGMMA
#undef FASTDL_SUMS_128
#undef FASTDL_SUMS_64
#undef FASTDL_SUMS_32
#undef FASTDL_SUMS_16
#undef FASTDL_SUMS_4
#undef FASTDL_LIST_128
#undef FASTDL_LIST_64
#undef FASTDL_LIST_32
#undef FASTDL_TEN
#undef FASTDL_ONES
#endif

// Registers a thread, for the warps of the calling warpgroup: fewer for those that only copy, more for those that multiply.
template <int kRegisters> __device__ __forceinline__ void shrink_registers() {
#if !FASTDL_SIMULATED
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}
template <int kRegisters> __device__ __forceinline__ void grow_registers() {
#if !FASTDL_SIMULATED
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}

}  // namespace fastdl::cuda
