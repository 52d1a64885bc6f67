// Optimizer steps. The tensors of a list are one long vector of which each task takes a piece, so that a hundred small
// parameters cost no more than one large one, and every element is read and written once. float16 and bfloat16 are
// computed in float32.
//
//   sgd_step    3 to 5 x sizeof(T) bytes and up to 8 flops an element
//   adam_step   7 x sizeof(T) bytes (9 with amsgrad) and about 15 flops
//   grad_norm   1 x sizeof(T), scale_grads 2 x sizeof(T)
//
// Adam: Kingma & Ba, 2015; AdamW: Loshchilov & Hutter, 2019; amsgrad: Reddi et al., 2018. Order of operations as in
// PyTorch's single-tensor path.
#include "cpu/kernels/level.h"
#include "cpu/simd/convert.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

template <class Slot> FASTDL_INLINE int64_t total_elements(const Slot* slots, int64_t count) {
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
template <class V, class F> FASTDL_INLINE void for_each_vector(int64_t begin, int64_t end, const F& f) {
  int64_t i = begin;
  for (; i + lanes<V> <= end; i += lanes<V>)
    f(i, [](const auto* p) { return load_as<V>(p); }, [](auto* p, V v) { store_as(p, v); });
  if (i < end) {
    const int64_t n = end - i;
    f(i, [n](const auto* p) { return load_as_n<V>(p, n); }, [n](auto* p, V v) { store_as_n(p, v, n); });
  }
}

template <class T> void sgd_part(const SgdStepArgs& a, const ParameterSlot& slot, int64_t begin, int64_t end) {
  using V = compute_vector<T>;
  using C = lane_t<V>;
  T* param = static_cast<T*>(slot.param);
  const T* grad = static_cast<const T*>(slot.grad);
  T* buffer = static_cast<T*>(slot.state[0]);
  const C lr = static_cast<C>(a.lr), momentum = static_cast<C>(a.momentum), kept = static_cast<C>(1 - a.dampening);
  const C decay = static_cast<C>(a.weight_decay), sign = a.maximize ? C(-1) : C(1);
  const bool nesterov = a.nesterov, first = a.first;
  for_each_vector<V>(begin, end, [=](int64_t i, auto load, auto store) {
    const V p = load(param + i);
    V g = load(grad + i) * sign;
    if (decay != 0) g += p * decay;
    if (buffer) {
      const V b = first ? g : load(buffer + i) * momentum + g * kept;
      store(buffer + i, b);
      g = nesterov ? g + b * momentum : b;
    }
    store(param + i, p - g * lr);
  });
}

template <class T, bool Amsgrad> void adam_part(const AdamStepArgs& a, const ParameterSlot& slot, int64_t begin, int64_t end) {
  using V = compute_vector<T>;
  using C = lane_t<V>;
  T* param = static_cast<T*>(slot.param);
  const T* grad = static_cast<const T*>(slot.grad);
  T* mean = static_cast<T*>(slot.state[0]);
  T* square = static_cast<T*>(slot.state[1]);
  T* largest = static_cast<T*>(slot.state[2]);
  const C sign = a.maximize ? C(-1) : C(1), eps = static_cast<C>(a.eps);
  const C shrink = static_cast<C>(a.decoupled ? 1 - a.lr * a.weight_decay : 1);
  const C decay = static_cast<C>(a.decoupled ? 0 : a.weight_decay);
  const C new1 = static_cast<C>(1 - a.beta1), beta2 = static_cast<C>(a.beta2), new2 = static_cast<C>(1 - a.beta2);
  const C step = static_cast<C>(a.lr / a.correction1);
  const C root2 = static_cast<C>(1 / __builtin_sqrt(a.correction2));
  for_each_vector<V>(begin, end, [=](int64_t i, auto load, auto store) {
    V p = load(param + i);
    V g = load(grad + i) * sign;
    if (decay != 0) g += p * decay;
    p *= shrink;
    V m = load(mean + i);
    m += (g - m) * new1;
    store(mean + i, m);
    V v = load(square + i) * beta2 + g * g * new2;
    store(square + i, v);
    if constexpr (Amsgrad) {
      v = max_nan(v, load(largest + i));
      store(largest + i, v);
    }
    store(param + i, p - m * step / (sqrt(v) * root2 + eps));
  });
}

// The sum or maximum over a part of one slot, in float64.
template <class T> double norm_part(NormKind kind, const T* x, int64_t begin, int64_t end) {
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

void sgd_step(const Context&, const SgdStepArgs& args) {
  visit_floating(args.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_for(total_elements(args.slots, args.count), grain_for(5 * sizeof(T)), [&](int64_t from, int64_t to) {
      for_each_part(args.slots, args.count, from, to,
                    [&](const ParameterSlot& slot, int64_t begin, int64_t end) { sgd_part<T>(args, slot, begin, end); });
    });
  });
}

void adam_step(const Context&, const AdamStepArgs& args) {
  visit_floating(args.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_for(total_elements(args.slots, args.count), grain_for(7 * sizeof(T)), [&](int64_t from, int64_t to) {
      for_each_part(args.slots, args.count, from, to, [&](const ParameterSlot& slot, int64_t begin, int64_t end) {
        if (args.amsgrad) adam_part<T, true>(args, slot, begin, end);
        else adam_part<T, false>(args, slot, begin, end);
      });
    });
  });
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
          if (args.kind != NormKind::max_abs) result += part;
          else if (part > result || part != part) result = part;
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
        for_each_vector<V>(begin, end, [=](int64_t i, auto load, auto store) { store(grad + i, load(grad + i) * factor); });
      });
    });
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
