"""Functions that reduce dimensions or order elements; each is a method of Tensor too."""

from . import _C
from ._C import Tensor

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "count_nonzero", "cumsum", "logsumexp", "max", "mean", "median", "min",
    "norm", "prod", "sort", "std", "std_mean", "sum", "topk", "var", "var_mean",
]  # fmt: skip

all, amax, amin, any = _C.all, _C.amax, _C.amin, _C.any
argmax, argmin, argsort, count_nonzero, cumsum = _C.argmax, _C.argmin, _C.argsort, _C.count_nonzero, _C.cumsum
mean, prod, sum = _C.mean, _C.prod, _C.sum


class ValuesIndices(tuple):
    """What max, min, sort, topk and median give along a dimension."""

    __slots__ = ()
    values = property(lambda self: self[0])
    indices = property(lambda self: self[1])

    def __repr__(self):
        return f"(values={self[0]!r}, indices={self[1]!r})"


def _method(function):
    setattr(Tensor, function.__name__, function)
    return function


@_method
def max(input, dim=None, keepdim=False):
    """The largest element; with `dim`, the largest along it and their first places; with a tensor, elementwise maximum.

    Args:
        input: (*) of any dtype.
        dim: the dimension to reduce, or another tensor.
        keepdim: keep it with size 1.

    Returns:
        A 0-d tensor, or (values, indices). The gradient goes to the chosen element, shared among equals without `dim`.

    Raises:
        ShapeError: no elements to choose from.

    >>> import fastdl as fd
    >>> fd.max(fd.tensor([[1.0, 5.0], [4.0, 2.0]]), 1)
    (values=tensor([5., 4.]), indices=tensor([1, 0]))
    """
    if dim is None:
        return _C.amax(input, None, False)
    if isinstance(dim, Tensor):
        return _C.maximum(input, dim)
    return ValuesIndices(_C.max_dim(input, dim, keepdim))


@_method
def min(input, dim=None, keepdim=False):
    """The smallest element; with `dim`, the smallest along it and their first places; with a tensor, elementwise minimum.

    See `max`.
    """
    if dim is None:
        return _C.amin(input, None, False)
    if isinstance(dim, Tensor):
        return _C.minimum(input, dim)
    return ValuesIndices(_C.min_dim(input, dim, keepdim))


@_method
def median(input, dim=None, keepdim=False):
    """The median (the lower of the two middle ones); with `dim`, along it and with its place."""
    if dim is None:
        return _C.median_dim(input.reshape(-1), 0, False)[0]
    return ValuesIndices(_C.median_dim(input, dim, keepdim))


@_method
def sort(input, dim=-1, descending=False, stable=False):
    """Sorts along a dimension; NaN is the largest. Always stable.

    >>> import fastdl as fd
    >>> fd.sort(fd.tensor([3, 1, 2]))
    (values=tensor([1, 2, 3]), indices=tensor([1, 2, 0]))
    """
    return ValuesIndices(_C.sort(input, dim, descending, stable))


@_method
def topk(input, k, dim=-1, largest=True, sorted=True):
    """The k largest (or smallest) elements along a dimension, in order, and their places.

    Raises:
        IndexError: k beyond the dimension's size.
    """
    return ValuesIndices(_C.topk(input, k, dim, largest, sorted))


def _moments(dim, unbiased, correction):
    if isinstance(dim, bool):  # var(unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    return dim, correction


@_method
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The variance, sum (x - mean)^2 / (n - correction); correction is 1 unless given (`unbiased=False`: 0)."""
    dim, correction = _moments(dim, unbiased, correction)
    return _C.var(input, dim, correction, keepdim)


@_method
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The standard deviation: the square root of `var`."""
    dim, correction = _moments(dim, unbiased, correction)
    return _C.std(input, dim, correction, keepdim)


def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The variance and the mean."""
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The standard deviation and the mean."""
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


@_method
def norm(input, p="fro", dim=None, keepdim=False, dtype=None):
    """The p-norm of all elements, or of those along `dim`: (sum |x|^p)^(1/p); 'fro' is p = 2.

    >>> import fastdl as fd
    >>> fd.norm(fd.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x = input if dtype is None else input.to(dtype)
    return _C.vector_norm(x, 2.0 if p == "fro" else p, dim, keepdim)


@_method
def logsumexp(input, dim=None, keepdim=False):
    """log sum exp(x) over `dim` (all dimensions when None), computed as m + log sum exp(x - m) with m the largest."""
    largest = _C.amax(input.detach(), dim, True)
    largest = largest.masked_fill(_C.isinf(largest), 0.0)
    out = _C.sum((input - largest).exp(), dim, True).log() + largest
    if keepdim:
        return out
    return _C.squeeze(out, tuple(range(input.ndim)) if dim is None else dim)
