"""Rows of orthogonal polynomials, and of Bessel and Airy functions, by integrals that the functions themselves do not use."""

import numpy as np
from numpy.polynomial import chebyshev, hermite, hermite_e, laguerre, legendre
from opdb_row import S, op, unary_samples

SINGLE = ("float32", "float64")


# --- polynomials: NumPy's series with one coefficient ---


def by_degree(evaluate):
    def reference(x, n):
        x, n = np.broadcast_arrays(x, n)
        out = np.zeros(x.shape, x.dtype)
        for degree in np.unique(n):
            if degree >= 0:
                one = np.zeros(degree + 1, x.dtype)
                one[degree] = 1
                out[n == degree] = evaluate(x[n == degree], one)
        return out

    return reference


def second_kind(x, one):
    return chebyshev.chebval(x, chebyshev.chebder(np.append([x.dtype.type(0)], one))) / x.dtype.type(len(one))


def third_kind(sign):
    return lambda x, one: second_kind(x, one) + (sign * second_kind(x, one[1:]) if len(one) > 1 else 0)


def shifted(evaluate):
    return lambda x, one: evaluate(2 * x - 1, one)


CHEBYSHEV = {"t": chebyshev.chebval, "u": second_kind, "v": third_kind(-1), "w": third_kind(1)}
POLYNOMIALS = {
    **{f"chebyshev_polynomial_{k}": f for k, f in CHEBYSHEV.items()},
    **{f"shifted_chebyshev_polynomial_{k}": shifted(f) for k, f in CHEBYSHEV.items()},
    "hermite_polynomial_h": hermite.hermval,
    "hermite_polynomial_he": hermite_e.hermeval,
    "laguerre_polynomial_l": laguerre.lagval,
    "legendre_polynomial_p": legendre.legval,
}
for name, evaluate in POLYNOMIALS.items():
    low = 0.0 if name.startswith("shifted") else -1.0
    op(
        f"special.{name}",
        by_degree(evaluate),
        lambda r, low=low: [
            S(r(9, low=low, high=1.0), r.ints(9, low=-1, high=7)),
            S(r(2, 1, low=low, high=1.0), r.ints(5, low=0, high=5)),
            S(r(7, low=low, high=1.0), 3),
            S(r(0), 2),
        ],
        dtypes=SINGLE,
        grad=2 if name.startswith("hermite") else 1,
        torch=False,  # without gradients there; values are compared in test_torch_names
        slack=8.0,
    )


# --- Bessel and Airy functions: quadrature ---


def quadrature(low, high, nodes):
    x, w = legendre.leggauss(nodes)
    return (x + 1) * (high - low) / 2 + low, w * (high - low) / 2


def integral(f, low, high, nodes):
    """Of f(x, t) over t, for each x."""

    def value(x):
        t, w = (a.astype(x.dtype) for a in quadrature(low, high, nodes))
        return f(x[..., None], t) @ w

    return value


PI = np.pi
angle = lambda f: integral(f, 0, PI, 160)
tail = lambda f: integral(f, 0, 6, 160)
j0 = angle(lambda x, t: np.cos(x * np.sin(t)) / x.dtype.type(PI))
j1 = angle(lambda x, t: np.cos(t - x * np.sin(t)) / x.dtype.type(PI))
sine0 = angle(lambda x, t: np.sin(x * np.sin(t)) / x.dtype.type(PI))
sine1 = angle(lambda x, t: np.sin(x * np.sin(t) - t) / x.dtype.type(PI))
decay0 = tail(lambda x, t: np.exp(-x * np.sinh(t)) * x.dtype.type(2 / PI))
decay1 = tail(lambda x, t: 2 * np.sinh(t) * np.exp(-x * np.sinh(t)) / x.dtype.type(PI))
k0 = integral(lambda x, t: np.exp(-x * np.cosh(t)), 0, 9, 300)
k1 = integral(lambda x, t: np.exp(-x * np.cosh(t)) * np.cosh(t), 0, 9, 300)
airy = integral(lambda x, t: np.exp(1 / 3 - x - t * t) * np.cos(t**3 / 3 + (x - 1) * t) / x.dtype.type(PI), 0, 9, 400)


def row(name, reference, low, high, slack=16.0):
    op(
        f"special.{name}",
        lambda x: reference(x).astype(x.dtype),
        unary_samples(low, high, ((), (7,), (0,), (2, 3))),
        dtypes=("float32",),  # float64 against SciPy in test_torch_names: the nodes have no more digits
        grad=2 if name == "modified_bessel_k0" else 1,
        torch=False,
        levels=False,
        slack=slack,
    )


row("bessel_j0", j0, -40.0, 40.0)
row("bessel_j1", j1, -40.0, 40.0)
row("bessel_y0", lambda x: sine0(x) - decay0(x), 0.5, 40.0)
row("bessel_y1", lambda x: sine1(x) - decay1(x), 0.5, 40.0)
row("modified_bessel_k0", k0, 0.1, 8.0)
row("modified_bessel_k1", k1, 0.1, 8.0)
row("scaled_modified_bessel_k0", lambda x: k0(x) * np.exp(x), 0.1, 8.0)
row("scaled_modified_bessel_k1", lambda x: k1(x) * np.exp(x), 0.1, 8.0)
row("airy_ai", airy, -5.0, 3.0)
row("spherical_bessel_j0", lambda x: np.sinc(x / x.dtype.type(PI)), -9.0, 9.0)
