"""Distances between rows."""

from fastdl.nn import functional as F
from fastdl.nn.module import Module


class CosineSimilarity(Module):
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along ``dim``.

    >>> nn.CosineSimilarity()(fd.tensor([[1.0, 0.0]]), fd.tensor([[3.0, 0.0]])).tolist()
    [1.0]
    """

    def __init__(self, dim=1, eps=1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1, x2):
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last dimension.

    >>> nn.PairwiseDistance(eps=0.0)(fd.tensor([[3.0, 0.0]]), fd.tensor([[0.0, 4.0]])).tolist()
    [5.0]
    """

    def __init__(self, p=2.0, eps=1e-6, keepdim=False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1, x2):
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
