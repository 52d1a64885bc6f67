"""Helpers around parameters and their gradients."""

import math

import fastdl
from fastdl.autograd import no_grad
from fastdl.nn import functional as F
from fastdl.tensor import Tensor


def _with_grad(parameters):
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in parameters if p.grad is not None]


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of all elements of all tensors, as if they were one vector.

    Raises:
        Error (a RuntimeError): with ``error_if_nonfinite``, a norm that is infinite or NaN.

    >>> nn.utils.get_total_norm([fd.tensor([3.0]), fd.tensor([4.0])]).item()
    5.0
    """
    tensors, norm_type = [tensors] if isinstance(tensors, Tensor) else list(tensors), float(norm_type)
    if not tensors:
        return fastdl.tensor(0.0)
    with no_grad():
        total = fastdl.stack([t.norm(norm_type) for t in tensors]).norm(norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise fastdl.Error(
            f"the total norm of order {norm_type} for gradients is non-finite, so it cannot be clipped; "
            f"error_if_nonfinite=False would scale by it anyway"
        )
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Multiplies all gradients by ``max_norm / (total_norm + 1e-6)`` where that is below 1.

    >>> w = fd.zeros(1, requires_grad=True)
    >>> w.grad = fd.tensor([4.0])
    >>> nn.utils.clip_grads_with_norm_(w, 1.0, fd.tensor(8.0))
    >>> round(w.grad.item(), 4)
    0.5
    """
    gradients = _with_grad(parameters)
    if gradients:
        with no_grad():
            factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
            for gradient in gradients:
                gradient.mul_(factor.to(gradient.dtype))


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scales all gradients down together so that their total norm is at most ``max_norm``; returns the norm before.

    Args:
        parameters: an iterable of parameters, or one.
        max_norm: the largest total norm.
        norm_type: its order, ``inf`` for the largest element.
        error_if_nonfinite: raise when the norm is infinite or NaN.

    Raises:
        Error (a RuntimeError): see error_if_nonfinite; the gradients are unchanged.

    Source: Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.

    >>> w = fd.zeros(2, requires_grad=True)
    >>> w.grad = fd.tensor([3.0, 4.0])
    >>> nn.utils.clip_grad_norm_([w], 1.0).item()
    5.0
    >>> [round(g, 3) for g in w.grad.tolist()]
    [0.6, 0.8]
    """
    parameters, norm_type = [parameters] if isinstance(parameters, Tensor) else list(parameters), float(norm_type)
    if norm_type in (1, 2, math.inf):
        return F.clip_total_norm_(_with_grad(parameters), max_norm, norm_type, error_if_nonfinite)
    total = get_total_norm(_with_grad(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Clamps every element of the gradients to [-clip_value, clip_value].

    >>> w = fd.zeros(2, requires_grad=True)
    >>> w.grad = fd.tensor([3.0, -0.5])
    >>> nn.utils.clip_grad_value_(w, 1.0)
    >>> w.grad.tolist()
    [1.0, -0.5]
    """
    with no_grad():
        for gradient in _with_grad(parameters):
            gradient.clamp_(-float(clip_value), float(clip_value))


def parameters_to_vector(parameters):
    """All parameters' elements in one 1-d tensor, in order.

    >>> nn.utils.parameters_to_vector([fd.ones(2), fd.zeros(1, 1)]).tolist()
    [1.0, 1.0, 0.0]
    """
    return fastdl.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec, parameters):
    """Copies consecutive elements of a 1-d tensor into the parameters, in order.

    Raises:
        ShapeError: the vector has another number of elements than the parameters; nothing is changed then.

    >>> w = nn.Parameter(fd.zeros(2, 1))
    >>> nn.utils.vector_to_parameters(fd.tensor([1.0, 2.0]), [w])
    >>> w.tolist()
    [[1.0], [2.0]]
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected a tensor, but got {type(vec).__name__}")
    parameters = list(parameters)
    total = sum(p.numel() for p in parameters)
    if vec.ndim != 1 or vec.numel() != total:
        raise fastdl.ShapeError(
            f"vector_to_parameters: vector {list(vec.shape)} for parameters of {total} elements in all"
        )
    begin = 0
    with no_grad():
        for p in parameters:
            p.copy_(vec[begin : begin + p.numel()].view(p.shape))
            begin += p.numel()
