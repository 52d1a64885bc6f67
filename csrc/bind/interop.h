// Tensors from Python data and back: nested lists, NumPy arrays, buffers, DLPack.
#pragma once
#include <Python.h>

#include <optional>

#include "core/tensor.h"

namespace fastdl::bind {

// A copy of a number, a nested sequence of numbers (or 0-d tensors), an array or a tensor. The dtype is found from the
// data when none is given.
Tensor tensor_from(PyObject* data, std::optional<DType> dtype, Device device);
// The memory of an object with the buffer protocol, shared.
Tensor tensor_from_buffer(PyObject* array);
// The value of a NumPy scalar (np.float32(2)), marked as a number; undefined for anything else.
Tensor number_from_numpy_scalar(PyObject* o);
PyObject* tensor_to_list(const Tensor& t);

int tensor_getbuffer(PyObject* self, Py_buffer* view, int flags);
void tensor_releasebuffer(PyObject* self, Py_buffer* view);

void init_interop(PyObject* module);

}  // namespace fastdl::bind
