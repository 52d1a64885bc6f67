// The small types: dtype, device, Generator.
#pragma once
#include <Python.h>

namespace fastdl::bind {

void init_types(PyObject* module);

}  // namespace fastdl::bind
