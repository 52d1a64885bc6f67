import numpy as np
import pytest
from reference import (
    FLOATS,
    assert_all_accurate,
    assert_same_bits_on_threads,
    check_dtypes,
    check_gradients,
    level,  # noqa: F401
    plain_dtype,
    rounded,
)

import fastdl as fd
import fastdl.nn.functional as F


def normalize(x, axes, centred):
    h = x - x.mean(axis=axes, keepdims=True) if centred else x
    return h / np.sqrt((h * h).mean(axis=axes, keepdims=True) + x.dtype.type(1e-5))


def layer_norm(x, w, b):
    return normalize(x, tuple(range(x.ndim - w.ndim, x.ndim)), True) * w + b


def rms_norm(x, w, _):
    return normalize(x, tuple(range(x.ndim - w.ndim, x.ndim)), False) * w


def group_norm(x, w, b):
    h = normalize(x.reshape(x.shape[0], 2, -1), (2,), True).reshape(x.shape)
    per_channel = (1, -1) + (1,) * (x.ndim - 2)
    return h * w.reshape(per_channel) + b.reshape(per_channel)


# name: (ours, reference, input shape, weight shape, the same for finite differences)
CASES = {
    "layer": (lambda x, w, b: F.layer_norm(x, w.shape, w, b), layer_norm, (5, 129), (129,), (3, 5), (5,)),
    "layer 2-d": (lambda x, w, b: F.layer_norm(x, w.shape, w, b), layer_norm, (2, 3, 7, 5), (7, 5), (2, 3, 2), (3, 2)),
    "layer 1": (lambda x, w, b: F.layer_norm(x, w.shape, w, b), layer_norm, (65, 1), (1,), (4, 3), (3,)),
    "rms": (lambda x, w, b: F.rms_norm(x, w.shape, w, 1e-5), rms_norm, (4, 3, 65), (65,), (3, 5), (5,)),
    "group": (lambda x, w, b: F.group_norm(x, 2, w, b), group_norm, (3, 6, 5, 7), (6,), (2, 4, 3), (4,)),
    "group (N, C)": (lambda x, w, b: F.group_norm(x, 2, w, b), group_norm, (3, 6), (6,), (2, 4), (4,)),
}


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES)
def test_values(case, dtype):
    ours, reference, shape, weight_shape, _, _ = CASES[case]
    rng = np.random.default_rng(0)
    results = []
    for _ in range(8):
        (x, x64), (w, w64), (b, b64) = (rounded(rng, s, dtype) for s in (shape, weight_shape, weight_shape))
        plain = reference(*(a.astype(plain_dtype(dtype)) for a in (x64, w64, b64)))
        results.append((ours(x, w, b), reference(x64, w64, b64), plain, None))
    assert_all_accurate(results, dtype)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("case", CASES)
def test_gradients(case):
    ours, _, _, _, shape, weight_shape = CASES[case]
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s) for s in (shape, weight_shape, weight_shape)]
    if case == "rms":  # no bias
        check_gradients(lambda x, w: ours(x, w, None), arrays[:2])
    else:
        check_gradients(ours, arrays)


def test_gradients_without_affine():
    x = np.random.default_rng(2).standard_normal((3, 4, 6))
    check_gradients(lambda t: F.layer_norm(t, (6,)), [x])
    check_gradients(lambda t: F.rms_norm(t, (6,)), [x])
    check_gradients(lambda t: F.group_norm(t, 2), [x])


@pytest.mark.parametrize("case", ["layer", "layer 2-d", "group"])
def test_every_dtype(case):
    ours, _, shape, weight_shape, _, _ = CASES[case]
    rng = np.random.default_rng(3)
    check_dtypes(ours, [rng.standard_normal(s) for s in (shape, weight_shape, weight_shape)])


def test_float32_weights_with_a_16_bit_input():
    rng = np.random.default_rng(4)
    x = fd.tensor(rng.standard_normal((3, 8))).to(fd.bfloat16)
    w = fd.tensor(rng.standard_normal(8).astype(np.float32), requires_grad=True)
    y = F.layer_norm(x, (8,), w)
    y.sum().backward()
    assert y.dtype is fd.bfloat16
    assert w.grad.dtype is fd.float32


def test_large_mean_does_not_cancel():
    x = (np.random.default_rng(5).standard_normal((2, 64)) + 3000).astype(np.float32)
    exact = normalize(x.astype(np.float64), (1,), True)
    assert np.abs(F.layer_norm(fd.tensor(x), (64,)).numpy(force=True) - exact).max() < 1e-3


def test_empty_strided_and_nan():
    w = fd.ones(4, requires_grad=True)
    y = F.layer_norm(fd.zeros(0, 4), (4,), w)
    assert tuple(y.shape) == (0, 4)
    y.sum().backward()
    assert w.grad.tolist() == [0, 0, 0, 0]
    assert tuple(F.group_norm(fd.zeros(0, 4, 3), 2).shape) == (0, 4, 3)
    x = fd.tensor(np.random.default_rng(6).standard_normal((4, 6)).astype(np.float32)).transpose(0, 1)
    np.testing.assert_array_equal(
        F.layer_norm(x, (4,)).numpy(force=True), F.layer_norm(x.contiguous(), (4,)).numpy(force=True)
    )
    y = F.layer_norm(fd.tensor([[1.0, float("nan")], [1.0, 2.0]]), (2,)).numpy(force=True)
    assert np.isnan(y[0]).all()
    assert np.isfinite(y[1]).all()


def test_same_bits_at_one_and_two_threads():
    rng = np.random.default_rng(7)
    x, w, b = rng.standard_normal((700, 600)), rng.standard_normal(600), rng.standard_normal(600)
    assert_same_bits_on_threads(lambda t, u, v: F.layer_norm(t, (600,), u, v), [x, w, b])
    assert_same_bits_on_threads(lambda t, u, v: F.group_norm(t, 4, u, v), [x.reshape(7, 8, -1), w[:8], b[:8]])


def test_errors():
    x = fd.zeros(2, 6)
    with pytest.raises(ValueError, match=r"input \[2, 6\] does not end in normalized_shape \[5\]"):
        F.layer_norm(x, (5,))
    with pytest.raises(ValueError, match=r"weight has shape \[5\], expected \[6\]"):
        F.rms_norm(x, (6,), fd.ones(5))
    with pytest.raises(ValueError, match=r"6 channels .* do not divide into 4 groups"):
        F.group_norm(x, 4)
    with pytest.raises(ValueError, match="do not divide into 0 groups"):
        F.group_norm(x, 0)
    with pytest.raises(TypeError, match="int64"):
        F.layer_norm(fd.tensor([[1, 2]]), (2,))
    with pytest.raises(TypeError, match="weight is float64, expected float32"):
        F.layer_norm(x, (6,), fd.ones(6, dtype=fd.float64))


@pytest.mark.parametrize("dtype", FLOATS)
def test_rms_epsilon_is_that_of_pytorch(dtype):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(8).standard_normal((3, 10)) * 1e-2
    ours = F.rms_norm(fd.tensor(x).to(getattr(fd, dtype)), (10,)).to(fd.float64).numpy(force=True)
    theirs = torch.nn.functional.rms_norm(torch.tensor(x).to(getattr(torch, dtype)), (10,)).double().numpy(force=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-2 if "16" in dtype else 1e-5)
