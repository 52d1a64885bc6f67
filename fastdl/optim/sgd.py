"""Stochastic gradient descent."""

import fastdl
from fastdl.optim.optimizer import check_range
from fastdl.optim.rule import RuleOptimizer


class SGD(RuleOptimizer):
    """b = momentum b + (1 - dampening) g; p = p - lr b, with g the gradient plus weight_decay p.

    The first step sets b = g. Without momentum b is g; with ``nesterov`` the step is g + momentum b.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, momentum, dampening, weight_decay: as in the formula.
        nesterov: needs momentum and no dampening.
        maximize: ascend.
        foreach, fused: accepted and without effect, all parameters are updated in one pass.

    Raises:
        ValueError: an option out of range.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.0]
    """

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False,
                 foreach=None, differentiable=False, fused=None):  # fmt: skip
        check_range("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _rule(self, group):
        if not group["momentum"]:
            return "sgd", (), (), ()
        return "momentum", ("momentum_buffer",), (), (("momentum",), ("dampening",), ("nesterov",))

    def _new_state(self, parameter, group):
        # Such that the kernel's b = momentum b + (1 - dampening) g makes the first b the gradient itself.
        state = super()._new_state(parameter, group)
        if group["momentum"] and group["dampening"]:
            with fastdl.no_grad():
                gradient = -parameter.grad if group["maximize"] else parameter.grad
                if group["weight_decay"]:
                    gradient = gradient + group["weight_decay"] * parameter
                state["momentum_buffer"].add_(gradient * (group["dampening"] / group["momentum"]))
        return state
