#include "bind/types.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <charconv>

#include "bind/convert.h"
#include "core/accelerator.h"

namespace py = pybind11;

namespace fastdl::bind {

namespace {

struct PyDType {
  DType value;         // of a complex number: of its parts
  bool pair = false;  // whether it is a complex number
  std::string name() const { return pair ? value == DType::f32 ? "complex64" : "complex128" : name_of(value); }
};
struct PyDevice {
  Device value;
};

PyObject* dtype_objects[kNumDTypes];
PyObject* dtype_type;
PyObject* cpu_device;

Device parse_device(const std::string& name) {
  Device d;
  if (name == "cpu" || name == "cpu:0") return d;
  if (name == "cuda") return {DeviceType::cuda, static_cast<int8_t>(current_device())};
  if (name.rfind("cuda:", 0) == 0 && name.size() >= 6 && name.size() <= 7) {
    int index = 0;
    const char* end = name.data() + name.size();
    if (const auto r = std::from_chars(name.data() + 5, end, index); r.ec == std::errc() && r.ptr == end)
      return {DeviceType::cuda, static_cast<int8_t>(index)};
  }
  throw ValueError(str("device: '", name, "', expected 'cpu', 'cuda' or 'cuda:N'"));
}

}  // namespace

PyObject* dtype_object(DType t) { return dtype_objects[static_cast<int>(t)]; }
bool is_complex_dtype(PyObject* o) { return is_dtype(o) && py::cast<PyDType&>(py::handle(o)).pair; }
bool is_dtype(PyObject* o) { return Py_TYPE(o) == reinterpret_cast<PyTypeObject*>(dtype_type); }

DType dtype_from(PyObject* o) {
  for (int i = 0; i < kNumDTypes; ++i)
    if (o == dtype_objects[i]) return static_cast<DType>(i);
  if (o == reinterpret_cast<PyObject*>(&PyFloat_Type)) return default_dtype();
  if (o == reinterpret_cast<PyObject*>(&PyLong_Type)) return DType::i64;
  if (o == reinterpret_cast<PyObject*>(&PyBool_Type)) return DType::b8;
  wrong_type("a fastdl dtype", o);
}

Device device_from(PyObject* o) {
  if (PyUnicode_Check(o)) return parse_device(string_from(o));
  if (PyLong_Check(o) && !PyBool_Check(o)) return {DeviceType::cuda, static_cast<int8_t>(int_from(o))};
  if (py::isinstance<PyDevice>(o)) return py::cast<PyDevice&>(py::handle(o)).value;
  wrong_type("a device or its name", o);
}

PyObject* device_object(Device d) {
  if (d.is_cpu()) return Py_NewRef(cpu_device);
  return py::cast(PyDevice{d}).release().ptr();
}

Generator* generator_from(PyObject* o) {
  if (!py::isinstance<Generator>(o)) wrong_type("a Generator", o);
  if (recording()) recording()->hold(Ref<RefCounted>(new PyOwner(o)));
  return &py::cast<Generator&>(py::handle(o));
}

void init_types(PyObject* module) {
  py::module_ m = py::reinterpret_borrow<py::module_>(module);

  py::class_<PyDType> dtype(m, "dtype", "An element type: fastdl.float32, fastdl.int64, ...");
  dtype.def("__repr__", [](const PyDType& d) { return "fastdl." + d.name(); })
      .def("__reduce__", [](const PyDType& d) { return d.name(); })
      .def_property_readonly("name", &PyDType::name)
      .def_property_readonly("itemsize", [](const PyDType& d) { return size_of(d.value) << d.pair; })
      .def_property_readonly("is_floating_point", [](const PyDType& d) { return is_floating(d.value) && !d.pair; })
      .def_property_readonly("is_complex", [](const PyDType& d) { return d.pair; })
      .def_property_readonly("is_signed", [](const PyDType& d) { return d.value != DType::u8 && d.value != DType::b8; });
  dtype_type = dtype.ptr();
  for (int i = 0; i < kNumDTypes; ++i) {
    py::object o = py::cast(PyDType{static_cast<DType>(i)});
    m.attr(name_of(static_cast<DType>(i))) = o;
    dtype_objects[i] = o.release().ptr();
  }
  m.attr("complex64") = py::cast(PyDType{DType::f32, true});
  m.attr("complex128") = py::cast(PyDType{DType::f64, true});

  py::class_<PyDevice> device(m, "device", "Where tensors live: fastdl.device('cpu'), fastdl.device('cuda:0').");
  device
      .def(py::init([](py::object name, std::optional<int> index) {
             Device d = device_from(name.ptr());
             if (index) d.index = static_cast<int8_t>(*index);
             return PyDevice{d};
           }),
           py::arg("type"), py::arg("index") = py::none())
      .def_property_readonly("type", [](const PyDevice& d) { return d.value.is_cpu() ? "cpu" : "cuda"; })
      .def_property_readonly("index",
                             [](const PyDevice& d) -> py::object {
                               return d.value.is_cpu() ? py::object(py::none()) : py::object(py::int_(int{d.value.index}));
                             })
      .def("__str__", [](const PyDevice& d) { return d.value.name(); })
      .def("__repr__", [](const PyDevice& d) { return "device('" + d.value.name() + "')"; })
      .def("__hash__", [](const PyDevice& d) { return static_cast<int>(d.value.type) * 256 + d.value.index; })
      .def("__eq__",
           [](const PyDevice& a, py::object b) {
             if (py::isinstance<py::str>(b)) return a.value == parse_device(py::cast<std::string>(b));
             return py::isinstance<PyDevice>(b) && a.value == py::cast<PyDevice&>(b).value;
           })
      .def("__reduce__",
           [](const PyDevice& d) { return py::make_tuple(py::type::of<PyDevice>(), py::make_tuple(d.value.name())); });
  cpu_device = py::cast(PyDevice{}).release().ptr();

  py::class_<Generator>(m, "Generator", "A stream of random numbers: a seed and a position in it (Philox4x32-10).")
      .def(py::init([](py::object device) {
             if (!device.is_none()) device_from(device.ptr());
             return std::make_unique<Generator>(67280421310721u);
           }),
           py::arg("device") = py::none())
      .def(
          "manual_seed",
          [](py::object self, py::int_ seed) {
             // As in PyTorch, negative seeds count from 2^64.
            const uint64_t value = PyLong_AsUnsignedLongLongMask(seed.ptr());
            if (value == static_cast<uint64_t>(-1) && PyErr_Occurred()) throw py::error_already_set();
            py::cast<Generator&>(self).manual_seed(value);
            return self;
          },
          py::arg("seed"), "Starts the stream of `seed` from its beginning; returns the generator.")
      .def("seed", &Generator::seed, "A new seed from the operating system; returns it.")
      .def("initial_seed", &Generator::initial_seed)
      .def(
          "get_state",
          [](const Generator& g) {
            const Generator::State s = g.state();
            const PauseRecording constant;
            Tensor t = make_empty({static_cast<int64_t>(s.size())}, DType::u8);
            std::copy(s.begin(), s.end(), t.data<uint8_t>());
            return py::reinterpret_steal<py::object>(wrap(t));
          },
          "The state as a uint8 tensor of 16 bytes.")
      .def(
          "set_state",
          [](Generator& g, py::object o) {
            Generator::State s;
            if (!is_tensor(o.ptr()) || unwrap(o.ptr()).dtype() != DType::u8 ||
                unwrap(o.ptr()).numel() != static_cast<int64_t>(s.size()) || !unwrap(o.ptr()).is_contiguous())
              throw ArgError("set_state: expected a uint8 tensor of 16 elements");
            std::copy_n(unwrap(o.ptr()).data<uint8_t>(), s.size(), s.begin());
            g.set_state(s);
          },
          py::arg("state"))
      .def_property_readonly("device", [](const Generator&) { return py::reinterpret_borrow<py::object>(cpu_device); });
  m.attr("default_generator") = py::cast(&default_generator(), py::return_value_policy::reference);
}

}  // namespace fastdl::bind
