"""Eigenvalues and eigenvectors of general matrices, which are complex even where the matrix is real."""

from .complex_tensor import complex, view_as_complex, view_as_real
from .elementwise import where
from .functions import eye
from .host import HostOp
from .rearrange import cat
from .results import result
from .tensor import DTypeError, ShapeError, Tensor

__all__ = ["eig", "eigvals"]

Eigen = result("eigenvalues", "eigenvectors")


def _numbers(np, a, paired):
    return a[..., 0] + 1j * a[..., 1] if paired else a


def _pairs(np, numbers, dtype):
    return np.stack([numbers.real, numbers.imag], -1).astype(dtype)


def _solve(a, b):
    """A^-1 B of complex matrices: [[Re A, -Im A], [Im A, Re A]] [Re X; Im X] = [Re B; Im B]."""
    from .linalg import solve

    n = a.shape[-1]
    rows = cat([cat([a.real, -a.imag], -1), cat([a.imag, a.real], -1)], -2)
    x = solve(rows, cat([b.real, b.imag], -2))
    return complex(x.narrow(-2, 0, n), x.narrow(-2, n, n))


def _op(paired):
    """(values, vectors) as pairs, of a real matrix or of pairs."""

    def forward(np, a):
        values, vectors = np.linalg.eig(_numbers(np, a, paired))
        return _pairs(np, values, a.dtype), _pairs(np, vectors, a.dtype)

    def gradient(g, x, y):
        of_values, of_vectors = map(view_as_complex, g)
        values, vectors = map(view_as_complex, y)
        adjoint = vectors.mH
        inner = adjoint @ of_vectors
        # The vectors' lengths are fixed: what would change them is taken away.
        inner = inner - adjoint @ (vectors * inner.diagonal(0, -2, -1).real[..., None, :])
        diagonal = eye(values.shape[-1], dtype=x[0].dtype, device=values.device) != 0
        gaps = where(diagonal, 1.0, (values[..., None, :] - values[..., :, None]).conj())
        inner = where(diagonal, of_values[..., None, :], inner / gaps)
        out = _solve(adjoint, inner @ adjoint)
        return view_as_real(out) if paired else out.real

    return HostOp("eig", forward, gradient)


_OPS = {paired: _op(paired) for paired in (False, True)}


def eig(A):
    """The eigenvalues of square matrices, in LAPACK's order, and the eigenvectors of length 1 as columns: complex.

    The gradient exists for distinct eigenvalues, and of what does not depend on the vectors' phases.

    Args:
        A: (*, n, n), float32, float64 or complex.

    Raises:
        ShapeError: matrices that are not square. DTypeError: another dtype.

    >>> import fastdl as fd
    >>> fd.linalg.eig(fd.tensor([[0.0, -1.0], [1.0, 0.0]])).eigenvalues
    tensor([0.+1.j, 0.-1.j])
    """
    if not isinstance(A, Tensor):
        raise TypeError(f"eig: expected a tensor, not {type(A).__name__}")
    if A.dtype.name not in ("float32", "float64", "complex64", "complex128"):
        raise DTypeError(f"eig: expected float32, float64 or complex, got {A.dtype}")
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"eig: expected square matrices, got shape {list(A.shape)}")
    paired = A.is_complex()
    values, vectors = _OPS[paired](view_as_real(A) if paired else A)
    return Eigen((view_as_complex(values), view_as_complex(vectors)))


def eigvals(A):
    """The eigenvalues of square matrices; see `eig`."""
    return eig(A).eigenvalues
