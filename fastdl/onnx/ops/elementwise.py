"""Operators on each element: arithmetic, comparisons, activations, casts."""

import fastdl as fd
from fastdl.nn import functional as F
from fastdl.onnx.values import TYPES, dtype_of, number
from fastdl.serialize import to_entry, to_tensor

_INTEGER_BITS = {fd.uint8: 8, fd.int8: 8, fd.int32: 32, fd.int64: 64}


def div(a, b):
    return a / b if a.dtype.is_floating_point else fd.div(a, b, rounding_mode="trunc")


def mod(a, b, *, fmod=0):
    return fd.fmod(a, b) if fmod else fd.remainder(a, b)


def pow_(base, exponent):
    """The result has the base's type, whatever the exponent's."""
    if exponent.dtype.is_floating_point and not base.dtype.is_floating_point:
        return fd.pow(base.double(), exponent.double()).to(base.dtype)
    return fd.pow(base, exponent.to(base.dtype))


def bit_shift(x, by, *, direction):
    """x * 2^by, or x // 2^by; an amount below 0 or beyond the width shifts everything out."""
    bits = _INTEGER_BITS[x.dtype]
    by = by.long()
    out = (by < 0) | (by >= bits)
    factor = fd.pow(2, by.masked_fill(out, 0))
    if direction == "LEFT":
        return (x.long() * factor).masked_fill(out, 0).to(x.dtype)
    factor = factor.abs()  # 2^63 wraps to its own negative, and no x is larger
    return fd.where(out, -(x < 0).long(), fd.floor_divide(x.long(), factor)).to(x.dtype)


def variadic(function):
    def reduce(*inputs):
        out = inputs[0]
        for x in inputs[1:]:
            out = function(out, x)
        return out

    return reduce


def mean(*inputs):
    return variadic(fd.add)(*inputs) / len(inputs)


def clip(x, low=None, high=None):
    """min(max(x, low), high): where low is above high, high."""
    if low is not None:
        x = fd.maximum(x, low)
    return x if high is None else fd.minimum(x, high)


def is_inf(x, *, detect_negative=1, detect_positive=1):
    found = fd.isinf(x)
    if not detect_negative:
        found = found & (x > 0)
    return found if detect_positive else found & (x < 0)


def round_even(x):
    return fd.round(x)


# --- functions that are not fastdl's own, from those that are ---


def acosh(x):
    return fd.log(x + fd.sqrt(x * x - 1))


def asinh(x):
    """sign(x) log(|x| + sqrt(x^2 + 1)), by log1p: exact near 0."""
    a = fd.abs(x)
    return fd.sign(x) * fd.log1p(a + a * a / (1 + fd.sqrt(a * a + 1)))


def atanh(x):
    return (fd.log1p(x) - fd.log1p(-x)) / 2


# --- activations ---


def celu(x, *, alpha=1.0):
    return F.celu(x, alpha)


def elu(x, *, alpha=1.0):
    return F.elu(x, alpha)


def gelu(x, *, approximate="none"):
    return F.gelu(x, approximate)


def hard_sigmoid(x, *, alpha=0.2, beta=0.5):
    return (alpha * x + beta).clamp(0, 1)


def leaky_relu(x, *, alpha=0.01):
    return F.leaky_relu(x, alpha)


def prelu(x, slope):
    """A slope that broadcasts; also, as before opset 7, one a channel."""
    if slope.ndim == 1 and x.ndim > 2 and slope.shape[0] not in (1, x.shape[-1]):
        slope = slope.reshape(-1, *(1,) * (x.ndim - 2))
    return fd.where(x > 0, x, slope * x)


def selu(x, *, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875):
    return gamma * fd.where(x > 0, x, alpha * fd.expm1(fd.minimum(x, fd.zeros_like(x))))


def shrink(x, *, bias=0.0, lambd=0.5):
    zero = fd.zeros_like(x)
    return fd.where(x < -lambd, x + bias, fd.where(x > lambd, x - bias, zero)).to(x.dtype)


def softplus(x):
    """log(1 + exp(x)) without overflow."""
    return F.softplus(x)


def swish(x, *, alpha=1.0):
    return F.silu(x) if alpha == 1 else x * fd.sigmoid(alpha * x)


def swiglu(a, b, *, alpha=1.0):
    return swish(a, alpha=alpha) * b


def thresholded_relu(x, *, alpha=1.0):
    return fd.where(x > alpha, x, fd.zeros_like(x))


# --- types ---


def cast(x, *, to, saturate=1, round_mode="up"):
    """Floats to integers are cut off. ``saturate`` and ``round_mode`` are for 8-bit floats alone."""
    return x.to(dtype_of(to, "the result of Cast"))


def cast_like(x, like, *, saturate=1, round_mode="up"):
    return x.to(like.dtype)


def bit_cast(x, *, to):
    """The same bytes as another type of the same size."""
    dtype = dtype_of(to, "the result of BitCast")
    if x.itemsize != fd.empty(0, dtype=dtype).itemsize:
        raise fd.DTypeError(f"BitCast: {x.dtype} and {dtype} have elements of different sizes")
    _, _, shape, data = to_entry("the input of BitCast", x)
    return to_tensor("the result of BitCast", TYPES[to][2], shape, bytearray(data.tobytes()), "memory")


def dropout(x, ratio=None, training_mode=None, *, seed=None, n_outputs=1):
    """What passes is scaled by 1 / (1 - ratio); the second result says what passed."""
    p = number(ratio, 0.5)
    if not number(training_mode, False) or p == 0:
        return x, fd.ones(*x.shape, dtype=fd.bool, device=x.device)
    generator = None if seed is None else fd.Generator().manual_seed(int(seed))
    passed = fd.bernoulli(fd.full(tuple(x.shape), 1 - p), generator=generator).bool()
    return fd.where(passed, x / (1 - p), fd.zeros_like(x)), passed


OPERATORS = {
    "Abs": fd.abs,
    "Acos": fd.acos,
    "Acosh": acosh,
    "Add": fd.add,
    "And": fd.logical_and,
    "Asin": fd.asin,
    "Asinh": asinh,
    "Atan": fd.atan,
    "Atanh": atanh,
    "BitCast": bit_cast,
    "BitShift": bit_shift,
    "BitwiseAnd": fd.bitwise_and,
    "BitwiseNot": fd.bitwise_not,
    "BitwiseOr": fd.bitwise_or,
    "BitwiseXor": fd.bitwise_xor,
    "Cast": cast,
    "CastLike": cast_like,
    "Ceil": fd.ceil,
    "Celu": celu,
    "Clip": clip,
    "Cos": fd.cos,
    "Cosh": fd.cosh,
    "Div": div,
    "Dropout": dropout,
    "Elu": elu,
    "Equal": fd.eq,
    "Erf": fd.erf,
    "Exp": fd.exp,
    "Floor": fd.floor,
    "Gelu": gelu,
    "Greater": fd.gt,
    "GreaterOrEqual": fd.ge,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": F.hardswish,
    "Identity": lambda x: x,
    "IsInf": is_inf,
    "IsNaN": fd.isnan,
    "LeakyRelu": leaky_relu,
    "Less": fd.lt,
    "LessOrEqual": fd.le,
    "Log": fd.log,
    "Max": variadic(fd.maximum),
    "Mean": mean,
    "Min": variadic(fd.minimum),
    "Mish": F.mish,
    "Mod": mod,
    "Mul": fd.mul,
    "Neg": fd.neg,
    "Not": fd.logical_not,
    "Or": fd.logical_or,
    "PRelu": prelu,
    "Pow": pow_,
    "Reciprocal": fd.reciprocal,
    "Relu": fd.relu,
    "Round": round_even,
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": fd.sigmoid,
    "Sign": fd.sign,
    "Sin": fd.sin,
    "Sinh": fd.sinh,
    "Softplus": softplus,
    "Softsign": F.softsign,
    "Sqrt": fd.sqrt,
    "Sub": fd.sub,
    "Sum": variadic(fd.add),
    "SwiGLU": swiglu,
    "Swish": swish,
    "Tan": fd.tan,
    "Tanh": fd.tanh,
    "ThresholdedRelu": thresholded_relu,
    "Where": fd.where,
    "Xor": fd.logical_xor,
}
