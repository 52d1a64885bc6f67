"""Matrix products; each is a method of Tensor too. Sums of float16 and bfloat16 are kept in float32; integers wrap."""

from . import _C
from ._C import Tensor

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "chain_matmul", "cross", "dot", "ger", "inner", "kron", "matmul",
    "matrix_power", "mm", "mv", "outer", "trace", "vdot",
]  # fmt: skip


def mv(input, vec):
    """Matrix (M, K) times vector (K): (M)."""
    return _C.mv(input, vec)


def dot(input, tensor):
    """The sum of the products of two vectors of one length."""
    return _C.dot(input, tensor)


def outer(input, vec2):
    """out[i][j] = input[i] vec2[j] of two vectors."""
    return _C.outer(input, vec2)


ger = outer


def vdot(input, other):
    """`dot` of the conjugate of `input` with `other`."""
    return _C.dot(input.conj(), other)


def inner(input, other):
    """Sums of products over the last dimensions: out[..., :] = input[..., k] other[:, k]; numbers scale.

    >>> import fastdl as fd
    >>> fd.inner(fd.tensor([1.0, 2.0]), fd.tensor([[3.0, 4.0], [5.0, 6.0]]))
    tensor([11., 17.])
    """
    if input.ndim == 0 or other.ndim == 0:
        return _C.mul(input, other)
    if input.shape[-1] != other.shape[-1]:
        raise _C.ShapeError(
            f"inner: the last dimensions of {list(input.shape)} and {list(other.shape)} need the same size"
        )
    rows, columns = _C.reshape(input, (-1, input.shape[-1])), _C.reshape(other, (-1, other.shape[-1]))
    return _C.reshape(_C.mm(rows, columns.t()), (*input.shape[:-1], *other.shape[:-1]))


def trace(input):
    """The sum of a matrix's diagonal.

    Raises:
        ShapeError: not a matrix.
    """
    if input.ndim != 2:
        raise _C.ShapeError(f"trace: expected a matrix, got {list(input.shape)}")
    return _C.sum(_C.diagonal(input))


def kron(input, other):
    """Kronecker's product: every element of `input` times `other`, in blocks.

    >>> import fastdl as fd
    >>> fd.kron(fd.eye(2), fd.ones(1, 2))
    tensor([[1., 1., 0., 0.],
            [0., 0., 1., 1.]])
    """
    n = max(input.ndim, other.ndim)
    a = [1] * (n - input.ndim) + list(input.shape)
    b = [1] * (n - other.ndim) + list(other.shape)
    left = _C.reshape(input, [s for pair in zip(a, [1] * n) for s in pair])
    right = _C.reshape(other, [s for pair in zip([1] * n, b) for s in pair])
    return _C.reshape(_C.mul(left, right), [x * y for x, y in zip(a, b)])


def cross(input, other, dim=None):
    """The vector product along a dimension of size 3: the first such one when `dim` is None.

    Raises:
        ShapeError: that dimension is not of size 3.
    """
    if dim is None:
        if 3 not in input.shape:
            raise _C.ShapeError(f"cross: no dimension of input {list(input.shape)} has size 3")
        dim = input.shape.index(3) - input.ndim
    a, b = input, other
    for x in (a, b):
        if not -x.ndim <= dim < x.ndim or x.shape[dim] != 3:
            raise _C.ShapeError(f"cross: dimension {dim} of {list(x.shape)}, expected size 3")
    turn = lambda x, by: _C.roll(x, by, dim)
    return _C.sub(_C.mul(turn(a, -1), turn(b, -2)), _C.mul(turn(a, -2), turn(b, -1)))


def matrix_power(input, n):
    """A square matrix (or a batch) multiplied n times with itself; for n < 0 its inverse.

    Raises:
        ShapeError: not square.
    """
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise _C.ShapeError(f"matrix_power: expected square matrices, got {list(input.shape)}")
    if n == 0:
        out = _C.full(input.shape, 0, input.dtype, input.device)
        out.diagonal(0, -2, -1).fill_(1)
        return out
    base, out = input, None
    if n < 0:
        from .linalg import inv

        base, n = inv(input), -n
    while n:
        if n & 1:
            out = base if out is None else _C.matmul(out, base)
        n >>= 1
        base = _C.matmul(base, base) if n else base
    return out


def chain_matmul(*matrices):
    """The product of several matrices, in the order that needs the fewest multiplications.

    >>> import fastdl as fd
    >>> fd.chain_matmul(fd.ones(2, 3), fd.ones(3, 4), fd.ones(4, 1)).shape
    (2, 1)
    """
    if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)):
        matrices = matrices[0]
    if not matrices:
        raise _C.ValueError("chain_matmul: expected at least one matrix")
    sizes = [m.shape[0] for m in matrices] + [matrices[-1].shape[-1]]
    n = len(matrices)
    cost, cut = [[0] * n for _ in range(n)], [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            choices = [cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)]
            cost[i][j] = min(choices)
            cut[i][j] = i + choices.index(cost[i][j])

    def product(i, j):
        return matrices[i] if i == j else _C.mm(product(i, cut[i][j]), product(cut[i][j] + 1, j))

    return product(0, n - 1)


def matmul(input, other, *, out=None):
    """The product of matrices or vectors, over broadcast batches: ``out[..., i, j] = sum_k input[..., i, k] other[..., k, j]``.

    Args:
        input: (..., M, K), or (K,) which is then one row.
        other: (..., K, N), or (K,) which is then one column.
        out: a tensor of the product's shape and dtype to write to.

    Returns:
        (..., M, N), without the dimension that a vector lacks.

    Raises:
        ShapeError: the two K differ, the batches do not broadcast, or an operand has no dimension.
        DTypeError: operands of different dtypes, or bool.

    >>> import fastdl as fd
    >>> fd.matmul(fd.ones(2, 3), fd.ones(3))
    tensor([3., 3.])
    """
    return _C.matmul(input, other) if out is None else _C.matmul_out(input, other, out)


def mm(input, mat2, *, out=None):
    """`matmul` of a (M, K) and a (K, N) matrix.

    >>> import fastdl as fd
    >>> fd.mm(fd.ones(1, 2), fd.ones(2, 1))
    tensor([[2.]])
    """
    return _C.mm(input, mat2) if out is None else _C.matmul_out(input, mat2, out)


def bmm(input, mat2, *, out=None):
    """`matmul` of (B, M, K) and (B, K, N), without broadcasting.

    >>> import fastdl as fd
    >>> fd.bmm(fd.ones(2, 1, 3), fd.ones(2, 3, 1)).shape
    (2, 1, 1)
    """
    return _C.bmm(input, mat2) if out is None else _C.matmul_out(input, mat2, out)


def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """``beta * input + alpha * mat1 mat2``, in one pass over the result; `input` broadcasts, and is not read if beta is 0.

    >>> import fastdl as fd
    >>> fd.addmm(fd.tensor([10.0, 20.0]), fd.ones(1, 3), fd.ones(3, 2))
    tensor([[13., 23.]])
    """
    return _C.addmm(input, mat1, mat2, beta, alpha)


def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """`addmm` for each matrix of a batch: ``beta * input + alpha * batch1 batch2``.

    >>> import fastdl as fd
    >>> fd.baddbmm(fd.zeros(2, 1, 1), fd.ones(2, 1, 3), fd.ones(2, 3, 1)).flatten()
    tensor([3., 3.])
    """
    return _C.baddbmm(input, batch1, batch2, beta, alpha)


def _plus(input, product, beta, alpha):
    """beta input + alpha product; input is not read when beta is 0."""
    dtype = _C.result_type(product, input)
    if not (dtype.is_floating_point or dtype.is_complex):
        alpha, beta = int(alpha), int(beta)
    product = product if alpha == 1 else _C.mul(product, alpha)
    if beta != 0:
        product = _C.add(product, input if beta == 1 else _C.mul(input, beta))
    return product.to(dtype)


def addmv(input, mat, vec, *, beta=1, alpha=1):
    """``beta * input + alpha * mat vec``; `input` is not read if beta is 0."""
    return _plus(input, _C.mv(mat, vec), beta, alpha)


def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """``beta * input + alpha * outer(vec1, vec2)``; `input` is not read if beta is 0."""
    return _plus(input, _C.outer(vec1, vec2), beta, alpha)


def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """``beta * input + alpha * sum_b batch1[b] batch2[b]``; `input` is not read if beta is 0."""
    return _plus(input, _C.sum(_C.bmm(batch1, batch2), 0, False, batch1.dtype), beta, alpha)


for _name in ("addbmm", "addmv", "addr", "cross", "ger", "inner", "kron", "matrix_power", "trace", "vdot"):
    setattr(Tensor, _name, globals()[_name])
