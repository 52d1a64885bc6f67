"""A view of the ops that run, for code that records them."""

from contextlib import contextmanager

from . import _C


@contextmanager
def observed(observer):
    """While it lasts, every op called on this thread is reported: ``observer(name, arguments, result)``.

    The name is that of the op in the extension (``"softmax"``, ``"add"``, ``"getitem"``), the arguments are a tuple with
    the defaults filled in, and the result is a tensor or a tuple of tensors. ``"item"`` reports that a tensor's value is
    about to be read on the host. An error that the observer raises ends the call that it looks at; what the observer
    itself computes is not reported.

    >>> import fastdl as fd
    >>> with observed(lambda name, arguments, result: print(name, result.tolist())):
    ...     y = fd.relu(fd.full((2,), -1.0) + 3)
    full [-1.0, -1.0]
    add [2.0, 2.0]
    relu [2.0, 2.0]
    """
    before = _C.set_observer(observer)
    try:
        yield
    finally:
        _C.set_observer(before)
