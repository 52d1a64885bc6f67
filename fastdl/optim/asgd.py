"""Averaged stochastic gradient descent."""

from fastdl.optim.optimizer import check_range
from fastdl.optim.rule import RuleOptimizer


class ASGD(RuleOptimizer):
    """p = (1 - lambd eta) p - eta g; ax = ax + mu (p - ax), the average of the parameters, in the state ``ax``.

    After step t: eta = lr / (1 + lambd lr t)^alpha and mu = 1 / max(1, t - t0). g is the gradient plus weight_decay p.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, lambd, alpha, weight_decay: as in the formula.
        t0: the step at which the averaging starts.
        maximize: ascend.
        foreach, capturable: accepted and without effect, all parameters are updated in one pass.

    Raises:
        ValueError: an option out of range.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.ASGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.5
    """

    def __init__(self, params, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0, foreach=None, maximize=False,
                 differentiable=False, capturable=False):  # fmt: skip
        check_range("ASGD", lr=lr, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _rule(self, group):
        return "asgd", ("ax",), ("step", "eta", "mu"), (("lambd",), ("alpha",), ("t0",))

    def _initial(self, key, group):
        return {"eta": float(group["lr"]), "mu": 1.0}.get(key, 0.0)
