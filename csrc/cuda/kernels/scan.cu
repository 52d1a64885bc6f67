// Along one dimension: extremes with their places (the walk: kernels/reduction.h) and running sums in float64 or int64.
//
// Running sums: a block a line takes 1024 elements at a time, four a thread, scans the threads' sums with shuffles and
// carries the total on; short lines, or many that lie side by side, are a thread's each. Bytes: one read, one write.
#include "cuda/kernels/reduction.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

template <class T> struct Place {
  T value;
  int64_t place;  // -1: none yet
};

template <class T> struct Extreme {
  using Type = T;
  using State = Place<T>;
  static constexpr int kOutputs = 2;

  char* values;  // may be null
  int64_t* indices;
  int32_t dtype;
  int32_t max;

  void move(const int64_t (&offset)[3]) {
    if (values) values += offset[1] * size_of(static_cast<DType>(dtype));
    indices += offset[2];
  }
  __device__ __forceinline__ State start() const { return {T(0), -1}; }
  // The more extreme, a NaN above all; the first of equal ones.
  __device__ __forceinline__ State combine(State a, State b) const {
    if (b.place < 0) return a;
    if (a.place < 0) return b;
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    const bool equal = nan_a || nan_b ? nan_a && nan_b : a.value == b.value;
    const bool b_wins = equal ? b.place < a.place : nan_b || (!nan_a && (max ? b.value > a.value : b.value < a.value));
    return b_wins ? b : a;
  }
  template <int V, int M, int Groups> __device__ __forceinline__ void fold(State& state, const T (&x)[M],
                                                                           const int (&valid)[Groups],
                                                                           const int64_t (&index)[Groups]) const {
#pragma unroll
    for (int i = 0; i < M; ++i)
      if (i % V < valid[i / V]) state = combine(state, {x[i], index[i / V] + i % V});
  }
  __device__ __forceinline__ void finish(const State& s, const int64_t (&offset)[3]) const {
    if (values) store_element(values, static_cast<DType>(dtype), offset[1], s.value);
    indices[offset[2]] = s.place;
  }
};

constexpr int kBlock = 256, kPerThread = 4, kShortLine = 64;
constexpr int64_t kManyLines = 1 << 14;

struct CumsumJob {
  char *in, *out;
  Strided<2> lines;
  int64_t n, in_step, out_step;
  uint32_t count;
  int16_t in_dtype, out_dtype;
};

// The sum of the values of the threads before this one, and of all; `parts`: shared memory for one T a warp.
template <class T> __device__ __forceinline__ T exclusive_scan(T v, T* parts, T& total) {
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  T sum = v;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const T before = __shfl_up_sync(kFullWarp, sum, distance);
    if (lane >= distance) sum += before;
  }
  if (lane == 31) parts[warp] = sum;
  __syncthreads();
  T before = 0, in_warp = __shfl_up_sync(kFullWarp, sum, 1);  // sum - v would not do: v may be infinite or NaN
  if (lane == 0) in_warp = 0;
  total = 0;
  for (int w = 0; w < kBlock / 32; ++w) {
    if (w == warp) before = total;
    total += parts[w];
  }
  __syncthreads();
  return before + in_warp;
}

template <class T> struct CumsumShared {
  T parts[kBlock / 32];
};

// --- kernels ---

template <class T> __global__ void __launch_bounds__(kBlock) cumsum_blocks(const __grid_constant__ CumsumJob job) {
  FASTDL_SHARED(CumsumShared<T>, shared);
  int64_t offset[2];
  job.lines.offsets(blockIdx.x, offset);
  T carry = 0;
  for (int64_t first = 0; first < job.n; first += kBlock * kPerThread) {
    const int64_t i = first + int64_t{threadIdx.x} * kPerThread;
    T x[kPerThread], sum = 0;
    for_any(static_cast<DType>(job.in_dtype), [&]<class S>() {
      const S* in = reinterpret_cast<const S*>(job.in) + offset[0];
#pragma unroll
      for (int k = 0; k < kPerThread; ++k) x[k] = i + k < job.n ? convert<T>(in[(i + k) * job.in_step]) : T(0);
    });
#pragma unroll
    for (T& v : x) v = sum += v;
    T total;
    const T before = carry + exclusive_scan(sum, shared.parts, total);
    carry += total;
    for_any(static_cast<DType>(job.out_dtype), [&]<class S>() {
      S* out = reinterpret_cast<S*>(job.out) + offset[1];
#pragma unroll
      for (int k = 0; k < kPerThread; ++k)
        if (i + k < job.n) out[(i + k) * job.out_step] = convert<S>(before + x[k]);
    });
  }
}

template <class T> __global__ void __launch_bounds__(kBlock) cumsum_threads(const __grid_constant__ CumsumJob job) {
  const uint32_t line = blockIdx.x * kBlock + threadIdx.x;
  if (line >= job.count) return;
  int64_t offset[2];
  job.lines.offsets(line, offset);
  T total = 0;
  for (int64_t i = 0; i < job.n; ++i) {
    total += load_element<T>(job.in, static_cast<DType>(job.in_dtype), offset[0] + i * job.in_step);
    store_element(job.out, static_cast<DType>(job.out_dtype), offset[1] + i * job.out_step, total);
  }
}

// The other scans: a line a thread, which walks it as the CPU does.
template <ScanOp op, class T> __global__ void __launch_bounds__(kBlock)
    scan_threads(const __grid_constant__ ScanArgs a, int64_t lines) {
  constexpr bool kPlaces = op == ScanOp::max || op == ScanOp::min;
  const int64_t line = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (line >= lines) return;
  int64_t in = 0, out = 0, places = 0, rest = line;
  for (int d = a.in.ndim - 1; d >= 0; --d) {
    if (d == a.dim) continue;
    const int64_t k = rest % a.in.shape[d];
    rest /= a.in.shape[d];
    in += k * a.in.strides[d];
    out += k * a.out.strides[d];
    if constexpr (kPlaces) places += k * a.indices.strides[d];
  }
  T value = op == ScanOp::prod ? 1 : 0, scale = 0, largest = 0;
  int64_t place = 0;
  for (int64_t i = 0; i < a.in.shape[a.dim]; ++i) {
    const T x = load_element<T>(a.in.as<char>(), a.in.dtype, in + i * a.in.strides[a.dim]);
    if constexpr (op == ScanOp::prod) {
      value *= x;
    } else if constexpr (op == ScanOp::logsumexp) {
      if (i == 0 || x > largest) {
        scale = i == 0 || x == T(INFINITY) ? T(1) : scale * exp(largest - x) + 1;
        largest = x;
      } else if (x == x) {
        scale += x == largest ? T(1) : exp(x - largest);
      } else {
        scale = x;
      }
      value = largest == T(-INFINITY) && scale == scale ? largest : log(scale) + largest;
    } else if (i == 0 || (value == value && (x != x || (op == ScanOp::max ? x >= value : x <= value)))) {
      value = x;
      place = i;
    }
    store_element(a.out.as<char>(), a.out.dtype, out + i * a.out.strides[a.dim], value);
    if constexpr (kPlaces) a.indices.as<int64_t>()[places + i * a.indices.strides[a.dim]] = place;
  }
}

// A view without dimension `dim`, with it again: the same element all along.
View with_dim(const View& v, const View& like, int dim) {
  View out = like;
  out.data = v.data;
  out.dtype = v.dtype;
  for (int d = 0; d < like.ndim; ++d) out.strides[d] = d == dim ? 0 : v.strides[d < dim ? d : d - 1];
  return out;
}

}  // namespace

// --- launchers ---

void arg_reduce(const Context& context, const ArgReduceArgs& a) {
  const View indices = with_dim(a.indices, a.in, a.dim);
  View values = indices;
  if (a.values.data) values = with_dim(a.values, a.in, a.dim);
  for_compute(a.in.dtype, [&]<class T>() {
    const Extreme<T> extreme{a.values.as<char>(), a.indices.as<int64_t>(), static_cast<int32_t>(a.in.dtype), a.max};
    run_reduction(context, extreme, {&a.in, &values, &indices}, 1u << a.dim, a.workspace);
  });
}

namespace {

void running_sums(const Context& context, const ScanArgs& a) {
  const int64_t n = a.in.shape[a.dim];
  const Dims<2> lines = merged_dims<2>({&a.in, &a.out}, ~(1u << a.dim));
  for_parts(lines, [&](const Dims<2>& part, const int64_t(&offset)[2]) {
    const CumsumJob job{a.in.as<char>() + offset[0] * size_of(a.in.dtype),
                        a.out.as<char>() + offset[1] * size_of(a.out.dtype),
                        Strided<2>(part),
                        n,
                        a.in.strides[a.dim],
                        a.out.strides[a.dim],
                        static_cast<uint32_t>(part.count()),
                        static_cast<int16_t>(a.in.dtype),
                        static_cast<int16_t>(a.out.dtype)};
    const auto run = [&]<class T>() {
      if (n <= kShortLine || part.count() >= kManyLines)
        launch(cumsum_threads<T>, {blocks_for(part.count(), kBlock), kBlock}, context, job);
      else launch(cumsum_blocks<T>, {job.count, kBlock, sizeof(CumsumShared<T>)}, context, job);
    };
    if (is_floating(a.in.dtype)) run.template operator()<double>();
    else run.template operator()<int64_t>();
  });
}

}  // namespace

void scan(const Context& context, const ScanArgs& a) {
  if (a.op == ScanOp::sum) return running_sums(context, a);
  const int64_t lines = a.in.numel() / a.in.shape[a.dim];
  const LaunchShape shape{blocks_for(lines, kBlock), kBlock};
  const auto run = [&]<class T>() {
    switch (a.op) {
      case ScanOp::prod: return launch(scan_threads<ScanOp::prod, T>, shape, context, a, lines);
      case ScanOp::max: return launch(scan_threads<ScanOp::max, T>, shape, context, a, lines);
      case ScanOp::min: return launch(scan_threads<ScanOp::min, T>, shape, context, a, lines);
      default:
        if constexpr (std::is_floating_point_v<T>) launch(scan_threads<ScanOp::logsumexp, T>, shape, context, a, lines);
    }
  };
  if (is_floating(a.in.dtype)) run.template operator()<double>();
  else run.template operator()<int64_t>();
}

}  // namespace fastdl::cuda
