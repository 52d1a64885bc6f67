"""RMSprop."""

from fastdl.optim.optimizer import check_range
from fastdl.optim.rule import RuleOptimizer


class RMSprop(RuleOptimizer):
    """v = alpha v + (1 - alpha) g^2; p = p - lr g / (sqrt(v) + eps), with g the gradient plus weight_decay p.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, alpha, eps, weight_decay: as in the formula.
        momentum: the step is lr b with b = momentum b + g / (sqrt(v) + eps).
        centered: v - a^2 stands for v, where a = alpha a + (1 - alpha) g: the variance of the gradient.
        maximize: ascend.
        foreach, capturable: accepted and without effect, all parameters are updated in one pass.

    Raises:
        ValueError: an option out of range.

    Source: Tieleman and Hinton, lecture 6.5 of "Neural networks for machine learning", 2012; Graves, "Generating
    sequences with recurrent neural networks", 2013 (centered).

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.RMSprop([w], lr=0.01)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.9
    """

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, capturable=False,
                 foreach=None, maximize=False, differentiable=False):  # fmt: skip
        check_range("RMSprop", lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _rule(self, group):
        rule, states, options = "rmsprop", ("square_avg",), (("alpha",), ("eps",))
        if group["centered"]:
            rule, states = rule + "_centered", (*states, "grad_avg")
        if group["momentum"] > 0:
            rule, states, options = rule + "_momentum", (*states, "momentum_buffer"), (*options, ("momentum",))
        return rule, states, ("step",), options
