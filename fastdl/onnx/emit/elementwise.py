"""Ops on each element."""

import math

import fastdl as fd


def unary(operator, **attributes):
    def emit(g, out, x):
        return g.node(operator, [g.name(x, out.dtype)], **attributes)

    return emit


def predicate(operator):
    """Keeps the input's type; the result is bool."""
    return lambda g, out, x: g.node(operator, [g.name(x)])


def binary(operator):
    """Both operands in the result's type."""

    def emit(g, out, a, b):
        return g.node(operator, [g.name(a, out.dtype), g.name(b, out.dtype)])

    return emit


def _common(a, b):
    """The type in which two operands are compared."""
    if not isinstance(b, fd.Tensor):
        return a.dtype if a.dtype.is_floating_point or not isinstance(b, float) else fd.float32
    if not isinstance(a, fd.Tensor):
        return _common(b, a)
    return (fd.zeros(1, dtype=a.dtype) * fd.zeros(1, dtype=b.dtype)).dtype


def comparison(operator, negate=False):
    def emit(g, out, a, b):
        dtype = _common(a, b)
        if dtype == fd.bool and operator != "Equal":
            dtype = fd.uint8
        y = g.node(operator, [g.name(a, dtype), g.name(b, dtype)])
        return g.node("Not", [y]) if negate else y

    return emit


def logical(operator):
    return lambda g, out, a, b: g.node(operator, [g.name(a, fd.bool), g.name(b, fd.bool)])


def bitwise(operator):
    """On bools these are the logical operators, which have other names."""

    def emit(g, out, a, b):
        name = operator if out.dtype == fd.bool else f"Bitwise{operator}"
        return g.node(name, [g.name(a, out.dtype), g.name(b, out.dtype)])

    return emit


def scaled(operator):
    """a + alpha b, or a - alpha b."""

    def emit(g, out, a, b, alpha=1):
        y = g.name(b, out.dtype)
        if alpha != 1:
            y = g.node("Mul", [y, g.constant(alpha, out.dtype)])
        return g.node(operator, [g.name(a, out.dtype), y])

    return emit


def times(factor, operator):
    """f(x) factor: logarithms to other bases."""
    return lambda g, out, x: g.node("Mul", [g.node(operator, [g.name(x, out.dtype)]), g.constant(factor, out.dtype)])


def _square(g, out, x):
    y = g.name(x)
    return g.node("Mul", [y, y])


def _rsqrt(g, out, x):
    return g.node("Reciprocal", [g.node("Sqrt", [g.name(x, out.dtype)])])


def _exp2(g, out, x):
    return g.node("Pow", [g.constant(2, out.dtype), g.name(x, out.dtype)])


def _expm1(g, out, x):
    return g.node("Sub", [g.node("Exp", [g.name(x, out.dtype)]), g.constant(1, out.dtype)])


def _log1p(g, out, x):
    return g.node("Log", [g.node("Add", [g.name(x, out.dtype), g.constant(1, out.dtype)])])


def _trunc(g, out, x):
    y = g.name(x)
    return g.node("Mul", [g.node("Sign", [y]), g.node("Floor", [g.node("Abs", [y])])])


def _isfinite(g, out, x):
    y = g.name(x, x.dtype if x.dtype.is_floating_point else fd.float32)
    return g.node("Not", [g.node("Or", [g.node("IsNaN", [y]), g.node("IsInf", [y])])])


def _bitwise_not(g, out, x):
    return g.node("Not" if x.dtype == fd.bool else "BitwiseNot", [g.name(x)])


def _floor_divide(g, out, a, b):
    x, y = g.name(a, out.dtype), g.name(b, out.dtype)
    if out.dtype.is_floating_point:
        return g.node("Floor", [g.node("Div", [x, y])])
    return g.node("Div", [g.node("Sub", [x, g.node("Mod", [x, y])]), y])  # Div alone rounds towards 0


def _remainder(g, out, a, b):
    x, y = g.name(a, out.dtype), g.name(b, out.dtype)
    if not out.dtype.is_floating_point:
        return g.node("Mod", [x, y])
    return g.node("Sub", [x, g.node("Mul", [g.node("Floor", [g.node("Div", [x, y])]), y])])


def _erfc(g, out, x):
    return g.node("Sub", [g.constant(1, out.dtype), g.node("Erf", [g.name(x, out.dtype)])])


def _hypot(g, out, a, b):
    squares = [g.node("Mul", [v, v]) for v in (g.name(a, out.dtype), g.name(b, out.dtype))]
    return g.node("Sqrt", [g.node("Add", squares)])


def _shift(left):
    """By a power of two: ONNX shifts unsigned numbers only."""

    def emit(g, out, x, by):
        power = g.node("Pow", [g.constant(2, out.dtype), g.name(by, out.dtype)])
        value = g.name(x, out.dtype)
        if left:
            return g.node("Mul", [value, power])
        return g.node("Div", [g.node("Sub", [value, g.node("Mod", [value, power])]), power])

    return emit


def _fmod(g, out, a, b):
    return g.node("Mod", [g.name(a, out.dtype), g.name(b, out.dtype)], fmod=1)


def _where(g, out, condition, a, b):
    return g.node("Where", [g.name(condition, fd.bool), g.name(a, out.dtype), g.name(b, out.dtype)])


def _masked_fill(g, out, x, mask, value):
    return _where(g, out, mask, value, x)


def _clamp(g, out, x, low=None, high=None):
    y = g.name(x, out.dtype)
    if isinstance(low, fd.Tensor) or isinstance(high, fd.Tensor):
        y = y if low is None else g.node("Max", [y, g.name(low, out.dtype)])
        return y if high is None else g.node("Min", [y, g.name(high, out.dtype)])
    return g.node("Clip", [y, *("" if v is None else g.constant(v, out.dtype) for v in (low, high))])


def _hardtanh(g, out, x, low=-1.0, high=1.0):
    return _clamp(g, out, x, low, high)


def _lerp(g, out, start, end, weight):
    a, b = g.name(start, out.dtype), g.name(end, out.dtype)
    return g.node("Add", [a, g.node("Mul", [g.name(weight, out.dtype), g.node("Sub", [b, a])])])


def _addc(operator):
    """x + value * (a * b), or x + value * (a / b)."""

    def emit(g, out, x, a, b, value=1.0):
        y = g.node(operator, [g.name(a, out.dtype), g.name(b, out.dtype)])
        if value != 1:
            y = g.node("Mul", [y, g.constant(value, out.dtype)])
        return g.node("Add", [g.name(x, out.dtype), y])

    return emit


def _to_dtype(g, out, x, dtype):
    return g.name(x, out.dtype)


# --- activations ---


def _silu(g, out, x):
    y = g.name(x)
    return g.node("Mul", [y, g.node("Sigmoid", [y])])


def _log_sigmoid(g, out, x):
    return g.node("Neg", [g.node("Softplus", [g.node("Neg", [g.name(x)])])])


def _softplus(g, out, x, beta=1.0, threshold=20.0):
    y = g.name(x)
    scaled = y if beta == 1 else g.node("Mul", [y, g.constant(beta, out.dtype)])
    soft = g.node("Softplus", [scaled])
    soft = soft if beta == 1 else g.node("Div", [soft, g.constant(beta, out.dtype)])
    return g.node("Where", [g.node("Greater", [scaled, g.constant(threshold, out.dtype)]), y, soft])


def _with(operator, name):
    """An operator with one attribute."""
    return lambda g, out, x, value=1.0: g.node(operator, [g.name(x)], **{name: float(value)})


def _gelu(g, out, x, approximate="none"):
    return g.node("Gelu", [g.name(x)], approximate=approximate)


EMITTERS = {
    "abs": unary("Abs"),
    "acos": unary("Acos"),
    "acosh": unary("Acosh"),
    "add": scaled("Add"),
    "addcdiv": _addc("Div"),
    "addcmul": _addc("Mul"),
    "asin": unary("Asin"),
    "asinh": unary("Asinh"),
    "atan": unary("Atan"),
    "atanh": unary("Atanh"),
    "bitwise_and": bitwise("And"),
    "bitwise_left_shift": _shift(True),
    "bitwise_not": _bitwise_not,
    "bitwise_or": bitwise("Or"),
    "bitwise_right_shift": _shift(False),
    "bitwise_xor": bitwise("Xor"),
    "ceil": unary("Ceil"),
    "celu": _with("Celu", "alpha"),
    "clamp": _clamp,
    "cos": unary("Cos"),
    "cosh": unary("Cosh"),
    "div": binary("Div"),
    "elu": _with("Elu", "alpha"),
    "eq": comparison("Equal"),
    "erf": unary("Erf"),
    "erfc": _erfc,
    "exp": unary("Exp"),
    "exp2": _exp2,
    "expm1": _expm1,
    "floor": unary("Floor"),
    "floor_divide": _floor_divide,
    "fmod": _fmod,
    "ge": comparison("GreaterOrEqual"),
    "gelu": _gelu,
    "gt": comparison("Greater"),
    "hardsigmoid": unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hardswish": unary("HardSwish"),
    "hardtanh": _hardtanh,
    "hypot": _hypot,
    "isfinite": _isfinite,
    "isinf": predicate("IsInf"),
    "isnan": predicate("IsNaN"),
    "le": comparison("LessOrEqual"),
    "leaky_relu": _with("LeakyRelu", "alpha"),
    "lerp": _lerp,
    "log": unary("Log"),
    "log10": times(1 / math.log(10), "Log"),
    "log1p": _log1p,
    "log2": times(1 / math.log(2), "Log"),
    "log_sigmoid": _log_sigmoid,
    "logical_and": logical("And"),
    "logical_not": lambda g, out, x: g.node("Not", [g.name(x, fd.bool)]),
    "logical_or": logical("Or"),
    "logical_xor": logical("Xor"),
    "lt": comparison("Less"),
    "masked_fill": _masked_fill,
    "maximum": binary("Max"),
    "minimum": binary("Min"),
    "mish": unary("Mish"),
    "mul": binary("Mul"),
    "ne": comparison("Equal", negate=True),
    "neg": unary("Neg"),
    "pow": binary("Pow"),
    "reciprocal": unary("Reciprocal"),
    "relu": unary("Relu"),
    "remainder": _remainder,
    "round": unary("Round"),
    "rsqrt": _rsqrt,
    "selu": unary("Selu"),
    "sigmoid": unary("Sigmoid"),
    "sign": unary("Sign"),
    "silu": _silu,
    "sin": unary("Sin"),
    "sinh": unary("Sinh"),
    "softplus": _softplus,
    "softsign": unary("Softsign"),
    "sqrt": unary("Sqrt"),
    "square": _square,
    "sub": scaled("Sub"),
    "tan": unary("Tan"),
    "tanh": unary("Tanh"),
    "to_dtype": _to_dtype,
    "trunc": _trunc,
    "where": _where,
}
