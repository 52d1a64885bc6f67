"""Images cut into patches, and put together from them."""

from fastdl.nn import functional as F
from fastdl.nn.module import Module


class Fold(Module):
    """Adds patches up to images of size ``output_size``: the gradient of :class:`Unfold`.

    Args:
        output_size: (height, width).
        kernel_size, dilation, padding, stride: of the patches, ints or pairs.

    Shapes: x (N, C kernel height kernel width, patches), y (N, C, height, width), both also without N.

    Raises:
        ShapeError: x does not fit.

    >>> nn.Fold((4, 5), (2, 2))(fd.randn(1, 3 * 2 * 2, 12)).shape
    (1, 3, 4, 5)
    """

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input):
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Unfold(Module):
    """The patches that a convolution would see, as columns.

    Args:
        kernel_size, dilation, padding, stride: of the patches, ints or pairs.

    Shapes: x (N, C, H, W), y (N, C kernel height kernel width, patches), both also without N.

    Raises:
        ShapeError: x does not fit.

    >>> nn.Unfold((2, 3))(fd.randn(2, 5, 3, 4)).shape
    (2, 30, 4)
    """

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input):
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
