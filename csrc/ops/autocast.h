// Mixed precision. Within an autocast region some ops get their floating-point tensors in another dtype: products in
// bfloat16 or float16, where they are several times as fast; sums, losses and functions of a wide range in float32. The
// one seam is the list of ops that Python sees (bind/ops.cpp), where each such op is wrapped:
//
//   both<lower<&ops::matmul>>(m, "matmul(input, other)");     // in the region's dtype
//   both<widen<&ops::softmax>>(m, "softmax(input, dim)");     // half types to float32
//   both<widest<&ops::dot>>(m, "dot(input, tensor)");         // all in the widest dtype among them
//
// Ops that call ops, and gradients, see what they were given: a region has no part in them. float64 is left alone.
#pragma once
#include "autograd/autograd.h"

namespace fastdl::autocast {

// --- the region, of this thread ---
struct Settings {
  bool enabled = false;
  DType dtype;
};
Settings& settings(DeviceType device);  // float32 becomes `dtype`
bool& cache_enabled();
void enter();  // regions may be nested; parameters' casts are kept until the outermost one ends
void leave();
void clear_cache();
bool active();  // on some device

// --- casts, recorded like any other ---
DType lower_dtype(Device device);
Tensor cast(const Tensor& t, DType dtype);  // an eligible t; a parameter's is cached
DType widest_dtype(DType a, const Tensor& t);

// --- arguments ---
inline bool eligible(const Tensor& t) {
  return t.defined() && is_floating(t.dtype()) && t.dtype() != DType::f64 && !t.is_wrapped_number() &&
         settings(t.device().type).enabled;
}

struct Lower {
  static DType target(const Tensor& t, DType) { return lower_dtype(t.device()); }
};
struct Widen {
  static DType target(const Tensor&, DType) { return DType::f32; }
};
struct Widest {
  static DType target(const Tensor&, DType widest) { return widest; }
};

template <class T>
void find_widest(DType&, const T&) {}
inline void find_widest(DType& widest, const Tensor& t) { widest = widest_dtype(widest, t); }
inline void find_widest(DType& widest, const std::optional<Tensor>& t) {
  if (t) widest = widest_dtype(widest, *t);
}
inline void find_widest(DType& widest, const TensorList& list) {
  for (const Tensor& t : list) widest = widest_dtype(widest, t);
}

template <class Policy, class T>
const T& argument(const T& value, DType) {
  return value;
}
template <class Policy>
Tensor argument(const Tensor& t, DType widest) {
  return eligible(t) ? cast(t, Policy::target(t, widest)) : t;
}
template <class Policy>
std::optional<Tensor> argument(const std::optional<Tensor>& t, DType widest) {
  return t ? std::optional<Tensor>(argument<Policy>(*t, widest)) : t;
}
template <class Policy>
TensorList argument(const TensorList& list, DType widest) {
  TensorList out;
  for (const Tensor& t : list) out.push_back(argument<Policy>(t, widest));
  return out;
}

template <class Policy, auto Op>
struct Wrapped;
template <class Policy, class R, class... A, R (*Op)(A...)>
struct Wrapped<Policy, Op> {
  static R call(A... args) {
    if (FASTDL_LIKELY(!active())) return Op(args...);
    DType widest = DType::b8;  // none yet
    if constexpr (std::is_same_v<Policy, Widest>) (find_widest(widest, args), ...);
    return Op(argument<Policy>(args, widest)...);
  }
};

}  // namespace fastdl::autocast

namespace fastdl {

template <auto Op>
inline constexpr auto lower = &autocast::Wrapped<autocast::Lower, Op>::call;
template <auto Op>
inline constexpr auto widen = &autocast::Wrapped<autocast::Widen, Op>::call;
template <auto Op>
inline constexpr auto widest = &autocast::Wrapped<autocast::Widest, Op>::call;

}  // namespace fastdl
