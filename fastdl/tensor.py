"""Methods of Tensor that are written in Python; the others come with the type from `_C`."""

from . import _C, autograd
from ._C import (
    DeviceError,
    DTypeError,
    Error,
    IndexError,
    OutOfMemoryError,
    ShapeError,
    Size,
    Tensor,
    ValueError,
    VersionError,
)
from .dtypes import channels_last, contiguous_format, preserve_format
from .printing import to_text

__all__ = [
    "DTypeError", "DeviceError", "Error", "IndexError", "OutOfMemoryError", "ShapeError", "Size", "Tensor",
    "ValueError", "VersionError",
]  # fmt: skip


def _method(function):
    setattr(Tensor, function.__name__.removesuffix("_method"), function)
    return function


def _cast(name, dtype):
    def convert(self):
        return _C.to_dtype(self, dtype)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"The tensor as {dtype.name} (itself if it is)."
    setattr(Tensor, name, convert)


for _name, _dtype in (
    ("float", _C.float32), ("double", _C.float64), ("half", _C.float16), ("bfloat16", _C.bfloat16), ("int", _C.int32),
    ("long", _C.int64), ("bool", _C.bool), ("char", _C.int8), ("byte", _C.uint8),
    ("cfloat", _C.complex64), ("cdouble", _C.complex128),
):  # fmt: skip
    _cast(_name, _dtype)


@_method
def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=None):
    """The tensor with another dtype, device or memory format; itself if it has them already."""
    for a in args:
        if isinstance(a, _C.dtype):
            dtype = a
        elif isinstance(a, Tensor):
            dtype, device = a.dtype, a.device
        elif isinstance(a, (str, _C.device)) or (isinstance(a, int) and not isinstance(a, bool)):
            device = a
        elif a is not None and not isinstance(a, bool):
            raise TypeError(f"to: expected a dtype, a device or a tensor, not {type(a).__name__}")
    out = self if dtype is None else _C.to_dtype(self, dtype)
    if device is not None:
        out = _C.to_device(out, device, non_blocking)
    if memory_format is channels_last:
        out = _C.to_channels_last(out)
    elif memory_format is contiguous_format:
        out = _contiguous(out)
    return out.clone() if copy and out is self else out


@_method
def type_method(self, dtype=None):
    """The dtype's name when none is given, else the tensor of that dtype (or tensor type, such as `FloatTensor`)."""
    return f"fastdl.{self.dtype.name}" if dtype is None else _C.to_dtype(self, getattr(dtype, "dtype", dtype))


_contiguous = Tensor.contiguous
_clone = Tensor.clone


@_method
def contiguous(self, memory_format=contiguous_format):
    """The tensor with dense memory in that order; itself if it has it already."""
    return _C.to_channels_last(self) if memory_format is channels_last else _contiguous(self)


@_method
def is_contiguous(self, memory_format=contiguous_format):
    """Whether the elements lie densely in memory in that order."""
    return self._is_channels_last if memory_format is channels_last else self._is_contiguous


@_method
def clone(self, *, memory_format=preserve_format):
    """A copy, in the same layout unless another is asked for."""
    if memory_format is preserve_format:
        return _clone(self)
    out = self.contiguous(memory_format=memory_format)
    return _clone(out) if out is self else out


@_method
def cpu(self):
    """The tensor on the CPU."""
    return self.to(device="cpu")


@_method
def cuda(self, device=None):
    """The tensor on a GPU.

    Raises:
        DeviceError: this build or this machine has none.
    """
    return self.to(device="cuda" if device is None else device)


@_method
def size(self, dim=None):
    """The shape, or the size of one dimension."""
    if dim is None:
        return self.shape
    if not -self.ndim <= dim < self.ndim:
        raise IndexError(f"size: dimension {dim} is out of range for shape {list(self.shape)}")
    return self.shape[dim]


@_method
def dim(self):
    """The number of dimensions."""
    return self.ndim


@_method
def numel(self):
    """The number of elements."""
    n = 1
    for s in self.shape:
        n *= s
    return n


Tensor.nelement = numel


@_method
def stride(self, dim=None):
    """The strides in elements, or that of one dimension."""
    strides = self._strides
    if dim is None:
        return strides
    if not -self.ndim <= dim < self.ndim:
        raise IndexError(f"stride: dimension {dim} is out of range for shape {list(self.shape)}")
    return strides[dim]


@_method
def storage_offset(self):
    """The first element's place in its storage, in elements."""
    return self._storage_offset


@_method
def data_ptr(self):
    """The address of the first element."""
    return self._data_ptr


@_method
def element_size(self):
    """Bytes of one element."""
    return self.itemsize


@_method
def is_floating_point(self):
    """Whether the dtype is a floating-point one."""
    return self.dtype.is_floating_point


@_method
def tolist(self):
    """The values as nested Python lists, or a number for a 0-d tensor."""
    return _C.to_list(self)


@_method
def numpy(self, *, force=False):
    """A NumPy array over the same memory.

    Args:
        force: detach first, copy from another device, and convert bfloat16 (which NumPy lacks) to float32.

    Raises:
        Error: the tensor requires a gradient; use `detach()`.
        BufferError: bfloat16.
    """
    import numpy

    if force:
        self = self.detach().cpu()
        return numpy.asarray(self.float() if self.dtype is _C.bfloat16 else self)
    if self.requires_grad:
        raise Error("numpy: the tensor requires a gradient; use x.detach().numpy()")
    return numpy.asarray(self)


@_method
def __array__(self, dtype=None, copy=None):
    import numpy

    array = numpy.asarray(memoryview(self.detach()))
    return numpy.array(array, dtype=dtype, copy=copy) if copy or dtype is not None else array


@_method
def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    """A capsule with this tensor's memory for another library's `from_dlpack`.

    Args:
        stream: where the consumer will work, which is made to wait for the current stream: a CUDA stream's handle, 1 or
            None for the default stream, 2 for the thread's; -1: the consumer takes care of the order. CPU tensors have none.
        max_version: the newest version the consumer knows; without it, or below (1, 0), the older struct is given.
        dl_device: where the memory shall be; only where it is.
        copy: give a copy.

    Raises:
        BufferError: the tensor requires a gradient, or is on another device than dl_device.

    Source: the DLPack protocol of the Python array API.
    """
    if self.requires_grad:
        raise BufferError("dlpack: the tensor requires a gradient; use x.detach()")
    device = _C.dlpack_device(self)
    if dl_device is not None and tuple(map(int, dl_device)) != device:
        raise BufferError(f"dlpack: the tensor is on device {device}, the consumer asks for {tuple(dl_device)}")
    if stream is not None and not self.is_cuda:
        raise BufferError("dlpack: a tensor on the CPU has no stream")
    if stream == 0:
        raise BufferError("dlpack: stream 0, which could be either default stream, is forbidden")
    if self.is_cuda and stream != -1:
        _C.order_streams(device[1], _C.current_stream(device[1]), 0 if stream in (None, 1) else stream)
    return _C.to_dlpack(self, max_version is not None and max_version[0] >= 1, bool(copy))


@_method
def __dlpack_device__(self):
    """(device type, device number) by DLPack's numbers: 1 is the CPU, 2 CUDA."""
    return _C.dlpack_device(self)


def _cuda_array_interface(self):
    if not self.is_cuda:
        raise AttributeError("__cuda_array_interface__: the tensor is on the CPU")
    if self.requires_grad:
        raise Error("__cuda_array_interface__: the tensor requires a gradient; use x.detach()")
    found = _C.cuda_array_interface(self)
    if found is None:
        raise AttributeError(f"__cuda_array_interface__: it knows no {self.dtype.name}; use DLPack")
    return found


Tensor.__cuda_array_interface__ = property(
    _cuda_array_interface, doc="The memory of a tensor on a GPU, for Numba, CuPy."
)


@_method
def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Adds the gradient of this tensor (times `gradient`) to the `.grad` of every leaf, or of `inputs` only.

    Raises:
        ShapeError: `gradient` is left out for a tensor of more than one element, or has another shape.
        Error: no history, or a graph freed by an earlier backward.
    """
    if inputs is None:
        keep = create_graph if retain_graph is None else retain_graph
        _C.backward((self,), () if gradient is None else (gradient,), keep, create_graph)
    else:
        autograd.backward(self, gradient, retain_graph, create_graph, inputs=inputs)


@_method
def requires_grad_(self, requires_grad=True):
    """Sets `requires_grad` and returns the tensor."""
    self.requires_grad = requires_grad
    return self


@_method
def detach_(self):
    """Forgets the history, in place."""
    return _C.detach_(self)


@_method
def register_hook(self, hook):
    """Calls `hook(gradient)` when this tensor's gradient is computed; what it returns, unless None, replaces it."""
    return _C.register_hook(self, hook)


@_method
def register_post_accumulate_grad_hook(self, hook):
    """Calls `hook(tensor)` after a gradient was added to this leaf's `.grad`."""
    return _C.register_post_accumulate_grad_hook(self, hook)


@_method
def retain_grad(self):
    """Keeps the gradient of a tensor that is no leaf in its `.grad`."""
    _C.retain_grad(self)
    self._retains_grad = not self.is_leaf


Tensor.retains_grad = property(
    lambda self: getattr(self, "_retains_grad", False),
    doc="Whether `retain_grad` was called on a tensor that is no leaf.",
)
Tensor.grad_dtype = property(lambda self: self.dtype, doc="The dtype of the tensor's gradient: its own.")


Tensor.grad_fn = property(_C.grad_fn, doc="The node that computed this tensor, or None for a leaf.")


@_method
def expand_as(self, other):
    """`expand` to the shape of `other`."""
    return self.expand(other.shape)


@_method
def view_as(self, other):
    """`view` with the shape of `other`."""
    return self.view(other.shape)


@_method
def reshape_as(self, other):
    """`reshape` to the shape of `other`."""
    return self.reshape(other.shape)


@_method
def split(self, split_size, dim=0):
    """Views of `split_size` along `dim`, or of the sizes in a list."""
    return (
        _C.split_sizes(self, split_size, dim)
        if isinstance(split_size, (list, tuple))
        else _C.split(self, split_size, dim)
    )


_view = Tensor.view


@_method
def view(self, *shape):
    """The same memory with another shape (one size may be -1), or read as another dtype, without history.

    Raises:
        ShapeError: another number of elements, or strides that do not allow it.
    """
    if len(shape) == 1 and isinstance(shape[0], _C.dtype):
        return self if shape[0] is self.dtype else _C.view_dtype(self, shape[0])
    return _view(self, *shape)


def _new(name):
    def make(self, *args, dtype=None, device=None, requires_grad=False):
        from . import functions

        options = {"dtype": dtype or self.dtype, "device": device or self.device, "requires_grad": requires_grad}
        return getattr(functions, name)(*args, **options)

    make.__name__ = make.__qualname__ = f"new_{name}"
    make.__doc__ = f"`fastdl.{name}` with this tensor's dtype, on its device."
    setattr(Tensor, f"new_{name}", make)


for _name in ("empty", "full", "ones", "tensor", "zeros"):
    _new(_name)


@_method
def dim_order(self, *, ambiguity_check=False):
    """The dimensions from the outermost to the innermost in memory.

    Raises:
        Error: `ambiguity_check`, and two dimensions could stand either way.
    """
    if ambiguity_check and len({s for s, n in zip(self._strides, self.shape) if n > 1}) < self.ndim:
        raise Error(f"dim_order: shape {tuple(self.shape)} and strides {self._strides} allow several orders")
    return tuple(sorted(range(self.ndim), key=lambda d: (-self._strides[d], d)))


@_method
def to_dense(self, dtype=None, *, masked_grad=None):
    """The tensor itself: all are dense."""
    return self if dtype is None else self.to(dtype)


@_method
def is_neg(self):
    """False: no tensor is a view with other signs."""
    return False


for _name in ("is_meta", "is_mps", "is_xla"):
    setattr(Tensor, _name, property(lambda self: False, doc="False: there are tensors on the CPU and on CUDA devices."))
Tensor.const_data_ptr = Tensor.data_ptr


@_method
def pin_memory(self, device=None):
    """The tensor itself: copies to a GPU wait for pageable memory, and no more than that."""
    return self


@_method
def is_pinned(self, device=None):
    """Whether the memory is locked for copies to a GPU: never."""
    return False


@_method
def record_stream(self, stream):
    """Nothing to do: freed memory of a GPU is used again in the order of the stream that it was freed on."""


@_method
def apply_(self, callable):
    """Writes callable(number) to each element, in place: Python on the CPU, for what no op does.

    >>> import fastdl as fd
    >>> fd.tensor([1.0, 2.0]).apply_(lambda v: v + 0.5)
    tensor([1.5, 2.5])
    """
    return _by_element("apply_", self, callable)


@_method
def map_(self, tensor, callable):
    """Writes callable(number, number of `tensor`) to each element, in place; `tensor` broadcasts."""
    return _by_element("map_", self, callable, tensor.expand(self.shape))


def _by_element(name, self, function, *others):
    if self.requires_grad:
        raise Error(f"{name}: the tensor requires a gradient, which Python's numbers do not carry; use detach()")
    if self.is_cuda:
        raise DeviceError(f"{name}: the tensor is on {self.device}, expected the CPU")
    columns = [t.reshape(-1).tolist() for t in (self, *others)]
    values = [function(*row) for row in zip(*columns)]
    return self.copy_(_C.tensor_from(values, self.dtype, self.device).reshape(self.shape)) if values else self


# --- printing ---


Tensor.__repr__ = to_text


@_method
def __format__(self, spec):
    return format(self.item(), spec) if self.ndim == 0 else format(repr(self), spec)


@_method
def __contains__(self, element):
    return any((self == element).reshape(-1).tolist())


@_method
def __deepcopy__(self, memo):
    if not self.is_leaf:
        raise Error("deepcopy: only leaves can be copied; use detach() first")
    copy = self.detach().clone()
    if type(self) is not Tensor:
        copy = type(self)(copy)
        copy.__dict__.update(self.__dict__)
    copy.requires_grad = self.requires_grad
    if self.grad is not None:
        copy.grad = self.grad.detach().clone()
    memo[id(self)] = copy
    return copy


def _rebuild(cls, array, dtype, requires_grad):
    t = _C.tensor_from(array, dtype, None)
    t = t if cls is Tensor else cls(t)
    t.requires_grad = requires_grad
    return t


@_method
def __reduce_ex__(self, protocol):
    if not self.is_leaf:
        raise Error("pickle: only leaves can be pickled; use detach() first")
    array = self.numpy(force=True)
    return _rebuild, (type(self), array, self.dtype, self.requires_grad)
