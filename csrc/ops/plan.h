// A recorded step: every kernel call as (function pointer, arguments) in one array over the plan's own memory. A replay
// runs through the array; it allocates nothing and knows nothing of Python or autograd.
//
// What changes from call to call: a call may have an update, which writes the arguments that are to be read anew (a
// learning rate) before each run; kernels that draw random numbers get the generator's present position; and host calls
// run between the kernels (a label check, a scheduler's step). On an accelerator, the calls between those become graphs.
#pragma once
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/accelerator.h"
#include "core/flush_denormals.h"
#include "core/generator.h"
#include "core/tensor.h"
#include "kernels/table.h"
#include "ops/operands.h"

namespace fastdl {

// Of work that is put on a device now.
inline Context context_of(Device d) { return {d.index, d.is_cpu() ? nullptr : current_stream(d.index)}; }

struct NoUpdate {};

class Plan final : public RefCounted {
 public:
  struct Call {
    void (*run)(const Context&, void* block);
    void* block;
  };
  // What is known of a call besides how to run it.
  struct Info {
    const char* name;
    Device device;
    Operands operands;
    bool host = false;     // runs on the host, between kernels
    bool changing = false; // it is launched anew in each run: its arguments are written before, or host memory is read
    // Elementwise calls: the same over elements [begin, end) of contiguous memory; null for all others.
    void (*run_part)(const Context&, const void* block, int64_t begin, int64_t end) = nullptr;
    int fused = 1;         // calls in one
  };
  explicit Plan(Ref<PlanMemory> memory) : memory_(std::move(memory)) {}
  ~Plan() override;

  // --- building (Recorder) ---
  template <class Args, class Update>
  void add(const char* name, Kernel<Args> kernel, Device device, const Args& args, Update update);
  template <class F> void add_host(const char* name, F f);
  void run_last();
  void* allocate(size_t bytes, size_t alignment);
  // Drops calls whose results nobody reads, and runs neighbouring elementwise calls tile by tile.
  void improve();
  void make_graphs();

  // --- running ---
  bool fits() const;  // the tensors outside and their gradients are as they were when it was recorded
  void replay();
  std::vector<double> profile(int repeats);  // seconds of each call; all values stay as they are

  const std::vector<Info>& calls() const { return info_; }
  size_t memory_bytes() const { return memory_->bytes(); }
  int dropped() const { return dropped_; }

 private:
  friend class Recorder;
  struct Outside {  // a leaf that the calls use
    Ref<TensorImpl> tensor;
    void* data;
    bool requires_grad;
  };
  struct Gradient {
    Ref<TensorImpl> leaf;
    bool matters;             // what it was before the calls
    Ref<TensorImpl> before, after;
  };
  struct Draw {
    Generator* generator;
    PhiloxState start;
    uint64_t relative;  // to the generator's position at the beginning
    bool used = false;
  };
  struct Position {  // of a generator: its place in arguments
    PhiloxState* place;
    size_t generator;
    uint64_t relative;
  };
  struct Segment {
    size_t first, count;
    Device device;
    void* graph;  // of the accelerator; null: the calls run one by one
  };

  void draw();
  void run_calls();
  void drop_unread();
  void fuse();

  Ref<PlanMemory> memory_;
  std::vector<Call> calls_;
  std::vector<Info> info_;
  std::vector<Segment> segments_;
  std::vector<std::unique_ptr<char[]>> arena_;
  size_t arena_used_ = 0, arena_size_ = 0;
  std::vector<std::pair<void (*)(void*), void*>> destructors_;
  std::vector<Outside> outside_;
  std::vector<Gradient> gradients_;
  std::vector<Ref<RefCounted>> held_;
  std::vector<Ref<Storage>> written_;  // outside
  std::vector<Draw> draws_;
  std::vector<std::pair<Generator*, uint64_t>> generators_;  // and the counters that a run takes
  std::vector<PhiloxState> starts_;                          // of the run under way
  std::vector<Position> positions_;
  int dropped_ = 0;
};

// Builds a plan while the calls run. Between start() and finish() the thread records; abandon() puts everything outside
// back to what it was.
class Recorder final : public Recording {
 public:
  Recorder();
  ~Recorder() override;

  Ref<Plan> finish();
  void abandon();

  const Ref<PlanMemory>& memory() const override { return plan_->memory_; }
  uint64_t first_sequence() const override { return first_sequence_; }
  void use(TensorImpl* tensor) override;
  void hold(Ref<RefCounted> owner) override { plan_->held_.push_back(std::move(owner)); }
  void use_gradient(TensorImpl* leaf) override;
  void replace_gradient(TensorImpl* leaf) override;
  void drawn(Generator& generator, const PhiloxState& start, uint64_t counters) override;
  void before_write(const void* data);  // outside memory is saved

  template <class Args, class Update>
  void launch(const char* name, Kernel<Args> kernel, Device device, const Args& args, Update update) {
    plan_->add(name, kernel, device, args, std::move(update));
    before_call();
    run_last();
  }
  template <class F> void on_host(const char* name, F f) {
    plan_->add_host(name, std::move(f));
    run_last();
  }
  template <class T> T* cell() { return new (plan_->allocate(sizeof(T), alignof(T))) T{}; }

 private:
  struct Saved {
    Ref<Storage> storage;
    std::unique_ptr<char[]> bytes;  // null: not written so far
  };
  Saved* outside(const void* address);  // null: in the plan's memory, or a constant
  void before_call();
  void run_last() {
    const PauseRecording pause;  // as in a replay
    plan_->run_last();
  }
  void save(Saved& s);
  Plan::Gradient& gradient_of(TensorImpl* leaf, bool* is_new);

  Ref<Plan> plan_;
  uint64_t first_sequence_;
  std::unordered_map<const TensorImpl*, size_t> seen_, leaves_;  // places in outside_ and gradients_
  std::map<const char*, Saved> storages_;                        // by the address of their first byte
  std::vector<std::pair<Generator*, Generator::State>> states_;
};

inline Recorder* recorder() { return static_cast<Recorder*>(recording()); }

// --- the blocks of arguments ---
namespace plan_detail {

template <class Args> PhiloxState* philox_of(Args& a) {
  if constexpr (requires { a.philox; }) return &a.philox;
  else if constexpr (requires { a.random; }) return &a.random;
  else if constexpr (requires { a.forward.random; }) return &a.forward.random;
  else return nullptr;
}

// f(view) for each view of elementwise arguments.
template <class F> void for_views(UnaryArgs& a, const F& f) { f(a.out), f(a.x); }
template <class F> void for_views(PredicateArgs& a, const F& f) { f(a.out), f(a.x); }
template <class F> void for_views(CopyArgs& a, const F& f) { f(a.out), f(a.x); }
template <class F> void for_views(BinaryArgs& a, const F& f) { f(a.out), f(a.a), f(a.b); }
template <class F> void for_views(CompareArgs& a, const F& f) { f(a.out), f(a.a), f(a.b); }
template <class F> void for_views(TernaryArgs& a, const F& f) { f(a.out), f(a.a), f(a.b), f(a.c); }
template <class Args> constexpr bool elementwise = requires(Args& a) { for_views(a, [](View&) {}); };

// One number for all elements.
inline bool is_number(const View& v) {
  for (int d = 0; d < v.ndim; ++d)
    if (v.strides[d] != 0 && v.shape[d] != 1) return false;
  return true;
}

template <class Args, class Update> struct KernelBlock {
  Kernel<Args> kernel;
  Args args;
  [[no_unique_address]] Update update;

  static void run(const Context& context, void* block) {
    KernelBlock& b = *static_cast<KernelBlock*>(block);
    if constexpr (!std::is_same_v<Update, NoUpdate>) {
      const KeepDenormals host;
      if constexpr (std::is_same_v<decltype(b.update(b.args)), bool>) {
        if (!b.update(b.args)) return;
      } else {
        b.update(b.args);
      }
    }
    b.kernel(context, b.args);
  }
  static void run_part(const Context& context, const void* block, int64_t begin, int64_t end)
    requires elementwise<Args>
  {
    const KernelBlock& b = *static_cast<const KernelBlock*>(block);
    Args part = b.args;
    for_views(part, [&](View& v) {
      const bool number = is_number(v);
      v.data = static_cast<char*>(v.data) + (number ? 0 : begin * size_of(v.dtype));
      v.shape[0] = end - begin;
      v.strides[0] = number ? 0 : 1;
      v.ndim = 1;
    });
    b.kernel(context, part);
  }
};

template <class F> struct HostBlock {
  F f;
  static void run(const Context&, void* block) {
    const KeepDenormals host;
    static_cast<HostBlock*>(block)->f();
  }
};

}  // namespace plan_detail

template <class Args, class Update>
void Plan::add(const char* name, Kernel<Args> kernel, Device device, const Args& args, Update update) {
  using Block = plan_detail::KernelBlock<Args, Update>;
  auto* block = new (allocate(sizeof(Block), alignof(Block))) Block{kernel, args, std::move(update)};
  if constexpr (!std::is_trivially_destructible_v<Block>)
    destructors_.emplace_back([](void* b) { static_cast<Block*>(b)->~Block(); }, block);
  if constexpr (requires { block->args.slots; }) {  // lists live as long as the plan
    using Slot = std::remove_cvref_t<decltype(*args.slots)>;
    auto* slots = static_cast<Slot*>(allocate(sizeof(Slot) * static_cast<size_t>(args.count), alignof(Slot)));
    std::copy(args.slots, args.slots + args.count, slots);
    block->args.slots = slots;
  }
  Info info{name, device, {}};
  if constexpr (requires(Operands& o) { describe(name, args, o); }) describe(name, block->args, info.operands);
  else info.operands.described = false;
  info.changing = !std::is_same_v<Update, NoUpdate>;
  if (PhiloxState* place = plan_detail::philox_of(block->args)) {
    for (Draw& d : draws_) {
      if (d.start.seed != place->seed || d.start.offset != place->offset) continue;
      size_t g = 0;
      while (generators_[g].first != d.generator) ++g;
      positions_.push_back({place, g, d.relative});
      d.used = info.changing = true;
      break;
    }
  }
  if constexpr (plan_detail::elementwise<Args> && std::is_same_v<Update, NoUpdate>) info.run_part = Block::run_part;
  calls_.push_back({Block::run, block});
  info_.push_back(std::move(info));
}

template <class F> void Plan::add_host(const char* name, F f) {
  using Block = plan_detail::HostBlock<F>;
  auto* block = new (allocate(sizeof(Block), alignof(Block))) Block{std::move(f)};
  if constexpr (!std::is_trivially_destructible_v<Block>)
    destructors_.emplace_back([](void* b) { static_cast<Block*>(b)->~Block(); }, block);
  Info info{name, {}, {}};
  info.host = true;
  calls_.push_back({Block::run, block});
  info_.push_back(std::move(info));
}

}  // namespace fastdl
