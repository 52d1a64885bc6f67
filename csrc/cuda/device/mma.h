// Tensor cores of a warp (sm_80): fragments from shared memory, and their products.
//
// Fragments, with g = lane / 4 and t = lane % 4, two 16-bit elements a register (the lower index in the lower half):
//   a (16 x 16): [0] (g, 2t..)  [1] (g + 8, 2t..)  [2] (g, 2t + 8..)  [3] (g + 8, 2t + 8..)     as (row, k)
//   b (16 x 8):  [0] (2t.., g)  [1] (2t + 8.., g)                                               as (k, column)
//   sums (16 x 8): [0], [1] (g, 2t..)  [2], [3] (g + 8, 2t..)                                   as (row, column)
#pragma once
#include "core/dtype.h"
#include "cuda/device/async_copy.h"

namespace fastdl::cuda {

// Four 8 x 8 matrices of 16-bit elements: lane 8 i + j gives the address of row j of matrix i, and gets of matrix i the
// elements (g, 2t) and (g, 2t + 1); of its transpose when kTransposed.
template <bool kTransposed> __device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
#if FASTDL_SIMULATED
  sim::load_matrices(r, row, kTransposed);
#else
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
#endif
}

// sums += a b for 16 x 16 times 16 x 8 of bf16 or f16.
template <class T>
__device__ __forceinline__ void multiply_add(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], T) {
  static_assert(std::is_same_v<T, bf16> || std::is_same_v<T, f16>);
#if FASTDL_SIMULATED
  sim::multiply_add_16(sums, a, b, std::is_same_v<T, bf16>);
#else
  if constexpr (std::is_same_v<T, bf16>)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// float32 rounded to TF32: 8 bits of exponent, 10 of mantissa, as a float32's bits.
__device__ __forceinline__ uint32_t to_tf32(float x) {
#if FASTDL_SIMULATED
  return sim::to_tf32(x);
#else
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#endif
}

// sums += a b for 16 x 8 times 8 x 8 of TF32, an element a register:
//   a: [0] (g, t)  [1] (g + 8, t)  [2] (g, t + 4)  [3] (g + 8, t + 4)     b: [0] (t, g)  [1] (t + 4, g)
__device__ __forceinline__ void multiply_add_tf32(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if FASTDL_SIMULATED
  sim::multiply_add_tf32(sums, a, b);
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

}  // namespace fastdl::cuda
