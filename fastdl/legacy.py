"""Names from PyTorch's first years that code still uses: typed constructors, `range`, `Variable`."""

from .dtypes import bfloat16, bool, float16, float32, float64, int8, int32, int64, uint8
from .functions import arange, empty, is_tensor, tensor
from .settings import get_default_dtype, set_default_dtype
from .tensor import DTypeError, Size, ValueError

__all__ = [
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor",
    "LongTensor", "range", "set_default_tensor_type",
]  # fmt: skip


class TensorType(type):
    """A name for the tensors of one dtype: calling it makes one, `isinstance` asks for the dtype."""

    def __instancecheck__(cls, value):
        return is_tensor(value) and value.dtype is cls.dtype

    def __call__(cls, *data):
        """Sizes give undefined contents; a sequence, an array or a tensor its values."""
        if not data or isinstance(data[0], int) or isinstance(data[0], Size):
            return empty(*(data or (0,)), dtype=cls.dtype)
        if len(data) > 1 or isinstance(data[0], float):
            raise TypeError(f"{cls.__name__}: expected sizes, or one sequence or tensor")
        return tensor(data[0], dtype=cls.dtype)


def _type(name, dtype):
    return TensorType(name, (), {"dtype": dtype, "__doc__": f"Tensors of {dtype}; see `fastdl.tensor`."})


BFloat16Tensor = _type("BFloat16Tensor", bfloat16)
BoolTensor = _type("BoolTensor", bool)
ByteTensor = _type("ByteTensor", uint8)
CharTensor = _type("CharTensor", int8)
DoubleTensor = _type("DoubleTensor", float64)
FloatTensor = _type("FloatTensor", float32)
HalfTensor = _type("HalfTensor", float16)
IntTensor = _type("IntTensor", int32)
LongTensor = _type("LongTensor", int64)


def set_default_tensor_type(t):
    """`set_default_dtype` by the name of a tensor type, such as `FloatTensor` or 'fastdl.DoubleTensor'.

    Raises:
        DTypeError: no type of floating-point numbers.
    """
    if isinstance(t, str):
        t = globals().get(t.rpartition(".")[2], t)
    if not isinstance(t, TensorType):
        raise DTypeError(f"set_default_tensor_type: {t!r} is no tensor type")
    set_default_dtype(t.dtype)


def range(start=0, end=None, step=1, *, dtype=None, device=None, requires_grad=False):
    """start, start + step, ... up to and including end; `arange` is what PyTorch recommends in its place.

    >>> import fastdl as fd
    >>> fd.range(1, 4)
    tensor([1., 2., 3., 4.])
    """
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"range: a step of {step} from {start} to {end}")
    count = int((end - start) / step) + 1
    out = start + step * arange(count, dtype=float64, device=device)
    out = out.to(dtype or get_default_dtype())
    return out.requires_grad_() if requires_grad else out
