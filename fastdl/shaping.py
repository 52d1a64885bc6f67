"""Functions that stack, cut, turn and combine tensors along dimensions, composed from views and joins."""

from . import _C
from ._C import Tensor

__all__ = [
    "adjoint", "as_strided", "as_strided_scatter", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes",
    "broadcast_tensors", "cartesian_prod", "column_stack", "combinations", "concatenate", "diag", "diag_embed",
    "diagflat", "dsplit", "dstack", "fliplr", "flipud", "hsplit", "hstack", "meshgrid", "moveaxis", "permute_dims",
    "ravel", "rot90", "row_stack", "split_with_sizes", "tensor_split", "vander", "vsplit", "vstack",
]  # fmt: skip


def _listed(tensors):
    return tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors


# --- broadcasting ---


def broadcast_shapes(*shapes):
    """The shape that tensors of these shapes broadcast to.

    Raises:
        ShapeError: they do not broadcast.

    >>> import fastdl as fd
    >>> fd.broadcast_shapes((3, 1), (5,))
    (3, 5)
    """
    shapes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    out = [1] * max(map(len, shapes), default=0)
    for shape in shapes:
        for i, n in enumerate(reversed(shape)):
            if n < 0:
                raise _C.ShapeError(f"broadcast_shapes: a negative size in {shape}")
            if n != 1:
                if out[-1 - i] not in (1, n):
                    raise _C.ShapeError(f"broadcast_shapes: {', '.join(map(str, shapes))} do not broadcast")
                out[-1 - i] = n
    return tuple(out)


def broadcast_tensors(*tensors):
    """The tensors, expanded to their common shape."""
    tensors = _listed(tensors)
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(shape) for t in tensors)


def meshgrid(*tensors, indexing="ij"):
    """For vectors of lengths n, m, ...: for each a tensor (n, m, ...) that varies along its own dimension.

    Args:
        tensors: vectors or numbers, or one list of them.
        indexing: 'ij', or 'xy' with the first two dimensions exchanged.

    >>> import fastdl as fd
    >>> fd.meshgrid(fd.tensor([1, 2]), fd.tensor([3, 4, 5]))[0]
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    tensors = [_C.reshape(t, (-1,)) if t.ndim < 2 else t for t in _listed(tensors)]
    for t in tensors:
        if t.ndim != 1:
            raise _C.ShapeError(f"meshgrid: expected vectors or numbers, got shape {list(t.shape)}")
    if indexing not in ("ij", "xy"):
        raise _C.ValueError(f"meshgrid: indexing {indexing!r}, expected 'ij' or 'xy'")
    n = len(tensors)
    order = list(range(n))
    if indexing == "xy" and n > 1:
        order[:2] = 1, 0
    shape = [tensors[i].numel() for i in order]
    return tuple(
        _C.reshape(t, [-1 if order[d] == i else 1 for d in range(n)]).expand(shape) for i, t in enumerate(tensors)
    )


def cartesian_prod(*tensors):
    """Every combination of one element of each vector: (combinations, vectors), or the vector itself if it is alone."""
    tensors = _listed(tensors)
    if len(tensors) == 1:
        return tensors[0]
    return _C.stack([_C.reshape(t, (-1,)) for t in meshgrid(*tensors)], 1)


def combinations(input, r=2, with_replacement=False):
    """The combinations of r elements of a vector, in order, as rows.

    >>> import fastdl as fd
    >>> fd.combinations(fd.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    from itertools import combinations, combinations_with_replacement

    if input.ndim != 1:
        raise _C.ShapeError(f"combinations: expected a vector, got shape {list(input.shape)}")
    if r < 0:
        raise _C.ValueError(f"combinations: r {r} must not be negative")
    if r == 0:
        return _C.empty((0,), input.dtype, input.device)
    picks = list((combinations_with_replacement if with_replacement else combinations)(range(input.shape[0]), r))
    index = _C.tensor_from(picks, _C.int64, input.device) if picks else _C.empty((0, r), _C.int64, input.device)
    return input[index]


# --- at least so many dimensions ---


def _each(function, tensors):
    tensors = _listed(tensors)
    return function(tensors) if isinstance(tensors, Tensor) else tuple(function(t) for t in tensors)


def _at_least_1d(t):
    return _C.reshape(t, (1,)) if t.ndim == 0 else t


def _at_least_2d(t):
    return _C.reshape(t, (1, -1)) if t.ndim < 2 else t


def _at_least_3d(t):
    return _C.reshape(t, (1, -1, 1)) if t.ndim < 2 else _C.unsqueeze(t, -1) if t.ndim == 2 else t


def _at_least(function, tensors):
    return function(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], Tensor) else _each(function, tensors)


def atleast_1d(*tensors):
    """Views with at least one dimension; a tensor for one tensor, a tuple for several."""
    return _at_least(_at_least_1d, tensors)


def atleast_2d(*tensors):
    """Views with at least two dimensions; a vector becomes one row."""
    return _at_least(_at_least_2d, tensors)


def atleast_3d(*tensors):
    """Views with at least three dimensions; a vector of n becomes (1, n, 1), a matrix (n, m, 1)."""
    return _at_least(_at_least_3d, tensors)


# --- joining ---


def concatenate(tensors, axis=0, dim=None):
    """See `cat`."""
    return _C.cat(tensors, axis if dim is None else dim)


def hstack(tensors):
    """The tensors side by side: along dimension 1, vectors along 0."""
    tensors = [_at_least_1d(t) for t in tensors]
    return _C.cat(tensors, 0 if tensors and tensors[0].ndim == 1 else 1)


def vstack(tensors):
    """The tensors one below the other: along dimension 0, vectors as rows."""
    return _C.cat([_at_least_2d(t) for t in tensors], 0)


row_stack = vstack


def dstack(tensors):
    """The tensors along dimension 2."""
    return _C.cat([_at_least_3d(t) for t in tensors], 2)


def column_stack(tensors):
    """`hstack` with vectors as columns.

    >>> import fastdl as fd
    >>> fd.column_stack([fd.tensor([1, 2]), fd.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    return _C.cat([_C.reshape(t, (-1, 1)) if t.ndim < 2 else t for t in tensors], 1)


def block_diag(*tensors):
    """A matrix with the tensors as blocks on its diagonal and zeros elsewhere; vectors are rows.

    >>> import fastdl as fd
    >>> fd.block_diag(fd.ones(1, 2), fd.tensor([3.0]))
    tensor([[1., 1., 0.],
            [0., 0., 3.]])
    """
    blocks = [_at_least_2d(t) for t in _listed(tensors)]
    for b in blocks:
        if b.ndim != 2:
            raise _C.ShapeError(f"block_diag: expected at most 2 dimensions, got shape {list(b.shape)}")
    if not blocks:
        return _C.empty((1, 0), _C.default_dtype(), "cpu")
    dtype = blocks[0].dtype
    for b in blocks:
        dtype = _C.promote_types(dtype, b.dtype)
    width = sum(b.shape[1] for b in blocks)
    rows, at = [], 0
    for b in blocks:
        left = _C.full((b.shape[0], at), 0, dtype, b.device)
        at += b.shape[1]
        right = _C.full((b.shape[0], width - at), 0, dtype, b.device)
        rows.append(_C.cat([left, b.to(dtype), right], 1))
    return _C.cat(rows, 0)


# --- cutting ---


def split_with_sizes(input, split_sizes, dim=0):
    """Views of the sizes in a list along `dim`."""
    return _C.split_sizes(input, split_sizes, dim)


def tensor_split(input, indices_or_sections, dim=0):
    """Views along `dim`: so many of nearly equal size (the first ones larger by one), or cut before the given places.

    >>> import fastdl as fd
    >>> [t.tolist() for t in fd.tensor_split(fd.arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """
    if input.ndim == 0:
        raise _C.ShapeError("tensor_split: expected at least one dimension, got a number")
    n = input.size(dim)
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections <= 0:
            raise _C.ValueError(f"tensor_split: sections {sections}, expected at least 1")
        size, rest = divmod(n, sections)
        return _C.split_sizes(input, [size + (i < rest) for i in range(sections)], dim)
    places = [min(max(i + n if i < 0 else i, 0), n) for i in indices_or_sections]
    starts, ends = [0, *places], [*places, n]
    return tuple(_C.narrow(input, dim, s, max(e - s, 0)) for s, e in zip(starts, ends))


def _split_along(name, input, indices_or_sections, dim):
    if input.ndim <= dim and not (name == "hsplit" and input.ndim == 1):
        raise _C.ShapeError(f"{name}: input {list(input.shape)} has too few dimensions")
    dim = min(dim, input.ndim - 1)
    if isinstance(indices_or_sections, int) and (indices_or_sections <= 0 or input.shape[dim] % indices_or_sections):
        raise _C.ValueError(f"{name}: {input.shape[dim]} places cannot be cut into {indices_or_sections} equal parts")
    return tensor_split(input, indices_or_sections, dim)


def hsplit(input, indices_or_sections):
    """`tensor_split` along dimension 1 (a vector: 0), in equal parts only."""
    return _split_along("hsplit", input, indices_or_sections, 1)


def vsplit(input, indices_or_sections):
    """`tensor_split` along dimension 0 of at least 2, in equal parts only."""
    if input.ndim < 2:
        raise _C.ShapeError(f"vsplit: input {list(input.shape)} has too few dimensions")
    return _split_along("vsplit", input, indices_or_sections, 0)


def dsplit(input, indices_or_sections):
    """`tensor_split` along dimension 2, in equal parts only."""
    return _split_along("dsplit", input, indices_or_sections, 2)


# --- turning ---


def fliplr(input):
    """Columns in reverse order: `flip` of dimension 1."""
    if input.ndim < 2:
        raise _C.ShapeError(f"fliplr: expected at least 2 dimensions, got shape {list(input.shape)}")
    return _C.flip(input, (1,))


def flipud(input):
    """Rows in reverse order: `flip` of dimension 0."""
    if input.ndim < 1:
        raise _C.ShapeError("flipud: expected at least one dimension, got a number")
    return _C.flip(input, (0,))


def rot90(input, k=1, dims=(0, 1)):
    """Turned by k times 90 degrees, from the first of `dims` towards the second.

    >>> import fastdl as fd
    >>> fd.rot90(fd.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2 or input.ndim < 2 or dims[0] % input.ndim == dims[1] % input.ndim:
        raise _C.ValueError(
            f"rot90: dims {tuple(dims)}, expected two different dimensions of input {list(input.shape)}"
        )
    a, b = dims
    k %= 4
    if k == 0:
        return input.clone()
    if k == 2:
        return _C.flip(input, (a, b))
    return _C.flip(_C.transpose(input, a, b), (a if k == 1 else b,))


def moveaxis(input, source, destination):
    """See `movedim`."""
    return _C.movedim(input, source, destination)


def permute_dims(input, axes):
    """See `permute`: the Array API's name."""
    return _C.permute(input, axes)


def ravel(input):
    """The elements as one dimension: a view where the strides allow it."""
    return _C.reshape(input, (-1,))


def adjoint(input):
    """Matrices transposed and conjugated: `mH`."""
    return input.mH


def as_strided(input, size, stride, storage_offset=None):
    """A view of the memory behind `input` with any sizes and strides, in elements.

    Raises:
        ShapeError: it reaches beyond the memory.
    """
    return _C.as_strided(input, size, stride, input.storage_offset() if storage_offset is None else storage_offset)


def as_strided_scatter(input, src, size, stride, storage_offset=None):
    """A copy of `input`'s elements with `src` in the place of `as_strided(input, size, stride, storage_offset)`.

    Raises:
        ShapeError: `src` has another shape than `size`.
    """
    if tuple(src.shape) != tuple(size):
        raise _C.ShapeError(f"as_strided_scatter: src {list(src.shape)}, expected {list(size)}")
    offset = input.storage_offset() if storage_offset is None else storage_offset
    places = _C.arange(0, input._storage_bytes // input.itemsize, 1, _C.int64, input.device)
    index = _C.as_strided(
        _C.as_strided(places, input.shape, input.stride(), input.storage_offset()), size, stride, offset
    )
    # From places in memory to places in the order of the elements.
    order = _C.reshape(_C.arange(0, input.numel(), 1, _C.int64, input.device), input.shape)
    lookup = _C.full(places.shape, -1, _C.int64, input.device)
    _C.as_strided(lookup, input.shape, input.stride(), input.storage_offset()).copy_(order)
    index = lookup[_C.reshape(index, (-1,))]
    if index.numel() and int(index.min()) < 0:
        raise _C.IndexError(
            f"as_strided_scatter: size {list(size)} and stride {list(stride)} leave the input's elements"
        )
    flat = _C.scatter(_C.reshape(input, (-1,)), 0, index, _C.reshape(src, (-1,)).to(input.dtype))
    return _C.reshape(flat, input.shape)


# --- diagonals ---


def diag(input, diagonal=0):
    """A vector's elements on a diagonal of a square matrix of zeros, or the diagonal of a matrix.

    >>> import fastdl as fd
    >>> fd.diag(fd.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if input.ndim not in (1, 2):
        raise _C.ShapeError(f"diag: expected a vector or a matrix, got shape {list(input.shape)}")
    return diag_embed(input, diagonal) if input.ndim == 1 else _C.diagonal(input, diagonal).clone()


def diagflat(input, offset=0):
    """The elements in order on a diagonal of a square matrix of zeros."""
    return diag_embed(_C.reshape(input, (-1,)), offset)


def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """The last dimension laid on a diagonal of two new dimensions `dim1` and `dim2`, zeros elsewhere.

    Raises:
        ShapeError: `dim1` and `dim2` are the same.
    """
    n = input.ndim + 1
    if not (-n <= dim1 < n and -n <= dim2 < n) or dim1 % n == dim2 % n:
        raise _C.ShapeError(f"diag_embed: dimensions {dim1} and {dim2} of a result of {n} dimensions")
    size = input.shape[-1] + abs(offset)
    dim1, dim2 = dim1 % n, dim2 % n
    shape = list(input.shape[:-1])
    for d in sorted((dim1, dim2)):
        shape.insert(d, size)
    out = _C.full(shape, 0, input.dtype, input.device)
    return diagonal_scatter(out, input, offset, dim1, dim2)


def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy of `input` with `src` in the place of its `diagonal`."""
    out = input.clone()
    place = _C.diagonal(out.detach(), offset, dim1, dim2)
    if place.shape != src.shape:
        raise _C.ShapeError(f"diagonal_scatter: src {list(src.shape)}, expected {list(place.shape)}")
    index = _C.diagonal(_C.reshape(_C.arange(0, out.numel(), 1, _C.int64, out.device), out.shape), offset, dim1, dim2)
    flat = _C.scatter(_C.reshape(out, (-1,)), 0, _C.reshape(index, (-1,)), _C.reshape(src, (-1,)).to(input.dtype))
    return _C.reshape(flat, out.shape)


def vander(x, N=None, increasing=False):
    """Powers of a vector's elements as columns: x^(N-1), ..., x, 1; the other way round if `increasing`.

    >>> import fastdl as fd
    >>> fd.vander(fd.tensor([2, 3]), 3)
    tensor([[4, 2, 1],
            [9, 3, 1]])
    """
    if x.ndim != 1:
        raise _C.ShapeError(f"vander: expected a vector, got shape {list(x.shape)}")
    n = x.shape[0] if N is None else N
    if n < 0:
        raise _C.ValueError(f"vander: N {n} must not be negative")
    dtype = x.dtype if x.dtype.is_floating_point else _C.int64
    columns = [_C.full((x.shape[0], 1), 1, dtype, x.device)]
    if n > 1:
        columns.append(_C.cumprod(_C.unsqueeze(x.to(dtype), 1).expand((-1, n - 1)), 1))
    powers = _C.narrow(_C.cat(columns, 1), 1, 0, n)
    return powers if increasing else _C.flip(powers, (1,))


for _name in (
    "adjoint", "as_strided_scatter", "diag", "diag_embed", "diagflat", "diagonal_scatter", "dsplit", "fliplr", "flipud", "hsplit", "moveaxis",
    "ravel", "rot90", "split_with_sizes", "tensor_split", "vsplit",
):  # fmt: skip
    setattr(Tensor, _name, globals()[_name])
