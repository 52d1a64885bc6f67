"""Operators that make, cut, join and rearrange tensors, and pick elements out of them."""

import math

import fastdl as fd
from fastdl.nn import functional as F
from fastdl.onnx.values import axis_of, dtype_of, ints, number

# --- shapes ---


def shape(x, *, start=0, end=None):
    return fd.tensor(list(x.shape)[slice(start, end)], dtype=fd.int64)


def size(x):
    return fd.tensor(x.numel())


def reshape(x, shape, *, allowzero=0):
    """-1 is what remains; 0 is the size that is there, or with allowzero 0."""
    sizes = ints(shape)
    if not allowzero:
        sizes = [x.shape[d] if s == 0 and d < x.ndim else s for d, s in enumerate(sizes)]
    return x.reshape(sizes)


def flatten(x, *, axis=1):
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def squeeze(x, axes=None):
    if axes is None:
        return x.squeeze()
    dims = [axis_of(a, x.ndim) for a in ints(axes)]
    if any(x.shape[d] != 1 for d in dims):
        raise fd.ShapeError(f"Squeeze: axes {dims} of {list(x.shape)} must have size 1")
    return x.reshape([s for d, s in enumerate(x.shape) if d not in dims])


def unsqueeze(x, axes):
    axes = ints(axes)
    ndim = x.ndim + len(axes)
    for axis in sorted(axis_of(a, ndim) for a in axes):
        x = x.unsqueeze(axis)
    return x


def transpose(x, *, perm=None):
    return x.permute(perm if perm is not None else tuple(range(x.ndim))[::-1])


def expand(x, shape):
    """Broadcast both ways: a 1 in ``shape`` keeps the size that is there."""
    sizes = ints(shape)
    own = [1] * (len(sizes) - x.ndim) + list(x.shape)
    sizes = [1] * (len(own) - len(sizes)) + sizes
    return x.expand([a if b == 1 else b for a, b in zip(own, sizes)])


def concat(*inputs, axis):
    return fd.cat(inputs, axis_of(axis, inputs[0].ndim))


def split(x, sizes=None, *, axis=0, num_outputs=None, n_outputs=1):
    """Parts of the sizes given, or ``num_outputs`` equal ones (the last may be smaller)."""
    axis = axis_of(axis, x.ndim)
    if sizes is not None:
        return x.split(ints(sizes), axis)
    count = num_outputs or n_outputs
    part = -(-x.shape[axis] // count)
    return x.split([max(min(part, x.shape[axis] - i * part), 0) for i in range(count)], axis)


def slice_(x, starts, ends, axes=None, steps=None):
    starts, ends = ints(starts), ints(ends)
    axes = list(range(len(starts))) if axes is None else ints(axes)
    for start, end, axis, step in zip(starts, ends, axes, ints(steps) or [1] * len(starts), strict=True):
        axis = axis_of(axis, x.ndim)
        low, high, by = slice(start, end, step).indices(x.shape[axis])
        if by < 0:  # the same elements from the other side
            count = len(range(low, high, by))
            x = x.flip(axis)
            low = x.shape[axis] - 1 - low
            by, high = -by, low + count * -by
        x = x[(slice(None),) * axis + (slice(low, max(high, low), by),)]
    return x


def tile(x, repeats):
    return x.repeat(ints(repeats))


def pad(x, pads, value=None, axes=None, *, mode="constant"):
    """Pads are all starts, then all ends; negative ones take away."""
    pads = ints(pads)
    axes = list(range(x.ndim)) if axes is None else [axis_of(a, x.ndim) for a in ints(axes)]
    sides = {a: (low, high) for a, low, high in zip(axes, pads[: len(axes)], pads[len(axes) :])}
    if mode in ("reflect", "edge", "wrap") and x.numel():
        for axis, (low, high) in sides.items():
            n = x.shape[axis]
            places = range(-low, n + high)
            if mode == "edge":
                places = [min(max(i, 0), n - 1) for i in places]
            elif mode == "wrap":
                places = [i % n for i in places]
            elif n == 1:
                places = [0 for _ in places]
            else:  # there and back, without the edges twice
                places = [n - 1 - abs(i % (2 * n - 2) - (n - 1)) for i in places]
            x = x.index_select(axis, fd.tensor(places, dtype=fd.int64, device=x.device))
        return x
    flat = [n for axis in reversed(range(x.ndim)) for n in sides.get(axis, (0, 0))]
    return F.pad(x, flat, value=number(value, 0))


def center_crop_pad(x, shape, *, axes=None):
    axes = list(range(x.ndim)) if axes is None else [axis_of(a, x.ndim) for a in axes]
    for axis, wanted in zip(axes, ints(shape)):
        there = x.shape[axis]
        if wanted < there:
            x = x.narrow(axis, (there - wanted) // 2, wanted)
        elif wanted > there:
            left = (wanted - there) // 2
            flat = [0] * (2 * (x.ndim - axis - 1)) + [left, wanted - there - left]
            x = F.pad(x, flat)
    return x


def depth_to_space(x, *, blocksize, mode="DCR"):
    n, c, h, w = x.shape
    b = blocksize
    if mode == "DCR":
        y = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, c // (b * b), b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return y.reshape(n, c // (b * b), h * b, w * b)


def space_to_depth(x, *, blocksize, mode="DCR"):
    n, c, h, w = x.shape
    b = blocksize
    y = x.reshape(n, c, h // b, b, w // b, b)
    y = y.permute(0, 3, 5, 1, 2, 4) if mode == "DCR" else y.permute(0, 1, 3, 5, 2, 4)
    return y.reshape(n, c * b * b, h // b, w // b)


def trilu(x, k=None, *, upper=1):
    return (fd.triu if upper else fd.tril)(x, number(k, 0))


def reverse_sequence(x, lengths, *, batch_axis=1, time_axis=0):
    """The first ``lengths[i]`` steps of sequence i in reverse order."""
    steps = fd.arange(x.shape[time_axis])
    n = lengths.reshape(-1, 1)
    places = fd.where(steps < n, n - 1 - steps, steps)  # (batch, time)
    if time_axis < batch_axis:
        places = places.t()
    view = [1] * x.ndim
    view[time_axis], view[batch_axis] = x.shape[time_axis], x.shape[batch_axis]
    return fd.gather(x, time_axis, places.reshape(view).expand(x.shape))


# --- making ---


def constant(
    *, value=None, value_float=None, value_floats=None, value_int=None, value_ints=None, sparse_value=None,
    value_string=None, value_strings=None,
):  # fmt: skip
    if value is not None:
        return value
    for given, dtype in (
        (value_float, fd.float32),
        (value_floats, fd.float32),
        (value_int, fd.int64),
        (value_ints, fd.int64),
    ):
        if given is not None:
            return fd.tensor(given, dtype=dtype)
    raise fd.DTypeError("Constant: strings and sparse tensors are not supported")


def constant_of_shape(shape, *, value=None):
    value = fd.zeros(1) if value is None else value
    return fd.full(ints(shape), number(value), dtype=value.dtype)


def eye_like(x, *, dtype=None, k=0):
    out = fd.zeros(*x.shape, dtype=x.dtype if dtype is None else dtype_of(dtype, "the result of EyeLike"))
    if -x.shape[0] < k < x.shape[1]:
        out.diagonal(k).fill_(1)
    return out


def range_(start, limit, delta, *, stash_type=1):
    start_, limit_, delta_ = (number(v) for v in (start, limit, delta))
    count = max(math.ceil((limit_ - start_) / delta_), 0)
    if not start.dtype.is_floating_point:
        return (fd.arange(count) * delta_ + start_).to(start.dtype)
    return (start_ + fd.arange(count, dtype=fd.float64) * delta_).to(start.dtype)


def one_hot(indices, depth, values, *, axis=-1):
    depth = int(number(depth))
    indices = indices.long()
    axis = axis_of(axis, indices.ndim + 1)
    view = [1] * (indices.ndim + 1)
    view[axis] = depth
    hot = fd.remainder(indices.unsqueeze(axis), depth) == fd.arange(depth).reshape(view)
    inside = ((indices >= -depth) & (indices < depth)).unsqueeze(axis)
    off, on = values.unbind(0)
    return fd.where(hot & inside, on, off)


# --- picking and placing ---


def _wrapped(indices, n):
    """Indices counted from the front."""
    indices = indices.long()
    return fd.where(indices < 0, indices + n, indices)


def gather(x, indices, *, axis=0):
    axis = axis_of(axis, x.ndim)
    places = _wrapped(indices, x.shape[axis])
    y = x.index_select(axis, places.reshape(-1))
    return y.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def gather_elements(x, indices, *, axis=0):
    axis = axis_of(axis, x.ndim)
    cut = tuple(slice(0, s) if d != axis else slice(None) for d, s in enumerate(indices.shape))
    return fd.gather(x[cut], axis, _wrapped(indices, x.shape[axis]))


def _flat_places(indices, sizes):
    """Positions in a flattened tensor of ``sizes`` from index vectors in the last dimension."""
    places = fd.zeros(*indices.shape[:-1], dtype=fd.int64)
    for d, n in enumerate(sizes):
        place = _wrapped(indices[..., d], n)
        if place.numel() and (int(place.amin()) < 0 or int(place.amax()) >= n):
            raise fd.IndexError(f"an index along dimension {d} is outside of its size {n}")
        places = places * n + place
    return places


def gather_nd(x, indices, *, batch_dims=0):
    depth = indices.shape[-1]
    lead, inner, rest = x.shape[:batch_dims], x.shape[batch_dims : batch_dims + depth], x.shape[batch_dims + depth :]
    places = _flat_places(indices, inner)
    batch = math.prod(lead)
    flat = x.reshape(batch * math.prod(inner), -1) if rest else x.reshape(-1)
    if batch_dims:
        offset = fd.arange(batch) * math.prod(inner)
        places = places.reshape(batch, -1) + offset.unsqueeze(1)
    return flat[places.reshape(-1)].reshape([*indices.shape[:-1], *rest])


def _combine(flat, places, updates, reduction):
    """``flat[places] = updates`` along the first dimension, or combined with what is there, in order."""
    if reduction == "none":
        return flat.index_put((places,), updates)
    if reduction == "add":
        return flat.index_add(0, places, updates)
    function = {"mul": fd.mul, "max": fd.maximum, "min": fd.minimum}[reduction]
    # Equal places are taken one occurrence at a time.
    seen, turn = {}, []
    for place in places.tolist():
        seen[place] = seen.get(place, -1) + 1
        turn.append(seen[place])
    turn = fd.tensor(turn, dtype=fd.int64)
    for t in range(max(seen.values(), default=-1) + 1):
        now = (turn == t).nonzero().reshape(-1)
        where = places[now]
        flat = flat.index_put((where,), function(flat[where], updates[now]))
    return flat


def scatter_elements(x, indices, updates, *, axis=0, reduction="none"):
    axis = axis_of(axis, x.ndim)
    vectors = [
        _wrapped(indices, x.shape[d])
        if d == axis
        else fd.arange(s).reshape([-1] + [1] * (x.ndim - 1 - d)).expand(indices.shape)
        for d, s in enumerate(indices.shape)
    ]
    places = _flat_places(fd.stack(vectors, -1), x.shape).reshape(-1)
    return _combine(x.reshape(-1), places, updates.reshape(-1), reduction).reshape(x.shape)


def scatter_nd(x, indices, updates, *, reduction="none"):
    depth = indices.shape[-1]
    places = _flat_places(indices, x.shape[:depth]).reshape(-1)
    rest = math.prod(x.shape[depth:])
    flat = x.reshape(math.prod(x.shape[:depth]), rest)
    return _combine(flat, places, updates.reshape(places.shape[0], rest), reduction).reshape(x.shape)


def tensor_scatter(cache, update, write_indices=None, *, axis=-2, mode="linear"):
    """Writes each sample's update into its cache, along the axis from its own index on."""
    axis = axis_of(axis, cache.ndim)
    length, most = update.shape[axis], cache.shape[axis]
    starts = fd.zeros(cache.shape[0], dtype=fd.int64) if write_indices is None else write_indices.long()
    places = starts.unsqueeze(1) + fd.arange(length)
    if mode == "circular":
        places = fd.remainder(places, most)
    view = [1] * cache.ndim
    view[0], view[axis] = cache.shape[0], length
    return fd.scatter(cache, axis, places.reshape(view).expand(update.shape), update)


OPERATORS = {
    "CenterCropPad": center_crop_pad,
    "Concat": concat,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "EyeLike": eye_like,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "OneHot": one_hot,
    "Pad": pad,
    "Range": range_,
    "Reshape": reshape,
    "ReverseSequence": reverse_sequence,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "Shape": shape,
    "Size": size,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "TensorScatter": tensor_scatter,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
