"""What functions that make tensors have in common."""

from . import _C
from .dtypes import channels_last, contiguous_format, preserve_format


def size_of(sizes, size=None):
    """The shape from what was given as `*sizes`, numbers or one sequence of them, or as `size`."""
    if size is not None:
        if sizes:
            raise TypeError(f"sizes are given twice: {sizes} and size={size}")
        return size
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes


def empty(size, dtype, device):
    """Uninitialised memory of the default dtype on the default device, unless others are named."""
    return _C.empty(size, dtype or _C.default_dtype(), device or _C.default_device())


def like(input, dtype, device, memory_format=preserve_format):
    """Uninitialised memory like `input`'s: on its device and in its layout, unless others are named."""
    if memory_format is channels_last:
        return _C.to_channels_last(_C.empty(input.shape, dtype or input.dtype, device or input.device))
    if memory_format is contiguous_format:
        return _C.empty(input.shape, dtype or input.dtype, device or input.device)
    if device is None or _C.device(device) == input.device:
        return _C.empty_like(input, dtype or input.dtype)
    return _C.empty(input.shape, dtype or input.dtype, device)


def finish(t, requires_grad):
    """The tensor, which now requires a gradient if asked for."""
    if requires_grad:
        t.requires_grad = True
    return t
