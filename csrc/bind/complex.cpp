#include "bind/complex.h"

#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstring>

#include "bind/convert.h"

namespace py = pybind11;

namespace fastdl::bind {

namespace {

PyObject* handler = nullptr;  // (op, {name: argument}) -> result

bool is_complex_array(PyObject* o) {
  if (std::strncmp(Py_TYPE(o)->tp_name, "numpy.", 6) != 0) return false;
  PyObject* dtype = PyObject_GetAttrString(o, "dtype");
  PyObject* kind = dtype ? PyObject_GetAttrString(dtype, "kind") : nullptr;
  const bool found = kind && PyUnicode_Check(kind) && PyUnicode_CompareWithASCIIString(kind, "c") == 0;
  Py_XDECREF(dtype), Py_XDECREF(kind);
  PyErr_Clear();
  return found;
}

}  // namespace

bool has_complex(PyObject* o) {
  if (PyList_Check(o) || PyTuple_Check(o)) {
    PyObject** items = PySequence_Fast_ITEMS(o);
    return std::any_of(items, items + PySequence_Fast_GET_SIZE(o), [](PyObject* item) { return has_complex(item); });
  }
  return is_complex(o) || PyComplex_Check(o) || is_complex_dtype(o) || is_complex_array(o);
}

PyObject* call_complex(const char* op, const std::vector<const char*>& names, PyObject* const* arguments) {
  PyErr_Clear();
  if (!handler) {
    PyObject* module = PyImport_ImportModule("fastdl.complex_tensor");
    if (!module) return nullptr;
    Py_DECREF(module);
  }
  PyObject* named = PyDict_New();
  for (size_t i = 0; i < names.size(); ++i) PyDict_SetItemString(named, names[i], arguments[i]);
  PyObject* result = PyObject_CallFunction(handler, "sN", op, named);
  return result;
}

void init_complex(PyObject* module) {
  py::module_ m = py::reinterpret_borrow<py::module_>(module);
  // The subclass of Tensor, and the function that calls of ops with complex arguments are handed to.
  m.def("set_complex", [](py::object type, py::object function) {
    complex_type = reinterpret_cast<PyTypeObject*>(type.release().ptr());
    handler = function.release().ptr();
  });
  // The same elements, with history, as pairs of real numbers and as complex numbers.
  m.def("as_real", [](py::object z) {
    if (!is_complex(z.ptr())) throw ArgError("as_real: expected a complex tensor");
    const Tensor& t = unwrap(z.ptr());
    return py::reinterpret_steal<py::object>(guarded([&] { return wrap(ops::view(t, t.shape())); }));
  });
  m.def("as_complex", [](py::object x) {
    if (!is_tensor(x.ptr())) throw ArgError("as_complex: expected a real tensor");
    return py::reinterpret_steal<py::object>(guarded([&] { return wrap_complex(unwrap(x.ptr())); }));
  });
}

}  // namespace fastdl::bind
