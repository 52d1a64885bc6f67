"""Padding."""

import math

import fastdl

__all__ = [
    "pad",
]


def pad(input, pad, mode="constant", value=None):
    """Adds elements around the last dimensions, or with negative numbers takes some away.

    Args:
        input: (*).
        pad: (left, right) of the last dimension, then of the one before, and so on.
        mode: "constant", or what is taken from the input: "reflect" (without the edge), "replicate" (the edge),
            "circular" (the other side).
        value: of the constant, 0 when left out.

    Raises:
        ValueError: an odd number of sizes or an unknown mode. ShapeError: too many sizes, or more elements than the mode
            can take from the input.

    >>> F.pad(fd.tensor([1.0, 2.0, 3.0]), (1, 2)).tolist()
    [0.0, 1.0, 2.0, 3.0, 0.0, 0.0]
    >>> F.pad(fd.tensor([[1.0, 2.0, 3.0]]), (2, 1), mode="reflect").tolist()
    [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]]
    """
    if len(pad) % 2:
        raise fastdl.ValueError(f"pad: expected an even number of sizes, got {tuple(pad)}")
    if len(pad) // 2 > input.ndim:
        raise fastdl.ShapeError(
            f"pad: {tuple(pad)} has sizes for {len(pad) // 2} dimensions, the input {list(input.shape)} fewer"
        )
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise fastdl.ValueError(
            f"pad: unknown mode {mode!r}, expected 'constant', 'reflect', 'replicate' or 'circular'"
        )
    sides = [(input.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)]
    if mode == "constant":
        return _pad_constant(input, sides, 0.0 if value is None else value)
    for dim, left, right in sides:
        size = input.shape[dim]
        most = {
            "reflect": size - 1,
            "circular": size + min(left, 0) + min(right, 0),
            "replicate": math.inf if size else 0,
        }[mode]
        if max(left, right) > most or size + left + right < 0:
            raise fastdl.ShapeError(
                f"pad: cannot {mode} {left} and {right} elements from dimension {dim} of {list(input.shape)}"
            )
        if left or right:
            wanted = range(-left, size + right)
            if mode == "replicate":
                index = [min(max(i, 0), size - 1) for i in wanted]
            elif mode == "circular":
                # What is taken away first is not wrapped around either.
                first, kept = max(-left, 0), size - max(-left, 0) - max(-right, 0)
                index = [first + (i - first) % kept for i in wanted]
            else:
                index = [abs(i) if i < size else 2 * (size - 1) - i for i in wanted]
            input = input[(slice(None),) * dim + (fastdl.tensor(index, dtype=fastdl.int64, device=input.device),)]
    return input


def _pad_constant(input, sides, value):
    shape, inside, outside = list(input.shape), [slice(None)] * input.ndim, [slice(None)] * input.ndim
    for dim, left, right in sides:
        size = input.shape[dim]
        shape[dim] = size + left + right
        if shape[dim] < 0:
            raise fastdl.ShapeError(
                f"pad: {left} and {right} leave dimension {dim} of {list(input.shape)} a negative size"
            )
        inside[dim] = slice(max(-left, 0), size - max(-right, 0))
        outside[dim] = slice(max(left, 0), shape[dim] - max(right, 0))
    y = fastdl.full(shape, value, dtype=input.dtype, device=input.device)
    y[tuple(outside)] = input[tuple(inside)]
    return y
