// What the forward and the backward of attention share: blocking, operands of a tile, masks, dropout.
#pragma once
#include "cpu/kernels/level.h"
#include "cpu/simd/convert.h"
#include "cpu/simd/math.h"
#include "cpu/simd/philox.h"
#include "cpu/simd/tile.h"
#include "cpu/simd/transpose.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int64_t kQueryBlock = 64;  // queries of a task, in the lanes of tiles [..][kQueryBlock]
constexpr int64_t kKeyBlock = 64;
constexpr int64_t kDiagonalKeyBlock = 16;  // along the diagonal of a causal mask
// A piece of work worth handing to another thread.
constexpr int64_t kGrainFlops = 1 << 20;
FASTDL_INLINE int64_t grain_for_flops(int64_t flops_per_item) {
  const int64_t g = kGrainFlops / (flops_per_item > 0 ? flops_per_item : 1);
  return g > 0 ? g : 1;
}
constexpr double kLog2E = 1.44269504088896340736, kLn2 = 0.69314718055994530942;

template <class T> constexpr T kInfinity = static_cast<T>(__builtin_inf());

template <class V> FASTDL_INLINE int64_t whole_vectors(int64_t n) { return (n + lanes<V> - 1) / lanes<V> * lanes<V>; }

// Cuts aligned arrays from one block of scratch memory.
struct Arena {
  char* next;
  template <class T> FASTDL_INLINE T* take(int64_t n) {
    T* p = reinterpret_cast<T*>(next);
    next += (n * sizeof(T) + 63) / 64 * 64;
    return p;
  }
};

// Offset of matrix `index` of a view (..., rows, columns).
FASTDL_INLINE int64_t matrix_offset(const View& v, int64_t index) {
  int64_t offset = 0;
  for (int d = v.ndim - 3; d >= 0; --d) {
    offset += index % v.shape[d] * v.strides[d];
    index /= v.shape[d];
  }
  return offset;
}
FASTDL_INLINE int64_t matrices(const View& v) {
  int64_t n = 1;
  for (int d = 0; d < v.ndim - 2; ++d) n *= v.shape[d];
  return n;
}
FASTDL_INLINE int64_t rows_of(const View& v) { return v.shape[v.ndim - 2]; }
FASTDL_INLINE int64_t columns_of(const View& v) { return v.shape[v.ndim - 1]; }

template <class S> struct Matrix {  // one matrix of a view
  S* data;
  int64_t rows, columns, row_stride, column_stride;
};
template <class S> FASTDL_INLINE Matrix<S> matrix(const View& v, int64_t index) {
  return {v.as<S>() + matrix_offset(v, index), rows_of(v), columns_of(v), v.strides[v.ndim - 2], v.strides[v.ndim - 1]};
}

// Rows [row, row + rows) times factor into dst, whose rows are `width` long; the columns past the matrix are zero.
template <class V, class S>
void pack_rows(lane_t<V>* dst, int64_t width, const Matrix<S>& m, int64_t row, int64_t rows, lane_t<V> factor) {
  constexpr int L = lanes<V>;
  for (int64_t r = 0; r < rows; ++r, dst += width) {
    const S* src = m.data + (row + r) * m.row_stride;
    if (m.column_stride == 1) {
      int64_t c = 0;
      for (; c + L <= m.columns; c += L) store<V>(dst + c, load_as<V>(src + c) * factor);
      if (c < m.columns) store<V>(dst + c, load_as_n<V>(src + c, m.columns - c) * factor);
    } else {
      for (int64_t c = 0; c < m.columns; ++c) dst[c] = to_compute(src[c * m.column_stride]) * factor;
      for (int64_t c = m.columns; c < width; ++c) dst[c] = 0;
    }
  }
}

// The same rows as they lie in memory when that is a dense array of whole vectors, else packed into `buffer`.
template <class V, class S>
FASTDL_INLINE const lane_t<V>* tile_rows(const Matrix<S>& m, int64_t row, int64_t rows, lane_t<V>* buffer) {
  const int64_t width = whole_vectors<V>(m.columns);
  if constexpr (sizeof(S) == sizeof(lane_t<V>)) {
    if (m.column_stride == 1 && m.columns == width && m.row_stride == width) return m.data + row * width;
  }
  pack_rows<V>(buffer, width, m, row, rows, lane_t<V>(1));
  return buffer;
}

// dst[c][kQueryBlock] from src[kQueryBlock][width]: the first `rows` rows, in whole vectors.
template <class V> void transpose_rows(lane_t<V>* dst, const lane_t<V>* src, int64_t width, int64_t rows) {
  constexpr int L = lanes<V>;
  for (int64_t r = 0; r < rows; r += L)
    for (int64_t c = 0; c < width; c += L) {
      V v[L];
      for (int i = 0; i < L; ++i) v[i] = load<V>(src + (r + i) * width + c);
      transpose(v);
      for (int i = 0; i < L; ++i) store<V>(dst + (c + i) * kQueryBlock + r, v[i]);
    }
}

template <class V> __attribute__((noinline)) void product(int64_t rows, int64_t columns, int64_t depth, TileA<lane_t<V>> a,
                                                          const lane_t<V>* b, int64_t ldb, lane_t<V>* c, int64_t ldc,
                                                          TileStart start, const lane_t<V>* column_scale = nullptr) {
  tile_product<V>(rows, columns, depth, a, b, ldb, c, ldc, start, column_scale);
}

// n <= lanes elements of one row of the mask as something to add to scores in base 2.
template <class V> FASTDL_INLINE V mask_vector(const View& mask, int64_t offset, int64_t n) {
  using T = lane_t<V>;
  const int64_t stride = mask.strides[mask.ndim - 1];
  T x[lanes<V>] = {};
  if (mask.dtype == DType::b8) {
    const uint8_t* p = mask.as<uint8_t>() + offset;
    for (int64_t i = 0; i < n; ++i) x[i] = p[i * stride] ? T(0) : -kInfinity<T>;
  } else {
    visit_floating(mask.dtype, [&](auto tag) {
      const auto* p = mask.as<decltype(tag)>() + offset;
      for (int64_t i = 0; i < n; ++i) x[i] = static_cast<T>(to_compute(p[i * stride])) * T(kLog2E);
    });
  }
  return load<V>(x);
}

// Keys [key, key + keys) x queries [block + first, block + end) of the attention weights of one query head, transposed:
// the element of key `key + k` and query `block + c` is at [k][c], rows kQueryBlock long. first and end are whole vectors.
template <class V> struct WeightTile {
  using T = lane_t<V>;
  static constexpr int L = lanes<V>;
  const AttentionArgs& args;
  int64_t head, block, first, end, key, keys;

  int64_t columns() const { return end - first; }

  // Adds the mask to the scores and sets what causality hides to -infinity.
  void apply_masks(T* scores) const {
    if (args.mask.data) add_mask(scores);
    if (args.causal && key + keys - 1 > block + first) hide_later_keys(scores);
  }

  void add_mask(T* scores) const {
    const View& mask = args.mask;
    const int64_t row_stride = mask.strides[mask.ndim - 2], column_stride = mask.strides[mask.ndim - 1];
    const int64_t base = matrix_offset(mask, head), num_queries = rows_of(args.query);
    for (int64_t c = first; c < end; c += L)
      for (int64_t k = 0; k < keys; k += L) {
        const int64_t n = keys - k < L ? keys - k : L;
        V v[L];
        for (int i = 0; i < L; ++i) {
          const int64_t q = block + c + i;
          v[i] = q < num_queries ? mask_vector<V>(mask, base + q * row_stride + (key + k) * column_stride, n) : zero<V>();
        }
        transpose(v);
        for (int64_t i = 0; i < n; ++i) {
          T* p = scores + (k + i) * kQueryBlock + c;
          store<V>(p, load<V>(p) + v[i]);
        }
      }
  }

  void hide_later_keys(T* scores) const {
    V lane{};
    for (int i = 0; i < L; ++i) lane[i] = i;
    for (int64_t c = first; c < end; c += L) {
      const V last_visible = lane + static_cast<T>(block + c - key);
      for (int64_t k = 0; k < keys; ++k) {
        T* p = scores + k * kQueryBlock + c;
        store<V>(p, select<V>(broadcast<V>(static_cast<T>(k)) > last_visible, broadcast<V>(-kInfinity<T>), load<V>(p)));
      }
    }
  }

  // 1 / (1 - dropout) where a weight is kept, 0 where it is dropped. key is a multiple of 4.
  void dropout_factors(T* factors) const {
    const int64_t row_counters = (rows_of(args.key) + 3) / 4;
    const T kept = static_cast<T>(1 / (1 - args.dropout));
    const float p = static_cast<float>(args.dropout);
    for (int64_t c = first / kF32 * kF32; c < end; c += kF32)
      for (int64_t k = 0; k < keys; k += 4) {
        vu64 counters[2];
        for (int i = 0; i < kF32; ++i) {
          const uint64_t row = head * rows_of(args.query) + block + c + i;
          counters[i / kF64][i % kF64] = args.random.offset + row * row_counters + (key + k) / 4;
        }
        const PhiloxLanes low = philox_lanes(args.random.seed, counters[0]), high = philox_lanes(args.random.seed, counters[1]);
        for (int64_t j = 0; j < 4 && k + j < keys; ++j) {
          const vi32 keep = uniform_float(philox_output(low, high, static_cast<int>(j))) >= p;
          for (int i = 0; i < kF32; ++i) factors[(k + j) * kQueryBlock + c + i] = keep[i] ? kept : T(0);
        }
      }
  }
};

}  // namespace
}  // namespace FASTDL_CPU_NAMESPACE
