"""Elementwise functions: values against NumPy in float64 on every CPU level, dtype and layout; gradients; promotion."""

import math

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import _C
from fastdl.autograd import gradcheck, gradgradcheck

LEVELS = _C.cpu_levels()
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-30, 88.0, -88.0, 1e30, -1e30, math.inf, -math.inf, math.nan]


def erf(x):
    return np.vectorize(math.erf, otypes=[float])(x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(0, x)


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

# name: (function, float64 reference, lowest and highest sample, ulps of float32)
UNARY = {
    "neg": (fd.neg, np.negative, -9, 9, 0),
    "abs": (fd.abs, np.abs, -9, 9, 0),
    "sign": (fd.sign, np.sign, -9, 9, 0),
    "square": (fd.square, np.square, -9, 9, 1),
    "sqrt": (fd.sqrt, np.sqrt, 0, 9, 1),
    "rsqrt": (fd.rsqrt, lambda x: 1 / np.sqrt(x), 0.1, 9, 2),
    "reciprocal": (fd.reciprocal, np.reciprocal, 0.1, 9, 1),
    "exp": (fd.exp, np.exp, -20, 20, 2),
    "exp2": (fd.exp2, np.exp2, -20, 20, 2),
    "expm1": (fd.expm1, np.expm1, -5, 5, 2),
    "log": (fd.log, np.log, 0, 9, 2),
    "log2": (fd.log2, np.log2, 0, 9, 3),
    "log10": (fd.log10, np.log10, 0, 9, 3),
    "log1p": (fd.log1p, np.log1p, -0.9, 9, 2),
    "erf": (fd.erf, erf, -4, 4, 2),
    "sin": (fd.sin, np.sin, -50, 50, 2),
    "cos": (fd.cos, np.cos, -50, 50, 2),
    "tan": (fd.tan, np.tan, -1, 1, 2),
    "asin": (fd.asin, np.arcsin, -0.9, 0.9, 2),
    "acos": (fd.acos, np.arccos, -0.9, 0.9, 2),
    "atan": (fd.atan, np.arctan, -9, 9, 2),
    "sinh": (fd.sinh, np.sinh, -9, 9, 2),
    "cosh": (fd.cosh, np.cosh, -9, 9, 2),
    "tanh": (fd.tanh, np.tanh, -9, 9, 2),
    "sigmoid": (fd.sigmoid, sigmoid, -20, 20, 3),
    "floor": (fd.floor, np.floor, -9, 9, 0),
    "ceil": (fd.ceil, np.ceil, -9, 9, 0),
    "round": (fd.round, np.round, -9, 9, 0),
    "trunc": (fd.trunc, np.trunc, -9, 9, 0),
    "relu": (fd.relu, lambda x: np.where(x <= 0, 0, x), -9, 9, 0),
    "log_sigmoid": (F.logsigmoid, lambda x: -softplus(-x), -9, 9, 4),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.25), lambda x: np.where(x > 0, x, 0.25 * x), -9, 9, 1),
    "elu": (lambda x: F.elu(x, 0.5), lambda x: np.where(x > 0, x, 0.5 * np.expm1(np.minimum(x, 0))), -9, 9, 3),
    "selu": (F.selu, lambda x: SELU[0] * np.where(x > 0, x, SELU[1] * np.expm1(np.minimum(x, 0))), -9, 9, 4),
    "celu": (lambda x: F.celu(x, 2), lambda x: np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0) / 2)), -9, 9, 3),
    "gelu": (F.gelu, lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))), -1, 9, 4),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), gelu_tanh, -1, 9, 6),
    "silu": (F.silu, lambda x: x * sigmoid(x), -9, 9, 4),
    "mish": (F.mish, lambda x: x * np.tanh(softplus(x)), -9, 9, 6),
    "softplus": (F.softplus, softplus, -9, 9, 4),
    "softplus_beta": (lambda x: F.softplus(x, 2, 40), lambda x: softplus(2 * x) / 2, -9, 9, 4),
    "softsign": (F.softsign, lambda x: x / (1 + np.abs(x)), -9, 9, 2),
    "hardswish": (F.hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6, -9, 9, 6),
    "hardsigmoid": (F.hardsigmoid, lambda x: np.clip(x + 3, 0, 6) / 6, -2.9, 9, 2),
    "hardtanh": (F.hardtanh, lambda x: np.clip(x, -1, 1), -9, 9, 0),
    "relu6": (F.relu6, lambda x: np.clip(x, 0, 6), -9, 9, 0),
    "clamp": (lambda x: fd.clamp(x, -1, 2), lambda x: np.clip(x, -1, 2), -9, 9, 0),
}

BINARY = {
    "add": (fd.add, np.add),
    "sub": (fd.sub, np.subtract),
    "mul": (fd.mul, np.multiply),
    "div": (fd.div, np.divide),
    "maximum": (fd.maximum, np.maximum),
    "minimum": (fd.minimum, np.minimum),
    "pow": (lambda a, b: fd.pow(fd.abs(a), b), lambda a, b: np.abs(a) ** b),
    "fmod": (fd.fmod, np.fmod),
    "remainder": (fd.remainder, np.remainder),
    "floor_divide": (fd.floor_divide, np.floor_divide),
    "atan2": (fd.atan2, np.arctan2),
    "add_alpha": (lambda a, b: fd.add(a, b, alpha=0.5), lambda a, b: a + 0.5 * b),
    "lerp": (lambda a, b: fd.lerp(a, b, 0.25), lambda a, b: a + 0.25 * (b - a)),
    "addcmul": (lambda a, b: fd.addcmul(a, a, b, value=2), lambda a, b: a + 2 * a * b),
    "addcdiv": (lambda a, b: fd.addcdiv(a, a, b, value=2), lambda a, b: a + 2 * a / b),
    "where": (lambda a, b: fd.where(a > b, a, b), np.maximum),
}
COMPARE = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
}  # fmt: skip
STEPS = {"sign", "floor", "ceil", "round", "trunc"}


@pytest.fixture(params=LEVELS)
def level(request):
    before = _C.cpu_level()
    _C.set_cpu_level(request.param)
    yield request.param
    _C.set_cpu_level(before)


def samples(low, high, shape, seed=0):
    return np.random.default_rng(seed).uniform(low, high, shape)


def ulps(result, expected):
    """The largest distance in units of the last place of float32, where the expected value is finite."""
    with np.errstate(all="ignore"):
        spacing = np.maximum(np.spacing(np.abs(expected.astype("f4"))).astype("f8"), 2.0**-149)
        return np.max(np.abs(result.astype("f8") - expected) / spacing, initial=0)


@pytest.mark.parametrize("name", UNARY)
def test_unary_values(name, level):
    function, reference, low, high, tolerance = UNARY[name]
    for n in (0, 1, 7, 65, 129, 5000):
        x = samples(low, high, n).astype("f4")
        assert ulps(function(fd.tensor(x)).numpy(force=True), reference(x.astype("f8"))) <= tolerance + 0.51
    x = samples(low, high, (9, 11))
    double = function(fd.tensor(x, dtype=fd.float64)).numpy(force=True)
    np.testing.assert_allclose(double, reference(x), rtol=1e-13, atol=1e-14)
    half = function(fd.tensor(x).half())
    with np.errstate(over="ignore"):
        expected = reference(x.astype("f2").astype("f8")).astype("f2")
    np.testing.assert_allclose(half.numpy(force=True), expected, rtol=2e-3, atol=1e-4)
    assert half.dtype is fd.float16
    strided = function(fd.tensor(x).T)
    np.testing.assert_array_equal(
        strided.numpy(force=True), function(fd.tensor(np.ascontiguousarray(x.T))).numpy(force=True)
    )
    assert function(fd.tensor(0.5)).shape == ()


@pytest.mark.parametrize(
    "name", [n for n in UNARY if n not in ("softplus_beta", "gelu", "gelu_tanh", "hardswish", "silu", "mish")]
)
def test_unary_special_values(name, level):
    function, reference, *_ = UNARY[name]
    x = np.array(SPECIAL, dtype="f4")
    with np.errstate(all="ignore"):
        expected = reference(x.astype("f8")).astype("f4")
    result = function(fd.tensor(x)).numpy(force=True)
    if name == "sign":  # PyTorch: 0 for NaN
        expected[np.isnan(x)] = 0
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("name", [n for n in UNARY if n not in STEPS])
def test_unary_gradients(name):
    function, _, low, high, _ = UNARY[name]
    low, high = max(low, -3), min(high, 3)
    x = samples(low + (0.05 if low == 0 else 0), high, 12, seed=3)
    x = x[(np.abs(x) > 0.02) & (np.abs(np.abs(x) - 1) > 0.02)]  # away from the kinks
    t = fd.tensor(x, dtype=fd.float64, requires_grad=True)
    assert gradcheck(function, (t,))
    # The gradient in plain ops, used when it is itself differentiated, is the fused one.
    fused = fd.autograd.grad(function(t).sum(), t)[0]
    plain = fd.autograd.grad(function(t).sum(), t, create_graph=True)[0]
    np.testing.assert_allclose(plain.detach().numpy(force=True), fused.numpy(force=True), rtol=1e-10, atol=1e-12)
    single = fd.tensor(x, dtype=fd.float32, requires_grad=True)
    function(single).sum().backward()
    np.testing.assert_allclose(single.grad.numpy(force=True), fused.numpy(force=True), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["exp", "sin", "log", "tanh", "sigmoid", "gelu", "silu", "softplus", "sqrt", "erf"])
def test_second_order_gradients(name):
    function, _, low, _, _ = UNARY[name]
    t = fd.tensor(samples(max(low, -2) + 0.1, 2, 5), dtype=fd.float64, requires_grad=True)
    assert gradgradcheck(function, (t,))


@pytest.mark.parametrize("name", BINARY)
def test_binary_values(name, level):
    function, reference = BINARY[name]
    shapes = [((0,), (0,)), ((1,), (1,)), ((65,), (65,)), ((7, 129), (129,)), ((7, 129), (7, 1)), ((3, 1, 5), (4, 1)),
              ((4, 1, 300), (2, 1)), ((), (6,)), ((40, 50), ())]  # fmt: skip
    for i, (sa, sb) in enumerate(shapes):
        a = samples(-4, 4, sa, seed=i).astype("f4")
        b = (samples(0.5, 3, sb, seed=i + 50) * np.where(samples(-1, 1, sb, seed=i) > 0, 1, -1)).astype("f4")
        result = function(fd.tensor(a), fd.tensor(b)).numpy(force=True)
        expected = reference(a.astype("f8"), b.astype("f8"))
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=2e-6, atol=2e-6)
        wide = function(fd.tensor(a, dtype=fd.float64), fd.tensor(b, dtype=fd.float64))
        np.testing.assert_allclose(wide.numpy(force=True), expected, rtol=1e-12, atol=1e-12)


def test_every_layout_gives_the_same_bits(level):
    a, b = samples(-4, 4, (6, 70, 50)).astype("f4"), samples(-4, 4, (6, 70, 50), seed=1).astype("f4")
    expected = a + b
    x, y = fd.tensor(a), fd.tensor(b)

    def via(t, dims):  # the same values over memory in another order
        return fd.tensor(np.ascontiguousarray(t.permute(*dims).numpy(force=True))).permute(*np.argsort(dims).tolist())

    for dims in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1), (2, 0, 1)):
        for other in ((0, 1, 2), (0, 2, 1), (2, 1, 0)):
            np.testing.assert_array_equal((via(x, dims) + via(y, other)).numpy(force=True), expected)
    wide = fd.tensor(np.repeat(a, 2, axis=2))
    np.testing.assert_array_equal((wide[:, :, ::2] + y).numpy(force=True), expected)
    out = fd.zeros(6, 70, 100)
    out[:, :, ::2].copy_(x)
    np.testing.assert_array_equal(out.numpy(force=True)[:, :, ::2], a)
    assert not out.numpy(force=True)[:, :, 1::2].any()


def test_large_outputs(level):
    """Those that bypass the caches, with an end that is no whole vector."""
    x = np.arange((1 << 22) + 37, dtype="f4") % 2048
    t = fd.tensor(x)
    for result, expected in [(t + t, x + x), (t * 2, x * 2), (-t, -x), (t.clone(), x), (t.half().float(), x.astype("f2").astype("f4")),
                             (t.double(), x.astype("f8")), (fd.where(t > 9, t, 0), np.where(x > 9, x, 0)),
                             (fd.ones_like(t), np.ones_like(x)), (t[1:] + t[:-1], x[1:] + x[:-1]),
                             (t[: 1 << 22].view(4096, 1024) + t[:1024], x[: 1 << 22].reshape(4096, 1024) + x[:1024])]:  # fmt: skip
        np.testing.assert_array_equal(result.numpy(force=True), expected)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "u1"])
def test_transposed_copies(dtype, level):
    a = np.arange(3 * 67 * 131).reshape(3, 67, 131).astype(dtype)
    t = fd.tensor(a)
    for dims in ((0, 2, 1), (2, 1, 0), (1, 2, 0)):
        np.testing.assert_array_equal(t.permute(*dims).contiguous().numpy(force=True), a.transpose(dims))
        np.testing.assert_array_equal(t.permute(*dims).double().numpy(force=True), a.transpose(dims).astype("f8"))


def test_results_do_not_depend_on_the_number_of_threads():
    x, y = fd.tensor(samples(-4, 4, (700, 900)).astype("f4")), fd.tensor(samples(-4, 4, (900, 700)).astype("f4"))
    before = fd.get_num_threads()
    results = []
    for n in (1, 2):
        fd.set_num_threads(n)
        results.append([t.numpy(force=True) for t in (F.gelu(x) * y.T, x > y.T, y.T.contiguous(), x.half())])
    fd.set_num_threads(before)
    for one, two in zip(*results):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", COMPARE)
def test_comparisons(name, level):
    for dtype in ("f4", "f8", "i8", "i4", "u1"):
        a = np.random.default_rng(0).integers(0, 3, (5, 41)).astype(dtype)
        b = np.random.default_rng(1).integers(0, 3, (41,)).astype(dtype)
        result = getattr(fd, name)(fd.tensor(a), fd.tensor(b))
        assert result.dtype is fd.bool
        np.testing.assert_array_equal(result.numpy(force=True), COMPARE[name](a, b))
    nan = fd.tensor([math.nan, 1.0])
    np.testing.assert_array_equal(
        getattr(fd, name)(nan, nan).numpy(force=True), COMPARE[name](nan.numpy(force=True), nan.numpy(force=True))
    )


@pytest.mark.parametrize("name", [n for n in BINARY if n != "floor_divide"])
def test_binary_gradients(name):
    function, _ = BINARY[name]
    a = fd.tensor(samples(0.6, 3, (3, 4)), dtype=fd.float64, requires_grad=True)
    b = fd.tensor(samples(0.6, 3, (4,), seed=7), dtype=fd.float64, requires_grad=True)
    assert gradcheck(function, (a, b))
    first = fd.tensor(samples(0.6, 3, (2, 3)), dtype=fd.float32, requires_grad=True)
    second = fd.tensor(samples(0.6, 3, (3,)), dtype=fd.float64, requires_grad=True)
    function(first, second).sum().backward()
    assert first.grad.dtype is fd.float32 and second.grad.shape == (3,)


def test_integers(level):
    a = np.array([-7, 7, -8, 8, 0, 2**40, -(2**62)])
    b = np.array([2, -2, 3, -3, 5, 7, 2**33])
    x, y = fd.tensor(a), fd.tensor(b)
    for result, expected in [(x // y, a // b), (x % y, a % b), (fd.fmod(x, y), np.fmod(a, b)), (x & y, a & b),
                             (x | y, a | b), (x ^ y, a ^ b), (~x, ~a), (x * 3, a * 3), (abs(x), abs(a)),
                             (fd.maximum(x, y), np.maximum(a, b)), (x.int(), a.astype("i4"))]:  # fmt: skip
        np.testing.assert_array_equal(result.numpy(force=True), expected)
    np.testing.assert_array_equal((fd.tensor([2, 3, -1]) ** 5).numpy(force=True), [32, 243, -1])
    np.testing.assert_array_equal((fd.tensor([250], dtype=fd.uint8) + 10).numpy(force=True), np.array([4], dtype="u1"))
    for function in (fd.floor_divide, fd.remainder, fd.fmod):
        with pytest.raises(ValueError, match="division by zero"):
            function(x, fd.tensor([1, 2, 0, 4, 5, 6, 7]))


def test_promotion():
    tensors = {
        d: fd.ones(2, dtype=getattr(fd, d))
        for d in ("bool", "uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", "float64")
    }
    torch = pytest.importorskip("torch")
    for da, a in tensors.items():
        ta = torch.ones(2, dtype=getattr(torch, da))
        for number in (True, 2, 2.5):
            assert (a * number).dtype.name == str((ta * number).dtype)[6:]
        for db, b in tensors.items():
            tb = torch.ones(2, dtype=getattr(torch, db))
            if {da, db} == {"int8", "uint8"}:  # int16, which fastdl lacks
                continue
            assert (a * b).dtype.name == str((ta * tb).dtype)[6:]
            assert (a * b[0]).dtype.name == str((ta * tb[0]).dtype)[6:]
            assert (a / b).dtype.name == str((ta / tb).dtype)[6:]


def test_conversions(level):
    values = np.array([0.0, 1.0, -1.5, 3.75, 100.25, -100.0, 65504.0, 1e-7])
    dtypes = {
        "f8": fd.float64,
        "f4": fd.float32,
        "f2": fd.float16,
        "i8": fd.int64,
        "i4": fd.int32,
        "i1": fd.int8,
        "?": fd.bool,
    }
    for source in dtypes:
        with np.errstate(all="ignore"):
            x = (values[:6] if source[0] in "i?" else values).astype(source)
        for target, dtype in dtypes.items():
            if target == "i1" and x.size > 6:
                x = x[:6]
            for t in (fd.tensor(x), fd.tensor(np.repeat(x, 2))[::2]):
                with np.errstate(all="ignore"):
                    np.testing.assert_array_equal(t.to(dtype).numpy(force=True), x.astype(target))
    bf = fd.tensor([1.0, 1.00390625, 1.01171875, math.nan, math.inf, 3e38]).bfloat16().float()  # ties to even
    np.testing.assert_array_equal(
        bf.numpy(force=True), np.array([1.0, 1.0, 1.015625, math.nan, math.inf, np.float32(3.00405527e38)], dtype="f4")
    )


def test_in_place():
    x = fd.tensor([1.0, 2.0, 3.0])
    view = x.view(3)
    x += 1
    x.mul_(2).sub_(fd.tensor([1.0, 1.0, 1.0])).div_(2)
    np.testing.assert_array_equal(view.numpy(force=True), [1.5, 2.5, 3.5])
    x.add_(x, alpha=2)
    np.testing.assert_array_equal(x.numpy(force=True), [4.5, 7.5, 10.5])
    x[1:].copy_(x[:-1])  # overlapping source
    np.testing.assert_array_equal(x.numpy(force=True), [4.5, 4.5, 7.5])
    x.clamp_(5, 7).sqrt_()
    np.testing.assert_allclose(x.numpy(force=True), np.sqrt([5, 5, 7]), rtol=1e-6)
    np.testing.assert_array_equal(x.zero_().numpy(force=True), [0, 0, 0])
    with pytest.raises(fd.ShapeError, match="does not fit"):
        x += fd.ones(2, 3)
    with pytest.raises(fd.DTypeError, match="does not fit"):
        fd.ones(3, dtype=fd.int64).add_(0.5)
    with pytest.raises(fd.Error, match="overlaps itself"):
        fd.ones(1).expand(3).add_(1)
    with pytest.raises(fd.Error, match="leaf"):
        fd.ones(3, requires_grad=True).add_(1)
    out = fd.empty(3)
    assert fd.exp(x, out=out) is out and out.numpy(force=True).tolist() == [1, 1, 1]
    with pytest.raises(fd.ShapeError):
        fd.exp(x, out=fd.empty(4))


@pytest.mark.parametrize(
    "change",
    [
        lambda h, y: h.add_(y), lambda h, y: h.sub_(y, alpha=2), lambda h, y: h.mul_(y), lambda h, y: h.div_(y),
        lambda h, y: h.mul_(2), lambda h, y: h.exp_(), lambda h, y: h.log_(), lambda h, y: h.relu_(), lambda h, y: h.copy_(y),
        lambda h, y: h.fill_(3), lambda h, y: h.clamp_(1, 2), lambda h, y: h.pow_(3), lambda h, y: h.lerp_(y, 0.5),
        lambda h, y: h.masked_fill_(h > 1.5, 0), lambda h, y: h.addcmul_(y, y, 2),
    ],
)  # fmt: skip
def test_in_place_gradients(change):
    def function(x, y):
        h = x * 1.5
        change(h, y)
        return h

    a = fd.tensor(samples(0.6, 2, (2, 3)), dtype=fd.float64, requires_grad=True)
    b = fd.tensor(samples(0.6, 2, (3,), seed=1), dtype=fd.float64, requires_grad=True)
    assert gradcheck(function, (a, b))


def test_bad_input():
    x = fd.ones(2, 3)
    with pytest.raises(fd.ShapeError, match=r"add: shapes \[2, 3\] and \[4\]"):
        x + fd.ones(4)
    with pytest.raises(fd.DTypeError, match="bool"):
        fd.where(x, x, x)
    with pytest.raises(fd.DTypeError, match="bitwise_and"):
        x & x
    with pytest.raises(ValueError, match="clamp"):
        fd.clamp(x)
    with pytest.raises(ValueError, match="approximate"):
        F.gelu(x, approximate="erf")
    with pytest.raises(ValueError, match="negative power"):
        fd.ones(2, dtype=fd.int64) ** -1
    with pytest.raises(TypeError):
        fd.add(x, "1")


def test_methods():
    x = fd.tensor([1.5, -2.5, 4.0])
    assert x.where(x > 0, 0).tolist() == [1.5, 0, 4]
    assert x.div(2, rounding_mode="floor").tolist() == [0, -2, 2]
    assert fd.div(x, 2, rounding_mode="trunc").tolist() == [0, -1, 2]
    assert fd.tensor([1.26]).round(decimals=1).item() == pytest.approx(1.3)
    assert x.allclose(x + 1e-7) and not x.allclose(x + 1)
    assert x.isclose(fd.tensor([1.5, math.nan, math.inf])).tolist() == [True, False, False]
    assert (+x).tolist() == x.tolist() and x.type_as(fd.ones(1, dtype=fd.int64)).dtype is fd.int64
    assert x.clip(0, 2).tolist() == [1.5, 0, 2]


def test_arange():
    for arguments in ((5,), (2, 9), (2, 9, 3), (9, 2, -2), (0.0, 1.0, 0.25), (1, 2.5, 0.5), (3, 3)):
        np.testing.assert_array_equal(fd.arange(*arguments).numpy(force=True), np.arange(*arguments))
    np.testing.assert_array_equal(fd.arange(3000).numpy(force=True), np.arange(3000))
    assert fd.arange(3).dtype is fd.int64 and fd.arange(3.0).dtype is fd.float32
    np.testing.assert_allclose(fd.linspace(0, 1, 11).numpy(force=True), np.linspace(0, 1, 11), rtol=1e-6)
    for arguments in ((0, 5, 0), (0, 5, -1), (0, math.inf)):
        with pytest.raises(ValueError, match="arange"):
            fd.arange(*arguments)
