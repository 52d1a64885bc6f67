"""RAdam."""

from fastdl.optim.optimizer import check_betas, check_range
from fastdl.optim.rule import BETAS, RuleOptimizer


class RAdam(RuleOptimizer):
    """Adam's step times r_t = sqrt((rho_t - 4)(rho_t - 2) rho / ((rho - 4)(rho - 2) rho_t)) where rho_t > 5, else p - lr m'.

    rho = 2 / (1 - beta2) - 1 and rho_t = rho - 2 t beta2^t / (1 - beta2^t): the first steps, in which the variance of the
    adaptive rate is large, are steps of momentum. eps is added to sqrt(v) before its correction.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, betas, eps, weight_decay: as in Adam.
        decoupled_weight_decay: p is multiplied by 1 - lr weight_decay in place of adding to the gradient.
        maximize: ascend.
        foreach, capturable: accepted and without effect, all parameters are updated in one pass.

    Raises:
        ValueError: an option out of range.

    Source: Liu et al., "On the variance of the adaptive learning rate and beyond", 2020.

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.RAdam([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.5
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled_weight_decay=False, *,
                 foreach=None, maximize=False, capturable=False, differentiable=False):  # fmt: skip
        check_range("RAdam", lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas("RAdam", betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _rule(self, group):
        return "radam", ("exp_avg", "exp_avg_sq"), ("step",), (*BETAS, ("eps",))
