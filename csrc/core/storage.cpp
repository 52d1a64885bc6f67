#include "core/storage.h"

#include "core/allocator.h"
#include "core/error.h"

namespace fastdl {

Ref<Storage> Storage::allocate(size_t bytes, Device device) {
  if (!device.is_cpu()) throw DeviceError(str("device ", device.name(), " is not available in this build"));
  if (FASTDL_UNLIKELY(recording() != nullptr)) {
    const Ref<PlanMemory>& plan = recording()->memory();
    return Ref<Storage>(new Storage(plan->allocate(bytes), bytes, device, nullptr, nullptr, plan));
  }
  return Ref<Storage>(new Storage(fastdl::allocate(bytes), bytes, device, nullptr, nullptr));
}

Ref<Storage> Storage::borrow(void* data, size_t bytes, Device device, void* owner, Deleter deleter) {
  return Ref<Storage>(new Storage(data, bytes, device, owner, deleter));
}

Storage::~Storage() {
  if (deleter_) deleter_(owner_);
  else if (plan_) plan_->deallocate(data_);
  else deallocate(data_, bytes_);
}

}  // namespace fastdl
