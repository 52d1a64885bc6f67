// The accelerator's runtime in Python: devices, streams, events, memory; and the loading of its library.
#pragma once
#include <Python.h>

namespace fastdl::bind {

void init_accelerator(PyObject* module);

}  // namespace fastdl::bind
