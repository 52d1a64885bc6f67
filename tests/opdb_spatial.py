"""Rows of volumes, folds, resampling and shuffles. The references are written out position by position."""

import itertools
import math

import numpy as np
from opdb_row import S, op

DTYPES = ("float32", "float64")


def triple(v, n=3):
    return v if isinstance(v, tuple) else (v,) * n


# --- convolutions ---


def conv3d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    stride, padding, dilation = triple(stride), triple(padding), triple(dilation)
    k, c = w.shape[:2]
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    sizes = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(x.shape[2:], dilation, w.shape[2:], stride)]
    xg, wg = x.reshape(x.shape[0], groups, c, *x.shape[2:]), w.reshape(groups, k // groups, *w.shape[1:])
    out = np.zeros((x.shape[0], groups, k // groups, *sizes), x.dtype)
    for tap in itertools.product(*map(range, w.shape[2:])):
        where = tuple(slice(t * d, t * d + s * (n - 1) + 1, s) for t, d, s, n in zip(tap, dilation, stride, sizes))
        out += np.einsum("ngcxyz,gkc->ngkxyz", xg[(..., *where)], wg[(..., *tap)])
    out = out.reshape(x.shape[0], k, *sizes)
    return out if b is None else out + b.reshape(-1, 1, 1, 1)


def conv_transpose3d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    stride, padding, extra, dilation = triple(stride), triple(padding), triple(output_padding), triple(dilation)
    n, c, *sizes = x.shape
    k = w.shape[1]
    full = [(m - 1) * s + d * (t - 1) + 1 + e for m, s, d, t, e in zip(sizes, stride, dilation, w.shape[2:], extra)]
    out = np.zeros((n, groups, k, *full), x.dtype)
    xg, wg = x.reshape(n, groups, c // groups, *sizes), w.reshape(groups, c // groups, *w.shape[1:])
    for tap in itertools.product(*map(range, w.shape[2:])):
        where = tuple(slice(t * d, t * d + s * (m - 1) + 1, s) for t, d, s, m in zip(tap, dilation, stride, sizes))
        out[(..., *where)] += np.einsum("ngcxyz,gck->ngkxyz", xg, wg[(..., *tap)])
    inside = tuple(slice(p, m - p) for p, m in zip(padding, full))
    out = out.reshape(n, groups * k, *full)[(..., *inside)]
    return out if b is None else out + b.reshape(-1, 1, 1, 1)


op(
    "nn.functional.conv3d",
    conv3d,
    lambda r: [
        S(r(1, 2, 4, 5, 3), r(3, 2, 2, 3, 1), r(3)),
        S(r(2, 4, 5, 6, 4), r(6, 2, 3, 2, 3), r(6), (2, 1, 2), (1, 0, 2), (1, 2, 1), 2),
        S(r(1, 3, 1, 4, 4), r(2, 3, 1, 3, 3), None, padding=(0, 1, 1)),
        S(r(0, 2, 3, 3, 3), r(2, 2, 2, 2, 2)),
    ],
    dtypes=DTYPES,
    grad=2,
)
op(
    "nn.functional.conv_transpose3d",
    conv_transpose3d,
    lambda r: [
        S(r(1, 2, 3, 2, 3), r(2, 3, 2, 3, 1), r(3)),
        S(r(2, 4, 3, 4, 2), r(4, 3, 3, 2, 3), r(6), (2, 1, 2), (1, 0, 1), (1, 0, 1), 2),
        S(r(1, 2, 2, 3, 2), r(2, 1, 2, 2, 2), None, dilation=2),
    ],
    dtypes=DTYPES,
    grad=2,
)

# --- pooling ---


def boxes(x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False):
    """For each output position: the elements of its window, and how many of the padded input it has."""
    n = x.ndim - 2
    kernel, padding, dilation = triple(kernel, n), triple(padding, n), triple(dilation, n)
    stride = kernel if stride is None else triple(stride, n)
    spans = []
    for size, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation):
        room = size + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= size + p:
            count -= 1
        starts = [i * s - p for i in range(count)]
        spans.append(
            [([a + j * d for j in range(k) if 0 <= a + j * d < size], min(a + k, size + p) - a) for a in starts]
        )
    for place in itertools.product(*(range(len(s)) for s in spans)):
        parts = [s[i] for s, i in zip(spans, place)]
        yield place, x[(..., *np.ix_(*(p[0] for p in parts)))].reshape(*x.shape[:2], -1), math.prod(p[1] for p in parts)


def pooled(x, values):
    values = list(values)
    out = np.zeros((*x.shape[:2], *(i + 1 for i in values[-1][0])), x.dtype)
    for place, value in values:
        out[(..., *place)] = value
    return out


def max_pool(x, *args, **kwargs):
    return pooled(x, ((place, w.max(-1)) for place, w, _ in boxes(x, *args, **kwargs)))


def avg_pool(x, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    def mean(w, size):
        return w.sum(-1) / x.dtype.type(divisor_override or (size if count_include_pad else w.shape[-1]))

    return pooled(x, ((p, mean(w, size)) for p, w, size in boxes(x, kernel, stride, padding, ceil_mode=ceil_mode)))


def lp_pool(x, p, kernel, stride=None, ceil_mode=False):
    def norm(w, size):
        return (w**p).mean(-1) * x.dtype.type(math.prod(triple(kernel, x.ndim - 2)))

    values = pooled(x, ((place, norm(w, n)) for place, w, n in boxes(x, kernel, stride, ceil_mode=ceil_mode)))
    return values ** x.dtype.type(1 / p)


def adaptive(f):
    def pool(x, size):
        sizes = [n if s is None else s for s, n in zip(triple(size), x.shape[2:])]
        cells = [[slice(i * n // s, -(-(i + 1) * n // s)) for i in range(s)] for s, n in zip(sizes, x.shape[2:])]
        places = itertools.product(*map(range, sizes))
        return pooled(x, ((p, f(x[(..., *(c[i] for c, i in zip(cells, p)))], (-3, -2, -1))) for p in places))

    return pool


op(
    "nn.functional.max_pool3d",
    max_pool,
    lambda r: [
        S(r.distinct(1, 2, 4, 4, 4) / 8, 2),
        S(r.distinct(2, 3, 5, 6, 7) / 8, (3, 2, 3), (2, 1, 2), (1, 1, 0), (1, 2, 1), True),
        S(r.distinct(1, 1, 3, 3, 3) / 8, (1, 3, 2), 1),
    ],
    dtypes=DTYPES,
    grad=1,
)
op(
    "nn.functional.avg_pool3d",
    avg_pool,
    lambda r: [
        S(r(1, 2, 4, 4, 4), 2),
        S(r(2, 3, 5, 6, 7), (3, 2, 3), (2, 1, 2), (1, 1, 0), True),
        S(r(1, 2, 4, 5, 3), 3, 1, 1, count_include_pad=False),
        S(r(1, 2, 4, 5, 3), 3, 2, 1, divisor_override=5),
    ],
    dtypes=DTYPES,
    grad=2,
)
for name, f in (("avg", np.mean), ("max", np.max)):
    op(
        f"nn.functional.adaptive_{name}_pool3d",
        adaptive(f),
        lambda r: [S(r.distinct(2, 3, 5, 6, 7) / 8, (2, 4, None)), S(r.distinct(1, 2, 4, 4, 4) / 8, 1)],
        dtypes=DTYPES,
        grad=1,
    )
for n, size in ((1, (9,)), (2, (6, 7)), (3, (4, 5, 3))):
    op(
        f"nn.functional.lp_pool{n}d",
        lp_pool,
        lambda r, size=size: [
            S(r(2, 3, *size, low=0.5), 2, 2),
            S(r(1, 2, *size, low=0.5), 3, 3, 1),
            S(r(1, 2, *size, low=0.5), 1, 2, 2, True),
        ],
        dtypes=DTYPES,
        grad=1,
    )


def max_unpool(n):
    def unpool(x, where, kernel, stride=None, padding=0):
        kernel, padding = triple(kernel, n), triple(padding, n)
        stride = kernel if stride is None else triple(stride, n)
        size = [(m - 1) * s - 2 * p + k for m, s, p, k in zip(x.shape[-n:], stride, padding, kernel)]
        out = np.zeros((*x.shape[:-n], math.prod(size)), x.dtype)
        np.put_along_axis(out, where.reshape(*x.shape[:-n], -1), x.reshape(*x.shape[:-n], -1), -1)
        return out.reshape(*x.shape[:-n], *size)

    return unpool


for n, size in ((1, (4,)), (2, (2, 3)), (3, (2, 2, 2))):

    def places(r, *lead, n=n, size=size):
        rows = [r.rng.permutation(math.prod(size) * 2**n)[: math.prod(size)] for _ in range(math.prod(lead))]
        return np.array(rows).reshape(*lead, *size)

    op(
        f"nn.functional.max_unpool{n}d",
        max_unpool(n),
        lambda r, size=size, places=places: [S(r(2, 3, *size), places(r, 2, 3), 2), S(r(3, *size), places(r, 3), 2)],
        dtypes=DTYPES,
        grad=1,
    )

# --- patches ---


def unfold(x, kernel, dilation=1, padding=0, stride=1):
    kernel, dilation, padding, stride = (triple(v, 2) for v in (kernel, dilation, padding, stride))
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(x.shape[2:], dilation, kernel, stride)]
    columns = [
        x[
            ...,
            i * stride[0] : i * stride[0] + dilation[0] * (kernel[0] - 1) + 1 : dilation[0],
            j * stride[1] : j * stride[1] + dilation[1] * (kernel[1] - 1) + 1 : dilation[1],
        ].reshape(x.shape[0], -1)
        for i in range(counts[0])
        for j in range(counts[1])
    ]
    return np.stack(columns, -1)


def fold(x, size, kernel, dilation=1, padding=0, stride=1):
    """The transpose of unfold, which is linear: applied to each unit image."""
    channels = x.shape[1] // math.prod(triple(kernel, 2))
    units = np.eye(math.prod(size), dtype=x.dtype).reshape(-1, 1, *size)
    maps = unfold(units, kernel, dilation, padding, stride)  # (pixel, kernel, patch)
    return np.einsum("nckl,pkl->ncp", x.reshape(x.shape[0], channels, -1, x.shape[2]), maps).reshape(
        -1, channels, *size
    )


op(
    "nn.functional.unfold",
    unfold,
    lambda r: [S(r(1, 2, 4, 5), 2), S(r(2, 3, 7, 6), (3, 2), (1, 2), (1, 0), (2, 1)), S(r(1, 1, 3, 3), 3)],
    dtypes=("float32", "float64", "bfloat16"),
    grad=2,
)
op(
    "nn.functional.fold",
    fold,
    lambda r: [S(r(1, 8, 12), (4, 5), 2), S(r(2, 18, 16), (7, 6), (3, 2), (1, 2), (1, 0), (2, 1))],
    dtypes=DTYPES,
    grad=2,
)

# --- resampling ---


def cubic(x, a):
    x = np.abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def matrix(mode, size, out, scale, align, antialias):
    """(out, size): what each output element is made of."""
    step = ((size - 1) / (out - 1) if out > 1 else 0.0) if align else (size / out if scale is None else 1 / scale)
    if out == size and mode in ("linear", "bilinear", "trilinear") and not antialias:
        return np.eye(size)
    rows = np.zeros((out, size))
    for i in range(out):
        if mode == "nearest":
            rows[i, min(int(i * step), size - 1)] = 1
        elif mode == "nearest-exact":
            rows[i, min(int((i + 0.5) * step), size - 1)] = 1
        elif antialias:
            width = max(step, 1.0)
            reach = (2 if mode == "bicubic" else 1) * width
            center = (i + 0.5) * step
            elements = np.arange(max(int(center - reach + 0.5), 0), min(int(center + reach + 0.5), size))
            t = (elements - center + 0.5) / width
            w = cubic(t, -0.5) if mode == "bicubic" else np.maximum(1 - np.abs(t), 0)
            rows[i, elements] = w / w.sum()
        else:
            at = i * step if align else (i + 0.5) * step - 0.5
            if mode == "bicubic":
                for k in range(-1, 3):
                    j = math.floor(at) + k
                    rows[i, min(max(j, 0), size - 1)] += cubic(at - j, -0.75)
            else:
                at = min(max(at, 0.0), size - 1)
                j = min(int(at), size - 1)
                rows[i, j] += 1 - (at - j)
                rows[i, min(j + 1, size - 1)] += at - j
    return rows


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute=None, antialias=False):
    n = x.ndim - 2
    scales = (None,) * n if scale_factor is None else triple(scale_factor, n)
    sizes = triple(size, n) if size is not None else [math.floor(m * s) for m, s in zip(x.shape[2:], scales)]
    for d, (out, scale) in enumerate(zip(sizes, scales)):
        m = matrix(mode, x.shape[2 + d], out, scale, align_corners, antialias).astype(x.dtype)
        x = np.moveaxis(np.tensordot(x, m, ([2 + d], [1])), -1, 2 + d)
    return x


def resized(mode, shape, size, scale, **kwargs):
    return lambda r: [
        S(r(*shape), size, mode=mode, **kwargs),
        S(r(*shape), scale_factor=scale, mode=mode, **kwargs),
        S(r(*shape), tuple(2 * n for n in shape[2:]), mode=mode, **kwargs),
    ]


for mode, corners, antialias in (
    ("nearest", None, False), ("nearest-exact", None, False), ("bilinear", False, False), ("bilinear", True, False),
    ("bilinear", False, True), ("bicubic", False, False), ("bicubic", True, False), ("bicubic", False, True),
):  # fmt: skip
    op(
        f"interpolate {mode}{' corners' if corners else ''}{' antialias' if antialias else ''}",
        interpolate,
        resized(mode, (2, 3, 5, 7), (8, 4), (1.7, 0.6), align_corners=corners, antialias=antialias),
        function="nn.functional.interpolate",
        dtypes=DTYPES,
        grad=2,
    )
for mode, shape, size, scale in (
    ("linear", (2, 3, 7), 5, 1.7), ("nearest", (2, 3, 7), 11, 0.6), ("trilinear", (1, 2, 3, 5, 4), (5, 3, 6), 1.3),
    ("nearest", (1, 2, 3, 5, 4), (5, 3, 6), (1.4, 2.0, 0.5)),
):  # fmt: skip
    op(
        f"interpolate {mode} of {len(shape)}-d",
        interpolate,
        resized(mode, shape, size, scale),
        function="nn.functional.interpolate",
        dtypes=DTYPES,
        grad=2,
    )


def reflected(x, low, high):
    while high > low and not low <= x <= high:
        x = 2 * low - x if x < low else 2 * high - x
    return x if high > low else low


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    sizes, n = x.shape[2:], x.ndim - 2
    out = np.zeros((*x.shape[:2], *grid.shape[1:-1]), x.dtype)

    def inside(at, size):
        if padding_mode == "reflection":
            at = reflected(at, 0, size - 1) if align_corners else reflected(at, -0.5, size - 0.5)
        return at if padding_mode == "zeros" else min(max(at, 0), size - 1)

    def neighbours(g, size):
        at = (g + 1) / 2 * (size - 1) if align_corners else ((g + 1) * size - 1) / 2
        if mode == "bicubic":
            low = math.floor(at)
            return [(inside(low + k, size), cubic(np.asarray(at - low - k), -0.75)) for k in range(-1, 3)]
        at = inside(at, size)
        if mode == "nearest":
            return [(np.rint(at), 1)]
        low = math.floor(at)
        return [(low, low + 1 - at), (low + 1, at - low)]

    for place in itertools.product(*map(range, out.shape[2:])):
        for image in range(x.shape[0]):
            position = grid[(image, *place)]
            for corner in itertools.product(*(neighbours(position[n - 1 - d], sizes[d]) for d in range(n))):
                at = [int(c[0]) for c in corner]
                if all(0 <= a < size for a, size in zip(at, sizes)):
                    out[(image, slice(None), *place)] += x[(image, slice(None), *at)] * math.prod(c[1] for c in corner)
    return out


for mode, padding, corners in (
    ("bilinear", "zeros", False), ("bilinear", "border", True), ("bilinear", "reflection", False), ("nearest", "zeros", True),
    ("nearest", "border", False), ("bicubic", "zeros", True), ("bicubic", "reflection", False), ("bicubic", "border", False),
):  # fmt: skip
    op(
        f"grid_sample {mode} {padding}{' corners' if corners else ''}",
        grid_sample,
        lambda r, mode=mode, padding=padding, corners=corners: [
            S(r(2, 3, 5, 7), r(2, 3, 4, 2, low=-1.4, high=1.4), mode, padding, corners)
        ],
        function="nn.functional.grid_sample",
        dtypes=DTYPES,
        grad=1,
        nograd=(1,) if mode == "nearest" else (),
        slack=8.0,  # positions are differences of numbers near one another
    )
op(
    "grid_sample of volumes",
    grid_sample,
    lambda r: [S(r(2, 2, 3, 4, 5), r(2, 2, 3, 2, 3, low=-1.3, high=1.3), align_corners=False)],
    function="nn.functional.grid_sample",
    dtypes=DTYPES,
    grad=1,
    slack=8.0,
)


def affine_grid(theta, size, align_corners=None):
    axes = []
    for n in size[2:]:
        axis = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        axes.append(axis if align_corners else axis * (n - 1) / n)
    positions = np.meshgrid(*axes, indexing="ij")[::-1]
    base = np.stack([*positions, np.ones(size[2:])], -1).astype(theta.dtype)
    return np.einsum("...i,nji->n...j", base, theta)


op(
    "nn.functional.affine_grid",
    affine_grid,
    lambda r: [
        S(r(2, 2, 3), (2, 1, 3, 5), True),
        S(r(1, 2, 3), (1, 4, 1, 4), False),
        S(r(2, 3, 4), (2, 1, 2, 3, 4), align_corners=False),
    ],
    dtypes=DTYPES,
    grad=2,
)

# --- shuffles ---


def channel_shuffle(x, groups):
    _n, c = x.shape[:2]
    return np.stack([x[:, (i % groups) * (c // groups) + i // groups] for i in range(c)], 1) if c else x


op(
    "nn.functional.channel_shuffle",
    channel_shuffle,
    lambda r: [S(r(2, 6, 3), 2), S(r(1, 6, 2, 5), 3), S(r(2, 4, 3), 1)],
    dtypes=("float32", "float64", "bfloat16"),
    grad=2,
)
