"""Pooling: values, indices and gradients against plain loops in float64, layouts, levels, threads, errors."""

import itertools

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import _C

SHAPES = [(2, 3, 8, 8), (1, 17, 20, 40), (2, 5, 7, 9), (1, 1, 5, 65)]
# kernel, stride, padding, dilation, ceil_mode
WINDOWS = [
    (2, None, 0, 1, False),
    (3, 2, 1, 1, False),
    (3, 2, 1, 1, True),
    (3, 1, 1, 1, False),
    ((2, 3), (1, 2), (1, 0), 1, True),
    (5, 3, 2, 1, False),
    (2, 3, 0, 2, False),
    (3, 3, 1, 2, True),
]


def pair(v):
    return v if isinstance(v, tuple) else (v, v)


def spans(size, kernel, stride, padding, dilation, ceil_mode):
    """The indices inside the input, and the size with padding, of each window of a dimension."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    out = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (out - 1) * stride >= size + padding:
        out -= 1
    starts = [o * stride - padding for o in range(out)]
    return [
        ([i for i in range(s, s + dilation * kernel, dilation) if 0 <= i < size], min(s + kernel, size + padding) - s)
        for s in starts
    ]


def adaptive_spans(size, out):
    return [(list(range(o * size // out, -(-(o + 1) * size // out))), 0) for o in range(out)]


def plain_max(x, rows, columns):
    y = np.empty(x.shape[:2] + (len(rows), len(columns)))
    indices = np.empty(y.shape, np.int64)
    for n, c, i, j in np.ndindex(y.shape):
        taps = list(itertools.product(rows[i][0], columns[j][0]))
        best = int(np.argmax([x[n, c, h, w] for h, w in taps]))
        y[n, c, i, j], indices[n, c, i, j] = x[n, c][taps[best]], taps[best][0] * x.shape[3] + taps[best][1]
    return y, indices


def plain_avg(x, rows, columns, divisor):
    y = np.empty(x.shape[:2] + (len(rows), len(columns)))
    for i, (r, full_r) in enumerate(rows):
        for j, (c, full_c) in enumerate(columns):
            y[:, :, i, j] = x[:, :, r][:, :, :, c].sum((2, 3)) / divisor(len(r) * len(c), full_r * full_c)
    return y


def plain_avg_gradient(gy, shape, rows, columns, divisor):
    gx = np.zeros(shape)
    for i, (r, full_r) in enumerate(rows):
        for j, (c, full_c) in enumerate(columns):
            gx[:, :, r[0] : r[-1] + 1, c[0] : c[-1] + 1] += (
                gy[:, :, i, j] / divisor(len(r) * len(c), full_r * full_c)
            )[..., None, None]
    return gx


def image(a, dtype, channels_last):
    if not channels_last:
        return fd.tensor(a, dtype=dtype, requires_grad=True)
    t = fd.tensor(np.ascontiguousarray(a.transpose(0, 2, 3, 1)), dtype=dtype).permute(0, 3, 1, 2)
    t.requires_grad = True
    return t


def array(t):
    return t.detach().to(fd.float64).numpy(force=True)


@pytest.fixture(params=["base", "avx2", "avx512"])
def level(request):
    if request.param not in _C.cpu_levels():
        pytest.skip("not built, or not on this machine")
    before = _C.cpu_level()
    _C.set_cpu_level(request.param)
    yield request.param
    _C.set_cpu_level(before)


def check_max(x, dtype, channels_last, rows, columns, pool):
    t = image(x, dtype, channels_last)
    y, indices = pool(t)
    expected, places = plain_max(x, rows, columns)
    assert np.array_equal(array(y), expected) and np.array_equal(indices.numpy(force=True), places)
    if channels_last and min(x.shape[1:]) > 1:
        assert y.stride(1) == 1 or 1 in y.shape[1:]
    gy = np.random.default_rng(1).integers(-4, 5, y.shape).astype(np.float64)  # sums of these are exact in any dtype
    (gx,) = fd.autograd.grad(y, [t], fd.tensor(gy, dtype=dtype))
    wanted = np.zeros(x.shape[:2] + (x.shape[2] * x.shape[3],))
    for n, c in np.ndindex(x.shape[:2]):
        np.add.at(wanted[n, c], places[n, c].ravel(), gy[n, c].ravel())
    assert np.array_equal(array(gx), wanted.reshape(x.shape))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_max_pool2d(level, windows, channels_last):
    kernel, stride, padding, dilation, ceil_mode = windows
    for shape, dtype in zip(SHAPES, (fd.float32, fd.float64, fd.bfloat16, fd.float16), strict=True):
        x = array(fd.tensor(np.random.default_rng(0).standard_normal(shape), dtype=dtype))
        x[0, 0, 2, 2] = x[0, 0, 2, 3] = 9.0  # equal maxima: the first counts
        s = kernel if stride is None else stride
        rows, columns = (
            spans(shape[2 + d], pair(kernel)[d], pair(s)[d], pair(padding)[d], pair(dilation)[d], ceil_mode)
            for d in range(2)
        )
        check_max(
            x,
            dtype,
            channels_last,
            rows,
            columns,
            lambda t: F.max_pool2d(t, kernel, stride, padding, dilation, ceil_mode, True),
        )


@pytest.mark.parametrize("channels_last", [False, True])
def test_adaptive_pools(level, channels_last):
    for shape, dtype in zip(SHAPES, (fd.float32, fd.float64, fd.float32, fd.float64), strict=True):
        x = array(fd.tensor(np.random.default_rng(0).standard_normal(shape), dtype=dtype))
        for size in (1, (3, 2), (None, 4), (5, 7)):
            out = [o or shape[2 + d] for d, o in enumerate(pair(size))]
            rows, columns = adaptive_spans(shape[2], out[0]), adaptive_spans(shape[3], out[1])
            check_max(x, dtype, channels_last, rows, columns, lambda t, s=size: F.adaptive_max_pool2d(t, s, True))
            check_avg(
                x,
                dtype,
                channels_last,
                rows,
                columns,
                lambda inside, full: inside,
                lambda t, s=size: F.adaptive_avg_pool2d(t, s),
            )


def check_avg(x, dtype, channels_last, rows, columns, divisor, pool):
    t = image(x, dtype, channels_last)
    y = pool(t)
    gy = array(fd.tensor(np.random.default_rng(1).standard_normal(y.shape), dtype=dtype))
    (gx,) = fd.autograd.grad(y, [t], fd.tensor(gy, dtype=dtype))
    eps = {fd.float64: 1e-15, fd.float32: 2e-7, fd.bfloat16: 2**-8, fd.float16: 2**-11}[dtype]
    expected = plain_avg(x, rows, columns, divisor)
    np.testing.assert_allclose(array(y), expected, rtol=4 * eps, atol=8 * eps)
    expected = plain_avg_gradient(gy, x.shape, rows, columns, divisor)
    np.testing.assert_allclose(array(gx), expected, rtol=4 * eps, atol=8 * eps)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("windows", [w for w in WINDOWS if w[3] == 1], ids=str)
def test_avg_pool2d(level, windows, channels_last):
    kernel, stride, padding, _, ceil_mode = windows
    s = kernel if stride is None else stride
    for shape, dtype in zip(SHAPES, (fd.float32, fd.float64, fd.bfloat16, fd.float16), strict=True):
        x = array(fd.tensor(np.random.default_rng(0).standard_normal(shape), dtype=dtype))
        rows, columns = (
            spans(shape[2 + d], pair(kernel)[d], pair(s)[d], pair(padding)[d], 1, ceil_mode) for d in range(2)
        )
        for include, override, divisor in (
            (True, None, lambda inside, full: full),
            (False, None, lambda inside, full: inside),
            (True, 3, lambda inside, full: 3),
        ):
            check_avg(
                x, dtype, channels_last, rows, columns, divisor,
                lambda t, i=include, o=override: F.avg_pool2d(t, kernel, stride, padding, ceil_mode, i, o),
            )  # fmt: skip


def test_one_dimension_and_no_batch():
    x = fd.tensor(np.random.default_rng(2).standard_normal((2, 3, 17)))
    rows = x.unsqueeze(2)
    for one, two in [
        (lambda t: F.max_pool1d(t, 3, 2, 1), lambda t: F.max_pool2d(t, (1, 3), (1, 2), (0, 1))),
        (lambda t: F.avg_pool1d(t, 3, 2, 1), lambda t: F.avg_pool2d(t, (1, 3), (1, 2), (0, 1))),
        (lambda t: F.adaptive_max_pool1d(t, 5), lambda t: F.adaptive_max_pool2d(t, (1, 5))),
        (lambda t: F.adaptive_avg_pool1d(t, 5), lambda t: F.adaptive_avg_pool2d(t, (1, 5))),
    ]:
        expected = two(rows).squeeze(2).numpy(force=True)
        assert np.array_equal(one(x).numpy(force=True), expected)
        assert np.array_equal(one(x[1]).numpy(force=True), expected[1])


def test_nan_and_infinities(level):
    x = np.zeros((1, 1, 4, 40), np.float32)
    x[0, 0, 0, 1], x[0, 0, 1, 9], x[0, 0, 2:, 20:24] = np.nan, np.inf, -np.inf
    y, indices = F.max_pool2d(fd.tensor(x), 2, return_indices=True)
    y, indices = y.numpy(force=True)[0, 0], indices.numpy(force=True)[0, 0]
    assert np.isnan(y[0, 0]) and indices[0, 0] == 1
    assert y[0, 4] == np.inf and indices[0, 4] == 49
    assert y[1, 10] == -np.inf and indices[1, 10] == 100
    assert (y.ravel()[[1, 2, 3, 19, 20, 39]] == 0).all()


def test_gradients():
    rng = np.random.default_rng(3)
    x = fd.tensor(rng.permutation(2 * 3 * 6 * 7).reshape(2, 3, 6, 7) / 10.0, requires_grad=True)  # no equal values
    assert fd.autograd.gradcheck(lambda x: F.max_pool2d(x, 3, 2, 1), [x])
    assert fd.autograd.gradcheck(lambda x: F.adaptive_max_pool2d(x, (4, 3)), [x])
    assert fd.autograd.gradcheck(lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), [x])
    assert fd.autograd.gradcheck(lambda x: F.adaptive_avg_pool2d(x, (4, 3)), [x])

    for pool in (lambda x: F.avg_pool2d(x, 3, 2, 1), lambda x: F.max_pool2d(x, 3, 2, 1)):

        def squared_gradient(x, pool=pool):
            with fd.enable_grad():
                y = pool(x)
                (gx,) = fd.autograd.grad((y * y).sum(), [x], create_graph=True)
            return (gx * gx).sum()

        assert fd.autograd.gradcheck(squared_gradient, [x])


def test_same_bits_at_any_number_of_threads():
    before = fd.get_num_threads()
    x = np.random.default_rng(4).standard_normal((16, 32, 30, 30))
    results = []
    try:
        for threads in (1, 2):
            fd.set_num_threads(threads)
            out = []
            for channels_last in (False, True):
                t = image(x, fd.float32, channels_last)
                for pool in (lambda t: F.max_pool2d(t, 3, 2, 1), lambda t: F.avg_pool2d(t, 3, 2, 1)):
                    y = pool(t)
                    out += [array(y), array(fd.autograd.grad((y * y).sum(), [t])[0])]
            results.append(out)
    finally:
        fd.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_empty_batch():
    x = fd.tensor(np.zeros((0, 3, 4, 4)), requires_grad=True)
    for pool in (lambda t: F.max_pool2d(t, 2), lambda t: F.avg_pool2d(t, 2), lambda t: F.adaptive_avg_pool2d(t, 2)):
        y = pool(x)
        assert y.shape == (0, 3, 2, 2)
        assert fd.autograd.grad(y.sum(), [x])[0].shape == x.shape


def test_errors():
    x = fd.ones(1, 2, 4, 4)
    for error, message, call in [
        (fd.ShapeError, r"input needs 4 dimensions", lambda: F.max_pool2d(fd.ones(4, 4), 2)),
        (fd.ShapeError, r"do not fit into input \[1, 2, 4, 4\]", lambda: F.max_pool2d(x, 5)),
        (fd.ShapeError, r"kernel_size needs 1 or 2 values", lambda: F.avg_pool2d(x, (1, 2, 3))),
        (fd.ShapeError, r"must not be empty", lambda: F.max_pool2d(fd.ones(1, 2, 0, 4), 2)),
        (fd.ValueError, r"at most half", lambda: F.max_pool2d(x, 2, padding=2)),
        (fd.ValueError, r"stride must be at least 1", lambda: F.avg_pool2d(x, 2, 0)),
        (fd.ValueError, r"divisor_override", lambda: F.avg_pool2d(x, 2, divisor_override=0)),
        (fd.ValueError, r"output_size must not be negative", lambda: F.adaptive_avg_pool2d(x, -2)),
        (fd.DTypeError, r"int64", lambda: F.max_pool2d(x.to(fd.int64), 2)),
    ]:
        with pytest.raises(error, match=message):
            call()
