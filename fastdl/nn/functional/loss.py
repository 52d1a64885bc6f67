"""Losses."""

from fastdl import _C

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "reduction_from",
    "smooth_l1_loss",
]


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
        ValueError: an unknown reduction, label_smoothing outside [0, 1], or ignore_index with class probabilities.

    Szegedy et al., "Rethinking the Inception architecture", 2016 (label smoothing).

    >>> F.cross_entropy(fd.tensor([[0.0, 0.0]]), fd.tensor([1]))
    tensor(0.6931)
    """
    reduction = reduction_from(size_average, reduce, reduction)
    if ignore_index >= 0 and target.is_floating_point():
        raise _C.ValueError(f"cross_entropy: ignore_index {ignore_index} does not go with class probabilities")
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
        ValueError: an input outside [0, 1].

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
