"""nn.utils: parametrizations, norms of weights, fusion, calls with other parameters; alone and against PyTorch."""

import copy
import pickle

import numpy as np
import pytest
from layer_cases import floats

import fastdl as fd
from fastdl import nn
from fastdl.nn.utils import parametrizations, parametrize


def as_array(t):
    return t.detach().numpy(force=True)


def close(a, b):
    np.testing.assert_allclose(as_array(a), as_array(b), rtol=1e-9, atol=1e-10)


# --- parametrize ---


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).T

    def right_inverse(self, x):
        return x.triu()


class Double(nn.Module):
    def forward(self, x):
        return x * 2

    def right_inverse(self, x):
        return x / 2


def test_parametrization():
    layer = nn.Linear(3, 3)
    weight = layer.weight
    optimizer = fd.optim.SGD(layer.parameters(), lr=0.1)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(layer, "bias")
    assert type(layer).__name__ == "ParametrizedLinear"
    assert layer.parametrizations.weight.original is weight  # the optimizer's
    assert (as_array(layer.weight) == as_array(layer.weight).T).all()
    assert [n for n, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    layer(fd.ones(2, 3)).sum().backward()
    optimizer.step()
    assert (as_array(layer.weight) == as_array(layer.weight).T).all()
    parametrize.register_parametrization(layer, "weight", Double())
    np.testing.assert_array_equal(as_array(layer.weight), 2 * as_array(layer.parametrizations.weight[0](weight)))
    layer.weight = fd.eye(3) * 4  # through both right inverses
    np.testing.assert_array_equal(as_array(weight), 2 * np.eye(3))
    twin = copy.deepcopy(layer)
    assert twin.parametrizations.weight.original is not weight
    twin.load_state_dict(layer.state_dict())
    with pytest.raises(RuntimeError, match="state_dict"):
        pickle.dumps(layer)
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    other = nn.Linear(3, 3)
    parametrize.transfer_parametrizations_and_params(layer, other, "weight")
    assert other.parametrizations.weight.original is weight
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and layer.weight is weight
    np.testing.assert_array_equal(as_array(weight), 4 * np.eye(3))
    assert sorted(layer.state_dict()) == ["bias", "weight"]


def test_parametrizations_that_do_not_fit():
    class Wider(nn.Module):
        def forward(self, x):
            return fd.cat((x, x))

    class Casts(nn.Module):
        def forward(self, x):
            return x.double()

    layer = nn.Linear(2, 2)
    for wrong in (Wider(), Casts()):
        with pytest.raises(ValueError, match="may not change"):
            parametrize.register_parametrization(layer, "weight", wrong)
        assert sorted(layer.state_dict()) == ["bias", "weight"] and type(layer) is nn.Linear
    with pytest.raises(ValueError, match="no parameter"):
        parametrize.register_parametrization(layer, "missing", Double())
    with pytest.raises(ValueError, match="no parametrization"):
        parametrize.remove_parametrizations(layer, "weight")
    assert parametrize.register_parametrization(layer, "weight", Wider(), unsafe=True).weight.shape == (4, 2)


def test_weight_norm_by_formula():
    layer = nn.Linear(4, 3).double()
    weight = as_array(layer.weight).copy()
    parametrizations.weight_norm(layer)
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    np.testing.assert_allclose(as_array(g), np.linalg.norm(weight, axis=1, keepdims=True))
    np.testing.assert_allclose(as_array(layer.weight), weight)
    with fd.no_grad():
        v.mul_(3.0)
        g.mul_(2.0)
    np.testing.assert_allclose(as_array(layer.weight), 2 * weight)


def test_spectral_norm_finds_the_largest_singular_value():
    fd.manual_seed(0)
    for make in (nn.utils.spectral_norm, parametrizations.spectral_norm):
        layer = make(nn.Conv2d(3, 5, 2).double(), n_power_iterations=50)
        layer(fd.ones(1, 3, 4, 4).double())
        singular = np.linalg.svd(as_array(layer.weight).reshape(5, -1), compute_uv=False)
        assert singular[0] == pytest.approx(1.0, abs=1e-6)
    layer.eval()
    before = as_array(layer.weight).copy()
    layer(fd.ones(1, 3, 4, 4).double())
    assert (as_array(layer.weight) == before).all()  # no iterations in evaluation


@pytest.mark.compare
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("layer", ["Linear", "Conv2d", "ConvTranspose2d", "whole"])
def test_norms_as_torch(older, kind, layer, torch):
    options = {"dim": None} if layer == "whole" and kind == "weight_norm" else {}
    name = "Linear" if layer == "whole" else layer
    shape = (4, 3) if name == "Linear" else (4, 3, 2)
    x = floats(5, 4) if name == "Linear" else floats(2, 4, 5, 5)
    made = []
    for lib in (fd, torch):
        module = getattr(lib.nn, name)(*shape).to(lib.float64)
        space = lib.nn.utils if older else lib.nn.utils.parametrizations
        made.append(getattr(space, kind)(module, **options))
    ours, theirs = made
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: fd.tensor(v.numpy(force=True)) for k, v in theirs.state_dict().items()})
    for training in (True, False):
        y, z = ours.train(training)(fd.tensor(x)), theirs.train(training)(torch.tensor(x))
        close(y, z)
        y.sum().backward()
        z.sum().backward()
    for (n, a), (m, b) in zip(ours.named_parameters(), theirs.named_parameters()):
        assert n == m
        close(a.grad, b.grad)
    for a, b in zip(ours.buffers(), theirs.buffers()):
        close(a, b)
    if older:
        for lib, module in ((fd, ours), (torch, theirs)):
            getattr(lib.nn.utils, f"remove_{kind}")(module)
        assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
        close(ours.weight, theirs.weight)


def test_weight_norm_loads_the_older_names():
    older, newer = nn.utils.weight_norm(nn.Linear(4, 3)), parametrizations.weight_norm(nn.Linear(4, 3))
    newer.load_state_dict(older.state_dict())
    np.testing.assert_allclose(as_array(newer.weight), as_array(older.weight), rtol=1e-6)


@pytest.mark.skipif(not hasattr(fd, "linalg"), reason="needs fastdl.linalg")
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("trivialization", [True, False])
def test_orthogonal(shape, kind, trivialization):
    fd.manual_seed(0)
    layer = nn.Linear(*shape[::-1]).double()
    parametrizations.orthogonal(layer, orthogonal_map=kind, use_trivialization=trivialization)
    optimizer = fd.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        w = as_array(layer.weight)
        small = w @ w.T if shape[0] <= shape[1] else w.T @ w
        np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-9)
        (layer(fd.tensor(floats(6, shape[1]))) ** 2).sum().backward()
        optimizer.step()
    assert np.abs(as_array(layer.weight) - w).max() > 1e-4


# --- the rest ---


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("affine", [False, True])
def test_fusion(transpose, bias, affine):
    fd.manual_seed(0)
    conv = (nn.ConvTranspose2d if transpose else nn.Conv2d)(3, 4, 3, bias=bias)
    bn, linear, bn1 = nn.BatchNorm2d(4, affine=affine), nn.Linear(3, 4, bias=bias), nn.BatchNorm1d(4, affine=affine)
    for norm in (bn, bn1):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
        if affine:
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    for module in (conv, bn, linear, bn1):
        module.double().eval()
    x, row = fd.tensor(floats(2, 3, 6, 5)), fd.tensor(floats(5, 3))
    close(nn.utils.fuse_conv_bn_eval(conv, bn, transpose)(x), bn(conv(x)))
    close(nn.utils.fuse_linear_bn_eval(linear, bn1)(row), bn1(linear(row)))
    with pytest.raises(AssertionError):
        nn.utils.fuse_linear_bn_eval(linear.train(), bn1)


def test_functional_call():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    net[1].weight2 = net[0].weight  # tied
    before = {k: v.clone() for k, v in net.state_dict().items()}
    w = fd.ones(2, 2, requires_grad=True)
    call = nn.utils.stateless.functional_call
    y = call(net, {"0.weight": w, "0.bias": fd.zeros(2)}, fd.tensor([[1.0, 2.0]]))
    y.sum().backward()
    assert w.grad is not None
    assert all((v == before[k]).all() for k, v in net.state_dict().items())
    with pytest.raises(RuntimeError, match="missing keys"):
        call(net, {"0.weight": w}, fd.ones(1, 2), strict=True)
    with pytest.raises(ValueError, match="tied"):
        call(net, {"0.weight": w, "1.weight2": fd.zeros(2, 2)}, fd.ones(1, 2))
    with pytest.raises(AttributeError):
        call(net, {"0.nothing": w}, fd.ones(1, 2))
    assert all((v == before[k]).all() for k, v in net.state_dict().items())


def test_skip_init_draws_nothing():
    state = fd.get_rng_state()
    layer = nn.utils.skip_init(nn.Linear, 4, 3)
    assert layer.weight.shape == (3, 4) and layer.weight.requires_grad
    assert fd.get_rng_state().tolist() == state.tolist()
    with pytest.raises(ValueError):
        nn.utils.skip_init(len)


def test_sequences_that_do_not_fit():
    rnn = nn.utils.rnn
    x = fd.zeros(4, 2, 3)
    for wrong in (
        lambda: rnn.pack_padded_sequence(x, [1, 2]), lambda: rnn.pack_padded_sequence(x, [5, 1]),
        lambda: rnn.pack_padded_sequence(x, [2, 0]), lambda: rnn.pack_padded_sequence(x, [2]),
        lambda: rnn.pad_sequence([]), lambda: rnn.pad_sequence([fd.zeros(2, 3), fd.zeros(2, 4)]),
        lambda: rnn.pad_sequence([fd.zeros(2)], padding_side="up"),
        lambda: rnn.pad_packed_sequence(rnn.pack_sequence([fd.zeros(3, 1)]), total_length=2),
        lambda: nn.LSTM(5, 4)(rnn.pack_sequence([fd.zeros(3, 1)])),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            wrong()


# --- copies of modules whose weights are computed ---

COMPUTED = {
    "prune": lambda library, layer: library.nn.utils.prune.l1_unstructured(layer, "weight", 0.5),
    "weight_norm": lambda library, layer: library.nn.utils.weight_norm(layer),
    "spectral_norm": lambda library, layer: library.nn.utils.spectral_norm(layer),
    "parametrized weight_norm": lambda library, layer: library.nn.utils.parametrizations.weight_norm(layer),
    "parametrized spectral_norm": lambda library, layer: library.nn.utils.parametrizations.spectral_norm(layer),
    "orthogonal": lambda library, layer: library.nn.utils.parametrizations.orthogonal(layer),
}
USES = {
    "made": lambda library, layer, x: None,
    "called": lambda library, layer, x: layer(x),
    "called without gradients": lambda library, layer, x: library.no_grad()(layer)(x),
    "trained": lambda library, layer, x: layer(x).sum().backward(),
    "evaluated": lambda library, layer, x: layer.eval()(x),
}


@pytest.mark.compare
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", COMPUTED)
def test_deepcopy_as_in_torch(kind, use):
    """Weights that a hook keeps as an attribute cannot be copied while they have a history; parametrized ones can."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("torch.nn.utils.prune")
    copied = []
    for library in (fd, torch):
        library.manual_seed(0)
        layer, x = COMPUTED[kind](library, library.nn.Linear(4, 4)), library.ones(2, 4)
        USES[use](library, layer, x)
        try:
            twin = copy.deepcopy(layer)
        except RuntimeError:
            copied.append(False)
            continue
        copied.append(True)
        layer.eval(), twin.eval()
        with library.no_grad():
            assert library.equal(twin(x), layer(x))
            for p in twin.parameters():
                p.zero_()
        assert all(p.abs().sum() > 0 for name, p in layer.named_parameters() if "weight" in name)
    assert copied[0] == copied[1]
