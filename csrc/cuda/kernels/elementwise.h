// The one mechanism behind every elementwise kernel. The operands' dimensions are ordered by the output's strides and
// merged where all operands allow it (device/strided.h). A thread takes kGroups groups of V adjacent elements, converts
// them to the type T that the function computes in, applies the function to all of them and converts the results on
// their way out. V is 4 (loads of up to 16 bytes an operand) where every operand is contiguous or constant along the
// innermost dimension and aligned, else 1; for double always 1, whose adjacent threads use memory as well.
//
// Dtypes and the function are switched on inside the kernel, in branches that all threads take alike: there is one
// instantiation for each T and V, and memory bounds the kernel all the same. Bytes: every operand once.
#pragma once
#include "cuda/device/launch.h"
#include "cuda/device/operand.h"

namespace fastdl::cuda {

constexpr int kElementwiseBlock = 256;

// Operand 0 is the output. Without padding, as Strided.
template <int N> struct ElementwiseJob {
  Operand operand[N];
  Strided<N> groups;
  uint32_t elements;
  int32_t op;
};

template <int V, class F> __global__ void __launch_bounds__(kElementwiseBlock)
    elementwise(const __grid_constant__ ElementwiseJob<F::kInputs + 1> job, const __grid_constant__ F f) {
  using T = typename F::Type;
  constexpr int N = F::kInputs + 1, kGroups = F::template kGroups<V>;
  const uint32_t first = blockIdx.x * uint32_t{kElementwiseBlock * kGroups} + threadIdx.x;
  int64_t at[N][kGroups];
  int valid[kGroups];
#pragma unroll
  for (int g = 0; g < kGroups; ++g) {
    const uint32_t group = first + g * kElementwiseBlock;
    const uint32_t left = job.elements - group * V;
    valid[g] = group * V >= job.elements ? 0 : left < V ? static_cast<int>(left) : V;
    int64_t offset[N] = {};
    if (valid[g]) job.groups.offsets(group, offset);
#pragma unroll
    for (int o = 0; o < N; ++o) at[o][g] = offset[o];
  }
  T x[N - 1][kGroups * V];
#pragma unroll
  for (int o = 1; o < N; ++o) load_groups<V, kGroups>(x[o - 1], job.operand[o], at[o], valid);
  f(static_cast<typename F::Op>(job.op), x);
  store_groups<V, kGroups>(x[0], job.operand[0], at[0], valid);
}

// Functions that elementwise() applies have a Type, kInputs, and an operator()(Op, Type (&x)[kInputs][M]) that leaves its
// M results in x[0]. This base says how many groups a thread takes: enough bytes in flight, few enough registers.
template <class T, int Inputs, class Op_> struct ElementwiseFunction {
  using Type = T;
  using Op = Op_;
  static constexpr int kInputs = Inputs;
  template <int V> static constexpr int kGroups = V == 1 && Inputs == 1 ? 4 : 2;
};

// Runs f over dims; `element[o]` is the size of an element of operand o in memory. Words are moved as they are.
template <class F, int N = F::kInputs + 1> void run_elementwise(const Context& context, typename F::Op op, const F& f,
                                                                const Dims<N>& dims, const Operand (&operands)[N],
                                                                const int64_t (&element)[N]) {
  using T = typename F::Type;
  if (dims.count() == 0) return;
  bool vectors = has_vectors<T> && dims.ndim > 0 && (dims.ndim == 1 || dims.size[0] % kVector == 0);
  for (int o = 0; o < N; ++o) vectors = vectors && in_vectors(dims, o, operands[o], element[o]);
  for_parts(dims, [&](const Dims<N>& part, const int64_t(&offset)[N]) {
    Dims<N> groups = part;
    if (vectors) {
      groups.size[0] = (groups.size[0] + kVector - 1) / kVector;
      for (int o = 0; o < N; ++o) groups.stride[0][o] *= kVector;
    }
    ElementwiseJob<N> job{{}, Strided<N>(groups), static_cast<uint32_t>(part.count()), static_cast<int32_t>(op)};
    for (int o = 0; o < N; ++o) {
      job.operand[o] = operands[o];
      if (job.operand[o].data) job.operand[o].data += offset[o] * element[o];
      job.operand[o].repeats = part.ndim > 0 && part.stride[0][o] == 0;
    }
    const auto grid = [&](int per_thread) { return blocks_for(groups.count(), kElementwiseBlock * per_thread); };
    if constexpr (has_vectors<T>) {
      if (vectors)
        return launch(elementwise<kVector, F>, {grid(F::template kGroups<kVector>), kElementwiseBlock}, context, job, f);
    }
    launch(elementwise<1, F>, {grid(F::template kGroups<1>), kElementwiseBlock}, context, job, f);
  });
}

template <class F, int N = F::kInputs + 1>
void run_elementwise(const Context& context, typename F::Op op, const F& f, const View* const (&views)[N]) {
  Operand operands[N];
  int64_t element[N];
  for (int o = 0; o < N; ++o) {
    operands[o] = operand_of<typename F::Type>(*views[o]);
    element[o] = size_of(views[o]->dtype);
  }
  run_elementwise(context, op, f, merged_dims(views), operands, element);
}

// Parameters of a function, in its type.
template <class T> struct Params {
  T a, b, c;
  explicit Params(const double* p) : a(static_cast<T>(p[0])), b(static_cast<T>(p[1])), c(static_cast<T>(p[2])) {}
};
enum class Types { floating, any };
// Whether a function with these types has a formula for T.
template <Types types, class T> constexpr bool has_formula = types == Types::any || std::is_floating_point_v<T>;

}  // namespace fastdl::cuda
