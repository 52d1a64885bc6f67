#pragma once
// The type of `tensor.shape`: a tuple that knows the number of elements.

#include <Python.h>

#include "core/shape.h"

namespace fastdl::bind {

PyObject* size_from(const Shape& shape);  // a new reference
bool is_size(PyObject* o);
bool init_size_type(PyObject* module);  // false with a Python error set

}  // namespace fastdl::bind
