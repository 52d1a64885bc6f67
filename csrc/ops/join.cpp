// Joining, repeating and rearranging: made of views and copies, so that their gradients are too.
#include <algorithm>

#include "ops/launch.h"
#include "ops/ops.h"

namespace fastdl::ops {

Tensor cat(const TensorList& given, int64_t dim) {
  if (given.empty()) throw ValueError("cat: expected at least one tensor");
  TensorList tensors;  // PyTorch skips empty vectors, of whatever shape the others are
  for (const Tensor& t : given)
    if (!(t.shape() == Shape{0}) || given.size() == 1) tensors.push_back(t);
  if (tensors.empty()) return clone(given[0]);
  const Tensor& first = tensors[0];
  if (first.ndim() == 0) throw ShapeError("cat: 0-d tensors cannot be joined; use stack");
  const int d = normalize_dim(dim, first.ndim(), "cat");
  Shape shape = first.shape();
  DType dtype = first.dtype();
  std::vector<int64_t> sizes;
  shape[d] = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    bool fits = t.ndim() == first.ndim();
    for (int k = 0; fits && k < t.ndim(); ++k) fits = k == d || t.shape()[k] == shape[k];
    if (!fits)
      throw ShapeError(
          str("cat: tensor ", i, " of shape ", t.shape(), " does not fit ", first.shape(), " outside dimension ", d));
    if (t.device() != first.device()) throw DeviceError(str("cat: tensor ", i, " is on another device than the first"));
    dtype = promote(dtype, t.dtype());
    shape[d] += t.shape()[d];
    sizes.push_back(t.shape()[d]);
  }
  const Tensor out = empty(shape, dtype, first.device());
  {
    const GradMode no_grad(false);
    int64_t at = 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].numel() > 0) copy_(narrow(out, d, at, sizes[i]), tensors[i]);
      at += sizes[i];
    }
  }
  if (grad_enabled() && needs_grad(tensors)) {
    std::vector<DType> dtypes;
    for (const Tensor& t : tensors) dtypes.push_back(t.dtype());
    record("cat", out, tensors, [d, sizes, dtypes](GradCall& c) {
      int64_t at = 0;
      for (size_t i = 0; i < sizes.size(); ++i) {
        if (c.wants(i)) c.set(i, to_dtype(narrow(c.grad(), d, at, sizes[i]), dtypes[i]));
        at += sizes[i];
      }
    });
  }
  return out;
}

Tensor stack(const TensorList& tensors, int64_t dim) {
  if (tensors.empty()) throw ValueError("stack: expected at least one tensor");
  const int d = normalize_dim(dim, tensors[0].ndim() + 1, "stack");
  TensorList rows;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!(tensors[i].shape() == tensors[0].shape()))
      throw ShapeError(str("stack: tensor ", i, " has shape ", tensors[i].shape(), ", the first ", tensors[0].shape()));
    rows.push_back(unsqueeze(tensors[i], d));
  }
  return cat(rows, d);
}

namespace {

// Each slice of dimension d (counted in the result) n times: the whole one after the other, or each element on its own.
Tensor repeat_dim(const Tensor& t, int d, int64_t n, bool each) {
  if (n == 1) return t;
  Shape wide = t.shape(), merged = t.shape();
  wide.insert(each ? d + 1 : d, n);
  merged[d] *= n;
  return reshape(expand(unsqueeze(t, each ? d + 1 : d), wide), merged);
}

}  // namespace

Tensor repeat(const Tensor& t, const Shape& repeats) {
  if (repeats.size() < t.ndim())
    throw ShapeError(str("repeat: repeats ", repeats, " has fewer dimensions than input ", t.shape()));
  for (int64_t n : repeats)
    if (n < 0) throw ValueError(str("repeat: negative count in ", repeats));
  Shape shape = t.shape();
  while (shape.size() < repeats.size()) shape.insert(0, 1);
  Tensor out = reshape(t, shape);
  for (int d = shape.size() - 1; d >= 0; --d) out = repeat_dim(out, d, repeats[d], false);
  return out.storage() == t.storage() ? clone(out) : out;
}

Tensor tile(const Tensor& t, const Shape& dims) {
  Shape repeats = dims;
  while (repeats.size() < t.ndim()) repeats.insert(0, 1);
  return repeat(t, repeats);
}

Tensor repeat_interleave(const Tensor& t, int64_t repeats, const std::optional<int64_t>& dim) {
  if (repeats < 0) throw ValueError(str("repeat_interleave: ", repeats, " repeats, expected at least 0"));
  const Tensor x = dim && t.ndim() > 0 ? t : reshape(t, {-1});
  const Tensor out = repeat_dim(x, dim ? normalize_dim(*dim, x.ndim(), "repeat_interleave") : 0, repeats, true);
  return out.storage() == t.storage() ? clone(out) : out;
}

Tensor repeat_interleave_tensor(const Tensor& t, const Tensor& repeats, const std::optional<int64_t>& dim) {
  const Tensor x = dim && t.ndim() > 0 ? t : reshape(t, {-1});
  const int d = dim ? normalize_dim(*dim, x.ndim(), "repeat_interleave") : 0;
  const int64_t n = x.shape()[d];
  if (!is_integral(repeats.dtype()))
    throw DTypeError(str("repeat_interleave: repeats is ", repeats.dtype(), ", expected integers"));
  check_host_read("repeat_interleave");
  if (repeats.numel() == 1) return repeat_interleave(x, item_scalar(repeats).i, d);
  if (repeats.ndim() != 1 || repeats.numel() != n)
    throw ShapeError(str("repeat_interleave: repeats ", repeats.shape(), " for dimension ", d, " of input ", x.shape(),
                         ", expected one count for each of ", n));
  const Tensor counts = to_device(contiguous(to_dtype(detach(repeats), DType::i64)), Device{});
  const int64_t* count = counts.data<int64_t>();
  int64_t total = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (count[i] < 0) throw ValueError(str("repeat_interleave: repeats[", i, "] is ", count[i]));
    total += count[i];
  }
  const Tensor places = empty({total}, DType::i64);
  int64_t* place = places.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) place = std::fill_n(place, count[i], i);
  return index_select(x, d, to_device(places, x.device()));
}

Tensor flip(const Tensor& t, const Shape& dims) {
  Shape strides = t.strides();
  bool seen[kMaxDims] = {};
  int64_t offset = 0;
  for (int64_t dim : dims) {
    const int d = normalize_dim(dim, t.ndim(), "flip");
    if (seen[d]) throw ValueError(str("flip: dimension ", d, " appears twice in ", dims));
    seen[d] = true;
    if (t.numel() == 0 || t.ndim() == 0) continue;
    offset += (t.shape()[d] - 1) * strides[d];
    strides[d] = -strides[d];
  }
  const Tensor out = empty(t.shape(), t.dtype(), t.device());
  if (t.numel() > 0) {
    const GradMode no_grad(false);
    char* last = static_cast<char*>(t.data()) + offset * size_of(t.dtype());
    copy_(out, make_tensor(t.storage(), last, t.shape(), strides, t.dtype()));
  }
  if (records(t)) record("flip", out, {t}, [dims](GradCall& c) { c.set(0, flip(c.grad(), dims)); });
  return out;
}

Tensor roll(const Tensor& t, const Shape& shifts, const Shape& dims) {
  if (dims.empty() && shifts.size() == 1) return reshape(roll(reshape(t, {-1}), shifts, {0}), t.shape());
  if (shifts.size() != dims.size() || shifts.empty())
    throw ValueError(str("roll: shifts ", shifts, " and dims ", dims, " need the same length"));
  Tensor out = t;
  for (int i = 0; i < dims.size(); ++i) {
    const int d = normalize_dim(dims[i], t.ndim(), "roll");
    const int64_t n = t.ndim() > 0 ? t.shape()[d] : 0;
    const int64_t shift = n > 0 ? (shifts[i] % n + n) % n : 0;
    if (shift != 0) out = cat({narrow(out, d, n - shift, shift), narrow(out, d, 0, n - shift)}, d);
  }
  return out.same(t) ? clone(t) : out;
}

namespace {

Tensor triangle(const char* op, const Tensor& t, int64_t diagonal, bool lower) {
  if (t.ndim() < 2) throw ShapeError(str(op, ": expected matrices, got input ", t.shape()));
  const Tensor x = contiguous(t);
  const Tensor out = empty(t.shape(), t.dtype(), t.device());
  TriangleArgs args{};
  args.in = x.data();
  args.out = out.data();
  args.rows = t.shape()[t.ndim() - 2];
  args.columns = t.shape()[t.ndim() - 1];
  // Beyond the corners nothing changes any more.
  args.diagonal = std::clamp<int64_t>(diagonal, -args.rows - 1, args.columns + 1);
  args.element_size = static_cast<int32_t>(size_of(t.dtype()));
  args.lower = lower;
  if (out.numel() > 0) {
    args.matrices = out.numel() / (args.rows * args.columns);
    launch(&KernelTable::triangle, t.device(), args);
  }
  if (records(t))
    record(op, out, {t}, [op, diagonal, lower](GradCall& c) { c.set(0, triangle(op, c.grad(), diagonal, lower)); });
  return out;
}

}  // namespace

Tensor tril(const Tensor& t, int64_t diagonal) { return triangle("tril", t, diagonal, true); }
Tensor triu(const Tensor& t, int64_t diagonal) { return triangle("triu", t, diagonal, false); }

}  // namespace fastdl::ops
