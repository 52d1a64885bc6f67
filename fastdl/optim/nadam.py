"""NAdam."""

from fastdl.optim.optimizer import check_betas, check_range
from fastdl.optim.rule import BETAS, RuleOptimizer


class NAdam(RuleOptimizer):
    """Adam with Nesterov momentum: mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), M_t = mu_1 ... mu_t, and
    p = p - lr ((1 - mu_t) / (1 - M_t) g + mu_(t+1) / (1 - M_(t+1)) m) / (sqrt(v') + eps).

    m, v and v' are Adam's; g is the gradient plus weight_decay p.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, betas, eps, weight_decay, momentum_decay: as in the formula.
        decoupled_weight_decay: p is multiplied by 1 - lr weight_decay in place of adding to g.
        maximize: ascend.
        foreach, capturable: accepted and without effect, all parameters are updated in one pass.

    Raises:
        ValueError: an option out of range.

    Source: Dozat, "Incorporating Nesterov momentum into Adam", 2016.

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.NAdam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.4718
    """

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3,
                 decoupled_weight_decay=False, *, foreach=None, maximize=False, capturable=False, differentiable=False):  # fmt: skip
        check_range("NAdam", lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        check_betas("NAdam", betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _rule(self, group):
        options = (*BETAS, ("eps",), ("momentum_decay",))
        return "nadam", ("exp_avg", "exp_avg_sq"), ("step", "mu_product"), options

    def _initial(self, key, group):
        return 1.0 if key == "mu_product" else 0.0
