#include "ops/fused.h"
#include "ops/launch.h"

namespace fastdl::ops {

namespace {

using Pair = std::pair<Tensor, Tensor>;

// Values picked from t at `index` along dim: the gradient goes back to those places.
void record_pick(const char* op, const Tensor& values, const Tensor& index, const Tensor& t, int dim, bool keepdim) {
  if (!records(t)) return;
  record(op, values, {t}, [index, dim, keepdim, shape = t.shape()](GradCall& c) {
    const Tensor g = keepdim ? c.grad() : unsqueeze(c.grad(), dim), at = keepdim ? index : unsqueeze(index, dim);
    c.set(0, scatter(zeros(shape, g.dtype(), g.device()), dim, at, g));
  });
}

Pair extreme(const char* op, const Tensor& t, int64_t dim, bool keepdim, bool max, bool with_values) {
  if (t.ndim() == 0) {
    normalize_dim(dim, 0, op);
    Pair whole = extreme(op, reshape(t, {1}), 0, keepdim, max, with_values);
    return {with_values ? reshape(whole.first, {}) : Tensor(), reshape(whole.second, {})};
  }
  const int d = normalize_dim(dim, t.ndim(), op);
  Shape shape = t.shape();
  shape.erase(d);
  if (t.shape()[d] == 0 && shape.numel() != 0)
    throw ShapeError(str(op, ": input ", t.shape(), " has no elements along dimension ", d));
  Tensor values = with_values ? empty(shape, t.dtype(), t.device()) : Tensor(), indices = empty(shape, DType::i64, t.device());
  if (indices.numel() > 0) {
    const Tensor workspace = reduce_workspace(t);
    launch(&KernelTable::arg_reduce, t.device(),
           ArgReduceArgs{t.view(), with_values ? values.view() : View{}, indices.view(), d, max,
                         workspace.defined() ? workspace.data() : nullptr});
  }
  if (keepdim) {
    shape.insert(d, 1);
    indices = view(indices, shape);
    if (with_values) values = view(values, shape);
  }
  if (with_values) record_pick(op, values, indices, t, d, keepdim);
  return {values, indices};
}

Tensor arg_extreme(const char* op, const Tensor& t, const std::optional<int64_t>& dim, bool keepdim, bool max) {
  const Tensor x = detach(t);
  if (dim) return extreme(op, x, *dim, keepdim, max, false).second;
  Tensor index = extreme(op, reshape(x, {-1}), 0, false, max, false).second;
  return keepdim ? reshape(index, Shape::filled(t.ndim(), 1)) : index;
}

Tensor run_cumsum(const Tensor& t, int d, DType dtype, bool from_the_end) {
  Tensor out = empty(t.shape(), dtype, t.device());
  if (out.numel() == 0) return out;
  CumsumArgs args{t.view(), out.view(), d};
  if (from_the_end) {
    for (View* v : {&args.in, &args.out}) {
      v->data = static_cast<char*>(v->data) + (v->shape[d] - 1) * v->strides[d] * size_of(v->dtype);
      v->strides[d] = -v->strides[d];
    }
  }
  launch(&KernelTable::cumsum, t.device(), args);
  if (records(t))
    record("cumsum", out, {t}, [d, from = t.dtype(), from_the_end](GradCall& c) {
      c.set(0, run_cumsum(c.grad(), d, from, !from_the_end));
    });
  return out;
}

}  // namespace

Tensor argmax(const Tensor& t, const std::optional<int64_t>& dim, bool keepdim) { return arg_extreme("argmax", t, dim, keepdim, true); }
Tensor argmin(const Tensor& t, const std::optional<int64_t>& dim, bool keepdim) { return arg_extreme("argmin", t, dim, keepdim, false); }
Pair max_dim(const Tensor& t, int64_t dim, bool keepdim) { return extreme("max", t, dim, keepdim, true, true); }
Pair min_dim(const Tensor& t, int64_t dim, bool keepdim) { return extreme("min", t, dim, keepdim, false, true); }

Tensor cumsum(const Tensor& t, int64_t dim, const std::optional<DType>& dtype) {
  const DType to = dtype.value_or(is_floating(t.dtype()) ? t.dtype() : DType::i64);
  if (t.ndim() == 0) {
    normalize_dim(dim, 0, "cumsum");
    return reshape(run_cumsum(reshape(t, {1}), 0, to, false), {});
  }
  return run_cumsum(t, normalize_dim(dim, t.ndim(), "cumsum"), to, false);
}

Pair sort(const Tensor& t, int64_t dim, bool descending, bool) {
  if (t.ndim() == 0) {
    normalize_dim(dim, 0, "sort");
    return {clone(t), zeros({}, DType::i64, t.device())};
  }
  const int d = normalize_dim(dim, t.ndim(), "sort");
  Tensor values = empty(t.shape(), t.dtype(), t.device()), indices = empty(t.shape(), DType::i64, t.device());
  if (t.numel() > 0) {
    const Tensor workspace = empty({t.numel(), 4}, DType::i64, t.device());
    launch(&KernelTable::sort, t.device(), SortArgs{t.view(), values.view(), indices.view(), workspace.data(), d, descending});
  }
  record_pick("sort", values, indices, t, d, true);
  return {values, indices};
}

Tensor argsort(const Tensor& t, int64_t dim, bool descending, bool stable) { return sort(detach(t), dim, descending, stable).second; }

Pair topk(const Tensor& t, int64_t k, int64_t dim, bool largest, bool) {
  const int64_t n = t.ndim() ? t.size(dim) : 1;
  if (k < 0 || k > n) throw IndexError(str("topk: k = ", k, " of ", n, " elements along dimension ", dim, " of input ", t.shape()));
  const Pair sorted = sort(t, dim, largest, true);
  if (t.ndim() == 0) return sorted;
  return {contiguous(narrow(sorted.first, dim, 0, k)), contiguous(narrow(sorted.second, dim, 0, k))};
}

Pair median_dim(const Tensor& t, int64_t dim, bool keepdim) {
  if (t.ndim() == 0) return sort(t, dim, false, true);
  const int64_t n = t.size(dim);
  if (n == 0) throw ShapeError(str("median: input ", t.shape(), " has no elements along dimension ", dim));
  const Pair sorted = sort(t, dim, false, true);
  const int64_t middle = (n - 1) / 2;
  return keepdim ? Pair{narrow(sorted.first, dim, middle, 1), narrow(sorted.second, dim, middle, 1)}
                 : Pair{select(sorted.first, dim, middle), select(sorted.second, dim, middle)};
}

}  // namespace fastdl::ops
