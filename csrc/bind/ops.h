// The list of bound ops.
#pragma once
#include <Python.h>

namespace fastdl::bind {

void init_ops(PyObject* module);

}  // namespace fastdl::bind
