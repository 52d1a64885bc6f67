"""Optimizers against the formulas in NumPy and, where it is installed, PyTorch; parameter groups and saved state."""

import copy
import pickle
from contextlib import suppress

import numpy as np
import pytest
from optim_reference import CASES, IDS

import fastdl as fd
from fastdl import optim


def as_tensor(array, lib=fd):
    return lib.tensor(array.tolist(), dtype=lib.float64)


SHAPES = [(3,), (2, 5), (), (0,), (4, 1, 3), (129,)]


STEPS = 20
P = lambda: fd.ones(2, requires_grad=True)


def gradients(steps=STEPS):
    """One list a step; the second parameter has none in the second step, the third only from the third on."""
    rng = np.random.default_rng(1)
    rows = [[rng.normal(size=s) for s in SHAPES] for _ in range(steps)]
    rows[1][1] = rows[0][2] = rows[1][2] = None
    rows[2][0] = rows[2][0] * 0
    rows[4][1] = rows[4][1] * np.array([[1.0], [0.0]])
    return rows


def start():
    rng = np.random.default_rng(0)
    return [rng.normal(size=s) for s in SHAPES]


def listed(value):
    return value.tolist() if hasattr(value, "tolist") else value


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
    for row in gradients():
        for i, g in enumerate(row):
            if g is not None:
                expected[i] = formula(expected[i], g, states[i], **options)
    for p, e in zip(params, expected):
        np.testing.assert_allclose(np.array(p.tolist()), e, rtol=1e-11, atol=1e-13)


def assert_same_state(mine, reference, rtol=1e-10):
    saved, expected = mine.state_dict(), reference.state_dict()
    assert saved["param_groups"] == expected["param_groups"]
    assert saved["state"].keys() == expected["state"].keys()
    for i, entries in expected["state"].items():
        assert saved["state"][i].keys() == entries.keys()
        for key, value in entries.items():
            ours = saved["state"][i][key]
            if isinstance(value, int):
                assert ours == value
                continue
            assert tuple(ours.shape) == tuple(value.shape)
            assert str(ours.dtype).split(".")[-1] == str(value.dtype).split(".")[-1]
            np.testing.assert_allclose(np.array(ours.tolist()), value.numpy(force=True), rtol=rtol, atol=1e-12)


@pytest.mark.compare
@pytest.mark.parametrize(("name", "formula", "options"), CASES, ids=IDS)
def test_as_torch(name, formula, options, torch):
    if not hasattr(torch.optim, name):
        pytest.skip("PyTorch has none")
    keep = [i for i, s in enumerate(SHAPES) if name != "Adafactor" or s != (0,)]  # where PyTorch divides by 0
    if name == "SparseAdam":
        keep = [i for i in keep if SHAPES[i] != ()]  # PyTorch's sparse tensors have a dimension
    ours = [as_tensor(start()[i]).requires_grad_() for i in keep]
    theirs = [as_tensor(start()[i], torch).requires_grad_() for i in keep]
    mine, reference = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for row in gradients():
        train(fd, mine, ours, [[row[i] for i in keep]])
        for p, i in zip(theirs, keep):
            p.grad = None if row[i] is None else as_tensor(row[i], torch)
            if name == "SparseAdam" and p.grad is not None:
                p.grad = p.grad.to_sparse(1)
        reference.step()
        for p, q in zip(ours, theirs):
            np.testing.assert_allclose(np.array(p.tolist()), q.detach().numpy(force=True), rtol=1e-10, atol=1e-12)
    assert_same_state(mine, reference)


@pytest.mark.parametrize(("name", "formula", "options"), CASES, ids=IDS)
def test_state_goes_on_where_it_stopped(name, formula, options):
    def make():
        params = [as_tensor(p).requires_grad_() for p in start()]
        return params, getattr(optim, name)(params, **options)

    rows = gradients()
    whole, optimizer = make()
    train(fd, optimizer, whole, rows)
    first, optimizer = make()
    train(fd, optimizer, first, rows[: STEPS // 2])
    second, resumed = make()
    with fd.no_grad():
        for p, q in zip(second, first):
            p.copy_(q)
    resumed.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    saved = copy.deepcopy(optimizer.state_dict())
    train(fd, resumed, second, rows[STEPS // 2 :])
    for p, q in zip(second, whole):
        assert p.tolist() == q.tolist()
    for i, entries in optimizer.state_dict()["state"].items():  # the loaded state was a copy
        for key, value in entries.items():
            assert listed(value) == listed(saved["state"][i][key])


@pytest.mark.compare
@pytest.mark.parametrize("options", [{}, {"nesterov": False, "momentum": 0.5, "weight_decay": 0.0},
                                     {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}, {"ns_coefficients": (2, -1.5, 0.5)}])  # fmt: skip
def test_muon_as_torch(options, torch):
    """Its iteration runs in bfloat16, whose rounding differs from product to product."""
    rng = np.random.default_rng(0)
    shapes = [(5, 7), (7, 5), (16, 16), (1, 4)]
    first, rows = [rng.normal(size=s) for s in shapes], [[rng.normal(size=s) for s in shapes] for _ in range(5)]
    ours = [as_tensor(p).requires_grad_() for p in first]
    theirs = [as_tensor(p, torch).requires_grad_() for p in first]
    mine, reference = optim.Muon(ours, lr=0.1, **options), torch.optim.Muon(theirs, lr=0.1, **options)
    train(fd, mine, ours, rows)
    train(torch, reference, theirs, rows)
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(np.array(p.tolist()), q.detach().numpy(force=True), atol=0.03)
    assert_same_state(mine, reference)


def test_muon_steps_are_nearly_orthogonal():
    rng = np.random.default_rng(0)
    w = fd.zeros(6, 9, dtype=fd.float64, requires_grad=True)
    w.grad = as_tensor(rng.normal(size=(6, 9)))
    optim.Muon([w], lr=1.0).step()
    values = np.linalg.svd(-np.array(w.tolist()), compute_uv=False)
    assert (0.5 < values).all()
    assert (values < 1.5).all()


def muon(p, g, state, lr, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn=None, ns_steps=5):
    """In float64 throughout."""
    b = state["b"] = momentum * state.get("b", 0.0) + (1 - momentum) * g
    x = (1 - momentum) * g + momentum * b if nesterov else b
    x = x / np.linalg.norm(x)
    for _ in range(ns_steps):
        y = x @ x.T
        x = 3.4445 * x + (-4.775 * y + 2.0315 * y @ y) @ x
    rows, columns = p.shape
    scale = 0.2 * max(rows, columns) ** 0.5 if adjust_lr_fn == "match_rms_adamw" else max(1, rows / columns) ** 0.5
    return p * (1 - lr * weight_decay) - lr * scale * x


@pytest.mark.parametrize("options", [{}, {"nesterov": False, "weight_decay": 0.3}, {"adjust_lr_fn": "match_rms_adamw"}])
def test_muon_formula_and_resume(options):
    rng = np.random.default_rng(0)
    shapes = [(5, 7), (9, 4)]
    expected, rows = [rng.normal(size=s) for s in shapes], [[rng.normal(size=s) for s in shapes] for _ in range(6)]
    params, halves = ([as_tensor(p).requires_grad_() for p in expected] for _ in range(2))
    train(fd, optim.Muon(params, lr=0.1, **options), params, rows)
    first = optim.Muon(halves, lr=0.1, **options)
    train(fd, first, halves, rows[:3])
    second = optim.Muon(halves, lr=0.3)
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    train(fd, second, halves, rows[3:])
    states = [{}, {}]
    for row in rows:
        expected = [muon(p, g, s, 0.1, **options) for p, g, s in zip(expected, row, states)]
    for p, q, e in zip(params, halves, expected):
        np.testing.assert_allclose(np.array(p.tolist()), e, atol=0.04)  # of the iteration in bfloat16
        assert p.tolist() == q.tolist()


def rosenbrock(lib, w, optimizer):
    def closure():
        optimizer.zero_grad()
        x, y = w[:-1], w[1:]
        loss = (100 * (y - x * x) ** 2 + (1 - x) ** 2).sum()
        loss.backward()
        return loss.detach()

    return closure


LBFGS = [{"line_search_fn": "strong_wolfe"}, {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 7},
         {"lr": 0.1, "max_iter": 4}, {"lr": 0.05, "history_size": 3, "max_eval": 9}]  # fmt: skip


@pytest.mark.compare
@pytest.mark.parametrize("options", LBFGS)
def test_lbfgs_as_torch(options, torch):
    results = []
    for lib in (fd, torch):
        w = lib.tensor([-1.2, 1.0, 0.5, -0.3], dtype=lib.float64, requires_grad=True)
        optimizer = lib.optim.LBFGS([w], **options)
        closure = rosenbrock(lib, w, optimizer)
        losses, counts = [], []
        for _ in range(5):
            losses.append(float(optimizer.step(closure)))
            counts.append([optimizer.state[w][key] for key in ("func_evals", "n_iter")])
        results.append((losses, counts, w.tolist(), optimizer.state_dict()))
    (losses, counts, w, state), (their_losses, their_counts, their_w, their_state) = results
    assert counts == their_counts
    assert losses == pytest.approx(their_losses, rel=1e-6, abs=1e-12)
    assert w == pytest.approx(their_w, rel=1e-6)
    assert state["param_groups"] == their_state["param_groups"]
    assert set(their_state["state"][0]) - {"al"} == set(state["state"][0])  # al is scratch memory


def test_lbfgs_finds_the_minimum_and_resumes():
    def make(values):
        w = fd.tensor(values, dtype=fd.float64, requires_grad=True)
        return w, optim.LBFGS([w], line_search_fn="strong_wolfe", max_iter=10)

    w, optimizer = make([-1.2, 1.0])
    closure = rosenbrock(fd, w, optimizer)
    optimizer.step(closure)
    second, resumed = make(w.tolist())
    resumed.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    for _ in range(4):
        optimizer.step(closure)
        resumed.step(rosenbrock(fd, second, resumed))
    assert second.tolist() == w.tolist()
    assert w.tolist() == pytest.approx([1, 1], abs=1e-4)


def test_checkpoints_of_torch_load(torch):
    p, q = fd.ones(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    for name, _, options in CASES:
        if name == "SparseAdam" or not hasattr(torch.optim, name):
            continue
        theirs = getattr(torch.optim, name)([q], **options)
        q.grad = torch.full((2, 3), 0.5)
        theirs.step()
        saved = copy.deepcopy(theirs.state_dict())
        for entries in saved["state"].values():
            for key, value in entries.items():
                entries[key] = fd.tensor(value.tolist())
        with fd.no_grad():
            p.copy_(fd.tensor(q.tolist()))
        mine = getattr(optim, name)([p], **options)
        mine.load_state_dict(saved)
        p.grad = fd.full((2, 3), 0.25)
        mine.step()
        q.grad = torch.full((2, 3), 0.25)
        theirs.step()
        np.testing.assert_allclose(
            np.array(p.tolist()), q.detach().numpy(force=True), rtol=2e-5, atol=1e-6, err_msg=name
        )


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


def test_state_dict_hooks():
    optimizer = optim.SGD([P()], momentum=0.9)
    log = []
    optimizer.register_state_dict_pre_hook(lambda o: log.append("save"))
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "extra": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, state: log.append(state["extra"]))
    optimizer.register_load_state_dict_post_hook(lambda o: log.append("loaded"))
    optimizer.register_load_state_dict_post_hook(lambda o: log.append("first"), prepend=True)
    optimizer.load_state_dict(optimizer.state_dict())
    assert log == ["save", 1, "first", "loaded"]


def test_state_of_the_wrong_shape_changes_nothing():
    p, q = P(), fd.ones(3, requires_grad=True)
    first, second = optim.Adam([p, q]), optim.Adam([q, p], lr=0.5)
    for t in (p, q):
        t.grad = fd.ones_like(t)
    first.step()
    before = copy.deepcopy(second.state_dict())
    with pytest.raises(ValueError, match=r"Adam.load_state_dict: parameter 0: .*'exp_avg' has shape \[2\], .* \[3\]"):
        second.load_state_dict(first.state_dict())
    assert second.state_dict() == before


def test_a_subclass_may_do_the_whole_step():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @fd.no_grad()
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["steps"] = self.state[p].get("steps", 0) + 1
                    self.state["all"] = self.state.get("all", 0) + 1
                    p.sub_(p.grad.sign() * group["lr"])

    p = P()
    optimizer = Signs([p], lr=0.25)
    p.grad = fd.tensor([3.0, -2.0])
    optimizer.step()
    assert p.tolist() == [0.75, 1.25]
    assert optimizer.state_dict()["state"] == {0: {"steps": 1}, "all": 1}
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state["all"] == 1


def test_other_parameters_for_a_while():
    w, other = (fd.ones(2, requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([w], lr=0.5)
    with pytest.raises(RuntimeError, match="no state yet"), optim.swap_in_optimizer_params_and_state(optimizer, {}, {}):
        pass
    w.grad, other.grad = fd.ones(2), fd.full((2,), 2.0)
    optimizer.step()
    saved = copy.deepcopy(optimizer.state_dict())
    saved["param_groups"][0]["lr"] = 0.25
    before, params = w.tolist(), optimizer.param_groups[0]["params"]
    with suppress(KeyError), optim.swap_in_optimizer_params_and_state(optimizer, {"w": other}, saved):
        assert optimizer.param_groups[0]["lr"] == 0.25
        optimizer.step()
        raise KeyError
    assert other.tolist() != [1.0, 1.0]
    assert saved["state"][0]["step"].item() == 2
    assert w.tolist() == before
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["params"] is params
    assert optimizer.state[w]["step"].item() == 1
    for wrong, match in (
        ({}, "with a dict 'state'"),
        ({**saved, "param_groups": []}, "expected 1 param_groups"),
        ({**saved, "param_groups": [{"params": [0]}]}, "has the options"),
        ({**saved, "state": {3: {}}}, r"entries \[3\]"),
    ):
        with pytest.raises(RuntimeError, match=match):
            optim.swap_in_optimizer_params_and_state(optimizer, {"w": other}, wrong).__enter__()
    with pytest.raises(RuntimeError, match="0 parameters for 1"):
        optim.swap_in_optimizer_params_and_state(optimizer, {}, saved).__enter__()


def test_an_option_that_needs_more_state_keeps_the_rest():
    p = P()
    optimizer = optim.RMSprop([p])
    for momentum in (0, 0.5):
        optimizer.param_groups[0]["momentum"] = momentum
        p.grad = fd.ones(2)
        optimizer.step()
    assert optimizer.state[p]["step"].item() == 2
    assert set(optimizer.state[p]) == {"step", "square_avg", "momentum_buffer"}


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
        (RuntimeError, lambda: optim.Adam([P()], foreach=True, fused=True)),
        (ValueError, lambda: optim.SGD([P()], lr=fd.ones(2))),
        (ValueError, lambda: optim.Adamax([P()], betas=(0.9, 1.0))),
        (ValueError, lambda: optim.NAdam([P()], momentum_decay=-1.0)),
        (ValueError, lambda: optim.RMSprop([P()], alpha=-0.1)),
        (ValueError, lambda: optim.Adagrad([P()], initial_accumulator_value=-1.0)),
        (ValueError, lambda: optim.Adadelta([P()], rho=1.5)),
        (ValueError, lambda: optim.ASGD([P()], lr=-1.0)),
        (ValueError, lambda: optim.Rprop([P()], etas=(1.5, 2.0))),
        (ValueError, lambda: optim.Lion([P()], betas=(0.9, 1.5))),
        (ValueError, lambda: optim.Adafactor([P()], beta2_decay=0.5)),
        (ValueError, lambda: optim.Adafactor([P()], d=0.5)),
        (ValueError, lambda: optim.Muon([P()])),
        (ValueError, lambda: optim.Muon([fd.ones(2, 2, requires_grad=True)], adjust_lr_fn="other")),
        (ValueError, lambda: optim.Muon([fd.ones(2, 2, requires_grad=True)], ns_steps=100)),
        (ValueError, lambda: optim.SparseAdam([P()], eps=0.0)),
        (ValueError, lambda: optim.LBFGS([{"params": [P()]}, {"params": [P()]}])),
        (RuntimeError, lambda: optim.LBFGS([P()], line_search_fn="armijo").step(lambda: 0.0)),
        (
            ValueError,
            lambda: optim.Adam([P()]).load_state_dict(
                {**optim.Adam([P()]).state_dict(), "state": {0: {"step": fd.zeros(2)}}}
            ),
        ),
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
