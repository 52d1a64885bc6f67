"""Adafactor."""

import math

import fastdl
from fastdl.optim.optimizer import Optimizer, check_range

_EPSILON = {fastdl.float64: 2.0**-52, fastdl.float32: 2.0**-23, fastdl.float16: 2.0**-10, fastdl.bfloat16: 2.0**-7}


class Adafactor(Optimizer):
    """Adam without momentum, whose squares are kept as the product of a row's and a column's mean: v = r c / mean(r).

    b = 1 - t^beta2_decay; r and c are running means, of rate b, of g^2 over the last and the last but one dimension (for
    vectors v itself is kept); u = g / max(sqrt(v), eps[0]); p = p (1 - lr weight_decay) - a u / max(1, rms(u) / d) with
    a = max(eps[1], rms(p)) min(lr, 1 / sqrt(t)).

    Args:
        params: parameters or groups, see :class:`Optimizer`.
        lr: the largest relative step, and the rate of the weight decay.
        beta2_decay, eps, d, weight_decay: as in the formula; eps[0] = None is the dtype's epsilon.
        foreach: accepted and without effect.
        maximize: ascend.

    Raises:
        ValueError: an option out of range.

    Source: Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018, with the use of lr
    and eps[0] that PyTorch gives them.

    >>> w = fd.ones(2, 2, requires_grad=True)
    >>> optimizer = fd.optim.Adafactor([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w[0, 0].item(), 4)
    0.5
    """

    def __init__(self, params, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, *, foreach=None,
                 maximize=False):  # fmt: skip
        check_range("Adafactor", lr=lr, eps=eps[1], weight_decay=weight_decay)
        if eps[0] is not None:
            check_range("Adafactor", eps=eps[0])
        if not beta2_decay <= 0.0:
            raise ValueError(f"Adafactor: beta2_decay should be <= 0 but is {beta2_decay}")
        if not d >= 1.0:
            raise ValueError(f"Adafactor: the clipping threshold d should be >= 1 but is {d}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _state_keys(self, group):
        return ("step",)

    def _new_state(self, parameter, group):
        step = fastdl.zeros((), dtype=fastdl.float32)
        if parameter.ndim < 2:
            return {"step": step, "variance": fastdl.zeros_like(parameter)}
        *batch, rows, columns = parameter.shape
        like = {"dtype": parameter.dtype, "device": parameter.device}
        return {
            "step": step,
            "row_var": fastdl.zeros((*batch, rows, 1), **like),
            "col_var": fastdl.zeros((*batch, 1, columns), **like),
        }

    def _update_parameter(self, parameter, gradient, state, group):
        if group["maximize"]:
            gradient = -gradient
        state["step"] += 1
        t, lr, (eps1, eps2) = state["step"].item(), float(group["lr"]), group["eps"]
        if eps1 is None:
            eps1 = _EPSILON[parameter.dtype]
        rate, size = t ** group["beta2_decay"], math.sqrt(parameter.numel())
        if parameter.numel() == 0:
            return
        step = max(eps2, parameter.norm().item() / size) * min(lr, 1 / math.sqrt(t))
        if group["weight_decay"]:
            parameter.mul_(1 - lr * group["weight_decay"])
        square = gradient * gradient
        if parameter.ndim < 2:
            variance = state["variance"].lerp_(square, rate)
        else:
            row, column = state["row_var"], state["col_var"]
            row.lerp_(square.mean(-1, keepdim=True), rate)
            column.lerp_(square.mean(-2, keepdim=True), rate)
            variance = row @ column / row.mean(-2, keepdim=True).clamp(min=eps1)
        update = variance.clamp(min=eps1 * eps1).rsqrt() * gradient
        clipped = max(1.0, update.norm().item() / (size * group["d"]))
        parameter.add_(update, alpha=-step / clipped)
