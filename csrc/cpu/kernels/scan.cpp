// Along one dimension: extremes with their places, running sums and the like (in float64 or int64), and sorting.
//
// Sorting maps each value to an unsigned key of the same order and runs a least-significant-digit radix sort over (key,
// place) pairs, 8 bits a pass, leaving out passes in which all digits agree: stable, linear, four passes for float32.
#include "cpu/kernels/level.h"
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
};

constexpr int64_t kBlock = 1024;

template <class T, bool kMax> void extreme(const ArgReduceArgs& a) {
  using V = compute_vector<T>;
  const Lines lines{a.in, a.dim};
  const int64_t n = a.in.shape[a.dim], stride = a.in.strides[a.dim], element = size_of(a.in.dtype);
  parallel_for(lines.count(), grain_for(n * element), [&](int64_t begin, int64_t end) {
    alignas(64) T buffer[kBlock];
    for (int64_t line = begin; line < end; ++line) {
      const char* p = lines.start(a.in, line);
      T best{};
      int64_t place = -1;
      for (int64_t b = 0; b < n; b += kBlock) {
        const int64_t m = n - b < kBlock ? n - b : kBlock;
        const T* x = load_run<T>(p + b * stride * element, a.in.dtype, stride, m, buffer);
        if (place >= 0 && best != best) break;
        // The block's extreme first; then, only if it is a new one, its place.
        T e = x[0];
        int64_t i = 0;
        if constexpr (static_cast<T>(0.5) != 0) {
          if (m >= lanes<V>) {
            V v = load<V>(x);
            for (i = lanes<V>; i + lanes<V> <= m; i += lanes<V>)
              v = kMax ? max_nan<V>(v, load<V>(x + i)) : min_nan<V>(v, load<V>(x + i));
            T l[lanes<V>];
            store<V>(l, v);
            e = l[0];
            for (int k = 1; k < lanes<V>; ++k) e = e != e ? e : (l[k] != l[k] || (kMax ? l[k] > e : l[k] < e)) ? l[k] : e;
          }
        }
        for (; i < m; ++i) e = e != e ? e : (x[i] != x[i] || (kMax ? x[i] > e : x[i] < e)) ? x[i] : e;
        if (place >= 0 && e == e && !(kMax ? e > best : e < best)) continue;
        for (i = 0; x[i] != e && !(x[i] != x[i]);) ++i;
        best = e;
        place = b + i;
      }
      if (a.values.data) store_number(lines.start(a.values, line), a.values.dtype, best);
      *reinterpret_cast<int64_t*>(lines.start(a.indices, line)) = place;
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
