"""Winograd's convolutions: their error on ResNet-50's sizes, every layout and odd size, the switch, threads, NaN, capture."""

import functools

import numpy as np
import pytest
from test_conv import channels_last, operands, reference, run

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import _C

pytestmark = pytest.mark.cpu

# (N, C, O, H, W), kernel, stride, padding, dilation, groups: shapes that take Winograd's tiles
CASES = [
    ((3, 32, 32, 12, 16), (3, 3), 1, 1, 1, 1),
    ((5, 33, 47, 13, 11), (3, 3), 1, 1, 1, 1),  # odd everywhere
    ((40, 40, 36, 7, 7), (3, 3), 1, 1, 1, 1),  # several images a block
    ((4, 130, 65, 9, 10), (3, 3), 1, 0, 1, 1),  # several blocks of channels
    ((2, 64, 160, 15, 70), (3, 3), 1, (2, 0), 1, 1),  # several tasks of channels, several blocks of columns
    ((3, 96, 64, 17, 9), (3, 3), 1, (0, 3), 1, 2),  # groups; columns of padding alone
    ((1, 32, 32, 5, 300), (3, 3), 1, 1, 1, 1),  # blocks of a part of a row
    ((60, 32, 32, 2, 2), (3, 3), 1, 1, 1, 1),  # tiles of two
    ((30, 48, 32, 5, 6), (3, 3), 1, 1, 1, 1),
]
IDS = [f"{c[0]}-p{c[3]}-g{c[5]}".replace(" ", "") for c in CASES]
LAYOUTS = {
    "contiguous": lambda a, t: fd.tensor(a, dtype=t),
    "channels_last": channels_last,
    "reversed": lambda a, t: fd.tensor(np.ascontiguousarray(a.T), dtype=t).permute(3, 2, 1, 0),
}


@pytest.fixture(autouse=True)
def settings():
    """Puts the settings that tests change back."""
    level, threads = _C.cpu_level(), fd.get_num_threads()
    yield
    fd.backends.cpu.winograd = True
    _C.set_cpu_level(level)
    fd.set_num_threads(threads)


@functools.cache
def problem(case):
    """Operands and the output's gradient; the output and the gradients by the plain formula in float64 and in float32."""
    rng = np.random.default_rng(1)
    arrays = [a.astype(np.float32) for a in operands(case, rng)]
    wide = [a.astype(np.float64) for a in arrays]
    gy, *expected = reference(*wide, lambda shape: rng.standard_normal(shape).astype(np.float32), *case[2:])
    gy = gy.astype(np.float32)
    return arrays, gy, expected, reference(*arrays, lambda _: gy, *case[2:])[1:]


def results(case, layout="contiguous"):
    arrays, gy, *_ = problem(case)
    return run(case, arrays, gy, fd.float32, LAYOUTS[layout])[1]


@pytest.mark.parametrize("level", ["base", "avx2", "avx512"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_values_and_gradients(case, level):
    if level not in _C.cpu_levels():
        pytest.skip("not built, or not on this machine")
    _C.set_cpu_level(level)
    _, _, expected, plain = problem(case)
    for layout in LAYOUTS:
        for name, g, e, p in zip(("y", "x", "w", "b"), results(case, layout), expected, plain, strict=True):
            allowed = 8 * np.abs(p - e).max() + 1e-6 * np.abs(e).max()
            assert np.abs(g - e).max() <= allowed, (name, layout)


@pytest.mark.parametrize("channels, size", [(64, 56), (128, 28), (256, 14), (512, 7)])
def test_error_against_the_direct_sum(channels, size):
    """At most 8 times the plain formula's, in the largest error and in the root of the mean square."""
    case = ((4, channels, channels, size, size), (3, 3), 1, 1, 1, 1)
    _, _, expected, plain = problem(case)
    got = results(case)
    fd.backends.cpu.winograd = False
    direct = results(case)
    for name, g, e, p, d in zip(("y", "x", "w"), got, expected, plain, direct, strict=False):
        assert not np.array_equal(g, d), f"{name}: not Winograd's algorithm"
        assert np.abs(g - e).max() <= 8 * np.abs(p - e).max(), name
        assert np.square(g - e).mean() <= 64 * np.square(p - e).mean(), name
        assert np.abs(d - e).max() <= 2 * np.abs(p - e).max() + 1e-6 * np.abs(e).max(), name


def test_switch():
    case = CASES[0]
    on = results(case)
    fd.backends.cpu.winograd = False
    assert fd.backends.cpu.winograd is False
    off = results(case)
    assert not any(np.array_equal(a, b) for a, b in zip(on[:3], off[:3], strict=True))
    fd.backends.cpu.winograd = True
    assert all(np.array_equal(a, b) for a, b in zip(on, results(case), strict=True))
    with pytest.raises(TypeError, match="expected True or False, got 1"):
        fd.backends.cpu.winograd = 1


@pytest.mark.parametrize("case", [CASES[1], CASES[2], CASES[4], CASES[7]], ids=str)
def test_same_bits_at_any_number_of_threads(case):
    runs = []
    for threads in (1, 2, 3):
        fd.set_num_threads(threads)
        runs.append(results(case))
    for other in runs[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(runs[0], other, strict=True))


def test_other_convolutions_are_direct():
    """Other dtypes, strides, dilations, kernels and few channels do not depend on the switch."""
    for (shape, *rest), dtype in [
        (CASES[0], fd.float64),
        (((2, 40, 32, 12, 12), (3, 3), 2, 1, 1, 1), fd.float32),
        (((2, 40, 32, 12, 12), (3, 3), 1, 2, 2, 1), fd.float32),
        (((2, 40, 32, 12, 12), (3, 1), 1, 1, 1, 1), fd.float32),
        (((2, 8, 64, 12, 12), (3, 3), 1, 1, 1, 1), fd.float32),
        (((1, 512, 512, 4, 4), (3, 3), 1, 1, 1, 1), fd.float32),  # few tiles for so many weights
    ]:
        case = (shape, *rest)
        arrays = operands(case, np.random.default_rng(2))
        x, w, b = (fd.tensor(a, dtype=dtype) for a in arrays)
        outputs = []
        for on in (True, False):
            fd.backends.cpu.winograd = on
            outputs.append(F.conv2d(x, w, b, *case[2:]).numpy(force=True))
        assert np.array_equal(*outputs), case


def test_transposed_convolution():
    rng = np.random.default_rng(3)
    x, w, b = rng.standard_normal((3, 40, 11, 9)), rng.standard_normal((40, 33, 3, 3)), rng.standard_normal(33)
    exact = F.conv_transpose2d(*map(fd.tensor, (x, w, b)), 1, 1).numpy(force=True)
    single = [fd.tensor(a, dtype=fd.float32) for a in (x, w, b)]
    got = F.conv_transpose2d(*single, 1, 1)
    np.testing.assert_allclose(got.numpy(force=True), exact, atol=2e-5 * np.abs(exact).max())
    fd.backends.cpu.winograd = False
    assert not np.array_equal(F.conv_transpose2d(*single, 1, 1).numpy(force=True), got.numpy(force=True))


def test_nan_stays_within_its_tiles():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 32, 16, 16)).astype(np.float32)
    clean = F.conv2d(fd.tensor(x), w := fd.tensor(rng.standard_normal((32, 32, 3, 3)), dtype=fd.float32), padding=1)
    x[1, 5, 6, 9] = np.nan
    y = F.conv2d(fd.tensor(x), w, padding=1).numpy(force=True)
    assert np.isnan(y[1, :, 5:8, 8:11]).all()  # the windows that hold it
    inside = np.zeros(y.shape, bool)
    inside[1, :, 4:8, 8:12] = True
    assert np.array_equal(np.isnan(y), inside)
    assert np.array_equal(y[~inside], clean.numpy(force=True)[~inside])


def test_captured_step_keeps_its_choice():
    rng = np.random.default_rng(5)
    x, w = (fd.tensor(rng.standard_normal(s), dtype=fd.float32) for s in ((2, 32, 12, 12), (32, 32, 3, 3)))
    w.requires_grad = True

    def step(x):
        w.grad = None
        y = F.conv2d(x, w, padding=1)
        (y * y).sum().backward()
        return y, w.grad

    eager = [t.numpy(force=True).copy() for t in step(x)]
    captured = fd.capture(step)
    for _ in range(3):
        assert all(np.array_equal(a, b.numpy(force=True)) for a, b in zip(eager, captured(x), strict=True))
    fd.backends.cpu.winograd = False
    assert all(np.array_equal(a, b.numpy(force=True)) for a, b in zip(eager, captured(x), strict=True))
