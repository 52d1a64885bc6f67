// Complex numbers, which kernels and ops do not know. A complex tensor is a real one whose last dimension holds the real and
// the imaginary part, in a Python subclass of Tensor (fastdl/complex_tensor.py). Ops refuse it, as they refuse what is no
// tensor at all, and where they do, a call with a complex argument is handed to that module: real tensors pay nothing.
#pragma once
#include <Python.h>

#include <vector>

namespace fastdl::bind {

bool has_complex(PyObject* o);  // a complex tensor, number, dtype or array, or a list or tuple that holds one
inline bool has_complex(PyObject* const* objects, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (objects[i] && has_complex(objects[i])) return true;
  return false;
}

// What the module makes of the call of an op; null with Python's error set, a TypeError where it has no such op.
PyObject* call_complex(const char* op, const std::vector<const char*>& names, PyObject* const* arguments);

void init_complex(PyObject* module);

}  // namespace fastdl::bind
