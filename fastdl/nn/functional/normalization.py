"""Normalization over batches, layers, groups and channels."""

import fastdl
from fastdl import _C
from fastdl.nn.functional.padding import pad

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


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
        ValueError: training with one value a channel, evaluation without statistics, or an eps that is not positive.

    Ioffe and Szegedy, "Batch normalization", 2015.

    >>> F.batch_norm(fd.tensor([[1.0], [3.0]]), None, None, training=True, eps=1e-12).tolist()
    [[-1.0], [1.0]]
    """
    if eps <= 0:
        raise _C.ValueError(f"batch_norm: eps must be positive, got {eps}")
    return _C.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, with the mean and variance of each channel of each instance.

    Args:
        input: (N, C, L) or (N, C, H, W).
        running_mean, running_var: (C), or None; moved towards the mean over the batch of the instances' statistics, and
            used in place of them without `use_input_stats`.
        weight, bias: (C), or None for 1 and 0.

    Raises:
        ShapeError: statistics or weights that are not one number a channel.

    Ulyanov, Vedaldi and Lempitsky, "Instance normalization", 2016.

    >>> F.instance_norm(fd.tensor([[[1.0, 3.0]]]), eps=0.0).tolist()
    [[[-1.0, 1.0]]]
    """
    if not use_input_stats:
        return _C.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    n, c = input.shape[:2]
    # An instance's channel is a channel of a batch of one.
    means, variances = (
        None if r is None else r.expand(n, c).clone().reshape(n * c) for r in (running_mean, running_var)
    )
    y = _C.batch_norm(
        _C.reshape(input, (1, n * c, *input.shape[2:])), means, variances, None, None, True, momentum, eps
    )
    for running, rows in ((running_mean, means), (running_var, variances)):
        if running is not None:
            running.copy_(_C.mean(_C.reshape(rows, (n, c)), 0))
    shape = (1, c) + (1,) * (input.ndim - 2)
    y = _C.reshape(y, input.shape)
    if weight is not None:
        y = y * _C.reshape(weight, shape)
    return y if bias is None else y + _C.reshape(bias, shape)


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """x / max(|x|_p, eps) along ``dim``.

    >>> F.normalize(fd.tensor([[3.0, 4.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    y = input / input.norm(p, dim, keepdim=True).clamp(min=eps)
    return y if out is None else out.copy_(y)


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """x / (k + alpha mean of x^2 over `size` channels around)^beta, channels outside counting as zeros.

    Args:
        input: (N, C, *).
        size: how many channels; of an even number one more lies before than after.

    Raises:
        ShapeError: fewer than 3 dimensions. ValueError: a size that is not positive.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012.

    >>> F.local_response_norm(fd.ones(1, 2, 1), 1, alpha=3.0, beta=1.0).flatten().tolist()
    [0.25, 0.25]
    """
    if input.ndim < 3:
        raise fastdl.ShapeError(f"local_response_norm: needs 3 or more dimensions, got {list(input.shape)}")
    if size < 1:
        raise fastdl.ValueError(f"local_response_norm: size must be positive, got {size}")
    if input.numel() == 0:
        return input
    squares = (input * input).reshape(input.shape[0], 1, input.shape[1], -1)
    means = _C.avg_pool(pad(squares, (0, 0, size // 2, (size - 1) // 2)), 2, (size, 1), 1)
    return input / (means.reshape(input.shape) * alpha + k) ** beta


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
