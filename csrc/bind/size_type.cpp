#include "bind/size_type.h"

namespace fastdl::bind {

namespace {

PyTypeObject* size_type;

PyObject* numel(PyObject* self, PyObject*) {
  PyObject* product = PyLong_FromLong(1);
  for (Py_ssize_t i = 0; product && i < PyTuple_GET_SIZE(self); ++i) {
    PyObject* next = PyNumber_Multiply(product, PyTuple_GET_ITEM(self, i));
    Py_DECREF(product);
    product = next;
  }
  return product;
}

// What tuple's own method gives, as a Size if it is a tuple: slices, sums and products stay Sizes.
PyObject* as_size(PyObject* tuple) {
  if (!tuple || !PyTuple_CheckExact(tuple)) return tuple;
  const Py_ssize_t n = PyTuple_GET_SIZE(tuple);
  PyObject* out = size_type->tp_alloc(size_type, n);
  for (Py_ssize_t i = 0; out && i < n; ++i) PyTuple_SET_ITEM(out, i, Py_NewRef(PyTuple_GET_ITEM(tuple, i)));
  Py_DECREF(tuple);
  return out;
}

PyObject* subscript(PyObject* self, PyObject* index) { return as_size(PyTuple_Type.tp_as_mapping->mp_subscript(self, index)); }
PyObject* concat(PyObject* self, PyObject* other) { return as_size(PyTuple_Type.tp_as_sequence->sq_concat(self, other)); }
PyObject* repeat(PyObject* self, Py_ssize_t n) { return as_size(PyTuple_Type.tp_as_sequence->sq_repeat(self, n)); }

PyMethodDef methods[] = {
    {"numel", numel, METH_NOARGS, "The number of elements of a tensor of this shape."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* size_from(const Shape& shape) {
  PyObject* out = size_type->tp_alloc(size_type, shape.size());
  for (int i = 0; out && i < shape.size(); ++i) PyTuple_SET_ITEM(out, i, PyLong_FromLongLong(shape[i]));
  return out;
}

bool is_size(PyObject* o) { return Py_TYPE(o) == size_type; }

bool init_size_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("The shape of a tensor: a tuple with `numel()`.")},
      {Py_tp_methods, methods},
      {Py_mp_subscript, reinterpret_cast<void*>(subscript)},
      {Py_sq_concat, reinterpret_cast<void*>(concat)},
      {Py_sq_repeat, reinterpret_cast<void*>(repeat)},
      {0, nullptr},
  };
  PyType_Spec spec{"fastdl.Size", 0, 0, Py_TPFLAGS_DEFAULT, slots};
  size_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpecWithBases(&spec, reinterpret_cast<PyObject*>(&PyTuple_Type)));
  return size_type && PyModule_AddObjectRef(module, "Size", reinterpret_cast<PyObject*>(size_type)) == 0;
}

}  // namespace fastdl::bind
