"""Layers: convolution, pooling, normalization, recurrence, attention."""

import math

import fastdl as fd


def _each(value, dims):
    """An int, or one for each dimension, as a list."""
    value = [value] if isinstance(value, int) else list(value)
    return value * dims if len(value) == 1 else value


def _batched(g, out, x, dims, node):
    """A node on (N, C, ...); an input without N gets one for the time."""
    if x.ndim == dims + 2:
        return node(g.name(x))
    y = node(g.node("Unsqueeze", [g.name(x), g.constant([0])]))
    if isinstance(y, list):
        return [g.node("Squeeze", [part, g.constant([0])]) for part in y]
    return g.node("Squeeze", [y, g.constant([0])])


def conv(dims):
    def emit(g, out, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        return _batched(
            g, out, x, dims,
            lambda name: g.node(
                "Conv", [name, g.name(weight), g.name(bias)], kernel_shape=list(weight.shape[2:]), group=groups,
                strides=_each(stride, dims), pads=_each(padding, dims) * 2, dilations=_each(dilation, dims),
            ),
        )  # fmt: skip

    return emit


def conv_transpose(dims):
    def emit(g, out, x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        return _batched(
            g, out, x, dims,
            lambda name: g.node(
                "ConvTranspose", [name, g.name(weight), g.name(bias)], kernel_shape=list(weight.shape[2:]), group=groups,
                strides=_each(stride, dims), pads=_each(padding, dims) * 2, dilations=_each(dilation, dims),
                output_padding=_each(output_padding, dims),
            ),
        )  # fmt: skip

    return emit


# --- pooling ---


def _max_pool(g, out, x, dims, kernel, stride=None, padding=0, dilation=1, ceil_mode=False, outputs=1):
    kernel = _each(kernel, dims)
    return _batched(
        g, out, x, dims,
        lambda name: g.node(
            "MaxPool", [name], outputs=outputs, kernel_shape=kernel, pads=_each(padding, dims) * 2,
            strides=kernel if stride in (None, ()) else _each(stride, dims), dilations=_each(dilation, dims),
            ceil_mode=int(ceil_mode),
        ),
    )  # fmt: skip


def _max_pool_with_indices(g, out, x, dims, *arguments):
    """ONNX counts places in the whole tensor, fastdl within a channel."""
    y, places = _max_pool(g, out, x, dims, *arguments, outputs=2)
    return [y, g.node("Mod", [places, g.constant(math.prod(x.shape[-dims:]))])]


def _avg_pool(
    g, out, x, dims, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    kernel = _each(kernel, dims)
    if divisor_override and ceil_mode:
        raise fd.Error("onnx.export: avg_pool with divisor_override and ceil_mode has no form in ONNX")
    y = _batched(
        g, out, x, dims,
        lambda name: g.node(
            "AveragePool", [name], kernel_shape=kernel, pads=_each(padding, dims) * 2, ceil_mode=int(ceil_mode),
            strides=kernel if stride in (None, ()) else _each(stride, dims),
            count_include_pad=int(count_include_pad or bool(divisor_override)),
        ),
    )  # fmt: skip
    if divisor_override:
        y = g.node("Mul", [y, g.constant(math.prod(kernel) / divisor_override, out.dtype)])
    return y


def _ranges(size, parts):
    """Where each part of an adaptive pooling begins and ends."""
    return [(i * size // parts, -(-(i + 1) * size // parts)) for i in range(parts)]


def _even(x, out, dims):
    return all(a % b == 0 for a, b in zip(x.shape[-dims:], out.shape[-dims:]))


def _adaptive_avg_pool(g, out, x, dims, output_size):
    if all(n == 1 for n in out.shape[-dims:]):
        return _batched(g, out, x, dims, lambda name: g.node("GlobalAveragePool", [name]))
    if _even(x, out, dims):
        kernel = [a // b for a, b in zip(x.shape[-dims:], out.shape[-dims:])]
        return _avg_pool(g, out, x, dims, kernel)
    name = g.name(x)
    for d in range(-dims, 0):  # parts of different sizes: a product with the matrix that averages them
        rows = []
        for start, end in _ranges(x.shape[d], out.shape[d]):
            rows.append([1 / (end - start) if start <= j < end else 0.0 for j in range(x.shape[d])])
        matrix = g.constant(rows, out.dtype)
        if d == -1:
            name = g.node("MatMul", [name, g.node("Transpose", [matrix], perm=[1, 0])])
        else:
            name = g.node("MatMul", [matrix, name])
    return name


def _adaptive_max_pool(g, out, x, dims, output_size):
    y, _places = out
    if _even(x, y, dims):
        kernel = [a // b for a, b in zip(x.shape[-dims:], y.shape[-dims:])]
        return _max_pool_with_indices(g, out, x, dims, kernel)
    raise fd.Error(
        f"onnx.export: adaptive_max_pool of {list(x.shape)} to {list(y.shape)}, parts of different sizes, has no form in ONNX"
    )


# --- normalization ---


def _channels(g, v, ndim):
    return g.reshape(g.name(v), [-1] + [1] * (ndim - 2))


def _affine(g, y, weight, bias, ndim):
    """y * weight + bias, one of each a channel."""
    if weight is not None:
        y = g.node("Mul", [y, _channels(g, weight, ndim)])
    return y if bias is None else g.node("Add", [y, _channels(g, bias, ndim)])


def _or_full(g, v, size, value, dtype):
    return g.name(v, dtype) if v is not None else g.constant(fd.full((size,), value, dtype=dtype))


def _batch_norm(g, out, x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    size, kind = x.shape[1], x.dtype
    if not training:
        inputs = [g.name(x), _or_full(g, weight, size, 1, kind), _or_full(g, bias, size, 0, kind)]
        return g.node("BatchNormalization", [*inputs, g.name(mean, kind), g.name(var, kind)], epsilon=float(eps))
    if mean is not None:
        raise fd.Error(
            "onnx.export: batch_norm changes its running statistics, as in training; use track_running_stats=False"
        )
    axes = g.constant([d for d in range(x.ndim) if d != 1])
    name = g.name(x)
    centred = g.node("Sub", [name, g.node("ReduceMean", [name, axes])])
    variance = g.node("ReduceMean", [g.node("Mul", [centred, centred]), axes])
    y = g.node("Div", [centred, g.node("Sqrt", [g.node("Add", [variance, g.constant(eps, kind)])])])
    return _affine(g, y, weight, bias, x.ndim)


def _layer_norm(g, out, x, shape, weight=None, bias=None, eps=1e-5):
    shape = _each(shape, 1)
    scale = g.name(weight, x.dtype) if weight is not None else g.constant(fd.ones(*shape, dtype=x.dtype))
    inputs = [g.name(x), scale, g.name(bias, x.dtype)]
    return g.node("LayerNormalization", inputs, axis=-len(shape), epsilon=float(eps))


def _rms_norm(g, out, x, shape, weight=None, eps=None):
    if eps is None:
        eps = 2.0**-52 if x.dtype == fd.float64 else 2.0**-23
    name = g.name(x)
    axes = g.constant(list(range(-len(_each(shape, 1)), 0)))
    mean = g.node("ReduceMean", [g.node("Mul", [name, name]), axes])
    y = g.node("Div", [name, g.node("Sqrt", [g.node("Add", [mean, g.constant(eps, x.dtype)])])])
    return y if weight is None else g.node("Mul", [y, g.name(weight, x.dtype)])


def _group_norm(g, out, x, groups, weight=None, bias=None, eps=1e-5):
    """Each group as a channel, normalized by itself."""
    kind = x.dtype
    name = g.reshape(g.name(x), [x.shape[0], groups, -1])
    ones, zeros = (g.constant(fd.full((groups,), v, dtype=kind)) for v in (1, 0))
    y = g.node("InstanceNormalization", [name, ones, zeros], epsilon=float(eps))
    return _affine(g, g.reshape(y, x.shape), weight, bias, x.ndim)


# --- recurrence ---


def _in_order(g, weight, order):
    """The rows of a weight, its gates in another order, with a dimension for the direction in front."""
    if g.is_constant(weight):
        parts = weight.detach().chunk(len(order), 0)
        return g.constant(fd.cat([parts[i] for i in order], 0).unsqueeze(0))
    name = g.name(weight)
    if len(order) > 1:
        parts = g.node("Split", [name], outputs=len(order), axis=0, num_outputs=len(order))
        name = g.node("Concat", [parts[i] for i in order], axis=0)
    return g.node("Unsqueeze", [name, g.constant([0])])


def _recurrent(operator, order, states):
    """One direction of one layer; ``order`` says which of fastdl's gates ONNX has first, second, ..."""

    def emit(g, out, x, *arguments):
        initial, (w_ih, w_hh, b_ih, b_hh) = arguments[:states], arguments[states : states + 4]
        *options, reverse = arguments[states + 4 :]
        bias = ""
        if b_ih is not None:
            bias = g.node("Concat", [_in_order(g, b_ih, order), _in_order(g, b_hh, order)], axis=1)
        first = [g.node("Unsqueeze", [g.name(s), g.constant([0])]) for s in initial]
        attributes = {"linear_before_reset": 1} if operator == "GRU" else {}
        if options:
            attributes["activations"] = [options[0].capitalize()]
        y, *last = g.node(
            operator, [g.name(x), _in_order(g, w_ih, order), _in_order(g, w_hh, order), bias, "", *first],
            outputs=1 + states, hidden_size=w_hh.shape[1], direction="reverse" if reverse else "forward", **attributes,
        )  # fmt: skip
        return [g.node("Squeeze", [y, g.constant([1])]), *(g.node("Squeeze", [s, g.constant([0])]) for s in last)]

    return emit


# --- attention ---


def _attention(g, out, q, k, v, mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    kind = q.dtype
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    names = [g.name(k), g.name(v)]
    if enable_gqa and k.shape[-3] != q.shape[-3]:
        for i, t in enumerate((k, v)):
            shape, each = list(t.shape), q.shape[-3] // t.shape[-3]
            wide = g.reshape(names[i], [*shape[:-2], 1, *shape[-2:]])
            wide = g.node("Expand", [wide, g.constant([*shape[:-2], each, *shape[-2:]])])
            names[i] = g.reshape(wide, [*shape[:-3], shape[-3] * each, *shape[-2:]])
    order = [*range(k.ndim - 2), k.ndim - 1, k.ndim - 2]
    scores = g.node("MatMul", [g.name(q), g.node("Transpose", [names[0]], perm=order)])
    scores = g.node("Mul", [scores, g.constant(scale, kind)])
    if is_causal:
        allowed = fd.ones(q.shape[-2], k.shape[-2], dtype=fd.bool).tril()
        scores = g.node("Where", [g.constant(allowed), scores, g.constant(-math.inf, kind)])
    if mask is not None:
        if mask.dtype == fd.bool:
            scores = g.node("Where", [g.name(mask), scores, g.constant(-math.inf, kind)])
        else:
            scores = g.node("Add", [scores, g.name(mask, kind)])
    return g.node("MatMul", [g.node("Softmax", [scores], axis=-1), names[1]])


def _dropout(g, out, x, p=0.5, training=True):
    if training and p:
        raise fd.Error("onnx.export: dropout is active; it is only in training")
    return g.name(x)


EMITTERS = {
    "adaptive_avg_pool": _adaptive_avg_pool,
    "adaptive_max_pool": _adaptive_max_pool,
    "avg_pool": _avg_pool,
    "batch_norm": _batch_norm,
    "conv1d": conv(1),
    "conv2d": conv(2),
    "conv_transpose1d": conv_transpose(1),
    "conv_transpose2d": conv_transpose(2),
    "dropout": _dropout,
    "group_norm": _group_norm,
    "gru_layer": _recurrent("GRU", (1, 0, 2), 1),
    "layer_norm": _layer_norm,
    "lstm_layer": _recurrent("LSTM", (0, 3, 1, 2), 2),
    "max_pool": _max_pool,
    "max_pool_with_indices": _max_pool_with_indices,
    "rms_norm": _rms_norm,
    "rnn_layer": _recurrent("RNN", (0,), 1),
    "scaled_dot_product_attention": _attention,
}
