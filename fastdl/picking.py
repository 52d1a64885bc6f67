"""Functions that take elements from, or put them to, places given by indices and masks."""

from . import _C
from ._C import Tensor
from .ordering import unique
from .rearrange import repeat_interleave
from .shaping import broadcast_tensors, diagonal_scatter

__all__ = [
    "argwhere", "diagonal_scatter", "index_copy", "index_fill", "index_put", "index_reduce", "masked_scatter",
    "nonzero_static", "put", "scatter_reduce", "segment_reduce", "select_scatter", "slice_scatter", "take", "tril_indices", "triu_indices", "unravel_index",
]  # fmt: skip


def argwhere(input):
    """The places of the elements that are not zero: (count, ndim).

    >>> import fastdl as fd
    >>> fd.argwhere(fd.tensor([[0, 1], [1, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    return _C.nonzero(input)


def nonzero_static(input, *, size, fill_value=-1):
    """The first `size` places of the elements that are not zero, (size, ndim), filled up with `fill_value`.

    >>> import fastdl as fd
    >>> fd.nonzero_static(fd.tensor([0, 7, 5]), size=3)
    tensor([[ 1],
            [ 2],
            [-1]])
    """
    if size < 0:
        raise _C.ValueError(f"nonzero_static: size {size} must not be negative")
    places = _C.nonzero(input)[:size]
    rest = _C.full((size - places.shape[0], input.ndim), fill_value, _C.int64, input.device)
    return _C.cat([places, rest], 0)


def take(input, index):
    """The elements at places of the flattened input; negative ones count from the end.

    Raises:
        IndexError: a place out of range.
        DTypeError: indices that are not int64.

    >>> import fastdl as fd
    >>> fd.take(fd.tensor([[4, 3], [5, 6]]), fd.tensor([0, -1]))
    tensor([4, 6])
    """
    if index.dtype is not _C.int64:
        raise _C.DTypeError(f"take: index is {index.dtype}, expected int64")
    return _C.reshape(input, (-1,))[index]


def put(input, index, source, accumulate=False):
    """A copy of `input` with `source` put at (or added to) places of the flattened tensor.

    Raises:
        ShapeError: `source` and `index` of different numbers of elements.
        DTypeError: indices that are not int64, or a source of another dtype.
    """
    if index.dtype is not _C.int64:
        raise _C.DTypeError(f"put: index is {index.dtype}, expected int64")
    if source.dtype is not input.dtype:
        raise _C.DTypeError(f"put: source is {source.dtype}, input {input.dtype}")
    if source.numel() != index.numel():
        raise _C.ShapeError(f"put: source {list(source.shape)} for an index of shape {list(index.shape)}")
    flat = _C.index_put(_C.reshape(input, (-1,)), [_C.reshape(index, (-1,))], _C.reshape(source, (-1,)), accumulate)
    return _C.reshape(flat, input.shape)


def index_put(input, indices, values, accumulate=False):
    """A copy of `input` with input[indices] = values, or += values if `accumulate`."""
    return _C.index_put(input, indices, values, accumulate)


def _along(name, input, dim, index, source=None):
    """The index tensor, as large as what it picks, and the dimension."""
    if not -max(input.ndim, 1) <= dim < max(input.ndim, 1):
        raise _C.IndexError(f"{name}: dimension {dim} is out of range for shape {list(input.shape)}")
    if index.ndim > 1:
        raise _C.ShapeError(f"{name}: index {list(index.shape)}, expected a vector")
    dim %= max(input.ndim, 1)
    shape = list(input.shape) or [1]
    shape[dim] = index.numel()
    if source is not None:
        if source.dtype is not input.dtype:
            raise _C.DTypeError(f"{name}: source is {source.dtype}, input {input.dtype}")
        if list(source.shape) != (shape if input.ndim or source.ndim else []):
            raise _C.ShapeError(
                f"{name}: source {list(source.shape)} for input {list(input.shape)} and {index.numel()} indices along "
                f"dimension {dim}, expected {shape}"
            )
    index = _C.reshape(index, [-1 if d == dim else 1 for d in range(len(shape))])
    return dim, index.expand(shape)


def index_fill(input, dim, index, value):
    """A copy of `input` with `value` (a number or 0-d) at the places `index` along `dim`.

    >>> import fastdl as fd
    >>> fd.index_fill(fd.zeros(2, 3), 1, fd.tensor([0, 2]), 1)
    tensor([[1., 0., 1.],
            [1., 0., 1.]])
    """
    n = input.size(dim) if input.ndim else 1
    index = unique(_C.where(_C.lt(index, 0), _C.add(index, n), index))  # each place once, for the gradient of `value`
    dim, index = _along("index_fill", input, dim, index)
    if isinstance(value, Tensor):
        if value.ndim:
            raise _C.ShapeError(f"index_fill: value of shape {list(value.shape)}, expected a number or 0-d")
        value = value.to(input.dtype).expand(index.shape)
    return _C.scatter(input, dim, index, value)


def index_copy(input, dim, index, source):
    """A copy of `input` with `source` at the places `index` along `dim`.

    Raises:
        ShapeError: a source of another shape than what the indices pick.
    """
    dim, index = _along("index_copy", input, dim, index, source)
    return _C.scatter(input, dim, index, _C.reshape(source, index.shape))


def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """`scatter_reduce` of whole slices: 'prod', 'mean', 'amax' or 'amin' of what `source` has for each place."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise _C.ValueError(f"index_reduce: reduce {reduce!r}, expected 'prod', 'mean', 'amax' or 'amin'")
    dim, index = _along("index_reduce", input, dim, index, source)
    return _C.scatter_reduce(input, dim, index, _C.reshape(source, index.shape), reduce, include_self)


def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    """A copy of `input` where each place holds the sum, product, mean or extreme of all that goes there.

    Args:
        input: (*).
        dim: the dimension that `index` points along, as in `scatter`.
        index: int64, of input's number of dimensions.
        src: at least as large as `index`.
        reduce: 'sum', 'prod', 'mean', 'amax' or 'amin'.
        include_self: whether what is there takes part.

    Raises:
        ValueError: another `reduce`.
        IndexError: an index out of range.

    >>> import fastdl as fd
    >>> fd.scatter_reduce(fd.zeros(2), 0, fd.tensor([0, 0, 1]), fd.tensor([1.0, 5.0, 2.0]), "amax")
    tensor([5., 2.])
    """
    return _C.scatter_reduce(input, dim, index, src, reduce, include_self)


_SEGMENTS = {  # reduction: its name for scatter_reduce, the value of an empty segment
    "sum": ("sum", 0.0), "mean": ("sum", float("nan")), "prod": ("prod", 1.0),
    "max": ("amax", float("-inf")), "min": ("amin", float("inf")),
}  # fmt: skip


def segment_reduce(data, reduce, *, lengths=None, indices=None, offsets=None, axis=0, unsafe=False, initial=None):
    """Sums, means, products or extremes of stretches that lie one after the other along `axis`.

    Args:
        data: floating point.
        reduce: 'sum', 'mean', 'max', 'min' or 'prod'.
        lengths: (*data.shape[:axis], segments): the stretches' lengths, which add up to the size of `axis`.
        offsets: where they start and, last, where they end; instead of `lengths`.
        axis: the last dimension of `lengths`, counted in `data`.
        unsafe: do not check the lengths.
        initial: takes part in every stretch; an empty one has this value (without it that of an empty sum, product, ...).

    Raises:
        ValueError: another `reduce`, neither lengths nor offsets, or lengths that do not add up.

    >>> import fastdl as fd
    >>> fd.segment_reduce(fd.tensor([1.0, 5.0, 2.0]), "max", lengths=fd.tensor([2, 0, 1]))
    tensor([  5., -inf,   2.])
    """
    if reduce not in _SEGMENTS:
        raise _C.ValueError(f"segment_reduce: reduce {reduce!r}, expected one of {sorted(_SEGMENTS)}")
    if (lengths is None) == (offsets is None) or indices is not None:
        raise _C.ValueError("segment_reduce: expected either lengths or offsets, and no indices")
    if lengths is None:
        lengths = _C.sub(offsets[..., 1:], offsets[..., :-1])
    lengths = lengths.to(_C.int64)
    axis %= data.ndim
    lead, size, count = data.shape[:axis], data.shape[axis], lengths.shape[-1]
    if lengths.shape[:-1] != lead:
        raise _C.ShapeError(
            f"segment_reduce: lengths {list(lengths.shape)} for data {list(data.shape)} and axis {axis}"
        )
    if not unsafe and not bool(_C.logical_and(_C.all(_C.ge(lengths, 0)), _C.all(_C.eq(_C.sum(lengths, -1), size)))):
        raise _C.ValueError(f"segment_reduce: the lengths must not be negative and add up to {size}")
    name, empty = _SEGMENTS[reduce]
    rows = lead.numel()
    segments = repeat_interleave(_C.arange(0, rows * count, 1, _C.int64, data.device), _C.reshape(lengths, (-1,)))
    flat = _C.reshape(data, (rows * size, -1))
    index = _C.unsqueeze(segments, 1).expand(flat.shape)
    start = empty if initial is None else float(initial)
    neutral = 0.0 if name == "sum" and start != start else start
    out = _C.full((rows * count, flat.shape[1]), neutral, data.dtype, data.device)
    out = _C.scatter_reduce(out, 0, index, flat, name, True)
    if reduce == "mean":
        sizes = _C.unsqueeze(_C.reshape(lengths, (-1,)), 1)
        out = _C.where(_C.eq(sizes, 0), start, _C.div(out, _C.clamp(sizes, 1, None)))
    return _C.reshape(out, (*lead, count, *data.shape[axis + 1 :]))


def masked_scatter(input, mask, source):
    """A copy of `input` with the elements of `source`, in order, where the mask (bool) holds.

    Raises:
        ShapeError: fewer elements than places.
        DTypeError: a source of another dtype, or a mask that is not bool.
    """
    if mask.dtype is not _C.bool:
        raise _C.DTypeError(f"masked_scatter: mask is {mask.dtype}, expected bool")
    if source.dtype is not input.dtype:
        raise _C.DTypeError(f"masked_scatter: source is {source.dtype}, input {input.dtype}")
    input, mask = broadcast_tensors(input, mask)
    places = _C.reshape(_C.nonzero(_C.reshape(mask, (-1,))), (-1,))
    if places.shape[0] > source.numel():
        raise _C.ShapeError(f"masked_scatter: {source.numel()} elements for {places.shape[0]} places")
    values = _C.narrow(_C.reshape(source, (-1,)), 0, 0, places.shape[0])
    return _C.reshape(_C.scatter(_C.reshape(input, (-1,)), 0, places, values), input.shape)


def select_scatter(input, src, dim, index):
    """A copy of `input` with `src` in the place of `input.select(dim, index)`."""
    out = input.clone()
    place = _C.select(out, dim, index)
    if place.shape != src.shape:
        raise _C.ShapeError(f"select_scatter: src {list(src.shape)}, expected {list(place.shape)}")
    out[(slice(None),) * (dim % input.ndim) + (index,)] = src
    return out


def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    """A copy of `input` with `src` in the place of the slice start:end:step along `dim`."""
    out = input.clone()
    place = (slice(None),) * (dim % max(input.ndim, 1)) + (slice(start, end, step),)
    if out[place].shape != src.shape:
        raise _C.ShapeError(f"slice_scatter: src {list(src.shape)}, expected {list(out[place].shape)}")
    out[place] = src
    return out


def _triangle(row, col, offset, dtype, device, keep):
    rows, columns = (_C.arange(0, n, 1, _C.int64, device or "cpu") for n in (row, col))
    places = _C.nonzero(keep(_C.sub(columns, offset), _C.unsqueeze(rows, 1)))
    return places.t().contiguous().to(dtype or _C.int64)


def tril_indices(row, col, offset=0, *, dtype=None, device=None):
    """The places of the lower triangle of a row x col matrix: (2, count).

    >>> import fastdl as fd
    >>> fd.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _triangle(row, col, offset, dtype, device, _C.le)


def triu_indices(row, col, offset=0, *, dtype=None, device=None):
    """The places of the upper triangle of a row x col matrix: (2, count)."""
    return _triangle(row, col, offset, dtype, device, _C.ge)


def unravel_index(indices, shape):
    """Places in a flattened tensor of `shape` as a tuple of coordinates, one tensor for each dimension.

    Raises:
        IndexError: a place out of range.

    >>> import fastdl as fd
    >>> fd.unravel_index(fd.tensor([1, 5]), (2, 3))
    (tensor([0, 1]), tensor([1, 2]))
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    total = 1
    for n in shape:
        total *= n
    if indices.dtype.is_floating_point or indices.dtype is _C.bool:
        raise _C.DTypeError(f"unravel_index: indices are {indices.dtype}, expected integers")
    if indices.numel() and not (0 <= indices.min().item() and indices.max().item() < total):
        raise _C.IndexError(f"unravel_index: an index is out of range for shape {shape}")
    out, indices = [], indices.to(_C.int64)
    for n in reversed(shape):
        out.append(_C.remainder(indices, n))
        indices = _C.floor_divide(indices, n)
    return tuple(reversed(out))


for _name in (
    "argwhere", "index_copy", "index_fill", "index_reduce", "masked_scatter", "nonzero_static", "put", "select_scatter",
    "slice_scatter", "take",
):  # fmt: skip
    setattr(Tensor, _name, globals()[_name])
