#include "bind/indexing.h"

#include "bind/convert.h"

namespace fastdl::bind {

PyObject* tensor_getitem(PyObject* self, PyObject* index) {
  return guarded([&] { return wrap(ops::select(unwrap(self), 0, int_from(index))); });
}

int tensor_setitem(PyObject* self, PyObject* index, PyObject* value) {
  PyObject* r = guarded([&]() -> PyObject* {
    ops::copy_(ops::select(unwrap(self), 0, int_from(index)), number_to_tensor(value));
    Py_RETURN_NONE;
  });
  Py_XDECREF(r);
  return r ? 0 : -1;
}

}  // namespace fastdl::bind
