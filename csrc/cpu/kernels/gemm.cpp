// Matrix product in the BLIS manner: K is cut into blocks of kBlocking.k; for each, panels of A and B are packed once
// (in parallel, shared by all threads), then tiles of C are computed from them (in parallel). A task is a rectangle of
// tiles of C; its panels of A stay in L2 while those of B pass by. Operands that a tile can read in place at full speed
// are not packed: small matrices, and those that are used too few times to repay a copy.
// 2 M N K FLOP; reads A and B once to pack them, C once per block of K.
// (Van Zee and van de Geijn, "BLIS: a framework for rapidly instantiating BLAS functionality", 2015.)
#include "cpu/gemm/gemm.h"

#include "cpu/gemm/few_rows.h"
#include "cpu/gemm/inner.h"
#include "cpu/gemm/pack.h"
#include "cpu/gemm/tile.h"
#include "cpu/simd/activation.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int64_t kPackedBytes = 4 << 20;       // scratch for the panels of one operand
constexpr int64_t kAccumulatorBytes = 4 << 20;  // float32 sums of a 16-bit C
constexpr int64_t kPackTaskElements = 1 << 13;  // one or two microseconds
constexpr int64_t kTaskFlops = 500'000;         // a product below twice this, some 10 us, stays on one thread
constexpr int64_t kInPlaceBytes = 1 << 18;      // an operand that is read from L2 as it is

FASTDL_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
FASTDL_INLINE int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
FASTDL_INLINE int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }

// [0, total) in `count` parts whose sizes differ by one at most.
struct Parts {
  int64_t total, count;
  FASTDL_INLINE int64_t begin(int64_t i) const { return i * total / count; }
  FASTDL_INLINE int64_t size(int64_t i) const { return begin(i + 1) - begin(i); }
};
FASTDL_INLINE Parts parts_of_at_most(int64_t total, int64_t size) { return {total, at_least(1, ceil_div(total, size))}; }

// The tiles of a matrix: rows of balanced heights, columns of full panels and one rest; and the blocks of K, which is
// counted in what panels are made of: numbers or pairs.
template <class P> constexpr int kPerStep = __is_same(P, bf16_pair) ? 2 : 1;
FASTDL_INLINE Parts row_tiles(int64_t m) { return parts_of_at_most(m, kTileRows); }
template <class P> FASTDL_INLINE int64_t column_tiles(int64_t n) { return ceil_div(n, kTileCols<P>); }
template <class P> FASTDL_INLINE Parts k_blocks(int64_t k) { return parts_of_at_most(ceil_div(k, kPerStep<P>), kBlocking.k); }

template <class P> void pack_row_tiles(const GemmOperand<sum_of<P>>& a, const Parts& rows, int64_t total_k, int64_t first,
                                       int64_t count, int64_t k0, int64_t k, P* out) {
  const int64_t grain = at_least(1, kPackTaskElements / (kTileRows * at_least(k, 1)));
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      pack_panel<kTileRows>(a, total_k, rows.begin(first + i), static_cast<int>(rows.size(first + i)), k0, k,
                            out + i * kTileRows * k);
  });
}
template <class P> void pack_column_tiles(const GemmOperand<sum_of<P>>& b, int64_t n, int64_t total_k, int64_t first,
                                          int64_t count, int64_t k0, int64_t k, P* out) {
  constexpr int kCols = kTileCols<P>;
  constexpr int64_t kRowsTogether = 8;  // adjacent columns: rows are read in longer runs than a panel is wide
  const int64_t steps = b.stride == 1 && !b.pack ? kRowsTogether : at_least(k, 1);
  const int64_t grain = at_least(1, kPackTaskElements / (kCols * at_least(k, 1)));
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t p = 0; p < k; p += steps)
      for (int64_t i = begin; i < end; ++i) {
        const int64_t column = (first + i) * kCols;
        pack_panel<kCols>(b, total_k, column, static_cast<int>(at_most(kCols, n - column)), k0 + p, at_most(steps, k - p),
                          out + (i * k + p) * kCols);
      }
  });
}

// c = activation(alpha * sums + beta * addend) for a tile whose sums are in cache.
template <Activation A, class T, class S>
void finish_rows(const T* sums, int64_t sums_row, S* c, int64_t c_row, int rows, int cols) {
  using V = compute_vector<T>;
  constexpr int L = lanes<V>;
  for (int i = 0; i < rows; ++i, sums += sums_row, c += c_row) {
    int j = 0;
    for (; j + L <= cols; j += L) store_as<V>(c + j, activate<A>(load<V>(sums + j)));
    if (j < cols) store_as_n<V>(c + j, activate<A>(load_n<V>(sums + j, cols - j)), cols - j);
  }
}
template <class T, class S>
void finish(Activation activation, const T* sums, int64_t sums_row, S* c, int64_t c_row, int rows, int cols) {
  switch (activation) {
    case Activation::none: return finish_rows<Activation::none>(sums, sums_row, c, c_row, rows, cols);
    case Activation::relu: return finish_rows<Activation::relu>(sums, sums_row, c, c_row, rows, cols);
    case Activation::gelu: return finish_rows<Activation::gelu>(sums, sums_row, c, c_row, rows, cols);
    case Activation::gelu_tanh: return finish_rows<Activation::gelu_tanh>(sums, sums_row, c, c_row, rows, cols);
    case Activation::silu: return finish_rows<Activation::silu>(sums, sums_row, c, c_row, rows, cols);
    case Activation::tanh: return finish_rows<Activation::tanh>(sums, sums_row, c, c_row, rows, cols);
    case Activation::sigmoid: return finish_rows<Activation::sigmoid>(sums, sums_row, c, c_row, rows, cols);
  }
}

// One product, as the compute tasks see it while a block of K is worked on.
template <class P> struct Block {
  using T = sum_of<P>;
  const Gemm<T>& g;
  Parts rows;               // all row tiles of C
  int64_t k0, k;            // this block of K
  bool first, last;         // among the blocks of K
  int64_t row0, column0;    // first tile of the packed panels
  const P* a_panels;        // null: A is read in place
  const P* b_panels;        // null: B is read in place, but for a last tile of less than full width,
  const P* b_rest;          // which is packed here
  bool packs_columns;       // b_panels come from the task that uses them
  T* sums;                  // where C's sums stay until the last block of K; null: in C itself
  int64_t sums_row, sums_row0, sums_column0;
};

// A tile of C: multiplies, then converts and activates while the tile is in L1.
template <class P, class S> FASTDL_INLINE void compute_tile(const Block<P>& block, int64_t i, int64_t j) {
  using T = sum_of<P>;
  constexpr int kCols = kTileCols<P>;
  constexpr bool kConverts = sizeof(S) != sizeof(T);
  const Gemm<T>& g = block.g;
  const int64_t row = block.rows.begin(i), column = j * kCols;
  const int rows = static_cast<int>(block.rows.size(i)), cols = static_cast<int>(at_most(kCols, g.n - column));
  S* c = static_cast<S*>(g.c) + row * g.c_stride + column;
  alignas(64) T buffer[kConverts ? kTileRows * kCols : 1];

  TileArgs<P> t;
  t.k = block.k;
  if (block.a_panels) {
    t.a = block.a_panels + (i - block.row0) * kTileRows * block.k;
    t.a_row = 1;
    t.a_k = kTileRows;
  } else {
    t.a = static_cast<const P*>(g.a.data) + row * g.a.stride + block.k0 * g.a.k_stride;
    t.a_row = g.a.stride;
    t.a_k = g.a.k_stride;
  }
  if (block.b_panels) {
    t.b = block.b_panels + (j - block.column0) * kCols * block.k;
    t.b_k = kCols;
  } else if (cols < kCols) {
    t.b = block.b_rest;
    t.b_k = kCols;
  } else {
    t.b = static_cast<const P*>(g.b.data) + column + block.k0 * g.b.k_stride;
    t.b_k = g.b.k_stride;
  }
  if (block.sums) {
    t.c = block.sums + (row - block.sums_row0) * block.sums_row + (column - block.sums_column0);
    t.c_row = block.sums_row;
  } else if constexpr (kConverts) {
    t.c = buffer;
    t.c_row = kCols;
  } else {
    t.c = c;
    t.c_row = g.c_stride;
  }
  t.cols = cols;
  t.alpha = g.alpha;
  if (!block.first) {
    t.beta = 1;
    t.addend = t.c;
    t.addend_row = t.c_row;
    t.addend_col = 1;
  } else if (g.addend) {
    const S* addend = static_cast<const S*>(g.addend) + row * g.addend_row_stride + column * g.addend_col_stride;
    t.beta = g.beta;
    if constexpr (kConverts) {
      for (int y = 0; y < rows; ++y)
        for (int x = 0; x < cols; ++x)
          buffer[y * kCols + x] = to_compute(addend[y * g.addend_row_stride + x * g.addend_col_stride]);
      t.addend = buffer;
      t.addend_row = kCols;
      t.addend_col = 1;
    } else {
      t.addend = addend;
      t.addend_row = g.addend_row_stride;
      t.addend_col = g.addend_col_stride;
    }
  } else {
    t.addend = nullptr;
  }
  choose_tile<P>(rows, cols, t.a_row == 1)(t);
  if (block.last && (kConverts || g.activation != Activation::none))
    finish<T, S>(g.activation, t.c, t.c_row, c, g.c_stride, rows, cols);
}

// The tiles [row0, row0 + row_count) x [column0, column0 + column_count).
template <class P, class S>
void compute(const Block<P>& block, int64_t row0, int64_t row_count, int64_t column0, int64_t column_count) {
  // A task takes up to 16 x 8 tiles, fewer where that makes too few tasks; neighbours share their panels of A.
  const double flops = 2.0 * static_cast<double>(block.k) * kPerStep<P> * kTileRows * kTileCols<P>;
  int64_t task_rows = at_most(16, row_count), task_columns = at_most(block.packs_columns ? 4 : 8, column_count);
  const auto tasks = [&] { return ceil_div(row_count, task_rows) * ceil_div(column_count, task_columns); };
  while (tasks() < 16 && flops * static_cast<double>(task_rows * task_columns) > 2 * kTaskFlops) {
    if (!block.packs_columns && task_rows * kTileRows >= task_columns * kTileCols<P> && task_rows > 1)
      task_rows = ceil_div(task_rows, 2);
    else if (task_columns > 1) task_columns = ceil_div(task_columns, 2);
    else break;
  }
  const Parts down = parts_of_at_most(row_count, task_rows), across = parts_of_at_most(column_count, task_columns);
  const auto run_task = [&](int64_t task) {
    const int64_t y = task / across.count, x = task % across.count;
    Block<P> own = block;
    if (block.packs_columns) {
      const size_t elements = static_cast<size_t>(across.size(x) * kTileCols<P> * block.k);
      P* panels = static_cast<P*>(scratch(kGemmScratch + 1, elements * sizeof(P)));
      own.column0 = column0 + across.begin(x);
      pack_column_tiles(block.g.b, block.g.n, block.g.k, own.column0, across.size(x), block.k0, block.k, panels);
      own.b_panels = panels;
    }
    for (int64_t i = down.begin(y); i < down.begin(y + 1); ++i)
      for (int64_t j = across.begin(x); j < across.begin(x + 1); ++j) compute_tile<P, S>(own, row0 + i, column0 + j);
  };
  if (flops * static_cast<double>(row_count * column_count) < 2 * kTaskFlops)
    for (int64_t task = 0; task < down.count * across.count; ++task) run_task(task);
  else parallel_tasks(down.count * across.count, run_task);
}

// Whether tiles read the operand in place. A tile wants columns of B adjacent; rows of A may have any stride, but many
// rows a power of two apart fall into one cache set, so A is packed once it is used enough to repay the copy. An operand
// that L2 holds beside the other is not: of a product that takes 100 us on two threads, packing it on one and fetching the
// panels from that one's caches was a quarter.
template <class T> bool in_place(const GemmOperand<T>& x) { return !x.pack && !x.packed && x.dtype == dtype_of<T>; }
FASTDL_INLINE bool is_bf16_memory(const GemmOperand<float>& x) { return !x.pack && !x.packed && x.dtype == DType::bf16; }
template <class T> bool reads_rows_in_place(const Gemm<T>& g) {
  return in_place(g.a) && (g.n <= 2 * kTileCols<T> || g.m * g.k * int64_t{sizeof(T)} <= kInPlaceBytes);
}
template <class T> bool reads_columns_in_place(const Gemm<T>& g) {
  return in_place(g.b) && g.b.stride == 1 && (g.m <= 2 * kTileRows || g.n * g.k * int64_t{sizeof(T)} <= kInPlaceBytes);
}

// Operands and C of one type, read from memory as they are.
template <class T, class S> bool all_memory_of(const Gemm<T>& g) {
  const auto is_memory = [](const GemmOperand<T>& x) { return !x.pack && !x.packed && x.dtype == dtype_of<S>; };
  return is_memory(g.a) && is_memory(g.b);
}

// Few rows of one operand, and K adjacent in both: see inner.h.
constexpr int64_t kFewRows = 8;
template <class T, class S> bool takes_inner_products(const Gemm<T>& g) {
  return all_memory_of<T, S>(g) && g.a.k_stride == 1 && g.b.k_stride == 1 && (g.m <= kFewRows || g.n <= kFewRows) &&
         g.k >= 4 * lanes<compute_vector<T>> && (sizeof(S) == sizeof(T) || g.activation == Activation::none);
}
template <class P, class S> void multiply_inner(const Gemm<sum_of<P>>& g) {
  using T = sum_of<P>;
  const bool few_rows = g.m <= g.n;
  const GemmOperand<T>&few = few_rows ? g.a : g.b, &many = few_rows ? g.b : g.a;
  const int64_t few_count = few_rows ? g.m : g.n, many_count = few_rows ? g.n : g.m;
  S* c = static_cast<S*>(g.c);
  const S* addend = static_cast<const S*>(g.addend);
  const auto place = [&](int64_t i, int64_t j, T sum) {
    const int64_t row = few_rows ? i : j, column = few_rows ? j : i;
    T v = g.alpha * sum;
    if (addend) v += g.beta * to_compute(addend[row * g.addend_row_stride + column * g.addend_col_stride]);
    from_compute(c + row * g.c_stride + column, v);
  };
  const int64_t grain = ceil_div(grain_for(g.k * int64_t{sizeof(S)}), kInnerColumns<T>) * kInnerColumns<T>;
  parallel_for(many_count, grain, [&](int64_t begin, int64_t end) {
    inner_rows<P, S>(g.k, few, few_count, many, begin, end, place);
    if constexpr (sizeof(S) == sizeof(T)) {
      if (g.activation == Activation::none) return;
      T* out = few_rows ? c + begin : c + begin * g.c_stride;
      const int rows = static_cast<int>(few_rows ? g.m : end - begin), cols = static_cast<int>(few_rows ? end - begin : g.n);
      finish<T, T>(g.activation, out, g.c_stride, out, g.c_stride, rows, cols);
    }
  });
}

// Few rows of A, and rows of B adjacent: see few_rows.h. Tiles read a small B in place as well as streams, if there is
// nothing to convert. float16 is packed as ever: its instances would cost more memory than its products are worth.
constexpr int64_t kStreamBytes = 1 << 20;
template <class T, class S> bool takes_streams(const Gemm<T>& g) {
  return g.m <= kStreamRows && all_memory_of<T, S>(g) && g.b.stride == 1 && g.k > 0 && g.n >= 4 * lanes<compute_vector<T>> &&
         (sizeof(S) != sizeof(T) || g.n * g.k * int64_t{sizeof(T)} > kStreamBytes);
}
template <class T, class S> void multiply_streams(const Gemm<T>& g) {
  // A task reads rows of B in runs as long as the sums in L1 allow: half as long a run costs a third of the bandwidth. Where
  // that leaves fewer than eight tasks, K is split too, and the parts are added in their order.
  constexpr int64_t kSums = 4096, kLeast = 512, kTasks = 8, kTaskBytes = 1 << 18;
  constexpr bool kConverts = sizeof(S) != sizeof(T);
  const int rows = static_cast<int>(g.m);
  const int64_t width = stream_vectors(rows) * lanes<compute_vector<T>>;
  const Parts across = parts_of_at_most(ceil_div(g.n, width), ceil_div(at_least(kLeast, kSums / rows), width));
  const int64_t most = g.n * g.k * int64_t{sizeof(S)} / (across.count * kTaskBytes);
  const Parts depth{g.k, at_least(1, at_most(at_most(ceil_div(kTasks, across.count), g.k), most))};
  T* const parts = depth.count == 1
                       ? nullptr
                       : static_cast<T*>(scratch(kGemmScratch + 2, static_cast<size_t>(depth.count * rows * g.n) * sizeof(T)));
  S* const c = static_cast<S*>(g.c);
  parallel_tasks(across.count * depth.count, [&](int64_t task) {
    const int64_t x = task % across.count, p = task / across.count, k0 = depth.begin(p);
    const int64_t begin = across.begin(x) * width, end = at_most(across.begin(x + 1) * width, g.n);
    if (parts) {
      Gemm<T> part = g;
      part.k = depth.size(p);
      part.a.data = static_cast<const S*>(g.a.data) + k0 * g.a.k_stride;
      part.b.data = static_cast<const S*>(g.b.data) + k0 * g.b.k_stride;
      if (p > 0) part.addend = nullptr;
      return stream_columns<S>(part, begin, end, parts + p * rows * g.n + begin, g.n);
    }
    T* sums;
    int64_t sums_row = g.c_stride;
    if constexpr (kConverts) {
      sums_row = end - begin;
      sums = static_cast<T*>(scratch(kGemmScratch + 2, static_cast<size_t>(rows * sums_row) * sizeof(T)));
    } else {
      sums = c + begin;
    }
    stream_columns<S>(g, begin, end, sums, sums_row);
    if (kConverts || g.activation != Activation::none)
      finish<T, S>(g.activation, sums, sums_row, c + begin, g.c_stride, rows, static_cast<int>(end - begin));
  });
  if (!parts) return;
  for (int64_t p = 1; p < depth.count; ++p)
    for (int64_t i = 0; i < rows * g.n; ++i) parts[i] += parts[p * rows * g.n + i];
  finish<T, S>(g.activation, parts, g.n, c, g.c_stride, rows, static_cast<int>(g.n));
}
// A column is a row of the transposed product, B^T A^T.
template <class T> bool is_column(const Gemm<T>& g) {
  return g.n == 1 && g.m > 1 && g.c_stride == 1 && g.addend_row_stride <= 1 && !g.a.packed && !g.b.packed;
}
template <class T> Gemm<T> transposed(Gemm<T> g) {
  const GemmOperand<T> a = g.a;
  const int64_t m = g.m, addend_row_stride = g.addend_row_stride;
  g.m = g.n, g.n = m;
  g.a = g.b, g.b = a;
  g.addend_row_stride = g.addend_col_stride, g.addend_col_stride = addend_row_stride;
  return g;
}

// C of element type S from panels of P.
template <class P, class S> void multiply(const Gemm<sum_of<P>>& g) {
  using T = sum_of<P>;
  constexpr bool kPairs = kPerStep<P> == 2;
  if (takes_inner_products<T, S>(g)) {
    if constexpr (kPairs && sizeof(S) == 2) return multiply_inner<P, S>(g);
    else return multiply_inner<S, S>(g);
  }
  if constexpr (dtype_of<S> != DType::f16) {
    if (takes_streams<T, S>(g)) return multiply_streams<T, S>(g);
  }
  if (is_column(g) && g.a.stride == 1) return multiply<P, S>(transposed(g));
  constexpr int kCols = kTileCols<P>;
  const Parts ks = k_blocks<P>(g.k), rows = row_tiles(g.m);
  const int64_t columns = column_tiles<P>(g.n), depth = ks.size(ks.count - 1);
  const bool a_in_place = !kPairs && reads_rows_in_place(g), b_in_place = !kPairs && reads_columns_in_place(g);
  // With few rows, a task that takes them all packs its own columns, which stay in its caches.
  constexpr int64_t kFewRowTiles = 8;
  const bool packs_columns = !g.b.packed && !b_in_place && rows.count <= kFewRowTiles;
  const bool sums_apart = sizeof(S) != sizeof(T) && ks.count > 1;

  // C is worked on in rectangles whose panels fit the scratch.
  const int64_t panel_bytes = at_least(depth, 1) * int64_t{sizeof(P)};
  int64_t row_limit = kPackedBytes / (panel_bytes * kTileRows), column_limit = kPackedBytes / (panel_bytes * kCols);
  if (sums_apart) {
    column_limit = at_most(column_limit, 1024 / kCols);
    row_limit = at_most(row_limit, kAccumulatorBytes / (1024 * int64_t{sizeof(T)} * kTileRows));
  }
  const Parts down = parts_of_at_most(rows.count, row_limit), across = parts_of_at_most(columns, column_limit);

  for (int64_t x = 0; x < across.count; ++x)
    for (int64_t y = 0; y < down.count; ++y) {
      const int64_t row0 = down.begin(y), row_count = down.size(y), column0 = across.begin(x), column_count = across.size(x);
      T* sums = nullptr;
      if (sums_apart)
        sums = static_cast<T*>(scratch(kGemmScratch + 2, row_count * kTileRows * column_count * kCols * sizeof(T)));
      for (int64_t p = 0; p < ks.count; ++p) {
        const int64_t k0 = ks.begin(p), k = ks.size(p);
        Block<P> block{g,
                       rows,
                       k0,
                       k,
                       p == 0,
                       p == ks.count - 1,
                       row0,
                       column0,
                       nullptr,
                       nullptr,
                       nullptr,
                       packs_columns,
                       sums,
                       column_count * kCols,
                       rows.begin(row0),
                       column0 * kCols};
        if (g.a.packed) {
          block.a_panels = static_cast<const P*>(g.a.data) + k0 * rows.count * kTileRows;
          block.row0 = 0;
        } else if (!a_in_place) {
          P* panels = static_cast<P*>(scratch(kGemmScratch, row_count * kTileRows * panel_bytes));
          pack_row_tiles(g.a, rows, g.k, row0, row_count, k0, k, panels);
          block.a_panels = panels;
        }
        if (g.b.packed) {
          block.b_panels = static_cast<const P*>(g.b.data) + k0 * columns * kCols;
          block.column0 = 0;
        } else if (!b_in_place && !packs_columns) {
          P* panels = static_cast<P*>(scratch(kGemmScratch + 1, column_count * kCols * panel_bytes));
          pack_column_tiles(g.b, g.n, g.k, column0, column_count, k0, k, panels);
          block.b_panels = panels;
        } else if (b_in_place && g.n % kCols != 0 && column0 + column_count == columns) {
          P* rest = static_cast<P*>(scratch(kGemmScratch + 1, kCols * panel_bytes));
          pack_column_tiles(g.b, g.n, g.k, columns - 1, 1, k0, k, rest);
          block.b_rest = rest;
        }
        compute<P, S>(block, row0, row_count, column0, column_count);
      }
    }
}

}  // namespace

void gemm(const Gemm<float>& g) {
  if (g.m == 0 || g.n == 0) return;
  const bool pairs = is_bf16_memory(g.a) && is_bf16_memory(g.b) && has_bf16_dot();
  switch (g.c_dtype) {
    case DType::f16: return multiply<float, f16>(g);
    case DType::bf16: return pairs ? multiply<panel_of_bf16, bf16>(g) : multiply<float, bf16>(g);
    default: return pairs ? multiply<panel_of_bf16, float>(g) : multiply<float, float>(g);
  }
}
void gemm(const Gemm<double>& g) {
  if (g.m == 0 || g.n == 0) return;
  multiply<double, double>(g);
}

namespace {
template <class T> int64_t rows_size(int64_t m, int64_t k) { return row_tiles(m).count * kTileRows * k; }
template <class T> int64_t columns_size(int64_t n, int64_t k) { return column_tiles<T>(n) * kTileCols<T> * k; }
template <class T> void pack_all_rows(const GemmOperand<T>& a, int64_t m, int64_t k, T* panels) {
  const Parts ks = k_blocks<T>(k), rows = row_tiles(m);
  for (int64_t p = 0; p < ks.count; ++p)
    pack_row_tiles(a, rows, k, 0, rows.count, ks.begin(p), ks.size(p), panels + rows_size<T>(m, ks.begin(p)));
}
template <class T> void pack_all_columns(const GemmOperand<T>& b, int64_t n, int64_t k, T* panels) {
  const Parts ks = k_blocks<T>(k);
  for (int64_t p = 0; p < ks.count; ++p)
    pack_column_tiles(b, n, k, 0, column_tiles<T>(n), ks.begin(p), ks.size(p), panels + columns_size<T>(n, ks.begin(p)));
}
}  // namespace

int64_t packed_rows_size(int64_t m, int64_t k, float) { return rows_size<float>(m, k); }
int64_t packed_rows_size(int64_t m, int64_t k, double) { return rows_size<double>(m, k); }
int64_t packed_columns_size(int64_t n, int64_t k, float) { return columns_size<float>(n, k); }
int64_t packed_columns_size(int64_t n, int64_t k, double) { return columns_size<double>(n, k); }
void pack_rows(const GemmOperand<float>& a, int64_t m, int64_t k, float* panels) { pack_all_rows(a, m, k, panels); }
void pack_rows(const GemmOperand<double>& a, int64_t m, int64_t k, double* panels) { pack_all_rows(a, m, k, panels); }
void pack_columns(const GemmOperand<float>& b, int64_t n, int64_t k, float* panels) { pack_all_columns(b, n, k, panels); }
void pack_columns(const GemmOperand<double>& b, int64_t n, int64_t k, double* panels) { pack_all_columns(b, n, k, panels); }

}  // namespace FASTDL_CPU_NAMESPACE
