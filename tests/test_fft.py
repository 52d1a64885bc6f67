"""Fourier transforms against NumPy's, their gradients against PyTorch's and finite differences."""

import itertools

import numpy as np
import pytest

import fastdl as fd

RNG = np.random.default_rng(3)
X = RNG.normal(size=(4, 5, 6))
Z = X + 1j * RNG.normal(size=X.shape)
NORMS = (None, "backward", "ortho", "forward")
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
MANY = ("fft2", "ifft2", "fftn", "ifftn", "rfft2", "irfft2", "rfftn", "irfftn")
REAL = ("rfft", "ihfft", "rfft2", "rfftn")


def array_for(name):
    return X if name in REAL else Z


@pytest.mark.parametrize("name, norm", list(itertools.product(ONE, NORMS)))
def test_one_dimension(name, norm):
    x = array_for(name)
    for n, dim in ((None, -1), (None, 0), (4, 1), (9, -1), (1, 1)):
        if n is None and name in ("irfft", "hfft") and x.shape[dim] == 1:
            continue
        got = getattr(fd.fft, name)(fd.tensor(x), n, dim, norm)
        np.testing.assert_allclose(
            got.numpy(force=True), getattr(np.fft, name)(x, n, dim, norm), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("name, norm", list(itertools.product(MANY, NORMS)))
def test_more_dimensions(name, norm):
    x = array_for(name)
    for s, dim in ((None, (0, -1)), ((3, 8), (-2, 0)), ((5, 5), (1, 2))):
        got = getattr(fd.fft, name)(fd.tensor(x), s, dim, norm)
        np.testing.assert_allclose(
            got.numpy(force=True), getattr(np.fft, name)(x, s, dim, norm), rtol=1e-12, atol=1e-12
        )


@pytest.mark.compare
@pytest.mark.parametrize("name", [*ONE, *MANY, "hfft2", "ihfft2", "hfftn", "ihfftn"])
def test_values_and_gradients_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    x = X if name in (*REAL, "ihfft2", "ihfftn") else Z
    options = [{}, {"norm": "ortho"}, {"n": 7, "dim": 1} if name in ONE else {"s": (7, 3), "dim": (0, 2)}]
    options += [] if name in ONE else [{"s": (-1, 4)}]
    for keywords in options:
        ours, theirs = fd.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        a, b = getattr(fd.fft, name)(ours, **keywords), getattr(torch.fft, name)(theirs, **keywords)
        np.testing.assert_allclose(a.detach().numpy(force=True), b.detach().numpy(force=True), rtol=1e-11, atol=1e-11)
        weights = np.cos(np.arange(b.numel(), dtype=float)).reshape(b.shape) * (1 + 0.5j if b.is_complex() else 1)
        (a * fd.tensor(weights)).abs().square().sum().backward()
        (b * torch.tensor(weights)).abs().square().sum().backward()
        np.testing.assert_allclose(ours.grad.numpy(force=True), theirs.grad.numpy(force=True), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [1, 4, 5])
def test_gradients_are_finite_differences(n):
    x = fd.tensor(RNG.normal(size=(2, 5)), requires_grad=True)
    p = fd.tensor(RNG.normal(size=(2, 4, 2)), requires_grad=True)
    for function, argument in (
        (lambda x: fd.view_as_real(fd.fft.rfft(x, n)), x),
        (lambda p: fd.fft.irfft(fd.view_as_complex(p), n), p),
        (lambda p: fd.view_as_real(fd.fft.fft2(fd.view_as_complex(p), (n, n))).square(), p),
        (lambda p: fd.fft.irfft2(fd.view_as_complex(p), (n, n)).square(), p),
    ):
        assert fd.autograd.gradcheck(function, argument)
        assert fd.autograd.gradgradcheck(function, argument)


def test_precision_and_types():
    assert fd.fft.fft(fd.ones(4)).dtype is fd.complex64
    assert fd.fft.fft(fd.arange(4)).dtype is fd.complex64
    assert fd.fft.rfft(fd.ones(4, dtype=fd.float64)).dtype is fd.complex128
    assert fd.fft.irfft(fd.ones(3, dtype=fd.cfloat)).dtype is fd.float32
    out = fd.empty(4, dtype=fd.cfloat)
    assert fd.fft.fft(fd.ones(4), out=out) is out and out.tolist() == [4, 0, 0, 0]


def test_what_is_refused():
    with pytest.raises(IndexError, match="fftn: dim 3"):
        fd.fft.fft(fd.ones(2, 2), dim=3)
    with pytest.raises(TypeError, match="float16"):
        fd.fft.fft(fd.ones(2, dtype=fd.float16))
    with pytest.raises(TypeError, match="real"):
        fd.fft.rfft(fd.ones(4, dtype=fd.cfloat))
    with pytest.raises(ValueError, match="norm"):
        fd.fft.fft(fd.ones(4), norm="both")
    with pytest.raises(ValueError, match="at least 1"):
        fd.fft.fft(fd.ones(4), 0)
    with pytest.raises(ValueError, match="twice"):
        fd.fft.fftn(fd.ones(4, 4), dim=(0, -2))
    with pytest.raises(ValueError, match="different lengths"):
        fd.fft.fftn(fd.ones(4, 4), s=(2,), dim=(0, 1))
