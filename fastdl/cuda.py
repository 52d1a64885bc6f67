"""NVIDIA GPUs. This build has the CPU backend only."""

__all__ = ["device_count", "is_available"]


def is_available():
    """Whether a GPU can be used.

    >>> import fastdl as fd
    >>> fd.cuda.is_available()
    False
    """
    return False


def device_count():
    """The number of GPUs that can be used."""
    return 0
