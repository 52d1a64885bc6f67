"""Images cut into overlapping patches, and patches added up to images."""

import math

import fastdl
from fastdl.nn.functional.padding import pad
from fastdl.nn.functional.sizes import check_ndim, each

__all__ = [
    "fold",
    "unfold",
]


def _patches(op, size, kernel_size, dilation, padding, stride):
    """For images of a size: the padded size, kernel, padding, numbers of patches, and where in the padded plane each
    element of each patch is, (kernel elements x patches,)."""
    kernel, gaps, sides, steps = (
        each(op, what, value, 2)
        for what, value in (
            ("kernel_size", kernel_size), ("dilation", dilation), ("padding", padding), ("stride", stride),
        )
    )  # fmt: skip
    if min(*kernel, *gaps, *steps) < 1 or min(sides) < 0:
        raise fastdl.ValueError(
            f"{op}: kernel_size {list(kernel)}, dilation {list(gaps)} and stride {list(steps)} must be at least 1, "
            f"padding {list(sides)} at least 0"
        )
    padded = [n + 2 * p for n, p in zip(size, sides)]
    blocks = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(padded, gaps, kernel, steps)]
    if min(blocks) < 1:
        raise fastdl.ShapeError(
            f"{op}: patches of kernel_size {list(kernel)}, dilation {list(gaps)} do not fit into {list(size)}, "
            f"padding {list(sides)}"
        )
    rows, columns = (
        (fastdl.arange(k) * d).view(-1, 1) + fastdl.arange(b) * s for k, d, b, s in zip(kernel, gaps, blocks, steps)
    )  # (kernel, blocks) each
    places = rows.view(kernel[0], 1, blocks[0], 1) * padded[1] + columns.view(1, kernel[1], 1, blocks[1])
    return padded, kernel, sides, blocks, places.reshape(-1)


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The patches that a convolution would see, as columns.

    Args:
        input: (N, C, H, W), or (C, H, W).
        kernel_size, dilation, padding, stride: an int, or one each for height and width.

    Returns:
        (N, C kernel height kernel width, patches), or without N.

    Raises:
        ShapeError: another number of dimensions, or a kernel larger than the padded input.

    >>> F.unfold(fd.arange(4.0).view(1, 1, 2, 2), (2, 1)).tolist()
    [[[0.0, 1.0], [2.0, 3.0]]]
    """
    check_ndim("unfold", input, (3, 4))
    padded, kernel, sides, blocks, places = _patches("unfold", input.shape[-2:], kernel_size, dilation, padding, stride)
    x = pad(input, (sides[1], sides[1], sides[0], sides[0])) if any(sides) else input
    lead = input.shape[:-3]
    columns = x.reshape(*lead, input.shape[-3], math.prod(padded)).index_select(-1, places.to(device=input.device))
    return columns.view(*lead, input.shape[-3] * math.prod(kernel), math.prod(blocks))


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Images of size `output_size` to which every patch is added at its place: the gradient of :func:`unfold`.

    Args:
        input: (N, C kernel height kernel width, patches), or without N.
        output_size: (height, width).
        kernel_size, dilation, padding, stride: as of :func:`unfold`.

    Returns:
        (N, C, height, width), or without N.

    Raises:
        ShapeError: rows that do not divide by the kernel's elements, or another number of patches.

    >>> F.fold(fd.ones(1, 2, 3), (1, 4), (1, 2)).tolist()
    [[[[1.0, 2.0, 2.0, 1.0]]]]
    """
    check_ndim("fold", input, (2, 3))
    size = each("fold", "output_size", output_size, 2)
    padded, kernel, sides, blocks, places = _patches("fold", size, kernel_size, dilation, padding, stride)
    elements, patches = math.prod(kernel), math.prod(blocks)
    if input.shape[-2] % elements or input.shape[-1] != patches:
        raise fastdl.ShapeError(
            f"fold: input {list(input.shape)}, expected a multiple of {elements} rows (kernel_size {list(kernel)}) and "
            f"{patches} columns ({blocks[0]} x {blocks[1]} patches in output_size {list(size)})"
        )
    lead, channels = input.shape[:-2], input.shape[-2] // elements
    y = fastdl.zeros(*lead, channels, math.prod(padded), dtype=input.dtype, device=input.device)
    source = input.reshape(*lead, channels, elements * patches)
    y = y.index_add(-1, places.to(device=input.device), source).view(*lead, channels, *padded)
    return y.narrow(-2, sides[0], size[0]).narrow(-1, sides[1], size[1]).contiguous() if any(sides) else y
