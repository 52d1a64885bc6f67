"""Pooling over windows whose steps are random, so that sizes shrink by fractions."""

import math

import fastdl
from fastdl.nn.functional.sizes import check_ndim, each

__all__ = [
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]


def _output_size(op, dims, sizes, output_size, output_ratio):
    if (output_size is None) == (output_ratio is None):
        raise fastdl.ValueError(f"{op}: exactly one of output_size and output_ratio must be given")
    if output_size is not None:
        return each(op, "output_size", output_size, dims)
    ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * dims
    if len(ratios) != dims or not all(0 < r < 1 for r in ratios):
        raise fastdl.ValueError(f"{op}: output_ratio needs 1 or {dims} numbers between 0 and 1, got {output_ratio}")
    return tuple(int(size * ratio) for size, ratio in zip(sizes, ratios))


def _fractional_max_pool(dims, input, kernel_size, output_size, output_ratio, samples):
    """Values and indices. Window i of n starts at floor((i + u) a) - floor(u a), a = (size - kernel) / (n - 1) and u a
    random number for each sample, channel and dimension; the last one ends at the end."""
    op = f"fractional_max_pool{dims}d"
    check_ndim(op, input, (dims + 1, dims + 2))
    kernel, sizes = each(op, "kernel_size", kernel_size, dims), input.shape[-dims:]
    output = _output_size(op, dims, sizes, output_size, output_ratio)
    if any(k < 1 or n < 1 or n + k - 1 > size for k, n, size in zip(kernel, output, sizes)):
        raise fastdl.ShapeError(
            f"{op}: {list(output)} windows of kernel_size {list(kernel)} do not fit into input {list(input.shape)}"
        )
    x = input if input.ndim == dims + 2 else input.unsqueeze(0)
    n, c = x.shape[:2]
    if samples is None:
        samples = fastdl.rand(n, c, dims, dtype=input.dtype, device=input.device)
    if samples.ndim != 3 or samples.shape[0] < n or samples.shape[1:] != (c, dims):
        raise fastdl.ShapeError(f"{op}: _random_samples {list(samples.shape)}, expected {[n, c, dims]}")
    samples = samples[:n]
    index = fastdl.zeros((), dtype=fastdl.int64, device=input.device)  # (n, c, *output, *kernel): places in a plane
    for d, (size, k, out) in enumerate(zip(sizes, kernel, output)):
        u = samples[..., 1 - d if dims == 2 else d].unsqueeze(-1)
        step = (size - k) / (out - 1) if out > 1 else 0.0
        windows = fastdl.arange(out, dtype=samples.dtype, device=input.device)
        starts = (((windows + u) * step).floor() - (u * step).floor()).to(fastdl.int64)
        starts[..., -1] = size - k
        ones = [1] * dims
        starts = starts.view(n, c, *ones[:d], out, *ones[d + 1 :], *ones)
        index = index * size + starts + fastdl.arange(k, device=input.device).view(*ones[:d], k, *ones[d + 1 :])
    index = index.reshape(n, c, *output, math.prod(kernel))
    flat = index.reshape(n, c, math.prod(index.shape[2:]))
    windows = x.reshape(n, c, math.prod(sizes)).gather(2, flat).view(index.shape)
    values, chosen = windows.max(-1)
    indices = index.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    return (values, indices) if x is input else (values.squeeze(0), indices.squeeze(0))


def fractional_max_pool2d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """:func:`fractional_max_pool2d` that always returns the indices too."""
    return _fractional_max_pool(2, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """:func:`fractional_max_pool3d` that always returns the indices too."""
    return _fractional_max_pool(3, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool2d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """The maximum of each of `output_size` windows, which lie at random, nearly even distances.

    Args:
        input: (N, C, H, W), or (C, H, W).
        kernel_size: of the windows, an int or (height, width).
        output_size, output_ratio: one of them: the output's sizes, or what part of the input's they are.
        return_indices: also return where in H x W the maxima are.
        _random_samples: (N, C, 2), the random numbers in [0, 1) to use, for width and height.

    Raises:
        ShapeError: windows that do not fit. ValueError: both or none of output_size and output_ratio.

    Graham, "Fractional max-pooling", 2014.

    >>> F.fractional_max_pool2d(fd.randn(1, 3, 20, 18), 3, output_ratio=0.7).shape
    (1, 3, 14, 12)
    """
    both = fractional_max_pool2d_with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
    return both if return_indices else both[0]


def fractional_max_pool3d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """:func:`fractional_max_pool2d` of volumes (N, C, D, H, W) or (C, D, H, W), with three sizes.

    >>> F.fractional_max_pool3d(fd.randn(1, 3, 20, 18, 8), 3, output_size=(10, 9, 4)).shape
    (1, 3, 10, 9, 4)
    """
    both = fractional_max_pool3d_with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
    return both if return_indices else both[0]
