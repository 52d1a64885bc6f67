"""Nonlinearities as layers; the formulas hold element by element unless they say otherwise."""

import fastdl
from fastdl.nn import functional as F
from fastdl.nn.module import Module
from fastdl.nn.parameter import Parameter


class _InPlace(Module):
    """An activation whose only option is to write over its input."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """y = max(x, 0).

    >>> nn.ReLU()(fd.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, input):
        return F.relu(input, self.inplace)


class ReLU6(_InPlace):
    """y = min(max(x, 0), 6).

    >>> nn.ReLU6()(fd.tensor([-1.0, 8.0])).tolist()
    [0.0, 6.0]
    """

    def forward(self, input):
        return F.relu6(input, self.inplace)


class SELU(_InPlace):
    """y = s (max(x, 0) + min(a (exp(x) - 1), 0)), s = 1.0507..., a = 1.6732....

    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> nn.SELU()(fd.tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.selu(input, self.inplace)


class SiLU(_InPlace):
    """y = x sigmoid(x), also named swish.

    >>> nn.SiLU()(fd.tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """y = x tanh(log(1 + exp(x))).

    Source: Misra, "Mish: a self regularized non-monotonic activation function", 2019.

    >>> nn.Mish()(fd.tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.mish(input, self.inplace)


class Hardsigmoid(_InPlace):
    """y = min(max(x / 6 + 1/2, 0), 1).

    >>> nn.Hardsigmoid()(fd.tensor([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    def forward(self, input):
        return F.hardsigmoid(input, self.inplace)


class Hardswish(_InPlace):
    """y = x min(max(x + 3, 0), 6) / 6.

    Source: Howard et al., "Searching for MobileNetV3", 2019.

    >>> nn.Hardswish()(fd.tensor([0.0, 4.0])).tolist()
    [0.0, 4.0]
    """

    def forward(self, input):
        return F.hardswish(input, self.inplace)


class LeakyReLU(Module):
    """y = x for x >= 0, else negative_slope x.

    >>> nn.LeakyReLU(0.5)(fd.tensor([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, negative_slope=1e-2, inplace=False):
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class RReLU(Module):
    """y = x for x >= 0, else a x, with a from U(lower, upper) for each element in training, else (lower + upper) / 2.

    Source: Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015.

    >>> nn.RReLU(0.25, 0.75).eval()(fd.tensor([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, lower=1.0 / 8, upper=1.0 / 3, inplace=False):
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input):
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self):
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class _Alpha(Module):
    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def extra_repr(self):
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class ELU(_Alpha):
    """y = x for x > 0, else alpha (exp(x) - 1).

    Source: Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2016.

    >>> nn.ELU()(fd.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, input):
        return F.elu(input, self.alpha, self.inplace)


class CELU(_Alpha):
    """y = x for x > 0, else alpha (exp(x / alpha) - 1).

    Source: Barron, "Continuously differentiable exponential linear units", 2017.

    >>> nn.CELU()(fd.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, input):
        return F.celu(input, self.alpha, self.inplace)


class GELU(Module):
    """y = x Phi(x), Phi the standard normal's distribution function.

    Args:
        approximate: "none", or "tanh": Phi(x) = (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    >>> nn.GELU()(fd.tensor([0.0])).tolist()
    [0.0]
    """

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x)).

    >>> nn.Sigmoid()(fd.tensor([0.0])).tolist()
    [0.5]
    """

    def forward(self, input):
        return F.sigmoid(input)


class LogSigmoid(Module):
    """y = log(1 / (1 + exp(-x))).

    >>> nn.LogSigmoid()(fd.tensor([0.0]))
    tensor([-0.6931])
    """

    def forward(self, input):
        return F.logsigmoid(input)


class Tanh(Module):
    """y = tanh(x).

    >>> nn.Tanh()(fd.tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.tanh(input)


class Tanhshrink(Module):
    """y = x - tanh(x).

    >>> nn.Tanhshrink()(fd.tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.tanhshrink(input)


class Softsign(Module):
    """y = x / (1 + |x|).

    >>> nn.Softsign()(fd.tensor([1.0])).tolist()
    [0.5]
    """

    def forward(self, input):
        return F.softsign(input)


class Softplus(Module):
    """y = log(1 + exp(beta x)) / beta, and x itself where beta x > threshold.

    >>> nn.Softplus()(fd.tensor([50.0])).tolist()
    [50.0]
    """

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input):
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """y = min(max(x, min_val), max_val).

    >>> nn.Hardtanh()(fd.tensor([-4.0, 0.5])).tolist()
    [-1.0, 0.5]
    """

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, min_value=None, max_value=None):
        super().__init__()
        min_val = min_val if min_value is None else min_value  # older names
        max_val = max_val if max_value is None else max_value
        if max_val <= min_val:
            raise ValueError(f"Hardtanh: max_val ({max_val}) must be larger than min_val ({min_val})")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input):
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self):
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class Threshold(Module):
    """y = x for x > threshold, else value.

    >>> nn.Threshold(1.0, 9.0)(fd.tensor([0.0, 2.0])).tolist()
    [9.0, 2.0]
    """

    def __init__(self, threshold, value, inplace=False):
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input):
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self):
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class _Lambda(Module):
    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def extra_repr(self):
        return str(self.lambd)


class Softshrink(_Lambda):
    """y = x - lambd for x > lambd, x + lambd for x < -lambd, else 0.

    >>> nn.Softshrink()(fd.tensor([0.25, 2.0])).tolist()
    [0.0, 1.5]
    """

    def forward(self, input):
        return F.softshrink(input, self.lambd)


class Hardshrink(_Lambda):
    """y = x for |x| > lambd, else 0.

    >>> nn.Hardshrink()(fd.tensor([0.25, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, input):
        return F.hardshrink(input, self.lambd)


class PReLU(Module):
    """y = x for x >= 0, else a x with a trained ``weight``: one, or one a channel (dimension 1).

    Args:
        num_parameters: 1 or the number of channels.
        init: a at first.

    Source: He et al., "Delving deep into rectifiers", 2015.

    >>> nn.PReLU()(fd.tensor([-4.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(fastdl.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self):
        """Sets the weight to its first value."""
        with fastdl.no_grad():
            self.weight.fill_(self.init)

    def forward(self, input):
        return F.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"


class GLU(Module):
    """y = a sigmoid(b), with a and b the two halves of x along ``dim``.

    Raises:
        ShapeError: the dimension's size is odd.

    Source: Dauphin et al., "Language modeling with gated convolutional networks", 2017.

    >>> nn.GLU()(fd.tensor([2.0, 0.0])).tolist()
    [1.0]
    """

    def __init__(self, dim=-1):
        super().__init__()
        self.dim = dim

    def forward(self, input):
        return F.glu(input, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class _Dim(Module):
    def __init__(self, dim=None):
        super().__init__()
        self.dim = dim


class Softmax(_Dim):
    """y_i = exp(x_i) / sum_j exp(x_j) along ``dim``.

    >>> nn.Softmax(dim=0)(fd.zeros(4)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def forward(self, input):
        return F.softmax(input, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class Softmin(_Dim):
    """y_i = exp(-x_i) / sum_j exp(-x_j) along ``dim``.

    >>> nn.Softmin(dim=0)(fd.zeros(4)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def forward(self, input):
        return F.softmin(input, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class LogSoftmax(_Dim):
    """y_i = log(exp(x_i) / sum_j exp(x_j)) along ``dim``.

    >>> nn.LogSoftmax(dim=0)(fd.zeros(1)).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.log_softmax(input, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class Softmax2d(Module):
    """The softmax over the channels of images (N, C, H, W) or (C, H, W).

    Raises:
        ShapeError: another number of dimensions.

    >>> nn.Softmax2d()(fd.zeros(1, 2, 1, 1)).tolist()
    [[[[0.5]], [[0.5]]]]
    """

    def forward(self, input):
        if input.ndim not in (3, 4):
            raise fastdl.ShapeError(f"Softmax2d: expected a 3D or 4D input, got {list(input.shape)}")
        return F.softmax(input, -3)
