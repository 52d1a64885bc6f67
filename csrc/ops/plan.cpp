#include "ops/plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "autograd/autograd.h"
#include "core/parallel.h"

namespace fastdl {

namespace {
const GraphBackend* graph_backends[2] = {};
const GraphBackend* graphs_of(Device d) { return graph_backends[static_cast<int>(d.type)]; }
}  // namespace

void set_graph_backend(DeviceType device, const GraphBackend* backend) { graph_backends[static_cast<int>(device)] = backend; }

// --- the plan ---

Plan::~Plan() {
  for (const Segment& s : segments_)
    if (s.graph) graphs_of(s.device)->destroy(s.graph);
  for (auto it = destructors_.rbegin(); it != destructors_.rend(); ++it) it->first(it->second);
}

void* Plan::allocate(size_t bytes, size_t alignment) {
  constexpr size_t kChunk = 1 << 16;
  size_t at = (arena_used_ + alignment - 1) / alignment * alignment;
  if (arena_.empty() || at + bytes > arena_size_) {
    arena_size_ = std::max(kChunk, bytes);
    arena_.emplace_back(new char[arena_size_]);
    at = 0;
  }
  arena_used_ = at + bytes;
  return arena_.back().get() + at;
}

void Plan::run_last() {
  const FlushDenormals flush;
  calls_.back().run(Context{info_.back().device.index, nullptr}, calls_.back().block);
}

bool Plan::fits() const {
  for (const Outside& o : outside_)
    if (o.tensor->data != o.data || o.tensor->requires_grad != o.requires_grad) return false;
  for (const Gradient& g : gradients_)
    if (g.matters && !(g.leaf->grad == g.before)) return false;
  return true;
}

// Each generator goes on by what the plan draws from it, and the kernels are told where that begins.
void Plan::draw() {
  for (size_t g = 0; g < generators_.size(); ++g) starts_[g] = generators_[g].first->reserve(generators_[g].second);
  for (const Position& p : positions_) *p.place = {starts_[p.generator].seed, starts_[p.generator].offset + p.relative};
}

void Plan::run_calls() {
  const FlushDenormals flush;
  for (const Segment& s : segments_) {
    if (s.graph) {
      graphs_of(s.device)->launch(s.graph, s.device);
      continue;
    }
    const Context context{s.device.index, nullptr};
    for (const Call *c = &calls_[s.first], *end = c + s.count; c != end; ++c) c->run(context, c->block);
  }
}

void Plan::replay() {
  draw();
  for (const Ref<Storage>& s : written_) s->bump_version();
  run_calls();
  for (const Gradient& g : gradients_) {
    g.leaf->grad = g.after;
    if (g.after) g.after->storage->bump_version();
  }
}

std::vector<double> Plan::profile(int repeats) {
  using Clock = std::chrono::steady_clock;
  struct Saved {
    char* place;
    size_t bytes;
    std::unique_ptr<char[]> values;
  };
  std::vector<Saved> saved;  // what tensors show: the parameters outside, the gradients and results in the plan
  const auto save = [&](void* place, size_t bytes) {
    saved.push_back({static_cast<char*>(place), bytes, std::make_unique<char[]>(bytes)});
    std::memcpy(saved.back().values.get(), place, bytes);
  };
  for (const Ref<Storage>& s : written_) save(s->data(), s->bytes());
  memory_->for_each_block([&](const char* block, size_t bytes, bool in_use) {
    if (in_use) save(const_cast<char*>(block), bytes);
  });
  std::vector<Generator::State> states;
  for (const auto& [generator, counters] : generators_) states.push_back(generator->state());
  std::vector<double> seconds(calls_.size());
  for (int r = 0; r < repeats; ++r) {
    draw();
    const FlushDenormals flush;
    for (size_t i = 0; i < calls_.size(); ++i) {
      if (info_[i].host) continue;
      const auto start = Clock::now();
      calls_[i].run(Context{info_[i].device.index, nullptr}, calls_[i].block);
      seconds[i] += std::chrono::duration<double>(Clock::now() - start).count() / repeats;
    }
    for (const Saved& s : saved) std::memcpy(s.place, s.values.get(), s.bytes);
  }
  for (size_t g = 0; g < generators_.size(); ++g) generators_[g].first->set_state(states[g]);
  return seconds;
}

void Plan::make_graphs() {
  size_t first = 0;
  const auto plain = [&](size_t i) { return !info_[i].host && !info_[i].changing && graphs_of(info_[i].device); };
  while (first < calls_.size()) {
    size_t end = first + 1;
    while (end < calls_.size() && plain(end) == plain(first) && info_[end].device == info_[first].device) ++end;
    Segment s{first, end - first, info_[first].device, nullptr};
    if (plain(first)) {
      graphs_of(s.device)->begin(s.device);
      for (size_t i = first; i < end; ++i) calls_[i].run(Context{s.device.index, nullptr}, calls_[i].block);
      s.graph = graphs_of(s.device)->end(s.device);
    }
    segments_.push_back(s);
    first = end;
  }
}

// --- the recorder ---

Recorder::Recorder() : plan_(new Plan(Ref<PlanMemory>(new PlanMemory))), first_sequence_(last_sequence_number()) {}
Recorder::~Recorder() = default;

void Recorder::use(TensorImpl* tensor) {
  const Ref<Storage>& storage = tensor->storage;
  if (!storage->device().is_cpu())
    throw CaptureError(str("a captured step with tensors on ", storage->device().name(), ", expected the CPU"));
  if (storage->plan() == plan_->memory_.get()) return;
  if (storage->data() && !storages_.contains(static_cast<const char*>(storage->data())))
    storages_.emplace(static_cast<const char*>(storage->data()), Saved{storage, nullptr});
  // Only leaves are watched: views and results hold on to their history, and are made anew by who uses them.
  if (tensor->grad_fn || tensor->base || !seen_.emplace(tensor, plan_->outside_.size()).second) return;
  plan_->outside_.push_back({Ref<TensorImpl>(tensor), tensor->data, tensor->requires_grad});
}

Plan::Gradient& Recorder::gradient_of(TensorImpl* leaf, bool* is_new) {
  const auto [it, added] = leaves_.emplace(leaf, plan_->gradients_.size());
  *is_new = added;
  if (added) {
    plan_->gradients_.push_back({Ref<TensorImpl>(leaf), false, leaf->grad, {}});
    if (leaf->grad) use(leaf->grad.get());
  }
  return plan_->gradients_[it->second];
}

void Recorder::use_gradient(TensorImpl* leaf) {
  bool is_new;
  Plan::Gradient& g = gradient_of(leaf, &is_new);
  if (is_new) g.matters = leaf->storage->plan() != plan_->memory_.get();
}

void Recorder::replace_gradient(TensorImpl* leaf) {
  bool is_new;
  gradient_of(leaf, &is_new);
}

void Recorder::drawn(Generator& generator, const PhiloxState& start, uint64_t counters) {
  auto& generators = plan_->generators_;
  auto it = std::find_if(generators.begin(), generators.end(), [&](const auto& g) { return g.first == &generator; });
  if (it == generators.end()) {
    Generator::State state;
    std::memcpy(state.data(), &start, state.size());
    states_.emplace_back(&generator, state);
    generators.emplace_back(&generator, 0);
    it = generators.end() - 1;
  }
  for (const Plan::Draw& d : plan_->draws_)
    if (d.generator != &generator && d.start.seed == start.seed && d.start.offset == start.offset)
      throw CaptureError(
          "random numbers: two generators are in the same state inside a captured step, which cannot tell them apart");
  plan_->draws_.push_back({&generator, start, it->second});
  it->second += counters;
}

void Recorder::save(Saved& s) {
  if (s.bytes) return;
  s.bytes.reset(new char[s.storage->bytes()]);
  std::memcpy(s.bytes.get(), s.storage->data(), s.storage->bytes());
}

void Recorder::before_write(const void* data) {
  auto it = storages_.upper_bound(static_cast<const char*>(data));
  if (it == storages_.begin()) return;
  Saved& s = (--it)->second;
  if (static_cast<const char*>(data) < it->first + s.storage->bytes()) save(s);
}

void Recorder::before_call() {
  const Operands& operands = plan_->info_.back().operands;
  if (!operands.described)
    for (auto& [address, s] : storages_) save(s);
  for (const Operands::Operand& o : operands.list())
    if (o.written) before_write(o.view.data);
}

Ref<Plan> Recorder::finish() {
  Plan& plan = *plan_;
  for (const Plan::Draw& d : plan.draws_)
    if (!d.used) throw CaptureError("random numbers: drawn inside a captured step by a kernel that it does not know");
  for (auto& [address, s] : storages_) {
    if (s.bytes) plan.written_.push_back(s.storage);
    plan.held_.push_back(Ref<RefCounted>(s.storage));
  }
  for (Plan::Gradient& g : plan.gradients_) g.after = g.leaf->grad;
  plan.starts_.resize(plan.generators_.size());
  plan.improve();
  plan.make_graphs();
  return plan_;
}

void Recorder::abandon() {
  for (auto& [address, s] : storages_) {
    if (!s.bytes) continue;
    std::memcpy(s.storage->data(), s.bytes.get(), s.storage->bytes());
    s.storage->bump_version();
  }
  for (const Plan::Gradient& g : plan_->gradients_) g.leaf->grad = g.before;
  for (const auto& [generator, state] : states_) generator->set_state(state);
}

}  // namespace fastdl
