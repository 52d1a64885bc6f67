// DLPack (https://dmlc.github.io/dlpack): a C struct that describes strided memory, and its owner's deleter, in a
// capsule. A consumer that knows version 1 says so by max_version and gets a struct with flags (read-only, copied).
// The capsule is renamed when its content has been taken, so that it is freed once.
#include "bind/dlpack.h"

#include <pybind11/pybind11.h>

#include "bind/convert.h"
#include "bind/foreign.h"
#include "bind/observe.h"
#include "core/accelerator.h"

namespace py = pybind11;

namespace fastdl::bind {

namespace {

// --- the structs of the standard ---
enum DLDeviceType : int32_t { kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13 };
enum DLTypeCode : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };
struct DLDevice {
  int32_t type;
  int32_t id;
};
struct DLDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;  // null: row by row
  uint64_t byte_offset;
};
struct DLManagedTensor {
  static constexpr const char* kName = "dltensor";
  static constexpr const char* kUsed = "used_dltensor";
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  static constexpr const char* kName = "dltensor_versioned";
  static constexpr const char* kUsed = "used_dltensor_versioned";
  uint32_t major, minor;
  void* context;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor tensor;
};
constexpr uint64_t kReadOnly = 1, kCopied = 2;
constexpr uint32_t kMajor = 1, kMinor = 0;

struct Code {
  DType dtype;
  uint8_t code;
};
constexpr Code kCodes[] = {{DType::b8, kBool},     {DType::u8, kUInt},   {DType::i8, kInt},
                           {DType::i32, kInt},     {DType::i64, kInt},   {DType::f16, kFloat},
                           {DType::bf16, kBfloat}, {DType::f32, kFloat}, {DType::f64, kFloat}};

DLDataType code_of(DType t) {
  for (const Code& c : kCodes)
    if (c.dtype == t) return {c.code, static_cast<uint8_t>(8 * size_of(t)), 1};
  throw DTypeError(str("dlpack: ", name_of(t), " has no code"));
}

DType dtype_of_code(DLDataType d) {
  for (const Code& c : kCodes)
    if (c.code == d.code && 8 * size_of(c.dtype) == d.bits && d.lanes == 1) return c.dtype;
  throw DTypeError(str("from_dlpack: elements of code ", int{d.code}, ", ", int{d.bits}, " bits and ", int{d.lanes},
                       " lanes, expected one of bool, uint8, int8, int32, int64, float16, bfloat16, float32, float64"));
}

DLDevice device_of(const Tensor& t) { return {t.device().is_cpu() ? kCpu : kCuda, t.device().index}; }

// --- to others ---
template <class Managed> struct Export {
  Managed managed{};
  Tensor tensor;  // keeps the memory
  int64_t shape[kMaxDims];
  int64_t strides[kMaxDims];
};

template <class Managed> PyObject* make_capsule(const Tensor& t, bool copied) {
  auto* e = new Export<Managed>;
  e->tensor = t;
  for (int i = 0; i < t.ndim(); ++i) {
    e->shape[i] = t.shape()[i];
    e->strides[i] = t.strides()[i];
  }
  e->managed.tensor = {t.data(), device_of(t), t.ndim(), code_of(t.dtype()), e->shape, e->strides, 0};
  e->managed.context = e;
  e->managed.deleter = [](Managed* m) {
    const PyGILState_STATE gil = PyGILState_Ensure();  // the last reference may free a Python object
    delete static_cast<Export<Managed>*>(m->context);
    PyGILState_Release(gil);
  };
  if constexpr (requires { e->managed.flags; }) {
    e->managed.major = kMajor;
    e->managed.minor = kMinor;
    e->managed.flags = copied ? kCopied : 0;
  }
  return PyCapsule_New(&e->managed, Managed::kName, [](PyObject* capsule) {
    if (!PyCapsule_IsValid(capsule, Managed::kName)) return;  // taken by a consumer
    auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule, Managed::kName));
    m->deleter(m);
  });
}

py::object to_dlpack(py::object tensor, bool versioned, bool copy) {
  if (!is_tensor(tensor.ptr())) throw ArgError("dlpack: expected a tensor");
  if (!observed_read(tensor.ptr())) throw py::error_already_set();
  GradMode no_grad(false);
  const Tensor& t = unwrap(tensor.ptr());
  const Tensor shared = copy ? ops::clone(t) : t;
  PyObject* capsule =
      versioned ? make_capsule<DLManagedTensorVersioned>(shared, copy) : make_capsule<DLManagedTensor>(shared, copy);
  if (!capsule) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(capsule);
}

// --- from others ---
template <class Managed> Tensor take(PyObject* capsule) {
  auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule, Managed::kName));
  bool read_only = false;
  if constexpr (requires { m->flags; }) {
    if (m->major != kMajor)
      throw ValueError(str("from_dlpack: a capsule of version ", m->major, ".", m->minor, ", expected ", kMajor, ".x"));
    read_only = m->flags & kReadOnly;
  }
  const DLTensor& d = m->tensor;
  Device device;
  if (d.device.type == kCuda || d.device.type == kCudaManaged)
    device = checked_device({DeviceType::cuda, static_cast<int8_t>(d.device.id)});
  else if (d.device.type != kCpu && d.device.type != kCudaHost)
    throw DeviceError(str("from_dlpack: memory of device type ", d.device.type, ", expected the CPU's or a CUDA device's"));
  if (d.ndim < 0 || d.ndim > kMaxDims)
    throw ShapeError(str("from_dlpack: ", d.ndim, " dimensions, expected at most ", kMaxDims));
  const DType dtype = dtype_of_code(d.dtype);
  Shape shape, strides;
  for (int i = 0; i < d.ndim; ++i) {
    if (d.shape[i] < 0) throw ShapeError(str("from_dlpack: dimension ", i, " has size ", d.shape[i]));
    shape.push_back(d.shape[i]);
    strides.push_back(0);
  }
  int64_t step = 1;
  for (int i = d.ndim - 1; i >= 0; step *= shape[i--]) strides[i] = d.strides ? d.strides[i] : step;
  void* data = static_cast<char*>(d.data) + d.byte_offset;
  check_foreign("from_dlpack", data, device, shape, strides, dtype);
  PyCapsule_SetName(capsule, Managed::kUsed);
  const Tensor t = tensor_over(data, device, shape, strides, dtype, m, [](void* owner) {
    const PyGILState_STATE gil = PyGILState_Ensure();
    auto* managed = static_cast<Managed*>(owner);
    if (managed->deleter) managed->deleter(managed);
    PyGILState_Release(gil);
  });
  return read_only ? ops::clone(t) : t;
}

py::object from_dlpack(py::object capsule) {
  GradMode no_grad(false);
  PyObject* c = capsule.ptr();
  if (PyCapsule_IsValid(c, DLManagedTensorVersioned::kName))
    return py::reinterpret_steal<py::object>(wrap(take<DLManagedTensorVersioned>(c)));
  if (PyCapsule_IsValid(c, DLManagedTensor::kName)) return py::reinterpret_steal<py::object>(wrap(take<DLManagedTensor>(c)));
  const char* name = PyCapsule_CheckExact(c) ? PyCapsule_GetName(c) : nullptr;
  if (PyCapsule_CheckExact(c))
    throw ValueError(str("from_dlpack: a capsule named ", name ? name : "nothing",
                         ", expected dltensor or dltensor_versioned; one can be taken once only"));
  throw ArgError(std::string("from_dlpack: expected an object with __dlpack__ or a capsule, not ") + Py_TYPE(c)->tp_name);
}

}  // namespace

void init_dlpack(PyObject* module) {
  py::module_ m = py::reinterpret_borrow<py::module_>(module);
  m.def("to_dlpack", to_dlpack);
  m.def("from_dlpack", from_dlpack);
  m.def("dlpack_device", [](py::object t) {
    if (!is_tensor(t.ptr())) throw ArgError("dlpack: expected a tensor");
    const DLDevice d = device_of(unwrap(t.ptr()));
    return py::make_tuple(static_cast<int>(d.type), static_cast<int>(d.id));
  });
}

}  // namespace fastdl::bind
