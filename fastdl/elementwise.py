"""Elementwise functions: one value from the values at the same place of one, two or three tensors.

Operands broadcast against each other and are promoted to a common dtype as in PyTorch: tensors with dimensions decide
before 0-d tensors, and those before Python numbers; the later ones count only when their kind (bool < integer <
floating point) is higher. Functions with fractional values turn integers into the default floating-point dtype.

`out`, where given, receives the result and is returned; it has the result's shape and requires no gradient.
"""

from . import _C
from ._C import Tensor
from .dtypes import finfo
from .results import result

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "addcdiv",
    "addcmul",
    "allclose",
    "angle",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "conj",
    "conj_physical",
    "copysign",
    "cos",
    "cosh",
    "deg2rad",
    "div",
    "divide",
    "eq",
    "equal",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "float_power",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "frac",
    "frexp",
    "gcd",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "heaviside",
    "hypot",
    "is_conj",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "lcm",
    "ldexp",
    "le",
    "lerp",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
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
    "nan_to_num",
    "ne",
    "neg",
    "negative",
    "nextafter",
    "not_equal",
    "positive",
    "pow",
    "rad2deg",
    "reciprocal",
    "relu",
    "remainder",
    "resolve_conj",
    "resolve_neg",
    "round",
    "rsqrt",
    "rsub",
    "sgn",
    "sigmoid",
    "sign",
    "signbit",
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


MantissaExponent = result("mantissa", "exponent")
_PI = 3.141592653589793


def _into(out, result):
    if out is None:
        return result
    if out.shape != result.shape:
        raise _C.ShapeError(f"out: shape {list(out.shape)} for a result of shape {list(result.shape)}")
    if result.requires_grad or out.requires_grad:
        raise _C.Error("out: functions with out= do not record gradients; use no_grad()")
    return out.copy_(result)


def _composed(function, *operands):
    """`function` of tensors or numbers, composed of several ops: of 16-bit floats in float32, rounded once at the end."""
    types = [x.dtype for x in operands if isinstance(x, Tensor)]
    narrow = [t for t in types if t.is_floating_point and t.itemsize == 2]
    if not narrow:
        return function(*operands)
    out = function(*(x.to(_C.float32) if isinstance(x, Tensor) and x.dtype in narrow else x for x in operands))
    for t in types:
        narrow[0] = _C.promote_types(narrow[0], t)
    return out.to(narrow[0])


# --- arithmetic ---


def neg(input, *, out=None):
    """-x."""
    return _into(out, _C.neg(input))


def positive(input):
    """x itself."""
    return input


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


def asinh(input, *, out=None):
    """The number with hyperbolic sine x."""
    return _into(out, _C.asinh(input))


def acosh(input, *, out=None):
    """The number >= 0 with hyperbolic cosine x; NaN below 1."""
    return _into(out, _C.acosh(input))


def atanh(input, *, out=None):
    """The number with hyperbolic tangent x; NaN outside [-1, 1]."""
    return _into(out, _C.atanh(input))


def deg2rad(input, *, out=None):
    """Degrees as radians."""
    return _into(out, _C.mul(input, _PI / 180))


def rad2deg(input, *, out=None):
    """Radians as degrees."""
    return _into(out, _C.mul(input, 180 / _PI))


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


def frac(input, *, out=None):
    """x - trunc(x): the fraction, with the sign of x."""
    return _into(out, _C.sub(input, _C.trunc(input)))


def angle(input, *, out=None):
    """0 of numbers that are not negative, pi of negative ones, NaN of NaN; of complex ones atan2(imag, real)."""
    if input.dtype.is_complex:
        return _into(out, input.angle())
    x = input if input.dtype.is_floating_point else input.to(_C.default_dtype())
    return _into(out, _C.where(_C.isnan(x), x, _C.where(_C.lt(x, 0), _PI, 0.0).to(x.dtype)))


def conj(input):
    """The complex conjugate; a real tensor itself."""
    return input.conj() if input.dtype.is_complex else input


def sgn(input, *, out=None):
    """-1, 0 or 1 by the sign; of complex numbers z / |z|, and 0 of 0."""
    return _into(out, input.sgn() if input.dtype.is_complex else _C.sign(input))


def frexp(input):
    """x = mantissa * 2^exponent, 0.5 <= |mantissa| < 1; the exponents are int32, 0 where x is 0 or not finite.

    >>> import fastdl as fd
    >>> fd.frexp(fd.tensor([8.0, 0.75]))
    (mantissa=tensor([0.5 , 0.75]), exponent=tensor([4, 0], dtype=fastdl.int32))
    """
    if not input.dtype.is_floating_point:
        raise _C.DTypeError(f"frexp: expected a floating-point tensor, got {input.dtype}")
    x = input.detach().to(_C.float64)
    usable = _C.logical_and(_C.isfinite(x), _C.ne(x, 0))
    x = _C.where(usable, x, 1.0)
    exponent = _C.add(_C.floor(_C.log2(_C.abs(x))), 1)
    for _ in range(2):  # the logarithm may be rounded across a power of two, in either direction
        size = _C.abs(_ldexp(x, _C.neg(exponent)))
        exponent = _C.sub(_C.add(exponent, _C.ge(size, 1.0)), _C.lt(size, 0.5))
    exponent = _C.where(usable, exponent, 0.0)
    mantissa = _ldexp(input if input.dtype is _C.float64 else input.to(_C.float64), _C.neg(exponent)).to(input.dtype)
    return MantissaExponent((mantissa, exponent.to(_C.int32)))


def _ldexp(x, exponent):
    # In two steps, because 2^exponent may be out of range where the product is not.
    half = _C.trunc(_C.mul(exponent, 0.5))
    return _C.mul(_C.mul(x, _C.exp2(half)), _C.exp2(_C.sub(exponent, half)))


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


def isposinf(input, *, out=None):
    """Whether x is the positive infinity."""
    return _into(out, _C.eq(input, float("inf")))


def isneginf(input, *, out=None):
    """Whether x is the negative infinity."""
    return _into(out, _C.eq(input, float("-inf")))


def isreal(input):
    """Whether x is a real number: of complex ones, whether the imaginary part is 0."""
    if input.dtype.is_complex:
        return _C.eq(input.imag, 0)
    return _C.empty_like(input, _C.bool).fill_(True)


def signbit(input, *, out=None):
    """Whether x is negative, or a zero or NaN with a minus sign."""
    return _into(out, _C.signbit(input))


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


def fmax(input, other, *, out=None):
    """The larger one; of a number and a NaN the number."""
    return _into(out, _C.where(_C.logical_or(_C.ge(input, other), _C.isnan(other)), input, other))


def fmin(input, other, *, out=None):
    """The smaller one; of a number and a NaN the number."""
    return _into(out, _C.where(_C.logical_or(_C.le(input, other), _C.isnan(other)), input, other))


def hypot(input, other, *, out=None):
    """sqrt(a^2 + b^2), without overflow of the squares."""
    return _into(out, _C.hypot(input, other))


def copysign(input, other, *, out=None):
    """|a| with the sign of b (of zeros too)."""
    return _into(out, _C.copysign(input, other))


def nextafter(input, other, *, out=None):
    """The next floating-point number from a towards b."""
    return _into(out, _C.nextafter(input, other))


def heaviside(input, values, *, out=None):
    """0 below 0, 1 above, and `values` at 0.

    Raises:
        DTypeError: `values` of another dtype.
    """
    if input.dtype is not values.dtype:
        raise _C.DTypeError(f"heaviside: values are {values.dtype}, input {input.dtype}")
    return _into(out, _C.where(_C.eq(input, 0), values, _C.gt(input, 0).to(input.dtype)))


def logaddexp(input, other, *, out=None):
    """log(e^a + e^b), without overflow.

    >>> import fastdl as fd
    >>> fd.logaddexp(fd.tensor([1000.0]), fd.tensor([1000.0]))
    tensor([1000.6932])
    """
    return _into(out, _composed(lambda a, b: _log_of_sum(a, b, _C.exp, 1.0), input, other))


def logaddexp2(input, other, *, out=None):
    """log2(2^a + 2^b), without overflow."""
    return _into(out, _composed(lambda a, b: _log_of_sum(a, b, _C.exp2, 1.4426950408889634), input, other))


def _log_of_sum(a, b, power, factor):
    largest = _C.maximum(a, b)
    same = _C.logical_and(_C.isinf(largest), _C.eq(a, b))  # equal infinities have no difference
    less = _C.neg(_C.abs(_C.sub(_C.where(same, 0.0, a), _C.where(same, 0.0, b))))
    tail = _C.log1p(power(less))
    return _C.where(same, largest, _C.add(largest, tail if factor == 1.0 else _C.mul(tail, factor)))


def ldexp(input, other, *, out=None):
    """a 2^b."""
    return _into(out, _C.mul(input, _C.pow(2.0, other)))


def float_power(input, exponent, *, out=None):
    """input^exponent in float64; one of them may be a number."""
    double = lambda x: x.to(_C.float64) if isinstance(x, Tensor) else x
    return _into(out, _C.pow(double(input), double(exponent)).to(_C.float64))


def rsub(input, other, *, alpha=1):
    """other - alpha input."""
    return _composed(lambda a, b: _C.add(_C.mul(a, -alpha), b), input, other)


def gcd(input, other, *, out=None):
    """The greatest common divisor of integers, at least 0."""
    return _into(out, _C.gcd(input, other))


def lcm(input, other, *, out=None):
    """The least common multiple of integers, at least 0; 0 where one is 0."""
    divisor = _C.gcd(input, other)
    return _into(out, _C.abs(_C.mul(_C.floor_divide(input, _C.where(_C.eq(divisor, 0), 1, divisor)), other)))


def bitwise_left_shift(input, other, *, out=None):
    """a << b of integers."""
    return _into(out, _C.bitwise_left_shift(input, other))


def bitwise_right_shift(input, other, *, out=None):
    """a >> b of integers; the sign is kept."""
    return _into(out, _C.bitwise_right_shift(input, other))


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


def clamp_min(input, min, *, out=None):
    """max(x, min)."""
    return _into(out, _C.clamp(input, min, None))


def clamp_max(input, max, *, out=None):
    """min(x, max)."""
    return _into(out, _C.clamp(input, None, max))


def nan_to_num(input, nan=0.0, posinf=None, neginf=None, *, out=None):
    """`nan` for NaN, and the largest numbers of the dtype, or `posinf` and `neginf`, for infinities.

    >>> import fastdl as fd
    >>> fd.nan_to_num(fd.tensor([1.0, float("nan"), float("inf")]), posinf=9.0)
    tensor([1., 0., 9.])
    """
    if input.dtype.is_complex:
        return _into(out, _C.as_complex(nan_to_num(_C.as_real(input), nan, posinf, neginf)))
    if not input.dtype.is_floating_point:
        return _into(out, input.clone())
    largest = finfo(input.dtype).max
    x = _C.where(_C.isnan(input), 0.0 if nan is None else float(nan), input)
    x = _C.where(isposinf(input), largest if posinf is None else float(posinf), x)
    return _into(out, _C.where(isneginf(input), -largest if neginf is None else float(neginf), x))


def where(condition, input=None, other=None):
    """`input` where the condition (bool) holds, else `other`; the places where it holds if neither is given.

    Raises:
        DTypeError: a condition that is not bool.

    >>> import fastdl as fd
    >>> fd.where(fd.tensor([True, False]), fd.tensor([1, 2]), 0)
    tensor([1, 0])
    """
    if input is None and other is None:
        return _C.unbind(_C.nonzero(condition), 1)
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
    if not any(t.is_floating_point or t.is_complex for t in (input.dtype, other.dtype)):
        input, other = input.to(_C.int64), other.to(_C.int64)
    near = _C.le(_C.abs(_C.sub(input, other)), _C.add(_C.mul(_C.abs(other), rtol), atol))
    close = _C.logical_or(_C.eq(input, other), _C.logical_and(near, _C.isfinite(other)))
    return _C.logical_or(close, _C.logical_and(_C.isnan(input), _C.isnan(other))) if equal_nan else close


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are close (see `isclose`)."""
    return isclose(input, other, rtol, atol, equal_nan).all().item()


def equal(input, other):
    """Whether both have the same shape and equal elements; a bool.

    >>> import fastdl as fd
    >>> fd.equal(fd.tensor([1, 2]), fd.tensor([1, 2]))
    True
    """
    return input.shape == other.shape and bool(_C.eq(input, other).all())


# --- other names ---

conj_physical = conj


def resolve_neg(input):
    """The tensor itself: none is a view with other signs."""
    return input


def resolve_conj(input):
    """The tensor itself: none is a view with other signs."""
    return input


def is_conj(input):
    """False: no tensor is a view with other signs."""
    return False


Tensor.resolve_neg = resolve_neg
Tensor.resolve_conj = resolve_conj
Tensor.is_conj = is_conj
arcsinh = asinh
arccosh = acosh
arctanh = atanh
arctan2 = atan2

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
    "multiply", "negative", "not_equal", "round", "subtract", "true_divide", "arccos", "arccosh", "arcsin", "arcsinh",
    "angle", "arctan", "arctan2", "conj", "conj_physical", "arctanh", "clamp_max", "clamp_min", "deg2rad", "equal", "fix", "float_power", "fmax", "fmin",
    "frac", "frexp", "heaviside", "isneginf", "isposinf", "isreal", "lcm", "ldexp", "logaddexp", "logaddexp2",
    "nan_to_num", "positive", "rad2deg", "sgn",
):  # fmt: skip
    setattr(Tensor, _name, globals()[_name])
Tensor.where = _where_method
Tensor.__pos__ = positive
Tensor.type_as = _type_as
