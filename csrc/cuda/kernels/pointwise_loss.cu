// Losses of two equal-shaped tensors: one pass that maps and, for mean and sum, reduces. A block sums one part of
// kLossPart elements, and one block adds the parts in double, in a fixed order. The backward is one pass.
// Bytes: forward 2 elements read (and one written when nothing is reduced), backward 2 read and 1 written.
#include "cuda/device/convert.h"
#include "cuda/device/launch.h"
#include "cuda/device/math.h"
#include "cuda/device/reduce.h"
#include "kernels/loss.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

constexpr int kThreads = 256;
struct Parts {
  double sums[32];
};

template <class C> __device__ __forceinline__ C sign(C d) { return d > 0 ? C(1) : d < 0 ? C(-1) : d; }
template <class C> __device__ __forceinline__ C clamped_log(C x) { return Max{}(C(-100), log(x)); }

// Of input x, target y and the weight p of positive targets.
template <class C> __device__ __forceinline__ C value(PointwiseLoss kind, C beta, C x, C y, C p) {
  const C d = x - y, distance = abs(d);
  switch (kind) {
    case PointwiseLoss::squared: return d * d;
    case PointwiseLoss::absolute: return distance;
    case PointwiseLoss::smooth_absolute: return distance < beta ? d * d * (C(0.5) / beta) : distance - C(0.5) * beta;
    case PointwiseLoss::huber: return distance < beta ? C(0.5) * d * d : beta * (distance - C(0.5) * beta);
    case PointwiseLoss::logistic: return (C(1) - y) * x + (C(1) + (p - C(1)) * y) * softplus(-x);
    case PointwiseLoss::binary: return -(y * clamped_log(x) + (C(1) - y) * clamped_log(C(1) - x));
    case PointwiseLoss::divergence: return y == C(0) ? C(0) : y * (log(y) - x);
    case PointwiseLoss::log_divergence: return exp(y) * (y - x);
  }
  return d;
}

// The derivative by x.
template <class C> __device__ __forceinline__ C slope(PointwiseLoss kind, C beta, C x, C y, C p) {
  const C d = x - y, distance = abs(d);
  switch (kind) {
    case PointwiseLoss::squared: return C(2) * d;
    case PointwiseLoss::absolute: return sign(d);
    case PointwiseLoss::smooth_absolute: return distance < beta ? d / beta : sign(d);
    case PointwiseLoss::huber: return distance < beta ? d : beta * sign(d);
    case PointwiseLoss::logistic: return (C(1) - y) - (C(1) + (p - C(1)) * y) * sigmoid(-x);
    case PointwiseLoss::binary: return d / Max{}(x * (C(1) - x), static_cast<C>(1e-12));
    case PointwiseLoss::divergence: return -y;
    case PointwiseLoss::log_divergence: return -exp(y);
  }
  return d;
}

template <class T> __device__ __forceinline__ Compute<T> at_or_one(const void* p, int64_t i) {
  return p ? convert<Compute<T>>(static_cast<const T*>(p)[i]) : Compute<T>(1);
}

// --- kernels ---

template <class T> __global__ void pointwise_loss(PointwiseLossArgs a) {
  using C = Compute<T>;
  FASTDL_SHARED(Parts, shared);
  const int64_t begin = blockIdx.x * kLossPart, end = begin + kLossPart < a.n ? begin + kLossPart : a.n;
  C total = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const C x = convert<C>(static_cast<const T*>(a.input)[i]), y = convert<C>(static_cast<const T*>(a.target)[i]);
    const C v = value(a.kind, static_cast<C>(a.beta), x, y, at_or_one<T>(a.positive_weight, i)) * at_or_one<T>(a.weight, i);
    if (a.reduce) total += v;
    else static_cast<T*>(a.output)[i] = convert<T>(v);
  }
  if (!a.reduce) return;
  const double sum = block_reduce(static_cast<double>(total), Add{}, 0.0, shared.sums);
  if (threadIdx.x == 0) a.parts[blockIdx.x] = sum;
}

// One block.
template <class T> __global__ void pointwise_loss_total(PointwiseLossArgs a, int64_t parts) {
  FASTDL_SHARED(Parts, shared);
  double total = 0;
  for (int64_t i = threadIdx.x; i < parts; i += kThreads) total += a.parts[i];
  total = block_reduce(total, Add{}, 0.0, shared.sums);
  if (threadIdx.x == 0) *static_cast<T*>(a.output) = convert<T>(static_cast<Compute<T>>(total / a.divisor));
}

template <class T> __global__ void pointwise_loss_gradient(PointwiseLossBackwardArgs b) {
  using C = Compute<T>;
  const PointwiseLossArgs& a = b.forward;
  const T* const grad = static_cast<const T*>(b.grad);
  const C common = a.reduce ? static_cast<C>(convert<C>(grad[0]) / static_cast<C>(a.divisor)) : C(0);
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < a.n; i += int64_t{gridDim.x} * kThreads) {
    const C x = convert<C>(static_cast<const T*>(a.input)[i]), y = convert<C>(static_cast<const T*>(a.target)[i]);
    const C s = slope(a.kind, static_cast<C>(a.beta), x, y, at_or_one<T>(a.positive_weight, i)) * at_or_one<T>(a.weight, i);
    static_cast<T*>(b.grad_input)[i] = convert<T>(s * (a.reduce ? common : convert<C>(grad[i])));
  }
}

}  // namespace

// --- launchers ---

void pointwise_loss_forward(const Context& context, const PointwiseLossArgs& a) {
  const int64_t parts = (a.n + kLossPart - 1) / kLossPart;
  for_float(a.dtype, [&]<class T>() {
    launch(pointwise_loss<T>, {static_cast<unsigned>(parts), kThreads, sizeof(Parts)}, context, a);
    if (a.reduce) launch(pointwise_loss_total<T>, {1, kThreads, sizeof(Parts)}, context, a, parts);
  });
}

void pointwise_loss_backward(const Context& context, const PointwiseLossBackwardArgs& b) {
  for_float(b.forward.dtype, [&]<class T>() {
    launch(pointwise_loss_gradient<T>, {blocks_for(b.forward.n, kThreads, 16 * multiprocessors(context)), kThreads}, context,
           b);
  });
}

}  // namespace fastdl::cuda
