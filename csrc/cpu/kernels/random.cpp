// Random fills and dropout over Philox (core/philox.h), a vector of counters at a time. Normal numbers by Box and Muller's
// method: lanes (0, 1) and (2, 3) of a counter make two each.
//
// Bytes: the output's (dropout: input and output); about 10 integer multiplications an element.
#include "cpu/kernels/level.h"
#include "cpu/kernels/runs.h"
#include "cpu/simd/math.h"
#include "cpu/simd/philox.h"
#include "cpu/simd/rows.h"

namespace FASTDL_CPU_NAMESPACE {

namespace {

constexpr int64_t kBatch = 4 * kF32;  // elements of a vector of counters
constexpr int64_t kGrain = 64 * 256;  // elements of a task: a multiple of every level's batch

// f(first element, bits, count) for each batch; `bits` holds kBatch words.
template <class F> FASTDL_INLINE void for_batches(const PhiloxState& state, int64_t n, const F& f) {
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t bits[kBatch];
    for (int64_t i = begin; i < end; i += kBatch) {
      philox_bits(state.seed, state.offset + static_cast<uint64_t>(i) / 4, bits);
      f(i, bits, end - i < kBatch ? end - i : kBatch);
    }
    stream_fence();
  });
}

// Two vectors of uniform bits, interleaved as pairs in memory, become normal numbers in the same order.
FASTDL_INLINE void box_muller(const uint32_t* bits, float* out) {
  alignas(64) float u1[kF32], u2[kF32];
  for (int l = 0; l < kF32; ++l) {
    u1[l] = static_cast<float>(static_cast<int32_t>(bits[2 * l] >> 8)) * 0x1p-24f + 0x1p-24f;  // (0, 1]
    u2[l] = static_cast<float>(static_cast<int32_t>(bits[2 * l + 1] >> 8)) * 0x1p-24f;
  }
  const vf32 r = sqrt(-2.0f * log(load<vf32>(u1))), angle = load<vf32>(u2) * 6.28318531f;
  store<vf32>(u1, r * cos(angle));
  store<vf32>(u2, r * sin(angle));
  for (int l = 0; l < kF32; ++l) {
    out[2 * l] = u1[l];
    out[2 * l + 1] = u2[l];
  }
}

FASTDL_INLINE uint64_t bits64(const PhiloxState& state, int64_t i) {
  const Philox4 x = philox(state.seed, state.offset + static_cast<uint64_t>(i) / 2);
  return uint64_t{x.v[2 * (i % 2)]} << 32 | x.v[2 * (i % 2) + 1];
}

void fill_double(const RandomArgs& a, int64_t n) {
  double* out = a.out.as<double>();
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (a.distribution == Distribution::uniform) {
        out[i] = a.a + static_cast<double>(bits64(a.philox, i) >> 11) * 0x1p-53 * (a.b - a.a);
      } else {  // element i and its neighbour share a counter
        const double u1 = static_cast<double>((bits64(a.philox, i & ~int64_t{1}) >> 11) + 1) * 0x1p-53;
        const double u2 = static_cast<double>(bits64(a.philox, i | 1) >> 11) * 0x1p-53 * 6.283185307179586;
        const double r = __builtin_sqrt(-2.0 * __builtin_log(u1));
        out[i] = a.a + a.b * (i % 2 == 0 ? r * __builtin_cos(u2) : r * __builtin_sin(u2));
      }
    }
  });
}

void fill_integers(const RandomArgs& a, int64_t n) {
  const int64_t size = size_of(a.out.dtype);
  if (a.range > uint64_t{1} << 32 || a.range == 0) {  // 0 stands for 2^64
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const uint64_t u = bits64(a.philox, i);
        const uint64_t v = a.range == 0 ? u : static_cast<uint64_t>((static_cast<unsigned __int128>(u) * a.range) >> 64);
        store_number(static_cast<char*>(a.out.data) + i * size, a.out.dtype,
                     static_cast<int64_t>(static_cast<uint64_t>(a.low) + v));
      }
    });
    return;
  }
  for_batches(a.philox, n, [&](int64_t i, const uint32_t* bits, int64_t m) {
    for (int64_t k = 0; k < m; ++k)
      store_number(static_cast<char*>(a.out.data) + (i + k) * size, a.out.dtype,
                   a.low + static_cast<int64_t>((bits[k] * a.range) >> 32));
  });
}

template <class T> void drop(const DropoutArgs& a, uint32_t threshold) {
  using V = compute_vector<T>;
  using Bits = typename vector_of<uint32_t, lanes<V>>::type;
  const int64_t size = size_of(a.in.dtype), n = a.in.numel();
  const bool converted = a.in.dtype != dtype_of<T>, stream = n * size >= kStreamBytes && a.in.data != a.out.data;
  for_batches(a.philox, n, [&](int64_t i, const uint32_t* bits, int64_t m) {
    alignas(64) T buffer[kBatch];
    void* out = static_cast<char*>(a.out.data) + i * size;
    const T* x = load_run<T>(static_cast<const char*>(a.in.data) + i * size, a.in.dtype, 1, m, buffer);
    write_row<V>(converted ? buffer : static_cast<T*>(out), m, stream && !converted, [&](int64_t k, int64_t count) {
      Bits u;
      __builtin_memcpy(&u, bits + k, sizeof u);
      const mask_t<V> kept = __builtin_convertvector(u >= threshold, mask_t<V>);
      return select<V>(kept, load_part<V>(x + k, count) * static_cast<T>(a.scale), zero<V>());
    });
    if (converted) store_run(out, a.out.dtype, buffer, m);
  });
}

}  // namespace

void random(const Context&, const RandomArgs& a) {
  const int64_t n = a.out.numel();
  if (a.distribution == Distribution::integers) return fill_integers(a, n);
  if (a.out.dtype == DType::f64) return fill_double(a, n);
  const float first = static_cast<float>(a.a);
  const bool uniform = a.distribution == Distribution::uniform;
  const float scale = static_cast<float>(uniform ? a.b - a.a : a.b);
  const float below = largest_below(a);
  for_batches(a.philox, n, [&](int64_t i, const uint32_t* bits, int64_t m) {
    alignas(64) float x[kBatch];
    if (uniform) {
      for (int k = 0; k < kBatch; k += kF32) {
        vu32 u;
        __builtin_memcpy(&u, bits + k, sizeof u);
        store<vf32>(x + k, min<vf32>(uniform_float(u) * scale + first, broadcast<vf32>(below)));
      }
    } else {
      for (int k = 0; k < kBatch; k += 2 * kF32) box_muller(bits + k, x + k);
      for (int k = 0; k < kBatch; k += kF32) store<vf32>(x + k, load<vf32>(x + k) * scale + first);
    }
    store_run(static_cast<char*>(a.out.data) + i * size_of(a.out.dtype), a.out.dtype, x, m);
  });
}

void dropout(const Context&, const DropoutArgs& a) {
  const double cut = a.p * 0x1p32;
  const uint32_t threshold = cut >= 4294967295.0 ? 4294967295u : static_cast<uint32_t>(cut);
  if (a.in.dtype == DType::f64) drop<double>(a, threshold);
  else drop<float>(a, threshold);
}

}  // namespace FASTDL_CPU_NAMESPACE
