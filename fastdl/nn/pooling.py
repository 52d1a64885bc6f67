"""Pooling: windows of the input to one value each."""

from fastdl.nn import functional as F
from fastdl.nn.module import Module


class _MaxPool(Module):
    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def extra_repr(self):
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The maximum of each window of a sequence, (N, C, L) or (C, L).

    Args:
        kernel_size, stride, padding, dilation: the windows; stride is kernel_size when left out; padding at most half.
        return_indices: also return where in L the maxima are.
        ceil_mode: a last window that hangs over the end counts.

    >>> nn.MaxPool1d(2)(fd.arange(6.0).view(1, 1, 6)).tolist()
    [[[1.0, 3.0, 5.0]]]
    """

    def forward(self, input):
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool2d(_MaxPool):
    """The maximum of each window of an image, (N, C, H, W) or (C, H, W).

    Args:
        kernel_size, stride, padding, dilation: the windows, ints or pairs; stride is kernel_size when left out.
        return_indices: also return where in H x W the maxima are.
        ceil_mode: a last window that hangs over the edge counts.

    >>> nn.MaxPool2d(2)(fd.arange(16.0).view(1, 1, 4, 4)).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """

    def forward(self, input):
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool3d(_MaxPool):
    """The maximum of each window of a volume, (N, C, D, H, W) or (C, D, H, W).

    Args:
        kernel_size, stride, padding, dilation: the windows, ints or triples; stride is kernel_size when left out.
        return_indices: also return where in D x H x W the maxima are.
        ceil_mode: a last window that hangs over the edge counts.

    >>> nn.MaxPool3d(2)(fd.arange(16.0).view(1, 2, 2, 4)).tolist()
    [[[[13.0, 15.0]]]]
    """

    def forward(self, input):
        return F.max_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool1d(Module):
    """The mean of each window of a sequence, (N, C, L) or (C, L).

    Args:
        kernel_size, stride, padding: the windows; stride is kernel_size when left out.
        ceil_mode: a last window that hangs over the end counts.
        count_include_pad: the padding's zeros count in the mean.

    >>> nn.AvgPool1d(2)(fd.arange(6.0).view(1, 1, 6)).tolist()
    [[[0.5, 2.5, 4.5]]]
    """

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__()

        def single(v):
            return (v,) if isinstance(v, int) else tuple(v)

        self.kernel_size = single(kernel_size)
        self.stride = self.kernel_size if stride is None else single(stride)
        self.padding = single(padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input):
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window of an image, (N, C, H, W) or (C, H, W).

    Args:
        kernel_size, stride, padding: the windows, ints or pairs; stride is kernel_size when left out.
        ceil_mode: a last window that hangs over the edge counts.
        count_include_pad: the padding's zeros count in the mean.
        divisor_override: divide the sum by this.

    >>> nn.AvgPool2d(2)(fd.arange(16.0).view(1, 1, 4, 4)).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input):
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool3d(AvgPool2d):
    """The mean of each window of a volume, (N, C, D, H, W) or (C, D, H, W).

    Arguments as :class:`AvgPool2d`, ints or triples.

    >>> nn.AvgPool3d(2)(fd.arange(16.0).view(1, 2, 2, 4)).tolist()
    [[[[6.5, 8.5]]]]
    """

    def forward(self, input):
        return F.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _LPPool(Module):
    def __init__(self, norm_type, kernel_size, stride=None, ceil_mode=False):
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def extra_repr(self):
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norm of each window of a sequence, (sum of x^p)^(1/p), (N, C, L) or (C, L).

    Args:
        norm_type: p; 1 sums, inf is the largest |x|.
        kernel_size, stride: the windows; stride is kernel_size when left out.
        ceil_mode: a last window that hangs over the end counts.

    >>> nn.LPPool1d(2, 2)(fd.tensor([[3.0, 4.0]])).tolist()
    [[5.0]]
    """

    def forward(self, input):
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """The p-norm of each window of an image, (N, C, H, W) or (C, H, W); arguments as :class:`LPPool1d`.

    >>> nn.LPPool2d(2, (1, 2))(fd.tensor([[[3.0, 4.0]]])).tolist()
    [[[5.0]]]
    """

    def forward(self, input):
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPool):
    """The p-norm of each window of a volume, (N, C, D, H, W) or (C, D, H, W); arguments as :class:`LPPool1d`.

    >>> nn.LPPool3d(2, (1, 1, 2))(fd.tensor([[[[3.0, 4.0]]]])).tolist()
    [[[[5.0]]]]
    """

    def forward(self, input):
        return F.lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class _MaxUnpool(Module):
    dims = 1

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()

        def each(v):
            return (v,) * self.dims if isinstance(v, int) else tuple(v)

        self.kernel_size, self.padding = each(kernel_size), each(padding)
        self.stride = self.kernel_size if stride is None else each(stride)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Puts maxima back to where :class:`MaxPool1d` found them, among zeros.

    Args:
        kernel_size, stride, padding: of the pooling.

    Forward takes the maxima, their indices and, where the pooled input could have had several, ``output_size``.

    Raises:
        ShapeError, ValueError: indices or output_size do not fit. IndexError: an index outside of the output.

    >>> pool = nn.MaxPool1d(2, return_indices=True)
    >>> nn.MaxUnpool1d(2)(*pool(fd.tensor([[1.0, 3.0, 4.0, 2.0]]))).tolist()
    [[0.0, 3.0, 4.0, 0.0]]
    """

    def forward(self, input, indices, output_size=None):
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpool):
    """Puts maxima back to where :class:`MaxPool2d` found them, among zeros; arguments as :class:`MaxUnpool1d`.

    >>> pool = nn.MaxPool2d(2, return_indices=True)
    >>> nn.MaxUnpool2d(2)(*pool(fd.arange(4.0).view(1, 2, 2))).tolist()
    [[[0.0, 0.0], [0.0, 3.0]]]
    """

    dims = 2

    def forward(self, input, indices, output_size=None):
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpool):
    """Puts maxima back to where :class:`MaxPool3d` found them, among zeros; arguments as :class:`MaxUnpool1d`.

    >>> pool = nn.MaxPool3d(2, return_indices=True)
    >>> nn.MaxUnpool3d(2)(*pool(fd.arange(8.0).view(1, 2, 2, 2))).sum().item()
    7.0
    """

    dims = 3

    def forward(self, input, indices, output_size=None):
        return F.max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class _FractionalMaxPool(Module):
    dims = 2

    def __init__(self, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None):
        super().__init__()
        name = type(self).__name__

        def each(v):
            return (v,) * self.dims if isinstance(v, (int, float)) else tuple(v)

        self.kernel_size, self.return_indices = each(kernel_size), return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else each(output_size)
        self.output_ratio = None if output_ratio is None else each(output_ratio)
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{name}: exactly one of output_size and output_ratio must be given")
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"{name}: output_ratio must be between 0 and 1, got {output_ratio}")


class FractionalMaxPool2d(_FractionalMaxPool):
    """The maximum of each of ``output_size`` windows, which lie at random, nearly even distances.

    Args:
        kernel_size: of the windows, an int or (height, width).
        output_size, output_ratio: one of them: the output's sizes, or what part of the input's they are.
        return_indices: also return where in H x W the maxima are.

    Shapes: x (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: both or none of output_size and output_ratio. ShapeError: windows that do not fit.

    Source: Graham, "Fractional max-pooling", 2014.

    >>> nn.FractionalMaxPool2d(3, output_size=(13, 12))(fd.randn(2, 4, 50, 32)).shape
    (2, 4, 13, 12)
    """

    def forward(self, input):
        return F.fractional_max_pool2d(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool3d(_FractionalMaxPool):
    """:class:`FractionalMaxPool2d` of volumes (N, C, D, H, W) or (C, D, H, W).

    >>> nn.FractionalMaxPool3d(2, output_ratio=0.5)(fd.randn(2, 4, 10, 8, 6)).shape
    (2, 4, 5, 4, 3)
    """

    dims = 3

    def forward(self, input):
        return F.fractional_max_pool3d(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class _AdaptivePool(Module):
    def __init__(self, output_size):
        super().__init__()
        self.output_size = output_size

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """The mean over ``output_size`` windows of about equal size that cover the sequence.

    >>> nn.AdaptiveAvgPool1d(2)(fd.arange(6.0).view(1, 1, 6)).tolist()
    [[[1.0, 4.0]]]
    """

    def forward(self, input):
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The mean over windows of about equal size that cover the image: ``output_size`` is an int or a pair, None
    keeps a size.

    >>> nn.AdaptiveAvgPool2d(1)(fd.arange(16.0).view(1, 1, 4, 4)).tolist()
    [[[[7.5]]]]
    """

    def forward(self, input):
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptivePool):
    """The mean over windows of about equal size that cover the volume: ``output_size`` is an int or a triple, None
    keeps a size.

    >>> nn.AdaptiveAvgPool3d(1)(fd.arange(16.0).view(1, 2, 2, 4)).tolist()
    [[[[7.5]]]]
    """

    def forward(self, input):
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size, return_indices=False):
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The maximum over ``output_size`` windows of about equal size that cover the sequence.

    >>> nn.AdaptiveMaxPool1d(2)(fd.arange(6.0).view(1, 1, 6)).tolist()
    [[[2.0, 5.0]]]
    """

    def forward(self, input):
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The maximum over windows of about equal size that cover the image: ``output_size`` is an int or a pair, None
    keeps a size.

    >>> nn.AdaptiveMaxPool2d(2)(fd.arange(16.0).view(1, 1, 4, 4)).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """

    def forward(self, input):
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The maximum over windows of about equal size that cover the volume: ``output_size`` is an int or a triple, None
    keeps a size.

    >>> nn.AdaptiveMaxPool3d(1)(fd.arange(16.0).view(1, 2, 2, 4)).tolist()
    [[[[15.0]]]]
    """

    def forward(self, input):
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)
