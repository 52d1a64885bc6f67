// What the blocks of a product read and write. A product is out(row, column) = sum over k of a(row, k) b(column, k); both
// operands are addressed as (row, k), `row` running along the product's rows for a and along its columns for b.
//
// A batch of operands has select(z), which gives operand number z. That has `Element`; row(r) and depth(k), which do the
// part of the addressing that rows and steps along k share; at(row, depth), where a Row{} reads as zeros; and
// k_adjacent(): whether neighbours in memory are neighbours along k. For tensor cores also in_pieces(): whether pieces of
// kPiece<Element> elements along that dimension are 16 aligned bytes; address(row, depth), null where zeros are read; and
// origin(), an address that may be read. A batch of outputs has `Sum` and select(z), which gives what has store(row, column,
// sum), and perhaps in_pairs() and store_pair(row, column, sum, sum of the next column).
#pragma once
#include <type_traits>

#include "core/view.h"
#include "cuda/device/activation.h"
#include "cuda/device/async_copy.h"
#include "cuda/device/convert.h"

namespace fastdl::cuda {

// What products of T are summed in; small integers wrap around when they are stored.
template <class T> using SumOf = std::conditional_t<(std::is_integral_v<T> && sizeof(T) < 4), uint32_t, Compute<T>>;

// Where the matrices of a batch begin.
struct BatchOffsets {
  int dims = 0;
  int64_t shape[kMaxDims - 2] = {}, strides[kMaxDims - 2] = {};

  // All of them multiples of n.
  bool multiples_of(int64_t n) const {
    for (int d = 0; d < dims; ++d)
      if (strides[d] % n != 0) return false;
    return true;
  }
  // Of a view whose last two dimensions are the matrix.
  static BatchOffsets of(const View& v) {
    BatchOffsets b;
    for (int d = 0; d < v.ndim - 2; ++d) {
      if (v.shape[d] == 1) continue;
      const int64_t stride = v.strides[d];
      if (b.dims > 0 && b.strides[b.dims - 1] == stride * v.shape[d]) {  // one dimension with the one before
        b.shape[b.dims - 1] *= v.shape[d];
        b.strides[b.dims - 1] = stride;
      } else {
        b.shape[b.dims] = v.shape[d];
        b.strides[b.dims++] = stride;
      }
    }
    return b;
  }
  __device__ __forceinline__ int64_t at(unsigned z) const {
    int64_t offset = 0;
    for (int d = dims - 1; d > 0; --d) {
      const unsigned size = static_cast<unsigned>(shape[d]);
      offset += z % size * strides[d];
      z /= size;
    }
    return dims > 0 ? offset + z * strides[0] : 0;
  }
};

template <class T> struct Matrix {
  using Element = T;
  const T* data;
  int64_t row_stride, k_stride;
  int64_t pieces = 0;  // a flag; as wide as its neighbours, as arguments of kernels should have no undefined bytes

  __device__ __forceinline__ bool k_adjacent() const { return k_stride == 1; }
  __device__ __forceinline__ bool in_pieces() const { return pieces != 0; }
  struct Row {
    const T* data = nullptr;
  };
  using Depth = int64_t;  // the offset
  __device__ __forceinline__ Row row(int r) const { return {data + r * row_stride}; }
  __device__ __forceinline__ Depth depth(int64_t k) const { return k * k_stride; }
  __device__ __forceinline__ const T* origin() const { return data; }
  __device__ __forceinline__ const T* address(Row r, Depth k) const { return r.data ? r.data + k : nullptr; }
  __device__ __forceinline__ T at(Row r, Depth k) const { return r.data ? r.data[k] : T{}; }
};
template <class T> struct MatrixBatch {
  Matrix<T> first;
  BatchOffsets offsets;
  __device__ __forceinline__ Matrix<T> select(unsigned z) const {
    return {first.data + offsets.at(z), first.row_stride, first.k_stride, first.pieces};
  }
};

// Neighbours that are written together.
template <class T> struct alignas(2 * sizeof(T)) Two {
  T v[2];
};

// c = activation(alpha sum + beta addend)
template <class T> struct MatrixOutput {
  using Sum = SumOf<T>;
  T* data;
  int64_t row_stride, column_stride;
  const T* addend;  // null: none
  int64_t addend_row_stride, addend_column_stride;
  Sum alpha, beta;
  Activation activation;
  bool pairs = false;  // two neighbours of a row are aligned together

  __device__ __forceinline__ T finish(int row, int column, Sum sum) const {
    sum *= alpha;
    if (addend) sum += beta * convert<Sum>(addend[row * addend_row_stride + column * addend_column_stride]);
    if constexpr (std::is_floating_point_v<Sum>) sum = activate(activation, sum);
    return convert<T>(sum);
  }
  __device__ __forceinline__ void store(int row, int column, Sum sum) const {
    data[row * row_stride + column * column_stride] = finish(row, column, sum);
  }
  __device__ __forceinline__ bool in_pairs() const { return pairs; }
  __device__ __forceinline__ void store_pair(int row, int column, Sum first, Sum second) const {
    const Two<T> two{{finish(row, column, first), finish(row, column + 1, second)}};
    *reinterpret_cast<Two<T>*>(data + row * row_stride + column) = two;
  }
};
template <class T> struct MatrixOutputBatch {
  using Sum = SumOf<T>;
  MatrixOutput<T> first;
  BatchOffsets offsets, addend_offsets;
  __device__ __forceinline__ MatrixOutput<T> select(unsigned z) const {
    MatrixOutput<T> out = first;
    out.data += offsets.at(z);
    if (out.addend) out.addend += addend_offsets.at(z);
    return out;
  }
};

// The sums of two neighbouring columns, of which the second or both may be outside.
template <class Out>
__device__ __forceinline__ void store_two(const Out& out, int row, int column, int columns, float first, float second) {
  if constexpr (requires { out.in_pairs(); })
    if (out.in_pairs() && column + 1 < columns) return out.store_pair(row, column, first, second);
  if (column < columns) out.store(row, column, first);
  if (column + 1 < columns) out.store(row, column + 1, second);
}

// The tiles of a batch of products, one for each block. Neighbouring blocks share a few rows of tiles, so that the
// operands' parts that are in use at a time fit the L2 cache.
struct TileGrid {
  static constexpr unsigned kBand = 8;
  int m, n;
  int64_t k;
  unsigned rows, columns;  // of tiles

  TileGrid(int m_, int n_, int64_t k_, int tile_m, int tile_n)
      : m(m_), n(n_), k(k_), rows((m_ + tile_m - 1u) / tile_m), columns((n_ + tile_n - 1u) / tile_n) {}
  unsigned tiles() const { return rows * columns; }
  struct Place {
    unsigned z, row, column;
  };
  __device__ __forceinline__ Place at(unsigned tile) const {
    const unsigned z = tile / (rows * columns), in_matrix = tile % (rows * columns);
    const unsigned band = in_matrix / (kBand * columns), first = band * kBand, in_band = in_matrix % (kBand * columns);
    const unsigned height = rows - first < kBand ? rows - first : kBand;
    return {z, first + in_band % height, in_band / height};
  }
};

}  // namespace fastdl::cuda
