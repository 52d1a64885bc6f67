"""Adamax."""

from fastdl.optim.optimizer import check_betas, check_range
from fastdl.optim.rule import BETAS, RuleOptimizer


class Adamax(RuleOptimizer):
    """m = beta1 m + (1 - beta1) g; u = max(beta2 u, |g| + eps); p = p - lr / (1 - beta1^t) m / u.

    g is the gradient plus weight_decay p.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, betas, eps, weight_decay: as in the formula.
        maximize: ascend.
        foreach, capturable: accepted and without effect, all parameters are updated in one pass.

    Raises:
        ValueError: an option out of range.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, section 7.1.

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.Adamax([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.5
    """

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, foreach=None, *, maximize=False,
                 differentiable=False, capturable=False):  # fmt: skip
        check_range("Adamax", lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas("Adamax", betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _rule(self, group):
        return "adamax", ("exp_avg", "exp_inf"), ("step",), (*BETAS, ("eps",))
