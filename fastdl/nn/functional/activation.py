"""Activation functions."""

import fastdl
from fastdl import _C
from fastdl.nn.functional.embedding import one_hot

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "swiglu",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]


def _in_place(function, input, *args):
    """Writes function(input) over the input. The function gets a copy: its gradient may need the values."""
    return input.copy_(function(input.clone() if input.requires_grad else input, *args))


def relu(input, inplace=False):
    """max(x, 0).

    Args:
        input: of any shape.
        inplace: write the result over the input; here and in what follows.

    >>> F.relu(fd.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return input.relu_() if inplace else _C.relu(input)


def relu_(input):
    """:func:`relu` in place."""
    return input.relu_()


def leaky_relu_(input, negative_slope=0.01):
    """:func:`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, True)


def elu_(input, alpha=1.0):
    """:func:`elu` in place."""
    return elu(input, alpha, True)


def selu_(input):
    """:func:`selu` in place."""
    return selu(input, True)


def celu_(input, alpha=1.0):
    """:func:`celu` in place."""
    return celu(input, alpha, True)


def hardtanh_(input, min_val=-1.0, max_val=1.0):
    """:func:`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, True)


def threshold_(input, threshold, value):
    """:func:`threshold` in place."""
    mask = input <= threshold
    return input.masked_fill_(mask, value)


def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False):
    """:func:`rrelu` in place."""
    return rrelu(input, lower, upper, training, True)


def relu6(input, inplace=False):
    """min(max(x, 0), 6).

    >>> F.relu6(fd.tensor([-1.0, 8.0])).tolist()
    [0.0, 6.0]
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x for x >= 0, else negative_slope x.

    >>> F.leaky_relu(fd.tensor([-1.0, 2.0]), 0.5).tolist()
    [-0.5, 2.0]
    """
    return _in_place(_C.leaky_relu, input, negative_slope) if inplace else _C.leaky_relu(input, negative_slope)


def prelu(input, weight):
    """x for x >= 0, else w x, with one w or one a channel (dimension 1).

    Args:
        input: (N, C, ...) or any shape.
        weight: (1,) or (C,).

    Raises:
        ShapeError: weight is not of one of these shapes.

    Source: He et al., "Delving deep into rectifiers", 2015.

    >>> F.prelu(fd.tensor([-4.0, 2.0]), fd.tensor([0.25])).tolist()
    [-1.0, 2.0]
    """
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.numel() != 1 and tuple(weight.shape) != (channels,):
        raise fastdl.ShapeError(
            f"prelu: weight {list(weight.shape)} for an input of {list(input.shape)}, expected [1] or [{channels}]"
        )
    weight = weight.view(-1, *(1,) * (input.ndim - 2)) if weight.numel() != 1 else weight.reshape(())
    return fastdl.where(input > 0, input, weight * input)


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """x for x >= 0, else a x, with a from U(lower, upper) for each element in training, else (lower + upper) / 2.

    Raises:
        ValueError: lower is above upper.

    Source: Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015.

    >>> F.rrelu(fd.tensor([-1.0, 2.0]), 0.25, 0.75).tolist()
    [-0.5, 2.0]
    """
    if lower > upper:
        raise fastdl.ValueError(f"rrelu: lower must be at most upper, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = fastdl.empty_like(input.detach()).uniform_(lower, upper)
    y = fastdl.where(input >= 0, input, input * slope)
    return input.copy_(y) if inplace else y


def elu(input, alpha=1.0, inplace=False):
    """x for x > 0, else alpha (exp(x) - 1).

    Source: Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2016.

    >>> F.elu(fd.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return _in_place(_C.elu, input, alpha) if inplace else _C.elu(input, alpha)


def selu(input, inplace=False):
    """s (max(x, 0) + min(a (exp(x) - 1), 0)), s = 1.0507..., a = 1.6732....

    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> F.selu(fd.tensor([0.0])).tolist()
    [0.0]
    """
    return _in_place(_C.selu, input) if inplace else _C.selu(input)


def celu(input, alpha=1.0, inplace=False):
    """x for x > 0, else alpha (exp(x / alpha) - 1).

    Source: Barron, "Continuously differentiable exponential linear units", 2017.

    >>> F.celu(fd.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return _in_place(_C.celu, input, alpha) if inplace else _C.celu(input, alpha)


def gelu(input, approximate="none"):
    """x Phi(x), Phi the standard normal's distribution function.

    Args:
        approximate: "none", or "tanh": Phi(x) = (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Raises:
        ValueError: another word.

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    >>> F.gelu(fd.tensor([0.0])).tolist()
    [0.0]
    """
    return _C.gelu(input, approximate)


def silu(input, inplace=False):
    """x sigmoid(x), also named swish.

    >>> F.silu(fd.tensor([0.0])).tolist()
    [0.0]
    """
    return _in_place(_C.silu, input) if inplace else _C.silu(input)


def mish(input, inplace=False):
    """x tanh(log(1 + exp(x))).

    Source: Misra, "Mish: a self regularized non-monotonic activation function", 2019.

    >>> F.mish(fd.tensor([0.0])).tolist()
    [0.0]
    """
    return _in_place(_C.mish, input) if inplace else _C.mish(input)


def sigmoid(input):
    """1 / (1 + exp(-x)).

    >>> F.sigmoid(fd.tensor([0.0])).tolist()
    [0.5]
    """
    return _C.sigmoid(input)


def logsigmoid(input):
    """log(1 / (1 + exp(-x))).

    >>> F.logsigmoid(fd.tensor([100.0])).tolist()
    [-0.0]
    """
    return _C.log_sigmoid(input)


def tanh(input):
    """tanh(x).

    >>> F.tanh(fd.tensor([0.0])).tolist()
    [0.0]
    """
    return _C.tanh(input)


def tanhshrink(input):
    """x - tanh(x).

    >>> F.tanhshrink(fd.tensor([0.0])).tolist()
    [0.0]
    """
    return input - _C.tanh(input)


def softsign(input):
    """x / (1 + |x|).

    >>> F.softsign(fd.tensor([1.0])).tolist()
    [0.5]
    """
    return _C.softsign(input)


def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta x)) / beta, and x itself where beta x > threshold.

    >>> F.softplus(fd.tensor([50.0])).tolist()
    [50.0]
    """
    return _C.softplus(input, beta, threshold)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """min(max(x, min_val), max_val).

    >>> F.hardtanh(fd.tensor([-4.0, 0.5])).tolist()
    [-1.0, 0.5]
    """
    return _in_place(_C.hardtanh, input, min_val, max_val) if inplace else _C.hardtanh(input, min_val, max_val)


def hardsigmoid(input, inplace=False):
    """min(max(x / 6 + 1/2, 0), 1).

    >>> F.hardsigmoid(fd.tensor([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return _in_place(_C.hardsigmoid, input) if inplace else _C.hardsigmoid(input)


def hardswish(input, inplace=False):
    """x min(max(x + 3, 0), 6) / 6.

    Source: Howard et al., "Searching for MobileNetV3", 2019.

    >>> F.hardswish(fd.tensor([0.0, 4.0])).tolist()
    [0.0, 4.0]
    """
    return _in_place(_C.hardswish, input) if inplace else _C.hardswish(input)


def softshrink(input, lambd=0.5):
    """x - lambd for x > lambd, x + lambd for x < -lambd, else 0.

    Raises:
        ValueError: a negative lambd.

    >>> F.softshrink(fd.tensor([0.25, 2.0])).tolist()
    [0.0, 1.5]
    """
    if lambd < 0:
        raise fastdl.ValueError(f"softshrink: lambd must be at least 0, but got {lambd}")
    return input - input.clamp(-lambd, lambd)


def hardshrink(input, lambd=0.5):
    """x for |x| > lambd, else 0.

    >>> F.hardshrink(fd.tensor([0.25, 2.0])).tolist()
    [0.0, 2.0]
    """
    return input.masked_fill(input.abs() <= lambd, 0.0)


def threshold(input, threshold, value, inplace=False):
    """x for x > threshold, else value.

    >>> F.threshold(fd.tensor([0.0, 2.0]), 1.0, 9.0).tolist()
    [9.0, 2.0]
    """
    mask = input <= threshold
    return input.masked_fill_(mask, value) if inplace else input.masked_fill(mask, value)


def glu(input, dim=-1):
    """a sigmoid(b), with a and b the two halves of x along ``dim``.

    Raises:
        ShapeError: the dimension's size is odd.

    Source: Dauphin et al., "Language modeling with gated convolutional networks", 2017.

    >>> F.glu(fd.tensor([2.0, 0.0])).tolist()
    [1.0]
    """
    if input.ndim == 0 or input.shape[dim] % 2:
        raise fastdl.ShapeError(f"glu: dimension {dim} of {list(input.shape)} must have an even size")
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


def swiglu(gate, input):
    """silu(gate) input, elementwise: the gate of :class:`fastdl.nn.SwiGLU`.

    Source: Shazeer, "GLU variants improve transformer", 2020.

    >>> F.swiglu(fd.tensor([0.0]), fd.tensor([3.0])).tolist()
    [0.0]
    """
    return _C.silu(gate) * input


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """softmax((x + g) / tau) along ``dim``, with g from the Gumbel distribution: a differentiable sample.

    Args:
        logits: unnormalized log-probabilities (*).
        tau: the temperature.
        hard: return the one-hot vector of the largest; its gradient is that of the soft sample.
        eps: without effect.

    Source: Jang et al., "Categorical reparameterization with Gumbel-softmax", 2017.

    >>> F.gumbel_softmax(fd.zeros(2, 3), hard=True).sum(-1).tolist()
    [1.0, 1.0]
    """
    with fastdl.no_grad():
        # 1 - u is in (0, 1]; the floor keeps its logarithm from being 0.
        exponential = -(1 - fastdl.rand_like(logits)).log()
        gumbels = -exponential.clamp(min=1e-30 if logits.dtype in (fastdl.float32, fastdl.float64) else 1e-7).log()
    soft = softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    with fastdl.no_grad():
        index = soft.argmax(dim, keepdim=True)
        picked = one_hot(index.movedim(dim, -1).squeeze(-1), soft.shape[dim]).movedim(-1, dim).to(soft.dtype)
    return picked - soft.detach() + soft


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Exponentials normalized to sum to one along a dimension.

    softmax(x)_i = exp(x_i) / sum_j exp(x_j)

    Args:
        input: of any shape, floating-point.
        dim: the dimension along which the result sums to one; must be given.
        dtype: converts the input first.

    Raises:
        ValueError: no dim.
        IndexError: dim is out of range.
        DTypeError: an integer input and no dtype.

    A row that holds NaN, +inf or only -inf gives NaN.

    >>> F.softmax(fd.tensor([0.0, 0.0]), dim=0)
    tensor([0.5, 0.5])
    """
    return _C.softmax(input if dtype is None else input.to(dtype), _softmax_dim("softmax", dim))


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """The logarithm of `softmax`, without overflow: x_i - log(sum_j exp(x_j)).

    Arguments and errors as for `softmax`.

    >>> F.log_softmax(fd.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    return _C.log_softmax(input if dtype is None else input.to(dtype), _softmax_dim("log_softmax", dim))


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """softmax(-x) along a dimension. Arguments and errors as for `softmax`.

    >>> F.softmin(fd.tensor([1.0, 1.0]), dim=0)
    tensor([0.5, 0.5])
    """
    return softmax(-input, dim, dtype=dtype)


def _softmax_dim(name, dim):
    if dim is None:
        raise ValueError(f"{name}: dim must be given, the dimension along which the result sums to one")
    return dim
