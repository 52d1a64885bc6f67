// Elements of several views of one shape: their dimensions ordered and merged on the host, and the way from an index to
// each view's element, without division, on the device.
#pragma once
#include "core/view.h"
#include "cuda/device/language.h"

namespace fastdl::cuda {

// Division of numbers below 2^31 by one multiplication (Granlund and Montgomery, PLDI 1994).
struct Divisor {
  uint32_t value, factor, shift;
  Divisor() = default;
  explicit Divisor(int64_t d) : value(static_cast<uint32_t>(d)), shift(0) {
    while ((uint64_t{1} << shift) < value) ++shift;
    factor = static_cast<uint32_t>((((uint64_t{1} << shift) - value) << 32) / value + 1);
  }
  __device__ __forceinline__ uint32_t divide(uint32_t n) const { return (__umulhi(n, factor) + n) >> shift; }
};

// On the host: sizes and strides (in elements) of N views, the innermost dimension first.
template <int N> struct Dims {
  int ndim = 0;
  int64_t size[kMaxDims];
  int64_t stride[kMaxDims][N];

  int64_t count() const {
    int64_t n = 1;
    for (int d = 0; d < ndim; ++d) n *= size[d];
    return n;
  }
  // Outside all others; one with its neighbour where every view allows it.
  void push_outer(int64_t n, const int64_t (&strides)[N]) {
    bool mergeable = ndim > 0;
    for (int o = 0; mergeable && o < N; ++o) mergeable = strides[o] == stride[ndim - 1][o] * size[ndim - 1];
    if (mergeable) {
      size[ndim - 1] *= n;
      return;
    }
    size[ndim] = n;
    for (int o = 0; o < N; ++o) stride[ndim][o] = strides[o];
    ++ndim;
  }
};

// The dimensions in which `mask` has a bit, ordered by the first view's strides; those of size 1 are left out.
template <int N> Dims<N> merged_dims(const View* const (&views)[N], uint32_t mask = ~0u) {
  const auto magnitude = [&](int d) { return views[0]->strides[d] < 0 ? -views[0]->strides[d] : views[0]->strides[d]; };
  int order[kMaxDims], n = 0;
  for (int d = views[0]->ndim - 1; d >= 0; --d) {
    if (views[0]->shape[d] == 1 || !(mask >> d & 1)) continue;
    int k = n++;
    for (; k > 0 && magnitude(order[k - 1]) > magnitude(d); --k) order[k] = order[k - 1];
    order[k] = d;
  }
  Dims<N> dims;
  for (int k = 0; k < n; ++k) {
    int64_t strides[N];
    for (int o = 0; o < N; ++o) strides[o] = views[o]->strides[order[k]];
    dims.push_outer(views[0]->shape[order[k]], strides);
  }
  return dims;
}

// f(dims, offsets of the views) for parts of at most `limit` indices: what 32-bit indices reach.
template <int N, class F> void for_parts(const Dims<N>& dims, const F& f, int64_t limit = int64_t{1} << 30) {
  const auto split = [&](const auto& self, const Dims<N>& part, const int64_t(&offset)[N]) -> void {
    if (part.count() <= limit) return f(part, offset);
    int largest = 0;
    for (int d = 1; d < part.ndim; ++d)
      if (part.size[d] > part.size[largest]) largest = d;
    const int64_t half = (part.size[largest] / 2 + 63) / 64 * 64;  // keeps vectors whole
    Dims<N> low = part, high = part;
    low.size[largest] = half;
    high.size[largest] -= half;
    int64_t after[N];
    for (int o = 0; o < N; ++o) after[o] = offset[o] + half * part.stride[largest][o];
    self(self, low, offset);
    self(self, high, after);
  };
  const int64_t start[N] = {};
  split(split, dims, start);
}

// For a kernel: dims of fewer than 2^31 indices. Without padding, whose bytes the simulated device takes for arguments.
template <int N> struct Strided {
  int64_t ndim;
  Divisor size[kMaxDims] = {};
  int64_t stride[kMaxDims][N] = {};

  explicit Strided(const Dims<N>& dims) : ndim(dims.ndim) {
    for (int d = 0; d < ndim; ++d) {
      size[d] = Divisor(dims.size[d]);
      for (int o = 0; o < N; ++o) stride[d][o] = dims.stride[d][o];
    }
  }
  __device__ __forceinline__ void offsets(uint32_t index, int64_t (&offset)[N]) const {
#pragma unroll
    for (int o = 0; o < N; ++o) offset[o] = 0;
    for (int d = 0; d < ndim; ++d) {
      const uint32_t outer = d + 1 < ndim ? size[d].divide(index) : 0;
      const uint32_t here = index - outer * size[d].value;
#pragma unroll
      for (int o = 0; o < N; ++o) offset[o] += here * stride[d][o];
      index = outer;
    }
  }
};

}  // namespace fastdl::cuda
