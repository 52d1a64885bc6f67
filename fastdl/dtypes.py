"""Element types, devices and memory formats."""

from . import _C
from ._C import (
    bfloat16,
    bool,
    complex64,
    complex128,
    device,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int32,
    int64,
    uint8,
)

__all__ = [
    "bfloat16",
    "bool",
    "can_cast",
    "cdouble",
    "cfloat",
    "channels_last",
    "complex64",
    "complex128",
    "contiguous_format",
    "device",
    "double",
    "dtype",
    "finfo",
    "float",
    "float16",
    "float32",
    "float64",
    "half",
    "iinfo",
    "int",
    "int8",
    "int32",
    "int64",
    "long",
    "memory_format",
    "preserve_format",
    "promote_types",
    "result_type",
    "uint8",
]  # fmt: skip

float, double, half, int, long = float32, float64, float16, int32, int64
cfloat, cdouble = complex64, complex128


# --- what the types can hold ---

_FLOATS = {  # bits, bits of the fraction, exponent of the largest number, decimal digits
    float16: (16, 10, 15, 3),
    bfloat16: (16, 7, 127, 2),
    float32: (32, 23, 127, 6),
    float64: (64, 52, 1023, 15),
}


class finfo:
    """The limits of a floating-point dtype (the default one when none is given).

    `bits`, `eps` (from 1 to the next number), `max`, `min`, `tiny` and `smallest_normal`, `resolution` (10^-digits).

    Raises:
        TypeError: another dtype.

    >>> import fastdl as fd
    >>> fd.finfo(fd.float16).max
    65504.0
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type=None):
        type = _C.default_dtype() if type is None else type
        if type not in _FLOATS:
            raise TypeError(f"finfo: expected a floating-point dtype, got {type}")
        self.bits, fraction, exponent, digits = _FLOATS[type]
        self.dtype = type.name
        self.eps = 2.0**-fraction
        self.max = (2.0 - self.eps) * 2.0**exponent
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0 ** (1 - exponent)
        self.resolution = 10.0**-digits

    def __repr__(self):
        return (
            f"finfo(resolution={self.resolution}, min={self.min}, max={self.max}, eps={self.eps}, "
            f"smallest_normal={self.smallest_normal}, tiny={self.tiny}, dtype={self.dtype})"
        )


class iinfo:
    """The limits of an integer dtype: `bits`, `min` and `max`.

    Raises:
        TypeError: another dtype.

    >>> import fastdl as fd
    >>> fd.iinfo(fd.int8).max
    127
    """

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type):
        if type is bool or type in _FLOATS:
            raise TypeError(f"iinfo: expected an integer dtype, got {type}")
        self.bits = 8 * type.itemsize
        self.dtype = type.name
        self.min = 0 if type is uint8 else -(2 ** (self.bits - 1))
        self.max = 2**self.bits - 1 + self.min

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


# --- promotion ---


def result_type(tensor1, tensor2):
    """The dtype of an elementwise op's result on two tensors or numbers.

    >>> import fastdl as fd
    >>> fd.result_type(fd.tensor([1, 2]), 1.5)
    fastdl.float32
    """
    return _C.result_type(tensor1, tensor2)


def promote_types(type1, type2):
    """The smallest dtype that both fit into, by PyTorch's table: of an integer and a float the float.

    >>> import fastdl as fd
    >>> fd.promote_types(fd.int64, fd.float16)
    fastdl.float16
    """
    return _C.promote_types(type1, type2)


def can_cast(from_, to):
    """Whether PyTorch's rules let a result of one dtype be stored in another: floats not in ints, ints not in bools."""
    kind = lambda t: 3 if t.is_complex else 2 if t in _FLOATS else 0 if t is bool else 1
    return kind(from_) <= kind(to)


class memory_format:
    """How the memory behind a shape is ordered."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"fastdl.{self.name}"


contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
preserve_format = memory_format("preserve_format")
