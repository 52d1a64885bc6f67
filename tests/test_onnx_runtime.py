"""Loaded models against onnxruntime: operators with attributes drawn at random, and graphs that its quantizer made."""

import random

import numpy as np
import pytest

import fastdl as fd
from fastdl import nn

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
from onnx import helper  # noqa: E402

runtime.set_default_logger_severity(4)


class Draw(random.Random):
    """Random numbers for a case: choices, and arrays."""

    def floats(self, *shape):
        return np.array([self.gauss(0, 1) for _ in range(int(np.prod(shape)))], np.float32).reshape(shape)

    def bytes_(self, *shape, dtype=np.uint8):
        low, high = (0, 255) if dtype is np.uint8 else (-128, 127)
        return np.array([self.randint(low, high) for _ in range(int(np.prod(shape)))], dtype).reshape(shape)

    def ints(self, count, low, high):
        return [self.randint(low, high) for _ in range(count)]


def scalar(value, dtype=np.float32):
    return np.array(value, dtype)


def windows(r, kernel, low=1):
    """Attributes of windows; SAME is left to kernels no smaller than their strides: else onnxruntime pads by negative
    numbers, which nobody agrees on."""
    attributes = {"kernel_shape": kernel, "strides": [r.randint(1, min(k, 3)) for k in kernel]}
    if r.random() < 0.3:
        attributes["auto_pad"] = r.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    else:
        attributes["pads"] = [r.randint(0, k - 1) for k in kernel * 2]
    return attributes


def conv(r):
    n, group = r.randint(1, 3), r.choice([1, 2])
    kernel = r.ints(n, 1, 3)
    attributes = {**windows(r, kernel), "group": group}
    if "auto_pad" not in attributes:
        attributes["dilations"] = r.ints(n, 1, 2)
    return [
        r.floats(2, 4, *r.ints(n, 5, 8)),
        r.floats(6, 4 // group, *kernel),
        r.choice([r.floats(6), None]),
    ], attributes


def conv_transpose(r):
    n, group = r.randint(1, 3), r.choice([1, 2])
    kernel = r.ints(n, 1, 3)
    attributes = {"kernel_shape": kernel, "strides": r.ints(n, 1, 3), "dilations": r.ints(n, 1, 2), "group": group}
    attributes |= {"pads": r.ints(2 * n, 0, 1), "output_padding": [r.randint(0, s - 1) for s in attributes["strides"]]}
    return [
        r.floats(2, 4, *r.ints(n, 3, 5)),
        r.floats(4, 6 // group, *kernel),
        r.choice([r.floats(6), None]),
    ], attributes


def max_pool(r):
    kernel = r.ints(r.randint(1, 3), 1, 4)
    attributes = windows(r, kernel)
    if "pads" in attributes:
        attributes["ceil_mode"] = r.randint(0, 1)
    return [r.floats(2, 3, *r.ints(len(kernel), 5, 9))], attributes


def average_pool(r):
    inputs, attributes = max_pool(r)
    return inputs, {**attributes, "count_include_pad": r.randint(0, 1)}


def resize(r):
    mode = r.choice(["nearest", "linear", "cubic"])
    where = r.choice(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
    attributes = {"mode": mode, "coordinate_transformation_mode": where}
    if mode == "nearest":  # scales that float32 holds exactly: half-way places are the same everywhere
        attributes["nearest_mode"] = r.choice(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
        scales = [1, 1, r.choice([0.5, 2, 4]), r.choice([0.25, 0.5, 2])]
    else:
        scales = [1, 1, r.choice([0.5, 0.8, 1.5, 3]), r.choice([0.7, 1.3, 2])]
        if where == "half_pixel":
            attributes["antialias"] = r.randint(0, 1)
    x = r.floats(1, 2, *r.ints(2, 4, 8))
    if where == "align_corners":  # by a scale the standard's size is not whole, onnxruntime's is
        return [x, None, None, np.array([1, 2, *r.ints(2, 2, 12)])], attributes
    return [x, None, scalar(scales)], attributes


def grid_sample(r):
    attributes = {
        "mode": r.choice(["linear", "nearest", "cubic"]),
        "padding_mode": r.choice(["zeros", "border", "reflection"]),
        "align_corners": r.randint(0, 1),
    }
    return [r.floats(2, 3, 5, 6), r.floats(2, 4, 5, 2)], attributes


def roi_align(r):
    corners = np.sort(np.array([r.uniform(0, 9) for _ in range(20)], np.float32).reshape(5, 2, 2), 1)
    attributes = {
        "output_height": r.randint(1, 4),
        "output_width": r.randint(1, 4),
        "sampling_ratio": r.randint(0, 3),
        "spatial_scale": r.choice([1.0, 0.5, 0.25]),
        "coordinate_transformation_mode": r.choice(["half_pixel", "output_half_pixel"]),
    }
    return [r.floats(2, 3, 8, 9), corners.reshape(5, 4), np.array(r.ints(5, 0, 1))], attributes


def non_max_suppression(r):
    boxes = np.array([r.random() for _ in range(96)], np.float32).reshape(2, 12, 4)
    scores = np.array([r.random() for _ in range(72)], np.float32).reshape(2, 3, 12)
    limits = [np.array([r.randint(1, 8)]), scalar([r.choice([0.1, 0.3, 0.5])]), scalar([r.choice([0.0, 0.4])])]
    return [boxes, scores, *limits], {"center_point_box": r.randint(0, 1)}


def recurrent(gates):
    def draw(r):
        direction = r.choice(["forward", "reverse", "bidirectional"])
        d, hidden, maybe = 2 if direction == "bidirectional" else 1, 4, lambda x: r.choice([x, None])
        attributes = {"hidden_size": hidden, "direction": direction}
        if r.random() < 0.3:
            attributes["clip"] = 0.5
        if gates == 3:
            attributes["linear_before_reset"] = r.randint(0, 1)
        if gates == 4:
            attributes["input_forget"] = r.randint(0, 1)
        inputs = [r.floats(5, 3, 2), r.floats(d, gates * hidden, 2), r.floats(d, gates * hidden, hidden)]
        inputs += [
            maybe(r.floats(d, 2 * gates * hidden)),
            maybe(np.array([5, 3, 1], np.int32)),
            maybe(r.floats(d, 3, hidden)),
        ]
        if gates == 4:
            inputs += [maybe(r.floats(d, 3, hidden)), maybe(r.floats(d, 3 * hidden))]
        return inputs, attributes

    return draw


def pad(r):
    mode = r.choice(["constant", "reflect", "edge", "wrap"])
    pads = r.ints(4, -1, 3) if mode == "constant" else r.ints(4, 0, 2)
    return [r.floats(4, 5), np.array(pads), scalar(2) if mode == "constant" else None], {"mode": mode}


def slices(r):
    axes = r.sample([0, 1, 2], 2)
    ends = [r.choice([r.randint(-6, 9), 2**62]) for _ in axes]
    return [r.floats(5, 6, 7), *(np.array(v) for v in (r.ints(2, -6, 6), ends, axes, [r.choice([1, 2, 3]), 1]))], {}


def backward_slice(r):
    return [
        r.floats(5, 6),
        *(np.array(v) for v in ([r.randint(2, 4)], [-(2**62)], [r.choice([0, -1])], [r.choice([-1, -2])])),
    ], {}


def top_k(r):
    return [r.floats(4, 6), np.array([r.randint(1, 4)])], {"axis": r.choice([0, 1, -1]), "largest": r.randint(0, 1)}


def quantize(r):
    axis = r.choice([0, 1, 2, -1])
    n = (3, 4, 5)[axis]
    return [r.floats(3, 4, 5), np.abs(r.floats(n)) / 10 + 0.01, r.bytes_(n)], {"axis": axis}


def dequantize(r):
    inputs, attributes = quantize(r)
    return [r.bytes_(3, 4, 5), *inputs[1:]], attributes


def qlinear_conv(r):
    w = r.bytes_(6, 4, 3, 3, dtype=np.int8)
    scales = np.abs(r.floats(6)) / 50 + 0.01
    bias = np.array(r.ints(6, -500, 500), np.int32)
    out = [scalar(0.3), scalar(100, np.uint8), bias]
    return [r.bytes_(1, 4, 6, 6), scalar(0.05), scalar(120, np.uint8), w, scales, np.zeros(6, np.int8), *out], {
        "pads": r.ints(4, 0, 2)
    }


def qlinear_matmul(r):
    a = [r.bytes_(3, 8), scalar(0.05), scalar(120, np.uint8)]
    return [*a, r.bytes_(8, 5), scalar(0.02), scalar(100, np.uint8), scalar(0.1), scalar(90, np.uint8)], {}


def matmul_integer(r):
    return [r.bytes_(3, 8), r.bytes_(8, 5, dtype=np.int8), scalar(120, np.uint8), scalar(3, np.int8)], {}


# operator: (what draws its inputs and attributes, number of outputs)
OPERATORS = {
    "AveragePool": (average_pool, 1), "Conv": (conv, 1), "ConvTranspose": (conv_transpose, 1),
    "DequantizeLinear": (dequantize, 1), "GRU": (recurrent(3), 2), "GridSample": (grid_sample, 1), "LSTM": (recurrent(4), 3),
    "MatMulInteger": (matmul_integer, 1), "MaxPool": (max_pool, 2), "NonMaxSuppression": (non_max_suppression, 1),
    "Pad": (pad, 1), "QLinearConv": (qlinear_conv, 1), "QLinearMatMul": (qlinear_matmul, 1), "QuantizeLinear": (quantize, 1),
    "RNN": (recurrent(1), 2), "Resize": (resize, 1), "RoiAlign": (roi_align, 1), "Slice": (slices, 1),
    "Slice backwards": (backward_slice, 1), "TopK": (top_k, 2),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", OPERATORS)
def test_as_onnxruntime(name, seed):
    draw, outputs = OPERATORS[name]
    inputs, attributes = draw(Draw(f"{name} {seed}"))
    names = ["" if x is None else f"i{k}" for k, x in enumerate(inputs)]
    given = {n: x for n, x in zip(names, inputs) if x is not None}
    results = [f"o{k}" for k in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(name.split()[0], names, results, **attributes)],
        "g",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in given.items()],
        [onnx.ValueInfoProto(name=n) for n in results],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9)
    model = onnx.shape_inference.infer_shapes(model)
    expected = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, given)
    actual = fd.onnx.load(model)(**{n: fd.tensor(x) for n, x in given.items()})
    actual = actual if isinstance(actual, tuple) else (actual,)
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype.name == b.dtype.name
        assert tuple(a.shape) == b.shape
        if name.startswith("Q"):  # a result half-way between two numbers may go to either
            np.testing.assert_allclose(a.int().numpy(force=True), b.astype(np.int32), rtol=0, atol=1)
        else:
            np.testing.assert_allclose(a.numpy(force=True), b, rtol=1e-4, atol=1e-5)


# --- quantized graphs


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    fd.manual_seed(0)
    path = tmp_path_factory.mktemp("float") / "x.onnx"
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3),
        nn.LeakyReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
        nn.Sigmoid(),
    ).eval()
    x = fd.randn(4, 3, 10, 10)
    fd.onnx.export(module, x, path, input_names=["x"])
    return path, module, x


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["dynamic", "QDQ", "QOperator"])
def test_quantized_graphs(float_model, tmp_path, kind):
    quantization = pytest.importorskip("onnxruntime.quantization")
    source, module, x = float_model
    path = tmp_path / "q.onnx"

    class Reader(quantization.CalibrationDataReader):
        batches = iter([{"x": x.numpy(force=True)}])

        def get_next(self):
            return next(self.batches, None)

    if kind == "dynamic":
        quantization.quantize_dynamic(source, path)
    else:
        quantization.quantize_static(
            source, path, Reader(), quant_format=quantization.QuantFormat[kind], per_channel=kind == "QDQ"
        )
    used = {node.op_type for node in onnx.load(path).graph.node}
    assert used & {"ConvInteger", "QuantizeLinear"}
    (expected,) = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, {"x": x.numpy(force=True)}
    )
    actual = fd.onnx.load(path)(x).numpy(force=True)
    step = 1.5 / 255  # of the quantized sigmoid; ties may go to either side
    np.testing.assert_allclose(actual, expected, atol=step)
    np.testing.assert_allclose(actual, module(x).detach().numpy(force=True), atol=0.03)
