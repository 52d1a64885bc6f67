"""Linear algebra with the names of `torch.linalg`: factorizations on the host through NumPy's LAPACK, with gradients.

Matrices are the last two dimensions, those before are a batch. float32 and float64, and complex for `eig` alone.

Gradients: Giles, Collected Matrix Derivative Results for Forward and Reverse Mode Algorithmic Differentiation (2008);
of the pseudoinverse, Golub and Pereyra (1973). They are written in tensors' ops, so they can be differentiated again.
"""

from .eigen import Eigen, eig, eigvals
from .elementwise import abs, gt, where
from .factors import householder_product, ldl_factor, ldl_factor_ex, ldl_solve
from .functions import arange, eye, full, ones_like, zeros
from .host import HostOp, LinAlgError, from_host, to_host
from .products import chain_matmul, matmul, matrix_power
from .products import cross as _cross
from .rearrange import cat, tril, triu
from .rearrange import diagonal as _diagonal
from .reductions import amax, amin, sum
from .reductions import norm as _norm
from .results import result
from .shaping import diag_embed
from .tensor import DTypeError, ShapeError, Tensor, ValueError

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "householder_product",
    "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power",
    "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd", "svdvals",
    "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip


QR = result("Q", "R")
Svd = result("U", "S", "Vh")
SignLogabsdet = result("sign", "logabsdet")
LeastSquares = result("solution", "residuals", "rank", "singular_values")
LU = result("P", "L", "U")
Factors = result("LU", "pivots")
FactorsInfo = result("LU", "pivots", "info")
WithInfo = {name: result(name, "info") for name in ("L", "inverse", "result")}


# --- helpers ---


def _check(name, *matrices, square=False):
    for x in matrices:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected a tensor, not {type(x).__name__}")
        if x.dtype.name not in ("float32", "float64"):
            raise DTypeError(f"{name}: expected float32 or float64, got {x.dtype}")
        if x.ndim < 2:
            raise ShapeError(f"{name}: expected at least 2 dimensions, got shape {list(x.shape)}")
        if square and x.shape[-1] != x.shape[-2]:
            raise ShapeError(f"{name}: expected square matrices, got shape {list(x.shape)}")
    if len({x.dtype for x in matrices}) > 1:
        raise DTypeError(f"{name}: operands are {' and '.join(str(x.dtype) for x in matrices)}")


def _identity(x, n):
    return eye(n, dtype=x.dtype, device=x.device)


def _symmetric(x):
    return (x + x.mT) / 2


# --- inverse, determinant, linear equations ---

_inv = HostOp("inv", lambda np, a: np.linalg.inv(a), lambda g, _, y: -(y[0].mT @ g[0] @ y[0].mT))


def inv(A):
    """The inverse of square matrices.

    Raises:
        LinAlgError: a singular matrix.

    >>> import fastdl as fd
    >>> fd.linalg.inv(fd.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    _check("inv", A, square=True)
    return _inv(A)


def _cofactors(a, d):
    """The transposed adjugate: what det's derivative is."""
    if bool((d != 0).all()):
        return d[..., None, None] * inv(a).mT
    u, s, vh = svd(a)
    n = s.shape[-1]
    # For each singular value the product of the others.
    others = where(eye(n, dtype=s.dtype, device=s.device) > 0, 1.0, s[..., None, :].expand((*s.shape, n))).prod(-1)
    sign = (det(u) * det(vh))[..., None, None]
    return sign * ((u * others[..., None, :]) @ vh)


_det = HostOp("det", lambda np, a: np.linalg.det(a), lambda g, x, y: g[0][..., None, None] * _cofactors(x[0], y[0]))


def det(A):
    """The determinant of square matrices.

    >>> import fastdl as fd
    >>> fd.linalg.det(fd.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    _check("det", A, square=True)
    return _det(A)


_slogdet = HostOp(
    "slogdet", lambda np, a: tuple(np.linalg.slogdet(a)), lambda g, x, _: g[1][..., None, None] * inv(x[0]).mT
)


def slogdet(A):
    """The sign of the determinant, and the logarithm of its absolute value (-inf of a singular matrix)."""
    _check("slogdet", A, square=True)
    return SignLogabsdet(_slogdet(A))


def logdet(input):
    """The logarithm of the determinant; NaN where that is negative."""
    sign, logarithm = slogdet(input)
    return where(sign < 0, float("nan"), logarithm)


def _solve_gradient(g, x, y):
    b = solve(x[0].mT, g[0])
    return -(b @ y[0].mT), b


_solve = HostOp("solve", lambda np, a, b: np.linalg.solve(a, b), _solve_gradient)


def _common_batch(name, a, b):
    from .shaping import broadcast_shapes

    try:
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ShapeError:
        raise ShapeError(f"{name}: the batches of {list(a.shape)} and {list(b.shape)} do not broadcast") from None
    return a.expand((*batch, *a.shape[-2:])), b.expand((*batch, *b.shape[-2:]))


def solve(A, B, *, left=True):
    """X with A X = B, or X A = B unless `left`.

    Args:
        A: (*, n, n).
        B: (*, n, k), or (*, n) of vectors where that is A's shape without its last dimension.

    Raises:
        LinAlgError: a singular matrix.
        ShapeError: sizes that do not fit.

    >>> import fastdl as fd
    >>> fd.linalg.solve(fd.tensor([[2.0, 0.0], [0.0, 4.0]]), fd.tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """
    _check("solve", A, square=True)
    vectors = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    if vectors and not left:
        raise ValueError("solve: left=False takes matrices, B is a vector")
    if vectors:
        return solve(A, B[..., None])[..., 0]
    _check("solve", A, B)
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise ShapeError(f"solve: A {list(A.shape)} and B {list(B.shape)} do not fit")
    if not left:
        return solve(A.mT, B.mT).mT
    return _solve(*_common_batch("solve", A, B))


def _triangular(upper, unit):
    part = triu if upper else tril

    def forward(np, a, b):
        a = np.triu(a, unit) if upper else np.tril(a, -unit)
        return np.linalg.solve(a + np.eye(a.shape[-1], dtype=a.dtype) if unit else a, b)

    def gradient(g, x, y):
        b = solve_triangular(x[0].mT, g[0], upper=not upper, unitriangular=unit)
        return -part(b @ y[0].mT, (1 if upper else -1) * unit), b

    return HostOp("solve_triangular", forward, gradient)


_TRIANGULAR = {(u, d): _triangular(u, d) for u in (False, True) for d in (False, True)}


def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    """`solve` with the upper (or lower) triangle of A; with `unitriangular` its diagonal counts as ones."""
    _check("solve_triangular", A, square=True)
    _check("solve_triangular", A, B)
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise ShapeError(f"solve_triangular: A {list(A.shape)} and B {list(B.shape)} do not fit")
    if not left:
        return solve_triangular(A.mT, B.mT, upper=not upper, unitriangular=unitriangular).mT
    return _TRIANGULAR[bool(upper), bool(unitriangular)](*_common_batch("solve_triangular", A, B))


def _with_info(kind, compute, x, check_errors):
    """A result and, instead of an exception, whether it failed (for the whole batch)."""
    failed = 0
    try:
        out = compute()
    except LinAlgError:
        if check_errors:
            raise
        failed, out = 1, full(x.shape, float("nan"), dtype=x.dtype, device=x.device)
    return WithInfo[kind]((out, full(x.shape[:-2], failed, device=x.device).int()))


def inv_ex(A, *, check_errors=False):
    """`inv` and an info that is 0, or 1 where it failed (for the whole batch; the result is NaN then)."""
    return _with_info("inverse", lambda: inv(A), A, check_errors)


def solve_ex(A, B, *, left=True, check_errors=False):
    """`solve` and an info that is 0, or 1 where it failed (for the whole batch; the result is NaN then)."""
    return _with_info("result", lambda: solve(A, B, left=left), A, check_errors)


# --- factorizations ---


def _cholesky_gradient(g, _, y):
    l = y[0]
    inner = tril(l.mT @ g[0])
    inner = inner - diag_embed(_diagonal(inner, 0, -2, -1)) / 2
    left = solve_triangular(l.mT, inner, upper=True)
    return _symmetric(solve_triangular(l, left, upper=False, left=False))


_cholesky = HostOp("cholesky", lambda np, a: np.linalg.cholesky(a), _cholesky_gradient)


def cholesky(A, *, upper=False):
    """The lower triangular L with A = L L^T of symmetric positive definite matrices, of which the lower half is read.

    Args:
        upper: return L^T, and read the upper half.

    Raises:
        LinAlgError: a matrix that is not positive definite.

    >>> import fastdl as fd
    >>> fd.linalg.cholesky(fd.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    _check("cholesky", A, square=True)
    return _cholesky(A.mT).mT if upper else _cholesky(A)


def cholesky_ex(A, *, upper=False, check_errors=False):
    """`cholesky` and an info that is 0, or 1 where it failed (for the whole batch; the result is NaN then)."""
    return _with_info("L", lambda: cholesky(A, upper=upper), A, check_errors)


def cholesky_solve(input, L, upper=False):
    """X with A X = input, from Cholesky's factor of A."""
    lower = L.mT if upper else L
    return solve_triangular(lower.mT, solve_triangular(lower, input, upper=False), upper=True)


def cholesky_inverse(L, upper=False):
    """The inverse of A from Cholesky's factor of it."""
    _check("cholesky_inverse", L, square=True)
    return cholesky_solve(_identity(L, L.shape[-1]), L, upper)


def _qr_gradient(g, x, y):
    q, r = y
    gq, gr = g
    m, n = x[0].shape[-2:]
    if q.shape[-1] > n:
        raise LinAlgError(f"qr: the complete Q of {list(x[0].shape)} has no gradient; use mode='reduced'")
    wide, v = None, None
    if m < n:  # A = [X | Y], R = [U | V]: V = Q^T Y
        wide, v = x[0][..., m:], gr[..., m:]
        r, gr = r[..., :m], gr[..., :m]
        gq = gq + wide @ v.mT
    inner = r @ gr.mT - gq.mT @ q
    inner = tril(inner) + tril(inner, -1).mT
    gx = solve_triangular(r.mT, gq + q @ inner, upper=False, left=False)
    return gx if wide is None else cat([gx, q @ v], -1)


_QR = {
    mode: HostOp("qr", lambda np, a, mode=mode: tuple(np.linalg.qr(a, mode)), _qr_gradient)
    for mode in ("reduced", "complete")
}


def qr(A, mode="reduced"):
    """A = Q R, Q with orthonormal columns, R upper triangular.

    Args:
        mode: 'reduced' (Q of min(m, n) columns), 'complete' (Q square), or 'r' (Q empty).

    >>> import fastdl as fd
    >>> Q, R = fd.linalg.qr(fd.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> fd.allclose(Q @ R, fd.tensor([[3.0, 1.0], [4.0, 2.0]]))
    True
    """
    _check("qr", A)
    if mode == "r":
        return QR((zeros(0, dtype=A.dtype, device=A.device), _QR["reduced"](A)[1]))
    if mode not in _QR:
        raise ValueError(f"qr: mode {mode!r}, expected 'reduced', 'complete' or 'r'")
    return QR(_QR[mode](A))


def _eigh_gradient(g, _, y):
    w, v = y
    gaps = w[..., None, :] - w[..., :, None]
    off = eye(w.shape[-1], dtype=w.dtype, device=w.device) == 0
    inner = where(off, (v.mT @ g[1]) / where(off, gaps, 1.0), 0.0) + diag_embed(g[0])
    return v @ inner @ v.mT


def _eigenvalues_op(half):
    def gradient(g, x, _):
        v = eigh(x[0], half).eigenvectors
        return (v * g[0][..., None, :]) @ v.mT

    return HostOp("eigvalsh", lambda np, a: np.linalg.eigvalsh(a, half), gradient)


_EIGH = {u: HostOp("eigh", lambda np, a, u=u: tuple(np.linalg.eigh(a, u)), _eigh_gradient) for u in "LU"}
_EIGVALSH = {u: _eigenvalues_op(u) for u in "LU"}


def _half(name, UPLO):
    half = UPLO.upper()
    if half not in ("L", "U"):
        raise ValueError(f"{name}: UPLO {UPLO!r}, expected 'L' or 'U'")
    return half


def eigh(A, UPLO="L"):
    """The eigenvalues of symmetric matrices in ascending order, and the eigenvectors as columns.

    The gradient of the vectors exists for distinct eigenvalues only, and of what does not depend on their signs.

    Args:
        UPLO: the half that is read, 'L' or 'U'.

    >>> import fastdl as fd
    >>> fd.linalg.eigh(fd.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    _check("eigh", A, square=True)
    return Eigen(_EIGH[_half("eigh", UPLO)](A))


def eigvalsh(A, UPLO="L"):
    """The eigenvalues of symmetric matrices in ascending order."""
    _check("eigvalsh", A, square=True)
    return _EIGVALSH[_half("eigvalsh", UPLO)](A)


def _svd_gradient(g, x, y):
    k = min(x[0].shape[-2:])
    u, s, vh = y[0][..., :k], y[1], y[2][..., :k, :]
    gu, gs, gv = g[0][..., :k], g[1], g[2][..., :k, :].mT
    v = vh.mT
    off = eye(k, dtype=s.dtype, device=s.device) == 0
    squares = s * s
    gaps = where(off, squares[..., None, :] - squares[..., :, None], 1.0)
    skew = lambda a: where(off, (a - a.mT) / gaps, 0.0)
    inner = skew(u.mT @ gu) * s[..., None, :] + s[..., :, None] * skew(v.mT @ gv) + diag_embed(gs)
    left, right = inner @ vh, 0.0
    if u.shape[-2] > k:
        scaled = gu / s[..., None, :]
        right = (scaled - u @ (u.mT @ scaled)) @ vh
    if v.shape[-2] > k:
        scaled = gv / s[..., None, :]
        left = left + (scaled - v @ (v.mT @ scaled)).mT
    return u @ left + right


def _values_gradient(g, x, _):
    u, _, vh = svd(x[0], full_matrices=False)
    return (u * g[0][..., None, :]) @ vh


_SVD = {f: HostOp("svd", lambda np, a, f=f: tuple(np.linalg.svd(a, f)), _svd_gradient) for f in (False, True)}
_svdvals = HostOp("svdvals", lambda np, a: np.linalg.svd(a, compute_uv=False), _values_gradient)


def svd(A, full_matrices=True):
    """A = U diag(S) Vh, U and Vh with orthonormal columns and rows, S descending.

    The gradient of the vectors exists for distinct singular values only, and of what does not depend on their signs.

    Args:
        full_matrices: U and Vh square, rather than of min(m, n) columns and rows.

    >>> import fastdl as fd
    >>> fd.linalg.svd(fd.tensor([[3.0, 0.0], [0.0, 2.0]])).S
    tensor([3., 2.])
    """
    _check("svd", A)
    return Svd(_SVD[bool(full_matrices)](A))


def svdvals(A):
    """The singular values, descending."""
    _check("svdvals", A)
    return _svdvals(A)


def _pinv_gradient(g, x, y):
    a, p = x[0], y[0]
    gt = g[0].mT
    one = -(p.mT @ g[0] @ p.mT)
    two = gt @ p @ p.mT
    three = p.mT @ p @ gt
    return one + (two - a @ (p @ two)) + (three - (three @ p) @ a)


def _tolerances(a, atol, rtol):
    """What singular values must exceed, as a tensor, by atol and rtol times the largest one."""
    s = svdvals(a.detach())
    if rtol is None:
        from .dtypes import finfo

        given = atol is not None and (isinstance(atol, Tensor) or atol > 0)
        rtol = 0.0 if given else finfo(a.dtype).eps * max(a.shape[-2:])
    largest = amax(s, -1) if s.shape[-1] else zeros(s.shape[:-1], dtype=s.dtype, device=s.device)
    limit = largest * rtol
    if atol is not None:
        limit = where(limit > atol, limit, limit * 0 + atol)
    return s, limit


def _of_lower_half(A):
    return tril(A) + tril(A, -1).mT


def pinv(A, *, atol=None, rtol=None, hermitian=False):
    """Moore and Penrose's inverse, from the singular values above max(atol, rtol * the largest).

    Args:
        atol, rtol: numbers or tensors; rtol is the dtype's epsilon times the larger size unless one is given.
        hermitian: the matrices are symmetric, and the lower half is read.
    """
    _check("pinv", A, square=hermitian)
    if 0 in A.shape[-2:]:
        return A.mT
    s, limit = _tolerances(_of_lower_half(A) if hermitian else A, atol, rtol)
    relative = to_host(limit / where(s[..., 0] > 0, s[..., 0], 1.0))
    return HostOp("pinv", lambda np, a: np.linalg.pinv(a, relative, hermitian), _pinv_gradient)(A)


def matrix_rank(A, *, atol=None, rtol=None, hermitian=False):
    """The number of singular values above max(atol, rtol * the largest one), as for `pinv`; int64."""
    _check("matrix_rank", A, square=hermitian)
    s, limit = _tolerances(_of_lower_half(A) if hermitian else A, atol, rtol)
    return sum(gt(s, limit[..., None]), -1)


def lstsq(A, B, rcond=None, *, driver=None):
    """X that makes the norm of A X - B smallest, and among those X itself.

    Args:
        A: (*, m, n).
        B: (*, m, k), or (*, m) of vectors where that is A's shape without its last dimension.
        rcond: singular values below rcond times the largest one count as 0.
        driver: 'gels', 'gelsy' (default), 'gelsd' or 'gelss'. All are computed from the singular values; it decides, as
            in PyTorch, whether the rank ('gels' gives none) and the singular values ('gelsd', 'gelss') are returned.

    Returns:
        (solution, residuals, rank, singular_values); residuals are sums of squares, empty unless m > n = rank ('gelsy': always).

    Raises:
        ValueError: another driver.
    """
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise ValueError(f"lstsq: driver {driver!r}, expected 'gels', 'gelsy', 'gelsd' or 'gelss'")
    _check("lstsq", A)
    vectors = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    if vectors:
        out = lstsq(A, B[..., None], rcond, driver=driver)
        return LeastSquares((out[0][..., 0], *out[1:]))
    _check("lstsq", A, B)
    if A.shape[-2] != B.shape[-2]:
        raise ShapeError(f"lstsq: A {list(A.shape)} and B {list(B.shape)} need the same number of rows")
    m, n = A.shape[-2:]
    solution = pinv(A, rtol=rcond) @ B
    rank = matrix_rank(A, rtol=rcond)
    none = zeros(0, dtype=A.dtype, device=A.device)
    known = driver in ("gels", "gelsd", "gelss") and m > n and bool((rank == n).all())
    residuals = ((A @ solution - B) ** 2).sum(-2) if known else none
    values = svdvals(A.detach()) if driver in ("gelsd", "gelss") else none
    return LeastSquares((solution, residuals, none.long() if driver == "gels" else rank, values))


def _factor(np, a):
    """Gauss's elimination with the largest pivot of each column, over the whole batch: LU and the row order."""
    a = np.array(a)
    m, n = a.shape[-2:]
    count = int(np.prod(a.shape[:-2]))
    flat = a.reshape(count, m, n)
    order = np.broadcast_to(np.arange(m), (len(flat), m)).copy()
    pivots = np.zeros((len(flat), min(m, n)), dtype=np.int32)
    every = np.arange(len(flat))
    for k in range(min(m, n)):
        p = k + np.argmax(np.abs(flat[:, k:, k]), axis=1)
        pivots[:, k] = p + 1
        for x in (flat, order):
            x[every, k], x[every, p] = x[every, p].copy(), x[every, k].copy()
        pivot = flat[:, k, k][:, None]
        flat[:, k + 1 :, k] /= np.where(pivot == 0, 1, pivot)
        flat[:, k + 1 :, k + 1 :] -= flat[:, k + 1 :, k, None] * flat[:, k, None, k + 1 :]
    return a, pivots.reshape(*a.shape[:-2], min(m, n)), order.reshape(*a.shape[:-2], m)


def _unpivoted(np, a):
    """L and U of square matrices whose rows are in the order of their pivots already."""
    a = np.array(a)
    for k in range(a.shape[-1]):
        pivot = a[..., k, k, None]
        a[..., k + 1 :, k] /= np.where(pivot == 0, 1, pivot)
        a[..., k + 1 :, k + 1 :] -= a[..., k + 1 :, k, None] * a[..., k, None, k + 1 :]
    return np.tril(a, -1) + np.eye(a.shape[-1], dtype=a.dtype), np.triu(a)


def _lu_gradient(g, _, y):
    l, u = y
    inner = tril(l.mT @ g[0], -1) + triu(g[1] @ u.mT)
    left = solve_triangular(l.mT, inner, upper=True, unitriangular=True)
    return solve_triangular(u.mT, left, upper=False, left=False)


_lu = HostOp("lu", _unpivoted, _lu_gradient)


def lu(A, *, pivot=True):
    """A = P L U: a permutation, a lower triangle with ones on its diagonal, an upper triangle.

    Raises:
        ValueError: pivot=False.
    """
    import numpy

    _check("lu", A)
    if not pivot:
        raise ValueError("lu: pivot=False is not supported")
    m, n = A.shape[-2:]
    k = min(m, n)
    order = _factor(numpy, to_host(A))[2]
    p = from_host(numpy.swapaxes(numpy.eye(m, dtype=to_host(A).dtype)[order], -1, -2), A.device)
    sorted_rows = p.mT @ A
    l, u = _lu(sorted_rows[..., :k, :k])
    if m > k:  # the rows below: L U = A
        l = cat([l, solve_triangular(u, sorted_rows[..., k:, :], upper=True, left=False)], -2)
    if n > k:
        u = cat([u, solve_triangular(l, sorted_rows[..., :, k:], upper=False, unitriangular=True)], -1)
    return LU((p, l, u))


def lu_factor(A, *, pivot=True):
    """L and U of `lu` in one matrix, and the row exchanges (int32, counted from 1, as LAPACK's), for `lu_solve`."""
    import numpy

    _, l, u = lu(A, pivot=pivot)

    pivots = from_host(_factor(numpy, to_host(A))[1], A.device)
    k = min(A.shape[-2:])
    if A.shape[-1] > k:
        packed = cat([u[..., :k] + tril(l, -1), u[..., k:]], -1)
    else:
        packed = tril(l, -1) + cat([u, zeros(*A.shape[:-2], A.shape[-2] - k, k, dtype=A.dtype, device=A.device)], -2)
    return Factors((packed, pivots))


def lu_factor_ex(A, *, pivot=True, check_errors=False):
    """`lu_factor` and an info that is 0, or the place of the first pivot that is 0.

    Raises:
        LinAlgError: `check_errors`, and there is such a pivot.
    """
    packed, pivots = lu_factor(A, pivot=pivot)
    vanishes = _diagonal(packed.detach(), 0, -2, -1) == 0
    places = where(vanishes, arange(1, vanishes.shape[-1] + 1, device=A.device), vanishes.shape[-1] + 1)
    info = where(vanishes.any(-1), amin(places, -1), 0).int()
    if check_errors and bool((info > 0).any()):
        raise LinAlgError(f"lu_factor: a pivot is 0; input of shape {list(A.shape)}")
    return FactorsInfo((packed, pivots, info))


def _row_order(pivots, n):
    """The order of rows that exchanges one after the other give."""
    import numpy

    exchanges = to_host(pivots)
    order = numpy.broadcast_to(numpy.arange(n), (*exchanges.shape[:-1], n)).copy()
    for place in numpy.ndindex(*exchanges.shape[:-1]):
        for k, p in enumerate(exchanges[place]):
            order[place][[k, p - 1]] = order[place][[p - 1, k]]
    return order


def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """P, L and U from what `lu_factor` gives; what is not asked for is empty."""
    import numpy

    m, n = LU_data.shape[-2:]
    k = min(m, n)
    none = zeros(0, dtype=LU_data.dtype, device=LU_data.device)
    p = l = u = none
    if unpack_data:
        l = tril(LU_data[..., :k], -1) + eye(m, k, dtype=LU_data.dtype, device=LU_data.device)
        u = triu(LU_data[..., :k, :])
    if unpack_pivots:
        order = _row_order(LU_pivots, m)
        p = from_host(numpy.swapaxes(numpy.eye(m, dtype=to_host(LU_data).dtype)[order], -1, -2), LU_data.device)
    return LU((p, l, u))


def lu_solve(LU, pivots, B, *, left=True, adjoint=False):
    """X with A X = B from `lu_factor` of A (A^T if `adjoint`; X A = B unless `left`)."""
    _check("lu_solve", LU, square=True)
    _check("lu_solve", LU, B)
    if not left:
        return lu_solve(LU, pivots, B.mT, adjoint=not adjoint).mT
    p = lu_unpack(LU, pivots, unpack_data=False).P
    if adjoint:
        y = solve_triangular(LU.mT, B, upper=False)
        return p @ solve_triangular(LU.mT, y, upper=True, unitriangular=True)
    y = solve_triangular(LU, p.mT @ B, upper=False, unitriangular=True)
    return solve_triangular(LU, y, upper=True)


# --- functions of matrices ---


def matrix_exp(A):
    """sum A^k / k!: Taylor's polynomial of A / 2^s, small enough for 18 terms, squared s times.

    >>> import fastdl as fd
    >>> fd.linalg.matrix_exp(fd.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    import math

    _check("matrix_exp", A, square=True)
    n = A.shape[-1]
    size = matrix_norm(A.detach(), 1).max().item() if A.numel() else 0.0
    if not math.isfinite(size):
        return A * float("nan")
    halvings = max(0, math.ceil(math.log2(size)) + 1) if size > 0 else 0
    x = A / 2.0**halvings
    one = _identity(A, n)
    out = one + x / 18.0
    for k in range(17, 0, -1):
        out = one + (x @ out) / float(k)
    for _ in range(halvings):
        out = out @ out
    return out


# --- norms ---


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(sum |x|^ord)^(1 / ord) over `dim` (all when None); inf and -inf are the largest and smallest |x|, 0 counts.

    >>> import fastdl as fd
    >>> fd.linalg.vector_norm(fd.tensor([3.0, 4.0]))
    tensor(5.)
    """
    return _norm(x, float(ord), dim, keepdim, dtype)


def _last(A, dim):
    """A with the two dimensions last."""
    n = A.ndim
    if len(dim) != 2 or any(not -n <= d < n for d in dim) or dim[0] % n == dim[1] % n:
        raise ValueError(f"matrix_norm: dim {tuple(dim)}, expected two different dimensions of {list(A.shape)}")
    return A.movedim(tuple(dim), (-2, -1))


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """A norm of matrices: 'fro', 'nuc' (sum of singular values), 2 and -2 (largest, smallest singular value), 1 and -1
    (sums of columns), inf and -inf (sums of rows).

    Raises:
        ValueError: another `ord`.
    """
    A = A if dtype is None else A.to(dtype)
    _check("matrix_norm", A)
    x = _last(A, dim)
    if ord == "fro":
        out = vector_norm(x, 2, (-2, -1))
    elif ord == "nuc":
        out = sum(svdvals(x), -1)
    elif ord in (2, -2):
        out = (amax if ord > 0 else amin)(svdvals(x), -1)
    elif ord in (1, -1):
        out = (amax if ord > 0 else amin)(sum(abs(x), -2), -1)
    elif ord in (float("inf"), float("-inf")):
        out = (amax if ord > 0 else amin)(sum(abs(x), -1), -1)
    else:
        raise ValueError(f"matrix_norm: ord {ord!r}, expected 'fro', 'nuc', 1, -1, 2, -2, inf or -inf")
    return out[..., None, None].movedim((-2, -1), tuple(dim)) if keepdim else out


def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """The 2-norm of all elements when `ord` is None, `matrix_norm` over two dimensions, `vector_norm` over one."""
    if dim is None and ord is not None:
        if A.ndim > 2:
            raise ShapeError(f"norm: ord {ord!r} needs dim for {A.ndim} dimensions")
        dim = (0,) if A.ndim == 1 else (0, 1)
    if isinstance(dim, int):
        dim = (dim,)
    if ord is not None and dim is not None and len(dim) == 2:
        return matrix_norm(A, ord, dim, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise ValueError(f"norm: ord {ord!r} is for matrices, dim is {dim}")
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def cond(A, p=None):
    """The condition number: the norm of A times that of its inverse; for p None, 2 and -2 from the singular values."""
    _check("cond", A)
    if p is None or p in (2, -2):
        s = svdvals(A)
        large, small = s[..., 0], s[..., -1]
        return small / large if p == -2 else large / small
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


# --- products ---


def cross(input, other, *, dim=-1):
    """The vector product along a dimension of size 3."""
    return _cross(input, other, dim)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """A view of the diagonals of matrices, as the last dimension."""
    return _diagonal(A, offset, dim1, dim2)


def vecdot(x, y, *, dim=-1):
    """The sum of products along `dim`."""
    return sum(x * y, dim)


def multi_dot(tensors):
    """`chain_matmul` where the first and the last may be vectors."""
    tensors = list(tensors)
    if len(tensors) < 2:
        raise ValueError(f"multi_dot: expected at least two tensors, got {len(tensors)}")
    row, column = tensors[0].ndim == 1, tensors[-1].ndim == 1
    if row:
        tensors[0] = tensors[0][None, :]
    if column:
        tensors[-1] = tensors[-1][:, None]
    out = chain_matmul(tensors)
    out = out[:, 0] if column else out
    return out[0] if row else out


def vander(x, *, N=None):
    """Powers of the last dimension's elements, ascending: 1, x, x^2, ..., N of them (as many as elements when None)."""
    x = x.reshape(-1) if x.ndim == 0 else x
    n = x.shape[-1] if N is None else N
    if n < 1:
        raise ValueError(f"vander: N {n}, expected at least 1")
    column = x[..., None]
    return cat([ones_like(column), column.expand((*x.shape, n - 1))], -1).cumprod(-1)


def tensorinv(A, ind=2):
    """The inverse of A as a map from its last dimensions to the first `ind`."""
    if ind <= 0:
        raise ValueError(f"tensorinv: ind {ind}, expected at least 1")
    first, last = A.shape[:ind], A.shape[ind:]
    rows = 1
    for n in first:
        rows *= n
    if rows * rows != A.numel():
        raise ShapeError(f"tensorinv: the products of {list(first)} and {list(last)} differ")
    return inv(A.reshape(rows, rows)).reshape(*last, *first)


def tensorsolve(A, B, dims=None):
    """X with tensordot(A, X, X.ndim) = B; `dims` of A are moved to its end first."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = A.shape[B.ndim :]
    if A.numel() != B.numel() * B.numel():
        raise ShapeError(f"tensorsolve: A {list(A.shape)} and B {list(B.shape)} do not fit")
    return solve(A.reshape(B.numel(), B.numel()), B.reshape(-1)).reshape(shape)
