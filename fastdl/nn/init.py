"""Initial values of parameters. Every function fills its tensor in place, without recording, and returns it."""

import math

import fastdl
from fastdl.autograd import no_grad


def _fans(tensor):
    """Inputs and outputs of one element: the channels times the size of the receptive field."""
    if tensor.ndim < 2:
        raise fastdl.ShapeError(
            f"fan in and fan out can not be computed for a tensor with fewer than 2 dimensions, got {list(tensor.shape)}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


_calculate_fan_in_and_fan_out = _fans


def calculate_gain(nonlinearity, param=None):
    """The recommended gain of a nonlinearity: what keeps the variance through it.

    1 for linear, convolutions and sigmoid, 5/3 for tanh, sqrt(2) for relu, sqrt(2 / (1 + slope^2)) for leaky_relu,
    3/4 for selu (as in PyTorch).

    Args:
        nonlinearity: its name in ``nn.functional``.
        param: the negative slope of leaky_relu, 0.01 when left out.

    Raises:
        ValueError: an unknown name, or a slope that is no number.

    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    linear = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
    if nonlinearity in linear or nonlinearity == "sigmoid":
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            param = 0.01
        elif isinstance(param, bool) or not isinstance(param, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + param**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"unsupported nonlinearity {nonlinearity}")


def uniform_(tensor, a=0.0, b=1.0, generator=None):
    """Fills with U(a, b).

    >>> w = uniform_(fd.empty(3, 5), -1, 1)
    >>> bool((w.abs() <= 1).all())
    True
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor, mean=0.0, std=1.0, generator=None):
    """Fills with N(mean, std^2).

    >>> normal_(fd.empty(3, 5), std=0.02).shape
    (3, 5)
    """
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


# Giles, "Approximating the erfinv function", 2010: erfinv(x) = x p(w), w = -log(1 - x^2); the relative error is below 4e-7.
_CENTRE = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
           0.246640727, 1.50140941)  # fmt: skip
_TAILS = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
          1.00167406, 2.83297682)  # fmt: skip


def _erfinv(x):
    def polynomial(coefficients, w):
        value = coefficients[0]
        for c in coefficients[1:]:
            value = value * w + c
        return value

    w = -((1 - x) * (1 + x)).log()
    return fastdl.where(w < 5, polynomial(_CENTRE, w - 2.5), polynomial(_TAILS, w.sqrt() - 3)) * x


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    """Fills with N(mean, std^2) conditioned on [a, b], by the inverse of its distribution function.

    >>> w = trunc_normal_(fd.empty(100), std=0.02, a=-0.04, b=0.04)
    >>> bool((w.abs() <= 0.04).all())
    True
    """

    def cdf(x):
        return (1.0 + math.erf((x - mean) / (std * math.sqrt(2.0)))) / 2.0

    with no_grad():
        tensor.uniform_(2 * cdf(a) - 1, 2 * cdf(b) - 1, generator=generator)
        return tensor.copy_((_erfinv(tensor) * (std * math.sqrt(2.0)) + mean).clamp(a, b))


def constant_(tensor, val):
    """Fills with ``val``.

    >>> constant_(fd.empty(2), 0.5).tolist()
    [0.5, 0.5]
    """
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor):
    """Fills with 1.

    >>> ones_(fd.empty(2)).tolist()
    [1.0, 1.0]
    """
    return constant_(tensor, 1.0)


def zeros_(tensor):
    """Fills with 0.

    >>> zeros_(fd.empty(2)).tolist()
    [0.0, 0.0]
    """
    return constant_(tensor, 0.0)


def eye_(tensor):
    """Fills a matrix with the identity.

    Raises:
        ShapeError: the tensor is not 2-d.

    >>> eye_(fd.empty(2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    if tensor.ndim != 2:
        raise fastdl.ShapeError(f"eye_: only tensors with 2 dimensions are supported, got {list(tensor.shape)}")
    with no_grad():
        tensor.fill_(0.0)
        tensor.diagonal().fill_(1.0)
    return tensor


def dirac_(tensor, groups=1):
    """Fills a convolution's weight (O, I, ...) so that each group passes its first channels on unchanged.

    Raises:
        ShapeError: the tensor is not 3-, 4- or 5-d, or O does not divide by ``groups``.

    >>> w = dirac_(fd.empty(2, 2, 3))
    >>> F.conv1d(fd.ones(1, 2, 4), w, padding=1).tolist()
    [[[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]]
    """
    if tensor.ndim not in (3, 4, 5):
        raise fastdl.ShapeError(f"dirac_: only tensors with 3, 4 or 5 dimensions are supported, got {list(tensor.shape)}")
    out_channels = tensor.shape[0]
    if out_channels % groups:
        raise fastdl.ShapeError(f"dirac_: dimension 0 of {list(tensor.shape)} must be divisible by groups = {groups}")
    per_group = out_channels // groups
    center = tuple(size // 2 for size in tensor.shape[2:])
    with no_grad():
        tensor.fill_(0.0)
        for group in range(groups):
            for channel in range(min(per_group, tensor.shape[1])):
                tensor[(group * per_group + channel, channel, *center)] = 1.0
    return tensor


def xavier_uniform_(tensor, gain=1.0, generator=None):
    """Fills with U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> w = xavier_uniform_(fd.empty(2, 4))
    >>> bool((w.abs() <= 1).all())
    True
    """
    fan_in, fan_out = _fans(tensor)
    a = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    """Fills with N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> xavier_normal_(fd.empty(2, 4)).shape
    (2, 4)
    """
    fan_in, fan_out = _fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


def _kaiming_std(tensor, a, mode, nonlinearity):
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"mode {mode} not supported, please use one of fan_in, fan_out")
    fan_in, fan_out = _fans(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode.lower() == "fan_in" else fan_out)


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fills with U(-b, b), b = gain sqrt(3 / fan).

    Args:
        a: the negative slope of leaky_relu.
        mode: "fan_in" keeps the variance forward, "fan_out" backward.
        nonlinearity: what follows the layer, see :func:`calculate_gain`.

    Source: He et al., "Delving deep into rectifiers", 2015.

    >>> w = kaiming_uniform_(fd.empty(4, 6))
    >>> bool((w.abs() <= 1).all())
    True
    """
    if 0 in tensor.shape:
        return tensor
    b = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -b, b, generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fills with N(0, std^2), std = gain / sqrt(fan); arguments as in :func:`kaiming_uniform_`.

    Source: He et al., "Delving deep into rectifiers", 2015.

    >>> kaiming_normal_(fd.empty(4, 6), mode="fan_out", nonlinearity="relu").shape
    (4, 6)
    """
    if 0 in tensor.shape:
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor, gain=1, generator=None):
    """Fills with a random (semi-)orthogonal matrix times ``gain``; dimensions after the first count as columns.

    The Q factor of a Gaussian matrix, by Gram-Schmidt run twice in float64, with R's diagonal positive: uniform over
    the orthogonal matrices.

    Raises:
        ShapeError: fewer than 2 dimensions.

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", 2014.

    >>> w = orthogonal_(fd.empty(3, 5))
    >>> bool((((w @ w.T).diagonal() - 1).abs() < 1e-5).all())
    True
    """
    if tensor.ndim < 2:
        raise fastdl.ShapeError(f"orthogonal_: needs 2 or more dimensions, got {list(tensor.shape)}")
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    with no_grad():
        # The shorter side's vectors, as rows.
        vectors = fastdl.empty(min(rows, columns), max(rows, columns), dtype=fastdl.float64)
        vectors.normal_(0.0, 1.0, generator=generator)
        for i in range(vectors.shape[0]):
            row = vectors[i]
            for _ in range(2 if i else 0):
                done = vectors[:i]
                row.sub_((done @ row) @ done)
            row.div_((row * row).sum().sqrt())
        matrix = vectors if rows <= columns else vectors.T
        return tensor.copy_(matrix.reshape(tensor.shape)).mul_(gain)


def sparse_(tensor, sparsity, std=0.01, generator=None):
    """Fills a matrix with N(0, std^2), a fraction ``sparsity`` of each column's elements zero.

    Raises:
        ShapeError: the tensor is not 2-d.

    Source: Martens, "Deep learning via Hessian-free optimization", 2010.

    >>> int((sparse_(fd.empty(10, 4), 0.5) == 0).sum())
    20
    """
    if tensor.ndim != 2:
        raise fastdl.ShapeError(f"sparse_: only tensors with 2 dimensions are supported, got {list(tensor.shape)}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with no_grad():
        tensor.normal_(0.0, std, generator=generator)
        for column in range(columns):
            tensor[fastdl.randperm(rows, generator=generator)[:zeros], column] = 0.0
    return tensor
