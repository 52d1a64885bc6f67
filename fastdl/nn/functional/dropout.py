"""Random zeros, for regularization."""

import math

import fastdl
from fastdl import _C

__all__ = [
    "alpha_dropout",
    "drop_path",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]


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
        raise fastdl.ShapeError(
            f"{name}: expected {' or '.join(f'{n}-d' for n in ndims)} input, got {list(input.shape)}"
        )
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


def dropout3d(input, p=0.5, training=True, inplace=False):
    """:func:`dropout` of whole channels of (N, C, D, H, W) or (C, D, H, W).

    >>> F.dropout3d(fd.ones(1, 1, 1, 1, 2), training=False).tolist()
    [[[[[1.0, 1.0]]]]]
    """
    return _dropout_channels("dropout3d", input, p, training, inplace, (4, 5), 3)


def _alpha_dropout(input, p, training, inplace, shape):
    _check_probability(p)
    if not training or p == 0.0:
        return input
    limit = -1.7580993408473766
    scale = 0.0 if p == 1.0 else 1.0 / math.sqrt((1 - p) * (1 + p * limit * limit))
    kept = _C.dropout(fastdl.ones(*shape, dtype=input.dtype, device=input.device), p, True) * (1 - p)  # 1 where kept
    y = input * (kept * scale) + (1 - kept) * (limit * scale) - p * limit * scale
    return input.copy_(y) if inplace else y


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps mean 0 and variance 1: dropped elements are SELU's limit at -infinity, then all are scaled and
    shifted.

    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> F.alpha_dropout(fd.ones(2)).tolist()
    [1.0, 1.0]
    """
    return _alpha_dropout(input, p, training, inplace, input.shape)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """:func:`alpha_dropout` of whole channels of (N, C, *).

    Raises:
        ShapeError: fewer than 2 dimensions.

    >>> F.feature_alpha_dropout(fd.ones(1, 1, 2)).tolist()
    [[[1.0, 1.0]]]
    """
    if training and input.ndim < 2:
        raise fastdl.ShapeError(f"feature_alpha_dropout: needs 2 or more dimensions, got {list(input.shape)}")
    return _alpha_dropout(input, p, training, inplace, (*input.shape[:2], *(1,) * (input.ndim - 2)))


def drop_path(input, p=0.0, training=True):
    """:func:`dropout` of whole samples (N, *), for the branch of a residual block: stochastic depth.

    Source: Huang et al., "Deep networks with stochastic depth", 2016.

    >>> F.drop_path(fd.ones(2, 3), 0.5, training=False).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    _check_probability(p)
    if not training or p == 0.0:
        return input
    if input.ndim == 0:
        raise fastdl.ShapeError("drop_path: needs a dimension of samples, got a number")
    shape = (input.shape[0], *(1,) * (input.ndim - 1))
    return input * _C.dropout(fastdl.ones(*shape, dtype=input.dtype, device=input.device), p, True)
