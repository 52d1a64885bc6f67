// Define-by-run differentiation: a graph of nodes built while ops run, walked backwards by the engine on the calling
// thread. A node's gradient function is a lambda stored inside it; the lambda calls ops, so what it computes can itself
// be recorded and differentiated again.
//
//   if (records(x)) record("exp", y, {x}, [y = save_output(y)](GradCall& c) { c.set(0, ops::mul(c.grad(), c(y))); });
#pragma once
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "core/tensor.h"

namespace fastdl {

// --- modes (per thread) ---
bool grad_enabled();
void set_grad_enabled(bool on);
bool inference_mode();
// Every gradient is searched for NaN, and the op that gave the first one is named in an error.
bool anomaly_mode();
void set_anomaly_mode(bool on);
void set_inference_mode(bool on);
class GradMode {  // scope
 public:
  explicit GradMode(bool on) : before_(grad_enabled()) { set_grad_enabled(on); }
  ~GradMode() { set_grad_enabled(before_); }

 private:
  bool before_;
};

// Nodes made so far have numbers up to this one.
uint64_t last_sequence_number();

class Node;

// --- saved tensors ---
class SavedTensor {
 public:
  SavedTensor() = default;
  bool defined() const { return tensor_.defined(); }

 private:
  friend SavedTensor save(const Tensor&);
  friend SavedTensor save_output(const Tensor&, uint32_t);
  friend class GradCall;
  Tensor tensor_;
  uint32_t version_ = 0;
  int32_t output_nr_ = -1;  // >= 0: an output of the node itself, kept as an alias without history
};

SavedTensor save(const Tensor& t);  // an input of the op, or any tensor that is not its output; may be undefined
// The op's own output: keeping the tensor itself would be a cycle of references.
SavedTensor save_output(const Tensor& t, uint32_t output_nr = 0);

// --- nodes ---
struct Edge {
  Ref<Node> node;  // null: that input needs no gradient
  uint32_t input_nr = 0;
};

class GradCall {  // what a gradient function is given
 public:
  GradCall(Node& node, TensorList& grads, uint64_t wanted) : node_(node), grads_(grads), wanted_(wanted) {}
  const Tensor& grad(size_t output = 0);         // zeros where nothing arrived
  Tensor take_grad(size_t output = 0);           // the same, leaving no other reference to it behind
  bool has_grad(size_t output) const { return grads_[output].defined(); }
  bool wants(size_t input) const;
  void set(size_t input, Tensor gradient);       // of an input that needs none: ignored
  Tensor operator()(const SavedTensor& s) const; // throws when the tensor was changed in place since
  TensorList& results() { return results_; }

 private:
  Node& node_;
  TensorList& grads_;
  uint64_t wanted_;  // a bit an input; the last one stands for all further inputs
  TensorList results_;
};

class Node : public RefCounted {
 public:
  struct OutputInfo {
    Shape shape;
    DType dtype;
    Device device;
  };

  Node(const char* name, size_t num_inputs);
  ~Node() override;
  virtual void apply(GradCall& call) = 0;
  virtual void release_saved() = 0;
  virtual bool is_accumulator() const { return false; }
  virtual void run_hooks(TensorList& grads);
  virtual std::string name() const { return name_; }

  void number();  // gives it the next sequence number, once its inputs are attached

  std::vector<Edge, SmallAllocator<Edge>> edges;
  std::vector<OutputInfo, SmallAllocator<OutputInfo>> outputs;
  struct OutputHook {
    int64_t id;
    uint32_t output_nr;
    GradHook hook;
  };
  std::vector<OutputHook> hooks;
  uint64_t sequence = 0;  // inputs come before the nodes that use them, so the engine walks it downwards
  // The engine's place for this node in the walk under way.
  uint64_t walk = 0;
  size_t walk_index = 0;

 private:
  const char* name_;
};

template <class F> class LambdaNode final : public Node {
 public:
  LambdaNode(const char* name, size_t num_inputs, F fn) : Node(name, num_inputs), fn_(std::move(fn)) {}
  void apply(GradCall& call) override;
  // A gradient function that saved nothing keeps: its node can be walked again.
  void release_saved() override {
    if constexpr (!std::is_trivially_destructible_v<F>) fn_.reset();
  }

 private:
  std::optional<F> fn_;
};

[[noreturn]] void throw_released(const Node& node);

template <class F> void LambdaNode<F>::apply(GradCall& call) {
  if (!fn_) throw_released(*this);
  (*fn_)(call);
}

// --- recording ---
inline bool needs_grad(const Tensor& t) { return t.defined() && t.requires_grad(); }
inline bool needs_grad(const std::optional<Tensor>& t) { return t && needs_grad(*t); }
bool needs_grad(const TensorList& list);
template <class... T> bool records(const T&... inputs) { return grad_enabled() && (needs_grad(inputs) || ...); }

struct InputRef {  // a tensor, an optional one, or an undefined one
  InputRef(const Tensor& t) : tensor(&t) {}
  InputRef(const std::optional<Tensor>& t) : tensor(t ? &*t : nullptr) {}
  const Tensor* tensor;
};

Edge gradient_edge(const Tensor& t);
void attach_input(Node& node, size_t i, const Tensor* t);
void attach_output(const Ref<Node>& node, const Tensor& out);  // in order: the first call is output 0
// `out` shows memory of t: changing it in place changes t (views.cpp of this folder).
void track_view(const Tensor& out, const Tensor& t);

template <class F> void record(const char* name, const Tensor& out, std::initializer_list<InputRef> inputs, F fn) {
  Ref<Node> node(new LambdaNode<F>(name, inputs.size(), std::move(fn)));
  size_t i = 0;
  for (const InputRef& in : inputs) attach_input(*node, i++, in.tensor);
  attach_output(node, out);
}
template <class F>
void record(const char* name, std::initializer_list<const Tensor*> outs, std::initializer_list<InputRef> inputs, F fn) {
  Ref<Node> node(new LambdaNode<F>(name, inputs.size(), std::move(fn)));
  size_t i = 0;
  for (const InputRef& in : inputs) attach_input(*node, i++, in.tensor);
  for (const Tensor* out : outs) attach_output(node, *out);
}
template <class F> void record(const char* name, const Tensor& out, const TensorList& inputs, F fn) {
  Ref<Node> node(new LambdaNode<F>(name, inputs.size(), std::move(fn)));
  for (size_t i = 0; i < inputs.size(); ++i) attach_input(*node, i, &inputs[i]);
  attach_output(node, out);
}
template <class F> void record(const char* name, const TensorList& outs, const TensorList& inputs, F fn) {
  Ref<Node> node(new LambdaNode<F>(name, inputs.size(), std::move(fn)));
  for (size_t i = 0; i < inputs.size(); ++i) attach_input(*node, i, &inputs[i]);
  for (const Tensor& out : outs) attach_output(node, out);
}

// Of a view just made: it does not rewrite its base.
void attach_view(const Ref<Node>& node, const Tensor& out);
template <class F> void record_as_view(const char* name, const Tensor& out, const Tensor& t, F fn) {
  Ref<Node> node(new LambdaNode<F>(name, 1, std::move(fn)));
  attach_input(*node, 0, &t);
  attach_view(node, out);
}

// --- in-place ops ---
// Call before writing to `self`: throws for a leaf that requires a gradient, or a view of one, and for memory that
// overlaps itself. Then write; then `changed(self)`; then record with `self` first among the inputs (its old history) and
// as the output. Where self is a view, the history of its base is rewritten too.
void check_writable(const char* op, const Tensor& self);
inline void changed(const Tensor& self) { self.storage()->bump_version(); }

// --- the engine ---
struct BackwardOptions {
  bool retain_graph = false;
  bool create_graph = false;
};
// Adds d(sum of outputs . grads)/d(leaf) to the .grad of every leaf.
void backward(const TensorList& outputs, const TensorList& grads, BackwardOptions options);
// Returns the gradients of `inputs`, and leaves every .grad alone. Undefined where an input has no part in the outputs.
TensorList gradients(const TensorList& outputs, const TensorList& grads, const TensorList& inputs, BackwardOptions options);

// --- hooks ---
int64_t register_hook(const Tensor& t, GradHook hook);
int64_t register_post_accumulate_hook(const Tensor& t, GradHook hook);
void remove_hook(const Tensor& t, const Ref<RefCounted>& node, int64_t id);
void retain_grad(const Tensor& t);

}  // namespace fastdl
