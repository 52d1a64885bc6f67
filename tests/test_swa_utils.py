"""Averages of weights: against their formulas and, where it is installed, PyTorch."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import nn
from fastdl.optim import swa_utils as U


def model_of(lib):
    model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Linear(4, 2))
    return model.train()


def weights(step):
    rng = np.random.default_rng(step)
    return [rng.normal(size=s) for s in [(4, 3), (4,), (4,), (4,), (2, 4), (2,)]]


def set_weights(lib, model, step):
    with lib.no_grad():
        for p, w in zip(model.parameters(), weights(step), strict=True):
            p.copy_(lib.tensor(w.tolist()))
        model[1].running_mean.fill_(float(step))
        model[1].num_batches_tracked.fill_(10 * step)


def averages(model):
    return [np.array(p.tolist()) for p in model.module.parameters()]


@pytest.mark.parametrize("make", [lambda: {}, lambda: {"multi_avg_fn": U.get_swa_multi_avg_fn()},
                                  lambda: {"avg_fn": U.get_swa_avg_fn()}])  # fmt: skip
def test_equal_weights(make):
    model = model_of(fd)
    average = U.AveragedModel(model, **make())
    for step in range(1, 6):
        set_weights(fd, model, step)
        average.update_parameters(model)
    for i, got in enumerate(averages(average)):
        np.testing.assert_allclose(got, np.mean([weights(s)[i] for s in range(1, 6)], 0), rtol=1e-5, atol=1e-6)
    assert average.n_averaged.item() == 5
    assert average.module[1].running_mean.tolist() == [5.0] * 4  # copied
    assert average.module[1].num_batches_tracked.item() == 50


@pytest.mark.parametrize(
    "make", [lambda: {"multi_avg_fn": U.get_ema_multi_avg_fn(0.9)}, lambda: {"avg_fn": U.get_ema_avg_fn(0.9)}]
)
def test_exponential(make):
    model = model_of(fd)
    average = U.AveragedModel(model, use_buffers=True, **make())
    expected = None
    for step in range(1, 6):
        set_weights(fd, model, step)
        average.update_parameters(model)
        now = weights(step)
        expected = now if expected is None else [0.9 * e + 0.1 * w for e, w in zip(expected, now)]
    for got, e in zip(averages(average), expected):
        np.testing.assert_allclose(got, e, rtol=1e-5, atol=1e-6)
    mean = 1.0
    for step in range(2, 6):
        mean = 0.9 * mean + 0.1 * step
    assert average.module[1].running_mean.tolist() == pytest.approx([mean] * 4, rel=1e-5)


@pytest.mark.compare
@pytest.mark.parametrize("kind", ["default", "ema", "ema single", "buffers"])
def test_as_torch(kind, torch):
    results = []
    for lib in (fd, torch):
        swa = lib.optim.swa_utils
        options = {
            "default": {},
            "ema": {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.8)},
            "ema single": {"avg_fn": swa.get_ema_avg_fn(0.8)},
            "buffers": {"use_buffers": True},
        }[kind]
        model = model_of(lib)
        average = swa.AveragedModel(model, **options)
        for step in range(1, 5):
            set_weights(lib, model, step)
            average.update_parameters(model)
        results.append({key: value.tolist() for key, value in average.state_dict().items()})
    ours, theirs = results
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, rtol=1e-5, atol=1e-6, err_msg=key)


def test_the_model_is_copied_and_the_average_runs():
    model = model_of(fd).eval()
    average = U.AveragedModel(model)
    x = fd.randn(5, 3)
    assert average(x).tolist() == model(x).tolist()
    with fd.no_grad():
        model[0].weight.zero_()
    assert average.module[0].weight.abs().sum().item() > 0


def test_update_bn():
    data = [fd.randn(8, 3) for _ in range(4)]
    model = model_of(fd).eval()
    model[1].momentum = 0.3
    U.update_bn([(x, None) for x in data], model)
    hidden = np.concatenate([np.array(model[0](x).tolist()) for x in data]).reshape(4, 8, 4)
    np.testing.assert_allclose(model[1].running_mean.tolist(), hidden.mean(1).mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model[1].running_var.tolist(), hidden.var(1, ddof=1).mean(0), rtol=1e-4)
    assert model[1].momentum == 0.3
    assert not model.training
    U.update_bn(iter(data), nn.Linear(3, 2))  # no batch normalization: nothing to do

    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            raise RuntimeError("broken")

    broken = Broken().eval()
    with pytest.raises(RuntimeError, match="broken"):
        U.update_bn(data, broken)
    assert broken.norm.momentum == 0.1
    assert not broken.training


def test_wrong_arguments():
    with pytest.raises(ValueError, match="decay 1.5"):
        U.get_ema_multi_avg_fn(1.5)
    with pytest.raises(ValueError, match="decay -1"):
        U.get_ema_avg_fn(-1)
    with pytest.raises(AssertionError, match="only one"):
        U.AveragedModel(nn.Linear(1, 1), avg_fn=U.get_swa_avg_fn(), multi_avg_fn=U.get_swa_multi_avg_fn())
