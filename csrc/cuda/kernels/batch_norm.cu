// Batch normalization: statistics of (channel, part of the batch), merged in order by one thread a channel, then the map.
// A thread takes eight numbers, their mean first and then their squared deviations from it, and merges such pieces in
// double, so that a large mean costs no precision. Planes (N, C, S): a block a channel and part. Rows (S = 1, channels
// last): 32 channels side by side, so that neighbouring threads read neighbouring addresses. The backward has the same
// shape: sums of grad_y and grad_y (x - mean), then grad_x.
// Bytes: forward 3 elements an element (x twice), backward 5. See the CPU's file for the sources.
#include "cuda/device/convert.h"
#include "cuda/device/launch.h"
#include "cuda/device/reduce.h"
#include "kernels/batch_norm.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

constexpr int kThreads = 256, kPiece = 8, kLanes = 32, kRows = 8;  // rows: kLanes channels by kRows threads

struct Moments {
  double count, mean, deviations;  // deviations: the sum of squares about the mean
};
struct Sums {
  double total, product;
};
struct Merge {
  __device__ __forceinline__ Moments operator()(const Moments& a, const Moments& b) const {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    const double delta = b.mean - a.mean, total = a.count + b.count;
    return {total, a.mean + delta * (b.count / total),
            a.deviations + b.deviations + delta * delta * (a.count * b.count / total)};
  }
  __device__ __forceinline__ Sums operator()(const Sums& a, const Sums& b) const {
    return {a.total + b.total, a.product + b.product};
  }
};

__device__ __forceinline__ double element(const View& v, int64_t i, double otherwise) {
  if (!v.data) return otherwise;
  const int64_t at = i * v.strides[0];
  switch (v.dtype) {
    case DType::f32: return v.as<float>()[at];
    case DType::f64: return v.as<double>()[at];
    case DType::bf16: return to_float(v.as<bf16>()[at]);
    default: return to_float(v.as<f16>()[at]);
  }
}
__device__ __forceinline__ void set_element(const View& v, int64_t i, double x) {
  const int64_t at = i * v.strides[0];
  switch (v.dtype) {
    case DType::f32: v.as<float>()[at] = static_cast<float>(x); break;
    case DType::f64: v.as<double>()[at] = x; break;
    case DType::bf16: v.as<bf16>()[at] = to_bf16(static_cast<float>(x)); break;
    default: v.as<f16>()[at] = to_f16(static_cast<float>(x)); break;
  }
}

// The j-th number of channel c from image `first` on.
__device__ __forceinline__ int64_t place(const BatchNormShape& s, int64_t c, int64_t first, int64_t j) {
  return ((first + j / s.plane) * s.channels + c) * s.plane + j % s.plane;
}

// Of this thread's numbers j = start, start + step, ... below n; f(j) is the address.
template <class T, class At>
__device__ Moments piecewise_moments(const T* x, int64_t start, int64_t step, int64_t n, const At& at) {
  using C = Compute<T>;
  Moments m{0, 0, 0};
  for (int64_t j = start; j < n; j += step * kPiece) {
    C v[kPiece], sum = 0, squares = 0;
    int count = 0;
#pragma unroll
    for (int k = 0; k < kPiece; ++k)
      if (j + k * step < n) {
        v[k] = convert<C>(x[at(j + k * step)]);
        sum += v[k];
        ++count;
      }
    const C mean = sum / static_cast<C>(count);
#pragma unroll
    for (int k = 0; k < kPiece; ++k)
      if (j + k * step < n) squares += (v[k] - mean) * (v[k] - mean);
    m = Merge{}(m, Moments{static_cast<double>(count), static_cast<double>(mean), static_cast<double>(squares)});
  }
  return m;
}

template <class T, class At>
__device__ Sums piecewise_sums(const T* x, const T* gy, double mean, int64_t start, int64_t step, int64_t n, const At& at) {
  using C = Compute<T>;
  const C center = static_cast<C>(mean);
  Sums s{0, 0};
  for (int64_t j = start; j < n; j += step * kPiece) {
    C total = 0, product = 0;
#pragma unroll
    for (int k = 0; k < kPiece; ++k)
      if (j + k * step < n) {
        const int64_t i = at(j + k * step);
        const C g = convert<C>(gy[i]);
        total += g;
        product += g * (convert<C>(x[i]) - center);
      }
    s = Merge{}(s, Sums{static_cast<double>(total), static_cast<double>(product)});
  }
  return s;
}

struct SharedMoments {
  Moments parts[kThreads];
};
struct SharedSums {
  Sums parts[kThreads];
};

// The threads of one channel (rows layout) put their results together in order of y; the first of them gets it.
template <class M> __device__ M merge_rows(const M& mine, M* parts) {
  parts[threadIdx.y * kLanes + threadIdx.x] = mine;
  __syncthreads();
  M m = mine;
  if (threadIdx.y == 0)
    for (int y = 1; y < kRows; ++y) m = Merge{}(m, parts[y * kLanes + threadIdx.x]);
  return m;
}

// --- kernels ---

// partial[part][channel] = (mean, deviations); grid: (channels or blocks of channels, parts).
template <class T, bool Rows> __global__ void batch_norm_moments(const T* x, BatchNormShape s, int64_t parts, double* partial) {
  FASTDL_SHARED(SharedMoments, shared);
  const int64_t part = blockIdx.y, first = part * s.batch / parts, n = ((part + 1) * s.batch / parts - first) * s.plane;
  const int64_t c = Rows ? int64_t{blockIdx.x} * kLanes + threadIdx.x : blockIdx.x;
  Moments m{0, 0, 0};
  if constexpr (Rows) {
    if (c < s.channels)
      m = piecewise_moments(x, threadIdx.y, kRows, n, [&](int64_t j) { return (first + j) * s.channels + c; });
    m = merge_rows(m, shared.parts);
    if (threadIdx.y != 0 || c >= s.channels) return;
  } else {
    m = piecewise_moments(x, threadIdx.x, kThreads, n, [&](int64_t j) { return place(s, c, first, j); });
    m = block_reduce(m, Merge{}, Moments{0, 0, 0}, shared.parts);
    if (threadIdx.x != 0) return;
  }
  partial[2 * (part * s.channels + c)] = m.mean;
  partial[2 * (part * s.channels + c) + 1] = m.deviations;
}

template <class T, bool Rows>
__global__ void batch_norm_sums(const T* x, const T* gy, BatchNormShape s, const double* mean, int64_t parts, double* partial) {
  FASTDL_SHARED(SharedSums, shared);
  const int64_t part = blockIdx.y, first = part * s.batch / parts, n = ((part + 1) * s.batch / parts - first) * s.plane;
  const int64_t c = Rows ? int64_t{blockIdx.x} * kLanes + threadIdx.x : blockIdx.x;
  Sums m{0, 0};
  if constexpr (Rows) {
    if (c < s.channels)
      m = piecewise_sums(x, gy, mean[c], threadIdx.y, kRows, n, [&](int64_t j) { return (first + j) * s.channels + c; });
    m = merge_rows(m, shared.parts);
    if (threadIdx.y != 0 || c >= s.channels) return;
  } else {
    m = piecewise_sums(x, gy, mean[c], threadIdx.x, kThreads, n, [&](int64_t j) { return place(s, c, first, j); });
    m = block_reduce(m, Merge{}, Sums{0, 0}, shared.parts);
    if (threadIdx.x != 0) return;
  }
  partial[2 * (part * s.channels + c)] = m.total;
  partial[2 * (part * s.channels + c) + 1] = m.product;
}

// A thread a channel.
__global__ void batch_norm_statistics(BatchNormArgs a, int64_t parts) {
  const BatchNormShape& s = a.shape;
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= s.channels) return;
  if (!a.training) {
    a.mean[c] = element(a.running_mean, c, 0);
    a.rstd[c] = 1 / sqrt(element(a.running_var, c, 1) + a.eps);
    return;
  }
  Moments m{0, 0, 0};
  for (int64_t part = 0; part < parts; ++part) {
    const double* const p = a.partial + 2 * (part * s.channels + c);
    const int64_t images = (part + 1) * s.batch / parts - part * s.batch / parts;
    m = Merge{}(m, Moments{static_cast<double>(images * s.plane), p[0], p[1]});
  }
  a.mean[c] = m.mean;
  a.rstd[c] = 1 / sqrt(m.deviations / m.count + a.eps);
  if (a.running_mean.data)
    set_element(a.running_mean, c, (1 - a.momentum) * element(a.running_mean, c, 0) + a.momentum * m.mean);
  if (a.running_var.data)
    set_element(a.running_var, c,
                (1 - a.momentum) * element(a.running_var, c, 0) + a.momentum * (m.deviations / (m.count - 1)));
}

__global__ void batch_norm_parameter_gradients(BatchNormBackwardArgs a, int64_t parts) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= a.shape.channels) return;
  Sums total{0, 0};
  for (int64_t part = 0; part < parts; ++part) {
    const double* const p = a.partial + 2 * (part * a.shape.channels + c);
    total = Merge{}(total, Sums{p[0], p[1]});
  }
  a.partial[2 * c] = total.total;
  a.partial[2 * c + 1] = total.product;
  if (a.grad_bias.data) set_element(a.grad_bias, c, total.total);
  if (a.grad_weight.data) set_element(a.grad_weight, c, total.product * a.rstd[c]);
}

template <class T> __global__ void batch_norm_map(BatchNormArgs a, int64_t n) {
  using C = Compute<T>;
  const BatchNormShape& s = a.shape;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    const int64_t c = i / s.plane % s.channels;
    const C scale = static_cast<C>(a.rstd[c] * element(a.weight, c, 1)), bias = static_cast<C>(element(a.bias, c, 0));
    const C x = convert<C>(static_cast<const T*>(a.x)[i]);
    static_cast<T*>(a.y)[i] = convert<T>((x - static_cast<C>(a.mean[c])) * scale + bias);
  }
}

template <class T> __global__ void batch_norm_gradient(BatchNormBackwardArgs a, int64_t n) {
  using C = Compute<T>;
  const BatchNormShape& s = a.shape;
  const double count = static_cast<double>(s.count());
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    const int64_t c = i / s.plane % s.channels;
    const C scale = static_cast<C>(a.rstd[c] * element(a.weight, c, 1));
    const C offset = static_cast<C>(a.training ? a.partial[2 * c] / count : 0);
    const C slope = static_cast<C>(a.training ? a.partial[2 * c + 1] / count * a.rstd[c] * a.rstd[c] : 0);
    const C g = convert<C>(static_cast<const T*>(a.grad_y)[i]), x = convert<C>(static_cast<const T*>(a.x)[i]);
    static_cast<T*>(a.grad_x)[i] = convert<T>((g - offset - (x - static_cast<C>(a.mean[c])) * slope) * scale);
  }
}

// --- launchers ---

bool is_rows(const BatchNormShape& s) { return s.plane == 1; }
LaunchShape sums_shape(const BatchNormShape& s, int64_t parts, size_t shared_bytes) {
  const unsigned part_count = static_cast<unsigned>(parts);
  if (is_rows(s)) return {dim3(blocks_for(s.channels, kLanes), part_count), dim3(kLanes, kRows), shared_bytes};
  return {dim3(static_cast<unsigned>(s.channels), part_count), dim3(kThreads), shared_bytes};
}
unsigned map_blocks(const Context& context, int64_t n) { return blocks_for(n, kThreads, 16 * multiprocessors(context)); }

}  // namespace

void batch_norm_forward(const Context& context, const BatchNormArgs& a) {
  const BatchNormShape& s = a.shape;
  const int64_t parts = BatchNormParts::count(s), n = s.batch * s.channels * s.plane;
  for_float(a.dtype, [&]<class T>() {
    const T* const x = static_cast<const T*>(a.x);
    if (a.training)
      launch(is_rows(s) ? batch_norm_moments<T, true> : batch_norm_moments<T, false>,
             sums_shape(s, parts, sizeof(SharedMoments)), context, x, s, parts, a.partial);
    launch(batch_norm_statistics, {blocks_for(s.channels, 128), 128}, context, a, parts);
    launch(batch_norm_map<T>, {map_blocks(context, n), kThreads}, context, a, n);
  });
}

void batch_norm_backward(const Context& context, const BatchNormBackwardArgs& a) {
  const BatchNormShape& s = a.shape;
  const int64_t parts = BatchNormParts::count(s), n = s.batch * s.channels * s.plane;
  for_float(a.dtype, [&]<class T>() {
    const T *const x = static_cast<const T*>(a.x), *const gy = static_cast<const T*>(a.grad_y);
    launch(is_rows(s) ? batch_norm_sums<T, true> : batch_norm_sums<T, false>, sums_shape(s, parts, sizeof(SharedSums)), context,
           x, gy, s, a.mean, parts, a.partial);
    launch(batch_norm_parameter_gradients, {blocks_for(s.channels, 128), 128}, context, a, parts);
    if (a.grad_x) launch(batch_norm_gradient<T>, {map_blocks(context, n), kThreads}, context, a, n);
  });
}

}  // namespace fastdl::cuda
