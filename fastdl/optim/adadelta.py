"""Adadelta."""

from fastdl.optim.optimizer import check_range
from fastdl.optim.rule import RuleOptimizer


class Adadelta(RuleOptimizer):
    """v = rho v + (1 - rho) g^2; d = sqrt(u + eps) / sqrt(v + eps) g; u = rho u + (1 - rho) d^2; p = p - lr d.

    g is the gradient plus weight_decay p.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, rho, eps, weight_decay: as in the formula.
        maximize: ascend.
        foreach, capturable: accepted and without effect, all parameters are updated in one pass.

    Raises:
        ValueError: an option out of range.

    Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012.

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.Adadelta([w], lr=100.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.6838
    """

    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, foreach=None, *, capturable=False, maximize=False,
                 differentiable=False):  # fmt: skip
        check_range("Adadelta", lr=lr, eps=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Adadelta: invalid rho: {rho}")
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _rule(self, group):
        return "adadelta", ("square_avg", "acc_delta"), ("step",), (("rho",), ("eps",))
