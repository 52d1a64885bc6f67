"""Pooling over windows."""

import math

from fastdl import _C
from fastdl.nn.functional.sizes import each

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
]


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The maximum of each window of a sequence.

    Args:
        input: (N, C, L), or (C, L).
        kernel_size, stride, padding, dilation: the windows; stride is kernel_size when None, padding (at most half of
            kernel_size) never is a maximum.
        ceil_mode: a last window that hangs over the end counts.
        return_indices: also return where in L the maxima are (the first of equal ones).

    Raises:
        ShapeError: an input of other dimensions, or smaller than a window.

    >>> F.max_pool1d(fd.tensor([[1.0, 3.0, 2.0, 4.0]]), 2).tolist()
    [[3.0, 4.0]]
    """
    pool = _C.max_pool_with_indices if return_indices else _C.max_pool
    return pool(input, 1, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The maximum of each window of an image; NaN if the window holds one.

    Args:
        input: (N, C, H, W), or (C, H, W).
        kernel_size, stride, padding, dilation: the windows, an int or one each for height and width; stride is
            kernel_size when None, padding (at most half of kernel_size) never is a maximum.
        ceil_mode: a last window that hangs over the edge counts.
        return_indices: also return where in H x W (as h * W + w) the maxima are (the first of equal ones).

    Raises:
        ShapeError: an input of other dimensions, or smaller than a window.

    >>> F.max_pool2d(fd.tensor([[[1.0, 2.0], [3.0, 0.0]]]), 2).tolist()
    [[[3.0]]]
    """
    pool = _C.max_pool_with_indices if return_indices else _C.max_pool
    return pool(input, 2, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The maximum of each window of a volume; NaN if the window holds one.

    Args:
        input: (N, C, D, H, W), or (C, D, H, W).
        kernel_size, stride, padding, dilation: the windows, an int or one each for depth, height and width; stride is
            kernel_size when None, padding (at most half of kernel_size) never is a maximum.
        ceil_mode: a last window that hangs over the edge counts.
        return_indices: also return where in D x H x W (as (d * H + h) * W + w) the maxima are (the first of equal ones).

    Raises:
        ShapeError: an input of other dimensions, or smaller than a window.

    >>> F.max_pool3d(fd.arange(8.0).view(1, 2, 2, 2), 2).tolist()
    [[[[7.0]]]]
    """
    pool = _C.max_pool_with_indices if return_indices else _C.max_pool
    return pool(input, 3, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool1d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """:func:`max_pool1d` that always returns the indices too."""
    return _C.max_pool_with_indices(input, 1, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """:func:`max_pool2d` that always returns the indices too."""
    return _C.max_pool_with_indices(input, 2, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """:func:`max_pool3d` that always returns the indices too."""
    return _C.max_pool_with_indices(input, 3, kernel_size, stride, padding, dilation, ceil_mode)


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window of a sequence.

    Args:
        input: (N, C, L), or (C, L).
        kernel_size, stride, padding: the windows; stride is kernel_size when None.
        ceil_mode: a last window that hangs over the end counts.
        count_include_pad: whether the zeros of the padding count in the mean.

    Raises:
        ShapeError: an input of other dimensions, or smaller than a window.

    >>> F.avg_pool1d(fd.tensor([[1.0, 3.0, 2.0, 4.0]]), 2).tolist()
    [[2.0, 3.0]]
    """
    return _C.avg_pool(input, 1, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window of an image.

    Args:
        input: (N, C, H, W), or (C, H, W).
        kernel_size, stride, padding: the windows, an int or one each for height and width; stride is kernel_size when None.
        ceil_mode: a last window that hangs over the edge counts.
        count_include_pad: whether the zeros of the padding count in the mean.
        divisor_override: what the sums are divided by, in place of the windows' sizes.

    Raises:
        ShapeError: an input of other dimensions, or smaller than a window.

    >>> F.avg_pool2d(fd.tensor([[[1.0, 2.0], [3.0, 0.0]]]), 2).tolist()
    [[[1.5]]]
    """
    return _C.avg_pool(input, 2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window of a volume, (N, C, D, H, W) or (C, D, H, W).

    Arguments and errors as for `avg_pool2d`, with three sizes.

    >>> F.avg_pool3d(fd.arange(8.0).view(1, 2, 2, 2), 2).tolist()
    [[[[3.5]]]]
    """
    return _C.avg_pool(input, 3, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _adaptive_size(output_size):
    """The sizes for the op, which takes -1 for the input's."""
    sizes = output_size if isinstance(output_size, (tuple, list)) else [output_size]
    if any(s is not None and s < 0 for s in sizes):
        raise _C.ValueError(f"adaptive pooling: output_size must not be negative, got {output_size}")
    return [-1 if s is None else s for s in sizes]


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """The maximum of each of `output_size` parts of a sequence: part i is floor(i L / size) to ceil((i + 1) L / size).

    Args:
        input: (N, C, L), or (C, L).
        output_size: an int.
        return_indices: also return where in L the maxima are.

    >>> F.adaptive_max_pool1d(fd.tensor([[1.0, 3.0, 2.0, 4.0]]), 2).tolist()
    [[3.0, 4.0]]
    """
    output, indices = _C.adaptive_max_pool(input, 1, _adaptive_size(output_size))
    return (output, indices) if return_indices else output


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """The maximum of each of `output_size` parts of an image (the parts as in `adaptive_max_pool1d`).

    Args:
        input: (N, C, H, W), or (C, H, W).
        output_size: an int, or (height, width); None keeps the input's size.
        return_indices: also return where in H x W the maxima are.

    >>> F.adaptive_max_pool2d(fd.ones(1, 3, 7, 5), (2, None)).shape
    (1, 3, 2, 5)
    """
    output, indices = _C.adaptive_max_pool(input, 2, _adaptive_size(output_size))
    return (output, indices) if return_indices else output


def adaptive_max_pool3d(input, output_size, return_indices=False):
    """The maximum of each of `output_size` parts of a volume (the parts as in `adaptive_max_pool1d`).

    Args:
        input: (N, C, D, H, W), or (C, D, H, W).
        output_size: an int, or (depth, height, width); None keeps the input's size.
        return_indices: also return where in D x H x W the maxima are.

    >>> F.adaptive_max_pool3d(fd.ones(1, 3, 7, 5, 4), (2, None, 1)).shape
    (1, 3, 2, 5, 1)
    """
    output, indices = _C.adaptive_max_pool(input, 3, _adaptive_size(output_size))
    return (output, indices) if return_indices else output


def adaptive_max_pool1d_with_indices(input, output_size, return_indices=False):
    """:func:`adaptive_max_pool1d` that always returns the indices too."""
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(input, output_size, return_indices=False):
    """:func:`adaptive_max_pool2d` that always returns the indices too."""
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool3d_with_indices(input, output_size, return_indices=False):
    """:func:`adaptive_max_pool3d` that always returns the indices too."""
    return adaptive_max_pool3d(input, output_size, True)


def adaptive_avg_pool1d(input, output_size):
    """The mean of each of `output_size` parts of a sequence (the parts as in `adaptive_max_pool1d`).

    Args:
        input: (N, C, L), or (C, L).
        output_size: an int.

    >>> F.adaptive_avg_pool1d(fd.tensor([[1.0, 3.0, 2.0, 4.0]]), 2).tolist()
    [[2.0, 3.0]]
    """
    return _C.adaptive_avg_pool(input, 1, _adaptive_size(output_size))


def adaptive_avg_pool2d(input, output_size):
    """The mean of each of `output_size` parts of an image (the parts as in `adaptive_max_pool1d`).

    Args:
        input: (N, C, H, W), or (C, H, W).
        output_size: an int, or (height, width); None keeps the input's size. 1 is global average pooling.

    >>> F.adaptive_avg_pool2d(fd.ones(1, 3, 7, 5), 1).shape
    (1, 3, 1, 1)
    """
    return _C.adaptive_avg_pool(input, 2, _adaptive_size(output_size))


def adaptive_avg_pool3d(input, output_size):
    """The mean of each of `output_size` parts of a volume (the parts as in `adaptive_max_pool1d`).

    Args:
        input: (N, C, D, H, W), or (C, D, H, W).
        output_size: an int, or (depth, height, width); None keeps the input's size.

    >>> F.adaptive_avg_pool3d(fd.ones(1, 3, 7, 5, 4), (2, None, 1)).shape
    (1, 3, 2, 5, 1)
    """
    return _C.adaptive_avg_pool(input, 3, _adaptive_size(output_size))


def _lp_pool(dims, input, norm_type, kernel_size, stride, ceil_mode):
    if norm_type in (math.inf, -math.inf):
        sign = 1 if norm_type > 0 else -1
        return sign * _C.max_pool(sign * input.abs(), dims, kernel_size, stride, 0, 1, ceil_mode)
    size = math.prod(each(f"lp_pool{dims}d", "kernel_size", kernel_size, dims))
    total = _C.avg_pool(input**norm_type, dims, kernel_size, stride, 0, ceil_mode, True) * size
    nothing = total == 0  # where the root's slope is infinite, the gradient is zero
    return (total.masked_fill(nothing, 1.0) ** (1.0 / norm_type)).masked_fill(nothing, 0.0)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of a sequence, (sum of x^p)^(1/p): p = 1 sums, p = inf is the largest |x|.

    Args:
        input: (N, C, L), or (C, L).
        norm_type: p.
        kernel_size, stride: the windows; stride is kernel_size when None.
        ceil_mode: a last window that hangs over the end counts.

    Raises:
        ShapeError: an input of other dimensions, or smaller than a window.

    >>> F.lp_pool1d(fd.tensor([[3.0, 4.0, 1.0, 0.0]]), 2, 2).tolist()
    [[5.0, 1.0]]
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of an image, (N, C, H, W) or (C, H, W); arguments as for `lp_pool1d`.

    >>> F.lp_pool2d(fd.tensor([[[3.0, 4.0], [0.0, 0.0]]]), 2, 2).tolist()
    [[[5.0]]]
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of a volume, (N, C, D, H, W) or (C, D, H, W); arguments as for `lp_pool1d`.

    >>> F.lp_pool3d(fd.ones(1, 2, 2, 2), 1, 2).tolist()
    [[[[8.0]]]]
    """
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
