"""Matrix products against NumPy in float64: every layout, level and thread count, and the rules of broadcasting."""

import itertools

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import _C
from fastdl.autograd import gradcheck, gradgradcheck

EPS = {"float32": 2.0**-24, "float64": 2.0**-53, "float16": 2.0**-11, "bfloat16": 2.0**-8}
LEVELS = [level for level in ("base", "avx2", "avx512") if level in _C.cpu_levels()]


@pytest.fixture(params=LEVELS)
def level(request):
    before = _C.cpu_level()
    _C.set_cpu_level(request.param)
    yield request.param
    _C.set_cpu_level(before)


def operand(rng, rows, columns, layout, dtype="float32"):
    """A matrix in one of five layouts, and its values in float64."""
    if layout == "T":
        t = fd.tensor(rng.standard_normal((columns, rows))).to(getattr(fd, dtype)).t()
    elif layout == "padded":
        t = fd.tensor(rng.standard_normal((rows, columns + 3))).to(getattr(fd, dtype))[:, :columns]
    elif layout == "strided":
        t = fd.tensor(rng.standard_normal((2 * rows, 3 * columns))).to(getattr(fd, dtype))[::2, ::3]
    elif layout == "row":
        t = fd.tensor(rng.standard_normal((1, columns))).to(getattr(fd, dtype)).expand(rows, columns)
    else:
        t = fd.tensor(rng.standard_normal((rows, columns))).to(getattr(fd, dtype))
    return t, t.to(fd.float64).numpy(force=True)


def assert_product(y, a, b, dtype, addend=None):
    """Within twice the error bound of a plain sum of K terms, and of rounding the result."""
    expected = a @ b + (0 if addend is None else addend)
    accumulated = EPS["float32" if dtype in ("float16", "bfloat16") else dtype]
    size = np.abs(a) @ np.abs(b) + (0 if addend is None else np.abs(addend))
    bound = 2 * (accumulated * (1 + np.sqrt(a.shape[-1])) * 2 * size + EPS[dtype] * np.abs(expected)) + 1e-300
    error = np.abs(y.to(fd.float64).numpy(force=True) - expected)
    assert y.shape == expected.shape
    assert (error <= bound).all(), f"error {error.max():.3g}, allowed {bound.flat[error.argmax()]:.3g}"


@pytest.mark.parametrize("layouts", list(itertools.product(["N", "T", "padded", "strided", "row"], repeat=2)))
def test_layouts(level, layouts):
    rng = np.random.default_rng(0)
    for m, k, n in [
        (1, 1, 1),
        (1, 65, 7),
        (7, 3, 1),
        (13, 17, 33),
        (65, 129, 31),
        (12, 16, 32),
        (129, 401, 70),
        (40, 7, 129),
    ]:
        a, a64 = operand(rng, m, k, layouts[0])
        b, b64 = operand(rng, k, n, layouts[1])
        assert_product(a @ b, a64, b64, "float32")


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("rows", range(1, 10))
def test_few_rows_of_a_large_matrix(level, rows, dtype):
    rng = np.random.default_rng(rows)
    k, n = 311, 1157
    for layouts in ("NN", "TN", "NT", "TT"):
        a, a64 = operand(rng, rows, k, layouts[0], dtype)
        b, b64 = operand(rng, k, n, layouts[1], dtype)
        bias, bias64 = operand(rng, 1, n, "N", dtype)
        assert_product(a @ b, a64, b64, dtype)
        assert_product(b.t() @ a.t(), b64.T, a64.T, dtype)
        assert_product(fd.addmm(bias, a, b, beta=2, alpha=-1), -a64, b64, dtype, 2 * bias64)
        assert_product(F.linear(a, b.t(), bias[0]), a64, b64, dtype, bias64)


@pytest.mark.parametrize("k", [1, 2, 7, 64, 65, 1023, 2049])
@pytest.mark.parametrize("layouts", ["NN", "TN", "NT", "TT"])
def test_bfloat16_pairs(level, layouts, k):
    """Odd depths, heights and widths, of which the last pair, tile and panel are not full."""
    rng = np.random.default_rng(k)
    for m, n in [(1, 1), (13, 33), (66, 47)]:
        a, a64 = operand(rng, m, k, layouts[0], "bfloat16")
        b, b64 = operand(rng, k, n, layouts[1], "bfloat16")
        assert_product(a @ b, a64, b64, "bfloat16")


def test_bfloat16_nan_and_infinity(level):
    """They stay in the rows and columns that have them, beside the padding too."""
    a, b = fd.ones(5, 3, dtype=fd.bfloat16), fd.ones(3, 35, dtype=fd.bfloat16)
    a[1, 2], b[2, 4] = float("nan"), float("inf")
    y = (a @ b).to(fd.float32).numpy(force=True)
    expected = np.full((5, 35), 3.0, np.float32)
    expected[:, 4], expected[1, :] = np.inf, np.nan
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_dtypes(level, dtype):
    rng = np.random.default_rng(1)
    for m, k, n in [(1, 7, 5), (33, 65, 18), (30, 900, 1100)]:
        for layouts in itertools.product("NT", repeat=2):
            a, a64 = operand(rng, m, k, layouts[0], dtype)
            b, b64 = operand(rng, k, n, layouts[1], dtype)
            assert_product(a @ b, a64, b64, dtype)


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8"])
def test_integers_wrap_around(level, dtype):
    rng = np.random.default_rng(2)
    info = np.iinfo(dtype)
    a = rng.integers(info.min, info.max, (9, 40), dtype=dtype, endpoint=True)
    b = rng.integers(info.min, info.max, (40, 11), dtype=dtype, endpoint=True)
    expected = a @ b
    np.testing.assert_array_equal((fd.tensor(a) @ fd.tensor(b)).numpy(force=True), expected)
    np.testing.assert_array_equal((fd.tensor(a.T.copy()).t() @ fd.tensor(b.T.copy()).t()).numpy(force=True), expected)


def test_batches(level):
    rng = np.random.default_rng(3)
    for shape_a, shape_b in [
        ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((4, 1, 2, 3), (5, 3, 2)), ((1, 2, 3), (6, 3, 2)), ((20, 9, 8), (20, 8, 7)),
        ((0, 2, 3), (0, 3, 4)), ((2, 0, 3), (3, 4)), ((2, 3, 0), (0, 4)), ((0,), (0,)), ((2, 3), (3, 0)),
    ]:  # fmt: skip
        a, b = rng.standard_normal(shape_a), rng.standard_normal(shape_b)
        y = fd.matmul(fd.tensor(a), fd.tensor(b)).numpy(force=True)
        assert y.shape == (a @ b).shape
        np.testing.assert_allclose(y, a @ b, rtol=1e-12, atol=1e-13)


def test_batch_of_transposed_heads():
    x = np.random.default_rng(4).standard_normal((2, 5, 3, 4))
    q = fd.tensor(x).permute(0, 2, 1, 3)
    y = q @ q.transpose(-2, -1)
    np.testing.assert_allclose(y.numpy(force=True), np.einsum("bihd,bjhd->bhij", x, x), rtol=1e-12, atol=1e-13)


def test_named_products():
    rng = np.random.default_rng(5)
    a, b, v, c = (rng.standard_normal(s) for s in [(4, 5), (5, 6), (5,), (4, 6)])
    ta, tb, tv, tc = (fd.tensor(x) for x in (a, b, v, c))
    for ours, expected in [
        (fd.mm(ta, tb), a @ b), (ta.mm(tb), a @ b), (fd.mv(ta, tv), a @ v), (fd.dot(tv, tv), v @ v), (fd.outer(tv, tv), np.outer(v, v)),
        (fd.addmm(tc, ta, tb, beta=0.5, alpha=2), 0.5 * c + 2 * a @ b), (fd.addmm(tc[0], ta, tb), c[0] + a @ b),
        (fd.addmm(tc[:, :1], ta, tb), c[:, :1] + a @ b), (fd.addmm(fd.tensor(c.T.copy()).t(), ta, tb), c + a @ b),
        (fd.baddbmm(tc.unsqueeze(0), ta.unsqueeze(0), tb.unsqueeze(0)), (c + a @ b)[None]),
        (F.linear(ta, tb.t(), tc[0]), a @ b + c[0]), (F.linear(ta.reshape(2, 2, 5), tb.t()), (a @ b).reshape(2, 2, 6)),
        (F.linear(tv, tb.t()), v @ b),
    ]:  # fmt: skip
        np.testing.assert_allclose(ours.numpy(force=True), expected, rtol=1e-12, atol=1e-13)
    unread = fd.full((6,), float("nan"), dtype=fd.float64)
    np.testing.assert_allclose(fd.addmm(unread, ta, tb, beta=0).numpy(force=True), a @ b, rtol=1e-12, atol=1e-13)


def test_linear_bias_in_16_bits(level):
    rng = np.random.default_rng(6)
    for dtype, k in [("bfloat16", 40), ("float16", 1000)]:
        x, x64 = operand(rng, 19, k, "N", dtype)
        w, w64 = operand(rng, 37, k, "N", dtype)
        b, b64 = operand(rng, 1, 37, "N", dtype)
        assert_product(F.linear(x, w, b[0]), x64, w64.T, dtype, b64)


def test_nan_and_infinity():
    a = fd.tensor([[float("inf"), 1.0], [0.0, 2.0]])
    y = (a @ fd.tensor([[0.0, 1.0], [1.0, 1.0]])).numpy(force=True)
    np.testing.assert_array_equal(y, [[np.nan, np.inf], [2.0, 2.0]])


def test_out():
    a, b = fd.ones(3, 4), fd.ones(4, 5)
    out = fd.zeros(3, 5)
    fd.matmul(a, b, out=out)
    strided = fd.zeros(5, 3).t()
    fd.mm(a, b, out=strided)
    square = fd.ones(4, 4)
    fd.mm(square, square, out=square)
    for t in (out, strided, square):
        assert t.numpy(force=True).min() == t.numpy(force=True).max() == 4
    with pytest.raises(_C.ShapeError, match=r"matmul: out has shape \[5, 3\]"):
        fd.matmul(a, b, out=fd.zeros(5, 3))


def test_gradients():
    rng = np.random.default_rng(7)

    def leaf(*shape):
        return fd.tensor(rng.standard_normal(shape), requires_grad=True)

    for function, *inputs in [
        (fd.matmul, leaf(3, 4), leaf(4, 2)), (fd.matmul, leaf(4), leaf(4)), (fd.matmul, leaf(2, 3, 4), leaf(4, 2)),
        (fd.matmul, leaf(2, 1, 3, 4), leaf(3, 4, 2)), (fd.matmul, leaf(4), leaf(2, 4, 3)), (fd.bmm, leaf(2, 3, 4), leaf(2, 4, 2)),
        (lambda c, a, b: fd.addmm(c, a, b, beta=0.5, alpha=2), leaf(2), leaf(3, 4), leaf(4, 2)),
        (F.linear, leaf(2, 3, 4), leaf(5, 4), leaf(5)), (F.linear, leaf(4), leaf(5, 4)), (fd.mv, leaf(3, 4), leaf(4)),
        (lambda a, b: a.transpose(0, 1) @ b, leaf(4, 3, 2), leaf(3, 2, 2)),
    ]:  # fmt: skip
        assert gradcheck(function, inputs)
        assert gradgradcheck(function, inputs)


def test_same_bits_at_any_thread_count(level):
    rng = np.random.default_rng(8)
    before = fd.get_num_threads()
    try:
        for m, k, n, layout, dtype in [
            (300, 500, 290, "N", "float32"),
            (5, 3000, 200, "T", "float32"),
            (700, 80, 30, "T", "float32"),
            (1, 3000, 900, "N", "float32"),
            (3, 500, 1400, "N", "float32"),
            (300, 501, 290, "N", "bfloat16"),
        ]:
            a, b = operand(rng, m, k, "N", dtype)[0], operand(rng, k, n, layout, dtype)[0]
            results = []
            for threads in (1, 2, 3):
                fd.set_num_threads(threads)
                results.append((a @ b).to(fd.float32).numpy(force=True).tobytes())
            assert results[0] == results[1] == results[2]
    finally:
        fd.set_num_threads(before)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: fd.ones(2, 3) @ fd.ones(4, 5), "ShapeError", r"matmul: cannot multiply \[2, 3\] by \[4, 5\]"),
        (lambda: fd.mm(fd.ones(2), fd.ones(2, 2)), "ShapeError", "mm: needs a first matrix of 2 dimensions"),
        (lambda: fd.bmm(fd.ones(2, 2, 2), fd.ones(1, 2, 2)), "ShapeError", "bmm: needs batches of one size"),
        (lambda: fd.matmul(fd.tensor(1.0), fd.ones(2)), "ShapeError", "at least one dimension"),
        (lambda: fd.ones(3, 2, 2) @ fd.ones(2, 2, 2), "ShapeError", "matmul"),
        (lambda: fd.ones(2, 2) @ fd.ones(2, 2, dtype=fd.float64), "DTypeError", "float32 and float64"),
        (
            lambda: F.linear(fd.ones(32, 100), fd.ones(10, 784)),
            "ShapeError",
            r"linear: input \[32, 100\] needs last dimension 784",
        ),
        (lambda: F.linear(fd.ones(2, 3), fd.ones(4, 3), fd.ones(3)), "ShapeError", "bias"),
        (lambda: fd.addmm(fd.ones(3, 3), fd.ones(2, 2), fd.ones(2, 2)), "ShapeError", "addmm"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(getattr(_C, error), match=message):
        call()
