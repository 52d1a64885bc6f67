"""Weights split into lengths and directions, computed before each call (the older interface)."""

from fastdl.nn.parameter import Parameter
from fastdl.nn.utils.computed import ComputedAttribute, attach, remove

__all__ = ["WeightNorm", "norm_except_dim", "remove_weight_norm", "weight_norm"]


def norm_except_dim(v, dim):
    """The norms of v's slices along ``dim``, kept as a dimension; of all of v, (), for -1."""
    if dim == -1:
        return v.norm()
    return v.norm(2, tuple(d for d in range(v.ndim) if d != dim), keepdim=True) if v.ndim > 1 else v.abs()


class WeightNorm(ComputedAttribute):
    """The forward pre-hook of :func:`weight_norm`: sets ``name`` to g v / |v|."""

    title = "weight_norm"

    def __init__(self, name, dim):
        self.name, self.dim = name, -1 if dim is None else dim

    def compute(self, module):
        """g v / |v|, of ``name_g`` and ``name_v``."""
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / norm_except_dim(v, self.dim))


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
    hook = WeightNorm(name, dim)
    weight = getattr(module, name).detach()
    g, v = Parameter(norm_except_dim(weight, hook.dim)), Parameter(weight)
    return attach(module, hook, v * (g / norm_except_dim(v, hook.dim)), {"g": g, "v": v})


def remove_weight_norm(module, name="weight"):
    """Makes the weight an ordinary parameter again, with its present value.

    Raises:
        ValueError: it has no weight norm.

    >>> list(nn.utils.remove_weight_norm(nn.utils.weight_norm(nn.Linear(2, 2))).state_dict())
    ['bias', 'weight']
    """
    return remove(module, WeightNorm, name, ("g", "v"))
