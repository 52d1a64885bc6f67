// The simulated device's asynchronous copies, mbarriers, copy engine and tensor cores: what the functions of
// cuda/device/{async_copy,mma,barrier,tma,wgmma}.h do without a GPU.
//
// FASTDL_SIM_ASYNC  when asynchronous work is done: `eager`, when it is issued, or `late`, at the last moment that its
//                   wait allows, with NaN at its destination meanwhile. A kernel that waits where it must gives the same.
#pragma once
#include "cuda/sim/scheduler.h"

namespace fastdl::cuda::sim {

// An address in the running block's shared memory, as instructions hold it: the offset from its beginning.
uint32_t shared_address(const void* p);

void async_copy(void* to, const void* from, int bytes, int valid);
void async_copy_commit();
void async_copy_wait(size_t pending);

void load_matrices(uint32_t (&r)[4], const void* row, bool transposed);
void multiply_add_16(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], bool is_bf16);
void multiply_add_tf32(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
uint32_t to_tf32(float x);

void mbarrier_init(uint64_t* barrier, unsigned arrivals);
void mbarrier_arrive(uint64_t* barrier, unsigned bytes);
void mbarrier_wait(uint64_t* barrier, unsigned parity);

// Matrices of 16-bit elements, boxes of 64 columns swizzled by 128 bytes.
struct TensorMap {
  const char* base;
  int64_t size[3];     // columns, rows, matrices
  int64_t strides[2];  // bytes between rows and matrices
  int64_t box[2];      // columns, rows
};
void tensor_load(void* to, const TensorMap& map, uint64_t* barrier, int x, int y, int z);
void tensor_store(const TensorMap& map, const void* from, int x, int y, int z);
void tensor_store_commit();
void tensor_store_wait(size_t pending);

// The warpgroup's 64 x n sums: d = a b + (accumulate ? d : 0), operands by descriptor.
void product(float* d, int n, uint64_t a, uint64_t b, bool accumulate, bool is_bf16, bool a_mn_major, bool b_mn_major);
void product_commit();
void product_wait(size_t pending);

}  // namespace fastdl::cuda::sim
