// The backward walk. Nodes are collected by a search from the outputs and run in the reverse order of their creation: a
// node is always younger than those its edges lead to, so when its turn comes every gradient it waits for has arrived.
#include <algorithm>
#include <atomic>

#include "autograd/accumulate.h"
#include "autograd/autograd.h"

namespace fastdl {

namespace {

struct State {
  Ref<Node> node;
  TensorList grads;  // one for each output
  bool needed = true;
  std::vector<std::pair<uint32_t, size_t>> captures;  // output, index into the result
  // What an outer walk, of which this one is a part (a backward inside a hook), had noted on the node.
  uint64_t outer_walk = 0;
  size_t outer_index = 0;
};

class Walk {
 public:
  Walk() : id_(counter.fetch_add(1) + 1) {}
  ~Walk() {
    for (State& s : states_) {
      s.node->walk = s.outer_walk;
      s.node->walk_index = s.outer_index;
    }
  }

  State& visit(const Ref<Node>& node) {
    if (node->walk != id_) {
      State s;
      s.node = node;
      s.grads.resize(node->outputs.size());
      s.outer_walk = node->walk;
      s.outer_index = node->walk_index;
      node->walk = id_;
      node->walk_index = states_.size();
      states_.push_back(std::move(s));
    }
    return states_[node->walk_index];
  }

  State* find(const Node* node) { return node->walk == id_ ? &states_[node->walk_index] : nullptr; }

  // Everything that can be reached from the nodes visited so far.
  void collect() {
    for (size_t i = 0; i < states_.size(); ++i) {
      const Ref<Node> node = states_[i].node;  // visit() may move the states
      if (FASTDL_UNLIKELY(recording() != nullptr) && !node->is_accumulator() && node->sequence <= recording()->first_sequence())
        throw CaptureError(str("backward: reaches ", node->name(),
                               ", which ran before the captured step; a step can only "
                               "differentiate what it computed itself"));
      for (const Edge& e : node->edges)
        if (e.node) visit(e.node);
    }
    order_.resize(states_.size());
    for (size_t i = 0; i < order_.size(); ++i) order_[i] = i;
    std::sort(order_.begin(), order_.end(),
              [&](size_t a, size_t b) { return states_[a].node->sequence > states_[b].node->sequence; });
  }

  // Only nodes from which a captured one can be reached.
  void mark_needed() {
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      State& s = states_[*it];
      s.needed = false;
      for (const Edge& e : s.node->edges) {
        if (!e.node) continue;
        const State& below = states_[e.node->walk_index];
        s.needed |= below.needed || !below.captures.empty();
      }
    }
  }

  void arrive(State& to, uint32_t output, Tensor gradient, const Node* from) {
    const Node::OutputInfo& info = to.node->outputs[output];
    if (!(gradient.shape() == info.shape))
      throw ShapeError(str(from ? from->name() : "backward", ": gradient of shape ", gradient.shape(),
                           " for a tensor of shape ", info.shape));
    Tensor& place = to.grads[output];
    place = place.defined() ? engine_ops().add(place, gradient) : std::move(gradient);
  }

  void run(bool retain_graph, TensorList* results) {
    for (size_t index : order_) {
      State& s = states_[index];
      Node& node = *s.node;
      if (std::none_of(s.grads.begin(), s.grads.end(), [](const Tensor& g) { return g.defined(); })) continue;
      node.run_hooks(s.grads);
      for (const auto& [output, slot] : s.captures) (*results)[slot] = s.grads[output];
      if (s.needed) {
        GradCall call(node, s.grads, wanted(node));
        node.apply(call);
        TensorList& out = call.results();
        if (FASTDL_UNLIKELY(anomaly_mode())) check_for_nan(node, out);
        for (size_t i = 0; i < out.size(); ++i) {
          const Edge& e = node.edges[i];
          if (out[i].defined() && e.node) arrive(states_[e.node->walk_index], e.input_nr, std::move(out[i]), &node);
        }
        if (!retain_graph) node.release_saved();
      }
      s.grads.clear();
    }
  }

 private:
  static void check_for_nan(const Node& node, const TensorList& gradients) {
    for (size_t i = 0; i < gradients.size(); ++i)
      if (gradients[i].defined() && engine_ops().has_nan(gradients[i]))
        throw Error(str("backward: ", node.name(), " gives NaN as the gradient of its input ", i, ", a tensor of shape ",
                        gradients[i].shape(), " (detect_anomaly)"));
  }

  uint64_t wanted(const Node& node) const {
    uint64_t mask = 0;
    for (size_t i = 0; i < node.edges.size(); ++i) {
      if (!node.edges[i].node) continue;
      const State& below = states_[node.edges[i].node->walk_index];
      if (below.needed || !below.captures.empty()) mask |= uint64_t{1} << std::min<size_t>(i, 63);
    }
    return mask;
  }

  static std::atomic<uint64_t> counter;
  uint64_t id_;
  std::vector<State> states_;
  std::vector<size_t> order_;
};

std::atomic<uint64_t> Walk::counter{0};

void start(Walk& walk, const TensorList& outputs, const TensorList& grads, const char* op) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& out = outputs[i];
    if (!out.requires_grad())
      throw Error(str(op, ": output ", i, " of shape ", out.shape(), " does not require a gradient and has no history"));
    if (!is_floating(out.dtype()))
      throw DTypeError(str(op, ": output ", i, " is ", name_of(out.dtype()), ", expected a floating-point tensor"));
    Tensor g = i < grads.size() ? grads[i] : Tensor();
    if (!g.defined()) {
      if (out.numel() != 1)
        throw ShapeError(str(op, ": output ", i, " has shape ", out.shape(),
                             "; a gradient can be left out only for an output of one element"));
      g = engine_ops().ones_like(out);
    }
    const Edge e = gradient_edge(out);
    walk.arrive(walk.visit(e.node), e.input_nr, std::move(g), nullptr);
  }
  walk.collect();
}

}  // namespace

void backward(const TensorList& outputs, const TensorList& grads, BackwardOptions options) {
  GradMode mode(options.create_graph);
  Walk walk;
  start(walk, outputs, grads, "backward");
  walk.run(options.retain_graph, nullptr);
}

TensorList gradients(const TensorList& outputs, const TensorList& grads, const TensorList& inputs, BackwardOptions options) {
  GradMode mode(options.create_graph);
  Walk walk;
  start(walk, outputs, grads, "grad");
  TensorList results(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].requires_grad())
      throw Error(str("grad: input ", i, " of shape ", inputs[i].shape(), " does not require a gradient"));
    const Edge e = gradient_edge(inputs[i]);
    if (State* s = walk.find(e.node.get())) s->captures.emplace_back(e.input_nr, i);
  }
  walk.mark_needed();
  walk.run(options.retain_graph, &results);
  return results;
}

}  // namespace fastdl
