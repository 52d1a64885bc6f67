"""Rows of the pointwise ops: arithmetic, elementary functions, activations, comparisons, in-place forms."""

import math

import numpy as np
from opdb_row import ALL, FLOATS, INTS, PAIRS, REAL, Bench, S, binary_samples, op, stream, unary_samples


def pointwise(name, reference, samples, **options):
    op(name, reference, samples, pointwise=True, **options)


def unary(name, reference, low=-3.0, high=3.0, grad=2, **options):
    pointwise(name, reference, unary_samples(low, high), grad=grad, **options)


def with_options(reference, low=-3.0, high=3.0, **kwargs):
    """Samples without and with the options."""
    plain, optional = unary_samples(low, high), unary_samples(low, high, shapes=((7,), (3, 65)), **kwargs)
    return reference, lambda r: plain(r) + optional(r)


def erf(x):
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def softplus(x, beta=1.0, threshold=20.0):
    return np.where(x * beta > threshold, x, (np.maximum(x * beta, 0) + np.log1p(np.exp(-np.abs(x * beta)))) / beta)


def gelu(x, approximate="none"):
    if approximate == "none":
        return np.where(x == -np.inf, 0, x * 0.5 * (1 + erf(x * math.sqrt(0.5)))).astype(x.dtype)
    return x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


GELU_BENCH = (
    Bench("1e7 fwd", lambda r: S(r(10_000_000)), nbytes=8e7, numpy=False),
    Bench("1e7 fwdbwd", lambda r: S(r(10_000_000)), nbytes=20e7, backward=True),
)


def clamp(x, min=None, max=None):
    out = x if min is None else np.maximum(x, min)
    return out if max is None else np.minimum(out, max)


# --- arithmetic ---

pointwise(
    "add",
    lambda a, b, alpha=1: a + (b if alpha == 1 else alpha * b),
    lambda r: [*binary_samples()(r), S(r(3, 7), r(7), alpha=2), S(r(65), 2.0)],
    dtypes=REAL,
    grad=2,
    bench=[stream(10_000_000, 2), stream(100_000, 2)],
)
pointwise(
    "sub",
    lambda a, b, alpha=1: a - (b if alpha == 1 else alpha * b),
    lambda r: [*binary_samples()(r), S(r(3, 7), r(7), alpha=2)],
    dtypes=REAL,
    grad=2,
)
pointwise(
    "mul",
    lambda a, b: a * b,
    lambda r: [*binary_samples()(r), S(r(65), 2.0)],
    dtypes=REAL,
    grad=2,
    bench=[stream(10_000_000, 2)],
)
pointwise("div", lambda a, b: a / b, binary_samples(0.5, 3), grad=2, bench=[stream(10_000_000, 2, 0.5, 3)])
pointwise(
    "floor_divide",
    lambda a, b: np.floor_divide(a, b),
    binary_samples(-9, 9, 1, 4),
    dtypes=("float32", "float64", *INTS),
)
pointwise(
    "remainder",
    lambda a, b: np.remainder(a, b),
    binary_samples(-9, 9, 1, 4),
    dtypes=("float32", "float64", *INTS),
    grad=1,
)
pointwise("fmod", lambda a, b: np.fmod(a, b), binary_samples(-9, 9, 1, 4), dtypes=("float32", "float64", *INTS), grad=1)
pointwise(
    "pow",
    lambda a, b: a**b,
    lambda r: [
        *binary_samples(0.5, 3, -2, 2)(r),
        S(r(7, 65), 2.0),
        S(r(65), 3.0),
        S(r(65, low=0.5), 0.5),
        S(r(65, low=0.5), -1.5),
    ],
    grad=2,
)
pointwise("maximum", lambda a, b: np.maximum(a, b), binary_samples(), dtypes=ALL, grad=2)
pointwise("minimum", lambda a, b: np.minimum(a, b), binary_samples(), dtypes=ALL, grad=2)
pointwise("atan2", lambda a, b: np.arctan2(a, b), binary_samples(), grad=2)
pointwise(
    "addcmul",
    lambda a, b, c, value=1: a + value * b * c,
    lambda r: [S(r(*s), r(*s), r(s[-1] if s else 1), value=v) for s in ((7,), (5, 65)) for v in (1, 0.5)],
    grad=2,
)
pointwise(
    "addcdiv",
    lambda a, b, c, value=1: a + value * b / c,
    lambda r: [S(r(*s), r(*s), r(*s, low=0.5), value=v) for s in ((7,), (5, 65)) for v in (1, 0.5)],
    grad=2,
)
pointwise(
    "lerp",
    lambda a, b, w: np.where(np.abs(w) < 0.5, a + w * (b - a), b - (b - a) * (1 - w)),
    lambda r: [S(r(*s), r(*s), w) for s in ((), (7,), (5, 65)) for w in (0.25, r(*s, low=0, high=1))],
    grad=2,
)
pointwise(
    "where",
    lambda c, a, b: np.where(c, a, b),
    lambda r: [S(r.bools(*s), r(*s), r(*s)) for s in ((), (7,), (0,), (3, 129))] + [S(r.bools(3, 1), r(5), r(3, 5))],
    dtypes=ALL,
    grad=2,
)
pointwise(
    "clamp",
    clamp,
    lambda r: [S(r(*s), -1.0, 1.5) for s in ((), (7,), (0,), (3, 129))] + [S(r(65), min=0.5), S(r(65), max=0.5)],
    dtypes=FLOATS,
    grad=2,
)

# --- elementary functions ---

unary("neg", lambda x: -x, dtypes=REAL)
unary("abs", np.abs, dtypes=REAL)
unary("sign", lambda x: np.where(np.isnan(x), 0, np.sign(x)).astype(x.dtype), dtypes=REAL, grad=1)
unary("square", np.square, dtypes=REAL)
unary("exp", np.exp, bench=[stream(10_000_000, 1)])
unary("exp2", np.exp2)
unary("expm1", np.expm1)
unary("log", np.log, 0.1, 5, bench=[stream(10_000_000, 1, 0.1, 5)])
unary("log2", np.log2, 0.1, 5)
unary("log10", np.log10, 0.1, 5)
unary("log1p", np.log1p, -0.9, 5)
unary("sqrt", np.sqrt, 0.1, 5)
unary("rsqrt", lambda x: 1 / np.sqrt(x), 0.1, 5)
unary("reciprocal", lambda x: 1 / x, 0.1, 5)
unary("sin", np.sin, -20, 20)
unary("cos", np.cos, -20, 20)
unary("tan", np.tan, -1.4, 1.4)
unary("asin", np.arcsin, -0.9, 0.9)
unary("acos", np.arccos, -0.9, 0.9)
unary("atan", np.arctan)
unary("sinh", np.sinh)
unary("cosh", np.cosh)
unary("tanh", np.tanh, -6, 6, bench=[stream(10_000_000, 1)])
unary("erf", erf)
unary("sigmoid", sigmoid, -8, 8)
unary("floor", np.floor, grad=1)
unary("ceil", np.ceil, grad=1)
unary("round", np.rint, grad=1)
unary("trunc", np.trunc, grad=1)

# --- activations ---

unary("nn.functional.relu", lambda x: np.maximum(x, 0), dtypes=REAL, bench=[stream(10_000_000, 1)])
unary("nn.functional.relu6", lambda x: clamp(x, 0, 6), -3, 9)
unary("nn.functional.silu", lambda x: x * sigmoid(x))
unary("nn.functional.mish", lambda x: x * np.tanh(softplus(x)))
unary("nn.functional.softsign", lambda x: x / (1 + np.abs(x)))
unary("nn.functional.logsigmoid", lambda x: -softplus(-x))
unary("nn.functional.hardswish", lambda x: x * clamp(x + 3, 0, 6) / 6, -5, 5)
unary("nn.functional.hardsigmoid", lambda x: clamp(x + 3, 0, 6) / 6, -5, 5)
unary("nn.functional.selu", lambda x: 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717))
op("nn.functional.tanhshrink", lambda x: x - np.tanh(x), unary_samples(), grad=2)  # cancels near 0
for name, reference, options in (
    ("gelu", gelu, {"approximate": "tanh"}),
    ("leaky_relu", lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x), {"negative_slope": 0.2}),
    ("elu", elu, {"alpha": 0.7}),
    ("celu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)), {"alpha": 0.7}),
    ("softplus", softplus, {"beta": 2.0, "threshold": 3.0}),
    ("hardtanh", lambda x, min_val=-1.0, max_val=1.0: clamp(x, min_val, max_val), {"min_val": -2.0, "max_val": 0.5}),
    ("hardshrink", lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0, x).astype(x.dtype), {"lambd": 1.5}),
    (
        "softshrink",
        lambda x, lambd=0.5: np.where(np.isnan(x), x, np.sign(x) * np.maximum(np.abs(x) - lambd, 0)).astype(x.dtype),
        {"lambd": 1.5},
    ),
):
    reference, options_samples = with_options(reference, **options)
    pointwise(
        f"nn.functional.{name}",
        reference,
        options_samples,
        grad=2,
        bench=GELU_BENCH if name == "gelu" else (),
    )
op(
    "nn.functional.prelu",
    lambda x, w: np.where(x > 0, x, x * w.reshape((-1, *[1] * max(x.ndim - 2, 0)))),
    lambda r: [S(r(4, 3, 5), r(3)), S(r(65, 7), r(1)), S(r(2, 5, 3, 3), r(5))],
    grad=2,
)
op(
    "nn.functional.threshold",
    lambda x, threshold, value: np.where(x > threshold, x, value).astype(x.dtype),
    lambda r: [S(r(*s), 0.5, -1.0) for s in ((7,), (5, 65))],
    grad=2,
)
op(
    "nn.functional.glu",
    lambda x, dim=-1: (lambda a, b: a * sigmoid(b))(*np.split(x, 2, dim)),
    lambda r: [S(r(3, 8)), S(r(4, 65), dim=0), S(r(2, 6, 7), dim=1)],
    grad=2,
)

# --- comparisons and logic ---

for name, reference in (
    ("eq", np.equal),
    ("ne", np.not_equal),
    ("lt", np.less),
    ("le", np.less_equal),
    ("gt", np.greater),
    ("ge", np.greater_equal),
):
    pointwise(
        name,
        lambda a, b, f=reference: f(a, b),
        lambda r: [S(np.rint(s.args[0]), np.rint(s.args[1])) for s in binary_samples()(r)],
        dtypes=ALL,
    )
for name in ("logical_and", "logical_or", "logical_xor"):
    pointwise(
        name,
        lambda a, b, name=name: getattr(np, name)(a, b),
        lambda r: [S(np.rint(s.args[0]), np.rint(s.args[1])) for s in binary_samples()(r)],
        dtypes=ALL,
    )
pointwise("logical_not", np.logical_not, lambda r: [S(np.rint(s.args[0])) for s in unary_samples()(r)], dtypes=ALL)
for name in ("isnan", "isinf", "isfinite"):
    pointwise(name, getattr(np, name), unary_samples())
for name, reference in (
    ("bitwise_and", np.bitwise_and),
    ("bitwise_or", np.bitwise_or),
    ("bitwise_xor", np.bitwise_xor),
):
    op(name, reference, binary_samples(-100, 100), dtypes=(*INTS, "bool"))
op("bitwise_not", np.bitwise_not, unary_samples(-100, 100), dtypes=(*INTS, "bool"))

# --- in place ---

IN_PLACE_PAIRS = tuple((a, b) for a, b in PAIRS if np.broadcast_shapes(a, b) == a)
for name, reference in (("add_", lambda a, b: a + b), ("sub_", lambda a, b: a - b), ("mul_", lambda a, b: a * b)):
    op(
        f"Tensor.{name}",
        reference,
        binary_samples(pairs=IN_PLACE_PAIRS),
        dtypes=REAL,
        grad=2,
        inplace=True,
        pointwise=True,
    )
op(
    "Tensor.div_",
    lambda a, b: a / b,
    binary_samples(0.5, 3, pairs=IN_PLACE_PAIRS),
    grad=2,
    inplace=True,
    pointwise=True,
)
op(
    "Tensor.copy_",
    lambda a, b: np.broadcast_to(b, a.shape),
    binary_samples(pairs=IN_PLACE_PAIRS),
    dtypes=ALL,
    grad=2,
    inplace=True,
)
op(
    "Tensor.fill_",
    lambda a, v: np.full_like(a, v),
    lambda r: [S(r(*s), 2.0) for s in ((), (7,), (0,), (3, 129))],
    dtypes=REAL,
    grad=1,
    inplace=True,
)
op("Tensor.zero_", np.zeros_like, unary_samples(), dtypes=ALL, grad=1, inplace=True)
