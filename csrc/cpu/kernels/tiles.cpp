// The walk over tiles (see tiles.h). Bytes: each operand once; a buffered tile costs one more pass through L1.
//
// A tile is a box of `rows` x `cols` of the two innermost dimensions: part of one row where rows are long, several rows
// where they are short, and 32 x 32 where an operand runs along another dimension than the output does (a transposed
// one), so that its cache lines are used whole. An output much larger than the caches is written with non-temporal
// stores: they save reading the lines that will be overwritten.
#include "cpu/kernels/tiles.h"

#include "cpu/simd/rows.h"

namespace FASTDL_CPU_NAMESPACE {

namespace {

constexpr int kMaxOperands = kMaxInputs + 1;     // operand 0 is the output
constexpr int64_t kDirectElements = 1 << 14;     // of a tile in which no operand needs a buffer
constexpr int64_t kLongRow = 256;                // rows from here on are cut, shorter ones put together
constexpr int64_t kBlock = 32;                   // edge of a tile with a transposed operand

struct Operand {
  char* data;
  int64_t size;        // bytes of an element
  ConvertFn convert;   // null: the element type is the function's own
  bool constant;       // one element for all
  int64_t strides[kMaxDims];
};

struct Loop {
  int operands;
  int ndim;  // >= 1
  int64_t shape[kMaxDims];
  Operand operand[kMaxOperands];

  int64_t rows() const { return ndim > 1 ? shape[ndim - 2] : 1; }
  int64_t cols() const { return shape[ndim - 1]; }
  int64_t row_stride(int o) const { return ndim > 1 ? operand[o].strides[ndim - 2] : 0; }
  int64_t col_stride(int o) const { return operand[o].strides[ndim - 1]; }
  void swap_dims(int i, int j) {
    const int64_t n = shape[i];
    shape[i] = shape[j];
    shape[j] = n;
    for (int o = 0; o < operands; ++o) {
      const int64_t s = operand[o].strides[i];
      operand[o].strides[i] = operand[o].strides[j];
      operand[o].strides[j] = s;
    }
  }
};

FASTDL_INLINE int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

void add_operand(Loop& loop, const View& v, ConvertFn convert) {
  Operand& o = loop.operand[loop.operands++];
  o.data = static_cast<char*>(v.data);
  o.size = size_of(v.dtype);
  o.convert = convert;
}

// Takes over the views' dimensions without those of size 1, ordered by the output's strides, and merges neighbours that
// are one dimension for every operand.
void set_dims(Loop& loop, const View* const* views) {
  const View& out = *views[0];
  loop.ndim = 0;
  for (int d = 0; d < out.ndim; ++d) {
    if (out.shape[d] == 1) continue;
    loop.shape[loop.ndim] = out.shape[d];
    for (int o = 0; o < loop.operands; ++o) loop.operand[o].strides[loop.ndim] = views[o]->strides[d];
    for (int i = loop.ndim++; i > 0; --i) {
      if (magnitude(loop.operand[0].strides[i - 1]) >= magnitude(loop.operand[0].strides[i])) break;
      loop.swap_dims(i - 1, i);
    }
  }
  int kept = 0;
  for (int d = 1; d < loop.ndim; ++d) {
    bool mergeable = true;
    for (int o = 0; o < loop.operands; ++o)
      mergeable &= loop.operand[o].strides[kept] == loop.operand[o].strides[d] * loop.shape[d];
    if (mergeable) loop.shape[kept] *= loop.shape[d];
    else loop.shape[++kept] = loop.shape[d];
    for (int o = 0; o < loop.operands; ++o) loop.operand[o].strides[kept] = loop.operand[o].strides[d];
  }
  if (loop.ndim == 0) {
    loop.shape[0] = 1;
    for (int o = 0; o < loop.operands; ++o) loop.operand[o].strides[0] = 1;
  }
  loop.ndim = kept + 1;
  for (int o = 0; o < loop.operands; ++o) {
    loop.operand[o].constant = true;
    for (int d = 0; d < loop.ndim; ++d) loop.operand[o].constant &= loop.operand[o].strides[d] == 0;
  }
}

// A dimension along which an operand is contiguous while it is not along the innermost one; -1 without one.
int transposed_dim(const Loop& loop) {
  for (int o = 1; o < loop.operands; ++o) {
    if (magnitude(loop.col_stride(o)) <= 1) continue;
    for (int d = loop.ndim - 2; d >= 0; --d)
      if (loop.operand[o].strides[d] == 1 && loop.shape[d] >= 8) return d;
  }
  return -1;
}

struct Tiling {
  int64_t rows, cols;          // of a tile
  int64_t row_tiles, col_tiles;
  int64_t count;
  bool direct[kMaxOperands];   // the operand's tiles are used where they lie
  bool transposed;
  bool stream;                 // the output's tiles are written past the caches
};

// Whether the output is written past the caches: it is large, none of the inputs, and its tiles are whole vectors.
bool streams(const Loop& loop, int64_t total) {
  const Operand& out = loop.operand[0];
  if (total * out.size < kStreamBytes || out.convert || loop.col_stride(0) != 1) return false;
  if (reinterpret_cast<uintptr_t>(out.data) % FASTDL_VECTOR_BYTES != 0) return false;
  for (int d = 0; d + 1 < loop.ndim; ++d)
    if (out.strides[d] * out.size % FASTDL_VECTOR_BYTES != 0) return false;
  for (int o = 1; o < loop.operands; ++o)
    if (loop.operand[o].data == out.data) return false;
  return true;
}

Tiling plan_tiling(Loop& loop) {
  Tiling t;
  int64_t total = 1;
  for (int d = 0; d < loop.ndim; ++d) total *= loop.shape[d];
  const int transposed = loop.ndim > 1 ? transposed_dim(loop) : -1;
  t.transposed = transposed >= 0;
  t.stream = false;
  if (t.transposed) {
    if (transposed != loop.ndim - 2) loop.swap_dims(transposed, loop.ndim - 2);
    t.rows = kBlock;
    t.cols = kBlock;
  } else if (loop.ndim == 1 || loop.cols() >= kLongRow) {
    t.rows = 1;
    bool all_direct = true;
    for (int o = 0; o < loop.operands; ++o) all_direct &= !loop.operand[o].convert && loop.col_stride(o) == 1;
    t.stream = streams(loop, total);
    t.cols = all_direct ? kDirectElements : kTileElements;
  } else {
    t.cols = loop.cols();
    t.rows = kTileElements / t.cols;
  }
  if (t.cols > loop.cols()) t.cols = loop.cols();
  if (t.rows > loop.rows()) t.rows = loop.rows();
  for (int o = 0; o < loop.operands; ++o)
    t.direct[o] = !loop.operand[o].convert && loop.col_stride(o) == 1 &&
                  (t.rows == 1 || (t.cols == loop.cols() && loop.row_stride(o) == t.cols));
  t.row_tiles = (loop.rows() + t.rows - 1) / t.rows;
  t.col_tiles = (loop.cols() + t.cols - 1) / t.cols;
  t.count = t.row_tiles * t.col_tiles;
  for (int d = 0; d + 2 < loop.ndim; ++d) t.count *= loop.shape[d];
  return t;
}

struct Work {
  const TileJob& job;
  const Loop& loop;
  const Tiling& tiling;
  ConvertFn move;  // of the output's own type
};

// The next tile of a transposed operand: lines too far apart for the hardware to foresee.
void prefetch_columns(const char* data, int64_t stride, int64_t cols, int64_t bytes) {
  for (int64_t c = 0; c < cols; ++c)
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(data + c * stride + i, 0, 2);
}

// A copy past the caches; dst is aligned to the vector's size.
void stream_copy(void* dst, const void* src, int64_t bytes) {
  float* d = static_cast<float*>(dst);
  const float* s = static_cast<const float*>(src);
  int64_t i = 0;
  for (; (i + kF32) * 4 <= bytes; i += kF32) store_stream(d + i, load<vf32>(s + i));
  __builtin_memcpy(d + i, s + i, static_cast<size_t>(bytes - i * 4));
}

void run_tile_range(const Work& w, int64_t begin, int64_t end) {
  alignas(64) char buffers[kMaxOperands][kTileElements * 8];
  bool filled[kMaxOperands] = {};
  const Loop& loop = w.loop;
  const Tiling& t = w.tiling;
  const TileJob& job = w.job;

  for (int64_t tile = begin; tile < end; ++tile) {
    int64_t index = tile;
    int64_t offset[kMaxOperands] = {};
    int64_t rows = t.rows, cols = t.cols;
    if (t.count > 1) {
      const int64_t col0 = index % t.col_tiles * t.cols;
      index /= t.col_tiles;
      const int64_t row0 = index % t.row_tiles * t.rows;
      index /= t.row_tiles;
      for (int o = 0; o < loop.operands; ++o) offset[o] = col0 * loop.col_stride(o) + row0 * loop.row_stride(o);
      for (int d = loop.ndim - 3; d >= 0; --d) {
        const int64_t i = index % loop.shape[d];
        index /= loop.shape[d];
        for (int o = 0; o < loop.operands; ++o) offset[o] += i * loop.operand[o].strides[d];
      }
      if (cols > loop.cols() - col0) cols = loop.cols() - col0;
      if (rows > loop.rows() - row0) rows = loop.rows() - row0;
    }

    const Operand& out = loop.operand[0];
    char* const result = out.data + offset[0] * out.size;

    const bool streamed_copy = t.stream && t.direct[1];
    if (!job.fn && !out.convert && !t.transposed && !streamed_copy) {  // a copy, in one pass
      const Operand& x = loop.operand[1];
      const ConvertFn load = x.convert ? x.convert : w.move;
      load(result, x.data + offset[1] * x.size,
           Box{rows, cols, loop.row_stride(0), loop.col_stride(0), loop.row_stride(1), loop.col_stride(1)});
      continue;
    }

    const void* in[kMaxInputs] = {};
    for (int o = 1; o < loop.operands; ++o) {
      const Operand& x = loop.operand[o];
      const char* data = x.data + offset[o] * x.size;
      in[o - 1] = data;
      if (t.direct[o]) continue;
      in[o - 1] = buffers[o];
      if (x.constant && filled[o]) continue;
      filled[o] = true;
      if (t.transposed && loop.row_stride(o) == 1) {
        const int64_t stride = loop.col_stride(o) * x.size;
        prefetch_columns(data + cols * stride, stride, cols, rows * x.size);
      }
      const ConvertFn load = x.convert ? x.convert : converter(job.compute, job.compute);
      const bool whole = x.constant;  // later tiles may be larger than this one
      load(buffers[o], data,
           Box{whole ? 1 : rows, whole ? t.rows * t.cols : cols, cols, 1, loop.row_stride(o), loop.col_stride(o)});
    }

    const void* values = in[0];
    if (job.fn) {
      void* const target = t.direct[0] ? result : buffers[0];
      job.fn(target, in, rows * cols, job.params, t.stream);
      values = target;
    }
    if (values == result) continue;
    if (streamed_copy) {
      stream_copy(result, values, cols * out.size);
    } else {
      const ConvertFn store = out.convert ? out.convert : w.move;
      store(result, values, Box{rows, cols, loop.row_stride(0), loop.col_stride(0), cols, 1});
    }
  }
  if (t.stream) stream_fence();
}

}  // namespace

void run_tiles(const TileJob& job) {
  const View* views[kMaxOperands] = {job.out};
  Loop loop;
  loop.operands = 0;
  add_operand(loop, *job.out, job.out->dtype == job.result ? nullptr : converter(job.out->dtype, job.result));
  for (int i = 0; i < job.inputs; ++i) {
    const View& v = *job.in[i];
    views[i + 1] = &v;
    add_operand(loop, v, v.dtype == job.compute ? nullptr : converter(job.compute, v.dtype));
  }
  for (int d = 0; d < job.out->ndim; ++d)
    if (job.out->shape[d] == 0) return;
  set_dims(loop, views);
  const Tiling tiling = plan_tiling(loop);
  const Work work{job, loop, tiling, converter(job.out->dtype, job.out->dtype)};
  int64_t bytes = 0;
  for (int o = 0; o < loop.operands; ++o) bytes += loop.operand[o].size;
  parallel_for(tiling.count, grain_for(bytes * tiling.rows * tiling.cols),
               [&](int64_t begin, int64_t end) { run_tile_range(work, begin, end); });
}

}  // namespace FASTDL_CPU_NAMESPACE
