"""Matrix products, convolutions and normalizations."""

import math

import fastdl as fd
from fastdl.nn import functional as F
from fastdl.onnx.values import axis_of, ints


def matmul(a, b):
    return a @ b


def gemm(a, b, c=None, *, alpha=1.0, beta=1.0, transA=0, transB=0):
    y = (a.t() if transA else a) @ (b.t() if transB else b)
    y = y if alpha == 1 else (alpha * y).to(a.dtype)
    return y if c is None else y + (c if beta == 1 else (beta * c).to(a.dtype))


def einsum(*inputs, equation):
    """Each letter is a dimension; letters missing on the right are summed over; ... are broadcast dimensions."""
    left, _, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(inputs):
        raise fd.ValueError(f"Einsum: {len(terms)} operands in {equation!r}, got {len(inputs)}")
    most = 0
    for term, x in zip(terms, inputs):
        if "..." in term:
            most = max(most, x.ndim - len(term.replace("...", "")))
    dots = "".join(chr(0x3B1 + i) for i in range(most))  # Greek letters stand for the dimensions of ...

    def spell(term, ndim):
        count = ndim - len(term.replace("...", ""))
        return term.replace("...", dots[len(dots) - count :] if count else "")

    spelled = [spell(term, x.ndim) for term, x in zip(terms, inputs)]
    if "->" not in equation:
        letters = sorted({c for c in left if c.isalpha() and left.count(c) == 1})
        right = "".join(letters)
        right = "..." + right if most else right
    output = right.replace("...", dots)
    named, letters = _diagonals(inputs[0], spelled[0])
    for i in range(1, len(inputs)):
        later = set("".join(spelled[i + 1 :])) | set(output)
        named, letters = _contract(named, letters, *_diagonals(inputs[i], spelled[i]), later)
    summed = [d for d, c in enumerate(letters) if c not in output]
    if summed:
        named = named.sum(summed).to(inputs[0].dtype)
        letters = "".join(c for c in letters if c in output)
    return named.permute([letters.index(c) for c in output])


def _diagonals(x, letters):
    """Repeated letters taken together."""
    for c in dict.fromkeys(letters):
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            x = x.diagonal(0, i, j)
            letters = letters[:i] + letters[i + 1 : j] + letters[j + 1 :] + c
    return x, letters


def _contract(a, a_letters, b, b_letters, later):
    """The product of two named tensors, as one batched matrix product."""
    shared = [c for c in a_letters if c in b_letters]
    batch = [c for c in shared if c in later]
    inner = [c for c in shared if c not in later]
    rows = [c for c in a_letters if c not in b_letters]
    columns = [c for c in b_letters if c not in a_letters]
    sizes = {}
    for x, letters in ((a, a_letters), (b, b_letters)):
        for c, n in zip(letters, x.shape):
            sizes[c] = n if sizes.get(c, 1) == 1 else sizes[c]

    def arrange(x, letters, *groups):
        order = [c for group in groups for c in group]
        x = x.permute([letters.index(c) for c in order]).expand([sizes[c] for c in order])
        return x.reshape([math.prod(sizes[c] for c in group) for group in groups])

    y = fd.bmm(arrange(a, a_letters, batch, rows, inner), arrange(b, b_letters, batch, inner, columns))
    letters = "".join(batch + rows + columns)
    return y.reshape([sizes[c] for c in letters]), letters


def det(x):
    """The determinant of the last two dimensions, by elimination with the largest pivot."""
    n = x.shape[-1]
    a = x.reshape(-1, n, n)
    out = fd.ones(a.shape[0], dtype=x.dtype)
    which = fd.arange(a.shape[0])
    for i in range(n):
        pivot = a[:, i:, i].abs().argmax(1) + i
        rows = fd.arange(n).expand(a.shape[0], n).clone()
        rows[which, pivot] = i
        rows[:, i] = pivot
        a = fd.gather(a, 1, rows.unsqueeze(2).expand(a.shape))
        head = a[:, i, i]
        out = out * head * fd.where(pivot == i, 1.0, -1.0).to(x.dtype)
        factor = fd.where(head == 0, fd.zeros_like(head), 1 / head)
        below = a[:, :, i] * factor.unsqueeze(1) * (fd.arange(n) > i).to(x.dtype)
        a = a - below.unsqueeze(2) * a[:, i : i + 1]
    return out.reshape(x.shape[:-2])


# --- windows ---


def window_pads(auto_pad, pads, sizes, kernel, strides, dilations, ceil=False):
    """The zeros before and after each spatial dimension."""
    n = len(sizes)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        low, high = [], []
        for size, k, s, d in zip(sizes, kernel, strides, dilations):
            total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            small, large = total // 2, total - total // 2
            low.append(small if auto_pad == "SAME_UPPER" else large)
            high.append(large if auto_pad == "SAME_UPPER" else small)
        return low, high
    if auto_pad == "VALID" or pads is None:
        return [0] * n, [0] * n
    return list(pads[:n]), list(pads[n:])


def pad_spatial(x, low, high, value=0):
    """x with ``value`` around its last dimensions."""
    flat = [n for pair in zip(reversed(low), reversed(high)) for n in pair]
    return F.pad(x, flat, value=value) if any(flat) else x


def windows(x, kernel, strides, dilations):
    """A view (N, C, *out, *kernel) of all windows of x (N, C, *sizes)."""
    for d, (k, s, step) in enumerate(zip(kernel, strides, dilations)):
        x = x.unfold(2 + d, (k - 1) * step + 1, s)
        if step > 1:
            x = x[..., ::step]
    return x


def conv(x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, pads=None, strides=None):
    n = x.ndim - 2
    strides, dilations = strides or [1] * n, dilations or [1] * n
    low, high = window_pads(auto_pad, pads, x.shape[2:], w.shape[2:], strides, dilations)
    if low != high:
        x = pad_spatial(x, low, high)
        low = [0] * n
    if n in (1, 2):
        function = F.conv1d if n == 1 else F.conv2d
        return function(x, w, b, tuple(strides), tuple(low), tuple(dilations), group)
    return _conv_windows(pad_spatial(x, low, low), w, b, strides, dilations, group)


def _conv_windows(x, w, b, strides, dilations, group):
    """A convolution over any number of dimensions, as a product of its windows and the weight."""
    n = x.ndim - 2
    view = windows(x, w.shape[2:], strides, dilations)
    out = view.shape[2 : 2 + n]
    # (N, G, positions, C / G * kernel) times (G, C / G * kernel, O / G)
    view = view.permute(0, *range(2, 2 + n), 1, *range(2 + n, 2 + 2 * n))
    columns = view.reshape(x.shape[0], math.prod(out), group, -1).transpose(1, 2)
    y = columns @ w.reshape(group, w.shape[0] // group, -1).transpose(1, 2)
    y = y.transpose(2, 3).reshape(x.shape[0], w.shape[0], *out)
    return y if b is None else y + b.reshape(-1, *(1,) * n)


def conv_transpose(
    x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, output_padding=None,
    output_shape=None, pads=None, strides=None,
):  # fmt: skip
    """The gradient of a convolution: all of it is computed, then the pads are cut off."""
    n = x.ndim - 2
    strides, dilations, extra = strides or [1] * n, dilations or [1] * n, output_padding or [0] * n
    full = [(size - 1) * s + (k - 1) * d + 1 for size, k, s, d in zip(x.shape[2:], w.shape[2:], strides, dilations)]
    if output_shape is not None:
        output_shape = output_shape[-n:]
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        output_shape = [size * s for size, s in zip(x.shape[2:], strides)]
    if output_shape is not None:
        total = [f + e - o for f, e, o in zip(full, extra, output_shape)]
        # The odd one goes to the end with SAME_UPPER, else to the start.
        low = [t // 2 if auto_pad == "SAME_UPPER" else t - t // 2 for t in total]
        high = [t - a for t, a in zip(total, low)]
    else:
        low, high = window_pads(
            "VALID" if auto_pad == "VALID" else "NOTSET", pads, full, w.shape[2:], strides, dilations
        )
    if n in (1, 2):
        function = F.conv_transpose1d if n == 1 else F.conv_transpose2d
        y = function(x, w, None, tuple(strides), 0, 0, group, tuple(dilations))
    else:
        y = _conv_transpose_windows(x, w, strides, dilations, group)
    y = pad_spatial(y, [-a for a in low], [e - a for e, a in zip(extra, high)])
    return y if b is None else y + b.reshape(-1, *(1,) * n)


def _conv_transpose_windows(x, w, strides, dilations, group):
    """The input spread out with zeros between, convolved with the mirrored weight."""
    n = x.ndim - 2
    spread = fd.zeros(*x.shape[:2], *((size - 1) * s + 1 for size, s in zip(x.shape[2:], strides)), dtype=x.dtype)
    spread[(slice(None), slice(None), *(slice(None, None, s) for s in strides))] = x
    margin = [(k - 1) * d for k, d in zip(w.shape[2:], dilations)]
    o = w.shape[1]
    mirrored = w.flip(tuple(range(2, w.ndim))).reshape(group, w.shape[0] // group, o, *w.shape[2:])
    mirrored = mirrored.transpose(1, 2).reshape(group * o, w.shape[0] // group, *w.shape[2:])
    return _conv_windows(pad_spatial(spread, margin, margin), mirrored, None, [1] * n, dilations, group)


def deform_conv(
    x,
    w,
    offset,
    b=None,
    mask=None,
    *,
    dilations=None,
    group=1,
    kernel_shape=None,
    offset_group=1,
    pads=None,
    strides=None,
):
    """A convolution that reads every tap at its place plus an offset, bilinearly (Dai et al., 2017; Zhu et al., 2019)."""
    from fastdl.onnx.ops.image import sample_linear

    batch, channels = x.shape[:2]
    kh, kw = w.shape[2:]
    (sh, sw), (dh, dw) = strides or (1, 1), dilations or (1, 1)
    low = (pads or [0] * 4)[:2]
    oh, ow = offset.shape[2:]
    taps = kh * kw
    offset = offset.reshape(batch, offset_group, taps, 2, oh, ow)
    row = (fd.arange(oh) * sh - low[0]).reshape(oh, 1) + (fd.arange(kh) * dh).reshape(kh, 1, 1, 1)
    column = (fd.arange(ow) * sw - low[1]).reshape(1, ow) + (fd.arange(kw) * dw).reshape(kw, 1, 1)
    row = row.expand(kh, kw, oh, ow).reshape(taps, oh, ow).to(x.dtype) + offset[:, :, :, 0]
    column = column.expand(kh, kw, oh, ow).reshape(taps, oh, ow).to(x.dtype) + offset[:, :, :, 1]
    parts = x.reshape(batch * offset_group, channels // offset_group, *x.shape[2:])
    points = fd.stack([row, column], -1).reshape(batch * offset_group, taps * oh * ow, 2)
    read = sample_linear(parts, points).reshape(batch, offset_group, channels // offset_group, taps, oh * ow)
    if mask is not None:
        read = read * mask.reshape(batch, offset_group, 1, taps, oh * ow)
    columns = read.reshape(batch, group, channels // group * taps, oh * ow)
    y = w.reshape(group, w.shape[0] // group, -1) @ columns
    y = y.reshape(batch, w.shape[0], oh, ow)
    return y if b is None else y + b.reshape(-1, 1, 1)


def col2im(x, image_shape, block_shape, *, dilations=None, pads=None, strides=None):
    """Adds columns (N, C * block, L) back up into an image."""
    sizes, block = ints(image_shape), ints(block_shape)
    n = len(sizes)
    strides, dilations = strides or [1] * n, dilations or [1] * n
    low, high = window_pads("NOTSET", pads, sizes, block, strides, dilations)
    padded = [s + a + b for s, a, b in zip(sizes, low, high)]
    # Where each window's elements lie in the padded image, by taking windows of the numbers of its places.
    numbers = fd.arange(math.prod(padded)).reshape(1, 1, *padded)
    places = windows(numbers, block, strides, dilations)
    places = places.reshape(-1, math.prod(block)).t().reshape(-1)
    channels = x.shape[1] // math.prod(block)
    image = fd.zeros(x.shape[0] * channels, math.prod(padded), dtype=x.dtype)
    image = image.index_add(1, places, x.reshape(x.shape[0] * channels, -1))
    image = image.reshape(x.shape[0], channels, *padded)
    return pad_spatial(image, [-a for a in low], [-a for a in high])


def causal_conv_with_state(x, w, b=None, past=None, *, activation="none"):
    """A depthwise convolution that sees only what came before; its last inputs are carried on."""
    k = w.shape[2]
    past = fd.zeros(x.shape[0], x.shape[1], k - 1, dtype=x.dtype) if past is None else past
    padded = fd.cat([past, x], 2)
    y = F.conv1d(padded, w, b, groups=x.shape[1])
    if activation in ("silu", "swish"):
        y = F.silu(y)
    elif activation != "none":
        raise fd.ValueError(f"CausalConvWithState: activation {activation!r}, expected 'none', 'silu' or 'swish'")
    return y, padded[:, :, padded.shape[2] - (k - 1) :]


# --- normalization ---


def _per_channel(v, ndim):
    return v.reshape(-1, *(1,) * (ndim - 2))


def batch_normalization(x, scale, b, mean, var, *, epsilon=1e-5, momentum=0.9, training_mode=0):
    """With training_mode, by the batch's own statistics; then the running ones come out too."""
    if not training_mode:
        if scale.dtype == mean.dtype == x.dtype:
            return F.batch_norm(x, mean, var, scale, b, False, 0.0, epsilon)
        y = (x.to(mean.dtype) - _per_channel(mean, x.ndim)) * _per_channel(fd.rsqrt(var + epsilon), x.ndim)
        return (y * _per_channel(scale, x.ndim) + _per_channel(b, x.ndim)).to(x.dtype)
    axes = tuple(d for d in range(x.ndim) if d != 1)
    now_mean, now_var = x.mean(axes), x.var(axes, unbiased=False)
    y = (x - _per_channel(now_mean, x.ndim)) * _per_channel(fd.rsqrt(now_var + epsilon), x.ndim)
    y = y * _per_channel(scale, x.ndim) + _per_channel(b, x.ndim)
    return y, momentum * mean + (1 - momentum) * now_mean, momentum * var + (1 - momentum) * now_var


def instance_normalization(x, scale, b, *, epsilon=1e-5):
    return F.group_norm(x, x.shape[1], scale, b, epsilon)


def layer_normalization(x, scale, b=None, *, axis=-1, epsilon=1e-5, stash_type=1, n_outputs=1):
    axis = axis_of(axis, x.ndim)
    sizes = tuple(x.shape[axis:])
    if n_outputs == 1 and tuple(scale.shape) == sizes and (b is None or tuple(b.shape) == sizes):
        return F.layer_norm(x, sizes, scale, b, epsilon)
    axes = tuple(range(axis, x.ndim))
    wide = x if x.dtype == fd.float64 else x.float()
    mean = wide.mean(axes, True)
    inverse = fd.rsqrt((wide - mean).square().mean(axes, True) + epsilon)
    y = ((wide - mean) * inverse).to(x.dtype) * scale
    return y if b is None else y + b, mean, inverse


def rms_normalization(x, scale, *, axis=-1, epsilon=1e-5, stash_type=1):
    axis = axis_of(axis, x.ndim)
    sizes = tuple(x.shape[axis:])
    if tuple(scale.shape) == sizes:
        return F.rms_norm(x, sizes, scale, epsilon)
    return F.rms_norm(x, sizes, None, epsilon) * scale


def group_normalization(x, scale, b, *, num_groups, epsilon=1e-5, stash_type=1, opset):
    """Before opset 21 scale and bias were one number a group."""
    if opset < 21:
        each = x.shape[1] // num_groups
        scale, b = (v.reshape(-1, 1).expand(num_groups, each).reshape(-1) for v in (scale, b))
    return F.group_norm(x, num_groups, scale, b, epsilon)


def mean_variance_normalization(x, *, axes=(0, 2, 3)):
    centred = x - x.mean(tuple(axes), True)
    return centred / (centred.square().mean(tuple(axes), True).sqrt() + 1e-9)


def lrn(x, *, size, alpha=1e-4, beta=0.75, bias=1.0):
    """x / (bias + alpha / size * sum of squares over neighbouring channels)^beta (Krizhevsky et al., 2012)."""
    low = (size - 1) // 2
    flat = [0, 0] * (x.ndim - 2) + [low, size - 1 - low]
    total = F.pad(x.square(), flat).unfold(1, size, 1).sum(-1)
    return x / fd.pow(bias + alpha / size * total, beta)


OPERATORS = {
    "BatchNormalization": batch_normalization,
    "CausalConvWithState": causal_conv_with_state,
    "Col2Im": col2im,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DeformConv": deform_conv,
    "Det": det,
    "Einsum": einsum,
    "Gemm": gemm,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": lrn,
    "LayerNormalization": layer_normalization,
    "MatMul": matmul,
    "MeanVarianceNormalization": mean_variance_normalization,
    "RMSNormalization": rms_normalization,
}
