"""Ready parametrizations: weight norm, spectral norm, orthogonal matrices."""

import fastdl
from fastdl.autograd import no_grad
from fastdl.nn import functional as F
from fastdl.nn.module import Module
from fastdl.nn.utils.parametrize import register_parametrization
from fastdl.nn.utils.spectral_norm import as_matrix, output_dim, power_method
from fastdl.nn.utils.weight_norm import norm_except_dim
from fastdl.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _tensor_of(module, name):
    tensor = getattr(module, name, None)
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{type(module).__name__} has no parameter or buffer named {name!r}")
    return tensor


class _WeightNorm(Module):
    def __init__(self, dim=0):
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight):
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module, name="weight", dim=0):
    """weight = g v / |v|: lengths ``original0`` and directions ``original1`` are trained in place of ``weight``.

    Args:
        name: which parameter.
        dim: its slices along this dimension have a length each; None: one for all.

    A state_dict of the older :func:`fastdl.nn.utils.weight_norm` (``weight_g``, ``weight_v``) loads too.

    Salimans and Kingma, "Weight normalization", 2016.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
    >>> layer.parametrizations.weight.original0.shape
    (40, 1)
    """
    _tensor_of(module, name)
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def load_older(module, state_dict, prefix, *_):
        old = f"{prefix}{name}_g", f"{prefix}{name}_v"
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module.register_load_state_dict_pre_hook(load_older)
    return module


class _SpectralNorm(Module):
    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12):
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(f"spectral_norm: dim {dim} is out of range for a weight of {list(weight.shape)}")
        if n_power_iterations <= 0:
            raise ValueError(f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}")
        self.dim, self.eps = dim % weight.ndim, eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            for name, size in (("_u", matrix.shape[0]), ("_v", matrix.shape[1])):
                start = fastdl.randn(size, dtype=weight.dtype, device=weight.device)
                self.register_buffer(name, F.normalize(start, dim=0, eps=eps))
            power_method(matrix.T, self._v, self._u, 15, eps)  # u first, as PyTorch does here

    def forward(self, weight):
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            power_method(matrix.T, self._v, self._u, self.n_power_iterations, self.eps)
        u, v = self._u.clone(), self._v.clone()  # the next call changes them in place
        return weight / u.dot(matrix @ v)

    def right_inverse(self, value):
        return value


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """weight = original / its largest singular value, which a power iteration at each use in training follows.

    Args:
        name: which parameter.
        n_power_iterations: at each use in training.
        eps: keeps the iteration's norms from 0.
        dim: the outputs' dimension, 0 when left out, 1 for transposed convolutions.

    Miyato et al., "Spectral normalization for generative adversarial networks", 2018.

    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 40)).eval()
    >>> list(layer.state_dict())
    ['bias', 'parametrizations.weight.original', 'parametrizations.weight.0._u', 'parametrizations.weight.0._v']
    """
    weight = _tensor_of(module, name)
    dim = output_dim(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


# --- orthogonal matrices ---


def _orthogonalized(matrix):
    """A square matrix itself if it is orthogonal, else Q of its QR decomposition with R's diagonal positive."""
    n = matrix.shape[-1]
    one = fastdl.eye(n, dtype=matrix.dtype, device=matrix.device)
    rounding = 2.0**-52 if matrix.dtype == fastdl.float64 else 2.0**-23
    if bool(((matrix.transpose(-2, -1) @ matrix - one).abs() <= 10 * n * rounding).all()):
        return matrix.clone()
    q, r = fastdl.linalg.qr(matrix)
    return q * fastdl.where(r.diagonal(0, -2, -1) < 0, -1.0, 1.0).to(q.dtype).unsqueeze(-2)


class _Orthogonal(Module):
    """Matrices with orthonormal columns, or rows where there are more columns.

    The map's result for X is multiplied by ``base``, so that X starts where the map is the identity.
    """

    def __init__(self, weight, orthogonal_map, use_trivialization):
        super().__init__()
        self.shape, self.orthogonal_map, self.use_trivialization = weight.shape, orthogonal_map, use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x):
        wide = x.shape[-2] < x.shape[-1]
        x = x.transpose(-2, -1) if wide else x
        n, k = x.shape[-2:]
        if self.orthogonal_map == "householder":
            vectors = x.tril(-1)
            q = fastdl.linalg.householder_product(vectors, 2.0 / (1.0 + (vectors * vectors).sum(-2)))
            q = q * x.diagonal(0, -2, -1).detach().trunc().unsqueeze(-2)
        else:
            lower = x.tril()
            if n != k:
                zeros = fastdl.zeros(*x.shape[:-1], n - k, dtype=x.dtype, device=x.device)
                lower = fastdl.cat((lower, zeros), -1)
            skew = lower - lower.transpose(-2, -1)
            if self.orthogonal_map == "matrix_exp":
                q = fastdl.linalg.matrix_exp(skew)
            else:
                one = fastdl.eye(n, dtype=x.dtype, device=x.device).expand(*skew.shape)
                q = fastdl.linalg.solve(one - 0.5 * skew, one + 0.5 * skew)
            q = q[..., :k]
        if self.use_trivialization:
            q = self.base @ q
        return q.transpose(-2, -1) if wide else q

    def right_inverse(self, q):
        if q.shape != self.shape:
            raise fastdl.ShapeError(f"orthogonal: expected {list(self.shape)}, got {list(q.shape)}")
        wide = q.shape[-2] < q.shape[-1]
        with no_grad():
            columns = q.detach().transpose(-2, -1) if wide else q.detach()
            n, k = columns.shape[-2:]
            if not self.use_trivialization:
                vectors = self._vectors(columns)
                return vectors.transpose(-2, -1) if wide else vectors
            if n != k:
                more = fastdl.randn(*columns.shape[:-1], n - k, dtype=q.dtype, device=q.device)
                columns = fastdl.cat((columns, more), -1)
            self.base = _orthogonalized(columns)
            return (-fastdl.eye(*q.shape[-2:], dtype=q.dtype, device=q.device)).expand(*q.shape).clone()

    def _vectors(self, columns):
        """The reflections whose product has these columns, with the signs of R's diagonal on theirs."""
        if self.orthogonal_map != "householder":
            raise NotImplementedError("orthogonal: only householder can be assigned to without trivialization")
        import numpy

        factors, tau = numpy.linalg.qr(columns.numpy(force=True), mode="raw")
        factors = numpy.swapaxes(factors, -2, -1).copy()
        diagonal = numpy.einsum("...ii->...i", factors[..., : columns.shape[-1], :])
        diagonal[...] = numpy.where(tau == 0, -1, 1) * numpy.sign(diagonal)
        return fastdl.tensor(factors, dtype=columns.dtype).to(device=columns.device)


def orthogonal(module, name="weight", orthogonal_map=None, *, use_trivialization=True):
    """The weight becomes a matrix with orthonormal columns, or rows where there are more columns, and stays one in training.

    Args:
        name: which parameter, (..., m, n).
        orthogonal_map: from unconstrained matrices: "matrix_exp" (exp of a skew-symmetric one; for square weights when
            None), "cayley" ((1 + A / 2) (1 - A / 2)^-1 of one) or "householder" (a product of reflections; for others).
        use_trivialization: move the map's origin to the weight as it is, or to the nearest by QR.

    Raises:
        ValueError: no such tensor or map. ShapeError: a vector.

    Lezcano-Casado, "Trivializations for gradient-based optimization on manifolds", 2019.
    """
    weight = _tensor_of(module, name)
    if weight.ndim < 2:
        raise fastdl.ShapeError(f"orthogonal: expected a matrix or several, got {list(weight.shape)}")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f'orthogonal: orthogonal_map must be "matrix_exp", "cayley" or "householder", got {orthogonal_map!r}'
        )
    return register_parametrization(module, name, _Orthogonal(weight, orthogonal_map, use_trivialization), unsafe=True)
