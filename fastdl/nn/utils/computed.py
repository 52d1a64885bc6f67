"""Attributes of a module that are computed anew before each call, by a hook that carries its own parameters' names."""

from fastdl.nn.parameter import Parameter

__all__ = ["ComputedAttribute", "attach", "detach", "find", "remove"]


class ComputedAttribute:
    """A forward pre-hook that sets the module's attribute ``name``."""

    title = "computed attribute"  # for messages

    def compute(self, module):
        """The attribute's present value, a tensor."""
        raise NotImplementedError

    def __call__(self, module, args):
        # Past setattr, for which this would be a new tensor in a captured step: replays compute it again where it is.
        vars(module)[self.name] = self.compute(module)


def _attached(module, kind, name):
    hooks = module._call_hooks.forward_pre if module._call_hooks else {}
    return next((key for key, (hook, *_) in hooks.items() if isinstance(hook, kind) and hook.name == name), None)


def find(module, kind, name):
    """The hook of that class that computes ``name``, or None."""
    key = _attached(module, kind, name)
    return None if key is None else module._call_hooks.forward_pre[key][0]


def detach(module, kind, name):
    """Takes that hook from the module and returns it.

    Raises:
        ValueError: there is none.
    """
    key = _attached(module, kind, name)
    if key is None:
        raise ValueError(f"{kind.title} of {name!r} not found in {type(module).__name__}")
    return module._call_hooks.forward_pre.pop(key)[0]


def attach(module, hook, weight, parameters, buffers=()):
    """Puts parameters and buffers of these names' endings in the weight's place, and the hook that computes it.

    Raises:
        RuntimeError: the module has such a hook already.
    """
    name = hook.name
    if find(module, type(hook), name) is not None:
        raise RuntimeError(f"{hook.title}: {name!r} of {type(module).__name__} has one already")
    delattr(module, name)
    for ending, value in dict(parameters).items():
        module.register_parameter(f"{name}_{ending}", value)
    for ending, value in dict(buffers).items():
        module.register_buffer(f"{name}_{ending}", value)
    setattr(module, name, weight)
    module.register_forward_pre_hook(hook)
    return module


def remove(module, kind, name, endings, compute=None):
    """The present value becomes an ordinary parameter again; the hook and what it computed from go."""
    hook = detach(module, kind, name)
    weight = (compute or kind.compute)(hook, module).detach()
    for attribute in (name, *(f"{name}_{ending}" for ending in endings)):
        delattr(module, attribute)
    setattr(module, name, Parameter(weight))
    return module
