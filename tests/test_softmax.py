import numpy as np
import pytest
from reference import (
    EPS,
    FLOATS,
    assert_accurate,
    assert_same_bits_on_threads,
    check_dtypes,
    check_gradients,
    level,  # noqa: F401
    plain_dtype,
    rounded,
    wide,
)

import fastdl as fd
import fastdl.nn.functional as F

SHAPES = [
    ((), 0),
    ((1,), 0),
    ((7,), -1),
    ((3, 65), 1),
    ((65, 3), 0),
    ((9, 300), 0),
    ((2, 129, 5), 1),
    ((2, 3, 4, 17), 2),
    ((4, 1000), -1),
]


def softmax_reference(x, dim, log):
    if x.ndim == 0:
        return np.zeros_like(x) if log else np.ones_like(x)
    shifted = x - x.max(axis=dim, keepdims=True)
    e = np.exp(shifted)
    return shifted - np.log(e.sum(axis=dim, keepdims=True)) if log else e / e.sum(axis=dim, keepdims=True)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_values(shape, dim, log, dtype):
    x, exact = rounded(np.random.default_rng(0), shape, dtype)
    y = (F.log_softmax if log else F.softmax)(x, dim)
    plain = softmax_reference(exact.astype(plain_dtype(dtype)), dim, log)
    assert_accurate(y, softmax_reference(exact, dim, log), dtype, plain)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("f", [F.softmax, F.log_softmax])
@pytest.mark.parametrize(("shape", "dim"), [((), 0), ((3, 7), 1), ((7, 3), 0), ((2, 3, 2), 1)])
def test_gradients(f, shape, dim):
    check_gradients(lambda x: f(x, dim), [np.random.default_rng(1).standard_normal(shape)])


@pytest.mark.parametrize("f", [F.softmax, F.log_softmax])
def test_long_rows_and_columns_in_every_dtype(f):
    x = np.random.default_rng(2).standard_normal((3, 130, 37))
    check_dtypes(lambda t: f(t, 1), [x])
    check_dtypes(lambda t: f(t, 2), [x])


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("n", [3, 40])
@pytest.mark.parametrize("transposed", [False, True])
def test_special_values(n, transposed):
    inf, nan = np.inf, np.nan
    rows = np.zeros((5, n), np.float32)
    rows[0] = -inf
    rows[1, 1] = -inf
    rows[2, 2] = nan
    rows[3, 0] = inf
    rows[4] = 1e30
    x = fd.tensor(rows.T.copy() if transposed else rows)
    y = wide(F.softmax(x, 0 if transposed else 1))
    y = y.T if transposed else y
    for row in (0, 2, 3):
        assert np.isnan(y[row]).all()
    assert y[1, 1] == 0
    np.testing.assert_allclose(y[1].sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(y[4], 1 / n, rtol=1e-6)


def test_strided_and_empty():
    x = fd.tensor(np.random.default_rng(3).standard_normal((6, 5)).astype(np.float32))
    np.testing.assert_allclose(
        F.softmax(x.transpose(0, 1), 0).numpy(force=True), F.softmax(x, 1).numpy(force=True).T, rtol=1e-6
    )
    assert tuple(F.softmax(fd.zeros(0, 3), 1).shape) == (0, 3)
    assert tuple(F.log_softmax(fd.zeros(3, 0), 1).shape) == (3, 0)


def test_same_bits_at_one_and_two_threads():
    x = np.random.default_rng(4).standard_normal((300, 700))
    for dim in (0, 1):
        assert_same_bits_on_threads(lambda t, dim=dim: F.softmax(t, dim), [x])
        assert_same_bits_on_threads(lambda t, dim=dim: F.log_softmax(t, dim), [x])


def test_bfloat16_is_rounded_once():
    x, exact = rounded(np.random.default_rng(6), (4, 50), "bfloat16")
    exact = softmax_reference(exact, 1, False)
    assert (np.abs(wide(F.softmax(x, 1)) - exact) <= 0.51 * EPS["bfloat16"] * exact).all()


def test_errors():
    with pytest.raises(ValueError, match="dim must be given"):
        F.softmax(fd.zeros(2))
    with pytest.raises(IndexError, match="dimension 2 is out of range"):
        F.softmax(fd.zeros(2, 3), 2)
    with pytest.raises(TypeError, match="int64"):
        F.log_softmax(fd.tensor([1, 2]), 0)
    assert F.softmax(fd.tensor([1, 1]), 0, dtype=fd.float32).tolist() == [0.5, 0.5]
