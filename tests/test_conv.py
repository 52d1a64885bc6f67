"""Convolutions: values and gradients against a plain float64 sum, second derivatives, layouts, levels, threads, errors."""

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import _C

# (N, C, O, H, W), kernel, stride, padding, dilation, groups
CASES = [
    ((2, 3, 4, 8, 8), (3, 3), 1, 1, 1, 1),
    ((1, 4, 6, 7, 9), (3, 2), 2, 1, 1, 2),
    ((3, 16, 33, 10, 10), (3, 3), (2, 1), (0, 2), 1, 1),
    ((2, 8, 8, 13, 11), (3, 3), 1, 1, 2, 8),  # depthwise
    ((2, 5, 5, 10, 87), (3, 3), 1, 1, 1, 5),  # depthwise, by a window that slides
    ((1, 3, 3, 7, 41), (3, 5), (1, 2), (0, 2), (1, 3), 3),  # the same
    ((2, 4, 12, 9, 9), (5, 3), 2, (2, 1), 1, 4),  # depthwise, three outputs a channel
    ((2, 65, 48, 7, 7), (3, 3), 1, 1, 1, 1),
    ((1, 1, 20, 28, 28), (5, 5), 1, 0, 1, 1),
    ((4, 6, 12, 6, 6), (1, 1), 1, 0, 1, 3),
    ((3, 20, 17, 6, 7), (1, 1), 1, 0, 1, 1),
    ((3, 20, 17, 6, 7), (1, 1), 2, 0, 1, 1),
    ((3, 36, 34, 12, 13), (1, 1), 1, 0, 1, 2),  # matrix products, added up over images
    ((1, 300, 130, 3, 3), (3, 3), 1, 1, 1, 1),  # several blocks of input and of output channels
    ((1, 2, 3, 1, 700), (1, 3), 1, (0, 1), 1, 1),  # several blocks of columns
    ((2, 7, 20, 12, 12), (3, 3), 2, 1, 2, 1),
    ((2, 4, 4, 12, 12), (2, 2), 3, 0, 1, 1),  # inputs that no tap reaches
    ((2, 3, 4, 2, 2), (3, 3), 1, 3, 1, 1),  # rows of padding alone
    ((70, 16, 16, 8, 8), (3, 3), 1, 1, 1, 1),  # several images a block
]
IDS = [f"{c[0]}-{c[1]}-s{c[2]}-p{c[3]}-d{c[4]}-g{c[5]}".replace(" ", "") for c in CASES]


def pair(v):
    return v if isinstance(v, tuple) else (v, v)


def windows(x, kernel, stride, padding, dilation, out):
    """(N, C, KH, KW, OH, OW): a view of the padded input."""
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    x = np.ascontiguousarray(np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw))))
    n, c, h, w = x.strides
    shape = x.shape[:2] + kernel + out
    return x, np.lib.stride_tricks.as_strided(x, shape, (n, c, h * dh, w * dw, h * sh, w * sw))


def reference(x, w, b, gy, stride, padding, dilation, groups):
    """Output and the three gradients, in the dtype of x. gy is made by the caller from the output's shape."""
    n, c = x.shape[:2]
    o, _, *kernel = w.shape
    kernel = tuple(kernel)
    out = tuple(
        (x.shape[2 + d] + 2 * pair(padding)[d] - pair(dilation)[d] * (kernel[d] - 1) - 1) // pair(stride)[d] + 1
        for d in range(2)
    )
    gy = gy((n, o) + out)
    padded, cols = windows(x, kernel, stride, padding, dilation, out)
    cols = cols.reshape((n, groups, c // groups) + kernel + out)
    wg = w.reshape((groups, o // groups, c // groups) + kernel)
    gyg = gy.reshape((n, groups, o // groups) + out).astype(x.dtype)
    y = np.einsum("ngcpqhw,gocpq->ngohw", cols, wg, optimize=True).reshape((n, o) + out) + b[:, None, None]
    gw = np.einsum("ngcpqhw,ngohw->gocpq", cols, gyg, optimize=True).reshape(w.shape)
    gcols = np.einsum("ngohw,gocpq->ngcpqhw", gyg, wg, optimize=True).reshape((n, c) + kernel + out)
    gpadded = np.zeros_like(padded)
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    for p in range(kernel[0]):
        for q in range(kernel[1]):
            rows, columns = slice(p * dh, p * dh + sh * out[0], sh), slice(q * dw, q * dw + sw * out[1], sw)
            gpadded[:, :, rows, columns] += gcols[:, :, p, q]
    gx = gpadded[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]]
    return gy, y, gx, gw, gy.sum((0, 2, 3))


def operands(case, rng):
    (n, c, o, h, w), kernel, *_, groups = case
    return rng.standard_normal((n, c, h, w)), rng.standard_normal((o, c // groups) + kernel), rng.standard_normal(o)


def channels_last(a, dtype):
    return fd.tensor(np.ascontiguousarray(a.transpose(0, 2, 3, 1)), dtype=dtype).permute(0, 3, 1, 2)


def run(case, arrays, gy, dtype, layout):
    """Output and gradients as float64 arrays; `layout` makes tensors of images."""
    leaves = [fd.tensor(a, dtype=dtype, requires_grad=True) for a in arrays]
    x = layout(arrays[0], dtype)
    x.requires_grad = True
    y = F.conv2d(x, leaves[1], leaves[2], *case[2:])
    grads = fd.autograd.grad(y, [x, *leaves[1:]], layout(gy, dtype))
    return y, [t.detach().to(fd.float64).numpy(force=True) for t in (y, *grads)]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "reversed"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_values_and_gradients(case, dtype, layout):
    rng = np.random.default_rng(1)
    dtype = getattr(fd, dtype)
    half = dtype in (fd.float16, fd.bfloat16)
    if half and layout == "reversed":
        pytest.skip("covered by float32")
    # Operands that the dtype holds exactly, so that the error is that of the sums.
    exact = [fd.tensor(a, dtype=dtype).to(fd.float64).numpy(force=True) for a in operands(case, rng)]

    def gradient(shape):
        return fd.tensor(rng.standard_normal(shape), dtype=dtype).to(fd.float64).numpy(force=True)

    gy, *expected = reference(*exact, gradient, *case[2:])
    layouts = {
        "contiguous": lambda a, t: fd.tensor(a, dtype=t),
        "channels_last": channels_last,
        "reversed": lambda a, t: fd.tensor(np.ascontiguousarray(a.T), dtype=t).permute(3, 2, 1, 0),
    }
    y, got = run(case, exact, gy, dtype, layouts[layout])
    if layout == "channels_last" and min(exact[0].shape[1:]) > 1:
        assert y.stride(1) == 1 or y.shape[1] == 1
    plain = (
        expected
        if half
        else reference(*[a.astype(np.float32) for a in exact], lambda _: gy.astype(np.float32), *case[2:])[1:]
    )
    for name, g, e, p in zip(("y", "x", "w", "b"), got, expected, plain, strict=True):
        assert g.shape == e.shape, name
        scale = np.abs(e).max() + 1e-30
        if dtype == fd.float64:
            allowed = 1e-13 * scale
        elif half:
            allowed = (2**-8 if dtype == fd.bfloat16 else 2**-11) * scale
        else:
            allowed = 2 * np.abs(p - e).max() + 1e-6 * scale
        assert np.abs(g - e).max() <= allowed, name


@pytest.mark.parametrize("level", ["base", "avx2", "avx512"])
def test_levels(level):
    if level not in _C.cpu_levels():
        pytest.skip("not built, or not on this machine")
    before = _C.cpu_level()
    try:
        _C.set_cpu_level(level)
        for case in CASES:
            rng = np.random.default_rng(2)
            arrays = operands(case, rng)
            gy, *expected = reference(*arrays, rng.standard_normal, *case[2:])
            for layout in (lambda a, t: fd.tensor(a, dtype=t), channels_last):
                for dtype, tolerance in ((fd.float32, 2e-5), (fd.float64, 1e-13)):
                    for g, e in zip(run(case, arrays, gy, dtype, layout)[1], expected, strict=True):
                        assert np.abs(g - e).max() <= tolerance * np.abs(e).max(), case
    finally:
        _C.set_cpu_level(before)


def test_same_bits_at_any_number_of_threads():
    before = fd.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            fd.set_num_threads(threads)
            rng = np.random.default_rng(3)
            out = []
            for case in [
                ((8, 24, 40, 30, 30), (3, 3), 1, 1, 1, 1),
                ((4, 32, 32, 40, 40), (3, 3), 2, 1, 1, 32),
                ((2, 128, 64, 20, 20), (1, 1), 1, 0, 1, 1),
            ]:
                arrays = operands(case, rng)
                gy = rng.standard_normal(F.conv2d(fd.tensor(arrays[0]), fd.tensor(arrays[1]), None, *case[2:]).shape)
                out += run(case, arrays, gy, fd.float32, lambda a, t: fd.tensor(a, dtype=t))[1]
            results.append(out)
    finally:
        fd.set_num_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def doubles(rng, *shapes):
    return [fd.tensor(rng.standard_normal(s), requires_grad=True) for s in shapes]


@pytest.mark.parametrize("groups", [1, pytest.param(2, marks=pytest.mark.unsimulated)])
def test_gradcheck(groups):
    rng = np.random.default_rng(4)
    inputs = doubles(rng, (2, 4, 5, 6), (6, 4 // groups, 3, 2), (6,))
    assert fd.autograd.gradcheck(lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 0), (1, 2), groups), inputs)
    inputs = doubles(rng, (2, 4, 3, 4), (4, 3, 3, 2), (3 * groups,))
    assert fd.autograd.gradcheck(
        lambda x, w, b: F.conv_transpose2d(x, w, b, (2, 1), (1, 0), (1, 0), groups, (1, 2)), inputs
    )
    inputs = doubles(rng, (2, 4, 9), (6, 4 // groups, 3), (6,))
    assert fd.autograd.gradcheck(lambda x, w, b: F.conv1d(x, w, b, 2, 1, 2, groups), inputs)


def test_second_derivatives():
    def squared_gradients(x, w):
        with fd.enable_grad():
            y = F.conv2d(x, w, None, 2, 1, 1, 2)
            gx, gw = fd.autograd.grad((y * y).sum(), [x, w], create_graph=True)
        return (gx * gx).sum() + (gw * gw).sum()

    x, w = doubles(np.random.default_rng(5), (1, 4, 4, 4), (4, 2, 3, 3))
    assert fd.autograd.gradcheck(squared_gradients, [x, w])


def test_transpose_is_the_adjoint():
    """<conv(x), y> = <x, conv_transpose(y)>, whatever the geometry."""
    rng = np.random.default_rng(6)
    for case in CASES:
        x, w, _ = (fd.tensor(a) for a in operands(case, rng))
        y = F.conv2d(x, w, None, *case[2:])
        (_, _, _, h, width), kernel, stride, padding, dilation, groups = case
        extra = [
            size
            + 2 * pair(padding)[d]
            - pair(dilation)[d] * (kernel[d] - 1)
            - 1
            - (y.shape[2 + d] - 1) * pair(stride)[d]
            for d, size in enumerate((h, width))
        ]
        z = fd.tensor(rng.standard_normal(y.shape))
        back = F.conv_transpose2d(z, w, None, stride, padding, extra, groups, dilation)
        assert back.shape == x.shape
        np.testing.assert_allclose((y * z).sum().item(), (x * back).sum().item(), rtol=1e-10, atol=1e-9)


def test_one_dimension_and_no_batch():
    rng = np.random.default_rng(7)
    x, w, b = (
        fd.tensor(rng.standard_normal((2, 4, 20))),
        fd.tensor(rng.standard_normal((6, 2, 3))),
        fd.tensor(rng.standard_normal(6)),
    )
    y = F.conv1d(x, w, b, 2, 1, 2, 2)
    image = F.conv2d(x.unsqueeze(2), w.unsqueeze(2), b, (1, 2), (0, 1), (1, 2), 2)
    assert np.array_equal(y.numpy(force=True), image.squeeze(2).numpy(force=True))
    assert np.array_equal(F.conv1d(x[0], w, b, 2, 1, 2, 2).numpy(force=True), y.numpy(force=True)[0])
    assert F.conv_transpose1d(y, w, None, 2, 1, 1, 2, 2).shape == (2, 4, 20)


def test_padding_names():
    x, w = fd.ones(1, 2, 6, 7), fd.ones(3, 2, 3, 4)
    assert F.conv2d(x, w, padding="valid").shape == (1, 3, 4, 4)
    same = F.conv2d(x, w, padding="same")
    assert same.shape == (1, 3, 6, 7)
    assert same.numpy(force=True)[0, 0, 3].tolist() == [18.0, 24.0, 24.0, 24.0, 24.0, 18.0, 12.0]
    with pytest.raises(ValueError, match="stride 1"):
        F.conv2d(x, w, padding="same", stride=2)
    with pytest.raises(ValueError, match="'full'"):
        F.conv2d(x, w, padding="full")


def test_empty_batch():
    x, w, b = fd.ones(0, 3, 5, 5), fd.ones(4, 3, 3, 3), fd.ones(4)
    for t in (x, w, b):
        t.requires_grad = True
    y = F.conv2d(x, w, b)
    assert y.shape == (0, 4, 3, 3)
    y.sum().backward()
    assert x.grad.shape == x.shape and not w.grad.numpy(force=True).any() and not b.grad.numpy(force=True).any()


def test_nan_and_inf_reach_the_outputs_that_see_them():
    x = np.zeros((1, 1, 5, 5), np.float32)
    x[0, 0, 0, 0], x[0, 0, 4, 4] = np.nan, np.inf
    y = F.conv2d(fd.tensor(x), fd.ones(1, 1, 3, 3)).numpy(force=True)[0, 0]
    assert np.isnan(y[0, 0]) and np.isinf(y[2, 2]) and np.isfinite(y[0, 1:]).all() and np.isfinite(y[1, 1])


def test_errors():
    x, w = fd.ones(2, 4, 8, 8), fd.ones(6, 4, 3, 3)
    for error, message, call in [
        (
            fd.ShapeError,
            r"expects an input of 4 channels, got input \[2, 3, 8, 8\]",
            lambda: F.conv2d(fd.ones(2, 3, 8, 8), w),
        ),
        (fd.ShapeError, r"input needs 4 dimensions", lambda: F.conv2d(fd.ones(8, 8), w)),
        (fd.ShapeError, r"weight needs 4 dimensions", lambda: F.conv2d(x, fd.ones(6, 4, 3))),
        (fd.ShapeError, r"do not divide into 4 groups", lambda: F.conv2d(x, fd.ones(6, 1, 3, 3), groups=4)),
        (fd.ShapeError, r"bias needs shape \[6\]", lambda: F.conv2d(x, w, fd.ones(4))),
        (fd.ShapeError, r"larger than the padded input", lambda: F.conv2d(fd.ones(1, 4, 2, 8), w)),
        (fd.ShapeError, r"stride needs 1 or 2 values", lambda: F.conv2d(x, w, stride=(1, 1, 1))),
        (fd.ValueError, r"stride must be at least 1", lambda: F.conv2d(x, w, stride=0)),
        (fd.ValueError, r"padding must be at least 0", lambda: F.conv2d(x, w, padding=-1)),
        (fd.ValueError, r"groups must be at least 1", lambda: F.conv2d(x, w, groups=0)),
        (fd.DTypeError, r"float32, float64", lambda: F.conv2d(x, w.to(fd.float64))),
        (fd.DTypeError, r"int64", lambda: F.conv2d(x.to(fd.int64), w)),
        (fd.ValueError, r"output_padding", lambda: F.conv_transpose2d(fd.ones(1, 6, 3, 3), w, output_padding=2)),
        (fd.ShapeError, r"expects an input of 6 channels", lambda: F.conv_transpose2d(x, w)),
    ]:
        with pytest.raises(error, match=message):
            call()
