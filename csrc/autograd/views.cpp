// A view and its base share memory, so an op that writes to the view writes to the base. The base's new history is a
// node that takes the gradient of the whole base, hands the view's part of it to the op's own gradient function, and puts
// what comes back for the view's old value in its place. Other views of the base then hold an outdated history: it is made
// anew, from the base's, when they are next used.
#include "autograd/views.h"

#include "autograd/accumulate.h"

namespace fastdl {

namespace {

struct Geometry {  // of a view within its base's memory
  Shape base_shape, base_strides, shape, strides;
  int64_t offset;  // elements from the base's first one
  DType dtype;
  Device device;

  Geometry(const TensorImpl& base, const TensorImpl& view)
      : base_shape(base.shape),
        base_strides(base.strides),
        shape(view.shape),
        strides(view.strides),
        offset((static_cast<char*>(view.data) - static_cast<char*>(base.data)) / size_of(base.dtype)),
        dtype(base.dtype),
        device(base.storage->device()) {}

  // Zeros, or a copy of g, laid out as the base.
  Tensor like_base(const Tensor& g) const {
    Tensor out = engine_ops().as_strided(engine_ops().zeros({span()}, dtype, device), base_shape, base_strides, 0);
    if (g.defined()) engine_ops().copy(out, g);
    return out;
  }
  Tensor part(const Tensor& whole) const {
    return engine_ops().as_strided(whole, shape, strides, whole.storage_offset() + offset);
  }

 private:
  int64_t span() const {
    int64_t last = 0;
    for (int i = 0; i < base_shape.size(); ++i) last += (base_shape[i] > 0 ? base_shape[i] - 1 : 0) * base_strides[i];
    return base_shape.numel() == 0 ? 0 : last + 1;
  }
};

class WriteThroughView final : public Node {
 public:
  WriteThroughView(Ref<Node> op, Geometry geometry)
      : Node("WriteThroughView", op->edges.size()), op_(std::move(op)), geometry_(std::move(geometry)) {}
  std::string name() const override { return op_ ? op_->name() : "WriteThroughView"; }
  void release_saved() override {
    if (op_) op_->release_saved();
  }
  void apply(GradCall& call) override {
    Tensor whole = geometry_.like_base(call.grad());
    Tensor part = geometry_.part(whole);
    TensorList grads{engine_ops().clone(part)};
    uint64_t wanted = 0;
    for (size_t i = 0; i < edges.size(); ++i) wanted |= static_cast<uint64_t>(call.wants(i)) << (i < 63 ? i : 63);
    GradCall inner(*op_, grads, wanted);
    op_->apply(inner);
    TensorList& results = inner.results();
    for (size_t i = 1; i < results.size(); ++i) call.set(i, std::move(results[i]));
    if (!call.wants(0)) return;
    engine_ops().copy(part, !results.empty() && results[0].defined()
                                ? results[0]
                                : zeros_for(geometry_.shape, geometry_.dtype, geometry_.device));
    call.set(0, whole);
  }

 private:
  Ref<Node> op_;
  Geometry geometry_;
};

// The history of a view as a view of its base's present value.
void attach_to_base(TensorImpl* view, const Tensor& base) {
  const Geometry geometry(*base.impl(), *view);
  auto backward = [geometry](GradCall& c) {
    Tensor whole = geometry.like_base({});
    engine_ops().copy(geometry.part(whole), c.grad());
    c.set(0, whole);
  };
  Ref<Node> node(new LambdaNode<decltype(backward)>("view", 1, backward));
  attach_input(*node, 0, &base);
  attach_view(node, Tensor(Ref<TensorImpl>(view)));
}

}  // namespace

void refresh_from_base(TensorImpl* view) {
  const Tensor base(view->base);
  view->view_version = view->storage->version();
  view->grad_fn = nullptr;
  if (base.requires_grad()) attach_to_base(view, base);
}

void track_view(const Tensor& out, const Tensor& t) {
  out.impl()->base = t.impl()->base ? t.impl()->base : t.ref();
  out.impl()->view_version = t.version();
}

void attach_view(const Ref<Node>& node, const Tensor& out) {
  node->number();
  out.impl()->grad_fn = node;
  out.impl()->output_nr = 0;
  out.impl()->view_version = out.version();
  node->outputs.push_back({out.shape(), out.dtype(), out.device()});
}

void rewrite_base(const Ref<Node>& node, const Tensor& view) {
  const Tensor base(view.impl()->base);
  node->outputs.push_back({view.shape(), view.dtype(), view.device()});
  if (node->outputs.size() > 1 || node->edges.empty())
    throw Error(str(node->name(), ": writes through a view of shape ", view.shape(), ", which needs an op of one output"));
  Ref<Node> write(new WriteThroughView(node, Geometry(*base.impl(), *view.impl())));
  attach_input(*write, 0, &base);
  for (size_t i = 1; i < node->edges.size(); ++i) write->edges[i] = node->edges[i];
  write->number();
  base.impl()->grad_fn = write;
  base.impl()->output_nr = 0;
  write->outputs.push_back({base.shape(), base.dtype(), base.device()});
  attach_to_base(view.impl(), base);
}

}  // namespace fastdl
