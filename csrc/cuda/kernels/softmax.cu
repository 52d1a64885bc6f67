// Softmax along one dimension, and its gradient.
//
// Rows whose elements are adjacent (inner = 1): a warp a row up to 1024 elements, held in registers, a block a row above,
// which passes over the row twice more (from L2 when it fits). Otherwise each thread owns one column of one outer slice,
// so that neighbouring threads read neighbouring addresses. Sums in float32 (float64 for float64).
// Bytes: forward reads and writes each element once; backward reads two arrays and writes one. 5 flops an element.
#include "cuda/device/convert.h"
#include "cuda/device/launch.h"
#include "cuda/device/online.h"
#include "kernels/softmax.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

template <class C> __device__ __forceinline__ C normalized(C x, Running<C> r, bool log_form) {
  return log_form ? x - r.maximum - log(r.sum) : exp(x - r.maximum) / r.sum;
}
template <class C> __device__ __forceinline__ C gradient(C g, C y, C sum, bool log_form) {
  return log_form ? g - exp(y) * sum : y * (g - sum);
}

constexpr int kWarpsPerBlock = 4, kBlock = 256, kInRegisters = 1024;
template <class C> struct Shared {
  Running<C> parts[32];
};

// --- kernels ---

// One warp a row of at most 32 * PerLane elements.
template <class T, int PerLane>
__global__ void softmax_warp(const T* __restrict__ x, T* __restrict__ y, int64_t rows, int n, bool log_form) {
  using C = Compute<T>;
  const int64_t row = int64_t{blockIdx.x} * kWarpsPerBlock + threadIdx.x / 32;
  if (row >= rows) return;
  const int lane = threadIdx.x % 32;
  x += row * n, y += row * n;
  C v[PerLane];
  Running<C> r;
#pragma unroll
  for (int i = 0; i < PerLane; ++i) {
    v[i] = lane + 32 * i < n ? convert<C>(x[lane + 32 * i]) : C(-INFINITY);
    r.maximum = Max{}(r.maximum, v[i]);
  }
  r.maximum = warp_reduce(r.maximum, Max{});
#pragma unroll
  for (int i = 0; i < PerLane; ++i)
    if (lane + 32 * i < n) r.sum += exp(v[i] - r.maximum);
  r.sum = warp_reduce(r.sum, Add{});
#pragma unroll
  for (int i = 0; i < PerLane; ++i)
    if (lane + 32 * i < n) y[lane + 32 * i] = convert<T>(normalized(v[i], r, log_form));
}

// One block a row.
template <class T> __global__ void softmax_block(const T* __restrict__ x, T* __restrict__ y, int64_t n, bool log_form) {
  using C = Compute<T>;
  FASTDL_SHARED(Shared<C>, shared);
  x += blockIdx.x * n, y += blockIdx.x * n;
  Running<C> r;
  for (int64_t i = threadIdx.x; i < n; i += kBlock) r = Merge{}(r, convert<C>(x[i]));
  r = block_reduce(r, Merge{}, Running<C>{}, shared.parts);
  for (int64_t i = threadIdx.x; i < n; i += kBlock) y[i] = convert<T>(normalized(convert<C>(x[i]), r, log_form));
}

// One thread a column.
template <class T> __global__ void softmax_columns(const T* __restrict__ x, T* __restrict__ y, int64_t columns, int64_t n,
                                                   int64_t inner, bool log_form) {
  using C = Compute<T>;
  const int64_t column = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (column >= columns) return;
  const int64_t at = column / inner * n * inner + column % inner;
  x += at, y += at;
  Running<C> r;
  for (int64_t i = 0; i < n; ++i) r = Merge{}(r, convert<C>(x[i * inner]));
  for (int64_t i = 0; i < n; ++i) y[i * inner] = convert<T>(normalized(convert<C>(x[i * inner]), r, log_form));
}

template <class T> __global__ void softmax_backward_block(const T* __restrict__ g, const T* __restrict__ y, T* __restrict__ gx,
                                                          int64_t n, bool log_form) {
  using C = Compute<T>;
  FASTDL_SHARED(Shared<C>, shared);
  g += blockIdx.x * n, y += blockIdx.x * n, gx += blockIdx.x * n;
  C sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
    sum += log_form ? convert<C>(g[i]) : convert<C>(g[i]) * convert<C>(y[i]);
  sum = block_reduce(sum, Add{}, C(0), &shared.parts[0].maximum);
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
    gx[i] = convert<T>(gradient(convert<C>(g[i]), convert<C>(y[i]), sum, log_form));
}

template <class T> __global__ void softmax_backward_columns(const T* __restrict__ g, const T* __restrict__ y,
                                                            T* __restrict__ gx, int64_t columns, int64_t n, int64_t inner,
                                                            bool log_form) {
  using C = Compute<T>;
  const int64_t column = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (column >= columns) return;
  const int64_t at = column / inner * n * inner + column % inner;
  g += at, y += at, gx += at;
  C sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const C v = convert<C>(g[i * inner]);
    sum += log_form ? v : v * convert<C>(y[i * inner]);
  }
  for (int64_t i = 0; i < n; ++i)
    gx[i * inner] = convert<T>(gradient(convert<C>(g[i * inner]), convert<C>(y[i * inner]), sum, log_form));
}

}  // namespace

// --- launchers ---

void softmax_forward(const Context& context, const SoftmaxArgs& a) {
  for_float(a.dtype, [&]<class T>() {
    const T* x = static_cast<const T*>(a.input);
    T* y = static_cast<T*>(a.output);
    if (a.inner > 1) {
      const int64_t columns = a.outer * a.inner;
      return launch(softmax_columns<T>, {blocks_for(columns, kBlock), kBlock}, context, x, y, columns, a.n, a.inner, a.log);
    }
    if (a.n > kInRegisters)
      return launch(softmax_block<T>, {static_cast<unsigned>(a.outer), kBlock, sizeof(Shared<Compute<T>>)}, context, x, y, a.n,
                    a.log);
    const LaunchShape shape{blocks_for(a.outer, kWarpsPerBlock), 32 * kWarpsPerBlock};
    const auto kernel = a.n <= 64 ? softmax_warp<T, 2> : a.n <= 256 ? softmax_warp<T, 8> : softmax_warp<T, 32>;
    launch(kernel, shape, context, x, y, a.outer, static_cast<int>(a.n), a.log);
  });
}

void softmax_backward(const Context& context, const SoftmaxBackwardArgs& a) {
  for_float(a.dtype, [&]<class T>() {
    const T* g = static_cast<const T*>(a.grad);
    const T* y = static_cast<const T*>(a.output);
    T* gx = static_cast<T*>(a.grad_input);
    if (a.inner > 1) {
      const int64_t columns = a.outer * a.inner;
      return launch(softmax_backward_columns<T>, {blocks_for(columns, kBlock), kBlock}, context, g, y, gx, columns, a.n,
                    a.inner, a.log);
    }
    const unsigned block = a.n <= 1024 ? 32 : kBlock;
    launch(softmax_backward_block<T>, {static_cast<unsigned>(a.outer), block, sizeof(Shared<Compute<T>>)}, context, g, y, gx,
           a.n, a.log);
  });
}

}  // namespace fastdl::cuda
