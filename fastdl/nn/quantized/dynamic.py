"""Layers whose weights have 8 bits, one scale an output, and whose inputs are quantised as they arrive."""

import fastdl
from fastdl.nn import functional as F
from fastdl.nn.conv import Conv2d as FloatConv2d
from fastdl.nn.functional.quantized import linear_int8, pack_weight, quantize_weight
from fastdl.nn.linear import Linear as FloatLinear
from fastdl.nn.module import Module

__all__ = ["Conv2d", "Linear"]


class _Int8(Module):
    """The weight in int8 with its scales, and what the kernel reads, which is made from it and not saved."""

    def _quantize(self, weight, bias):
        q, scale = quantize_weight(weight)
        self.register_buffer("weight", q)
        self.register_buffer("weight_scale", scale)
        self.register_buffer("bias", None if bias is None else bias.detach().float().clone())
        panels, sums = pack_weight(q.flatten(1))
        self.register_buffer("_panels", panels, persistent=False)
        self.register_buffer("_sums", sums, persistent=False)

    def _pack(self):
        self._panels, self._sums = pack_weight(self.weight.flatten(1))

    def _load_from_state_dict(self, state, prefix, report):
        super()._load_from_state_dict(state, prefix, report)
        report.copies.append(self._pack)

    def _rows(self, input):
        return linear_int8(input, self._panels, self.weight_scale, self._sums, self.bias)


class Linear(_Int8):
    """``nn.Linear`` with a weight of 8 bits: a quarter of the memory, and integer products.

    Each row of the input is quantised to 8 bits on its own, so a prediction does not depend on what else is in its batch.
    For inference: outputs have no history.

    Args:
        in_features, out_features: sizes of x's and y's last dimension; in_features at most 65536.
        bias_: whether there is a bias.

    State: ``weight`` (out_features, in_features) in int8, ``weight_scale`` (out_features,) and ``bias``. A changed weight
    is taken over by ``load_state_dict``.

    Raises:
        ShapeError: x's last dimension is not in_features. DTypeError: x is not floating point.

    >>> layer = nn.quantized.dynamic.Linear.from_float(nn.Linear(20, 30))
    >>> layer(fd.randn(128, 20)).shape, layer.weight.dtype
    ((128, 30), fastdl.int8)
    """

    def __init__(self, in_features, out_features, bias_=True):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self._quantize(fastdl.zeros(out_features, in_features), fastdl.zeros(out_features) if bias_ else None)

    @classmethod
    def from_float(cls, mod):
        """The same layer as `mod`, an ``nn.Linear``, with its weight quantised."""
        if not isinstance(mod, FloatLinear):
            raise TypeError(f"{cls.__name__}.from_float: expected nn.Linear, got {type(mod).__name__}")
        layer = cls(mod.in_features, mod.out_features, mod.bias is not None)
        layer._quantize(mod.weight, mod.bias)
        return layer.train(mod.training)

    def forward(self, input):
        return self._rows(input)

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Conv2d(_Int8):
    """``nn.Conv2d`` with a weight of 8 bits, as a linear layer over the patches that the kernel sees.

    Each patch is quantised to 8 bits on its own. A quarter of the weight's memory; the patches are written out, so where
    the kernel is larger than 1 x 1 the float32 convolution may be faster. For inference: outputs have no history.

    Made by :meth:`from_float`. State: ``weight`` (O, C, height, width) in int8, ``weight_scale`` (O,) and ``bias``.

    Raises:
        ShapeError: the input does not fit. ValueError: groups other than 1.

    >>> layer = nn.quantized.dynamic.Conv2d.from_float(nn.Conv2d(3, 8, 3, padding=1))
    >>> layer(fd.randn(2, 3, 10, 12)).shape
    (2, 8, 10, 12)
    """

    @classmethod
    def from_float(cls, mod):
        """The same layer as `mod`, an ``nn.Conv2d``, with its weight quantised."""
        if not isinstance(mod, FloatConv2d):
            raise TypeError(f"{cls.__name__}.from_float: expected nn.Conv2d, got {type(mod).__name__}")
        if mod.groups != 1:
            raise ValueError(f"{cls.__name__}.from_float: groups = {mod.groups}, only 1 is supported")
        layer = cls()
        for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "padding_mode"):
            setattr(layer, name, getattr(mod, name))
        layer._pad, layer._text = mod._pad, mod.extra_repr()
        layer._quantize(mod.weight, mod.bias)
        return layer.train(mod.training)

    def forward(self, input):
        images = input if input.ndim == 4 else input.unsqueeze(0)
        if any(self._pad):
            images = F.pad(images, self._pad, mode="constant" if self.padding_mode == "zeros" else self.padding_mode)
        if self.kernel_size == (1, 1):
            patches = images[:, :, :: self.stride[0], :: self.stride[1]]
            height, width = patches.shape[2:]
            patches = patches.flatten(2)
        else:
            height, width = (
                (n - d * (k - 1) - 1) // s + 1
                for n, k, d, s in zip(images.shape[2:], self.kernel_size, self.dilation, self.stride)
            )
            patches = F.unfold(images, self.kernel_size, self.dilation, 0, self.stride)  # (N, C kernel, places)
        y = self._rows(patches.transpose(1, 2)).transpose(1, 2).reshape(len(images), self.out_channels, height, width)
        return y if input.ndim == 4 else y.squeeze(0)

    def extra_repr(self):
        return self._text
