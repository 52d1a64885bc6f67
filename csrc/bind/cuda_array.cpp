// __cuda_array_interface__, version 3 (Numba's): a dict that describes strided memory on a GPU, and the stream whose work
// a consumer waits for. CuPy, Numba, PyTorch and JAX give and take it.
#include "bind/cuda_array.h"

#include <pybind11/pybind11.h>

#include "bind/convert.h"
#include "bind/foreign.h"
#include "core/accelerator.h"
#include "core/error.h"

namespace py = pybind11;

namespace fastdl::bind {

namespace {

struct TypeString {
  DType dtype;
  const char* text;
};
constexpr TypeString kTypeStrings[] = {{DType::b8, "|b1"},  {DType::u8, "|u1"},  {DType::i8, "|i1"},  {DType::i32, "<i4"},
                                       {DType::i64, "<i8"}, {DType::f16, "<f2"}, {DType::f32, "<f4"}, {DType::f64, "<f8"}};

DType dtype_of(const std::string& text) {
  for (const TypeString& t : kTypeStrings)
    if (text == t.text) return t.dtype;
  throw DTypeError(
      str("__cuda_array_interface__: elements of type '", text, "', expected one of |b1, |u1, |i1, <i4, <i8, <f2, <f4, <f8"));
}

// The default streams have numbers in the protocol: 1 is the one that we call null.
void* stream_of(py::handle number) {
  const auto n = py::cast<uintptr_t>(number);
  if (n == 0) throw ValueError("__cuda_array_interface__: stream 0, which could be either default stream, is forbidden");
  return n == 1 ? nullptr : reinterpret_cast<void*>(n);
}

py::object from_cuda_array(py::object array) {
  const py::dict d = array.attr("__cuda_array_interface__");
  const auto entry = [&](const char* name) { return d.contains(name) ? py::object(d[name]) : py::none(); };
  if (!entry("mask").is_none()) throw ValueError("__cuda_array_interface__: masked arrays are not supported");
  const DType dtype = dtype_of(py::cast<std::string>(d["typestr"]));
  const Shape shape = shape_from(d["shape"].ptr());
  const py::tuple place = d["data"];
  void* const data = reinterpret_cast<void*>(py::cast<uintptr_t>(place[0]));
  const bool read_only = py::cast<bool>(place[1]);
  Shape strides = contiguous_strides(shape);
  if (const py::object given = entry("strides"); !given.is_none()) {
    const Shape bytes = shape_from(given.ptr());
    if (bytes.size() != shape.size()) throw ShapeError(str("__cuda_array_interface__: strides ", bytes, " of shape ", shape));
    for (int i = 0; i < shape.size(); ++i) {
      if (bytes[i] % size_of(dtype))
        throw ValueError(str("__cuda_array_interface__: a stride of ", bytes[i], " bytes, expected a multiple of the ",
                             size_of(dtype), " of an element; make a copy first"));
      strides[i] = bytes[i] / size_of(dtype);
    }
  }
  const Device device = checked_device(
      {DeviceType::cuda, static_cast<int8_t>(shape.numel() ? std::max(0, accelerator().device_of(data)) : current_device())});
  check_foreign("__cuda_array_interface__", data, device, shape, strides, dtype);
  if (const py::object stream = entry("stream"); !stream.is_none()) {
    order_streams(device.index, stream_of(stream), current_stream(device.index));
    check_accelerator("__cuda_array_interface__");
  }
  GradMode no_grad(false);
  auto* const owner = new PyOwner(array.ptr());
  const Tensor t = tensor_over(data, device, shape, strides, dtype, owner, [](void* o) { delete static_cast<PyOwner*>(o); });
  return py::reinterpret_steal<py::object>(wrap(read_only ? ops::clone(t) : t));
}

py::object cuda_array_interface(py::object tensor) {
  const Tensor& t = unwrap(tensor.ptr());
  const char* type = nullptr;
  for (const TypeString& s : kTypeStrings)
    if (s.dtype == t.dtype()) type = s.text;
  if (!type) return py::none();
  py::object strides = py::none();
  if (!t.is_contiguous()) {
    py::tuple bytes(t.ndim());
    for (int i = 0; i < t.ndim(); ++i) bytes[static_cast<size_t>(i)] = t.strides()[i] * size_of(t.dtype());
    strides = bytes;
  }
  py::tuple shape(t.ndim());
  for (int i = 0; i < t.ndim(); ++i) shape[static_cast<size_t>(i)] = t.shape()[i];
  const auto stream = reinterpret_cast<uintptr_t>(current_stream(t.device().index));
  py::dict d;
  d["version"] = 3;
  d["shape"] = shape;
  d["typestr"] = type;
  d["data"] = py::make_tuple(t.numel() ? reinterpret_cast<uintptr_t>(t.data()) : 0, false);
  d["strides"] = strides;
  d["stream"] = stream ? stream : 1;
  return d;
}

}  // namespace

void init_cuda_array(PyObject* module) {
  py::module_ m = py::reinterpret_borrow<py::module_>(module);
  m.def("from_cuda_array", &from_cuda_array, py::arg("array"));
  m.def("cuda_array_interface", &cuda_array_interface, py::arg("tensor"),
        "The dict for a tensor on a GPU; None for a dtype that the protocol lacks.");
}

}  // namespace fastdl::bind
