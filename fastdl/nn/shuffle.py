"""Layers that move channels to positions and back, or shuffle them."""

from fastdl.nn import functional as F
from fastdl.nn.module import Module


class ChannelShuffle(Module):
    """(N, C, *): the channels of ``groups`` groups dealt out in turn.

    Raises:
        ShapeError: channels that do not divide by ``groups``. ValueError: ``groups`` is not positive.

    Source: Zhang et al., "ShuffleNet", 2018.

    >>> nn.ChannelShuffle(2)(fd.arange(4.0).view(1, 4, 1)).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """

    def __init__(self, groups):
        super().__init__()
        if groups < 1:
            raise ValueError(f"ChannelShuffle: groups must be positive, got {groups}")
        self.groups = groups

    def forward(self, input):
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self):
        return f"groups={self.groups}"


class PixelShuffle(Module):
    """(*, C r^2, H, W) to (*, C, H r, W r): channels become positions.

    Source: Shi et al., "Real-time single image and video super-resolution", 2016.

    >>> nn.PixelShuffle(3)(fd.zeros(1, 9, 4, 4)).shape
    (1, 1, 12, 12)
    """

    def __init__(self, upscale_factor):
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input):
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self):
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """(*, C, H r, W r) to (*, C r^2, H, W): the inverse of :class:`PixelShuffle`.

    >>> nn.PixelUnshuffle(3)(fd.zeros(1, 1, 12, 12)).shape
    (1, 9, 4, 4)
    """

    def __init__(self, downscale_factor):
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input):
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self):
        return f"downscale_factor={self.downscale_factor}"
