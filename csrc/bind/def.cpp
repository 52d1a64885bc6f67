#include "bind/def.h"

#include <cstring>
#include <stdexcept>

namespace fastdl::bind {

namespace {

std::string_view trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

PyObject* parse_default(std::string_view text) {
  if (text == "None") return Py_NewRef(Py_None);
  if (text == "True") return Py_NewRef(Py_True);
  if (text == "False") return Py_NewRef(Py_False);
  PyObject* globals = PyDict_New();
  PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins());
  PyObject* v = PyRun_String(std::string(text).c_str(), Py_eval_input, globals, globals);
  Py_DECREF(globals);
  if (!v) throw std::logic_error("bad default in a signature: " + std::string(text));
  return v;
}

}  // namespace

Signature::Signature(const char* source) {
  std::string_view s(source);
  const size_t open = s.find('(');
  name = s.substr(0, open);
  std::string_view rest = s.substr(open + 1, s.rfind(')') - open - 1);
  text = name + "(";
  while (!trim(rest).empty()) {
    size_t end = 0;
    int depth = 0;
    while (end < rest.size() && (rest[end] != ',' || depth > 0)) {
      depth += rest[end] == '(' || rest[end] == '[';
      depth -= rest[end] == ')' || rest[end] == ']';
      ++end;
    }
    std::string_view item = trim(rest.substr(0, end));
    rest = end < rest.size() ? rest.substr(end + 1) : std::string_view();
    Parameter p{};
    if (const size_t eq = item.find('='); eq != item.npos) {
      p.default_value = parse_default(trim(item.substr(eq + 1)));
      item = trim(item.substr(0, eq));
    }
    if (const size_t colon = item.find(':'); colon != item.npos) {
      if (trim(item.substr(colon + 1)) != "number") throw std::logic_error("unknown annotation in a signature");
      p.number = true;
      item = trim(item.substr(0, colon));
    }
    if (text.back() != '(') text += ", ";
    text += item;
    if (p.default_value) {
      PyObject* repr = PyObject_Repr(p.default_value);
      text += std::string("=") + PyUnicode_AsUTF8(repr);
      Py_DECREF(repr);
    }
    if (item.front() == '*') {
      variadic = static_cast<int>(parameters.size());
      item.remove_prefix(1);
    }
    p.name = PyUnicode_InternFromString(std::string(item).c_str());
    parameters.push_back(p);
  }
  text += ")\n--\n\n";
}

bool Signature::bind(PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames, PyObject** slots, PyObject** packed) const {
  const size_t count = parameters.size();
  size_t next = slots[0] ? 1 : 0;  // a method's self is there already
  Py_ssize_t a = 0;
  for (; a < nargs; ++a, ++next) {
    if (variadic >= 0 && next == static_cast<size_t>(variadic)) {
      // One sequence, or the ints one by one up to the end.
      if (a + 1 == nargs && (PyTuple_Check(args[a]) || PyList_Check(args[a]))) {
        slots[next] = args[a];
      } else {
        *packed = PyTuple_New(nargs - a);
        for (Py_ssize_t i = a; i < nargs; ++i) PyTuple_SET_ITEM(*packed, i - a, Py_NewRef(args[i]));
        slots[next] = *packed;
      }
      break;
    }
    if (next >= count) {
      PyErr_Format(PyExc_TypeError, "%s() takes at most %zu arguments, got %zd", name.c_str(), count, nargs);
      return false;
    }
    slots[next] = args[a];
  }
  if (kwnames) {
    const Py_ssize_t n = PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t k = 0; k < n; ++k) {
      PyObject* key = PyTuple_GET_ITEM(kwnames, k);
      size_t i = 0;
      while (i < count && parameters[i].name != key) ++i;
      if (i == count)  // not interned: compare the text
        for (i = 0; i < count && PyUnicode_Compare(parameters[i].name, key) != 0;) ++i;
      if (i == count) {
        PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", name.c_str(), key);
        Py_CLEAR(*packed);
        return false;
      }
      if (slots[i]) {
        PyErr_Format(PyExc_TypeError, "%s() got two values for argument '%U'", name.c_str(), key);
        Py_CLEAR(*packed);
        return false;
      }
      slots[i] = args[nargs + k];
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (slots[i]) continue;
    slots[i] = parameters[i].default_value;
    if (!slots[i] && static_cast<int>(i) == variadic) slots[i] = *packed = PyTuple_New(0);
    if (!slots[i]) {
      PyErr_Format(PyExc_TypeError, "%s() is missing the argument '%U'", name.c_str(), parameters[i].name);
      Py_CLEAR(*packed);
      return false;
    }
  }
  return true;
}

PyObject* call_complex(const Signature& s, PyObject* const* slots) {
  std::vector<const char*> names;
  for (const Signature::Parameter& p : s.parameters) names.push_back(PyUnicode_AsUTF8(p.name));
  return call_complex(s.name.c_str(), names, slots);
}

PyObject* set_argument_error(const Signature& s, size_t parameter) {
  if (PyErr_Occurred()) return nullptr;
  try {
    throw;
  } catch (const ArgError& e) {
    const char* which = parameter < s.parameters.size() ? PyUnicode_AsUTF8(s.parameters[parameter].name) : "?";
    PyErr_Format(PyExc_TypeError, "%s: argument '%s' %s", s.name.c_str(), which, e.what());
  }
  return nullptr;
}

void add_function(PyObject* module, Signature& s, _PyCFunctionFastWithKeywords call) {
  s.def = {s.name.c_str(), reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call)), METH_FASTCALL | METH_KEYWORDS,
           s.text.c_str()};
  PyObject* module_name = PyModule_GetNameObject(module);
  PyObject* f = PyCFunction_NewEx(&s.def, module, module_name);
  Py_XDECREF(module_name);
  if (!f || PyModule_AddObject(module, s.name.c_str(), f) < 0) throw PythonError();
}

void add_method(Signature& s, _PyCFunctionFastWithKeywords call) {
  s.def = {s.name.c_str(), reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call)), METH_FASTCALL | METH_KEYWORDS,
           s.text.c_str()};
  PyObject* f = PyDescr_NewMethod(tensor_type, &s.def);
  if (!f || PyObject_SetAttrString(reinterpret_cast<PyObject*>(tensor_type), s.name.c_str(), f) < 0) throw PythonError();
  Py_DECREF(f);
}

}  // namespace fastdl::bind
