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
