// Tensors over memory that another library owns, however its description came here (DLPack, __cuda_array_interface__).
#pragma once
#include "core/tensor.h"

namespace fastdl::bind {

// Strides count elements. Throws what is wrong with them, with the alignment, or with memory that is not the device's.
void check_foreign(const char* op, const void* data, Device device, const Shape& shape, const Shape& strides, DType dtype);
// deleter(owner) is called when the last tensor is gone.
Tensor tensor_over(void* data, Device device, const Shape& shape, const Shape& strides, DType dtype, void* owner,
                   Storage::Deleter deleter);

}  // namespace fastdl::bind
