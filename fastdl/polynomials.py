"""Orthogonal polynomials, elementwise, by their recurrences, with the names of `torch.special`.

The degrees n broadcast with x and are cut to whole numbers; of a negative degree the polynomial is 0. Gradients are those
of the recurrences.

Source: Abramowitz and Stegun, Handbook of Mathematical Functions, table 22.7.
"""

from . import _C
from ._C import Tensor
from .elementwise import _composed, _into

__all__ = [
    "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w",
    "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p",
    "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
]  # fmt: skip

_MOST = 1 << 16


def _polynomial(name, x, n, out, first, following):
    """first(x) of degree 1 and then following(k, x, of degree k, of degree k - 1), at the degrees asked for."""
    if not isinstance(x, Tensor):
        x = _C.full((), float(x), _C.default_dtype(), n.device)
    if not x.dtype.is_floating_point:
        x = x.to(_C.default_dtype())
    degrees = n.detach().to(_C.int64) if isinstance(n, Tensor) else None
    highest = int(n) if degrees is None else int(degrees.max()) if degrees.numel() else 0
    if highest > _MOST:
        raise _C.ValueError(f"{name}: a degree of {highest}, expected at most {_MOST}")

    def evaluate(x):
        before, value = None, _C.add(_C.mul(x, 0.0), 1.0)
        if degrees is None and highest < 0:
            return _C.mul(x, 0.0)
        result = value if degrees is None else _C.where(_C.lt(degrees, 0), 0.0, value)
        for k in range(1, highest + 1):
            value, before = (first(x) if k == 1 else following(k - 1, x, value, before)), value
            if degrees is not None:
                result = _C.where(_C.eq(degrees, k), value, result)
        return value if degrees is None else result

    return _into(out, _composed(evaluate, x))


def _chebyshev(k, x, value, before):
    return _C.sub(_C.mul(_C.mul(x, 2.0), value), before)


def chebyshev_polynomial_t(input, n, *, out=None):
    """Of the first kind: cos(n arccos x); T_1 = x, T_(k+1) = 2 x T_k - T_(k-1).

    >>> import fastdl as fd
    >>> fd.special.chebyshev_polynomial_t(fd.tensor([0.5, 2.0]), fd.tensor([1, 2]))
    tensor([0.5, 7. ])
    """
    return _polynomial("chebyshev_polynomial_t", input, n, out, lambda x: x, _chebyshev)


def chebyshev_polynomial_u(input, n, *, out=None):
    """Of the second kind: U_1 = 2 x, U_(k+1) = 2 x U_k - U_(k-1)."""
    return _polynomial("chebyshev_polynomial_u", input, n, out, lambda x: x * 2.0, _chebyshev)


def chebyshev_polynomial_v(input, n, *, out=None):
    """Of the third kind: V_1 = 2 x - 1, V_(k+1) = 2 x V_k - V_(k-1)."""
    return _polynomial("chebyshev_polynomial_v", input, n, out, lambda x: x * 2.0 - 1.0, _chebyshev)


def chebyshev_polynomial_w(input, n, *, out=None):
    """Of the fourth kind: W_1 = 2 x + 1, W_(k+1) = 2 x W_k - W_(k-1)."""
    return _polynomial("chebyshev_polynomial_w", input, n, out, lambda x: x * 2.0 + 1.0, _chebyshev)


def _shifted(x):
    return _C.sub(_C.mul(x, 2.0), 1.0) if isinstance(x, Tensor) else 2.0 * x - 1.0


def shifted_chebyshev_polynomial_t(input, n, *, out=None):
    """`chebyshev_polynomial_t` of 2 x - 1, for x in [0, 1]."""
    return chebyshev_polynomial_t(_shifted(input), n, out=out)


def shifted_chebyshev_polynomial_u(input, n, *, out=None):
    """`chebyshev_polynomial_u` of 2 x - 1."""
    return chebyshev_polynomial_u(_shifted(input), n, out=out)


def shifted_chebyshev_polynomial_v(input, n, *, out=None):
    """`chebyshev_polynomial_v` of 2 x - 1."""
    return chebyshev_polynomial_v(_shifted(input), n, out=out)


def shifted_chebyshev_polynomial_w(input, n, *, out=None):
    """`chebyshev_polynomial_w` of 2 x - 1."""
    return chebyshev_polynomial_w(_shifted(input), n, out=out)


def hermite_polynomial_h(input, n, *, out=None):
    """The physicists': H_1 = 2 x, H_(k+1) = 2 x H_k - 2 k H_(k-1)."""
    return _polynomial(
        "hermite_polynomial_h", input, n, out, lambda x: x * 2.0, lambda k, x, h, g: 2.0 * (x * h - g * float(k))
    )


def hermite_polynomial_he(input, n, *, out=None):
    """The probabilists': He_1 = x, He_(k+1) = x He_k - k He_(k-1)."""
    return _polynomial("hermite_polynomial_he", input, n, out, lambda x: x, lambda k, x, h, g: x * h - g * float(k))


def laguerre_polynomial_l(input, n, *, out=None):
    """L_1 = 1 - x, (k + 1) L_(k+1) = (2 k + 1 - x) L_k - k L_(k-1)."""
    return _polynomial(
        "laguerre_polynomial_l", input, n, out, lambda x: 1.0 - x,
        lambda k, x, h, g: ((2.0 * k + 1.0 - x) * h - g * float(k)) / (k + 1.0),
    )  # fmt: skip


def legendre_polynomial_p(input, n, *, out=None):
    """P_1 = x, (k + 1) P_(k+1) = (2 k + 1) x P_k - k P_(k-1).

    >>> import fastdl as fd
    >>> fd.special.legendre_polynomial_p(fd.tensor([0.5]), 2)
    tensor([-0.125])
    """
    return _polynomial(
        "legendre_polynomial_p", input, n, out, lambda x: x,
        lambda k, x, h, g: ((2.0 * k + 1.0) * x * h - g * float(k)) / (k + 1.0),
    )  # fmt: skip
