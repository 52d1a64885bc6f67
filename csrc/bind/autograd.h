// backward, grad, hooks, modes, and nodes written in Python.
#pragma once
#include <Python.h>

namespace fastdl::bind {

void init_autograd(PyObject* module);

}  // namespace fastdl::bind
