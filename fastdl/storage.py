"""The memory behind tensors: buffers and files as tensors, storages, and tensors that get other memory."""

from . import _C
from ._C import Tensor
from .allocation import finish
from .autograd import no_grad

__all__ = ["Storage", "from_file", "frombuffer", "is_storage", "to_dlpack"]

_SHARED = {}  # addresses of the blocks that share_memory_ made, with weak references to their maps


# --- other memory as tensors ---


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A tensor over the memory of an object with Python's buffer protocol: bytes from `offset` on, read as `dtype`.

    Args:
        buffer: bytearray, array.array, mmap, ...; of one that cannot be written (bytes) the tensor is a copy.
        count: elements; as many as there are when negative.

    Raises:
        ValueError: fewer bytes than asked for, or bytes that are no whole elements.

    >>> import fastdl as fd
    >>> fd.frombuffer(bytearray(b"\\x01\\x00\\x02\\x00\\x00\\x00\\x00\\x00"), dtype=fd.uint8, count=3)
    tensor([1, 0, 2], dtype=fastdl.uint8)
    """
    memory = memoryview(buffer).cast("B")
    size = dtype.itemsize
    there = len(memory) - offset
    if offset < 0 or there <= 0:
        raise _C.ValueError(f"frombuffer: offset {offset} in a buffer of {len(memory)} bytes")
    if count < 0:
        if there % size:
            raise _C.ValueError(f"frombuffer: {there} bytes are no whole number of elements of {dtype} ({size} bytes)")
        count = there // size
    if count * size > there:
        raise _C.ValueError(f"frombuffer: {count} elements of {dtype} need {count * size} bytes, there are {there}")
    import numpy

    array = numpy.frombuffer(memory[offset : offset + count * size], numpy.uint8)
    if array.ctypes.data % size:  # elements must be aligned
        array = array.copy()
    return finish(_C.view_dtype(_C.from_buffer(array), dtype), requires_grad)


def from_file(filename, shared=False, size=0, *, dtype=None, requires_grad=False):
    """A tensor over a file's memory map, of `size` elements.

    Args:
        shared: writes go to the file, which is made as large as needed; else they stay in this process.

    Raises:
        ValueError: the file is too short.

    >>> import fastdl as fd, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "numbers")
    ...     _ = fd.from_file(path, shared=True, size=2, dtype=fd.int32).fill_(7)
    ...     fd.from_file(path, size=2, dtype=fd.int32).tolist()
    [7, 7]
    """
    import mmap
    import os

    dtype = dtype or _C.default_dtype()
    nbytes = size * dtype.itemsize
    if size <= 0:
        raise _C.ValueError(f"from_file: size {size}, expected at least 1")
    with open(filename, ("r+b" if os.path.exists(filename) else "w+b") if shared else "rb") as file:
        there = os.fstat(file.fileno()).st_size
        if there < nbytes:
            if not shared:
                raise _C.ValueError(
                    f"from_file: {filename} has {there} bytes, {size} elements of {dtype} need {nbytes}"
                )
            file.truncate(nbytes)
        mapped = mmap.mmap(file.fileno(), nbytes, access=mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY)
    return frombuffer(mapped, dtype=dtype, count=size, requires_grad=requires_grad)


def to_dlpack(tensor):
    """A DLPack capsule of the tensor's memory; `from_dlpack` takes tensors themselves too."""
    return tensor.__dlpack__()


# --- storages ---


class Storage:
    """The memory that tensors are views of: what `tensor.untyped_storage()` gives, in bytes, or typed, in elements."""

    def __init__(self, flat):
        self._flat = flat

    @property
    def dtype(self):
        """The elements' type; uint8 of an untyped storage."""
        return self._flat.dtype

    @property
    def device(self):
        """Where the memory is."""
        return self._flat.device

    def data_ptr(self):
        """The address of the first byte."""
        return self._flat.data_ptr()

    def nbytes(self):
        """The size in bytes."""
        return self._flat._storage_bytes

    def size(self):
        """The number of elements."""
        return self._flat.numel()

    def element_size(self):
        """Bytes of one element."""
        return self._flat.itemsize

    def tolist(self):
        """The elements as Python numbers."""
        return self._flat.tolist()

    def fill_(self, value):
        """Writes a value to every element."""
        self._flat.fill_(value)
        return self

    def copy_(self, source):
        """Writes the elements of another storage of this size."""
        self._flat.copy_(source._flat)
        return self

    def clone(self):
        """A copy."""
        return Storage(self._flat.clone())

    def untyped(self):
        """The same memory in bytes."""
        return self._flat.untyped_storage()

    def __len__(self):
        return self.size()

    def __getitem__(self, index):
        out = self._flat[index]
        return out.tolist() if isinstance(index, int) else Storage(out)

    def __setitem__(self, index, value):
        self._flat[index] = value

    def __eq__(self, other):
        return isinstance(other, Storage) and other.data_ptr() == self.data_ptr() and other.nbytes() == self.nbytes()

    __hash__ = None

    def __repr__(self):
        return f"Storage({self.size()} of {self.dtype}, device={str(self.device)!r})"


def is_storage(obj):
    """Whether `obj` is a storage."""
    return isinstance(obj, Storage)


def _method(function):
    setattr(Tensor, function.__name__, function)
    return function


@_method
def untyped_storage(self):
    """The whole memory that this tensor is a view of, in bytes."""
    flat = _C.as_strided(self.detach(), (self._storage_bytes // self.itemsize,), (1,), 0)
    return Storage(_C.view_dtype(flat, _C.uint8))


@_method
def storage(self):
    """The whole memory that this tensor is a view of, in elements of its dtype."""
    return Storage(_C.as_strided(self.detach(), (self._storage_bytes // self.itemsize,), (1,), 0))


@_method
def storage_type(self):
    """The class of `storage()`."""
    return Storage


@_method
def is_set_to(self, tensor):
    """Whether both are the same elements of the same memory, in the same order."""
    return (
        self.data_ptr() == tensor.data_ptr() and self.shape == tensor.shape and self.stride() == tensor.stride()
        and self.dtype is tensor.dtype
    )  # fmt: skip


# --- tensors that get other memory or sizes ---


def _fixed(name, tensor):
    if tensor.requires_grad:
        raise _C.Error(f"{name}: the tensor requires a gradient, so its memory and shape are fixed")


@_method
def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """The tensor itself, now over the memory of a tensor or a storage (none: empty), with that shape or a given one.

    Raises:
        DTypeError: memory of another dtype.
    """
    _fixed("set_", self)
    if source is None:
        self.data = _C.empty((0,), self.dtype, self.device)
        return self
    memory = source._flat if isinstance(source, Storage) else source
    if memory.dtype is not self.dtype:
        raise _C.DTypeError(f"set_: memory of {memory.dtype} for a tensor of {self.dtype}")
    memory = memory.detach()
    if size is not None:
        memory = _C.as_strided(memory, size, _C.empty(size, _C.bool, "cpu").stride() if stride is None else stride,
                               storage_offset)  # fmt: skip
    elif isinstance(source, Storage) or storage_offset:
        memory = memory.reshape(-1)[storage_offset:]
    self.data = memory
    return self


@_method
def resize_(self, *sizes, memory_format=None):
    """The tensor itself, now of another shape over the same elements; more elements than there were are undefined.

    Raises:
        ShapeError: a negative size.
    """
    _fixed("resize_", self)
    shape = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    contents = _C.empty(shape, self.dtype, self.device)
    with no_grad():
        flat, old = contents.view(-1), self.detach()
        count = min(flat.numel(), old.numel())
        if old.is_contiguous() and flat.numel() <= old.numel():
            contents = _C.as_strided(old, contents.shape, contents.stride(), old.storage_offset())
        elif count:
            flat[:count] = old.reshape(-1)[:count]
    self.data = contents
    return self


@_method
def resize_as_(self, the_template, memory_format=None):
    """`resize_` to the shape of another tensor."""
    return self.resize_(the_template.shape)


@_method
def as_strided_(self, size, stride, storage_offset=None):
    """The tensor itself, now with the shape and strides of `as_strided`."""
    _fixed("as_strided_", self)
    self.data = _C.as_strided(self, size, stride, self.storage_offset() if storage_offset is None else storage_offset)
    return self


@_method
def new_empty_strided(self, size, stride, dtype=None, device=None, requires_grad=False):
    """`fastdl.empty_strided` with this tensor's dtype and device."""
    from .functions import empty_strided

    return empty_strided(
        size, stride, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad
    )


# --- memory that other processes or devices see ---


@_method
def share_memory_(self):
    """Moves the elements to memory that processes forked from this one share; the tensor itself. Nothing on a GPU."""
    if self.is_cuda or self.is_shared():
        return self
    import mmap
    import weakref

    block = mmap.mmap(-1, max(self.numel() * self.itemsize, 1))
    memory = frombuffer(block, dtype=self.dtype, count=self.numel()) if self.numel() else self.detach()
    shared = memory.view(self.shape)
    shared.copy_(self.detach())
    _SHARED[memory.data_ptr()] = weakref.ref(block)
    self.data = shared
    return self


@_method
def is_shared(self):
    """Whether `share_memory_` moved the tensor's memory; always of a tensor on a GPU, as in PyTorch."""
    block = _SHARED.get(self.data_ptr() - self.storage_offset() * self.itemsize)
    return self.is_cuda or (block is not None and block() is not None)
