"""Rows of views, joining, indexing and copies."""

import numpy as np
from opdb_row import ALL, FLOATS, S, op, round_bfloat16

ANY = ("float32", "bfloat16", "int64", "uint8", "bool")  # element sizes 4, 2, 8, 1


def view(name, reference, samples, **options):
    op(name, reference, samples, dtypes=ANY, grad=2, view=True, levels=False, **options)


def moved(name, reference, samples, **options):
    op(name, reference, samples, dtypes=ANY, grad=2, **options)


# --- views ---

view("transpose", np.swapaxes, lambda r: [S(r(3, 7), 0, 1), S(r(2, 3, 5), 0, -1), S(r(0, 3), 0, 1)])
view("permute", np.transpose, lambda r: [S(r(2, 3, 5), (2, 0, 1)), S(r(7), (0,)), S(r(2, 1, 3, 4), (3, 1, -4, 2))])
view(
    "squeeze",
    lambda x, dim=None: np.squeeze(x, tuple(d for d in range(x.ndim) if x.shape[d] == 1) if dim is None else dim),
    lambda r: [S(r(1, 3, 1)), S(r(1, 3, 1), 0), S(r(7))],
)
view("unsqueeze", np.expand_dims, lambda r: [S(r(7), 0), S(r(3, 5), -1), S(r(), 0)])
view(
    "select",
    lambda x, dim, index: np.take(x, index, dim),
    lambda r: [S(r(3, 7), 0, 1), S(r(3, 7), 1, -1), S(r(7), 0, 6)],
)
view(
    "narrow",
    lambda x, dim, start, length: np.take(x, range(start, start + length), dim),
    lambda r: [S(r(7), 0, 2, 3), S(r(3, 65), 1, 1, 64), S(r(3, 5), 0, 3, 0)],
)
view(
    "Tensor.expand",
    lambda x, *shape: np.broadcast_to(x, shape),
    lambda r: [S(r(3, 1), 3, 5), S(r(5), 2, 3, 5), S(r(1), 0)],
)
view(
    "Tensor.view",
    lambda x, *shape: np.reshape(x, shape),
    lambda r: [S(r(6), 2, 3), S(r(2, 3, 5), -1), S(r(0, 4), 2, 0)],
    function=lambda lib, x, *shape: x.contiguous().view(*shape),
)
view(
    "unflatten",
    lambda x, dim, sizes: np.reshape(x, (*x.shape[:dim], *sizes, *x.shape[dim + 1 :])),
    lambda r: [S(r(3, 6), 1, (2, 3))],
)
view(
    "diagonal",
    lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
    lambda r: [S(r(5, 5)), S(r(3, 7), 1), S(r(2, 5, 3), -1, 1, 2)],
)
view(
    "Tensor.unfold",
    lambda x, dim, size, step: np.moveaxis(np.lib.stride_tricks.sliding_window_view(x, size, dim), dim, dim)[
        (slice(None),) * dim + (slice(None, None, step),)
    ],
    lambda r: [S(r(7), 0, 3, 2), S(r(3, 9), 1, 2, 3)],
)
view("movedim", np.moveaxis, lambda r: [S(r(2, 3, 5), 0, 2), S(r(2, 3, 5), (0, 1), (1, 2))])
view("unbind", lambda x, dim=0: tuple(np.moveaxis(x, dim, 0)), lambda r: [S(r(3, 7)), S(r(3, 2), 1)])
view(
    "chunk",
    lambda x, n, dim=0: np.split(x, range(-(-x.shape[dim] // n), x.shape[dim], -(-x.shape[dim] // n)), dim),
    lambda r: [S(r(7), 3), S(r(3, 9), 2, dim=1)],
)
view(
    "split",
    lambda x, n, dim=0: np.split(x, range(n, x.shape[dim], n) if isinstance(n, int) else np.cumsum(n)[:-1], dim),
    lambda r: [S(r(7), 3), S(r(3, 9), 4, dim=1), S(r(7, 3), [2, 0, 5]), S(r(20), [2] * 10)],
)
moved(
    "reshape",
    np.reshape,
    lambda r: [S(r(2, 3, 5), (5, 6)), S(r(7), (7, 1)), S(r(), (1, 1)), S(r(4, 65), (-1,)), S(r(0, 3), (3, 0))],
    levels=False,
)
moved(
    "flatten",
    lambda x, start_dim=0, end_dim=-1: np.reshape(
        x, (*x.shape[:start_dim], -1, *x.shape[end_dim % max(x.ndim, 1) + 1 :])
    ),
    lambda r: [S(r(2, 3, 5)), S(r(2, 3, 5), 1), S(r(2, 3, 5), 0, 1), S(r())],
    levels=False,
)

# --- joining and repeating ---

moved(
    "cat",
    lambda xs, dim=0: np.concatenate(xs, dim),
    lambda r: [S([r(3, 5), r(2, 5)]), S([r(3, 5), r(3, 65), r(3, 1)], 1), S([r(7)]), S([r(0, 3), r(2, 3)])],
)
moved(
    "stack",
    lambda xs, dim=0: np.stack(xs, dim),
    lambda r: [S([r(3, 5), r(3, 5)]), S([r(7), r(7), r(7)], -1), S([r(), r()])],
)
moved("flip", lambda x, dims: np.flip(x, dims), lambda r: [S(r(7), (0,)), S(r(3, 65), (0, 1)), S(r(2, 3, 5), (-2,))])
moved(
    "roll",
    lambda x, shifts, dims=None: np.roll(x, shifts, dims),
    lambda r: [S(r(7), 2), S(r(3, 65), -4, 1), S(r(3, 5), (1, 2), (0, 1))],
)
moved("Tensor.repeat", lambda x, *n: np.tile(x, n), lambda r: [S(r(3), 2), S(r(3, 5), 2, 1, 3)])
moved("repeat_interleave", lambda x, n, dim=None: np.repeat(x, n, dim), lambda r: [S(r(7), 3), S(r(3, 5), 2, dim=1)])
moved(
    "Tensor.contiguous",
    lambda x: x.copy(),
    lambda r: [S(r(7, 65)), S(r(2, 3, 5)), S(r())],
    function=lambda lib, x: x.contiguous(),
)
moved("clone", lambda x: x.copy(), lambda r: [S(r(7, 65)), S(r(2, 3, 5)), S(r()), S(r(0, 3))])
for name, f in (("tril", np.tril), ("triu", np.triu)):
    moved(
        name,
        lambda x, diagonal=0, f=f: f(x, diagonal),
        lambda r: [S(r(5, 7)), S(r(2, 65, 3), diagonal=1), S(r(7, 7), diagonal=-2)],
    )

# --- indexing ---


def put(x, dim, index, source, combine):
    out = x.copy()
    combine.at(np.moveaxis(out, dim, 0), index, np.moveaxis(source, dim, 0))
    return out


def scatter(x, dim, index, source, add=False):
    out = x.copy()
    where = [np.arange(n).reshape([-1 if i == d else 1 for i in range(index.ndim)]) for d, n in enumerate(index.shape)]
    where[dim] = index
    source = np.broadcast_to(source, index.shape) if np.ndim(source) == 0 else source[tuple(map(slice, index.shape))]
    if add:
        np.add.at(out, tuple(where), source)
    else:
        out[tuple(where)] = source
    return out


def permutation(r, *shape):
    """Indices without repetition along dimension 0, so that a scatter has one answer."""
    return np.argsort(r(*shape), axis=0).astype(np.int64)


moved(
    "index_select",
    lambda x, dim, i: np.take(x, i, dim),
    lambda r: [
        S(r(7), 0, r.ints(4, high=7)),
        S(r(5, 65), 0, r.ints(9, high=5)),
        S(r(5, 7), 1, r.ints(3, high=7)),
        S(r(5, 7), 1, r.ints(0, high=7)),
    ],
)
moved(
    "gather",
    lambda x, dim, i: np.take_along_axis(
        x[tuple(slice(None) if d == dim % x.ndim else slice(n) for d, n in enumerate(i.shape))], i, dim
    ),
    lambda r: [
        S(r(7), 0, r.ints(9, high=7)),
        S(r(5, 65), 1, r.ints(5, 3, high=65)),
        S(r(5, 7), 0, r.ints(2, 7, high=5)),
        S(r(2, 3, 5), -1, r.ints(2, 2, 4, high=5)),
    ],
)
moved(
    "scatter",
    scatter,
    lambda r: [S(r(7), 0, permutation(r, 7)[:5], r(5)), S(r(9, 65), 0, permutation(r, 9, 65)[:4], r(4, 65))],
)
op(
    "scatter_add",
    lambda *a: scatter(*a, add=True),
    lambda r: [S(r(7), 0, r.ints(9, high=7), r(9)), S(r(5, 65), 1, r.ints(5, 9, high=65), r(5, 9))],
    dtypes=("float32", "float64", "int64"),
    grad=2,
)
op(
    "index_add",
    lambda x, dim, i, source: put(x, dim, i, source, np.add),
    lambda r: [
        S(r(7), 0, r.ints(9, high=7), r(9)),
        S(r(5, 65), 0, r.ints(3, high=5), r(3, 65)),
        S(r(3, 7), 1, r.ints(4, high=7), r(3, 4)),
    ],
    dtypes=("float32", "float64", "int64"),
    grad=2,
)
moved(
    "masked_fill",
    lambda x, mask, value: np.where(mask, x.dtype.type(value), x),
    lambda r: [S(r(7), r.bools(7), 2.0), S(r(3, 65), r.bools(65), 1.0), S(r(5, 3), r.bools(5, 1), 0.0)],
)
moved(
    "masked_select",
    lambda x, mask: np.broadcast_to(x, np.broadcast_shapes(x.shape, mask.shape))[
        np.broadcast_to(mask, np.broadcast_shapes(x.shape, mask.shape))
    ],
    lambda r: [S(r(65), r.bools(65)), S(r(3, 65), r.bools(65)), S(r(7), np.zeros(7, bool))],
)
moved(
    "getitem",
    lambda x, index: x[index],
    lambda r: [
        S(r(7, 5), i)
        for i in (
            2,
            -1,
            slice(1, 6, 2),
            (slice(None), 3),
            (..., None),
            (None, slice(2, 2)),
            (r.ints(3, high=7),),
            (r.ints(4, high=7), r.ints(4, high=5)),
            (slice(None), r.ints(2, 3, high=5)),
            r.bools(7, 5),
            (r.bools(7), slice(1, 3)),
        )
    ],
    function=lambda lib, x, index: x[index],
)


def assigned(x, index, value):
    out = x.copy()
    out[index] = value
    return out


def assign(lib, x, index, value):
    x[index] = value
    return x


moved(
    "setitem",
    assigned,
    lambda r: [
        S(r(7, 5), 2, r(5)),
        S(r(7, 5), (slice(1, 6, 2), slice(0, 3)), r(3, 1)),
        S(r(7, 5), (permutation(r, 7)[:3],), r(3, 5)),
        S(r(7, 5), r.bools(7, 5), 2.0),
        S(r(7, 5), (slice(None), np.array([3, 0])), r(7, 2)),
    ],
    function=assign,
    inplace=True,
)
op(
    "one_hot",
    lambda i, n: np.eye(n, dtype=np.int64)[i],
    lambda r: [S(r.ints(7, high=5), 5), S(r.ints(2, 3, high=4), 9)],
    function="nn.functional.one_hot",
    dtypes=("float32",),
)
op(
    "nn.functional.pad",
    lambda x, pad, mode="constant", value=0.0: np.pad(
        x,
        [(0, 0)] * (x.ndim - len(pad) // 2) + [(pad[2 * i], pad[2 * i + 1]) for i in reversed(range(len(pad) // 2))],
        constant_values=value,
    ),
    lambda r: [S(r(7), (1, 2)), S(r(3, 65), (1, 0, 2, 3), value=1.5), S(r(2, 3, 5, 5), (1, 1))],
    dtypes=FLOATS,
    grad=2,
)


def converted(x, target):
    if target == "bfloat16":
        return round_bfloat16(x)
    if target in FLOATS:
        return x.astype(target)
    return x != 0 if target == "bool" else np.trunc(x).astype(target)


for target in ALL:
    op(
        f"to {target}",
        lambda x, target=target: converted(x, target),
        lambda r: [S(r(*s, low=0, high=100)) for s in ((), (7,), (3, 129), (0,))],
        dtypes=ALL,
        function=lambda lib, x, target=target: x.to(getattr(lib, target)),
    )
