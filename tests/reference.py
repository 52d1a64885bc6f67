"""What the tests of fused ops share: levels, accuracy against float64, gradients of every order, thread counts."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import _C

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
FLOATS = list(EPS)


@pytest.fixture(params=_C.cpu_levels())
def level(request):
    """Runs a test on each instruction set that this build and CPU have."""
    before = _C.cpu_level()
    _C.set_cpu_level(request.param)
    yield request.param
    _C.set_cpu_level(before)


def rounded(rng, shape, dtype):
    """Normal numbers that `dtype` represents exactly: a tensor of it, and the same in extended precision."""
    x = fd.tensor(rng.standard_normal(shape)).to(getattr(fd, dtype))
    return x, wide(x).astype(np.longdouble)


def plain_dtype(dtype):
    """What the plain formula computes in: 16-bit types are computed in float32."""
    return np.float64 if dtype == "float64" else np.float32


def wide(t):
    return t.detach().to(fd.float64).numpy(force=True)


def assert_accurate(ours, exact, dtype, plain, scale=None):
    """The error is at most twice that of the plain formula in the same dtype and of one rounding.

    The rounding is that of the largest result, or of `scale` where a result is a sum of terms of both signs.
    """
    exact = np.asarray(exact)
    assert tuple(ours.shape) == exact.shape
    assert ours.dtype is getattr(fd, dtype)
    rounding = EPS[dtype] * (np.abs(exact).max(initial=0) if scale is None else scale)
    bound = 2 * (rounding + np.abs(plain - exact).max(initial=0))
    error = np.abs(wide(ours) - exact).max(initial=0)
    assert error <= bound, f"error {error:.3g}, bound {bound:.3g}"


def gradients(f, arrays, dtype):
    """f's output for tensors of `dtype`, and the gradients for a fixed output gradient that bfloat16 represents."""
    inputs = [fd.tensor(a).to(getattr(fd, dtype)).detach() for a in arrays]
    for x in inputs:
        x.requires_grad = True
    y = f(*inputs)
    g = np.random.default_rng(5).standard_normal(tuple(y.shape))
    y.backward(fd.tensor(g).to(fd.bfloat16).to(getattr(fd, dtype)))
    return y.detach(), [x.grad for x in inputs]


def check_gradients(f, arrays):
    """float64 gradients against finite differences, to second order; the other dtypes against float64."""
    inputs = [fd.tensor(a, requires_grad=True) for a in arrays]
    assert fd.autograd.gradcheck(f, inputs)

    def gradient(*xs):
        with fd.enable_grad():  # gradcheck takes its differences without
            y = f(*xs)
            g = fd.tensor(np.cos(np.arange(y.numel())).reshape(tuple(y.shape)))
            return fd.autograd.grad(y, xs, g, create_graph=True)

    for i in range(len(inputs)):
        assert fd.autograd.gradcheck(lambda *xs, i=i: gradient(*xs)[i], inputs)
    check_dtypes(f, arrays)


def check_dtypes(f, arrays, dtypes=("float32", "float16", "bfloat16")):
    """Outputs and gradients of each dtype against those of float64, from inputs that the dtype represents."""
    for dtype in dtypes:
        same = [wide(fd.tensor(a).to(getattr(fd, dtype))) for a in arrays]
        y, grads = gradients(f, same, dtype)
        exact, exact_grads = gradients(f, same, "float64")
        for ours, reference in zip([y, *grads], [exact, *exact_grads], strict=True):
            reference = wide(reference)
            assert tuple(ours.shape) == reference.shape
            bound = 16 * EPS[dtype] * max(np.abs(reference).max(initial=0), 1)
            assert np.abs(wide(ours) - reference).max(initial=0) <= bound, (dtype, ours.shape)


def assert_same_bits_on_threads(f, arrays, dtype="float32"):
    """One thread and two give the same output and gradients."""
    before = fd.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            fd.set_num_threads(n)
            y, grads = gradients(f, arrays, dtype)
            results.append([t.numpy(force=True).tobytes() for t in (y, *grads)])
    finally:
        fd.set_num_threads(before)
    assert results[0] == results[1]
