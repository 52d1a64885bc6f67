#include "bind/tensor_type.h"

#include <structmember.h>

#include "bind/complex.h"
#include "bind/convert.h"
#include "bind/errors.h"
#include "bind/indexing.h"
#include "bind/interop.h"
#include "bind/observe.h"
#include "bind/size_type.h"
#include "core/accelerator.h"
#include "ops/autocast.h"

namespace fastdl::bind {

PyTypeObject *tensor_type = nullptr, *complex_type = nullptr;

namespace {

// Memory of dead wrappers, for the next ones: most Python objects for tensors live for one line.
constexpr int kFreeMax = 64;
PyObject* free_list[kFreeMax];
int free_count = 0;

PyObject* alloc(PyTypeObject* type, const Tensor& t) {
  PyObject* o;
  if (type == tensor_type && free_count > 0) {
    o = free_list[--free_count];
    Py_INCREF(type);
    _Py_NewReference(o);
    Py_SET_TYPE(o, type);
  } else {
    o = type->tp_alloc(type, 0);
    if (!o) return nullptr;
  }
  auto* p = reinterpret_cast<PyTensor*>(o);
  new (&p->tensor) Tensor(t);
  p->dict = nullptr;
  p->weakrefs = nullptr;
  t.impl()->python = o;
  return o;
}

void dealloc(PyObject* self) {
  auto* p = reinterpret_cast<PyTensor*>(self);
  if (p->weakrefs) PyObject_ClearWeakRefs(self);
  PyTypeObject* type = Py_TYPE(self);
  Py_CLEAR(p->dict);
  p->tensor.impl()->python = nullptr;
  p->tensor.~Tensor();
  if (type == tensor_type && free_count < kFreeMax) {
    free_list[free_count++] = self;
    Py_DECREF(type);
    return;
  }
  type->tp_free(self);
  Py_DECREF(type);
}

// Tensor(2, 3) and Tensor(size) have undefined contents; Tensor(data) has the data, as a tensor of the default dtype.
PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    PyObject* data = nullptr;
    const Py_ssize_t n = PyTuple_GET_SIZE(args);
    if (n > 0 && !kwargs) {
      PyObject* first = PyTuple_GET_ITEM(args, 0);
      if (PyLong_CheckExact(first)) return alloc(type, ops::empty(shape_from(args), default_dtype(), default_device()));
      if (n == 1 && is_size(first)) return alloc(type, ops::empty(shape_from(first), default_dtype(), default_device()));
      if (n == 1 && (PyFloat_Check(first) || PyBool_Check(first))) wrong_type("sizes, a sequence or a tensor", first);
    }
    static const char* names[] = {"data", nullptr};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Tensor", const_cast<char**>(names), &data)) return nullptr;
    if (!data || data == Py_None) return alloc(type, ops::empty({0}, default_dtype()));
    const bool same_kind = complex_type && PyType_IsSubtype(type, complex_type) ? is_complex(data) : is_tensor(data);
    return alloc(type, same_kind ? alias(unwrap(data)) : tensor_from(data, default_dtype(), default_device()));
  });
}

int tensor_init(PyObject*, PyObject*, PyObject*) { return 0; }

// --- numbers ---
// An operand of a binary operator; undefined when Python should try the other operand.
bool operand(PyObject* o, const Tensor** t, Tensor* number) {
  if (is_tensor(o)) {
    *t = &unwrap(o);
    return true;
  }
  *number = number_to_tensor(o);
  *t = number;
  return number->defined();
}

template <Tensor (*Op)(const Tensor&, const Tensor&), Name kName> PyObject* binary(PyObject* a, PyObject* b) {
  return guarded(
      [&]() -> PyObject* {
        const Tensor *x, *y;
        Tensor nx, ny;
        PyObject* const operands[] = {a, b};
        if (!operand(a, &x, &nx) || !operand(b, &y, &ny)) {
          if (has_complex(operands, 2)) return call_complex(kName.text, {"input", "other"}, operands);
          Py_RETURN_NOTIMPLEMENTED;
        }
        return observed(kName.text, operands, 2, wrap(Op(*x, *y)));
      },
      kName.text);
}

template <Tensor (*Op)(const Tensor&, const Tensor&), Name kName> PyObject* inplace(PyObject* a, PyObject* b) {
  return guarded(
      [&]() -> PyObject* {
        const Tensor* y;
        Tensor ny;
        if (!operand(b, &y, &ny)) {
          if (has_complex(&b, 1)) throw DTypeError("a complex result does not fit into a real tensor");
          Py_RETURN_NOTIMPLEMENTED;
        }
        Op(unwrap(a), *y);
        PyObject* const operands[] = {a, b};
        return observed(kName.text, operands, 2, Py_NewRef(a));
      },
      kName.text);
}

template <Tensor (*Op)(const Tensor&), Name kName> PyObject* unary(PyObject* a) {
  return guarded([&] { return observed(kName.text, &a, 1, wrap(Op(unwrap(a)))); }, kName.text);
}

PyObject* power(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary<widen<&ops::pow>, "pow">(a, b);
}

PyObject* inplace_power(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return inplace<ops::pow_, "pow_">(a, b);
}

int truth(PyObject* self) {
  const Tensor& t = unwrap(self);
  if (t.numel() != 1) {
    PyErr_Format(PyExc_RuntimeError, "the truth value of a tensor with %lld elements is ambiguous; use any() or all()",
                 static_cast<long long>(t.numel()));
    return -1;
  }
  if (!observed_read(self)) return -1;
  PyObject* r = guarded([&] {
    const Scalar s = ops::item_scalar(t);
    return Py_NewRef(s.kind == Scalar::floating ? (s.d != 0 ? Py_True : Py_False) : (s.i != 0 ? Py_True : Py_False));
  });
  if (!r) return -1;
  const int v = r == Py_True;
  Py_DECREF(r);
  return v;
}

PyObject* to_float(PyObject* self) {
  if (!observed_read(self)) return nullptr;
  return guarded([&] { return PyFloat_FromDouble(ops::item(unwrap(self))); });
}
PyObject* to_int(PyObject* self) {
  if (!observed_read(self)) return nullptr;
  return guarded([&] {
    const Scalar s = ops::item_scalar(unwrap(self));
    return s.kind == Scalar::floating ? PyLong_FromDouble(s.d) : PyLong_FromLongLong(s.i);
  });
}
PyObject* to_index(PyObject* self) {
  if (!observed_read(self)) return nullptr;
  return guarded([&]() -> PyObject* {
    const Tensor& t = unwrap(self);
    if (is_floating(t.dtype()) || t.numel() != 1) {
      PyErr_SetString(PyExc_TypeError, "only integer tensors of a single element can be converted to an index");
      return nullptr;
    }
    return PyLong_FromLongLong(ops::item_scalar(t).i);
  });
}

PyObject* compare(PyObject* a, PyObject* b, int op) {
  switch (op) {
    case Py_LT: return binary<ops::lt, "lt">(a, b);
    case Py_LE: return binary<ops::le, "le">(a, b);
    case Py_EQ: return binary<ops::eq, "eq">(a, b);
    case Py_NE: return binary<ops::ne, "ne">(a, b);
    case Py_GT: return binary<ops::gt, "gt">(a, b);
    default: return binary<ops::ge, "ge">(a, b);
  }
}

Py_ssize_t length(PyObject* self) {
  const Tensor& t = unwrap(self);
  if (t.ndim() == 0) {
    PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
    return -1;
  }
  return static_cast<Py_ssize_t>(t.shape()[0]);
}

PyObject* iterate(PyObject* self) {
  return guarded([&]() -> PyObject* {
    PyObject* parts = observed("unbind", &self, 1, to_python(ops::unbind(unwrap(self), 0)));
    if (!parts) return nullptr;
    PyObject* it = PyObject_GetIter(parts);
    Py_DECREF(parts);
    return it;
  });
}

// --- attributes ---
#define SELF unwrap(self)
PyObject* get_shape(PyObject* self, void*) { return size_from(SELF.shape()); }
PyObject* get_dtype(PyObject* self, void*) { return to_python(SELF.dtype()); }
PyObject* get_device(PyObject* self, void*) { return device_object(SELF.device()); }
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(SELF.ndim()); }
PyObject* get_requires_grad(PyObject* self, void*) { return PyBool_FromLong(SELF.requires_grad()); }
PyObject* get_is_leaf(PyObject* self, void*) { return PyBool_FromLong(SELF.is_leaf()); }
PyObject* get_version(PyObject* self, void*) { return PyLong_FromUnsignedLong(SELF.version()); }
PyObject* get_itemsize(PyObject* self, void*) { return PyLong_FromLongLong(size_of(SELF.dtype())); }
PyObject* get_nbytes(PyObject* self, void*) { return PyLong_FromLongLong(SELF.bytes()); }
PyObject* get_data(PyObject* self, void*) {
  return guarded([&] { return observed("detach", &self, 1, wrap_like(self, alias(SELF))); });
}
PyObject* get_grad(PyObject* self, void*) {
  TensorImpl* t = SELF.impl();
  if (FASTDL_UNLIKELY(recording() != nullptr)) recording()->use_gradient(t);
  return guarded([&] { return wrap_like(self, Tensor(t->grad)); });
}
PyObject* get_transposed(PyObject* self, void*) {
  return guarded([&] {
    const Tensor& t = SELF;
    Shape dims;
    for (int i = t.ndim() - 1; i >= 0; --i) dims.push_back(i);
    return observed("T", &self, 1, wrap(ops::permute(t, dims)));
  });
}
PyObject* get_matrix_transposed(PyObject* self, void*) {
  return guarded([&] { return observed("mT", &self, 1, wrap(ops::transpose(SELF, -2, -1))); });
}
PyObject* get_strides(PyObject* self, void*) { return to_python(SELF.strides()); }
PyObject* get_storage_offset(PyObject* self, void*) { return PyLong_FromLongLong(SELF.storage_offset()); }
PyObject* get_storage_bytes(PyObject* self, void*) { return PyLong_FromSize_t(SELF.impl()->storage->bytes()); }
PyObject* get_data_ptr(PyObject* self, void*) { return PyLong_FromVoidPtr(SELF.data()); }
PyObject* get_is_contiguous(PyObject* self, void*) { return PyBool_FromLong(SELF.is_contiguous()); }
PyObject* get_is_channels_last(PyObject* self, void*) { return PyBool_FromLong(SELF.is_channels_last()); }
PyObject* get_is_cuda(PyObject* self, void*) { return PyBool_FromLong(!SELF.device().is_cpu()); }

int set_requires_grad(PyObject* self, PyObject* value, void*) {
  const int on = value ? PyObject_IsTrue(value) : -1;
  if (on < 0) return -1;
  PyObject* r = guarded([&]() -> PyObject* {
    const Tensor& t = SELF;
    if (on && !is_floating(t.dtype()))
      throw DTypeError(str("requires_grad: only floating-point tensors have gradients, this one is ", name_of(t.dtype())));
    if (!on && !t.is_leaf()) throw Error("requires_grad: cannot be turned off for a tensor with history; use detach()");
    if (t.is_leaf()) t.impl()->requires_grad = on;
    Py_RETURN_NONE;
  });
  Py_XDECREF(r);
  return r ? 0 : -1;
}

int set_grad(PyObject* self, PyObject* value, void*) {
  const Tensor& t = SELF;
  if (FASTDL_UNLIKELY(recording() != nullptr)) recording()->replace_gradient(t.impl());
  if (!value || value == Py_None) {
    t.impl()->grad = nullptr;
    return 0;
  }
  if (!is_real_or_complex(value)) {
    PyErr_Format(PyExc_TypeError, "grad: expected a tensor or None, not %s", Py_TYPE(value)->tp_name);
    return -1;
  }
  PyObject* r = guarded([&]() -> PyObject* {
    const Tensor& g = unwrap(value);
    if (is_complex(self) != is_complex(value)) throw DTypeError("grad: a complex tensor's is complex, a real one's is real");
    if (!(g.shape() == t.shape())) throw ShapeError(str("grad: shape ", g.shape(), " for a tensor of shape ", t.shape()));
    if (g.dtype() != t.dtype()) throw DTypeError(str("grad: ", name_of(g.dtype()), " for a tensor of ", name_of(t.dtype())));
    if (g.same(t)) throw Error("grad: a tensor cannot be its own gradient");
    t.impl()->grad = g.ref();
    Py_RETURN_NONE;
  });
  Py_XDECREF(r);
  return r ? 0 : -1;
}

// The same Python object, now over another tensor's memory: `parameter.data = other`.
int set_data(PyObject* self, PyObject* value, void*) {
  if (!value || !is_real_or_complex(value) || is_complex(self) != is_complex(value)) {
    PyErr_SetString(PyExc_TypeError, is_complex(self) ? "data: expected a complex tensor" : "data: expected a tensor");
    return -1;
  }
  if (recording()) {
    PyErr_SetString(capture_error, "data: a captured step cannot give a tensor other memory; copy into it with copy_()");
    return -1;
  }
  TensorImpl& to = *SELF.impl();
  const TensorImpl& from = *unwrap(value).impl();
  to.storage = from.storage;
  to.data = from.data;
  to.shape = from.shape;
  to.strides = from.strides;
  to.numel = from.numel;
  to.dtype = from.dtype;
  to.contiguous = from.contiguous;
  return 0;
}
#undef SELF

PyGetSetDef attributes[] = {
    {"shape", get_shape, nullptr, "Sizes of the dimensions.", nullptr},
    {"dtype", get_dtype, nullptr, "Element type.", nullptr},
    {"device", get_device, nullptr, "Where the memory is.", nullptr},
    {"ndim", get_ndim, nullptr, "Number of dimensions.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad, "Whether a gradient is computed for this tensor.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "Not the result of a recorded op.", nullptr},
    {"grad", get_grad, set_grad, "The gradient accumulated by backward(), or None.", nullptr},
    {"data", get_data, set_data, "The same memory without history.", nullptr},
    {"T", get_transposed, nullptr, "The dimensions in reverse order.", nullptr},
    {"mT", get_matrix_transposed, nullptr, "The last two dimensions exchanged.", nullptr},
    {"is_cuda", get_is_cuda, nullptr, "Whether the tensor is on a GPU.", nullptr},
    {"itemsize", get_itemsize, nullptr, "Bytes of one element.", nullptr},
    {"nbytes", get_nbytes, nullptr, "Bytes of all elements.", nullptr},
    {"_strides", get_strides, nullptr, nullptr, nullptr},
    {"_storage_bytes", get_storage_bytes, nullptr, nullptr, nullptr},
    {"_storage_offset", get_storage_offset, nullptr, nullptr, nullptr},
    {"_data_ptr", get_data_ptr, nullptr, nullptr, nullptr},
    {"_is_contiguous", get_is_contiguous, nullptr, nullptr, nullptr},
    {"_is_channels_last", get_is_channels_last, nullptr, nullptr, nullptr},
    {"_version", get_version, nullptr, "Counts in-place changes of the memory.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(PyTensor, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

template <class F> PyType_Slot slot(int id, F f) { return {id, reinterpret_cast<void*>(f)}; }

}  // namespace

PyObject* wrap(const Tensor& t) {
  if (!t.defined()) Py_RETURN_NONE;
  if (t.impl()->python) return Py_NewRef(static_cast<PyObject*>(t.impl()->python));
  return alloc(tensor_type, t);
}

PyObject* wrap_complex(const Tensor& pairs) {
  auto* known = static_cast<PyObject*>(pairs.impl()->python);
  if (known && is_complex(known)) return Py_NewRef(known);
  return alloc(complex_type, known ? ops::view(pairs, pairs.shape()) : pairs);
}

PyObject* wrap_like(PyObject* model, const Tensor& t) { return t.defined() && is_complex(model) ? wrap_complex(t) : wrap(t); }

Tensor number_to_tensor(PyObject* o) {
  if (PyFloat_Check(o)) return ops::scalar_tensor(PyFloat_AS_DOUBLE(o));
  if (PyBool_Check(o)) return ops::scalar_tensor(o == Py_True);
  if (PyLong_Check(o)) return ops::scalar_tensor(int_from(o));
  return number_from_numpy_scalar(o);
}

bool init_tensor_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("A strided array of one dtype on one device, with a gradient if it asks for one.")},
      slot(Py_tp_new, tensor_new),
      slot(Py_tp_init, tensor_init),
      slot(Py_tp_dealloc, dealloc),
      slot(Py_tp_hash, _Py_HashPointer),
      slot(Py_tp_richcompare, compare),
      slot(Py_tp_iter, iterate),
      slot(Py_tp_getset, attributes),
      slot(Py_tp_members, members),
      slot(Py_nb_add, binary<ops::add, "add">),
      slot(Py_nb_subtract, binary<ops::sub, "sub">),
      slot(Py_nb_multiply, binary<ops::mul, "mul">),
      slot(Py_nb_true_divide, binary<ops::div, "div">),
      slot(Py_nb_floor_divide, binary<ops::floor_divide, "floor_divide">),
      slot(Py_nb_remainder, binary<ops::remainder, "remainder">),
      slot(Py_nb_power, power),
      slot(Py_nb_matrix_multiply, binary<lower<&ops::matmul>, "matmul">),
      slot(Py_nb_and, binary<ops::bitwise_and, "bitwise_and">),
      slot(Py_nb_or, binary<ops::bitwise_or, "bitwise_or">),
      slot(Py_nb_xor, binary<ops::bitwise_xor, "bitwise_xor">),
      slot(Py_nb_lshift, binary<ops::bitwise_left_shift, "bitwise_left_shift">),
      slot(Py_nb_rshift, binary<ops::bitwise_right_shift, "bitwise_right_shift">),
      slot(Py_nb_negative, unary<ops::neg, "neg">),
      slot(Py_nb_absolute, unary<ops::abs, "abs">),
      slot(Py_nb_invert, unary<ops::bitwise_not, "bitwise_not">),
      slot(Py_nb_inplace_add, inplace<ops::add_, "add_">),
      slot(Py_nb_inplace_subtract, inplace<ops::sub_, "sub_">),
      slot(Py_nb_inplace_multiply, inplace<ops::mul_, "mul_">),
      slot(Py_nb_inplace_true_divide, inplace<ops::div_, "div_">),
      slot(Py_nb_inplace_floor_divide, inplace<ops::in_place_with<ops::floor_divide>, "floor_divide_">),
      slot(Py_nb_inplace_remainder, inplace<ops::in_place_with<ops::remainder>, "remainder_">),
      slot(Py_nb_inplace_power, inplace_power),
      slot(Py_nb_inplace_and, inplace<ops::in_place_with<ops::bitwise_and>, "bitwise_and_">),
      slot(Py_nb_inplace_or, inplace<ops::in_place_with<ops::bitwise_or>, "bitwise_or_">),
      slot(Py_nb_inplace_xor, inplace<ops::in_place_with<ops::bitwise_xor>, "bitwise_xor_">),
      slot(Py_nb_inplace_lshift, inplace<ops::in_place_with<ops::bitwise_left_shift>, "bitwise_left_shift_">),
      slot(Py_nb_inplace_rshift, inplace<ops::in_place_with<ops::bitwise_right_shift>, "bitwise_right_shift_">),
      slot(Py_nb_bool, truth),
      slot(Py_nb_float, to_float),
      slot(Py_nb_int, to_int),
      slot(Py_nb_index, to_index),
      slot(Py_mp_length, length),
      slot(Py_mp_subscript, tensor_getitem),
      slot(Py_mp_ass_subscript, tensor_setitem),
      slot(Py_bf_getbuffer, tensor_getbuffer),
      slot(Py_bf_releasebuffer, tensor_releasebuffer),
      {0, nullptr},
  };
  PyType_Spec spec{"fastdl.Tensor", sizeof(PyTensor), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!tensor_type) return false;
  return PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(tensor_type)) == 0;
}

}  // namespace fastdl::bind
