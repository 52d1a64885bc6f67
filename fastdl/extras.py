"""Packages that only some parts need: imported when they are used, with an error that says how to get them."""

import importlib

_PROJECTS = {"PIL": "pillow", "sklearn": "scikit-learn"}


def require(module, purpose, extra="app"):
    """Import an optional package.

    Args:
        module: the module's name, ``"matplotlib.figure"``.
        purpose: what needs it, for the error: ``"plots"``.
        extra: the extra of fastdl that contains it.

    Returns:
        The module.

    Raises:
        ImportError: it is not installed; the message says what to install.

    Example:
        >>> require("json", "reading JSON").dumps([1])
        '[1]'
        >>> require("no_such_package", "nothing")
        Traceback (most recent call last):
        ImportError: nothing needs the package no_such_package: pip install 'fastdl[app]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        cause = f" ({error})" if error.name not in (module, top) else ""
        raise ImportError(
            f"{purpose} needs the package {_PROJECTS.get(top, top)}: pip install 'fastdl[{extra}]'{cause}", name=top
        ) from error
