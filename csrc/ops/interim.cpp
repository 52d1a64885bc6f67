// Plain loops that let the core be tested before the elementwise engine and the matrix kernels replace them; this file
// goes when copy.cpp, unary.cpp, binary.cpp, reduce.cpp and matmul.cpp are there.
#include "ops/ops.h"

namespace fastdl::ops {
namespace {
double get(DType t, const char* p) {
  switch (t) {
    case DType::f32: return *reinterpret_cast<const float*>(p);
    case DType::f64: return *reinterpret_cast<const double*>(p);
    case DType::i64: return static_cast<double>(*reinterpret_cast<const int64_t*>(p));
    case DType::i32: return *reinterpret_cast<const int32_t*>(p);
    case DType::u8: return *reinterpret_cast<const uint8_t*>(p);
    case DType::i8: return *reinterpret_cast<const int8_t*>(p);
    case DType::b8: return *p != 0;
    default: throw DTypeError("interim: 16-bit floats");
  }
}
void put(DType t, char* p, double v) {
  switch (t) {
    case DType::f32: *reinterpret_cast<float*>(p) = static_cast<float>(v); break;
    case DType::f64: *reinterpret_cast<double*>(p) = v; break;
    case DType::i64: *reinterpret_cast<int64_t*>(p) = static_cast<int64_t>(v); break;
    case DType::i32: *reinterpret_cast<int32_t*>(p) = static_cast<int32_t>(v); break;
    case DType::u8: *reinterpret_cast<uint8_t*>(p) = static_cast<uint8_t>(v); break;
    case DType::i8: *reinterpret_cast<int8_t*>(p) = static_cast<int8_t>(v); break;
    case DType::b8: *p = v != 0; break;
    default: throw DTypeError("interim: 16-bit floats");
  }
}
char* at(const View& v, int64_t i) {
  int64_t off = 0;
  for (int d = v.ndim - 1; d >= 0; --d) {
    off += i % v.shape[d] * v.strides[d];
    i /= v.shape[d];
  }
  return static_cast<char*>(v.data) + off * size_of(v.dtype);
}
}  // namespace

Tensor scatter(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  Tensor out = clone(self);
  const View o = out.view(), ix = index.view(), v = src.view();
  for (int64_t i = 0, n = ix.numel(); i < n; ++i) {
    View one = o;
    int64_t rest = i;
    char* p = static_cast<char*>(o.data);
    for (int d = ix.ndim - 1; d >= 0; --d) {
      const int64_t k = d == dim ? *reinterpret_cast<int64_t*>(at(ix, i)) : rest % ix.shape[d];
      p += k * one.strides[d] * size_of(o.dtype);
      rest /= ix.shape[d];
    }
    put(o.dtype, p, get(v.dtype, at(v, i)));
  }
  return out;
}
}  // namespace fastdl::ops
