"""The functions of ``torch.nn.functional``: stateless layers, activations and losses.

Each is a signature and a docstring over an op of ``fastdl._C``, or a few lines over other functions. Checks and
error messages belong to the ops. A docstring has one line of meaning, the formula, the arguments with their shapes,
the errors, the source and an example; the examples run with ``fd`` for fastdl, ``nn`` and ``F``.

Sections, one a family: activations, linear, convolution, pooling, normalization, dropout, embedding, attention,
recurrent, losses, distances, padding and resampling.
"""

import math

import fastdl
from fastdl import _C

# --- activations ---


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
        raise fastdl.ShapeError(f"prelu: weight {list(weight.shape)} for an input of {list(input.shape)}, expected [1] or [{channels}]")
    if weight.numel() != 1:
        weight = weight.view(-1, *(1,) * (input.ndim - 2))
    return fastdl.where(input > 0, input, weight * input)


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


def gumbel_softmax(logits, tau=1, hard=False, dim=-1):
    """softmax((x + g) / tau) along ``dim``, with g from the Gumbel distribution: a differentiable sample.

    Args:
        logits: unnormalized log-probabilities (*).
        tau: the temperature.
        hard: return the one-hot vector of the largest; its gradient is that of the soft sample.

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


# --- linear ---


def linear(input, weight, bias=None):
    """``y = x W^T + b``, in one pass.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,), or None.

    Returns:
        (..., out_features).

    Raises:
        ShapeError: the sizes do not fit. DTypeError: operands of different dtypes.

    >>> F.linear(fd.ones(2, 3), fd.ones(1, 3), fd.tensor([0.5]))
    tensor([[3.5],
            [3.5]])
    """
    return _C.linear(input, weight, bias)


def bilinear(input1, input2, weight, bias=None):
    """y_k = x1^T A_k x2 + b_k.

    Args:
        input1, input2: (*, I) and (*, J).
        weight: (K, I, J). bias: (K,) or None.

    Raises:
        ShapeError: the shapes do not fit.

    >>> F.bilinear(fd.ones(2, 3), fd.ones(2, 4), fd.ones(5, 3, 4)).shape
    (2, 5)
    """
    k, i, j = weight.shape
    if input1.shape[:-1] != input2.shape[:-1] or input1.shape[-1] != i or input2.shape[-1] != j:
        raise fastdl.ShapeError(
            f"bilinear: inputs {list(input1.shape)} and {list(input2.shape)} for weight {list(weight.shape)}, "
            f"expected [..., {i}] and [..., {j}]"
        )
    left = (input1.reshape(-1, i) @ weight.permute(1, 0, 2).reshape(i, k * j)).view(-1, k, j)
    y = (left @ input2.reshape(-1, j, 1)).view(*input1.shape[:-1], k)
    return y if bias is None else y + bias


# --- convolution ---


def _conv_with_named_padding(op, input, weight, bias, stride, padding, dilation, groups):
    """padding='valid' is none; with padding='same' the output has the input's size, an odd element of padding at the end."""
    conv = getattr(_C, op)
    if padding == "valid":
        return conv(input, weight, bias, stride, 0, dilation, groups)
    if padding != "same":
        raise _C.ValueError(f"{op}: padding must be ints, 'valid' or 'same', got {padding!r}")
    dims = weight.ndim - 2

    def each(v):
        return tuple(v) * (dims if len(v) == 1 else 1) if isinstance(v, (tuple, list)) else (v,) * dims

    if any(s != 1 for s in each(stride)):
        raise _C.ValueError(f"{op}: padding='same' needs stride 1, got {stride}")
    total = [d * (k - 1) for d, k in zip(each(dilation), weight.shape[2:], strict=True)]
    output = conv(input, weight, bias, 1, [(t + 1) // 2 for t in total], dilation, groups)
    for d, t in enumerate(total):
        if t % 2:  # padded by one too many at the start
            d += output.ndim - dims
            output = _C.narrow(output, d, 1, output.shape[d] - 1)
    return output


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Slides `weight` along the last dimension: out[n, o, i] = bias[o] + sum over c, k of w[o, c, k] x[n, c, i*stride + k*dilation].

    Args:
        input: (N, C, L), or (C, L).
        weight: (O, C / groups, K).
        bias: (O), or None.
        stride, padding, dilation: ints; padding may be 'valid' (none) or 'same' (the output has the input's length).
        groups: the channels fall into so many groups, each convolved by itself.

    Raises:
        ShapeError: operands that do not fit together, or a kernel larger than the padded input.
        DTypeError: operands of several dtypes, or integers.

    >>> F.conv1d(fd.ones(1, 1, 4), fd.ones(1, 1, 3), padding=1).tolist()
    [[[2.0, 3.0, 3.0, 2.0]]]
    """
    if isinstance(padding, str):
        return _conv_with_named_padding("conv1d", input, weight, bias, stride, padding, dilation, groups)
    return _C.conv1d(input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Slides `weight` over images (a cross-correlation, as all deep-learning libraries compute it).

    out[n, o, i, j] = bias[o] + sum over c, p, q of w[o, c, p, q] x[n, c, i*stride - padding + p*dilation, ...]

    Args:
        input: (N, C, H, W), or (C, H, W); in channels-last memory the output is too.
        weight: (O, C / groups, KH, KW).
        bias: (O), or None.
        stride, padding, dilation: an int, or one each for height and width; padding may be 'valid' or 'same'.
        groups: the channels fall into so many groups, each convolved by itself; groups=C is a depthwise convolution.

    Raises:
        ShapeError: operands that do not fit together, or a kernel larger than the padded input.
        DTypeError: operands of several dtypes, or integers.

    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    >>> F.conv2d(fd.ones(1, 3, 8, 8), fd.ones(16, 3, 3, 3), stride=2, padding=1).shape
    (1, 16, 4, 4)
    """
    if isinstance(padding, str):
        return _conv_with_named_padding("conv2d", input, weight, bias, stride, padding, dilation, groups)
    return _C.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of `conv1d` with respect to its input, as a layer: (N, C, L) -> (N, O, (L-1)*stride - 2*padding + dilation*(K-1) + output_padding + 1).

    Args:
        input: (N, C, L), or (C, L).
        weight: (C, O / groups, K).
        bias: (O), or None.
        stride, padding, dilation: of the convolution that it transposes.
        output_padding: added to the output's length at its end; smaller than the stride or the dilation.
        groups: as in `conv1d`.

    Raises:
        ShapeError: operands that do not fit together.

    >>> F.conv_transpose1d(fd.ones(1, 1, 2), fd.ones(1, 1, 2), stride=2).tolist()
    [[[1.0, 1.0, 1.0, 1.0]]]
    """
    return _C.conv_transpose1d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of `conv2d` with respect to its input, as a layer ("deconvolution", upsampling).

    Args:
        input: (N, C, H, W), or (C, H, W).
        weight: (C, O / groups, KH, KW).
        bias: (O), or None.
        stride, padding, dilation: of the convolution that it transposes.
        output_padding: added to the output's height and width at their ends; smaller than the stride or the dilation.
        groups: as in `conv2d`.

    Raises:
        ShapeError: operands that do not fit together.

    >>> F.conv_transpose2d(fd.ones(1, 8, 4, 4), fd.ones(8, 3, 2, 2), stride=2).shape
    (1, 3, 8, 8)
    """
    return _C.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)


# --- pooling ---


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The maximum of each window of a sequence.

    Args:
        input: (N, C, L), or (C, L).
        kernel_size, stride, padding, dilation: the windows; stride is kernel_size when None, padding (at most half of
            kernel_size) never is a maximum.
        ceil_mode: a last window that hangs over the end counts.
        return_indices: also return where in L the maxima are (the first of equal ones).

    Raises:
        ShapeError: an input of other dimensions, or smaller than a window.

    >>> F.max_pool1d(fd.tensor([[1.0, 3.0, 2.0, 4.0]]), 2).tolist()
    [[3.0, 4.0]]
    """
    pool = _C.max_pool_with_indices if return_indices else _C.max_pool
    return pool(input, 1, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The maximum of each window of an image; NaN if the window holds one.

    Args:
        input: (N, C, H, W), or (C, H, W).
        kernel_size, stride, padding, dilation: the windows, an int or one each for height and width; stride is
            kernel_size when None, padding (at most half of kernel_size) never is a maximum.
        ceil_mode: a last window that hangs over the edge counts.
        return_indices: also return where in H x W (as h * W + w) the maxima are (the first of equal ones).

    Raises:
        ShapeError: an input of other dimensions, or smaller than a window.

    >>> F.max_pool2d(fd.tensor([[[1.0, 2.0], [3.0, 0.0]]]), 2).tolist()
    [[[3.0]]]
    """
    pool = _C.max_pool_with_indices if return_indices else _C.max_pool
    return pool(input, 2, kernel_size, stride, padding, dilation, ceil_mode)


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window of a sequence.

    Args:
        input: (N, C, L), or (C, L).
        kernel_size, stride, padding: the windows; stride is kernel_size when None.
        ceil_mode: a last window that hangs over the end counts.
        count_include_pad: whether the zeros of the padding count in the mean.

    Raises:
        ShapeError: an input of other dimensions, or smaller than a window.

    >>> F.avg_pool1d(fd.tensor([[1.0, 3.0, 2.0, 4.0]]), 2).tolist()
    [[2.0, 3.0]]
    """
    return _C.avg_pool(input, 1, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window of an image.

    Args:
        input: (N, C, H, W), or (C, H, W).
        kernel_size, stride, padding: the windows, an int or one each for height and width; stride is kernel_size when None.
        ceil_mode: a last window that hangs over the edge counts.
        count_include_pad: whether the zeros of the padding count in the mean.
        divisor_override: what the sums are divided by, in place of the windows' sizes.

    Raises:
        ShapeError: an input of other dimensions, or smaller than a window.

    >>> F.avg_pool2d(fd.tensor([[[1.0, 2.0], [3.0, 0.0]]]), 2).tolist()
    [[[1.5]]]
    """
    return _C.avg_pool(input, 2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _adaptive_size(output_size):
    return [-1 if s is None else s for s in output_size] if isinstance(output_size, (tuple, list)) else output_size


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """The maximum of each of `output_size` parts of a sequence: part i is floor(i L / size) to ceil((i + 1) L / size).

    Args:
        input: (N, C, L), or (C, L).
        output_size: an int.
        return_indices: also return where in L the maxima are.

    >>> F.adaptive_max_pool1d(fd.tensor([[1.0, 3.0, 2.0, 4.0]]), 2).tolist()
    [[3.0, 4.0]]
    """
    output, indices = _C.adaptive_max_pool(input, 1, _adaptive_size(output_size))
    return (output, indices) if return_indices else output


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """The maximum of each of `output_size` parts of an image (the parts as in `adaptive_max_pool1d`).

    Args:
        input: (N, C, H, W), or (C, H, W).
        output_size: an int, or (height, width); None keeps the input's size.
        return_indices: also return where in H x W the maxima are.

    >>> F.adaptive_max_pool2d(fd.ones(1, 3, 7, 5), (2, None)).shape
    (1, 3, 2, 5)
    """
    output, indices = _C.adaptive_max_pool(input, 2, _adaptive_size(output_size))
    return (output, indices) if return_indices else output


def adaptive_avg_pool1d(input, output_size):
    """The mean of each of `output_size` parts of a sequence (the parts as in `adaptive_max_pool1d`).

    Args:
        input: (N, C, L), or (C, L).
        output_size: an int.

    >>> F.adaptive_avg_pool1d(fd.tensor([[1.0, 3.0, 2.0, 4.0]]), 2).tolist()
    [[2.0, 3.0]]
    """
    return _C.adaptive_avg_pool(input, 1, _adaptive_size(output_size))


def adaptive_avg_pool2d(input, output_size):
    """The mean of each of `output_size` parts of an image (the parts as in `adaptive_max_pool1d`).

    Args:
        input: (N, C, H, W), or (C, H, W).
        output_size: an int, or (height, width); None keeps the input's size. 1 is global average pooling.

    >>> F.adaptive_avg_pool2d(fd.ones(1, 3, 7, 5), 1).shape
    (1, 3, 1, 1)
    """
    return _C.adaptive_avg_pool(input, 2, _adaptive_size(output_size))


# --- normalization ---


def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1,
                  eps=1e-5):  # fmt: skip
    """(x - mean) / sqrt(var + eps) * weight + bias, each channel of each sample over its positions.

    Args:
        input: (N, C, ...).
        running_mean, running_var: (C,), used in place of the input's unless ``use_input_stats``, else updated by
            ``momentum`` of the samples' mean statistics.
        weight, bias: (C,) or None.

    Raises:
        ShapeError: the shapes do not fit. ValueError: no running statistics to use.

    Source: Ulyanov et al., "Instance normalization", 2016.

    >>> F.instance_norm(fd.randn(2, 3, 5)).shape
    (2, 3, 5)
    """
    if input.ndim < 3:
        raise fastdl.ShapeError(f"instance_norm: expected (N, C, ...) with positions, got {list(input.shape)}")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise fastdl.ValueError("instance_norm: running statistics are needed where the input's are not used")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if running_mean is not None:
        with fastdl.no_grad():
            positions = input.detach().flatten(2)
            running_mean.lerp_(positions.mean(-1).mean(0).to(running_mean.dtype), momentum)
            running_var.lerp_(positions.var(-1).mean(0).to(running_var.dtype), momentum)
    return group_norm(input, input.shape[1], weight, bias, eps)


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, with the mean and variance of each channel over all else.

    Args:
        input: (N, C, ...).
        running_mean, running_var: (C); used in evaluation, and in training moved towards the batch's (variance unbiased)
            by `momentum`. None in training: not kept.
        weight, bias: (C), or None for 1 and 0.
        training: use the batch's own statistics.

    Raises:
        ShapeError: statistics or weights that are not one number a channel.
        ValueError: training with one value a channel, or evaluation without statistics.

    Ioffe and Szegedy, "Batch normalization", 2015.

    >>> F.batch_norm(fd.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0).tolist()
    [[-1.0], [1.0]]
    """
    return _C.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def normalize(input, p=2.0, dim=1, eps=1e-12):
    """x / max(|x|_p, eps) along ``dim``.

    >>> F.normalize(fd.tensor([[3.0, 4.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps)


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05):
    """Normalizes over the last dimensions.

    y = (x - mean) / sqrt(var + eps) * weight + bias, mean and (biased) variance over normalized_shape

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the trailing sizes that are normalized together.
        weight, bias: of normalized_shape, or None.
        eps: added to the variance.

    Raises:
        ShapeError: the input does not end in normalized_shape, or weight or bias are not of that shape.
        DTypeError: an integer input, or weight and bias of another dtype (float32 goes with 16-bit inputs).

    Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> F.layer_norm(fd.tensor([[1.0, 3.0]]), (2,), eps=0.0)
    tensor([[-1.,  1.]])
    """
    return _C.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """Divides by the root mean square over the last dimensions.

    y = x / sqrt(mean(x^2) + eps) * weight

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the trailing sizes that are normalized together.
        weight: of normalized_shape, or None.
        eps: when None the machine epsilon of the type computed in: float32's, or float64's for float64.

    Raises:
        ShapeError, DTypeError: as for `layer_norm`.

    Zhang and Sennrich, "Root mean square layer normalization", 2019.

    >>> F.rms_norm(fd.tensor([[3.0, 3.0]]), (2,))
    tensor([[1., 1.]])
    """
    return _C.rms_norm(input, normalized_shape, weight, eps)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-05):
    """Normalizes each group of channels of each sample.

    y = (x - mean) / sqrt(var + eps) * weight + bias, mean and (biased) variance over a group's channels and positions

    Args:
        input: (N, C, ...).
        num_groups: divides C.
        weight, bias: (C), or None.
        eps: added to the variance.

    Raises:
        ShapeError: C does not divide into num_groups, or weight or bias are not of shape (C).

    Wu and He, "Group normalization", 2018.

    >>> F.group_norm(fd.tensor([[1.0, 3.0, 2.0, 6.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    return _C.group_norm(input, num_groups, weight, bias, eps)


# --- dropout ---


def _check_probability(p):
    if not 0.0 <= p <= 1.0:
        raise fastdl.ValueError(f"dropout: probability has to be between 0 and 1, but got {p}")


def dropout(input, p=0.5, training=True, inplace=False):
    """Each element 0 with probability ``p``, else x / (1 - p); x itself when not ``training``.

    Raises:
        ValueError: p outside [0, 1].

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    >>> F.dropout(fd.ones(2), 0.5, training=False).tolist()
    [1.0, 1.0]
    """
    if not training or p == 0.0:
        _check_probability(p)
        return input
    y = _C.dropout(input, p, True)
    return input.copy_(y) if inplace else y


def _dropout_channels(name, input, p, training, inplace, ndims, spatial):
    _check_probability(p)
    if input.ndim not in ndims:
        raise fastdl.ShapeError(f"{name}: expected {' or '.join(f'{n}-d' for n in ndims)} input, got {list(input.shape)}")
    if not training or p == 0.0:
        return input
    lead = input.shape[: input.ndim - spatial]
    mask = _C.dropout(fastdl.ones(*lead, *(1,) * spatial, dtype=input.dtype, device=input.device), p, True)
    return input.mul_(mask) if inplace else input * mask


def dropout1d(input, p=0.5, training=True, inplace=False):
    """:func:`dropout` of whole channels of (N, C, L) or (C, L).

    >>> F.dropout1d(fd.ones(1, 1, 2), training=False).tolist()
    [[[1.0, 1.0]]]
    """
    return _dropout_channels("dropout1d", input, p, training, inplace, (2, 3), 1)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """:func:`dropout` of whole channels of (N, C, H, W) or (C, H, W).

    >>> F.dropout2d(fd.ones(1, 1, 1, 2), training=False).tolist()
    [[[[1.0, 1.0]]]]
    """
    return _dropout_channels("dropout2d", input, p, training, inplace, (3, 4), 2)


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps mean 0 and variance 1: dropped elements are SELU's limit at -infinity, then all are scaled and
    shifted.

    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> F.alpha_dropout(fd.ones(2)).tolist()
    [1.0, 1.0]
    """
    _check_probability(p)
    if not training or p == 0.0:
        return input
    limit = -1.7580993408473766
    scale = 0.0 if p == 1.0 else 1.0 / math.sqrt((1 - p) * (1 + p * limit * limit))
    kept = _C.dropout(fastdl.ones_like(input), p, True) * (1 - p)  # 1 where kept
    y = input * (kept * scale) + (1 - kept) * (limit * scale) - p * limit * scale
    return input.copy_(y) if inplace else y


# --- embedding ---


def embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False
):
    """The rows of `weight` at the places `input`.

    Args:
        input: integers (*), each in [0, rows).
        weight: (rows, size).
        padding_idx: a row that gets no gradient; negative counts from the end.
        max_norm: rows that are looked up and longer than this (in the norm_type-norm) are scaled down to it, in place.
        scale_grad_by_freq: divide the gradient of a row by the number of its uses.
        sparse: not supported, must be False.

    Returns:
        (*, size). The gradient of a row is the sum over its uses, in their order.

    Raises:
        IndexError: a place out of range.
        ValueError: an option that is not supported.

    >>> F.embedding(fd.tensor([2, 0]), fd.tensor([[0.0], [1.0], [2.0]]))
    tensor([[2.],
            [0.]])
    """
    if sparse:
        raise _C.ValueError("embedding: sparse gradients are not supported")
    if max_norm is not None:
        with fastdl.no_grad():
            used = input.reshape(-1)
            rows = _C.embedding(weight, used, None)
            length = rows.norm(norm_type, 1, True)
            weight.index_put_((used,), fastdl.where(length > max_norm, rows * (max_norm / (length + 1e-7)), rows))
    y = _C.embedding(weight, input, padding_idx)
    if scale_grad_by_freq and y.requires_grad:
        with fastdl.no_grad():
            used = input.reshape(-1)
            ones = fastdl.ones(used.numel(), dtype=y.dtype, device=y.device)
            uses = fastdl.zeros(weight.shape[0], dtype=y.dtype, device=y.device).index_add(0, used, ones)[input].unsqueeze(-1)
        y.register_hook(lambda grad: grad / uses)
    return y


def one_hot(tensor, num_classes=-1):
    """1 at each class's place in a new last dimension, else 0; int64.

    Args:
        tensor: classes (*), int64.
        num_classes: the size of the new dimension; -1 is one more than the largest class.

    Raises:
        DTypeError: not int64. IndexError: a class out of range. ValueError: no classes to infer the size from.

    >>> F.one_hot(fd.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    if tensor.dtype != fastdl.int64:
        raise fastdl.DTypeError(f"one_hot: expected int64 classes, got {tensor.dtype}")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise fastdl.ValueError("one_hot: cannot infer num_classes from an empty tensor")
        return fastdl.zeros(*tensor.shape, num_classes, dtype=fastdl.int64, device=tensor.device)
    smallest, largest = int(tensor.amin()), int(tensor.amax())
    if num_classes == -1:
        num_classes = largest + 1
    if smallest < 0 or largest >= num_classes:
        raise fastdl.IndexError(f"one_hot: classes from {smallest} to {largest}, expected 0 to {num_classes - 1}")
    return (tensor.unsqueeze(-1) == fastdl.arange(num_classes, device=tensor.device)).to(fastdl.int64)


# --- attention ---


def _float_mask(name, mask, query, expected):
    """A mask as floats to add: a boolean one is -inf where it is true."""
    if mask is None:
        return None
    if mask.shape not in expected:
        raise fastdl.ShapeError(f"{name}: shape {list(mask.shape)}, expected {' or '.join(str(list(s)) for s in expected)}")
    if mask.dtype == fastdl.bool:
        return fastdl.zeros(*mask.shape, dtype=query.dtype, device=query.device).masked_fill(mask, float("-inf"))
    return mask.to(query.dtype)


def _project(query, key, value, weight, bias):
    """The projections to Q, K and V by one packed weight (3 E, E): one product where the inputs are the same."""
    size = query.shape[-1]
    if key is value:
        if query is key:
            return linear(query, weight, bias).chunk(3, -1)
        k, v = linear(key, weight[size:], None if bias is None else bias[size:]).chunk(2, -1)
        return linear(query, weight[:size], None if bias is None else bias[:size]), k, v
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), weight.chunk(3), biases))


def multi_head_attention_forward(
    query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn, dropout_p,
    out_proj_weight, out_proj_bias, training=True, key_padding_mask=None, need_weights=True, attn_mask=None,
    use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None,
    average_attn_weights=True, is_causal=False,
):  # fmt: skip
    """Multi-head attention; see :class:`fastdl.nn.MultiheadAttention`, whose forward it is.

    Args:
        query, key, value: (T, N, E), (S, N, kdim), (S, N, vdim), or without N.
        static_k, static_v: keys and values (N heads, S, E / heads) to use in place of the projected ones.

    Returns:
        The output, shaped as query, and the weights (N, T, S) or None.

    Raises:
        ShapeError: inputs or masks do not fit. ValueError: is_causal without attn_mask.
    """
    op = "multi_head_attention"
    batched = query.ndim == 3
    if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
        shapes = ", ".join(str(list(t.shape)) for t in (query, key, value))
        raise fastdl.ShapeError(f"{op}: query, key and value must all be 2-d or all 3-d, got {shapes}")
    if not batched:
        same_kv, same_qk = value is key, key is query
        query = query.unsqueeze(1)
        key = query if same_qk else key.unsqueeze(1)
        value = key if same_kv else value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    target, batch, size = query.shape
    source = key.shape[0]
    if size != embed_dim_to_check:
        raise fastdl.ShapeError(f"{op}: query {list(query.shape)} needs last dimension {embed_dim_to_check}")
    if key.shape[:2] != value.shape[:2] or key.shape[1] != batch:
        raise fastdl.ShapeError(
            f"{op}: key {list(key.shape)} and value {list(value.shape)} must have the same length, and the batch of "
            f"query {list(query.shape)}"
        )
    if is_causal and attn_mask is None:
        raise fastdl.ValueError(f"{op}: is_causal needs attn_mask")
    head = size // num_heads
    per_head = (batch * num_heads, target, source)
    mask = _float_mask(f"{op}: attn_mask", attn_mask, query, ((target, source), per_head))
    padding = _float_mask(f"{op}: key_padding_mask", key_padding_mask, query, ((batch, source),))

    if use_separate_proj_weight:
        biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))
    else:
        q, k, v = _project(query, key, value, in_proj_weight, in_proj_bias)
    extra = 0
    if bias_k is not None:
        k, v = (fastdl.cat((t, b.expand(1, batch, size))) for t, b in ((k, bias_k), (v, bias_v)))
        extra += 1

    def split(t):  # (L, N, E) to (N, heads, L, head)
        return t.unflatten(-1, (num_heads, head)).permute(1, 2, 0, 3)

    q = split(q)
    k = split(k) if static_k is None else static_k.unflatten(0, (batch, num_heads))
    v = split(v) if static_v is None else static_v.unflatten(0, (batch, num_heads))
    if add_zero_attn:
        zero = fastdl.zeros(batch, num_heads, 1, head, dtype=k.dtype, device=k.device)
        k, v = fastdl.cat((k, zero), 2), fastdl.cat((v, zero), 2)
        extra += 1
    causal_alone = is_causal and not need_weights and padding is None and not extra
    if causal_alone:
        mask = None  # the kernel knows the causal mask
    if mask is not None:
        mask = mask.unflatten(0, (batch, num_heads)) if mask.ndim == 3 else mask
    if padding is not None:
        padding = padding.view(batch, 1, 1, source)
        mask = padding if mask is None else mask + padding
    if mask is not None and extra:
        mask = pad(mask, (0, extra))
    if not training:
        dropout_p = 0.0

    if need_weights:
        scores = (q * (1.0 / math.sqrt(head))) @ k.transpose(-2, -1)
        weights = softmax(scores if mask is None else scores + mask, -1)
        if dropout_p > 0.0:
            weights = dropout(weights, dropout_p)
        y = weights @ v
        if average_attn_weights:
            weights = weights.mean(1)
    else:
        weights = None
        y = scaled_dot_product_attention(q, k, v, mask, dropout_p, causal_alone)
    y = linear(y.permute(2, 0, 1, 3).reshape(target, batch, size), out_proj_weight, out_proj_bias)
    if batched:
        return y, weights
    return y.squeeze(1), None if weights is None else weights.squeeze(0)


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """Attention: weighted means of the values, the weights a softmax of how well query and key match.

    out = softmax(scale * query @ key^T + mask) @ value

    The T x S weights are never stored, neither here nor for the gradient. Views (heads cut from a packed projection) are
    read in place, and the output has the query's order of dimensions in memory.

    Args:
        query: (..., T, D).
        key: (..., S, D).
        value: (..., S, E). Leading dimensions broadcast.
        attn_mask: broadcasts to (..., T, S); bool (True takes part) or added to the scores.
        dropout_p: the probability of dropping a weight; applied whenever it is not 0, as there is no training flag here.
        is_causal: query t sees keys 0 to t. Not together with attn_mask.
        scale: 1 / sqrt(D) when None.
        enable_gqa: query (..., H, T, D) may have a multiple of the heads of key and value; each key head serves H / Hkv
            consecutive query heads.

    Returns:
        (..., T, E). A query that sees no key gives zeros.

    Raises:
        ShapeError: shapes that do not fit as above.
        DTypeError: query, key and value differ in dtype, or the mask is neither bool nor of that dtype.
        ValueError: dropout_p outside [0, 1), or both attn_mask and is_causal.

    Vaswani et al., "Attention is all you need", 2017; Dao et al., "FlashAttention", 2022.

    >>> q = fd.zeros(1, 2, 1)
    >>> F.scaled_dot_product_attention(q, q, fd.tensor([[[1.0], [3.0]]]), is_causal=True)
    tensor([[[1.],
             [2.]]])
    """
    return _C.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


# --- recurrent ---


def lstm_layer(input, h0, c0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, reverse=False):
    """One direction of one LSTM layer as one kernel over time; the formulas are :class:`fastdl.nn.LSTM`'s.

    Args:
        input: (T, N, I).
        h0, c0: (N, H).
        weight_ih, weight_hh: (4 H, I) and (4 H, H), rows in the order i, f, g, o.
        bias_ih, bias_hh: (4 H,), or None.
        reverse: from the last step to the first.

    Returns:
        The output (T, N, H) and the last h and c (N, H).

    Raises:
        ShapeError: the sizes do not fit, or T is 0. DTypeError: operands of different dtypes.

    >>> y, h, c = F.lstm_layer(fd.ones(5, 2, 3), fd.zeros(2, 4), fd.zeros(2, 4), fd.zeros(16, 3), fd.zeros(16, 4))
    >>> y.shape, h.shape
    ((5, 2, 4), (2, 4))
    """
    return _C.lstm_layer(input, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, reverse)


def gru_layer(input, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, reverse=False):
    """One direction of one GRU layer as one kernel over time; the formulas are :class:`fastdl.nn.GRU`'s.

    Arguments, shapes and errors as `lstm_layer`, without c and with 3 H rows in the order r, z, n.

    >>> y, h = F.gru_layer(fd.ones(5, 2, 3), fd.zeros(2, 4), fd.zeros(12, 3), fd.zeros(12, 4))
    >>> y.shape, h.shape
    ((5, 2, 4), (2, 4))
    """
    return _C.gru_layer(input, h0, weight_ih, weight_hh, bias_ih, bias_hh, reverse)


def rnn_layer(input, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, nonlinearity="tanh", reverse=False):
    """One direction of one plain recurrent layer as one kernel over time; the formula is :class:`fastdl.nn.RNN`'s.

    Arguments, shapes and errors as `lstm_layer`, without c, with H rows, and `nonlinearity` "tanh" or "relu".

    >>> y, h = F.rnn_layer(fd.ones(5, 2, 3), fd.zeros(2, 4), fd.zeros(4, 3), fd.zeros(4, 4))
    >>> y.shape, h.shape
    ((5, 2, 4), (2, 4))
    """
    return _C.rnn_layer(input, h0, weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity, reverse)


# --- losses ---


def reduction_from(size_average, reduce, reduction):
    """The reduction that PyTorch's old arguments ``size_average`` and ``reduce`` stand for, where they are given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """Cross-entropy of logits, log-softmax and negative log-likelihood in one pass.

    loss_n = -sum_c weight_c q_nc log_softmax(x_n)_c, with q = (1 - s) target + s / C and s the label smoothing

    Args:
        input: logits (C), (N, C) or (N, C, d1, ...).
        target: class indices of the input's shape without C, or class probabilities of the input's shape.
        weight: (C), a weight for each class.
        ignore_index: positions with this label do not count.
        reduction: 'none' | 'mean' (over the weights of the labels that count) | 'sum'.
        label_smoothing: 0 to 1.

    Raises:
        IndexError: a label outside [0, C) that is not ignore_index.
        ShapeError: a target or weight of the wrong shape.
        ValueError: an unknown reduction, or label_smoothing outside [0, 1].

    Szegedy et al., "Rethinking the Inception architecture", 2016 (label smoothing).

    >>> F.cross_entropy(fd.tensor([[0.0, 0.0]]), fd.tensor([1]))
    tensor(0.6931)
    """
    reduction = reduction_from(size_average, reduce, reduction)
    return _C.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Negative log-likelihood of log-probabilities: -weight_c x_nc for the label c of n.

    Arguments and errors as for `cross_entropy`, with log-probabilities as input and class indices as target.

    >>> F.nll_loss(fd.tensor([[-0.5, -1.0]]), fd.tensor([0]))
    tensor(0.5)
    """
    return _C.nll_loss(input, target, weight, ignore_index, reduction_from(size_average, reduce, reduction))


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Squared error (x - y)^2.

    Args:
        input, target: shapes that broadcast.
        reduction: 'none' | 'mean' | 'sum'.
        weight: multiplies each element's loss; with 'mean' the sum is divided by the sum of the weights.

    Raises:
        ShapeError: shapes that do not broadcast.
        ValueError: an unknown reduction.

    >>> F.mse_loss(fd.tensor([1.0, 2.0]), fd.tensor([1.0, 4.0]))
    tensor(2.)
    """
    reduction = reduction_from(size_average, reduce, reduction)
    return _weighted(_C.mse_loss, input, target, reduction, weight)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Absolute error |x - y|. Arguments and errors as for `mse_loss`.

    >>> F.l1_loss(fd.tensor([1.0, 2.0]), fd.tensor([1.0, 4.0]))
    tensor(1.)
    """
    reduction = reduction_from(size_average, reduce, reduction)
    return _weighted(_C.l1_loss, input, target, reduction, weight)


def _weighted(loss, input, target, reduction, weight):
    if weight is None:
        return loss(input, target, reduction)
    weighted = loss(input, target, "none") * weight
    if reduction == "none":
        return weighted
    return weighted.sum() / weight.expand(*weighted.shape).sum() if reduction == "mean" else weighted.sum()


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """d^2 / (2 beta) where d = |x - y| is below beta, d - beta / 2 above. Arguments as for `mse_loss`.

    Girshick, "Fast R-CNN", 2015.

    Raises:
        ValueError: a negative beta.

    >>> F.smooth_l1_loss(fd.tensor([0.0, 0.0]), fd.tensor([1.0, 3.0]), reduction="none")
    tensor([0.5, 2.5])
    """
    return _C.smooth_l1_loss(input, target, reduction_from(size_average, reduce, reduction), beta)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """d^2 / 2 where d = |x - y| is below delta, delta (d - delta / 2) above. Arguments as for `mse_loss`.

    Huber, "Robust estimation of a location parameter", 1964.

    Raises:
        ValueError: delta is not positive.

    >>> F.huber_loss(fd.tensor([0.0, 0.0]), fd.tensor([1.0, 3.0]), reduction="none", delta=2.0)
    tensor([0.5, 4. ])
    """
    return _weighted(lambda x, y, r: _C.huber_loss(x, y, r, delta), input, target, reduction, weight)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """-(y log(x) + (1 - y) log(1 - x)) of probabilities; logarithms are not below -100, so that 0 and 1 stay finite.

    Args:
        input: probabilities.
        target: of the input's shape, 0 to 1.
        weight: broadcasts to the input; multiplies each element's loss.
        reduction: 'none' | 'mean' | 'sum'.

    Raises:
        ShapeError: target and input differ in shape.

    >>> F.binary_cross_entropy(fd.tensor([0.5]), fd.tensor([1.0]))
    tensor(0.6931)
    """
    return _C.binary_cross_entropy(input, target, weight, reduction_from(size_average, reduce, reduction))


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """Binary cross-entropy of logits, without overflow: (1 - y) x + (1 + (p - 1) y) log(1 + exp(-x)).

    Args:
        input: logits.
        target: of the input's shape, 0 to 1.
        weight: broadcasts to the input; multiplies each element's loss.
        reduction: 'none' | 'mean' | 'sum'.
        pos_weight: p, broadcasts to the input; weighs positive targets.

    Raises:
        ShapeError: target and input differ in shape.

    >>> F.binary_cross_entropy_with_logits(fd.tensor([0.0]), fd.tensor([1.0]))
    tensor(0.6931)
    """
    reduction = reduction_from(size_average, reduce, reduction)
    return _C.binary_cross_entropy_with_logits(input, target, weight, reduction, pos_weight)


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """Kullback-Leibler divergence y (log(y) - x), x being log-probabilities.

    Args:
        input: log-probabilities.
        target: probabilities, or their logarithms with log_target.
        reduction: 'none' | 'mean' | 'batchmean' (the sum divided by the first size: the divergence itself) | 'sum'.
        log_target: whether the target is given as logarithms.

    Raises:
        ShapeError: shapes that do not broadcast.
        ValueError: an unknown reduction.

    >>> F.kl_div(fd.tensor([[0.0, 0.0]]), fd.tensor([[1.0, 1.0]]), reduction="batchmean")
    tensor(0.)
    """
    return _C.kl_div(input, target, reduction_from(size_average, reduce, reduction), log_target)


# --- distances ---


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along ``dim``; the inputs broadcast.

    >>> F.cosine_similarity(fd.tensor([[1.0, 0.0]]), fd.tensor([[3.0, 0.0]])).tolist()
    [1.0]
    """
    norm1 = (x1 * x1).sum(dim, keepdim=True).sqrt().clamp(min=eps)
    norm2 = (x2 * x2).sum(dim, keepdim=True).sqrt().clamp(min=eps)
    return ((x1 / norm1) * (x2 / norm2)).sum(dim)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm of x1 - x2 + eps along the last dimension.

    >>> F.pairwise_distance(fd.tensor([[3.0, 0.0]]), fd.tensor([[0.0, 4.0]]), eps=0.0).tolist()
    [5.0]
    """
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


# --- padding and resampling ---


def pad(input, pad, mode="constant", value=None):
    """Adds elements around the last dimensions, or with negative numbers takes some away.

    Args:
        input: (*).
        pad: (left, right) of the last dimension, then of the one before, and so on.
        mode: "constant", or what is taken from the input: "reflect" (without the edge), "replicate" (the edge),
            "circular" (the other side).
        value: of the constant, 0 when left out.

    Raises:
        ValueError: an odd number of sizes or an unknown mode. ShapeError: too many sizes, or more elements than the mode
            can take from the input.

    >>> F.pad(fd.tensor([1.0, 2.0, 3.0]), (1, 2)).tolist()
    [0.0, 1.0, 2.0, 3.0, 0.0, 0.0]
    >>> F.pad(fd.tensor([[1.0, 2.0, 3.0]]), (2, 1), mode="reflect").tolist()
    [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]]
    """
    if len(pad) % 2:
        raise fastdl.ValueError(f"pad: expected an even number of sizes, got {tuple(pad)}")
    if len(pad) // 2 > input.ndim:
        raise fastdl.ShapeError(f"pad: {tuple(pad)} has sizes for {len(pad) // 2} dimensions, the input {list(input.shape)} fewer")
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise fastdl.ValueError(f"pad: unknown mode {mode!r}, expected 'constant', 'reflect', 'replicate' or 'circular'")
    sides = [(input.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)]
    if mode == "constant":
        return _pad_constant(input, sides, 0.0 if value is None else value)
    for dim, left, right in sides:
        size = input.shape[dim]
        most = {"reflect": size - 1, "circular": size, "replicate": math.inf if size else 0}[mode]
        if max(left, right) > most or size + left + right < 0:
            raise fastdl.ShapeError(f"pad: cannot {mode} {left} and {right} elements from dimension {dim} of {list(input.shape)}")
        if left or right:
            wanted = range(-left, size + right)
            if mode == "replicate":
                index = [min(max(i, 0), size - 1) for i in wanted]
            elif mode == "circular":
                index = [i % size for i in wanted]
            else:
                index = [abs(i) if i < size else 2 * (size - 1) - i for i in wanted]
            input = input[(slice(None),) * dim + (fastdl.tensor(index, dtype=fastdl.int64, device=input.device),)]
    return input


def _pad_constant(input, sides, value):
    shape, inside, outside = list(input.shape), [slice(None)] * input.ndim, [slice(None)] * input.ndim
    for dim, left, right in sides:
        size = input.shape[dim]
        shape[dim] = size + left + right
        if shape[dim] < 0:
            raise fastdl.ShapeError(f"pad: {left} and {right} leave dimension {dim} of {list(input.shape)} a negative size")
        inside[dim] = slice(max(-left, 0), size - max(-right, 0))
        outside[dim] = slice(max(left, 0), shape[dim] - max(right, 0))
    y = fastdl.full(shape, value, dtype=input.dtype, device=input.device)
    y[tuple(outside)] = input[tuple(inside)]
    return y


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


# --- gradients ---


def clip_total_norm_(gradients, max_norm, norm_type, error_if_nonfinite):
    """Scales tensors in place so that their norm, as one vector, is at most ``max_norm``; returns the norm before.

    One pass for the norm and one to scale. ``norm_type`` is 1, 2 or inf. See :func:`fastdl.nn.utils.clip_grad_norm_`.

    >>> g = fd.tensor([3.0, 4.0])
    >>> F.clip_total_norm_([g], 2.5, 2.0, False).item()
    5.0
    """
    return _C.clip_grad_norm_(gradients, max_norm, norm_type, error_if_nonfinite)
