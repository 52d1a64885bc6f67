"""Modules made without drawing their parameters."""

import fastdl
from fastdl.autograd import no_grad
from fastdl.nn.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls, *args, **kwargs):
    """A module of the class with parameters whose values are undefined, for weights that are loaded or set afterwards.

    Raises:
        ValueError: not a Module class.

    >>> nn.utils.skip_init(nn.Linear, 5, 1).weight.shape
    (1, 5)
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise ValueError(f"skip_init: expected a Module class, got {module_cls!r}")
    state = fastdl.get_rng_state()
    module = module_cls(*args, **kwargs)
    fastdl.set_rng_state(state)  # as if nothing had been drawn
    with no_grad():
        return module._apply(fastdl.empty_like)
