"""Rows of what takes from and puts to places, and of what stacks, cuts and turns."""

import numpy as np
from opdb_row import REAL, S, op
from opdb_shape import moved, permutation, view

SINGLE = ("float32", "float64")
MIXED = ("float32", "float64", "int64")


def places(index, dim):
    where = [np.arange(n).reshape([-1 if i == d else 1 for i in range(index.ndim)]) for d, n in enumerate(index.shape)]
    where[dim] = index
    return tuple(where)


def scatter_reduce(x, dim, index, src, reduce, include_self=True):
    out, src = x.copy(), src[tuple(map(slice, index.shape))]
    at = places(index, dim)
    start = {"sum": 0, "mean": 0, "prod": 1, "amax": -np.inf, "amin": np.inf}[reduce]
    if not include_self:
        out[at] = (
            start
            if np.isfinite(start)
            else (np.finfo if x.dtype.kind == "f" else np.iinfo)(x.dtype).__getattribute__(
                "min" if start < 0 else "max"
            )
        )
    {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[reduce].at(
        out, at, src
    )
    if reduce == "mean":
        count = np.ones(x.shape, np.int64)
        if not include_self:
            count[at] = 0
        np.add.at(count, at, 1)
        out = out / np.maximum(count, 1).astype(x.dtype) if x.dtype.kind == "f" else out // np.maximum(count, 1)
    return out


def scatter_samples(r, reduce):
    values = r.distinct if reduce in ("amax", "amin") else lambda *s: r(*s, low=0.5, high=1.5)
    shapes = (((7,), 0, (20,)), ((5, 65), 1, (4, 90)), ((9, 3), 0, (15, 2)))
    out = []
    for shape, dim, many in shapes:
        both = values(int(np.prod(shape)) + int(np.prod(many)))
        x, src = both[: int(np.prod(shape))].reshape(shape), both[int(np.prod(shape)) :].reshape(many)
        for include_self in (True, False):
            out.append(S(x, dim, r.ints(*many, high=shape[dim]), src, reduce, include_self=include_self))
    return out


for reduce in ("sum", "prod", "mean", "amax", "amin"):
    op(
        f"scatter_reduce {reduce}",
        scatter_reduce,
        lambda r, reduce=reduce: scatter_samples(r, reduce),
        function="scatter_reduce",
        dtypes=("float32", "float64", *(() if reduce in ("prod", "mean") else ("int64",))),
        grad=2 if reduce in ("sum", "mean") else 1,
    )
op(
    "scatter_reduce zeros",
    scatter_reduce,
    lambda r: [
        S(np.array([1.5, 0.0, 2.0]), 0, np.array([0, 0, 1, 2, 2]), np.array([0.0, 2.0, 3.0, 0.0, 0.0]), "prod"),
    ],
    function="scatter_reduce",
    dtypes=SINGLE,
    grad=1,
)


def index_reduce(x, dim, index, source, reduce, include_self=True):
    shape = [1] * x.ndim
    shape[dim] = -1
    wide = np.broadcast_to(index.reshape(shape), source.shape)
    return scatter_reduce(x, dim, wide, source, reduce, include_self)


op(
    "index_reduce",
    index_reduce,
    lambda r: [S(r.distinct(5, 7), 1, r.ints(9, high=7), r.distinct(5, 9) + 0.5, m) for m in ("amax", "amin", "mean")],
    dtypes=SINGLE,
    grad=1,
)


def put_along(x, dim, index, values):
    out = x.copy()
    np.moveaxis(out, dim, 0)[index] = np.moveaxis(values, dim, 0) if np.ndim(values) else values
    return out


moved(
    "index_copy",
    put_along,
    lambda r: [S(r(7, 5), 0, permutation(r, 7)[:3], r(3, 5)), S(r(5, 7), 1, permutation(r, 7)[:4], r(5, 4))],
)
moved(
    "index_fill", put_along, lambda r: [S(r(7, 5), 0, np.array([0, 3]), 2.0), S(r(5, 7), 1, np.array([6, 1, 1]), 1.0)]
)
moved(
    "take",
    lambda x, i: x.reshape(-1)[i],
    lambda r: [S(r(7, 5), r.ints(2, 3, low=-35, high=35)), S(r(7), r.ints(0, high=7))],
)


def put(x, index, source, accumulate=False):
    out = x.copy().reshape(-1)
    if accumulate:
        np.add.at(out, index, source)
    else:
        out[index] = source
    return out.reshape(x.shape)


op(
    "put",
    put,
    lambda r: [S(r(7, 5), permutation(r, 35)[:6], r(6)), S(r(7, 5), r.ints(9, high=35), r(9), accumulate=True)],
    dtypes=MIXED,
    grad=2,
)


def masked_scatter(x, mask, source):
    out = np.array(np.broadcast_to(x, np.broadcast_shapes(x.shape, mask.shape)))
    mask = np.broadcast_to(mask, out.shape)
    out[mask] = source.reshape(-1)[: mask.sum()]
    return out


moved("masked_scatter", masked_scatter, lambda r: [S(r(65), r.bools(65), r(70)), S(r(3, 7), r.bools(7), r(21))])


def replaced(x, place, src):
    out = x.copy()
    out[place] = src
    return out


def segments(x, lengths, axis, over):
    if axis:
        return np.stack([segments(row, n, axis - 1, over) for row, n in zip(x, lengths)])
    return over.reduceat(x, np.concatenate([[0], np.cumsum(lengths)[:-1]]), axis=0)


moved(
    "select_scatter",
    lambda x, src, dim, i: replaced(x, (slice(None),) * dim + (i,), src),
    lambda r: [S(r(7, 5), r(5), 0, 2), S(r(7, 5), r(7), 1, -1)],
)
moved(
    "slice_scatter",
    lambda x, src, dim=0, start=None, end=None, step=1: replaced(
        x, (slice(None),) * dim + (slice(start, end, step),), src
    ),
    lambda r: [S(r(7, 5), r(3, 5), 0, 1, 7, 2), S(r(7, 5), r(7, 2), 1, 3)],
)
for reduce, over in (("sum", np.add), ("prod", np.multiply), ("max", np.maximum), ("min", np.minimum)):
    op(
        f"segment_reduce {reduce}",
        lambda x, lengths, axis=0, over=over: segments(x, lengths, axis, over),
        lambda r: [
            S(r(7), np.array([2, 4, 1])),
            S(r(7, 3), np.array([3, 4])),
            S(r(2, 5), np.array([[2, 3], [1, 4]]), axis=1),
        ],
        function=lambda lib, x, lengths, axis=0, reduce=reduce: lib.segment_reduce(
            x, reduce, lengths=lengths, axis=axis
        ),
        dtypes=("float32", "float64"),
        grad=1,
    )
op(
    "nonzero_static",
    lambda x, size, fill_value=-1: np.concatenate([np.argwhere(x), np.full((size, x.ndim), fill_value)])[:size],
    lambda r: [S(r.bools(7), size=9), S(r.bools(3, 5), size=2, fill_value=4)],
)
op(
    "tril_indices",
    lambda n, m, offset=0: np.stack(np.tril_indices(n, offset, m)),
    lambda r: [S(5, 7), S(4, 4, offset=1), S(3, 5, offset=-2)],
    dtypes=("float32",),
)
op(
    "triu_indices",
    lambda n, m, offset=0: np.stack(np.triu_indices(n, offset, m)),
    lambda r: [S(5, 7), S(4, 4, offset=1), S(3, 5, offset=-2)],
    dtypes=("float32",),
)
op(
    "unravel_index",
    np.unravel_index,
    lambda r: [S(r.ints(9, high=35), (7, 5)), S(r.ints(2, 3, high=30), (2, 3, 5))],
    dtypes=("float32",),
)
op("argwhere", np.argwhere, lambda r: [S(np.rint(r(65))), S(np.rint(r(3, 7)))], dtypes=MIXED)

# --- stacking, cutting, turning ---

for name, f in (("hstack", np.hstack), ("vstack", np.vstack), ("dstack", np.dstack), ("column_stack", np.column_stack)):
    moved(name, lambda xs, f=f: f(xs), lambda r: [S([r(3, 5), r(3, 5)]), S([r(7), r(7)])])
moved(
    "block_diag",
    lambda *xs: np.block([[np.atleast_2d(x) if i == j else np.zeros((np.atleast_2d(x).shape[0], np.atleast_2d(y).shape[1]), x.dtype)
                           for j, y in enumerate(xs)] for i, x in enumerate(xs)]),
    lambda r: [S(r(2, 3), r(5), r(1, 1)), S(r(3))],
)  # fmt: skip
for n, f in ((1, np.atleast_1d), (2, np.atleast_2d), (3, np.atleast_3d)):
    moved(f"atleast_{n}d", f, lambda r: [S(r()), S(r(7)), S(r(3, 5)), S(r(2, 3, 5))], levels=False)
view("meshgrid", lambda *xs, indexing="ij": tuple(np.meshgrid(*xs, indexing=indexing)), lambda r: [S(r(7))])
moved("meshgrid 3", lambda *xs, indexing="ij": tuple(np.meshgrid(*xs, indexing=indexing)),
      lambda r: [S(r(3), r(5), indexing=i) for i in ("ij", "xy")] + [S(r(2), r(3), r(4), indexing="xy")], function="meshgrid")  # fmt: skip
moved("broadcast_tensors", lambda *xs: tuple(np.broadcast_arrays(*xs)), lambda r: [S(r(3, 1), r(5))])
moved(
    "cartesian_prod",
    lambda *xs: np.stack([g.reshape(-1) for g in np.meshgrid(*xs, indexing="ij")], 1),
    lambda r: [S(r(3), r(5)), S(r(2), r(3), r(4))],
)


def chosen(x, n=2, with_replacement=False):
    import itertools

    f = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    return np.array(list(f(x, n)), x.dtype).reshape(-1, n)


moved("combinations", chosen, lambda r: [S(r(5)), S(r(4), 3), S(r(4), 2, with_replacement=True)])
view(
    "tensor_split",
    lambda x, n, dim=0: tuple(np.array_split(x, n, dim)),
    lambda r: [S(r(7), 3), S(r(13), 12), S(r(3, 9), [2, 5], dim=1), S(r(7), [5, 2])],
)
view("hsplit", np.hsplit, lambda r: [S(r(6), 3), S(r(3, 8), 2)])
view("vsplit", np.vsplit, lambda r: [S(r(6, 2), 3)])
view("dsplit", np.dsplit, lambda r: [S(r(2, 3, 6), 3)])
view("ravel", np.ravel, lambda r: [S(r(7))])
moved("fliplr", np.fliplr, lambda r: [S(r(3, 5))])
moved("flipud", np.flipud, lambda r: [S(r(3, 5)), S(r(7))])
moved(
    "rot90",
    lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims),
    lambda r: [S(r(3, 5), k) for k in (-1, 1, 2, 3, 4)] + [S(r(2, 3, 5), 1, (1, 2))],
)
moved("diag", np.diag, lambda r: [S(r(7)), S(r(5), 2), S(r(5, 7)), S(r(5, 7), -1)])
moved("diagflat", np.diagflat, lambda r: [S(r(2, 3)), S(r(5), -1)])


def diag_embed(x, offset=0, dim1=-2, dim2=-1):
    n = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], n, n), x.dtype)
    i = np.arange(x.shape[-1])
    out[..., i + max(-offset, 0), i + max(offset, 0)] = x
    return np.moveaxis(out, (-2, -1), (dim1, dim2))


moved("diag_embed", diag_embed, lambda r: [S(r(7)), S(r(3, 5), 1), S(r(3, 5), -2, 0, 2)])


def diagonal_scatter(x, src, offset=0):
    out = x.copy()
    i = np.arange(len(src))
    out[i + max(-offset, 0), i + max(offset, 0)] = src
    return out


moved("diagonal_scatter", diagonal_scatter, lambda r: [S(r(5, 7), r(5)), S(r(5, 7), r(5), 1), S(r(5, 7), r(4), -1)])
op(
    "vander",
    lambda x, N=None, increasing=False: np.vander(x, N, increasing),
    lambda r: [S(r(5)), S(r(5), 3), S(r(4), 3, increasing=True)],
    dtypes=MIXED,
    grad=1,
)
moved("as_strided", lambda x, size, stride, offset=0: np.lib.stride_tricks.as_strided(
    x[offset:], size, [s * x.itemsize for s in stride]).copy(), lambda r: [S(np.ascontiguousarray(r(12)), (3, 2), (4, 1), 1), S(r(12), (4, 5), (2, 1))],
    function=lambda lib, x, *a: lib.as_strided(x.contiguous(), *a))  # fmt: skip


def as_strided_scatter(x, src, size, stride, offset=0):
    out = x.copy()
    np.lib.stride_tricks.as_strided(out[offset:], size, [s * x.itemsize for s in stride])[...] = src
    return out


moved("as_strided_scatter", as_strided_scatter,
      lambda r: [S(r(12), r(3, 2), (3, 2), (4, 1), 1), S(r(7), r(3), (3,), (2,))],
      function=lambda lib, x, *a: lib.as_strided_scatter(x.contiguous(), *a),
      torch=False)  # whose gradient (2.13) is at the places that were written over  # fmt: skip
# Read as bytes and back: the table's truth is computed in a wider dtype, whose bytes are others.
op(
    "view dtype",
    lambda x: x.copy(),
    lambda r: [S(r(8)), S(r(3, 5)), S(r(0, 4))],
    function=lambda lib, x: x.contiguous().view(lib.uint8).clone().view(x.dtype),
    dtypes=REAL,
)
op(
    "histogramdd",
    lambda x, bins, range: (lambda counts, edges: (counts.astype(x.dtype), *(e.astype(x.dtype) for e in edges)))(
        *np.histogramdd(x.astype(np.float64), bins, [range[:2], range[2:]])
    ),
    lambda r: [S(r(65, 2), [4, 3], [-2.0, 2.0, -1.0, 3.0]), S(r(1, 2), [1, 2], [-3.0, 3.0, -3.0, 3.0])],
    function=lambda lib, x, bins, range: (lambda counts, edges: (counts, *edges))(
        *lib.histogramdd(x, bins, range=range)
    ),
    dtypes=SINGLE,
    levels=False,
)
