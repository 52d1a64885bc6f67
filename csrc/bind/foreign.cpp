#include "bind/foreign.h"

#include <algorithm>

#include "core/accelerator.h"
#include "core/error.h"

namespace fastdl::bind {

void check_foreign(const char* op, const void* data, Device device, const Shape& shape, const Shape& strides, DType dtype) {
  for (int64_t s : strides)
    if (s < 0) throw ValueError(str(op, ": negative strides; make a copy of the array first"));
  if (reinterpret_cast<uintptr_t>(data) % static_cast<size_t>(size_of(dtype)))
    throw ValueError(str(op, ": the memory is not aligned to its element size; make a copy first"));
  if (device.is_cpu() || shape.numel() == 0) return;
  const int owner = accelerator().device_of(data);
  if (owner < 0) throw DeviceError(str(op, ": the memory is the host's, expected that of ", device.name()));
  if (owner != device.index) throw DeviceError(str(op, ": memory of cuda:", owner, ", described as that of ", device.name()));
}

Tensor tensor_over(void* data, Device device, const Shape& shape, const Shape& strides, DType dtype, void* owner,
                   Storage::Deleter deleter) {
  int64_t last = 0;
  for (int i = 0; i < shape.size(); ++i) last += (std::max<int64_t>(shape[i], 1) - 1) * strides[i];
  const int64_t bytes = shape.numel() == 0 ? 0 : (last + 1) * size_of(dtype);
  Ref<Storage> storage = Storage::borrow(data, static_cast<size_t>(bytes), device, owner, deleter);
  return make_tensor(std::move(storage), data, shape, strides, dtype);
}

}  // namespace fastdl::bind
