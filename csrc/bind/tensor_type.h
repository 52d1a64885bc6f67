// The Python type of tensors: written by hand against CPython's API, since every small operation passes through it.
#pragma once
#include <Python.h>

#include "core/recording.h"
#include "core/tensor.h"

namespace fastdl::bind {

struct PyTensor {
  PyObject_HEAD Tensor tensor;
  PyObject* dict;
  PyObject* weakrefs;
};

extern PyTypeObject* tensor_type;
extern PyTypeObject* complex_type;  // its subclass for complex numbers (bind/complex.h); null until that is loaded

bool init_tensor_type(PyObject* module);
PyObject* wrap(const Tensor& t);  // the tensor's Python object: the one it has, else a new one; None if undefined
PyObject* wrap_complex(const Tensor& pairs);  // a complex tensor over the same memory
PyObject* wrap_like(PyObject* model, const Tensor& t);  // a complex tensor if `model` is one, else as `wrap`
inline bool is_complex(PyObject* o) { return complex_type && PyType_IsSubtype(Py_TYPE(o), complex_type); }
inline bool is_real_or_complex(PyObject* o) { return Py_TYPE(o) == tensor_type || PyType_IsSubtype(Py_TYPE(o), tensor_type); }
// Whether ops may read the elements. Those of a complex tensor are pairs of numbers, of which no op knows.
inline bool is_tensor(PyObject* o) {
  return Py_TYPE(o) == tensor_type || (PyType_IsSubtype(Py_TYPE(o), tensor_type) && !is_complex(o));
}
inline const Tensor& unwrap(PyObject* o) {
  const Tensor& t = reinterpret_cast<PyTensor*>(o)->tensor;
  if (FASTDL_UNLIKELY(recording() != nullptr)) recording()->use(t.impl());
  return t;
}

// A Python int, float or bool as a 0-d tensor marked as a number; undefined for anything else.
Tensor number_to_tensor(PyObject* o);

// Sets the Python exception for the C++ one in flight; always returns null. Errors from below the ops (sizes, memory,
// devices) name none in their message: they get `op`.
PyObject* set_exception(const char* op = nullptr);

// Runs f, turning C++ exceptions into Python ones.
template <class F> PyObject* guarded(const F& f, const char* op = nullptr) {
  try {
    return f();
  } catch (...) {
    return set_exception(op);
  }
}

}  // namespace fastdl::bind
