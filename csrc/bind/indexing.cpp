#include "bind/indexing.h"

#include <pybind11/pybind11.h>

#include "bind/convert.h"
#include "bind/interop.h"
#include "bind/observe.h"
#include "ops/index.h"

namespace py = pybind11;

namespace fastdl::bind {

namespace {

// An index by a tensor, an array or a list; undefined if it is none of these.
Tensor index_tensor(PyObject* o) {
  if (is_tensor(o)) return unwrap(o);
  if (PyList_Check(o) && PyList_GET_SIZE(o) == 0) return make_empty({0}, DType::i64);
  if (PyList_Check(o) || PyTuple_Check(o) || (PyObject_CheckBuffer(o) && !PyIndex_Check(o)))
    return tensor_from(o, std::nullopt, Device{});
  return {};
}

int64_t dims_taken(PyObject* o, const Tensor& as_tensor) {
  if (o == Py_None || o == Py_Ellipsis || PyBool_Check(o)) return 0;
  return as_tensor.defined() && as_tensor.dtype() == DType::b8 ? as_tensor.ndim() : 1;
}

[[noreturn]] void throw_bad_index(PyObject* o) {
  throw ArgError(std::string("index: expected ints, slices, None, ..., bools or integer and bool tensors, not ") +
                 Py_TYPE(o)->tp_name);
}

class Parser {
 public:
  Parser(const Tensor& t, PyObject* index) : view(t) {
    if (PyTuple_Check(index)) {
      for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(index); ++i) add(PyTuple_GET_ITEM(index, i));
    } else {
      add(index);
    }
    int64_t taken = 0;
    bool ellipsis = false;
    for (size_t i = 0; i < items_.size(); ++i) {
      taken += dims_taken(items_[i], tensors_[i]);
      if (items_[i] == Py_Ellipsis) {
        if (ellipsis) throw IndexError("index: only one ... is allowed");
        ellipsis = true;
      }
    }
    if (taken > t.ndim())
      throw IndexError(str("index: ", taken, " indices for input ", t.shape(), " of ", t.ndim(), " dimensions"));
    rest_ = t.ndim() - taken;
    for (size_t i = 0; i < items_.size(); ++i) parse(items_[i], tensors_[i]);
  }

  Tensor view;     // after the basic steps
  IndexSpec spec;

 private:
  void add(PyObject* o) {
    items_.push_back(o);
    tensors_.push_back(o == Py_None || o == Py_Ellipsis || PyLong_Check(o) || PySlice_Check(o) ? Tensor() : index_tensor(o));
  }

  void step(IndexStep s) {
    view = ops::apply_step(view, s);
    spec.steps.push_back(s);
  }

  void set_index(Tensor t) {
    if (static_cast<int>(spec.indices.size()) <= dim_) spec.indices.resize(static_cast<size_t>(dim_) + 1);
    spec.indices[static_cast<size_t>(dim_++)] = std::move(t);
  }

  void parse(PyObject* o, const Tensor& as_tensor) {
    if (o == Py_None) {
      step({IndexStep::unsqueeze, dim_});
      ++dim_;
    } else if (o == Py_Ellipsis) {
      dim_ += static_cast<int>(rest_);
    } else if (PyBool_Check(o)) {  // a new dimension of size 1 or 0
      step({IndexStep::unsqueeze, dim_});
      set_index(o == Py_True ? ops::zeros({1}, DType::i64) : make_empty({0}, DType::i64));
    } else if (PySlice_Check(o)) {
      Py_ssize_t start, stop, by;
      if (PySlice_Unpack(o, &start, &stop, &by) < 0) throw PythonError();
      if (by <= 0)
        throw ValueError(str("index: slice step ", static_cast<int64_t>(by), ", expected at least 1; use flip() to reverse"));
      const int64_t n = view.shape()[dim_];
      PySlice_AdjustIndices(n, &start, &stop, by);
      if (start != 0 || stop != n || by != 1) step({IndexStep::slice, dim_, start, stop, by});
      ++dim_;
    } else if (as_tensor.defined() && (as_tensor.ndim() > 0 || as_tensor.dtype() == DType::b8)) {
      if (as_tensor.dtype() == DType::b8) {
        if (as_tensor.ndim() == 0) {
          step({IndexStep::unsqueeze, dim_});
          set_index(ops::item(as_tensor) != 0 ? ops::zeros({1}, DType::i64) : make_empty({0}, DType::i64));
          return;
        }
        for (int d = 0; d < as_tensor.ndim(); ++d)
          if (as_tensor.shape()[d] != view.shape()[dim_ + d])
            throw IndexError(str("index: mask of shape ", as_tensor.shape(), " at dimension ", dim_, " of input ", view.shape(),
                                 ", expected equal sizes"));
        for (Tensor& part : ops::nonzero_indices(as_tensor)) set_index(std::move(part));
      } else if (is_integral(as_tensor.dtype())) {
        set_index(ops::to_dtype(ops::detach(as_tensor), DType::i64));
      } else {
        throw IndexError(str("index: a tensor of ", name_of(as_tensor.dtype()), ", expected integers or bool"));
      }
    } else if (PyIndex_Check(o)) {
      step({IndexStep::select, dim_, int_from(o)});
    } else {
      throw_bad_index(o);
    }
  }

  std::vector<PyObject*> items_;
  TensorList tensors_;
  int dim_ = 0;       // of the view
  int64_t rest_ = 0;  // dimensions that ... stands for
};

Tensor value_tensor(PyObject* o) {
  if (is_tensor(o)) return unwrap(o);
  if (Tensor t = number_to_tensor(o); t.defined()) return t;
  return tensor_from(o, std::nullopt, Device{});
}

}  // namespace

PyObject* tensor_getitem(PyObject* self, PyObject* index) {
  PyObject* const arguments[] = {self, index};
  return observed("getitem", arguments, 2, guarded([&] {
                    const Tensor& t = unwrap(self);
                    if (PyLong_CheckExact(index)) return wrap(ops::select(t, 0, int_from(index)));
                    const Parser p(t, index);
                    if (p.spec.advanced()) return wrap(ops::index(p.view, p.spec.indices));
                    return wrap(p.view.same(t) ? ops::view(t, t.shape()) : p.view);
                  }));
}

int tensor_setitem(PyObject* self, PyObject* index, PyObject* value) {
  PyObject* r = guarded([&]() -> PyObject* {
    if (!value) throw ArgError("elements of a tensor cannot be deleted");
    const Tensor& t = unwrap(self);
    const Tensor v = value_tensor(value);
    IndexSpec spec;
    {
      GradMode no_grad(false);
      spec = Parser(t, index).spec;
    }
    ops::set_item(t, spec, v);
    PyObject* const arguments[] = {self, index, value};
    return observed("setitem", arguments, 3, Py_NewRef(self));
  });
  Py_XDECREF(r);
  return r ? 0 : -1;
}

}  // namespace fastdl::bind
