"""Rows of losses and distances."""

import numpy as np
from opdb_layers import log_softmax
from opdb_pointwise import softplus
from opdb_row import Bench, S, op

SMALL = ("float32", "float64", "bfloat16")


def reduced(values, reduction):
    return {"none": lambda: values, "mean": lambda: values.mean(), "sum": lambda: values.sum()}[reduction]()


def elementwise(f):
    return lambda x, y, reduction="mean", **k: reduced(f(x, y, **k), reduction)


def pairs(low=-3.0, high=3.0, target=None, **kwargs):
    target = target or (lambda r, *s: r(*s, low=low, high=high))

    def samples(r):
        some = [((7,), "mean"), ((3, 65), "none"), ((129,), "sum"), ((2, 3, 5), "mean"), ((), "mean")]
        return [S(r(*s, low=low, high=high), target(r, *s), reduction=how) for s, how in some] + (
            [S(r(5, 33), target(r, 5, 33), **kwargs)] if kwargs else []
        )

    return samples


def huber(x, y, delta=1.0):
    d = np.abs(x - y)
    return np.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta))


def smooth_l1(x, y, beta=1.0):
    d = np.abs(x - y)
    return np.where(d < beta, 0.5 * d * d / beta, d - 0.5 * beta)


def bce(x, y):
    return -(y * np.maximum(np.log(x), -100) + (1 - y) * np.maximum(np.log1p(-x), -100))


def bce_logits(x, y, pos_weight=1.0):
    return (1 - y) * x + (1 + (pos_weight - 1) * y) * softplus(-x, threshold=1e9)


def probability(r, *s):
    return r(*s, low=0.05, high=0.95)


op("nn.functional.mse_loss", elementwise(lambda x, y: (x - y) ** 2), pairs(), dtypes=SMALL, grad=2)
op("nn.functional.l1_loss", elementwise(lambda x, y: np.abs(x - y)), pairs(), dtypes=SMALL, grad=1)
op("nn.functional.smooth_l1_loss", elementwise(smooth_l1), pairs(beta=0.5), dtypes=SMALL, grad=1)
op("nn.functional.huber_loss", elementwise(huber), pairs(delta=0.5), dtypes=SMALL, grad=1)
op("nn.functional.binary_cross_entropy", elementwise(bce), pairs(0.05, 0.95), dtypes=SMALL, grad=1)
op(
    "nn.functional.binary_cross_entropy_with_logits",
    elementwise(bce_logits),
    lambda r: [*pairs(-8, 8, probability)(r), S(r(5, 33), probability(r, 5, 33), pos_weight=r(33, low=0.5))],
    dtypes=SMALL,
    grad=1,
)
op(
    "nn.functional.kl_div",
    lambda x, y, reduction="mean", log_target=False: (
        lambda v: v.sum() / x.shape[0] if reduction == "batchmean" else reduced(v, reduction)
    )(np.exp(y) * (y - x) if log_target else y * (np.log(y) - x)),
    lambda r: [
        S(r(3, 7), probability(r, 3, 7), reduction="batchmean"),
        S(r(65), probability(r, 65), reduction="sum"),
        S(r(3, 5), r(3, 5), reduction="none", log_target=True),
    ],
    dtypes=SMALL,
    grad=1,
)


def nll(logp, target, weight=None, ignore_index=-100, reduction="mean"):
    keep = target != ignore_index
    safe = np.where(keep, target, 0)
    w = (np.ones(logp.shape[-1 if logp.ndim == 1 else 1], logp.dtype) if weight is None else weight)[
        safe
    ] * keep.astype(logp.dtype)
    dim = 1 if logp.ndim > 1 else 0
    loss = -np.squeeze(np.take_along_axis(logp, np.expand_dims(safe, dim), dim), dim) * w
    return {"none": lambda: loss, "sum": lambda: loss.sum(), "mean": lambda: loss.sum() / w.sum()}[reduction]()


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    dim = 1 if x.ndim > 1 else 0
    logp = log_softmax(x, dim)
    shape = [-1 if d == dim else 1 for d in range(x.ndim)]
    if target.dtype.kind == "f":
        n = x.shape[dim]
        target = target * (1 - label_smoothing) + label_smoothing / n
        loss = -(logp * target * (1 if weight is None else weight.reshape(shape))).sum(dim)
        return loss.sum() / (loss.size) if reduction == "mean" else reduced(loss, reduction)
    plain = nll(logp, target, weight, ignore_index, reduction)
    if label_smoothing == 0:
        return plain
    keep = (target != ignore_index).astype(x.dtype)
    w = np.ones(x.shape[dim], x.dtype) if weight is None else weight
    smooth = -(logp * w.reshape(shape)).sum(dim) * keep
    total = (w[np.where(keep > 0, target, 0)] * keep).sum()
    smooth = {"none": lambda: smooth, "sum": lambda: smooth.sum(), "mean": lambda: smooth.sum() / total}[reduction]()
    return (1 - label_smoothing) * plain + label_smoothing / x.shape[dim] * smooth


def labels(r, *shape, high, ignored=0):
    t = r.ints(*shape, high=high)
    t.reshape(-1)[:ignored] = -100
    return t


def class_samples(r, smooth):
    out = [
        S(r(7, 5), labels(r, 7, high=5)),
        S(r(65, 129), labels(r, 65, high=129, ignored=3), reduction="sum"),
        S(r(5), labels(r, high=5)),
        S(r(4, 3, 7), labels(r, 4, 7, high=3, ignored=2)),
        S(r(2, 5, 3, 4), labels(r, 2, 3, 4, high=5), reduction="none"),
        S(r(9, 4), labels(r, 9, high=4, ignored=1), r(4, low=0.5)),
    ]
    if smooth:
        soft = lambda *s: (lambda p: p / p.sum(1, keepdims=True))(probability(r, *s))
        out += [
            S(r(7, 33), labels(r, 7, high=33, ignored=2), label_smoothing=0.1),
            S(r(7, 5), labels(r, 7, high=5), r(5, low=0.5), label_smoothing=0.2),
            S(r(7, 5), soft(7, 5)),
            S(r(6, 5), soft(6, 5), label_smoothing=0.1, reduction="sum"),
            S(40 * r(5, 9), labels(r, 5, high=9)),
        ]
    return out


op("nn.functional.nll_loss", nll, lambda r: class_samples(r, False), dtypes=SMALL, grad=1, nograd=(2,))
op(
    "nn.functional.cross_entropy",
    cross_entropy,
    lambda r: class_samples(r, True),
    dtypes=SMALL,
    grad=1,
    nograd=(2,),
    bench=[
        Bench(
            "4096x8192 fwdbwd",
            lambda r: S(r(4096, 8192), r.ints(4096, high=8192)),
            nbytes=8.0 * 4096 * 8192,
            backward=True,
        )
    ],
)
op(
    "nn.functional.cosine_similarity",
    lambda x, y, dim=1, eps=1e-8: (
        (x * y).sum(dim) / np.maximum(np.sqrt((x * x).sum(dim)) * np.sqrt((y * y).sum(dim)), eps)
    ),
    lambda r: [S(r(3, 65), r(3, 65)), S(r(2, 5, 7), r(2, 5, 7), dim=-1)],
    dtypes=SMALL,
    grad=1,
)
