"""Layers against NumPy formulas and, where it is installed, PyTorch: same names, shapes, text, outputs and gradients."""

import math

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import nn

DOUBLE = {"rtol": 1e-7, "atol": 1e-9}


def floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def ints(high, *shape):
    return np.random.default_rng(0).integers(0, high, shape)


def probabilities(*shape):
    return np.random.default_rng(0).uniform(0.05, 0.95, shape)


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


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


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


# --- PyTorch: name: (constructor arguments, inputs, options) ---

X3, X4 = floats(2, 4, 9), floats(2, 4, 9, 8)
SEQ = floats(5, 3, 6)
MASK = np.triu(np.ones((5, 5), dtype=bool), 1)
PADDING = np.zeros((3, 5), dtype=bool)
PADDING[1, 3:] = True

PARITY = [
    ("Linear", (4, 3), {}, (floats(2, 5, 4),)),
    ("Linear", (4, 3), {"bias": False}, (floats(4),)),
    ("Bilinear", (4, 3, 2), {}, (floats(2, 4), floats(2, 3))),
    ("Identity", (1,), {"a": 2}, (X3,)),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, (X3,)),
    ("Conv1d", (4, 6, 4), {"padding": "same", "dilation": 2}, (X3,)),
    ("Conv2d", (4, 6, 3), {}, (X4,)),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "bias": False}, (X4,)),
    ("Conv2d", (4, 8, 3), {"groups": 4, "padding": "valid"}, (X4,)),
    ("Conv2d", (4, 6, 4), {"padding": "same"}, (X4[0],)),
    ("Conv2d", (4, 6, 3), {"padding": 2, "padding_mode": "reflect"}, (X4,)),
    ("Conv2d", (4, 6, 3), {"padding": (1, 2), "padding_mode": "circular"}, (X4,)),
    ("Conv2d", (4, 6, 3), {"padding": "same", "padding_mode": "replicate"}, (X4,)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2}, (X3,)),
    ("ConvTranspose2d", (4, 6, 4, 2, 1), {"bias": False}, (X4,)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "output_padding": 1, "groups": 2, "dilation": 2}, (X4,)),
    ("MaxPool1d", (3, 2), {"padding": 1}, (X3,)),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1}, (X4,)),
    ("MaxPool2d", ((2, 3),), {"ceil_mode": True, "dilation": 2}, (X4,)),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1}, (X3,)),
    ("AvgPool2d", (3,), {"padding": 1, "count_include_pad": False}, (X4,)),
    ("AvgPool2d", (2,), {"ceil_mode": True}, (X4,)),
    ("AdaptiveAvgPool1d", (4,), {}, (X3,)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (X4,)),
    ("AdaptiveMaxPool1d", (4,), {}, (X3,)),
    ("AdaptiveMaxPool2d", (3,), {}, (X4,)),
    ("BatchNorm1d", (4,), {}, (X3,)),
    ("BatchNorm1d", (4,), {"momentum": None}, (floats(6, 4),)),
    ("BatchNorm2d", (4,), {"eps": 1e-3, "momentum": 0.3}, (X4,)),
    ("BatchNorm2d", (4,), {"affine": False, "track_running_stats": False}, (X4,)),
    ("InstanceNorm1d", (4,), {}, (X3,)),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, (X4,)),
    ("InstanceNorm2d", (4,), {}, (X4[0],)),
    ("LayerNorm", (9,), {}, (X3,)),
    ("LayerNorm", ((4, 9),), {"bias": False, "eps": 1e-3}, (X3,)),
    ("LayerNorm", (9,), {"elementwise_affine": False}, (X3,)),
    ("GroupNorm", (2, 4), {}, (X4,)),
    ("GroupNorm", (4, 4), {"affine": False}, (X3,)),
    ("RMSNorm", (9,), {}, (X3,)),
    ("RMSNorm", ((4, 9),), {"eps": 1e-2, "elementwise_affine": False}, (X3,)),
    *((name, (), {}, (floats(3, 5) * 3,)) for name in (
        "ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "LogSigmoid", "Tanh",
        "Tanhshrink", "Softsign", "Softplus", "Hardtanh", "Hardsigmoid", "Hardswish", "Softshrink", "Hardshrink", "PReLU")),
    ("LeakyReLU", (0.3,), {}, (X3,)),
    ("ELU", (), {"alpha": 0.4}, (X3,)),
    ("CELU", (0.4,), {}, (X3,)),
    ("GELU", (), {"approximate": "tanh"}, (X3,)),
    ("Softplus", (2.0, 1.0), {}, (X3,)),
    ("Hardtanh", (-0.5, 0.3), {}, (X3,)),
    ("Threshold", (0.1, 20.0), {}, (X3,)),
    ("PReLU", (4, 0.1), {}, (X4,)),
    ("GLU", (1,), {}, (X3,)),
    ("Softmax", (1,), {}, (X3,)),
    ("Softmin", (1,), {}, (X3,)),
    ("LogSoftmax", (-1,), {}, (X3,)),
    ("Softmax2d", (), {}, (X4,)),
    ("Dropout", (0.0,), {}, (X3,)),
    ("Flatten", (), {}, (X4,)),
    ("Flatten", (0, 1), {}, (X4,)),
    ("Unflatten", (1, (2, 2)), {}, (X4,)),
    ("Embedding", (10, 3), {}, (ints(10, 2, 4),)),
    ("Embedding", (10, 3), {"padding_idx": 2}, (np.array([[2, 1, 2], [0, 9, 2]]),)),
    ("Embedding", (10, 3), {"scale_grad_by_freq": True}, (np.array([[2, 1, 2], [0, 9, 2]]),)),
    ("Embedding", (10, 3), {"max_norm": 1.0}, (ints(10, 2, 4),)),
    ("RNN", (6, 4), {}, (SEQ,)),
    ("RNN", (6, 4, 2, "relu"), {"bidirectional": True}, (SEQ,)),
    ("LSTM", (6, 4), {}, (SEQ,)),
    ("LSTM", (6, 4, 2), {"bidirectional": True, "batch_first": True}, (SEQ,)),
    ("LSTM", (6, 4), {"bias": False}, (floats(5, 6),)),
    ("LSTM", (6, 4, 2), {}, (SEQ, (floats(2, 3, 4), floats(2, 3, 4, seed=1)))),
    ("GRU", (6, 4, 2), {"bidirectional": True}, (SEQ, floats(4, 3, 4))),
    ("GRU", (6, 4), {"bias": False}, (SEQ,)),
    ("RNNCell", (6, 4), {"nonlinearity": "relu"}, (SEQ[0],)),
    ("LSTMCell", (6, 4), {}, (SEQ[0], (floats(3, 4), floats(3, 4, seed=1)))),
    ("LSTMCell", (6, 4), {}, (SEQ[0, 0],)),
    ("GRUCell", (6, 4), {"bias": False}, (SEQ[0], floats(3, 4))),
    ("MultiheadAttention", (6, 2), {}, (SEQ, SEQ, SEQ)),
    ("MultiheadAttention", (6, 2), {"batch_first": True, "bias": False}, (SEQ, floats(5, 4, 6), floats(5, 4, 6, seed=2))),
    ("MultiheadAttention", (6, 2), {"kdim": 4, "vdim": 5}, (SEQ, floats(7, 3, 4), floats(7, 3, 5))),
    ("MultiheadAttention", (6, 3), {"add_bias_kv": True, "add_zero_attn": True}, (SEQ, SEQ, SEQ, PADDING, True, MASK)),
    ("MultiheadAttention", (6, 2), {}, (SEQ, SEQ, SEQ, PADDING, True, floats(6, 5, 5), False)),
    ("MultiheadAttention", (6, 2), {}, (SEQ, SEQ, SEQ, PADDING, False, MASK)),
    ("MultiheadAttention", (6, 2), {}, (SEQ, SEQ, SEQ, None, False, MASK, True, True)),
    ("MultiheadAttention", (6, 2), {}, (SEQ[:, 0], SEQ[:, 0], SEQ[:, 0])),
    ("TransformerEncoderLayer", (6, 2, 8, 0.0), {}, (SEQ,)),
    ("TransformerEncoderLayer", (6, 2, 8, 0.0, "gelu"), {"norm_first": True, "batch_first": True, "bias": False}, (SEQ,)),
    ("TransformerEncoderLayer", (6, 2, 8, 0.0), {}, (SEQ, MASK, PADDING)),
    ("TransformerDecoderLayer", (6, 2, 8, 0.0), {}, (SEQ, floats(4, 3, 6), MASK)),
    ("TransformerDecoderLayer", (6, 2, 8, 0.0), {"norm_first": True}, (SEQ, floats(4, 3, 6))),
    *((f"{kind}Pad{n}d", (2,), {}, (X3 if n == 1 else X4,))
      for kind in ("Zero", "Reflection", "Replication", "Circular") for n in (1, 2)),
    ("ConstantPad2d", ((1, 0, 2, -3), 2.5), {}, (X4,)),
    ("ReflectionPad2d", ((3, 1, 0, 2),), {}, (X4,)),
    ("PixelShuffle", (2,), {}, (X4,)),
    ("PixelUnshuffle", (2,), {}, (floats(2, 3, 4, 6),)),
    ("CosineSimilarity", (), {}, (floats(3, 4), floats(3, 4, seed=1))),
    ("PairwiseDistance", (3.0,), {"keepdim": True}, (floats(3, 4), floats(3, 4, seed=1))),
    *((name, (), {"reduction": how}, (floats(3, 4) * 2, floats(3, 4, seed=1)))
      for name in ("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss") for how in ("mean", "sum", "none")),
    ("SmoothL1Loss", (), {"beta": 0.3}, (floats(3, 4), floats(3, 4, seed=1))),
    ("HuberLoss", (), {"delta": 0.3}, (floats(3, 4), floats(3, 4, seed=1))),
    ("MSELoss", (False,), {}, (floats(3, 4), floats(3, 4, seed=1))),
    ("CrossEntropyLoss", (), {}, (floats(5, 4), ints(4, 5))),
    ("CrossEntropyLoss", (), {"label_smoothing": 0.2, "reduction": "sum"}, (floats(2, 4, 3), ints(4, 2, 3))),
    ("CrossEntropyLoss", (), {"ignore_index": 1, "reduction": "none"}, (floats(5, 4), ints(4, 5))),
    ("CrossEntropyLoss", (), {}, (floats(5, 4), softmax(floats(5, 4, seed=1)))),
    ("CrossEntropyLoss", (), {}, (floats(4), np.array(2))),
    ("NLLLoss", (), {}, (floats(5, 4), ints(4, 5))),
    ("BCELoss", (), {}, (probabilities(3, 4), probabilities(3, 4)[::-1].copy())),
    ("BCEWithLogitsLoss", (), {"reduction": "sum"}, (floats(3, 4), probabilities(3, 4))),
    ("KLDivLoss", (), {"reduction": "batchmean"}, (np.log(softmax(floats(3, 4))), softmax(floats(3, 4, seed=1)))),
    ("KLDivLoss", (), {"log_target": True, "reduction": "sum"}, (np.log(softmax(floats(3, 4))), floats(3, 4, seed=1))),
]  # fmt: skip


def parity_id(case):
    name, arguments, options, inputs = case
    text = ",".join([*map(str, arguments), *(f"{k}={v}" for k, v in options.items())])
    return f"{name}({text}) {'x'.join(map(str, inputs[0].shape))}"


def text_of(module):
    """The text, apart from what PyTorch calls its class of attention's output projection and bias of norms."""
    return repr(module).replace("NonDynamicallyQuantizableLinear", "Linear")


@pytest.mark.compare
@pytest.mark.filterwarnings("ignore::UserWarning:torch")  # of what it deprecates
@pytest.mark.parametrize("case", PARITY, ids=parity_id)
def test_as_torch(case, torch):
    name, arguments, options, inputs = case
    fd.manual_seed(0)
    ours, theirs = (
        getattr(nn, name)(*arguments, **options).double(),
        getattr(torch.nn, name)(*arguments, **options).double(),
    )
    assert text_of(ours) == text_of(theirs)
    state = theirs.state_dict()
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in state.items()
    ]
    assert [k for k, _ in ours.named_parameters()] == [k for k, _ in theirs.named_parameters()]
    rng = np.random.default_rng(0)
    for value in state.values():  # also what starts as zeros and ones
        if value.is_floating_point():
            value.copy_(torch.from_numpy(rng.uniform(0.2, 0.8, tuple(value.shape))))
    ours.load_state_dict({k: as_tensor(v.numpy()) for k, v in state.items()})

    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        results = []
        for lib, module in ((fd, ours), (torch, theirs)):
            tensors = as_tensor(inputs, lib)
            leaves = [t for t in flat(tensors) if isinstance(t, lib.Tensor) and t.is_floating_point()]
            for leaf in leaves:
                leaf.requires_grad_()
            outputs = flat(module(*tensors))
            weights = [as_tensor(floats(*o.shape, seed=3), lib) for o in outputs]
            module.zero_grad()
            if any(o.requires_grad for o in outputs):
                sum((o * w).sum() for o, w in zip(outputs, weights)).backward()
            found = [o.detach() for o in outputs]
            found += [leaf.grad for leaf in leaves]
            found += [p.grad for _, p in module.named_parameters()]
            found += list(module.buffers())
            results.append([None if t is None else as_array(t) for t in found])
        for a, b in zip(*results):
            assert (a is None) == (b is None)
            if a is not None:
                assert a.shape == b.shape
                np.testing.assert_allclose(a, b, **DOUBLE)


@pytest.mark.compare
def test_constructors_as_torch(torch):
    """The names, order and defaults of every layer's arguments."""
    import inspect

    def arguments(cls):
        return [(p.name, p.default) for p in inspect.signature(cls.__init__).parameters.values()][1:]

    removed = {"min_value", "max_value"}  # Hardtanh's, deprecated since 2017
    for name in nn.__all__:
        ours = getattr(nn, name)
        if not isinstance(ours, type) or not issubclass(ours, nn.Module) or name == "Module":
            continue
        expected = [(n, d) for n, d in arguments(getattr(torch.nn, name)) if n not in removed]
        if expected[0][0] == "args":
            continue  # typed overloads say nothing
        assert [n for n, _ in arguments(ours)] == [n for n, _ in expected], name
        for (n, a), (_, b) in zip(arguments(ours), expected):
            assert a == b or callable(a), f"{name}: {n}"
