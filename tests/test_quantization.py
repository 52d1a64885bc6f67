"""Weights of 8 bits: the kernel against exact integers in NumPy, the layers against float, whole models."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import _C, nn
from fastdl.nn import functional as F
from fastdl.nn.functional.quantized import linear_int8, pack_weight, quantize_weight
from fastdl.quantization import quantize_dynamic

SHAPES = [(1, 1, 1), (7, 5, 3), (13, 64, 32), (65, 129, 33), (3, 300, 100), (129, 7, 65), (1, 1024, 70), (96, 4100, 260),
          (200, 512, 300), (0, 5, 3), (5, 0, 3)]  # fmt: skip
LEVELS = [level for level in ("base", "avx2", "avx512") if level in _C.cpu_levels()]
on_levels = pytest.mark.parametrize("level", LEVELS, indirect=True)


def quantised_rows(x):
    """The formula of csrc/kernels/int8.h in float32: q, scale, zero."""
    low, high = (f(x, axis=1, initial=0, keepdims=True).astype(np.float32) for f in (np.min, np.max))
    scale = high / np.float32(255) - low / np.float32(255)
    inverse = np.where(scale > 0, np.float32(1) / np.where(scale > 0, scale, np.float32(1)), np.float32(0))
    zero = np.rint(-low * inverse).astype(np.int64)
    return np.clip(np.rint(x * inverse).astype(np.int64) + zero, 0, 255), scale, zero


def weights(rng, outputs, inputs):
    w = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    return w, rng.uniform(0.01, 0.02, outputs).astype(np.float32)


def apply(x, w, scale, bias=None):
    panels, sums = pack_weight(fd.tensor(w))
    bias = bias if bias is None else fd.tensor(bias)
    return linear_int8(fd.tensor(x), panels, fd.tensor(scale), sums, bias).numpy(force=True)


@on_levels
@pytest.mark.parametrize("rows,k,columns", SHAPES)
def test_integers_are_exact(level, rows, k, columns):
    rng = np.random.default_rng(0)
    x = rng.normal(0.3, 1, (rows, k)).astype(np.float32)
    w, scale = weights(rng, columns, k)
    q, x_scale, zero = quantised_rows(x)
    expected = ((q - zero) @ w.T.astype(np.int64)).astype(np.float32) * (scale * x_scale)
    np.testing.assert_array_equal(apply(x, w, scale), expected)
    bias = rng.normal(size=columns).astype(np.float32)
    np.testing.assert_allclose(apply(x, w, scale, bias), expected + bias, rtol=1e-6, atol=1e-5)


@on_levels
def test_extremes_do_not_saturate(level):
    """255 * 127 added up in pairs is beyond 16 bits."""
    k = 4096
    x = np.concatenate([np.full((3, k), 1.0), np.full((3, k), -1.0)]).astype(np.float32)
    w = np.full((40, k), 127, np.int8)
    w[::2] = -127
    y = apply(x, w, np.ones(40, np.float32))
    np.testing.assert_allclose(y, x @ w.T.astype(np.float32), rtol=1e-6)


def test_same_bits_at_any_number_of_threads(threads):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 700)).astype(np.float32)
    w, scale = weights(rng, 500, 700)
    results = []
    for n in (1, 2, 3):
        fd.set_num_threads(n)
        results.append(apply(x, w, scale))
    assert all(np.array_equal(results[0], r) for r in results)


@on_levels
def test_rows_stand_alone(level):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(30, 50)).astype(np.float32)
    x[3, 4], x[17, 0], x[20, 49], x[25] = np.nan, np.inf, -np.inf, 0
    w, scale = weights(rng, 20, 50)
    y = apply(x, w, scale)
    bad = [3, 17, 20]
    assert np.isnan(y[bad]).all()
    good = [i for i in range(30) if i not in bad]
    np.testing.assert_array_equal(y[good], np.concatenate([apply(x[i : i + 1], w, scale) for i in good]))
    assert not y[25].any()
    tiny, huge = np.full((1, 50), 1e-40, np.float32), np.full((1, 50), 3e38, np.float32)
    huge[:, ::2] *= -1
    assert np.isfinite(apply(tiny, w, scale)).all()
    np.testing.assert_allclose(apply(huge, w, scale * 1e-3), huge @ (w.T * scale * 1e-3), rtol=0.2, atol=1e37)


def test_weight_has_one_scale_an_output():
    w = fd.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [1e-3, 2e-3, -4e-3]])
    q, scale = quantize_weight(w)
    assert q.dtype == fd.int8 and q.abs().max().item() == 127 and not q[1].any()
    np.testing.assert_allclose((q.float() * scale.unsqueeze(1)).numpy(force=True), w.numpy(force=True), atol=2.0 / 254)
    assert abs(q[2].float() * scale[2] - w[2]).max().item() <= 4e-3 / 254 * 1.001


def test_strided_inputs_and_other_dtypes():
    fd.manual_seed(0)
    layer = nn.quantized.dynamic.Linear.from_float(nn.Linear(6, 5))
    x = fd.randn(6, 4, 3)
    view = x.permute(2, 1, 0)
    assert fd.equal(layer(view), layer(view.contiguous()))
    assert fd.equal(layer(view[0, 0]), layer(view)[0, 0])
    half = view.to(fd.bfloat16)
    assert layer(half).dtype == fd.bfloat16
    assert fd.equal(layer(half), layer(half.float()).to(fd.bfloat16))
    assert layer(view.double()).dtype == fd.float64


def close_to_float(y, expected):
    """Weights are off by half a step of 1/127, inputs by half a step of 1/255 of their range."""
    return ((y - expected).norm() / expected.norm()).item() < 0.02


def test_linear_layer(tmp_path):
    fd.manual_seed(0)
    plain = nn.Linear(200, 70)
    layer = nn.quantized.dynamic.Linear.from_float(plain)
    x = fd.randn(40, 200)
    with fd.no_grad():
        assert close_to_float(layer(x), plain(x))
    assert list(layer.state_dict()) == ["weight", "weight_scale", "bias"]
    fd.save(layer.state_dict(), tmp_path / "layer.safetensors")
    other = nn.quantized.dynamic.Linear(200, 70)
    assert not fd.equal(other(x), layer(x))
    other.load_state_dict(fd.load(tmp_path / "layer.safetensors"))
    assert fd.equal(other(x), layer(x))
    assert repr(other) == "Linear(in_features=200, out_features=70, bias=True)"
    assert not list(layer.parameters())
    assert nn.quantized.dynamic.Linear.from_float(nn.Linear(3, 2, bias=False)).bias is None


@pytest.mark.parametrize(
    "kwargs",
    [
        {"kernel_size": 1}, {"kernel_size": 3, "padding": 1}, {"kernel_size": (3, 5), "stride": (2, 1), "padding": (0, 2)},
        {"kernel_size": 3, "dilation": 2, "padding": "same"}, {"kernel_size": 2, "bias": False},
        {"kernel_size": 1, "stride": 2}, {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    ],
    ids=str,
)  # fmt: skip
def test_convolution(kwargs):
    fd.manual_seed(0)
    plain = nn.Conv2d(16, 9, **kwargs)
    layer = nn.quantized.dynamic.Conv2d.from_float(plain)
    x = fd.randn(2, 16, 11, 13)
    with fd.no_grad():
        expected = plain(x)
        assert layer(x).shape == expected.shape
        assert close_to_float(layer(x), expected)
        assert fd.equal(layer(x[0]), layer(x)[0])
    assert repr(layer) == repr(plain)


def test_which_layers_are_replaced():
    net = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3, groups=2), nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    replaced = lambda m: [n for n, x in m.named_modules() if type(x).__module__ == "fastdl.nn.quantized.dynamic"]
    assert replaced(quantize_dynamic(net)) == ["0", "2.0"]
    assert replaced(net) == []
    assert replaced(quantize_dynamic(net, {nn.Linear})) == ["2.0"]
    assert replaced(quantize_dynamic(net, {"0"})) == ["0"]
    assert quantize_dynamic(net, {"2"}, inplace=True) is net and replaced(net) == []
    assert type(quantize_dynamic(nn.Linear(2, 3))) is nn.quantized.dynamic.Linear
    assert fd.ao.quantization.quantize_dynamic is quantize_dynamic
    assert fd.ao.nn.quantized.dynamic.Linear is nn.quantized.dynamic.Linear


def test_errors():
    net = nn.Sequential(nn.Linear(3, 4), nn.Conv2d(8, 8, 3, groups=2))
    with pytest.raises(ValueError, match="dtype fastdl.float16 is not supported"):
        quantize_dynamic(net, dtype=fd.float16)
    with pytest.raises(ValueError, match="nothing replaces ReLU"):
        quantize_dynamic(net, {nn.ReLU})
    with pytest.raises(ValueError, match="has no module 5"):
        quantize_dynamic(net, {"5"})
    with pytest.raises(ValueError, match="groups = 2"):
        quantize_dynamic(net, {"1"})
    with pytest.raises(TypeError, match="expected nn.Linear, got ReLU"):
        nn.quantized.dynamic.Linear.from_float(nn.ReLU())
    layer = nn.quantized.dynamic.Linear(8, 4)
    with pytest.raises(fd.ShapeError, match="linear_int8: input .* needs packed weight"):
        layer(fd.ones(2, 9))
    with pytest.raises(TypeError, match="linear_int8"):
        layer(fd.ones(2, 8, dtype=fd.int64))
    with pytest.raises(fd.ShapeError, match="at most 65536"):
        nn.quantized.dynamic.Linear(65540, 1)(fd.ones(1, 65540))


def test_captured():
    layer = nn.quantized.dynamic.Linear.from_float(nn.Linear(40, 30))
    step = fd.capture(lambda x: F.relu(layer(x)))
    for seed in range(3):
        fd.manual_seed(seed)
        x = fd.randn(5, 40)
        assert fd.equal(step(x), F.relu(layer(x)))


def test_digits_are_recognised_as_well():
    from fastdl.datasets import digits

    def tensors(part):
        images, labels = part.tensors
        device = fd.get_default_device()
        return (images.float().flatten(1) / 16).to(device), labels.to(device)

    data = digits()
    (x, y), (test_x, test_y) = tensors(data.train), tensors(data.test)
    fd.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = fd.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    with fd.no_grad():
        expected, got = net(test_x).argmax(1), quantize_dynamic(net)(test_x).argmax(1)
    right = lambda labels: (labels == test_y).float().mean().item()
    assert right(expected) > 0.9
    assert right(got) > right(expected) - 0.01
