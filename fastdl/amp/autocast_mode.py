"""Regions in which ops choose the dtype that they compute in."""

import warnings

from .. import _C, cuda
from ..autograd import _Mode
from ..tensor import Tensor

_LOWER = (_C.bfloat16, _C.float16)


def _device_type(name):
    """The type, "cpu" or "cuda", of a device or of its name."""
    name = getattr(name, "type", name)
    if not isinstance(name, str):
        raise TypeError(f"autocast: the device type must be a str, not {type(name).__name__}")
    if name not in ("cpu", "cuda"):
        raise RuntimeError(f"autocast: unknown device type {name!r}, expected 'cpu' or 'cuda'")
    return name


def is_autocast_available(device_type):
    """Whether :class:`autocast` knows the device type.

    >>> fd.amp.is_autocast_available("cpu")
    True
    """
    return device_type in ("cpu", "cuda")


def is_autocast_enabled(device_type="cuda"):
    """Whether an :class:`autocast` region casts tensors of that device here.

    >>> fd.is_autocast_enabled("cpu")
    False
    """
    return _C.is_autocast_enabled(_device_type(device_type))


def get_autocast_dtype(device_type):
    """The dtype of a region for that device which names none.

    >>> fd.get_autocast_dtype("cpu")
    fastdl.bfloat16
    """
    return _C.get_autocast_dtype(_device_type(device_type))


def is_autocast_cache_enabled():
    """Whether casts of weights are kept until the outermost region ends."""
    return _C.is_autocast_cache_enabled()


def clear_autocast_cache():
    """Forgets the casts of weights."""
    _C.clear_autocast_cache()


class autocast(_Mode):
    """Within it, or within a function decorated with it, ops compute in the dtype that suits them; weights stay float32.

    In ``dtype``: matrix products, linear layers, convolutions, attention, recurrent layers. In float32: softmax, layer,
    group and RMS normalization, losses, sums, products, norms, exponentials, logarithms, powers. Ops of several operands
    without broadcasting (cat, stack, dot, index_put, scatter_add, addcmul, addcdiv): in the widest dtype among these. All
    other ops: in the dtype of what they are given. float64 is left alone. Casts are part of the graph: gradients arrive at
    the float32 weights in float32. A weight's cast is kept until the outermost region ends or the weight changes.

    Go forward within the region, and backward and the optimizer's step outside.

    Args:
        device_type: "cpu" or "cuda": whose tensors are meant.
        dtype: bfloat16 or float16; None is bfloat16 on the CPU and float16 on a GPU.
        enabled: False makes a region without casts, also inside another region.
        cache_enabled: whether casts of weights are kept.

    Raises:
        RuntimeError: an unknown device type. Another dtype, or "cuda" without a GPU, is a warning, and nothing is cast.

    Source: Micikevicius et al., "Mixed precision training", 2018. The lists of ops are PyTorch's for GPUs, on every device.

    >>> layer = nn.Linear(4, 2)
    >>> with fd.autocast("cpu"):
    ...     y = layer(fd.ones(3, 4))
    >>> y.dtype, y.softmax(1).dtype
    (fastdl.bfloat16, fastdl.bfloat16)
    >>> y.sum().backward()
    >>> layer.weight.grad.dtype
    fastdl.float32
    """

    __slots__ = ("_arguments", "_outer", "_settings", "device", "fast_dtype")

    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        self._arguments = device_type, dtype, enabled, cache_enabled
        self.device = _device_type(device_type)
        self.fast_dtype = _C.get_autocast_dtype(self.device) if dtype is None else dtype
        if enabled and self.device == "cuda" and not cuda.is_available():
            warnings.warn("autocast: no GPU can be used, 'cuda' casts nothing", stacklevel=2)
            enabled = False
        if enabled and self.fast_dtype not in _LOWER:
            warnings.warn(f"autocast: {self.fast_dtype} is neither bfloat16 nor float16, nothing is cast", stacklevel=2)
            enabled = False
        self._settings = bool(enabled), cache_enabled
        self._outer = []  # the settings found at each entry: one object may be entered again inside itself

    def _again(self):
        arguments = self._arguments
        return lambda: autocast(*arguments)

    def __enter__(self):
        device = self.device
        cache = _C.is_autocast_cache_enabled()
        self._outer.append((_C.get_autocast_dtype(device), _C.is_autocast_enabled(device), cache))
        enabled, cache_enabled = self._settings
        dtype = self.fast_dtype if enabled else self._outer[-1][0]
        _C.enter_autocast(device, dtype, enabled, cache if cache_enabled is None else bool(cache_enabled))
        return self

    def __exit__(self, *error):
        _C.leave_autocast(self.device, *self._outer.pop())


def _cast(value, device, dtype):
    if isinstance(value, Tensor):
        eligible = value.dtype.is_floating_point and value.dtype is not _C.float64 and value.device.type == device
        return value.to(dtype) if eligible else value
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, device, dtype) for v in value)
    if isinstance(value, dict):
        return {key: _cast(v, device, dtype) for key, v in value.items()}
    return value


def custom_fwd(fwd=None, *, device_type, cast_inputs=None):
    """Decorates ``forward`` of an :class:`fastdl.autograd.Function`, so that its backward runs in the same region.

    Args:
        cast_inputs: a dtype: within a region, floating-point tensors arrive in it, and ``forward`` runs without casts.

    >>> class Square(fd.autograd.Function):
    ...     @staticmethod
    ...     @fd.amp.custom_fwd(device_type="cpu", cast_inputs=fd.float32)
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     @fd.amp.custom_bwd(device_type="cpu")
    ...     def backward(ctx, g):
    ...         return 2 * ctx.saved_tensors[0] * g
    >>> with fd.autocast("cpu"):
    ...     Square.apply(fd.ones(2, dtype=fd.bfloat16)).dtype
    fastdl.float32
    """
    device = _device_type(device_type)
    if fwd is None:
        return lambda f: custom_fwd(f, device_type=device, cast_inputs=cast_inputs)

    def forward(ctx, *args, **kwargs):
        ctx._dtype = _C.get_autocast_dtype(device)
        ctx._fwd_used_autocast = inside = _C.is_autocast_enabled(device)
        if cast_inputs is None or not inside:
            return fwd(ctx, *args, **kwargs)
        ctx._fwd_used_autocast = False
        with autocast(device, enabled=False):
            return fwd(ctx, *_cast(args, device, cast_inputs), **_cast(kwargs, device, cast_inputs))

    forward.__doc__, forward.__wrapped__ = fwd.__doc__, fwd
    return forward


def custom_bwd(bwd=None, *, device_type):
    """Decorates ``backward`` of a Function whose ``forward`` has :func:`custom_fwd`."""
    device = _device_type(device_type)
    if bwd is None:
        return lambda f: custom_bwd(f, device_type=device)

    def backward(ctx, *args, **kwargs):
        with autocast(device, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *args, **kwargs)

    backward.__doc__, backward.__wrapped__ = bwd.__doc__, bwd
    return backward
