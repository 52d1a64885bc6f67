"""Losses as layers. ``reduction`` is "mean", "sum" or "none"; ``size_average`` and ``reduce`` are its old spelling."""

from fastdl.nn import functional as F
from fastdl.nn.module import Module


class _Loss(Module):
    def __init__(self, size_average=None, reduce=None, reduction="mean"):
        super().__init__()
        self.reduction = F.reduction_from(size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """|x - y|.

    >>> nn.L1Loss()(fd.tensor([1.0, 2.0]), fd.tensor([0.0, 4.0])).item()
    1.5
    """

    def forward(self, input, target):
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """(x - y)^2.

    >>> nn.MSELoss()(fd.tensor([1.0, 2.0]), fd.tensor([0.0, 4.0])).item()
    2.5
    """

    def forward(self, input, target):
        return F.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """(x - y)^2 / (2 beta) where |x - y| < beta, else |x - y| - beta / 2.

    Source: Girshick, "Fast R-CNN", 2015.

    >>> nn.SmoothL1Loss()(fd.tensor([0.0, 2.0]), fd.tensor([1.0, 5.0])).item()
    1.5
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", beta=1.0):
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input, target):
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """(x - y)^2 / 2 where |x - y| < delta, else delta (|x - y| - delta / 2).

    >>> nn.HuberLoss()(fd.tensor([0.0, 2.0]), fd.tensor([1.0, 5.0])).item()
    1.5
    """

    def __init__(self, reduction="mean", delta=1.0):
        super().__init__(reduction=reduction)
        if isinstance(delta, bool) or not isinstance(delta, (int, float)):
            raise TypeError(f"HuberLoss: delta must be a number, got {type(delta).__name__}")
        self.delta = delta

    def forward(self, input, target):
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(_WeightedLoss):
    """-log softmax(x)[class], or -sum_c y_c log softmax(x)_c for probabilities y.

    Args:
        weight: a weight a class, (C,); the mean divides by the targets' weights.
        ignore_index: targets of this class do not count.
        label_smoothing: this share of the target is spread over all classes.

    Shapes: x (N, C), (C,) or (N, C, d1, ...); target classes (N), () or (N, d1, ...), or probabilities shaped as x.

    Raises:
        ShapeError: target does not fit. IndexError: a class out of range. ValueError: label_smoothing outside [0, 1].

    >>> nn.CrossEntropyLoss()(fd.tensor([[0.0, 100.0]]), fd.tensor([1])).item()
    0.0
    """

    def __init__(
        self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0
    ):
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input, target):
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_WeightedLoss):
    """-x[class] for log-probabilities x.

    Arguments and shapes as :class:`CrossEntropyLoss`, with classes as target.

    >>> nn.NLLLoss()(fd.tensor([[-1.0, -2.0]]), fd.tensor([1])).item()
    2.0
    """

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class NLLLoss2d(NLLLoss):
    """:class:`NLLLoss` by its older name for images."""


class BCELoss(_WeightedLoss):
    """-(y log x + (1 - y) log(1 - x)) for probabilities x in [0, 1]; the logarithms are at least -100.

    Args:
        weight: a factor for each element, broadcast.

    >>> nn.BCELoss()(fd.tensor([1.0, 0.0]), fd.tensor([1.0, 0.0])).item()
    0.0
    """

    def forward(self, input, target):
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """-(p y log s(x) + (1 - y) log(1 - s(x))) with s the sigmoid, computed without overflow.

    Args:
        weight: a factor for each element, broadcast.
        pos_weight: p, the weight of positive examples, broadcast.

    >>> nn.BCEWithLogitsLoss()(fd.tensor([200.0, -200.0]), fd.tensor([1.0, 0.0])).item()
    0.0
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class KLDivLoss(_Loss):
    """y (log y - x) for log-probabilities x, the Kullback-Leibler divergence of y from exp(x).

    Args:
        reduction: "batchmean", the sum over the batch's size, is the divergence; "mean" divides by all elements.
        log_target: the target holds log y.

    >>> nn.KLDivLoss(reduction="batchmean")(fd.zeros(1, 1), fd.ones(1, 1)).item()
    0.0
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", log_target=False):
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input, target):
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
