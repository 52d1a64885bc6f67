"""Layers that only change the shape."""

from fastdl.nn.module import Module


class Flatten(Module):
    """Joins the dimensions start_dim to end_dim into one.

    >>> nn.Flatten()(fd.zeros(32, 1, 5, 5)).shape
    (32, 25)
    """

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits one dimension into several.

    Args:
        dim: which one.
        unflattened_size: the sizes it becomes; one of them may be -1.

    Raises:
        ShapeError: the sizes' product is not the dimension's size. TypeError: not ints.

    >>> nn.Unflatten(1, (2, 5, 5))(fd.zeros(3, 50)).shape
    (3, 2, 5, 5)
    """

    def __init__(self, dim, unflattened_size):
        super().__init__()
        if not isinstance(dim, int) or not all(isinstance(size, int) for size in unflattened_size):
            raise TypeError(f"unflatten: expected an int and a tuple of ints, got {dim!r} and {unflattened_size!r}")
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input):
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
