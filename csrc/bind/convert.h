// Python objects to the arguments of ops, and results back.
#pragma once
#include <Python.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bind/tensor_type.h"
#include "core/generator.h"
#include "ops/ops.h"

namespace fastdl::bind {

// Python's error is set already.
struct PythonError {};

struct ArgError : std::runtime_error {  // becomes a TypeError; the caller adds the op's and the argument's name
  using std::runtime_error::runtime_error;
};

[[noreturn]] inline void wrong_type(const char* expected, PyObject* got) {
  throw ArgError(std::string("must be ") + expected + ", not " + Py_TYPE(got)->tp_name);
}

PyObject* dtype_object(DType t);  // borrowed
bool is_dtype(PyObject* o);
bool is_complex_dtype(PyObject* o);
DType dtype_from(PyObject* o);
Device device_from(PyObject* o);  // a device or its name
PyObject* device_object(Device d);
Generator* generator_from(PyObject* o);
TensorList tensors_from(PyObject* o);
std::vector<TensorList> tensor_lists_from(PyObject* o);
std::vector<Number> numbers_from(PyObject* o);
std::vector<int64_t> ints_from(PyObject* o);

// Keeps a Python object alive for as long as something of the core refers to it. Made and released under the GIL.
class PyOwner final : public RefCounted {
 public:
  explicit PyOwner(PyObject* o) : object_(Py_NewRef(o)) {}
  ~PyOwner() override {
    const PyGILState_STATE gil = PyGILState_Ensure();
    Py_DECREF(object_);
    PyGILState_Release(gil);
  }
  PyObject* get() const { return object_; }

 private:
  PyObject* object_;
};

int64_t int_from(PyObject* o);
double double_from(PyObject* o);
Number number_from(PyObject* o);  // a number, or where to find it: (dict, key) or (dict, key, index)
bool bool_from(PyObject* o);
Scalar scalar_from(PyObject* o);
Shape shape_from(PyObject* o);  // an int or a sequence of ints
std::string string_from(PyObject* o);

// Loads one argument; get() is what the op receives.
template <class T> struct Arg;

template <class T, T (*From)(PyObject*)> struct ValueArg {
  T value{};
  void load(PyObject* o, bool) { value = From(o); }
  const T& get() const { return value; }
};
template <> struct Arg<int64_t> : ValueArg<int64_t, int_from> {};
template <> struct Arg<double> : ValueArg<double, double_from> {};
template <> struct Arg<Number> : ValueArg<Number, number_from> {};
template <> struct Arg<bool> : ValueArg<bool, bool_from> {};
template <> struct Arg<Scalar> : ValueArg<Scalar, scalar_from> {};
template <> struct Arg<Shape> : ValueArg<Shape, shape_from> {};
template <> struct Arg<std::string> : ValueArg<std::string, string_from> {};
template <> struct Arg<DType> : ValueArg<DType, dtype_from> {};
template <> struct Arg<Device> : ValueArg<Device, device_from> {};
template <> struct Arg<TensorList> : ValueArg<TensorList, tensors_from> {};
template <> struct Arg<std::vector<TensorList>> : ValueArg<std::vector<TensorList>, tensor_lists_from> {};
template <> struct Arg<std::vector<Number>> : ValueArg<std::vector<Number>, numbers_from> {};
template <> struct Arg<std::vector<int64_t>> : ValueArg<std::vector<int64_t>, ints_from> {};  // as many as one likes

template <> struct Arg<Tensor> {
  const Tensor* tensor = nullptr;
  Tensor number;
  void load(PyObject* o, bool number_allowed) {
    if (FASTDL_LIKELY(is_tensor(o))) {
      tensor = &unwrap(o);
      return;
    }
    if (number_allowed) number = number_to_tensor(o);
    if (!number.defined()) wrong_type(number_allowed ? "a tensor or a number" : "a tensor", o);
    tensor = &number;
  }
  const Tensor& get() const { return *tensor; }
};

template <class T> struct Arg<std::optional<T>> {
  std::optional<T> value;
  void load(PyObject* o, bool number_allowed) {
    if (o == Py_None) return;
    Arg<T> arg;
    arg.load(o, number_allowed);
    value = arg.get();
  }
  const std::optional<T>& get() const { return value; }
};

template <> struct Arg<Generator*> {  // None is the default generator
  Generator* value = nullptr;
  void load(PyObject* o, bool) { value = o == Py_None ? &default_generator() : generator_from(o); }
  Generator* get() const { return value; }
};

// Results.
inline PyObject* to_python(const Tensor& t) { return wrap(t); }
inline PyObject* to_python(bool v) { return PyBool_FromLong(v); }
inline PyObject* to_python(int64_t v) { return PyLong_FromLongLong(v); }
inline PyObject* to_python(int v) { return PyLong_FromLong(v); }
inline PyObject* to_python(double v) { return PyFloat_FromDouble(v); }
inline PyObject* to_python(DType t) { return Py_NewRef(dtype_object(t)); }
inline PyObject* to_python(Device d) { return device_object(d); }
inline PyObject* to_python(const std::string& s) {
  return PyUnicode_FromStringAndSize(s.data(), static_cast<Py_ssize_t>(s.size()));
}
PyObject* to_python(const Scalar& s);
PyObject* to_python(const Shape& s);
PyObject* to_python(const TensorList& list);  // a tuple
template <class... T> PyObject* to_python(const std::tuple<T...>& values) {
  PyObject* out = PyTuple_New(sizeof...(T));
  Py_ssize_t i = 0;
  std::apply([&](const auto&... v) { (PyTuple_SET_ITEM(out, i++, to_python(v)), ...); }, values);
  return out;
}
template <class A, class B> PyObject* to_python(const std::pair<A, B>& p) {
  return to_python(std::tuple<const A&, const B&>(p.first, p.second));
}

}  // namespace fastdl::bind
