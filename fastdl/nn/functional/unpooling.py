"""Maxima put back to where they were."""

import math

import fastdl
from fastdl.nn.functional.sizes import check_ndim, each

__all__ = [
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def _max_unpool(dims, input, indices, kernel_size, stride, padding, output_size):
    op = f"max_unpool{dims}d"
    check_ndim(op, input, (dims + 1, dims + 2))
    if indices.shape != input.shape:
        raise fastdl.ShapeError(f"{op}: indices {list(indices.shape)} for an input of {list(input.shape)}")
    kernel = each(op, "kernel_size", kernel_size, dims)
    steps = kernel if stride is None else each(op, "stride", stride, dims)
    sides = each(op, "padding", padding, dims)
    usual = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(input.shape[-dims:], steps, sides, kernel)]
    size = usual if output_size is None else list(output_size)[-dims:]
    if output_size is not None and len(output_size) not in (dims, dims + 2):
        raise fastdl.ValueError(f"{op}: output_size needs {dims} or {dims + 2} values, got {list(output_size)}")
    if any(abs(wanted - u) >= s for wanted, u, s in zip(size, usual, steps)) or min(size) < 0:
        raise fastdl.ValueError(f"{op}: output_size {size} is not within {list(steps)} of {usual}")
    lead = input.shape[:-dims]
    count = math.prod(input.shape[-dims:])
    places, values = indices.reshape(*lead, count), input.reshape(*lead, count)
    empty = fastdl.zeros(*lead, math.prod(size), dtype=input.dtype, device=input.device)
    return empty.scatter(-1, places, values).view(*lead, *size)


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """A sequence of zeros with the values of `input` at `indices`: a partial inverse of `max_pool1d`.

    Args:
        input: (N, C, L), or (C, L): the maxima.
        indices: of the input's shape, as `max_pool1d` returns them.
        kernel_size, stride, padding: of the pooling.
        output_size: of the sequence, where the pooling could have had inputs of several; by default
            (L - 1) stride - 2 padding + kernel_size.

    Raises:
        ShapeError: indices of another shape. ValueError: an output_size out of reach. IndexError: an index outside of it.

    >>> y, where = F.max_pool1d(fd.tensor([[1.0, 3.0, 4.0, 2.0]]), 2, return_indices=True)
    >>> F.max_unpool1d(y, where, 2).tolist()
    [[0.0, 3.0, 4.0, 0.0]]
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """An image of zeros with the values of `input` at `indices`; arguments and errors as for `max_unpool1d`.

    >>> y, where = F.max_pool2d(fd.arange(4.0).view(1, 2, 2), 2, return_indices=True)
    >>> F.max_unpool2d(y, where, 2).tolist()
    [[[0.0, 0.0], [0.0, 3.0]]]
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """A volume of zeros with the values of `input` at `indices`; arguments and errors as for `max_unpool1d`.

    >>> y, where = F.max_pool3d(fd.arange(8.0).view(1, 2, 2, 2), 2, return_indices=True)
    >>> F.max_unpool3d(y, where, 2).sum().item()
    7.0
    """
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)
