"""Rows of scans, order statistics, distinct values, searches and statistics."""

import numpy as np
from opdb_row import REAL, S, op

SINGLE = ("float32", "float64")
MIXED = ("float32", "float64", "int64")
SHAPES = ((1,), (7,), (65,), (3, 129), (129, 3), (2, 3, 5))


def along(values=None, **kwargs):
    return lambda r: [
        S((values or type(r).__call__)(r, *s), dim, **kwargs) for s in SHAPES for dim in range(-1, len(s) - 1)
    ]


def near_one(r, *shape):
    return r(*shape, low=0.7, high=1.3)


def distinct(r, *shape):
    return r.distinct(*shape)


def wide(x):
    return x.astype(np.int64) if x.dtype.kind in "iub" else x


def picked(x, index, dim, keepdim=False):
    index = np.expand_dims(index, dim)
    values = np.take_along_axis(x, index, dim)
    return (values, index) if keepdim else (np.squeeze(values, dim), np.squeeze(index, dim))


# --- scans ---


def running(ufunc):
    def f(x, dim):
        values = ufunc.accumulate(x, dim)
        places = np.arange(x.shape[dim]).reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
        return values, np.maximum.accumulate(np.where(x == values, places, 0), dim)

    return f


op(
    "cumprod",
    lambda x, dim: np.cumprod(wide(x), dim),
    along(near_one),
    dtypes=("float32", "float64", "bfloat16", "int64"),
    grad=2,
)
op(
    "cumprod zeros",
    lambda x, dim: np.cumprod(x, dim),
    lambda r: [S(np.where(np.arange(7) == 3, 0.0, r(7)), 0), S(np.where(np.arange(7) % 3 == 1, 0.0, r(3, 7)), 1)],
    function="cumprod",
    dtypes=SINGLE,
    grad=1,
)
op(
    "logcumsumexp",
    lambda x, dim: np.logaddexp.accumulate(x, dim),
    along(),
    dtypes=("float32", "float64", "bfloat16"),
    grad=1,
)
for name, ufunc in (("cummax", np.maximum), ("cummin", np.minimum)):
    op(name, running(ufunc), along(distinct), dtypes=("float32", "float64", "bfloat16", "int64", "uint8"), grad=1)
op(
    "diff",
    lambda x, n=1, dim=-1: np.diff(x, n, dim),
    lambda r: [S(r(7)), S(r(3, 65), 2), S(r(3, 5), dim=0)],
    dtypes=REAL,
    grad=2,
)
op(
    "trapezoid",
    lambda y, dim=-1: np.trapezoid(y, axis=dim),
    lambda r: [S(r(7)), S(r(3, 65)), S(r(3, 65), dim=0)],
    grad=2,
    dtypes=SINGLE,
)
op(
    "cumulative_trapezoid",
    lambda y: np.cumsum((y[..., 1:] + y[..., :-1]) / 2, -1),
    lambda r: [S(r(7)), S(r(3, 65))],
    grad=2,
    dtypes=SINGLE,
)
op("gradient", lambda x, dim, edge_order: [np.gradient(x, axis=dim, edge_order=edge_order)],
   lambda r: [S(r(7), dim=0, edge_order=1), S(r(5, 65), dim=1, edge_order=2)], grad=2, dtypes=SINGLE)  # fmt: skip

# --- order statistics ---

op(
    "kthvalue",
    lambda x, k, dim=-1: picked(x, np.take(np.argsort(x, dim, kind="stable"), k - 1, dim), dim),
    lambda r: [S(r.distinct(7), 3), S(r.distinct(3, 65), 5, dim=0 - 1), S(r.distinct(5, 7), 1, dim=0)],
    dtypes=MIXED,
    grad=1,
)


def most_frequent(x, dim):
    def one(row):
        values, counts = np.unique(row, return_counts=True)
        value = values[np.argmax(counts)]
        return np.flatnonzero(row == value)[-1]

    return picked(x, np.apply_along_axis(one, dim, x), dim)


op("mode", most_frequent, lambda r: [S(np.rint(r(9)), 0), S(np.rint(r(5, 9)), 1), S(np.rint(r(9, 5)), 0)], dtypes=MIXED)
op(
    "mode distinct",
    most_frequent,
    lambda r: [S(r.distinct(9), 0), S(r.distinct(5, 9), 1)],
    function="mode",
    dtypes=MIXED,
    grad=1,
)
op("nanmedian", lambda x: np.nanquantile(x, 0.5, method="lower").astype(x.dtype),
   lambda r: [S(np.where(r.bools(65), np.nan, r.distinct(65))), S(r.distinct(7))], dtypes=SINGLE)  # fmt: skip


def quantile(f):
    def g(x, q, dim=None, interpolation="linear"):
        return np.asarray(f(x.astype(np.float64), q.astype(np.float64), axis=dim, method=interpolation)).astype(x.dtype)

    return g


QUANTILES = np.array([0.0, 0.25, 0.6, 1.0])
op(
    "quantile",
    quantile(np.quantile),
    lambda r: [
        S(r.distinct(65), QUANTILES),
        S(r.distinct(5, 65), np.array(0.3), dim=1),
        *(
            S(r.distinct(65, 4), QUANTILES, dim=0, interpolation=m)
            for m in ("linear", "lower", "higher", "midpoint", "nearest")
        ),
    ],
    dtypes=SINGLE,
    grad=1,
    nograd=(1,),
    slack=4.0,
)
op(
    "nanquantile",
    quantile(np.nanquantile),
    lambda r: [S(np.where(r.bools(65), np.nan, r.distinct(65)), QUANTILES)],
    dtypes=SINGLE,
    slack=4.0,
)

# --- distinct values, searches ---

op(
    "unique",
    lambda x, return_inverse=False, return_counts=False: np.unique(
        x, return_inverse=return_inverse, return_counts=return_counts
    ),
    lambda r: [S(np.rint(r(65))), S(np.rint(r(7, 5)), return_inverse=True, return_counts=True), S(r(0))],
    dtypes=MIXED,
)
op("unique dim", lambda x, dim: np.unique(x, axis=dim), lambda r: [S(np.rint(r(9, 2, low=0, high=2)), dim=0), S(np.rint(r(2, 9, low=0, high=2)), dim=1)],
   function="unique", dtypes=MIXED)  # fmt: skip


def runs(x, return_counts=False):
    flat = x.reshape(-1)
    starts = np.concatenate([[True], flat[1:] != flat[:-1]])[: flat.size]
    counts = np.diff(np.append(np.flatnonzero(starts), flat.size))
    return (flat[starts], counts) if return_counts else flat[starts]


op(
    "unique_consecutive",
    runs,
    lambda r: [S(np.rint(r(65, low=0, high=2))), S(np.rint(r(5, 7, low=0, high=2)), return_counts=True)],
    dtypes=MIXED,
)
op(
    "searchsorted",
    lambda s, v, right=False: (
        np.searchsorted(s, v, "right" if right else "left")
        if s.ndim == 1
        else np.stack([np.searchsorted(a, b, "right" if right else "left") for a, b in zip(s, v)])
    ),
    lambda r: [
        S(np.sort(np.rint(r(65))), np.rint(r(3, 7))),
        S(np.sort(np.rint(r(65))), np.rint(r(129)), right=True),
        S(np.sort(np.rint(r(3, 9))), np.rint(r(3, 5))),
        S(r(0), r(5)),
    ],
    dtypes=MIXED,
)
op("bucketize", lambda v, s, right=False: np.searchsorted(s, v, "right" if right else "left"),
   lambda r: [S(r(3, 65), np.sort(r(9))), S(np.rint(r(65)), np.arange(-2.0, 3.0), right=True)], dtypes=MIXED)  # fmt: skip
op("isin", lambda x, t, invert=False: np.isin(x, t, invert=invert), lambda r: [S(np.rint(r(5, 7)), np.rint(r(3))), S(np.rint(r(65)), np.rint(r(4)), invert=True)],
   dtypes=REAL)  # fmt: skip

# --- counts ---


def counted(x, weights=None, minlength=0):
    weights = np.ones(x.shape, np.int64) if weights is None else weights
    out = np.zeros(max([minlength, *(x + 1)]), weights.dtype)
    np.add.at(out, x, weights)
    return out


op("bincount", counted,
   lambda r: [S(r.ints(65, high=9)), S(r.ints(65, high=9), minlength=20), S(r.ints(65, high=9), r(65)), S(r.ints(0, high=1))],
   dtypes=("float64",))  # fmt: skip
op("histc", lambda x, bins=100, min=0, max=0: np.histogram(x, bins, (min, max))[0].astype(x.dtype),
   lambda r: [S(r(65, low=-2, high=2) + 1e-3, bins=8, min=-2, max=2)], dtypes=SINGLE)  # fmt: skip

# --- sums, means, covariances ---

HOLES = lambda r, *s: np.where(r.bools(*s), np.nan, r(*s))
for name, f in (("nansum", np.nansum), ("nanmean", np.nanmean)):
    op(
        name,
        lambda x, dim=None, f=f: f(x, axis=dim),
        lambda r: [S(HOLES(r, 65)), S(HOLES(r, 9, 65), dim=1)],
        dtypes=SINGLE,
        grad=1,
    )
op(
    "aminmax",
    lambda x, dim=None: (x.min(dim), x.max(dim)),
    lambda r: [S(r.distinct(65)), S(r.distinct(3, 65), dim=1)],
    dtypes=MIXED,
    grad=1,
)
op(
    "dist",
    lambda a, b, p=2: np.sum(np.abs(a - b) ** p) ** (a.dtype.type(1) / p),
    lambda r: [S(r(65), r(65)), S(r(3, 7), r(7), 3)],
    grad=1,
    dtypes=SINGLE,
)
op(
    "cov",
    lambda x, correction=1: np.cov(x, ddof=correction),
    lambda r: [S(r(3, 65)), S(r(4, 9), correction=0), S(r(65))],
    grad=2,
    dtypes=SINGLE,
)
op("corrcoef", np.corrcoef, lambda r: [S(r(3, 65)), S(r(2, 9))], grad=1, dtypes=SINGLE)
op("cdist", lambda a, b, p=2.0: (np.abs(a[..., :, None, :] - b[..., None, :, :]) ** p).sum(-1) ** (a.dtype.type(1) / p),
   lambda r: [S(r(5, 3), r(7, 3)), S(r(2, 5, 3), r(2, 4, 3), p=1), S(r(3, 5, 3), r(7, 3), p=3)], grad=1, dtypes=SINGLE)  # fmt: skip
op("renorm", lambda x, p, dim, maxnorm: x * np.minimum(1, maxnorm / (np.sqrt((x**2).sum(axis=1 - dim, keepdims=True)) + 1e-7)),
   lambda r: [S(r(5, 7), 2, 0, 3.0), S(r(5, 7), 2, 1, 3.0)], grad=1, dtypes=SINGLE)  # fmt: skip
