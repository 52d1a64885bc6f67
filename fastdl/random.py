"""Random number generators: one stream of Philox numbers a Generator, positions independent of threads and devices."""

from . import _C
from ._C import Generator, default_generator
from .functions import _like

__all__ = [
    "Generator", "bernoulli", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "normal", "rand",
    "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "seed", "set_rng_state",
]  # fmt: skip


def manual_seed(seed):
    """Starts the default generator's stream of `seed` from its beginning and returns the generator.

    >>> import fastdl as fd
    >>> a = fd.manual_seed(0) and fd.rand(2)
    >>> b = fd.manual_seed(0) and fd.rand(2)
    >>> bool((a == b).all())
    True
    """
    return default_generator.manual_seed(seed)


def seed():
    """Seeds the default generator from the operating system and returns the seed."""
    return default_generator.seed()


def initial_seed():
    """The seed that the default generator's stream started from."""
    return default_generator.initial_seed()


def get_rng_state():
    """The default generator's state: a uint8 tensor of 16 bytes (seed, position)."""
    return default_generator.get_state()


def set_rng_state(new_state):
    """Puts the default generator into a state that `get_rng_state` returned."""
    default_generator.set_state(new_state)


# --- random tensors ---


def _new(size, dtype, device):
    size = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    return _C.empty(size, dtype or _C.default_dtype(), device or _C.default_device())


def _finish(t, requires_grad):
    if requires_grad:
        t.requires_grad = True
    return t


def rand(*size, generator=None, dtype=None, device=None, requires_grad=False):
    """Uniform numbers from [0, 1).

    >>> import fastdl as fd
    >>> fd.rand(2, 3).shape
    (2, 3)
    """
    return _finish(_new(size, dtype, device).uniform_(0.0, 1.0, generator), requires_grad)


def randn(*size, generator=None, dtype=None, device=None, requires_grad=False):
    """Normal numbers of mean 0 and variance 1."""
    return _finish(_new(size, dtype, device).normal_(0.0, 1.0, generator), requires_grad)


def randint(low, high=None, size=None, *, generator=None, dtype=None, device=None, requires_grad=False):
    """Integers from [low, high), each as likely; `randint(high, size)` starts at 0.

    Raises:
        ValueError: low >= high.
    """
    if size is None:
        low, high, size = 0, low, high
    t = _C.empty(size, dtype or _C.int64, device or _C.default_device())
    return _finish(_C.random_integers_(t, low, high, generator), requires_grad)


def randperm(n, *, generator=None, dtype=None, device=None):
    """The integers from 0 to n - 1 in random order.

    >>> import fastdl as fd
    >>> sorted(fd.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    return _C.randperm(n, dtype or _C.int64, generator).to(device=device or _C.default_device())


def rand_like(input, *, dtype=None, device=None, requires_grad=False):
    """`rand` with the shape and, by default, the dtype of `input`."""
    return _finish(_like(input, dtype, device).uniform_(), requires_grad)


def randn_like(input, *, dtype=None, device=None, requires_grad=False):
    """`randn` with the shape and, by default, the dtype of `input`."""
    return _finish(_like(input, dtype, device).normal_(), requires_grad)


def randint_like(input, low, high=None, *, dtype=None, device=None):
    """`randint` with the shape and, by default, the dtype of `input`."""
    if high is None:
        low, high = 0, low
    return _C.random_integers_(_like(input, dtype, device), low, high, None)


def bernoulli(input, *, generator=None):
    """1 with the probability that each element of `input` gives, else 0.

    Raises:
        ValueError: a probability outside [0, 1].
    """
    return _C.bernoulli(input, generator)


def normal(mean=0.0, std=1.0, size=None, *, generator=None, dtype=None):
    """Normal numbers; `mean` and `std` are numbers (with `size`) or tensors."""
    if size is None:
        like = mean if isinstance(mean, _C.Tensor) else std
        return randn_like(like) * std + mean
    return _C.empty(size, dtype or _C.default_dtype(), "cpu").normal_(mean, std, generator)
