"""Fully connected layers."""

import math

import fastdl
from fastdl.nn import functional as F
from fastdl.nn import init
from fastdl.nn.module import Module
from fastdl.nn.parameter import Parameter


class Identity(Module):
    """Returns its input; takes and ignores any arguments.

    >>> nn.Identity(54, unused=0.1)(fd.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, input):
        return input


class Linear(Module):
    """y = x A^T + b.

    Args:
        in_features, out_features: sizes of x's and y's last dimension.
        bias: whether there is b.

    Shapes: x (*, in_features), y (*, out_features). Parameters: ``weight`` (out_features, in_features) and ``bias``
    (out_features,), from U(-k, k), k = 1 / sqrt(in_features).

    Raises:
        ShapeError: x's last dimension is not in_features. DTypeError: x's dtype is not the weight's.

    >>> nn.Linear(20, 30)(fd.randn(128, 20)).shape
    (128, 30)
    """

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(fastdl.empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(fastdl.empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """y_k = x1^T A_k x2 + b_k.

    Args:
        in1_features, in2_features, out_features: sizes of x1's, x2's and y's last dimension.
        bias: whether there is b.

    Shapes: x1 (*, in1_features), x2 (*, in2_features), y (*, out_features). Parameters: ``weight`` (out_features,
    in1_features, in2_features) and ``bias`` (out_features,), from U(-k, k), k = 1 / sqrt(in1_features).

    Raises:
        ShapeError: the shapes do not fit. ValueError: in1_features is not positive.

    >>> nn.Bilinear(3, 4, 5)(fd.randn(2, 3), fd.randn(2, 4)).shape
    (2, 5)
    """

    def __init__(self, in1_features, in2_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(fastdl.empty(out_features, in1_features, in2_features, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(fastdl.empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the parameters anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1, input2):
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self):
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
