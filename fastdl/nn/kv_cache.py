"""Keys and values of the steps that generation has done, kept for those to come."""

import fastdl
from fastdl.nn import functional as F


class KVCache:
    """The keys and values of one attention layer, (N, heads, length, D), to which each step adds its own.

    Memory is taken at the first step, and doubled when it is full. Nothing is recorded for gradients.

    Args:
        max_length: take memory for that many steps at once, and refuse more; None: grow.

    Raises:
        ShapeError: keys or values that differ from those kept in more than the length. ValueError: more than max_length.

    >>> cache = nn.KVCache()
    >>> for _ in range(3):
    ...     q, k, v = (fd.randn(1, 2, 1, 4) for _ in range(3))
    ...     y = cache.attend(q, k, v)
    >>> len(cache), y.shape
    (3, (1, 2, 1, 4))
    """

    def __init__(self, max_length=None):
        if max_length is not None and max_length < 1:
            raise fastdl.ValueError(f"KVCache: max_length must be positive, got {max_length}")
        self.max_length, self._length = max_length, 0
        self._keys = self._values = None

    def __len__(self):
        return self._length

    def __repr__(self):
        return f"KVCache({self._length} steps" + (f" of {self.max_length})" if self.max_length else ")")

    @property
    def keys(self):
        """The keys so far, (N, heads, length, D); None at first."""
        return None if self._keys is None else self._keys.narrow(-2, 0, self._length)

    @property
    def values(self):
        """The values so far, (N, heads, length, E); None at first."""
        return None if self._values is None else self._values.narrow(-2, 0, self._length)

    def reset(self):
        """Forgets all steps; the memory stays."""
        self._length = 0

    def crop(self, length):
        """Forgets the steps from `length` on.

        Raises:
            ValueError: fewer steps are kept.
        """
        if not 0 <= length <= self._length:
            raise fastdl.ValueError(f"KVCache: cannot crop {self._length} steps to {length}")
        self._length = length

    def _room(self, old, new, length):
        """Memory for `length` steps with the old ones in it."""
        if old is not None and (
            old.shape[:-2] != new.shape[:-2] or old.shape[-1] != new.shape[-1] or old.dtype != new.dtype
        ):
            raise fastdl.ShapeError(
                f"KVCache: got {list(new.shape)} ({new.dtype}), kept are {list(old.shape)} ({old.dtype}); the shapes may "
                f"differ in the length only"
            )
        if old is not None and old.shape[-2] >= length:
            return old
        size = self.max_length or (length if old is None else max(length, 2 * old.shape[-2]))
        room = fastdl.zeros(*new.shape[:-2], size, new.shape[-1], dtype=new.dtype, device=new.device)
        if old is not None:
            room.narrow(-2, 0, self._length).copy_(old.narrow(-2, 0, self._length))
        return room

    def update(self, key, value):
        """Adds steps, (N, heads, T, D) and (N, heads, T, E); returns all keys and values so far."""
        if key.ndim < 3 or value.ndim != key.ndim or key.shape[:-1] != value.shape[:-1]:
            raise fastdl.ShapeError(
                f"KVCache: key {list(key.shape)} and value {list(value.shape)}, expected [N, heads, T, D] and [N, heads, T, E]"
            )
        end = self._length + key.shape[-2]
        if self.max_length is not None and end > self.max_length:
            raise fastdl.ValueError(f"KVCache: {end} steps, max_length is {self.max_length}")
        with fastdl.no_grad():
            rooms = self._room(self._keys, key, end), self._room(self._values, value, end)
            for room, new in zip(rooms, (key, value)):
                room.narrow(-2, self._length, key.shape[-2]).copy_(new)
        (self._keys, self._values), self._length = rooms, end
        return self.keys, self.values

    def attend(self, query, key, value, scale=None, enable_gqa=False):
        """Adds steps, then lets their queries (N, heads, T, D) see all steps up to their own.

        `scale` and `enable_gqa` as of :func:`fastdl.nn.functional.scaled_dot_product_attention`.
        """
        before, steps = self._length, query.shape[-2]
        if key.shape[-2] != steps:
            raise fastdl.ShapeError(f"KVCache: query {list(query.shape)} and key {list(key.shape)} differ in length")
        keys, values = self.update(key, value)
        mask = None
        if steps > 1 and before:
            mask = fastdl.ones(steps, before + steps, dtype=fastdl.bool, device=query.device).tril(before)
        return F.scaled_dot_product_attention(
            query, keys, values, mask, is_causal=steps > 1 and not before, scale=scale, enable_gqa=enable_gqa
        )
