"""Losses of margins and rankings, of several labels, and of likelihoods with a variance."""

import math

import fastdl
from fastdl.nn.functional.activation import logsigmoid, softplus
from fastdl.nn.functional.distance import pairwise_distance
from fastdl.nn.functional.linear import linear
from fastdl.nn.functional.loss import cross_entropy, reduction_from

__all__ = [
    "cosine_embedding_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _reduced(op, loss, reduction, size_average=None, reduce=None):
    reduction = reduction_from(size_average, reduce, reduction)
    if reduction not in ("none", "mean", "sum"):
        raise fastdl.ValueError(f"{op}: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def _check_classes(op, input, target, expected, low=0):
    """Raises where the target has another shape or dtype, or a class out of range."""
    if tuple(target.shape) != tuple(expected):
        raise fastdl.ShapeError(
            f"{op}: target {list(target.shape)} for an input of {list(input.shape)}, expected {list(expected)}"
        )
    if target.dtype != fastdl.int64:
        raise fastdl.DTypeError(f"{op}: target must be int64, got {target.dtype}")
    if target.numel():
        smallest, largest = int(target.amin()), int(target.amax())
        if smallest < low or largest >= input.shape[-1]:
            raise fastdl.IndexError(f"{op}: classes from {smallest} to {largest}, expected 0 to {input.shape[-1] - 1}")


def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """max(0, margin - y (x1 - x2)): x1 is to be larger where y = 1, x2 where y = -1.

    Args:
        input1, input2, target: shapes that broadcast.
        margin: by how much.
        reduction: 'none' | 'mean' | 'sum'; also in what follows.

    Raises:
        ShapeError: shapes that do not broadcast. ValueError: an unknown reduction.

    >>> F.margin_ranking_loss(fd.tensor([1.0]), fd.tensor([3.0]), fd.tensor([1.0])).item()
    2.0
    """
    if not input1.ndim == input2.ndim == target.ndim:
        shapes = ", ".join(str(list(t.shape)) for t in (input1, input2, target))
        raise fastdl.ShapeError(f"margin_ranking_loss: all operands need the same number of dimensions, got {shapes}")
    loss = (margin - target * (input1 - input2)).clamp(min=0.0)
    return _reduced("margin_ranking_loss", loss, reduction, size_average, reduce)


def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """x where y = 1, max(0, margin - x) where y = -1, for distances x.

    >>> F.hinge_embedding_loss(fd.tensor([0.25, 0.25]), fd.tensor([1.0, -1.0]), reduction="none").tolist()
    [0.25, 0.75]
    """
    near = input.masked_fill(target == -1, 0.0)
    far = (margin - input).clamp(min=0.0).masked_fill(target == 1, 0.0)
    return _reduced("hinge_embedding_loss", near + far, reduction, size_average, reduce)


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-y x)) for y = 1 or -1, without overflow.

    Raises:
        ShapeError: target and input differ in shape.

    >>> F.soft_margin_loss(fd.tensor([0.0]), fd.tensor([1.0]))
    tensor(0.6931)
    """
    if target.shape != input.shape:
        raise fastdl.ShapeError(f"soft_margin_loss: target {list(target.shape)} for an input of {list(input.shape)}")
    loss = softplus(-target.to(input.dtype) * input, threshold=math.inf)
    return _reduced("soft_margin_loss", loss, reduction, size_average, reduce)


def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """1 - cos(x1, x2) where y = 1, max(0, cos(x1, x2) - margin) where y = -1.

    Args:
        input1, input2: (N, D) or (D,).
        target: (N,) or ().

    Raises:
        ShapeError: the shapes do not fit.

    >>> x = fd.tensor([[1.0, 0.0]])
    >>> F.cosine_embedding_loss(x, x, fd.tensor([-1.0])).item()
    1.0
    """
    if input1.ndim != input2.ndim or input1.ndim not in (1, 2) or target.ndim != input1.ndim - 1:
        shapes = ", ".join(str(list(t.shape)) for t in (input1, input2, target))
        raise fastdl.ShapeError(f"cosine_embedding_loss: expected [N, D], [N, D], [N] or [D], [D], [], got {shapes}")
    squares = [(x * x).sum(-1) + 1e-12 for x in (input1, input2)]
    cosine = (input1 * input2).sum(-1) / (squares[0] * squares[1]).sqrt()
    zero = fastdl.zeros_like(cosine)
    loss = fastdl.where(target == 1, 1 - cosine, zero) + fastdl.where(
        target == -1, (cosine - margin).clamp(min=0.0), zero
    )
    return _reduced("cosine_embedding_loss", loss, reduction, size_average, reduce)


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
    """sum over c other than the class y of w_y max(0, margin - x_y + x_c)^p, divided by the number of classes.

    Args:
        input: scores (N, C) or (C,).
        target: classes (N,) or ().
        p: 1 or 2.
        weight: w, (C,), or None for 1.

    Raises:
        IndexError: a class out of range. ShapeError: the shapes do not fit. ValueError: another p.

    >>> F.multi_margin_loss(fd.tensor([[0.0, 0.5]]), fd.tensor([1])).item()
    0.25
    """
    op = "multi_margin_loss"
    if p not in (1, 2):
        raise fastdl.ValueError(f"{op}: p must be 1 or 2, got {p}")
    input = input.reshape(1) if input.ndim == 0 else input
    if input.ndim not in (1, 2) or input.shape[-1] == 0:
        raise fastdl.ShapeError(f"{op}: expected an input of [N, C] or [C], got {list(input.shape)}")
    if weight is not None and tuple(weight.shape) != input.shape[-1:]:
        raise fastdl.ShapeError(f"{op}: weight {list(weight.shape)}, expected {list(input.shape[-1:])}")
    if input.ndim == 1 and tuple(target.shape) == (1,):
        target = target.squeeze(0)
    _check_classes(op, input, target, input.shape[:-1])
    index = target.unsqueeze(-1)
    over = (margin - input.gather(-1, index) + input).clamp(min=0.0) ** p
    if weight is not None:
        over = over * weight[target].unsqueeze(-1)
    own = fastdl.arange(input.shape[-1], device=input.device) == index
    return _reduced(op, over.masked_fill(own, 0.0).sum(-1) / input.shape[-1], reduction, size_average, reduce)


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """sum over labels y and other classes c of max(0, 1 - x_y + x_c), divided by the number of classes.

    Args:
        input: scores (N, C) or (C,).
        target: of the input's shape: each row's labels, then -1 (what comes after it does not count).

    Raises:
        IndexError: a label out of range. ShapeError: target and input differ in shape.

    >>> F.multilabel_margin_loss(fd.tensor([0.1, 0.2, 0.4, 0.8]), fd.tensor([3, 0, -1, 1]))
    tensor(0.85)
    """
    op = "multilabel_margin_loss"
    input, target = (t.reshape(1) if t.ndim == 0 else t for t in (input, target))
    if input.ndim not in (1, 2) or input.shape[-1] == 0:
        raise fastdl.ShapeError(f"{op}: expected an input of [N, C] or [C], got {list(input.shape)}")
    _check_classes(op, input, target, input.shape, low=-1)
    labels = (target < 0).to(fastdl.int64).cumsum(-1) == 0
    places = target.clamp(min=0)
    is_label = fastdl.zeros_like(target).scatter_add(-1, places, labels.to(fastdl.int64)) > 0
    over = (1 - input.gather(-1, places).unsqueeze(-1) + input.unsqueeze(-2)).clamp(min=0.0)  # (..., label, class)
    counts = labels.unsqueeze(-1) & ~is_label.unsqueeze(-2)
    loss = over.masked_fill(~counts, 0.0).sum((-2, -1)) / input.shape[-1]
    return _reduced(op, loss, reduction, size_average, reduce)


def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """-(y log s(x) + (1 - y) log s(-x)), s the sigmoid, averaged over the classes.

    Args:
        input, target: (N, C); target 0 or 1.
        weight: (C,), or None for 1.

    >>> F.multilabel_soft_margin_loss(fd.zeros(1, 2), fd.ones(1, 2))
    tensor(0.6931)
    """
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    loss = (loss if weight is None else loss * weight).mean(-1)
    return _reduced("multilabel_soft_margin_loss", loss, reduction, size_average, reduce)


def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"
):
    """max(0, margin + d(a, p) - d(a, n)), d the p-norm of the difference + eps.

    Args:
        anchor, positive, negative: (N, D) or (D,).
        swap: use d(p, n) where it is smaller than d(a, n).

    Raises:
        ShapeError: operands of different numbers of dimensions. ValueError: a margin that is not positive.

    Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional neural networks", 2016.

    >>> x = fd.tensor([[0.0, 0.0]])
    >>> F.triplet_margin_loss(x, x, x)
    tensor(1.)
    """
    loss = triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda x, y: pairwise_distance(x, y, p, eps),
        margin=margin,
        swap=swap,
        reduction="none",
    )
    return _reduced("triplet_margin_loss", loss, reduction, size_average, reduce)


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """:func:`triplet_margin_loss` with another distance: a function of two tensors, `pairwise_distance` when None.

    >>> x = fd.tensor([[0.0, 0.0]])
    >>> F.triplet_margin_with_distance_loss(x, x, x + 3, distance_function=lambda a, b: (a - b).abs().sum(-1)).item()
    0.0
    """
    if margin <= 0:
        raise fastdl.ValueError(f"triplet_margin_loss: margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        shapes = ", ".join(str(list(t.shape)) for t in (anchor, positive, negative))
        raise fastdl.ShapeError(
            f"triplet_margin_loss: anchor, positive and negative need the same number of dimensions, got {shapes}"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = fastdl.minimum(far, distance(positive, negative))
    return _reduced("triplet_margin_with_distance_loss", (margin + near - far).clamp(min=0.0), reduction)


def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
):
    """exp(x) - y x, or x - y log(x + eps): the negative log-likelihood of counts y at the rate exp(x), or x.

    Args:
        input, target: shapes that broadcast.
        log_input: whether x is the rate's logarithm.
        full: add Stirling's y log(y) - y + log(2 pi y) / 2 where y > 1.

    Raises:
        ValueError: an unknown reduction.

    >>> F.poisson_nll_loss(fd.tensor([0.0]), fd.tensor([1.0])).item()
    1.0
    """
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        count = target.clamp(min=1.0)
        term = count * count.log() - count + 0.5 * (2 * math.pi * count).log()
        loss = loss + term.masked_fill(target <= 1, 0.0)
    return _reduced("poisson_nll_loss", loss, reduction, size_average, reduce)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """(log(max(var, eps)) + (x - y)^2 / max(var, eps)) / 2: the negative log-likelihood of y, normal around x.

    Args:
        input, target: shapes that broadcast.
        var: the variance: of input's shape, without its last dimension, with one size 1, or a number.
        full: add log(2 pi) / 2.

    Raises:
        ValueError: a negative variance, or an unknown reduction. ShapeError: var does not fit.

    Nix and Weigend, "Estimating the mean and variance of the target probability distribution", 1994.

    >>> F.gaussian_nll_loss(fd.tensor([0.0]), fd.tensor([2.0]), fd.tensor([1.0])).item()
    2.0
    """
    op = "gaussian_nll_loss"
    if not isinstance(var, fastdl.Tensor):
        var = fastdl.full_like(input, float(var))
    if bool((var < 0).any()):
        raise fastdl.ValueError(f"{op}: var has a negative entry")
    if var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = var.unsqueeze(-1)
        elif var.ndim != input.ndim or sum(v for x, v in zip(input.shape, var.shape) if x != v) != 1:
            raise fastdl.ShapeError(f"{op}: var {list(var.shape)} for an input of {list(input.shape)}")
    var = var + (var.detach().clamp(min=eps) - var.detach())  # the floor is no reason to forget the gradient
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    return _reduced(op, loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def linear_cross_entropy(
    input, linear_weight, target, *, linear_bias=None, weight=None, reduction="mean", ignore_index=None,
    label_smoothing=0.0, options=None,
):  # fmt: skip
    """:func:`cross_entropy` of a linear map of the input.

    Args:
        input: (N, I) or (I,).
        linear_weight: (C, I), or (C, d1, ..., I) for several predictions of C classes.
        target: as of `cross_entropy` for logits (N, C, d1, ...).
        linear_bias: linear_weight's shape without I, or None.
        weight, reduction, ignore_index, label_smoothing: as of `cross_entropy`.
        options: a :class:`fastdl.nn.LinearCrossEntropyOptions`; without effect.

    Raises:
        ShapeError: the shapes do not fit. ValueError: ignore_index with class probabilities.

    >>> F.linear_cross_entropy(fd.ones(2, 3), fd.zeros(4, 3), fd.tensor([0, 1]))
    tensor(1.3863)
    """
    op = "linear_cross_entropy"
    if input.ndim not in (1, 2) or linear_weight.ndim < 2 or input.shape[-1] != linear_weight.shape[-1]:
        raise fastdl.ShapeError(
            f"{op}: input {list(input.shape)} and linear_weight {list(linear_weight.shape)}, expected [N, I] or [I] and "
            f"[C, ..., I]"
        )
    outputs = linear_weight.shape[:-1]
    if linear_bias is not None and linear_bias.shape != outputs:
        raise fastdl.ShapeError(f"{op}: linear_bias {list(linear_bias.shape)}, expected {list(outputs)}")
    if len(outputs) > 1 and input.ndim == 1:
        raise fastdl.ShapeError(
            f"{op}: linear_weight {list(linear_weight.shape)} needs a batch, got {list(input.shape)}"
        )
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = linear(input, linear_weight.reshape(-1, input.shape[-1]), bias).reshape(*input.shape[:-1], *outputs)
    if ignore_index is not None and target.shape == logits.shape:
        raise fastdl.ValueError(f"{op}: ignore_index does not go with class probabilities")
    return cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
