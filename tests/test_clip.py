"""Gradient clipping by norm and by value, as users call it."""

import math

import numpy as np
import pytest

import fastdl as fd
from fastdl.nn import utils

NORMS = [0.5, 1, 2.0, 3, math.inf, "inf"]


def parameters(lib, values=((3.0, -4.0), (12.0,), None, ((0.5, 0.0),)), dtype="float64"):
    made = []
    for value in values:
        p = lib.zeros(np.shape(value) if value is not None else (2,), dtype=getattr(lib, dtype), requires_grad=True)
        if value is not None:
            p.grad = lib.tensor(value, dtype=getattr(lib, dtype))
        made.append(p)
    return made


def gradients(params):
    return [p.grad.tolist() for p in params if p.grad is not None]


def test_formula():
    params = parameters(fd)
    norm = utils.clip_grad_norm_(params, 1.0)
    assert norm.item() == pytest.approx(math.sqrt(9 + 16 + 144 + 0.25))
    assert params[1].grad.item() == pytest.approx(12 / (norm.item() + 1e-6))
    assert utils.clip_grad_norm_(params, 2.0).item() == pytest.approx(1.0, rel=1e-5)
    assert utils.get_total_norm([p.grad for p in params if p.grad is not None]).item() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.compare
@pytest.mark.parametrize("foreach", [None, True, False])
@pytest.mark.parametrize("max_norm", [0.0, 0.7, 1e3])
@pytest.mark.parametrize("norm_type", NORMS)
def test_as_torch(norm_type, max_norm, foreach, torch):
    results = []
    for lib in (fd, torch):
        params = parameters(lib)
        norm = lib.nn.utils.clip_grad_norm_((p for p in params), max_norm, norm_type, foreach=foreach)
        total = lib.nn.utils.get_total_norm([p.grad for p in params if p.grad is not None], norm_type, foreach=foreach)
        again = parameters(lib)
        lib.nn.utils.clip_grads_with_norm_(again, max_norm, norm, foreach)
        results.append(
            np.concatenate(
                [np.ravel(g) for g in [norm.tolist(), total.tolist(), *gradients(params), *gradients(again)]]
            )
        )
    np.testing.assert_allclose(*results, rtol=1e-9, atol=1e-12)


@pytest.mark.compare
def test_values_as_torch(torch):
    results = []
    for lib in (fd, torch):
        params = parameters(lib, ((3.0, -4.0, math.inf, -math.inf, math.nan), (0.1,)))
        assert lib.nn.utils.clip_grad_value_(params, 3.5) is None
        lib.nn.utils.clip_grad_value_(params[1], clip_value=0.05, foreach=False)
        results.append(np.concatenate(gradients(params)))
    np.testing.assert_array_equal(*results)


def test_one_parameter_and_none():
    p = parameters(fd)[0]
    assert utils.clip_grad_norm_(p, 1.0).item() == 5.0
    assert utils.clip_grad_norm_([], 1.0).item() == 0.0
    assert utils.clip_grad_norm_([fd.zeros(2, requires_grad=True)], 1.0).item() == 0.0
    assert utils.get_total_norm([]).item() == 0.0


@pytest.mark.parametrize("norm_type", NORMS)
def test_not_finite(norm_type):
    for bad in (math.nan, math.inf):
        params = parameters(fd, ((1.0, bad), (2.0,)))
        with pytest.raises(RuntimeError, match="norm"):
            utils.clip_grad_norm_(params, 1.0, norm_type, error_if_nonfinite=True)
        assert gradients(params)[1] == [2.0]  # nothing changed
        assert not math.isfinite(utils.clip_grad_norm_(params, 1.0, norm_type).item())


def test_several_dtypes():
    params = [parameters(fd, ((3.0,),), dtype)[0] for dtype in ("float32", "float64", "bfloat16")]
    norm = utils.clip_grad_norm_(params, 1.0)
    assert norm.item() == pytest.approx(math.sqrt(27), rel=1e-6)
    for p in params:
        assert p.grad.item() == pytest.approx(3 / math.sqrt(27), rel=1e-2)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="max_norm"):
        utils.clip_grad_norm_(parameters(fd), -1.0)
    with pytest.raises(ValueError, match="max_norm"):
        utils.clip_grad_norm_(parameters(fd), math.nan)
