"""Channels moved to positions and back, and among themselves."""

import fastdl

__all__ = [
    "channel_shuffle",
    "pixel_shuffle",
    "pixel_unshuffle",
]


def channel_shuffle(input, groups):
    """(N, C, *): the channels of `groups` groups dealt out in turn, so that each new group has some of each old one.

    Raises:
        ShapeError: fewer than 3 dimensions, or channels that do not divide by groups.

    Source: Zhang et al., "ShuffleNet", 2018.

    >>> F.channel_shuffle(fd.arange(4.0).view(1, 4, 1), 2).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise fastdl.ShapeError(f"channel_shuffle: channels of {list(input.shape)} need to divide by groups = {groups}")
    n, c, *size = input.shape
    return input.reshape(n, groups, c // groups, *size).transpose(1, 2).reshape(n, c, *size)


def pixel_shuffle(input, upscale_factor):
    """(*, C r^2, H, W) to (*, C, H r, W r): channels become positions.

    Raises:
        ShapeError: fewer than 3 dimensions, or channels that do not divide by r^2.

    Source: Shi et al., "Real-time single image and video super-resolution", 2016.

    >>> F.pixel_shuffle(fd.zeros(1, 9, 4, 4), 3).shape
    (1, 1, 12, 12)
    """
    r = upscale_factor
    if input.ndim < 3 or input.shape[-3] % (r * r):
        raise fastdl.ShapeError(f"pixel_shuffle: {list(input.shape)} needs channels that divide by {r} x {r}")
    *lead, channels, height, width = input.shape
    n, c = len(lead), channels // (r * r)
    y = input.reshape(*lead, c, r, r, height, width).permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return y.reshape(*lead, c, height * r, width * r)


def pixel_unshuffle(input, downscale_factor):
    """(*, C, H r, W r) to (*, C r^2, H, W): the inverse of :func:`pixel_shuffle`.

    Raises:
        ShapeError: fewer than 3 dimensions, or a size that does not divide by r.

    >>> F.pixel_unshuffle(fd.zeros(1, 1, 12, 12), 3).shape
    (1, 9, 4, 4)
    """
    r = downscale_factor
    if input.ndim < 3 or input.shape[-2] % r or input.shape[-1] % r:
        raise fastdl.ShapeError(f"pixel_unshuffle: height and width of {list(input.shape)} need to divide by {r}")
    *lead, c, height, width = input.shape
    n = len(lead)
    y = input.reshape(*lead, c, height // r, r, width // r, r).permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return y.reshape(*lead, c * r * r, height // r, width // r)
