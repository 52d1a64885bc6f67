// The copy engine for boxes of tensors (sm_90). A box of x * y elements at (x, y) of matrix z arrives in shared memory row
// by row, with its 16-byte pieces exchanged as wgmma wants them: piece i of row j lies at i ^ j % 8 (rows of 128 bytes).
// Elements outside of the tensor are read as zeros and not written.
#pragma once
#include "cuda/device/barrier.h"
#include "cuda/device/launch.h"
#if !FASTDL_SIMULATED
#include <cuda.h>
#endif

namespace fastdl::cuda {

#if FASTDL_SIMULATED
using TensorMap = sim::TensorMap;
#else
using TensorMap = CUtensorMap;
#endif

// A batch of matrices of 16-bit elements, columns adjacent; strides in elements. Boxes are rows of 64 columns.
struct TensorLayout {
  const void* data;
  int64_t columns, rows, matrices;
  int64_t row_stride, matrix_stride;
};
constexpr int kTensorBoxColumns = 64;

// What the copy engine asks of a tensor.
inline bool has_tensor_map(const TensorLayout& t) {
  constexpr int64_t kMost = int64_t{1} << 31;
  return reinterpret_cast<uintptr_t>(t.data) % 16 == 0 && t.row_stride % 8 == 0 && t.row_stride > 0 && t.columns < kMost &&
         t.rows < kMost && t.matrices < kMost && (t.matrices == 1 || (t.matrix_stride % 8 == 0 && t.matrix_stride > 0));
}

// --- on the host ---

// False where the driver refuses.
inline bool make_tensor_map(TensorMap* map, const TensorLayout& t, int box_rows, [[maybe_unused]] bool is_bf16) {
  const uint64_t matrix_stride = static_cast<uint64_t>(t.matrices == 1 ? t.row_stride * t.rows : t.matrix_stride) * 2;
#if FASTDL_SIMULATED
  *map = {static_cast<const char*>(t.data), {t.columns, t.rows, t.matrices},
          {t.row_stride * 2, static_cast<int64_t>(matrix_stride)}, {kTensorBoxColumns, box_rows}};
  return true;
#else
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found;
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found) != cudaSuccess)
      function = nullptr;
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  if (!encode) return false;
  const cuuint64_t size[3] = {static_cast<cuuint64_t>(t.columns), static_cast<cuuint64_t>(t.rows), static_cast<cuuint64_t>(t.matrices)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(t.row_stride) * 2, matrix_stride};
  const cuuint32_t box[3] = {kTensorBoxColumns, static_cast<cuuint32_t>(box_rows), 1}, every[3] = {1, 1, 1};
  return encode(map, is_bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 3, const_cast<void*>(t.data),
                size, strides, box, every, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
#endif
}

// --- on the device: by one thread; `map` is a __grid_constant__ argument, `to` and `from` multiples of 1024 ---

__device__ __forceinline__ void tensor_load(void* to, const TensorMap* map, MBarrier* barrier, int x, int y, int z) {
#if FASTDL_SIMULATED
  sim::tensor_load(to, *map, barrier, x, y, z);
#else
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];"
               ::"r"(shared_address(to)), "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z) : "memory");
#endif
}

__device__ __forceinline__ void tensor_store(const TensorMap* map, const void* from, int x, int y, int z) {
#if FASTDL_SIMULATED
  sim::tensor_store(*map, from, x, y, z);
#else
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];"
               ::"l"(map), "r"(shared_address(from)), "r"(x), "r"(y), "r"(z) : "memory");
#endif
}
__device__ __forceinline__ void tensor_store_commit() {
#if FASTDL_SIMULATED
  sim::tensor_store_commit();
#else
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#endif
}
// Until at most kPending of this thread's groups of stores still read shared memory.
template <int kPending> __device__ __forceinline__ void tensor_store_wait() {
#if FASTDL_SIMULATED
  sim::tensor_store_wait(kPending);
#else
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
#endif
}

}  // namespace fastdl::cuda
