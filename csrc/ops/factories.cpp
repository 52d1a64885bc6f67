#include "ops/ops.h"

#include "ops/launch.h"

namespace fastdl {

namespace {
DType default_floating = DType::f32;
}

DType default_dtype() { return default_floating; }
void set_default_dtype(DType t) {
  if (!is_floating(t)) throw DTypeError(str("set_default_dtype: expected a floating-point dtype, got ", name_of(t)));
  default_floating = t;
}
DType Scalar::dtype() const { return kind == boolean ? DType::b8 : kind == integer ? DType::i64 : default_floating; }

namespace ops {

Tensor empty(const Shape& shape, DType dtype, Device device) { return make_empty(shape, dtype, device); }

Tensor empty_like(const Tensor& t, DType dtype) {
  if (!t.is_contiguous() && t.is_channels_last())
    return make_empty_strided(t.shape(), channels_last_strides(t.shape()), dtype, t.device());
  return make_empty(t.shape(), dtype, t.device());
}
Tensor empty_like(const Tensor& t) { return empty_like(t, t.dtype()); }

Tensor full(const Shape& shape, const Scalar& value, DType dtype, Device device) {
  return fill_(make_empty(shape, dtype, device), value);
}
Tensor zeros(const Shape& shape, DType dtype, Device device) { return full(shape, int64_t{0}, dtype, device); }
Tensor ones(const Shape& shape, DType dtype, Device device) { return full(shape, int64_t{1}, dtype, device); }
Tensor zeros_like(const Tensor& t) { return fill_(empty_like(t), int64_t{0}); }
Tensor ones_like(const Tensor& t) { return fill_(empty_like(t), int64_t{1}); }

Tensor scalar_tensor(const Scalar& value) {
  // Python's floats are doubles, and PyTorch computes with them as such.
  const DType dtype = value.kind == Scalar::floating ? DType::f64 : value.dtype();
  const PauseRecording constant;  // in a plan it stays what it is now
  Tensor t = make_empty({}, dtype);
  if (dtype == DType::f64) *t.data<double>() = value.d;
  else if (dtype == DType::i64) *t.data<int64_t>() = value.i;
  else *t.data<bool>() = value.i != 0;
  t.impl()->wrapped_number = true;
  constant.hold(t.storage());
  return t;
}

Scalar item_scalar(const Tensor& t) {
  if (t.numel() != 1) throw ShapeError(str("item: expected one element, got shape ", t.shape()));
  if (!t.is_wrapped_number()) check_host_read("item");
  if (!t.device().is_cpu()) return item_scalar(to_device(detach(t), Device{}));
  switch (t.dtype()) {
    case DType::b8: return *t.data<bool>();
    case DType::u8: return int64_t{*t.data<uint8_t>()};
    case DType::i8: return int64_t{*t.data<int8_t>()};
    case DType::i32: return int64_t{*t.data<int32_t>()};
    case DType::i64: return *t.data<int64_t>();
    case DType::f32: return static_cast<double>(*t.data<float>());
    case DType::f64: return *t.data<double>();
    case DType::f16:
    case DType::bf16: {
      GradMode no_grad(false);
      return *to_dtype(t, DType::f64).data<double>();
    }
  }
  return {};
}

double item(const Tensor& t) { return item_scalar(t).d; }

}  // namespace ops

void check_same_device(const char* op, std::initializer_list<InputRef> tensors) {
  const Tensor* first = nullptr;
  for (const InputRef& r : tensors) {
    if (!r.tensor || !r.tensor->defined() || is_number(*r.tensor)) continue;
    if (!first) first = r.tensor;
    else if (!(r.tensor->device() == first->device()))
      throw DeviceError(
          str(op, ": tensors on ", first->device().name(), " and ", r.tensor->device().name(), ", expected one device"));
  }
}

void check_floating(const char* op, const Tensor& t) {
  if (!is_floating(t.dtype())) throw DTypeError(str(op, ": expected a floating-point tensor, got ", name_of(t.dtype())));
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  Shape out = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  for (int i = 1; i <= shorter.size(); ++i) {
    int64_t& o = out[out.size() - i];
    const int64_t s = shorter[shorter.size() - i];
    if (o == s || s == 1) continue;
    if (o != 1)
      throw ShapeError(str(op, ": shapes ", a, " and ", b, " do not broadcast (dimension -", i, ": ", o, " and ", s,
                           ", expected equal sizes or 1)"));
    o = s;
  }
  return out;
}

View broadcast_view(const Tensor& t, const Shape& shape) {
  View v;
  if (FASTDL_UNLIKELY(!t.device().is_cpu())) v = View{};  // as Tensor::view()
  v.data = t.data();
  v.dtype = t.dtype();
  v.host = t.device().is_cpu();
  v.ndim = shape.size();
  const int lead = shape.size() - t.ndim();
  for (int i = 0; i < v.ndim; ++i) {
    v.shape[i] = shape[i];
    v.strides[i] = i < lead || (t.shape()[i - lead] == 1 && shape[i] != 1) ? 0 : t.strides()[i - lead];
  }
  return v;
}

}  // namespace fastdl
