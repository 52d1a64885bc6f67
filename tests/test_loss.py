import numpy as np
import pytest
from reference import (
    FLOATS,
    assert_all_accurate,
    assert_same_bits_on_threads,
    check_dtypes,
    check_gradients,
    gradients,
    level,  # noqa: F401
    plain_dtype,
    rounded,
    wide,
)

import fastdl as fd
import fastdl.nn.functional as F

REDUCTIONS = ["none", "mean", "sum"]


def log_softmax(x):
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(x, target, weight, reduction, smoothing, ignore_index=-100):
    classes = x.shape[1]
    x, soft = np.moveaxis(x, 1, -1).reshape(-1, classes), target.dtype.kind == "f"
    w = np.ones(classes, x.dtype) if weight is None else weight.astype(x.dtype)
    if soft:
        shape = (target.shape[0], *target.shape[2:])
        q, counts = np.moveaxis(target, 1, -1).reshape(-1, classes), np.ones(len(x))
    else:
        shape, labels = target.shape, target.ravel()
        kept = labels != ignore_index
        q, counts = np.eye(classes)[np.where(kept, labels, 0)], np.where(kept, w[np.where(kept, labels, 0)], 0)
    q = w * ((1 - smoothing) * q + smoothing / classes).astype(x.dtype)
    loss = -(q * log_softmax(x)).sum(1)
    if not soft:
        loss = np.where(kept, loss, 0)
    return loss.reshape(shape) if reduction == "none" else loss.sum() / (counts.sum() if reduction == "mean" else 1)


def case(name, rng):
    """Logits' shape and a target of class indices or probabilities."""
    shape = {"rows": (65, 10), "one class": (3, 1), "long rows": (3, 1000), "columns": (2, 7, 5, 17)}[
        name.split(",")[0]
    ]
    if name.endswith("soft"):
        target = rng.random(shape)
        return shape, target / target.sum(1, keepdims=True)
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    target.ravel()[1] = -100
    return shape, target


NAMES = ["rows", "one class", "long rows", "columns", "rows, soft", "columns, soft"]


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_cross_entropy_values(name, dtype):
    rng = np.random.default_rng(0)
    shape, target = case(name, rng)
    (x, x64), (w, w64) = rounded(rng, shape, dtype), rounded(rng, shape[1:2], dtype)
    w, w64 = w.abs(), np.abs(w64)
    t = fd.tensor(target)
    if target.dtype.kind == "f":
        t = t.to(getattr(fd, dtype))
        target = wide(t)
    results = []
    for reduction in REDUCTIONS:
        for smoothing in (0.0, 0.1):
            for weight, weight64 in ((None, None), (w, w64)):
                y = F.cross_entropy(x, t, weight, reduction=reduction, label_smoothing=smoothing)
                exact = cross_entropy(x64, target, weight64, reduction, smoothing)
                plain = cross_entropy(x64.astype(plain_dtype(dtype)), target, weight64, reduction, smoothing)
                terms = np.abs(cross_entropy(x64, target, weight64, "none", smoothing))
                scale = {"none": terms.max(), "mean": terms.mean(), "sum": terms.sum()}[reduction]
                results.append((y, exact, plain, scale))
    assert_all_accurate(results, dtype)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2), (4,)])
def test_cross_entropy_gradients(shape, soft, reduction):
    rng = np.random.default_rng(1)
    class_dim = 0 if len(shape) == 1 else 1
    classes, positions = shape[class_dim], shape[:class_dim] + shape[class_dim + 1 :]
    weight = fd.tensor(rng.random(classes) + 0.5)
    target = rng.random(shape) if soft else rng.integers(0, classes, positions)
    if not soft and positions:
        target.ravel()[1] = -100
    t = fd.tensor(target)

    def f(x):
        w = weight.to(x.dtype)
        u = t.to(x.dtype) if soft else t
        return F.cross_entropy(x, u, w, reduction=reduction, label_smoothing=0.1)

    check_gradients(f, [rng.standard_normal(shape)])


def test_gradient_of_class_probabilities():
    rng = np.random.default_rng(2)
    check_gradients(
        lambda x, p: F.cross_entropy(x, p, label_smoothing=0.1), [rng.standard_normal((3, 4)), rng.random((3, 4))]
    )


def test_a_large_common_offset_costs_no_accuracy():
    rng = np.random.default_rng(10)
    for shape, labels in (((4, 9), [0, 8, 3, 3]), ((1, 9, 4), [[0, 8, 3, 3]])):
        x = np.round(rng.standard_normal(shape) * 64) / 64  # exact in float32 with the offset
        y, (gx,) = gradients(lambda t, y=labels: F.cross_entropy(t, fd.tensor(y)), [x + 4096], "float32")
        exact, (exact_gx,) = gradients(lambda t, y=labels: F.cross_entropy(t, fd.tensor(y)), [x], "float64")
        np.testing.assert_allclose(wide(y), wide(exact), rtol=1e-6)
        np.testing.assert_allclose(wide(gx), wide(exact_gx), rtol=1e-5, atol=1e-7)


def test_nll_loss_is_cross_entropy_of_log_softmax():
    rng = np.random.default_rng(3)
    x = fd.tensor(rng.standard_normal((6, 5)))
    labels = fd.tensor([0, 1, -100, 4, 4, 2])
    for reduction in REDUCTIONS:
        np.testing.assert_allclose(
            F.nll_loss(F.log_softmax(x, 1), labels, reduction=reduction).numpy(force=True),
            F.cross_entropy(x, labels, reduction=reduction).numpy(force=True),
        )
    check_gradients(lambda t: F.nll_loss(t, labels), [rng.standard_normal((6, 5))])


def test_labels_out_of_range_are_named():
    x = fd.zeros(4, 3)
    for bad in (3, -1, 2**40):
        with pytest.raises(IndexError, match=rf"label {bad} at position 2 is out of range for 3 classes"):
            F.cross_entropy(x, fd.tensor([0, 1, bad, 5]))
        with pytest.raises(IndexError, match=rf"nll_loss: label {bad} "):
            F.nll_loss(x, fd.tensor([0, 1, bad, 5]))
    assert F.cross_entropy(x, fd.tensor([0, 7, 1, 7]), ignore_index=7).item() == pytest.approx(np.log(3))


def test_cross_entropy_errors():
    x, labels = fd.zeros(4, 3), fd.tensor([0, 1, 2, 0])
    with pytest.raises(ValueError, match=r"input \[4, 3\] needs a target of class indices \[4\], got \[3\]"):
        F.cross_entropy(x, labels[:3])
    with pytest.raises(ValueError, match=r"class probabilities \[4, 3\]"):
        F.cross_entropy(x, fd.zeros(4))
    with pytest.raises(ValueError, match=r"weight has shape \[2\], expected \[3\]"):
        F.cross_entropy(x, labels, fd.ones(2))
    with pytest.raises(ValueError, match="reduction 'average'"):
        F.cross_entropy(x, labels, reduction="average")
    with pytest.raises(ValueError, match="label_smoothing"):
        F.cross_entropy(x, labels, label_smoothing=2.0)
    with pytest.raises(TypeError, match="int64"):
        F.cross_entropy(labels, labels)
    with pytest.raises(TypeError, match="expected class indices"):
        F.nll_loss(x, fd.zeros(4))


def test_empty_ignored_and_extreme():
    assert np.isnan(F.cross_entropy(fd.zeros(0, 3), fd.zeros(0, dtype=fd.int64)).item())
    assert F.cross_entropy(fd.zeros(0, 3), fd.zeros(0, dtype=fd.int64), reduction="sum").item() == 0
    x = fd.tensor([[1e30, -1e30, float("-inf")]], requires_grad=True)
    y = F.cross_entropy(x, fd.tensor([0]))
    y.backward()
    assert y.item() == 0
    assert x.grad.tolist() == [[0, 0, 0]]
    for shape in ((2, 3), (1, 3, 2)):  # a row of NaN that is ignored leaves the other alone
        values = np.full(shape, np.nan, np.float32)
        values[(1,) if len(shape) == 2 else (0, slice(None), 1)] = 0
        x = fd.tensor(values, requires_grad=True)
        y = F.cross_entropy(x, fd.tensor([-100, 1]) if len(shape) == 2 else fd.tensor([[-100, 1]]))
        y.backward()
        assert y.item() == pytest.approx(np.log(3))
        assert np.isfinite(x.grad.numpy(force=True)).all()


# --- pointwise losses: (ours, reference, whether input and target are probabilities, gradient of the target too) ---


def huber(x, y, delta):
    d = np.abs(x - y)
    return np.where(d < delta, d * d / 2, delta * (d - delta / 2))


POINTWISE = {
    "mse": (F.mse_loss, lambda x, y: (x - y) ** 2, False),
    "l1": (F.l1_loss, lambda x, y: np.abs(x - y), False),
    "smooth_l1": (lambda x, y, **k: F.smooth_l1_loss(x, y, beta=0.7, **k), lambda x, y: huber(x, y, 0.7) / 0.7, False),
    "huber": (lambda x, y, **k: F.huber_loss(x, y, delta=0.7, **k), lambda x, y: huber(x, y, 0.7), False),
    "bce": (F.binary_cross_entropy, lambda x, y: -y * np.log(x) - (1 - y) * np.log(1 - x), True),
    "bce_with_logits": (
        F.binary_cross_entropy_with_logits,
        lambda x, y: np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x))),
        False,
    ),
    "kl_div": (lambda x, y, **k: F.kl_div(x, y, **k), lambda x, y: y * (np.log(y) - x), True),
    "kl_div log": (lambda x, y, **k: F.kl_div(x, y, log_target=True, **k), lambda x, y: np.exp(y) * (y - x), False),
}


def operands(name, rng, shape):
    return [rng.random(shape) * 0.8 + 0.1 if POINTWISE[name][2] else rng.standard_normal(shape) for _ in range(2)]


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_values(name, dtype):
    ours, reference, _ = POINTWISE[name]
    results = []
    for shape in ((), (7,), (3, 65), (2, 10000)):
        x, y = (fd.tensor(a).to(getattr(fd, dtype)) for a in operands(name, np.random.default_rng(4), shape))
        x64, y64 = (wide(t).astype(np.longdouble) for t in (x, y))
        exact, plain = reference(x64, y64), reference(x64.astype(plain_dtype(dtype)), y64.astype(plain_dtype(dtype)))
        for reduction in REDUCTIONS:
            reduce = {"none": lambda a: a, "mean": np.mean, "sum": np.sum}[reduction]
            scale = max(1, np.abs(reduce(np.abs(exact))).max())
            results.append((ours(x, y, reduction=reduction), reduce(exact), reduce(plain), scale))
    assert_all_accurate(results, dtype)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_gradients(name, reduction):
    ours = POINTWISE[name][0]
    arrays = operands(name, np.random.default_rng(5), (2, 3))
    check_gradients(lambda x, y: ours(x, y, reduction=reduction), arrays)
    fixed = fd.tensor(arrays[1])  # the fused backward, where the target needs no gradient
    check_gradients(lambda x: ours(x, fixed.to(x.dtype), reduction=reduction), arrays[:1])


def test_weights():
    rng = np.random.default_rng(6)
    x, y, w, p = rng.standard_normal((4, 5)), rng.random((4, 5)), rng.random(5), rng.random(5) + 1
    t = [fd.tensor(a) for a in (x, y, w, p)]
    exact = w * ((1 - y) * x + (1 + (p - 1) * y) * np.logaddexp(0, -x))
    np.testing.assert_allclose(
        F.binary_cross_entropy_with_logits(t[0], t[1], t[2], pos_weight=t[3], reduction="none").numpy(force=True), exact
    )
    check_gradients(
        lambda a: F.binary_cross_entropy_with_logits(
            a, t[1].to(a.dtype), t[2].to(a.dtype), pos_weight=t[3].to(a.dtype)
        ),
        [x],
    )
    np.testing.assert_allclose(F.mse_loss(t[0], t[1], weight=t[2]).item(), (w * (x - y) ** 2).sum() / (4 * w.sum()))


def test_pointwise_edges():
    assert F.binary_cross_entropy(fd.tensor([0.0, 1.0]), fd.tensor([1.0, 0.0])).item() == 100
    assert F.kl_div(fd.tensor([0.0, 0.0]), fd.tensor([0.0, 1.0]), reduction="sum").item() == 0
    assert F.kl_div(fd.zeros(4, 3), fd.ones(4, 3), reduction="batchmean").item() == 0
    assert np.isnan(F.mse_loss(fd.zeros(0), fd.zeros(0)).item())
    assert F.smooth_l1_loss(fd.tensor([3.0]), fd.tensor([1.0]), beta=0.0).item() == 2
    assert tuple(F.mse_loss(fd.zeros(3, 1), fd.zeros(4), reduction="none").shape) == (3, 4)
    with pytest.raises(ValueError, match=r"target \[2\] must have the shape of input \[3\]"):
        F.binary_cross_entropy_with_logits(fd.zeros(3), fd.zeros(2))
    with pytest.raises(ValueError, match="do not broadcast"):
        F.l1_loss(fd.zeros(3), fd.zeros(2))
    with pytest.raises(ValueError, match="reduction 'batchmean'"):
        F.mse_loss(fd.zeros(3), fd.zeros(3), reduction="batchmean")


def test_same_bits_at_one_and_two_threads():
    x = np.random.default_rng(7).standard_normal((3000, 50))
    labels = fd.tensor(np.random.default_rng(8).integers(0, 50, 3000))
    assert_same_bits_on_threads(lambda t: F.cross_entropy(t, labels), [x])
    assert_same_bits_on_threads(lambda t, u: F.mse_loss(t, u), [x, x[::-1]])


def test_long_reductions_in_every_dtype():
    rng = np.random.default_rng(9)
    labels = fd.tensor(rng.integers(0, 33, 40))
    check_dtypes(lambda t: F.cross_entropy(t, labels, label_smoothing=0.1), [rng.standard_normal((40, 33))])
