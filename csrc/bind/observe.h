// What looks on while ops are called from Python. fastdl.onnx records a module's calls this way.
#pragma once
#include <Python.h>

#include "core/macros.h"

namespace fastdl::bind {

extern PyObject* observer;  // null, or a callable (name, arguments, result); it is not observed itself

// Tells the observer, if there is one and it was set on this thread, of a call; `arguments` are borrowed. Gives the
// result back, or null if there was none or the observer raised an error.
PyObject* report_call(const char* name, PyObject* const* arguments, Py_ssize_t count, PyObject* result);

inline PyObject* observed(const char* name, PyObject* const* arguments, Py_ssize_t count, PyObject* result) {
  return FASTDL_LIKELY(!observer) ? result : report_call(name, arguments, count, result);
}

// A value of `tensor` is about to be read on the host: false if the observer forbids it.
bool observed_read(PyObject* tensor);

void init_observe(PyObject* module);

// A name as a template argument.
template <size_t N> struct Name {
  char text[N];
  constexpr Name(const char (&s)[N]) {  // NOLINT: implicit on purpose
    for (size_t i = 0; i < N; ++i) text[i] = s[i];
  }
};

}  // namespace fastdl::bind
