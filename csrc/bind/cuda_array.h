// Tensors on a GPU to and from other libraries without a copy: __cuda_array_interface__.
#pragma once
#include <Python.h>

namespace fastdl::bind {

void init_cuda_array(PyObject* module);

}  // namespace fastdl::bind
