// Packing an operand into panels: `width` vectors side by side, one row per step of K, zeros past the operand's end, so
// that the tile reads both operands in unit stride whatever the matrix's layout. Converts float16 and bfloat16.
#pragma once
#include "cpu/gemm/tile.h"
#include "cpu/simd/convert.h"
#include "cpu/simd/transpose.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

// Vectors adjacent in memory: each step of K is one copy.
template <class T, class S, int Width> void pack_adjacent(const S* x, int64_t k_stride, int count, int64_t k_count, T* out) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>, kTail = Width % L;
  if constexpr (kTail != 0 && sizeof(S) == sizeof(T)) {
    if (count == Width) {
      for (int64_t p = 0; p < k_count; ++p, x += k_stride, out += Width) {
        for (int i = 0; i + L <= Width; i += L) store<V>(out + i, load<V>(x + i));
        store_n<V>(out + Width - kTail, load_n<V>(x + Width - kTail, kTail), kTail);
      }
      return;
    }
  }
  for (int64_t p = 0; p < k_count; ++p, x += k_stride, out += Width) {
    int i = 0;
    for (; i + L <= count; i += L) store<V>(out + i, load_as<V>(x + i));
    for (; i < count; ++i) out[i] = to_compute(x[i]);
    for (; i < Width; ++i) out[i] = 0;
  }
}

// K adjacent in memory: squares are transposed in registers.
template <class T, class S, int Width> void pack_transposed(const S* x, int64_t stride, int count, int64_t k_count, T* out) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  int64_t p = 0;
  for (; p + L <= k_count; p += L) {
#pragma GCC unroll 8
    for (int first = 0; first < Width; first += L) {
      constexpr int kLast = Width % L == 0 ? L : Width % L;
      V r[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) r[i] = first + i < count ? load_as<V>(x + (first + i) * stride + p) : zero<V>();
      transpose<V>(r);
      T* o = out + p * Width + first;
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        if (first + L <= Width) store<V>(o + i * Width, r[i]);
        else store_n<V>(o + i * Width, r[i], kLast);
      }
    }
  }
  for (; p < k_count; ++p)
    for (int i = 0; i < Width; ++i) out[p * Width + i] = i < count ? to_compute(x[i * stride + p]) : T(0);
}

template <class T, class S, int Width>
void pack_strided(const S* x, int64_t stride, int64_t k_stride, int count, int64_t k_count, T* out) {
  if (stride == 1) return pack_adjacent<T, S, Width>(x, k_stride, count, k_count, out);
  if (k_stride == 1) return pack_transposed<T, S, Width>(x, stride, count, k_count, out);
  for (int64_t p = 0; p < k_count; ++p)
    for (int i = 0; i < Width; ++i) out[p * Width + i] = i < count ? to_compute(x[i * stride + p * k_stride]) : T(0);
}

// Pairs of bfloat16: steps 2 p and 2 p + 1 of K side by side, a last odd one beside zero. `k` counts elements.
template <int Width> void pack_pairs(const bf16* x, int64_t stride, int64_t k_stride, int count, int64_t k, bf16_pair* out) {
  constexpr int L = kF32, kLast = Width % L == 0 ? L : Width % L;
  const int64_t pairs = k / 2;
  int64_t p = 0;
  if (k_stride == 1) {  // pairs lie in memory as they are: squares of them are transposed
    for (; p + L <= pairs; p += L) {
#pragma GCC unroll 8
      for (int first = 0; first < Width; first += L) {
        vf32 r[L];
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          r[i] = first + i < count ? load_operand<vf32>(reinterpret_cast<const bf16_pair*>(x + (first + i) * stride + 2 * p))
                                   : vf32{};
        transpose<vf32>(r);
        float* o = reinterpret_cast<float*>(out + p * Width + first);
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) {
          if (first + L <= Width) store<vf32>(o + i * Width, r[i]);
          else store_n<vf32>(o + i * Width, r[i], kLast);
        }
      }
    }
  } else if (stride == 1) {  // two rows are interleaved
    for (; p < pairs; ++p) {
      const bf16 *low = x + 2 * p * k_stride, *high = low + k_stride;
      float* o = reinterpret_cast<float*>(out + p * Width);
#pragma GCC unroll 8
      for (int first = 0; first < Width; first += L) {
        const int n = count - first < L ? count - first : L;
        vf32 pair{};
        if (n == L) pair = interleave(load_bf16(low + first), load_bf16(high + first));
        else if (n > 0) pair = interleave(load_as_n<vf32>(low + first, n), load_as_n<vf32>(high + first, n));
        if (first + L <= Width) store<vf32>(o + first, pair);
        else store_n<vf32>(o + first, pair, kLast);
      }
    }
  }
  for (; 2 * p < k; ++p)
    for (int i = 0; i < Width; ++i) {
      const bf16* at = x + i * stride + 2 * p * k_stride;
      out[p * Width + i] = i < count ? bf16_pair{at[0], 2 * p + 1 < k ? at[k_stride] : bf16{}} : bf16_pair{};
    }
}

// The steps [k0, k0 + k_count) of K, which has `k` elements, of `count` vectors from `first` on.
template <int Width, class T>
void pack_panel(const GemmOperand<T>& op, int64_t, int64_t first, int count, int64_t k0, int64_t k_count, T* out) {
  if (op.pack) return op.pack(op.data, first, count, k0, k_count, Width, out);
  const int64_t at = first * op.stride + k0 * op.k_stride;
  const auto strided = [&]<class S>(const S* x) {
    pack_strided<T, S, Width>(x + at, op.stride, op.k_stride, count, k_count, out);
  };
  if constexpr (sizeof(T) == 4) {
    if (op.dtype == DType::f16) return strided(static_cast<const f16*>(op.data));
    if (op.dtype == DType::bf16) return strided(static_cast<const bf16*>(op.data));
  }
  strided(static_cast<const T*>(op.data));
}

// The same as pairs, which k0 and k_count count.
template <int Width> void pack_panel(const GemmOperand<float>& op, int64_t k, int64_t first, int count, int64_t k0,
                                     int64_t k_count, bf16_pair* out) {
  const int64_t elements = k - 2 * k0 < 2 * k_count ? k - 2 * k0 : 2 * k_count;
  pack_pairs<Width>(static_cast<const bf16*>(op.data) + first * op.stride + 2 * k0 * op.k_stride, op.stride, op.k_stride, count,
                    elements, out);
}

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
