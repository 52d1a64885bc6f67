"""The base class of optimizers: parameter groups, state and what is saved of them."""

from collections import defaultdict

import fastdl
from fastdl.autograd import enable_grad, no_grad
from fastdl.tensor import Tensor


class _RequiredParameter:
    def __repr__(self):
        return "<required parameter>"


required = _RequiredParameter()


class _Lists:
    """A group's tensors as the kernel takes them, made once: parameters, and one list for each entry of their state.

    They stay valid while the group has the same parameters and the optimizer the same state.
    """

    def __init__(self, group, state, keys):
        self.group_params, self.count = group["params"], len(group["params"])
        self.state, self.states, self.keys = state, len(state), keys
        self.params, self.waiting = [], []  # waiting for their first gradient, and their state
        for p in self.group_params:
            complete = all(key in state.get(p, ()) for key in keys)
            (self.params if complete else self.waiting).append(p)
        self.entries = {key: [state[p][key] for p in self.params] for key in keys}

    def valid_for(self, group, state, keys):
        params = group["params"]
        return (
            self.group_params is params
            and self.count == len(params)
            and self.state is state
            and self.states == len(state)
            and self.keys == keys
        )


class Optimizer:
    """The base class of optimizers.

    A subclass defines ``_state_keys(group)``, the names of what it keeps for each parameter, ``_new_state(parameter,
    group)``, which makes it, and ``_update_parameter(parameter, gradient, state, group)``. Where a rule of the kernel
    does the work, it derives from ``RuleOptimizer`` instead. Code that overrides ``step`` as a whole works as well.

    Args:
        params: parameters, (name, parameter) pairs, or dicts of a group: ``{"params": ..., "lr": ...}``.
        defaults: options of groups that do not set them.

    Raises:
        TypeError: no tensors. ValueError: an empty list, a parameter twice, a tensor with history.
    """

    def __init__(self, params, defaults):
        if isinstance(params, Tensor):
            raise TypeError("params should be an iterable of tensors or dicts, got a tensor")
        self.defaults = defaults
        self.state = defaultdict(dict)
        self.param_groups = []
        self._lists = {}
        self._before_step, self._after_step = {}, {}
        self._before_state_dict, self._after_state_dict = {}, {}
        self._before_load, self._after_load = {}, {}
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group):
        """Adds parameters with options of their own: layers that are unfrozen later, for instance.

        Args:
            param_group: a dict with ``params`` and options.

        Raises:
            TypeError, ValueError: as for the constructor.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, got {type(param_group).__name__}")
        group = dict(param_group)
        params = group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, (set, frozenset)):
            raise TypeError("optimizer parameters need an order; give a list in place of a set")
        else:
            params = list(params)
        if params and isinstance(params[0], tuple):
            group["param_names"] = [name for name, _ in params]
            params = [p for _, p in params]
        group["params"] = params
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize tensors, but one of the params is {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError("can't optimize a non-leaf tensor")
        for name, default in self.defaults.items():
            if default is required and name not in group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            group.setdefault(name, default)
        known = {id(p) for g in self.param_groups for p in g["params"]}
        if known.intersection(map(id, params)):
            raise ValueError("some parameters appear in more than one parameter group")
        if len(set(map(id, params))) != len(params):
            raise ValueError("a parameter group contains duplicate parameters")
        if self.param_groups and ("param_names" in group) != ("param_names" in self.param_groups[0]):
            raise ValueError("all optimizer param groups should be with/without names")
        self.param_groups.append(group)

    def zero_grad(self, set_to_none=True):
        """Clears the gradients of all parameters: removes them, or with ``set_to_none=False`` fills them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = fastdl.zeros_like(p.grad)

    def step(self, closure=None):
        """Updates all parameters that have a gradient.

        Args:
            closure: computes the loss anew; called first.

        Returns:
            What the closure returned.
        """
        for hook in list(self._before_step.values()):
            hook(self, (closure,), {})
        loss = self._step(closure)
        for hook in list(self._after_step.values()):
            hook(self, (closure,), {})
        return loss

    def _step(self, closure):
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for i, group in enumerate(self.param_groups):
            keys = self._state_keys(group)
            lists = self._lists.get(i)
            if lists is None or not lists.valid_for(group, self.state, keys):
                lists = self._lists[i] = _Lists(group, self.state, keys)
            if lists.waiting:
                new = [p for p in lists.waiting if p.grad is not None]
                for p in new:
                    self.state[p] = {**self._new_state(p, group), **self.state.get(p, {})}
                if new:
                    lists = self._lists[i] = _Lists(group, self.state, keys)
            self._update(group, lists)
        return loss

    def _state_keys(self, group):
        raise NotImplementedError

    def _new_state(self, parameter, group):
        raise NotImplementedError

    def _update(self, group, lists):
        with no_grad():
            for p in lists.params:
                if p.grad is not None:
                    self._update_parameter(p, p.grad, self.state[p], group)

    def _update_parameter(self, parameter, gradient, state, group):
        raise NotImplementedError

    def _loaded(self, name, value, parameter):
        """What ``load_state_dict`` keeps of an entry of the state: a copy in the parameter's dtype."""
        if isinstance(value, Tensor):
            if name == "step" or not parameter.dtype.is_floating_point:
                return value.clone()
            return value.to(device=parameter.device, dtype=parameter.dtype, copy=True)
        if isinstance(value, (list, tuple)):
            return type(value)(self._loaded(name, v, parameter) for v in value)
        if isinstance(value, dict):
            return {key: self._loaded(key, v, parameter) for key, v in value.items()}
        return value

    def register_step_pre_hook(self, hook):
        """Before each step: ``hook(optimizer, args, kwargs)``. Returns a handle with ``remove()``."""
        return _add_hook(self._before_step, hook)

    def register_step_post_hook(self, hook):
        """After each step: ``hook(optimizer, args, kwargs)``. Returns a handle with ``remove()``."""
        return _add_hook(self._after_step, hook)

    def register_state_dict_pre_hook(self, hook, prepend=False):
        """Before ``state_dict()``: ``hook(optimizer)``. Returns a handle with ``remove()``."""
        return _add_hook(self._before_state_dict, hook, prepend)

    def register_state_dict_post_hook(self, hook, prepend=False):
        """After ``state_dict()``: ``hook(optimizer, state_dict)`` may return another one. Returns a handle with ``remove()``."""
        return _add_hook(self._after_state_dict, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook, prepend=False):
        """Before loading: ``hook(optimizer, state_dict)`` may return another one. Returns a handle with ``remove()``."""
        return _add_hook(self._before_load, hook, prepend)

    def register_load_state_dict_post_hook(self, hook, prepend=False):
        """After loading: ``hook(optimizer)``. Returns a handle with ``remove()``."""
        return _add_hook(self._after_load, hook, prepend)

    def state_dict(self):
        """``{"state": {index: tensors by name}, "param_groups": [options, with indices for parameters]}``; the tensors
        are the optimizer's own."""
        for hook in list(self._before_state_dict.values()):
            hook(self)
        index = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                index.setdefault(id(p), len(index))
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [index[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {
            index[id(key)] if isinstance(key, Tensor) else key: dict(value) if isinstance(value, dict) else value
            for key, value in self.state.items()
        }
        result = {"state": state, "param_groups": groups}
        for hook in list(self._after_state_dict.values()):
            result = _or(hook(self, result), result)
        return result

    def load_state_dict(self, state_dict):
        """Takes copies of a ``state_dict()``'s tensors, in each parameter's dtype, and its options.

        Raises:
            ValueError: other groups, or of other sizes, or a state of another shape; nothing is changed then.
        """
        for hook in list(self._before_load.values()):
            state_dict = _or(hook(self, state_dict), state_dict)
        groups = state_dict["param_groups"]
        if len(groups) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: {len(groups)}, "
                f"the optimizer has {len(self.param_groups)}"
            )
        sizes = [len(group["params"]) for group in self.param_groups]
        loaded_sizes = [len(group["params"]) for group in groups]
        if sizes != loaded_sizes:
            raise ValueError(
                f"loaded state dict contains parameter groups of sizes {loaded_sizes}, the optimizer's are {sizes}"
            )
        parameters = {}  # by the index that they had when saved
        for mine, saved in zip(self.param_groups, groups):
            parameters.update(zip(saved["params"], mine["params"]))

        state = defaultdict(dict)
        for index, entries in state_dict["state"].items():
            if index not in parameters:  # a subclass's own entry
                state[index] = entries
                continue
            p = parameters[index]
            try:
                state[p] = {name: self._loaded(name, value, p) for name, value in entries.items()}
            except ValueError as error:
                raise ValueError(f"{type(self).__name__}.load_state_dict: parameter {index}: {error}") from None
        self.state = state
        self.param_groups = [
            {**self.defaults, **{name: v for name, v in saved.items() if name != "params"}, "params": mine["params"]}
            for mine, saved in zip(self.param_groups, groups)
        ]
        self._lists = {}
        for hook in list(self._after_load.values()):
            hook(self)

    def __getstate__(self):
        return {**self.__dict__, "_lists": {}}

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def _add_hook(hooks, hook, prepend=False):
    key = object()
    later = dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[key] = hook
    hooks.update(later)
    return _Removal(hooks, key)


def _or(value, default):
    return default if value is None else value


class _Removal:
    """Removes a hook by ``remove()``."""

    def __init__(self, hooks, key):
        self._hooks, self._key = hooks, key

    def remove(self):
        self._hooks.pop(self._key, None)


def check_range(optimizer, **values):
    """Raises ValueError for a negative value, or a tensor of several elements."""
    for name, value in values.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(
                f"{optimizer}: {name} must be a number or a tensor of one element, got {list(value.shape)}"
            )
        if not value >= 0.0:
            raise ValueError(f"{optimizer}: invalid {name}: {value}")


def check_betas(optimizer, betas):
    """Raises ValueError for a decay rate outside [0, 1)."""
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"{optimizer}: invalid beta parameter at index {i}: {beta}")
