// Copies between any dtypes and strides, fills, ranges.
//
// Between equal dtypes elements are moved as words, as wide as shapes, strides and addresses allow (up to 16 bytes); a
// conversion is the elementwise walk without a function, computed in the source's type. Where the source runs along
// another dimension than the output does (a transposition), 32 x 32 tiles go through shared memory, so that reads and
// writes are both of whole lines. Bytes: one read, one write of every element.
#include "cuda/kernels/elementwise.h"
#include "kernels/elementwise.h"

namespace fastdl::cuda {
namespace {

// --- device functions ---

template <class T> struct Identity : ElementwiseFunction<T, 1, int> {
  template <int M> __device__ __forceinline__ void operator()(int, T (&)[1][M]) const {}
};

constexpr int kTile = 32, kTileRows = 8;  // a block is kTile x kTileRows threads
template <class T> struct TransposeShared {
  T tile[kTile][kTile + 1];
};

struct TransposeJob {
  char *out, *in;
  int64_t rows, cols;                // the output's rows have adjacent elements, the input's columns
  int64_t out_row_stride, in_col_stride;
  Strided<2> outer;                  // tiles of a plane, then the other dimensions
  uint32_t row_tiles, col_tiles, tiles;
  int16_t out_dtype, in_dtype;
};

// --- kernels ---

// out[r][c] = in[c][r] of one plane after another; a block takes tiles until there are none.
template <class T> __global__ void __launch_bounds__(kTile* kTileRows) transpose(const __grid_constant__ TransposeJob job) {
  FASTDL_SHARED(TransposeShared<T>, shared);
  for (uint32_t t = blockIdx.x; t < job.tiles; t += gridDim.x) {
    const uint32_t plane = t / (job.row_tiles * job.col_tiles), at = t % (job.row_tiles * job.col_tiles);
    const int64_t row0 = int64_t{at / job.col_tiles} * kTile, col0 = int64_t{at % job.col_tiles} * kTile;
    int64_t offset[2];
    job.outer.offsets(plane, offset);
    for_storage<T>(static_cast<DType>(job.in_dtype), [&]<class S>() {
      const S* in = reinterpret_cast<const S*>(job.in) + offset[1];
      const int64_t row = row0 + threadIdx.x;
#pragma unroll
      for (int i = 0; i < kTile; i += kTileRows) {
        const int64_t col = col0 + threadIdx.y + i;
        if (row < job.rows && col < job.cols)
          shared.tile[threadIdx.y + i][threadIdx.x] = convert<T>(in[col * job.in_col_stride + row]);
      }
    });
    __syncthreads();
    for_storage<T>(static_cast<DType>(job.out_dtype), [&]<class S>() {
      S* out = reinterpret_cast<S*>(job.out) + offset[0];
      const int64_t col = col0 + threadIdx.x;
#pragma unroll
      for (int i = 0; i < kTile; i += kTileRows) {
        const int64_t row = row0 + threadIdx.y + i;
        if (row < job.rows && col < job.cols)
          out[row * job.out_row_stride + col] = convert<S>(shared.tile[threadIdx.x][threadIdx.y + i]);
      }
    });
    __syncthreads();
  }
}

// out[i] = start + i step
template <class T> __global__ void __launch_bounds__(kElementwiseBlock)
    range(void* out, DType dtype, int64_t n, T start, T step) {
  for (int64_t i = int64_t{blockIdx.x} * kElementwiseBlock + threadIdx.x; i < n; i += int64_t{gridDim.x} * kElementwiseBlock)
    store_element(out, dtype, i, start + static_cast<T>(i) * step);
}

// --- plans ---

// The dimension along which the input is contiguous while the output is so along the innermost one; 0 without one.
int transposed_dim(const Dims<2>& dims) {
  if (dims.ndim < 2 || dims.stride[0][0] != 1 || dims.stride[0][1] <= 1 || dims.size[0] < 8) return 0;
  for (int d = 1; d < dims.ndim; ++d)
    if (dims.stride[d][1] == 1 && dims.size[d] >= 8) return d;
  return 0;
}

template <class T> void run_transpose(const Context& context, const View& out, const View& x, const Dims<2>& dims, int along) {
  const auto tiles = [](int64_t n) { return (n + kTile - 1) / kTile; };
  Dims<2> outer;
  for (int d = 1; d < dims.ndim; ++d)
    if (d != along) outer.push_outer(dims.size[d], dims.stride[d]);
  TransposeJob job{out.as<char>(),
                   x.as<char>(),
                   dims.size[along],
                   dims.size[0],
                   dims.stride[along][0],
                   dims.stride[0][1],
                   Strided<2>(outer),
                   static_cast<uint32_t>(tiles(dims.size[along])),
                   static_cast<uint32_t>(tiles(dims.size[0])),
                   0,
                   static_cast<int16_t>(out.dtype),
                   static_cast<int16_t>(x.dtype)};
  const int64_t plane = int64_t{job.row_tiles} * job.col_tiles;
  for_parts(
      outer,
      [&](const Dims<2>& part, const int64_t(&offset)[2]) {
        job.outer = Strided<2>(part);
        job.out = out.as<char>() + offset[0] * size_of(out.dtype);
        job.in = x.as<char>() + offset[1] * size_of(x.dtype);
        job.tiles = static_cast<uint32_t>(part.count() * plane);
        launch(transpose<T>,
               {blocks_for(job.tiles, 1, 16 * multiprocessors(context)), dim3(kTile, kTileRows), sizeof(TransposeShared<T>)},
               context, job);
      },
      (int64_t{1} << 30) / plane);
}

// f.template operator()<Word>() for words of that many bytes.
template <class F> void for_word(int64_t bytes, const F& f) {
  if (bytes == 16) f.template operator()<uint4>();
  else for_size(bytes, f);
}

// The widest words in which operands of `dims` can be moved; makes dims count them. An operand without data is constant.
template <int N> int64_t widen(Dims<N>& dims, const void* const (&data)[N], int64_t element) {
  if (dims.ndim == 0) return element;
  for (int o = 0; o < N; ++o)
    if (data[o] && dims.stride[0][o] != 1) return element;
  int64_t word = 16;
  for (; word > element; word /= 2) {
    const int64_t per = word / element;
    bool whole = dims.size[0] % per == 0;
    for (int o = 0; o < N; ++o) {
      if (!data[o]) continue;
      whole &= reinterpret_cast<uintptr_t>(data[o]) % static_cast<uint64_t>(word) == 0;
      for (int d = 1; d < dims.ndim; ++d) whole &= dims.stride[d][o] % per == 0;
    }
    if (!whole) continue;
    dims.size[0] /= per;
    for (int d = 1; d < dims.ndim; ++d)
      for (int o = 0; o < N; ++o) dims.stride[d][o] /= per;
    break;
  }
  return word;
}

}  // namespace

// --- launchers ---

void copy(const Context& context, const CopyArgs& a) {
  if (a.out.numel() == 0) return;
  Dims<2> dims = merged_dims<2>({&a.out, &a.x});
  const int along = a.x.host ? 0 : transposed_dim(dims);
  const int64_t element = size_of(a.x.dtype);
  if (a.out.dtype != a.x.dtype || a.x.host) {
    for_compute(a.x.dtype, [&]<class T>() {
      if (along) return run_transpose<T>(context, a.out, a.x, dims, along);
      run_elementwise(context, 0, Identity<T>(), {&a.out, &a.x});
    });
    return;
  }
  if (along) {
    for_word(element, [&]<class T>() { run_transpose<T>(context, a.out, a.x, dims, along); });
    return;
  }
  const int64_t word = widen(dims, {a.out.data, a.x.data}, element);
  for_word(word, [&]<class T>() {
    const Operand operands[] = {{a.out.as<char>(), {}, 0, 0}, {a.x.as<char>(), {}, 0, 0}};
    run_elementwise(context, 0, Identity<T>(), dims, operands, {word, word});
  });
}

void fill(const Context& context, const FillArgs& a) {
  alignas(16) char pattern[16];  // the value in the output's dtype, again and again
  const int64_t element = size_of(a.out.dtype);
  for (int64_t i = 0; i < 16 / element; ++i) {
    if (a.type == DType::f64) store_element(pattern, a.out.dtype, i, a.floating);
    else store_element(pattern, a.out.dtype, i, a.integer);
  }
  View value = a.out;
  for (int64_t& stride : value.strides) stride = 0;
  Dims<2> dims = merged_dims<2>({&a.out, &value});
  const int64_t word = widen(dims, {a.out.data, nullptr}, element);
  for_word(word, [&]<class T>() {
    Operand operands[] = {{a.out.as<char>(), {}, 0, 0}, {}};
    operands[1].set_value(*reinterpret_cast<const T*>(pattern));
    run_elementwise(context, 0, Identity<T>(), dims, operands, {word, word});
  });
}

void arange(const Context& context, const ArangeArgs& a) {
  const int64_t n = a.out.numel();
  if (n == 0) return;
  const LaunchShape shape{blocks_for(n, kElementwiseBlock, 16 * multiprocessors(context)), kElementwiseBlock};
  if (a.type == DType::f64) launch(range<double>, shape, context, a.out.data, a.out.dtype, n, a.start, a.step);
  else launch(range<int64_t>, shape, context, a.out.data, a.out.dtype, n, a.integer_start, a.integer_step);
}

}  // namespace fastdl::cuda
