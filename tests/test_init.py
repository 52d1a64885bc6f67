"""Initial values: bounds, means and variances from their formulas; structure; PyTorch's defaults in layers."""

import math

import numpy as np
import pytest

import fastdl as fd
from fastdl import nn
from fastdl.nn import init


@pytest.fixture(autouse=True)
def _seed():
    fd.manual_seed(0)


def values(t):
    return np.array(t.tolist(), dtype=np.float64)


def fans(shape):
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


SHAPE = (40, 30, 3, 3)
IN, OUT = fans(SHAPE)

UNIFORM = [  # function, bound
    (lambda w: init.uniform_(w, -2.0, 2.0), 2.0),
    (lambda w: init.xavier_uniform_(w), math.sqrt(6 / (IN + OUT))),
    (lambda w: init.xavier_uniform_(w, gain=2.0), 2 * math.sqrt(6 / (IN + OUT))),
    (lambda w: init.kaiming_uniform_(w), math.sqrt(6 / IN)),
    (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), 1 / math.sqrt(IN)),
    (lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"), math.sqrt(6 / OUT)),
]
NORMAL = [  # function, mean, standard deviation
    (lambda w: init.normal_(w, 1.0, 2.0), 1.0, 2.0),
    (lambda w: init.xavier_normal_(w), 0.0, math.sqrt(2 / (IN + OUT))),
    (lambda w: init.kaiming_normal_(w, nonlinearity="tanh"), 0.0, 5 / 3 / math.sqrt(IN)),
    (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="selu"), 0.0, 0.75 / math.sqrt(OUT)),
]


@pytest.mark.parametrize(("fill", "bound"), UNIFORM)
def test_uniform(fill, bound):
    w = fd.empty(*SHAPE)
    assert fill(w) is w
    x = values(w) / bound
    n = x.size
    assert np.abs(x).max() <= 1 + 1e-6
    assert np.abs(x).max() > 1 - 50 / n
    assert abs(x.mean()) < 5 * math.sqrt(1 / 3 / n)
    assert abs(x.var() - 1 / 3) < 5 * math.sqrt(4 / 45 / n)


@pytest.mark.parametrize(("fill", "mean", "std"), NORMAL)
def test_normal(fill, mean, std):
    x = (values(fill(fd.empty(*SHAPE))) - mean) / std
    n = x.size
    assert abs(x.mean()) < 5 / math.sqrt(n)
    assert abs(x.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs((x**3).mean()) < 5 * math.sqrt(15 / n)  # symmetric
    assert abs((x**4).mean() - 3) < 5 * math.sqrt(96 / n)  # with a normal's tails


def test_truncated_normal():
    x = values(init.trunc_normal_(fd.empty(100, 100), mean=0.5, std=2.0, a=-0.5, b=2.5))
    assert x.min() >= -0.5
    assert x.max() <= 2.5
    alpha, beta = (-0.5 - 0.5) / 2, (2.5 - 0.5) / 2
    density = lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    mass = (math.erf(beta / math.sqrt(2)) - math.erf(alpha / math.sqrt(2))) / 2
    mean = 0.5 + 2 * (density(alpha) - density(beta)) / mass
    assert abs(x.mean() - mean) < 5 * x.std() / 100


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6), (4, 3, 2, 2), (1, 7), (7, 1)])
def test_orthogonal(shape):
    w = values(init.orthogonal_(fd.empty(*shape), gain=2.0)).reshape(shape[0], -1) / 2
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    assert np.abs(product - np.eye(len(product))).max() < 1e-5


def test_structured():
    assert values(init.eye_(fd.empty(3, 2))).tolist() == np.eye(3, 2).tolist()
    assert values(init.constant_(fd.empty(2), 0.25)).tolist() == [0.25, 0.25]
    w = values(init.dirac_(fd.empty(4, 2, 3, 3), groups=2))
    assert w.sum() == 4
    assert [tuple(i) for i in np.argwhere(w)] == [(0, 0, 1, 1), (1, 1, 1, 1), (2, 0, 1, 1), (3, 1, 1, 1)]
    zeros = (values(init.sparse_(fd.empty(20, 6), 0.3)) == 0).sum(axis=0)
    assert zeros.tolist() == [6] * 6


def test_gains():
    expected = {"linear": 1, "conv2d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    assert {name: init.calculate_gain(name) for name in expected} == expected
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 1e-4))
    for wrong in (lambda: init.calculate_gain("none"), lambda: init.calculate_gain("leaky_relu", "x")):
        with pytest.raises(ValueError):
            wrong()


@pytest.mark.parametrize("fill", [init.xavier_uniform_, init.kaiming_normal_, init.orthogonal_, init.eye_, init.dirac_])
def test_too_few_dimensions(fill):
    with pytest.raises(fd.ShapeError, match=r"\[3\]"):
        fill(fd.empty(3))


def test_nothing_is_recorded_and_seeds_repeat():
    w = nn.Parameter(fd.empty(10, 10))
    for fill in (init.uniform_, init.normal_, init.trunc_normal_, init.kaiming_uniform_, init.orthogonal_, init.zeros_):
        assert fill(w) is w
        assert w.is_leaf
    generator = fd.Generator()
    drawn = []
    for _ in range(2):
        generator.manual_seed(3)
        drawn.append(init.normal_(fd.empty(5), generator=generator).tolist())
    assert drawn[0] == drawn[1]
    assert init.normal_(fd.empty(5), generator=generator).tolist() != drawn[0]


# layer, parameter, the bound of its uniform distribution, or ("normal", std), or a constant
DEFAULTS = [
    (lambda: nn.Linear(300, 200), "weight", 1 / math.sqrt(300)),
    (lambda: nn.Linear(300, 2000), "bias", 1 / math.sqrt(300)),
    (lambda: nn.Conv2d(16, 64, 3, groups=4), "weight", 1 / math.sqrt(4 * 9)),
    (lambda: nn.Conv2d(16, 640, 3), "bias", 1 / math.sqrt(16 * 9)),
    (lambda: nn.Conv1d(64, 64, 3), "weight", 1 / math.sqrt(64 * 3)),
    (lambda: nn.ConvTranspose2d(16, 64, 3), "weight", 1 / math.sqrt(64 * 9)),
    (lambda: nn.Conv3d(8, 64, 3), "weight", 1 / math.sqrt(8 * 27)),
    (lambda: nn.ConvTranspose3d(8, 64, 3, groups=2), "weight", 1 / math.sqrt(32 * 27)),
    (lambda: nn.LSTM(50, 60, proj_size=40), "weight_hr_l0", 1 / math.sqrt(60)),
    (lambda: nn.EmbeddingBag(200, 60), "weight", ("normal", 1.0)),
    (lambda: nn.Transformer(60, 2, 1, 1, 90).encoder.layers[0].linear1, "weight", math.sqrt(6 / 150)),
    (lambda: nn.Transformer(60, 2, 1, 1, 90).decoder.norm, "weight", 1.0),
    (lambda: nn.AdaptiveLogSoftmaxWithLoss(100, 300, [200]).head, "weight", 1 / math.sqrt(100)),
    (lambda: nn.LoRALinear(300, 200, r=20), "lora_A", 1 / math.sqrt(300)),
    (lambda: nn.LoRALinear(30, 20), "lora_B", 0.0),
    (lambda: nn.InstanceNorm3d(30, affine=True), "weight", 1.0),
    (lambda: nn.Bilinear(30, 20, 10), "weight", 1 / math.sqrt(30)),
    (lambda: nn.LSTM(50, 60), "weight_hh_l0", 1 / math.sqrt(60)),
    (lambda: nn.GRUCell(50, 60), "weight_ih", 1 / math.sqrt(60)),
    (lambda: nn.Embedding(200, 60), "weight", ("normal", 1.0)),
    (lambda: nn.MultiheadAttention(60, 2), "in_proj_weight", math.sqrt(6 / (180 + 60))),
    (lambda: nn.MultiheadAttention(60, 2, kdim=40), "k_proj_weight", math.sqrt(6 / 100)),
    (lambda: nn.MultiheadAttention(60, 2).out_proj, "bias", 0.0),
    (lambda: nn.LayerNorm(30), "weight", 1.0),
    (lambda: nn.BatchNorm2d(30), "running_var", 1.0),
    (lambda: nn.PReLU(5), "weight", 0.25),
]


@pytest.mark.parametrize(("make", "name", "distribution"), DEFAULTS)
def test_layer_defaults(make, name, distribution):
    x = values(getattr(make(), name))
    if isinstance(distribution, tuple):
        assert abs(x.std() / distribution[1] - 1) < 0.05
        assert np.abs(x).max() > 3 * distribution[1]
    elif name in ("running_var",) or (x == x.flat[0]).all():
        assert (x == distribution).all()
    else:
        assert np.abs(x).max() <= distribution * (1 + 1e-6)
        assert np.abs(x).max() > 0.98 * distribution
        assert abs(x.var() / (distribution**2 / 3) - 1) < 0.15


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("low, high", [(0, 1), (-1, 0), (-4, -2), (1, 3), (2, 2)])
def test_uniform_never_rounds_up_to_its_upper_end(dtype, low, high):
    x = fd.empty(100_000, dtype=getattr(fd, dtype)).uniform_(low, high).to(fd.float64)
    assert low <= x.min().item()
    assert x.max().item() < high or low == high
