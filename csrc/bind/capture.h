// Captured steps in Python: what fastdl.capture is made of.
#pragma once
#include <Python.h>

namespace fastdl::bind {

void init_capture(PyObject* module);

}  // namespace fastdl::bind
