"""Functions that reduce dimensions or order elements; each is a method of Tensor too."""

from . import _C
from ._C import Tensor
from .elementwise import _into
from .results import ValuesIndices

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "count_nonzero", "cumsum", "logsumexp", "max", "mean", "median", "min",
    "norm", "prod", "sort", "std", "std_mean", "sum", "topk", "var", "var_mean",
]  # fmt: skip


def all(input, dim=None, keepdim=False):
    """Whether all elements (over `dim`) are not zero; bool."""
    return _C.all(input, dim, keepdim)


def any(input, dim=None, keepdim=False):
    """Whether some element (over `dim`) is not zero; bool."""
    return _C.any(input, dim, keepdim)


def amax(input, dim=None, keepdim=False):
    """The largest elements over `dim` (one or several, all when None); the gradient is shared among equals.

    Raises:
        ShapeError: no elements to choose from.
    """
    return _C.amax(input, dim, keepdim)


def amin(input, dim=None, keepdim=False):
    """The smallest elements over `dim`; see `amax`."""
    return _C.amin(input, dim, keepdim)


def argmax(input, dim=None, keepdim=False):
    """The first place of the largest element along `dim`, or in the flattened tensor; a NaN counts as the largest.

    >>> import fastdl as fd
    >>> fd.argmax(fd.tensor([1.0, 3.0, 3.0]))
    tensor(1)
    """
    return _C.argmax(input, dim, keepdim)


def argmin(input, dim=None, keepdim=False):
    """The first place of the smallest element along `dim`, or in the flattened tensor."""
    return _C.argmin(input, dim, keepdim)


def argsort(input, dim=-1, descending=False, stable=False):
    """The indices that sort along `dim`; always stable."""
    return _C.argsort(input, dim, descending, stable)


def count_nonzero(input, dim=None):
    """The number of elements (over `dim`) that are not zero."""
    return _C.count_nonzero(input, dim)


def cumsum(input, dim, *, dtype=None):
    """Running sums along `dim`, added in float64 (integers in int64).

    >>> import fastdl as fd
    >>> fd.cumsum(fd.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    return _C.cumsum(input, dim, dtype)


def sum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum over `dim` (one or several, all when None). Integers and bools add up in int64.

    float32 is added in short blocks whose sums are added in float64, so the error does not grow with the length.

    >>> import fastdl as fd
    >>> fd.sum(fd.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor([3., 7.])
    """
    return _C.sum(input, dim, keepdim, dtype)


def mean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean over `dim`; NaN of nothing.

    Raises:
        DTypeError: integers, unless `dtype` names a floating-point type.
    """
    return _C.mean(input, dim, keepdim, dtype)


def prod(input, dim=None, keepdim=False, *, dtype=None):
    """The product over `dim`; 1 of nothing."""
    return _C.prod(input, dim, keepdim, dtype)


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
    dim, correction = _moments(dim, unbiased, correction)
    return _C.var(input, dim, correction, keepdim), mean(input, dim, keepdim)


def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The standard deviation and the mean."""
    dim, correction = _moments(dim, unbiased, correction)
    return _C.std(input, dim, correction, keepdim), mean(input, dim, keepdim)


def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The p-norm of all elements, or of those along `dim`: (sum |x|^p)^(1/p); 'fro' is p = 2, 'nuc' the sum of singular values.

    >>> import fastdl as fd
    >>> fd.norm(fd.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x = input if dtype is None else input.to(dtype)
    if p == "nuc":
        from .linalg import matrix_norm

        return _into(out, matrix_norm(x, "nuc", (-2, -1) if dim is None else dim, keepdim))
    return _into(out, _C.vector_norm(x, 2.0 if p == "fro" else p, dim, keepdim))


def _norm_method(self, p="fro", dim=None, keepdim=False, dtype=None):
    """`norm` of this tensor."""
    return norm(self, p, dim, keepdim, dtype=dtype)


Tensor.norm = _norm_method


@_method
def logsumexp(input, dim=None, keepdim=False):
    """log sum exp(x) over `dim` (all dimensions when None), computed as m + log sum exp(x - m) with m the largest."""
    if not input.dtype.is_floating_point:
        input = input.to(_C.default_dtype())
    largest = _C.amax(input.detach(), dim, True)
    largest = largest.masked_fill(_C.isinf(largest), 0.0)
    out = _C.sum((input - largest).exp(), dim, True).log() + largest
    if keepdim:
        return out
    return _C.squeeze(out, tuple(range(input.ndim)) if dim is None else dim)
