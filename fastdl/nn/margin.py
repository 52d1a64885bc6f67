"""Losses of margins and rankings, of several labels and of label sequences, as layers."""

from dataclasses import dataclass

from fastdl.nn import functional as F
from fastdl.nn.distance import PairwiseDistance
from fastdl.nn.linear import Linear
from fastdl.nn.loss import _Loss, _WeightedLoss


class MarginRankingLoss(_Loss):
    """max(0, margin - y (x1 - x2)): x1 is to be larger where y = 1, x2 where y = -1.

    >>> nn.MarginRankingLoss()(fd.tensor([1.0]), fd.tensor([3.0]), fd.tensor([1.0])).item()
    2.0
    """

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """x where y = 1, max(0, margin - x) where y = -1, for distances x.

    >>> nn.HingeEmbeddingLoss(reduction="none")(fd.tensor([0.25, 0.25]), fd.tensor([1.0, -1.0])).tolist()
    [0.25, 0.75]
    """

    def __init__(self, margin=1.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input, target):
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + exp(-y x)) for y = 1 or -1.

    >>> nn.SoftMarginLoss()(fd.tensor([0.0]), fd.tensor([1.0]))
    tensor(0.6931)
    """

    def forward(self, input, target):
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """1 - cos(x1, x2) where y = 1, max(0, cos(x1, x2) - margin) where y = -1.

    Shapes: x1, x2 (N, D) or (D,); y (N,) or ().

    >>> x = fd.tensor([[1.0, 0.0]])
    >>> nn.CosineEmbeddingLoss()(x, x, fd.tensor([-1.0])).item()
    1.0
    """

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """sum over c other than the class y of w_y max(0, margin - x_y + x_c)^p, divided by the number of classes.

    Args:
        p: 1 or 2.
        margin: by how much the class's score is to be the largest.
        weight: w, (C,).

    Shapes: x (N, C) or (C,); classes (N,) or ().

    >>> nn.MultiMarginLoss()(fd.tensor([[0.0, 0.5]]), fd.tensor([1])).item()
    0.25
    """

    def __init__(self, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p must be 1 or 2, got {p}")
        self.p, self.margin = p, margin

    def forward(self, input, target):
        return F.multi_margin_loss(
            input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction
        )


class MultiLabelMarginLoss(_Loss):
    """sum over labels y and other classes c of max(0, 1 - x_y + x_c), divided by the number of classes.

    Shapes: x (N, C) or (C,); the target of the same shape: each row's labels, then -1.

    >>> nn.MultiLabelMarginLoss()(fd.tensor([[0.1, 0.2, 0.4, 0.8]]), fd.tensor([[3, 0, -1, 1]]))
    tensor(0.85)
    """

    def forward(self, input, target):
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """-(y log s(x) + (1 - y) log s(-x)), s the sigmoid, averaged over the classes.

    Args:
        weight: a factor for each class, (C,).

    >>> nn.MultiLabelSoftMarginLoss()(fd.zeros(1, 2), fd.ones(1, 2))
    tensor(0.6931)
    """

    def forward(self, input, target):
        return F.multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """max(0, margin + d(a, p) - d(a, n)), d the p-norm of the difference + eps.

    Args:
        margin: positive.
        p: of the norm.
        swap: use d(p, n) where it is smaller than d(a, n).

    Shapes: anchor, positive and negative (N, D) or (D,).

    Source: Balntas et al., "Learning local feature descriptors with triplets", 2016.

    >>> x = fd.zeros(1, 2)
    >>> nn.TripletMarginLoss()(x, x, x)
    tensor(1.)
    """

    def __init__(self, margin=1.0, p=2.0, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: margin must be greater than 0, got {margin}")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """:class:`TripletMarginLoss` with another distance: a function of two tensors.

    >>> x = fd.zeros(1, 2)
    >>> nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: (a - b).abs().sum(-1))(x, x, x + 3).item()
    0.0
    """

    def __init__(self, *, distance_function=None, margin=1.0, swap=False, reduction="mean"):
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: margin must be greater than 0, got {margin}")
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin, self.swap = margin, swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class PoissonNLLLoss(_Loss):
    """exp(x) - y x, or x - y log(x + eps): the negative log-likelihood of counts y at the rate exp(x), or x.

    Args:
        log_input: whether x is the rate's logarithm.
        full: add Stirling's y log(y) - y + log(2 pi y) / 2 where y > 1.

    >>> nn.PoissonNLLLoss()(fd.tensor([0.0]), fd.tensor([1.0])).item()
    1.0
    """

    def __init__(self, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input, target):
        return F.poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """(log(max(var, eps)) + (x - y)^2 / max(var, eps)) / 2: the negative log-likelihood of y, normal around x.

    Args:
        full: add log(2 pi) / 2.

    >>> nn.GaussianNLLLoss()(fd.tensor([0.0]), fd.tensor([2.0]), fd.tensor([1.0])).item()
    2.0
    """

    def __init__(self, *, full=False, eps=1e-6, reduction="mean"):
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input, target, var):
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class CTCLoss(_Loss):
    """-log of the probability of label sequences, summed over all ways to spread them over the input's steps.

    Args:
        blank: the class that stands for no label.
        zero_infinity: losses without any alignment (inputs that are too short) are 0 instead of inf.

    Shapes: log-probabilities (T, N, C) or (T, C), targets (N, S) or (sum of their lengths,), input_lengths and
    target_lengths (N,). "mean" divides each loss by its target length first.

    Raises:
        ShapeError: targets or lengths do not fit. ValueError: lengths out of range. IndexError: a label out of range.

    Source: Graves et al., "Connectionist temporal classification", 2006.

    >>> log_probs = fd.zeros(1, 1, 2).log_softmax(-1)
    >>> nn.CTCLoss()(log_probs, fd.tensor([[1]]), fd.tensor([1]), fd.tensor([1]))
    tensor(0.6931)
    """

    def __init__(self, blank=0, reduction="mean", zero_infinity=False):
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs, targets, input_lengths, target_lengths):
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch is to cut :class:`LinearCrossEntropyLoss` into chunks; taken here, and without effect: all logits are
    made at once.

    >>> nn.LinearCrossEntropyOptions().chunking_method
    'auto'
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: object = None


class LinearCrossEntropyLoss(_WeightedLoss):
    """:class:`CrossEntropyLoss` of a linear map of the input to ``num_classes`` logits.

    Args:
        in_features, num_classes: I and C.
        out_features: (d1, ...) for as many predictions of C classes.
        bias: whether the map has one.
        weight, ignore_index, label_smoothing: as of :class:`CrossEntropyLoss`.
        options: a :class:`LinearCrossEntropyOptions`; without effect.

    Shapes: x (N, I) or (I,), targets as of :class:`CrossEntropyLoss` for logits (N, C, d1, ...). Submodule: ``linear``.

    >>> round(nn.LinearCrossEntropyLoss(3, 4)(fd.zeros(2, 3), fd.tensor([0, 1])).item(), 4)
    1.3863
    """

    def __init__(self, in_features, num_classes, *, out_features=(), bias=False, device=None, dtype=None, reduction="mean",
                 weight=None, ignore_index=None, label_smoothing=0.0, options=None):  # fmt: skip
        super().__init__(weight, reduction=reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"LinearCrossEntropyLoss: label_smoothing must be from 0 to 1, got {label_smoothing}")
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise ValueError(f"LinearCrossEntropyLoss: weight {list(weight.shape)}, expected [{num_classes}]")
        self.num_classes, self.out_features = num_classes, tuple(out_features)
        self.ignore_index, self.label_smoothing, self.options = ignore_index, label_smoothing, options
        outputs = num_classes
        for size in self.out_features:
            outputs *= size
        self.linear = Linear(in_features, outputs, bias=bias, device=device, dtype=dtype)

    def forward(self, input, target):
        outputs = (self.num_classes, *self.out_features)
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*outputs, self.linear.in_features),
            target,
            linear_bias=None if self.linear.bias is None else self.linear.bias.reshape(outputs),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self):
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )
