#include "bind/errors.h"

#include <cctype>
#include <new>

#include "bind/convert.h"
#include "bind/tensor_type.h"
#include "core/error.h"

namespace fastdl::bind {

namespace {

PyObject *shape_error, *dtype_error, *device_error, *index_error, *value_error, *memory_error, *version_error;

PyObject* make(PyObject* module, const char* name, PyObject* parent, PyObject* builtin, const char* doc) {
  const std::string full = std::string("fastdl.") + name;
  PyObject* bases = builtin ? PyTuple_Pack(2, parent, builtin) : PyTuple_Pack(1, parent);
  PyObject* type = PyErr_NewExceptionWithDoc(full.c_str(), doc, bases, nullptr);
  Py_DECREF(bases);
  if (type) PyModule_AddObjectRef(module, name, type);
  return type;
}

// Whether a message begins with an op or a class: "softmax: ...".
bool names_op(const char* message) {
  const char* end = message;
  while (std::isalnum(static_cast<unsigned char>(*end)) || *end == '_' || *end == '.') ++end;
  return end != message && end[0] == ':' && end[1] == ' ';
}

}  // namespace

PyObject *base_error, *capture_error;

bool init_errors(PyObject* module) {
  base_error = make(module, "Error", PyExc_RuntimeError, nullptr, "The base of fastdl's exceptions.");
  if (!base_error) return false;
  shape_error = make(module, "ShapeError", base_error, PyExc_ValueError, "Shapes that do not fit together.");
  dtype_error = make(module, "DTypeError", base_error, PyExc_TypeError, "An element type that the op does not take.");
  device_error = make(module, "DeviceError", base_error, nullptr, "Tensors on different devices, or a device that is missing.");
  index_error = make(module, "IndexError", base_error, PyExc_IndexError, "An index, dimension or label out of range.");
  value_error = make(module, "ValueError", base_error, PyExc_ValueError, "An argument out of its range.");
  memory_error = make(module, "OutOfMemoryError", base_error, PyExc_MemoryError, "More memory than there is.");
  version_error = make(module, "VersionError", base_error, nullptr, "A tensor that a gradient needs was changed in place.");
  capture_error = make(module, "CaptureError", base_error, nullptr, "What a captured step cannot hold, or be called with.");
  return capture_error && shape_error && dtype_error && device_error && index_error && value_error && memory_error &&
         version_error;
}

PyObject* set_exception(const char* op) {
  const auto set = [op](PyObject* type, const char* message) {
    if (!op || names_op(message)) PyErr_SetString(type, message);
    else PyErr_Format(type, "%s: %s", op, message);
  };
  try {
    throw;
  } catch (const PythonError&) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "an error without an exception");
  } catch (const ArgError& e) {
    set(PyExc_TypeError, e.what());
  } catch (const ShapeError& e) {
    set(shape_error, e.what());
  } catch (const DTypeError& e) {
    set(dtype_error, e.what());
  } catch (const DeviceError& e) {
    set(device_error, e.what());
  } catch (const IndexError& e) {
    set(index_error, e.what());
  } catch (const ValueError& e) {
    set(value_error, e.what());
  } catch (const OutOfMemoryError& e) {
    set(memory_error, e.what());
  } catch (const VersionError& e) {
    set(version_error, e.what());
  } catch (const CaptureError& e) {
    set(capture_error, e.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    set(base_error, e.what());
  }
  return nullptr;
}

}  // namespace fastdl::bind
