"""Matrix products; each is a method of Tensor too. Sums of float16 and bfloat16 are kept in float32; integers wrap."""

from . import _C

__all__ = ["addmm", "baddbmm", "bmm", "dot", "matmul", "mm", "mv", "outer"]


def mv(input, vec):
    """Matrix (M, K) times vector (K): (M)."""
    return _C.mv(input, vec)


def dot(input, tensor):
    """The sum of the products of two vectors of one length."""
    return _C.dot(input, tensor)


def outer(input, vec2):
    """out[i][j] = input[i] vec2[j] of two vectors."""
    return _C.outer(input, vec2)


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
