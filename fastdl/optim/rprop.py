"""Resilient propagation."""

from fastdl.optim.optimizer import check_range
from fastdl.optim.rule import RuleOptimizer


class Rprop(RuleOptimizer):
    """p = p - sign(g) s: the step size s grows by etas[1] while the gradient keeps its sign, and shrinks by etas[0] when it
    turns, for which element then no step is made.

    For whole batches: the size of the gradient plays no part.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr: the first step size.
        etas: the factors below and above 1.
        step_sizes: the smallest and the largest step size.
        maximize: ascend.
        foreach, capturable: accepted and without effect, all parameters are updated in one pass.

    Raises:
        ValueError: an option out of range.

    Source: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning", 1993.

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.Rprop([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.5
    """

    def __init__(self, params, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), *, capturable=False, foreach=None,
                 maximize=False, differentiable=False):  # fmt: skip
        check_range("Rprop", lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Rprop: invalid etas: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _rule(self, group):
        return (
            "rprop",
            ("prev", "step_size"),
            ("step",),
            (("etas", 0), ("etas", 1), ("step_sizes", 0), ("step_sizes", 1)),
        )

    def _initial(self, key, group):
        return float(group["lr"]) if key == "step_size" else 0.0
