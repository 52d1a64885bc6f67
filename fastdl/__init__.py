"""fastdl: deep learning on hand-written C++ and CUDA kernels, with PyTorch's names.

>>> import fastdl as fd
>>> x = fd.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([[2., 4.],
        [6., 8.]])
"""

from importlib import import_module as _import_module

# isort: off
from . import autograd as autograd
from .autograd import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    is_grad_enabled as is_grad_enabled,
    is_inference_mode_enabled as is_inference_mode_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from .dtypes import *
from .elementwise import *
from .products import *
from .random import *
from .rearrange import *
from .reductions import *
from .tensor import *
from .functions import *  # after .tensor: fastdl.tensor is the function
from .version import __version__ as __version__
# isort: on

# Loaded when first used, so that `import fastdl` stays short.
_SUBMODULES = ("amp", "cuda", "data", "datasets", "models", "nn", "optim", "train")
_LAZY = {
    "save": "serialize", "load": "serialize",
    "autocast": "amp", "clear_autocast_cache": "amp", "get_autocast_dtype": "amp", "is_autocast_cache_enabled": "amp",
    "is_autocast_enabled": "amp",
}  # fmt: skip


def __getattr__(name):
    if name in _SUBMODULES:
        return _import_module(f".{name}", __name__)
    if name in _LAZY:
        value = getattr(_import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fastdl' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES, *_LAZY])
