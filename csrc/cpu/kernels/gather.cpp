// gather and scatter. The positions of the index tensor without the dimension `dim` are lines. Tasks take
// lines, and a scatter walks a line in order, so that equal targets neither race nor change the order of a sum. Lines
// are walked in blocks, innermost along whichever of the two directions the index is contiguous in.
//
// Bytes: 8 + 2 x sizeof(T) an element (3 when adding).
#include "cpu/kernels/level.h"

namespace FASTDL_CPU_NAMESPACE {
namespace {

constexpr int64_t kLines = 256;

// f(indexed, index, other): offsets in elements of one element of the index tensor within the tensor that is indexed
// (at coordinate 0 of `dim`), the index tensor and the third one, for lines [begin, end) and positions [from, to) of
// `dim`.
template <class F> FASTDL_INLINE void walk_lines(const View& indexed, const View& index, const View& other, int dim,
                                                 int64_t begin, int64_t end, int64_t from, int64_t to, const F& f) {
  int64_t a[kLines], k[kLines], b[kLines];
  const bool along_dim = index.strides[dim] == 1;
  for (int64_t first = begin; first < end; first += kLines) {
    const int64_t lines = end - first < kLines ? end - first : kLines;
    for (int64_t l = 0; l < lines; ++l) {
      int64_t rest = first + l;
      a[l] = k[l] = b[l] = 0;
      for (int d = index.ndim - 1; d >= 0; --d) {
        if (d == dim) continue;
        const int64_t at = rest % index.shape[d];
        rest /= index.shape[d];
        a[l] += at * indexed.strides[d];
        k[l] += at * index.strides[d];
        b[l] += at * other.strides[d];
      }
    }
    if (along_dim) {
      for (int64_t l = 0; l < lines; ++l)
        for (int64_t i = from; i < to; ++i) f(a[l], k[l] + i * index.strides[dim], b[l] + i * other.strides[dim]);
    } else {
      for (int64_t i = from; i < to; ++i)
        for (int64_t l = 0; l < lines; ++l) f(a[l], k[l] + i * index.strides[dim], b[l] + i * other.strides[dim]);
    }
  }
}

FASTDL_INLINE int64_t count_lines(const View& index, int dim) {
  int64_t n = 1;
  for (int d = 0; d < index.ndim; ++d)
    if (d != dim) n *= index.shape[d];
  return n;
}

template <class T> void gather_elements(const GatherArgs& a) {
  const T* in = a.in.as<T>();
  const int64_t* index = a.index.as<int64_t>();
  T* out = a.out.as<T>();
  const int64_t stride = a.in.strides[a.dim], lines = count_lines(a.index, a.dim), length = a.index.shape[a.dim];
  const auto take = [=](int64_t i, int64_t k, int64_t o) { out[o] = in[i + index[k] * stride]; };
  const int64_t grain = grain_for(8 + 2 * sizeof(T));
  if (length > grain) {  // long lines are cut
    const int64_t pieces = (length + grain - 1) / grain;
    parallel_tasks(lines * pieces, [&](int64_t task) {
      const int64_t line = task / pieces, from = task % pieces * grain, to = from + grain < length ? from + grain : length;
      walk_lines(a.in, a.index, a.out, a.dim, line, line + 1, from, to, take);
    });
  } else {
    parallel_for(lines, (grain + length - 1) / length,
                 [&](int64_t begin, int64_t end) { walk_lines(a.in, a.index, a.out, a.dim, begin, end, 0, length, take); });
  }
}

template <ScatterOp op, class T> FASTDL_INLINE T combined(T a, T b) {
  if constexpr (op == ScatterOp::sum) return static_cast<T>(a + b);
  else if constexpr (op == ScatterOp::prod) return static_cast<T>(a * b);
  else if constexpr (op == ScatterOp::max) return a > b || a != a ? a : b;
  else if constexpr (op == ScatterOp::min) return a < b || a != a ? a : b;
  else return b;
}
template <ScatterOp op> FASTDL_INLINE bool combined(bool a, bool b) {
  if constexpr (op == ScatterOp::sum || op == ScatterOp::max) return a || b;
  else if constexpr (op == ScatterOp::prod || op == ScatterOp::min) return a && b;
  else return b;
}
template <ScatterOp op> FASTDL_INLINE f16 combined(f16 a, f16 b) { return to_f16(combined<op>(to_f32(a), to_f32(b))); }
template <ScatterOp op> FASTDL_INLINE bf16 combined(bf16 a, bf16 b) { return to_bf16(combined<op>(to_f32(a), to_f32(b))); }

template <ScatterOp op, class F> FASTDL_INLINE void with_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f32: return f.template operator()<op, float>();
    case DType::f64: return f.template operator()<op, double>();
    case DType::i64: return f.template operator()<op, int64_t>();
    case DType::i32: return f.template operator()<op, int32_t>();
    case DType::i8: return f.template operator()<op, int8_t>();
    case DType::u8: return f.template operator()<op, uint8_t>();
    case DType::b8: return f.template operator()<op, bool>();
    case DType::f16: return f.template operator()<op, f16>();
    case DType::bf16: return f.template operator()<op, bf16>();
  }
}

// f.operator()<op, T>() of an op that reads what is there, and of a dtype.
template <class F> FASTDL_INLINE void with_op_and_type(ScatterOp op, DType dtype, const F& f) {
  switch (op) {
    case ScatterOp::prod: return with_type<ScatterOp::prod>(dtype, f);
    case ScatterOp::max: return with_type<ScatterOp::max>(dtype, f);
    case ScatterOp::min: return with_type<ScatterOp::min>(dtype, f);
    default: return with_type<ScatterOp::sum>(dtype, f);
  }
}

template <class T, class Put> FASTDL_INLINE void scatter_elements(const ScatterArgs& a, const Put& put) {
  T* to = a.to.as<T>();
  const int64_t* index = a.index.as<int64_t>();
  const T* values = a.values.as<T>();
  const int64_t stride = a.to.strides[a.dim], lines = count_lines(a.index, a.dim), length = a.index.shape[a.dim];
  const int64_t grain = grain_for(8 + 3 * sizeof(T));
  parallel_for(lines, (grain + length - 1) / length, [&](int64_t begin, int64_t end) {
    walk_lines(a.to, a.index, a.values, a.dim, begin, end, 0, length,
               [=](int64_t t, int64_t k, int64_t v) { put(to[t + index[k] * stride], values[v]); });
  });
}

template <class T> void scatter_copy(const ScatterArgs& a) {
  scatter_elements<T>(a, [](T& to, T value) { to = value; });
}

template <class T> void triangles(const TriangleArgs& a) {
  const T* in = static_cast<const T*>(a.in);
  T* out = static_cast<T*>(a.out);
  parallel_for(a.matrices * a.rows, grain_for(2 * a.columns * sizeof(T)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      int64_t cut = row % a.rows + a.diagonal + (a.lower ? 1 : 0);  // the first column on the other side
      cut = cut < 0 ? 0 : cut > a.columns ? a.columns : cut;
      const T* x = in + row * a.columns;
      T* y = out + row * a.columns;
      const size_t left = static_cast<size_t>(cut) * sizeof(T), right = static_cast<size_t>(a.columns - cut) * sizeof(T);
      if (a.lower) {
        std::memcpy(y, x, left);
        std::memset(y + cut, 0, right);
      } else {
        std::memset(y, 0, left);
        std::memcpy(y + cut, x + cut, right);
      }
    }
  });
}

}  // namespace

void gather(const Context&, const GatherArgs& a) {
  switch (size_of(a.in.dtype)) {
    case 1: return gather_elements<uint8_t>(a);
    case 2: return gather_elements<uint16_t>(a);
    case 4: return gather_elements<uint32_t>(a);
    default: return gather_elements<uint64_t>(a);
  }
}

void scatter(const Context&, const ScatterArgs& a) {
  if (a.op != ScatterOp::assign)
    return with_op_and_type(a.op, a.to.dtype, [&]<ScatterOp op, class T>() {
      scatter_elements<T>(a, [](T& to, T value) { to = combined<op>(to, value); });
    });
  switch (size_of(a.to.dtype)) {
    case 1: return scatter_copy<uint8_t>(a);
    case 2: return scatter_copy<uint16_t>(a);
    case 4: return scatter_copy<uint32_t>(a);
    default: return scatter_copy<uint64_t>(a);
  }
}

void triangle(const Context&, const TriangleArgs& a) {
  switch (a.element_size) {
    case 1: return triangles<uint8_t>(a);
    case 2: return triangles<uint16_t>(a);
    case 4: return triangles<uint32_t>(a);
    default: return triangles<uint64_t>(a);
  }
}

}  // namespace FASTDL_CPU_NAMESPACE
