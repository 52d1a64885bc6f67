// The base type of fastdl.nn.Module: its call.
#pragma once
#include <Python.h>

namespace fastdl::bind {

bool init_module_type(PyObject* module);

}  // namespace fastdl::bind
