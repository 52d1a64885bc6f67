"""Linear and bilinear maps."""

import fastdl
from fastdl import _C

__all__ = [
    "bilinear",
    "linear",
]


def linear(input, weight, bias=None):
    """``y = x W^T + b``, in one pass.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,), or None.

    Returns:
        (..., out_features).

    Raises:
        ShapeError: the sizes do not fit. DTypeError: operands of different dtypes.

    >>> F.linear(fd.ones(2, 3), fd.ones(1, 3), fd.tensor([0.5]))
    tensor([[3.5],
            [3.5]])
    """
    return _C.linear(input, weight, bias)


def bilinear(input1, input2, weight, bias=None):
    """y_k = x1^T A_k x2 + b_k.

    Args:
        input1, input2: (*, I) and (*, J).
        weight: (K, I, J). bias: (K,) or None.

    Raises:
        ShapeError: the shapes do not fit.

    >>> F.bilinear(fd.ones(2, 3), fd.ones(2, 4), fd.ones(5, 3, 4)).shape
    (2, 5)
    """
    k, i, j = weight.shape
    if input1.shape[:-1] != input2.shape[:-1] or input1.shape[-1] != i or input2.shape[-1] != j:
        raise fastdl.ShapeError(
            f"bilinear: inputs {list(input1.shape)} and {list(input2.shape)} for weight {list(weight.shape)}, "
            f"expected [..., {i}] and [..., {j}]"
        )
    left = (input1.reshape(-1, i) @ weight.permute(1, 0, 2).reshape(i, k * j)).view(-1, k, j)
    y = (left @ input2.reshape(-1, j, 1)).view(*input1.shape[:-1], k)
    return y if bias is None else y + bias
