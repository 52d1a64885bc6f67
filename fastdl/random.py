"""Random number generators: one stream of Philox numbers a Generator, positions independent of threads and devices."""

from ._C import Generator, default_generator

__all__ = ["Generator", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


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
