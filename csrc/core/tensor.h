// The tensor: a counted handle to a view of a storage. It knows nothing of ops; autograd hangs its node on it.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "core/dtype.h"
#include "core/ref.h"
#include "core/shape.h"
#include "core/storage.h"

namespace fastdl {

class Tensor;
using GradHook = std::function<Tensor(const Tensor&)>;  // returns the gradient's replacement, or an undefined tensor

struct HookList {
  struct Entry {
    int64_t id;
    GradHook hook;
  };
  std::vector<Entry> before;       // called with the gradient before it is added to .grad
  std::vector<Entry> after;        // called with the tensor itself after that
};

// The memory of a view was changed since its grad_fn was made: makes it anew from its base. Set by autograd.
extern void (*refresh_view)(class TensorImpl* view);

class TensorImpl final : public RefCounted {
 public:
  Ref<Storage> storage;
  void* data = nullptr;  // the first element: storage plus offset
  Shape shape;
  Shape strides;  // in elements
  int64_t numel = 0;
  DType dtype = DType::f32;
  bool contiguous = false;
  bool wrapped_number = false;  // a Python number: it does not take part in promotion within its category
  bool requires_grad = false;   // asked for by the user; a tensor with a grad_fn requires a gradient too
  Ref<TensorImpl> base;         // of a view made while recording: the tensor whose memory it shows
  uint32_t view_version = 0;    // the storage's version for which the view's grad_fn holds
  uint32_t output_nr = 0;       // which output of grad_fn
  Ref<RefCounted> grad_fn;      // an autograd::Node
  RefCounted* accumulator = nullptr;  // the leaf's node that adds to .grad; it owns the leaf, not the other way round
  Ref<TensorImpl> grad;
  std::unique_ptr<HookList> hooks;
  void* python = nullptr;       // the Python object that wraps this tensor, while there is one
  int64_t retain_hook = 0;      // set by retain_grad()
  void (*before_destroy)(TensorImpl*) = nullptr;

  ~TensorImpl() override;
};

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Ref<TensorImpl> impl) : impl_(std::move(impl)) {}

  bool defined() const { return static_cast<bool>(impl_); }
  TensorImpl* impl() const { return impl_.get(); }
  const Ref<TensorImpl>& ref() const { return impl_; }
  bool same(const Tensor& o) const { return impl_ == o.impl_; }

  const Shape& shape() const { return impl_->shape; }
  const Shape& strides() const { return impl_->strides; }
  int ndim() const { return impl_->shape.size(); }
  int64_t size(int64_t d) const { return impl_->shape[normalize_dim(d, ndim(), "size")]; }
  int64_t stride(int64_t d) const { return impl_->strides[normalize_dim(d, ndim(), "stride")]; }
  int64_t numel() const { return impl_->numel; }
  int64_t bytes() const { return impl_->numel * size_of(impl_->dtype); }
  DType dtype() const { return impl_->dtype; }
  Device device() const { return impl_->storage->device(); }
  bool is_contiguous() const { return impl_->contiguous; }
  bool is_wrapped_number() const { return impl_->wrapped_number; }
  bool requires_grad() const {
    if (FASTDL_UNLIKELY(impl_->base && impl_->view_version != version())) refresh_view(impl_.get());
    return impl_->requires_grad || impl_->grad_fn;
  }
  bool is_leaf() const { return !impl_->grad_fn; }
  template <class T = void> T* data() const { return static_cast<T*>(impl_->data); }
  const Ref<Storage>& storage() const { return impl_->storage; }
  int64_t storage_offset() const {  // in elements
    return (static_cast<char*>(impl_->data) - static_cast<char*>(impl_->storage->data())) / size_of(impl_->dtype);
  }
  uint32_t version() const { return impl_->storage->version(); }
  View view() const;

  // NHWC memory behind an NCHW shape.
  bool is_channels_last() const;
  // Memory without gaps or overlaps, in any order of the dimensions.
  bool is_dense() const;
  // Two elements may share memory (a broadcast dimension, or strides that collide).
  bool may_overlap_itself() const;

 private:
  Ref<TensorImpl> impl_;
};

using TensorList = std::vector<Tensor>;

Tensor make_tensor(Ref<Storage> storage, void* data, const Shape& shape, const Shape& strides, DType dtype);
// Uninitialised memory. `strides` must be dense (a permutation of contiguous ones).
Tensor make_empty(const Shape& shape, DType dtype, Device device = {});
Tensor make_empty_strided(const Shape& shape, const Shape& strides, DType dtype, Device device = {});
// The same memory, no history.
Tensor alias(const Tensor& t);
Shape channels_last_strides(const Shape& nchw);

}  // namespace fastdl
