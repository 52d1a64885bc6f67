"""Rows of the special functions and of the less common elementwise ones."""

import math

import numpy as np
from opdb_row import INTS, REAL, S, binary_samples, op, unary_samples

SINGLE = ("float32", "float64")


def of_math(f):
    """A function of Python floats on each element; NaN where it has no value."""

    def one(x):
        try:
            return f(float(x))
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return lambda x, *more: np.vectorize(one, otypes=[x.dtype])(x)


def special(name, reference, low=-3.0, high=3.0, grad=2, pointwise=False, **options):
    op(name, reference, unary_samples(low, high), grad=grad, pointwise=pointwise, **options)


def series(x, order):
    """The modified Bessel function of the first kind, by its power series."""
    term = np.ones_like(x) if order == 0 else x / 2
    total = term.copy()
    for k in range(1, 40):
        term = term * (x * x / 4) / (k * (k + order))
        total = total + term
    return total


def digamma(x):
    out = np.zeros_like(x)
    for _ in range(12):
        out = out - 1 / x
        x = x + 1
    z = 1 / (x * x)
    return out + np.log(x) - 0.5 / x - z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z / 132))))


def zeta(s, q):
    out = np.zeros(np.broadcast_shapes(np.shape(s), np.shape(q)), q.dtype)
    for _ in range(60):
        out = out + q**-s
        q = q + 1
    out = out + q ** (1 - s) / (s - 1) + q**-s / 2 + s * q ** (-s - 1) / 12
    out = out - s * (s + 1) * (s + 2) * q ** (-s - 3) / 720
    return out + s * (s + 1) * (s + 2) * (s + 3) * (s + 4) * q ** (-s - 5) / 30240


def erfinv(x):
    """By bisection, and Newton's steps in float64."""

    def one(v):
        v = float(v)
        if not -1 < v < 1:
            return math.copysign(math.inf, v) if abs(v) == 1 else math.nan
        low, high = -6.0, 6.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if math.erf(middle) < v else (low, middle)
        y = (low + high) / 2
        return y - (math.erf(y) - v) * math.sqrt(math.pi) / 2 * math.exp(y * y)

    return np.vectorize(one, otypes=[x.dtype])(x)


def erfcx(x):
    return np.exp(x * x) * of_math(math.erfc)(x)


def ndtr(x):
    return of_math(math.erfc)(-x * x.dtype.type(math.sqrt(0.5))) / 2


def xlogy(x, y):
    with np.errstate(all="ignore"):
        return np.where((x == 0) & ~np.isnan(y), 0, x * np.log(y)).astype(x.dtype)


# --- hyperbolic inverses, the error function ---

for name, reference, low, high in (
    ("asinh", np.arcsinh, -3, 3),
    ("acosh", np.arccosh, 1.1, 5),
    ("atanh", np.arctanh, -0.9, 0.9),
    ("erfc", of_math(math.erfc), -3, 3),
    ("deg2rad", lambda x: x * x.dtype.type(math.pi / 180), -400, 400),
    ("rad2deg", lambda x: x * x.dtype.type(180 / math.pi), -7, 7),
):
    special(name, reference, low, high, pointwise=True)
special("frac", lambda x: x - np.trunc(x), grad=1)
special("erfinv", erfinv, -0.9, 0.9)
special("special.erfcx", erfcx, -2, 4)
special("special.ndtr", ndtr)
special("special.ndtri", lambda p: erfinv(2 * p - 1) * p.dtype.type(math.sqrt(2)), 0.1, 0.9)
special("special.log_ndtr", lambda x: np.log(ndtr(x)), -3, 3)

# --- gamma, zeta, Bessel ---

special("lgamma", of_math(math.lgamma), 3, 8)
special("digamma", digamma, 0.3, 6)
for n in (1, 2):
    special(
        f"polygamma {n}",
        lambda x, n=n: (-1) ** (n + 1) * math.factorial(n) * zeta(n + 1, x),
        0.5,
        4,
        function=lambda lib, x, n=n: lib.polygamma(n, x),
        dtypes=SINGLE,
        torch=False,  # has ten digits
    )
op("mvlgamma", lambda x, p: sum(of_math(math.lgamma)(x - j / 2) for j in range(p)) + x.dtype.type(p * (p - 1) / 4 * math.log(math.pi)),
   lambda r: [S(r(*s, low=1.6, high=6), p) for s in ((7,), (3, 65)) for p in (1, 3)], grad=2)  # fmt: skip
op(
    "special.zeta",
    zeta,
    lambda r: [S(r(7, low=2, high=5), r(7, low=0.5)), S(np.array(3.0), r(3, 65, low=0.5, high=20))],
    grad=2,
    nograd=(0,),
    dtypes=SINGLE,
    torch=False,  # has no gradient there
)


def gamma_below(a, x):
    """By the series of the lower incomplete gamma function."""
    term = total = 1 / a
    for k in range(1, 120):
        term = term * x / (a + k)
        total = total + term
    return total * np.exp(a * np.log(x) - x - of_math(math.lgamma)(a))


for name, reference in (("igamma", gamma_below), ("igammac", lambda a, x: 1 - gamma_below(a, x))):
    op(name, reference, lambda r: [S(r(*s, low=0.5, high=6), r(*s, low=0.2, high=9)) for s in ((7,), (3, 65))],
       grad=2, nograd=(0,))  # fmt: skip
special("i0", lambda x: series(x, 0))
special("special.i0e", lambda x: series(x, 0) * np.exp(-np.abs(x)), grad=1)
special("special.i1", lambda x: series(x, 1))
special("special.i1e", lambda x: series(x, 1) * np.exp(-np.abs(x)), grad=1)

# --- logarithms and ratios ---

special("logit", lambda p: np.log(p / (1 - p)), 0.1, 0.9)
op("logit eps", lambda p, eps: np.log(np.clip(p, eps, 1 - eps) / (1 - np.clip(p, eps, 1 - eps))),
   lambda r: [S(r(65, low=-0.5, high=1.5), eps=0.25)], function="logit", grad=2)  # fmt: skip
special("special.entr", lambda x: -x * np.log(x), 0.1, 3)
special("sinc", lambda x: np.sinc(x))
op("xlogy", xlogy, binary_samples(0.2, 3), grad=2)
op("special.xlog1py", lambda x, y: x * np.log1p(y), binary_samples(0.2, 3), grad=2)
op("logaddexp", np.logaddexp, binary_samples(), grad=2)
op("logaddexp2", np.logaddexp2, binary_samples(), grad=2)

# --- two operands ---

op("hypot", np.hypot, binary_samples(), grad=2, pointwise=True)
op("copysign", np.copysign, binary_samples(), grad=1, pointwise=True)
op("nextafter", np.nextafter, binary_samples(), dtypes=SINGLE, slack=0)
op("fmax", np.fmax, binary_samples(), dtypes=REAL, grad=1, pointwise=True)
op("fmin", np.fmin, binary_samples(), dtypes=REAL, grad=1, pointwise=True)
op("heaviside", lambda x, v: np.heaviside(x, v).astype(x.dtype), lambda r: [S(np.rint(r(65)), r(65))], dtypes=REAL)
op("ldexp", lambda x, e: x * np.exp2(e), lambda r: [S(r(65), np.rint(r(65)))], grad=2)
op("float_power", lambda x, e: np.float_power(x, e).astype(np.float64), lambda r: [S(r(65, low=0.5), 1.5), S(r(7, low=0.5), r(7))],
   dtypes=("float64",), grad=2)  # fmt: skip
op("rsub", lambda a, b, alpha=1: b - (a if alpha == 1 else alpha * a), lambda r: [*binary_samples()(r), S(r(65), 2.0, alpha=3)],
   grad=2, pointwise=True)  # fmt: skip
op("gcd", np.gcd, binary_samples(0, 100), dtypes=INTS)
op("lcm", np.lcm, binary_samples(0, 11), dtypes=INTS)
for name, reference in (("bitwise_left_shift", np.left_shift), ("bitwise_right_shift", np.right_shift)):
    op(name, lambda a, b, f=reference: f(a, b), lambda r: [S(np.rint(r(*s, low=0, high=100)), np.rint(r(*s, low=0, high=6)))
       for s in ((), (7,), (3, 129), (0,))], dtypes=INTS)  # fmt: skip

# --- predicates and repairs ---

op("signbit", np.signbit, unary_samples(), dtypes=REAL, pointwise=True)
for name in ("isposinf", "isneginf"):
    op(name, getattr(np, name), lambda r: [S(np.where(r.bools(65), np.inf, -np.inf)), S(r(7))], pointwise=True)
op(
    "nan_to_num",
    lambda x, nan=0.0, posinf=None, neginf=None: np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
    lambda r: [S(np.where(r.bools(65), np.nan, r(65)), nan=2.0), S(np.where(r.bools(7), np.inf, r(7)), posinf=9.0)],
    grad=1,
)
op(
    "frexp",
    lambda x: (lambda m, e: (m.astype(x.dtype), e.astype(np.int32)))(*np.frexp(x)),
    unary_samples(-1000, 1000),
    dtypes=SINGLE,
)
op(
    "isclose",
    lambda a, b: np.abs(a - b) <= 1e-8 + 1e-5 * np.abs(b),
    lambda r: [S(np.rint(r(65)), np.rint(r(65)))],
    dtypes=SINGLE,
)
op("clamp_min", lambda x, low: np.maximum(x, x.dtype.type(low) if np.ndim(low) == 0 else low),
   lambda r: [S(r(65), 0.5), S(r(3, 65), r(65))], grad=2, pointwise=True)  # fmt: skip
op("clamp_max", lambda x, high: np.minimum(x, x.dtype.type(high) if np.ndim(high) == 0 else high),
   lambda r: [S(r(65), 0.5), S(r(3, 65), r(65))], grad=2, pointwise=True)  # fmt: skip

# --- written into the first argument ---

for name, reference, samples in (
    ("asinh_", np.arcsinh, unary_samples()),
    ("erfinv_", erfinv, unary_samples(-0.9, 0.9)),
    ("atan2_", np.arctan2, binary_samples(pairs=(((65,), (65,)), ((3, 7), (7,))))),
    ("fmod_", np.fmod, binary_samples(-9, 9, 1, 4, pairs=(((65,), (65,)), ((3, 7), (7,))))),
    ("cumsum_", lambda x, d: np.cumsum(x, d), lambda r: [S(r(7), 0), S(r(3, 65), 1)]),
    ("tril_", np.tril, lambda r: [S(r(5, 7))]),
):
    op(f"Tensor.{name}", reference, samples, dtypes=SINGLE, grad=1, inplace=True)
