// Reductions over any set of dimensions of any strided view.
//
// The dimensions are merged where strides allow, and the one with the smallest stride decides the loop: if it is reduced,
// each output is the reduction of runs along it ("rows"); if it is kept, whole rows are added onto a block of outputs
// ("columns"). float32 is reduced in blocks of 1024 elements (rows) or 64 rows (columns), and the blocks' results are
// added in float64, so the error does not grow with the length; float64 and integers go the same way in their own type.
// Memory is read once: bytes = those of the input; one flop an element.
//
// Work is cut by shape: outputs, and where these are few, pieces of the reduced range whose results are combined in order.
#include "cpu/kernels/reductions.h"
#include "cpu/kernels/runs.h"

namespace FASTDL_CPU_NAMESPACE {

namespace {

constexpr int64_t kBlock = 1024;         // elements of a row reduced before widening; columns of a block
constexpr int64_t kRowsPerFold = 64;     // rows added in float before widening
constexpr int64_t kPiece = 1 << 16;      // elements of a task
constexpr int64_t kMaxTasks = 64;        // when reduced columns are cut into pieces of their rows
constexpr int64_t kEnoughTasks = 16;

template <class T> struct Wide {
  using type = double;
};
template <> struct Wide<int64_t> {
  using type = int64_t;
};
template <class T> using wide_t = typename Wide<T>::type;

// --- rows ---

template <class Op, class T>
FASTDL_INLINE wide_t<T> reduce_run(wide_t<T> total, const char* p, DType dtype, int64_t stride, int64_t n) {
  alignas(64) T buffer[kBlock];
  const int64_t bytes = stride * size_of(dtype);
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t m = n - i < kBlock ? n - i : kBlock;
    total =
        Op::combine(total, static_cast<wide_t<T>>(reduce_block<Op>(load_run<T>(p + i * bytes, dtype, stride, m, buffer), m)));
  }
  return total;
}

// --- columns ---

// acc = combination of acc and R rows' places, the next rows on their way into the cache meanwhile.
template <class Op, class T, int R>
FASTDL_INLINE void fold_rows(T* acc, const T* const (&rows)[R], const char* const (&next)[R], int64_t m) {
  using V = compute_vector<T>;
  each_vector<V>(m, [&](int64_t j, int64_t count) {
    V x[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      __builtin_prefetch(next[r] + j * static_cast<int64_t>(sizeof(T)), 0, 2);
      x[r] = Op::map(load_part<V>(rows[r] + j, count));
    }
    for (int w = R / 2; w > 0; w /= 2)
      for (int r = 0; r < w; ++r) x[r] = Op::combine(x[r], x[r + w]);
    store_part<V>(acc + j, Op::combine(load_part<V>(acc + j, count), x[0]), count);
  });
}

// total[0..m) = the rows [begin, end) combined; offset(r) is the place of row r.
template <class Op, class T, class Offset> FASTDL_INLINE void reduce_columns(wide_t<T>* total, const char* base, DType dtype,
                                                                             int64_t stride, int64_t m, int64_t begin,
                                                                             int64_t end, const Offset& offset) {
  constexpr int R = 4;
  alignas(64) T acc[kBlock];
  alignas(64) T buffers[R][kBlock];
  for (int64_t j = 0; j < m; ++j) total[j] = Op::template identity<wide_t<T>>();
  for (int64_t r0 = begin; r0 < end;) {
    const int64_t r1 = Op::rounds && r0 + kRowsPerFold < end ? r0 + kRowsPerFold : end;
    for (int64_t j = 0; j < m; ++j) acc[j] = Op::template identity<T>();
    for (; r0 + R <= r1; r0 += R) {
      const T* rows[R];
      const char* next[R];
      for (int k = 0; k < R; ++k) {
        rows[k] = load_run<T>(base + offset(r0 + k), dtype, stride, m, buffers[k]);
        next[k] = base + offset(r0 + R + k < end ? r0 + R + k : r0 + k);
      }
      fold_rows<Op, T>(acc, rows, next, m);
    }
    for (; r0 < r1; ++r0) {
      const char* const row = base + offset(r0);
      fold_rows<Op, T, 1>(acc, {load_run<T>(row, dtype, stride, m, buffers[0])}, {row}, m);
    }
    for (int64_t j = 0; j < m; ++j) total[j] = Op::combine(total[j], static_cast<wide_t<T>>(acc[j]));
  }
}

// --- the loops ---

struct Dims {  // sizes, strides in bytes of the input and of the output, outermost first
  int n = 0;
  int64_t size[kMaxDims], in[kMaxDims], out[kMaxDims];
  void push(int64_t s, int64_t i, int64_t o) {
    if (n > 0 && in[n - 1] == s * i && out[n - 1] == s * o) {
      size[n - 1] *= s;
      in[n - 1] = i;
      out[n - 1] = o;
    } else {
      size[n] = s;
      in[n] = i;
      out[n++] = o;
    }
  }
  int64_t count() const {
    int64_t c = 1;
    for (int i = 0; i < n; ++i) c *= size[i];
    return c;
  }
  FASTDL_INLINE int64_t in_offset(int64_t index) const {
    if (n == 1) return index * in[0];
    int64_t o = 0;
    for (int i = n - 1; i >= 0; --i) {
      o += index % size[i] * in[i];
      index /= size[i];
    }
    return o;
  }
  FASTDL_INLINE int64_t out_offset(int64_t index) const {
    if (n == 1) return index * out[0];
    int64_t o = 0;
    for (int i = n - 1; i >= 0; --i) {
      o += index % size[i] * out[i];
      index /= size[i];
    }
    return o;
  }
};

template <class T> FASTDL_INLINE void finish(const ReduceArgs& a, char* out, wide_t<T> x) {
  if constexpr (static_cast<T>(0.5) != 0) {
    store_number(out, a.out.dtype, x * a.scale);
  } else {
    if (a.scale == 1.0) store_number(out, a.out.dtype, x);
    else store_number(out, a.out.dtype, static_cast<double>(x) * a.scale);
  }
}

template <class Op, class T> void run(const ReduceArgs& a) {
  using W = wide_t<T>;
  const int64_t in_size = size_of(a.in.dtype), out_size = size_of(a.out.dtype);
  // Outermost first by stride, so that neighbours merge whatever the order of the dimensions.
  int order[kMaxDims], n = 0;
  for (int d = 0; d < a.in.ndim; ++d) {
    if (a.in.shape[d] == 1) continue;
    int k = n++;
    const auto magnitude = [&](int i) { return a.in.strides[i] < 0 ? -a.in.strides[i] : a.in.strides[i]; };
    for (; k > 0 && magnitude(order[k - 1]) < magnitude(d); --k) order[k] = order[k - 1];
    order[k] = d;
  }
  Dims kept, reduced;
  bool inner_reduced = true;
  for (int k = 0; k < n; ++k) {
    const int d = order[k];
    inner_reduced = a.reduced >> d & 1;
    (inner_reduced ? reduced : kept).push(a.in.shape[d], a.in.strides[d] * in_size, a.out.strides[d] * out_size);
  }
  const char* in = static_cast<const char*>(a.in.data);
  char* out = static_cast<char*>(a.out.data);

  if (inner_reduced) {
    const int64_t run_length = reduced.n ? reduced.size[reduced.n - 1] : 1;
    const int64_t stride = reduced.n ? reduced.in[reduced.n - 1] / in_size : 1;
    Dims outer = reduced;
    if (outer.n) --outer.n;
    const int64_t runs = outer.count(), outputs = kept.count(), length = runs * run_length;
    const auto reduce_pieces = [&](const char* base, int64_t begin, int64_t end) {
      W total = Op::template identity<W>();
      for (int64_t at = begin; at < end;) {  // elements of the reduced range, in order
        const int64_t r = at / run_length, from = at % run_length;
        const int64_t m = run_length - from < end - at ? run_length - from : end - at;
        total = reduce_run<Op, T>(total, base + outer.in_offset(r) + from * stride * in_size, a.in.dtype, stride, m);
        at += m;
      }
      return total;
    };
    const int64_t pieces = outputs < kEnoughTasks ? (length + kPiece - 1) / kPiece : 1;
    if (pieces > 1) {
      W* partial = static_cast<W*>(scratch(0, static_cast<size_t>(outputs * pieces) * sizeof(W)));
      parallel_tasks(outputs * pieces, [&](int64_t t) {
        const int64_t begin = t % pieces * kPiece, end = begin + kPiece < length ? begin + kPiece : length;
        partial[t] = reduce_pieces(in + kept.in_offset(t / pieces), begin, end);
      });
      for (int64_t o = 0; o < outputs; ++o) {
        W total = partial[o * pieces];
        for (int64_t p = 1; p < pieces; ++p) total = Op::combine(total, partial[o * pieces + p]);
        finish<T>(a, out + kept.out_offset(o), total);
      }
      return;
    }
    parallel_for(outputs, 1 + kPiece / (length > 0 ? length : 1), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o)
        finish<T>(a, out + kept.out_offset(o), reduce_pieces(in + kept.in_offset(o), 0, length));
    });
    return;
  }

  const int64_t columns = kept.size[kept.n - 1], stride = kept.in[kept.n - 1] / in_size, out_stride = kept.out[kept.n - 1];
  Dims outer = kept;
  --outer.n;
  const int64_t blocks = (columns + kBlock - 1) / kBlock, outputs = outer.count() * blocks, rows = reduced.count();
  const int64_t width = columns < kBlock ? columns : kBlock;
  int64_t pieces = outputs < kEnoughTasks ? rows * width / kPiece : 1;
  if (pieces > kMaxTasks / outputs) pieces = kMaxTasks / outputs;
  if (pieces < 1) pieces = 1;
  const int64_t piece_rows = (rows + pieces - 1) / pieces;
  const auto offset = [&](int64_t r) { return reduced.in_offset(r); };
  const auto block_base = [&](int64_t t) { return in + outer.in_offset(t / blocks) + t % blocks * kBlock * stride * in_size; };
  const auto block_width = [&](int64_t t) {
    const int64_t left = columns - t % blocks * kBlock;
    return left < kBlock ? left : kBlock;
  };
  const auto write = [&](int64_t t, const W* total) {
    char* to = out + outer.out_offset(t / blocks) + t % blocks * kBlock * out_stride;
    for (int64_t j = 0, m = block_width(t); j < m; ++j) finish<T>(a, to + j * out_stride, total[j]);
  };
  if (pieces > 1) {
    W* partial = static_cast<W*>(scratch(0, static_cast<size_t>(outputs * pieces * width) * sizeof(W)));
    parallel_tasks(outputs * pieces, [&](int64_t k) {
      const int64_t t = k / pieces, begin = k % pieces * piece_rows,
                    end = begin + piece_rows < rows ? begin + piece_rows : rows;
      reduce_columns<Op, T>(partial + k * width, block_base(t), a.in.dtype, stride, block_width(t), begin, end, offset);
    });
    for (int64_t t = 0; t < outputs; ++t) {
      W* total = partial + t * pieces * width;
      for (int64_t p = 1; p < pieces; ++p)
        for (int64_t j = 0, m = block_width(t); j < m; ++j) total[j] = Op::combine(total[j], total[p * width + j]);
      write(t, total);
    }
    return;
  }
  parallel_for(outputs, 1 + kPiece / (rows * width + 1), [&](int64_t begin, int64_t end) {
    alignas(64) W total[kBlock];
    for (int64_t t = begin; t < end; ++t) {
      reduce_columns<Op, T>(total, block_base(t), a.in.dtype, stride, block_width(t), 0, rows, offset);
      write(t, total);
    }
  });
}

template <class Op> void for_type(const ReduceArgs& a) {
  if (a.in.dtype == DType::f64) run<Op, double>(a);
  else if (is_floating(a.in.dtype)) run<Op, float>(a);
  else run<Op, int64_t>(a);
}

}  // namespace

void reduce(const Context&, const ReduceArgs& a) {
  switch (a.op) {
    case ReduceOp::sum: return for_type<Sum>(a);
    case ReduceOp::sum_abs: return for_type<SumAbs>(a);
    case ReduceOp::sum_squares: return for_type<SumSquares>(a);
    case ReduceOp::prod: return for_type<Prod>(a);
    case ReduceOp::max: return for_type<Max>(a);
    case ReduceOp::min: return for_type<Min>(a);
    case ReduceOp::any: return for_type<Any>(a);
    case ReduceOp::all: return for_type<All>(a);
  }
}

}  // namespace FASTDL_CPU_NAMESPACE
