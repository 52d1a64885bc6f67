"""Rows of the layers' functions: softmax, normalization, pooling, embedding, dropout at rest, recurrent layers."""

import numpy as np
from opdb_pointwise import sigmoid
from opdb_row import Bench, S, op

SMALL = ("float32", "float64", "bfloat16")


def softmax(x, dim=-1):
    e = np.exp(x - x.max(axis=dim, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=dim, keepdims=True)


def log_softmax(x, dim=-1):
    y = x - x.max(axis=dim, keepdims=True, initial=-np.inf)
    return y - np.log(np.exp(y).sum(axis=dim, keepdims=True))


def soft_samples(r):
    return [
        S(r(*s), dim=d)
        for s in ((1,), (7,), (65,), (3, 129), (129, 3), (2, 5, 7), (4, 1000), (3, 0))
        for d in range(-1, len(s) - 1)
    ] + [S(30 * r(5, 65), dim=1)]


def rows(n, c, backward=False, extra=lambda r, c: (), kwargs=None, **options):
    """A benchmark over an (n, c) matrix: read, write; and backward: read twice, write once."""
    return Bench(
        f"{n}x{c} {'fwdbwd' if backward else 'fwd'}",
        lambda r: S(r(n, c), *extra(r, c), **(kwargs or {})),
        nbytes=(20.0 if backward else 8.0) * n * c,
        backward=backward,
        **options,
    )


for name, reference in (("softmax", softmax), ("log_softmax", log_softmax)):
    op(
        f"nn.functional.{name}",
        reference,
        soft_samples,
        grad=2,
        bench=[rows(4096, 1000, b, kwargs={"dim": 1}) for b in (False, True)],
    )
op(
    "nn.functional.normalize",
    lambda x, p=2.0, dim=1, eps=1e-12: x / np.maximum((np.abs(x) ** p).sum(dim, keepdims=True) ** (1 / p), eps),
    lambda r: [S(r(3, 65)), S(r(2, 5, 7), dim=-1)],
    dtypes=SMALL,
    grad=1,
)

# --- normalization ---


def layer_norm(x, shape, w=None, b=None, eps=1e-5):
    axes = tuple(range(-len(shape), 0))
    mean = x.mean(axes, keepdims=True)
    y = (x - mean) / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + x.dtype.type(eps))
    y = y if w is None else y * w
    return y if b is None else y + b


def rms_norm(x, shape, w=None, eps=1e-5):
    y = x / np.sqrt((x * x).mean(tuple(range(-len(shape), 0)), keepdims=True) + x.dtype.type(eps))
    return y if w is None else y * w


def group_norm(x, groups, w=None, b=None, eps=1e-5):
    y = (
        layer_norm(x.reshape(x.shape[0], groups, -1), (1,), eps=eps)
        if x.size == 0
        else layer_norm(g := x.reshape(x.shape[0], groups, -1), g.shape[2:], eps=eps)
    )
    y, shape = y.reshape(x.shape), (-1, *[1] * (x.ndim - 2))
    y = y if w is None else y * w.reshape(shape)
    return y if b is None else y + b.reshape(shape)


def batch_norm(x, mean, var, w=None, b=None, training=False, momentum=0.1, eps=1e-5):
    """Normalized input and, when training, the running statistics after the call."""
    axes, shape, n = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2)), x.size // x.shape[1]
    if training:
        m = x.mean(axes)
        v = ((x - m.reshape(shape)) ** 2).mean(axes)
        state = (
            ()
            if mean is None
            else (mean * (1 - momentum) + m * momentum, var * (1 - momentum) + v * (n / max(n - 1, 1)) * momentum)
        )
    else:
        m, v, state = mean, var, (mean, var)
    y = (x - m.reshape(shape)) / np.sqrt(v.reshape(shape) + x.dtype.type(eps))
    y = y if w is None else y * w.reshape(shape)
    return (y if b is None else y + b.reshape(shape), *state)


def batch_norm_call(lib, x, mean, var, *args, **kwargs):
    mean, var = (None if t is None else t.detach().clone() for t in (mean, var))  # the op writes to them
    y = lib.nn.functional.batch_norm(x, mean, var, *args, **kwargs)
    return y if mean is None else (y, mean, var)


op(
    "nn.functional.layer_norm",
    layer_norm,
    lambda r: (
        [
            S(r(*s), s[-k:], r(*s[-k:]), r(*s[-k:]))
            for s, k in (((7,), 1), ((3, 65), 1), ((129, 5), 1), ((2, 3, 5), 2), ((4, 768), 1))
        ]
        + [S(r(3, 7), (7,)), S(r(0, 7), (7,))]
    ),
    grad=2,
    bench=[
        Bench(
            f"4096x768 {'fwdbwd' if b else 'fwd'}",
            lambda r: S(r(4096, 768), (768,), r(768), r(768)),
            nbytes=(20.0 if b else 8.0) * 4096 * 768,
            backward=b,
        )
        for b in (False, True)
    ],
)
op(
    "nn.functional.rms_norm",
    rms_norm,
    lambda r: (
        [S(r(*s), s[-1:], r(s[-1]), eps=1e-5) for s in ((7,), (3, 65), (129, 5), (2, 3, 33))]
        + [S(r(3, 7), (7,), eps=1e-3)]
    ),
    dtypes=SMALL,
    grad=2,
)
op(
    "nn.functional.group_norm",
    group_norm,
    lambda r: [S(r(2, 6, 5), 3, r(6), r(6)), S(r(2, 4, 3, 7), 2), S(r(1, 32, 65), 4, r(32), r(32)), S(r(3, 4), 2)],
    dtypes=SMALL,
    grad=2,
)
op(
    "nn.functional.batch_norm",
    batch_norm,
    lambda r: (
        [
            S(r(*s), r(s[1]), r(s[1], low=0.5), r(s[1]), r(s[1]), training=t)
            for s in ((7, 3), (65, 5), (4, 3, 9), (2, 5, 6, 7), (3, 33, 8, 8))
            for t in (True, False)
        ]
        + [S(r(5, 3, 4), None, None, training=True)]
    ),
    nograd=(1, 2),
    function=batch_norm_call,
    dtypes=SMALL,
    grad=1,
    bench=[
        Bench(
            "32x64x56x56 fwdbwd",
            lambda r: S(r(32, 64, 56, 56), r(64), r(64, low=0.5), r(64), r(64), training=True),
            nbytes=20.0 * 32 * 64 * 56 * 56,
            backward=True,
        )
    ],
)
op(
    "nn.functional.instance_norm",
    lambda x, w=None, b=None: group_norm(x, x.shape[1], w, b),
    lambda r: [S(r(2, 3, 65)), S(r(2, 3, 5, 7), r(3), r(3))],
    function=lambda lib, x, w=None, b=None: lib.nn.functional.instance_norm(x, weight=w, bias=b),
    dtypes=SMALL,
    grad=1,
)

# --- pooling ---


def windows(x, kernel, stride, padding, fill, ceil_mode=False, dilation=1):
    """(N, C, H', W', kh, kw): every window of a padded input."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (
        p if isinstance(p, tuple) else (p, p) for p in (kernel, stride or kernel, padding, dilation)
    )
    x = np.pad(
        x,
        [(0, 0), (0, 0), (ph, ph + (sh if ceil_mode else 0)), (pw, pw + (sw if ceil_mode else 0))],
        constant_values=fill,
    )
    return np.lib.stride_tricks.sliding_window_view(x, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), (2, 3))[
        :, :, ::sh, ::sw, ::dh, ::dw
    ]


def max_pool2d(x, kernel, stride=None, padding=0, dilation=1):
    return windows(x, kernel, stride, padding, -np.inf, dilation=dilation).max((-1, -2))


def avg_pool2d(x, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    total = windows(x, kernel, stride, padding, 0).sum((-1, -2))
    if count_include_pad:
        return total / x.dtype.type(np.prod(kernel if isinstance(kernel, tuple) else (kernel, kernel)))
    return total / windows(np.ones_like(x), kernel, stride, padding, 0).sum((-1, -2))


def adaptive(f):
    def g(x, size):
        size = size if isinstance(size, tuple) else (size, size)
        h, w = x.shape[-2:]
        cells = [
            [
                f(
                    x[
                        ...,
                        i * h // size[0] : -(-(i + 1) * h // size[0]),
                        j * w // size[1] : -(-(j + 1) * w // size[1]),
                    ],
                    (-1, -2),
                )
                for j in range(size[1])
            ]
            for i in range(size[0])
        ]
        return np.moveaxis(np.array(cells, x.dtype), (0, 1), (-2, -1))

    return g


def lifted(f, *squares):
    """The one-dimensional form of a two-dimensional pool: arguments become (1, a)."""
    neutral = {"padding": 0}

    def g(x, *args, **kwargs):
        wide = lambda k, a: (neutral.get(k, 1), a)
        return f(
            x[:, :, None],
            *(wide(k, a) for k, a in zip(squares, args)),
            **{k: wide(k, a) if k in squares else a for k, a in kwargs.items()},
        )[:, :, 0]

    return g


def pool_samples(**some):
    return lambda r: [
        S(r.distinct(1, 1, 4, 4), 2),
        S(r.distinct(2, 3, 7, 9), 3, 2, 1),
        S(r.distinct(2, 5, 8, 8), (2, 3), (1, 2), (1, 0)),
        S(r.distinct(1, 17, 6, 6), 2),
        S(r.distinct(2, 3, 9, 9), 3, **some),
    ]


op(
    "nn.functional.max_pool2d",
    max_pool2d,
    lambda r: [S(s.args[0] / 8, *s.args[1:], **s.kwargs) for s in pool_samples(dilation=2)(r)],
    dtypes=SMALL,
    grad=1,
    bench=[
        Bench(
            f"32x64x56x56 2x2 {'fwdbwd' if b else 'fwd'}",
            lambda r: S(r(32, 64, 56, 56), 2),
            nbytes=4.0 * 32 * 64 * 56 * 56 * (3.5 if b else 1.25),
            backward=b,
            numpy=False,
        )
        for b in (False, True)
    ],
)
op(
    "nn.functional.avg_pool2d",
    avg_pool2d,
    lambda r: [S(s.args[0] / 8, *s.args[1:], **s.kwargs) for s in pool_samples(padding=1, count_include_pad=False)(r)],
    dtypes=SMALL,
    grad=2,
)
op(
    "nn.functional.max_pool1d",
    lifted(max_pool2d, "kernel", "stride", "padding"),
    lambda r: [S(r.distinct(2, 3, 9), 2), S(r.distinct(1, 5, 65), 3, 2, 1)],
    dtypes=SMALL,
    grad=1,
)
op(
    "nn.functional.avg_pool1d",
    lifted(avg_pool2d, "kernel", "stride", "padding"),
    lambda r: [S(r(2, 3, 9), 2), S(r(1, 5, 65), 3, 2, 1)],
    dtypes=SMALL,
    grad=2,
)
op(
    "nn.functional.adaptive_avg_pool2d",
    adaptive(np.mean),
    lambda r: [S(r(2, 3, 7, 9), 1), S(r(2, 3, 7, 9), (3, 4)), S(r(1, 5, 4, 4), 7)],
    dtypes=SMALL,
    grad=2,
)
op(
    "nn.functional.adaptive_max_pool2d",
    adaptive(np.max),
    lambda r: [S(r.distinct(2, 3, 7, 9) / 8, 1), S(r.distinct(2, 3, 7, 9) / 8, (3, 4))],
    dtypes=SMALL,
    grad=1,
)

# --- embedding, dropout ---

op(
    "nn.functional.embedding",
    lambda i, w: w[i],
    lambda r: [
        S(r.ints(7, high=5), r(5, 3)),
        S(r.ints(2, 9, high=65), r(65, 33)),
        S(r.ints(0, high=5), r(5, 3)),
        S(r.ints(high=5), r(5, 7)),
    ],
    grad=2,
    bench=[
        Bench(
            "4096 of 10000x256 fwdbwd",
            lambda r: S(r.ints(4096, high=10000), r(10000, 256)),
            nbytes=4.0 * (4 * 4096 * 256 + 10000 * 256),
            backward=True,
        )
    ],
)
op(
    "nn.functional.dropout",
    lambda x, p=0.5, training=True: x,
    lambda r: [S(r(7), 0.3, training=False), S(r(3, 65), 0.0)],
    dtypes=SMALL,
    grad=1,
)

# --- recurrent layers: (x, weights, state) -> (outputs, state) ---


def lstm(x, wi, wh, bi, bh, h, c):
    out = []
    for step in x:
        i, f, g, o = np.split(step @ wi.T + bi + h @ wh.T + bh, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out), h, c


def gru(x, wi, wh, bi, bh, h):
    out = []
    for step in x:
        (ri, zi, ni), (rh, zh, nh) = np.split(step @ wi.T + bi, 3, -1), np.split(h @ wh.T + bh, 3, -1)
        r, z = sigmoid(ri + rh), sigmoid(zi + zh)
        n = np.tanh(ni + r * nh)
        h = n + z * (h - n)
        out.append(h)
    return np.stack(out), h


def rnn(x, wi, wh, bi, bh, h):
    out = []
    for step in x:
        h = np.tanh(step @ wi.T + bi + h @ wh.T + bh)
        out.append(h)
    return np.stack(out), h


def recurrent(kind):
    """One layer over all time steps as a function of its parameters."""

    def call(lib, x, wi, wh, bi, bh, *state):
        if lib.__name__ == "fastdl":
            return getattr(lib._C, f"{kind.lower()}_layer")(x, *state, wi, wh, bi, bh)
        state = tuple(s.unsqueeze(0) for s in state)
        function = lib.rnn_tanh if kind == "RNN" else getattr(lib, kind.lower())
        y, *last = function(
            x, state if kind == "LSTM" else state[0], [wi, wh, bi, bh], True, 1, 0.0, False, False, False
        )
        return (y, *(s.squeeze(0) for s in last))

    return call


def recurrent_samples(gates, states):
    def s(r, t, b, i, h):
        near = lambda *shape: r(*shape, low=-0.6, high=0.6)
        return S(
            r(t, b, i),
            near(gates * h, i),
            near(gates * h, h),
            near(gates * h),
            near(gates * h),
            *(near(b, h) for _ in range(states)),
        )

    return s


for kind, reference, gates, states in (("LSTM", lstm, 4, 2), ("GRU", gru, 3, 1), ("RNN", rnn, 1, 1)):
    make = recurrent_samples(gates, states)
    op(
        f"nn.{kind}",
        reference,
        lambda r, make=make: [make(r, *s) for s in ((1, 1, 1, 1), (3, 2, 5, 7), (5, 3, 7, 17), (9, 1, 33, 16))],
        function=recurrent(kind),
        dtypes=("float32", "float64"),
        grad=1,
        bench=[]
        if kind == "RNN"
        else [
            Bench(
                f"100x32 128->256 {'fwdbwd' if b else 'fwd'}",
                lambda r, make=make: make(r, 100, 32, 128, 256),
                flops=2.0 * 100 * 32 * 384 * gates * 256 * (3 if b else 1),
                nbytes=4.0 * (384 * gates * 256 + 100 * 32 * 384) * (3 if b else 1),
                backward=b,
                numpy=False,
            )
            for b in (False, True)
        ],
    )
