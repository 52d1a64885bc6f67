"""Distances and similarities."""

__all__ = [
    "cosine_similarity",
    "pairwise_distance",
]


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
