"""Positions as rotations of queries and keys."""

import fastdl
from fastdl.nn import functional as F
from fastdl.nn.module import Module


class RotaryEmbedding(Module):
    """Rotates pair i of x's last dimension at position t by t / base^(2 i / dim); for queries and keys before attention.

    Args:
        dim: D, the size of a head; even.
        base: of the frequencies.
        interleaved: pairs are elements 2 i and 2 i + 1 (as in the paper); else i and i + D / 2 (as in most checkpoints).
        length: make the tables of sines for that many positions at once; a captured step cannot make them.

    Forward takes x (..., T, D) and ``offset``, the position of its first step, for generation with a :class:`KVCache`.
    There are no parameters; the tables grow with the largest position seen.

    Raises:
        ValueError: an odd dim, or a negative length. ShapeError: x does not end in D.

    Source: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.

    >>> nn.RotaryEmbedding(8)(fd.randn(2, 4, 10, 8)).shape
    (2, 4, 10, 8)
    """

    def __init__(self, dim, base=10000.0, interleaved=False, length=0):
        super().__init__()
        if dim < 2 or dim % 2:
            raise ValueError(f"RotaryEmbedding: dim must be even and positive, got {dim}")
        if length < 0:
            raise ValueError(f"RotaryEmbedding: length must be at least 0, got {length}")
        self.dim, self.base, self.interleaved = dim, base, interleaved
        self.register_buffer("cos", fastdl.empty(0, dim // 2), persistent=False)
        self.register_buffer("sin", fastdl.empty(0, dim // 2), persistent=False)
        self._make_tables(length, self.cos)

    def _make_tables(self, length, like):
        pairs = fastdl.arange(0, self.dim, 2, dtype=fastdl.float64) / self.dim
        # In float64: a position of 10^5 times a frequency has few correct digits in float32.
        angles = (
            fastdl.arange(length, dtype=fastdl.float64).unsqueeze(1)
            * (-pairs * fastdl.tensor(self.base).double().log()).exp()
        )
        dtype = fastdl.float64 if like.dtype == fastdl.float64 else fastdl.float32
        self.cos, self.sin = (t.to(dtype).to(device=like.device) for t in (angles.cos(), angles.sin()))

    def _apply(self, fn, recurse=True):
        """Moves the tables; a cast makes them anew, since a table of float32 is no exact one of float64."""
        super()._apply(fn, recurse)
        self._make_tables(self.cos.shape[0], self.cos)
        return self

    def forward(self, input, offset=0):
        if input.ndim < 2 or input.shape[-1] != self.dim:
            raise fastdl.ShapeError(f"RotaryEmbedding: input {list(input.shape)} needs last dimension {self.dim}")
        if offset < 0:
            raise fastdl.ValueError(f"RotaryEmbedding: offset must be at least 0, got {offset}")
        end = offset + input.shape[-2]
        if end > self.cos.shape[0] or (input.dtype == fastdl.float64) != (self.cos.dtype == fastdl.float64):
            self._make_tables(max(end, 2 * self.cos.shape[0]), input)
        return F.rotary_embedding(input, self.cos[offset:end], self.sin[offset:end], self.interleaved)

    def extra_repr(self):
        return f"{self.dim}, base={self.base}" + (", interleaved=True" if self.interleaved else "")
