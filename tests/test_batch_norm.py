"""Batch and instance norm: values, gradients and running statistics against float64, layouts, levels, threads, errors."""

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import _C

SHAPES = [(5, 3), (300, 33), (4, 3, 7), (2, 17, 9, 11), (3, 5, 65, 129), (2, 1, 3, 3)]
EPS = {fd.float64: 2e-15, fd.float32: 1e-6, fd.bfloat16: 2**-8, fd.float16: 2**-11}


def reference(x, weight, bias, mean, var, gy):
    """Output and gradients in float64; mean and var None: of the batch."""
    axes = tuple(a for a in range(x.ndim) if a != 1)
    shape = [1, -1] + [1] * (x.ndim - 2)
    m = (x.mean(axes) if mean is None else mean).reshape(shape)
    v = (x.var(axes) if var is None else var).reshape(shape)
    rstd = 1 / np.sqrt(v + 1e-5)
    normalized = (x - m) * rstd
    g = gy
    if mean is None:
        g = gy - gy.mean(axes, keepdims=True) - normalized * (gy * normalized).mean(axes, keepdims=True)
    y = normalized * weight.reshape(shape) + bias.reshape(shape)
    return y, g * rstd * weight.reshape(shape), (gy * normalized).sum(axes), gy.sum(axes)


def array(t):
    return t.detach().to(fd.float64).numpy(force=True)


def layout(a, dtype, channels_last):
    if not channels_last:
        return fd.tensor(a, dtype=dtype)
    return fd.tensor(np.ascontiguousarray(a.transpose(0, 2, 3, 1)), dtype=dtype).permute(0, 3, 1, 2)


@pytest.fixture(params=["base", "avx2", "avx512"])
def level(request):
    if request.param not in _C.cpu_levels():
        pytest.skip("not built, or not on this machine")
    before = _C.cpu_level()
    _C.set_cpu_level(request.param)
    yield request.param
    _C.set_cpu_level(before)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_batch_norm(level, dtype, training):
    dtype = getattr(fd, dtype)
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        for channels_last in (False, True) if len(shape) == 4 else (False,):
            c = shape[1]
            x, gy = (
                array(fd.tensor(a, dtype=dtype))
                for a in (rng.standard_normal(shape) * 2 + 3, rng.standard_normal(shape))
            )
            weight, bias, mean = (array(fd.tensor(rng.standard_normal(c), dtype=dtype)) for _ in range(3))
            var = array(fd.tensor(rng.random(c) + 0.5, dtype=dtype))
            expected = reference(x, weight, bias, None if training else mean, None if training else var, gy)

            leaves = [layout(x, dtype, channels_last), fd.tensor(weight, dtype=dtype), fd.tensor(bias, dtype=dtype)]
            for t in leaves:
                t.requires_grad = True
            running = fd.tensor(mean), fd.tensor(var)
            y = F.batch_norm(leaves[0], *running, leaves[1], leaves[2], training)
            grads = fd.autograd.grad(y, leaves, layout(gy, dtype, channels_last))
            assert y.dtype == dtype and (not channels_last or c == 1 or y.stride() == leaves[0].stride())
            for name, got, want in zip(("y", "x", "weight", "bias"), (y, *grads), expected, strict=True):
                # Of the terms that are added: the sums of a channel, or the parts of one number.
                scale = np.abs(want).max() + 1 + (np.sqrt(x.size / c) if name in ("weight", "bias") else 0)
                assert np.abs(array(got) - want).max() <= 4 * EPS[dtype] * scale, (name, shape, channels_last)
            if training:
                axes = tuple(a for a in range(x.ndim) if a != 1)
                mean = 0.9 * mean + 0.1 * x.mean(axes)
                var = 0.9 * var + 0.1 * x.var(axes, ddof=1)
            half = dtype in (fd.bfloat16, fd.float16)
            tolerance = EPS[fd.float32] if half else EPS[dtype]
            np.testing.assert_allclose(running[0].numpy(force=True), mean, rtol=10 * tolerance, atol=10 * tolerance)
            np.testing.assert_allclose(running[1].numpy(force=True), var, rtol=10 * tolerance, atol=10 * tolerance)


def test_large_mean_costs_no_precision(level):
    x = np.random.default_rng(1).standard_normal((8, 3, 40, 40)).astype(np.float32) + np.float32(1000)
    for t in (fd.tensor(x), layout(x, fd.float32, True)):
        y = F.batch_norm(t, None, None, training=True).numpy(force=True)
        exact = reference(x.astype(np.float64), np.ones(3), np.zeros(3), None, None, x)[0]
        assert np.abs(y - exact).max() < 2e-4  # one rounding of the mean: 1000 * 2^-24


def test_gradients():
    rng = np.random.default_rng(2)

    def doubles(*shapes):
        return [fd.tensor(rng.standard_normal(s), requires_grad=True) for s in shapes]

    assert fd.autograd.gradcheck(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True), doubles((3, 4, 5), (4,), (4,))
    )
    mean, var = fd.zeros(4, dtype=fd.float64), fd.ones(4, dtype=fd.float64)
    assert fd.autograd.gradcheck(lambda x, w, b: F.batch_norm(x, mean, var, w, b), doubles((3, 4), (4,), (4,)))
    assert fd.autograd.gradcheck(lambda x, w, b: F.instance_norm(x, None, None, w, b), doubles((2, 3, 5), (3,), (3,)))

    def squared_gradients(x, w):
        with fd.enable_grad():
            y = F.batch_norm(x, None, None, w, None, True)
            gx, gw = fd.autograd.grad((y * y * y).sum(), [x, w], create_graph=True)
        return (gx * gx).sum() + (gw * gw).sum()

    assert fd.autograd.gradcheck(squared_gradients, doubles((3, 2, 4), (2,)))


def test_instance_norm():
    rng = np.random.default_rng(3)
    x, weight, bias = rng.standard_normal((3, 4, 5, 6)) + 2, rng.standard_normal(4), rng.standard_normal(4)
    running = fd.zeros(4, dtype=fd.float64), fd.ones(4, dtype=fd.float64)
    y = F.instance_norm(fd.tensor(x), *running, fd.tensor(weight), fd.tensor(bias))
    mean, var = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    expected = (x - mean) / np.sqrt(var + 1e-5) * weight[:, None, None] + bias[:, None, None]
    np.testing.assert_allclose(y.numpy(force=True), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(running[0].numpy(force=True), 0.1 * x.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(running[1].numpy(force=True), 0.9 + 0.1 * x.var((2, 3), ddof=1).mean(0), rtol=1e-12)
    y = F.instance_norm(fd.tensor(x), *running, use_input_stats=False)
    expected = F.batch_norm(fd.tensor(x), *running)
    assert np.array_equal(y.numpy(force=True), expected.numpy(force=True))


def test_same_bits_at_any_number_of_threads():
    before = fd.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            fd.set_num_threads(threads)
            rng, out = np.random.default_rng(4), []
            for shape, channels_last in [((16, 3, 80, 80), False), ((8, 40, 30, 30), True), ((5000, 20), False)]:
                x = layout(rng.standard_normal(shape), fd.float32, channels_last)
                x.requires_grad = True
                w = fd.ones(shape[1], requires_grad=True)
                y = F.batch_norm(x, None, None, w, None, True)
                out += [array(t) for t in (y, *fd.autograd.grad((y * y * y).sum(), [x, w]))]
            results.append(out)
    finally:
        fd.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_empty_batch():
    x, w = fd.tensor(np.zeros((0, 3, 4, 4)), requires_grad=True), fd.tensor(np.ones(3), requires_grad=True)
    y = F.batch_norm(x, fd.tensor(np.zeros(3)), fd.tensor(np.ones(3)), w)
    gx, gw = fd.autograd.grad(y.sum(), [x, w])
    assert y.shape == gx.shape == x.shape and gw.tolist() == [0.0, 0.0, 0.0]


def test_errors():
    x, ones = fd.ones(2, 3, 4), fd.ones(3)
    for error, message, call in [
        (fd.ShapeError, r"at least 2 dimensions", lambda: F.batch_norm(fd.ones(3), None, None, training=True)),
        (fd.ShapeError, r"weight needs shape \[3\]", lambda: F.batch_norm(x, None, None, fd.ones(4), training=True)),
        (fd.ShapeError, r"running_var needs shape \[3\]", lambda: F.batch_norm(x, ones, fd.ones(3, 1))),
        (
            fd.ValueError,
            r"more than one value per channel",
            lambda: F.batch_norm(fd.ones(1, 3), None, None, training=True),
        ),
        (fd.ValueError, r"needs running_mean and running_var", lambda: F.batch_norm(x, None, None)),
        (fd.DTypeError, r"int64", lambda: F.batch_norm(x.to(fd.int64), ones, ones)),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_sequences_with_channels_innermost():
    """(N, C, L) as a transposed view of (N, L, C): its gradient lies in memory as the input does."""
    x = np.random.default_rng(6).standard_normal((2, 5, 3))
    results = []
    for values in (fd.tensor(x).transpose(1, 2), fd.tensor(np.ascontiguousarray(x.transpose(0, 2, 1)))):
        leaf = values.detach().requires_grad_()
        y = F.batch_norm(leaf, None, None, training=True)
        results.append((y, *fd.autograd.grad((y * y * y).sum(), leaf)))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(array(a), array(b), rtol=1e-9, atol=1e-12)
