// What changes on a thread that records a plan (ops/plan.h): memory comes from the plan's own, what lies outside is noted
// so that it can be kept alive and put back, and values may not be read on the host.
#pragma once
#include <cstdint>
#include <map>
#include <utility>

#include "core/device.h"
#include "core/macros.h"
#include "core/philox.h"
#include "core/ref.h"
#include "core/spin_lock.h"

namespace fastdl {

class Generator;
class Storage;
class TensorImpl;

// A plan's memory. A block that a tensor gives back serves the next request that it fits, so that the recorded calls
// reuse memory by lifetime; to the allocator go all blocks together, with the plan and the last tensor in them.
class PlanMemory final : public RefCounted {
 public:
  ~PlanMemory() override;
  void* allocate(size_t bytes, Device device);
  void deallocate(void* block);
  size_t bytes() const { return bytes_; }
  // The start and size of the block that holds this address; {nullptr, 0}: none of this memory.
  std::pair<char*, size_t> block_of(const void* address) const;
  struct Block {
    size_t bytes;
    Device device;
    void* stream;  // where it was allocated, of an accelerator
    bool in_use;   // a tensor has it
  };
  // f(first byte, block)
  template <class F> void for_each_block(const F& f) const {
    for (const auto& [start, block] : blocks_) f(start, block);
  }

 private:
  SpinLock lock_;
  std::map<const char*, Block> blocks_;
  size_t bytes_ = 0;
};

class Recording {
 public:
  virtual ~Recording() = default;
  virtual const Ref<PlanMemory>& memory() const = 0;
  // Nodes of the autograd graph with a number up to this one were there before.
  virtual uint64_t first_sequence() const = 0;
  // A tensor is used. One from outside is kept alive, and later calls check that it still is what it was.
  virtual void use(TensorImpl* tensor) = 0;
  virtual void hold(Ref<RefCounted> owner) = 0;  // as long as the plan
  // The calls depend on the gradient that a leaf has now, or that gradient is replaced.
  virtual void use_gradient(TensorImpl* leaf) = 0;
  virtual void replace_gradient(TensorImpl* leaf) = 0;
  // Counters were handed out.
  virtual void drawn(Generator& generator, const PhiloxState& start, uint64_t counters) = 0;
};

namespace detail {
extern constinit thread_local Recording* recording __attribute__((tls_model("initial-exec")));
}

// Of this thread; null where nothing is recorded.
FASTDL_INLINE Recording* recording() { return detail::recording; }

class SetRecording {  // scope
 public:
  explicit SetRecording(Recording* now) : before_(detail::recording) { detail::recording = now; }
  ~SetRecording() { detail::recording = before_; }
  SetRecording(const SetRecording&) = delete;
  SetRecording& operator=(const SetRecording&) = delete;

 protected:
  Recording* before_;
};

// What runs within is no part of the plan, and its memory is ordinary memory.
struct PauseRecording : SetRecording {
  PauseRecording() : SetRecording(nullptr) {}
  // What was made within lives as long as the plan that is recorded around it, if there is one.
  template <class T> void hold(const Ref<T>& made) const {
    if (FASTDL_UNLIKELY(before_ != nullptr)) before_->hold(Ref<RefCounted>(made));
  }
};

[[noreturn]] void throw_host_read(const char* op);
// Before a value is read on the host: throws CaptureError while recording.
inline void check_host_read(const char* op) {
  if (FASTDL_UNLIKELY(recording() != nullptr)) throw_host_read(op);
}

}  // namespace fastdl
