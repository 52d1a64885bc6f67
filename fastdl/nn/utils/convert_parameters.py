"""Parameters as one vector, and back."""

import fastdl
from fastdl.autograd import no_grad
from fastdl.tensor import Tensor


def parameters_to_vector(parameters):
    """All parameters' elements in one 1-d tensor, in order.

    >>> nn.utils.parameters_to_vector([fd.ones(2), fd.zeros(1, 1)]).tolist()
    [1.0, 1.0, 0.0]
    """
    return fastdl.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec, parameters):
    """Copies consecutive elements of a 1-d tensor into the parameters, in order.

    Raises:
        ShapeError: the vector has another number of elements than the parameters; nothing is changed then.

    >>> w = nn.Parameter(fd.zeros(2, 1))
    >>> nn.utils.vector_to_parameters(fd.tensor([1.0, 2.0]), [w])
    >>> w.tolist()
    [[1.0], [2.0]]
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected a tensor, but got {type(vec).__name__}")
    parameters = list(parameters)
    total = sum(p.numel() for p in parameters)
    if vec.ndim != 1 or vec.numel() != total:
        raise fastdl.ShapeError(
            f"vector_to_parameters: vector {list(vec.shape)} for parameters of {total} elements in all"
        )
    begin = 0
    with no_grad():
        for p in parameters:
            p.copy_(vec[begin : begin + p.numel()].view(p.shape))
            begin += p.numel()
