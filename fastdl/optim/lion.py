"""Lion."""

from fastdl.optim.optimizer import check_betas, check_range
from fastdl.optim.rule import BETAS, RuleOptimizer


class Lion(RuleOptimizer):
    """p = p (1 - lr weight_decay) - lr sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g.

    Every element moves by lr: rates 3 to 10 times below Adam's, and weight decays as much above, do the same.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, betas, weight_decay: as in the formula.
        maximize: ascend.

    Raises:
        ValueError: an option out of range.

    Source: Chen et al., "Symbolic discovery of optimization algorithms", 2023.

    >>> w = fd.tensor([1.0], requires_grad=True)
    >>> optimizer = fd.optim.Lion([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    0.5
    """

    _decoupled = True

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, *, maximize=False):
        check_range("Lion", lr=lr, weight_decay=weight_decay)
        check_betas("Lion", betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _rule(self, group):
        return "lion", ("exp_avg",), (), BETAS
