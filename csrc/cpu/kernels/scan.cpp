// Along one dimension: extremes with their places (of lines side by side in memory row by row), running sums and the like (in
// float64 or int64), and sorting.
//
// Sorting maps each value to an unsigned key of the same order and runs a least-significant-digit radix sort over (key,
// place) pairs, 8 bits a pass, leaving out passes in which all digits agree: stable, linear, four passes for float32.
#include "cpu/kernels/reductions.h"
#include "cpu/kernels/runs.h"

namespace FASTDL_CPU_NAMESPACE {

namespace {

// The lines along `dim`: how many, and where the i-th begins in a view of the same shape (or of that without `dim`).
struct Lines {
  const View& shape;
  int dim;
  int64_t count() const {
    int64_t c = 1;
    for (int d = 0; d < shape.ndim; ++d)
      if (d != dim) c *= shape.shape[d];
    return c;
  }
  char* start(const View& v, int64_t i) const {
    int64_t offset = 0;
    for (int d = shape.ndim - 1; d >= 0; --d) {
      if (d == dim) continue;
      const int k = v.ndim == shape.ndim || d < dim ? d : d - 1;
      offset += i % shape.shape[d] * v.strides[k];
      i /= shape.shape[d];
    }
    return static_cast<char*>(v.data) + offset * size_of(v.dtype);
  }
  // How many consecutive lines begin at consecutive elements.
  int64_t neighbours() const {
    for (int d = shape.ndim - 1; d >= 0; --d)
      if (d != dim && shape.shape[d] > 1) return shape.strides[d] == 1 ? shape.shape[d] : 1;
    return 1;
  }
};

constexpr int64_t kBlock = 1024;   // elements of a line looked at together
constexpr int64_t kColumns = 512;  // neighbouring lines walked together

template <class T> struct Extreme {
  T value;
  int64_t place;
};

template <bool kMax> struct OpOf {
  using type = Max;
};
template <> struct OpOf<false> {
  using type = Min;
};

// Whether x comes before the extreme so far; the first NaN stays.
template <bool kMax, class X> FASTDL_INLINE auto exceeds(X x, X best) {
  if constexpr (kMax) return (x > best) | ((x != x) & (best == best));
  else return (x < best) | ((x != x) & (best == best));
}

// The place of the first element that is `value`, which is one of them.
template <class T> FASTDL_INLINE int64_t find(const T* x, T value, int64_t n) {
  using V = compute_vector<T>;
  const V wanted = broadcast<V>(value);
  int64_t i = 0;
  for (; i + lanes<V> <= n; i += lanes<V>) {
    const V v = load<V>(x + i);
    if (any((vi32)((v == wanted) | ((v != v) & (wanted != wanted))))) break;
  }
  while (x[i] != value && x[i] == x[i]) ++i;
  return i;
}

// Along a line: a block's extreme first; then, only if it is a new one, its place.
template <class T, bool kMax> Extreme<T> extreme_of_line(const char* p, DType dtype, int64_t stride, int64_t n) {
  using Op = typename OpOf<kMax>::type;
  alignas(64) T buffer[kBlock];
  Extreme<T> best{};
  for (int64_t b = 0; b < n; b += kBlock) {
    const int64_t m = n - b < kBlock ? n - b : kBlock;
    const T* x = load_run<T>(p + b * stride * size_of(dtype), dtype, stride, m, buffer);
    const T e = reduce_block<Op>(x, m);
    if (b == 0 || exceeds<kMax>(e, best.value)) best = {e, b + find(x, e, m)};
  }
  return best;
}

// Of m neighbouring lines, row by row: the extremes so far and their places stay in the first-level cache.
template <class T, bool kMax> void extremes_of_columns(const char* p, DType dtype, int64_t stride, int64_t n, int64_t m,
                                                       T* best, lane_t<mask_t<compute_vector<T>>>* place) {
  using V = compute_vector<T>;
  using I = mask_t<V>;
  alignas(64) T buffer[kColumns];
  const int64_t step = stride * size_of(dtype);
  for (int64_t i = 0; i < n; ++i) {
    const T* const x = load_run<T>(p + i * step, dtype, 1, m, buffer);
    const char* const next = p + (i + 2 < n ? i + 2 : i) * step;
    const I here = broadcast<I>(static_cast<lane_t<I>>(i));
    if (i == 0) {
      __builtin_memcpy(best, x, static_cast<size_t>(m) * sizeof(T));
      memset(place, 0, static_cast<size_t>(m) * sizeof(T));
      continue;
    }
    each_vector<V>(m, [&](int64_t j, int64_t count) {
      __builtin_prefetch(next + j * size_of(dtype));
      const V v = load_part<V>(x + j, count), b = load_part<V>(best + j, count);
      const I better = exceeds<kMax>(v, b);
      store_part<V>(best + j, select<V>(better, v, b), count);
      store_part<I>(place + j, select<I>(better, here, load_part<I>(place + j, count)), count);
    });
  }
}

template <class T, bool kMax> void extreme(const ArgReduceArgs& a) {
  using P = lane_t<mask_t<compute_vector<T>>>;
  const Lines lines{a.in, a.dim};
  const int64_t n = a.in.shape[a.dim], stride = a.in.strides[a.dim], count = lines.count(), element = size_of(a.in.dtype);
  const auto write = [&](int64_t line, T value, int64_t place) {
    if (a.values.data) store_number(lines.start(a.values, line), a.values.dtype, value);
    *reinterpret_cast<int64_t*>(lines.start(a.indices, line)) = place;
  };
  const int64_t together = lines.neighbours();
  if (together > 1 && stride != 1 && (sizeof(P) == 8 || n <= INT32_MAX)) {
    const int64_t blocks = (together + kColumns - 1) / kColumns;
    parallel_for(count / together * blocks, grain_for(n * (together < kColumns ? together : kColumns) * element),
                 [&](int64_t begin, int64_t end) {
                   alignas(64) T best[kColumns];
                   alignas(64) P place[kColumns];
                   for (int64_t block = begin; block < end; ++block) {
                     const int64_t c = block % blocks * kColumns, line = block / blocks * together + c;
                     const int64_t m = together - c < kColumns ? together - c : kColumns;
                     extremes_of_columns<T, kMax>(lines.start(a.in, line), a.in.dtype, stride, n, m, best, place);
                     for (int64_t j = 0; j < m; ++j) write(line + j, best[j], place[j]);
                   }
                 });
    return;
  }
  parallel_for(count, grain_for(n * element), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const Extreme<T> e = extreme_of_line<T, kMax>(lines.start(a.in, line), a.in.dtype, stride, n);
      write(line, e.value, e.place);
    }
  });
}

template <class T> void extreme_of(const ArgReduceArgs& a) { a.max ? extreme<T, true>(a) : extreme<T, false>(a); }

// The state of a scan: its value so far, and of extremes the place.
template <ScanOp op, class T> struct Scan {
  T value = op == ScanOp::prod ? 1 : 0;
  int64_t place = 0;
  T scale = 0;  // of logsumexp: the value is log(scale) + the largest, which is kept in `largest`
  T largest = 0;

  FASTDL_INLINE void take(T x, int64_t i) {
    if constexpr (op == ScanOp::sum) {
      value += x;
    } else if constexpr (op == ScanOp::prod) {
      value *= x;
    } else if constexpr (op == ScanOp::logsumexp) {
      if (i == 0 || x > largest) {
        scale = i == 0 || x == __builtin_inf() ? 1 : scale * __builtin_exp(largest - x) + 1;
        largest = x;
      } else if (x == x) {
        scale += x == largest ? 1 : __builtin_exp(x - largest);
      } else {
        scale = x;
      }
      value = largest == -__builtin_inf() && scale == scale ? largest : __builtin_log(scale) + largest;
    } else if (i == 0 || (value == value && (x != x || (op == ScanOp::max ? x >= value : x <= value)))) {
      value = x;
      place = i;
    }
  }
};

template <ScanOp op, class T> void scan_lines(const ScanArgs& a) {
  const Lines lines{a.in, a.dim};
  const int64_t n = a.in.shape[a.dim];
  const int64_t in_step = a.in.strides[a.dim] * size_of(a.in.dtype), out_step = a.out.strides[a.dim] * size_of(a.out.dtype);
  constexpr bool kPlaces = op == ScanOp::max || op == ScanOp::min;
  const int64_t index_step = kPlaces ? a.indices.strides[a.dim] : 0;
  parallel_for(lines.count(), grain_for(n * 16), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const char* p = lines.start(a.in, line);
      char* out = lines.start(a.out, line);
      int64_t* index = kPlaces ? reinterpret_cast<int64_t*>(lines.start(a.indices, line)) : nullptr;
      Scan<op, T> state;
      for (int64_t i = 0; i < n; ++i) {
        state.take(load_number<T>(p + i * in_step, a.in.dtype), i);
        store_number(out + i * out_step, a.out.dtype, state.value);
        if constexpr (kPlaces) index[i * index_step] = state.place;
      }
    }
  });
}

template <class T> void scan_of(const ScanArgs& a) {
  switch (a.op) {
    case ScanOp::sum: return scan_lines<ScanOp::sum, T>(a);
    case ScanOp::prod: return scan_lines<ScanOp::prod, T>(a);
    case ScanOp::max: return scan_lines<ScanOp::max, T>(a);
    case ScanOp::min: return scan_lines<ScanOp::min, T>(a);
    case ScanOp::logsumexp:  // ops take floating-point tensors only
      if constexpr (static_cast<T>(0.5) != 0) scan_lines<ScanOp::logsumexp, T>(a);
  }
}

struct Item {
  uint64_t key;
  int64_t place;
};

// Unsigned keys in the order of the values; NaN above all.
FASTDL_INLINE uint64_t key_of(double x) {
  if (x != x) return ~uint64_t{0};
  x += 0.0;  // -0 and 0 are equal
  uint64_t u;
  __builtin_memcpy(&u, &x, 8);
  return u >> 63 ? ~u : u | uint64_t{1} << 63;
}
FASTDL_INLINE uint64_t key_of(float x) {
  if (x != x) return ~uint32_t{0};
  x += 0.0f;
  uint32_t u;
  __builtin_memcpy(&u, &x, 4);
  return u >> 31 ? ~u : u | uint32_t{1} << 31;
}
FASTDL_INLINE uint64_t key_of(int64_t x) {
  return static_cast<uint64_t>(x) ^ uint64_t { 1 } << 63;
}

Item* radix_sort(Item* items, Item* other, int64_t n, int key_bytes) {
  for (int shift = 0; shift < 8 * key_bytes; shift += 8) {
    int64_t count[256] = {};
    for (int64_t i = 0; i < n; ++i) ++count[items[i].key >> shift & 255];
    if (count[items[0].key >> shift & 255] == n) continue;
    int64_t at = 0;
    for (int64_t& c : count) {
      const int64_t here = c;
      c = at;
      at += here;
    }
    for (int64_t i = 0; i < n; ++i) other[count[items[i].key >> shift & 255]++] = items[i];
    Item* swap = items;
    items = other;
    other = swap;
  }
  return items;
}

template <class T> void sort_lines(const SortArgs& a) {
  const Lines lines{a.in, a.dim};
  const int64_t n = a.in.shape[a.dim], element = size_of(a.in.dtype), stride = a.in.strides[a.dim];
  const int64_t value_step = a.values.strides[a.dim] * size_of(a.values.dtype), index_step = a.indices.strides[a.dim] * 8;
  const int key_bytes = sizeof(T) == 4 ? 4 : 8;
  const uint64_t flip = a.descending ? (key_bytes == 4 ? uint64_t{0xffffffff} : ~uint64_t{0}) : 0;
  parallel_for(lines.count(), grain_for(n * 64), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      Item* items = static_cast<Item*>(a.workspace) + line * 2 * n;
      const char* p = lines.start(a.in, line);
      for (int64_t i = 0; i < n; ++i) items[i] = {key_of(load_number<T>(p + i * stride * element, a.in.dtype)) ^ flip, i};
      const Item* sorted = radix_sort(items, items + n, n, key_bytes);
      char *value = lines.start(a.values, line), *index = lines.start(a.indices, line);
      for (int64_t i = 0; i < n; ++i) {
        std::memcpy(value + i * value_step, p + sorted[i].place * stride * element, static_cast<size_t>(element));
        *reinterpret_cast<int64_t*>(index + i * index_step) = sorted[i].place;
      }
    }
  });
}

}  // namespace

void arg_reduce(const Context&, const ArgReduceArgs& a) {
  if (a.in.dtype == DType::f64) extreme_of<double>(a);
  else if (is_floating(a.in.dtype)) extreme_of<float>(a);
  else extreme_of<int64_t>(a);
}

void scan(const Context&, const ScanArgs& a) {
  if (is_floating(a.in.dtype)) scan_of<double>(a);
  else scan_of<int64_t>(a);
}

void sort(const Context&, const SortArgs& a) {
  if (a.in.dtype == DType::f64) sort_lines<double>(a);
  else if (is_floating(a.in.dtype)) sort_lines<float>(a);
  else sort_lines<int64_t>(a);
}

}  // namespace FASTDL_CPU_NAMESPACE
