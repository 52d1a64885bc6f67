// The memory behind tensors: shared by views, with the version counter that tells autograd of in-place changes.
#pragma once
#include <cstddef>

#include "core/device.h"
#include "core/recording.h"
#include "core/ref.h"

namespace fastdl {

class Storage final : public RefCounted {
 public:
  using Deleter = void (*)(void* owner);

  // Memory from the device's caching allocator or, while recording, from the plan; throws OutOfMemoryError.
  static Ref<Storage> allocate(size_t bytes, Device device);
  // Memory of somebody else; deleter(owner) is called when the last tensor is gone.
  static Ref<Storage> borrow(void* data, size_t bytes, Device device, void* owner, Deleter deleter);
  ~Storage() override;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  PlanMemory* plan() const { return plan_.get(); }  // whose memory it is, or null
  uint32_t version() const { return version_; }
  void bump_version() { ++version_; }

 private:
  Storage(void* data, size_t bytes, Device device, void* owner, Deleter deleter, Ref<PlanMemory> plan = {})
      : data_(data), bytes_(bytes), owner_(owner), deleter_(deleter), plan_(std::move(plan)), device_(device) {}

  void* data_;
  size_t bytes_;
  void* owner_;      // without a deleter: the stream that the memory of an accelerator was allocated on
  Deleter deleter_;  // null: the allocator's, or the plan's
  Ref<PlanMemory> plan_;
  Device device_;
  uint32_t version_ = 0;
};

}  // namespace fastdl
