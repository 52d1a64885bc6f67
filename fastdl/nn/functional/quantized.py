"""Weights of 8 bits: how they are quantised and packed, and the linear layer over them."""

import fastdl
from fastdl import _C

__all__ = []

_COLUMNS, _QUAD = 32, 4  # of a panel, see csrc/kernels/int8.h


def quantize_weight(weight):
    """A weight as int8 and one scale an output: ``weight[o] ~ scale[o] q[o]`` with q in [-127, 127].

    Args:
        weight: (O, ...), floating point.

    Returns:
        (q of weight's shape, scale (O,) in float32).

    >>> q, scale = quantize_weight(fd.tensor([[1.0, -2.0], [0.5, 0.25]]))
    >>> q.tolist()
    [[64, -127], [127, 64]]
    """
    rows = weight.detach().float().reshape(weight.shape[0], -1)
    largest = rows.abs().amax(1) if rows.shape[1] else fastdl.zeros(weight.shape[0], device=weight.device)
    scale = largest / 127
    divisor = fastdl.where(scale > 0, scale, fastdl.ones_like(scale))
    q = fastdl.clamp(fastdl.round(rows / divisor.unsqueeze(1)), -127, 127).to(fastdl.int8)
    return q.reshape(weight.shape), scale


def pack_weight(weight):
    """What :func:`linear_int8` reads of an int8 weight (O, I): its panels, and its sums over I in int32.

    >>> panels, sums = pack_weight(fd.ones(5, 7, dtype=fd.int8))
    >>> panels.shape, sums.tolist()
    ((1, 2, 32, 4), [7, 7, 7, 7, 7])
    """
    outputs, inputs = weight.shape
    panels, quads = -(-outputs // _COLUMNS), -(-inputs // _QUAD)
    padded = fastdl.zeros(panels * _COLUMNS, quads * _QUAD, dtype=fastdl.int8, device=weight.device)
    padded[:outputs, :inputs] = weight
    packed = padded.view(panels, _COLUMNS, quads, _QUAD).permute(0, 2, 1, 3).contiguous()
    return packed, weight.sum(1).to(fastdl.int32)


def linear_int8(input, panels, scale, sums, bias=None):
    """A linear layer whose weight has 8 bits and whose input is quantised on the way.

    Each row of the input gets 8 bits between its minimum and its maximum; the products are summed in integers, exactly,
    and scaled back: the same integers on every processor and device. A row that holds NaN or an infinity becomes NaN.

    Args:
        input: (..., in_features), floating point; in_features at most 65536.
        panels, sums: from :func:`pack_weight`.
        scale: (out_features,), from :func:`quantize_weight`.
        bias: (out_features,), or None.

    Returns:
        (..., out_features) of the input's dtype, without a history: this is for inference.

    Raises:
        ShapeError: the sizes do not fit. DTypeError: an integer input, or a weight that is not int8.

    >>> q, scale = quantize_weight(fd.tensor([[1.0, 2.0]]))
    >>> panels, sums = pack_weight(q)
    >>> linear_int8(fd.tensor([[1.0, 1.0]]), panels, scale, sums).round(decimals=1)
    tensor([[3.]])
    """
    return _C.linear_int8(input, panels, scale, sums, bias)
