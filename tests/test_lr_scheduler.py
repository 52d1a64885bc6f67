"""Learning-rate schedules against their formulas and, where it is installed, PyTorch."""

import math

import pytest

import fastdl as fd
from fastdl.optim import lr_scheduler as S

STEPS = 25


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


def test_state_goes_on_where_it_stopped():
    def make():
        optimizer = optimizer_of(fd)
        return S.SequentialLR(
            optimizer,
            [S.LinearLR(optimizer, total_iters=4), S.CosineAnnealingLR(optimizer, T_max=20)],
            milestones=[4],
        )

    whole = run(make(), 12)
    first, second = make(), make()
    half = run(first, 6)
    second.load_state_dict(first.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    assert half + run(second, 6)[1:] == whole


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
    "one cycle in three phases": lambda L, o: L.OneCycleLR(o, 1.0, epochs=13, steps_per_epoch=2, three_phase=True,
                                                           anneal_strategy="linear"),
    "lambda": lambda L, o: L.LambdaLR(o, [lambda t: 0.95**t, lambda t: 1 / (t + 1)]),
    "multiplicative": lambda L, o: L.MultiplicativeLR(o, lambda t: 0.95),
    "sequential": chained,
}  # fmt: skip


@pytest.mark.compare
@pytest.mark.parametrize("adam", [False, True])
@pytest.mark.parametrize("name", PARITY)
def test_as_torch(name, adam, torch):
    ours, theirs = optimizer_of(fd, adam=adam), optimizer_of(torch, adam=adam)
    mine = run(PARITY[name](S, ours))
    reference = run(PARITY[name](torch.optim.lr_scheduler, theirs))
    for row, expected in zip(mine, reference):
        assert row == pytest.approx(expected, rel=1e-9, abs=1e-15)
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
