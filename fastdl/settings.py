"""The library's settings: default dtype and device, threads, precision, memory."""

from . import _C

__all__ = [
    "are_deterministic_algorithms_enabled",
    "cpu_level",
    "empty_cache",
    "get_default_device",
    "get_default_dtype",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "is_inference",
    "memory_stats",
    "reset_peak_memory_stats",
    "set_default_device",
    "set_default_dtype",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "set_num_threads",
    "typename",
    "use_deterministic_algorithms",
]


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


def get_num_interop_threads():
    """1: ops run one after the other; within one, `get_num_threads` work."""
    return 1


def set_num_interop_threads(n):
    """Nothing to do: ops run one after the other.

    Raises:
        ValueError: n < 1.
    """
    if n < 1:
        raise _C.ValueError(f"set_num_interop_threads: n {n}, expected at least 1")


_PRECISIONS = ("highest", "high", "medium")


def get_float32_matmul_precision():
    """How products of float32 may be rounded on the way: 'highest' unless it was set."""
    return _PRECISIONS[_C.float32_matmul_precision()]


def set_float32_matmul_precision(precision):
    """Whether matrix products and attention of float32 may round their operands on the way.

    'highest' keeps all 24 bits. 'high' and 'medium' allow GPUs to round operands to TF32, with 11 bits: the relative error
    of a product is then up to 2^-10, its sums are float32. The CPU always keeps all bits. The same switch as
    `fastdl.backends.cuda.matmul.allow_tf32`; that of convolutions is `fastdl.backends.cudnn.allow_tf32`.

    Args:
        precision: 'highest' (the default), 'high' or 'medium'.

    Raises:
        ValueError: another precision.

    >>> import fastdl as fd
    >>> fd.set_float32_matmul_precision("high")
    >>> fd.backends.cuda.matmul.allow_tf32
    True
    >>> fd.set_float32_matmul_precision("highest")
    """
    if precision not in _PRECISIONS:
        raise _C.ValueError(f"set_float32_matmul_precision: {precision!r}, expected 'highest', 'high' or 'medium'")
    _C.set_float32_matmul_precision(_PRECISIONS.index(precision))


def set_flush_denormal(mode):
    """Whether denormal numbers count as 0 within kernels can be set: no, they always do. Returns `mode`."""
    return bool(mode)


def is_inference(input):
    """Whether gradients can never be asked for: no tensor is marked so; `inference_mode` only stops recording."""
    return False


_C.Tensor.is_inference = is_inference


def typename(obj):
    """A tensor's dtype with the library's name, or an object's class with its module's.

    >>> import fastdl as fd
    >>> fd.typename(fd.ones(1))
    'fastdl.float32'
    """
    if isinstance(obj, _C.Tensor):
        return f"fastdl.{obj.dtype.name}"
    kind = obj if isinstance(obj, type) else type(obj)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


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
