#include "ops/index.h"

#include "ops/launch.h"

namespace fastdl::ops {

namespace {

// Which dimensions are indexed, where the result's places go, and the places' offsets into t's memory.
struct Places {
  Shape shape;                 // of the places
  int at = 0;                  // the result's dimension at which they stand
  bool indexed[kMaxDims] = {};
  Tensor offsets;
};

Places find_places(const char* op, const Tensor& t, const TensorList& indices) {
  if (static_cast<int>(indices.size()) > t.ndim())
    throw IndexError(str(op, ": ", static_cast<int64_t>(indices.size()), " indices for a tensor of ", t.ndim(), " dimensions"));
  Places places;
  IndexOffsetsArgs args{};
  int first = -1, last = -1;
  for (size_t d = 0; d < indices.size(); ++d) {
    const Tensor& index = indices[d];
    if (!index.defined()) continue;
    if (index.dtype() != DType::i64)
      throw DTypeError(
          str(op, ": index ", static_cast<int64_t>(d), " is ", name_of(index.dtype()), ", expected int64 or bool"));
    places.shape = first < 0 ? index.shape() : broadcast_shapes(op, places.shape, index.shape());
    if (first < 0) first = static_cast<int>(d);
    places.indexed[d] = true;
    args.size[args.count] = t.shape()[static_cast<int>(d)];
    args.stride[args.count++] = t.strides()[static_cast<int>(d)];
    // Indices that are not side by side put their places in front.
    places.at = last >= 0 && last + 1 != static_cast<int>(d) ? 0 : last < 0 ? first : places.at;
    if (last >= 0 && last + 1 != static_cast<int>(d)) first = 0;
    last = static_cast<int>(d);
  }
  if (last < 0) throw IndexError(str(op, ": no index given"));
  if (first == 0) places.at = 0;
  int k = 0;
  TensorList near;  // a device takes indices of the host too
  for (const Tensor& index : indices) {
    if (!index.defined()) continue;
    near.push_back(index.device().is_cpu() ? to_device(index, t.device()) : index);
    args.index[k++] = broadcast_view(near.back(), places.shape);
  }
  places.offsets = empty({places.shape.numel()}, DType::i64, t.device());
  const Tensor bad = zeros({3}, DType::i64, t.device());
  args.offsets = places.offsets.data<int64_t>();
  args.bad = bad.data<int64_t>();
  if (places.offsets.numel() > 0) launch(&KernelTable::index_offsets, t.device(), args);
  on_host("check indices", [op, bad, places, shape = t.shape()] {
    const Tensor noted = to_device(bad, Device{});
    const int64_t* b = noted.data<int64_t>();
    if (!b[0]) return;
    int dim = 0;
    for (int64_t seen = -1; dim < kMaxDims && (seen += places.indexed[dim]) < b[1];) ++dim;
    throw IndexError(
        str(op, ": index ", b[2], " is out of range for dimension ", dim, " of size ", shape[dim], " of input ", shape));
  });
  return places;
}

// t's dimensions that are not indexed.
View rest_of(const Tensor& t, const Places& places) {
  View v{};
  v.data = t.data();
  v.dtype = t.dtype();
  for (int d = 0; d < t.ndim(); ++d) {
    if (places.indexed[d]) continue;
    v.shape[v.ndim] = t.shape()[d];
    v.strides[v.ndim++] = t.strides()[d];
  }
  return v;
}

Shape result_shape(const Places& places, const View& rest) {
  Shape out;
  for (int d = 0; d < places.at; ++d) out.push_back(rest.shape[d]);
  for (int64_t n : places.shape) out.push_back(n);
  for (int d = places.at; d < rest.ndim; ++d) out.push_back(rest.shape[d]);
  return out;
}

// A tensor of the result's shape, seen with the places' dimensions first.
View places_first(const View& v, const Places& places) {
  View out = v;
  int k = 0;
  const auto take = [&](int d) {
    out.shape[k] = v.shape[d];
    out.strides[k++] = v.strides[d];
  };
  const int n = places.shape.size();
  for (int d = places.at; d < places.at + n; ++d) take(d);
  for (int d = 0; d < places.at; ++d) take(d);
  for (int d = places.at + n; d < v.ndim; ++d) take(d);
  return out;
}

void put(const char* op, const Tensor& self, const TensorList& indices, const Tensor& values, bool accumulate) {
  const Places places = find_places(op, self, indices);
  const View rest = rest_of(self, places);
  const Shape shape = result_shape(places, rest);
  if (!(broadcast_shapes(op, shape, values.shape()) == shape))
    throw ShapeError(str(op, ": values of shape ", values.shape(), " do not broadcast to the indexed shape ", shape));
  const Tensor converted = to_dtype(to_device(detach(values), self.device()), self.dtype());
  if (shape.numel() == 0) return;
  const Tensor order = self.device().is_cpu() ? Tensor() : argsort(places.offsets, 0, false, true);
  launch(&KernelTable::index_scatter, self.device(),
         IndexScatterArgs{rest, places_first(broadcast_view(converted, shape), places), places.shape.size(),
                          places.offsets.data<int64_t>(), accumulate, order.defined() ? order.data<int64_t>() : nullptr});
}

Tensor apply_steps(Tensor t, const std::vector<IndexStep>& steps) {
  for (const IndexStep& s : steps) t = apply_step(t, s);
  return t;
}

// Writes value to the place, without history.
void write(const Tensor& self, const IndexSpec& spec, const Tensor& value) {
  GradMode no_grad(false);
  const Tensor place = apply_steps(self, spec.steps);
  if (spec.advanced()) put("setitem", place, spec.indices, value, false);
  else copy_(place, value);
}

}  // namespace

Tensor apply_step(const Tensor& t, const IndexStep& s) {
  switch (s.kind) {
    case IndexStep::select: return select(t, s.dim, s.start);
    case IndexStep::slice: return slice(t, s.dim, s.start, s.stop, s.step);
    case IndexStep::unsqueeze: return unsqueeze(t, s.dim);
  }
  return t;
}

Tensor index(const Tensor& t, const TensorList& given) {
  const TensorList indices = expand_masks("index", t, given);
  const Places places = find_places("index", t, indices);
  const View rest = rest_of(t, places);
  Tensor out = empty(result_shape(places, rest), t.dtype(), t.device());
  if (out.numel() > 0)
    launch(&KernelTable::index_gather, t.device(),
           IndexGatherArgs{rest, places_first(out.view(), places), places.shape.size(), places.offsets.data<int64_t>()});
  if (records(t))
    record("index", out, {t}, [shape = t.shape(), indices](GradCall& c) {
      const DType dtype = c.grad().dtype(), sum = is_half(dtype) ? DType::f32 : dtype;  // of 16-bit floats in float32
      c.set(0, to_dtype(index_put_(zeros(shape, sum, c.grad().device()), indices, to_dtype(c.grad(), sum), true), dtype));
    });
  return out;
}

Tensor index_put(const Tensor& t, const TensorList& indices, const Tensor& values, bool accumulate) {
  return index_put_(clone(t), indices, values, accumulate);
}

Tensor index_put_(const Tensor& self, const TensorList& given, const Tensor& values, bool accumulate) {
  check_writable("index_put_", self);
  const TensorList indices = expand_masks("index_put_", self, given);
  const bool recording = records(self, values);
  put("index_put_", self, indices, values, accumulate);
  changed(self);
  if (recording)
    record("index_put_", self, {self, values},
           [indices, accumulate, shape = values.shape(), dtype = values.dtype()](GradCall& c) {
             if (c.wants(0)) c.set(0, accumulate ? c.grad() : index_put(c.grad(), indices, scalar_tensor(0.0), false));
             if (c.wants(1)) c.set(1, to_dtype(sum_to(index(c.grad(), indices), shape), dtype));
           });
  return self;
}

void set_item(const Tensor& self, const IndexSpec& spec, const Tensor& value) {
  check_writable("setitem", self);
  const bool recording = records(self, value);
  write(self, spec, value);
  changed(self);
  if (!recording) return;
  record("setitem", self, {self, value}, [spec, shape = value.shape(), dtype = value.dtype()](GradCall& c) {
    if (c.wants(0)) {
      Tensor g = clone(c.grad());
      set_item(g, spec, scalar_tensor(0.0));
      c.set(0, g);
    }
    if (c.wants(1)) {
      Tensor g = apply_steps(c.grad(), spec.steps);
      if (spec.advanced()) g = index(g, spec.indices);
      c.set(1, to_dtype(sum_to(g, shape), dtype));
    }
  });
}

namespace {

// (ndim, count) coordinates of the elements that are not zero.
Tensor nonzero_coordinates(const char* op, const Tensor& x) {
  check_host_read(op);
  const int64_t count = x.numel() == 0 ? 0 : item_scalar(count_nonzero(x, std::nullopt)).i;
  const Tensor all = empty({x.ndim(), count}, DType::i64, x.device());
  if (count == 0 || x.ndim() == 0) return all;
  const Tensor chunks =
      x.device().is_cpu() ? Tensor() : empty({(x.numel() + kNonzeroChunk - 1) / kNonzeroChunk}, DType::i64, x.device());
  launch(&KernelTable::nonzero, x.device(),
         NonzeroArgs{x.view(), all.data<int64_t>(), count, chunks.defined() ? chunks.data<int64_t>() : nullptr});
  return all;
}

}  // namespace

TensorList nonzero_indices(const Tensor& mask) { return unbind(nonzero_coordinates("index by a mask", detach(mask)), 0); }

TensorList expand_masks(const char* op, const Tensor& t, const TensorList& indices) {
  TensorList out;
  for (const Tensor& given : indices) {
    const Tensor index = given.defined() ? to_device(given, t.device()) : given;
    if (!index.defined() || index.dtype() != DType::b8) {
      out.push_back(index.defined() && index.dtype() != DType::i64 && is_integral(index.dtype()) ? to_dtype(index, DType::i64)
                                                                                                 : index);
      continue;
    }
    const int at = static_cast<int>(out.size());
    for (int d = 0; d < index.ndim(); ++d)
      if (at + d >= t.ndim() || index.shape()[d] != t.shape()[at + d])
        throw IndexError(str(op, ": mask of shape ", index.shape(), " at dimension ", at, " of input ", t.shape(),
                             ", expected equal sizes"));
    for (Tensor& part : nonzero_indices(index)) out.push_back(std::move(part));
  }
  return out;
}

Tensor nonzero(const Tensor& t) { return contiguous(transpose(nonzero_coordinates("nonzero", detach(t)), 0, 1)); }

Tensor masked_select(const Tensor& t, const Tensor& mask) {
  if (mask.dtype() != DType::b8) throw DTypeError(str("masked_select: mask is ", name_of(mask.dtype()), ", expected bool"));
  const Shape shape = broadcast_shapes("masked_select", t.shape(), mask.shape());
  if (shape.empty()) return masked_select(reshape(t, {1}), reshape(mask, {1}));
  return index(expand(t, shape), {expand(mask, shape)});
}

}  // namespace fastdl::ops
