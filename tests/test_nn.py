"""Layers against NumPy formulas."""

import math

import numpy as np
import pytest
from layer_cases import floats, ints, probabilities, softmax

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import nn

DOUBLE = {"rtol": 1e-7, "atol": 1e-9}


def as_tensor(array, lib=fd):
    if isinstance(array, (list, tuple)):
        return tuple(as_tensor(a, lib) for a in array)
    if not isinstance(array, np.ndarray):
        return array
    dtype = lib.bool if array.dtype == bool else lib.int64 if array.dtype.kind == "i" else lib.float64
    return lib.tensor(array.tolist(), dtype=dtype).reshape(array.shape)


def as_array(t):
    return np.array(t.tolist(), dtype=np.float64).reshape(tuple(t.shape))


def flat(output):
    """The tensors in a module's output."""
    if isinstance(output, (list, tuple)):
        return [t for o in output for t in flat(o)]
    return [] if output is None else [output]


# --- NumPy: the formulas, from the layer's own parameters ---


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalized(x, axes, eps=1e-5):
    mean = x.mean(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


def conv2d_formula(p, x):
    w, out = p["weight"], []
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for i in range(0, x.shape[2] - 2, 2):
        out.append([np.einsum("nchw,ochw->no", x[:, :, i : i + 3, j : j + 3], w) for j in range(0, x.shape[3] - 2, 2)])
    return np.array(out).transpose(2, 3, 0, 1) + p["bias"][:, None, None]


def lstm_formula(p, x):
    h = c = np.zeros((x.shape[1], p["weight_hh_l0"].shape[1]))
    ys = []
    for step in x:
        a = step @ p["weight_ih_l0"].T + p["bias_ih_l0"] + h @ p["weight_hh_l0"].T + p["bias_hh_l0"]
        i, f, g, o = np.split(a, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        ys.append(h)
    return np.array(ys), h[None], c[None]


def gru_formula(p, x):
    h, ys = np.zeros((x.shape[1], p["weight_hh_l0"].shape[1])), []
    for step in x:
        from_x = np.split(step @ p["weight_ih_l0"].T + p["bias_ih_l0"], 3, axis=-1)
        from_h = np.split(h @ p["weight_hh_l0"].T + p["bias_hh_l0"], 3, axis=-1)
        r, z = sigmoid(from_x[0] + from_h[0]), sigmoid(from_x[1] + from_h[1])
        h = (1 - z) * np.tanh(from_x[2] + r * from_h[2]) + z * h
        ys.append(h)
    return np.array(ys), h[None]


def attention_formula(p, x):  # (T, N, E), 2 heads
    q, k, v = np.split(x @ p["in_proj_weight"].T + p["in_proj_bias"], 3, axis=-1)
    heads, weights = [], []
    for a, b, c in zip(np.split(q, 2, -1), np.split(k, 2, -1), np.split(v, 2, -1)):
        w = softmax(np.einsum("tnd,snd->nts", a, b) / math.sqrt(a.shape[-1]))
        weights.append(w)
        heads.append(np.einsum("nts,snd->tnd", w, c))
    return np.concatenate(heads, -1) @ p["out_proj.weight"].T + p["out_proj.bias"], np.mean(weights, axis=0)


FORMULAS = {
    "Linear": (lambda: nn.Linear(5, 3), (floats(4, 5),), lambda p, x: x @ p["weight"].T + p["bias"]),
    "Bilinear": (
        lambda: nn.Bilinear(5, 3, 2),
        (floats(4, 5), floats(4, 3)),
        lambda p, x, y: np.einsum("ni,kij,nj->nk", x, p["weight"], y) + p["bias"],
    ),
    "Conv2d": (lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1), (floats(2, 3, 7, 6),), conv2d_formula),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), (floats(4, 3, 5, 2),), lambda p, x: normalized(x, (0, 2, 3))),
    "LayerNorm": (lambda: nn.LayerNorm((3, 4)), (floats(5, 3, 4),), lambda p, x: normalized(x, (1, 2))),
    "GroupNorm": (
        lambda: nn.GroupNorm(2, 6),
        (floats(3, 6, 5),),
        lambda p, x: normalized(x.reshape(3, 2, 15), (2,)).reshape(x.shape),
    ),
    "RMSNorm": (
        lambda: nn.RMSNorm(6, eps=1e-3),
        (floats(3, 6),),
        lambda p, x: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-3),
    ),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(3), (floats(2, 3, 4, 5),), lambda p, x: normalized(x, (2, 3))),
    "MaxPool2d": (
        lambda: nn.MaxPool2d(2),
        (floats(2, 3, 4, 6),),
        lambda p, x: x.reshape(2, 3, 2, 2, 3, 2).max(axis=(3, 5)),
    ),
    "AvgPool2d": (
        lambda: nn.AvgPool2d(2),
        (floats(2, 3, 4, 6),),
        lambda p, x: x.reshape(2, 3, 2, 2, 3, 2).mean(axis=(3, 5)),
    ),
    "AdaptiveAvgPool2d": (
        lambda: nn.AdaptiveAvgPool2d(1),
        (floats(2, 3, 4, 6),),
        lambda p, x: x.mean(axis=(2, 3), keepdims=True),
    ),
    "Embedding": (lambda: nn.Embedding(9, 4), (ints(9, 3, 5),), lambda p, i: p["weight"][i]),
    "LSTM": (lambda: nn.LSTM(4, 5), (floats(6, 3, 4),), lstm_formula),
    "GRU": (lambda: nn.GRU(4, 5), (floats(6, 3, 4),), gru_formula),
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(6, 2),
        (floats(5, 3, 6),) * 3,
        lambda p, x, *_: attention_formula(p, x),
    ),
    "CrossEntropyLoss": (
        lambda: nn.CrossEntropyLoss(),
        (floats(4, 5), ints(5, 4)),
        lambda p, x, i: -np.log(softmax(x)[np.arange(4), i]).mean(),
    ),
    "BCEWithLogitsLoss": (
        lambda: nn.BCEWithLogitsLoss(),
        (floats(4, 5), probabilities(4, 5)),
        lambda p, x, y: -(y * np.log(sigmoid(x)) + (1 - y) * np.log(1 - sigmoid(x))).mean(),
    ),
    "GELU": (
        lambda: nn.GELU(),
        (floats(7),),
        lambda p, x: x * np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x]),
    ),
    "GLU": (lambda: nn.GLU(), (floats(3, 8),), lambda p, x: x[:, :4] * sigmoid(x[:, 4:])),
    "Softmax": (lambda: nn.Softmax(1), (floats(3, 8),), lambda p, x: softmax(x)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name):
    fd.manual_seed(0)
    make, inputs, formula = FORMULAS[name]
    module = make().double()
    parameters = {name: as_array(value) for name, value in module.state_dict().items()}
    got = flat(module(*as_tensor(inputs)))
    expected = formula(parameters, *inputs)
    expected = list(expected) if isinstance(expected, tuple) else [expected]
    assert len(got) == len(expected)
    for a, b in zip(got, expected):
        np.testing.assert_allclose(as_array(a), b, **DOUBLE)


def test_batch_norm_statistics():
    norm = nn.BatchNorm1d(3, momentum=0.25).double()
    mean, var = np.zeros(3), np.ones(3)
    for i in range(3):
        x = floats(6, 3, seed=i) * 2 + 1
        norm(as_tensor(x))
        mean, var = 0.75 * mean + 0.25 * x.mean(0), 0.75 * var + 0.25 * x.var(0, ddof=1)
    np.testing.assert_allclose(as_array(norm.running_mean), mean, **DOUBLE)
    np.testing.assert_allclose(as_array(norm.running_var), var, **DOUBLE)
    assert norm.num_batches_tracked.item() == 3
    x = floats(2, 3, seed=9)
    np.testing.assert_allclose(as_array(norm.eval()(as_tensor(x))), (x - mean) / np.sqrt(var + 1e-5), **DOUBLE)
    assert norm.num_batches_tracked.item() == 3


def test_dropout():
    fd.manual_seed(0)
    x = fd.ones(100, 100)
    y = as_array(nn.Dropout(0.3)(x))
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / y.size)
    channels = as_array(nn.Dropout2d(0.5)(fd.ones(40, 50, 3, 2)))
    assert set(np.unique(channels)) == {0.0, 2.0}
    assert (channels == channels[:, :, :1, :1]).all()
    assert abs((channels == 0).mean() - 0.5) < 0.06
    normal = as_array(nn.AlphaDropout(0.2)(fd.randn(300, 300)))
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.03
    w = fd.ones(1000, requires_grad=True)
    y = F.dropout(w, 0.5)
    y.sum().backward()
    assert w.grad.tolist() == y.tolist()  # the mask of the forward
    assert nn.Dropout(0.5).eval()(x) is x
    for wrong in (lambda: nn.Dropout(1.5), lambda: F.dropout(x, -0.1), lambda: F.dropout(x, 2.0, training=False)):
        with pytest.raises(ValueError):
            wrong()


def test_gumbel_softmax():
    fd.manual_seed(0)
    logits = fd.tensor([0.1, 0.2, 0.7]).log().expand(20000, 3)
    hard = as_array(F.gumbel_softmax(logits, hard=True))
    assert np.abs(hard.sum(-1) - 1).max() < 1e-6
    np.testing.assert_allclose(hard.mean(0), [0.1, 0.2, 0.7], atol=0.02)
    x = fd.zeros(4, 3, requires_grad=True)
    y = F.gumbel_softmax(x, tau=0.5, hard=True, dim=0)
    (y * fd.arange(12.0).view(4, 3)).sum().backward()
    assert float(x.grad.abs().sum()) > 0
