"""Ops that NumPy computes on the host, with gradients written in tensors' ops."""

from .autograd import Function, is_grad_enabled
from .functions import from_numpy
from .tensor import Error


class LinAlgError(Error):
    """A matrix for which the result does not exist: singular, or not positive definite."""


def to_host(x):
    """The values as an array, without history."""
    return x.detach().cpu().numpy()


def from_host(array, device="cpu"):
    """A tensor over an array's memory, or a copy on another device."""
    import numpy

    return from_numpy(numpy.ascontiguousarray(array).reshape(array.shape)).to(device=device)


class _Call(Function):
    @staticmethod
    def forward(ctx, op, *inputs):
        outputs = op.run(*inputs)
        ctx.op, ctx.count = op, len(inputs)
        ctx.save_for_backward(*inputs, *outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    @staticmethod
    def backward(ctx, *grads):
        inputs, outputs = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        if is_grad_enabled():  # for second-order gradients the outputs must have a history
            out = ctx.op(*inputs)
            outputs = out if isinstance(out, tuple) else (out,)
        gradients = ctx.op.gradient(grads, inputs, outputs)
        return (None, *(gradients if isinstance(gradients, tuple) else (gradients,)))


class HostOp:
    """forward(numpy, *arrays) gives arrays; gradient(grads, inputs, outputs) gives a gradient for each input."""

    __slots__ = ("forward", "gradient", "name")

    def __init__(self, name, forward, gradient):
        self.name, self.forward, self.gradient = name, forward, gradient

    def __call__(self, *inputs):
        return _Call.apply(self, *inputs)

    def run(self, *inputs):
        import numpy

        try:
            with numpy.errstate(all="ignore"):
                out = self.forward(numpy, *map(to_host, inputs))
        except numpy.linalg.LinAlgError as e:
            shapes = " and ".join(str(list(x.shape)) for x in inputs)
            raise LinAlgError(f"{self.name}: {str(e).lower()}; input of shape {shapes}") from None
        return tuple(from_host(numpy.asarray(a), inputs[0].device) for a in (out if isinstance(out, tuple) else (out,)))
