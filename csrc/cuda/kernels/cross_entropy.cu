// Cross-entropy fused over the classes; see kernels/loss.h for the formula. Adjacent classes (inner = 1): a block a row,
// which reads the row once for the normalizer (online maximum and sum) and, only with smoothing or probabilities, again for
// the weighted sum. Else a thread a column. The mean is taken by one block that adds the losses in a fixed order in double.
// Bytes: forward reads the logits once (twice with smoothing), backward reads and writes them once.
#include "cuda/device/convert.h"
#include "cuda/device/launch.h"
#include "cuda/device/online.h"
#include "kernels/loss.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

constexpr int kThreads = 256, kTotalThreads = 1024;

// What of one position's classes a thread walks: all of them (columns), or every blockDim-th (rows).
template <class T> struct Position {
  using C = Compute<T>;
  const CrossEntropyArgs& a;
  int64_t index;        // of the position
  int64_t at, stride;   // of class c: at + c * stride
  int64_t first, step;  // classes of this thread

  __device__ __forceinline__ C logit(int64_t c) const { return convert<C>(static_cast<const T*>(a.input)[at + c * stride]); }
  __device__ __forceinline__ C weight(int64_t c) const { return a.weight ? static_cast<const C*>(a.weight)[c] : C(1); }
  __device__ __forceinline__ C on() const { return static_cast<C>(1 - a.smoothing); }
  __device__ __forceinline__ C off() const { return static_cast<C>(a.smoothing / static_cast<double>(a.classes)); }
  __device__ __forceinline__ bool spread() const { return !a.labels || a.smoothing > 0; }  // all classes have a target
  __device__ __forceinline__ int64_t label() const { return a.labels ? a.labels[index] : -1; }
  __device__ __forceinline__ bool ignored() const { return a.labels && a.labels[index] == a.ignore_index; }
  // The target of a class but for the label's own part.
  __device__ __forceinline__ C target(int64_t c) const {
    const C p = a.labels ? C(0) : on() * convert<C>(static_cast<const T*>(a.probabilities)[at + c * stride]);
    return weight(c) * (p + off());
  }
};

template <class C> struct Shared {
  Running<C> running[32];
  C sums[32];
};

// A position's maximum and the logarithm of its sum of exponentials. `combine` joins the threads that share it.
template <class T, class Combine, class C = Compute<T>>
__device__ __forceinline__ Running<C> normalizer(const Position<T>& p, const Combine& combine) {
  if (p.a.normalized) return {C(0), C(0)};
  Running<C> r;
  for (int64_t c = p.first; c < p.a.classes; c += p.step) r = Merge{}(r, p.logit(c));
  r = combine(r);
  return {r.maximum, log(r.sum)};
}

// This thread's share of the loss, without the label's own part.
template <class T, class C = Compute<T>>
__device__ __forceinline__ C spread_loss(const Position<T>& p, const Running<C>& norm) {
  C total = 0;
  if (p.spread())
    for (int64_t c = p.first; c < p.a.classes; c += p.step) total += p.target(c) * ((p.logit(c) - norm.maximum) - norm.sum);
  return total;
}
template <class T, class C = Compute<T>> __device__ __forceinline__ C label_loss(const Position<T>& p, const Running<C>& norm) {
  if (!p.a.labels) return 0;
  return p.on() * p.weight(p.label()) * ((p.logit(p.label()) - norm.maximum) - norm.sum);
}

template <class T, class C = Compute<T>>
__device__ __forceinline__ void store(const Position<T>& p, const Running<C>& norm, C loss) {
  static_cast<C*>(p.a.maximum)[p.index] = norm.maximum;
  static_cast<C*>(p.a.log_sum)[p.index] = norm.sum;
  static_cast<C*>(p.a.losses)[p.index] = loss;
  if (p.a.reduction == Reduction::none) static_cast<T*>(p.a.output)[p.index] = convert<T>(loss);
}

// This thread's classes of the gradient; `total` is the sum of the targets.
template <class T, class C = Compute<T>>
__device__ __forceinline__ void gradients(const Position<T>& p, C total, C scale, T* gx) {
  const C maximum = static_cast<const C*>(p.a.maximum)[p.index], log_sum = static_cast<const C*>(p.a.log_sum)[p.index];
  const int64_t label = p.label();
  for (int64_t c = p.first; c < p.a.classes; c += p.step) {
    C g = p.a.normalized ? C(0) : exp((p.logit(c) - maximum) - log_sum) * total;
    if (p.spread()) g -= p.target(c);
    if (c == label) g -= p.on() * p.weight(c);
    gx[p.at + c * p.stride] = convert<T>(g * scale);
  }
}
template <class T, class C = Compute<T>> __device__ __forceinline__ C target_sum(const Position<T>& p) {
  C total = 0;
  if (p.spread())
    for (int64_t c = p.first; c < p.a.classes; c += p.step) total += p.target(c);
  return total;
}
template <class T, class C = Compute<T>>
__device__ __forceinline__ C scale_of(const CrossEntropyBackwardArgs& b, int64_t position) {
  const T* grad = static_cast<const T*>(b.grad);
  if (b.forward.reduction == Reduction::none) return convert<C>(grad[position]);
  return convert<C>(grad[0]) / static_cast<C>(*b.forward.divisor);
}

// --- kernels ---

template <class T> __global__ void cross_entropy_rows(CrossEntropyArgs a) {
  using C = Compute<T>;
  FASTDL_SHARED(Shared<C>, shared);
  const int64_t row = blockIdx.x;
  const Position<T> p{a, row, row * a.classes, 1, threadIdx.x, blockDim.x};
  const Running<C> norm = normalizer(p, [&](Running<C> r) { return block_reduce(r, Merge{}, Running<C>{}, shared.running); });
  C total = spread_loss(p, norm);
  if (p.spread()) total = block_reduce(total, Add{}, C(0), shared.sums);
  if (threadIdx.x == 0) store(p, norm, p.ignored() ? C(0) : -(label_loss(p, norm) + total));
}

template <class T> __global__ void cross_entropy_columns(CrossEntropyArgs a) {
  using C = Compute<T>;
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= a.outer * a.inner) return;
  const Position<T> p{a, i, i / a.inner * a.classes * a.inner + i % a.inner, a.inner, 0, 1};
  const Running<C> norm = normalizer(p, [](Running<C> r) { return r; });
  store(p, norm, p.ignored() ? C(0) : -(label_loss(p, norm) + spread_loss(p, norm)));
}

// One block: the sum of the losses, and what it is divided by.
template <class T> __global__ void cross_entropy_total(CrossEntropyArgs a) {
  using C = Compute<T>;
  struct Parts {
    double losses[32], weights[32];
  };
  FASTDL_SHARED(Parts, shared);
  const int64_t positions = a.outer * a.inner;
  double loss = 0, weight = 0;
  for (int64_t i = threadIdx.x; i < positions; i += kTotalThreads) {
    loss += static_cast<double>(static_cast<const C*>(a.losses)[i]);
    if (a.labels && a.labels[i] != a.ignore_index)
      weight += a.weight ? static_cast<double>(static_cast<const C*>(a.weight)[a.labels[i]]) : 1.0;
  }
  loss = block_reduce(loss, Add{}, 0.0, shared.losses);
  weight = block_reduce(weight, Add{}, 0.0, shared.weights);
  if (threadIdx.x != 0) return;
  *a.divisor = a.reduction == Reduction::sum ? 1 : a.labels ? weight : static_cast<double>(positions);
  *static_cast<T*>(a.output) = convert<T>(static_cast<C>(loss / *a.divisor));
}

template <class T> __global__ void cross_entropy_backward_rows(CrossEntropyBackwardArgs b) {
  using C = Compute<T>;
  FASTDL_SHARED(Shared<C>, shared);
  const CrossEntropyArgs& a = b.forward;
  const int64_t row = blockIdx.x;
  const Position<T> p{a, row, row * a.classes, 1, threadIdx.x, blockDim.x};
  T* const gx = static_cast<T*>(b.grad_input);
  if (p.ignored()) {
    for (int64_t c = p.first; c < a.classes; c += p.step) gx[p.at + c] = convert<T>(C(0));
    return;
  }
  C total = target_sum(p);
  if (p.spread()) total = block_reduce(total, Add{}, C(0), shared.sums);
  if (a.labels) total += p.on() * p.weight(p.label());
  gradients(p, total, scale_of<T>(b, row), gx);
}

template <class T> __global__ void cross_entropy_backward_columns(CrossEntropyBackwardArgs b) {
  using C = Compute<T>;
  const CrossEntropyArgs& a = b.forward;
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= a.outer * a.inner) return;
  const Position<T> p{a, i, i / a.inner * a.classes * a.inner + i % a.inner, a.inner, 0, 1};
  T* const gx = static_cast<T*>(b.grad_input);
  if (p.ignored()) {
    for (int64_t c = 0; c < a.classes; ++c) gx[p.at + c * a.inner] = convert<T>(C(0));
    return;
  }
  gradients(p, target_sum(p) + (a.labels ? p.on() * p.weight(p.label()) : C(0)), scale_of<T>(b, i), gx);
}

__global__ void first_bad_label(FindBadLabelArgs a) {
  struct Parts {
    int64_t first[32];
  };
  FASTDL_SHARED(Parts, shared);
  int64_t first = INT64_MAX;
  for (int64_t i = threadIdx.x; i < a.n && first == INT64_MAX; i += kTotalThreads) {
    const int64_t label = a.labels[i];
    if (static_cast<uint64_t>(label) >= static_cast<uint64_t>(a.limit) && label != a.ignore_index) first = i;
  }
  first = block_reduce(first, Min{}, int64_t{INT64_MAX}, shared.first);
  if (threadIdx.x == 0) *a.position = first == INT64_MAX ? -1 : first;
}

unsigned row_threads(int64_t classes) { return classes <= 32 ? 32 : classes <= 512 ? 128 : 512; }

}  // namespace

// --- launchers ---

void cross_entropy_forward(const Context& context, const CrossEntropyArgs& a) {
  for_float(a.dtype, [&]<class T>() {
    if (a.inner == 1)
      launch(cross_entropy_rows<T>, {static_cast<unsigned>(a.outer), row_threads(a.classes), sizeof(Shared<Compute<T>>)},
             context, a);
    else launch(cross_entropy_columns<T>, {blocks_for(a.outer * a.inner, kThreads), kThreads}, context, a);
    if (a.reduction != Reduction::none) launch(cross_entropy_total<T>, {1, kTotalThreads, 64 * sizeof(double)}, context, a);
  });
}

void cross_entropy_backward(const Context& context, const CrossEntropyBackwardArgs& b) {
  const CrossEntropyArgs& a = b.forward;
  for_float(a.dtype, [&]<class T>() {
    if (a.inner == 1)
      launch(cross_entropy_backward_rows<T>,
             {static_cast<unsigned>(a.outer), row_threads(a.classes), sizeof(Shared<Compute<T>>)}, context, b);
    else launch(cross_entropy_backward_columns<T>, {blocks_for(a.outer * a.inner, kThreads), kThreads}, context, b);
  });
}

void find_bad_label(const Context& context, const FindBadLabelArgs& a) {
  launch(first_bad_label, {1, kTotalThreads, 32 * sizeof(int64_t)}, context, a);
}

}  // namespace fastdl::cuda
