"""Pruning: parameters whose least important entries are masked to 0.

``name`` becomes the product of the parameter ``name_orig`` and the buffer ``name_mask``, computed before each call.
"""

from numbers import Integral, Real

import fastdl
from fastdl.nn.utils.computed import ComputedAttribute, detach, find

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer",
    "RandomStructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned",
    "l1_unstructured", "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip


class BasePruningMethod(ComputedAttribute):
    """What pruning methods derive from: a mask, and how it is put on a module's parameter.

    A method has ``PRUNING_TYPE``, of what it gets when other methods came before: 'unstructured', the entries that are
    left; 'structured', the slices along its ``dim`` that are left; 'global', everything.
    """

    title = "pruning"
    PRUNING_TYPE = "unstructured"

    @property
    def _tensor_name(self):
        return self.name

    @_tensor_name.setter
    def _tensor_name(self, name):
        self.name = name

    def compute_mask(self, t, default_mask):
        """The mask, of 0 and 1, for importances t; a part of ``default_mask``."""
        raise NotImplementedError(f"{type(self).__name__} needs compute_mask(t, default_mask)")

    def compute(self, module):
        """The masked parameter."""
        return self.apply_mask(module)

    def apply_mask(self, module):
        """``name_orig`` times ``name_mask``."""
        orig = getattr(module, f"{self.name}_orig")
        return getattr(module, f"{self.name}_mask").to(dtype=orig.dtype) * orig

    @classmethod
    def apply(cls, module, name, *args, importance_scores=None, **kwargs):
        """Prunes a parameter by ``cls(*args, **kwargs)``, on top of the methods that pruned it before.

        Args:
            importance_scores: a tensor of the parameter's shape to rank its entries by; the parameter itself when None.

        Returns:
            The method, or the container of all that prune this parameter.
        """
        method = cls(*args, **kwargs)
        method.name = name
        before = find(module, BasePruningMethod, name)
        value = getattr(module, name)
        scores = value if importance_scores is None else importance_scores
        if scores.shape != value.shape:
            raise fastdl.ShapeError(
                f"pruning: importance_scores {list(scores.shape)}, expected the shape {list(value.shape)} of {name}"
            )
        with fastdl.no_grad():
            if before is None:
                result = method
                mask = method.compute_mask(scores.detach(), fastdl.ones_like(value.detach()))
            else:
                result = before if isinstance(before, PruningContainer) else PruningContainer(before)
                mask = _narrowed(method, scores.detach(), getattr(module, f"{name}_mask"))
        if before is None:
            delattr(module, name)
            module.register_parameter(f"{name}_orig", value)
        else:
            detach(module, BasePruningMethod, name)
            result.add_pruning_method(method)
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, result.apply_mask(module))
        module.register_forward_pre_hook(result)
        return result

    def prune(self, t, default_mask=None, importance_scores=None):
        """A tensor with the mask of this method on it; no module takes part."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise fastdl.ShapeError(f"pruning: importance_scores {list(scores.shape)}, expected {list(t.shape)}")
        default_mask = fastdl.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=default_mask)

    def remove(self, module):
        """Makes the masked parameter an ordinary one again, with its zeros; masks are forgotten."""
        orig = getattr(module, f"{self.name}_orig")
        orig.data = self.apply_mask(module).detach()
        for attribute in (self.name, f"{self.name}_orig", f"{self.name}_mask"):
            delattr(module, attribute)
        setattr(module, self.name, orig)


def _narrowed(method, t, mask):
    """The mask after one more method, which sees what its type says of the entries that are left."""
    if method.PRUNING_TYPE == "unstructured":
        places = mask == 1
    elif method.PRUNING_TYPE == "structured":
        dim = method.dim % t.ndim
        places = (slice(None),) * dim + (mask.sum([d for d in range(t.ndim) if d != dim]) != 0,)
    elif method.PRUNING_TYPE == "global":
        places = (slice(None),) * t.ndim
    else:
        raise fastdl.ValueError(
            f"pruning: PRUNING_TYPE {method.PRUNING_TYPE!r}, expected 'unstructured', 'structured' or 'global'"
        )
    mask = mask.to(dtype=t.dtype, copy=True)
    mask[places] = method.compute_mask(t[places], default_mask=mask[places]).to(dtype=mask.dtype)
    return mask


class PruningContainer(BasePruningMethod):
    """Several methods on one parameter, one after the other: a sequence."""

    def __init__(self, *args):
        self._pruning_methods = ()
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method):
        """Adds a method for the same parameter (None: nothing).

        Raises:
            TypeError: no method. ValueError: it is for another parameter.
        """
        if method is None:
            return
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method).__name__} is no BasePruningMethod")
        if self._pruning_methods and method.name != self.name:
            raise fastdl.ValueError(f"pruning: a method for {method.name!r} in a container for {self.name!r}")
        self.name = method.name
        self._pruning_methods += (method,)

    def __len__(self):
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, index):
        return self._pruning_methods[index]

    def compute_mask(self, t, default_mask):
        """The mask after the last method: ``default_mask`` is what those before left."""
        return _narrowed(self._pruning_methods[-1], t, default_mask)


# --- methods ---


def _check_amount(amount):
    if not isinstance(amount, Real):
        raise TypeError(f"pruning: amount {amount!r}, expected a number")
    if amount < 0 or (not isinstance(amount, Integral) and not amount <= 1.0):
        raise fastdl.ValueError(f"pruning: amount {amount}, expected a count, or a fraction in [0, 1]")


def _count(amount, size):
    """How many of `size` go."""
    count = amount if isinstance(amount, Integral) else round(amount * size)
    if count > size:
        raise fastdl.ValueError(f"pruning: amount {amount} of {size} that there are")
    return count


def _without(mask, places):
    out = mask.clone().reshape(-1)
    out[places] = 0
    return out.reshape(mask.shape)


def _slices(mask, kept, dim):
    """The mask with only the slices `kept`, a vector of bools, along dim."""
    return mask * kept.reshape([-1 if d == dim % mask.ndim else 1 for d in range(mask.ndim)]).to(dtype=mask.dtype)


def _check_structured(t, dim):
    if t.ndim < 2:
        raise fastdl.ShapeError(f"pruning: slices of a tensor of at least 2 dimensions, got shape {list(t.shape)}")
    if not -t.ndim <= dim < t.ndim:
        raise fastdl.IndexError(f"pruning: dim {dim} is out of range for shape {list(t.shape)}")


class Identity(BasePruningMethod):
    """Prunes nothing, but puts the mask there."""

    def compute_mask(self, t, default_mask):
        """The mask as it is."""
        return default_mask

    @classmethod
    def apply(cls, module, name):
        """See :func:`identity`."""
        return super().apply(module, name)


class RandomUnstructured(BasePruningMethod):
    """Prunes entries at random."""

    def __init__(self, amount):
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t, default_mask):
        """The mask without so many random entries."""
        count = _count(self.amount, t.numel())
        return _without(default_mask, fastdl.rand(t.numel(), device=t.device).topk(count).indices)

    @classmethod
    def apply(cls, module, name, amount):
        """See :func:`random_unstructured`."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(BasePruningMethod):
    """Prunes the entries of the smallest absolute values."""

    def __init__(self, amount):
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t, default_mask):
        """The mask without so many of the smallest entries."""
        count = _count(self.amount, t.numel())
        return _without(default_mask, t.abs().reshape(-1).topk(count, largest=False).indices)

    @classmethod
    def apply(cls, module, name, amount, importance_scores=None):
        """See :func:`l1_unstructured`."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


class RandomStructured(BasePruningMethod):
    """Prunes slices along a dimension at random."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount, dim=-1):
        _check_amount(amount)
        self.amount, self.dim = amount, dim

    def compute_mask(self, t, default_mask):
        """The mask without so many random slices."""
        _check_structured(t, self.dim)
        size = t.shape[self.dim]
        gone = fastdl.rand(size, device=t.device).topk(_count(self.amount, size)).indices
        return _slices(default_mask, _without(fastdl.ones(size, device=t.device), gone), self.dim)

    @classmethod
    def apply(cls, module, name, amount, dim=-1):
        """See :func:`random_structured`."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(BasePruningMethod):
    """Prunes the slices along a dimension of the smallest norms of order n."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount, n, dim=-1):
        _check_amount(amount)
        self.amount, self.n, self.dim = amount, n, dim

    def compute_mask(self, t, default_mask):
        """The mask without so many of the slices of the smallest norms."""
        _check_structured(t, self.dim)
        size, dim = t.shape[self.dim], self.dim % t.ndim
        norms = t.norm(p=self.n, dim=[d for d in range(t.ndim) if d != dim])
        kept = norms.topk(size - _count(self.amount, size)).indices
        return _slices(default_mask, 1 - _without(fastdl.ones(size, device=t.device), kept), self.dim)

    @classmethod
    def apply(cls, module, name, amount, n, dim, importance_scores=None):
        """See :func:`ln_structured`."""
        return super().apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)


class CustomFromMask(BasePruningMethod):
    """Prunes by a mask that is given."""

    PRUNING_TYPE = "global"

    def __init__(self, mask):
        self.mask = mask

    def compute_mask(self, t, default_mask):
        """What both masks keep."""
        if self.mask.shape != default_mask.shape:
            raise fastdl.ShapeError(f"pruning: mask {list(self.mask.shape)}, expected {list(default_mask.shape)}")
        return default_mask * self.mask.to(dtype=default_mask.dtype)

    @classmethod
    def apply(cls, module, name, mask):
        """See :func:`custom_from_mask`."""
        return super().apply(module, name, mask=mask)


# --- functions ---


def identity(module, name):
    """Puts the parametrization of pruning on a parameter, with a mask of ones; returns the module.

    >>> layer = nn.utils.prune.identity(nn.Linear(2, 3), "bias")
    >>> layer.bias_mask
    tensor([1., 1., 1.])
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module, name, amount):
    """Masks random entries of a parameter: a count, or a fraction, of those that are left.

    >>> layer = nn.utils.prune.random_unstructured(nn.Linear(2, 3), "weight", amount=1)
    >>> layer.weight_mask.sum()
    tensor(5.)
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module, name, amount, importance_scores=None):
    """Masks the entries of a parameter with the smallest absolute values (of ``importance_scores``, if given).

    Args:
        amount: a count, or a fraction in [0, 1], of the entries that are left.

    Han et al., "Learning both weights and connections for efficient neural networks", 2015.

    >>> layer = nn.utils.prune.l1_unstructured(nn.Linear(2, 3), "weight", amount=0.5)
    >>> sorted(layer.state_dict())
    ['bias', 'weight_mask', 'weight_orig']
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module, name, amount, dim):
    """Masks random slices of a parameter along ``dim``: a count, or a fraction, of those that are left."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module, name, amount, n, dim, importance_scores=None):
    """Masks the slices of a parameter along ``dim`` with the smallest norms of order n.

    >>> layer = nn.utils.prune.ln_structured(nn.Conv2d(5, 3, 2), "weight", amount=1, n=2, dim=0)
    >>> layer.weight_mask[:, 0, 0, 0].sum()
    tensor(2.)
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(parameters, pruning_method, importance_scores=None, **kwargs):
    """Prunes several parameters as if they were one.

    Args:
        parameters: pairs (module, name).
        pruning_method: a class of type 'unstructured'.
        importance_scores: a dict from such pairs to tensors to rank by; the parameters themselves where it has none.
        kwargs: the method's, such as ``amount``.

    Raises:
        TypeError: no pairs, or another type of method.

    >>> net = nn.Sequential(nn.Linear(10, 4), nn.Linear(4, 1))
    >>> nn.utils.prune.global_unstructured(
    ...     [(net[0], "weight"), (net[1], "weight")], nn.utils.prune.L1Unstructured, amount=10
    ... )
    >>> sum(int(layer.weight_mask.sum()) for layer in net)
    34
    """
    if not hasattr(parameters, "__iter__"):
        raise TypeError("global_unstructured: parameters, expected pairs (module, name)")
    pairs = list(parameters)
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured: importance_scores, expected a dict from (module, name) to tensors")
    method = pruning_method(**kwargs)
    method.name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(f"global_unstructured: a method of type 'unstructured', got {method.PRUNING_TYPE!r}")
    values = [getattr(module, name) for module, name in pairs]
    ranked = [scores.get(pair, value) for pair, value in zip(pairs, values)]
    masks = [getattr(module, f"{name}_mask", None) for module, name in pairs]
    masks = [fastdl.ones_like(v.detach()) if m is None else m for m, v in zip(masks, values)]
    with fastdl.no_grad():
        flat = lambda tensors: fastdl.cat([t.detach().reshape(-1) for t in tensors])
        mask = PruningContainer(method).compute_mask(flat(ranked), flat(masks))
    for (module, name), value, part in zip(pairs, values, mask.split([v.numel() for v in values])):
        custom_from_mask(module, name, part.reshape(value.shape))


def custom_from_mask(module, name, mask):
    """Masks a parameter by a given mask of its shape.

    >>> layer = nn.utils.prune.custom_from_mask(nn.Linear(5, 3), "bias", fd.tensor([0, 1, 0]))
    >>> layer.bias_mask
    tensor([0., 1., 0.])
    """
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module, name):
    """Makes a pruned parameter an ordinary one, with zeros where it was masked.

    Raises:
        ValueError: it is not pruned.

    >>> layer = nn.utils.prune.random_unstructured(nn.Linear(5, 7), "weight", amount=0.2)
    >>> sorted(nn.utils.prune.remove(layer, "weight").state_dict())
    ['bias', 'weight']
    """
    detach(module, BasePruningMethod, name).remove(module)
    return module


def is_pruned(module):
    """Whether a parameter of the module, or of one inside it, is pruned.

    >>> layer = nn.Linear(5, 7)
    >>> nn.utils.prune.is_pruned(layer)
    False
    """
    return any(
        isinstance(hook, BasePruningMethod)
        for m in module.modules()
        if m._call_hooks
        for hook, *_ in m._call_hooks.forward_pre.values()
    )
