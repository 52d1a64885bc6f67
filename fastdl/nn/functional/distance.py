"""Distances and similarities."""

import fastdl

__all__ = [
    "cosine_similarity",
    "pairwise_distance",
    "pdist",
]


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along ``dim``; the inputs broadcast.

    >>> F.cosine_similarity(fd.tensor([[1.0, 0.0]]), fd.tensor([[3.0, 0.0]])).tolist()
    [1.0]
    """
    if x1.shape != x2.shape:
        shape = (x1 * x2).shape
        x1, x2 = x1.expand(shape), x2.expand(shape)
    norm1 = (x1 * x1).sum(dim, keepdim=True).sqrt().clamp(min=eps)
    norm2 = (x2 * x2).sum(dim, keepdim=True).sqrt().clamp(min=eps)
    return ((x1 / norm1) * (x2 / norm2)).sum(dim)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm of x1 - x2 + eps along the last dimension.

    >>> F.pairwise_distance(fd.tensor([[3.0, 0.0]]), fd.tensor([[0.0, 4.0]]), eps=0.0).tolist()
    [5.0]
    """
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


def pdist(input, p=2.0):
    """The p-norms of the differences of all pairs of rows, (i, j) with i < j in order.

    Args:
        input: (N, D).
        p: from 0 (elements that differ) to inf.

    Returns:
        (N (N - 1) / 2,).

    Raises:
        ShapeError: not a matrix. ValueError: a negative p.

    >>> F.pdist(fd.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])).tolist()
    [5.0, 1.0, 4.242640495300293]
    """
    if input.ndim != 2:
        raise fastdl.ShapeError(f"pdist: expected a matrix, got {list(input.shape)}")
    if not p >= 0:
        raise fastdl.ValueError(f"pdist: p must be at least 0, got {p}")
    rows, columns = fastdl.ones(input.shape[0], input.shape[0]).triu(1).nonzero().unbind(1)
    return (input[rows] - input[columns]).norm(p, 1)
