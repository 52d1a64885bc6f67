"""Matrices as products of reflections, and symmetric ones as L D L^T: what LAPACK calls geqrf, orgqr, ormqr and sytrf."""

from .functions import eye
from .host import HostOp, LinAlgError, from_host, to_host
from .rearrange import tril
from .results import result
from .tensor import DTypeError, ShapeError, ValueError

__all__ = ["geqrf", "householder_product", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lobpcg", "ormqr"]

Reflections = result("a", "tau")
LDL = result("LD", "pivots")
LDLInfo = result("LD", "pivots", "info")


# --- products of reflections ---


def geqrf(input):
    """QR as LAPACK keeps it: R, below it the vectors of the reflections whose product is Q; and their factors tau.

    Without gradient; see `linalg.qr`.

    >>> import fastdl as fd
    >>> a = fd.tensor([[3.0, 1.0], [4.0, 2.0]])
    >>> packed, tau = fd.geqrf(a)
    >>> fd.allclose(fd.orgqr(packed, tau) @ packed.triu(), a, atol=1e-6)
    True
    """
    import numpy

    from .linalg import _check

    _check("geqrf", input)
    packed, tau = numpy.linalg.qr(to_host(input), mode="raw")
    return Reflections((from_host(numpy.swapaxes(packed, -1, -2), input.device), from_host(tau, input.device)))


def _reflections(name, A, tau):
    """The vectors v_i: 1 on the diagonal, column i of A below."""
    from .linalg import _check

    _check(name, A)
    m, n = A.shape[-2:]
    if m < n or tau.shape[-1:] > (n,) or tau.shape[:-1] != A.shape[:-2]:
        raise ShapeError(f"{name}: input {list(A.shape)} and tau {list(tau.shape)} do not fit")
    if tau.dtype is not A.dtype:
        raise DTypeError(f"{name}: input is {A.dtype}, tau {tau.dtype}")
    return tril(A, -1) + eye(m, n, dtype=A.dtype, device=A.device)


def _reflect(vectors, tau, x, order):
    for i in order:
        v = vectors[..., i : i + 1]
        x = x - tau[..., i, None, None] * (v @ (v.mT @ x))
    return x


def householder_product(A, tau):
    """The first columns of the product of reflections I - tau_i v_i v_i^T, v_i below the diagonal of column i."""
    vectors = _reflections("householder_product", A, tau)
    m, n = A.shape[-2:]
    identity = eye(m, n, dtype=A.dtype, device=A.device).expand(A.shape)
    return _reflect(vectors, tau, identity, reversed(range(tau.shape[-1])))


def ormqr(input, tau, other, left=True, transpose=False):
    """Q times `other`, Q the whole product of the reflections of `geqrf`; Q^T if `transpose`, other times Q unless `left`.

    Args:
        input, tau: (*, m, k) and (*, k), from `geqrf`.
        other: (*, m, n), or (*, n, m) unless `left`.

    >>> import fastdl as fd
    >>> a = fd.tensor([[3.0, 1.0], [4.0, 2.0]])
    >>> packed, tau = fd.geqrf(a)
    >>> fd.allclose(fd.ormqr(packed, tau, a, transpose=True), packed.triu(), atol=1e-6)
    True
    """
    vectors = _reflections("ormqr", input, tau)
    if other.ndim != input.ndim or other.shape[-2 if left else -1] != input.shape[-2]:
        raise ShapeError(f"ormqr: input {list(input.shape)} and other {list(other.shape)} do not fit")
    order = range(tau.shape[-1])
    if not left:
        return _reflect(vectors, tau, other.mT, order if not transpose else reversed(order)).mT
    return _reflect(vectors, tau, other, order if transpose else reversed(order))


# --- symmetric matrices ---


def _bunch_kaufman(np, a):
    """L and D of one symmetric matrix, in its lower half; pivots as LAPACK's: negative pairs for blocks of 2 x 2.

    Bunch and Kaufman, Some Stable Methods for Calculating Inertia and Solving Symmetric Linear Systems (1977): a pivot
    block of 1 or 2, whichever keeps the elements that remain below (1 + 1 / alpha) times the largest before.
    """
    a = np.tril(a) + np.tril(a, -1).T
    n, k, info = len(a), 0, 0
    alpha = (1 + 17**0.5) / 8
    pivots = np.zeros(n, dtype=np.int32)
    while k < n:
        column = np.abs(a[k + 1 :, k])
        below = column.max(initial=0.0)
        p, size = k, 1
        if max(abs(a[k, k]), below) == 0:
            info = info or k + 1
        elif abs(a[k, k]) < alpha * below:
            row = k + 1 + int(column.argmax())
            others = np.delete(np.abs(a[k:, row]), row - k).max(initial=0.0)
            if abs(a[k, k]) * others < alpha * below * below:
                p, size = row, 1 if abs(a[row, row]) >= alpha * others else 2
        at = k + size - 1
        a[k:, [at, p]] = a[k:, [p, at]]
        a[[at, p], k:] = a[[p, at], k:]
        block, rest = a[k : k + size, k : k + size], a[k + size :, k : k + size]
        if block.any():
            factor = rest @ np.linalg.inv(block) if size == 2 else rest / block
            a[k + size :, k + size :] -= factor @ rest.T
            a[k + size :, k : k + size] = factor
        pivots[k : k + size] = p + 1 if size == 1 else -(p + 1)
        k += size
    return np.tril(a), pivots, info


def ldl_factor_ex(A, *, hermitian=False, check_errors=False):
    """`ldl_factor` and an info that is 0, or the place of the first block of D that is 0.

    Raises:
        LinAlgError: `check_errors`, and there is such a block.
    """
    import numpy

    from .linalg import _check

    _check("ldl_factor", A, square=True)
    host = to_host(A)
    packed = numpy.empty_like(host)
    pivots = numpy.empty(host.shape[:-1], dtype=numpy.int32)
    info = numpy.zeros(host.shape[:-2], dtype=numpy.int32)
    for place in numpy.ndindex(host.shape[:-2]):
        packed[place], pivots[place], info[place] = _bunch_kaufman(numpy, host[place])
    if check_errors and info.any():
        raise LinAlgError(f"ldl_factor: block {info[info > 0][0]} of D is 0; input of shape {list(A.shape)}")
    return LDLInfo(tuple(from_host(x, A.device) for x in (packed, pivots, info)))


def ldl_factor(A, *, hermitian=False):
    """L and D with A = P L D L^T P^T, for `ldl_solve`: symmetric matrices that need not be positive definite.

    Only the lower half of A is read; the result has no gradient. D has blocks of 1 x 1 and 2 x 2 on its diagonal.

    Returns:
        LD, both in one matrix, and the pivots (int32, as LAPACK's sytrf).

    >>> import fastdl as fd
    >>> A = fd.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> fd.linalg.ldl_solve(*fd.linalg.ldl_factor(A), fd.tensor([[2.0], [3.0]]))
    tensor([[3.],
            [2.]])
    """
    return LDL(ldl_factor_ex(A, hermitian=hermitian)[:2])


def _solve_ldl(a, pivots, x):
    """In place for one matrix: the factors one after the other, then transposed backwards."""
    n = len(a)
    starts, k = [], 0
    while k < n:
        size = 1 if pivots[k] > 0 else 2
        starts.append((k, size, abs(int(pivots[k])) - 1))
        k += size
    for k, size, p in starts:
        at, end = k + size - 1, k + size
        x[[at, p]] = x[[p, at]]
        x[end:] -= a[end:, k:end] @ x[k:end]
        block = a[k:end, k:end].copy()
        if size == 2:
            block[0, 1] = block[1, 0]
            determinant = block[0, 0] * block[1, 1] - block[1, 0] ** 2
            first = (block[1, 1] * x[k] - block[1, 0] * x[k + 1]) / determinant
            x[k + 1] = (block[0, 0] * x[k + 1] - block[1, 0] * x[k]) / determinant
            x[k] = first
        else:
            x[k] /= block[0, 0]
    for k, size, p in reversed(starts):
        at, end = k + size - 1, k + size
        x[k:end] -= a[end:, k:end].T @ x[end:]
        x[[at, p]] = x[[p, at]]


def ldl_solve(LD, pivots, B, *, hermitian=False):
    """X with A X = B from `ldl_factor` of A; B gets a gradient.

    Args:
        LD, pivots: (*, n, n) and (*, n).
        B: (*, n, k).
    """
    from .linalg import _check

    _check("ldl_solve", LD, square=True)
    _check("ldl_solve", LD, B)
    if pivots.shape != LD.shape[:-1] or B.shape[:-1] != LD.shape[:-1]:
        raise ShapeError(
            f"ldl_solve: LD {list(LD.shape)}, pivots {list(pivots.shape)} and B {list(B.shape)} do not fit"
        )
    packed, exchanges = to_host(LD), to_host(pivots)

    def forward(np, b):
        x = np.array(b)
        for place in np.ndindex(packed.shape[:-2]):
            _solve_ldl(packed[place], exchanges[place], x[place])
        return x

    solve = HostOp("ldl_solve", forward, lambda g, *_: solve(g[0]))
    return solve(B)


def lobpcg(
    A, k=None, B=None, X=None, n=None, iK=None, niter=None, tol=None, largest=None, method=None, tracker=None,
    ortho_iparams=None, ortho_fparams=None, ortho_bparams=None,
):  # fmt: skip
    """The k largest (or smallest) eigenvalues of a symmetric matrix, or of A x = lambda B x, and their vectors.

    A dense matrix has all of them from `linalg.eigh` sooner than an iteration has some, so what steers the iteration
    (iK, niter, tol, method, tracker and what follows) is taken and not used.

    Args:
        A: (*, m, m), symmetric; B too, and positive definite.
        k: how many; as many as X has columns, else 1.
        X, n: (*, m, n) and n: only how many they are counts.
        largest: the largest ones (default).

    Raises:
        ValueError: 3 k > m, as in PyTorch.
    """
    from .linalg import _check, cholesky, eigh, solve_triangular

    _check("lobpcg", A, square=True)
    m = A.shape[-1]
    k = k if k is not None else n if n is not None else 1 if X is None else X.shape[-1]
    if not 1 <= k or m < 3 * k:
        raise ValueError(f"lobpcg: k {k} for a matrix of shape {list(A.shape)}, expected 1 to m / 3")
    factor = None if B is None else cholesky(B)
    if factor is not None:
        A = solve_triangular(factor, solve_triangular(factor, A, upper=False).mT, upper=False)
    values, vectors = eigh(A)
    if largest is None or largest:
        values, vectors = values.flip(-1), vectors.flip(-1)
    vectors = vectors[..., :k]
    return values[..., :k], vectors if factor is None else solve_triangular(factor.mT, vectors, upper=True)
