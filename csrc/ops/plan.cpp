#include "ops/plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "autograd/autograd.h"
#include "core/parallel.h"

namespace fastdl {

// --- the plan ---

Plan::~Plan() {
  for (const Segment& s : segments_) {
    if (!s.graph) continue;
    accelerator().synchronize(s.device.index);
    accelerator().destroy_graph(s.device.index, s.graph);
  }
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
  calls_.back().run(context_of(info_.back().device), calls_.back().block);
  if (!info_.back().device.is_cpu()) check_accelerator(info_.back().name);
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
  bool on_host_only = true;
  for (const Segment& s : segments_) {
    const Context context = context_of(s.device);
    on_host_only &= s.device.is_cpu();
    if (s.graph) {
      accelerator().launch_graph(s.device.index, s.graph, context.stream);
      continue;
    }
    for (const Call *c = &calls_[s.first], *end = c + s.count; c != end; ++c) c->run(context, c->block);
  }
  if (!on_host_only) check_accelerator("a captured step");
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
    Device device;
    char* place;
    size_t bytes;
    std::unique_ptr<char[]> values;
  };
  std::vector<Saved> saved;  // what tensors show: the parameters outside, the gradients and results in the plan
  const auto save = [&](Device device, void* place, size_t bytes) {
    saved.push_back({device, static_cast<char*>(place), bytes, std::make_unique<char[]>(bytes)});
    copy_to_host(device, saved.back().values.get(), place, bytes);
  };
  for (const Ref<Storage>& s : written_) save(s->device(), s->data(), s->bytes());
  memory_->for_each_block([&](const char* start, const PlanMemory::Block& b) {
    if (b.in_use) save(b.device, const_cast<char*>(start), b.bytes);
  });
  std::vector<Generator::State> states;
  for (const auto& [generator, counters] : generators_) states.push_back(generator->state());
  std::vector<double> seconds(calls_.size());
  for (int r = 0; r < repeats; ++r) {
    draw();
    const FlushDenormals flush;
    for (size_t i = 0; i < calls_.size(); ++i) {
      if (info_[i].host) continue;
      const Device device = info_[i].device;
      const Context context = context_of(device);
      const auto start = Clock::now();
      calls_[i].run(context, calls_[i].block);
      if (!device.is_cpu()) accelerator().synchronize_stream(device.index, context.stream);
      seconds[i] += std::chrono::duration<double>(Clock::now() - start).count() / repeats;
    }
    for (const Saved& s : saved) copy_from_host(s.device, s.place, s.values.get(), s.bytes);
  }
  for (size_t g = 0; g < generators_.size(); ++g) generators_[g].first->set_state(states[g]);
  return seconds;
}

void Plan::make_graphs() {
  size_t first = 0;
  const auto plain = [&](size_t i) { return !info_[i].host && !info_[i].changing && !info_[i].device.is_cpu(); };
  while (first < calls_.size()) {
    size_t end = first + 1;
    while (end < calls_.size() && plain(end) == plain(first) && info_[end].device == info_[first].device) ++end;
    Segment s{first, end - first, info_[first].device, nullptr};
    if (plain(first) && s.count > 1) {
      const Accelerator& a = accelerator();
      const Context context{s.device.index, a.begin_graph(s.device.index)};
      for (size_t i = first; i < end; ++i) calls_[i].run(context, calls_[i].block);
      s.graph = a.end_graph(s.device.index, context.stream);
      if (!s.graph) a.take_error();
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
  copy_to_host(s.storage->device(), s.bytes.get(), s.storage->data(), s.storage->bytes());
}

Recorder::Saved* Recorder::outside(const void* address) {
  auto it = storages_.upper_bound(static_cast<const char*>(address));
  if (it == storages_.begin()) return nullptr;
  Saved& s = (--it)->second;
  return static_cast<const char*>(address) < it->first + s.storage->bytes() ? &s : nullptr;
}

void Recorder::before_write(const void* data) {
  if (Saved* s = outside(data)) save(*s);
}

void Recorder::before_call() {
  Plan::Info& info = plan_->info_.back();
  const Operands& operands = info.operands;
  if (!operands.described) {
    for (auto& [address, s] : storages_) save(s);
    info.changing |= !info.device.is_cpu();
  }
  for (const Operands::Operand& o : operands.list()) {
    if (o.written) before_write(o.view.data);
    // A number in host memory is read by the launch.
    if (!info.device.is_cpu() && o.view.host && (outside(o.view.data) || plan_->memory_->block_of(o.view.data).first))
      info.changing = true;
  }
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
    copy_from_host(s.storage->device(), s.storage->data(), s.bytes.get(), s.storage->bytes());
    s.storage->bump_version();
  }
  for (const Plan::Gradient& g : plan_->gradients_) g.leaf->grad = g.before;
  for (const auto& [generator, state] : states_) generator->set_state(state);
}

}  // namespace fastdl
