"""Pooling over windows of any number of dimensions."""

import math

import fastdl as fd
from fastdl.nn import functional as F
from fastdl.onnx.ops.linear import pad_spatial, window_pads, windows
from fastdl.onnx.ops.reduce import lowest


def _geometry(x, kernel, strides, dilations, auto_pad, pads, ceil_mode):
    """(strides, dilations, pads at the start, at the end, further elements at the end that the last window needs)."""
    n = len(kernel)
    strides, dilations = strides or [1] * n, dilations or [1] * n
    low, high = window_pads(auto_pad, pads, x.shape[2:], kernel, strides, dilations)
    over = [0] * n
    if ceil_mode and auto_pad == "NOTSET":
        for i, (size, k, s, d) in enumerate(zip(x.shape[2:], kernel, strides, dilations)):
            free = size + low[i] + high[i] - (k - 1) * d - 1
            count = -(-free // s) + 1
            if (count - 1) * s >= size + low[i]:  # it would begin in the padding
                count -= 1
            over[i] = max((count - 1) * s - free, 0)
    return strides, dilations, low, high, over


def max_pool(
    x,
    *,
    kernel_shape,
    auto_pad="NOTSET",
    ceil_mode=0,
    dilations=None,
    pads=None,
    storage_order=0,
    strides=None,
    n_outputs=1,
):
    strides, dilations, low, high, over = _geometry(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    n = len(kernel_shape)
    plain = low == high and n in (1, 2) and x.dtype.is_floating_point and not any(over) and n_outputs == 1
    if plain and all(2 * a <= k for a, k in zip(low, kernel_shape)):
        function = F.max_pool1d if n == 1 else F.max_pool2d
        return function(x, tuple(kernel_shape), tuple(strides), tuple(low), tuple(dilations))
    high = [a + b for a, b in zip(high, over)]
    view = windows(pad_spatial(x, low, high, lowest(x.dtype)), kernel_shape, strides, dilations)
    out = view.shape[2 : 2 + n]
    flat = view.reshape(*x.shape[:2], *out, math.prod(kernel_shape))
    if n_outputs == 1:
        return flat.amax(-1)
    values, which = flat.max(-1)
    # The places in x, flattened by rows or with storage_order by columns, of each window's elements.
    sizes = x.shape[2:]
    steps = [math.prod(sizes[:d]) if storage_order else math.prod(sizes[d + 1 :]) for d in range(n)]
    places = fd.zeros(1, dtype=fd.int64)
    for d, (size, step) in enumerate(zip(sizes, steps)):
        line = (fd.arange(-low[d], size + high[d]) * step).reshape([-1 if i == d else 1 for i in range(n)])
        places = places + line
    places = windows(places.reshape(1, 1, *places.shape[-n:]), kernel_shape, strides, dilations)
    places = places.reshape(1, 1, *out, -1).expand(flat.shape)
    index = fd.gather(places, places.ndim - 1, which.unsqueeze(-1)).squeeze(-1)
    planes = fd.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *(1,) * n) * math.prod(sizes)
    return values, index + planes


def _sums(x, kernel, strides, dilations, low, high):
    view = windows(pad_spatial(x, low, high), kernel, strides, dilations)
    return view.sum(tuple(range(2 + len(kernel), 2 + 2 * len(kernel))))


def average_pool(
    x, *, kernel_shape, auto_pad="NOTSET", ceil_mode=0, count_include_pad=0, dilations=None, pads=None, strides=None
):
    strides, dilations, low, high, over = _geometry(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    n = len(kernel_shape)
    plain = low == high and n in (1, 2) and not any(over) and all(d == 1 for d in dilations)
    if plain and all(2 * a <= k for a, k in zip(low, kernel_shape)):
        function = F.avg_pool1d if n == 1 else F.avg_pool2d
        return function(x, tuple(kernel_shape), tuple(strides), tuple(low), False, bool(count_include_pad))
    ones = fd.ones(1, 1, *x.shape[2:], dtype=x.dtype)
    if count_include_pad:
        ones = pad_spatial(ones, low, high, 1)
        counts = _sums(ones, kernel_shape, strides, dilations, [0] * n, over)
    else:
        counts = _sums(ones, kernel_shape, strides, dilations, low, [a + b for a, b in zip(high, over)])
    return _sums(x, kernel_shape, strides, dilations, low, [a + b for a, b in zip(high, over)]) / counts


def lp_pool(x, *, kernel_shape, auto_pad="NOTSET", ceil_mode=0, dilations=None, p=2, pads=None, strides=None):
    strides, dilations, low, high, over = _geometry(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    high = [a + b for a, b in zip(high, over)]
    return fd.pow(_sums(fd.pow(x.abs(), p), kernel_shape, strides, dilations, low, high), 1 / p)


def max_unpool(x, indices, output_shape=None, *, kernel_shape, pads=None, strides=None):
    """Puts maxima back where they were, by their places in the flattened pooled tensor's input."""
    n = len(kernel_shape)
    strides = strides or [1] * n
    low, high = window_pads("NOTSET", pads, x.shape[2:], kernel_shape, strides, [1] * n)
    sizes = [(size - 1) * s + k - a - b for size, s, k, a, b in zip(x.shape[2:], strides, kernel_shape, low, high)]
    full = [*x.shape[:2], *sizes]
    out = fd.zeros(math.prod(full), dtype=x.dtype).index_put((indices.reshape(-1),), x.reshape(-1)).reshape(full)
    if output_shape is None:
        return out
    wanted = output_shape.tolist()
    return pad_spatial(out, [0] * n, [w - s for w, s in zip(wanted[2:], sizes)])


def _spatial(x):
    return tuple(range(2, x.ndim))


OPERATORS = {
    "AveragePool": average_pool,
    "GlobalAveragePool": lambda x: x.mean(_spatial(x), True),
    "GlobalLpPool": lambda x, *, p=2: x.norm(p, _spatial(x), True),
    "GlobalMaxPool": lambda x: x.amax(_spatial(x), True),
    "LpPool": lp_pool,
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
}
