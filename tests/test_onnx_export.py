"""fastdl.onnx.export: every layer to a file and back, ops by ops, and what must not be written."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import nn
from fastdl.models import BertModel
from fastdl.nn import functional as F

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
runtime.set_default_logger_severity(4)


@pytest.fixture
def path(tmp_path):
    fd.manual_seed(0)
    return tmp_path / "x.onnx"


def flat(value):
    return [t for v in value for t in flat(v)] if isinstance(value, (tuple, list)) else [value]


def round_trip(module, args, path):
    """Exports (onnxruntime agrees, or it raises), loads the file and compares once more."""
    fd.onnx.export(module, args, path)
    model = fd.onnx.load(path)
    inputs = list({id(t): t for t in flat(args)}.values())
    expected = [t for t in flat(module(*args)) if t is not None]
    actual = flat(model(*inputs))
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected):
        assert a.dtype == b.dtype
        close = 2e-3 if a.dtype == fd.float16 else 1e-5
        np.testing.assert_allclose(
            a.detach().numpy(force=True), b.detach().numpy(force=True), rtol=10 * close, atol=close
        )
    return model


def image(channels=4, size=(7, 6), batch=2):
    return lambda: (fd.randn(batch, channels, *size),)


def rows(*shape):
    return lambda: (fd.randn(*shape) * 3,)


def same_thrice():
    x = fd.randn(5, 2, 8)
    return x, x, x


LAYERS = {
    "Linear": (lambda: nn.Linear(4, 3), rows(2, 4)),
    "Linear 3-d, no bias": (lambda: nn.Linear(4, 3, bias=False), rows(2, 5, 4)),
    "Linear 1-d": (lambda: nn.Linear(4, 3), rows(4)),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 5), lambda: (fd.randn(2, 3), fd.randn(2, 4))),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3), rows(2, 4, 9)),
    "Conv2d": (lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), groups=2), image()),
    "Conv2d dilated, one image": (lambda: nn.Conv2d(4, 4, 3, dilation=2, padding="valid"), rows(4, 9, 9)),
    "Conv2d same": (lambda: nn.Conv2d(4, 4, 4, padding="same"), image()),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 2, 3, 2), rows(2, 4, 5)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 4, 3, 2, 1, 1, groups=2), image()),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6), rows(4, 6)),
    "BatchNorm2d, no affine": (lambda: nn.BatchNorm2d(4, affine=False), image()),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), image()),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), image()),
    "LayerNorm": (lambda: nn.LayerNorm((7, 6)), image()),
    "LayerNorm, no affine": (lambda: nn.LayerNorm(6, elementwise_affine=False), image()),
    "RMSNorm": (lambda: nn.RMSNorm(6), image()),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), rows(2, 4, 7)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), image()),
    "MaxPool2d with indices": (lambda: nn.MaxPool2d(2, return_indices=True), image()),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, 2, 1), image()),
    "AvgPool2d, without pads, ceil": (lambda: nn.AvgPool2d(3, 2, 1, True, False), image()),
    "AvgPool2d, divisor": (lambda: nn.AvgPool2d(2, divisor_override=3), image()),
    "AdaptiveAvgPool2d to 1": (lambda: nn.AdaptiveAvgPool2d(1), image()),
    "AdaptiveAvgPool2d, uneven": (lambda: nn.AdaptiveAvgPool2d((3, 4)), image()),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((7, 3)), image()),
    "Embedding": (lambda: nn.Embedding(10, 4), lambda: (fd.tensor([[1, 2], [3, 9]]),)),
    "RNN": (lambda: nn.RNN(5, 7, 2), rows(4, 3, 5)),
    "RNN relu, no bias": (lambda: nn.RNN(5, 7, nonlinearity="relu", bias=False), rows(4, 3, 5)),
    "LSTM both ways": (lambda: nn.LSTM(5, 7, 2, bidirectional=True), rows(4, 3, 5)),
    "LSTM with a state": (
        lambda: nn.LSTM(5, 7, batch_first=True),
        lambda: (fd.randn(4, 3, 5), (fd.randn(1, 4, 7), fd.randn(1, 4, 7))),
    ),
    "GRU": (lambda: nn.GRU(5, 7, 2, bidirectional=True), rows(4, 3, 5)),
    "LSTMCell": (lambda: nn.LSTMCell(5, 7), rows(3, 5)),
    "GRUCell": (lambda: nn.GRUCell(5, 7), rows(3, 5)),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(8, 2), same_thrice),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, nn.LayerNorm(8)),
        rows(2, 5, 8),
    ),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", norm_first=True), rows(5, 2, 8)),
    "TransformerDecoderLayer": (
        lambda: nn.TransformerDecoderLayer(8, 2, 16),
        lambda: (fd.randn(5, 2, 8), fd.randn(4, 2, 8)),
    ),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), image()),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), image(size=(6, 4))),
    "CosineSimilarity": (lambda: nn.CosineSimilarity(), lambda: (fd.randn(2, 4), fd.randn(2, 4))),
    "Flatten": (lambda: nn.Flatten(), image()),
    "Dropout": (lambda: nn.Dropout(), rows(3, 4)),
    "Threshold": (lambda: nn.Threshold(0.1, 20.0), rows(3, 4)),
    "GELU tanh": (lambda: nn.GELU("tanh"), rows(3, 4)),
    "Softplus beta": (lambda: nn.Softplus(2.0, 3.0), rows(3, 4)),
}  # fmt: skip
for name in (
    "CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid", "Mish",
    "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink",
):  # fmt: skip
    LAYERS[name] = (getattr(nn, name), rows(3, 4))
for name in ("Softmax", "LogSoftmax", "Softmin"):
    LAYERS[name] = (lambda name=name: getattr(nn, name)(dim=1), rows(3, 4, 2))
for name in ("ReflectionPad2d", "ReplicationPad2d", "CircularPad2d", "ZeroPad2d"):
    LAYERS[name] = (lambda name=name: getattr(nn, name)((1, 2, 0, 1)), image())


@pytest.mark.parametrize("name", LAYERS)
def test_layers(path, name):
    make, args = LAYERS[name]
    round_trip(make().eval(), args(), path)


X = fd.tensor([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]])
INTS = fd.tensor([[5, -3, 2], [7, 4, -6]])
UNARY = """abs acos acosh asin asinh atan atanh ceil cos cosh erf erfc exp exp2 expm1 floor isfinite isinf isnan log10 log1p log2 neg reciprocal relu
round rsqrt sigmoid sign sin sinh sqrt square tan tanh trunc""".split()
FUNCTIONS = {
    "scaled add": lambda x: fd.add(x, x.t().reshape(2, 3), alpha=2) - fd.sub(x, 1.5, alpha=3),
    "reflected operators": lambda x: 2 - x + (1 / (x + 5)) * (3 ** (x / 4)),
    "floor and modulo": lambda x: (x // 0.7, x % 0.7, fd.fmod(x, 0.7), x.clamp(0.1) ** 1.5),
    "comparisons": lambda x: (x > 0, x >= 0.5, x < x.mean(), x <= 2, x == 2.0, x != 2.0),
    "logic": lambda x: (~(x > 0) & (x < 2), (x > 0) | (x < -1), fd.logical_xor(x > 0, x > 1), fd.logical_not(x)),
    "where and masks": lambda x: (fd.where(x > 0, x, -1.0), x.masked_fill(x < 0, 9.0)),
    "clamp": lambda x: (x.clamp(-1, 1), x.clamp(min=0), x.clamp(max=fd.tensor([1.0, 0.0, -1.0]))),
    "maximum": lambda x: (fd.maximum(x, fd.zeros(3)), fd.minimum(x, fd.ones(1))),
    "lerp": lambda x: fd.lerp(x, x * 2, 0.25) + fd.addcmul(x, x, x, value=0.5) + fd.addcdiv(x, x, x + 9),
    "types": lambda x: (x.int() + 1, x.double() / 3, x.bool(), (x > 0).sum(), x.half().float()),
    "views": lambda x: (x.view(3, 2), x.t(), x.T, x.mT, x.unsqueeze(1).squeeze(), x.flatten(), x.reshape(-1, 1).expand(6, 2)),
    "permutations": lambda x: (
        x.reshape(1, 2, 3).permute(2, 0, 1),
        x.reshape(1, 2, 3).movedim(0, -1),
        x.reshape(1, 2, 3).transpose(0, 2),
    ),
    "basic index": lambda x: (x[0], x[:, 1:], x[..., -1], x[None, 1, ::2], x[-1, -2], x[1:1]),
    "fixed places": lambda x: (x[:, [2, 0]], x[fd.tensor([True, False])], x[fd.tensor([1, 0]), fd.tensor([2, 2])]),
    "pieces": lambda x: (*x.split(2, 1), *x.chunk(3, -1), *x.unbind(0), *x.split([1, 2], 1), x.narrow(1, 1, 2), x.select(1, -1)),
    "iteration": lambda x: sum(row * i for i, row in enumerate(x)),
    "joins": lambda x: (fd.cat([x, x.int(), fd.ones(1, 3)]), fd.stack([x, -x], -1)),
    "copies": lambda x: (x.repeat(2, 1, 2), fd.tile(x, (2,)), x.repeat_interleave(2, 1), x.repeat_interleave(3)),
    "order": lambda x: (x.flip(0, 1), x.roll(1, 1), x.tril(), x.triu(1), x.diagonal(), x.unfold(1, 2, 1), x.as_strided((2,), (2,), 1)),
    "reductions": lambda x: (
        x.sum(), x.sum(0), x.mean((0, 1), True), x.prod(1), x.amax(1), x.amin(), x.max(1).values, x.min(0).indices,
        (x > 0).all(1), (x > 2).any(), fd.count_nonzero(x > 0, 0), x.int().sum(1),
    ),
    "moments": lambda x: (x.var(1), x.std(), x.var(0, unbiased=False), x.norm(), x.norm(1, 1), x.norm(3.0, 1), x.norm(float("inf"))),
    "places": lambda x: (x.argmax(), x.argmax(1), x.argmin(0, True)),
    "sorting": lambda x: (*x.sort(1), *x.topk(2), x.argsort(0, descending=True), x.cumsum(1), fd.logsumexp(x, 1)),
    "products": lambda x: (
        x @ x.t(), x @ x[0], fd.dot(x[0], x[1]), fd.outer(x[0], x[1]), fd.mm(x, x.t()), fd.mv(x, x[0]),
        fd.addmm(fd.ones(2), x, x.t(), beta=2, alpha=0.5), fd.bmm(x.reshape(1, 2, 3), x.reshape(1, 3, 2)),
        fd.baddbmm(x[:, :2].reshape(1, 2, 2), x.reshape(1, 2, 3), x.reshape(1, 3, 2), beta=0),
    ),
    "gather": lambda x: (
        fd.gather(x, 1, fd.tensor([[0, 0], [2, 1]])), x.index_select(1, fd.tensor([2, 0])),
        fd.scatter(x, 1, fd.tensor([[0], [2]]), fd.ones(2, 1)), fd.scatter_add(x, 1, fd.tensor([[0, 0], [2, 2]]), x[:, :2]),
        fd.take_along_dim(x, x.argsort(1), 1), fd.take_along_dim(x, fd.tensor([0, 5])),
    ),
    "index_add": lambda x: (
        x.index_add(1, fd.tensor([2, 0, 2]), x, alpha=0.5), fd.zeros(3).index_add(0, x.argmax(1), x[:, 0]), (x * 1).index_add_(0, fd.tensor([1]), x[:1]),
    ),
    "index from the input": lambda x: fd.arange(6.0)[x.argmax(1)],
    "attention": lambda x: F.scaled_dot_product_attention(*(x.reshape(1, 2, 3) * i for i in (1, 2, 3)), is_causal=True),
    "attention with masks": lambda x: (
        F.scaled_dot_product_attention(*(x.reshape(1, 2, 3),) * 3, attn_mask=fd.tensor([[True, False], [True, True]])),
        F.scaled_dot_product_attention(*(x.reshape(1, 2, 3),) * 3, attn_mask=x[:, :2], scale=0.3),
    ),
    "grouped attention": lambda x: F.scaled_dot_product_attention(
        x.reshape(1, 2, 1, 3), x[:1].reshape(1, 1, 1, 3), x[1:].reshape(1, 1, 1, 3), enable_gqa=True
    ),
    "constants": lambda x: (x + fd.arange(3), fd.ones(2), x * fd.eye(2, 3)),
    "the input itself": lambda x: (x, x),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ops(path, name):
    round_trip(FUNCTIONS[name], (X,), path)


@pytest.mark.parametrize("name", UNARY)
def test_unary_ops(path, name):
    x = (
        X / 4
        if name in ("acos", "asin", "atanh")
        else X.abs() + 1.1
        if name == "acosh"
        else X.abs() + 0.1
        if name.startswith("log") or "sqrt" in name
        else X
    )
    round_trip(getattr(fd, name), (x,), path)


def test_integers(path):
    round_trip(lambda x: (x // 3, x % 3, x * x - 2, -x, x.abs(), x & 6, x | 1, x ^ 3, ~x, x / 2), (INTS,), path)


def test_shifts(path):
    round_trip(lambda x: (x << 1, x >> 1, fd.hypot(x.float(), fd.ones(3))), (INTS,), path)


def operators_in_place(x):
    y = x.abs()
    y **= 2
    y //= 0.3
    y %= 0.5
    return y, (x * 2).sinh_().atan_().floor_divide_(0.3)


def test_operators_that_write_in_place(path):
    round_trip(operators_in_place, (X,), path)


def in_place(x):
    y = x * 2
    y += 1
    y[0] = 7.0
    y[:, 1] *= x[:, 0]
    y.relu_().mul_(2).clamp_(max=9)
    z = fd.zeros(3, 3)
    z[1:, :2] = x[:, 1:]
    z[0] += x[0]
    w = fd.empty(2, 3)
    w.copy_(x[1])
    return y, z, w


def test_writing_in_place(path):
    round_trip(in_place, (X,), path)


def views_of_what_is_written(x):
    y = x * 2
    row, column, corner = y[0], y[:, 1], y[0, 1]
    y[0, 1] = 5.0
    column *= 3
    flat = y.view(-1)
    flat[4] = x[0, 0]
    zeros = fd.zeros(2, 2)
    diagonal = zeros.diagonal()
    zeros[0] = x[0, :2]
    return y, row, column, corner, diagonal


def test_writing_through_views(path):
    round_trip(views_of_what_is_written, (X,), path)


def test_bert(path):
    model = BertModel(
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=6,
    ).eval()
    ids, mask = fd.tensor([[1, 2, 3], [4, 5, 6]]), fd.tensor([[1, 1, 1], [1, 1, 0]])
    fd.onnx.export(model, (ids, mask), path, input_names=["ids", "mask"], output_names=["hidden", "pooled"])
    loaded = fd.onnx.load(path)
    assert loaded.input_names == ("ids", "mask")
    assert loaded.output_names == ("hidden", "pooled")
    hidden, _pooled = loaded(mask=mask, ids=ids)
    np.testing.assert_allclose(hidden.numpy(force=True), model(ids, mask)[0].detach().numpy(force=True), atol=1e-5)
    folded = {"embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"}  # at fixed places
    assert {*model.state_dict()} - {*loaded.state_dict()} <= folded


def test_names_of_parameters_and_shared_weights(path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3)
            self.b = nn.Linear(3, 3)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    fd.onnx.export(Tied(), X, path)
    names = [i.name for i in onnx.load(path).graph.initializer]
    assert sorted(names) == ["a.bias", "a.weight", "b.bias"]


def test_training_mode_comes_back(path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))
    model[0].eval()
    before = model[2].running_mean.tolist()
    fd.onnx.export(model, X, path)
    assert [m.training for m in model.modules()] == [True, False, True, True]
    assert model[2].running_mean.tolist() == before


def reads_a_value(x):
    return x * 2 if x.sum() > 0 else x


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("last", fd.zeros(2, 3))

    def forward(self, x):
        self.last.copy_(x)
        return x + 1


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (reads_a_value, "read on the host"),
        (lambda x: x * x.sum().item(), "read on the host"),
        (lambda x: x * float(x[0, 0]), "read on the host"),
        (lambda x: x + fd.tensor(x.tolist()), "read on the host"),
        (lambda x: x + fd.tensor(x.numpy(force=True) + 1), "read on the host|to_device has no form"),
        (lambda x: x + fd.tensor(x), "read on the host"),
        (lambda x: fd.bernoulli(x.sigmoid()), "the op bernoulli has no form"),
        (lambda x: fd.nonzero(x), "the op nonzero has no form"),
        (lambda x: F.mse_loss(x, x), "the op mse_loss has no form"),
        (lambda x: x + fd.rand(3), "gives another output_0"),
        (Counter(), "a tensor of the module's"),
        (lambda x: 3, "gives no tensor"),
        (lambda x: x.to(fd.bfloat16), "bfloat16|not written"),
    ],
)
def test_what_is_not_written(path, module, message):
    path.write_bytes(b"what was there")
    with pytest.raises((fd.Error, BufferError), match=message):
        fd.onnx.export(module, X, path)
    assert path.read_bytes() == b"what was there"
    assert len(list(path.parent.iterdir())) == 1
    (X + 1).sum().item()  # nothing observes any more


def test_bad_arguments(path):
    with pytest.raises(ValueError, match="no tensor"):
        fd.onnx.export(nn.Linear(3, 3), (), path)
    with pytest.raises(ValueError, match="expected 1 different"):
        fd.onnx.export(nn.Linear(3, 3), X, path, input_names=["a", "b"])
    with pytest.raises(OSError, match="no folder"):
        fd.onnx.export(nn.Linear(3, 3), X, path.parent / "missing" / "x.onnx")
    with pytest.raises(fd.ShapeError, match="linear"):
        fd.onnx.export(nn.Linear(4, 3), X, path)


def test_a_value_that_the_module_froze_is_found(path):
    memory = {}

    def first_call(x):
        memory.setdefault("x", x.detach().numpy(force=True).copy())
        return x + fd.tensor(memory["x"])

    first_call(X)
    with pytest.raises(fd.Error, match="gives another"):
        fd.onnx.export(lambda x: x + fd.tensor(np.array(memory["x"] if (x is X) else -memory["x"])), X, path)


def test_float16(path):
    round_trip(nn.Linear(3, 2).half(), (X.half(),), path)


# --- free sizes

FREE = {
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.ZeroPad2d(1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)
        ),
        lambda: fd.randn(2, 3, 8, 8), {0: "N"},
    ),
    "image size": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.PixelShuffle(2), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        lambda: fd.randn(2, 3, 8, 9), {0: "N", 2: "H", 3: "W"},
    ),
    "lstm": (lambda: nn.LSTM(5, 7, 2, bidirectional=True), lambda: fd.randn(4, 3, 5), {0: "T", 1: "N"}),
    "gru": (lambda: nn.GRU(5, 7, batch_first=True), lambda: fd.randn(4, 3, 5), {0: "N", 1: "T"}),
    "transformer": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), lambda: fd.randn(2, 5, 8),
        {0: "N", 1: "T"},
    ),
    "causal attention": (
        lambda: lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), lambda: fd.randn(2, 3, 5, 4), {0: "N", 2: "T"}
    ),
    "mask and places": (
        lambda: lambda x: (x + nn.transformer.generate_square_subsequent_mask(x.shape[1]))[:, -1] * fd.arange(x.shape[1]),
        lambda: fd.randn(2, 4, 4)[:, :4, :4], {0: "N"},
    ),
    "sums of sizes": (lambda: lambda x: fd.cat([x, x[1:], fd.zeros(2, x.shape[1])]).reshape(-1), lambda: fd.randn(3, 4), {0: "a", 1: "b"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FREE)
def test_free_sizes(path, name):
    make, args, axes = FREE[name]
    module, x = make(), args()
    if isinstance(module, nn.Module):
        module.eval()
    fd.onnx.export(module, x, path, dynamic_axes={"input_0": axes})
    loaded = fd.onnx.load(path)
    for extra in (0, 1, 4):
        places = [fd.arange(n + extra if d in axes else n) % n for d, n in enumerate(x.shape)]
        other = x
        for d, p in enumerate(places):
            other = other.index_select(d, p)
        actual, expected = flat(loaded(other)), flat(module(other))
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a.detach().numpy(force=True), b.detach().numpy(force=True), rtol=1e-4, atol=1e-5)


def test_declared_sizes(path):
    fd.onnx.export(
        nn.Flatten(), fd.randn(2, 3, 4), path, input_names=["x"], dynamic_axes={"x": {0: "batch", 2: "width"}}
    )
    graph = onnx.load(path).graph
    assert [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == ["batch", 3, "width"]
    assert [d.dim_param or d.dim_value for d in graph.output[0].type.tensor_type.shape.dim] == [
        "batch",
        "output_0_size_1",
    ]
    fd.onnx.export(nn.Linear(4, 2), fd.randn(2, 4), path, dynamic_axes={"input_0": [0]})
    graph = onnx.load(path).graph
    assert graph.output[0].type.tensor_type.shape.dim[0].dim_param == "input_0_size_0"


@pytest.mark.parametrize(
    ("module", "axes", "message"),
    [
        (lambda x: x, {"y": [0]}, "dynamic_axes name 'y'"),
        (lambda x: x, {"input_0": [2]}, "dimension 2 is out of range"),
        (lambda x: x, {"input_0": {0: "n", 1: "n"}}, "'n' is 2 and, in input_0, 3"),
        (lambda x: x * x.shape[0], {"input_0": [0]}, "other values at other sizes"),
        (lambda x: x.relu() if x.shape[0] > 3 else x.abs() + 1, {"input_0": [0]}, "nodes|depends on a size"),
        (lambda x: x + fd.rand(x.shape[0], 1), {"input_0": [0]}, "neither uniform"),
        (lambda x: x.reshape(-1)[: x.shape[0] ** 2], {"input_0": [0]}, "no simple way|other output"),
    ],
)
def test_sizes_that_cannot_be_free(path, module, axes, message):
    with pytest.raises(fd.Error, match=message):
        fd.onnx.export(module, X, path, dynamic_axes=axes)
    assert not path.exists()
