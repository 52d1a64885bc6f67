#include "bind/interop.h"

#include <pybind11/pybind11.h>

#include <cstring>

#include "bind/complex.h"
#include "bind/convert.h"
#include "bind/errors.h"
#include "bind/observe.h"
#include "core/accelerator.h"

namespace py = pybind11;

namespace fastdl::bind {

namespace {

// --- nested sequences ---
bool is_sequence(PyObject* o) { return PyList_Check(o) || PyTuple_Check(o); }

Shape nested_shape(PyObject* data) {
  Shape shape;
  PyObject* o = data;
  while (is_sequence(o)) {
    shape.push_back(PySequence_Fast_GET_SIZE(o));
    if (shape.back() == 0) return shape;
    o = PySequence_Fast_GET_ITEM(o, 0);
  }
  if (is_tensor(o))
    for (int64_t n : unwrap(o).shape()) shape.push_back(n);
  return shape;
}

[[noreturn]] void throw_ragged(int depth, int64_t expected, PyObject* got) {
  if (is_sequence(got))
    throw ValueError(str("tensor: a sequence of length ", int64_t{PySequence_Fast_GET_SIZE(got)}, " at depth ", depth,
                         ", expected length ", expected));
  throw ValueError(str("tensor: ", Py_TYPE(got)->tp_name, " at depth ", depth, ", expected a sequence of length ", expected));
}

Scalar number_or_throw(PyObject* o) {
  if (PyFloat_Check(o)) return PyFloat_AS_DOUBLE(o);
  if (PyBool_Check(o)) return o == Py_True;
  if (PyLong_Check(o)) return int_from(o);
  if (is_tensor(o)) return ops::item_scalar(unwrap(o));
  if (Tensor t = number_from_numpy_scalar(o); t.defined()) return ops::item_scalar(t);
  throw ArgError(std::string("tensor: could not infer a dtype from ") + Py_TYPE(o)->tp_name);
}

// The values in order, each as a double or an int64, and the widest kind seen.
struct Values {
  std::vector<Scalar> list;
  Scalar::Kind widest = Scalar::boolean;
  void push(const Scalar& s) {
    if (s.kind > widest) widest = s.kind;
    list.push_back(s);
  }
};

void collect(PyObject* o, const Shape& shape, int depth, Values& out) {
  if (depth == shape.size()) {
    if (is_sequence(o)) throw_ragged(depth, 0, o);
    out.push(number_or_throw(o));
    return;
  }
  if (is_tensor(o)) {
    const Tensor& t = unwrap(o);
    if (t.ndim() != shape.size() - depth || t.shape()[0] != shape[depth]) throw_ragged(depth, shape[depth], o);
    for (const Tensor& part : ops::unbind(t, 0)) {
      PyObject* p = wrap(part);
      py::object keep = py::reinterpret_steal<py::object>(p);
      collect(p, shape, depth + 1, out);
    }
    return;
  }
  if (!is_sequence(o) || PySequence_Fast_GET_SIZE(o) != shape[depth]) throw_ragged(depth, shape[depth], o);
  for (int64_t i = 0; i < shape[depth]; ++i) collect(PySequence_Fast_GET_ITEM(o, i), shape, depth + 1, out);
}

// --- buffers ---
struct Format {
  const char* code;
  DType dtype;
};
constexpr Format kFormats[] = {
    {"?", DType::b8},  {"B", DType::u8},  {"b", DType::i8},  {"i", DType::i32}, {"l", DType::i64},
    {"q", DType::i64}, {"e", DType::f16}, {"f", DType::f32}, {"d", DType::f64},
};

DType dtype_of_format(const Py_buffer& b, PyObject* source) {
  const char* f = b.format ? b.format : "B";
  if (*f == '<' || *f == '=' || *f == '@') ++f;
  for (const Format& known : kFormats)
    if (std::strcmp(f, known.code) == 0 && size_of(known.dtype) == b.itemsize) return known.dtype;
  throw DTypeError(str("from_numpy: ", Py_TYPE(source)->tp_name, " of format '", f,
                       "', expected one of bool, uint8, int8, int32, int64, float16, float32, float64 in native byte order"));
}

const char* format_of(DType t) {
  for (const Format& known : kFormats)
    if (known.dtype == t) return known.code;
  throw DTypeError(str("numpy: NumPy has no ", name_of(t), "; convert with .float() first"));
}

bool is_column_major(const Tensor& t) {
  int64_t step = 1;
  for (int i = 0; i < t.ndim(); ++i) {
    if (t.shape()[i] != 1 && t.strides()[i] != step) return t.numel() == 0;
    step *= t.shape()[i];
  }
  return true;
}

void release_buffer(void* owner) {
  const PyGILState_STATE gil = PyGILState_Ensure();
  auto* buffer = static_cast<Py_buffer*>(owner);
  PyBuffer_Release(buffer);
  delete buffer;
  PyGILState_Release(gil);
}

PyObject* list_of(const Tensor& t, const char* data, int dim) {
  if (dim == t.ndim()) {
    const DType d = t.dtype();
    if (d == DType::f32) return PyFloat_FromDouble(*reinterpret_cast<const float*>(data));
    if (d == DType::f64) return PyFloat_FromDouble(*reinterpret_cast<const double*>(data));
    if (d == DType::i64) return PyLong_FromLongLong(*reinterpret_cast<const int64_t*>(data));
    if (d == DType::i32) return PyLong_FromLong(*reinterpret_cast<const int32_t*>(data));
    if (d == DType::u8) return PyLong_FromLong(*reinterpret_cast<const uint8_t*>(data));
    if (d == DType::i8) return PyLong_FromLong(*reinterpret_cast<const int8_t*>(data));
    return PyBool_FromLong(*data != 0);
  }
  PyObject* list = PyList_New(t.shape()[dim]);
  for (int64_t i = 0; i < t.shape()[dim]; ++i)
    PyList_SET_ITEM(list, i, list_of(t, data + i * t.strides()[dim] * size_of(t.dtype()), dim + 1));
  return list;
}

// What f gives, or what complex numbers among the arguments make of the call that f refuses.
template <class F> py::object or_complex(const char* op, const std::vector<const char*>& names,
                                         const std::vector<py::object>& arguments, const F& f) {
  try {
    return py::reinterpret_steal<py::object>(wrap(f()));
  } catch (const std::exception&) {
    std::vector<PyObject*> plain;
    for (const py::object& o : arguments) plain.push_back(o.ptr());
    if (!has_complex(plain.data(), plain.size())) throw;
    PyObject* result = call_complex(op, names, plain.data());
    if (!result) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(result);
  }
}

}  // namespace

Tensor number_from_numpy_scalar(PyObject* o) {
  // A NumPy scalar has the buffer protocol, no dimensions, and a type from the module numpy.
  if (!PyObject_CheckBuffer(o) || is_tensor(o) || std::strncmp(Py_TYPE(o)->tp_name, "numpy.", 6) != 0) return {};
  Py_buffer b;
  if (PyObject_GetBuffer(o, &b, PyBUF_FORMAT) < 0) {
    PyErr_Clear();
    return {};
  }
  if (b.ndim != 0) {
    PyBuffer_Release(&b);
    return {};
  }
  DType dtype;
  try {
    dtype = dtype_of_format(b, o);
  } catch (const DTypeError&) {
    PyBuffer_Release(&b);
    return {};
  }
  Scalar number;
  {
    const PauseRecording constant;
    Tensor value = make_empty({}, dtype);
    std::memcpy(value.data(), b.buf, static_cast<size_t>(b.itemsize));
    number = ops::item_scalar(value);
  }
  PyBuffer_Release(&b);
  return ops::scalar_tensor(number);
}

Tensor tensor_from_buffer(PyObject* array) {
  auto buffer = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(array, buffer.get(), PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE) < 0) {
    PyErr_Clear();  // read-only memory: PyTorch warns and shares it; a copy is safe
    if (PyObject_GetBuffer(array, buffer.get(), PyBUF_STRIDES | PyBUF_FORMAT) < 0) {
      PyErr_Clear();
      throw ArgError(std::string("must be an array with the buffer protocol, not ") + Py_TYPE(array)->tp_name);
    }
  }
  const bool read_only = buffer->readonly;
  Py_buffer* b = buffer.get();
  struct Release {
    Py_buffer* b;
    ~Release() {
      if (b) PyBuffer_Release(b);
    }
  } release{b};
  const DType dtype = dtype_of_format(*b, array);
  Shape shape, strides;
  int64_t low = 0, high = b->itemsize;
  bool any_negative = false;
  for (int i = 0; i < b->ndim; ++i) {
    shape.push_back(b->shape[i]);
    if (b->strides[i] % b->itemsize) throw ValueError("from_numpy: strides that are no multiple of the element size");
    strides.push_back(b->strides[i] / b->itemsize);
    any_negative |= b->strides[i] < 0;
    (b->strides[i] < 0 ? low : high) += (std::max<int64_t>(b->shape[i], 1) - 1) * b->strides[i];
  }
  if (any_negative) throw ValueError("from_numpy: negative strides; make a copy of the array first");
  const int64_t bytes = shape.numel() == 0 ? 0 : high - low;
  if (reinterpret_cast<uintptr_t>(b->buf) % static_cast<size_t>(b->itemsize))
    throw ValueError("from_numpy: the array's memory is not aligned to its element size; make a copy first");
  void* data = b->buf;
  release.b = nullptr;
  Ref<Storage> storage = Storage::borrow(data, static_cast<size_t>(bytes), Device{}, buffer.release(), release_buffer);
  Tensor t = make_tensor(std::move(storage), data, shape, strides, dtype);
  return read_only ? ops::clone(t) : t;
}

Tensor tensor_from(PyObject* data, std::optional<DType> dtype, Device device) {
  GradMode no_grad(false);
  if (is_tensor(data)) {
    const Tensor& t = unwrap(data);
    const Tensor moved = ops::to_device(t, device), typed = dtype ? ops::to_dtype(moved, *dtype) : moved;
    return typed.same(t) ? ops::clone(t) : typed;
  }
  if (!device.is_cpu()) {
    const Tensor near = tensor_from(data, dtype, Device{});
    const PauseRecording constant;
    const Tensor out = ops::to_device(near, device);
    constant.hold(out.storage());
    return out;
  }
  if (!is_sequence(data) && PyObject_CheckBuffer(data) && !PyBytes_Check(data)) {
    const PauseRecording constant;
    Tensor t;
    try {
      t = tensor_from_buffer(data);
    } catch (const Error&) {
      // What cannot be shared (negative strides, another dtype) NumPy copies.
      py::module_ np = py::module_::import("numpy");
      const char* as = dtype ? name_of(*dtype == DType::bf16 ? DType::f32 : *dtype) : nullptr;
      py::object copy = as ? np.attr("array")(py::handle(data), py::arg("dtype") = as) : np.attr("array")(py::handle(data));
      t = tensor_from_buffer(copy.ptr());
    }
    const Tensor copy = !dtype || *dtype == t.dtype() ? ops::clone(t) : ops::to_dtype(t, *dtype);
    constant.hold(copy.storage());
    return copy;
  }
  const Shape shape = nested_shape(data);
  Values values;
  values.list.reserve(static_cast<size_t>(shape.numel()));
  if (shape.numel() > 0) collect(data, shape, 0, values);
  DType found = values.list.empty()                      ? default_dtype()
                : Scalar::Kind::boolean == values.widest ? DType::b8
                : values.widest == Scalar::integer       ? DType::i64
                                                         : default_dtype();
  const PauseRecording constant;
  // Numbers are laid down as doubles or int64 and converted by the copy kernel.
  const bool integers = values.widest != Scalar::floating;
  Tensor wide = make_empty(shape, integers ? DType::i64 : DType::f64);
  for (size_t i = 0; i < values.list.size(); ++i) {
    if (integers) wide.data<int64_t>()[i] = values.list[i].i;
    else
      wide.data<double>()[i] =
          values.list[i].kind == Scalar::floating ? values.list[i].d : static_cast<double>(values.list[i].i);
  }
  const Tensor out = ops::to_dtype(wide, dtype.value_or(found));
  constant.hold(out.storage());
  return out;
}

PyObject* tensor_to_list(const Tensor& t) {
  check_host_read("tolist");
  GradMode no_grad(false);
  const Tensor plain = ops::to_device(is_half(t.dtype()) ? ops::to_dtype(t, DType::f32) : t, Device{});
  return list_of(plain, plain.data<char>(), 0);
}

int tensor_getbuffer(PyObject* self, Py_buffer* view, int flags) {
  PyObject* r = guarded([&]() -> PyObject* {
    if (!observed_read(self)) throw PythonError();
    const Tensor& t = unwrap(self);
    const int pair = is_complex(self);  // one element of the buffer is the last dimension
    check_host_read("numpy");
    if (pair && t.strides().back() != 1) throw ValueError("numpy: the parts of the numbers lie apart; use contiguous()");
    if (!t.device().is_cpu()) throw DeviceError("numpy: copy the tensor to the CPU first");
    const auto asks = [&](int flag) { return (flags & flag) == flag; };
    const bool rows = t.is_contiguous(), columns = is_column_major(t);
    if (asks(PyBUF_F_CONTIGUOUS)     ? !columns
        : asks(PyBUF_ANY_CONTIGUOUS) ? !rows && !columns
                                     : (asks(PyBUF_C_CONTIGUOUS) || !asks(PyBUF_STRIDES)) && !rows)
      throw ValueError(str("numpy: a strided tensor of shape ", t.shape(), " needs a consumer that takes its strides"));
    auto* sizes = new Py_ssize_t[2 * kMaxDims];
    for (int i = 0; i < t.ndim(); ++i) {
      sizes[i] = t.shape()[i];
      sizes[kMaxDims + i] = t.strides()[i] * size_of(t.dtype());
    }
    const char* format;
    try {
      format = pair ? t.dtype() == DType::f32 ? "Zf" : "Zd" : format_of(t.dtype());
    } catch (...) {
      delete[] sizes;
      throw;
    }
    *view = {};
    view->buf = t.data();
    view->obj = Py_NewRef(self);
    view->len = t.bytes();
    view->itemsize = size_of(t.dtype()) << pair;
    view->format = flags & PyBUF_FORMAT ? const_cast<char*>(format) : nullptr;
    view->ndim = t.ndim() - pair;
    view->shape = flags & PyBUF_ND ? sizes : nullptr;  // a consumer of plain bytes knows no shape
    view->strides = asks(PyBUF_STRIDES) ? sizes + kMaxDims : nullptr;
    view->internal = sizes;
    Py_RETURN_NONE;
  });
  if (!r) {
    view->obj = nullptr;
    if (PyErr_ExceptionMatches(capture_error)) return -1;
    PyObject *type, *value, *trace;  // consumers expect a BufferError
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyErr_Format(PyExc_BufferError, "%S", value);
    Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(trace);
    return -1;
  }
  Py_DECREF(r);
  return 0;
}

void tensor_releasebuffer(PyObject*, Py_buffer* view) { delete[] static_cast<Py_ssize_t*>(view->internal); }

void init_interop(PyObject* module) {
  py::module_ m = py::reinterpret_borrow<py::module_>(module);
  m.def("tensor_from", [](py::object data, py::object dtype, py::object device) {
    if (is_tensor(data.ptr()) && !observed_read(data.ptr())) throw py::error_already_set();
    return or_complex("tensor_from", {"data", "dtype", "device"}, {data, dtype, device}, [&] {
      return tensor_from(data.ptr(), dtype.is_none() ? std::nullopt : std::optional(dtype_from(dtype.ptr())),
                         !device.is_none()       ? device_from(device.ptr())
                         : is_tensor(data.ptr()) ? unwrap(data.ptr()).device()
                                                 : default_device());
    });
  });
  m.def("from_buffer", [](py::object array) {
    const PauseRecording constant;
    return or_complex("from_buffer", {"array"}, {array}, [&] { return tensor_from_buffer(array.ptr()); });
  });
  m.def("to_list", [](py::object t) {
    if (!is_tensor(t.ptr())) throw ArgError("tolist: expected a tensor");
    if (!observed_read(t.ptr())) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(tensor_to_list(unwrap(t.ptr())));
  });
}

}  // namespace fastdl::bind
