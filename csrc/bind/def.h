// Binds an op to Python by its signature:
//
//   def<&ops::softmax>(m, "softmax(input, dim)");
//   def<&ops::add>(m, "add(input, other: number)");             // `: number`: a Python number will do for the tensor
//   def<&ops::permute>(m, "permute(input, *dims)");             // ints one by one, or one sequence
//   method<&ops::sum>("sum(self, dim=None, keepdim=False)");    // on the Tensor type
//
// Vectorcall with a slot an argument, filled from positional and keyword arguments and then from the defaults. (Through
// pybind11's dispatcher the same call takes three to five times as long.)
#pragma once
#include <Python.h>

#include <array>
#include <string>
#include <type_traits>
#include <vector>

#include "bind/complex.h"
#include "bind/convert.h"
#include "bind/observe.h"

namespace fastdl::bind {

struct Signature {
  struct Parameter {
    PyObject* name;           // interned
    PyObject* default_value;  // null: required
    bool number = false;
  };
  std::string name;
  std::string text;  // the __text_signature__ header
  std::vector<Parameter> parameters;
  int variadic = -1;
  PyMethodDef def{};

  explicit Signature(const char* text);
  // Fills slots[i] with borrowed references; with a variadic parameter, `packed` holds its tuple. False: error is set.
  bool bind(PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames, PyObject** slots, PyObject** packed) const;
};

PyObject* call_complex(const Signature& s, PyObject* const* slots);
PyObject* set_argument_error(const Signature& s, size_t parameter);
void add_function(PyObject* module, Signature& s, _PyCFunctionFastWithKeywords call);
void add_method(Signature& s, _PyCFunctionFastWithKeywords call);

template <class F> struct FunctionTraits;
template <class R, class... A> struct FunctionTraits<R (*)(A...)> {
  using Result = R;
  using Args = std::tuple<Arg<std::decay_t<A>>...>;
  static constexpr size_t count = sizeof...(A);
};
template <class R> struct FunctionTraits<R*> : FunctionTraits<R> {};

template <auto Fn, bool Method> struct Bound {
  using Traits = FunctionTraits<decltype(Fn)>;
  static constexpr size_t kCount = Traits::count;
  static inline Signature* signature = nullptr;

  template <size_t... I> static PyObject* invoke(PyObject* const* slots, std::index_sequence<I...>) {
    size_t at = 0;
    try {
      typename Traits::Args args;
      ((at = I, std::get<I>(args).load(slots[I], signature->parameters[I].number)), ...);
      at = kCount;
      if constexpr (std::is_void_v<typename Traits::Result>) {
        Fn(std::get<I>(args).get()...);
        Py_RETURN_NONE;
      } else {
        return to_python(Fn(std::get<I>(args).get()...));
      }
    } catch (const ArgError&) {
      if (has_complex(slots, kCount)) return call_complex(*signature, slots);
      return set_argument_error(*signature, at);
    } catch (...) {
      return set_exception(signature->name.c_str());
    }
  }

  static PyObject* call([[maybe_unused]] PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
    std::array<PyObject*, kCount + 1> slots{};
    PyObject* packed = nullptr;
    if constexpr (Method) slots[0] = self;
    if (!signature->bind(args, nargs, kwnames, slots.data(), &packed)) return nullptr;
    PyObject* result =
        observed(signature->name.c_str(), slots.data(), kCount, invoke(slots.data(), std::make_index_sequence<kCount>{}));
    Py_XDECREF(packed);
    return result;
  }
};

template <auto Fn> void def(PyObject* module, const char* text) {
  using B = Bound<Fn, false>;
  B::signature = new Signature(text);
  if (B::signature->parameters.size() != B::kCount)
    throw std::logic_error(std::string("signature does not match the op: ") + text);
  add_function(module, *B::signature, B::call);
}

template <auto Fn> void method(const char* text) {
  using B = Bound<Fn, true>;
  B::signature = new Signature(text);
  if (B::signature->parameters.size() != B::kCount)
    throw std::logic_error(std::string("signature does not match the op: ") + text);
  add_method(*B::signature, B::call);
}

// As a function of the module, first parameter `input`, and as a method.
template <auto Fn> void both(PyObject* module, const char* text) {
  def<Fn>(module, text);
  method<Fn>(text);
}

}  // namespace fastdl::bind
