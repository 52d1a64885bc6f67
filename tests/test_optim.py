"""Optimizers against the formulas in NumPy and, where it is installed, PyTorch; parameter groups and saved state."""

import copy
import pickle

import numpy as np
import pytest

import fastdl as fd
from fastdl import optim


def as_tensor(array, lib=fd):
    return lib.tensor(array.tolist(), dtype=lib.float64)


def sgd(p, g, state, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    g = (-g if maximize else g) + weight_decay * p
    if momentum:
        b = state["b"] = momentum * state["b"] + (1 - dampening) * g if "b" in state else g
        g = g + momentum * b if nesterov else b
    return p - lr * g


def adam(
    p, g, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False, decoupled=False
):
    g = -g if maximize else g
    if decoupled:
        p = p * (1 - lr * weight_decay)
    else:
        g = g + weight_decay * p
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * g
    v = state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * g * g
    if amsgrad:
        v = state["x"] = np.maximum(state.get("x", 0), v)
    return p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


CASES = [
    ("SGD", sgd, {"lr": 0.1}),
    ("SGD", sgd, {"lr": 0.1, "momentum": 0.9}),
    ("SGD", sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05}),
    ("SGD", sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05, "maximize": True}),
    ("SGD", sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", sgd, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("Adam", adam, {}),
    ("Adam", adam, {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", adam, {"lr": 0.05, "amsgrad": True, "maximize": True}),
    ("AdamW", adam, {"lr": 0.05, "weight_decay": 0.3}),
    ("AdamW", adam, {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
]
IDS = [f"{name} {options}" for name, _, options in CASES]
SHAPES = [(3,), (2, 5), (), (0,), (4, 1, 3), (129,)]


def gradients(steps=6):
    """One list a step; the second parameter has none in the second step, the third only from the third on."""
    rng = np.random.default_rng(1)
    rows = [[rng.normal(size=s) for s in SHAPES] for _ in range(steps)]
    rows[1][1] = rows[0][2] = rows[1][2] = None
    rows[2][0] = rows[2][0] * 0
    return rows


def start():
    rng = np.random.default_rng(0)
    return [rng.normal(size=s) for s in SHAPES]


def train(lib, optimizer, params, rows):
    for row in rows:
        for p, g in zip(params, row):
            p.grad = None if g is None else as_tensor(g, lib)
        optimizer.step()


@pytest.mark.parametrize(("name", "formula", "options"), CASES, ids=IDS)
def test_formula(name, formula, options):
    expected, states = start(), [{} for _ in SHAPES]
    params = [as_tensor(p).requires_grad_() for p in expected]
    train(fd, getattr(optim, name)(params, **options), params, gradients())
    if name == "AdamW":
        options = {**options, "decoupled": True}
    for row in gradients():
        for i, g in enumerate(row):
            if g is not None:
                expected[i] = formula(expected[i], g, states[i], **options)
    for p, e in zip(params, expected):
        np.testing.assert_allclose(np.array(p.tolist()), e, rtol=1e-11, atol=1e-13)


@pytest.mark.compare
@pytest.mark.parametrize(("name", "formula", "options"), CASES, ids=IDS)
def test_as_torch(name, formula, options, torch):
    ours = [as_tensor(p).requires_grad_() for p in start()]
    theirs = [as_tensor(p, torch).requires_grad_() for p in start()]
    mine, reference = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    train(fd, mine, ours, gradients())
    train(torch, reference, theirs, gradients())
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(np.array(p.tolist()), q.detach().numpy(), rtol=1e-10, atol=1e-12)
    saved, expected = mine.state_dict(), reference.state_dict()
    assert saved["param_groups"] == expected["param_groups"]
    assert saved["state"].keys() == expected["state"].keys()
    for i, entries in expected["state"].items():
        assert saved["state"][i].keys() == entries.keys()
        for key, value in entries.items():
            assert tuple(saved["state"][i][key].shape) == tuple(value.shape)
            assert str(saved["state"][i][key].dtype).split(".")[-1] == str(value.dtype).split(".")[-1]
            np.testing.assert_allclose(np.array(saved["state"][i][key].tolist()), value.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "formula", "options"), CASES, ids=IDS)
def test_state_goes_on_where_it_stopped(name, formula, options):
    def make():
        params = [as_tensor(p).requires_grad_() for p in start()]
        return params, getattr(optim, name)(params, **options)

    rows = gradients()
    whole, optimizer = make()
    train(fd, optimizer, whole, rows)
    first, optimizer = make()
    train(fd, optimizer, first, rows[:3])
    second, resumed = make()
    with fd.no_grad():
        for p, q in zip(second, first):
            p.copy_(q)
    resumed.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    saved = copy.deepcopy(optimizer.state_dict())
    train(fd, resumed, second, rows[3:])
    for p, q in zip(second, whole):
        assert p.tolist() == q.tolist()
    for i, entries in optimizer.state_dict()["state"].items():  # the loaded state was a copy
        for key, value in entries.items():
            assert value.tolist() == saved["state"][i][key].tolist()


def test_groups_have_options_of_their_own():
    a, b, c = (fd.ones(2, requires_grad=True) for _ in range(3))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [c], "lr": 0.25, "weight_decay": 1.0})
    for p in (a, b, c):
        p.grad = fd.ones(2)
    optimizer.step()
    assert [round(p[0].item(), 5) for p in (a, b, c)] == [0.9, 0.5, 0.5]
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.step()
    assert round(a[0].item(), 5) == -0.1
    optimizer.zero_grad()
    assert a.grad is None
    optimizer.step()  # nothing has a gradient
    assert round(a[0].item(), 5) == -0.1


def test_options_may_change_between_steps():
    p = fd.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    p.grad = fd.ones(1)
    optimizer.step()
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.step()
    optimizer.step()
    assert p.item() == pytest.approx(1 - 0.1 * (1 + 1 + 1.5))
    optimizer.state.clear()
    optimizer.step()
    assert p.item() == pytest.approx(1 - 0.1 * (1 + 1 + 1.5 + 1))


def test_named_parameters():
    a, b = fd.ones(1, requires_grad=True), fd.ones(1, requires_grad=True)
    optimizer = optim.Adam([("first", a), ("second", b)])
    assert optimizer.param_groups[0]["params"][1] is b
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["first", "second"]


def test_closure_and_hooks():
    p = fd.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    log = []
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: log.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: log.append("after"))

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with fd.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert p.item() == pytest.approx(0.8)
    before.remove()
    optimizer.step(closure)
    assert log == ["before", "after", "after"]


def test_the_graph_sees_the_change():
    """A step changes parameters in place: going backward through what used them before is an error, not a wrong result."""
    p = fd.ones(2, requires_grad=True)
    loss = (p * p).sum()
    optimizer = optim.SGD([p], lr=0.1)
    p.grad = fd.ones(2)
    optimizer.step()
    assert p.is_leaf
    assert p.requires_grad
    with pytest.raises(RuntimeError):
        loss.backward()


P = lambda: fd.ones(2, requires_grad=True)


@pytest.mark.parametrize(
    ("error", "make"),
    [
        (ValueError, lambda: optim.SGD([], lr=0.1)),
        (TypeError, lambda: optim.SGD(P(), lr=0.1)),
        (TypeError, lambda: optim.SGD([3], lr=0.1)),
        (ValueError, lambda: optim.SGD([P() * 2], lr=0.1)),
        (ValueError, lambda: optim.SGD([P()], lr=-0.1)),
        (ValueError, lambda: optim.SGD([P()], lr=float("nan"))),
        (ValueError, lambda: optim.SGD([P()], lr=0.1, momentum=-1.0)),
        (ValueError, lambda: optim.SGD([P()], lr=0.1, nesterov=True)),
        (ValueError, lambda: optim.Adam([P()], betas=(1.0, 0.9))),
        (ValueError, lambda: optim.AdamW([P()], eps=-1.0)),
        (ValueError, lambda: optim.Adam([P()], differentiable=True)),
        (ValueError, lambda: optim.Adam([p := P(), p])),
        (ValueError, lambda: optim.Adam([{"params": [p := P()]}, {"params": [p]}])),
        (ValueError, lambda: optim.SGD([P()]).load_state_dict(optim.SGD([P(), P()]).state_dict())),
        (ValueError, lambda: optim.SGD([P()]).load_state_dict({"state": {}, "param_groups": []})),
    ],
)
def test_wrong_arguments(error, make):
    with pytest.raises(error):
        make()


def test_repr():
    assert repr(optim.SGD([P()], lr=0.5)).startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
