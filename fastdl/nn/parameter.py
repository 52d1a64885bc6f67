"""Tensors that a module registers when they are assigned to it."""

from fastdl import captured
from fastdl.tensor import Tensor


def _class_for(cls, data):
    """The class itself, or its complex counterpart."""
    if isinstance(data, Tensor) and data.is_complex():
        from fastdl.complex_tensor import complex_class

        return complex_class(cls)
    return cls


class Parameter(Tensor):
    """A tensor that is trained: assigned to a module, it becomes one of its ``parameters()``.

    Args:
        data: the values, any shape; the memory is shared. Empty when left out.
        requires_grad: whether a gradient is computed; only floating-point data can have one.

    Raises:
        DTypeError: ``requires_grad`` with data that is not floating-point.

    >>> nn.Parameter(fd.ones(2)).requires_grad
    True
    """

    __slots__ = ()

    def __new__(cls, data=None, requires_grad=True):
        if captured.current():
            raise captured.CaptureError(
                "Parameter: a captured step cannot make parameters; make them before it is called"
            )
        self = Tensor.__new__(_class_for(cls, data), data)
        self.requires_grad = requires_grad
        return self

    def __repr__(self):
        return f"Parameter containing:\n{super().__repr__()}"

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return type(self), (self.data, self.requires_grad)


class Buffer(Tensor):
    """A tensor that is kept with a module but not trained, such as a running mean.

    Args:
        data: the values, any shape; the memory is shared. Empty when left out.
        persistent: whether the buffer is part of the module's ``state_dict()``.

    >>> module = nn.Module()
    >>> module.total = nn.Buffer(fd.zeros(3))
    >>> list(module.state_dict())
    ['total']
    """

    __slots__ = ()

    def __new__(cls, data=None, *, persistent=True):
        self = Tensor.__new__(_class_for(cls, data), data)
        self.persistent = persistent
        return self

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), persistent=self.persistent)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return _rebuild_buffer, (type(self), self.data, self.persistent)


def _rebuild_buffer(cls, data, persistent):
    return cls(data, persistent=persistent)
