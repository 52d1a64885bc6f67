"""Bessel and Airy functions, elementwise, with the names of `torch.special`, composed in float64 from elementary ones.

On the oscillating side J_0 is the mean of cos(x sin t), which the rule of equal steps gives to all digits while
steps outnumber x; Y_0 is a sum over the same points, and the functions of order 1 are derivatives. Far out it is
Hankel's expansion. K is the integral of exp(-x cosh t), or for small x a power series. Gradients are those of the ops.

Sources: Abramowitz and Stegun, Handbook of Mathematical Functions, 9.1.18, 9.1.88, 9.2.5, 9.6.11, 9.6.24, 10.4.2;
Trefethen and Weideman, The Exponentially Convergent Trapezoidal Rule (2014).
"""

import math

from . import _C
from .elementwise import _into

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_k0", "modified_bessel_k1",
    "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "spherical_bessel_j0",
]  # fmt: skip

_EULER = 0.57721566490153286061
_FAR = 25.0  # Hankel's expansion has all digits from here
_STEPS = 64
_ANGLES = [math.pi * (j + 0.5) / _STEPS for j in range(_STEPS // 2)]  # the other half is symmetric


def _apply(function, input, out):
    """function in float64, rounded to the input's dtype (integers: the default one)."""
    dtype = input.dtype if input.dtype.is_floating_point else _C.default_dtype()
    return _into(out, function(input.to(_C.float64)).to(dtype))


def _table(values, x):
    return _C.tensor_from(values, _C.float64, x.device)


def _between(condition, inner, outer, x, inside, outside):
    """inner(x) where the condition holds, else outer(x); each sees a harmless value elsewhere, for its gradient."""
    return _C.where(condition, inner(_C.where(condition, x, inside)), outer(_C.where(condition, outside, x)))


# --- J and Y ---


def _waves(x, weights, derivative):
    """sum_j w_j cos(x sin t_j), or its derivative."""
    sines = [math.sin(t) for t in _ANGLES]
    phase = _C.mul(_C.unsqueeze(x, -1), _table(sines, x))
    if derivative:
        weights = [-w * s for w, s in zip(weights, sines)]
    waves = _C.sin(phase) if derivative else _C.cos(phase)
    return _C.sum(_C.mul(waves, _table(weights, x)), (-1,), False)


_MEAN = [2.0 / _STEPS] * (_STEPS // 2)
# Of the series of Y_0: sum over k of (-1)^k J_2k(x) / k, J_2k being the mean of cos(x sin t) cos(2 k t).
_SERIES = [2.0 / _STEPS * sum((-1) ** k * math.cos(2 * k * t) / k for k in range(1, _STEPS // 2 - 3)) for t in _ANGLES]


def _hankel(order, x):
    """sqrt(2 / (pi x)), P, Q and the phase x - order pi / 2 - pi / 4 of the expansion for large x."""
    inverse = _C.reciprocal(x)
    p, q, term = 1.0, 0.0, 1.0
    power = _C.add(_C.mul(x, 0.0), 1.0)
    for k in range(1, 25):
        term *= (4 * order * order - (2 * k - 1) ** 2) / (8.0 * k)
        power = _C.mul(power, inverse)
        value = _C.mul(power, term if k % 4 in (0, 1) else -term)
        p, q = (p, _C.add(value, q)) if k % 2 else (_C.add(value, p), q)
    phase = _C.sub(x, math.pi / 4 + order * math.pi / 2)
    return _C.sqrt(_C.mul(inverse, 2 / math.pi)), p, q, phase


def _far_j(order):
    def value(x):
        size, p, q, phase = _hankel(order, x)
        return _C.mul(size, _C.sub(_C.mul(p, _C.cos(phase)), _C.mul(q, _C.sin(phase))))

    return value


def _far_y(order):
    def value(x):
        size, p, q, phase = _hankel(order, x)
        return _C.mul(size, _C.add(_C.mul(p, _C.sin(phase)), _C.mul(q, _C.cos(phase))))

    return value


def _j0(x):
    x = _C.abs(x)
    near = lambda x: _waves(x, _MEAN, False)
    return _C.where(_C.isinf(x), 0.0, _between(_C.lt(x, _FAR), near, _far_j(0), x, 1.0, _FAR))


def _j1(x):
    size = _C.abs(x)
    near = lambda x: _C.neg(_waves(x, _MEAN, True))
    value = _between(_C.lt(size, _FAR), near, _far_j(1), size, 1.0, _FAR)
    return _C.mul(_C.where(_C.isinf(size), 0.0, value), _C.sign(x))


def _near_y0(x):
    logarithm = _C.add(_C.log(_C.mul(x, 0.5)), _EULER)
    return _C.sub(
        _C.mul(_C.mul(logarithm, _waves(x, _MEAN, False)), 2 / math.pi), _C.mul(_waves(x, _SERIES, False), 4 / math.pi)
    )


def _near_y1(x):
    logarithm = _C.add(_C.log(_C.mul(x, 0.5)), _EULER)
    slope = _C.add(_C.div(_waves(x, _MEAN, False), x), _C.mul(logarithm, _waves(x, _MEAN, True)))
    return _C.sub(_C.mul(_waves(x, _SERIES, True), 4 / math.pi), _C.mul(slope, 2 / math.pi))


def _positive(value, at_zero):
    """value(x) of positive numbers; at 0 that value, NaN below and for NaN, 0 at infinity."""

    def function(x):
        usual = _C.logical_and(_C.gt(x, 0), _C.isfinite(x))
        rest = _C.where(_C.eq(x, 0), at_zero, _C.where(_C.gt(x, 0), 0.0, float("nan")))
        return _C.where(usual, value(_C.where(usual, x, 1.0)), rest)

    return function


_y0 = _positive(lambda x: _between(_C.lt(x, _FAR), _near_y0, _far_y(0), x, 1.0, _FAR), float("-inf"))
_y1 = _positive(lambda x: _between(_C.lt(x, _FAR), _near_y1, _far_y(1), x, 1.0, _FAR), float("-inf"))


def bessel_j0(input, *, out=None):
    """The Bessel function of the first kind of order 0.

    >>> import fastdl as fd
    >>> fd.special.bessel_j0(fd.tensor([0.0, 1.0, 100.0]))
    tensor([1.    , 0.7652, 0.02  ])
    """
    return _apply(_j0, input, out)


def bessel_j1(input, *, out=None):
    """The Bessel function of the first kind of order 1."""
    return _apply(_j1, input, out)


def bessel_y0(input, *, out=None):
    """The Bessel function of the second kind of order 0, for x > 0; -inf at 0, NaN below."""
    return _apply(_y0, input, out)


def bessel_y1(input, *, out=None):
    """The Bessel function of the second kind of order 1, for x > 0; -inf at 0, NaN below."""
    return _apply(_y1, input, out)


def spherical_bessel_j0(input, *, out=None):
    """sin(x) / x, and 1 at 0."""
    from .special import sinc

    return _apply(lambda x: _C.where(_C.isinf(x), 0.0, sinc(_C.div(x, math.pi))), input, out)


# --- K ---

_NODES = [0.2 * j for j in range(47)]  # in units of the integrand's width: exp(-u^2 / 2) is below all digits at 9


def _decay(x, factor=None):
    """e^x times the integral of exp(-x cosh t) factor(t), for x > 2 / 3 or so."""
    root = _C.unsqueeze(_C.sqrt(x), -1)
    t = _C.div(_table(_NODES, x), root)
    values = _C.exp(_C.mul(_C.square(_C.mul(root, _C.sinh(_C.mul(t, 0.5)))), -2.0))
    if factor is not None:
        values = _C.mul(values, factor(t))
    weights = _table([0.1, *[0.2] * (len(_NODES) - 1)], x)
    return _C.sum(_C.mul(_C.div(values, root), weights), (-1,), False)


def _near_k0(x):
    square, total, harmonic, factor = _C.mul(_C.square(x), 0.25), 0.0, 0.0, 1.0
    power = _C.add(_C.mul(x, 0.0), 1.0)
    for k in range(1, 20):
        power, factor, harmonic = _C.mul(power, square), factor / (k * k), harmonic + 1 / k
        total = _C.add(_C.mul(power, factor * harmonic), total)
    return _C.sub(total, _C.mul(_C.add(_C.log(_C.mul(x, 0.5)), _EULER), _C.i0(x)))


def _near_k1(x):
    square, factor, psi = _C.mul(_C.square(x), 0.25), 1.0, 1 - 2 * _EULER
    power = _C.add(_C.mul(x, 0.0), 1.0)
    total = _C.mul(power, psi)
    for k in range(1, 20):
        power, factor = _C.mul(power, square), factor / (k * (k + 1))
        psi += 1 / k + 1 / (k + 1)
        total = _C.add(_C.mul(power, factor * psi), total)
    return _C.sub(_C.add(_C.reciprocal(x), _C.mul(_C.log(_C.mul(x, 0.5)), _C.i1(x))), _C.mul(_C.mul(x, 0.25), total))


def _k(near, factor, scaled):
    far = lambda x: _decay(x, factor) if scaled else _C.mul(_decay(x, factor), _C.exp(_C.neg(x)))
    close = (lambda x: _C.mul(near(x), _C.exp(x))) if scaled else near
    return _positive(lambda x: _between(_C.le(x, 2.0), close, far, x, 1.0, 3.0), float("inf"))


_k0, _scaled_k0 = _k(_near_k0, None, False), _k(_near_k0, None, True)
_k1, _scaled_k1 = _k(_near_k1, _C.cosh, False), _k(_near_k1, _C.cosh, True)


def modified_bessel_k0(input, *, out=None):
    """The modified Bessel function of the second kind of order 0, for x > 0; inf at 0, NaN below."""
    return _apply(_k0, input, out)


def modified_bessel_k1(input, *, out=None):
    """The modified Bessel function of the second kind of order 1, for x > 0; inf at 0, NaN below."""
    return _apply(_k1, input, out)


def scaled_modified_bessel_k0(x, *, out=None):
    """e^x modified_bessel_k0(x), which does not underflow."""
    return _apply(_scaled_k0, x, out)


def scaled_modified_bessel_k1(x, *, out=None):
    """e^x modified_bessel_k1(x), which does not underflow."""
    return _apply(_scaled_k1, x, out)


# --- Airy's function ---

_AIRY_FAR, _AIRY_TERMS = -12, 24


def _airy_series(x, value, slope):
    """Taylor's coefficients at x of the solution of y'' = x y with that value and slope."""
    out = [value, slope]
    for n in range(_AIRY_TERMS - 2):
        out.append((x * out[n] + (out[n - 1] if n else 0.0)) / ((n + 2) * (n + 1)))
    return out


def _airy_coefficients():
    """Those at -12, -11, ..., 1, found by going from 0 to each neighbour in two half steps."""
    value, slope = 3 ** (-2 / 3) / math.gamma(2 / 3), -(3 ** (-1 / 3)) / math.gamma(1 / 3)
    table = {0: _airy_series(0.0, value, slope)}
    for direction, end in ((-1, _AIRY_FAR), (1, 1)):
        for node in range(0, end, direction):
            series = table[node]
            for half in (1, 2):
                h = 0.5 * direction
                y = sum(c * h**n for n, c in enumerate(series))
                dy = sum(n * c * h ** (n - 1) for n, c in enumerate(series) if n)
                series = _airy_series(node + half * h, y, dy)
            table[node + direction] = series
    return [table[node] for node in range(_AIRY_FAR, 2)]


def _near_airy(x):
    node = _C.round(x.detach())
    h = _C.sub(x, node)
    places = _C.reshape(_C.sub(node, _AIRY_FAR).to(_C.int64), (-1,))
    rows = _C.index_select(_table(_airy_coefficients(), x), 0, places)
    rows = _C.reshape(rows, (*x.shape, _AIRY_TERMS))
    value = rows[..., -1]
    for n in range(_AIRY_TERMS - 2, -1, -1):
        value = _C.add(_C.mul(value, h), rows[..., n])
    return value


def _decaying_airy(x):
    z = _C.mul(_C.mul(x, _C.sqrt(x)), 2 / 3)
    size = _C.mul(_C.sqrt(_C.div(x, 3.0)), _C.exp(_C.neg(z)))
    return _C.div(_C.mul(size, _decay(z, lambda t: _C.cosh(_C.div(t, 3.0)))), math.pi)


def _oscillating_airy(x):
    depth = _C.neg(x)
    z = _C.mul(_C.mul(depth, _C.sqrt(depth)), 2 / 3)
    even, odd, term = 1.0, 0.0, 1.0
    power = _C.add(_C.mul(z, 0.0), 1.0)
    for k in range(1, 25):
        term *= (6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216.0 * k * (2 * k - 1))
        power = _C.div(power, z)
        value = _C.mul(power, term if k % 4 in (0, 1) else -term)
        even, odd = (even, _C.add(value, odd)) if k % 2 else (_C.add(value, even), odd)
    phase = _C.add(z, math.pi / 4)
    wave = _C.sub(_C.mul(even, _C.sin(phase)), _C.mul(odd, _C.cos(phase)))
    return _C.div(_C.mul(wave, math.pi**-0.5), _C.sqrt(_C.sqrt(depth)))


def _airy(x):
    inner = lambda x: _between(_C.lt(x, 1.0), _near_airy, _decaying_airy, x, 0.0, 2.0)
    finite = _C.isfinite(x)
    value = _between(
        _C.ge(x, _AIRY_FAR + 0.5), inner, _oscillating_airy, _C.where(finite, x, 0.0), 0.0, _AIRY_FAR - 1.0
    )
    return _C.where(finite, value, _C.where(_C.isnan(x), x, 0.0))


def airy_ai(input, *, out=None):
    """Airy's function Ai: the solution of y'' = x y that decays for x > 0.

    >>> import fastdl as fd
    >>> fd.special.airy_ai(fd.tensor([0.0, 1.0]))
    tensor([0.355 , 0.1353])
    """
    return _apply(_airy, input, out)
