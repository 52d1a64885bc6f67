"""Rows of matrix products, convolution and attention."""

import math

import numpy as np
from opdb_row import Bench, S, op

MATRIX = ("float32", "float64", "bfloat16", "float16")


def product(m, k, n, batch=0, ta=False, tb=False, dtype="float32"):
    b = (batch,) if batch else ()
    size = 2 if dtype == "bfloat16" else 4

    def make(r):
        x, y = r.normal(*b, *((k, m) if ta else (m, k))), r.normal(*b, *((n, k) if tb else (k, n)))
        return S(np.swapaxes(x, -1, -2) if ta else x, np.swapaxes(y, -1, -2) if tb else y)

    kind = ("t" if ta else "n") + ("t" if tb else "n")
    name = f"{kind} {f'{batch}x' if batch else ''}{m}x{k}x{n}" + (" bf16" if size == 2 else "")
    work = max(batch, 1)
    return Bench(
        name,
        make,
        flops=2.0 * work * m * k * n,
        nbytes=float(size * work * (m * k + k * n + m * n)),
        dtype=dtype,
        numpy=size == 4,
    )


MATMULS = (
    ((1, 1), (1, 1)),
    ((7, 5), (5, 3)),
    ((65, 129), (129, 7)),
    ((129, 1), (1, 65)),
    ((1, 300), (300, 1)),
    ((70, 530), (530, 50)),
    ((3, 0), (0, 5)),
    ((0, 3), (3, 2)),
    ((7,), (7,)),
    ((5, 7), (7,)),
    ((7,), (7, 5)),
    ((4, 7, 5), (4, 5, 3)),
    ((4, 7, 5), (5, 3)),
    ((5, 1, 7, 3), (2, 3, 4)),
    ((1, 17), (17, 33)),
)
op(
    "matmul",
    np.matmul,
    lambda r: [S(r(*a), r(*b)) for a, b in MATMULS],
    dtypes=MATRIX,
    grad=2,
    bench=[
        *(product(n, n, n) for n in (64, 128, 256, 512, 1024, 2048)),
        product(1, 1024, 1024),
        product(8, 1024, 4096),
        product(64, 784, 256),
        product(512, 768, 3072),
        product(4096, 64, 64),
        product(1024, 1024, 1024, tb=True),
        product(1024, 1024, 1024, ta=True),
        *(product(n, n, n, dtype="bfloat16") for n in (512, 1024, 2048)),
        product(1, 1024, 1024, tb=True, dtype="bfloat16"),
        product(128, 128, 64, batch=64),
    ],
)
op("mm", np.matmul, lambda r: [S(r(7, 5), r(5, 3)), S(r(65, 33), r(33, 129))], dtypes=MATRIX, grad=2)
op(
    "bmm",
    np.matmul,
    lambda r: [S(r(3, 7, 5), r(3, 5, 9)), S(r(1, 65, 33), r(1, 33, 7)), S(r(0, 2, 3), r(0, 3, 2))],
    dtypes=MATRIX,
    grad=2,
)
op(
    "addmm",
    lambda c, a, b, beta=1, alpha=1: beta * c + alpha * (a @ b),
    lambda r: [
        S(r(7, 3), r(7, 5), r(5, 3)),
        S(r(3), r(7, 5), r(5, 3)),
        S(r(9, 65), r(9, 33), r(33, 65), beta=0.5, alpha=2),
    ],
    dtypes=MATRIX,
    grad=2,
)
op("dot", np.dot, lambda r: [S(r(7), r(7)), S(r(1), r(1)), S(r(129), r(129)), S(r(0), r(0))], grad=2)
op("mv", np.matmul, lambda r: [S(r(7, 5), r(5)), S(r(65, 129), r(129))], grad=2)
op("outer", np.outer, lambda r: [S(r(7), r(65))], grad=2)


def linear(x, w, b=None):
    y = x @ w.T
    return y if b is None else y + b


op(
    "nn.functional.linear",
    linear,
    lambda r: [
        S(r(7, 5), r(3, 5), r(3)),
        S(r(5), r(3, 5)),
        S(r(2, 9, 65), r(33, 65), r(33)),
        S(r(0, 5), r(3, 5), r(3)),
        S(r(129, 7), r(1, 7), r(1)),
    ],
    dtypes=MATRIX,
    grad=2,
    bench=[
        Bench(
            "64x784->256",
            lambda r: S(r(64, 784), r(256, 784), r(256)),
            flops=2.0 * 64 * 784 * 256,
            nbytes=4.0 * (64 * 784 + 256 * 784 + 64 * 256),
        ),
        Bench(
            "512x768->3072",
            lambda r: S(r(512, 768), r(3072, 768), r(3072)),
            flops=6.0 * 512 * 768 * 3072,
            nbytes=12.0 * (512 * 768 + 3072 * 768 + 512 * 3072),
            backward=True,
        ),
    ],
)


# --- convolution ---


def pair(v):
    return (v, v) if isinstance(v, int) else tuple(v)


def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    k, c, kh, kw = w.shape
    x = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(ph, ph), (pw, pw)])
    h, v = (x.shape[-2] - dh * (kh - 1) - 1) // sh + 1, (x.shape[-1] - dw * (kw - 1) - 1) // sw + 1
    out = np.zeros((x.shape[0], groups, k // groups, h, v), x.dtype)
    xg, wg = x.reshape(x.shape[0], groups, c, *x.shape[2:]), w.reshape(groups, k // groups, c, kh, kw)
    for i in range(kh):
        for j in range(kw):
            patch = xg[..., i * dh : i * dh + sh * (h - 1) + 1 : sh, j * dw : j * dw + sw * (v - 1) + 1 : sw]
            out += np.einsum("ngchw,gkc->ngkhw", patch, wg[..., i, j])
    out = out.reshape(x.shape[0], k, h, v)
    return out if b is None else out + b.reshape(-1, 1, 1)


def conv1d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d(x[:, :, None], w[:, :, None], b, (1, stride), (0, padding), (1, dilation), groups)[:, :, 0]


def conv_samples(r):
    def s(n, c, h, w, k, kh, kw, groups=1, bias=True, **kwargs):
        return S(r(n, c, h, w), r(k, c // groups, kh, kw), r(k) if bias else None, groups=groups, **kwargs)

    return [
        s(1, 1, 5, 5, 1, 3, 3),
        s(2, 3, 8, 8, 4, 3, 3, padding=1),
        s(2, 3, 9, 7, 5, 3, 2, stride=2, padding=(1, 0)),
        s(1, 4, 11, 13, 6, 3, 3, dilation=2),
        s(2, 6, 7, 7, 6, 3, 3, groups=6, padding=1),
        s(2, 6, 7, 9, 4, 3, 3, groups=2),
        s(3, 17, 6, 5, 33, 1, 1, bias=False),
        s(1, 3, 15, 15, 8, 7, 7, stride=2, padding=3),
        s(2, 16, 12, 12, 32, 3, 3, padding=1, bias=False),
        s(0, 3, 8, 8, 4, 3, 3),
        s(1, 65, 4, 4, 7, 3, 3, padding=1),
        s(2, 32, 14, 14, 48, 3, 3, padding=1, stride=(2, 1)),
        s(1, 2, 3, 3, 2, 3, 3, stride=3),
        s(2, 8, 10, 10, 16, 5, 5, padding=2, dilation=(1, 2)),
        s(1, 4, 9, 9, 4, 3, 3, groups=4, stride=2),
        s(3, 6, 1, 9, 3, 1, 9, groups=3, stride=2),  # phases of the stride without pixels
        s(2, 3, 7, 1, 40, 3, 1, stride=(2, 3)),
    ]


def conv_bench(name, n, c, k, size, r, stride=1, groups=1, backward=False, dx=True):
    pad = r // 2
    out = (size + 2 * pad - r) // stride + 1
    flops = 2.0 * n * k * out * out * c // groups * r * r
    x, w, y = n * c * size * size, k * c // groups * r * r, n * k * out * out
    passes = 2 + dx if backward else 1
    return Bench(
        f"{name} {'fwdbwd' if backward else 'fwd'}",
        lambda rng: S(rng.normal(n, c, size, size), rng.normal(k, c // groups, r, r), None, stride, pad, 1, groups),
        flops=flops * passes,
        nbytes=4.0 * (x + w + y) * passes,
        backward=backward,
        numpy=False,
    )


op(
    "nn.functional.conv2d",
    conv2d,
    conv_samples,
    dtypes=MATRIX,
    grad=2,
    slack=8.0,
    bench=[
        conv_bench(name, *shape, backward=b)
        for name, *shape in (
            ("3x3 64->64 56x56", 16, 64, 64, 56, 3),
            ("7x7/2 3->64 224x224", 16, 3, 64, 224, 7, 2),
            ("1x1 64->256 56x56", 16, 64, 256, 56, 1),
            ("1x1 1024->256 14x14", 16, 1024, 256, 14, 1),
            ("3x3 256->256 14x14", 16, 256, 256, 14, 3),
            ("3x3/2 128->128 56x56", 16, 128, 128, 56, 3, 2),
            ("5x5 1->32 28x28", 64, 1, 32, 28, 5),
            ("3x3 depthwise 96 56x56", 16, 96, 96, 56, 3, 1, 96),
        )
        for b in (False, True)
    ],
)
op(
    "nn.functional.conv1d",
    conv1d,
    lambda r: [
        S(r(2, 3, 9), r(4, 3, 3), r(4)),
        S(r(1, 4, 65), r(6, 2, 5), None, stride=2, padding=2, groups=2),
        S(r(2, 3, 17), r(5, 3, 2), r(5), dilation=3),
    ],
    dtypes=MATRIX[:3],
    grad=2,
    slack=8.0,
)


def conv_transpose2d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    (sh, sw), (ph, pw), (oh, ow), (dh, dw) = pair(stride), pair(padding), pair(output_padding), pair(dilation)
    n, c, h, v = x.shape
    _, k, kh, kw = w.shape
    full = np.zeros(
        (n, groups, k, (h - 1) * sh + dh * (kh - 1) + 1 + oh, (v - 1) * sw + dw * (kw - 1) + 1 + ow), x.dtype
    )
    xg, wg = x.reshape(n, groups, c // groups, h, v), w.reshape(groups, c // groups, k, kh, kw)
    for i in range(kh):
        for j in range(kw):
            full[..., i * dh : i * dh + sh * (h - 1) + 1 : sh, j * dw : j * dw + sw * (v - 1) + 1 : sw] += np.einsum(
                "ngchw,gck->ngkhw", xg, wg[..., i, j]
            )
    out = full.reshape(n, groups * k, *full.shape[-2:])[..., ph : full.shape[-2] - ph, pw : full.shape[-1] - pw]
    return out if b is None else out + b.reshape(-1, 1, 1)


op(
    "nn.functional.conv_transpose2d",
    conv_transpose2d,
    lambda r: [
        S(r(2, 3, 5, 5), r(3, 4, 3, 3), r(4)),
        S(r(1, 4, 7, 6), r(4, 3, 4, 4), r(3), stride=2, padding=1),
        S(r(2, 4, 5, 5), r(4, 2, 3, 3), None, stride=2, padding=1, output_padding=1, groups=2),
    ],
    dtypes=("float32", "float64"),
    grad=2,
    slack=8.0,
)

# --- attention ---


def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * q.dtype.type(1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf).astype(q.dtype)
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf).astype(q.dtype) if attn_mask.dtype == bool else scores + attn_mask
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return (p / p.sum(-1, keepdims=True)) @ v


def attention_samples(r):
    def qkv(*lead, t=7, s=None, d=8, dv=None):
        s = t if s is None else s
        return r(*lead, t, d), r(*lead, s, d), r(*lead, s, dv or d)

    some = r.bools(9, 33)
    some[:, 0] = True
    return [
        S(*qkv(2, 3)),
        S(*qkv(2, 3), is_causal=True),
        S(*qkv(1, 2, t=65, d=16), is_causal=True),
        S(*qkv(1, 1, t=129, d=64)),
        S(*qkv(2, 2, t=9, s=33)),
        S(*qkv(2, 2, t=9, s=33), attn_mask=some),
        S(*qkv(1, 2, t=5), attn_mask=r(1, 2, 5, 5)),
        S(*qkv(1, 2, t=1, s=65)),
        S(*qkv(3, t=7), scale=0.3),
        S(*qkv(1, 1, t=70, d=7), is_causal=True),
        S(*qkv(1, 2, t=130, d=32), is_causal=True),
    ]


def attention_bench(b, h, t, d, causal, backward):
    flops = 4.0 * b * h * t * t * d * (0.5 if causal else 1) * (3 if backward else 1)
    return Bench(
        f"{b}x{h}x{t}x{d} {'causal' if causal else 'full'} {'fwdbwd' if backward else 'fwd'}",
        lambda r: S(*(r.normal(b, h, t, d) for _ in range(3)), is_causal=causal),
        flops=flops,
        nbytes=4.0 * b * h * t * d * (12 if backward else 4),
        backward=backward,
        numpy=False,
    )


op(
    "nn.functional.scaled_dot_product_attention",
    attention,
    attention_samples,
    dtypes=MATRIX,
    grad=1,
    bench=[
        attention_bench(*shape, causal, b)
        for shape in ((2, 12, 1024, 64), (8, 8, 256, 64), (32, 4, 64, 32))
        for causal in (True, False)
        for b in (False, True)
    ],
)
