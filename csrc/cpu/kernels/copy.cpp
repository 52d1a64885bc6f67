// Copies between any dtypes and strides, fills, ranges. A copy is the elementwise walk without a function.
#include "cpu/kernels/tiles.h"

namespace FASTDL_CPU_NAMESPACE {

namespace {
// Converts straight to the output's type where there is such a converter, else over the type to compute in.
DType copy_type(DType to, DType from) { return converter(to, from) ? to : compute_type(from); }
}  // namespace

void copy(const Context&, const CopyArgs& a) {
  const DType type = copy_type(a.out.dtype, a.x.dtype);
  run_tiles({nullptr, nullptr, type, type, 1, &a.out, {&a.x}});
}

void fill(const Context&, const FillArgs& a) {
  View value = a.out;
  for (int d = 0; d < value.ndim; ++d) value.strides[d] = 0;
  value.dtype = a.type;
  value.data = a.type == DType::f64 ? const_cast<void*>(static_cast<const void*>(&a.floating))
                                    : const_cast<void*>(static_cast<const void*>(&a.integer));
  const DType type = copy_type(a.out.dtype, a.type);
  run_tiles({nullptr, nullptr, type, type, 1, &a.out, {&value}});
}

void arange(const Context&, const ArangeArgs& a) {
  const ConvertFn convert = converter(a.out.dtype, a.type);
  const int64_t size = size_of(a.out.dtype);
  parallel_for(a.out.numel(), grain_for(size), [&](int64_t begin, int64_t end) {
    union {
      double floating[kTileElements];
      int64_t integer[kTileElements];
    } values;
    for (int64_t at = begin; at < end; at += kTileElements) {
      const int64_t n = end - at < kTileElements ? end - at : kTileElements;
      if (a.type == DType::f64)
        for (int64_t i = 0; i < n; ++i) values.floating[i] = a.start + static_cast<double>(at + i) * a.step;
      else
        for (int64_t i = 0; i < n; ++i) values.integer[i] = a.integer_start + (at + i) * a.integer_step;
      convert(static_cast<char*>(a.out.data) + at * size, &values, Box{1, n, n, 1, n, 1});
    }
  });
}

}  // namespace FASTDL_CPU_NAMESPACE
