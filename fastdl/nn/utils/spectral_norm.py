"""Weights divided by their largest singular value, computed before each call (the older interface)."""

import fastdl
from fastdl.autograd import no_grad
from fastdl.nn import functional as F
from fastdl.nn.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from fastdl.nn.utils.computed import ComputedAttribute, attach, remove

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]


def output_dim(module):
    """The dimension of a module's weight that its outputs are along."""
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


def as_matrix(weight, dim):
    """The weight with ``dim`` as rows and all else as columns."""
    return weight.movedim(dim, 0).flatten(1)


def power_method(matrix, u, v, iterations, eps):
    """Moves u and v in place towards the matrix's first singular vectors."""
    with no_grad():
        matrix = matrix.detach()
        for _ in range(iterations):
            v.copy_(F.normalize(matrix.T @ u, dim=0, eps=eps))
            u.copy_(F.normalize(matrix @ v, dim=0, eps=eps))


class SpectralNorm(ComputedAttribute):
    """The forward pre-hook of :func:`spectral_norm`: sets ``name`` to the weight over its largest singular value."""

    title = "spectral_norm"

    def __init__(self, name="weight", n_power_iterations=1, dim=0, eps=1e-12):
        if n_power_iterations <= 0:
            raise ValueError(f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}")
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def compute(self, module):
        """The weight divided by u^T W v, in training after more power iterations."""
        return self.divided(module, module.training)

    def divided(self, module, iterate):
        """The weight divided by u^T W v, after more power iterations if asked for."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = as_matrix(weight, self.dim)
        if iterate:
            power_method(matrix, u, v, self.n_power_iterations, self.eps)
            u, v = u.clone(), v.clone()  # the next call changes them in place
        return weight / u.dot(matrix @ v)


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """weight = weight_orig / its largest singular value, which a power iteration before each call in training follows.

    Args:
        name: which parameter.
        n_power_iterations: a call in training.
        eps: keeps the iteration's norms from 0.
        dim: the outputs' dimension, 0 when left out, 1 for transposed convolutions.

    Parameters and buffers: ``weight_orig``, ``weight_u``, ``weight_v``.

    Raises:
        RuntimeError: it has a spectral norm already. ValueError: no power iterations.

    Miyato et al., "Spectral normalization for generative adversarial networks", 2018.

    >>> layer = nn.utils.spectral_norm(nn.Linear(20, 40))
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    hook = SpectralNorm(name, n_power_iterations, output_dim(module) if dim is None else dim, eps)
    weight = getattr(module, name)
    rows, columns = as_matrix(weight.detach(), hook.dim).shape
    u, v = (
        F.normalize(fastdl.randn(n, dtype=weight.dtype, device=weight.device), dim=0, eps=eps) for n in (rows, columns)
    )
    return attach(module, hook, weight.detach(), {"orig": weight}, {"u": u, "v": v})


def remove_spectral_norm(module, name="weight"):
    """Makes the weight an ordinary parameter again, with its present value.

    Raises:
        ValueError: it has no spectral norm.

    >>> list(nn.utils.remove_spectral_norm(nn.utils.spectral_norm(nn.Linear(2, 2))).state_dict())
    ['bias', 'weight']
    """
    present = lambda hook, module: hook.divided(module, False)
    return remove(module, SpectralNorm, name, ("orig", "u", "v"), present)
