"""Adam for gradients that are zero in most rows."""

import math

import fastdl
from fastdl.optim.optimizer import Optimizer, check_betas


class SparseAdam(Optimizer):
    """:class:`Adam` for the rows of a parameter (along its first dimension) that have a gradient other than zero; the
    others, and their means, stay as they are.

    Gradients are dense here, also an embedding's: the rows are found by their values. In PyTorch, where an embedding has
    sparse gradients and the optimizer takes no others, a row that was looked up is updated even if its gradient is zero.

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr, betas, eps: as in Adam; eps is added to sqrt(v) before its correction.
        maximize: ascend.

    Raises:
        ValueError: an option out of range.

    >>> table = fd.ones(3, 2, requires_grad=True)
    >>> optimizer = fd.optim.SparseAdam([table], lr=0.5)
    >>> table[1].sum().backward()
    >>> optimizer.step()
    >>> [round(x, 4) for x in table[:, 0].tolist()]
    [1.0, 0.5, 1.0]
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False):
        if not 0.0 < lr:
            raise ValueError(f"SparseAdam: invalid lr: {lr}")
        if not 0.0 < eps:
            raise ValueError(f"SparseAdam: invalid eps: {eps}")
        check_betas("SparseAdam", betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def _state_keys(self, group):
        return ("step", "exp_avg", "exp_avg_sq")

    def _new_state(self, parameter, group):
        return {"step": 0, "exp_avg": fastdl.zeros_like(parameter), "exp_avg_sq": fastdl.zeros_like(parameter)}

    def _update_parameter(self, parameter, gradient, state, group):
        state["step"] += 1
        g = -gradient if group["maximize"] else gradient
        touched = g != 0
        if touched.ndim > 1:
            touched = touched.flatten(1).any(1)
        rows = touched.reshape(-1).nonzero().squeeze(1)
        if rows.numel() == 0:
            return
        beta1, beta2 = group["betas"]
        at = rows if parameter.ndim else ()
        g = g[at]
        mean = state["exp_avg"][at].lerp(g, 1 - beta1)
        square = state["exp_avg_sq"][at].lerp(g * g, 1 - beta2)
        state["exp_avg"][at], state["exp_avg_sq"][at] = mean, square
        correction1, correction2 = 1 - beta1 ** state["step"], 1 - beta2 ** state["step"]
        step = float(group["lr"]) * math.sqrt(correction2) / correction1
        parameter[at] = parameter[at] - step * mean / (square.sqrt() + group["eps"])
