"""Views, joins, and ops that pick and place elements."""

import fastdl as fd


def _reshape(g, out, x, *_):
    return g.reshape(g.name(x), out.shape)


def _permuted(g, x, order):
    return g.node("Transpose", [g.name(x)], perm=list(order))


def _transpose(g, out, x, dim0, dim1):
    order = list(range(x.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _permuted(g, x, order)


def _permute(g, out, x, dims):
    return _permuted(g, x, [d % x.ndim for d in dims])


def _reversed(g, out, x):
    return _permuted(g, x, range(x.ndim)[::-1])


def _movedim(g, out, x, source, destination):
    source, destination = ([v] if isinstance(v, int) else list(v) for v in (source, destination))
    source, destination = ([d % x.ndim for d in v] for v in (source, destination))
    order = [d for d in range(x.ndim) if d not in source]
    for to, d in sorted(zip(destination, source)):
        order.insert(to, d)
    return _permuted(g, x, order)


def _expand(g, out, x, size):
    return g.node("Expand", [g.name(x), g.constant(list(out.shape))]) if out.ndim else g.name(x)


def _select(g, out, x, dim, index):
    return g.node("Gather", [g.name(x), g.constant(int(index))], axis=dim % x.ndim)


def _sliced(g, name, axis, start, end, step=1):
    return g.node("Slice", [name, *(g.constant([v]) for v in (start, end, axis, step))])


def _narrow(g, out, x, dim, start, length):
    dim = dim % x.ndim
    start = start + x.shape[dim] if start < 0 else start
    return _sliced(g, g.name(x), dim, start, start + length)


def _parts(g, out, x, dim):
    """The pieces of x along a dimension, as many and as large as the results."""
    dim = dim % x.ndim
    if len(out) == 1:
        return [g.name(x)]
    sizes = g.constant([part.shape[dim] for part in out])
    return g.node("Split", [g.name(x), sizes], outputs=len(out), axis=dim)


def _split(g, out, x, size, dim=0):
    return _parts(g, out, x, dim)


def _unbind(g, out, x, dim=0):
    return [_select(g, part, x, dim, i) for i, part in enumerate(out)]


def _picked(g, out, x, view):
    """What a view with fixed places takes of x: seen on the numbers of its elements."""
    places = view(fd.arange(x.numel()).reshape(x.shape))
    flat = g.reshape(g.name(x), [x.numel()])
    return g.node("Gather", [flat, g.constant(places.contiguous())], axis=0)


def picking(op):
    """An op that only picks elements, the same whatever their values."""

    def emit(g, out, x, *arguments):
        if any(isinstance(a, fd.Tensor) and not g.is_constant(a) for a in arguments):
            raise fd.Error("onnx.export: places that depend on the inputs are not supported here")
        return _picked(g, out, x, lambda numbers: op(numbers, *arguments))

    return emit


def _getitem(g, out, x, index):
    parts = index if isinstance(index, tuple) else (index,)
    moving = [p for p in parts if isinstance(p, fd.Tensor) and not g.is_constant(p)]
    if moving:
        if len(parts) == 1 and parts[0].dtype != fd.bool:
            return g.node("Gather", [g.name(x), g.name(parts[0], fd.int64)], axis=0)
        raise fd.Error("onnx.export: only x[index] is supported where the index depends on the inputs")
    basic = all(p is None or p is Ellipsis or (isinstance(p, (int, slice)) and not isinstance(p, bool)) for p in parts)
    if not basic:
        return _picked(g, out, x, lambda numbers: numbers[index])
    taken = sum(isinstance(p, (int, slice)) for p in parts)
    name, dim = g.name(x), 0
    for p in parts:
        if p is Ellipsis:
            dim += x.ndim - taken
        elif isinstance(p, int):
            start = p % x.shape[dim]
            name = _sliced(g, name, dim, start, start + 1)
            dim += 1
        elif isinstance(p, slice):
            start, stop, step = p.indices(x.shape[dim])
            if (start, stop, step) != (0, x.shape[dim], 1):
                name = _sliced(g, name, dim, start, stop, step)
            dim += 1
    return g.reshape(name, out.shape)


def _as_padding(x, index):
    """(elements before, elements after) the part of x that slices of step 1 name; None for other indices."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if len(parts) > x.ndim or not all(isinstance(p, slice) for p in parts):
        return None
    ranges = [p.indices(n) for p, n in zip([*parts, *[slice(None)] * (x.ndim - len(parts))], x.shape)]
    if any(step != 1 or stop < start for start, stop, step in ranges):
        return None
    return [start for start, _, _ in ranges], [n - stop for n, (_, stop, _) in zip(x.shape, ranges)]


def _setitem(g, out, x, index, value):
    """The elements at fixed places replaced."""
    if any(
        isinstance(p, fd.Tensor) and not g.is_constant(p) for p in (index if isinstance(index, tuple) else (index,))
    ):
        raise fd.Error("onnx.export: writing to places that depend on the inputs is not supported")
    pads = _as_padding(x, index)
    if g.fill is not None and pads is not None and isinstance(value, fd.Tensor):
        region = [n - a - b for n, a, b in zip(x.shape, *pads)]
        if list(value.shape) == region:
            fill = g.constant(g.fill.reshape(()).to(x.dtype))
            return g.node("Pad", [g.name(value, x.dtype), g.constant([*pads[0], *pads[1]]), fill])
    places = fd.arange(x.numel()).reshape(x.shape)[index]
    new = g.name(value, x.dtype)
    if places.ndim:
        new = g.node("Expand", [new, g.constant(list(places.shape))])
    new = g.reshape(new, [places.numel()])
    if places.numel() != x.numel():
        flat = g.reshape(g.name(x), [x.numel()])
        new = g.node("ScatterElements", [flat, g.constant(places.reshape(-1)), new], axis=0)
    elif places.reshape(-1).tolist() != list(range(x.numel())):
        new = g.node("Gather", [new, g.constant(places.reshape(-1).argsort())], axis=0)
    return g.reshape(new, x.shape)


def _copy(g, out, x, source):
    name = g.name(source, x.dtype)
    return g.node("Expand", [name, g.constant(list(x.shape))]) if x.ndim else name


def _fill(g, out, x, value):
    return g.constant(fd.full(tuple(x.shape), value, dtype=x.dtype))


def _cat(g, out, tensors, dim=0):
    tensors = [t for t in tensors if tuple(t.shape) != (0,) or out.ndim == 1]
    return g.node("Concat", [g.name(t, out.dtype) for t in tensors], axis=dim % out.ndim)


def _stack(g, out, tensors, dim=0):
    dim = dim % out.ndim
    axis = g.constant([dim])
    return g.node("Concat", [g.node("Unsqueeze", [g.name(t, out.dtype), axis]) for t in tensors], axis=dim)


def _tri(upper):
    return lambda g, out, x, diagonal=0: g.node("Trilu", [g.name(x), g.constant(int(diagonal))], upper=upper)


def _repeat(g, out, x, repeats):
    repeats = list(repeats)
    name = g.name(x)
    if len(repeats) > x.ndim:
        name = g.reshape(name, [1] * (len(repeats) - x.ndim) + list(x.shape))
    repeats = [1] * (x.ndim - len(repeats)) + repeats
    return g.node("Tile", [name, g.constant(repeats)]) if repeats else name


def _flip(g, out, x, dims):
    name = g.name(x)
    for d in [dims] if isinstance(dims, int) else dims:
        name = _sliced(g, name, d % x.ndim, -1, -(2**62), -1)
    return name


def _gather(g, out, x, dim, index):
    return g.node("GatherElements", [g.name(x), g.name(index, fd.int64)], axis=dim % max(x.ndim, 1))


def _scatter(reduction):
    def emit(g, out, x, dim, index, source):
        if not isinstance(source, fd.Tensor):
            source = fd.full(tuple(index.shape), source, dtype=x.dtype)
        inputs = [g.name(x), g.name(index, fd.int64), g.name(source, x.dtype)]
        return g.node("ScatterElements", inputs, axis=dim % x.ndim, reduction=reduction)

    return emit


def _take_along_dim(g, out, x, indices, dim=None):
    if dim is None:
        return g.node(
            "Gather", [g.reshape(g.name(x), [x.numel()]), g.reshape(g.name(indices, fd.int64), [indices.numel()])]
        )
    dim = dim % x.ndim
    wide = [a if i == dim else b for i, (a, b) in enumerate(zip(x.shape, out.shape))]
    name = g.node("Expand", [g.name(x), g.constant(wide)])
    places = g.node("Expand", [g.name(indices, fd.int64), g.constant(list(out.shape))])
    return g.node("GatherElements", [name, places], axis=dim)


def _index_select(g, out, x, dim, index):
    return g.node("Gather", [g.name(x), g.name(index, fd.int64)], axis=dim % max(x.ndim, 1))


def _index_add(g, out, x, dim, index, source, alpha=1):
    dim = dim % max(x.ndim, 1)
    places = g.reshape(g.name(index, fd.int64), [-1 if d == dim else 1 for d in range(x.ndim)])
    places = g.node("Expand", [places, g.constant(list(source.shape))])
    added = g.name(source, x.dtype)
    added = added if alpha == 1 else g.node("Mul", [added, g.constant(alpha, x.dtype)])
    return g.node("ScatterElements", [g.name(x), places, added], axis=dim, reduction="add")


def _embedding(g, out, weight, indices, padding_idx=None):
    return g.node("Gather", [g.name(weight), g.name(indices)], axis=0)


def _repeat_interleave(g, out, x, repeats, dim=None):
    """Each element next to its copies: a new dimension, expanded."""
    shape = [x.numel()] if dim is None else list(x.shape)
    dim = 0 if dim is None else dim % x.ndim
    name = g.reshape(g.name(x), [*shape[: dim + 1], 1, *shape[dim + 1 :]])
    name = g.node("Expand", [name, g.constant([*shape[: dim + 1], repeats, *shape[dim + 1 :]])])
    return g.reshape(name, out.shape)


EMITTERS = {
    "T": _reversed,
    "as_strided": lambda g, out, x, size, stride, offset=0: _picked(
        g, out, x, lambda numbers: numbers.as_strided(size, stride, offset)
    ),
    "cat": _cat,
    "chunk": _split,
    "copy": _copy,
    "diagonal": picking(fd.Tensor.diagonal),
    "embedding": _embedding,
    "expand": _expand,
    "fill": _fill,
    "flatten": _reshape,
    "flip": _flip,
    "gather": _gather,
    "getitem": _getitem,
    "index_add": _index_add,
    "index_select": _index_select,
    "mT": lambda g, out, x: _transpose(g, out, x, -2, -1),
    "movedim": _movedim,
    "narrow": _narrow,
    "permute": _permute,
    "repeat": _repeat,
    "repeat_interleave": _repeat_interleave,
    "reshape": _reshape,
    "roll": picking(fd.Tensor.roll),
    "scatter": _scatter("none"),
    "scatter_add": _scatter("add"),
    "select": _select,
    "setitem": _setitem,
    "split": _split,
    "split_sizes": _split,
    "squeeze": _reshape,
    "stack": _stack,
    "t": _reversed,
    "take_along_dim": _take_along_dim,
    "tile": _repeat,
    "transpose": _transpose,
    "tril": _tri(0),
    "triu": _tri(1),
    "unbind": _unbind,
    "unflatten": _reshape,
    "unfold": picking(fd.Tensor.unfold),
    "unsqueeze": _reshape,
    "view": _reshape,
    "zero": lambda g, out, x: _fill(g, out, x, 0),
}
