#include "bind/convert.h"

#include <pybind11/pybind11.h>

#include <cstring>

#include "bind/observe.h"
#include "bind/types.h"

namespace py = pybind11;

namespace fastdl::bind {

int64_t int_from(PyObject* o) {
  if (FASTDL_UNLIKELY(!PyLong_Check(o))) {
    if (PyFloat_Check(o) || !PyIndex_Check(o)) wrong_type("an int", o);
    PyObject* index = PyNumber_Index(o);
    if (!index) throw PythonError();
    const int64_t v = PyLong_AsLongLong(index);
    Py_DECREF(index);
    if (v == -1 && PyErr_Occurred()) throw PythonError();
    return v;
  }
  const int64_t v = PyLong_AsLongLong(o);
  if (v == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    throw ValueError("an integer that does not fit in 64 bits");
  }
  return v;
}

double double_from(PyObject* o) {
  if (PyFloat_Check(o)) return PyFloat_AS_DOUBLE(o);
  if (PyLong_Check(o) || is_tensor(o) || PyNumber_Check(o)) {
    const double v = PyFloat_AsDouble(o);
    if (v == -1.0 && PyErr_Occurred()) {
      if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw PythonError();
      PyErr_Clear();
      wrong_type("a number", o);
    }
    return v;
  }
  wrong_type("a number", o);
}

namespace {

// An entry of a dict, or an element of a sequence in it.
class Entry final : public Number::Source {
 public:
  explicit Entry(PyObject* place) : place_(place) {}
  double read() override { return read(place_.get()); }
  static double read(PyObject* place) {
    const Py_ssize_t n = PyTuple_GET_SIZE(place);
    PyObject* dict = n == 2 || n == 3 ? PyTuple_GET_ITEM(place, 0) : nullptr;
    if (!dict || !PyDict_Check(dict)) throw ArgError("must be a number or a place of one: (dict, key) or (dict, key, index)");
    PyObject* value = PyDict_GetItemWithError(dict, PyTuple_GET_ITEM(place, 1));
    if (!value) {
      if (!PyErr_Occurred()) PyErr_SetObject(PyExc_KeyError, PyTuple_GET_ITEM(place, 1));
      throw PythonError();
    }
    if (n == 2) return double_from(value);
    py::object item = py::reinterpret_steal<py::object>(PyObject_GetItem(value, PyTuple_GET_ITEM(place, 2)));
    if (!item) throw PythonError();
    return double_from(item.ptr());
  }

 private:
  PyOwner place_;
};

}  // namespace

Number number_from(PyObject* o) {
  if (is_tensor(o) && unwrap(o).numel() != 1)
    throw ShapeError(str("a number is a tensor of shape ", unwrap(o).shape(), ", expected one element"));
  if (!PyTuple_Check(o)) return double_from(o);
  if (!recording()) return Entry::read(o);
  const PauseRecording as_in_a_replay;
  return Number(Ref<Number::Source>(new Entry(o)));
}

bool bool_from(PyObject* o) {
  if (o == Py_True) return true;
  if (o == Py_False) return false;
  if (PyLong_Check(o)) return PyLong_AsLong(o) != 0;
  if (std::strcmp(Py_TYPE(o)->tp_name, "numpy.bool") == 0) return PyObject_IsTrue(o) == 1;
  wrong_type("a bool", o);
}

Scalar scalar_from(PyObject* o) {
  if (PyFloat_Check(o)) return PyFloat_AS_DOUBLE(o);
  if (PyBool_Check(o)) return o == Py_True;
  if (PyLong_Check(o)) return int_from(o);
  if (is_tensor(o)) {
    if (!observed_read(o)) throw PythonError();
    return ops::item_scalar(unwrap(o));
  }
  if (Tensor t = number_to_tensor(o); t.defined()) return ops::item_scalar(t);
  wrong_type("a number", o);
}

Shape shape_from(PyObject* o) {
  Shape out;
  if (PyLong_Check(o) || (!PySequence_Check(o) && PyIndex_Check(o))) {
    out.push_back(int_from(o));
    return out;
  }
  if (is_tensor(o) || PyUnicode_Check(o) || !PySequence_Check(o)) wrong_type("an int or a sequence of ints", o);
  PyObject* fast = PySequence_Fast(o, "expected a sequence");
  if (!fast) throw PythonError();
  py::object keep = py::reinterpret_steal<py::object>(fast);
  if (PySequence_Fast_GET_SIZE(fast) > kMaxDims)
    throw ShapeError(
        str("a list of ", int64_t{PySequence_Fast_GET_SIZE(fast)}, " entries, expected at most ", kMaxDims, " dimensions"));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast); ++i) out.push_back(int_from(PySequence_Fast_GET_ITEM(fast, i)));
  return out;
}

std::string string_from(PyObject* o) {
  if (!PyUnicode_Check(o)) wrong_type("a str", o);
  Py_ssize_t n;
  const char* s = PyUnicode_AsUTF8AndSize(o, &n);
  if (!s) throw PythonError();
  return std::string(s, static_cast<size_t>(n));
}

namespace {

// from(item) for each item of a sequence.
template <class T, class From> std::vector<T> list_from(PyObject* o, const char* expected, const From& from) {
  if (is_tensor(o) || !PySequence_Check(o) || PyUnicode_Check(o)) wrong_type(expected, o);
  PyObject* fast = PySequence_Fast(o, "expected a sequence");
  if (!fast) throw PythonError();
  py::object keep = py::reinterpret_steal<py::object>(fast);
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(fast);
  std::vector<T> out;
  out.reserve(static_cast<size_t>(n));
  for (Py_ssize_t i = 0; i < n; ++i) out.push_back(from(PySequence_Fast_GET_ITEM(fast, i)));
  return out;
}

}  // namespace

TensorList tensors_from(PyObject* o) {
  constexpr const char* kExpected = "a sequence of tensors";
  return list_from<Tensor>(o, kExpected, [&](PyObject* item) {
    if (item == Py_None) return Tensor();
    if (!is_tensor(item)) wrong_type(kExpected, item);
    return unwrap(item);
  });
}

std::vector<TensorList> tensor_lists_from(PyObject* o) {
  return list_from<TensorList>(o, "a sequence of sequences of tensors", tensors_from);
}

std::vector<int64_t> ints_from(PyObject* o) { return list_from<int64_t>(o, "a sequence of ints", int_from); }
std::vector<Number> numbers_from(PyObject* o) { return list_from<Number>(o, "a sequence of numbers", number_from); }

PyObject* to_python(const Scalar& s) {
  if (s.kind == Scalar::boolean) return PyBool_FromLong(s.i != 0);
  return s.kind == Scalar::integer ? PyLong_FromLongLong(s.i) : PyFloat_FromDouble(s.d);
}

PyObject* to_python(const Shape& s) {
  PyObject* out = PyTuple_New(s.size());
  for (int i = 0; i < s.size(); ++i) PyTuple_SET_ITEM(out, i, PyLong_FromLongLong(s[i]));
  return out;
}

PyObject* to_python(const TensorList& list) {
  PyObject* out = PyTuple_New(static_cast<Py_ssize_t>(list.size()));
  for (size_t i = 0; i < list.size(); ++i) PyTuple_SET_ITEM(out, static_cast<Py_ssize_t>(i), wrap(list[i]));
  return out;
}

}  // namespace fastdl::bind
