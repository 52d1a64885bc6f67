// Boxes of elements from one dtype and layout to another: rows side by side by vectors, transposed squares in registers.
// Bytes: each element read and written once.
#include "cpu/kernels/convert.h"

#include "cpu/simd/transpose.h"

namespace FASTDL_CPU_NAMESPACE {

namespace {

template <int bytes> struct square_vector;
template <> struct square_vector<4> {
  using type = vi32;
};
template <> struct square_vector<8> {
  using type = vi64;
};

template <class D, class S> FASTDL_INLINE void convert_row(D* dst, const S* src, int64_t n) {
  int64_t i = 0;
  if constexpr (__is_same(D, S)) {
    __builtin_memcpy(dst, src, static_cast<size_t>(n) * sizeof(D));
    return;
  } else if constexpr (__is_same(D, float) && __is_same(S, bf16)) {
    for (; i + kF32 <= n; i += kF32) store<vf32>(dst + i, load_bf16(src + i));
  } else if constexpr (__is_same(D, float) && __is_same(S, f16)) {
    for (; i + kF32 <= n; i += kF32) store<vf32>(dst + i, load_f16(src + i));
  } else if constexpr (__is_same(D, bf16) && __is_same(S, float)) {
    for (; i + kF32 <= n; i += kF32) store_bf16(dst + i, load<vf32>(src + i));
  } else if constexpr (__is_same(D, f16) && __is_same(S, float)) {
    for (; i + kF32 <= n; i += kF32) store_f16(dst + i, load<vf32>(src + i));
  }
  for (; i < n; ++i) dst[i] = convert<D>(src[i]);
}

// dst[r][c] = src[c][r] for as many whole squares of vectors as the box has.
template <class T>
FASTDL_INLINE void transpose_squares(T* dst, const T* src, const Box& b, int64_t& rows_done, int64_t& cols_done) {
  using V = typename square_vector<sizeof(T)>::type;
  constexpr int L = lanes<V>;
  rows_done = b.rows / L * L;
  cols_done = b.cols / L * L;
  for (int64_t r = 0; r < rows_done; r += L)
    for (int64_t c = 0; c < cols_done; c += L) {
      V v[L];
      for (int i = 0; i < L; ++i) v[i] = load<V>(reinterpret_cast<const lane_t<V>*>(src + (c + i) * b.src_col_stride + r));
      transpose<V>(v);
      for (int i = 0; i < L; ++i) store<V>(reinterpret_cast<lane_t<V>*>(dst + (r + i) * b.dst_row_stride + c), v[i]);
    }
}

template <class D, class S> void convert_box(void* to, const void* from, const Box& b) {
  D* dst = static_cast<D*>(to);
  const S* src = static_cast<const S*>(from);
  if (b.dst_col_stride == 1 && b.src_col_stride == 1) {
    for (int64_t r = 0; r < b.rows; ++r) convert_row(dst + r * b.dst_row_stride, src + r * b.src_row_stride, b.cols);
  } else if (b.dst_col_stride == 1 && b.src_col_stride == 0) {
    for (int64_t r = 0; r < b.rows; ++r) {
      D* row = dst + r * b.dst_row_stride;
      const D value = convert<D>(src[r * b.src_row_stride]);
      for (int64_t c = 0; c < b.cols; ++c) row[c] = value;
    }
  } else if (b.src_row_stride == 1) {
    int64_t rows_done = 0, cols_done = 0;  // a corner that went through registers
    if constexpr (__is_same(D, S) && sizeof(D) >= 4) {
      if (b.dst_col_stride == 1) transpose_squares(dst, src, b, rows_done, cols_done);
    }
    for (int64_t c = 0; c < b.cols; ++c) {
      D* column = dst + c * b.dst_col_stride;
      const S* s = src + c * b.src_col_stride;
      for (int64_t r = c < cols_done ? rows_done : 0; r < b.rows; ++r) {
        column[r * b.dst_row_stride] = convert<D>(s[r]);
        asm volatile("");  // scatter instructions take longer than the stores that they replace
      }
    }
  } else {
    for (int64_t r = 0; r < b.rows; ++r)
      for (int64_t c = 0; c < b.cols; ++c)
        dst[r * b.dst_row_stride + c * b.dst_col_stride] = convert<D>(src[r * b.src_row_stride + c * b.src_col_stride]);
  }
}

constexpr ConvertFn kMove8 = convert_box<uint8_t, uint8_t>, kMove16 = convert_box<uint16_t, uint16_t>,
                    kMove32 = convert_box<uint32_t, uint32_t>, kMove64 = convert_box<uint64_t, uint64_t>;

struct Conversions {
  ConvertFn from[kNumDTypes];
};  // to one type, in the order of DType
template <class D> constexpr Conversions conversions() {
  return {{convert_box<D, bool>, convert_box<D, uint8_t>, convert_box<D, int8_t>, convert_box<D, int32_t>,
           convert_box<D, int64_t>, convert_box<D, f16>, convert_box<D, bf16>, convert_box<D, float>, convert_box<D, double>}};
}
template <class D> constexpr Conversions conversions_from_compute_types() {
  return {{nullptr, nullptr, nullptr, nullptr, convert_box<D, int64_t>, nullptr, nullptr, convert_box<D, float>,
           convert_box<D, double>}};
}

constexpr Conversions kConversions[kNumDTypes] = {
    conversions_from_compute_types<bool>(),
    conversions_from_compute_types<uint8_t>(),
    conversions_from_compute_types<int8_t>(),
    conversions_from_compute_types<int32_t>(),
    conversions<int64_t>(),
    conversions_from_compute_types<f16>(),
    conversions_from_compute_types<bf16>(),
    conversions<float>(),
    conversions<double>(),
};

}  // namespace

ConvertFn converter(DType to, DType from) {
  if (to != from) return kConversions[static_cast<int>(to)].from[static_cast<int>(from)];
  switch (size_of(to)) {
    case 1: return kMove8;
    case 2: return kMove16;
    case 4: return kMove32;
    default: return kMove64;
  }
}

}  // namespace FASTDL_CPU_NAMESPACE
