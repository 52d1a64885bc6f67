"""Dropout: in training, random elements or channels are zero and the others scaled up; in evaluation, nothing."""

from fastdl.nn import functional as F
from fastdl.nn.module import Module


class _Dropout(Module):
    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, each element is 0 with probability ``p``, else x / (1 - p).

    Raises:
        ValueError: p outside [0, 1].

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    >>> nn.Dropout(0.5).eval()(fd.ones(2)).tolist()
    [1.0, 1.0]
    """

    def forward(self, input):
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """:class:`Dropout` of whole channels of (N, C, L) or (C, L).

    >>> nn.Dropout1d(0.5).eval()(fd.ones(1, 1, 2)).tolist()
    [[[1.0, 1.0]]]
    """

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """:class:`Dropout` of whole channels of (N, C, H, W).

    >>> nn.Dropout2d(0.5).eval()(fd.ones(1, 1, 1, 2)).tolist()
    [[[[1.0, 1.0]]]]
    """

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """:class:`Dropout` of whole channels of (N, C, D, H, W).

    >>> nn.Dropout3d(0.5).eval()(fd.ones(1, 1, 1, 1, 2)).tolist()
    [[[[[1.0, 1.0]]]]]
    """

    def forward(self, input):
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps the mean 0 and variance 1 of what follows a SELU: dropped elements take SELU's limit at
    -infinity, then all are scaled and shifted.

    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> nn.AlphaDropout(0.5).eval()(fd.ones(2)).tolist()
    [1.0, 1.0]
    """

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """:class:`AlphaDropout` of whole channels of (N, C, *).

    >>> nn.FeatureAlphaDropout(0.5).eval()(fd.ones(1, 1, 2)).tolist()
    [[[1.0, 1.0]]]
    """

    def forward(self, input):
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)


class DropPath(Module):
    """In training, whole samples (N, *) are 0 with probability ``p``, else x / (1 - p): stochastic depth, on the branch of a
    residual block.

    Raises:
        ValueError: p outside [0, 1].

    Source: Huang et al., "Deep networks with stochastic depth", 2016.

    >>> nn.DropPath(0.5).eval()(fd.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, p=0.0):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"DropPath: probability has to be between 0 and 1, but got {p}")
        self.p = p

    def forward(self, input):
        return F.drop_path(input, self.p, self.training)

    def extra_repr(self):
        return f"p={self.p}"
