// One optimizer step for all parameters, and the norm and scaling of all gradients. The list of arrays travels as kernel
// parameters, a hundred and more at a time, to a kernel that lays it down in device memory and prepares each parameter's
// coefficients; one launch then covers all elements. A thread takes elements of the concatenation of all arrays and finds
// their array by bisection once a chunk. Bytes: each array of the rule read or written once.
#include "cuda/device/convert.h"
#include "cuda/device/launch.h"
#include "cuda/device/reduce.h"
#include "kernels/optimizer.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

template <class C> __device__ __forceinline__ C max_nan(C a, C b) { return Max{}(a, b); }
template <class C> __device__ __forceinline__ C min_nan(C a, C b) { return Min{}(a, b); }

#include "kernels/optimizer_rules.h"

template <OptimizerRule R> struct RuleSize;
#define FASTDL_OPTIMIZER_RULE(name, number, cells, options) \
  template <> struct RuleSize<OptimizerRule::name> {        \
    static constexpr int states = number;                   \
  };
#include "kernels/optimizer_rules.def"
#undef FASTDL_OPTIMIZER_RULE

constexpr int kThreads = 256;
constexpr int64_t kChunk = 4096;  // elements of a block
struct Parts {
  double sums[32];
};

// The list of arrays as kernel parameters.
template <class Slot> struct Pack {
  static constexpr int kSlots = 3900 / sizeof(Slot);
  Slot slots[kSlots];
  int count;
};

// The last slot that starts at or before element i.
template <class Slot> __device__ __forceinline__ int64_t slot_of(const Slot* slots, int64_t count, int64_t i) {
  int64_t low = 0, high = count;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (slots[middle].offset <= i) low = middle;
    else high = middle;
  }
  return low;
}

// f(slot, element of the slot) for this thread's elements of [begin, end), neighbours by neighbouring threads.
template <class Slot, class F>
__device__ __forceinline__ void each_element(const Slot* slots, int64_t count, int64_t begin, int64_t end, const F& f) {
  int64_t s = slot_of(slots, count, begin + threadIdx.x < end ? begin + threadIdx.x : begin);
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    while (i >= slots[s].offset + slots[s].numel) ++s;
    f(slots[s], i - slots[s].offset);
  }
}

// --- kernels ---

template <OptimizerRule R> __global__ void prepare_slots(OptimizerStepArgs a, Pack<ParameterSlot> pack, int64_t first) {
  ParameterSlot* const slots = static_cast<ParameterSlot*>(a.workspace) + first;
  for (int i = threadIdx.x; i < pack.count; i += blockDim.x) {
    ParameterSlot slot = pack.slots[i];
    prepare_slot<R>(a, slot);
    slots[i] = slot;
  }
}

template <class Slot> __global__ void lay_down(Pack<Slot> pack, Slot* slots) {
  for (int i = threadIdx.x; i < pack.count; i += blockDim.x) slots[i] = pack.slots[i];
}

template <class T, OptimizerRule R> __global__ void step_elements(OptimizerStepArgs a, int64_t n) {
  using C = Compute<T>;
  constexpr int kStates = RuleSize<R>::states;
  const C sign = a.maximize ? C(-1) : C(1), decay = static_cast<C>(a.decoupled ? 0 : a.weight_decay);
  const int64_t begin = blockIdx.x * kChunk, end = begin + kChunk < n ? begin + kChunk : n;
  const ParameterSlot* loaded = nullptr;  // whose pointers and coefficients are in registers
  T *param = nullptr, *state[kStates + 1];
  const T* grad = nullptr;
  C k[kRuleCoefficients], shrink = 1;
  each_element(static_cast<const ParameterSlot*>(a.workspace), a.count, begin, end, [&](const ParameterSlot& slot, int64_t i) {
    if (loaded != &slot) {
      loaded = &slot;
      param = static_cast<T*>(slot.param);
      grad = static_cast<const T*>(slot.grad);
      shrink = static_cast<C>(slot.shrink);
#pragma unroll
      for (int j = 0; j < kRuleCoefficients; ++j) k[j] = static_cast<C>(slot.k[j]);
#pragma unroll
      for (int j = 0; j < kStates; ++j) state[j] = static_cast<T*>(slot.state[j]);
    }
    C p = convert<C>(param[i]), g = convert<C>(grad[i]) * sign, s[kStates + 1];
#pragma unroll
    for (int j = 0; j < kStates; ++j) s[j] = convert<C>(state[j][i]);
    if (decay != 0) g += p * decay;
    p = Rule<R>::apply(p * shrink, g, s, k);
    param[i] = convert<T>(p);
#pragma unroll
    for (int j = 0; j < kStates; ++j) state[j][i] = convert<T>(s[j]);
  });
}

template <class T> __global__ void norm_of_chunk(GradNormArgs a, int64_t n) {
  FASTDL_SHARED(Parts, shared);
  const int64_t begin = blockIdx.x * kNormChunk, end = begin + kNormChunk < n ? begin + kNormChunk : n;
  double total = 0;
  each_element(static_cast<const GradientSlot*>(a.workspace), a.count, begin, end, [&](const GradientSlot& slot, int64_t i) {
    const double g = static_cast<double>(convert<Compute<T>>(static_cast<const T*>(slot.grad)[i]));
    if (a.kind == NormKind::max_abs) total = Max{}(total, abs(g));
    else total += a.kind == NormKind::sum_abs ? abs(g) : g * g;
  });
  total = a.kind == NormKind::max_abs ? block_reduce(total, Max{}, 0.0, shared.sums) : block_reduce(total, Add{}, 0.0, shared.sums);
  if (threadIdx.x == 0) a.partial[blockIdx.x] = total;
}

template <class T> __global__ void scale_elements(ScaleGradsArgs a, int64_t n) {
  using C = Compute<T>;
  const int64_t begin = blockIdx.x * kChunk, end = begin + kChunk < n ? begin + kChunk : n;
  each_element(static_cast<const GradientSlot*>(a.workspace), a.count, begin, end, [&](const GradientSlot& slot, int64_t i) {
    T& g = static_cast<T*>(slot.grad)[i];
    g = convert<T>(convert<C>(g) * static_cast<C>(a.factor));
  });
}

// --- launchers ---

// f(pack, first) for the slots of the host, as many at a time as parameters hold.
template <class Slot, class F> void each_pack(const Slot* slots, int64_t count, const F& f) {
  for (int64_t first = 0; first < count; first += Pack<Slot>::kSlots) {
    Pack<Slot> pack{};
    pack.count = static_cast<int>(count - first < Pack<Slot>::kSlots ? count - first : Pack<Slot>::kSlots);
    for (int i = 0; i < pack.count; ++i) pack.slots[i] = slots[first + i];
    f(pack, first);
  }
}
template <class Slot> int64_t total_elements(const Slot* slots, int64_t count) {
  return count ? slots[count - 1].offset + slots[count - 1].numel : 0;
}

// Gradient slots in device memory; the number of elements.
template <class Args> int64_t lay_down_slots(const Context& context, const Args& a) {
  each_pack(a.slots, a.count, [&](const Pack<GradientSlot>& pack, int64_t first) {
    launch(lay_down<GradientSlot>, {1, 128}, context, pack, static_cast<GradientSlot*>(a.workspace) + first);
  });
  return total_elements(a.slots, a.count);
}

template <OptimizerRule R> void step(const Context& context, const OptimizerStepArgs& args) {
  const int64_t n = total_elements(args.slots, args.count);
  OptimizerStepArgs a = args;
  a.slots = nullptr;
  each_pack(args.slots, args.count, [&](const Pack<ParameterSlot>& pack, int64_t first) {
    launch(prepare_slots<R>, {1, 32}, context, a, pack, first);
  });
  if (n > 0)
    for_float(a.dtype, [&]<class T>() { launch(step_elements<T, R>, {blocks_for(n, kChunk), kThreads}, context, a, n); });
}

}  // namespace

void optimizer_step(const Context& context, const OptimizerStepArgs& a) {
  switch (a.rule) {
#define FASTDL_OPTIMIZER_RULE(name, states, cells, options) \
  case OptimizerRule::name: return step<OptimizerRule::name>(context, a);
#include "kernels/optimizer_rules.def"
#undef FASTDL_OPTIMIZER_RULE
  }
}

void grad_norm(const Context& context, const GradNormArgs& args) {
  const int64_t n = lay_down_slots(context, args);
  GradNormArgs a = args;
  a.slots = nullptr;
  for_float(a.dtype, [&]<class T>() {
    launch(norm_of_chunk<T>, {blocks_for(n, kNormChunk), kThreads, sizeof(Parts)}, context, a, n);
  });
}

void scale_grads(const Context& context, const ScaleGradsArgs& args) {
  const int64_t n = lay_down_slots(context, args);
  ScaleGradsArgs a = args;
  a.slots = nullptr;
  for_float(a.dtype, [&]<class T>() { launch(scale_elements<T>, {blocks_for(n, kChunk), kThreads}, context, a, n); });
}

}  // namespace fastdl::cuda
