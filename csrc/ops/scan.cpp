#include <limits>

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
  if (with_values) record_pick(op, values, indices, t, d, false);
  if (!keepdim) return {values, indices};
  return {with_values ? unsqueeze(values, d) : values, unsqueeze(indices, d)};
}

Tensor arg_extreme(const char* op, const Tensor& t, const std::optional<int64_t>& dim, bool keepdim, bool max) {
  const Tensor x = detach(t);
  if (dim) return extreme(op, x, *dim, keepdim, max, false).second;
  Tensor index = extreme(op, reshape(x, {-1}), 0, false, max, false).second;
  return keepdim ? reshape(index, Shape::filled(t.ndim(), 1)) : index;
}

// The scan's values, and of max and min the places.
Pair run_scan(ScanOp op, const Tensor& t, int d, DType dtype, bool from_the_end = false) {
  const bool places = op == ScanOp::max || op == ScanOp::min;
  Tensor out = empty(t.shape(), dtype, t.device()), indices = places ? empty(t.shape(), DType::i64, t.device()) : Tensor();
  if (out.numel() == 0) return {out, indices};
  ScanArgs args{t.view(), out.view(), places ? indices.view() : View{}, d, op};
  if (from_the_end) {
    for (View* v : {&args.in, &args.out}) {
      v->data = static_cast<char*>(v->data) + (v->shape[d] - 1) * v->strides[d] * size_of(v->dtype);
      v->strides[d] = -v->strides[d];
    }
  }
  launch(&KernelTable::scan, t.device(), args);
  return {out, indices};
}

Tensor run_cumsum(const Tensor& t, int d, DType dtype, bool from_the_end) {
  const Tensor out = run_scan(ScanOp::sum, t, d, dtype, from_the_end).first;
  if (records(t))
    record("cumsum", out, {t},
           [d, from = t.dtype(), from_the_end](GradCall& c) { c.set(0, run_cumsum(c.grad(), d, from, !from_the_end)); });
  return out;
}

Tensor number(double v) { return scalar_tensor(v); }

// f(t, its dimension) of a tensor that may be 0-d.
template <class F> Tensor along(const char* op, const Tensor& t, int64_t dim, F f) {
  const int d = normalize_dim(dim, t.ndim(), op);
  return t.ndim() == 0 ? reshape(f(reshape(t, {1}), 0), {}) : f(t, d);
}

DType scan_dtype(const Tensor& t, const std::optional<DType>& dtype) {
  return dtype.value_or(is_floating(t.dtype()) ? t.dtype() : DType::i64);
}

Tensor run_cumprod(const Tensor& t, int d) {
  const Tensor y = run_scan(ScanOp::prod, t, d, t.dtype()).first;
  if (records(t))
    record("cumprod", y, {t}, [x = save(t), d](GradCall& c) {
      // d y_j / d x_k = y_j / x_k. At the first zero, the products without it; behind it, none depends on x_k.
      const Tensor x0 = c(x), zero = eq(detach(x0), number(0)), zeros_so_far = cumsum(zero, d, std::nullopt);
      const Tensor before = eq(zeros_so_far, number(0)), first = logical_and(zero, eq(zeros_so_far, number(1)));
      const Tensor filled = where(first, number(1), x0), none = number(0);
      const auto weighted = [&](const Tensor& products) { return run_cumsum(mul(c.grad(), products), d, x0.dtype(), true); };
      const Tensor slope = div(weighted(run_cumprod(x0, d)), where(before, x0, number(1)));
      c.set(0, add(where(before, slope, none), where(first, weighted(run_cumprod(filled, d)), none)));
    });
  return y;
}

Tensor run_logcumsumexp(const Tensor& t, int d, bool from_the_end) {
  const Tensor y = run_scan(ScanOp::logsumexp, t, d, t.dtype(), from_the_end).first;
  if (records(t))
    record("logcumsumexp", y, {t}, [x = save(t), y = save_output(y), d, from_the_end](GradCall& c) {
      // sum over j >= k of g_j e^(x_k - y_j), in logarithms, apart for positive and negative g_j.
      const Tensor g = c.grad(), never = number(-std::numeric_limits<double>::infinity());
      const auto part = [&](const Tensor& kept, const Tensor& magnitude) {
        const Tensor safe = where(kept, magnitude, number(1));
        const Tensor logs = where(kept, sub(log(safe), c(y)), never);
        return exp(add(run_logcumsumexp(logs, d, !from_the_end), c(x)));
      };
      c.set(0, sub(part(gt(g, number(0)), g), part(lt(g, number(0)), neg(g))));
    });
  return y;
}

Pair running_extreme(const char* op, ScanOp which, const Tensor& t, int64_t dim) {
  if (t.ndim() == 0) {
    normalize_dim(dim, 0, op);
    return {clone(t), zeros({}, DType::i64, t.device())};
  }
  const int d = normalize_dim(dim, t.ndim(), op);
  const Pair out = run_scan(which, t, d, t.dtype());
  if (records(t))
    record(op, out.first, {t}, [index = out.second, d, shape = t.shape()](GradCall& c) {
      c.set(0, scatter_add(zeros(shape, c.grad().dtype(), c.grad().device()), d, index, c.grad()));
    });
  return out;
}

}  // namespace

Tensor argmax(const Tensor& t, const std::optional<int64_t>& dim, bool keepdim) {
  return arg_extreme("argmax", t, dim, keepdim, true);
}
Tensor argmin(const Tensor& t, const std::optional<int64_t>& dim, bool keepdim) {
  return arg_extreme("argmin", t, dim, keepdim, false);
}
Pair max_dim(const Tensor& t, int64_t dim, bool keepdim) { return extreme("max", t, dim, keepdim, true, true); }
Pair min_dim(const Tensor& t, int64_t dim, bool keepdim) { return extreme("min", t, dim, keepdim, false, true); }

Tensor cumsum(const Tensor& t, int64_t dim, const std::optional<DType>& dtype) {
  return along("cumsum", t, dim, [&](const Tensor& x, int d) { return run_cumsum(x, d, scan_dtype(t, dtype), false); });
}
Tensor cumprod(const Tensor& t, int64_t dim, const std::optional<DType>& dtype) {
  return along("cumprod", t, dim, [&](const Tensor& x, int d) { return run_cumprod(to_dtype(x, scan_dtype(t, dtype)), d); });
}
Tensor logcumsumexp(const Tensor& t, int64_t dim) {
  check_floating("logcumsumexp", t);
  return along("logcumsumexp", t, dim, [](const Tensor& x, int d) { return run_logcumsumexp(x, d, false); });
}
Pair cummax(const Tensor& t, int64_t dim) { return running_extreme("cummax", ScanOp::max, t, dim); }
Pair cummin(const Tensor& t, int64_t dim) { return running_extreme("cummin", ScanOp::min, t, dim); }

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

Tensor argsort(const Tensor& t, int64_t dim, bool descending, bool stable) {
  return sort(detach(t), dim, descending, stable).second;
}

Pair topk(const Tensor& t, int64_t k, int64_t dim, bool largest, bool) {
  const int64_t n = t.ndim() ? t.size(dim) : 1;
  if (k < 0 || k > n)
    throw IndexError(str("topk: k = ", k, " of ", n, " elements along dimension ", dim, " of input ", t.shape()));
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
