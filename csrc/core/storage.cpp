#include "core/storage.h"

#include "core/accelerator.h"
#include "core/allocator.h"
#include "core/error.h"

namespace fastdl {

Ref<Storage> Storage::allocate(size_t bytes, Device device) {
  if (FASTDL_UNLIKELY(recording() != nullptr)) {
    device = checked_device(device);
    const Ref<PlanMemory>& plan = recording()->memory();
    return Ref<Storage>(new Storage(plan->allocate(bytes, device), bytes, device, nullptr, nullptr, plan));
  }
  if (device.is_cpu()) return Ref<Storage>(new Storage(fastdl::allocate(bytes), bytes, device, nullptr, nullptr));
  device = checked_device(device);
  void* block = accelerator_allocate(device.index, bytes);
  return Ref<Storage>(new Storage(block, bytes, device, current_stream(device.index), nullptr));
}

Ref<Storage> Storage::borrow(void* data, size_t bytes, Device device, void* owner, Deleter deleter) {
  return Ref<Storage>(new Storage(data, bytes, device, owner, deleter));
}

Storage::~Storage() {
  if (deleter_) deleter_(owner_);
  else if (plan_) plan_->deallocate(data_);
  else if (device_.is_cpu()) deallocate(data_, bytes_);
  else accelerator_deallocate(device_.index, owner_, data_, bytes_);
}

}  // namespace fastdl
