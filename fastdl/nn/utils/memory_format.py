"""Convolutions' weights in other memory layouts."""

import fastdl
from fastdl.autograd import no_grad
from fastdl.nn.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def _convert(module, memory_format, classes):
    with no_grad():
        for child in module.modules():
            if isinstance(child, classes):
                child.weight.data = child.weight.data.contiguous(memory_format=memory_format)
    return module


def convert_conv2d_weight_memory_format(module, memory_format):
    """Lays the weights of all 2-d convolutions in the module out in that format; returns the module.

    >>> conv = nn.utils.convert_conv2d_weight_memory_format(nn.Conv2d(8, 4, 3), fd.channels_last)
    >>> conv.weight.is_contiguous(memory_format=fd.channels_last)
    True
    """
    return _convert(module, memory_format, (Conv2d, ConvTranspose2d))


def convert_conv3d_weight_memory_format(module, memory_format):
    """Lays the weights of all 3-d convolutions in the module out in that format; returns the module.

    Raises:
        ValueError: a format other than contiguous: there is none for five dimensions here.
    """
    if memory_format is not fastdl.contiguous_format:
        raise fastdl.ValueError(f"convert_conv3d_weight_memory_format: expected contiguous_format, got {memory_format}")
    return _convert(module, memory_format, (Conv3d, ConvTranspose3d))
