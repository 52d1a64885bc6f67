#include "bind/autograd.h"

#include <pybind11/functional.h>
#include <pybind11/pybind11.h>

#include "autograd/accumulate.h"
#include "autograd/autograd.h"
#include "bind/convert.h"
#include "bind/tensor_type.h"
#include "ops/autocast.h"

namespace py = pybind11;

namespace fastdl::bind {

namespace {

// Gradients of complex tensors are complex: the object is one if `complex`.
py::object object_of(const Tensor& t, bool complex = false) {
  return py::reinterpret_steal<py::object>(complex && t.defined() ? wrap_complex(t) : wrap(t));
}

const Tensor& tensor_arg(py::handle o, const char* op) {
  if (!is_real_or_complex(o.ptr())) throw ArgError(std::string(op) + ": expected a tensor, not " + Py_TYPE(o.ptr())->tp_name);
  return unwrap(o.ptr());
}

TensorList tensors_of(py::handle list) {
  TensorList out;
  for (py::handle o : list) out.push_back(o.is_none() ? Tensor() : tensor_arg(o, "autograd"));
  return out;
}

std::vector<bool> are_complex(py::handle list) {
  std::vector<bool> out;
  for (py::handle o : list) out.push_back(is_complex(o.ptr()));
  return out;
}

GradHook python_hook(py::object f, bool complex) {
  return [f, complex](const Tensor& g) {
    py::object r = f(object_of(g, complex));
    if (r.is_none()) return Tensor();
    const Tensor& t = tensor_arg(r, "hook");
    if (!(t.shape() == g.shape()))
      throw ShapeError(str("hook: returned shape ", t.shape(), " for a gradient of shape ", g.shape()));
    return t;
  };
}

// The node of an autograd.Function: its gradient is a Python callable from gradients to gradients.
class PythonNode final : public Node {
 public:
  PythonNode(std::string name, size_t inputs, std::vector<bool> complex, py::object backward)
      : Node("Function", inputs), class_name_(std::move(name)), complex_(std::move(complex)), backward_(std::move(backward)) {}
  std::string name() const override { return class_name_; }
  void apply(GradCall& call) override {
    if (!backward_) throw_released(*this);
    py::tuple grads(outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) grads[i] = object_of(call.grad(i), complex_[i]);
    py::tuple wanted(edges.size());
    for (size_t i = 0; i < edges.size(); ++i) wanted[i] = py::bool_(call.wants(i));
    py::object result = backward_(grads, wanted);
    py::tuple out = py::cast<py::tuple>(result);
    for (size_t i = 0; i < out.size() && i < edges.size(); ++i) {
      if (!out[i].is_none()) call.set(i, tensor_arg(out[i], class_name_.c_str()));
    }
  }
  void release_saved() override { backward_ = py::object(); }

 private:
  std::string class_name_;
  std::vector<bool> complex_;  // which outputs are
  py::object backward_;
};

class PyNode {  // what tensor.grad_fn shows
 public:
  explicit PyNode(Ref<Node> node) : node_(std::move(node)) {}
  std::string name() const { return node_->name(); }
  py::tuple next_functions() const {
    py::tuple out(node_->edges.size());
    for (size_t i = 0; i < out.size(); ++i) {
      const Edge& e = node_->edges[i];
      out[i] = py::make_tuple(e.node ? py::cast(PyNode(e.node)) : py::object(py::none()), e.input_nr);
    }
    return out;
  }
  bool operator==(const PyNode& o) const { return node_ == o.node_; }

 private:
  Ref<Node> node_;
};

struct HookHandle {
  Tensor tensor;
  Ref<RefCounted> node;
  int64_t id;
};

HookHandle handle_for(const Tensor& t, int64_t id) { return {t, t.impl()->grad_fn, id}; }

}  // namespace

void init_autograd(PyObject* module) {
  py::module_ m = py::reinterpret_borrow<py::module_>(module);

  m.def("is_grad_enabled", &grad_enabled);
  m.def("set_grad_enabled", &set_grad_enabled);
  m.def("is_inference_mode_enabled", &inference_mode);
  m.def("set_inference_mode", &set_inference_mode);
  m.def("is_anomaly_enabled", &anomaly_mode);
  m.def("set_anomaly_enabled", &set_anomaly_mode);

  const auto device_type = [](py::object name) { return device_from(name.ptr()).type; };
  m.def("is_autocast_enabled", [=](py::object device) { return autocast::settings(device_type(device)).enabled; });
  m.def("get_autocast_dtype", [=](py::object device) {
    return py::reinterpret_borrow<py::object>(dtype_object(autocast::settings(device_type(device)).dtype));
  });
  m.def("is_autocast_cache_enabled", [] { return autocast::cache_enabled(); });
  m.def("clear_autocast_cache", &autocast::clear_cache);
  // Begins a region, and ends one with the settings that the caller found before.
  const auto set_autocast = [=](py::object device, py::object dtype, bool enabled, bool cache) {
    autocast::settings(device_type(device)) = {enabled, dtype_from(dtype.ptr())};
    autocast::cache_enabled() = cache;
  };
  m.def("enter_autocast", [=](py::object device, py::object dtype, bool enabled, bool cache) {
    set_autocast(device, dtype, enabled, cache);
    autocast::enter();
  });
  m.def("leave_autocast", [=](py::object device, py::object dtype, bool enabled, bool cache) {
    set_autocast(device, dtype, enabled, cache);
    autocast::leave();
  });

  m.def("backward", [](py::object tensors, py::object grads, bool retain_graph, bool create_graph) {
    backward(tensors_of(tensors), tensors_of(grads), {retain_graph, create_graph});
  });
  m.def("grad", [](py::object outputs, py::object grads, py::object inputs, bool retain_graph, bool create_graph) {
    const TensorList found =
        gradients(tensors_of(outputs), tensors_of(grads), tensors_of(inputs), {retain_graph, create_graph});
    py::tuple out(found.size());
    for (size_t i = 0; i < found.size(); ++i) out[i] = object_of(found[i], are_complex(inputs)[i]);
    return out;
  });

  py::class_<PyNode>(m, "Node", "A node of the autograd graph.")
      .def("name", &PyNode::name)
      .def_property_readonly("next_functions", &PyNode::next_functions)
      .def("__eq__", [](const PyNode& a, py::object b) { return py::isinstance<PyNode>(b) && a == py::cast<PyNode&>(b); })
      .def("__hash__", [](py::object self) { return reinterpret_cast<intptr_t>(self.ptr()); })
      .def("__repr__", [](const PyNode& n) { return "<" + n.name() + ">"; });
  m.def("grad_fn", [](py::object t) -> py::object {
    const Tensor& x = tensor_arg(t, "grad_fn");
    if (x.is_leaf()) return py::none();
    return py::cast(PyNode(Ref<Node>(static_cast<Node*>(x.impl()->grad_fn.get()))));
  });

  py::class_<HookHandle>(m, "HookHandle", "Removes the hook again.")
      .def("remove", [](HookHandle& h) { remove_hook(h.tensor, h.node, h.id); })
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](HookHandle& h, py::args) { remove_hook(h.tensor, h.node, h.id); });
  m.def("register_hook", [](py::object t, py::object f) {
    const Tensor& x = tensor_arg(t, "register_hook");
    return handle_for(x, register_hook(x, python_hook(std::move(f), is_complex(t.ptr()))));
  });
  m.def("register_post_accumulate_grad_hook", [](py::object t, py::object f) {
    const Tensor& x = tensor_arg(t, "register_post_accumulate_grad_hook");
    return handle_for(x, register_post_accumulate_hook(x, [f](const Tensor& leaf) {
                        f(object_of(leaf));
                        return Tensor();
                      }));
  });
  m.def("leaves_of",
        [](py::object outputs) { return py::reinterpret_steal<py::object>(to_python(leaves_of(tensors_of(outputs)))); });
  m.def("detach_", [](py::object t) {
    const Tensor& x = tensor_arg(t, "detach_");
    if (x.impl()->base) throw Error("detach_: a view cannot forget its history in place; use detach()");
    x.impl()->grad_fn = nullptr;
    x.impl()->output_nr = 0;
    x.impl()->requires_grad = false;
    return t;
  });
  m.def("retain_grad", [](py::object t) { retain_grad(tensor_arg(t, "retain_grad")); });

  // Gives `outputs` (aliases of what forward returned) a history: `backward(grads, wanted)` returns a gradient an input.
  m.def("attach_function", [](std::string name, py::object outputs, py::object inputs, py::object backward) {
    const TensorList outs = tensors_of(outputs), ins = tensors_of(inputs);
    Ref<Node> node(new PythonNode(std::move(name), ins.size(), are_complex(outputs), std::move(backward)));
    for (size_t i = 0; i < ins.size(); ++i) attach_input(*node, i, &ins[i]);
    for (const Tensor& t : outs) attach_output(node, t);
  });
}

}  // namespace fastdl::bind
