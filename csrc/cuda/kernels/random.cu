// Random fills and dropout over Philox (core/philox.h): a thread takes one counter, that is four adjacent elements (two of
// 64 bits), and draws what the CPU draws. Normal numbers by Box and Muller's method: lanes (0, 1) and (2, 3) of a counter
// make two each. Bytes: the output's (dropout: input and output); about 10 integer multiplications an element.
#include <algorithm>
#include <cmath>

#include "cuda/device/launch.h"
#include "cuda/device/operand.h"
#include "kernels/random.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

constexpr int kBlock = 256;

// Elements [i, i + Count) of a contiguous array of n, in groups of V.
template <int V, int Count> struct Run {
  static constexpr int kGroups = Count / V;
  int64_t at[kGroups];
  int valid[kGroups];
  __device__ __forceinline__ Run(int64_t i, int64_t n) {
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      at[g] = i + g * V;
      const int64_t left = n - at[g];
      valid[g] = left < 0 ? 0 : left < V ? static_cast<int>(left) : V;
    }
  }
  template <class T> __device__ __forceinline__ void store(const T (&x)[Count], const Operand& out) const {
    store_groups<V, kGroups>(x, out, at, valid);
  }
  template <class T> __device__ __forceinline__ void load(T (&x)[Count], const Operand& in) const {
    load_groups<V, kGroups>(x, in, at, valid);
  }
};

__device__ __forceinline__ void box_muller(uint32_t bits1, uint32_t bits2, float& first, float& second) {
  const float r = sqrt(-2.0f * log(uniform_float(bits1) + 0x1p-24f));  // of (0, 1]
  const float angle = uniform_float(bits2) * 6.28318531f;
  first = r * cos(angle);
  second = r * sin(angle);
}
__device__ __forceinline__ void box_muller(uint64_t bits1, uint64_t bits2, double& first, double& second) {
  const double r = sqrt(-2.0 * log(static_cast<double>((bits1 >> 11) + 1) * 0x1p-53));
  const double angle = static_cast<double>(bits2 >> 11) * 0x1p-53 * 6.283185307179586;
  first = r * cos(angle);
  second = r * sin(angle);
}
__device__ __forceinline__ uint64_t wide(const Philox4& p, int lane) {
  return uint64_t{p.v[2 * lane]} << 32 | p.v[2 * lane + 1];
}

struct RandomJob {
  Operand out;
  int64_t n;
  PhiloxState philox;
};
__device__ __forceinline__ Philox4 draw(const PhiloxState& state, int64_t counter) {
  return philox(state.seed, state.offset + static_cast<uint64_t>(counter));
}
__device__ __forceinline__ int64_t thread_number() { return int64_t{blockIdx.x} * kBlock + threadIdx.x; }

// --- kernels ---

// uniform: first + scale u, at most `below`; else first + scale times a normal number.
template <int V> __global__ void __launch_bounds__(kBlock)
    fill_floats(const __grid_constant__ RandomJob job, bool uniform, float first, float scale, float below) {
  const int64_t counter = thread_number();
  const Philox4 bits = draw(job.philox, counter);
  float x[4];
  if (uniform) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float u = fma(uniform_float(bits.v[j]), scale, first);
      x[j] = u < below ? u : below;  // rounding must not reach the end
    }
  } else {
#pragma unroll
    for (int j = 0; j < 4; j += 2) {
      box_muller(bits.v[j], bits.v[j + 1], x[j], x[j + 1]);
      x[j] = fma(x[j], scale, first);
      x[j + 1] = fma(x[j + 1], scale, first);
    }
  }
  Run<V, 4>(4 * counter, job.n).store(x, job.out);
}

__global__ void __launch_bounds__(kBlock)
    fill_doubles(const __grid_constant__ RandomJob job, bool uniform, double first, double scale) {
  const int64_t counter = thread_number();
  const Philox4 bits = draw(job.philox, counter);
  double x[2];
  if (uniform) {
#pragma unroll
    for (int j = 0; j < 2; ++j) x[j] = fma(static_cast<double>(wide(bits, j) >> 11) * 0x1p-53, scale, first);
  } else {
    box_muller(wide(bits, 0), wide(bits, 1), x[0], x[1]);
#pragma unroll
    for (int j = 0; j < 2; ++j) x[j] = fma(scale, x[j], first);
  }
  Run<1, 2>(2 * counter, job.n).store(x, job.out);
}

// low + [0, range) from 32 bits an element, for ranges up to 2^32.
template <int V> __global__ void __launch_bounds__(kBlock)
    fill_integers(const __grid_constant__ RandomJob job, int64_t low, uint64_t range) {
  const int64_t counter = thread_number();
  const Philox4 bits = draw(job.philox, counter);
  int64_t x[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) x[j] = low + static_cast<int64_t>(bits.v[j] * range >> 32);
  Run<V, 4>(4 * counter, job.n).store(x, job.out);
}

// From 64 bits an element; a range of 0 stands for 2^64.
__global__ void __launch_bounds__(kBlock)
    fill_wide_integers(const __grid_constant__ RandomJob job, int64_t low, uint64_t range) {
  const int64_t counter = thread_number();
  const Philox4 bits = draw(job.philox, counter);
  int64_t x[2];
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    const uint64_t u = range == 0 ? wide(bits, j) : __umul64hi(wide(bits, j), range);
    x[j] = static_cast<int64_t>(static_cast<uint64_t>(low) + u);
  }
  Run<1, 2>(2 * counter, job.n).store(x, job.out);
}

template <class T, int V> __global__ void __launch_bounds__(kBlock)
    dropout_elements(const __grid_constant__ Operand in, const __grid_constant__ RandomJob job, uint32_t threshold, T scale) {
  const int64_t counter = thread_number();
  const Run<V, 4> run(4 * counter, job.n);
  T x[4];
  run.load(x, in);
  const Philox4 bits = draw(job.philox, counter);
#pragma unroll
  for (int j = 0; j < 4; ++j) x[j] = bits.v[j] >= threshold ? x[j] * scale : T(0);
  run.store(x, job.out);
}

// --- plans ---

Operand contiguous_operand(const View& v) { return {v.as<char>(), {}, static_cast<int32_t>(v.dtype), 0}; }
bool aligned(const View& v) {
  return reinterpret_cast<uintptr_t>(v.data) % static_cast<uint64_t>(std::min<int64_t>(16, kVector * size_of(v.dtype))) == 0;
}
LaunchShape threads(int64_t n) { return {blocks_for(n, kBlock), kBlock}; }

}  // namespace

// --- launchers ---

void random(const Context& context, const RandomArgs& a) {
  const int64_t n = a.out.numel();
  if (n == 0) return;
  const RandomJob job{contiguous_operand(a.out), n, a.philox};
  const bool vectors = aligned(a.out);
  if (a.distribution == Distribution::integers) {
    if (a.range > uint64_t{1} << 32 || a.range == 0)
      return launch(fill_wide_integers, threads((n + 1) / 2), context, job, a.low, a.range);
    return launch(vectors ? fill_integers<kVector> : fill_integers<1>, threads((n + 3) / 4), context, job, a.low, a.range);
  }
  const bool uniform = a.distribution == Distribution::uniform;
  const double scale = uniform ? a.b - a.a : a.b;
  if (a.out.dtype == DType::f64) return launch(fill_doubles, threads((n + 1) / 2), context, job, uniform, a.a, scale);
  const float first = static_cast<float>(a.a);
  launch(vectors ? fill_floats<kVector> : fill_floats<1>, threads((n + 3) / 4), context, job, uniform, first,
         static_cast<float>(scale), largest_below(a));
}

void dropout(const Context& context, const DropoutArgs& a) {
  const int64_t n = a.in.numel();
  if (n == 0) return;
  const RandomJob job{contiguous_operand(a.out), n, a.philox};
  const double cut = a.p * 0x1p32;
  const uint32_t threshold = cut >= 4294967295.0 ? 4294967295u : static_cast<uint32_t>(cut);
  const LaunchShape shape = threads((n + 3) / 4);
  const Operand in = contiguous_operand(a.in);
  if (a.in.dtype == DType::f64) return launch(dropout_elements<double, 1>, shape, context, in, job, threshold, a.scale);
  const bool vectors = aligned(a.in) && aligned(a.out);
  launch(vectors ? dropout_elements<float, kVector> : dropout_elements<float, 1>, shape, context, in, job, threshold,
         static_cast<float>(a.scale));
}

}  // namespace fastdl::cuda
