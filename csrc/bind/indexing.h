// tensor[index] and tensor[index] = value.
#pragma once
#include <Python.h>

namespace fastdl::bind {

PyObject* tensor_getitem(PyObject* self, PyObject* index);
int tensor_setitem(PyObject* self, PyObject* index, PyObject* value);

}  // namespace fastdl::bind
