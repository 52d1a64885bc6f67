// Sums, products, extremes and truth values over any dimensions (the walk: kernels/reduction.h). The 16 values that a
// thread loads at a time are reduced in their type; those results are added in float64 (int64 for integers), so that the
// error does not grow with the length. One flop an element.
#include "cuda/kernels/reduction.h"
#include "kernels/reduce.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

template <class T> __device__ __forceinline__ constexpr T lowest() {
  if constexpr (std::is_floating_point_v<T>) return T(-INFINITY);
  else return INT64_MIN;
}
template <class T> __device__ __forceinline__ constexpr T highest() {
  if constexpr (std::is_floating_point_v<T>) return T(INFINITY);
  else return INT64_MAX;
}

// The value of nothing, what an element becomes before it is combined, and how two combine.
template <ReduceOp op, class T> __device__ __forceinline__ T neutral() {
  if constexpr (op == ReduceOp::prod || op == ReduceOp::all) return T(1);
  else if constexpr (op == ReduceOp::max) return lowest<T>();
  else if constexpr (op == ReduceOp::min) return highest<T>();
  else return T(0);
}
template <ReduceOp op, class T> __device__ __forceinline__ T map(T x) {
  if constexpr (op == ReduceOp::sum_abs) return x < 0 ? -x : x;
  else if constexpr (op == ReduceOp::sum_squares) return x * x;
  else if constexpr (op == ReduceOp::any || op == ReduceOp::all) return T(x != 0);
  else return x;
}
template <ReduceOp op, class T> __device__ __forceinline__ T combined(T a, T b) {
  if constexpr (op == ReduceOp::prod) return a * b;
  else if constexpr (op == ReduceOp::max || op == ReduceOp::any) return a > b || a != a ? a : b;
  else if constexpr (op == ReduceOp::min || op == ReduceOp::all) return a < b || a != a ? a : b;
  else return a + b;
}

// f.template operator()<op>(), in a branch that all threads take alike.
template <class F> __device__ __forceinline__ void for_op(ReduceOp op, const F& f) {
  switch (op) {
    case ReduceOp::sum: return f.template operator()<ReduceOp::sum>();
    case ReduceOp::sum_abs: return f.template operator()<ReduceOp::sum_abs>();
    case ReduceOp::sum_squares: return f.template operator()<ReduceOp::sum_squares>();
    case ReduceOp::prod: return f.template operator()<ReduceOp::prod>();
    case ReduceOp::max: return f.template operator()<ReduceOp::max>();
    case ReduceOp::min: return f.template operator()<ReduceOp::min>();
    case ReduceOp::any: return f.template operator()<ReduceOp::any>();
    case ReduceOp::all: return f.template operator()<ReduceOp::all>();
  }
}

template <class T> struct Values {
  using Type = T;
  using State = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;
  static constexpr int kOutputs = 1;

  char* out;
  double scale;
  int32_t out_dtype;
  ReduceOp op;

  void move(const int64_t (&offset)[2]) { out += offset[1] * size_of(static_cast<DType>(out_dtype)); }

  __device__ __forceinline__ State start() const {
    State s{};
    for_op(op, [&]<ReduceOp kOp>() { s = neutral<kOp, State>(); });
    return s;
  }
  template <int V, int M, int Groups>
  __device__ __forceinline__ void fold(State& state, T (&x)[M], const int (&valid)[Groups], const int64_t (&)[Groups]) const {
    for_op(op, [&]<ReduceOp kOp>() {
#pragma unroll
      for (int i = 0; i < M; ++i) x[i] = i % V < valid[i / V] ? map<kOp>(x[i]) : neutral<kOp, T>();
#pragma unroll
      for (int i = V; i < M; ++i) x[i % V] = combined<kOp>(x[i % V], x[i]);
#pragma unroll
      for (int i = 1; i < V; ++i) x[0] = combined<kOp>(x[0], x[i]);
      state = combined<kOp>(state, static_cast<State>(x[0]));
    });
  }
  __device__ __forceinline__ State combine(State a, State b) const {
    State s{};
    for_op(op, [&]<ReduceOp kOp>() { s = combined<kOp>(a, b); });
    return s;
  }
  __device__ __forceinline__ void finish(State x, const int64_t (&offset)[2]) const {
    const DType dtype = static_cast<DType>(out_dtype);
    if (std::is_floating_point_v<T> || scale != 1.0) store_element(out, dtype, offset[1], static_cast<double>(x) * scale);
    else store_element(out, dtype, offset[1], x);
  }
};

}  // namespace

// --- launchers ---

void reduce(const Context& context, const ReduceArgs& a) {
  for_compute(a.in.dtype, [&]<class T>() {
    const Values<T> values{a.out.as<char>(), a.scale, static_cast<int32_t>(a.out.dtype), a.op};
    run_reduction(context, values, {&a.in, &a.out}, a.reduced, a.workspace);
  });
}

}  // namespace fastdl::cuda
