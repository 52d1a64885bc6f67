"""Weights split into lengths and directions, computed before each call (the older interface)."""

from fastdl.nn.parameter import Parameter

__all__ = ["WeightNorm", "norm_except_dim", "remove_weight_norm", "weight_norm"]


def norm_except_dim(v, dim):
    """The norms of v's slices along ``dim``, kept as a dimension; of all of v, (), for -1."""
    if dim == -1:
        return v.norm()
    return v.norm(2, tuple(d for d in range(v.ndim) if d != dim), keepdim=True) if v.ndim > 1 else v.abs()


class WeightNorm:
    """The forward pre-hook of :func:`weight_norm`: sets ``name`` to g v / |v|."""

    def __init__(self, name, dim):
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module):
        """g v / |v|, of ``name_g`` and ``name_v``."""
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / norm_except_dim(v, self.dim))

    def __call__(self, module, args):
        setattr(module, self.name, self.compute_weight(module))


def _find(module, kind, name):
    hooks = module._call_hooks.forward_pre if module._call_hooks else {}
    return next((key for key, (hook, *_) in hooks.items() if isinstance(hook, kind) and hook.name == name), None)


def weight_norm(module, name="weight", dim=0):
    """weight = g v / |v|: lengths ``weight_g`` and directions ``weight_v`` are trained in place of ``weight``.

    Args:
        name: which parameter.
        dim: its slices along this dimension have a length each; None: one for all.

    Raises:
        RuntimeError: it has a weight norm already.

    Salimans and Kingma, "Weight normalization", 2016.

    >>> layer = nn.utils.weight_norm(nn.Linear(20, 40))
    >>> layer.weight_g.shape, layer.weight_v.shape
    ((40, 1), (40, 20))
    """
    if _find(module, WeightNorm, name) is not None:
        raise RuntimeError(f"weight_norm: {name!r} of {type(module).__name__} has one already")
    hook = WeightNorm(name, dim)
    weight = getattr(module, name)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(norm_except_dim(weight.detach(), hook.dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module, name="weight"):
    """Makes the weight an ordinary parameter again, with its present value.

    Raises:
        ValueError: it has no weight norm.

    >>> list(nn.utils.remove_weight_norm(nn.utils.weight_norm(nn.Linear(2, 2))).state_dict())
    ['bias', 'weight']
    """
    key = _find(module, WeightNorm, name)
    if key is None:
        raise ValueError(f"weight_norm of {name!r} not found in {type(module).__name__}")
    hook = module._call_hooks.forward_pre.pop(key)[0]
    weight = hook.compute_weight(module).detach()
    for attribute in (name, f"{name}_g", f"{name}_v"):
        delattr(module, attribute)
    setattr(module, name, Parameter(weight))
    return module
