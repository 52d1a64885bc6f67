// Max and average pooling, forward and gradient. A thread an element of what is written, in memory order. The gradients
// are gathered: an element of the input looks at the windows that hold it, in order, so nothing is added by two threads
// and no atomics are needed. Bytes: each input once from memory (again from the caches), each output once.
#include "cuda/device/convert.h"
#include "cuda/device/launch.h"
#include "kernels/pool.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

constexpr int kThreads = 256;

struct Images {  // (N, C, H, W), in either memory order
  int64_t channels, height, width;
  bool channels_last;
};
struct Place {
  int64_t plane;  // offset of the element's image and channel
  int64_t h, w;
};
__device__ __forceinline__ Place place(const Images& s, int64_t i) {
  Place p;
  if (s.channels_last) {
    const int64_t c = i % s.channels, pixel = i / s.channels;
    p.w = pixel % s.width;
    p.h = pixel / s.width % s.height;
    p.plane = pixel / (s.width * s.height) * s.channels * s.height * s.width + c;
  } else {
    p.w = i % s.width;
    p.h = i / s.width % s.height;
    p.plane = i / (s.width * s.height) * s.height * s.width;
  }
  return p;
}
// The plane's offset in the other of the two tensors.
__device__ __forceinline__ int64_t plane_in(const Images& s, const Images& from, int64_t plane) {
  const int64_t area = from.height * from.width;
  if (!s.channels_last) return plane / area * s.height * s.width;
  return plane / (area * s.channels) * s.height * s.width * s.channels + plane % (area * s.channels);
}
__device__ __forceinline__ int64_t pixel(const Images& s, int64_t h, int64_t w) {
  return (h * s.width + w) * (s.channels_last ? s.channels : 1);
}

// f(o) for the windows of dimension d that hold position r of the input, in order.
template <class F>
__device__ __forceinline__ void windows_of(const PoolWindows& w, int d, int64_t r, int64_t input, int64_t output, const F& f) {
  if (w.adaptive) {
    for (int64_t o = r * output / input > 0 ? r * output / input - 1 : 0; o < output && o * input / output <= r; ++o)
      if (r < ((o + 1) * input + output - 1) / output) f(o);
    return;
  }
  for (int64_t k = w.kernel[d] - 1; k >= 0; --k) {
    const int64_t start = r + w.padding[d] - k * w.dilation[d];
    if (start >= 0 && start % w.stride[d] == 0 && start / w.stride[d] < output) f(start / w.stride[d]);
  }
}

// --- kernels ---

template <class T> __global__ void max_pool(const T* __restrict__ x, T* __restrict__ y, int64_t* __restrict__ indices,
                                            Images in, Images out, PoolWindows windows, int64_t n) {
  using C = Compute<T>;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    const Place p = place(out, i);
    const PoolSpan rows = pool_span(windows, 0, p.h, in.height, out.height);
    const PoolSpan columns = pool_span(windows, 1, p.w, in.width, out.width);
    const T* const plane = x + plane_in(in, out, p.plane);
    C best = C(-INFINITY);
    int64_t index = rows.begin * in.width + columns.begin;
    for (int64_t h = rows.begin; h < rows.end; h += windows.dilation[0])
      for (int64_t w = columns.begin; w < columns.end; w += windows.dilation[1]) {
        const C v = convert<C>(plane[pixel(in, h, w)]);
        if (v > best || v != v) best = v, index = h * in.width + w;
      }
    y[i] = convert<T>(best);
    if (indices) indices[i] = index;
  }
}

template <class T> __global__ void max_pool_gradient(T* __restrict__ gx, const T* __restrict__ gy,
                                                     const int64_t* __restrict__ indices, Images in, Images out,
                                                     PoolWindows windows, int64_t n) {
  using C = Compute<T>;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    const Place p = place(in, i);
    const int64_t plane = plane_in(out, in, p.plane), index = p.h * in.width + p.w;
    C total = 0;
    windows_of(windows, 0, p.h, in.height, out.height, [&](int64_t h) {
      windows_of(windows, 1, p.w, in.width, out.width, [&](int64_t w) {
        const int64_t at = plane + pixel(out, h, w);
        if (indices[at] == index) total += convert<C>(gy[at]);
      });
    });
    gx[i] = convert<T>(total);
  }
}

// What window (h, w) divides its sum by.
__device__ __forceinline__ int64_t window_divisor(const PoolWindows& w, const Images& in, const Images& out, int64_t h,
                                                  int64_t column, bool count_padding, int64_t divisor) {
  if (divisor) return divisor;
  const PoolSpan rows = pool_span(w, 0, h, in.height, out.height), columns = pool_span(w, 1, column, in.width, out.width);
  if (w.adaptive || !count_padding) return (rows.end - rows.begin) * (columns.end - columns.begin);
  return (rows.full_end - (h * w.stride[0] - w.padding[0])) * (columns.full_end - (column * w.stride[1] - w.padding[1]));
}

template <class T> __global__ void avg_pool(const T* __restrict__ x, T* __restrict__ y, Images in, Images out,
                                            PoolWindows windows, bool count_padding, int64_t divisor, int64_t n) {
  using C = Compute<T>;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    const Place p = place(out, i);
    const PoolSpan rows = pool_span(windows, 0, p.h, in.height, out.height);
    const PoolSpan columns = pool_span(windows, 1, p.w, in.width, out.width);
    const T* const plane = x + plane_in(in, out, p.plane);
    C total = 0;
    for (int64_t h = rows.begin; h < rows.end; ++h)
      for (int64_t w = columns.begin; w < columns.end; ++w) total += convert<C>(plane[pixel(in, h, w)]);
    y[i] = convert<T>(total / static_cast<C>(window_divisor(windows, in, out, p.h, p.w, count_padding, divisor)));
  }
}

template <class T> __global__ void avg_pool_gradient(T* __restrict__ gx, const T* __restrict__ gy, Images in, Images out,
                                                     PoolWindows windows, bool count_padding, int64_t divisor, int64_t n) {
  using C = Compute<T>;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    const Place p = place(in, i);
    const int64_t plane = plane_in(out, in, p.plane);
    C total = 0;
    windows_of(windows, 0, p.h, in.height, out.height, [&](int64_t h) {
      windows_of(windows, 1, p.w, in.width, out.width, [&](int64_t w) {
        const int64_t d = window_divisor(windows, in, out, h, w, count_padding, divisor);
        total += convert<C>(gy[plane + pixel(out, h, w)]) / static_cast<C>(d);
      });
    });
    gx[i] = convert<T>(total);
  }
}

// --- launchers ---

Images images_of(const View& v) { return {v.shape[1], v.shape[2], v.shape[3], !v.contiguous()}; }
// Of the pair: a tensor of one channel or pixel is contiguous in both orders.
void agree(Images& a, Images& b) { a.channels_last = b.channels_last = a.channels_last || b.channels_last; }

LaunchShape shape_for(const Context& context, int64_t n) {
  return {blocks_for(n, kThreads, 16 * multiprocessors(context)), kThreads};
}

}  // namespace

void max_pool_forward(const Context& context, const MaxPoolArgs& a) {
  Images in = images_of(a.input), out = images_of(a.output);
  agree(in, out);
  const int64_t n = a.output.numel();
  for_float(a.input.dtype, [&]<class T>() {
    launch(max_pool<T>, shape_for(context, n), context, a.input.as<T>(), a.output.as<T>(), a.indices.as<int64_t>(), in, out,
           a.windows, n);
  });
}

void max_pool_backward(const Context& context, const MaxPoolArgs& a) {
  Images in = images_of(a.input), out = images_of(a.output);
  agree(in, out);
  const int64_t n = a.input.numel();
  for_float(a.input.dtype, [&]<class T>() {
    launch(max_pool_gradient<T>, shape_for(context, n), context, a.input.as<T>(), a.output.as<T>(), a.indices.as<int64_t>(), in,
           out, a.windows, n);
  });
}

void avg_pool_forward(const Context& context, const AvgPoolArgs& a) {
  Images in = images_of(a.input), out = images_of(a.output);
  agree(in, out);
  const int64_t n = a.output.numel();
  for_float(a.input.dtype, [&]<class T>() {
    launch(avg_pool<T>, shape_for(context, n), context, a.input.as<T>(), a.output.as<T>(), in, out, a.windows,
           a.count_include_pad, a.divisor, n);
  });
}

void avg_pool_backward(const Context& context, const AvgPoolArgs& a) {
  Images in = images_of(a.input), out = images_of(a.output);
  agree(in, out);
  const int64_t n = a.input.numel();
  for_float(a.input.dtype, [&]<class T>() {
    launch(avg_pool_gradient<T>, shape_for(context, n), context, a.input.as<T>(), a.output.as<T>(), in, out, a.windows,
           a.count_include_pad, a.divisor, n);
  });
}

}  // namespace fastdl::cuda
