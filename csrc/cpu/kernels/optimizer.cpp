// Optimizer steps. The tensors of a list are one long vector of which each task takes a piece, so that a hundred small
// parameters cost no more than one large one, and every element is read and written once. float16 and bfloat16 are
// computed in float32.
//
//   optimizer_step   (3 + 2 states) x sizeof(T) bytes and 2 (SGD) to about 15 flops (Adam) an element
//   grad_norm        1 x sizeof(T), scale_grads 2 x sizeof(T)
//
// The rules are in kernels/optimizer_rules.h, with the order of operations of PyTorch's single-tensor path.
#include <cmath>

#include "cpu/kernels/level.h"
#include "cpu/simd/convert.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

template <class Slot>
FASTDL_INLINE int64_t total_elements(const Slot* slots, int64_t count) {
  return count == 0 ? 0 : slots[count - 1].offset + slots[count - 1].numel;
}

// f(slot, begin, end) for the parts of slots that lie in [from, to) of the concatenation.
template <class Slot, class F>
FASTDL_INLINE void for_each_part(const Slot* slots, int64_t count, int64_t from, int64_t to, const F& f) {
  int64_t low = 0, high = count;  // the last slot that starts at or before `from`
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (slots[middle].offset <= from ? low : high) = middle;
  }
  for (int64_t s = low; s < count && slots[s].offset < to; ++s) {
    const int64_t begin = from > slots[s].offset ? from - slots[s].offset : 0;
    const int64_t end = to - slots[s].offset < slots[s].numel ? to - slots[s].offset : slots[s].numel;
    if (begin < end) f(slots[s], begin, end);
  }
}

// f(i, load, store) over vectors of [begin, end): full ones first, then the rest with masked loads and stores.
template <class V, class F>
FASTDL_INLINE void for_each_vector(int64_t begin, int64_t end, const F& f) {
  int64_t i = begin;
  for (; i + lanes<V> <= end; i += lanes<V>)
    f(i, [](const auto* p) { return load_as<V>(p); }, [](auto* p, V v) { store_as(p, v); });
  if (i < end) {
    const int64_t n = end - i;
    f(i, [n](const auto* p) { return load_as_n<V>(p, n); }, [n](auto* p, V v) { store_as_n(p, v, n); });
  }
}

#include "kernels/optimizer_rules.h"

template <OptimizerRule R>
struct RuleSize;
#define FASTDL_OPTIMIZER_RULE(name, number, cells, options) \
  template <>                                               \
  struct RuleSize<OptimizerRule::name> {                    \
    static constexpr int states = number;                   \
  };
#include "kernels/optimizer_rules.def"
#undef FASTDL_OPTIMIZER_RULE

template <class T, OptimizerRule R>
void step_part(const OptimizerStepArgs& a, const ParameterSlot& slot, int64_t begin, int64_t end) {
  using V = compute_vector<T>;
  using C = lane_t<V>;
  constexpr int kStates = RuleSize<R>::states;
  struct Local {
    T* state[kStates + 1];
    C k[kRuleCoefficients];
  } local;  // by value, so that stores do not change it
  for (int n = 0; n < kStates; ++n) local.state[n] = static_cast<T*>(slot.state[n]);
  for (int n = 0; n < kRuleCoefficients; ++n) local.k[n] = static_cast<C>(slot.k[n]);
  T* param = static_cast<T*>(slot.param);
  const T* grad = static_cast<const T*>(slot.grad);
  const C sign = a.maximize ? C(-1) : C(1), shrink = static_cast<C>(slot.shrink);
  const C decay = static_cast<C>(a.decoupled ? 0 : a.weight_decay);
  for_each_vector<V>(begin, end, [=](int64_t i, auto load, auto store) {
    V p = load(param + i);
    V g = load(grad + i) * sign;
    if (decay != 0) g += p * decay;
    p *= shrink;
    V s[kStates + 1];
    for (int n = 0; n < kStates; ++n) s[n] = load(local.state[n] + i);
    p = Rule<R>::apply(p, g, s, local.k);
    for (int n = 0; n < kStates; ++n) store(local.state[n] + i, s[n]);
    store(param + i, p);
  });
}

template <OptimizerRule R>
void step_all(const OptimizerStepArgs& args) {
  for (int64_t i = 0; i < args.count; ++i) prepare_slot<R>(args, args.slots[i]);
  visit_floating(args.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int64_t kBytes = (3 + 2 * RuleSize<R>::states) * sizeof(T);
    parallel_for(total_elements(args.slots, args.count), grain_for(kBytes), [&](int64_t from, int64_t to) {
      for_each_part(args.slots, args.count, from, to, [&](const ParameterSlot& slot, int64_t begin, int64_t end) {
        step_part<T, R>(args, slot, begin, end);
      });
    });
  });
}

// The sum or maximum over a part of one slot, in float64.
template <class T>
double norm_part(NormKind kind, const T* x, int64_t begin, int64_t end) {
  using V = compute_vector<T>;
  constexpr int kParts = lanes<V> / lanes<vf64>;
  vf64 total[kParts] = {};
  V largest{};
  for_each_vector<V>(begin, end, [&](int64_t i, auto load, auto) {
    const V v = abs(load(x + i));
    if (kind == NormKind::max_abs) {
      largest = max_nan(v, largest);
      return;
    }
    lane_t<V> lane[lanes<V>];
    store<V>(lane, v);
    for (int k = 0; k < kParts; ++k) {
      typename vector_of<lane_t<V>, lanes<vf64>>::type part;
      __builtin_memcpy(&part, lane + k * lanes<vf64>, sizeof part);
      const vf64 wide = __builtin_convertvector(part, vf64);
      total[k] += kind == NormKind::sum_squares ? wide * wide : wide;
    }
  });
  if (kind == NormKind::max_abs) {
    lane_t<V> lane[lanes<V>], most = 0;
    store<V>(lane, largest);
    for (int k = 0; k < lanes<V>; ++k) most = lane[k] > most || lane[k] != lane[k] ? lane[k] : most;
    return most;
  }
  for (int k = 1; k < kParts; ++k) total[0] += total[k];
  return sum(total[0]);
}

}  // namespace

void optimizer_step(const Context&, const OptimizerStepArgs& args) {
  switch (args.rule) {
#define FASTDL_OPTIMIZER_RULE(name, states, cells, options) \
  case OptimizerRule::name:                                 \
    return step_all<OptimizerRule::name>(args);
#include "kernels/optimizer_rules.def"
#undef FASTDL_OPTIMIZER_RULE
  }
}

void grad_norm(const Context&, const GradNormArgs& args) {
  visit_floating(args.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t total = total_elements(args.slots, args.count);
    const int64_t grain = kNormChunk * ((grain_for(sizeof(T)) + kNormChunk - 1) / kNormChunk);
    parallel_for(total, grain, [&](int64_t from, int64_t to) {
      for (int64_t at = from; at < to; at += kNormChunk) {
        const int64_t stop = at + kNormChunk < to ? at + kNormChunk : to;
        double result = 0;
        for_each_part(args.slots, args.count, at, stop, [&](const GradientSlot& slot, int64_t begin, int64_t end) {
          const double part = norm_part(args.kind, static_cast<const T*>(slot.grad), begin, end);
          if (args.kind != NormKind::max_abs)
            result += part;
          else if (part > result || part != part)
            result = part;
        });
        args.partial[at / kNormChunk] = result;
      }
    });
  });
}

void scale_grads(const Context&, const ScaleGradsArgs& args) {
  visit_floating(args.dtype, [&](auto type) {
    using T = decltype(type);
    using V = compute_vector<T>;
    const lane_t<V> factor = static_cast<lane_t<V>>(args.factor);
    parallel_for(total_elements(args.slots, args.count), grain_for(2 * sizeof(T)), [&](int64_t from, int64_t to) {
      for_each_part(args.slots, args.count, from, to, [&](const GradientSlot& slot, int64_t begin, int64_t end) {
        T* grad = static_cast<T*>(slot.grad);
        for_each_vector<V>(begin, end,
                           [=](int64_t i, auto load, auto store) { store(grad + i, load(grad + i) * factor); });
      });
    });
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
