#include "autograd/accumulate.h"

#include <unordered_set>

#include "autograd/views.h"

namespace fastdl {

namespace {

EngineOps ops_in_use{};

class AccumulateGrad final : public Node {
 public:
  explicit AccumulateGrad(const Tensor& leaf) : Node("AccumulateGrad", 0), leaf_(leaf) {
    number();
    outputs.push_back({leaf.shape(), leaf.dtype(), leaf.device()});
    leaf.impl()->accumulator = this;
  }
  ~AccumulateGrad() override {
    if (leaf_.impl()->accumulator == this) leaf_.impl()->accumulator = nullptr;
  }
  bool is_accumulator() const override { return true; }
  void run_hooks(TensorList& grads) override {
    const HookList* hooks = leaf_.impl()->hooks.get();
    if (!hooks || !grads[0].defined()) return;
    const std::vector<HookList::Entry> before = hooks->before;
    for (const HookList::Entry& h : before)
      if (Tensor replaced = h.hook(grads[0]); replaced.defined()) grads[0] = replaced;
  }
  void release_saved() override {}
  void apply(GradCall& call) override {
    add_to_grad(leaf_.impl(), call.take_grad());
    if (const HookList* hooks = leaf_.impl()->hooks.get()) {
      const std::vector<HookList::Entry> after = hooks->after;  // a hook may remove itself
      for (const HookList::Entry& h : after) h.hook(leaf_);
    }
  }

  const Tensor& leaf() const { return leaf_; }

 private:
  Tensor leaf_;
};

}  // namespace

void set_engine_ops(const EngineOps& ops) {
  ops_in_use = ops;
  refresh_view = refresh_from_base;
}
const EngineOps& engine_ops() { return ops_in_use; }
Tensor zeros_for(const Shape& shape, DType dtype, Device device) { return ops_in_use.zeros(shape, dtype, device); }

Ref<Node> accumulator_of(const Tensor& leaf) {
  if (RefCounted* a = leaf.impl()->accumulator) return Ref<Node>(static_cast<Node*>(a));
  return Ref<Node>(new AccumulateGrad(leaf));
}

TensorList leaves_of(const TensorList& outputs) {
  TensorList leaves;
  std::unordered_set<const Node*> seen;
  std::vector<const Node*> waiting;
  const auto visit = [&](const Node* node) {
    if (node && seen.insert(node).second) waiting.push_back(node);
  };
  std::vector<Edge> ends;  // keeps new accumulators alive
  for (const Tensor& t : outputs) visit(ends.emplace_back(gradient_edge(t)).node.get());
  while (!waiting.empty()) {
    const Node* node = waiting.back();
    waiting.pop_back();
    if (node->is_accumulator()) leaves.push_back(static_cast<const AccumulateGrad*>(node)->leaf());
    for (const Edge& e : node->edges) visit(e.node.get());
  }
  return leaves;
}

void add_to_grad(TensorImpl* leaf, Tensor gradient) {
  if (FASTDL_UNLIKELY(recording() != nullptr)) recording()->use_gradient(leaf);
  if (!leaf->grad) {
    // Nobody else holds this buffer: take it. A view or a shared tensor is copied, so that .grad can be written in place.
    const bool own = gradient.ref()->ref_count() == 1 && gradient.storage()->ref_count() == 1;
    if (grad_enabled() || (own && gradient.is_contiguous())) leaf->grad = gradient.ref();
    else leaf->grad = ops_in_use.clone(gradient).ref();
    return;
  }
  const Tensor before(leaf->grad);
  if (grad_enabled() || before.requires_grad()) leaf->grad = ops_in_use.add(before, gradient).ref();
  else ops_in_use.add_in_place(before, gradient);
}

}  // namespace fastdl
