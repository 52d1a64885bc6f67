#include "bind/capture.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>

#include "bind/convert.h"
#include "bind/errors.h"
#include "ops/autocast.h"
#include "ops/launch.h"

namespace py = pybind11;

namespace fastdl::bind {

namespace {

// --- trees of arguments and results ---

// A value made of tuples, lists and dicts, with tensors and constants as leaves.
struct Tree {
  enum Kind { constant, tensor, tuple, list, dict } kind = constant;
  py::object object;           // a constant, or a tuple's type
  std::vector<Tree> children;
  std::vector<py::object> keys;
  size_t index = 0;            // of a tensor
};

bool is_named_tuple(PyObject* o) { return PyTuple_Check(o) && !PyTuple_CheckExact(o) && PyObject_HasAttrString(o, "_fields"); }

// Takes a value apart; leaf(tensor) is called for each tensor and returns its index.
template <class F> Tree take_apart(PyObject* o, const F& leaf) {
  Tree t;
  if (is_tensor(o)) {
    t.kind = Tree::tensor;
    t.index = leaf(o);
  } else if (PyTuple_CheckExact(o) || is_named_tuple(o) || PyList_CheckExact(o)) {
    t.kind = PyList_CheckExact(o) ? Tree::list : Tree::tuple;
    if (is_named_tuple(o)) t.object = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(Py_TYPE(o)));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
      t.children.push_back(take_apart(PySequence_Fast_GET_ITEM(o, i), leaf));
  } else if (PyDict_CheckExact(o)) {
    t.kind = Tree::dict;
    PyObject *key, *value;
    for (Py_ssize_t at = 0; PyDict_Next(o, &at, &key, &value);) {
      t.keys.push_back(py::reinterpret_borrow<py::object>(key));
      t.children.push_back(take_apart(value, leaf));
    }
  } else {
    t.object = py::reinterpret_borrow<py::object>(o);
  }
  return t;
}

// The opposite: tensor(index) gives a new reference for each tensor.
template <class F> PyObject* put_together(const Tree& t, const F& tensor) {
  switch (t.kind) {
    case Tree::constant: return Py_NewRef(t.object.ptr());
    case Tree::tensor: return tensor(t.index);
    case Tree::dict: {
      py::dict out;
      for (size_t i = 0; i < t.children.size(); ++i)
        out[t.keys[i]] = py::reinterpret_steal<py::object>(put_together(t.children[i], tensor));
      return out.release().ptr();
    }
    case Tree::list: {
      py::list out(t.children.size());
      for (size_t i = 0; i < t.children.size(); ++i)
        PyList_SET_ITEM(out.ptr(), static_cast<Py_ssize_t>(i), put_together(t.children[i], tensor));
      return out.release().ptr();
    }
    case Tree::tuple: break;
  }
  py::tuple out(t.children.size());
  for (size_t i = 0; i < t.children.size(); ++i)
    PyTuple_SET_ITEM(out.ptr(), static_cast<Py_ssize_t>(i), put_together(t.children[i], tensor));
  return t.object ? t.object(*out).release().ptr() : out.release().ptr();
}

bool is_numpy_scalar(PyObject* o) {
  const char* name = Py_TYPE(o)->tp_name;
  return std::strncmp(name, "numpy.", 6) == 0 && std::strcmp(name, "numpy.ndarray") != 0;
}
// A constant that is compared by its value; others are by their identity.
bool is_plain(PyObject* o) {
  return PyLong_Check(o) || PyFloat_Check(o) || PyUnicode_Check(o) || PyBytes_Check(o) || is_numpy_scalar(o);
}

// Whether a value has this tree's shape; tensors are handed to leaf(index, tensor), which may refuse.
template <class F> bool matches(const Tree& t, PyObject* o, const F& leaf) {
  switch (t.kind) {
    case Tree::tensor: return is_tensor(o) && leaf(t.index, reinterpret_cast<PyTensor*>(o)->tensor);
    case Tree::constant: {
      PyObject* mine = t.object.ptr();
      if (mine == o) return true;
      return Py_TYPE(mine) == Py_TYPE(o) && is_plain(o) && PyObject_RichCompareBool(mine, o, Py_EQ) == 1;
    }
    case Tree::dict: {
      if (!PyDict_CheckExact(o) || PyDict_GET_SIZE(o) != static_cast<Py_ssize_t>(t.children.size())) return false;
      size_t i = 0;
      PyObject *key, *value;
      for (Py_ssize_t at = 0; PyDict_Next(o, &at, &key, &value); ++i)
        if ((key != t.keys[i].ptr() && PyObject_RichCompareBool(key, t.keys[i].ptr(), Py_EQ) != 1) ||
            !matches(t.children[i], value, leaf))
          return false;
      return true;
    }
    case Tree::list:
    case Tree::tuple: break;
  }
  if (t.kind == Tree::list ? !PyList_CheckExact(o)
      : t.object           ? reinterpret_cast<PyObject*>(Py_TYPE(o)) != t.object.ptr()
                           : !PyTuple_CheckExact(o))
    return false;
  if (PySequence_Fast_GET_SIZE(o) != static_cast<Py_ssize_t>(t.children.size())) return false;
  for (size_t i = 0; i < t.children.size(); ++i)
    if (!matches(t.children[i], PySequence_Fast_GET_ITEM(o, static_cast<Py_ssize_t>(i)), leaf)) return false;
  return true;
}

void check_constants(const Tree& t) {
  if (t.kind == Tree::constant && PyObject_CheckBuffer(t.object.ptr()) && !is_plain(t.object.ptr()))
    throw ArgError(std::string("capture: an argument of type ") + Py_TYPE(t.object.ptr())->tp_name +
                   " would stay what it is at the first call; pass it as a tensor");
  for (const Tree& child : t.children) check_constants(child);
}

// --- one recording, and its replays ---

constexpr int64_t kCopiedBytes = 1 << 18;  // more is copied by the kernel, on all threads

// What this thread's ops do besides computing, and in which dtypes.
struct Modes {
  bool grad = grad_enabled(), inference = inference_mode();
  DType dtype = default_dtype();
  autocast::Settings cpu = autocast::settings(DeviceType::cpu), cuda = autocast::settings(DeviceType::cuda);
  bool operator==(const Modes&) const = default;
};

class Step {
 public:
  // Takes the arguments in: their tensors get places in the plan's memory.
  Step(py::tuple args, py::dict kwargs) : recorder_(std::make_unique<Recorder>()) {
    const auto leaf = [&](PyObject* o) {
      const Tensor& given = reinterpret_cast<PyTensor*>(o)->tensor;
      if (given.requires_grad() && !given.is_leaf())
        throw CaptureError(str("capture: an argument of shape ", given.shape(),
                               " has a history; a step can only differentiate "
                               "what it computed itself (use detach())"));
      Tensor own;
      {
        const SetRecording in_the_plan(recorder_.get());
        own = given.is_dense() ? make_empty_strided(given.shape(), given.strides(), given.dtype(), given.device())
                               : make_empty(given.shape(), given.dtype(), given.device());
      }
      inputs_.push_back({own, given.strides(), given.requires_grad(), false});
      copy_in(inputs_.size() - 1, given);
      own.impl()->requires_grad = given.requires_grad();
      return inputs_.size() - 1;
    };
    args_ = take_apart(args.ptr(), leaf);
    kwargs_ = take_apart(kwargs.ptr(), leaf);
    check_constants(args_);
    check_constants(kwargs_);
    for (Input& in : inputs_) in.version = in.own.version();
  }

  py::object arguments() const {
    const auto own = [&](size_t i) { return wrap(inputs_[i].own); };
    return py::make_tuple(py::reinterpret_steal<py::object>(put_together(args_, own)),
                          py::reinterpret_steal<py::object>(put_together(kwargs_, own)));
  }

  void begin() {
    if (recording()) throw CaptureError("capture: a step is being captured on this thread already");
    autocast::clear_cache();  // of casts that were made outside
    detail::recording = recorder_.get();
  }
  void abandon() {
    end();
    recorder_->abandon();
  }
  py::object finish(py::object result, py::tuple args, py::dict kwargs) {
    if (recording() != recorder_.get()) throw CaptureError("capture: the process was forked while the step was captured");
    end();
    outputs_ = take_apart(result.ptr(), [&](PyObject* o) {
      const Tensor& t = reinterpret_cast<PyTensor*>(o)->tensor;
      const bool own = t.storage()->plan() == recorder_->memory().get();
      results_.push_back({own ? alias(t) : t, own});
      return results_.size() - 1;
    });
    for (Input& in : inputs_) in.changed = in.own.version() != in.version;
    result = py::none();
    std::vector<const Tensor*> given(inputs_.size());
    if (!match(args.ptr(), kwargs.ptr(), given))
      throw CaptureError(
          "capture: the step changed the containers that it was passed, or a mode (grad, inference, default dtype, autocast)");
    plan_ = recorder_->finish();
    recorder_.reset();
    copy_out(given);
    return py::reinterpret_steal<py::object>(results());
  }

  bool match(PyObject* args, PyObject* kwargs, std::vector<const Tensor*>& given) const {
    if (modes_ != Modes()) return false;
    const auto leaf = [&](size_t i, const Tensor& t) {
      const Input& in = inputs_[i];
      given[i] = &t;
      return t.shape() == in.own.shape() && t.strides() == in.strides && t.dtype() == in.own.dtype() &&
             t.device() == in.own.device() && t.impl()->requires_grad == in.requires_grad && t.is_leaf();
    };
    return matches(args_, args, leaf) && matches(kwargs_, kwargs, leaf);
  }

  // Null without an error: these arguments, or what lies outside, are not what was recorded.
  PyObject* replay(PyObject* args, PyObject* kwargs) {
    given_.resize(inputs_.size());
    if (!match(args, kwargs, given_) || !plan_->fits()) return nullptr;
    for (size_t i = 0; i < inputs_.size(); ++i) copy_in(i, *given_[i]);
    plan_->replay();
    for (const Result& r : results_)
      if (r.own) changed(r.tensor);
    copy_out(given_);
    return results();
  }

  const Plan& plan() const { return *plan_; }
  Plan& plan() { return *plan_; }
  bool valid = true;

 private:
  struct Input {
    Tensor own;
    Shape strides;  // of what is passed
    bool requires_grad, changed;
    uint32_t version = 0;
  };
  struct Result {
    Tensor tensor;
    bool own;  // in the plan's memory
  };

  static void end() {
    detail::recording = nullptr;
    autocast::clear_cache();  // of the plan's own
  }
  void copy_in(size_t i, const Tensor& given) { copy(inputs_[i].own, given); }
  static void copy(const Tensor& to, const Tensor& from) {
    if (to.data() == from.data()) return;
    if (to.device().is_cpu() && to.is_dense() && to.strides() == from.strides() && to.bytes() <= kCopiedBytes) {
      std::memcpy(to.data(), from.data(), static_cast<size_t>(to.bytes()));
      return;
    }
    const GradMode no_grad(false);
    ops::copy_(to, alias(from));
  }
  // What the step left in its arguments: values written in place, and gradients.
  void copy_out(const std::vector<const Tensor*>& given) {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Input& in = inputs_[i];
      if (in.changed) {
        copy(*given[i], in.own);
        changed(*given[i]);
      }
      if (!in.requires_grad || !in.own.impl()->grad) continue;
      const GradMode no_grad(false);
      TensorImpl* t = given[i]->impl();
      const Tensor gradient = ops::clone(Tensor(in.own.impl()->grad));
      t->grad = t->grad ? ops::add(Tensor(t->grad), gradient).ref() : gradient.ref();
    }
  }
  PyObject* results() const {
    return put_together(outputs_, [&](size_t i) {
      const Result& r = results_[i];
      if (!r.own || r.tensor.numel() != 1) return wrap(r.tensor);
      const Tensor out = make_empty(r.tensor.shape(), r.tensor.dtype(), r.tensor.device());
      copy(out, r.tensor);
      return wrap(out);
    });
  }

  std::unique_ptr<Recorder> recorder_;
  Ref<Plan> plan_;
  Tree args_, kwargs_, outputs_;
  std::vector<Input> inputs_;
  std::vector<Result> results_;
  std::vector<const Tensor*> given_;
  Modes modes_;
};

// replay(steps, args, kwargs): the first valid step of the list that fits runs, and moves to the front; its result, or
// NotImplemented when there is none.
PyObject* replay(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 3 || !PyList_Check(args[0]) || !PyTuple_Check(args[1]) || !PyDict_Check(args[2])) {
    PyErr_SetString(PyExc_TypeError, "replay: expected a list, a tuple and a dict");
    return nullptr;
  }
  if (recording()) Py_RETURN_NOTIMPLEMENTED;
  return guarded([&]() -> PyObject* {
    PyObject* steps = args[0];
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(steps); ++i) {
      py::object object = py::reinterpret_borrow<py::object>(PyList_GET_ITEM(steps, i));
      Step& step = py::cast<Step&>(object);
      if (!step.valid) continue;
      PyObject* result = step.replay(args[1], args[2]);
      if (PyErr_Occurred()) {
        Py_XDECREF(result);
        throw PythonError();
      }
      if (!result) continue;
      if (i > 0 && (PyList_SetSlice(steps, i, i + 1, nullptr) < 0 || PyList_Insert(steps, 0, object.ptr()) < 0)) {
        Py_DECREF(result);
        throw PythonError();
      }
      return result;
    }
    Py_RETURN_NOTIMPLEMENTED;
  });
}

PyMethodDef replay_def{"replay", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(replay)), METH_FASTCALL,
                       "replay(steps, args, kwargs)\n--\n\n"};

// Runs a Python callable now and, in a plan, at this place of every replay.
void call_host(const py::object& f) {
  if (!recording()) {
    f();
    return;
  }
  const Ref<PyOwner> owner(new PyOwner(f.ptr()));
  on_host("call", [owner] {
    PyObject* result = PyObject_CallNoArgs(owner->get());
    if (!result) throw PythonError();
    Py_DECREF(result);
  });
}

class Pause {
 public:
  void enter() { pause_.emplace(); }
  void exit() { pause_.reset(); }

 private:
  std::optional<PauseRecording> pause_;
};

}  // namespace

void init_capture(PyObject* module) {
  py::module_ m = py::reinterpret_borrow<py::module_>(module);

  py::class_<Step>(m, "CapturedStep", "One recording of a captured step, for arguments of one kind.")
      .def(py::init<py::tuple, py::dict>(), py::arg("args"), py::arg("kwargs"))
      .def("arguments", &Step::arguments, "The step's own tensors in place of those that were passed: (args, kwargs).")
      .def("begin", &Step::begin)
      .def("abandon", &Step::abandon)
      .def("finish", &Step::finish, py::arg("result"), py::arg("args"), py::arg("kwargs"))
      .def_readwrite("valid", &Step::valid)
      .def_property_readonly("memory_bytes", [](const Step& s) { return s.plan().memory_bytes(); })
      .def_property_readonly("dropped", [](const Step& s) { return s.plan().dropped(); })
      .def(
          "calls",
          [](const Step& s) {
            py::list out;
            for (const Plan::Info& c : s.plan().calls())
              out.append(py::make_tuple(c.name, c.fused, c.operands.flops, c.operands.bytes(), c.host));
            return out;
          },
          "(name, calls in one, floating-point operations, bytes, whether the host runs it) of each call.")
      .def(
          "profile", [](Step& s, int repeats) { return s.plan().profile(repeats); }, py::arg("repeats"),
          "Mean seconds of each call; all values stay as they are.");
  py::class_<Pause>(m, "PauseRecording", "What runs within is no part of a captured step.")
      .def(py::init<>())
      .def("__enter__", &Pause::enter)
      .def("__exit__", [](Pause& p, const py::args&) { p.exit(); });
  m.def("is_recording", [] { return recording() != nullptr; });
  m.def("check_host_read", [](const char* op) { check_host_read(op); }, py::arg("op"));
  m.def("call_host", &call_host, py::arg("function"));

  PyObject* name = PyModule_GetNameObject(module);
  PyObject* f = PyCFunction_NewEx(&replay_def, module, name);
  Py_XDECREF(name);
  if (!f || PyModule_AddObject(module, "replay", f) < 0) throw py::error_already_set();
}

}  // namespace fastdl::bind
