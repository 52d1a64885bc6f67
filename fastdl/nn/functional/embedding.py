"""Rows of a table by index."""

import fastdl
from fastdl import _C

__all__ = [
    "embedding",
    "one_hot",
]


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """The rows of `weight` at the places `input`.

    Args:
        input: integers (*), each in [0, rows).
        weight: (rows, size).
        padding_idx: a row that gets no gradient; negative counts from the end.
        max_norm: rows that are looked up and longer than this (in the norm_type-norm) are scaled down to it, in place.
        scale_grad_by_freq: divide the gradient of a row by the number of its uses.
        sparse: not supported, must be False.

    Returns:
        (*, size). The gradient of a row is the sum over its uses, in their order.

    Raises:
        IndexError: a place out of range.
        ValueError: an option that is not supported.

    >>> F.embedding(fd.tensor([2, 0]), fd.tensor([[0.0], [1.0], [2.0]]))
    tensor([[2.],
            [0.]])
    """
    if sparse:
        raise _C.ValueError("embedding: sparse gradients are not supported")
    if max_norm is not None:
        with fastdl.no_grad():
            used = input.reshape(-1)
            rows = _C.embedding(weight, used, None)
            length = rows.norm(norm_type, 1, True)
            weight.index_put_((used,), fastdl.where(length > max_norm, rows * (max_norm / (length + 1e-7)), rows))
    y = _C.embedding(weight, input, padding_idx)
    if scale_grad_by_freq and y.requires_grad:
        with fastdl.no_grad():
            used = input.reshape(-1)
            ones = fastdl.ones(used.numel(), dtype=y.dtype, device=y.device)
            uses = (
                fastdl.zeros(weight.shape[0], dtype=y.dtype, device=y.device)
                .index_add(0, used, ones)[input]
                .unsqueeze(-1)
            )
        y.register_hook(lambda grad: grad / uses)
    return y


def one_hot(tensor, num_classes=-1):
    """1 at each class's place in a new last dimension, else 0; int64.

    Args:
        tensor: classes (*), int64.
        num_classes: the size of the new dimension; -1 is one more than the largest class.

    Raises:
        DTypeError: not int64. IndexError: a class out of range. ValueError: no classes to infer the size from.

    >>> F.one_hot(fd.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    if tensor.dtype != fastdl.int64:
        raise fastdl.DTypeError(f"one_hot: expected int64 classes, got {tensor.dtype}")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise fastdl.ValueError("one_hot: cannot infer num_classes from an empty tensor")
        return fastdl.zeros(*tensor.shape, num_classes, dtype=fastdl.int64, device=tensor.device)
    smallest, largest = int(tensor.amin()), int(tensor.amax())
    if num_classes == -1:
        num_classes = largest + 1
    if smallest < 0 or largest >= num_classes:
        raise fastdl.IndexError(f"one_hot: classes from {smallest} to {largest}, expected 0 to {num_classes - 1}")
    return (tensor.unsqueeze(-1) == fastdl.arange(num_classes, device=tensor.device)).to(fastdl.int64)
