"""The tests that ONNX's own package carries, on fastdl: every operator by its standard's examples, and small models."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from onnx_exclusions import EXCLUDED, RANDOM

import fastdl as fd

onnx = pytest.importorskip("onnx")
from onnx.backend.test.loader import load_model_tests  # noqa: E402

# ONNX's own runner compares with a relative tolerance of 1e-3, and bfloat16 with two units in the last place.
RELATIVE = {"float16": 2**-9, "bfloat16": 2**-6}

with warnings.catch_warnings():  # its examples are computed when they are loaded
    warnings.simplefilter("ignore")
    CASES = {case.name.removeprefix("test_"): case for case in load_model_tests(kind="node")}

REFUSED = {name: pattern for names, pattern in EXCLUDED for name in names}


def tensor(value):
    """A test's input: an array, a TensorProto, a list of them or None."""
    if value is None or isinstance(value, list):
        return value if value is None else [tensor(v) for v in value]
    if isinstance(value, onnx.TensorProto):
        value = onnx.numpy_helper.to_array(value)
    value = np.asarray(value)
    if value.dtype.name == "bfloat16":
        return fd.tensor(value.astype(np.float32)).to(fd.bfloat16)
    return fd.tensor(value)


def compare(actual, expected):
    if expected is None or isinstance(expected, list):
        assert type(actual) is type(expected)
        assert expected is None or len(actual) == len(expected)
        for a, b in zip(actual or (), expected or ()):
            compare(a, b)
        return
    if isinstance(expected, onnx.TensorProto):
        expected = onnx.numpy_helper.to_array(expected)
    expected = np.asarray(expected)
    name = expected.dtype.name
    assert actual.dtype.name == name
    assert tuple(actual.shape) == expected.shape
    absolute = 1e-7
    if expected.dtype.kind == "f" and expected.size:  # sums that cancel err by the size of what is added
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
        absolute = max(absolute, 2 * float(np.finfo(expected.dtype).eps) * float(largest))
    expected = expected.astype(np.float32) if name == "bfloat16" else expected
    np.testing.assert_allclose(actual.numpy(force=True), expected, rtol=max(1e-3, RELATIVE.get(name, 0)), atol=absolute)


def check_random(actual, inputs, expected):
    for a, b in zip(actual, expected):
        assert a.dtype.name == b.dtype.name
        assert tuple(a.shape) == b.shape
    x, ratio = inputs[0], float(inputs[1]) if len(inputs) > 1 else 0.5
    y = actual[0].numpy(force=True)
    if len(inputs) > 1 or len(actual) > 1 or not np.isin(y, [0, 1]).all():  # dropout
        kept = y != 0
        np.testing.assert_allclose(y[kept], (x / (1 - ratio))[kept], rtol=1e-5)
        if len(actual) > 1:
            assert (actual[1].numpy(force=True) | ~kept).all()
    assert 0 < (y != 0).sum() < y.size


@pytest.mark.parametrize("name", CASES)
def test_node(name):
    case = CASES[name]
    if name in REFUSED:
        with pytest.raises(fd.Error, match=REFUSED[name]):
            fd.onnx.load(case.model)
        return
    fd.manual_seed(0)
    model = fd.onnx.load(case.model)
    for inputs, expected in case.data_sets:
        actual = model(*(tensor(x) for x in inputs))
        actual = actual if isinstance(actual, tuple) else (actual,)
        assert len(actual) == len(expected)
        if name in RANDOM:
            check_random(actual, inputs, expected)
            continue
        for a, b in zip(actual, expected):
            compare(a, b)


# --- small models of older opsets, on disk

MODELS = {f"{kind}/{case.name}": case for kind in ("pytorch-converted", "pytorch-operator", "simple")
          for case in load_model_tests(kind=kind)}  # fmt: skip


def stored(folder, kind):
    """The tensors in a folder's files kind_0.pb, kind_1.pb, ..."""
    paths = sorted(folder.glob(f"{kind}_*.pb"), key=lambda path: int(path.stem.split("_")[1]))
    return [onnx.load_tensor(path) for path in paths]


@pytest.mark.parametrize("name", MODELS)
def test_model(name):
    case = MODELS[name]
    path = Path(case.model_dir) / "model.onnx"
    if "strnorm" in name or "gradient_of" in name:
        with pytest.raises(
            fd.Error, match=r"unsupported operators: (StringNormalizer|ai\.onnx\.preview\.training\.Gradient) "
        ):
            fd.onnx.load(path)
        return
    model = fd.onnx.load(path)
    folders = sorted(Path(case.model_dir).glob("test_data_set_*"))
    assert folders
    for folder in folders:
        actual = model(*(tensor(x) for x in stored(folder, "input")))
        actual = actual if isinstance(actual, tuple) else (actual,)
        expected = stored(folder, "output")
        assert len(actual) == len(expected)
        for a, b in zip(actual, expected):
            compare(a, b)


def test_exclusions_are_exact():
    named = [name for names, _ in EXCLUDED for name in names] + RANDOM
    assert len(named) == len({*named})
    if onnx.__version__.startswith("1.23."):
        assert {*named} <= {*CASES}
