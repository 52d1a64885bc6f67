"""Convolutions and transposed convolutions."""

from fastdl import _C

__all__ = [
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
]


def _conv_with_named_padding(op, input, weight, bias, stride, padding, dilation, groups):
    """padding='valid' is none; with padding='same' the output has the input's size, an odd element of padding at the end."""
    conv = getattr(_C, op)
    if padding == "valid":
        return conv(input, weight, bias, stride, 0, dilation, groups)
    if padding != "same":
        raise _C.ValueError(f"{op}: padding must be ints, 'valid' or 'same', got {padding!r}")
    dims = weight.ndim - 2

    def each(v):
        return tuple(v) * (dims if len(v) == 1 else 1) if isinstance(v, (tuple, list)) else (v,) * dims

    if any(s != 1 for s in each(stride)):
        raise _C.ValueError(f"{op}: padding='same' needs stride 1, got {stride}")
    total = [d * (k - 1) for d, k in zip(each(dilation), weight.shape[2:], strict=True)]
    output = conv(input, weight, bias, 1, [(t + 1) // 2 for t in total], dilation, groups)
    for d, t in enumerate(total):
        if t % 2:  # padded by one too many at the start
            d += output.ndim - dims
            output = _C.narrow(output, d, 1, output.shape[d] - 1)
    return output


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Slides `weight` along the last dimension: out[n, o, i] = bias[o] + sum over c, k of w[o, c, k] x[n, c, i*stride + k*dilation].

    Args:
        input: (N, C, L), or (C, L).
        weight: (O, C / groups, K).
        bias: (O), or None.
        stride, padding, dilation: ints; padding may be 'valid' (none) or 'same' (the output has the input's length).
        groups: the channels fall into so many groups, each convolved by itself.

    Raises:
        ShapeError: operands that do not fit together, or a kernel larger than the padded input.
        DTypeError: operands of several dtypes, or integers.

    >>> F.conv1d(fd.ones(1, 1, 4), fd.ones(1, 1, 3), padding=1).tolist()
    [[[2.0, 3.0, 3.0, 2.0]]]
    """
    if isinstance(padding, str):
        return _conv_with_named_padding("conv1d", input, weight, bias, stride, padding, dilation, groups)
    return _C.conv1d(input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Slides `weight` over images (a cross-correlation, as all deep-learning libraries compute it).

    out[n, o, i, j] = bias[o] + sum over c, p, q of w[o, c, p, q] x[n, c, i*stride - padding + p*dilation, ...]

    Args:
        input: (N, C, H, W), or (C, H, W); in channels-last memory the output is too.
        weight: (O, C / groups, KH, KW).
        bias: (O), or None.
        stride, padding, dilation: an int, or one each for height and width; padding may be 'valid' or 'same'.
        groups: the channels fall into so many groups, each convolved by itself; groups=C is a depthwise convolution.

    Raises:
        ShapeError: operands that do not fit together, or a kernel larger than the padded input.
        DTypeError: operands of several dtypes, or integers.

    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    >>> F.conv2d(fd.ones(1, 3, 8, 8), fd.ones(16, 3, 3, 3), stride=2, padding=1).shape
    (1, 16, 4, 4)
    """
    if isinstance(padding, str):
        return _conv_with_named_padding("conv2d", input, weight, bias, stride, padding, dilation, groups)
    return _C.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of `conv1d` with respect to its input, as a layer: (N, C, L) -> (N, O, (L-1)*stride - 2*padding + dilation*(K-1) + output_padding + 1).

    Args:
        input: (N, C, L), or (C, L).
        weight: (C, O / groups, K).
        bias: (O), or None.
        stride, padding, dilation: of the convolution that it transposes.
        output_padding: added to the output's length at its end; smaller than the stride or the dilation.
        groups: as in `conv1d`.

    Raises:
        ShapeError: operands that do not fit together.

    >>> F.conv_transpose1d(fd.ones(1, 1, 2), fd.ones(1, 1, 2), stride=2).tolist()
    [[[1.0, 1.0, 1.0, 1.0]]]
    """
    return _C.conv_transpose1d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of `conv2d` with respect to its input, as a layer ("deconvolution", upsampling).

    Args:
        input: (N, C, H, W), or (C, H, W).
        weight: (C, O / groups, KH, KW).
        bias: (O), or None.
        stride, padding, dilation: of the convolution that it transposes.
        output_padding: added to the output's height and width at their ends; smaller than the stride or the dilation.
        groups: as in `conv2d`.

    Raises:
        ShapeError: operands that do not fit together.

    >>> F.conv_transpose2d(fd.ones(1, 8, 4, 4), fd.ones(8, 3, 2, 2), stride=2).shape
    (1, 3, 8, 8)
    """
    return _C.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)
