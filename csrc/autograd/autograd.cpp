#include "autograd/autograd.h"

#include <algorithm>
#include <atomic>

#include "autograd/accumulate.h"
#include "autograd/views.h"

namespace fastdl {

namespace {
thread_local bool tls_grad = true;
thread_local bool tls_inference = false;
thread_local bool tls_anomaly = false;
std::atomic<uint64_t> last_sequence{0};
int64_t next_hook_id = 0;
}  // namespace

uint64_t last_sequence_number() { return last_sequence.load(std::memory_order_relaxed); }
bool grad_enabled() { return tls_grad; }
void set_grad_enabled(bool on) { tls_grad = on; }
bool inference_mode() { return tls_inference; }
void set_inference_mode(bool on) { tls_inference = on; }
bool anomaly_mode() { return tls_anomaly; }
void set_anomaly_mode(bool on) { tls_anomaly = on; }

SavedTensor save(const Tensor& t) {
  SavedTensor s;
  s.tensor_ = t;
  if (t.defined()) s.version_ = t.version();
  return s;
}

SavedTensor save_output(const Tensor& t, uint32_t output_nr) {
  SavedTensor s;
  s.tensor_ = alias(t);
  s.version_ = t.version();
  s.output_nr_ = static_cast<int32_t>(output_nr);
  return s;
}

const Tensor& GradCall::grad(size_t output) {
  if (!grads_[output].defined()) {
    const Node::OutputInfo& info = node_.outputs[output];
    grads_[output] = zeros_for(info.shape, info.dtype, info.device);
  }
  return grads_[output];
}

Tensor GradCall::take_grad(size_t output) {
  grad(output);
  return std::move(grads_[output]);
}

bool GradCall::wants(size_t input) const { return node_.edges[input].node && (wanted_ >> std::min<size_t>(input, 63) & 1); }

void GradCall::set(size_t input, Tensor gradient) {
  if (results_.size() <= input) results_.resize(node_.edges.size());
  if (wants(input)) results_[input] = std::move(gradient);
}

Tensor GradCall::operator()(const SavedTensor& s) const {
  if (!s.defined()) return {};
  if (s.tensor_.version() != s.version_)
    throw VersionError(str(node_.name(), ": a tensor of shape ", s.tensor_.shape(),
                           " that its gradient needs was changed in place after it was saved (version ", s.tensor_.version(),
                           ", expected ", s.version_, ")"));
  if (s.output_nr_ < 0 || !grad_enabled()) return s.tensor_;
  Tensor out = alias(s.tensor_);  // with its history again: this gradient is being recorded
  out.impl()->grad_fn = Ref<RefCounted>(&node_);
  out.impl()->output_nr = static_cast<uint32_t>(s.output_nr_);
  return out;
}

Node::Node(const char* name, size_t num_inputs) : edges(num_inputs), name_(name) {}

void Node::number() { sequence = last_sequence.fetch_add(1, std::memory_order_relaxed) + 1; }

void Node::run_hooks(TensorList& grads) {
  if (hooks.empty()) return;
  const std::vector<OutputHook> called = hooks;  // a hook may remove itself
  for (const OutputHook& h : called) {
    if (!grads[h.output_nr].defined()) continue;
    if (Tensor replaced = h.hook(grads[h.output_nr]); replaced.defined()) grads[h.output_nr] = replaced;
  }
}

// A long chain of nodes would be freed recursively, a stack frame a node: nodes are handed to a list instead, which the
// outermost destructor empties.
Node::~Node() {
  thread_local std::vector<Ref<Node>> pending;
  thread_local bool draining = false;
  for (Edge& e : edges)
    if (e.node && e.node->ref_count() == 1) pending.push_back(std::move(e.node));
  if (draining) return;
  draining = true;
  while (!pending.empty()) {
    Ref<Node> n = std::move(pending.back());
    pending.pop_back();
  }
  draining = false;
}

void throw_released(const Node& node) {
  throw Error(str("backward: the graph of ", node.name(),
                  " was already used and its saved tensors were freed; pass retain_graph=True to the first backward"));
}

bool needs_grad(const TensorList& list) {
  return std::any_of(list.begin(), list.end(), [](const Tensor& t) { return needs_grad(t); });
}

Edge gradient_edge(const Tensor& t) {
  if (!t.requires_grad()) return {};
  TensorImpl* impl = t.impl();
  if (impl->grad_fn) return {Ref<Node>(static_cast<Node*>(impl->grad_fn.get())), impl->output_nr};
  return {accumulator_of(t), 0};
}

void attach_input(Node& node, size_t i, const Tensor* t) {
  if (t && t->defined()) node.edges[i] = gradient_edge(*t);
}

void attach_output(const Ref<Node>& node, const Tensor& out) {
  node->number();  // after its inputs' accumulators
  if (out.impl()->base) return rewrite_base(node, out);
  out.impl()->grad_fn = node;
  out.impl()->output_nr = static_cast<uint32_t>(node->outputs.size());
  node->outputs.push_back({out.shape(), out.dtype(), out.device()});
}

void check_writable(const char* op, const Tensor& self) {
  if (self.may_overlap_itself())
    throw Error(str(op, ": the output of shape ", self.shape(), " and strides ", self.strides(),
                    " overlaps itself in memory (an expanded tensor?); clone it first"));
  if (!grad_enabled()) return;
  const TensorImpl* owner = self.impl()->base ? self.impl()->base.get() : self.impl();
  if (owner->requires_grad && !owner->grad_fn)
    throw Error(str(op, ": a leaf ", owner == self.impl() ? "" : "(seen through a view) ", "of shape ", owner->shape,
                    " that requires a gradient cannot be changed in place; use no_grad() or a copy"));
}

int64_t register_hook(const Tensor& t, GradHook hook) {
  if (!t.requires_grad()) throw Error(str("register_hook: a tensor of shape ", t.shape(), " that requires no gradient"));
  const int64_t id = ++next_hook_id;
  if (t.is_leaf()) {
    if (!t.impl()->hooks) t.impl()->hooks = std::make_unique<HookList>();
    t.impl()->hooks->before.push_back({id, std::move(hook)});
  } else {
    static_cast<Node*>(t.impl()->grad_fn.get())->hooks.push_back({id, t.impl()->output_nr, std::move(hook)});
  }
  return id;
}

int64_t register_post_accumulate_hook(const Tensor& t, GradHook hook) {
  if (!t.is_leaf() || !t.requires_grad())
    throw Error("register_post_accumulate_grad_hook: only a leaf that requires a gradient has one");
  const int64_t id = ++next_hook_id;
  if (!t.impl()->hooks) t.impl()->hooks = std::make_unique<HookList>();
  t.impl()->hooks->after.push_back({id, std::move(hook)});
  return id;
}

void remove_hook(const Tensor& t, const Ref<RefCounted>& node, int64_t id) {
  const auto has_id = [id](const auto& h) { return h.id == id; };
  if (t.impl()->hooks) {
    std::erase_if(t.impl()->hooks->before, has_id);
    std::erase_if(t.impl()->hooks->after, has_id);
  }
  if (node) std::erase_if(static_cast<Node*>(node.get())->hooks, has_id);
}

void retain_grad(const Tensor& t) {
  if (!t.requires_grad()) throw Error(str("retain_grad: a tensor of shape ", t.shape(), " that requires no gradient"));
  if (t.is_leaf() || t.impl()->retain_hook) return;
  // The node must not own the tensor, which owns it: the tensor takes the hook away when it goes.
  TensorImpl* impl = t.impl();
  impl->retain_hook = register_hook(t, [impl](const Tensor& g) {
    impl->grad = nullptr;
    add_to_grad(impl, g);
    return Tensor();
  });
  impl->before_destroy = [](TensorImpl* gone) {
    const int64_t id = gone->retain_hook;
    std::erase_if(static_cast<Node*>(gone->grad_fn.get())->hooks, [id](const auto& h) { return h.id == id; });
  };
}

}  // namespace fastdl
