"""Images of other sizes."""

from fastdl.nn import functional as F
from fastdl.nn.module import Module


class Upsample(Module):
    """The input resampled to another size.

    Args:
        size: of the resampled dimensions, an int or one each.
        scale_factor: or their factors, a number or one each.
        mode: "nearest", "linear" (3-d input), "bilinear" and "bicubic" (4-d), "trilinear" (5-d).
        align_corners: for all but "nearest", whether the corners' centres keep their values.
        recompute_scale_factor: compute positions from the sizes rather than from scale_factor.

    Shapes: x (N, C, L), (N, C, H, W) or (N, C, D, H, W).

    Raises:
        ShapeError, ValueError: as :func:`fastdl.nn.functional.interpolate`.

    >>> nn.Upsample(scale_factor=2)(fd.tensor([[[1.0, 2.0]]])).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
        super().__init__()
        if isinstance(scale_factor, (tuple, list)):
            scale_factor = tuple(map(float, scale_factor))
        self.size, self.scale_factor = size, float(scale_factor) if isinstance(scale_factor, int) else scale_factor
        self.mode, self.align_corners, self.recompute_scale_factor = mode, align_corners, recompute_scale_factor

    def forward(self, input):
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self):
        what = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{what}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Images (N, C, H, W) resampled to the nearest elements; :class:`Upsample` with mode "nearest".

    >>> nn.UpsamplingNearest2d(scale_factor=2)(fd.ones(1, 1, 2, 3)).shape
    (1, 1, 4, 6)
    """

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Images (N, C, H, W) resampled linearly, corners on corners; :class:`Upsample` with mode "bilinear".

    >>> nn.UpsamplingBilinear2d(size=(1, 3))(fd.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.5, 2.0]]]]
    """

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
