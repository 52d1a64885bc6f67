// Tensors to and from other libraries without a copy: the DLPack protocol, capsules of version 0 and 1.
#pragma once
#include <Python.h>

namespace fastdl::bind {

void init_dlpack(PyObject* module);

}  // namespace fastdl::bind
