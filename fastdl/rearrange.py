"""Functions that view, pick, join or reorder elements. Most are methods of Tensor too."""

from . import _C
from ._C import Tensor

__all__ = [
    "broadcast_to", "cat", "chunk", "clone", "concat", "diagonal", "flatten", "flip", "gather", "index_add", "index_select",
    "masked_select", "movedim", "narrow", "nonzero", "permute", "repeat_interleave", "reshape", "roll", "scatter",
    "scatter_add", "select", "split", "squeeze", "stack", "swapaxes", "swapdims", "t", "take_along_dim", "tile",
    "transpose", "tril", "triu", "unbind", "unflatten", "unsafe_chunk", "unsafe_split", "unsqueeze",
]  # fmt: skip


# --- views ---


def reshape(input, shape):
    """`input` with another shape (one size may be -1): a view where the strides allow it, else a copy.

    Raises:
        ShapeError: another number of elements.

    >>> import fastdl as fd
    >>> fd.reshape(fd.arange(6), (2, -1)).shape
    (2, 3)
    """
    return _C.reshape(input, shape)


def flatten(input, start_dim=0, end_dim=-1):
    """Dimensions start_dim to end_dim merged into one."""
    return _C.flatten(input, start_dim, end_dim)


def unflatten(input, dim, sizes):
    """Dimension `dim` cut into `sizes` (one may be -1)."""
    return _C.unflatten(input, dim, sizes)


def transpose(input, dim0, dim1):
    """A view with two dimensions exchanged."""
    return _C.transpose(input, dim0, dim1)


swapaxes = swapdims = transpose


def t(input):
    """A matrix transposed; a vector or a number as it is.

    Raises:
        ShapeError: more than two dimensions.
    """
    return _C.t(input)


def permute(input, dims):
    """A view with the dimensions in the order `dims`.

    >>> import fastdl as fd
    >>> fd.permute(fd.zeros(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return _C.permute(input, dims)


def movedim(input, source, destination):
    """A view with dimensions `source` moved to the places `destination`; the others keep their order."""
    return _C.movedim(input, source, destination)


def squeeze(input, dim=None):
    """A view without dimensions of size 1, all of them or those named."""
    return _C.squeeze(input, dim)


def unsqueeze(input, dim):
    """A view with a dimension of size 1 put in at `dim`."""
    return _C.unsqueeze(input, dim)


def select(input, dim, index):
    """A view of one place along `dim`, without that dimension.

    Raises:
        IndexError: the index, or the dimension, is out of range.
    """
    return _C.select(input, dim, index)


def narrow(input, dim, start, length):
    """A view of `length` places along `dim` from `start` on."""
    return _C.narrow(input, dim, start, length)


def split(tensor, split_size_or_sections, dim=0):
    """Views of `split_size` places each along `dim` (the last may be smaller), or of the sizes in a list.

    >>> import fastdl as fd
    >>> [x.shape for x in fd.split(fd.zeros(5, 2), 2)]
    [(2, 2), (2, 2), (1, 2)]
    """
    return tensor.split(split_size_or_sections, dim)


def chunk(input, chunks, dim=0):
    """`input` cut into at most `chunks` views of equal size along `dim` (the last may be smaller)."""
    return _C.chunk(input, chunks, dim)


unsafe_split, unsafe_chunk = split, chunk  # views here too; what is unsafe in PyTorch, writing to them, is checked


def unbind(input, dim=0):
    """The views along `dim`, without that dimension."""
    return _C.unbind(input, dim)


def diagonal(input, offset=0, dim1=0, dim2=1):
    """A view of the diagonal of two dimensions, as the last dimension."""
    return _C.diagonal(input, offset, dim1, dim2)


def broadcast_to(input, size):
    """`input` expanded to `size` without copying."""
    return input.expand(size)


Tensor.broadcast_to = lambda self, size: self.expand(size)
Tensor.swapaxes = Tensor.swapdims = Tensor.transpose


# --- joining and repeating ---


def clone(input, *, memory_format=None):
    """A copy of `input`, in its layout unless another memory format is asked for."""
    return input.clone() if memory_format is None else input.clone(memory_format=memory_format)


def cat(tensors, dim=0):
    """The tensors one after the other along `dim`; their other dimensions must agree.

    Raises:
        ShapeError: shapes that differ elsewhere, or no tensor at all.

    >>> import fastdl as fd
    >>> fd.cat([fd.zeros(1, 2), fd.ones(1, 2)])
    tensor([[0., 0.],
            [1., 1.]])
    """
    return _C.cat(tensors, dim)


concat = cat


def stack(tensors, dim=0):
    """The tensors, all of one shape, side by side along a new dimension."""
    return _C.stack(tensors, dim)


def tile(input, dims):
    """`input` repeated dims[i] times along each dimension, in whole copies."""
    return _C.tile(input, dims)


def repeat_interleave(input, repeats, dim=None, *, output_size=None):
    """Each element repeated in place, `repeats` times (a number, or a tensor with one for each); flat without `dim`."""
    if isinstance(repeats, Tensor):
        return _C.repeat_interleave_tensor(input, repeats, dim)
    return _C.repeat_interleave(input, repeats, dim)


Tensor.repeat_interleave = repeat_interleave


# --- reordering ---


def flip(input, dims):
    """The order of the elements reversed along `dims`."""
    return _C.flip(input, dims)


def roll(input, shifts, dims=None):
    """The elements moved by `shifts` along `dims`, those pushed out coming back at the other end."""
    return _C.roll(input, shifts, () if dims is None else dims)


def tril(input, diagonal=0):
    """The lower triangle of the last two dimensions, zeros above the diagonal."""
    return _C.tril(input, diagonal)


def triu(input, diagonal=0):
    """The upper triangle of the last two dimensions, zeros below the diagonal."""
    return _C.triu(input, diagonal)


# --- picking and placing ---


def gather(input, dim, index):
    """out[i][j] = input[index[i][j]][j] for dim 0, and likewise: one element of `input` for each index.

    Args:
        index: int64, of input's number of dimensions.

    Raises:
        IndexError: an index out of range.
    """
    return _C.gather(input, dim, index)


def scatter(input, dim, index, src=None, *, value=None, reduce=None):
    """A copy of `input` with out[index[i][j]][j] = src[i][j] for dim 0, and likewise.

    Args:
        src: a tensor, or a number (which may be named `value`).
        reduce: 'add' or 'multiply' with what is there, instead of replacing it.
    """
    src = value if src is None else src
    if reduce is None:
        return _C.scatter(input, dim, index, src)
    if reduce not in ("add", "multiply"):
        raise _C.ValueError(f"scatter: reduce {reduce!r}, expected 'add' or 'multiply'")
    if not isinstance(src, Tensor):
        src = _C.full(index.shape, src, input.dtype, input.device)
    return _C.scatter_reduce(input, dim, index, src, "sum" if reduce == "add" else "prod", True)


_scatter_ = Tensor.scatter_


def _scatter_in_place(self, dim, index, src=None, *, value=None, reduce=None):
    """`scatter`, written into this tensor."""
    if reduce is None:
        return _scatter_(self, dim, index, value if src is None else src)
    source = self.clone() if self.requires_grad and _C.is_grad_enabled() else self
    return _C.assign("scatter_", self, scatter(source, dim, index, src, value=value, reduce=reduce))


Tensor.scatter = scatter
Tensor.scatter_ = _scatter_in_place


def scatter_add(input, dim, index, src):
    """As `scatter`, adding to what is there; equal places add up in order."""
    return _C.scatter_add(input, dim, index, src)


def take_along_dim(input, indices, dim=None):
    """As `gather`, with `input` and `indices` broadcast; flat without `dim`."""
    return _C.take_along_dim(input, indices, dim)


def index_select(input, dim, index):
    """The places `index` (a vector of integers) along `dim`."""
    return _C.index_select(input, dim, index)


def index_add(input, dim, index, source, *, alpha=1):
    """A copy of `input` with alpha * source added at the places `index` along `dim`."""
    return _C.index_add(input, dim, index, source, alpha)


def masked_select(input, mask):
    """The elements where `mask` is true, in order, as a vector."""
    return _C.masked_select(input, mask)


def nonzero(input, *, as_tuple=False):
    """The places of the elements that are not zero: (count, ndim), or a vector for each dimension.

    >>> import fastdl as fd
    >>> fd.nonzero(fd.tensor([0, 3, 4]))
    tensor([[1],
            [2]])
    """
    places = _C.nonzero(_C.reshape(input, (1,)) if as_tuple and input.ndim == 0 else input)
    return _C.unbind(places, 1) if as_tuple else places


Tensor.nonzero = nonzero
Tensor.unsafe_chunk, Tensor.unsafe_split = Tensor.chunk, lambda self, split_size, dim=0: self.split(split_size, dim)
