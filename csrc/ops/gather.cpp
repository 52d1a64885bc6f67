// Ops that take or put elements and rows by tensors of indices along one dimension.
#include <limits>

#include "ops/index.h"
#include "ops/launch.h"

namespace fastdl::ops {
namespace {

// The index tensor as contiguous int64; throws unless every index is in [0, limit).
Tensor checked_index(const char* op, const Tensor& index, int64_t limit, int dim, const Shape& input) {
  if (!is_integral(index.dtype())) throw DTypeError(str(op, ": index is ", index.dtype(), ", expected int64"));
  const Tensor dense = contiguous(to_dtype(detach(index), DType::i64));
  if (dense.numel() == 0) return dense;
  const Tensor found = make_empty({}, DType::i64, dense.device());
  FindBadLabelArgs args{};
  args.labels = dense.data<int64_t>();
  args.n = dense.numel();
  args.limit = limit;
  args.ignore_index = INT64_MIN;
  args.position = found.data<int64_t>();
  launch(&KernelTable::find_bad_label, dense.device(), args);
  on_host("check indices", [op, dense, found, limit, dim, input] {
    const int64_t position = host_integer(found, 0);
    if (position >= 0)
      throw IndexError(str(op, ": index ", host_integer(dense, position), " is out of range for dimension ", dim, " of size ",
                           limit, " of input ", input));
  });
  return dense;
}

// A 0-d tensor is one of one element.
Tensor at_least_1d(const Tensor& t) { return t.ndim() == 0 ? reshape(t, {1}) : t; }

// Index and the tensor it points into must have as many dimensions, and the index must not be larger but in `dim`.
void check_extents(const char* op, const char* name, const Tensor& t, const Tensor& index, int skipped) {
  bool fits = t.ndim() == index.ndim();
  for (int d = 0; fits && d < t.ndim(); ++d) fits = d == skipped || index.shape()[d] <= t.shape()[d];
  if (!fits)
    throw ShapeError(str(op, ": index of shape ", index.shape(), " reaches beyond ", name, " of shape ", t.shape(),
                         skipped >= 0 ? str(" outside dimension ", skipped) : std::string()));
}

// Sums of 16-bit floats are made in float32.
DType sum_dtype(DType t) { return is_half(t) ? DType::f32 : t; }

}  // namespace

Tensor gather(const Tensor& t, int64_t dim, const Tensor& index) {
  const int d = normalize_dim(dim, t.ndim(), "gather");
  if (t.ndim() == 0 || index.ndim() == 0) {
    const Tensor out = gather(at_least_1d(t), 0, at_least_1d(index));
    return reshape(out, index.shape());
  }
  if (index.numel() > 0 || index.ndim() == t.ndim()) check_extents("gather", "input", t, index, d);
  check_same_device("gather", {t, index});
  const Tensor places = checked_index("gather", index, t.shape()[d], d, t.shape());
  const Tensor out = empty(index.shape(), t.dtype(), t.device());
  if (out.numel() > 0) launch(&KernelTable::gather, t.device(), GatherArgs{t.view(), places.view(), out.view(), d});
  if (records(t))
    record("gather", out, {t}, [shape = t.shape(), d, places](GradCall& c) {
      const Tensor& g = c.grad();
      const DType sum = sum_dtype(g.dtype());
      if (g.numel() == 0) return c.set(0, zeros(shape, g.dtype(), g.device()));
      c.set(0, to_dtype(scatter_add_(zeros(shape, sum, g.device()), d, places, to_dtype(g, sum)), g.dtype()));
    });
  return out;
}

namespace {

// An op other than assign and sum has its gradient where it is called.
Tensor scatter_into(const char* op, const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source, ScatterOp how) {
  const int d = normalize_dim(dim, self.ndim(), op);
  check_same_device(op, {self, index});
  if (self.ndim() == 0 || index.ndim() == 0) {
    const Tensor base = self.ndim() == 0 ? reshape(self, {1}) : self;
    const Tensor values = source.ndim() == 0 ? source : reshape(source, {source.numel()});
    const Tensor out = scatter_into(op, clone(base), 0, at_least_1d(index), values, how);
    return reshape(out, self.shape());
  }
  check_extents(op, "input", self, index, d);
  Tensor values = source;
  if (source.ndim() == 0) {  // a number
    values = expand(to_device(source, self.device()), index.shape());
  } else {
    check_extents(op, "src", source, index, -1);
    for (int k = 0; k < index.ndim(); ++k)
      if (values.shape()[k] != index.shape()[k]) values = narrow(values, k, 0, index.shape()[k]);
  }
  if (values.dtype() != self.dtype()) {
    if (!source.is_wrapped_number()) throw DTypeError(str(op, ": src is ", source.dtype(), ", input ", self.dtype()));
    values = to_dtype(values, self.dtype());
  }
  const Tensor places = checked_index(op, index, self.shape()[d], d, self.shape());
  const bool recording = records(self, values);
  const bool puts = how == ScatterOp::assign || how == ScatterOp::sum;
  if (places.numel() > 0 && index.ndim() == 1 && puts && !self.device().is_cpu()) {
    const GradMode no_grad(false);  // one line: sorted by target it is spread over the device
    index_put_(self, {places}, values, how == ScatterOp::sum);
  } else if (places.numel() > 0) {
    launch(&KernelTable::scatter, self.device(), ScatterArgs{self.view(), places.view(), values.view(), d, how});
  }
  changed(self);
  if (recording)
    record(op, self, {self, values}, [places, d, how](GradCall& c) {
      if (c.wants(0)) c.set(0, how == ScatterOp::sum ? c.grad() : scatter(c.grad(), d, places, scalar_tensor(0.0)));
      if (c.wants(1)) c.set(1, gather(c.grad(), d, places));
    });
  return self;
}

}  // namespace

Tensor scatter(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src) {
  return scatter_into("scatter", clone(t), dim, index, src, ScatterOp::assign);
}
Tensor scatter_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  check_writable("scatter_", self);
  return scatter_into("scatter_", self, dim, index, src, ScatterOp::assign);
}
Tensor scatter_add(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src) {
  return scatter_into("scatter_add", clone(t), dim, index, src, ScatterOp::sum);
}
Tensor scatter_add_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  check_writable("scatter_add_", self);
  return scatter_into("scatter_add_", self, dim, index, src, ScatterOp::sum);
}

namespace {

// What leaves any value as it is when it is combined with it.
Scalar identity(ScatterOp how, DType dtype) {
  if (how == ScatterOp::sum) return 0;
  if (how == ScatterOp::prod) return 1;
  const bool lowest = how == ScatterOp::max;
  const double inf = std::numeric_limits<double>::infinity();
  if (is_floating(dtype)) return lowest ? -inf : inf;
  if (dtype == DType::b8) return !lowest;
  const int bits = 8 * static_cast<int>(size_of(dtype)) - (dtype == DType::u8 ? 0 : 1);
  const int64_t largest = static_cast<int64_t>((uint64_t{1} << bits) - 1);
  return lowest ? (dtype == DType::u8 ? int64_t{0} : -largest - 1) : largest;
}

}  // namespace

Tensor scatter_reduce(const Tensor& given, int64_t dim, const Tensor& index, const Tensor& src, const std::string& reduce,
                      bool include_self) {
  const bool mean = reduce == "mean";
  ScatterOp how = ScatterOp::sum;
  if (reduce == "prod") how = ScatterOp::prod;
  else if (reduce == "amax") how = ScatterOp::max;
  else if (reduce == "amin") how = ScatterOp::min;
  else if (reduce != "sum" && !mean)
    throw ValueError(str("scatter_reduce: reduce '", reduce, "', expected 'sum', 'prod', 'mean', 'amax' or 'amin'"));
  if (given.ndim() == 0)
    return reshape(scatter_reduce(reshape(given, {1}), dim, at_least_1d(index), at_least_1d(src), reduce, include_self), {});
  if (src.dtype() != given.dtype()) throw DTypeError(str("scatter_reduce: src is ", src.dtype(), ", input ", given.dtype()));
  const Tensor start = scalar_tensor(identity(how, given.dtype()));
  const Tensor t = include_self ? given : scatter(given, dim, index, start);
  if (how == ScatterOp::sum && !mean) return scatter_add(t, dim, index, src);
  const int d = normalize_dim(dim, t.ndim(), "scatter_reduce");
  if (mean) {
    const Tensor ones_there = include_self ? ones_like(detach(t)) : scatter(ones_like(detach(t)), d, index, scalar_tensor(0.0));
    const Tensor counts = scatter_add(ones_there, d, index, ones_like(detach(src)));
    const Tensor sum = scatter_add(t, d, index, src), one = scalar_tensor(int64_t{1});
    return is_floating(t.dtype()) ? div(sum, maximum(counts, one)) : floor_divide(sum, maximum(counts, one));
  }
  Tensor out;
  {
    GradMode no_grad(false);
    out = scatter_into("scatter_reduce", clone(t), d, index, src, how);
  }
  if (!records(t, src)) return out;
  // Elements of src that no index belongs to are outside.
  Tensor used = src;
  for (int k = 0; k < index.ndim(); ++k)
    if (used.shape()[k] != index.shape()[k]) used = narrow(used, k, 0, index.shape()[k]);
  const Tensor places = to_dtype(detach(index), DType::i64);
  if (how == ScatterOp::prod) {
    // The product of the others, out / x; where x is the only zero, the product of the rest.
    record("scatter_reduce", out, {t, used}, [t = save(t), used = save(used), places, d](GradCall& c) {
      const Tensor self = c(t), values = c(used), g = c.grad(), zero = scalar_tensor(0.0), one = scalar_tensor(1.0);
      const Tensor self_zero = eq(detach(self), zero), value_zero = eq(detach(values), zero);
      const Tensor zeros_there = scatter_add(to_dtype(self_zero, g.dtype()), d, places, to_dtype(value_zero, g.dtype()));
      const Tensor filled_self = where(self_zero, one, self), filled = where(value_zero, one, values);
      const Tensor rest = mul(g, scatter_reduce(filled_self, d, places, filled, "prod", true));
      const auto slope = [&](const Tensor& is_zero, const Tensor& x, const Tensor& others, const Tensor& rest) {
        const Tensor kept = eq(others, to_dtype(is_zero, others.dtype()));  // no zero among the others
        return where(kept, div(rest, x), zero);
      };
      if (c.wants(0)) c.set(0, slope(self_zero, filled_self, zeros_there, rest));
      if (c.wants(1)) c.set(1, slope(value_zero, filled, gather(zeros_there, d, places), gather(rest, d, places)));
    });
    return out;
  }
  // The gradient of an extreme is shared among those that equal it.
  record("scatter_reduce", out, {t, used}, [t = save(t), used = save(used), y = save_output(out), places, d](GradCall& c) {
    const Tensor g = c.grad(), best = detach(c(y));
    const Tensor self = to_dtype(eq(detach(c(t)), best), g.dtype());
    const Tensor values = to_dtype(eq(detach(c(used)), gather(best, d, places)), g.dtype());
    const Tensor share = div(g, maximum(scatter_add(self, d, places, values), scalar_tensor(1.0)));
    if (c.wants(0)) c.set(0, mul(self, share));
    if (c.wants(1)) c.set(1, mul(values, gather(share, d, places)));
  });
  return out;
}

Tensor take_along_dim(const Tensor& t, const Tensor& indices, const std::optional<int64_t>& dim) {
  if (!dim) return gather(reshape(t, {-1}), 0, reshape(indices, {-1}));
  const int d = normalize_dim(*dim, t.ndim(), "take_along_dim");
  if (indices.ndim() != t.ndim())
    throw ShapeError(str("take_along_dim: indices ", indices.shape(), " and input ", t.shape(), " need as many dimensions"));
  Shape a = t.shape(), b = indices.shape();
  if (t.ndim() == 0) return gather(t, 0, indices);
  a[d] = b[d] = 1;
  Shape common = broadcast_shapes("take_along_dim", a, b);
  Shape for_input = common, for_index = common;
  for_input[d] = t.shape()[d];
  for_index[d] = indices.shape()[d];
  const Tensor places = detach(indices);  // negative ones count from the end
  const Tensor wrapped = where(lt(places, scalar_tensor(int64_t{0})), add(places, scalar_tensor(t.shape()[d])), places);
  return gather(expand(t, for_input), d, expand(wrapped, for_index));
}

namespace {

// For ops that take whole rows: the list for index() that indexes dimension d alone.
TensorList only(int d, const Tensor& index) {
  TensorList list(static_cast<size_t>(d) + 1);
  list[static_cast<size_t>(d)] = index;
  return list;
}

}  // namespace

Tensor index_select(const Tensor& t, int64_t dim, const Tensor& given) {
  const int d = normalize_dim(dim, t.ndim(), "index_select");
  if (given.ndim() > 1) throw ShapeError(str("index_select: index ", given.shape(), ", expected one dimension"));
  if (t.ndim() == 0) return reshape(index_select(reshape(t, {1}), 0, given), {});
  const Tensor places = checked_index("index_select", at_least_1d(given), t.shape()[d], d, t.shape());
  return index(t, only(d, places));
}

Tensor index_add_(const Tensor& self, int64_t dim, const Tensor& given, const Tensor& source, const Scalar& alpha) {
  const int d = normalize_dim(dim, self.ndim(), "index_add");
  if (given.ndim() > 1) throw ShapeError(str("index_add: index ", given.shape(), ", expected one dimension"));
  if (self.ndim() == 0) {
    if (source.ndim() == 0 || source.numel() == 1)
      index_add_(view(self, {1}), 0, at_least_1d(given), reshape(source, {1}), alpha);
    else throw ShapeError(str("index_add: source ", source.shape(), " for an input without dimensions"));
    return self;
  }
  if (source.dtype() != self.dtype()) throw DTypeError(str("index_add: source is ", source.dtype(), ", input ", self.dtype()));
  Shape expected = self.shape();
  if (self.ndim() > 0) expected[d] = given.numel();
  if (self.ndim() == 0 || !(source.shape() == expected))
    throw ShapeError(str("index_add: source ", source.shape(), " for input ", self.shape(), " and ", given.numel(),
                         " indices along dimension ", d, ", expected ", expected));
  const Tensor places = checked_index("index_add", at_least_1d(given), self.shape()[d], d, self.shape());
  const bool scaled = alpha.d != 1;
  return index_put_(self, only(d, places), scaled ? mul(source, scalar_tensor(alpha)) : source, true);
}
Tensor index_add(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& source, const Scalar& alpha) {
  return index_add_(clone(t), dim, index, source, alpha);
}

Tensor embedding(const Tensor& weight, const Tensor& indices, const std::optional<int64_t>& padding_idx) {
  if (weight.ndim() != 2) throw ShapeError(str("embedding: weight ", weight.shape(), ", expected (rows, size)"));
  check_same_device("embedding", {weight, indices});
  const int64_t rows = weight.shape()[0];
  if (padding_idx && (*padding_idx < -rows || *padding_idx >= rows))
    throw IndexError(str("embedding: padding_idx ", *padding_idx, " for a weight of ", rows, " rows"));
  const Tensor places = checked_index("embedding", indices, rows, 0, weight.shape());
  Tensor out;
  {
    GradMode no_grad(false);
    out = index(weight, {places});
  }
  if (records(weight))
    record("embedding", out, {weight}, [shape = weight.shape(), places, padding_idx](GradCall& c) {
      const Tensor& g = c.grad();
      const DType sum = sum_dtype(g.dtype());
      Tensor total = index_put_(zeros(shape, sum, g.device()), {places}, to_dtype(g, sum), true);
      if (padding_idx) {
        const int64_t row = *padding_idx < 0 ? *padding_idx + shape[0] : *padding_idx;
        set_item(total, IndexSpec{{{IndexStep::select, 0, row}}, {}}, scalar_tensor(0.0));
      }
      c.set(0, to_dtype(total, g.dtype()));
    });
  return out;
}

}  // namespace fastdl::ops
