"""Softmax over many classes of which few are frequent."""

from collections import namedtuple

import fastdl
from fastdl.nn import functional as F
from fastdl.nn.containers import ModuleList, Sequential
from fastdl.nn.linear import Linear
from fastdl.nn.module import Module

# What AdaptiveLogSoftmaxWithLoss returns: each target's log-probability, and minus their mean.
AdaptiveOutput = namedtuple("AdaptiveOutput", ("output", "loss"))


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-softmax in clusters: a head over the frequent classes and the clusters, and a smaller map for each cluster.

    Args:
        in_features: I, the size of x's last dimension.
        n_classes: how many; 0 is to be the most frequent one.
        cutoffs: where clusters begin, increasing: the head has the classes below the first.
        div_value: each cluster's hidden size is I / div_value^(its number, from 1).
        head_bias: whether the head has a bias.

    Forward takes x (N, I) or (I,) and classes (N,) or () and returns ``output``, the log-probability of each class, and
    ``loss``, minus their mean. ``log_prob(x)`` has those of all classes, ``predict(x)`` the likeliest class.

    Raises:
        ValueError: cutoffs that do not increase or are out of range. ShapeError: x and target do not fit.
        IndexError: a class out of range.

    Source: Grave et al., "Efficient softmax approximation for GPUs", 2017.

    >>> layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10])
    >>> layer(fd.randn(3, 8), fd.tensor([1, 7, 19])).output.shape
    (3,)
    >>> layer.log_prob(fd.randn(3, 8)).shape
    (3, 20)
    """

    def __init__(self, in_features, n_classes, cutoffs, div_value=4.0, head_bias=False, device=None, dtype=None):
        super().__init__()
        cutoffs = list(cutoffs)
        if (
            not cutoffs
            or cutoffs != sorted(set(cutoffs))
            or any(int(c) != c for c in cutoffs)
            or cutoffs[0] <= 0
            or cutoffs[-1] > n_classes - 1
        ):
            raise ValueError(
                f"AdaptiveLogSoftmaxWithLoss: cutoffs must be different increasing integers from 1 to {n_classes - 1}, "
                f"got {cutoffs}"
            )
        self.in_features, self.n_classes, self.div_value, self.head_bias = in_features, n_classes, div_value, head_bias
        self.cutoffs = [*cutoffs, n_classes]
        self.shortlist_size, self.n_clusters = cutoffs[0], len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        factory = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **factory)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, **factory), Linear(hidden, size, bias=False, **factory)
                )
            )

    def reset_parameters(self):
        """Draws the parameters anew."""
        self.head.reset_parameters()
        for layers in self.tail:
            for layer in layers:
                layer.reset_parameters()

    def forward(self, input_, target_):
        if target_.ndim not in (0, 1) or input_.ndim != target_.ndim + 1 or input_.shape[:-1] != target_.shape:
            raise fastdl.ShapeError(
                f"AdaptiveLogSoftmaxWithLoss: input {list(input_.shape)} and target {list(target_.shape)}, expected "
                f"[N, {self.in_features}] and [N], or [{self.in_features}] and []"
            )
        x, target = (input_, target_) if target_.ndim else (input_.unsqueeze(0), target_.unsqueeze(0))
        if target.numel() and not 0 <= int(target.amin()) <= int(target.amax()) < self.n_classes:
            raise fastdl.IndexError(
                f"AdaptiveLogSoftmaxWithLoss: classes from {int(target.amin())} to {int(target.amax())}, expected 0 to "
                f"{self.n_classes - 1}"
            )
        head = F.log_softmax(self.head(x), dim=1)
        place = target.clamp(max=self.shortlist_size - 1)  # in the head
        within = fastdl.zeros(x.shape[0], dtype=head.dtype, device=x.device)  # the log-probability within the cluster
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:])):
            mask = (target >= low) & (target < high)
            rows = mask.nonzero().squeeze(1)
            if rows.numel():
                place = place.masked_fill(mask, self.shortlist_size + i)
                cluster = F.log_softmax(self.tail[i](x.index_select(0, rows)), dim=1)
                within = within.index_add(0, rows, cluster.gather(1, (target[rows] - low).unsqueeze(1)).squeeze(1))
        output = head.gather(1, place.unsqueeze(1)).squeeze(1) + within
        loss = (-output).mean()
        return AdaptiveOutput(output if target_.ndim else output.squeeze(0), loss)

    def log_prob(self, input):
        """The log-probabilities of all classes, (N, n_classes)."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, layers in enumerate(self.tail):
            parts.append(F.log_softmax(layers(input), dim=1) + head[:, self.shortlist_size + i].unsqueeze(1))
        return fastdl.cat(parts, 1)

    def predict(self, input):
        """The likeliest class of each row, (N,)."""
        return self.log_prob(input).argmax(1)
