"""The functions of the top level: making tensors and computing with them."""

from . import _C, allocation
from ._C import Tensor
from .allocation import finish, like, size_of
from .dtypes import preserve_format

__all__ = [
    "arange", "as_tensor", "asarray", "detach", "e", "empty", "empty_like", "empty_permuted", "empty_strided", "eye",
    "fill", "from_dlpack", "from_numpy", "full", "full_like", "imag", "inf", "is_complex", "is_floating_point", "is_nonzero",
    "is_same_size", "is_signed", "is_tensor", "linspace", "log_softmax", "logspace", "nan", "newaxis", "numel", "ones",
    "ones_like", "pi", "real", "scalar_tensor", "softmax", "tensor", "zeros", "zeros_like",
]  # fmt: skip


e, inf, nan, pi = 2.718281828459045, float("inf"), float("nan"), 3.141592653589793
newaxis = None

# --- making tensors ---


def tensor(data, *, dtype=None, device=None, requires_grad=False):
    """A new tensor with a copy of `data`.

    Args:
        data: a number, a nested sequence of numbers, an array or a tensor.
        dtype: found from the data when None (Python floats give the default dtype, ints int64).
        device: the default device when None (see `set_default_device`); that of `data` where it is a tensor.
        requires_grad: whether backward computes a gradient for it.

    Raises:
        ValueError: a ragged sequence.
        TypeError: data that holds something else than numbers.

    >>> import fastdl as fd
    >>> fd.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    if not isinstance(data, Tensor) and hasattr(data, "__cuda_array_interface__"):
        data = _C.from_cuda_array(data)
    return finish(_C.tensor_from(data, dtype, device), requires_grad)


def as_tensor(data, dtype=None, device=None):
    """`data` itself if it is a tensor of that dtype and device, shared memory if it is such an array, else a copy.

    An array of CuPy or Numba, with ``__cuda_array_interface__``, shares the GPU's memory; the current stream waits for the
    one that fills it.
    """
    if isinstance(data, Tensor):
        return data.to(dtype=data.dtype if dtype is None else dtype, device=data.device if device is None else device)
    if hasattr(data, "__cuda_array_interface__"):
        return as_tensor(_C.from_cuda_array(data), dtype, device)
    if hasattr(data, "__array_interface__"):
        try:
            shared = _C.from_buffer(data)
        except (_C.Error, TypeError):
            return _C.tensor_from(data, dtype, device)
        return as_tensor(shared, dtype, _C.default_device() if device is None else device)
    return _C.tensor_from(data, dtype, device)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """A tensor of `obj`'s values: shared memory where that is possible, unless `copy` is True.

    Raises:
        ValueError: `copy` is False and the values must be copied.
    """
    out = (
        tensor(obj, dtype=dtype, device=device)
        if copy and not isinstance(obj, Tensor)
        else as_tensor(obj, dtype, device)
    )
    if isinstance(obj, Tensor):
        out = out.clone() if copy and out is obj else out
        out = out.detach() if out is obj and out.requires_grad and not requires_grad else out
    shared = ("__array_interface__", "__cuda_array_interface__")
    if copy is False and not (out is obj or isinstance(obj, Tensor) or any(hasattr(obj, name) for name in shared)):
        raise _C.ValueError(f"asarray: {type(obj).__name__} cannot be shared; leave copy out")
    return finish(out, requires_grad)


def scalar_tensor(s, *, dtype=None, device=None, requires_grad=False):
    """A 0-d tensor of a number, of the default dtype when None is given."""
    return finish(_C.full((), s, dtype or _C.default_dtype(), device or _C.default_device()), requires_grad)


def from_numpy(ndarray):
    """A tensor over the memory of a NumPy array (a copy if the array is read-only).

    Raises:
        TypeError: not an array, or of a dtype that fastdl lacks.
        ValueError: negative strides.
    """
    return _C.from_buffer(ndarray)


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor over the memory of another library's, by the DLPack protocol (a copy if it is read-only).

    Args:
        ext_tensor: an object with ``__dlpack__`` (of NumPy, PyTorch, CuPy, JAX, ...), or a capsule.
        device: where the tensor shall be; where the memory is when None.
        copy: True: never the same memory; False: always.

    Raises:
        TypeError: no such object. DTypeError: elements that fastdl lacks. DeviceError: memory of another device.
        ValueError: copy=False, and the memory is elsewhere; a capsule that was taken before, negative strides, or a struct of a version that is not known.

    >>> import fastdl as fd
    >>> x = fd.ones(2)
    >>> fd.from_dlpack(x).data_ptr() == x.data_ptr()
    True
    """
    if hasattr(ext_tensor, "__dlpack__"):
        kind, index = map(int, ext_tensor.__dlpack_device__()) if hasattr(ext_tensor, "__dlpack_device__") else (1, 0)
        # On a GPU, the producer has our stream wait for its own.
        where = {"stream": _C.current_stream(index) or 1} if kind in (2, 13) else {}
        try:
            ext_tensor = ext_tensor.__dlpack__(max_version=(1, 0), **where)
        except TypeError:  # a producer of before version 1
            ext_tensor = ext_tensor.__dlpack__(**where)
    out = _C.from_dlpack(ext_tensor)
    if device is not None and _C.device(device) != out.device:
        if copy is False:
            raise _C.ValueError(f"from_dlpack: memory on {out.device} cannot be shared with {_C.device(device)}")
        return out.to(device=device)
    return out.clone() if copy else out


def empty(*sizes, size=None, dtype=None, device=None, requires_grad=False):
    """A tensor of undefined contents.

    Raises:
        ShapeError: a negative size.
        OutOfMemoryError: more memory than there is.
    """
    return finish(allocation.empty(size_of(sizes, size), dtype, device), requires_grad)


def empty_strided(size, stride, *, dtype=None, device=None, requires_grad=False):
    """A tensor of undefined contents with those strides, in elements.

    Raises:
        ShapeError: as many strides as sizes are needed.
    """
    last = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride))
    memory = allocation.empty((last,), dtype, device)
    return finish(_C.as_strided(memory, size, stride, 0), requires_grad)


def empty_permuted(size, physical_layout, *, dtype=None, device=None, requires_grad=False):
    """A tensor of undefined contents whose dimensions lie in memory in the order `physical_layout`, outermost first.

    Raises:
        ValueError: no permutation of the dimensions.

    >>> import fastdl as fd
    >>> fd.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    if sorted(physical_layout) != list(range(len(size))):
        raise _C.ValueError(f"empty_permuted: physical_layout {physical_layout} for {len(size)} dimensions")
    stride, step = [0] * len(size), 1
    for d in reversed(physical_layout):
        stride[d], step = step, step * max(size[d], 1)
    return empty_strided(size, stride, dtype=dtype, device=device, requires_grad=requires_grad)


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """A tensor filled with one value; its dtype is that of the value when None is given."""
    if dtype is None:
        kind = type(fill_value)
        dtype = _C.bool if kind is bool else _C.int64 if kind is int else _C.default_dtype()
    return finish(_C.full(size, fill_value, dtype, device or _C.default_device()), requires_grad)


def zeros(*sizes, size=None, dtype=None, device=None, requires_grad=False):
    """A tensor of zeros.

    >>> import fastdl as fd
    >>> fd.zeros(2, 3).shape
    (2, 3)
    """
    return full(size_of(sizes, size), 0, dtype=dtype or _C.default_dtype(), device=device, requires_grad=requires_grad)


def ones(*sizes, size=None, dtype=None, device=None, requires_grad=False):
    """A tensor of ones."""
    return full(size_of(sizes, size), 1, dtype=dtype or _C.default_dtype(), device=device, requires_grad=requires_grad)


def empty_like(input, *, dtype=None, device=None, requires_grad=False, memory_format=preserve_format):
    """A tensor of undefined contents with the shape, layout and, by default, the dtype of `input`."""
    return finish(like(input, dtype, device, memory_format), requires_grad)


def full_like(input, fill_value, *, dtype=None, device=None, requires_grad=False, memory_format=preserve_format):
    """A tensor filled with one value, like `input` otherwise."""
    return finish(like(input, dtype, device, memory_format).fill_(fill_value), requires_grad)


def zeros_like(input, *, dtype=None, device=None, requires_grad=False, memory_format=preserve_format):
    """A tensor of zeros like `input`."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad, memory_format=memory_format)


def ones_like(input, *, dtype=None, device=None, requires_grad=False, memory_format=preserve_format):
    """A tensor of ones like `input`."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad, memory_format=memory_format)


def arange(start, end=None, step=1, *, dtype=None, device=None, requires_grad=False):
    """start, start + step, ... up to, and without, end; from 0 when only one number is given.

    Its dtype, when None is given, is int64 for ints, else the default one.

    Raises:
        ValueError: a step of 0, or one that leads away from end.

    >>> import fastdl as fd
    >>> fd.arange(2, 8, 2)
    tensor([2, 4, 6])
    """
    start, end = (0, start) if end is None else (start, end)
    if dtype is None:
        integers = all(
            not isinstance(v, float) and (not is_tensor(v) or not v.is_floating_point()) for v in (start, end, step)
        )
        dtype = _C.int64 if integers else _C.default_dtype()
    elif dtype is _C.int64:  # as in PyTorch, the fractions are cut off first
        start, end, step = int(start), int(end), int(step)
    return finish(_C.arange(start, end, step, dtype, device or _C.default_device()), requires_grad)


def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False):
    """`steps` numbers in equal distances from start to end, both included.

    Raises:
        ValueError: a negative number of steps.

    >>> import fastdl as fd
    >>> fd.linspace(0, 1, 3)
    tensor([0. , 0.5, 1. ])
    """
    if dtype is not None and not dtype.is_floating_point:
        start, end = int(start), int(end)
    if steps < 0:
        raise _C.ValueError(f"linspace: steps {steps} must not be negative")
    places = _C.arange(0, int(steps), 1, _C.float64, device or _C.default_device())
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    # Counted from the nearer end, so that both ends are exact.
    values = _C.where(
        _C.lt(places, steps / 2), start + places * step, end - (steps - 1 - places) * step if steps > 1 else start
    )
    return finish(_C.to_dtype(values, dtype or _C.default_dtype()), requires_grad)


def logspace(start, end, steps, base=10.0, *, dtype=None, device=None, requires_grad=False):
    """base to the powers of `linspace(start, end, steps)`.

    >>> import fastdl as fd
    >>> fd.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    if dtype is not None and not dtype.is_floating_point:
        start, end = int(start), int(end)
    powers = linspace(start, end, steps, dtype=_C.float64, device=device)
    return finish(_C.to_dtype(_C.pow(float(base), powers), dtype or _C.default_dtype()), requires_grad)


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False):
    """An n x m matrix (n x n without m) with ones on the diagonal.

    >>> import fastdl as fd
    >>> fd.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    out = zeros(n, n if m is None else m, dtype=dtype, device=device)
    out.diagonal().fill_(1)
    return finish(out, requires_grad)


def is_tensor(obj):
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


def numel(input):
    """The number of elements of `input`."""
    return input.numel()


def fill(input, value):
    """A tensor like `input` with `value` (a number or 0-d) everywhere."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise _C.ShapeError(f"fill: value of shape {list(value.shape)}, expected a number or 0-d")
        return value.to(input.dtype).expand(input.shape).clone()
    return full_like(input, value)


def detach(input):
    """The same memory without history."""
    return input.detach()


def real(input):
    """The real parts of complex numbers, a view; a real tensor itself."""
    return input.real


def imag(input):
    """The imaginary parts of complex numbers, a view.

    Raises:
        DTypeError: a real tensor.
    """
    return input.imag


def is_floating_point(input):
    """Whether the dtype is a floating-point one."""
    return input.dtype.is_floating_point


def is_complex(input):
    """Whether the dtype is complex."""
    return input.dtype.is_complex


def is_signed(input):
    """Whether the dtype holds negative numbers."""
    return input.dtype.is_signed


def is_nonzero(input):
    """Whether the one element is not zero.

    Raises:
        RuntimeError: another number of elements.
    """
    return bool(input)


def is_same_size(input, other):
    """Whether both have the same shape."""
    return input.shape == other.shape


# --- along one dimension ---


def softmax(input, dim, *, dtype=None):
    """exp(x_i) / sum_j exp(x_j) along `dim`; `dtype` converts the input first.

    >>> import fastdl as fd
    >>> fd.softmax(fd.zeros(2), 0).tolist()
    [0.5, 0.5]
    """
    return _C.softmax(input if dtype is None else input.to(dtype), dim)


def log_softmax(input, dim, *, dtype=None):
    """The logarithm of `softmax`, without overflow: x_i - log(sum_j exp(x_j)) along `dim`.

    >>> import fastdl as fd
    >>> fd.log_softmax(fd.zeros(1), 0).tolist()
    [0.0]
    """
    return _C.log_softmax(input if dtype is None else input.to(dtype), dim)


def _sum_to_size(self, *size):
    """The sum over the dimensions that `size` lacks or has as 1: the gradient of broadcasting.

    Raises:
        ShapeError: `size` does not broadcast to the tensor's shape.
    """
    size = tuple(size_of(size))
    lead = self.ndim - len(size)
    if lead < 0 or any(n not in (1, m) for n, m in zip(size, self.shape[max(lead, 0) :])):
        raise _C.ShapeError(f"sum_to_size: {size} does not broadcast to {tuple(self.shape)}")
    dims = [d for d in range(self.ndim) if d < lead or (size[d - lead] == 1 and self.shape[d] != 1)]
    return _C.reshape(_C.sum(self, dims, True, self.dtype), size) if dims else self


def _no_imaginary_parts(self):
    raise _C.DTypeError(
        f"imag: {self.dtype} has no imaginary parts; real numbers are complex with .to(fastdl.complex64)"
    )


def _hardshrink(self, lambd=0.5):
    """See `fastdl.nn.functional.hardshrink`."""
    from .nn.functional import hardshrink

    return hardshrink(self, lambd)


Tensor.hardshrink = _hardshrink
for _name in ("is_complex", "is_nonzero", "is_same_size", "is_signed"):
    setattr(Tensor, _name, globals()[_name])
Tensor.sum_to_size = _sum_to_size
Tensor.real = property(lambda self: self, doc="The tensor itself.")
Tensor.imag = property(_no_imaginary_parts, doc="The imaginary parts of a complex tensor; an error here.")
Tensor.H = property(lambda self: _C.transpose(self, 0, 1), doc="A matrix transposed.")
Tensor.mH = property(lambda self: _C.transpose(self, -2, -1), doc="The last two dimensions exchanged.")
Tensor.is_cpu = property(lambda self: not self.is_cuda, doc="Whether the tensor is on the CPU.")
Tensor.ndimension = Tensor.dim
Tensor.is_sparse = property(lambda self: False, doc="Whether the tensor is sparse: never.")
Tensor.get_device = lambda self: -1 if self.is_cpu else self.device.index
Tensor.__reversed__ = lambda self: _C.flip(self, (0,)) if self.ndim else self
