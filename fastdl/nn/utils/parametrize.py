"""Parameters that are functions of others: ``module.weight`` computed anew each time from what is trained."""

from collections.abc import Sequence

from fastdl.autograd import no_grad
from fastdl.nn.containers import ModuleDict, ModuleList
from fastdl.nn.parameter import Parameter
from fastdl.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]


class cached:
    """Within it, a parametrized tensor is computed once, not at each use.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> with nn.utils.parametrize.cached():
    ...     layer.weight is layer.weight
    True
    """

    _depth = 0
    _values: dict = {}  # noqa: RUF012  # of all modules, by (id of the parametrization)

    def __enter__(self):
        cached._depth += 1

    def __exit__(self, *error):
        cached._depth -= 1
        if not cached._depth:
            cached._values = {}


def _register(module, name, tensor):
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied in order to ``original``, or ``original0``, ``original1``, ...

    Args:
        modules: the parametrizations; those with a ``right_inverse`` choose the originals so that the value stays.
        original: the tensor as it was.
        unsafe: do not check that shape and dtype stay.
    """

    def __init__(self, modules, original, unsafe=False):
        modules = list(modules)
        if not modules:
            raise ValueError("ParametrizationList: expected at least one parametrization")
        super().__init__(modules)
        self.unsafe = unsafe
        with no_grad():
            new = original
            for module in reversed(modules):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        pass
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError(f"right_inverse must return a tensor or several, got {type(new).__name__}")
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        shape, dtype = original.shape, original.dtype
        if self.is_tensor:
            if new.dtype != dtype:
                raise ValueError(f"right_inverse must keep the dtype {dtype}, got {new.dtype}")
            if new is not original:
                original.data = new.detach()  # the same object, so that optimizers keep working
            _register(self, "original", original)
        else:
            for i, tensor in enumerate(new):
                if not isinstance(tensor, Tensor):
                    raise ValueError(f"right_inverse must return tensors, got {type(tensor).__name__} at {i}")
                tensor = tensor.detach()
                if isinstance(original, Parameter):
                    tensor = Parameter(tensor.clone() if tensor is original else tensor, original.requires_grad)
                _register(self, f"original{i}", tensor)
        if not unsafe:
            _check_unchanged(self(), shape, dtype)

    def _originals(self):
        return [getattr(self, name) for name in self._original_names()]

    def _original_names(self):
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def right_inverse(self, value):
        """Sets the originals so that the parametrized tensor is `value`."""
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} has no right_inverse")
                value = module.right_inverse(value)
            values = [value] if self.is_tensor else list(value)
            if len(values) != self.ntensors or not all(isinstance(v, Tensor) for v in values):
                raise ValueError(f"right_inverse must return {self.ntensors} tensors, got {value!r}")
            for original, new in zip(self._originals(), values):
                if original.dtype != new.dtype:
                    raise ValueError(f"right_inverse must return {original.dtype}, got {new.dtype}")
                original.data = new.detach().clone()

    def forward(self):
        first, *rest = self
        x = first(*self._originals())
        for module in rest:
            x = module(x)
        return x


def _check_unchanged(value, shape, dtype):
    if not isinstance(value, Tensor):
        raise ValueError(f"a parametrization must return a tensor, got {type(value).__name__}")
    if value.dtype != dtype:
        raise ValueError(f"a parametrization may not change the dtype {dtype} to {value.dtype}, unless it is unsafe")
    if value.shape != shape:
        raise ValueError(
            f"a parametrization may not change the shape {list(shape)} to {list(value.shape)}, unless it is unsafe"
        )


def _deepcopy(self, memo):
    import copy

    if id(self) not in memo:
        memo[id(self)] = replica = self.__new__(type(self))
        replica.__dict__ = copy.deepcopy(self.__dict__, memo)
    return memo[id(self)]


def _getstate(self):
    raise RuntimeError("parametrized modules are saved through state_dict(), not pickled")


def _property(name):
    def get(self):
        parametrization = self.parametrizations[name]
        if not cached._depth:
            return parametrization()
        if id(parametrization) not in cached._values:
            cached._values[id(parametrization)] = parametrization()
        return cached._values[id(parametrization)]

    def put(self, value):
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """From now on ``module.tensor_name`` is ``parametrization`` of what it was, which moves to
    ``module.parametrizations.tensor_name.original``.

    Args:
        module, tensor_name: a parameter or buffer, parametrized already or not.
        parametrization: a module from a tensor to a tensor. A method ``right_inverse`` gives the original for a value: it
            is used now, to keep the value, and when the tensor is assigned to. It may return several tensors, which the
            parametrization then gets as arguments.
        unsafe: allow another shape or dtype.

    Raises:
        ValueError: no such tensor, or one of another shape or dtype.

    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = nn.utils.parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all())
    True
    >>> list(layer.state_dict())
    ['bias', 'parametrizations.weight.original']
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            before = getattr(module, tensor_name)
            after = parametrization(before)
            _check_unchanged(after, before.shape, before.dtype)
            if hasattr(parametrization, "right_inverse"):
                try:
                    _check_unchanged(parametrization.right_inverse(after), before.shape, before.dtype)
                except NotImplementedError:
                    pass
        chain = module.parametrizations[tensor_name]
        chain.append(parametrization)
        chain.unsafe |= unsafe
        return module
    if tensor_name not in module._parameter_names and tensor_name not in module._buffer_names:
        raise ValueError(f"{type(module).__name__} has no parameter or buffer named {tensor_name!r}")
    chain = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        cls = type(module)
        module.__class__ = type(
            f"Parametrized{cls.__name__}", (cls,), {"__deepcopy__": _deepcopy, "__getstate__": _getstate}
        )
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _property(tensor_name))
    module.parametrizations[tensor_name] = chain
    return module


def is_parametrized(module, tensor_name=None):
    """Whether the module has parametrizations, or one of that tensor."""
    chains = module.__dict__.get("parametrizations")
    if not isinstance(chains, ModuleDict):
        return False
    return len(chains) > 0 if tensor_name is None else tensor_name in chains


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Makes ``module.tensor_name`` an ordinary tensor again.

    Args:
        leave_parametrized: with the parametrized value, else with the original's (not where there are several).

    Raises:
        ValueError: it is not parametrized, or has several originals to choose from.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> list(nn.utils.parametrize.remove_parametrizations(layer, "weight").state_dict())
    ['bias', 'weight']
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{type(module).__name__} has no parametrization of {tensor_name!r}")
    chain = module.parametrizations[tensor_name]
    if chain.is_tensor:
        original = chain.original
        if leave_parametrized:
            with no_grad():
                original.data = chain().detach().clone()
    elif leave_parametrized:
        value = chain()
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            f"{tensor_name!r} is parametrized by {chain.ntensors} tensors: leave_parametrized must be True"
        )
    cls = type(module)
    delattr(cls, tensor_name)
    del module.parametrizations[tensor_name]
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = cls.__bases__[0]
    _register(module, tensor_name, original)
    return module


def type_before_parametrizations(module):
    """The module's class without that of its parametrizations.

    >>> nn.utils.parametrize.type_before_parametrizations(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))).__name__
    'Linear'
    """
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module, to_module, tensor_name=None):
    """Gives ``to_module`` the parametrizations of ``from_module``, of one tensor or all, and shares their originals."""
    names = list(from_module.parametrizations) if is_parametrized(from_module) else []
    for name in names if tensor_name is None else [tensor_name]:
        chain = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in chain:
            register_parametrization(to_module, name, parametrization)
        for original in chain._original_names():
            setattr(to_module.parametrizations[name], original, getattr(chain, original))
    return to_module
