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

template <class T, int Width>
void pack_panel(const GemmOperand<T>& op, int64_t first, int count, int64_t k0, int64_t k_count, T* out) {
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

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
