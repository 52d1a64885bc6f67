// gather, scatter and scatter_add along one dimension, and triangles. A gather is a thread an element. A scatter is a
// thread a line of the index tensor, which it walks in order, so that equal targets neither race nor change the order of
// a sum. Bytes: 8 + 2 x sizeof(T) an element (3 when adding).
#include "cuda/device/launch.h"
#include "cuda/device/visit.h"
#include "kernels/gather.h"

namespace fastdl::cuda {
namespace {

constexpr int kThreads = 256;

// --- device functions ---

// Offsets of one position of the index tensor in three tensors, without the step along `dim`.
struct Offsets {
  int64_t indexed, index, other;
};
__device__ __forceinline__ Offsets offsets_of(const View& indexed, const View& index, const View& other, int dim, int64_t i) {
  Offsets o{0, 0, 0};
  for (int d = index.ndim - 1; d >= 0; --d) {
    if (d == dim) continue;
    const int64_t at = i % index.shape[d];
    i /= index.shape[d];
    o.indexed += at * indexed.strides[d];
    o.index += at * index.strides[d];
    o.other += at * other.strides[d];
  }
  return o;
}

// --- kernels ---

template <class T> __global__ void gather_elements(GatherArgs a, int64_t n) {
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    int64_t rest = i, from = 0, at = 0, to = 0;
    for (int d = a.index.ndim - 1; d >= 0; --d) {
      const int64_t k = rest % a.index.shape[d];
      rest /= a.index.shape[d];
      if (d != a.dim) from += k * a.in.strides[d];
      at += k * a.index.strides[d];
      to += k * a.out.strides[d];
    }
    a.out.as<T>()[to] = a.in.as<T>()[from + a.index.as<int64_t>()[at] * a.in.strides[a.dim]];
  }
}

// What is there after `value` has come to `now`.
template <ScatterOp op, class C> __device__ __forceinline__ C combined(C now, C value) {
  if constexpr (std::is_same_v<C, bool>) return op == ScatterOp::sum || op == ScatterOp::max ? now || value : now && value;
  else if constexpr (op == ScatterOp::sum) return static_cast<C>(now + value);
  else if constexpr (op == ScatterOp::prod) return static_cast<C>(now * value);
  else if constexpr (op == ScatterOp::max) return now != now || now > value ? now : value;
  else return now != now || now < value ? now : value;
}

template <class T, ScatterOp op> __global__ void scatter_lines(ScatterArgs a, int64_t lines) {
  const int64_t line = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (line >= lines) return;
  const Offsets o = offsets_of(a.to, a.index, a.values, a.dim, line);
  for (int64_t k = 0; k < a.index.shape[a.dim]; ++k) {
    const int64_t target = a.index.as<int64_t>()[o.index + k * a.index.strides[a.dim]];
    const T value = a.values.as<T>()[o.other + k * a.values.strides[a.dim]];
    T& to = a.to.as<T>()[o.indexed + target * a.to.strides[a.dim]];
    if constexpr (op == ScatterOp::assign) to = value;
    else to = convert<T>(combined<op>(convert<Compute<T>>(to), convert<Compute<T>>(value)));
  }
}

template <class T> __global__ void triangles(TriangleArgs a, int64_t n) {
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    const int64_t distance = i % a.columns - i / a.columns % a.rows;
    const bool keep = a.lower ? distance <= a.diagonal : distance >= a.diagonal;
    static_cast<T*>(a.out)[i] = keep ? static_cast<const T*>(a.in)[i] : T(0);
  }
}

LaunchShape shape_for(const Context& context, int64_t n) {
  return {blocks_for(n, kThreads, 32 * multiprocessors(context)), kThreads};
}

}  // namespace

// --- launchers ---

void gather(const Context& context, const GatherArgs& a) {
  const int64_t n = a.index.numel();
  for_size(size_of(a.in.dtype), [&]<class T>() { launch(gather_elements<T>, shape_for(context, n), context, a, n); });
}

void scatter(const Context& context, const ScatterArgs& a) {
  const int64_t lines = a.index.numel() / a.index.shape[a.dim];
  const LaunchShape shape{blocks_for(lines, kThreads), kThreads};
  if (a.op == ScatterOp::assign)
    return for_size(size_of(a.to.dtype),
                    [&]<class T>() { launch(scatter_lines<T, ScatterOp::assign>, shape, context, a, lines); });
  for_any(a.to.dtype, [&]<class T>() {
    switch (a.op) {
      case ScatterOp::sum: return launch(scatter_lines<T, ScatterOp::sum>, shape, context, a, lines);
      case ScatterOp::prod: return launch(scatter_lines<T, ScatterOp::prod>, shape, context, a, lines);
      case ScatterOp::max: return launch(scatter_lines<T, ScatterOp::max>, shape, context, a, lines);
      default: return launch(scatter_lines<T, ScatterOp::min>, shape, context, a, lines);
    }
  });
}

void triangle(const Context& context, const TriangleArgs& a) {
  const int64_t n = a.matrices * a.rows * a.columns;
  for_size(a.element_size, [&]<class T>() { launch(triangles<T>, shape_for(context, n), context, a, n); });
}

}  // namespace fastdl::cuda
