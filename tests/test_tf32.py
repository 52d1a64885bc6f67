"""Products of float32 rounded to TF32, which GPUs do where it is allowed: that it is off, on, and how large the difference is."""

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F

on_device = pytest.mark.skipif(fd.get_default_device().type == "cpu", reason="the CPU keeps all bits")


@pytest.fixture
def allowed():
    """Allows TF32 for products, attention and convolutions, and puts the switches back."""
    before = fd.get_float32_matmul_precision(), fd.backends.cudnn.allow_tf32

    def allow(value=True):
        fd.backends.cuda.matmul.allow_tf32 = value
        fd.backends.cudnn.allow_tf32 = value

    allow()
    yield allow
    fd.set_float32_matmul_precision(before[0])
    fd.backends.cudnn.allow_tf32 = before[1]


def tf32(x):
    """float32 numbers to the nearest with 10 bits of mantissa, ties away from zero."""
    return ((x.astype(np.float32).view(np.uint32) + 0x1000) & 0xFFFFE000).view(np.float32)


def test_switches(allowed):
    assert fd.backends.cuda.matmul.allow_tf32 and fd.get_float32_matmul_precision() == "high"
    fd.set_float32_matmul_precision("medium")
    assert fd.backends.cuda.matmul.allow_tf32 and fd.get_float32_matmul_precision() == "medium"
    fd.set_float32_matmul_precision("highest")
    assert not fd.backends.cuda.matmul.allow_tf32 and fd.backends.cudnn.allow_tf32
    fd.backends.cudnn.allow_tf32 = False
    assert not fd.backends.cudnn.allow_tf32
    with pytest.raises(ValueError, match="'lowest', expected 'highest', 'high' or 'medium'"):
        fd.set_float32_matmul_precision("lowest")


def test_defaults(run_python):
    run = run_python("import fastdl as fd; print(fd.backends.cuda.matmul.allow_tf32, fd.backends.cudnn.allow_tf32)")
    assert run.stdout.split() == ["False", "True"], run.stderr


def compare(allow, f, arrays, rounded, sums):
    """f of float32 tensors with the switches off is exact to float32; on, it is that of the rounded numbers."""
    tensors = [fd.tensor(a) for a in arrays]
    allow(False)
    exact = f(*tensors).numpy(force=True)
    allow(True)
    ours = f(*tensors).numpy(force=True)
    np.testing.assert_array_less(np.abs(ours - rounded), 1e-5 * sums + 1e-6)
    difference = np.abs(ours - exact)
    assert difference.max() > 0, "nothing was rounded"
    assert (difference <= 2.0**-10 * sums + 1e-6).all()  # each operand to half a unit of the eleventh bit
    assert np.median(difference) > 1e-6 * np.median(sums)  # much more than float32's


@on_device
@pytest.mark.parametrize("m, n, k", [(2, 3, 7), (65, 129, 65), (130, 64, 40), (64, 200, 33)])
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_matmul(allowed, m, n, k, turned):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s[::-1] if t else s).astype(np.float32) for s, t in zip([(m, k), (k, n)], turned))
    a_matrix, b_matrix = (x.T if t else x for x, t in zip((a, b), turned))

    def f(x, y):
        return (x.mT if turned[0] else x) @ (y.mT if turned[1] else y)

    exact = tf32(a_matrix).astype(np.float64) @ tf32(b_matrix).astype(np.float64)
    compare(allowed, f, [a, b], exact, np.abs(a_matrix).astype(np.float64) @ np.abs(b_matrix))


@on_device
def test_batches_and_linear(allowed):
    rng = np.random.default_rng(1)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((3, 20, 36), (3, 36, 44), (44,)))
    compare(allowed, fd.matmul, [x, w], tf32(x).astype(np.float64) @ tf32(w), np.abs(x).astype(np.float64) @ np.abs(w))
    plain = tf32(x[0]).astype(np.float64) @ tf32(w[0]) + b
    compare(
        allowed, lambda x, w, b: F.linear(x, w.T, b), [x[0], w[0], b], plain, np.abs(x[0]).astype(float) @ np.abs(w[0])
    )


@on_device
def test_infinity_and_nan(allowed):
    a = fd.tensor([[np.inf, 1.0], [np.nan, 1.0], [1.0, 2.0]])
    out = (a @ fd.ones(2, 16)).numpy(force=True)
    assert np.isposinf(out[0]).all() and np.isnan(out[1]).all() and (out[2] == 3).all()


@on_device
@pytest.mark.parametrize("last", [False, True], ids=["nchw", "channels_last"])
def test_convolution(allowed, last):
    rng = np.random.default_rng(2)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, 16, 9, 7), (24, 16, 3, 3)))
    g = rng.standard_normal((2, 24, 9, 7)).astype(np.float32)
    layout = fd.channels_last if last else fd.contiguous_format

    def convolve(x, w):
        return F.conv2d(x.contiguous(memory_format=layout), w.contiguous(memory_format=layout), padding=1)

    def exactly(x, w, g):
        """The output and both gradients, in float64."""
        x, w = (fd.tensor(a.astype(np.float64), requires_grad=True) for a in (x, w))
        y = convolve(x, w)
        dx, dw = fd.autograd.grad(y, [x, w], fd.tensor(g.astype(np.float64)))
        return [t.detach().numpy(force=True) for t in (y, dx, dw)]

    def gradient(which):
        def f(x, w, g):
            x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
            return fd.autograd.grad(convolve(x, w), [x, w], g.contiguous(memory_format=layout))[which]

        return f

    rounded, sums = exactly(tf32(x), tf32(w), tf32(g)), exactly(*map(np.abs, (x, w, g)))
    for i, f in enumerate([lambda x, w, g: convolve(x, w), gradient(0), gradient(1)]):
        compare(allowed, f, [x, w, g], rounded[i], sums[i])


@on_device
@pytest.mark.parametrize("width", [20, 64, 100])
@pytest.mark.parametrize("causal", [False, True])
def test_attention(allowed, width, causal):
    """Output and gradients differ from float32's, by what rounding four operands to eleven bits explains."""
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal((1, 2, t, width)).astype(np.float32) for t in (70, 53, 53)]
    g = fd.tensor(rng.standard_normal((1, 2, 70, width)).astype(np.float32))

    def run(allow, dtype=fd.float32):
        allowed(allow)
        inputs = [fd.tensor(a).to(dtype).requires_grad_() for a in arrays]
        y = F.scaled_dot_product_attention(*inputs, is_causal=causal)
        return [t.detach().numpy(force=True) for t in (y, *fd.autograd.grad(y, inputs, g.to(dtype)))]

    for rounded, plain, exact in zip(run(True), run(False), run(False, fd.float64), strict=True):
        scale = np.abs(exact).max()
        assert np.abs(plain - exact).max() <= 1e-5 * scale
        error = np.abs(rounded - exact).max()
        assert 2e-5 * scale < error <= 8 * 2.0**-10 * scale
