"""Special functions, elementwise, with the names of `torch.special`; most are functions of the top level too.

Sources: Abramowitz and Stegun, Handbook of Mathematical Functions, chapters 6, 7, 9 and 23.
"""

from . import _C
from ._C import Tensor
from .elementwise import _composed, _into, erf, exp2, expm1, log1p, round, sigmoid

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t", "chebyshev_polynomial_u",
    "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2",
    "expit", "expm1", "gammainc", "gammaincc", "gammaln", "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e",
    "i1", "i1e", "laguerre_polynomial_l", "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit",
    "logsumexp", "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1",
    "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round", "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1", "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w", "sinc", "softmax", "spherical_bessel_j0",
    "xlog1py", "xlogy", "zeta",
]  # fmt: skip

_SQRT_HALF = 0.7071067811865476
_PI = 3.141592653589793


# --- the error function ---


def erfc(input, *, out=None):
    """1 - erf(x), without cancellation for large x."""
    return _into(out, _C.erfc(input))


def erfcx(input, *, out=None):
    """e^(x^2) erfc(x), which does not underflow for large x.

    >>> import fastdl as fd
    >>> fd.special.erfcx(fd.tensor([0.0, 100.0]))
    tensor([1.    , 0.0056])
    """
    x = input if input.dtype.is_floating_point else input.to(_C.default_dtype())
    return _into(out, _composed(_scaled_erfc, x))


def _scaled_erfc(x):
    high = _C.gt(x, 5.0)
    # Beyond 5 Laplace's continued fraction 1 / (x + (1/2) / (x + 1 / (x + ...))) / sqrt(pi).
    far = _C.where(high, x, 5.0)
    fraction = far
    for k in range(40, 0, -1):
        fraction = far + (k / 2) / fraction
    near = _C.where(high, 0.0, x)
    return _C.where(high, _PI**-0.5 / fraction, _C.mul(_C.exp(_C.square(near)), _C.erfc(near)))


def erfinv(input, *, out=None):
    """The inverse of erf on [-1, 1]; NaN outside.

    >>> import fastdl as fd
    >>> fd.erfinv(fd.tensor([0.0, 0.5, 1.0]))
    tensor([0.    , 0.4769,    inf])
    """
    return _into(out, _C.erfinv(input))


def ndtr(input, *, out=None):
    """The area below the standard normal density left of x: erfc(-x / sqrt(2)) / 2."""
    return _into(out, _composed(lambda x: _C.mul(_C.erfc(_C.mul(x, -_SQRT_HALF)), 0.5), input))


def ndtri(input, *, out=None):
    """The inverse of `ndtr`: where the area left of x is `input`, in [0, 1]."""
    return _into(out, _C.ndtri(input))


def log_ndtr(input, *, out=None):
    """log(ndtr(x)), also where the area underflows."""
    return _into(out, _composed(_log_area, input))


def _log_area(x):
    low = _C.lt(x, -1.0)
    t = _C.mul(x, -_SQRT_HALF)
    tail = _C.sub(_C.log(_C.mul(_scaled_erfc(_C.where(low, t, 1.0)), 0.5)), _C.square(_C.where(low, t, 0.0)))
    return _C.where(low, tail, _C.log1p(_C.mul(_C.erfc(_C.neg(_C.where(low, 0.0, t))), -0.5)))


# --- the gamma function ---


def gammaln(input, *, out=None):
    """log |Gamma(x)|."""
    return _into(out, _C.lgamma(input))


lgamma = gammaln


def digamma(input, *, out=None):
    """The derivative of `lgamma`.

    >>> import fastdl as fd
    >>> fd.digamma(fd.tensor([1.0, 2.0]))
    tensor([-0.5772,  0.4228])
    """
    return _into(out, _C.digamma(input))


psi = digamma


def polygamma(n, input, *, out=None):
    """The n-th derivative of `digamma`: (-1)^(n+1) n! zeta(n + 1, x).

    Args:
        n: an integer, 0 or more.

    Raises:
        ValueError: a negative n.
    """
    if n < 0:
        raise _C.ValueError(f"polygamma: n {n} must not be negative")
    if n == 0:
        return digamma(input, out=out)
    factor = 1.0 if n % 2 else -1.0
    for k in range(2, n + 1):
        factor *= k
    return _into(out, _composed(lambda x: _C.mul(_C.zeta(float(n + 1), x), factor), input))


def multigammaln(input, p, *, out=None):
    """log of the multivariate gamma function: p (p - 1) / 4 log(pi) + sum over j < p of lgamma(x - j / 2).

    Raises:
        ValueError: p < 1.
    """
    if p < 1:
        raise _C.ValueError(f"mvlgamma: p {p}, expected at least 1")

    def total(x):
        out = p * (p - 1) / 4 * 1.1447298858494002
        for j in range(p):
            out = _C.add(_C.lgamma(_C.sub(x, j / 2)), out)
        return out

    return _into(out, _composed(total, input))


mvlgamma = multigammaln


def gammainc(input, other, *, out=None):
    """The regularized lower incomplete gamma function: 1 / Gamma(a) times the integral of t^(a-1) e^-t from 0 to x.

    Args:
        input: a, at least 0; it gets no gradient.
        other: x, at least 0.

    >>> import fastdl as fd
    >>> fd.igamma(fd.tensor([1.0]), fd.tensor([1.0]))
    tensor([0.6321])
    """
    return _into(out, _C.igamma(input, other))


def gammaincc(input, other, *, out=None):
    """The regularized upper incomplete gamma function, 1 - `gammainc`."""
    return _into(out, _C.igammac(input, other))


igamma, igammac = gammainc, gammaincc


def zeta(input, other, *, out=None):
    """Hurwitz' zeta function: sum over k >= 0 of 1 / (q + k)^s, s > 1 in `input` and q in `other`."""
    return _into(out, _C.zeta(input, other))


# --- modified Bessel functions of the first kind ---


def i0(input, *, out=None):
    """Of order 0."""
    return _into(out, _C.i0(input))


def i0e(input, *, out=None):
    """e^-|x| i0(x)."""
    return _into(out, _C.i0e(input))


def i1(input, *, out=None):
    """Of order 1."""
    return _into(out, _C.i1(input))


def i1e(input, *, out=None):
    """e^-|x| i1(x)."""
    return _into(out, _C.i1e(input))


modified_bessel_i0, modified_bessel_i1 = i0, i1


# --- logarithms and ratios ---


def expit(input, *, out=None):
    """1 / (1 + e^-x): `sigmoid`."""
    return sigmoid(input, out=out)


def logit(input, eps=None, *, out=None):
    """log(x / (1 - x)), the inverse of `sigmoid`; with `eps`, x is clamped to [eps, 1 - eps] first.

    >>> import fastdl as fd
    >>> fd.logit(fd.tensor([0.5, 0.9]))
    tensor([0.    , 2.1972])
    """
    x = input if eps is None else _C.clamp(input, eps, 1 - eps)
    return _into(out, _composed(lambda p: _C.log(_C.div(p, 1.0 - p)), x))


def _product_with_log(x, y, logarithm):
    zero = _C.logical_and(_C.eq(x, 0), _C.logical_not(_C.isnan(y)))
    return _C.where(zero, 0.0, _C.mul(x, logarithm))


def _tensors(x, y):
    """Both as tensors: a number gets the other's dtype, if that is a floating-point one."""

    def like(number, other):
        if isinstance(number, Tensor):
            return number
        dtype = other.dtype if other.dtype.is_floating_point else _C.default_dtype()
        return _C.full((), number, dtype, other.device)

    return like(x, y), like(y, x)


def xlogy(input, other, *, out=None):
    """x log(y), and 0 where x is 0 unless y is NaN; one of them may be a number.

    >>> import fastdl as fd
    >>> fd.xlogy(fd.tensor([0.0, 2.0]), fd.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    input, other = _tensors(input, other)
    return _into(out, _composed(lambda x, y: _product_with_log(x, y, _C.log(y)), input, other))


def xlog1py(input, other, *, out=None):
    """x log(1 + y), and 0 where x is 0 unless y is NaN."""
    input, other = _tensors(input, other)
    return _into(out, _composed(lambda x, y: _product_with_log(x, y, _C.log1p(y)), input, other))


def entr(input, *, out=None):
    """-x log(x); 0 at 0 and -inf below."""
    return _into(out, _composed(_entropy, input))


def _entropy(x):
    positive = _C.gt(x, 0)
    safe = _C.where(positive, x, 1.0)
    value = _C.where(positive, _C.neg(_C.mul(safe, _C.log(safe))), _C.where(_C.eq(x, 0), 0.0, float("-inf")))
    return _C.where(_C.isnan(x), x, value)


def sinc(input, *, out=None):
    """sin(pi x) / (pi x), and 1 at 0."""
    return _into(out, _composed(_cardinal_sine, input))


def _cardinal_sine(x):
    # Near 0 by Taylor's polynomial, because the derivative of the quotient cancels there.
    t = _C.mul(x, _PI)
    near = _C.lt(_C.abs(t), 0.5)
    squares = _C.square(_C.where(near, t, 0.0))
    polynomial = 1.0
    for k in range(16, 0, -2):
        polynomial = 1.0 - polynomial * squares / (k * (k + 1.0))
    far = _C.where(near, 1.0, t)
    return _C.where(near, polynomial, _C.div(_C.sin(far), far))


def softmax(input, dim, *, dtype=None):
    """See `fastdl.softmax`."""
    return _C.softmax(input if dtype is None else input.to(dtype), dim)


def log_softmax(input, dim, *, dtype=None):
    """See `fastdl.log_softmax`."""
    return _C.log_softmax(input if dtype is None else input.to(dtype), dim)


def logsumexp(input, dim, keepdim=False):
    """See `fastdl.logsumexp`."""
    return input.logsumexp(dim, keepdim)


def __getattr__(name):
    # Bessel functions of the other kinds and polynomials, which `import fastdl` does not wait for.
    if name in __all__:
        from importlib import import_module

        for module in ("bessel", "polynomials"):
            found = import_module(f".{module}", __package__)
            if name in found.__all__:
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _polygamma_method(self, n):
    """`polygamma(n, self)`."""
    return polygamma(n, self)


for _name in ("logit", "mvlgamma", "sinc", "xlogy"):
    setattr(Tensor, _name, globals()[_name])
Tensor.polygamma = _polygamma_method
