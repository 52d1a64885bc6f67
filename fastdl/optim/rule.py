"""Optimizers whose step is a rule of the kernel ``optimizer_step``: all parameters in one pass."""

import fastdl
from fastdl import _C
from fastdl.optim.optimizer import Optimizer
from fastdl.tensor import Tensor

BETAS = ("betas", 0), ("betas", 1)  # where a group has them


class RuleOptimizer(Optimizer):
    """The base class of those optimizers. A subclass defines ``_rule(group)``, and ``_initial`` where a state starts at
    another value than 0.

    Raises:
        ValueError: ``differentiable=True``: the step has no history. foreach and fused, both True.
    """

    _decoupled = False

    def __init__(self, params, defaults):
        name = type(self).__name__
        if defaults.get("differentiable"):
            raise ValueError(f"{name}: differentiable=True is not supported, the step is one kernel without history")
        if defaults.get("fused") and defaults.get("foreach"):
            raise RuntimeError(f"{name}: `fused` and `foreach` cannot be `True` together")
        super().__init__(params, defaults)

    def _rule(self, group):
        """The rule's name, the names of its states and of its cells, and where in the group its options are, such as
        ("eps",) or ("betas", 0). See csrc/kernels/optimizer_rules.def."""
        raise NotImplementedError

    def _initial(self, key, group):
        return 0.0

    def _state_keys(self, group):
        _, states, cells, _ = self._rule(group)
        return cells + states

    def _new_state(self, parameter, group):
        _, states, cells, _ = self._rule(group)
        new = {}
        for key in cells:
            new[key] = fastdl.full((), self._initial(key, group), dtype=fastdl.float32, device=parameter.device)
        for key in states:
            new[key] = fastdl.full_like(parameter, self._initial(key, group), requires_grad=False)
        return new

    def _update(self, group, lists):
        rule, states, cells, places = self._rule(group)
        entries = lists.entries
        _C.optimizer_step(
            rule,
            lists.params,
            [p.grad for p in lists.params],
            [entries[key] for key in states],
            [entries[key] for key in cells],
            group["lr"],
            [group[key] if not index else group[key][index[0]] for key, *index in places],
            group.get("weight_decay", 0.0),
            group.get("decoupled_weight_decay", self._decoupled),
            group["maximize"],
        )

    def _loaded(self, name, value, parameter):
        _, _, cells, _ = self._rule(self.param_groups[0])
        if name in cells:
            value = value if isinstance(value, Tensor) else fastdl.tensor(float(value))
            if value.numel() != 1:
                raise ValueError(f"loaded state {name!r} has shape {list(value.shape)}, expected one element")
            return value.to(device=parameter.device, dtype=fastdl.float32, copy=True)
        if isinstance(value, Tensor) and value.shape != parameter.shape:
            raise ValueError(
                f"loaded state {name!r} has shape {list(value.shape)}, its parameter {list(parameter.shape)}"
            )
        return super()._loaded(name, value, parameter)
