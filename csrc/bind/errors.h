// The library's exceptions in Python.
#pragma once
#include <Python.h>

namespace fastdl::bind {

// fastdl.Error and its children, each also a child of the built-in that PyTorch would raise or Python users expect.
bool init_errors(PyObject* module);

extern PyObject *base_error, *capture_error;

}  // namespace fastdl::bind
