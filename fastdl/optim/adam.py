"""Adam and AdamW."""

from fastdl.optim.optimizer import check_betas, check_range
from fastdl.optim.rule import BETAS, RuleOptimizer


class Adam(RuleOptimizer):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p = p - lr m' / (sqrt(v') + eps).

    m' = m / (1 - beta1^t) and v' = v / (1 - beta2^t) at step t; g is the gradient plus weight_decay p.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, betas, eps, weight_decay: as in the formula.
        amsgrad: v' is the largest so far.
        maximize: ascend.
        decoupled_weight_decay: p is multiplied by 1 - lr weight_decay in place of adding to g: :class:`AdamW`.
        foreach, capturable, fused: accepted and without effect, all parameters are updated in one pass.

    Raises:
        ValueError: an option out of range.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015; Reddi et al., "On the convergence of Adam
    and beyond", 2018 (amsgrad).

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.5
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *, foreach=None,
                 maximize=False, capturable=False, differentiable=False, fused=None, decoupled_weight_decay=False):  # fmt: skip
        name = type(self).__name__
        check_range(name, lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(name, betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _rule(self, group):
        states, options = ("exp_avg", "exp_avg_sq"), (*BETAS, ("eps",))
        if group["amsgrad"]:
            return "amsgrad", (*states, "max_exp_avg_sq"), ("step",), options
        return "adam", states, ("step",), options


class AdamW(Adam):
    """:class:`Adam` with decoupled weight decay: p = p (1 - lr weight_decay) before the step, and g is the gradient.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.AdamW([w], lr=0.5, weight_decay=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.45
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *, maximize=False,
                 foreach=None, capturable=False, differentiable=False, fused=None):  # fmt: skip
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
