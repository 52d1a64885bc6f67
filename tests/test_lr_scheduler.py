"""Learning-rate schedules against their formulas and, where it is installed, PyTorch."""

import math
import pickle

import pytest

import fastdl as fd
from fastdl.optim import lr_scheduler as S
from fastdl.optim.swa_utils import SWALR

STEPS = 50


def optimizer_of(lib, lrs=(0.5, 0.05), adam=False):
    groups = [{"params": [lib.zeros(1, requires_grad=True)], "lr": lr} for lr in lrs]
    return lib.optim.Adam(groups, lr=0.1) if adam else lib.optim.SGD(groups, lr=0.1, momentum=0.9)


def run(scheduler, steps=STEPS):
    """Each group's learning rate, at first and after each step."""
    groups = scheduler.optimizer.param_groups
    rates = [[float(g["lr"]) for g in groups]]
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
        rates.append([float(g["lr"]) for g in groups])
        assert rates[-1] == scheduler.get_last_lr()
    return rates


def cosine(t, period):
    return (1 + math.cos(math.pi * t / period)) / 2


# name, arguments, the factor of the initial rate at step t
FORMULAS = [
    ("StepLR", {"step_size": 4, "gamma": 0.3}, lambda t: 0.3 ** (t // 4)),
    ("MultiStepLR", {"milestones": [2, 3, 9], "gamma": 0.5}, lambda t: 0.5 ** sum(t >= m for m in (2, 3, 9))),
    ("ExponentialLR", {"gamma": 0.9}, lambda t: 0.9**t),
    ("ConstantLR", {"factor": 0.25, "total_iters": 6}, lambda t: 0.25 if t < 6 else 1.0),
    ("LinearLR", {"start_factor": 0.25, "total_iters": 6}, lambda t: 0.25 + 0.75 * min(t, 6) / 6),
    ("PolynomialLR", {"total_iters": 6, "power": 2.0}, lambda t: (1 - min(t, 6) / 6) ** 2),
    ("CosineAnnealingLR", {"T_max": 7}, lambda t: cosine(t, 7)),
    ("CosineAnnealingWarmRestarts", {"T_0": 6}, lambda t: cosine(t % 6, 6)),
    ("LambdaLR", {"lr_lambda": lambda t: 1 / (1 + t)}, lambda t: 1 / (1 + t)),
    ("MultiplicativeLR", {"lr_lambda": lambda t: 0.8}, lambda t: 0.8**t),
]


def triangle(t, up, down):
    t = t % (up + down)
    return t / up if t <= up else (up + down - t) / down


CYCLES = [
    ({"mode": "triangular"}, lambda t: 1.0),
    ({"mode": "triangular2"}, lambda t: 0.5 ** (t // 10)),
    ({"mode": "exp_range", "gamma": 0.9}, lambda t: 0.9**t),
    ({"scale_fn": lambda cycle: 1 / cycle}, lambda t: 1 / (t // 10 + 1)),
    ({"scale_fn": lambda t: 1 / (1 + t), "scale_mode": "iterations"}, lambda t: 1 / (1 + t)),
]


@pytest.mark.parametrize(("arguments", "amplitude"), CYCLES)
def test_cyclic_formula(arguments, amplitude):
    optimizer = optimizer_of(fd)
    scheduler = S.CyclicLR(optimizer, [0.1, 0.2], [1.0, 2.0], step_size_up=4, step_size_down=6, **arguments)
    for t in range(STEPS):
        share = triangle(t, 4, 6) * amplitude(t)
        groups = optimizer.param_groups
        assert [g["lr"] for g in groups] == pytest.approx([0.1 + 0.9 * share, 0.2 + 1.8 * share], rel=1e-9, abs=1e-12)
        assert [g["momentum"] for g in groups] == pytest.approx([0.9 - 0.1 * share] * 2, rel=1e-9)
        scheduler.step()


def test_chained_formula():
    optimizer = optimizer_of(fd)
    scheduler = S.ChainedScheduler([S.ConstantLR(optimizer, 0.5, 3), S.ExponentialLR(optimizer, 0.9)], optimizer)
    for t in range(STEPS):
        factor = (0.5 if t < 3 else 1.0) * 0.9**t
        assert scheduler.get_last_lr() == pytest.approx([0.5 * factor, 0.05 * factor], rel=1e-9)
        scheduler.step()


@pytest.mark.parametrize(("name", "arguments", "factor"), FORMULAS, ids=[f[0] for f in FORMULAS])
def test_formula(name, arguments, factor):
    rates = run(getattr(S, name)(optimizer_of(fd), **arguments))
    for t, row in enumerate(rates):
        assert row == pytest.approx([0.5 * factor(t), 0.05 * factor(t)], rel=1e-9, abs=1e-12)


def test_one_cycle_formula():
    optimizer = optimizer_of(fd)
    scheduler = S.OneCycleLR(optimizer, max_lr=[1.0, 2.0], total_steps=11, pct_start=0.4)
    momenta = [[g["momentum"] for g in optimizer.param_groups]]
    rates = [[g["lr"] for g in optimizer.param_groups]]
    for _ in range(10):
        scheduler.step()
        rates.append([g["lr"] for g in optimizer.param_groups])
        momenta.append([g["momentum"] for g in optimizer.param_groups])
    peak = 0.4 * 11 - 1
    for t in range(11):
        if t <= peak:
            rate = 1.0 + (1 / 25 - 1.0) * cosine(t, peak)
            momentum = 0.85 + (0.95 - 0.85) * cosine(t, peak)
        else:
            done = (t - peak, 10 - peak)
            rate = 1 / 25e4 + (1.0 - 1 / 25e4) * cosine(*done)
            momentum = 0.95 + (0.85 - 0.95) * cosine(*done)
        assert rates[t] == pytest.approx([rate, 2 * rate], rel=1e-9)
        assert momenta[t] == pytest.approx([momentum, momentum], rel=1e-9)
    scheduler.step()
    with pytest.raises(ValueError, match="11 steps"):
        scheduler.step()


def test_plateau():
    optimizer = optimizer_of(fd, lrs=(1.0,))
    scheduler = S.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    rates = []
    for metric in (1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9):
        scheduler.step(fd.tensor(metric))
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2]


@pytest.mark.parametrize(
    ("error", "make"),
    [
        (TypeError, lambda o: S.StepLR(3, 1)),
        (KeyError, lambda o: S.StepLR(o, 1, last_epoch=4)),
        (ValueError, lambda o: S.LambdaLR(o, [lambda t: t])),
        (ValueError, lambda o: S.ConstantLR(o, factor=2.0)),
        (ValueError, lambda o: S.LinearLR(o, start_factor=0.0)),
        (ValueError, lambda o: S.CosineAnnealingWarmRestarts(o, T_0=0)),
        (ValueError, lambda o: S.OneCycleLR(o, 1.0)),
        (ValueError, lambda o: S.OneCycleLR(o, [1.0], total_steps=5)),
        (ValueError, lambda o: S.SequentialLR(o, [S.ExponentialLR(o, 0.5)], milestones=[1])),
        (ValueError, lambda o: S.ReduceLROnPlateau(o, factor=1.0)),
        (ValueError, lambda o: S.CyclicLR(o, 0.1, 1.0, mode="square")),
        (ValueError, lambda o: S.CyclicLR(o, [0.1], 1.0)),
        (TypeError, lambda o: S.CyclicLR(3, 0.1, 1.0)),
        (ValueError, lambda o: S.CyclicLR(fd.optim.Adagrad([fd.zeros(1, requires_grad=True)]), 0.1, 1.0)),
        (ValueError, lambda o: S.ChainedScheduler([])),
        (TypeError, lambda o: S.ChainedScheduler([3])),
        (ValueError, lambda o: S.ChainedScheduler([S.ExponentialLR(o, 0.9), S.ReduceLROnPlateau(o)])),
        (ValueError, lambda o: S.ChainedScheduler([S.ExponentialLR(o, 0.9)], optimizer_of(fd))),
        (ValueError, lambda o: SWALR(o, 0.1, anneal_strategy="square")),
        (ValueError, lambda o: SWALR(o, 0.1, anneal_epochs=-1)),
    ],
)
def test_wrong_arguments(error, make):
    with pytest.raises(error):
        make(optimizer_of(fd))


def chained(L, o):
    warm, main = L.LinearLR(o, start_factor=0.1, total_iters=5), L.CosineAnnealingLR(o, T_max=15, eta_min=1e-3)
    return L.SequentialLR(o, [warm, main, L.ExponentialLR(o, 0.5)], milestones=[5, 18])


PARITY = {
    "step": lambda L, o: L.StepLR(o, 3, 0.3),
    "multistep": lambda L, o: L.MultiStepLR(o, [2, 2, 7], 0.3),
    "exponential": lambda L, o: L.ExponentialLR(o, 0.9),
    "constant": lambda L, o: L.ConstantLR(o),
    "linear": lambda L, o: L.LinearLR(o),
    "polynomial": lambda L, o: L.PolynomialLR(o, 7, 1.5),
    "cosine": lambda L, o: L.CosineAnnealingLR(o, 6, 1e-3),
    "restarts": lambda L, o: L.CosineAnnealingWarmRestarts(o, 3, 2, 1e-3),
    "one cycle": lambda L, o: L.OneCycleLR(o, 1.0, total_steps=STEPS + 1),
    "one cycle in three phases": lambda L, o: L.OneCycleLR(o, 1.0, epochs=17, steps_per_epoch=3, three_phase=True,
                                                           anneal_strategy="linear"),
    "lambda": lambda L, o: L.LambdaLR(o, [lambda t: 0.95**t, lambda t: 1 / (t + 1)]),
    "multiplicative": lambda L, o: L.MultiplicativeLR(o, lambda t: 0.95),
    "sequential": chained,
    "sequential of chained": lambda L, o: L.SequentialLR(
        o, [L.ChainedScheduler([L.ConstantLR(o, 0.5, 3), L.ExponentialLR(o, 0.9)]), L.StepLR(o, 4, 0.5)], [6]),
    "sequential from 0": lambda L, o: L.SequentialLR(o, [L.ConstantLR(o), L.ExponentialLR(o, 0.9)], [0]),
    "chained": lambda L, o: L.ChainedScheduler([L.LinearLR(o, 0.5, total_iters=4), L.ExponentialLR(o, 0.9)]),
    "cyclic": lambda L, o: L.CyclicLR(o, 0.01, 0.1, 3),
    "cyclic 2": lambda L, o: L.CyclicLR(o, 0.01, 0.1, 3, 5, mode="triangular2"),
    "cyclic range": lambda L, o: L.CyclicLR(o, 0.01, [0.1, 0.2], 4, mode="exp_range", gamma=0.95, cycle_momentum=False),
    "swa": lambda L, o: averaging(L).SWALR(o, [0.05, 0.01], 7),
    "swa linear": lambda L, o: averaging(L).SWALR(o, 0.05, anneal_strategy="linear"),
    "swa at once": lambda L, o: averaging(L).SWALR(o, 0.05, 0),
}  # fmt: skip


def averaging(L):
    return __import__(L.__name__.rsplit(".", 1)[0] + ".swa_utils", fromlist=["SWALR"])


class Halving:
    """A callable object, whose attributes a schedule saves."""

    def __init__(self):
        self.calls = 0

    def __call__(self, epoch):
        self.calls += 1
        return 0.5**epoch


@pytest.mark.parametrize("name", PARITY)
def test_state_goes_on_where_it_stopped(name):
    whole = run(PARITY[name](S, optimizer_of(fd)), 24)
    first, second = (PARITY[name](S, optimizer_of(fd)) for _ in range(2))
    half = run(first, 12)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    assert half + run(second, 12)[1:] == whole


def test_callable_objects_are_saved():
    first, second = (S.LambdaLR(optimizer_of(fd), Halving()) for _ in range(2))
    run(first, 3)
    second.load_state_dict(first.state_dict())
    assert second.lr_lambdas[0].calls == first.lr_lambdas[0].calls == 8
    first, second = (S.CyclicLR(optimizer_of(fd), 0.1, 1.0, 3, scale_fn=Halving()) for _ in range(2))
    run(first, 3)
    second.load_state_dict(first.state_dict())
    assert second._scale_fn_custom.calls == 4


def test_a_learning_rate_that_is_a_tensor():
    p = fd.zeros(1, requires_grad=True)
    lr = fd.tensor(0.5)
    optimizer = fd.optim.SGD([p], lr=lr)
    scheduler = S.ExponentialLR(optimizer, 0.5)
    for expected in (-0.5, -0.75, -0.875):
        p.grad = fd.ones(1)
        optimizer.step()
        scheduler.step()
        assert p.item() == expected
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.0625


def assert_same_state(state, expected):
    """The same entries, but for a flag that PyTorch keeps for a warning."""
    expected = {key: value for key, value in expected.items() if key != "_get_lr_called_within_step"}
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        if key == "_schedulers":
            for one, other in zip(state[key], value, strict=True):
                assert_same_state(one, other)
        elif key != "_schedule_phases":
            assert state[key] == (value if value is None or isinstance(value, str) else pytest.approx(value)), key
        else:
            assert state[key] == value


@pytest.mark.compare
@pytest.mark.parametrize("last_epoch", [0, 1, 4, 8])
@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR",
                                  "CosineAnnealingLR", "LambdaLR", "MultiplicativeLR", "CosineAnnealingWarmRestarts",
                                  "OneCycleLR", "CyclicLR"])  # fmt: skip
def test_going_on_without_a_state_as_torch(name, last_epoch, torch):
    """A scheduler made for an optimizer that has trained for some epochs."""
    arguments = {"StepLR": (3, 0.5), "MultiStepLR": ([2, 6], 0.5), "ExponentialLR": (0.9,), "CosineAnnealingLR": (6,),
                 "LambdaLR": (lambda t: 0.9**t,), "MultiplicativeLR": (lambda t: 0.9,),
                 "CosineAnnealingWarmRestarts": (4,), "OneCycleLR": (1.0, 20), "CyclicLR": (0.1, 1.0, 3)}  # fmt: skip
    rows = []
    for lib in (fd, torch):
        optimizer = optimizer_of(lib)
        for group in optimizer.param_groups:
            group.update(initial_lr=1.0, max_lr=2.0, min_lr=0.1, max_momentum=0.9, base_momentum=0.8)
        scheduler = getattr(lib.optim.lr_scheduler, name)(optimizer, *arguments.get(name, ()), last_epoch=last_epoch)
        rows.append(run(scheduler, 8))
    for row, expected in zip(*rows, strict=True):
        assert row == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.compare
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")  # PyTorch's, of nested schedulers
@pytest.mark.parametrize("adam", [False, True])
@pytest.mark.parametrize("name", PARITY)
def test_as_torch(name, adam, torch):
    libraries = (fd, S), (torch, torch.optim.lr_scheduler)
    schedulers = [PARITY[name](L, optimizer_of(lib, adam=adam)) for lib, L in libraries]
    mine, reference = (run(scheduler) for scheduler in schedulers)
    for row, expected in zip(mine, reference):
        assert row == pytest.approx(expected, rel=1e-9, abs=1e-15)
    ours, theirs = schedulers
    assert_same_state(ours.state_dict(), theirs.state_dict())
    ours, theirs = ours.optimizer, theirs.optimizer
    for a, b in zip(ours.param_groups, theirs.param_groups):
        for key in ("momentum", "betas"):
            assert (key in a) == (key in b)
            if key in a:
                assert a[key] == pytest.approx(b[key])


@pytest.mark.compare
def test_plateau_as_torch(torch):
    metrics = [3.0, 2.0, 2.5, 2.4, 2.3, 2.6, 1.0, 1.0, 1.0, 1.0, 1.0, 0.99999, 1.0, 1.0]
    for options in ({"patience": 1}, {"mode": "max", "patience": 0, "threshold_mode": "abs", "cooldown": 2}):
        rows = []
        for lib in (fd, torch):
            optimizer = optimizer_of(lib)
            scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
            row = []
            for metric in metrics:
                scheduler.step(metric)
                row.append(scheduler.get_last_lr())
            rows.append(row)
        assert rows[0] == rows[1]
