"""Convolutions. (They are cross-correlations, as everywhere in this field.)"""

import math

import fastdl
from fastdl.nn import functional as F
from fastdl.nn import init
from fastdl.nn.module import Module
from fastdl.nn.parameter import Parameter

_PADDING_MODES = {"zeros": None, "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def _tuple(value, n):
    return (value,) * n if isinstance(value, int) else tuple(value)


class _ConvNd(Module):
    """What the convolutions share: their arguments' checks, parameters and text."""

    transposed = False

    def __init__(self, n, in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias,
                 padding_mode, device, dtype):  # fmt: skip
        super().__init__()
        name = type(self).__name__
        if groups <= 0:
            raise ValueError(f"{name}: groups must be a positive integer, got {groups}")
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}: {what} = {channels} must be divisible by groups = {groups}")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"{name}: padding_mode must be one of {list(_PADDING_MODES)}, got {padding_mode!r}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.dilation = (_tuple(v, n) for v in (kernel_size, stride, dilation))
        self.output_padding = _tuple(output_padding, n)
        self.groups, self.padding_mode = groups, padding_mode
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"{name}: padding must be ints, 'same' or 'valid', got {padding!r}")
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError(
                    f"{name}: padding='same' is not supported for strided convolutions, got stride {stride}"
                )
            self.padding = padding
        else:
            self.padding = _tuple(padding, n)
        # For a padding mode other than zeros, as F.pad takes it: the last dimension first.
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size)]
            sides = [(total // 2, total - total // 2) for total in totals]
        else:
            sides = [(0, 0)] * n if self.padding == "valid" else [(p, p) for p in self.padding]
        self._pad = tuple(p for side in reversed(sides) for p in side)
        channels = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self.weight = Parameter(fastdl.empty(*channels, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(fastdl.empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self):
        n = len(self.kernel_size)
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * n:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * n:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * n:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class Conv1d(_ConvNd):
    """Convolution over a sequence: y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i].

    Args:
        in_channels, out_channels: C and O.
        kernel_size, stride, padding, dilation: ints or tuples of one; padding also "same" (stride 1) or "valid".
        groups: channels are split into that many independent groups.
        bias: whether there is one.
        padding_mode: "zeros", "reflect", "replicate" or "circular".

    Shapes: x (N, C, L) or (C, L), y (N, O, L') with L' = floor((L + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.
    Parameters: ``weight`` (O, C / groups, kernel) and ``bias`` (O,), from U(-k, k), k = sqrt(groups / (C kernel)).

    Raises:
        ValueError: channels that do not divide by ``groups``, an unknown padding. ShapeError: x does not fit.

    >>> nn.Conv1d(16, 33, 3, stride=2)(fd.randn(20, 16, 50)).shape
    (20, 33, 24)
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", device=None, dtype=None):  # fmt: skip
        super().__init__(1, in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
                         padding_mode, device, dtype)  # fmt: skip

    def forward(self, input):
        if self.padding_mode != "zeros":
            padded = F.pad(input, self._pad, mode=self.padding_mode)
            return F.conv1d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        return F.conv1d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv2d(_ConvNd):
    """Convolution over images: y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i].

    Args:
        in_channels, out_channels: C and O.
        kernel_size, stride, padding, dilation: ints or pairs (height, width); padding also "same" (stride 1) or "valid".
        groups: channels are split into that many independent groups.
        bias: whether there is one.
        padding_mode: "zeros", "reflect", "replicate" or "circular".

    Shapes: x (N, C, H, W) or (C, H, W), y (N, O, H', W') with H' = floor((H + 2 padding - dilation (kernel - 1) - 1) /
    stride) + 1. Parameters: ``weight`` (O, C / groups, height, width) and ``bias`` (O,), from U(-k, k),
    k = sqrt(groups / (C height width)).

    Raises:
        ValueError: channels that do not divide by ``groups``, an unknown padding. ShapeError: x does not fit.

    >>> nn.Conv2d(3, 8, 3, padding=1)(fd.randn(2, 3, 10, 12)).shape
    (2, 8, 10, 12)
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", device=None, dtype=None):  # fmt: skip
        super().__init__(2, in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
                         padding_mode, device, dtype)  # fmt: skip

    def forward(self, input):
        if self.padding_mode != "zeros":
            padded = F.pad(input, self._pad, mode=self.padding_mode)
            return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv3d(_ConvNd):
    """Convolution over volumes: y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i].

    Arguments as :class:`Conv2d`, ints or triples (depth, height, width).

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, O, D', H', W') with sizes as :class:`Conv2d`'s. Parameters: ``weight``
    (O, C / groups, depth, height, width) and ``bias`` (O,), from U(-k, k), k = sqrt(groups / (C depth height width)).

    Raises:
        ValueError: channels that do not divide by ``groups``, an unknown padding. ShapeError: x does not fit.

    >>> nn.Conv3d(3, 8, 3, padding=1)(fd.randn(2, 3, 5, 6, 7)).shape
    (2, 8, 5, 6, 7)
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", device=None, dtype=None):  # fmt: skip
        super().__init__(3, in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
                         padding_mode, device, dtype)  # fmt: skip

    def forward(self, input):
        if self.padding_mode != "zeros":
            padded = F.pad(input, self._pad, mode=self.padding_mode)
            return F.conv3d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        return F.conv3d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class _ConvTransposeNd(_ConvNd):
    transposed = True

    def __init__(self, n, in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation,
                 padding_mode, device, dtype):  # fmt: skip
        if padding_mode != "zeros":
            raise ValueError(f'{type(self).__name__}: only "zeros" padding mode is supported, got {padding_mode!r}')
        if isinstance(padding, str):
            raise ValueError(f"{type(self).__name__}: padding must be ints, got {padding!r}")
        super().__init__(n, in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias,
                         padding_mode, device, dtype)  # fmt: skip

    def _output_padding_for(self, input, output_size):
        """The output padding that gives the spatial ``output_size``."""
        if output_size is None:
            return self.output_padding
        n = len(self.kernel_size)
        wanted = tuple(output_size)[-n:]
        least = [
            (input.shape[input.ndim - n + i] - 1) * self.stride[i]
            - 2 * self.padding[i]
            + self.dilation[i] * (self.kernel_size[i] - 1)
            + 1
            for i in range(n)
        ]
        for size, low, stride in zip(wanted, least, self.stride):
            if not low <= size < low + stride:
                largest = [low + stride - 1 for low, stride in zip(least, self.stride)]
                raise ValueError(
                    f"{type(self).__name__}: output_size {list(wanted)} is not between {least} and {largest} "
                    f"for an input of {list(input.shape[-n:])}"
                )
        return tuple(size - low for size, low in zip(wanted, least))


class ConvTranspose1d(_ConvTransposeNd):
    """The gradient of :class:`Conv1d` with respect to its input, as a layer.

    Shapes: x (N, C, L), y (N, O, L') with L' = (L - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.
    Parameters: ``weight`` (C, O / groups, kernel) and ``bias`` (O,), from U(-k, k), k = sqrt(groups / (O kernel)).
    ``forward(input, output_size=None)`` chooses the output padding that gives ``output_size``.

    Raises:
        ValueError: as :class:`Conv1d`, and an output_size out of reach.

    >>> nn.ConvTranspose1d(4, 2, 4, stride=2, padding=1)(fd.randn(1, 4, 5)).shape
    (1, 2, 10)
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True,
                 dilation=1, padding_mode="zeros", device=None, dtype=None):  # fmt: skip
        super().__init__(1, in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation,
                         padding_mode, device, dtype)  # fmt: skip

    def forward(self, input, output_size=None):
        output_padding = self._output_padding_for(input, output_size)
        return F.conv_transpose1d(
            input, self.weight, self.bias, self.stride, self.padding, output_padding, self.groups, self.dilation
        )


class ConvTranspose2d(_ConvTransposeNd):
    """The gradient of :class:`Conv2d` with respect to its input, as a layer.

    Shapes: x (N, C, H, W), y (N, O, H', W') with H' = (H - 1) stride - 2 padding + dilation (kernel - 1) +
    output_padding + 1. Parameters: ``weight`` (C, O / groups, height, width) and ``bias`` (O,), from U(-k, k),
    k = sqrt(groups / (O height width)). ``forward(input, output_size=None)`` chooses the output padding that gives
    ``output_size``.

    Raises:
        ValueError: as :class:`Conv2d`, and an output_size out of reach.

    >>> nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1)(fd.randn(1, 4, 5, 5)).shape
    (1, 2, 10, 10)
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True,
                 dilation=1, padding_mode="zeros", device=None, dtype=None):  # fmt: skip
        super().__init__(2, in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation,
                         padding_mode, device, dtype)  # fmt: skip

    def forward(self, input, output_size=None):
        output_padding = self._output_padding_for(input, output_size)
        return F.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, output_padding, self.groups, self.dilation
        )


class ConvTranspose3d(_ConvTransposeNd):
    """The gradient of :class:`Conv3d` with respect to its input, as a layer.

    Shapes: x (N, C, D, H, W), y (N, O, D', H', W') with sizes as :class:`ConvTranspose2d`'s. Parameters: ``weight``
    (C, O / groups, depth, height, width) and ``bias`` (O,), from U(-k, k), k = sqrt(groups / (O depth height width)).
    ``forward(input, output_size=None)`` chooses the output padding that gives ``output_size``.

    Raises:
        ValueError: as :class:`Conv3d`, and an output_size out of reach.

    >>> nn.ConvTranspose3d(4, 2, 4, stride=2, padding=1)(fd.randn(1, 4, 3, 5, 5)).shape
    (1, 2, 6, 10, 10)
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True,
                 dilation=1, padding_mode="zeros", device=None, dtype=None):  # fmt: skip
        super().__init__(3, in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation,
                         padding_mode, device, dtype)  # fmt: skip

    def forward(self, input, output_size=None):
        output_padding = self._output_padding_for(input, output_size)
        return F.conv_transpose3d(
            input, self.weight, self.bias, self.stride, self.padding, output_padding, self.groups, self.dilation
        )
