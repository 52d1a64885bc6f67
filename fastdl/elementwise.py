"""Elementwise functions: one value from the values at the same place of one, two or three tensors.

Operands broadcast against each other and are promoted to a common dtype as in PyTorch: tensors with dimensions decide
before 0-d tensors, and those before Python numbers; the later ones count only when their kind (bool < integer <
floating point) is higher. Functions with fractional values turn integers into the default floating-point dtype.

`out`, where given, receives the result and is returned; it has the result's shape and requires no gradient.
"""

from . import _C
from ._C import Tensor

__all__ = [
    "abs",
    "absolute",
    "acos",
    "add",
    "addcdiv",
    "addcmul",
    "allclose",
    "arccos",
    "arcsin",
    "arctan",
    "asin",
    "atan",
    "atan2",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "clamp",
    "clip",
    "cos",
    "cosh",
    "div",
    "divide",
    "eq",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "floor",
    "floor_divide",
    "fmod",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "lerp",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "masked_fill",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "ne",
    "neg",
    "negative",
    "not_equal",
    "pow",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tan",
    "tanh",
    "true_divide",
    "trunc",
    "where",
]  # fmt: skip


def _into(out, result):
    if out is None:
        return result
    if out.shape != result.shape:
        raise _C.ShapeError(f"out: shape {list(out.shape)} for a result of shape {list(result.shape)}")
    if result.requires_grad or out.requires_grad:
        raise _C.Error("out: functions with out= do not record gradients; use no_grad()")
    return out.copy_(result)


# --- arithmetic ---


def neg(input, *, out=None):
    """-x."""
    return _into(out, _C.neg(input))


def abs(input, *, out=None):
    """|x|."""
    return _into(out, _C.abs(input))


def sign(input, *, out=None):
    """-1, 0 or 1 by the sign of x."""
    return _into(out, _C.sign(input))


def square(input, *, out=None):
    """x^2."""
    return _into(out, _C.square(input))


def sqrt(input, *, out=None):
    """The square root; NaN below 0.

    >>> import fastdl as fd
    >>> fd.sqrt(fd.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    return _into(out, _C.sqrt(input))


def rsqrt(input, *, out=None):
    """1 / sqrt(x)."""
    return _into(out, _C.rsqrt(input))


def reciprocal(input, *, out=None):
    """1 / x."""
    return _into(out, _C.reciprocal(input))


# --- exponentials and logarithms ---


def exp(input, *, out=None):
    """e^x."""
    return _into(out, _C.exp(input))


def exp2(input, *, out=None):
    """2^x."""
    return _into(out, _C.exp2(input))


def expm1(input, *, out=None):
    """e^x - 1, accurate near 0."""
    return _into(out, _C.expm1(input))


def log(input, *, out=None):
    """The natural logarithm; -inf at 0, NaN below."""
    return _into(out, _C.log(input))


def log2(input, *, out=None):
    """The logarithm to base 2."""
    return _into(out, _C.log2(input))


def log10(input, *, out=None):
    """The logarithm to base 10."""
    return _into(out, _C.log10(input))


def log1p(input, *, out=None):
    """log(1 + x), accurate near 0."""
    return _into(out, _C.log1p(input))


def sigmoid(input, *, out=None):
    """1 / (1 + e^-x)."""
    return _into(out, _C.sigmoid(input))


def erf(input, *, out=None):
    """The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    return _into(out, _C.erf(input))


# --- trigonometric and hyperbolic (angles in radians) ---


def sin(input, *, out=None):
    """The sine."""
    return _into(out, _C.sin(input))


def cos(input, *, out=None):
    """The cosine."""
    return _into(out, _C.cos(input))


def tan(input, *, out=None):
    """The tangent."""
    return _into(out, _C.tan(input))


def asin(input, *, out=None):
    """The angle in [-pi/2, pi/2] with sine x; NaN outside [-1, 1]."""
    return _into(out, _C.asin(input))


def acos(input, *, out=None):
    """The angle in [0, pi] with cosine x; NaN outside [-1, 1]."""
    return _into(out, _C.acos(input))


def atan(input, *, out=None):
    """The angle in (-pi/2, pi/2) with tangent x."""
    return _into(out, _C.atan(input))


def sinh(input, *, out=None):
    """The hyperbolic sine."""
    return _into(out, _C.sinh(input))


def cosh(input, *, out=None):
    """The hyperbolic cosine."""
    return _into(out, _C.cosh(input))


def tanh(input, *, out=None):
    """The hyperbolic tangent."""
    return _into(out, _C.tanh(input))


# --- rounding ---


def floor(input, *, out=None):
    """The largest integer not above x."""
    return _into(out, _C.floor(input))


def ceil(input, *, out=None):
    """The smallest integer not below x."""
    return _into(out, _C.ceil(input))


def trunc(input, *, out=None):
    """x without its fraction."""
    return _into(out, _C.trunc(input))


def round(input, *, decimals=0, out=None):
    """The nearest integer (halves to the even one), or the nearest multiple of 10^-decimals."""
    if decimals == 0:
        return _into(out, _C.round(input))
    return _into(out, _C.div(_C.round(_C.mul(input, 10.0**decimals)), 10.0**decimals))


def relu(input, *, out=None):
    """max(x, 0)."""
    return _into(out, _C.relu(input))


# --- predicates: bool results ---


def isnan(input, *, out=None):
    """Whether x is not a number."""
    return _into(out, _C.isnan(input))


def isinf(input, *, out=None):
    """Whether x is an infinity."""
    return _into(out, _C.isinf(input))


def isfinite(input, *, out=None):
    """Whether x is neither an infinity nor NaN."""
    return _into(out, _C.isfinite(input))


def logical_not(input, *, out=None):
    """Whether x is 0 (False)."""
    return _into(out, _C.logical_not(input))


def bitwise_not(input, *, out=None):
    """The complement of every bit; of bools, the negation."""
    return _into(out, _C.bitwise_not(input))


# --- two tensors, or a tensor and a number ---


def add(input, other, *, alpha=1, out=None):
    """input + alpha other.

    >>> import fastdl as fd
    >>> fd.add(fd.tensor([1, 2]), fd.tensor([10, 20]), alpha=2)
    tensor([21, 42])
    """
    return _into(out, _C.add(input, other, alpha))


def sub(input, other, *, alpha=1, out=None):
    """input - alpha other.

    Raises:
        DTypeError: bool tensors.
    """
    return _into(out, _C.sub(input, other, alpha))


def div(input, other, *, rounding_mode=None, out=None):
    """a / b; integers give floating point unless `rounding_mode` is 'floor' or 'trunc'.

    Raises:
        ValueError: another rounding mode, or integers rounded after a division by 0.
    """
    if rounding_mode is None:
        return _into(out, _C.div(input, other))
    if rounding_mode == "floor":
        return _into(out, _C.floor_divide(input, other))
    if rounding_mode != "trunc":
        raise _C.ValueError(f"div: rounding_mode {rounding_mode!r}, expected None, 'floor' or 'trunc'")
    return _into(out, _C.trunc(_C.div(input, other)).to(_C.floor_divide(input, other).dtype))


def pow(input, exponent, *, out=None):
    """input^exponent; one of them may be a number.

    Raises:
        ValueError: integers to a negative power.
    """
    return _into(out, _C.pow(input, exponent))


def mul(input, other, *, out=None):
    """a b."""
    return _into(out, _C.mul(input, other))


def floor_divide(input, other, *, out=None):
    """floor(a / b), as Python's //. Integers refuse a divisor of 0 (`ValueError`).

    >>> import fastdl as fd
    >>> fd.floor_divide(fd.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    return _into(out, _C.floor_divide(input, other))


def remainder(input, other, *, out=None):
    """a - b floor(a / b), as Python's %: it has the sign of b."""
    return _into(out, _C.remainder(input, other))


def fmod(input, other, *, out=None):
    """a - b trunc(a / b): it has the sign of a."""
    return _into(out, _C.fmod(input, other))


def atan2(input, other, *, out=None):
    """The angle of the point (b, a) in [-pi, pi]."""
    return _into(out, _C.atan2(input, other))


def maximum(input, other, *, out=None):
    """The larger one; NaN if either is."""
    return _into(out, _C.maximum(input, other))


def minimum(input, other, *, out=None):
    """The smaller one; NaN if either is."""
    return _into(out, _C.minimum(input, other))


def bitwise_and(input, other, *, out=None):
    """a & b of integers or bools."""
    return _into(out, _C.bitwise_and(input, other))


def bitwise_or(input, other, *, out=None):
    """a | b of integers or bools."""
    return _into(out, _C.bitwise_or(input, other))


def bitwise_xor(input, other, *, out=None):
    """a ^ b of integers or bools."""
    return _into(out, _C.bitwise_xor(input, other))


def logical_and(input, other, *, out=None):
    """Whether both are nonzero."""
    return _into(out, _C.logical_and(input, other))


def logical_or(input, other, *, out=None):
    """Whether one is nonzero."""
    return _into(out, _C.logical_or(input, other))


def logical_xor(input, other, *, out=None):
    """Whether exactly one is nonzero."""
    return _into(out, _C.logical_xor(input, other))


def eq(input, other, *, out=None):
    """a == b."""
    return _into(out, _C.eq(input, other))


def ne(input, other, *, out=None):
    """a != b."""
    return _into(out, _C.ne(input, other))


def lt(input, other, *, out=None):
    """a < b."""
    return _into(out, _C.lt(input, other))


def le(input, other, *, out=None):
    """a <= b."""
    return _into(out, _C.le(input, other))


def gt(input, other, *, out=None):
    """a > b."""
    return _into(out, _C.gt(input, other))


def ge(input, other, *, out=None):
    """a >= b."""
    return _into(out, _C.ge(input, other))


# --- bounds and choices ---


def clamp(input, min=None, max=None, *, out=None):
    """min(max(x, min), max); each bound a number, a tensor or None. NaN stays.

    Raises:
        ValueError: both bounds are None.

    >>> import fastdl as fd
    >>> fd.clamp(fd.tensor([-2.0, 0.5, 3.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    return _into(out, _C.clamp(input, min, max))


def where(condition, input, other):
    """`input` where the condition (bool) holds, else `other`.

    Raises:
        DTypeError: a condition that is not bool.

    >>> import fastdl as fd
    >>> fd.where(fd.tensor([True, False]), fd.tensor([1, 2]), 0)
    tensor([1, 0])
    """
    return _C.where(condition, input, other)


def masked_fill(input, mask, value):
    """`value` (a number or 0-d) where the mask (bool) holds, else the input."""
    return _C.masked_fill(input, mask, value)


def addcmul(input, tensor1, tensor2, *, value=1, out=None):
    """input + value tensor1 tensor2, in one pass."""
    return _into(out, _C.addcmul(input, tensor1, tensor2, value))


def addcdiv(input, tensor1, tensor2, *, value=1, out=None):
    """input + value tensor1 / tensor2, in one pass."""
    return _into(out, _C.addcdiv(input, tensor1, tensor2, value))


def lerp(input, end, weight, *, out=None):
    """input + weight (end - input), exact at weights of 0 and 1."""
    return _into(out, _C.lerp(input, end, weight))


def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether |a - b| <= atol + rtol |b|; equal infinities are close, and NaN to NaN if `equal_nan`."""
    near = _C.le(_C.abs(_C.sub(input, other)), _C.add(_C.mul(_C.abs(other), rtol), atol))
    close = _C.logical_or(_C.eq(input, other), _C.logical_and(near, _C.isfinite(other)))
    return _C.logical_or(close, _C.logical_and(_C.isnan(input), _C.isnan(other))) if equal_nan else close


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are close (see `isclose`)."""
    return isclose(input, other, rtol, atol, equal_nan).all().item()


# --- other names ---

absolute = abs
negative = neg
multiply = mul
divide = div
true_divide = div
subtract = sub
clip = clamp
fix = trunc
arcsin = asin
arccos = acos
arctan = atan
greater = gt
greater_equal = ge
less = lt
less_equal = le
not_equal = ne


# --- methods that are written here ---


def _where_method(self, condition, other):
    """This tensor where the condition (bool) holds, else `other`."""
    return _C.where(condition, self, other)


def _type_as(self, other):
    """The tensor as `other`'s dtype."""
    return self.to(other.dtype)


for _name in (
    "absolute", "allclose", "clip", "div", "divide", "greater", "greater_equal", "isclose", "less", "less_equal",
    "multiply", "negative", "not_equal", "round", "subtract", "true_divide",
):  # fmt: skip
    setattr(Tensor, _name, globals()[_name])
Tensor.where = _where_method
Tensor.type_as = _type_as
Tensor.__pos__ = lambda self: self
