// Views: other shapes and strides over the same memory. Each records the view that undoes it; where the view leaves
// elements out, the gradient is written into zeros.
#include <algorithm>

#include "ops/ops.h"

namespace fastdl::ops {

namespace {

Tensor make_view(const Tensor& t, const Shape& shape, const Shape& strides, int64_t offset_elements = 0) {
  char* data = static_cast<char*>(t.data()) + offset_elements * size_of(t.dtype());
  Tensor out = make_tensor(t.storage(), data, shape, strides, t.dtype());
  if (grad_enabled()) track_view(out, t);
  return out;
}

template <class F> Tensor record_view(const char* name, const Tensor& t, Tensor out, F fn) {
  if (records(t)) record_as_view(name, out, t, std::move(fn));
  return out;
}

// The gradient of a view that keeps some of the elements of a tensor of `shape`: zeros with g written at the places that
// `take` views.
template <class Take> Tensor embed(const char* name, const Tensor& g, const Shape& shape, Take take) {
  Tensor out = zeros(shape, g.dtype(), g.device());
  {
    GradMode no_grad(false);
    copy_(take(out), g);
  }
  if (records(g)) record(name, out, {g}, [take](GradCall& c) { c.set(0, take(c.grad())); });
  return out;
}

// Fills in a size of -1 and checks the count.
Shape infer_shape(const char* op, const Tensor& t, const Shape& shape) {
  Shape out = shape;
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      if (unknown >= 0) throw ShapeError(str(op, ": only one size of ", shape, " may be -1"));
      unknown = i;
    } else if (shape[i] < 0 || __builtin_mul_overflow(known, shape[i], &known)) {
      throw ShapeError(str(op, ": invalid shape ", shape));
    }
  }
  if (unknown >= 0) {
    if (known == 0 || t.numel() % known != 0)
      throw ShapeError(str(op, ": shape ", shape, " does not divide the ", t.numel(), " elements of input ", t.shape()));
    out[unknown] = t.numel() / known;
  } else if (known != t.numel()) {
    throw ShapeError(str(op, ": shape ", shape, " has ", known, " elements, input ", t.shape(), " has ", t.numel()));
  }
  return out;
}

// Strides of `shape` over t's memory, if there are any: each run of dimensions that is contiguous in t is cut anew.
std::optional<Shape> view_strides(const Tensor& t, const Shape& shape) {
  if (t.is_contiguous()) return contiguous_strides(shape);
  Shape strides = Shape::filled(shape.size(), 1);
  int k = shape.size() - 1;
  int64_t chunk_stride = t.ndim() ? t.strides().back() : 1, chunk = 1, view_chunk = 1;
  for (int i = t.ndim() - 1; i >= 0; --i) {
    chunk *= t.shape()[i];
    const bool ends = i == 0 || (t.shape()[i - 1] != 1 && t.strides()[i - 1] != chunk * chunk_stride);
    if (!ends) continue;
    while (k >= 0 && (view_chunk < chunk || shape[k] == 1)) {
      strides[k] = view_chunk * chunk_stride;
      view_chunk *= shape[k--];
    }
    if (view_chunk != chunk) return std::nullopt;
    if (i > 0) {
      chunk_stride = t.strides()[i - 1];
      chunk = view_chunk = 1;
    }
  }
  return k < 0 ? std::optional(strides) : std::nullopt;
}

Tensor view_as(const char* name, const Tensor& t, const Shape& shape, const Shape& strides) {
  return record_view(name, t, make_view(t, shape, strides),
                     [shape = t.shape()](GradCall& c) { c.set(0, reshape(c.grad(), shape)); });
}

// Elements between the first and the last one, both included.
int64_t span_of(const Shape& shape, const Shape& strides) {
  int64_t last = 0;
  for (int i = 0; i < shape.size(); ++i) last += (shape[i] - 1) * strides[i];
  return shape.numel() == 0 ? 0 : last + 1;
}

// The gradient of any view of the memory of a tensor of shape `base`, `from` elements behind its first one: g is added to
// the memory's elements, and each element of the base gets what its place holds (shared among those at one place).
Tensor strided_gradient(const Tensor& g, const Shape& shape, const Shape& strides, int64_t from, const Shape& base,
                        const Shape& base_strides) {
  if (shape.numel() == 0 || base.numel() == 0) return zeros(base, g.dtype(), g.device());
  const int64_t low = std::min<int64_t>(0, from);
  const int64_t span = std::max(span_of(base, base_strides), from + span_of(shape, strides)) - low;
  const Tensor places = arange(int64_t{0}, span, int64_t{1}, DType::i64, g.device());
  const auto places_of = [&](const Shape& sizes, const Shape& steps, int64_t offset) {
    return reshape(as_strided(places, sizes, steps, offset), {-1});
  };
  const Tensor of_base = places_of(base, base_strides, -low);
  const auto add_up = [&](const Tensor& at, const Tensor& values) {
    return scatter_add(zeros({span}, g.dtype(), g.device()), 0, at, values);
  };
  const Tensor memory = add_up(places_of(shape, strides, from - low), reshape(g, {-1}));
  const Tensor sharers = add_up(of_base, ones(of_base.shape(), g.dtype(), g.device()));
  return reshape(gather(div(memory, maximum(sharers, scalar_tensor(1.0))), 0, of_base), base);
}

}  // namespace

Tensor view_dtype(const Tensor& t, DType dtype) {
  const int64_t from = size_of(t.dtype()), to = size_of(dtype);
  Shape shape = t.shape(), strides = t.numel() > 0 ? t.strides() : contiguous_strides(t.shape());
  if (from != to) {
    const int last = t.ndim() - 1;
    const auto refuse = [&](const char* why) {
      throw ShapeError(str("view: ", name_of(t.dtype()), " of shape ", t.shape(), " and strides ", t.strides(), " as ",
                           name_of(dtype), ": ", why));
    };
    if (last < 0) refuse("a 0-d tensor can only be read as a type of the same size");
    if (shape[last] != 1 && strides[last] != 1) refuse("the elements of the last dimension must lie side by side");
    shape[last] = shape[last] * from / to;
    if (shape[last] * to != t.shape()[last] * from) refuse("the last dimension does not divide into whole elements");
    if (t.storage_offset() * from % to) refuse("the first element is not aligned");
    for (int i = 0; i < last; ++i) {
      if (strides[i] * from % to) refuse("the strides do not divide into whole elements");
      strides[i] = strides[i] * from / to;
    }
    strides[last] = 1;
  }
  return make_tensor(t.storage(), t.data(), shape, strides, dtype);
}

Tensor as_strided(const Tensor& t, const Shape& shape, const Shape& strides, int64_t offset) {
  if (shape.size() != strides.size())
    throw ShapeError(str("as_strided: shape ", shape, " and strides ", strides, " have different lengths"));
  int64_t last = offset;
  for (int i = 0; i < shape.size(); ++i) {
    if (strides[i] < 0) throw ValueError(str("as_strided: negative stride in ", strides));
    int64_t span;
    if (__builtin_mul_overflow(std::max<int64_t>(shape[i], 1) - 1, strides[i], &span) ||
        __builtin_add_overflow(last, span, &last))
      throw ShapeError(str("as_strided: shape ", shape, " with strides ", strides, " is out of range"));
  }
  const int64_t available = static_cast<int64_t>(t.storage()->bytes()) / size_of(t.dtype());
  if (offset < 0 || (shape.numel() > 0 && last >= available))
    throw IndexError(str("as_strided: shape ", shape, ", strides ", strides, " and offset ", offset, " reach beyond the ",
                         available, " elements of the storage"));
  const int64_t from = offset - t.storage_offset();
  Tensor out = make_view(t, shape, strides, from);
  if (records(t)) {
    if (out.may_overlap_itself() || !t.is_contiguous() || from < 0 || last >= t.storage_offset() + t.numel())
      return record_view("as_strided", t, out,
                         [base = t.shape(), base_strides = t.strides(), shape, strides, from](GradCall& c) {
                           c.set(0, strided_gradient(c.grad(), shape, strides, from, base, base_strides));
                         });
    return record_view("as_strided", t, out, [base = t.shape(), shape, strides, from](GradCall& c) {
      c.set(0, embed("as_strided_backward", c.grad(), base,
                     [=](const Tensor& g) { return as_strided(contiguous(g), shape, strides, from); }));
    });
  }
  return out;
}

Tensor view(const Tensor& t, const Shape& shape) {
  const Shape full = infer_shape("view", t, shape);
  const std::optional<Shape> strides = view_strides(t, full);
  if (!strides)
    throw ShapeError(
        str("view: input ", t.shape(), " with strides ", t.strides(), " cannot be viewed as ", full, "; use reshape"));
  return view_as("view", t, full, *strides);
}

Tensor reshape(const Tensor& t, const Shape& shape) {
  const Shape full = infer_shape("reshape", t, shape);
  if (const std::optional<Shape> strides = view_strides(t, full)) return view_as("reshape", t, full, *strides);
  return view_as("reshape", contiguous(t), full, contiguous_strides(full));
}

Tensor flatten(const Tensor& t, int64_t start_dim, int64_t end_dim) {
  const int a = normalize_dim(start_dim, t.ndim(), "flatten"), b = normalize_dim(end_dim, t.ndim(), "flatten");
  if (a > b) throw ValueError(str("flatten: start_dim ", start_dim, " comes after end_dim ", end_dim));
  if (t.ndim() == 0) return reshape(t, {1});
  if (a == b) return t;
  Shape shape(t.shape().begin(), t.shape().begin() + a);
  int64_t n = 1;
  for (int i = a; i <= b; ++i) n *= t.shape()[i];
  shape.push_back(n);
  for (int i = b + 1; i < t.ndim(); ++i) shape.push_back(t.shape()[i]);
  return reshape(t, shape);
}

Tensor unflatten(const Tensor& t, int64_t dim, const Shape& sizes) {
  const int d = normalize_dim(dim, t.ndim(), "unflatten");
  if (t.ndim() == 0 || sizes.empty()) throw ShapeError(str("unflatten: sizes ", sizes, " for input ", t.shape()));
  int64_t known = 1, unknown = 0;
  for (int64_t s : sizes) s == -1 ? ++unknown : known *= s;
  if (unknown > 1 || (unknown == 0 && known != t.shape()[d]) || (unknown == 1 && (known == 0 || t.shape()[d] % known)))
    throw ShapeError(str("unflatten: sizes ", sizes, " do not multiply to dimension ", d, " of input ", t.shape()));
  Shape shape(t.shape().begin(), t.shape().begin() + d);
  for (int64_t s : sizes) shape.push_back(s == -1 ? t.shape()[d] / known : s);
  for (int i = d + 1; i < t.ndim(); ++i) shape.push_back(t.shape()[i]);
  return view(t, shape);
}

Tensor transpose(const Tensor& t, int64_t dim0, int64_t dim1) {
  const int a = normalize_dim(dim0, t.ndim(), "transpose"), b = normalize_dim(dim1, t.ndim(), "transpose");
  Shape shape = t.shape(), strides = t.strides();
  if (t.ndim() > 0) {
    std::swap(shape[a], shape[b]);
    std::swap(strides[a], strides[b]);
  }
  return record_view("transpose", t, make_view(t, shape, strides),
                     [a, b](GradCall& c) { c.set(0, transpose(c.grad(), a, b)); });
}

Tensor permute(const Tensor& t, const Shape& dims) {
  const int n = t.ndim();
  if (dims.size() != n)
    throw ShapeError(str("permute: ", dims.size(), " dimensions ", dims, " for input ", t.shape(), ", expected ", n));
  Shape shape = Shape::filled(n, 0), strides = shape, inverse = Shape::filled(n, -1);
  for (int i = 0; i < n; ++i) {
    const int d = normalize_dim(dims[i], n, "permute");
    if (inverse[d] >= 0) throw ValueError(str("permute: dimension ", d, " appears twice in ", dims));
    inverse[d] = i;
    shape[i] = t.shape()[d];
    strides[i] = t.strides()[d];
  }
  return record_view("permute", t, make_view(t, shape, strides),
                     [inverse](GradCall& c) { c.set(0, permute(c.grad(), inverse)); });
}

Tensor t(const Tensor& t) {
  if (t.ndim() > 2) throw ShapeError(str("t: expected at most 2 dimensions, got input ", t.shape()));
  return t.ndim() < 2 ? t : transpose(t, 0, 1);
}

Tensor movedim(const Tensor& t, const Shape& source, const Shape& destination) {
  if (source.size() != destination.size())
    throw ShapeError(str("movedim: source ", source, " and destination ", destination, " have different lengths"));
  const int n = t.ndim();
  Shape order = Shape::filled(n, -1);
  bool used[kMaxDims] = {};
  for (int i = 0; i < source.size(); ++i) {
    const int from = normalize_dim(source[i], n, "movedim"), to = normalize_dim(destination[i], n, "movedim");
    if (used[from] || order[to] >= 0) throw ValueError(str("movedim: repeated dimension in ", source, " or ", destination));
    used[from] = true;
    order[to] = from;
  }
  int next = 0;
  for (int i = 0; i < n; ++i) {
    if (order[i] >= 0) continue;
    while (used[next]) ++next;
    order[i] = next++;
  }
  return permute(t, order);
}

Tensor expand(const Tensor& t, const Shape& shape) {
  const int lead = shape.size() - t.ndim();
  if (lead < 0) throw ShapeError(str("expand: shape ", shape, " has fewer dimensions than input ", t.shape()));
  Shape full = shape, strides = Shape::filled(shape.size(), 0);
  for (int i = 0; i < shape.size(); ++i) {
    const int64_t have = i < lead ? 1 : t.shape()[i - lead];
    if (full[i] == -1 && i >= lead) full[i] = have;
    if (full[i] < 0 || (have != 1 && have != full[i]))
      throw ShapeError(
          str("expand: input ", t.shape(), " does not expand to ", shape, " (dimension ", i, ": ", have, " to ", full[i], ")"));
    strides[i] = i < lead || (have == 1 && full[i] != 1) ? 0 : t.strides()[i - lead];
  }
  if (full == t.shape()) return t;
  return record_view("expand", t, make_view(t, full, strides),
                     [from = t.shape()](GradCall& c) { c.set(0, sum_to(c.grad(), from)); });
}

Tensor squeeze(const Tensor& t, const std::optional<Shape>& dims) {
  bool drop[kMaxDims] = {};
  for (int i = 0; i < t.ndim() && !dims; ++i) drop[i] = t.shape()[i] == 1;
  if (dims)
    for (int64_t d : *dims) {
      const int i = normalize_dim(d, t.ndim(), "squeeze");
      drop[i] = t.ndim() > 0 && t.shape()[i] == 1;
    }
  Shape shape, strides;
  for (int i = 0; i < t.ndim(); ++i) {
    if (drop[i]) continue;
    shape.push_back(t.shape()[i]);
    strides.push_back(t.strides()[i]);
  }
  return view_as("squeeze", t, shape, strides);
}

Tensor unsqueeze(const Tensor& t, int64_t dim) {
  const int d = normalize_dim(dim, t.ndim() + 1, "unsqueeze");
  Shape shape = t.shape(), strides = t.strides();
  const int64_t stride = d < t.ndim() ? shape[d] * strides[d] : 1;
  shape.insert(d, 1);
  strides.insert(d, stride);
  return view_as("unsqueeze", t, shape, strides);
}

Tensor select(const Tensor& t, int64_t dim, int64_t index) {
  if (t.ndim() == 0) throw IndexError("select: a 0-d tensor has no dimension to select from");
  const int d = normalize_dim(dim, t.ndim(), "select");
  const int64_t n = t.shape()[d];
  if (index < -n || index >= n)
    throw IndexError(str("select: index ", index, " is out of range for dimension ", d, " of input ", t.shape()));
  if (index < 0) index += n;
  Shape shape = t.shape(), strides = t.strides();
  const int64_t offset = index * strides[d];
  shape.erase(d);
  strides.erase(d);
  return record_view("select", t, make_view(t, shape, strides, offset), [base = t.shape(), d, index](GradCall& c) {
    c.set(0, embed("select_backward", c.grad(), base, [d, index](const Tensor& g) { return select(g, d, index); }));
  });
}

Tensor slice(const Tensor& t, int64_t dim, int64_t start, int64_t stop, int64_t step) {
  if (t.ndim() == 0) throw IndexError("slice: a 0-d tensor has no dimension to slice");
  const int d = normalize_dim(dim, t.ndim(), "slice");
  if (step < 1) throw ValueError(str("slice: step ", step, ", expected at least 1"));
  const int64_t n = t.shape()[d];
  step = std::min(step, std::max<int64_t>(n, 1));
  start = std::clamp<int64_t>(start, 0, n);
  stop = std::clamp(stop, start, n);
  Shape shape = t.shape(), strides = t.strides();
  shape[d] = (stop - start + step - 1) / step;
  const int64_t offset = shape[d] > 0 ? start * strides[d] : 0;
  strides[d] *= step;
  return record_view("slice", t, make_view(t, shape, strides, offset), [base = t.shape(), d, start, stop, step](GradCall& c) {
    c.set(0, embed("slice_backward", c.grad(), base, [=](const Tensor& g) { return slice(g, d, start, stop, step); }));
  });
}

Tensor narrow(const Tensor& t, int64_t dim, int64_t start, int64_t length) {
  const int d = normalize_dim(dim, t.ndim(), "narrow");
  const int64_t n = t.ndim() ? t.shape()[d] : 0;
  if (start < 0) start += n;
  if (start < 0 || length < 0 || start > n - length)
    throw IndexError(
        str("narrow: ", length, " elements from ", start, " are out of range for dimension ", d, " of input ", t.shape()));
  return slice(t, d, start, start + length, 1);
}

TensorList split_sizes(const Tensor& t, const std::vector<int64_t>& sizes, int64_t dim) {
  TensorList out;
  int64_t at = 0;
  for (int64_t s : sizes) {
    out.push_back(narrow(t, dim, at, s));
    at += s;
  }
  if (t.ndim() == 0 || at != t.size(dim))
    throw ShapeError(
        str("split: ", int64_t(sizes.size()), " sizes add up to ", at, ", not to dimension ", dim, " of input ", t.shape()));
  return out;
}

TensorList split(const Tensor& t, int64_t size, int64_t dim) {
  if (t.ndim() == 0) throw ShapeError("split: a 0-d tensor cannot be split");
  const int64_t n = t.size(dim);
  if (size < 0 || (size == 0 && n > 0)) throw ValueError(str("split: size ", size, ", expected at least 1"));
  TensorList out;
  for (int64_t at = 0; at < n || out.empty(); at += size) {
    out.push_back(narrow(t, dim, at, std::min(size, n - at)));
    if (size == 0) break;
  }
  return out;
}

TensorList chunk(const Tensor& t, int64_t chunks, int64_t dim) {
  if (chunks < 1) throw ValueError(str("chunk: ", chunks, " chunks, expected at least 1"));
  if (t.ndim() == 0) throw ShapeError("chunk: a 0-d tensor cannot be split");
  return split(t, std::max<int64_t>((t.size(dim) + chunks - 1) / chunks, 1), dim);
}

TensorList unbind(const Tensor& t, int64_t dim) {
  if (t.ndim() == 0) throw ShapeError("unbind: a 0-d tensor cannot be iterated over");
  const int d = normalize_dim(dim, t.ndim(), "unbind");
  TensorList out;
  for (int64_t i = 0; i < t.shape()[d]; ++i) out.push_back(select(t, d, i));
  return out;
}

Tensor diagonal(const Tensor& t, int64_t offset, int64_t dim1, int64_t dim2) {
  const int a = normalize_dim(dim1, t.ndim(), "diagonal"), b = normalize_dim(dim2, t.ndim(), "diagonal");
  if (a == b || t.ndim() < 2) throw ShapeError(str("diagonal: dimensions ", dim1, " and ", dim2, " of input ", t.shape()));
  const int64_t rows = t.shape()[a], cols = t.shape()[b];
  const int64_t n = std::max<int64_t>(0, offset >= 0 ? std::min(rows, cols - offset) : std::min(rows + offset, cols));
  Shape shape, strides;
  for (int i = 0; i < t.ndim(); ++i) {
    if (i == a || i == b) continue;
    shape.push_back(t.shape()[i]);
    strides.push_back(t.strides()[i]);
  }
  shape.push_back(n);
  strides.push_back(t.strides()[a] + t.strides()[b]);
  const int64_t from = n == 0 ? 0 : offset >= 0 ? offset * t.strides()[b] : -offset * t.strides()[a];
  return record_view("diagonal", t, make_view(t, shape, strides, from), [base = t.shape(), offset, a, b](GradCall& c) {
    c.set(0, embed("diagonal_backward", c.grad(), base, [=](const Tensor& g) { return diagonal(g, offset, a, b); }));
  });
}

Tensor unfold(const Tensor& t, int64_t dim, int64_t size, int64_t step) {
  const int d = normalize_dim(dim, t.ndim(), "unfold");
  const int64_t n = t.ndim() ? t.shape()[d] : 1;
  if (size < 0 || size > n || step < 1)
    throw ValueError(str("unfold: windows of ", size, " every ", step, " in dimension ", d, " of input ", t.shape()));
  Shape shape = t.shape(), strides = t.strides();
  const int64_t stride = t.ndim() ? strides[d] : 1;
  if (t.ndim()) {
    shape[d] = (n - size) / step + 1;
    strides[d] = stride * step;
  }
  shape.push_back(size);
  strides.push_back(stride);
  Tensor out = make_view(t, shape, strides);
  if (!records(t)) return out;
  // Windows overlap: each position within the window adds its slice.
  return record_view("unfold", t, out, [base = t.shape(), d, size, step, count = shape[d]](GradCall& c) {
    Tensor g = c.grad(), total;
    if (base.empty()) return c.set(0, reshape(g, {}));
    for (int64_t k = 0; k < size; ++k) {
      Tensor part = embed("unfold_backward", select(g, -1, k), base,
                          [=](const Tensor& full) { return slice(full, d, k, k + (count - 1) * step + 1, step); });
      total = total.defined() ? add(total, part) : part;
    }
    c.set(0, total.defined() ? total : zeros(base, g.dtype(), g.device()));
  });
}

Tensor detach(const Tensor& t) { return alias(t); }

}  // namespace fastdl::ops
