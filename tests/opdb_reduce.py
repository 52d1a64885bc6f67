"""Rows of reductions, scans and sorting."""

import numpy as np
from opdb_row import ALL, REAL, Bench, S, op

SHAPES = ((), (1,), (7,), (65,), (129,), (3, 129), (129, 3), (2, 3, 5), (4, 65, 3), (33, 1, 7))
EMPTY = ((0,), (3, 0, 2))


def dims_of(shape):
    """Dimensions to reduce: none given, each one, a pair."""
    return [None, *range(len(shape)), *([(0, -1)] if len(shape) > 1 else [])]


def over(values=None, empty=True, tuples=True, keepdim=True):
    """Samples (x), (x, dim=...) and one with keepdim."""

    def samples(r):
        out = []
        for s in SHAPES + (EMPTY if empty else ()):
            for dim in dims_of(s):
                if dim is None:
                    out.append(S((values or type(r).__call__)(r, *s)))
                elif tuples or not isinstance(dim, tuple):
                    out.append(S((values or type(r).__call__)(r, *s), dim=dim))
        return [*out, S((values or type(r).__call__)(r, 3, 65), dim=1, keepdim=True)] if keepdim else out

    return samples


def along(values=None, **kwargs):
    """Samples (x, dim) of ops that need a dimension."""
    return lambda r: [
        S((values or type(r).__call__)(r, *s), dim, **kwargs) for s in SHAPES[1:] for dim in range(-1, len(s) - 1)
    ]


def distinct(r, *shape):
    return r.distinct(*shape)


def wide(x):
    """Integers sum and multiply in int64."""
    return x.astype(np.int64) if x.dtype.kind in "iub" else x


def reduction(f):
    return lambda x, dim=None, keepdim=False: f(x, axis=dim, keepdims=keepdim)


def spread(power):
    def f(x, dim=None, correction=1, keepdim=False):
        n = x.size if dim is None else np.prod([x.shape[d] for d in np.atleast_1d(dim)])
        mean = np.mean(x, axis=dim, keepdims=True)
        v = np.sum((x - mean) ** 2, axis=dim, keepdims=keepdim) / max(n - correction, 0)
        return v**power if power != 1 else v

    return f


def logsumexp(x, dim, keepdim=False):
    m = np.max(x, axis=dim, keepdims=True)
    return np.log(np.sum(np.exp(x - m), axis=dim, keepdims=keepdim)) + (m if keepdim else np.squeeze(m, dim))


def extreme(f, argf):
    def g(x, dim, keepdim=False):
        return f(x, axis=dim, keepdims=keepdim), argf(x, axis=dim, keepdims=keepdim)

    return g


def matrix(dim, n=4096):
    return Bench(f"{n}x{n} dim={dim}", lambda r: S(r(n, n)) if dim is None else S(r(n, n), dim=dim), nbytes=4.0 * n * n)


op(
    "sum",
    reduction(lambda x, **k: np.sum(wide(x), **k)),
    over(),
    dtypes=ALL,
    grad=2,
    bench=[matrix(0), matrix(1), matrix(None)],
)
op("mean", reduction(np.mean), over(empty=False), grad=2)
op(
    "prod",
    lambda x, dim=None, keepdim=False: np.prod(wide(x), axis=dim, keepdims=keepdim),
    over(lambda r, *s: r(*s, low=0.8, high=1.2), tuples=False),
    dtypes=("float32", "float64", "int64"),
    grad=2,
)
op("amax", reduction(np.max), over(distinct, empty=False), dtypes=REAL[:6], grad=1, bench=[matrix(1)])
op("amin", reduction(np.min), over(distinct, empty=False), dtypes=REAL[:6], grad=1)
for name in ("max", "min"):
    op(
        name,
        extreme(getattr(np, name), getattr(np, f"arg{name}")),
        along(distinct),
        dtypes=("float32", "float64", "bfloat16", "int64", "int32"),
        grad=1,
    )
    op(
        f"arg{name}",
        reduction(getattr(np, f"arg{name}")),
        over(distinct, empty=False, tuples=False),
        dtypes=("float32", "float64", "bfloat16", "int64", "int32"),
    )
op(
    "var",
    spread(1),
    lambda r: [s for s in over(empty=False)(r) if _count(s) > 1] + [S(r(7, 65), dim=1, correction=0)],
    grad=2,
)
op(
    "std",
    spread(0.5),
    lambda r: [s for s in over(empty=False)(r) if _count(s) > 1] + [S(r(7, 65), dim=0, correction=0)],
    grad=2,
)
op("logsumexp", logsumexp, lambda r: [*along()(r), S(r(3, 65), 1, keepdim=True)], grad=2)
op(
    "any",
    reduction(np.any),
    over(lambda r, *s: np.rint(r(*s, low=-1, high=0.6))),
    dtypes=tuple(d for d in ALL if d != "uint8"),
)
op(
    "all",
    reduction(np.all),
    over(lambda r, *s: np.rint(r(*s, low=0, high=2))),
    dtypes=tuple(d for d in ALL if d != "uint8"),
)
op(
    "cumsum",
    lambda x, dim: np.cumsum(wide(x), axis=dim),
    along(),
    dtypes=("float32", "float64", "bfloat16", "int64", "int32"),
    grad=2,
)
op(
    "sort",
    lambda x, dim=-1, descending=False: (lambda i: (np.take_along_axis(x, i, dim), i))(
        np.argsort(-x if descending else x, axis=dim, kind="stable")
    ),
    lambda r: [*along(distinct)(r), S(r.distinct(3, 65), dim=1, descending=True)],
    dtypes=("float32", "float64", "int64"),
    grad=1,
)
op(
    "argsort",
    lambda x, dim=-1, descending=False: np.argsort(-x if descending else x, axis=dim, kind="stable"),
    lambda r: [S(r.distinct(7)), S(r.distinct(3, 65), dim=0), S(r.distinct(3, 65), descending=True)],
    dtypes=("float32", "float64", "int64"),
)
op(
    "topk",
    lambda x, k, dim=-1, largest=True: (lambda i: (np.take_along_axis(x, i, dim), i))(
        np.take(np.argsort(-x if largest else x, axis=dim, kind="stable"), np.arange(k), axis=dim)
    ),
    lambda r: [
        S(r.distinct(7), 3),
        S(r.distinct(3, 65), 5),
        S(r.distinct(65, 3), 4, dim=0),
        S(r.distinct(3, 65), 65, largest=False),
    ],
    dtypes=("float32", "float64", "int64"),
    grad=1,
)
op(
    "norm",
    lambda x, p=2, dim=None, keepdim=False: np.sum(np.abs(x) ** p, axis=dim, keepdims=keepdim) ** (x.dtype.type(1) / p),
    lambda r: [S(r(7)), S(r(3, 65)), S(r(3, 65), dim=1), S(r(3, 65), p=1), S(r(2, 3, 5), dim=(0, 2), keepdim=True)],
    grad=1,
)


def _count(sample):
    x, dim = sample.args[0], sample.kwargs.get("dim")
    return x.size if dim is None else np.prod([x.shape[d] for d in np.atleast_1d(dim)])
