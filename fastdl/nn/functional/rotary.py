"""Rotary position embedding."""

import fastdl

__all__ = [
    "rotary_embedding",
]


def rotary_embedding(input, cos, sin, interleaved=False):
    """Rotates pairs of the last dimension's elements by an angle for each position and pair.

    (a, b) becomes (a cos - b sin, b cos + a sin); the dot product of two rotated vectors depends on the difference of
    their positions only.

    Args:
        input: (..., T, D), D even.
        cos, sin: of the angles, (T, D / 2), or with leading dimensions that broadcast.
        interleaved: pairs are elements 2 i and 2 i + 1; else i and i + D / 2.

    Raises:
        ShapeError: an odd D, or angles that do not fit.

    Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.

    >>> F.rotary_embedding(fd.tensor([[1.0, 0.0]]), fd.tensor([[0.0]]), fd.tensor([[1.0]])).tolist()
    [[0.0, 1.0]]
    """
    size = input.shape[-1] if input.ndim else 0
    if input.ndim < 2 or size % 2 or cos.shape != sin.shape or cos.shape[-2:] != (input.shape[-2], size // 2):
        raise fastdl.ShapeError(
            f"rotary_embedding: input {list(input.shape)} and cos, sin {list(cos.shape)}, {list(sin.shape)}, expected "
            f"[..., T, D] with D even and [..., T, D / 2]"
        )
    cos, sin = cos.to(input.dtype), sin.to(input.dtype)
    if interleaved:
        a, b = input.unflatten(-1, (size // 2, 2)).unbind(-1)
        return fastdl.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)
    a, b = input.chunk(2, -1)
    return fastdl.cat((a * cos - b * sin, b * cos + a * sin), -1)
