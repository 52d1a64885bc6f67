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
from .einsum import *
from .elementwise import *
from .inplace import *
from .matrices import *
from .ordering import *
from .picking import *
from .printing import *
from .products import *
from .random import *
from .rearrange import *
from .reductions import *
from .shaping import *
from .special import (
    digamma as digamma,
    erfc as erfc,
    erfinv as erfinv,
    i0 as i0,
    igamma as igamma,
    igammac as igammac,
    lgamma as lgamma,
    logit as logit,
    mvlgamma as mvlgamma,
    polygamma as polygamma,
    sinc as sinc,
    xlogy as xlogy,
)
from .statistics import *
from .tensor import *
from .captured import *
from .settings import *
from .functions import *  # after .tensor: fastdl.tensor is the function
from .storage import *
from .legacy import *  # last: it has a `range`
from .version import __version__ as __version__
# isort: on

# Loaded when first used, so that `import fastdl` stays short.
_SUBMODULES = (
    "amp", "backends", "cuda", "data", "datasets", "fft", "linalg", "models", "nn", "onnx", "optim", "train", "utils",
)  # fmt: skip
_LAZY = {
    name: module
    for module, names in {
        "serialize": "save load",
        "amp": "autocast clear_autocast_cache get_autocast_dtype is_autocast_cache_enabled is_autocast_enabled",
        "spectral": "bartlett_window blackman_window hamming_window hann_window istft kaiser_window stft",
        "nn.functional": "adaptive_avg_pool1d adaptive_max_pool1d alpha_dropout avg_pool1d bilinear celu celu_ "
        "channel_shuffle conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d cosine_similarity "
        "dropout group_norm hardshrink layer_norm max_pool1d max_pool2d max_pool3d pairwise_distance pdist "
        "pixel_shuffle pixel_unshuffle prelu rms_norm rrelu rrelu_ selu selu_ threshold threshold_",
    }.items()
    for name in names.split()
}


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
