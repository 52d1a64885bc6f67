"""Feed-forward blocks of transformers."""

from fastdl.nn import functional as F
from fastdl.nn.linear import Linear
from fastdl.nn.module import Module


class SwiGLU(Module):
    """y = W2 (silu(W1 x) W3 x), elementwise in the brackets.

    Args:
        in_features, hidden_features: sizes of x's last dimension and of the hidden one.
        out_features: of y's, in_features when left out.
        bias: of all three maps.

    Submodules: ``w1`` and ``w3`` (in to hidden), ``w2`` (hidden to out).

    Source: Shazeer, "GLU variants improve transformer", 2020.

    >>> nn.SwiGLU(8, 20)(fd.randn(2, 5, 8)).shape
    (2, 5, 8)
    """

    def __init__(self, in_features, hidden_features, out_features=None, bias=False, device=None, dtype=None):
        super().__init__()
        factory = {"bias": bias, "device": device, "dtype": dtype}
        self.w1 = Linear(in_features, hidden_features, **factory)
        self.w2 = Linear(hidden_features, in_features if out_features is None else out_features, **factory)
        self.w3 = Linear(in_features, hidden_features, **factory)

    def forward(self, input):
        return self.w2(F.swiglu(self.w1(input), self.w3(input)))
