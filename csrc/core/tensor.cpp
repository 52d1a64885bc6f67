#include "core/tensor.h"

#include <algorithm>

namespace fastdl {

void (*refresh_view)(TensorImpl*) = nullptr;

TensorImpl::~TensorImpl() {
  if (before_destroy) before_destroy(this);
}

View Tensor::view() const {
  View v;
  const bool host = device().is_cpu();
  if (FASTDL_UNLIKELY(!host)) v = View{};  // what goes to a device is the same bytes every time
  v.data = impl_->data;
  v.ndim = impl_->shape.size();
  v.dtype = impl_->dtype;
  v.host = host;
  for (int i = 0; i < v.ndim; ++i) {
    v.shape[i] = impl_->shape[i];
    v.strides[i] = impl_->strides[i];
  }
  return v;
}

Shape channels_last_strides(const Shape& s) {
  Shape out = Shape::filled(s.size(), 1);
  if (s.size() < 3) return contiguous_strides(s);
  out[1] = 1;
  int64_t n = std::max<int64_t>(s[1], 1);
  for (int i = s.size() - 1; i >= 2; --i) {
    out[i] = n;
    n *= std::max<int64_t>(s[i], 1);
  }
  out[0] = n;
  return out;
}

bool Tensor::is_channels_last() const {
  if (ndim() != 4 && ndim() != 3) return false;
  const Shape expected = channels_last_strides(shape());
  for (int i = 0; i < ndim(); ++i)
    if (shape()[i] != 1 && strides()[i] != expected[i]) return false;
  return true;
}

bool Tensor::is_dense() const {
  if (impl_->contiguous) return true;
  int64_t covered = 1;  // by the dimensions found so far, from the innermost outwards
  bool found[kMaxDims] = {};
  for (int n = 0; n < ndim(); ++n) {
    int next = -1;
    for (int d = 0; d < ndim() && next < 0; ++d)
      if (!found[d] && (shape()[d] == 1 || strides()[d] == covered)) next = d;
    if (next < 0) return false;
    found[next] = true;
    covered *= shape()[next];
  }
  return true;
}

bool Tensor::may_overlap_itself() const {
  if (impl_->contiguous) return false;
  // Sorted by stride, each dimension must step over all that the smaller ones span.
  int order[kMaxDims];
  const int n = ndim();
  for (int i = 0; i < n; ++i) {
    int k = i;
    for (; k > 0 && strides()[order[k - 1]] > strides()[i]; --k) order[k] = order[k - 1];
    order[k] = i;
  }
  int64_t span = 0;
  for (int k = 0; k < n; ++k) {
    const int i = order[k];
    if (shape()[i] <= 1) continue;
    if (strides()[i] <= span) return true;
    span += strides()[i] * (shape()[i] - 1);
  }
  return false;
}

static bool contiguous_layout(const Shape& shape, const Shape& strides) {
  int64_t expected = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1) {
      if (strides[i] != expected) return false;
      expected *= shape[i];
    }
  }
  return true;
}

Tensor make_tensor(Ref<Storage> storage, void* data, const Shape& shape, const Shape& strides, DType dtype) {
  Ref<TensorImpl> impl(new TensorImpl);
  impl->storage = std::move(storage);
  impl->data = data;
  impl->shape = shape;
  impl->strides = strides;
  impl->dtype = dtype;
  impl->numel = shape.numel();
  impl->contiguous = impl->numel == 0 || contiguous_layout(shape, strides);
  return Tensor(std::move(impl));
}

Tensor make_empty_strided(const Shape& shape, const Shape& strides, DType dtype, Device device) {
  int64_t bytes;
  if (__builtin_mul_overflow(shape.numel(), size_of(dtype), &bytes))
    throw OutOfMemoryError(str("a tensor of shape ", shape, " and dtype ", name_of(dtype), " is larger than any memory"));
  try {
    Ref<Storage> storage = Storage::allocate(static_cast<size_t>(bytes), device);
    void* data = storage->data();
    return make_tensor(std::move(storage), data, shape, strides, dtype);
  } catch (const OutOfMemoryError& e) {
    throw OutOfMemoryError(str(e.what(), ", for a tensor of shape ", shape, " and dtype ", name_of(dtype)));
  }
}

Tensor make_empty(const Shape& shape, DType dtype, Device device) {
  return make_empty_strided(shape, contiguous_strides(shape), dtype, device);
}

Tensor alias(const Tensor& t) {
  Ref<TensorImpl> impl(new TensorImpl);
  const TensorImpl& from = *t.impl();
  impl->storage = from.storage;
  impl->data = from.data;
  impl->shape = from.shape;
  impl->strides = from.strides;
  impl->numel = from.numel;
  impl->dtype = from.dtype;
  impl->contiguous = from.contiguous;
  return Tensor(std::move(impl));
}

}  // namespace fastdl
