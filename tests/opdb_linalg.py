"""Rows of products beyond matmul, of factorizations, norms and functions of matrices.

LAPACK works in float32 and float64: the truth of float64 is computed in it too. Inputs are made regular inside the
functions, so that differences and absolute values of the samples are regular as well.
"""

import numpy as np
from opdb_row import S, op

SINGLE = ("float32", "float64")
ALSO_INTS = ("float32", "float64", "int64", "uint8")


def lapack(f):
    """f of arrays that LAPACK takes, the results in the arguments' dtype."""

    def g(*args, **kwargs):
        dtype = next(a.dtype for a in args if isinstance(a, np.ndarray))
        narrow = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == np.longdouble else a for a in args]
        out = f(*narrow, **kwargs)
        return tuple(o.astype(dtype) for o in out) if isinstance(out, tuple) else np.asarray(out).astype(dtype)

    return g


def product(name, reference, samples, dtypes=ALSO_INTS, **options):
    op(name, reference, samples, dtypes=dtypes, grad=2, **options)


# --- products ---

product("vdot", np.vdot, lambda r: [S(r(7), r(7)), S(r(129), r(129))])
product("inner", np.inner, lambda r: [S(r(7), r(7)), S(r(3, 5), r(4, 5)), S(r(2, 3, 5), r(5)), S(r(), r(7))])
product("kron", np.kron, lambda r: [S(r(3, 5), r(2, 7)), S(r(3), r(5)), S(r(2, 3), r(5)), S(r(), r(3))])
product("trace", np.trace, lambda r: [S(r(5, 7)), S(r(1, 1))], dtypes=("float32", "float64", "int64"))
product(
    "cross",
    lambda a, b, dim=-1: np.cross(a, b, axis=dim),
    lambda r: [S(r(5, 3), r(5, 3), dim=1), S(r(3, 7), r(3, 7), dim=0)],
)
product(
    "tensordot",
    np.tensordot,
    lambda r: [S(r(2, 3, 5), r(3, 5, 7)), S(r(2, 3, 5), r(5, 2), ([0, 2], [1, 0])), S(r(3), r(5), 0)],
    dtypes=SINGLE,
)
product(
    "chain_matmul",
    lambda *xs: np.linalg.multi_dot(xs) if len(xs) > 1 else xs[0],
    lambda r: [S(r(5, 3), r(3, 9), r(9, 2), r(2, 7))],
    dtypes=SINGLE,
)
product("matrix_power", np.linalg.matrix_power, lambda r: [S(r(3, 3, low=-1, high=1), n) for n in (1, 2, 3, 6)] + [S(r(2, 3, 3, low=-1, high=1), 2)],
        dtypes=SINGLE)  # fmt: skip
for name, f in (("addmv", np.matmul), ("addr", np.outer)):
    product(
        name,
        lambda x, a, b, beta=1, alpha=1, f=f: beta * x + alpha * f(a, b),
        lambda r, vector=name == "addr": [
            S(r(5, 7) if vector else r(5), r(5) if vector else r(5, 7), r(7)),
            S(r(7) if vector else r(1), r(5) if vector else r(5, 7), r(7), beta=0.5, alpha=2),
        ],
        dtypes=SINGLE,
    )
product("addbmm", lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b).sum(0), lambda r: [S(r(3, 5), r(2, 3, 7), r(2, 7, 5), beta=0.5, alpha=2)],
        dtypes=SINGLE)  # fmt: skip

EQUATIONS = (
    ("ij,jk->ik", (3, 5), (5, 7)),
    ("ij,kj", (3, 5), (7, 5)),
    ("bij,bjk->bik", (2, 3, 5), (2, 5, 7)),
    ("bhqd,bhkd->bhqk", (2, 3, 5, 4), (2, 3, 7, 4)),
    ("i,i->", (65,), (65,)),
    ("i,j->ij", (7,), (5,)),
    ("ii->i", (5, 5)),
    ("ii", (5, 5)),
    ("ijk->kj", (2, 3, 5)),
    ("...ij,...jk->...ik", (4, 1, 3, 5), (2, 5, 7)),
    ("...i->...", (3, 65)),
    ("ijk,ijk->ij", (2, 3, 5), (2, 3, 5)),
    ("ij,jk,kl->il", (3, 5), (5, 4), (4, 7)),
    ("bi,bj,bk->bijk", (2, 3), (2, 4), (2, 5)),
    ("ab,c->b", (3, 5), (7,)),
    ("iji,jk->ik", (3, 4, 3), (4, 5)),
)
product(
    "einsum",
    lambda xs, equation: np.einsum(equation, *xs),
    lambda r: [S([r(*s, low=-1, high=1) for s in shapes], equation) for equation, *shapes in EQUATIONS],
    function=lambda lib, xs, equation: lib.einsum(equation, *xs),
    dtypes=SINGLE,
)

# --- equations, inverses, determinants ---


def regular(lib, x, weight=4.0):
    """x plus a multiple of the identity."""
    n = x.shape[-1]
    return x + weight * (np.eye(n, dtype=x.dtype) if lib is np else lib.eye(n, dtype=x.dtype))


def positive(lib, x):
    return regular(lib, x @ (np.swapaxes(x, -1, -2) if lib is np else x.mT), 1.0)


def of(make, f, reference, name, shapes, grad=2, second=None, **options):
    """A row for f(lib, make(x), ...) with small random x."""
    op(
        name,
        lapack(lambda x, *more: reference(make(np, x), *more)),
        lambda r: [S(r(*s, low=-1, high=1), *([r(*second(s))] if second else [])) for s in shapes],
        function=lambda lib, x, *more: f(lib, make(lib, x), *more),
        dtypes=SINGLE,
        grad=grad,
        levels=False,
        slack=8.0,
        **options,
    )


SQUARE = ((1, 1), (4, 4), (2, 3, 3), (7, 7))
of(regular, lambda lib, a: lib.linalg.inv(a), np.linalg.inv, "linalg.inv", SQUARE)
of(regular, lambda lib, a: lib.linalg.det(a), np.linalg.det, "linalg.det", SQUARE)
of(
    regular,
    lambda lib, a: tuple(lib.linalg.slogdet(a)),
    lambda a: tuple(np.linalg.slogdet(a)),
    "linalg.slogdet",
    SQUARE,
)
of(
    regular,
    lambda lib, a, b: lib.linalg.solve(a, b),
    np.linalg.solve,
    "linalg.solve",
    SQUARE,
    second=lambda s: (*s[:-1], 2),
)
of(
    regular,
    lambda lib, a, b: lib.linalg.solve_triangular(a, b, upper=True),
    lambda a, b: np.linalg.solve(np.triu(a), b),
    "linalg.solve_triangular",
    SQUARE,
    second=lambda s: (*s[:-1], 3),
)
of(positive, lambda lib, a: lib.linalg.cholesky(a), np.linalg.cholesky, "linalg.cholesky", SQUARE)
of(
    positive,
    lambda lib, a, b: lib.cholesky_solve(b, lib.linalg.cholesky(a)),
    np.linalg.solve,
    "cholesky_solve",
    SQUARE,
    second=lambda s: (*s[:-1], 2),
)
of(lambda lib, x: x, lambda lib, a: lib.linalg.pinv(a), np.linalg.pinv, "linalg.pinv", ((5, 3), (3, 5), (2, 4, 3)))
of(
    lambda lib, x: x,
    lambda lib, a, b: lib.linalg.lstsq(a, b)[0],
    lambda a, b: np.linalg.pinv(a) @ b,
    "linalg.lstsq",
    ((5, 3), (3, 5)),
    second=lambda s: (s[0], 2),
)
of(
    regular,
    lambda lib, a: tuple(lib.linalg.lu(a))[1:],
    lambda a: plain_lu(a),
    "linalg.lu",
    ((1, 1), (4, 4), (2, 3, 3)),
)


def plain_lu(a):
    """L and U of matrices whose diagonal dominates, so that no rows are exchanged."""
    l, u = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape).copy(), a.copy()
    for k in range(a.shape[-1] - 1):
        l[..., k + 1 :, k] = u[..., k + 1 :, k] / u[..., k, k, None]
        u[..., k + 1 :, :] -= l[..., k + 1 :, k, None] * u[..., k, None, :]
    return l, np.triu(u)


# --- orthogonal factorizations: what does not depend on the signs of their vectors ---


def symmetric(lib, x):
    """Distinct eigenvalues: 0, 3, 6, ... on the diagonal."""
    n = x.shape[-1]
    steps = np.diag(np.arange(n) * 3.0).astype(x.dtype) if lib is np else lib.diag(lib.arange(n, dtype=x.dtype) * 3.0)
    return 0.25 * (x + (np.swapaxes(x, -1, -2) if lib is np else x.mT)) + steps


def eigen(lib):
    def f(lib_, a):
        w, v = lib_.linalg.eigh(a)
        return w, v * v

    return f


of(symmetric, eigen(None), lambda a: (lambda w, v: (w, v * v))(*np.linalg.eigh(a)), "linalg.eigh", SQUARE)
of(symmetric, lambda lib, a: lib.linalg.eigvalsh(a), np.linalg.eigvalsh, "linalg.eigvalsh", SQUARE)


def stretched(lib, x):
    """Distinct singular values."""
    m, n = x.shape[-2:]
    steps = np.eye(m, n) * np.arange(1, n + 1) * 3
    return 0.25 * x + (steps.astype(x.dtype) if lib is np else lib.tensor(steps.tolist(), dtype=x.dtype))


def decomposed(svd):
    def f(*args):
        u, s, vh = svd(*args)
        return u * u, s, vh * vh

    return f


RECTANGLES = ((4, 4), (5, 3), (3, 5), (2, 4, 3))
of(
    stretched,
    decomposed(lambda lib, a: lib.linalg.svd(a, full_matrices=False)),
    decomposed(lambda a: np.linalg.svd(a, full_matrices=False)),
    "linalg.svd",
    RECTANGLES,
)
of(
    stretched,
    lambda lib, a: lib.linalg.svdvals(a),
    lambda a: np.linalg.svd(a, compute_uv=False),
    "linalg.svdvals",
    RECTANGLES,
)
of(
    stretched,
    lambda lib, a: (lambda q, r: (q * q, r * r))(*lib.linalg.qr(a)),
    lambda a: (lambda q, r: (q * q, r * r))(*np.linalg.qr(a)),
    "linalg.qr",
    RECTANGLES,
)

# --- norms and functions ---


def exponential(a):
    out = term = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    for k in range(1, 30):
        term = term @ a / k
        out = out + term
    return out


of(lambda lib, x: x, lambda lib, a: lib.linalg.matrix_exp(a), exponential, "linalg.matrix_exp", SQUARE)
for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
    of(
        stretched,
        lambda lib, a, order=order: lib.linalg.matrix_norm(a, order),
        lambda a, order=order: np.linalg.norm(a, order, (-2, -1)),
        f"linalg.matrix_norm {order}",
        ((4, 4), (2, 3, 5)),
        grad=1,
    )
for order in (0.5, 1, 2, 3, np.inf):
    op(
        f"linalg.vector_norm {order}",
        lambda x, dim=None, order=order: (
            np.max(np.abs(x), axis=dim)
            if order == np.inf
            else np.sum(np.abs(x) ** x.dtype.type(order), axis=dim) ** x.dtype.type(1 / order)
        ),
        lambda r: [S(r(7)), S(r(3, 65), dim=1), S(r(2, 3, 5), dim=(0, 2))],
        function=lambda lib, x, dim=None, order=order: lib.linalg.vector_norm(x, order, dim),
        dtypes=SINGLE,
        grad=1,
    )
op("linalg.vecdot", lambda a, b: (a * b).sum(-1), lambda r: [S(r(7), r(7)), S(r(3, 65), r(65))], dtypes=SINGLE, grad=2)
op("linalg.vander", lambda x, N=None: x[..., None] ** np.arange(x.shape[-1] if N is None else N), lambda r: [S(r(5, low=0.5)), S(r(2, 3, low=0.5), N=4)],
   dtypes=SINGLE, grad=1)  # fmt: skip

# --- factors as LAPACK keeps them ---


def swapped(x):
    return np.swapaxes(x, -1, -2)


of(
    stretched,
    lambda lib, a: lib.geqrf(a)[0].triu() ** 2,
    lambda a: np.linalg.qr(a, "complete")[1] ** 2,
    "geqrf",
    RECTANGLES,
    grad=0,
)
of(
    stretched,
    lambda lib, a, c: lib.ormqr(*lib.geqrf(a), c),
    lambda a, c: np.linalg.qr(a)[0] @ c,
    "ormqr",
    SQUARE,
    grad=0,
    second=lambda s: (*s[:-1], 2),
)
of(
    stretched,
    lambda lib, a, c: lib.ormqr(*lib.geqrf(a), c, left=False, transpose=True),
    lambda a, c: c @ swapped(np.linalg.qr(a)[0]),
    "ormqr from the right",
    SQUARE,
    grad=0,
    second=lambda s: (*s[:-2], 2, s[-1]),
)


def indefinite(lib, x):
    """Symmetric, with eigenvalues of both signs and a diagonal that asks for pivots of two rows."""
    n = x.shape[-1]
    steps = [[3.0 * (i + j == n - 1) for j in range(n)] for i in range(n)]
    steps = np.array(steps).astype(x.dtype) if lib is np else lib.tensor(steps, dtype=x.dtype, device=x.device)
    return 0.1 * (x + (swapped(x) if lib is np else x.mT)) + steps


of(
    indefinite,
    lambda lib, a, b: lib.linalg.ldl_solve(*lib.linalg.ldl_factor(a), b),
    np.linalg.solve,
    "linalg.ldl_solve",
    SQUARE,
    grad=0,
    second=lambda s: (*s[:-1], 2),
)
of(
    indefinite,
    lambda lib, a: lib.linalg.ldl_solve(*lib.linalg.ldl_factor(a), lib.eye(a.shape[-1], dtype=a.dtype).expand(a.shape)),
    np.linalg.inv,
    "linalg.ldl_factor",
    SQUARE,
    grad=0,
)
of(
    symmetric,
    lambda lib, a: lib.lobpcg(a, X=lib.ones((*a.shape[:-1], 1), dtype=a.dtype, device=a.device), niter=200)[0],
    lambda a: np.linalg.eigvalsh(a)[..., -1:],
    "lobpcg",
    ((4, 4), (2, 5, 5), (9, 9)),
    grad=0,
)
