"""Layers that add elements around the input."""

import fastdl
from fastdl.nn import functional as F
from fastdl.nn.module import Module


class _Pad(Module):
    mode = "constant"
    dims = 1
    value = None

    def __init__(self, padding):
        super().__init__()
        self.padding = (padding,) * (2 * self.dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input):
        if self.mode != "constant" and input.ndim not in (self.dims + 1, self.dims + 2):
            raise fastdl.ShapeError(
                f"{type(self).__name__}: expected a {self.dims + 1}-d or {self.dims + 2}-d input, got {list(input.shape)}"
            )
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self):
        return f"{self.padding}"


class ZeroPad1d(_Pad):
    """Zeros on the sides of the last dimension: ``padding`` is an int or (left, right).

    >>> nn.ZeroPad1d(1)(fd.ones(1, 1, 2)).tolist()
    [[[0.0, 1.0, 1.0, 0.0]]]
    """


class ZeroPad2d(_Pad):
    """Zeros around the last two dimensions: ``padding`` is an int or (left, right, top, bottom).

    >>> nn.ZeroPad2d((1, 0, 0, 0))(fd.ones(1, 1, 1, 2)).tolist()
    [[[[0.0, 1.0, 1.0]]]]
    """

    dims = 2


class ZeroPad3d(_Pad):
    """Zeros around the last three dimensions: ``padding`` is an int or (left, right, top, bottom, front, back).

    >>> nn.ZeroPad3d((1, 0, 0, 0, 0, 0))(fd.ones(1, 1, 1, 1, 2)).shape
    (1, 1, 1, 1, 3)
    """

    dims = 3


class _ConstantPad(_Pad):
    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """``value`` on the sides of the last dimension: ``padding`` is an int or (left, right).

    >>> nn.ConstantPad1d(1, 5.0)(fd.ones(1, 1, 1)).tolist()
    [[[5.0, 1.0, 5.0]]]
    """


class ConstantPad2d(_ConstantPad):
    """``value`` around the last two dimensions: ``padding`` is an int or (left, right, top, bottom).

    >>> nn.ConstantPad2d((1, 0, 0, 0), 5.0)(fd.ones(1, 1, 1, 1)).tolist()
    [[[[5.0, 1.0]]]]
    """

    dims = 2


class ConstantPad3d(_ConstantPad):
    """``value`` around the last three dimensions: ``padding`` is an int or (left, right, top, bottom, front, back).

    >>> nn.ConstantPad3d((1, 0, 0, 0, 0, 0), 5.0)(fd.ones(1, 1, 1, 1, 2)).shape
    (1, 1, 1, 1, 3)
    """

    dims = 3


class ReflectionPad1d(_Pad):
    """The input mirrored at its ends, without the ends: ``padding`` is an int or (left, right).

    >>> nn.ReflectionPad1d(2)(fd.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]]
    """

    mode = "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """The image mirrored at its edges, without the edges: ``padding`` is an int or (left, right, top, bottom).

    >>> nn.ReflectionPad2d((1, 0, 0, 0))(fd.tensor([[[1.0, 2.0]]])).tolist()
    [[[2.0, 1.0, 2.0]]]
    """

    dims = 2


class ReflectionPad3d(ReflectionPad1d):
    """The volume mirrored at its faces, without the faces: ``padding`` is an int or (left, right, top, bottom, front, back).

    >>> nn.ReflectionPad3d((1, 0, 0, 0, 0, 0))(fd.ones(1, 1, 1, 1, 2)).shape
    (1, 1, 1, 1, 3)
    """

    dims = 3


class ReplicationPad1d(_Pad):
    """The ends repeated: ``padding`` is an int or (left, right).

    >>> nn.ReplicationPad1d(1)(fd.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 1.0, 2.0, 2.0]]
    """

    mode = "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """The edges repeated: ``padding`` is an int or (left, right, top, bottom).

    >>> nn.ReplicationPad2d((1, 0, 0, 0))(fd.tensor([[[1.0, 2.0]]])).tolist()
    [[[1.0, 1.0, 2.0]]]
    """

    dims = 2


class ReplicationPad3d(ReplicationPad1d):
    """The faces repeated: ``padding`` is an int or (left, right, top, bottom, front, back).

    >>> nn.ReplicationPad3d((1, 0, 0, 0, 0, 0))(fd.ones(1, 1, 1, 1, 2)).shape
    (1, 1, 1, 1, 3)
    """

    dims = 3


class CircularPad1d(_Pad):
    """The other end's elements: ``padding`` is an int or (left, right).

    >>> nn.CircularPad1d(1)(fd.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[3.0, 1.0, 2.0, 3.0, 1.0]]
    """

    mode = "circular"


class CircularPad2d(CircularPad1d):
    """The other edge's elements: ``padding`` is an int or (left, right, top, bottom).

    >>> nn.CircularPad2d((1, 0, 0, 0))(fd.tensor([[[1.0, 2.0]]])).tolist()
    [[[2.0, 1.0, 2.0]]]
    """

    dims = 2


class CircularPad3d(CircularPad1d):
    """The other face's elements: ``padding`` is an int or (left, right, top, bottom, front, back).

    >>> nn.CircularPad3d((1, 0, 0, 0, 0, 0))(fd.ones(1, 1, 1, 1, 2)).shape
    (1, 1, 1, 1, 3)
    """

    dims = 3
