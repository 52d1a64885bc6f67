"""Functions built on sorting: order statistics, distinct values, and searches in sorted sequences."""

from . import _C
from ._C import Tensor
from .results import ValuesIndices

__all__ = [
    "bucketize", "isin", "kthvalue", "mode", "msort", "nanmedian", "nanquantile", "quantile", "searchsorted", "unique",
    "unique_consecutive",
]  # fmt: skip


def _checked_dim(name, input, dim):
    n = input.ndim or 1
    if not -n <= dim < n:
        raise _C.IndexError(f"{name}: dimension {dim} is out of range for shape {list(input.shape)}")
    return dim % n


def msort(input):
    """The values sorted along dimension 0."""
    return _C.sort(input, 0, False, True)[0]


# --- order statistics ---


def kthvalue(input, k, dim=-1, keepdim=False):
    """The k-th smallest element along `dim`, counted from 1, and its place.

    Raises:
        IndexError: k beyond the dimension's size.

    >>> import fastdl as fd
    >>> fd.kthvalue(fd.tensor([3.0, 1.0, 2.0]), 2)
    (values=tensor(2.), indices=tensor(2))
    """
    dim = _checked_dim("kthvalue", input, dim)
    n = input.shape[dim] if input.ndim else 1
    if not 1 <= k <= n:
        raise _C.IndexError(f"kthvalue: k {k} of {n} elements along dimension {dim} of input {list(input.shape)}")
    values, indices = _C.sort(input, dim, False, True)
    if input.ndim:
        values, indices = _C.narrow(values, dim, k - 1, 1), _C.narrow(indices, dim, k - 1, 1)
        if not keepdim:
            values, indices = _C.squeeze(values, dim), _C.squeeze(indices, dim)
    return ValuesIndices((values, indices))


def mode(input, dim=-1, keepdim=False):
    """The most frequent value along `dim` (the smallest of those that are equally frequent) and its last place.

    >>> import fastdl as fd
    >>> fd.mode(fd.tensor([2, 1, 2, 3]))
    (values=tensor(2), indices=tensor(2))
    """
    dim = _checked_dim("mode", input, dim)
    if input.ndim == 0:
        return ValuesIndices((input.clone(), _C.full((), 0, _C.int64, input.device)))
    if input.shape[dim] == 0:
        raise _C.ShapeError(f"mode: input {list(input.shape)} has no elements along dimension {dim}")
    values, indices = _C.sort(input, dim, False, True)
    n = input.shape[dim]
    places = _C.reshape(_C.arange(0, n, 1, _C.int64, input.device), [-1 if d == dim else 1 for d in range(input.ndim)])
    started = _C.cummax(_C.where(_starts(values.detach(), dim), places, 0), dim)[0]
    last = _C.argmax(_C.sub(places, started), dim, True)  # the end of the first of the longest runs
    values, indices = _C.gather(values, dim, last), _C.gather(indices, dim, last)
    return ValuesIndices((values, indices) if keepdim else (_C.squeeze(values, dim), _C.squeeze(indices, dim)))


def _starts(values, dim):
    """Whether an element differs from the one before it; NaN differs from nothing but numbers."""
    n = values.shape[dim]
    first = _C.full([1 if d == dim else s for d, s in enumerate(values.shape)], True, _C.bool, values.device)
    if n < 2:
        return _C.narrow(first, dim, 0, n)
    before, after = _C.narrow(values, dim, 0, n - 1), _C.narrow(values, dim, 1, n - 1)
    return _C.cat([first, _C.ne(before, after)], dim)


def nanmedian(input, dim=None, keepdim=False):
    """The median of the elements that are not NaN (the lower of the two middle ones); with `dim`, its place too."""
    if dim is None:
        return nanmedian(_C.reshape(input, (-1,)), 0)[0]
    dim = _checked_dim("nanmedian", input, dim)
    if input.ndim == 0:
        return ValuesIndices((input.clone(), _C.full((), 0, _C.int64, input.device)))
    if input.shape[dim] == 0:
        raise _C.ShapeError(f"nanmedian: input {list(input.shape)} has no elements along dimension {dim}")
    values, indices = _C.sort(input, dim, False, True)
    count = _C.sum(_C.logical_not(_C.isnan(input)), dim, True)
    middle = _C.clamp(_C.floor_divide(_C.sub(count, 1), 2), 0, None)
    values, indices = _C.gather(values, dim, middle), _C.gather(indices, dim, middle)
    return ValuesIndices((values, indices) if keepdim else (_C.squeeze(values, dim), _C.squeeze(indices, dim)))


def _quantile(name, input, q, dim, keepdim, interpolation, ignore_nan):
    if not input.dtype.is_floating_point:
        raise _C.DTypeError(f"{name}: expected a floating-point tensor, got {input.dtype}")
    if not isinstance(q, Tensor):
        q = _C.full((), q, input.dtype, input.device) if isinstance(q, (int, float)) else _C.tensor_from(q, None, None)
    if q.ndim > 1:
        raise _C.ShapeError(f"{name}: q has shape {list(q.shape)}, expected a number or a vector")
    if q.dtype is not input.dtype:
        raise _C.DTypeError(f"{name}: q is {q.dtype}, input {input.dtype}")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise _C.ValueError(
            f"{name}: interpolation {interpolation!r}, expected 'linear', 'lower', 'higher', 'midpoint' or 'nearest'"
        )
    if q.numel() and not bool(_C.logical_and(_C.ge(q, 0), _C.le(q, 1)).all()):
        raise _C.ValueError(f"{name}: q must lie in [0, 1]")
    ndim = input.ndim
    if dim is None:
        x, dim = _C.reshape(input, (-1,)), 0
    else:
        dim = _checked_dim(name, input, dim)
        x = _C.movedim(input, dim, -1) if ndim else _C.reshape(input, (1,))
    n = x.shape[-1]
    if n == 0:
        raise _C.ShapeError(f"{name}: input {list(input.shape)} has no elements along the dimension")
    values = _C.sort(x, -1, False, True)[0]  # NaN comes last
    missing = _C.isnan(x.detach())
    if ignore_nan:
        last = _C.clamp(n - 1 - _C.sum(missing, -1, True), 0, None).to(input.dtype)
    else:
        last = _C.full((*x.shape[:-1], 1), n - 1, input.dtype, input.device)
    rank = _C.mul(last, _C.reshape(q, (-1,)))
    if not ignore_nan:  # a NaN among the elements is the result
        rank = _C.where(_C.any(missing, -1, True), float(n - 1), rank)
    low = _C.floor(rank)
    if interpolation == "lower":
        rank = low
    elif interpolation == "higher":
        rank = low = _C.ceil(rank)
    elif interpolation == "nearest":
        rank = low = _C.round(rank)
    below = _C.gather(values, -1, low.detach().to(_C.int64))
    if interpolation in ("linear", "midpoint"):
        above = _C.gather(values, -1, _C.ceil(rank).detach().to(_C.int64))
        weight = _C.sub(rank, low)
        below = _C.lerp(below, above, weight if interpolation == "linear" else 0.5)
    out = _C.movedim(below, -1, 0)  # (q, *)
    if keepdim:
        sizes = [1] * ndim if x.ndim == 1 and ndim != 1 else None
        out = _C.reshape(out, (-1, *sizes)) if sizes is not None else _C.unsqueeze(out, dim + 1)
    return out if q.ndim else _C.squeeze(out, 0)


def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The values below which fractions `q` of the elements along `dim` (of all when None) lie; NaN where there is one.

    Args:
        input: floating point.
        q: a number or a vector of the input's dtype, in [0, 1].
        interpolation: between the two nearest elements: 'linear', 'lower', 'higher', 'midpoint' or 'nearest'.

    Returns:
        The input's shape without `dim`, after the dimension of `q` if it is a vector.

    >>> import fastdl as fd
    >>> fd.quantile(fd.tensor([0.0, 1.0, 2.0, 3.0]), fd.tensor([0.25, 0.5]))
    tensor([0.75, 1.5 ])
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


# --- searches ---


def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Where each value would go in a sorted sequence: before its equals, or behind them if `right`.

    Args:
        sorted_sequence: a vector, or (..., n) with the leading dimensions of `input`.
        input: a tensor or a number.
        side: 'left' or 'right', another way to say `right`.
        sorter: int64 indices that sort an unsorted sequence.

    Returns:
        int64 (int32 if `out_int32`) of input's shape.

    Raises:
        ShapeError: leading dimensions that differ.

    >>> import fastdl as fd
    >>> fd.searchsorted(fd.tensor([1, 3, 5]), fd.tensor([0, 3, 9]))
    tensor([0, 1, 3])
    """
    if side not in (None, "left", "right"):
        raise _C.ValueError(f"searchsorted: side {side!r}, expected 'left' or 'right'")
    if side == "left" and right:
        raise _C.ValueError("searchsorted: side 'left' and right=True contradict each other")
    right = right or side == "right"
    sequence = sorted_sequence.detach()
    if sequence.ndim == 0:
        raise _C.ShapeError("searchsorted: the sorted sequence is a number, expected at least one dimension")
    values = input.detach() if isinstance(input, Tensor) else _C.full((), input, sequence.dtype, sequence.device)
    if sorter is not None:
        if sorter.shape != sequence.shape or sorter.dtype is not _C.int64:
            raise _C.ShapeError(f"searchsorted: sorter {list(sorter.shape)}, expected int64 {list(sequence.shape)}")
        sequence = _C.gather(sequence, -1, sorter)
    shape, n = values.shape, sequence.shape[-1]
    if sequence.ndim > 1 and (values.ndim != sequence.ndim or values.shape[:-1] != sequence.shape[:-1]):
        raise _C.ShapeError(
            f"searchsorted: sequence {list(sequence.shape)} and input {list(shape)} need the same leading dimensions"
        )
    if sequence.ndim == 1:
        values = _C.reshape(values, (-1,))
    below = _C.gt if right else _C.ge  # a NaN is behind all: neither holds
    low = _C.full(values.shape, 0, _C.int64, values.device)
    high = _C.full(values.shape, n, _C.int64, values.device)
    for _ in range(n.bit_length()):
        middle = _C.floor_divide(_C.add(low, high), 2)
        here = _C.gather(sequence, -1, _C.clamp(middle, None, n - 1))
        open_ = _C.lt(low, high)
        onwards = _C.logical_and(open_, _C.logical_not(below(here, values)))
        low = _C.where(onwards, _C.add(middle, 1), low)
        high = _C.where(_C.logical_and(open_, _C.logical_not(onwards)), middle, high)
    return _C.reshape(low, shape).to(_C.int32 if out_int32 else _C.int64)


def bucketize(input, boundaries, *, out_int32=False, right=False):
    """The number of the interval between sorted `boundaries` (a vector) that each value lies in.

    >>> import fastdl as fd
    >>> fd.bucketize(fd.tensor([0.5, 2.0]), fd.tensor([1.0, 2.0, 3.0]))
    tensor([0, 1])
    """
    if boundaries.ndim != 1:
        raise _C.ShapeError(f"bucketize: boundaries {list(boundaries.shape)}, expected a vector")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each element is one of `test_elements`; one of both may be a number.

    >>> import fastdl as fd
    >>> fd.isin(fd.tensor([1, 2, 3]), fd.tensor([2, 4]))
    tensor([False,  True, False])
    """
    if not isinstance(elements, Tensor):
        elements = _C.full((), elements, test_elements.dtype, test_elements.device)
    if not isinstance(test_elements, Tensor):
        test_elements = _C.full((1,), test_elements, _C.result_type(elements, test_elements), elements.device)
    dtype = _C.promote_types(elements.dtype, test_elements.dtype)
    wanted = msort(_C.reshape(test_elements.detach(), (-1,)).to(dtype))
    n = wanted.shape[0]
    if n == 0:
        return _C.full(elements.shape, invert, _C.bool, elements.device)
    values = elements.detach().to(dtype)
    found = wanted[_C.clamp(searchsorted(wanted, values), None, n - 1)]
    return _C.ne(found, values) if invert else _C.eq(found, values)


# --- distinct values ---


def _runs(starts, places, count, return_inverse, return_counts, shape):
    """The places of the elements in the list of distinct ones, and how often each of those occurs."""
    inverse = counts = None
    if return_inverse:
        numbers = _C.sub(_C.cumsum(starts, 0), 1)
        if places is not None:
            numbers = _C.scatter(_C.full((count,), 0, _C.int64, starts.device), 0, places, numbers)
        inverse = _C.reshape(numbers, shape)
    if return_counts:
        ends = _C.cat([_C.reshape(_C.nonzero(starts), (-1,)), _C.full((1,), count, _C.int64, starts.device)], 0)
        n = ends.shape[0] - 1
        counts = _C.sub(_C.narrow(ends, 0, 1, n), _C.narrow(ends, 0, 0, n))
    return inverse, counts


def _results(values, inverse, counts):
    more = [x for x in (inverse, counts) if x is not None]
    return (values, *more) if more else values


def _rows(name, input, dim):
    dim = _checked_dim(name, input, dim)
    first = _C.movedim(input, dim, 0)
    return (
        dim,
        first,
        _C.reshape(first, (first.shape[0], -1)) if input.numel() else _C.reshape(first, (first.shape[0], 0)),
    )


def _row_starts(rows):
    n = rows.shape[0]
    first = _C.full((min(n, 1),), True, _C.bool, rows.device)
    if n < 2:
        return first
    return _C.cat([first, _C.any(_C.ne(_C.narrow(rows, 0, 1, n - 1), _C.narrow(rows, 0, 0, n - 1)), 1)], 0)


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct values, sorted; with `dim`, the distinct slices along it.

    Args:
        input: (*).
        sorted: the result is sorted in any case.
        return_inverse: return, too, for each element its place among the distinct ones.
        return_counts: return, too, how often each occurs.

    >>> import fastdl as fd
    >>> fd.unique(fd.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    x = input.detach()
    if dim is not None and input.ndim:
        dim, first, rows = _rows("unique", x, dim)
        order = _C.arange(0, rows.shape[0], 1, _C.int64, rows.device)
        for column in range(rows.shape[1] - 1, -1, -1):  # stable sorts, the most important column last
            order = order[_C.argsort(_C.select(rows, 1, column)[order], 0, False, True)]
        starts = _row_starts(rows[order])
        values = _C.movedim(first[order][starts], 0, dim)
        return _results(values, *_runs(starts, order, rows.shape[0], return_inverse, return_counts, (-1,)))
    ordered, places = _C.sort(_C.reshape(x, (-1,)), 0, False, True)
    starts = _starts(ordered, 0)
    runs = _runs(starts, places, ordered.shape[0], return_inverse, return_counts, input.shape)
    return _results(ordered[starts], *runs)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The values without those that repeat the one before; with `dim`, the slices along it.

    >>> import fastdl as fd
    >>> fd.unique_consecutive(fd.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    x = input.detach()
    if dim is not None and input.ndim:
        dim, first, rows = _rows("unique_consecutive", x, dim)
        starts = _row_starts(rows)
        values = _C.movedim(first[starts], 0, dim)
        return _results(values, *_runs(starts, None, rows.shape[0], return_inverse, return_counts, (-1,)))
    flat = _C.reshape(x, (-1,))
    starts = _starts(flat, 0)
    runs = _runs(starts, None, flat.shape[0], return_inverse, return_counts, input.shape)
    return _results(flat[starts], *runs)


for _name in (
    "isin", "kthvalue", "mode", "msort", "nanmedian", "nanquantile", "quantile", "unique", "unique_consecutive",
):  # fmt: skip
    setattr(Tensor, _name, globals()[_name])
