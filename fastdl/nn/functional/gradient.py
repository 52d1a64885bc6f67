"""Operations on gradients."""

from fastdl import _C

__all__ = [
    "clip_total_norm_",
]


def clip_total_norm_(gradients, max_norm, norm_type, error_if_nonfinite):
    """Scales tensors in place so that their norm, as one vector, is at most ``max_norm``; returns the norm before.

    One pass for the norm and one to scale. ``norm_type`` is 1, 2 or inf. See :func:`fastdl.nn.utils.clip_grad_norm_`.

    >>> g = fd.tensor([3.0, 4.0])
    >>> F.clip_total_norm_([g], 2.5, 2.0, False).item()
    5.0
    """
    return _C.clip_grad_norm_(gradients, max_norm, norm_type, error_if_nonfinite)
