"""The matrix functions of the top level: `fastdl.linalg`, which is loaded when one of them is called, under older names."""

from ._C import Tensor, ValueError
from .results import result

__all__ = [
    "cholesky", "cholesky_inverse", "cholesky_solve", "det", "geqrf", "inverse", "lobpcg", "logdet", "lu", "lu_solve",
    "lu_unpack", "matrix_exp", "orgqr", "ormqr", "pca_lowrank", "pinverse", "qr", "slogdet", "svd", "svd_lowrank", "triangular_solve",
]  # fmt: skip

USV = result("U", "S", "V")
Solution = result("solution", "cloned_coefficient")


def cholesky(input, upper=False):
    """See `fastdl.linalg.cholesky`."""
    from .linalg import cholesky

    return cholesky(input, upper=upper)


def cholesky_inverse(L, upper=False):
    """The inverse of a matrix from its Cholesky factor; see `fastdl.linalg.cholesky`."""
    from .linalg import cholesky_inverse

    return cholesky_inverse(L, upper)


def cholesky_solve(B, L, upper=False):
    """X with A X = B from A's Cholesky factor; see `fastdl.linalg.cholesky`."""
    from .linalg import cholesky_solve

    return cholesky_solve(B, L, upper)


def det(input):
    """See `fastdl.linalg.det`."""
    from .linalg import det

    return det(input)


def slogdet(input):
    """See `fastdl.linalg.slogdet`."""
    from .linalg import slogdet

    return slogdet(input)


def logdet(input):
    """The logarithm of the determinant; NaN where that is negative."""
    from .linalg import logdet

    return logdet(input)


def inverse(input):
    """See `fastdl.linalg.inv`."""
    from .linalg import inv

    return inv(input)


def pinverse(input, rcond=1e-15):
    """See `fastdl.linalg.pinv`; singular values below rcond times the largest one count as 0."""
    from .linalg import pinv

    return pinv(input, rtol=rcond)


def lu(A, pivot=True, get_infos=False):
    """See `fastdl.linalg.lu_factor`; with `get_infos`, `lu_factor_ex`."""
    from .linalg import lu_factor, lu_factor_ex

    return (lu_factor_ex if get_infos else lu_factor)(A, pivot=pivot)


def geqrf(input):
    """QR as LAPACK keeps it: R and, below it, the reflections whose product is Q; and their factors tau."""
    from .factors import geqrf

    return geqrf(input)


def orgqr(input, input2):
    """See `fastdl.linalg.householder_product`: Q from `geqrf`."""
    from .linalg import householder_product

    return householder_product(input, input2)


def ormqr(input, input2, input3, left=True, transpose=False):
    """Q, or Q^T if `transpose`, from `geqrf`, times `input3`; on the right of it unless `left`."""
    from .factors import ormqr

    return ormqr(input, input2, input3, left, transpose)


def lobpcg(A, *args, **kwargs):
    """The k largest (or smallest) eigenvalues of a symmetric matrix, and their vectors; see `fastdl.factors.lobpcg`."""
    from .factors import lobpcg

    return lobpcg(A, *args, **kwargs)


def lu_solve(b, LU_data, LU_pivots):
    """See `fastdl.linalg.lu_solve`."""
    from .linalg import lu_solve

    return lu_solve(LU_data, LU_pivots, b)


def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """P, L and U from what `fastdl.linalg.lu_factor` gives; what is not asked for is empty."""
    from .linalg import lu_unpack

    return lu_unpack(LU_data, LU_pivots, unpack_data, unpack_pivots)


def matrix_exp(input):
    """See `fastdl.linalg.matrix_exp`."""
    from .linalg import matrix_exp

    return matrix_exp(input)


def qr(input, some=True):
    """See `fastdl.linalg.qr`: mode 'reduced' if `some`, else 'complete'."""
    from .linalg import qr

    return qr(input, "reduced" if some else "complete")


def svd(input, some=True, compute_uv=True):
    """As `fastdl.linalg.svd`, but with V instead of its transpose; reduced if `some`.

    >>> import fastdl as fd
    >>> U, S, V = fd.svd(fd.tensor([[3.0, 0.0], [0.0, 2.0]]))
    >>> S
    tensor([3., 2.])
    """
    from .linalg import svd, svdvals

    if not compute_uv:
        m, n = input.shape[-2:]
        batch = input.shape[:-2]
        return USV((input.new_zeros(*batch, m, m), svdvals(input), input.new_zeros(*batch, n, n)))
    u, s, vh = svd(input, full_matrices=not some)
    return USV((u, s, vh.mT))


def svd_lowrank(A, q=6, niter=2, M=None):
    """The q largest singular values and their vectors, approximately, by products with a random matrix.

    Halko, Martinsson and Tropp, Finding Structure with Randomness (2009), algorithm 5.1.

    Args:
        A: (*, m, n).
        q: more than the values that matter, at most min(m, n).
        niter: iterations of subspaces, which sharpen the result.
        M: subtracted from A if given.
    """
    from .linalg import qr, svd
    from .random import randn

    A = A if M is None else A - M
    if not 0 <= q <= min(A.shape[-2:]):
        raise ValueError(f"svd_lowrank: q {q} for a matrix of shape {list(A.shape)}")
    if niter < 0:
        raise ValueError(f"svd_lowrank: niter {niter} must not be negative")
    Q = qr(A @ randn(A.shape[-1], q, dtype=A.dtype, device=A.device)).Q
    for _ in range(niter):
        Q = qr(A @ qr(A.mT @ Q).Q).Q
    u, s, vh = svd(Q.mT @ A, full_matrices=False)
    return USV((Q @ u, s, vh.mT))


def pca_lowrank(A, q=None, center=True, niter=2):
    """The q principal axes of observations in rows, approximately: `svd_lowrank` of A without its mean row.

    Args:
        A: (*, observations, variables).
        q: 6, or fewer if A is smaller, when None.
    """
    q = min(6, *A.shape[-2:]) if q is None else q
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


def triangular_solve(b, A, upper=True, transpose=False, unitriangular=False):
    """X with A X = b for the upper or lower triangle of A (A^T if `transpose`), and A; see `linalg.solve_triangular`."""
    from .linalg import solve_triangular

    x = solve_triangular(A.mT if transpose else A, b, upper=upper != transpose, unitriangular=unitriangular)
    return Solution((x, A))


def _stft(self, n_fft, *args, **kwargs):
    """See `fastdl.stft`."""
    from .spectral import stft

    return stft(self, n_fft, *args, **kwargs)


def _istft(self, n_fft, *args, **kwargs):
    """See `fastdl.istft`."""
    from .spectral import istft

    return istft(self, n_fft, *args, **kwargs)


for _name in __all__:
    if _name not in ("lobpcg", "lu_unpack", "pca_lowrank", "svd_lowrank"):
        setattr(Tensor, _name, globals()[_name])


Tensor.stft, Tensor.istft = _stft, _istft
