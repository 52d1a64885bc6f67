#include "bind/module_type.h"

#include "bind/errors.h"
#include "core/macros.h"
#include "core/recording.h"

namespace fastdl::bind {

namespace {

PyObject *forward_name, *hooks_name, *call_name, *locate_name;

// module.forward(*args, **kwargs), without a bound method in between where there are no keywords.
PyObject* call_forward(PyObject* self, PyObject* args, PyObject* kwargs) {
  constexpr Py_ssize_t kMost = 8;
  const Py_ssize_t n = PyTuple_GET_SIZE(args);
  if (!kwargs && n < kMost) {
    PyObject* stack[kMost] = {self};
    for (Py_ssize_t i = 0; i < n; ++i) stack[i + 1] = PyTuple_GET_ITEM(args, i);
    return PyObject_VectorcallMethod(forward_name, stack, static_cast<size_t>(n + 1), nullptr);
  }
  PyObject* forward = PyObject_GetAttr(self, forward_name);
  if (!forward) return nullptr;
  PyObject* result = PyObject_Call(forward, args, kwargs);
  Py_DECREF(forward);
  return result;
}

// An error of the library that leaves the call is told which module it left.
void locate_error(PyObject* self) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace) PyException_SetTraceback(value, trace);
  PyObject* done = PyObject_CallMethodOneArg(self, locate_name, value);
  if (!done) PyErr_Clear();
  Py_XDECREF(done);
  PyErr_Restore(type, value, trace);
}

// With hooks, or while a step is captured, the method _call of the Python class does the rest.
PyObject* call(PyObject* self, PyObject* args, PyObject* kwargs) {
  PyObject* hooks = PyObject_GetAttr(self, hooks_name);
  if (!hooks) return nullptr;
  const bool plain = hooks == Py_None && !recording();
  Py_DECREF(hooks);
  PyObject* result;
  if (FASTDL_LIKELY(plain)) {
    result = call_forward(self, args, kwargs);
  } else {
    PyObject* method = PyObject_GetAttr(self, call_name);
    result = method ? PyObject_Call(method, args, kwargs) : nullptr;
    Py_XDECREF(method);
  }
  if (!result && PyErr_ExceptionMatches(base_error)) locate_error(self);
  return result;
}

}  // namespace

bool init_module_type(PyObject* module) {
  forward_name = PyUnicode_InternFromString("forward");
  hooks_name = PyUnicode_InternFromString("_call_hooks");
  call_name = PyUnicode_InternFromString("_call");
  locate_name = PyUnicode_InternFromString("_locate");
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("What is called by calling its forward().")},
      {Py_tp_call, reinterpret_cast<void*>(call)},
      {0, nullptr},
  };
  PyType_Spec spec{"fastdl._C.Callable", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  PyObject* type = PyType_FromSpec(&spec);
  return type && PyModule_AddObject(module, "Callable", type) == 0;
}

}  // namespace fastdl::bind
