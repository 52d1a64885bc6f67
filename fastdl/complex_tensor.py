"""Complex tensors: real tensors whose last dimension holds the real and the imaginary part, and that hide it.

No kernel and no op knows of complex numbers. An op that is called with one hands the call to `_call` here, which looks
for the op's meaning in `complex_ops`, where it is written in ops of the parts; gradients follow by themselves. They are
dL/d(real part) + i dL/d(imaginary part), as PyTorch's, so that `z - lr * z.grad` goes downhill.
"""

from . import _C, complex_ops
from ._C import Tensor
from .tensor import DTypeError, Error, ShapeError

__all__ = ["ComplexTensor", "complex", "polar", "view_as_complex", "view_as_real"]


def _part(place):
    return (
        lambda self: _C.as_real(self).select(-1, place),
        lambda self, value: _C.as_real(self).__setitem__((..., place), value),
    )


class ComplexTensor(Tensor):
    """A tensor of complex64 or complex128. Made by functions, such as `fastdl.complex`, and by ops."""

    __slots__ = ()

    shape = property(lambda self: _C.as_real(self).shape[:-1], doc="Sizes of the dimensions.")
    ndim = property(lambda self: _C.as_real(self).ndim - 1, doc="Number of dimensions.")
    dtype = property(lambda self: _DTYPES[_C.as_real(self).dtype], doc="complex64 or complex128.")
    itemsize = property(lambda self: self.dtype.itemsize, doc="Bytes of one element.")
    real = property(*_part(0), doc="The real parts, a view.")
    imag = property(*_part(1), doc="The imaginary parts, a view.")
    T = property(lambda self: self.permute(*range(self.ndim - 1, -1, -1)), doc="The dimensions in reverse order.")
    mT = property(lambda self: self.transpose(-2, -1), doc="The last two dimensions exchanged.")
    H = property(lambda self: self.transpose(0, 1).conj(), doc="A matrix transposed and conjugated.")
    mH = property(lambda self: self.transpose(-2, -1).conj(), doc="The last two dimensions exchanged, conjugated.")
    _strides = property(lambda self: tuple(s // 2 for s in _C.as_real(self).stride()[:-1]))
    _storage_offset = property(lambda self: _C.as_real(self).storage_offset() // 2)
    _is_channels_last = False

    def __len__(self):
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self):
        return iter(_C.unbind(self, 0))

    def __getitem__(self, index):
        return _C.as_complex(_C.as_real(self)[_with_parts(index)])

    def __setitem__(self, index, value):
        parts = _C.as_real(self)
        parts[_with_parts(index)] = complex_ops.pairs(value, parts.dtype, parts.device)

    def __bool__(self):
        return bool(self.item())

    def __complex__(self):
        return self.item()

    def __float__(self):
        number = self.item()
        if number.imag:
            raise Error(f"float: {number} has an imaginary part; take .real")
        return number.real

    def __int__(self):
        return int(float(self))

    def __index__(self):
        raise TypeError("only integer tensors of a single element can be converted to an index")

    def __invert__(self):
        return _C.bitwise_not(self)

    def __format__(self, spec):
        return format(self.item(), spec) if self.ndim == 0 else format(repr(self), spec)

    def __neg__(self):
        return _C.neg(self)

    def __abs__(self):
        return _C.abs(self)

    def __iadd__(self, other):
        return self.add_(other)

    def __isub__(self, other):
        return self.sub_(other)

    def __imul__(self, other):
        return self.mul_(other)

    def __itruediv__(self, other):
        return self.div_(other)

    def __ipow__(self, other):
        return self.pow_(other)

    def conj(self):
        """The complex conjugates."""
        return complex_ops.conj("conj", self)

    def angle(self):
        """The angles from the real axis, from -pi to pi."""
        return complex_ops.angle("angle", self)

    def sgn(self):
        """z / |z|, and 0 of 0."""
        return complex_ops.sgn("sgn", self)

    conj_physical = conj

    def item(self):
        """The number of a tensor of one element."""
        return _number(*_C.reshape(_C.as_real(self), (-1,)).tolist()) if self.numel() == 1 else _C.as_real(self).item()

    def tolist(self):
        """The values as nested Python lists, or a number for a 0-d tensor."""
        return _numbers(_C.as_real(self).tolist(), self.ndim)

    def __reduce_ex__(self, protocol):
        if not self.is_leaf:
            raise Error("pickle: only leaves can be pickled; use detach() first")
        return _rebuild, (real_class(type(self)), self.numpy(force=True), self.dtype, self.requires_grad)


_DTYPES = {_C.float32: _C.complex64, _C.float64: _C.complex128}
_number = complex


def _numbers(parts, depth):
    return [_numbers(p, depth - 1) for p in parts] if depth else _number(*parts)


def _with_parts(index):
    """The index of the pairs that an index of the numbers means."""
    index = index if isinstance(index, tuple) else (index,)
    return (*index, slice(None)) if any(i is Ellipsis for i in index) else (*index, Ellipsis, slice(None))


def _refuse_in_place(name):
    def method(self, other):
        raise DTypeError(f"{name}: is not defined for complex tensors")

    return method


for _name in ("floordiv", "mod", "and", "or", "xor", "lshift", "rshift"):
    setattr(ComplexTensor, f"__i{_name}__", _refuse_in_place(_name))


# --- subclasses of Tensor, such as Parameter, for complex numbers ---

_classes = {}


def complex_class(cls):
    """The class of complex tensors that are also of `cls`, a subclass of Tensor."""
    if issubclass(cls, ComplexTensor):
        return cls
    if cls not in _classes:
        members = {"__slots__": (), "__doc__": cls.__doc__, "__module__": cls.__module__}
        _classes[cls] = type(cls.__name__, (ComplexTensor, cls), members)
    return _classes[cls]


def real_class(cls):
    """What `complex_class` made the class from."""
    return next((real for real, made in _classes.items() if made is cls), Tensor)


def _rebuild(cls, array, dtype, requires_grad):
    z = _C.tensor_from(array, dtype, None)
    return z.requires_grad_(requires_grad) if cls is Tensor else cls(z, requires_grad=requires_grad)


# --- calls of ops ---


def _call(op, arguments):
    function = complex_ops.OPS.get(op)
    if function is None:
        kinds = ", ".join(f"{name} {_kind(value)}" for name, value in arguments.items() if _kind(value))
        raise DTypeError(f"{op}: is not defined for complex numbers ({kinds})")
    return function(op, **{_NAMES.get(name, name): value for name, value in arguments.items()})


_NAMES = {"self": "input", "exponent": "other"}  # of arguments that operators, functions and methods call differently


def _kind(value):
    if isinstance(value, Tensor):
        return f"{value.dtype.name} {list(value.shape)}"
    if isinstance(value, (_number, _C.dtype)):
        return repr(value)
    return next(filter(None, map(_kind, value)), None) if isinstance(value, (list, tuple)) else None


_C.set_complex(ComplexTensor, _call)


# --- making and taking apart ---


def complex(real, imag, *, out=None):
    """real + i imag, of float32 or float64 tensors of one dtype that broadcast.

    Raises:
        DTypeError: other dtypes, or two different ones.

    >>> import fastdl as fd
    >>> fd.complex(fd.tensor([1.0, 0.0]), fd.tensor([0.0, 2.0]))
    tensor([1.+0.j, 0.+2.j])
    """
    if real.dtype not in _DTYPES or real.dtype is not imag.dtype:
        raise DTypeError(f"complex: expected float32 or float64 twice, got {real.dtype} and {imag.dtype}")
    z = complex_ops.joined(real, imag)
    return z if out is None else out.copy_(z)


def polar(abs, angle, *, out=None):
    """abs e^(i angle): abs cos(angle) + i abs sin(angle).

    >>> import fastdl as fd
    >>> fd.polar(fd.tensor(2.0), fd.tensor(0.0)).item()
    (2+0j)
    """
    return complex(abs * angle.cos(), abs * angle.sin(), out=out)


def view_as_real(input):
    """The real and imaginary parts in a new last dimension of 2: the same memory.

    Raises:
        DTypeError: no complex tensor.

    >>> import fastdl as fd
    >>> fd.view_as_real(fd.tensor([1 + 2j])).tolist()
    [[1.0, 2.0]]
    """
    if not isinstance(input, ComplexTensor):
        raise DTypeError(f"view_as_real: expected a complex tensor, got {input.dtype}")
    return _C.as_real(input)


def view_as_complex(input):
    """The pairs in the last dimension, of size 2, as complex numbers: the same memory.

    Args:
        input: (..., 2), float32 or float64; the pairs must lie side by side, in memory that begins at an even place.

    Raises:
        DTypeError: another dtype. ShapeError: no last dimension of 2, or strides that separate the pairs.

    >>> import fastdl as fd
    >>> fd.view_as_complex(fd.tensor([[1.0, 2.0]])).tolist()
    [(1+2j)]
    """
    if isinstance(input, ComplexTensor) or input.dtype not in _DTYPES:
        raise DTypeError(f"view_as_complex: expected float32 or float64, got {input.dtype}")
    if not input.ndim or input.shape[-1] != 2:
        raise ShapeError(f"view_as_complex: expected a last dimension of 2, got shape {list(input.shape)}")
    strides = input.stride()
    if strides[-1] != 1 or any(s % 2 for s, n in zip(strides, input.shape[:-1]) if n > 1) or input.storage_offset() % 2:
        raise ShapeError(
            f"view_as_complex: strides {strides} from place {input.storage_offset()}, expected pairs of numbers side by "
            "side, at even places; use contiguous()"
        )
    return _C.as_complex(input)
