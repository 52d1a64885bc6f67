"""Rows of a table by index."""

import fastdl
from fastdl import _C

__all__ = [
    "embedding",
    "embedding_bag",
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


def _bags(input, offsets, include_last_offset):
    """The bag of each element of a flat input, and the number of bags."""
    n = input.shape[0]
    starts = offsets[:-1] if include_last_offset else offsets
    if offsets.ndim != 1 or offsets.is_floating_point():
        raise fastdl.ShapeError(f"embedding_bag: offsets must be a vector of integers, got {list(offsets.shape)}")
    if include_last_offset and offsets.shape[0] == 0:
        raise fastdl.ShapeError("embedding_bag: include_last_offset needs an offset")
    if starts.shape[0] and (int(starts[0]) != 0 or int(offsets.amax()) > n or bool((starts[1:] < starts[:-1]).any())):
        raise fastdl.ValueError(
            f"embedding_bag: offsets must start at 0, not decrease and be at most {n}, got {offsets.tolist()}"
        )
    marks = fastdl.zeros(n + 1, dtype=fastdl.int64, device=input.device)
    marks = marks.index_add(0, starts, fastdl.ones_like(starts).to(fastdl.int64))
    return marks.cumsum(0)[:n] - 1, starts.shape[0]


def embedding_bag(
    input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="mean", sparse=False,
    per_sample_weights=None, include_last_offset=False, padding_idx=None,
):  # fmt: skip
    """The sum, mean or maximum of the rows of `weight` in each bag of places.

    Args:
        input: integers (B, N), B bags of N places; or (N,), with offsets.
        weight: (rows, size).
        offsets: (B,), where in a flat input each bag begins; with include_last_offset (B + 1,), its end too.
        max_norm, norm_type, scale_grad_by_freq: as of :func:`embedding`.
        mode: "sum", "mean" or "max".
        sparse: not supported, must be False.
        per_sample_weights: of the input's shape, multiply the rows; with mode "sum".
        padding_idx: places of this row do not count; negative counts from the end.

    Returns:
        (B, size); an empty bag gives zeros.

    Raises:
        IndexError: a place out of range. ShapeError, ValueError: operands that do not go together.

    >>> F.embedding_bag(fd.tensor([0, 2, 1]), fd.tensor([[1.0], [2.0], [4.0]]), fd.tensor([0, 2]), mode="sum").tolist()
    [[5.0], [2.0]]
    """
    if sparse:
        raise fastdl.ValueError("embedding_bag: sparse gradients are not supported")
    if mode not in ("sum", "mean", "max"):
        raise fastdl.ValueError(f"embedding_bag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise fastdl.ValueError("embedding_bag: scale_grad_by_freq does not go with mode 'max'")
    if per_sample_weights is not None and (mode != "sum" or per_sample_weights.shape != input.shape):
        raise fastdl.ValueError(
            f"embedding_bag: per_sample_weights {list(per_sample_weights.shape)} needs mode 'sum' (got {mode!r}) and the "
            f"shape of the input {list(input.shape)}"
        )
    if weight.ndim != 2 or input.ndim not in (1, 2) or (input.ndim == 2) == (offsets is not None):
        raise fastdl.ShapeError(
            f"embedding_bag: expected a weight matrix and an input (B, N), or (N,) with offsets; got weight "
            f"{list(weight.shape)}, input {list(input.shape)}, offsets {'given' if offsets is not None else 'None'}"
        )
    if input.ndim == 2:
        count, size = input.shape
        bag = fastdl.arange(count, device=input.device).unsqueeze(1).expand(count, size).reshape(-1)
    else:
        bag, count = _bags(input, offsets, include_last_offset)
        if bag.shape[0] and include_last_offset:  # what comes after the last bag's end belongs to none
            bag = fastdl.where(fastdl.arange(bag.shape[0], device=bag.device) < offsets[-1], bag, count)
    flat, weights = input.reshape(-1), None if per_sample_weights is None else per_sample_weights.reshape(-1)
    keep = bag < count
    if padding_idx is not None:
        keep = keep & (flat != padding_idx % weight.shape[0])
    flat, bag = flat[keep], bag[keep]
    rows = embedding(flat, weight, None, max_norm, norm_type, scale_grad_by_freq)
    if weights is not None:
        rows = rows * weights[keep].unsqueeze(1)
    empty = fastdl.zeros(count, weight.shape[1], dtype=weight.dtype, device=weight.device)
    sizes = fastdl.zeros(count, dtype=fastdl.int64, device=bag.device).index_add(0, bag, fastdl.ones_like(bag))
    if mode != "max" or bag.shape[0] == 0:
        total = empty.index_add(0, bag, rows)
        return total if mode != "mean" else total / sizes.clamp(min=1).to(total.dtype).unsqueeze(1)
    # The bags as rows of one table of places in `rows`, the last of which, filled up with, is the lowest number.
    longest, n = int(sizes.amax()), bag.shape[0]
    place = bag * longest + fastdl.arange(n, device=bag.device) - (sizes.cumsum(0) - sizes)[bag]
    table = fastdl.full((count * longest,), n, dtype=fastdl.int64, device=bag.device)
    table[place] = fastdl.arange(n, device=bag.device)
    lowest = fastdl.full((1, weight.shape[1]), float("-inf"), dtype=weight.dtype, device=weight.device)
    largest = fastdl.cat((rows, lowest))[table].view(count, longest, -1).max(1).values
    return fastdl.where((sizes > 0).unsqueeze(1), largest, empty)


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
