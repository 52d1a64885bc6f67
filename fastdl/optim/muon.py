"""Muon."""

import math

import fastdl
from fastdl.optim.optimizer import Optimizer, check_range


def orthogonalize(matrix, coefficients, steps, eps):
    """Singular values pushed towards 1 by ``steps`` iterations x = a x + (b y + c y^2) x with y = x x^T, in bfloat16.

    >>> x = orthogonalize(fd.tensor([[2.0, 0.0], [0.0, 2.0]]), (3.4445, -4.775, 2.0315), 5, 1e-7)
    >>> 0.6 < x[0, 0].item() < 1.2
    True
    """
    a, b, c = coefficients
    x = matrix.to(fastdl.bfloat16)
    wide = matrix.shape[0] <= matrix.shape[1]
    if not wide:
        x = x.T
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        y = x @ x.T
        y = fastdl.addmm(y, y, y, beta=b, alpha=c)
        x = fastdl.addmm(x, y, x, beta=a)
    return x if wide else x.T


class Muon(Optimizer):
    """b = momentum b + (1 - momentum) g; p = p (1 - lr weight_decay) - lr' O, with O the orthogonal factor of b, or with
    ``nesterov`` of (1 - momentum) g + momentum b, by the iteration of Newton and Schulz.

    For the matrices of hidden layers; biases, embeddings and outputs are trained by AdamW.

    Args:
        params: parameters of two dimensions or groups of them, see :class:`Optimizer`.
        lr, weight_decay, momentum, nesterov: as in the formula.
        ns_coefficients, ns_steps: of the iteration.
        eps: the least norm that b is divided by.
        adjust_lr_fn: lr' for a parameter (A, B): "original" (as None) lr sqrt(max(1, A / B)); "match_rms_adamw"
            0.2 lr sqrt(max(A, B)).

    Raises:
        ValueError: an option out of range, or a parameter that is no matrix.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; Liu et al., "Muon is scalable
    for LLM training", 2025.

    >>> w = fd.ones(2, 2, requires_grad=True)
    >>> optimizer = fd.optim.Muon([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> bool((w < 1).all())
    True
    """

    def __init__(self, params, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True,
                 ns_coefficients=(3.4445, -4.775, 2.0315), eps=1e-7, ns_steps=5, adjust_lr_fn=None):  # fmt: skip
        check_range("Muon", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Muon: unknown adjust_lr_fn {adjust_lr_fn!r}, expected 'original' or 'match_rms_adamw'")
        if len(ns_coefficients) != 3:
            raise ValueError(f"Muon: expected three ns_coefficients, got {len(ns_coefficients)}")
        if not 0 <= ns_steps < 100:
            raise ValueError(f"Muon: ns_steps must be at least 0 and less than 100, got {ns_steps}")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group):
        """As in :class:`Optimizer`; refuses parameters that are no matrices."""
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if p.ndim != 2:
                self.param_groups.pop()
                raise ValueError(f"Muon: only matrices are supported, got a parameter of shape {list(p.shape)}")

    def _state_keys(self, group):
        return ("momentum_buffer",)

    def _new_state(self, parameter, group):
        return {"momentum_buffer": fastdl.zeros_like(parameter)}

    def _update_parameter(self, parameter, gradient, state, group):
        lr, momentum = float(group["lr"]), group["momentum"]
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        update = gradient.lerp(buffer, momentum) if group["nesterov"] else buffer
        update = orthogonalize(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = parameter.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        else:
            scale = math.sqrt(max(1, rows / columns))
        parameter.mul_(1 - lr * group["weight_decay"])
        parameter.add_(update.to(parameter.dtype), alpha=-lr * scale)
