"""The helpers of discrete Fourier transforms with names of `torch.fft`.

The transforms themselves have complex results, which fastdl has no dtype for; `fastdl.stft` gives real and imaginary
parts side by side.
"""

from .functions import arange
from .rearrange import roll
from .settings import get_default_dtype
from .tensor import ValueError

__all__ = ["fftfreq", "fftshift", "ifftshift", "rfftfreq"]


def fftfreq(n, d=1.0, *, dtype=None, device=None, requires_grad=False):
    """The frequencies of a transform of n samples, d apart: 0, 1, ..., -2, -1 divided by n d.

    >>> import fastdl as fd
    >>> fd.fft.fftfreq(4)
    tensor([ 0.  ,  0.25, -0.5 , -0.25])
    """
    if n <= 0:
        raise ValueError(f"fftfreq: n {n}, expected at least 1")
    places = arange(n, device=device)
    out = ((places + n // 2) % n - n // 2).to(dtype or get_default_dtype()) / (n * d)
    return out.requires_grad_() if requires_grad else out


def rfftfreq(n, d=1.0, *, dtype=None, device=None, requires_grad=False):
    """The frequencies of a transform of n real samples, d apart: 0, 1, ..., n / 2 divided by n d."""
    if n <= 0:
        raise ValueError(f"rfftfreq: n {n}, expected at least 1")
    out = arange(n // 2 + 1, dtype=dtype or get_default_dtype(), device=device) / (n * d)
    return out.requires_grad_() if requires_grad else out


def _shift(input, dim, half):
    dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    return roll(input, tuple(half(input.size(d)) for d in dims), tuple(dims)) if dims else input.clone()


def fftshift(input, dim=None):
    """The order with frequency 0 in the middle, along `dim` (all when None).

    >>> import fastdl as fd
    >>> fd.fft.fftshift(fd.fft.fftfreq(4))
    tensor([-0.5 , -0.25,  0.  ,  0.25])
    """
    return _shift(input, dim, lambda n: n // 2)


def ifftshift(input, dim=None):
    """The inverse of `fftshift`."""
    return _shift(input, dim, lambda n: -(n // 2))
