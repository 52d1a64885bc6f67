"""Adagrad."""

from fastdl.optim.optimizer import check_range
from fastdl.optim.rule import RuleOptimizer


class Adagrad(RuleOptimizer):
    """s = s + g^2; p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps), with g the gradient plus weight_decay p.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, lr_decay, eps, weight_decay: as in the formula.
        initial_accumulator_value: s at the start.
        maximize: ascend.
        foreach, fused: accepted and without effect, all parameters are updated in one pass.

    Raises:
        ValueError: an option out of range.

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011.

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.5
    """

    def __init__(self, params, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, foreach=None, *,
                 maximize=False, differentiable=False, fused=None):  # fmt: skip
        check_range(
            "Adagrad",
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group):
        """Adds parameters, and their state at once, as PyTorch does."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            self.state[p] = self._new_state(p, group)

    def _rule(self, group):
        return "adagrad", ("sum",), ("step",), (("lr_decay",), ("eps",))

    def _initial(self, key, group):
        return group["initial_accumulator_value"] if key == "sum" else 0.0
