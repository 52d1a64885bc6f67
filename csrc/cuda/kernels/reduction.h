// The walk of reductions over any dimensions of any strided view, for reducers of values and of extremes with places.
//
// The dimensions are merged where strides allow. If the one with the smallest stride is reduced, a warp or a block takes
// an output ("rows"); if it is kept, or rows are very short, a thread takes an output and neighbouring threads read
// neighbouring elements, 8 rows of threads sharing out the reduced range ("columns"). Where outputs are few the range is
// cut into pieces whose states go to a workspace and are combined in order by a second kernel. All of that depends on
// shapes alone, so results are the same bits on every run and every device. Bytes: the input's, once.
//
// A reducer R has: Type (elements are converted to it), State, kOutputs, start(), fold(state, x, valid, index) for groups
// of adjacent elements that begin at `index` of the reduced range, combine(a, b), and finish(state, offsets).
#pragma once
#include <algorithm>

#include "cuda/device/launch.h"
#include "cuda/device/operand.h"
#include "cuda/device/reduce.h"
#include "kernels/reduce.h"

namespace fastdl::cuda {

constexpr int kReduceThreads = 256, kReduceGroups = 4, kColumns = 32, kShortRow = 16;
constexpr int64_t kReduceBlocks = 1024;  // enough to fill a device
constexpr int64_t kPiece = 4096;         // elements that are worth a block

template <int Outputs> struct ReductionJob {
  Operand in;
  Strided<1 + Outputs> kept;
  Strided<1> reduced;    // in groups
  void* partial;         // (outputs, pieces) states; null: the results are finished at once
  int64_t elements;      // of the reduced range
  int64_t first_index;   // of this part of the reduced range
  uint32_t outputs, groups, piece_groups;
  uint32_t pieces, first_piece, unused;
};

template <class R> struct ReductionShared {
  typename R::State part[kReduceThreads / kColumns][kColumns + 1];
};

// Groups [from, end) of the reduced range, `step` apart.
template <int V, class R, int Outputs>
__device__ __forceinline__ void reduce_groups(const R& r, typename R::State& state, const ReductionJob<Outputs>& job,
                                              int64_t base, uint32_t from, uint32_t end, uint32_t step) {
  using T = typename R::Type;
  for (uint32_t g = from; g < end; g += step * kReduceGroups) {
    int64_t at[kReduceGroups] = {}, index[kReduceGroups];
    int valid[kReduceGroups];
    T x[kReduceGroups * V];
#pragma unroll
    for (int k = 0; k < kReduceGroups; ++k) {
      const uint32_t group = g + k * step;
      index[k] = int64_t{group} * V;
      const int64_t left = job.elements - index[k];
      valid[k] = group >= end ? 0 : left < V ? static_cast<int>(left) : V;
      int64_t offset[1] = {0};
      if (valid[k]) job.reduced.offsets(group, offset);
      at[k] = base + offset[0];
      index[k] += job.first_index;
    }
    load_groups<V, kReduceGroups>(x, job.in, at, valid);
    r.template fold<V>(state, x, valid, index);
  }
}

template <class R, int Outputs> __device__ __forceinline__ void write_state(const R& r, const typename R::State& state,
                                                                            const ReductionJob<Outputs>& job, uint32_t output,
                                                                            const int64_t (&offset)[1 + Outputs]) {
  if (!job.partial) return r.finish(state, offset);
  static_cast<typename R::State*>(job.partial)[int64_t{output} * job.pieces + job.first_piece + blockIdx.y] = state;
}

// blockDim.x threads (a warp or the block) an output; blockIdx.y: the piece.
template <int V, class R> __global__ void __launch_bounds__(kReduceThreads)
    reduce_rows(const __grid_constant__ ReductionJob<R::kOutputs> job, const __grid_constant__ R r) {
  FASTDL_SHARED(ReductionShared<R>, shared);
  const uint32_t output = blockIdx.x * blockDim.y + threadIdx.y, begin = blockIdx.y * job.piece_groups;
  const uint32_t end = job.groups - begin < job.piece_groups ? job.groups : begin + job.piece_groups;
  int64_t offset[1 + R::kOutputs] = {};
  if (output < job.outputs) job.kept.offsets(output, offset);
  typename R::State state = r.start();
  if (output < job.outputs) reduce_groups<V>(r, state, job, offset[0], begin + threadIdx.x, end, blockDim.x);
  const auto combine = [&](auto a, auto b) { return r.combine(a, b); };
  if (blockDim.x == 32) state = warp_reduce(state, combine);
  else state = block_reduce(state, combine, r.start(), shared.part[0]);
  if (threadIdx.x == 0 && output < job.outputs) write_state(r, state, job, output, offset);
}

// A thread an output; the block's rows of threads share out the reduced range.
template <class R> __global__ void __launch_bounds__(kReduceThreads)
    reduce_columns(const __grid_constant__ ReductionJob<R::kOutputs> job, const __grid_constant__ R r) {
  FASTDL_SHARED(ReductionShared<R>, shared);
  const uint32_t output = blockIdx.x * blockDim.x + threadIdx.x, begin = blockIdx.y * job.piece_groups;
  const uint32_t end = job.groups - begin < job.piece_groups ? job.groups : begin + job.piece_groups;
  int64_t offset[1 + R::kOutputs] = {};
  if (output < job.outputs) job.kept.offsets(output, offset);
  typename R::State state = r.start();
  if (output < job.outputs) reduce_groups<1>(r, state, job, offset[0], begin + threadIdx.y, end, blockDim.y);
  if (blockDim.y > 1) {
    shared.part[threadIdx.y][threadIdx.x] = state;
    __syncthreads();
    if (threadIdx.y > 0) return;
    for (unsigned y = 1; y < blockDim.y; ++y) state = r.combine(state, shared.part[y][threadIdx.x]);
  }
  if (output < job.outputs) write_state(r, state, job, output, offset);
}

// The pieces of one output: a warp.
template <class R> __global__ void __launch_bounds__(kReduceThreads)
    reduce_pieces(const __grid_constant__ ReductionJob<R::kOutputs> job, const __grid_constant__ R r) {
  const uint32_t output = blockIdx.x * blockDim.y + threadIdx.y;
  if (output >= job.outputs) return;
  const auto* partial = static_cast<const typename R::State*>(job.partial) + int64_t{output} * job.pieces;
  typename R::State state = r.start();
  for (uint32_t p = threadIdx.x; p < job.pieces; p += 32) state = r.combine(state, partial[p]);
  state = warp_reduce(state, [&](auto a, auto b) { return r.combine(a, b); });
  int64_t offset[1 + R::kOutputs];
  job.kept.offsets(output, offset);
  if (threadIdx.x == 0) r.finish(state, offset);
}

// Reduces views[0] over the dimensions in `reduced`; the other views are outputs of its shape. `workspace` may be null
// for inputs of fewer than kReduceSplit elements.
template <class R, int N = R::kOutputs + 1>
void run_reduction(const Context& context, const R& r, const View* const (&views)[N], uint32_t reduced_mask, void* workspace) {
  using State = typename R::State;
  const View& in = *views[0];
  const Dims<N> all_kept = merged_dims(views, ~reduced_mask);
  const Dims<1> all_reduced = merged_dims<1>({&in}, reduced_mask);
  const auto magnitude = [](int64_t x) { return x < 0 ? -x : x; };
  const int64_t length = all_reduced.count();
  const bool rows =
      length > kShortRow &&
      (all_kept.ndim == 0 || magnitude(all_reduced.stride[0][0]) <= magnitude(all_kept.stride[0][0]) || all_kept.count() == 1);
  const int64_t element = size_of(in.dtype);

  int64_t parts = 0;
  for_parts(all_reduced, [&](const Dims<1>&, const int64_t(&)[1]) { ++parts; });
  for_parts(all_kept, [&](const Dims<N>& kept, const int64_t(&kept_offset)[N]) {
    const int64_t outputs = kept.count();
    const bool warp_rows = length < kReduceThreads * 4;
    const dim3 block = rows                  ? (warp_rows ? dim3(32, kReduceThreads / 32) : dim3(kReduceThreads))
                       : length <= kShortRow ? dim3(kReduceThreads)
                                             : dim3(kColumns, kReduceThreads / kColumns);
    const int64_t outputs_per_block = rows ? block.y : block.x;
    const int64_t blocks = (outputs + outputs_per_block - 1) / outputs_per_block;
    const int64_t worthwhile = rows ? length / kPiece : length * kColumns / kPiece;
    int64_t pieces = workspace && !(rows && warp_rows) && length > kShortRow ? kReduceBlocks / blocks : 1;
    const int64_t room = kReduceWorkspace / static_cast<int64_t>(sizeof(State)) / (outputs * parts);
    pieces = std::max(int64_t{1}, std::min({pieces, worthwhile, room}));

    int64_t part_number = 0, index = 0;
    R at_part = r;
    at_part.move(kept_offset);
    for_parts(all_reduced, [&](const Dims<1>& reduced, const int64_t(&offset)[1]) {
      Operand source{in.as<char>() + (kept_offset[0] + offset[0]) * element, {}, static_cast<int32_t>(in.dtype), 0};
      Dims<1> groups = reduced;
      bool vectors = rows && has_vectors<typename R::Type> && reduced.ndim > 0 && reduced.stride[0][0] == 1 &&
                     (reduced.ndim == 1 || reduced.size[0] % kVector == 0) && in_vectors(reduced, 0, source, element);
      const int64_t alignment = element * kVector < 16 ? element * kVector : 16;
      for (int d = 0; d < kept.ndim; ++d) vectors = vectors && kept.stride[d][0] * element % alignment == 0;
      if (vectors) {
        groups.size[0] = (groups.size[0] + kVector - 1) / kVector;
        groups.stride[0][0] *= kVector;
      }
      const int64_t count = groups.count(), piece_groups = (count + pieces - 1) / pieces;
      ReductionJob<R::kOutputs> job{source,
                                    Strided<N>(kept),
                                    Strided<1>(groups),
                                    parts * pieces > 1 ? workspace : nullptr,
                                    reduced.count(),
                                    index,
                                    static_cast<uint32_t>(outputs),
                                    static_cast<uint32_t>(count),
                                    static_cast<uint32_t>(piece_groups),
                                    static_cast<uint32_t>(parts * pieces),
                                    static_cast<uint32_t>(part_number * pieces),
                                    0};
      const LaunchShape shape{dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(pieces)), block,
                              sizeof(ReductionShared<R>)};
      if (!rows) launch(reduce_columns<R>, shape, context, job, at_part);
      else if (!vectors) launch(reduce_rows<1, R>, shape, context, job, at_part);
      else if constexpr (has_vectors<typename R::Type>) launch(reduce_rows<kVector, R>, shape, context, job, at_part);
      index += reduced.count();
      if (++part_number == parts && job.partial)
        launch(reduce_pieces<R>, {blocks_for(outputs, kReduceThreads / 32), dim3(32, kReduceThreads / 32)}, context, job,
               at_part);
    });
  });
}

}  // namespace fastdl::cuda
