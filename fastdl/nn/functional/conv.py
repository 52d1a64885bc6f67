"""Convolutions and transposed convolutions."""

import fastdl
from fastdl import _C
from fastdl.nn.functional.padding import pad
from fastdl.nn.functional.sizes import check_ndim, each

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]


def _conv_with_named_padding(conv, input, weight, bias, stride, padding, dilation, groups):
    """padding='valid' is none; with padding='same' the output has the input's size, an odd element of padding at the end."""
    op = conv.__name__
    if padding == "valid":
        return conv(input, weight, bias, stride, 0, dilation, groups)
    if padding != "same":
        raise _C.ValueError(f"{op}: padding must be ints, 'valid' or 'same', got {padding!r}")
    dims = weight.ndim - 2
    if any(s != 1 for s in each(op, "stride", stride, dims)):
        raise _C.ValueError(f"{op}: padding='same' needs stride 1, got {stride}")
    total = [d * (k - 1) for d, k in zip(each(op, "dilation", dilation, dims), weight.shape[2:])]
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
        return _conv_with_named_padding(conv1d, input, weight, bias, stride, padding, dilation, groups)
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

    Float32 convolutions of 3x3 taps and stride 1 on the CPU may be computed by Winograd's algorithm: what that means for
    rounding errors and NaN, and the switch that turns it off, are in `fastdl.backends.cpu`.

    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    >>> F.conv2d(fd.ones(1, 3, 8, 8), fd.ones(16, 3, 3, 3), stride=2, padding=1).shape
    (1, 16, 4, 4)
    """
    if isinstance(padding, str):
        return _conv_with_named_padding(conv2d, input, weight, bias, stride, padding, dilation, groups)
    return _C.conv2d(input, weight, bias, stride, padding, dilation, groups)


def _volumes(op, input, weight, bias, groups, in_channels, out_channels):
    """The input with a batch, once the operands of a convolution over volumes fit together."""
    check_ndim(op, input, (4, 5))
    if weight.ndim != 5 or 0 in weight.shape[2:]:
        raise fastdl.ShapeError(
            f"{op}: weight needs 5 dimensions and a kernel that is not empty, got {list(weight.shape)}"
        )
    if not isinstance(groups, int) or groups < 1:
        raise fastdl.ValueError(f"{op}: groups must be at least 1, got {groups}")
    if weight.shape[0] % groups or input.shape[-4] != in_channels:
        raise fastdl.ShapeError(
            f"{op}: weight {list(weight.shape)} with {groups} group{'s' if groups > 1 else ''} expects an input of "
            f"{in_channels} channels and {weight.shape[0]} that divide by the groups, got input {list(input.shape)}"
        )
    if bias is not None and tuple(bias.shape) != (out_channels,):
        raise fastdl.ShapeError(f"{op}: bias needs shape [{out_channels}], got {list(bias.shape)}")
    return input if input.ndim == 5 else input.unsqueeze(0)


def _steps(op, least, **options):
    """Stride, padding, ... as (depth, [height, width]) each, none below its least value."""
    for (what, value), low in zip(options.items(), least):
        values = each(op, what, value, 3)
        if min(values) < low:
            raise fastdl.ValueError(f"{op}: {what} must be at least {low}, got {list(values)}")
        yield values[0], list(values[1:])


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Slides `weight` over volumes: `conv2d` with a depth.

    The slices that an output slice depends on become channels of one image, and `conv2d` does the rest.

    Args:
        input: (N, C, D, H, W), or (C, D, H, W).
        weight: (O, C / groups, KD, KH, KW).
        bias: (O), or None.
        stride, padding, dilation: an int, or one each for depth, height and width; padding may be 'valid' or 'same'.
        groups: the channels fall into so many groups, each convolved by itself.

    Raises:
        ShapeError: operands that do not fit together, or a kernel larger than the padded input.
        DTypeError: operands of several dtypes, or integers.

    >>> F.conv3d(fd.ones(1, 3, 8, 8, 8), fd.ones(16, 3, 3, 3, 3), stride=2, padding=1).shape
    (1, 16, 4, 4, 4)
    """
    if isinstance(padding, str):
        return _conv_with_named_padding(conv3d, input, weight, bias, stride, padding, dilation, groups)
    x = _volumes("conv3d", input, weight, bias, groups, weight.shape[1] * groups, weight.shape[0])
    (step, steps), (side, sides), (gap, gaps) = _steps(
        "conv3d", (1, 0, 1), stride=stride, padding=padding, dilation=dilation
    )
    n, c, *size = x.shape
    o, per_group, depth, *kernel = weight.shape
    for length, p, d, k in zip(size, (side, *sides), (gap, *gaps), (depth, *kernel)):
        if length + 2 * p < d * (k - 1) + 1:
            raise fastdl.ShapeError(
                f"conv3d: the kernel of weight {list(weight.shape)}, dilation {dilation}, is larger than the padded input "
                f"{list(input.shape)}, padding {padding}"
            )
    if side:
        x = pad(x, (0, 0, 0, 0, side, side))
    windows = x.unfold(2, gap * (depth - 1) + 1, step)[..., ::gap]  # (N, C, D', H, W, KD)
    count = windows.shape[2]
    images = windows.permute(0, 2, 1, 5, 3, 4).reshape(n * count, c * depth, *size[1:])
    y = _C.conv2d(images, weight.reshape(o, per_group * depth, *kernel), bias, steps, sides, gaps, groups)
    y = y.reshape(n, count, *y.shape[1:]).transpose(1, 2).contiguous()
    return y if input.ndim == 5 else y.squeeze(0)


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


def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of `conv3d` with respect to its input, as a layer.

    Args:
        input: (N, C, D, H, W), or (C, D, H, W).
        weight: (C, O / groups, KD, KH, KW).
        bias: (O), or None.
        stride, padding, dilation: of the convolution that it transposes.
        output_padding: added to the output's sizes at their ends; smaller than the stride or the dilation.
        groups: as in `conv3d`.

    Raises:
        ShapeError: operands that do not fit together.

    >>> F.conv_transpose3d(fd.ones(1, 8, 4, 4, 4), fd.ones(8, 3, 2, 2, 2), stride=2).shape
    (1, 3, 8, 8, 8)
    """
    op = "conv_transpose3d"
    x = _volumes(op, input, weight, bias, groups, weight.shape[0], weight.shape[1] * groups)
    (step, steps), (side, sides), (extra, extras), (gap, gaps) = _steps(
        op, (1, 0, 0, 1), stride=stride, padding=padding, output_padding=output_padding, dilation=dilation
    )
    if extra >= step and extra >= gap:
        raise fastdl.ValueError(
            f"{op}: output_padding {output_padding} must be smaller than stride {stride} or dilation {dilation}"
        )
    n, c, count, *size = x.shape
    _, per_group, depth, *kernel = weight.shape
    total = (count - 1) * step + gap * (depth - 1) + 1 + extra
    if count == 0 or total - 2 * side < 1:
        raise fastdl.ShapeError(
            f"{op}: input {list(input.shape)} and weight {list(weight.shape)} with stride {stride}, padding {padding} "
            f"give no output"
        )
    images = x.transpose(1, 2).reshape(n * count, c, *size)
    taps = _C.conv_transpose2d(
        images, weight.reshape(c, per_group * depth, *kernel), None, steps, sides, extras, groups, gaps
    )  # each slice's share of each of the KD slices that it adds to, as channels
    channels, size = per_group * groups, taps.shape[2:]
    taps = taps.reshape(n, count, channels, depth, *size).permute(0, 2, 1, 3, 4, 5).reshape(n, channels, -1, *size)
    places = (fastdl.arange(count) * step).view(-1, 1) + fastdl.arange(depth) * gap
    y = fastdl.zeros(n, channels, total, *size, dtype=input.dtype, device=input.device)
    y = y.index_add(2, places.reshape(-1).to(device=input.device), taps).narrow(2, side, total - 2 * side).contiguous()
    y = y if bias is None else y + bias.view(-1, 1, 1, 1)
    return y if input.ndim == 5 else y.squeeze(0)
