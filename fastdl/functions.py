"""The functions of the top level: making tensors and computing with them."""

from . import _C
from ._C import Tensor
from .random import _like

__all__ = [
    "arange", "are_deterministic_algorithms_enabled", "as_tensor", "asarray", "cpu_level", "detach", "e", "empty",
    "empty_cache", "empty_like", "empty_strided", "eye", "fill", "from_dlpack", "from_numpy", "full", "full_like", "get_default_device",
    "get_default_dtype", "get_num_threads", "inf", "is_complex", "is_floating_point", "is_nonzero", "is_same_size",
    "is_signed", "is_tensor", "linspace", "log_softmax", "logspace", "memory_stats", "nan", "newaxis", "numel", "ones",
    "ones_like", "pi", "real", "reset_peak_memory_stats", "scalar_tensor", "set_default_device", "set_default_dtype",
    "set_num_threads", "softmax", "tensor", "use_deterministic_algorithms", "zeros", "zeros_like",
]  # fmt: skip


e, inf, nan, pi = 2.718281828459045, float("inf"), float("nan"), 3.141592653589793
newaxis = None

# --- making tensors ---


def _size(size):
    return size[0] if len(size) == 1 and not isinstance(size[0], int) else size


def _finish(t, requires_grad):
    if requires_grad:
        t.requires_grad = True
    return t


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
    return _finish(_C.tensor_from(data, dtype, device), requires_grad)


def as_tensor(data, dtype=None, device=None):
    """`data` itself if it is a tensor of that dtype and device, shared memory if it is such an array, else a copy."""
    if isinstance(data, Tensor):
        return data.to(dtype=data.dtype if dtype is None else dtype, device=data.device if device is None else device)
    if hasattr(data, "__array_interface__"):
        try:
            shared = _C.from_buffer(data)
        except (_C.Error, TypeError):
            return _C.tensor_from(data, dtype, device)
        return as_tensor(shared, dtype, get_default_device() if device is None else device)
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
    if copy is False and not (out is obj or hasattr(obj, "__array_interface__") or isinstance(obj, Tensor)):
        raise _C.ValueError(f"asarray: {type(obj).__name__} cannot be shared; leave copy out")
    return _finish(out, requires_grad)


def scalar_tensor(s, *, dtype=None, device=None, requires_grad=False):
    """A 0-d tensor of a number, of the default dtype when None is given."""
    return _finish(_C.full((), s, dtype or _C.default_dtype(), device or _C.default_device()), requires_grad)


def from_numpy(ndarray):
    """A tensor over the memory of a NumPy array (a copy if the array is read-only).

    Raises:
        TypeError: not an array, or of a dtype that fastdl lacks.
        ValueError: negative strides.
    """
    return _C.from_buffer(ndarray)


def from_dlpack(ext_tensor):
    """A tensor over the memory of another library's, by the DLPack protocol (a copy if it is read-only).

    Args:
        ext_tensor: an object with ``__dlpack__`` (of NumPy, PyTorch, CuPy, JAX, ...), or a capsule.

    Raises:
        TypeError: no such object. DTypeError: elements that fastdl lacks. DeviceError: memory of another device.
        ValueError: a capsule that was taken before, negative strides, or a struct of a version that is not known.

    >>> import fastdl as fd
    >>> x = fd.ones(2)
    >>> fd.from_dlpack(x).data_ptr() == x.data_ptr()
    True
    """
    if hasattr(ext_tensor, "__dlpack__"):
        try:
            ext_tensor = ext_tensor.__dlpack__(max_version=(1, 0))
        except TypeError:  # a producer of before version 1
            ext_tensor = ext_tensor.__dlpack__()
    return _C.from_dlpack(ext_tensor)


def empty(*size, dtype=None, device=None, requires_grad=False):
    """A tensor of undefined contents.

    Raises:
        ShapeError: a negative size.
        OutOfMemoryError: more memory than there is.
    """
    return _finish(_C.empty(_size(size), dtype or _C.default_dtype(), device or _C.default_device()), requires_grad)


def empty_strided(size, stride, *, dtype=None, device=None, requires_grad=False):
    """A tensor of undefined contents with those strides, in elements.

    Raises:
        ShapeError: as many strides as sizes are needed.
    """
    last = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride))
    memory = _C.empty((last,), dtype or _C.default_dtype(), device or _C.default_device())
    return _finish(_C.as_strided(memory, size, stride, 0), requires_grad)


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """A tensor filled with one value; its dtype is that of the value when None is given."""
    if dtype is None:
        kind = type(fill_value)
        dtype = _C.bool if kind is bool else _C.int64 if kind is int else _C.default_dtype()
    return _finish(_C.full(size, fill_value, dtype, device or _C.default_device()), requires_grad)


def zeros(*size, dtype=None, device=None, requires_grad=False):
    """A tensor of zeros.

    >>> import fastdl as fd
    >>> fd.zeros(2, 3).shape
    (2, 3)
    """
    return _finish(_C.full(_size(size), 0, dtype or _C.default_dtype(), device or _C.default_device()), requires_grad)


def ones(*size, dtype=None, device=None, requires_grad=False):
    """A tensor of ones."""
    return _finish(_C.full(_size(size), 1, dtype or _C.default_dtype(), device or _C.default_device()), requires_grad)


def empty_like(input, *, dtype=None, device=None, requires_grad=False):
    """A tensor of undefined contents with the shape, layout and, by default, the dtype of `input`."""
    return _finish(_like(input, dtype, device), requires_grad)


def full_like(input, fill_value, *, dtype=None, device=None, requires_grad=False):
    """A tensor filled with one value, like `input` otherwise."""
    return _finish(_like(input, dtype, device).fill_(fill_value), requires_grad)


def zeros_like(input, *, dtype=None, device=None, requires_grad=False):
    """A tensor of zeros like `input`."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(input, *, dtype=None, device=None, requires_grad=False):
    """A tensor of ones like `input`."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


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
    return _finish(_C.arange(start, end, step, dtype, device or _C.default_device()), requires_grad)


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
    return _finish(_C.to_dtype(values, dtype or _C.default_dtype()), requires_grad)


def logspace(start, end, steps, base=10.0, *, dtype=None, device=None, requires_grad=False):
    """base to the powers of `linspace(start, end, steps)`.

    >>> import fastdl as fd
    >>> fd.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    if dtype is not None and not dtype.is_floating_point:
        start, end = int(start), int(end)
    powers = linspace(start, end, steps, dtype=_C.float64, device=device)
    return _finish(_C.to_dtype(_C.pow(float(base), powers), dtype or _C.default_dtype()), requires_grad)


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False):
    """An n x m matrix (n x n without m) with ones on the diagonal.

    >>> import fastdl as fd
    >>> fd.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    out = zeros(n, n if m is None else m, dtype=dtype, device=device)
    out.diagonal().fill_(1)
    return _finish(out, requires_grad)


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
    """The tensor itself: there are no complex tensors."""
    return input


def is_floating_point(input):
    """Whether the dtype is a floating-point one."""
    return input.dtype.is_floating_point


def is_complex(input):
    """Whether the dtype is complex: never."""
    return False


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


# --- the library's settings ---


def get_default_dtype():
    """The dtype of tensors made from Python floats: float32 unless it was set."""
    return _C.default_dtype()


def set_default_dtype(d):
    """Sets the dtype of tensors made from Python floats.

    Raises:
        DTypeError: not a floating-point dtype.
    """
    _C.set_default_dtype(d)


def get_default_device():
    """The device of tensors made without naming one: the CPU unless set."""
    return _C.default_device()


def set_default_device(device):
    """Sets the device of tensors made without naming one.

    Raises:
        DeviceError: there is no such device.

    >>> import fastdl as fd
    >>> fd.set_default_device("cpu")
    >>> fd.zeros(2).device
    device('cpu')
    """
    _C.set_default_device("cpu" if device is None else device)


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Nothing to do: results are the same bits in every run, at any number of threads."""


def are_deterministic_algorithms_enabled():
    """True."""
    return True


def get_num_threads():
    """The number of threads that kernels use."""
    return _C.get_num_threads()


def set_num_threads(n):
    """Sets the number of threads that kernels use. Results are the same bits at any number.

    Raises:
        ValueError: n < 1.
    """
    _C.set_num_threads(n)


def cpu_level():
    """The CPU instruction set in use: 'base', 'avx2' or 'avx512' (environment variable FASTDL_ISA overrides)."""
    return _C.cpu_level()


def memory_stats():
    """The CPU allocator's counters: bytes in use, cached and at the peak, blocks in use, allocations, cache misses.

    >>> import fastdl as fd
    >>> before = fd.memory_stats()["blocks_in_use"]
    >>> x = fd.zeros(1000)
    >>> fd.memory_stats()["blocks_in_use"] - before
    1
    """
    return _C.memory_stats()


def reset_peak_memory_stats():
    """Starts the peak of `memory_stats` anew from what is in use now."""
    _C.reset_peak_memory_stats()


def empty_cache():
    """Gives freed memory that the CPU allocator keeps for later back to the system."""
    _C.empty_cache()


def _sum_to_size(self, *size):
    """The sum over the dimensions that `size` lacks or has as 1: the gradient of broadcasting.

    Raises:
        ShapeError: `size` does not broadcast to the tensor's shape.
    """
    size = tuple(_size(size))
    lead = self.ndim - len(size)
    if lead < 0 or any(n not in (1, m) for n, m in zip(size, self.shape[max(lead, 0) :])):
        raise _C.ShapeError(f"sum_to_size: {size} does not broadcast to {tuple(self.shape)}")
    dims = [d for d in range(self.ndim) if d < lead or (size[d - lead] == 1 and self.shape[d] != 1)]
    return _C.reshape(_C.sum(self, dims, True, self.dtype), size) if dims else self


for _name in ("is_complex", "is_nonzero", "is_same_size", "is_signed"):
    setattr(Tensor, _name, globals()[_name])
Tensor.sum_to_size = _sum_to_size
Tensor.real = property(real, doc="The tensor itself.")
Tensor.H = property(lambda self: _C.transpose(self, 0, 1), doc="A matrix transposed.")
Tensor.mH = property(lambda self: _C.transpose(self, -2, -1), doc="The last two dimensions exchanged.")
Tensor.is_cpu = property(lambda self: not self.is_cuda, doc="Whether the tensor is on the CPU.")
Tensor.ndimension = Tensor.dim
Tensor.is_sparse = property(lambda self: False, doc="Whether the tensor is sparse: never.")
Tensor.get_device = lambda self: -1 if self.is_cpu else self.device.index
Tensor.__reversed__ = lambda self: _C.flip(self, (0,)) if self.ndim else self
