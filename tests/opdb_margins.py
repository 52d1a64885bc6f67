"""Rows of losses of margins, rankings and likelihoods, of bags of embeddings and of distances between all rows."""

import itertools
import math

import numpy as np
from opdb_losses import nll, probability, reduced
from opdb_row import S, op

DTYPES = ("float32", "float64")
REDUCTIONS = ("mean", "none", "sum")


def rows(r, *shape):
    return r.normal(*shape)


def signs(r, *shape):
    return np.where(r.bools(*shape), 1, -1).astype(np.int64)


def loss(name, formula, samples, **options):
    """A row of a loss: `formula` gives the loss of each element or row."""

    def reference(*args, reduction="mean", **kwargs):
        return reduced(np.asarray(formula(*args, **kwargs)), reduction)

    op(f"nn.functional.{name}", reference, samples, dtypes=DTYPES, grad=options.pop("grad", 1), **options)


def each(*shapes, make, **kwargs):
    return lambda r: [S(*make(r, *s), reduction=how, **kwargs) for how in REDUCTIONS for s in shapes]


loss(
    "margin_ranking_loss",
    lambda x, y, t, margin=0: np.maximum(margin - t * (x - y), 0).astype(x.dtype),
    each((7,), (3, 5), make=lambda r, *s: (r(*s), r(*s), signs(r, *s)), margin=0.5),
)
loss(
    "hinge_embedding_loss",
    lambda x, t, margin=1.0: np.where(t == 1, x, np.maximum(margin - x, 0)).astype(x.dtype),
    each((7,), (3, 5), make=lambda r, *s: (r(*s), signs(r, *s)), margin=0.7),
)
loss(
    "soft_margin_loss",
    lambda x, t: np.log1p(np.exp(-t.astype(x.dtype) * x)),
    each((7,), (3, 5), make=lambda r, *s: (r(*s), signs(r, *s))),
    grad=2,
    torch=False,  # takes float targets only
)


def cosine_embedding(x, y, t, margin=0):
    cosine = (x * y).sum(-1) / np.sqrt(
        ((x * x).sum(-1) + x.dtype.type(1e-12)) * ((y * y).sum(-1) + x.dtype.type(1e-12))
    )
    return np.where(t == 1, 1 - cosine, np.maximum(cosine - margin, 0)).astype(x.dtype)


loss(
    "cosine_embedding_loss",
    cosine_embedding,
    each((6, 5), (2, 65), make=lambda r, n, d: (rows(r, n, d), rows(r, n, d), signs(r, n)), margin=0.1),
)


def multi_margin(x, t, p=1, margin=1.0, weight=None):
    out = np.zeros(x.shape[0], x.dtype)
    for n, label in enumerate(t):
        for c in range(x.shape[1]):
            if c != label:
                over = np.maximum(margin - x[n, label] + x[n, c], 0) ** p
                out[n] += over if weight is None else over * weight[label]
    return out / x.dtype.type(x.shape[1])


loss(
    "multi_margin_loss",
    multi_margin,
    lambda r: [
        *(S(r(5, 7), r.ints(5, high=7), reduction=how) for how in REDUCTIONS),
        S(r(3, 4), r.ints(3, high=4), p=2, margin=0.6),
        S(r(3, 4), r.ints(3, high=4), 1, 1.0, np.array([0.5, 1.0, 2.0, 0.25])),
    ],
    nograd=(4,),
)


def multilabel_margin(x, t):
    out = np.zeros(x.shape[0], x.dtype)
    for n, row in enumerate(t):
        labels = list(itertools.takewhile(lambda y: y >= 0, row))
        for y in labels:
            out[n] += sum(np.maximum(1 - x[n, y] + x[n, c], 0) for c in range(x.shape[1]) if c not in labels)
    return out / x.dtype.type(x.shape[1])


LABELS = np.array([[0, 1, -1, 2], [3, -1, 1, 1], [-1, 0, 0, 0], [2, 0, 1, 3]])
loss("multilabel_margin_loss", multilabel_margin, lambda r: [S(r(4, 4), LABELS, reduction=how) for how in REDUCTIONS])
loss(
    "multilabel_soft_margin_loss",
    lambda x, y, weight=None: (
        (y * np.log1p(np.exp(-x)) + (1 - y) * np.log1p(np.exp(x))) * (1 if weight is None else weight)
    ).mean(-1),
    lambda r: [
        *(S(r(5, 7), probability(r, 5, 7), reduction=how) for how in REDUCTIONS),
        S(r(2, 3), probability(r, 2, 3), weight=probability(r, 3)),
    ],
    grad=2,
)


def triplet(a, p, n, margin=1.0, order=2.0, eps=1e-6, swap=False):
    def distance(x, y):
        return (np.abs(x - y + x.dtype.type(eps)) ** x.dtype.type(order)).sum(-1) ** x.dtype.type(1 / order)

    far = np.minimum(distance(a, n), distance(p, n)) if swap else distance(a, n)
    return np.maximum(margin + distance(a, p) - far, 0)


loss(
    "triplet_margin_loss",
    triplet,
    lambda r: [
        *(S(rows(r, 5, 7), rows(r, 5, 7), rows(r, 5, 7), reduction=how) for how in REDUCTIONS),
        S(rows(r, 3, 4), rows(r, 3, 4), rows(r, 3, 4), 0.5, 1.0, 1e-6, True),
        S(rows(r, 3, 4), rows(r, 3, 4), rows(r, 3, 4), 2.0, 3.0),
    ],
)


def poisson(x, y, log_input=True, full=False, eps=1e-8):
    out = np.exp(x) - y * x if log_input else x - y * np.log(x + x.dtype.type(eps))
    safe = np.maximum(y, 1)
    stirling = safe * np.log(safe) - safe + x.dtype.type(0.5) * np.log(x.dtype.type(2 * math.pi) * safe)
    return out + np.where(y > 1, stirling, 0).astype(x.dtype) if full else out


loss(
    "poisson_nll_loss",
    poisson,
    lambda r: [
        *(S(r(5, 7), r(5, 7, low=0, high=4), reduction=how) for how in REDUCTIONS),
        S(r(7, low=0.2), r(7, low=0.1, high=4), log_input=False),
        S(r(7), r(7, low=0.1, high=4), full=True),
    ],
)
loss(
    "gaussian_nll_loss",
    lambda x, y, var, full=False, eps=1e-6: (
        0.5 * (np.log(np.maximum(var, eps)) + (x - y) ** 2 / np.maximum(var, eps))
        + x.dtype.type(0.5 * math.log(2 * math.pi) if full else 0)
    ),
    lambda r: [
        *(S(r(5, 7), r(5, 7), r(5, 7, low=0.5), reduction=how) for how in REDUCTIONS),
        S(r(5, 7), r(5, 7), r(5, 1, low=0.5), full=True),
    ],
)
op(
    "nn.functional.linear_cross_entropy",
    lambda x, w, t, linear_bias=None: nll(
        (y := x @ w.T + (0 if linear_bias is None else linear_bias)) - np.log(np.exp(y).sum(-1, keepdims=True)), t
    ),
    lambda r: [S(r(5, 4), r(3, 4), r.ints(5, high=3)), S(r(5, 4), r(3, 4), r.ints(5, high=3), linear_bias=r(3))],
    dtypes=DTYPES,
    grad=1,
)


# --- alignments ---


def ctc(log_probs, targets, steps, counts, blank=0, reduction="mean", zero_infinity=False):
    """By trying all paths: those that collapse to the labels."""
    out = []
    for n in range(log_probs.shape[1]):
        labels, total = list(targets[n, : counts[n]]), log_probs.dtype.type(0)
        for path in itertools.product(range(log_probs.shape[2]), repeat=int(steps[n])):
            if [k for k, _ in itertools.groupby(path) if k != blank] == labels:
                total += np.exp(sum(log_probs[t, n, c] for t, c in enumerate(path)))
        out.append(-np.log(total))
    out = np.array(out, log_probs.dtype)
    if zero_infinity:
        out[np.isinf(out)] = 0
    return (
        (out / np.maximum(counts, 1)).astype(log_probs.dtype).mean() if reduction == "mean" else reduced(out, reduction)
    )


def ctc_of_logits(lib, x, *args, **kwargs):
    """Of a log-softmax: the gradient of ctc_loss is that of the logits."""
    return lib.nn.functional.ctc_loss(x.log_softmax(-1), *args, **kwargs)


def ctc_samples(r):
    t, n, c = 5, 3, 3
    labels = np.array([[1, 2, 1], [2, 2, 1], [1, 1, 1]])
    steps, counts = np.array([5, 4, 5]), np.array([3, 2, 0])
    return [
        *(S(r(t, n, c), labels, steps, counts, reduction=how) for how in REDUCTIONS),
        S(r(t, n, c), labels - 1, steps, counts, blank=2),
        S(r(t, n, c), labels, np.array([5, 2, 1]), np.array([3, 2, 1]), zero_infinity=True),  # 2 2 needs 3 steps
    ]


op(
    "ctc_loss of logits",
    lambda x, *args, **kwargs: ctc(x - np.log(np.exp(x).sum(-1, keepdims=True)), *args, **kwargs),
    ctc_samples,
    function=ctc_of_logits,
    dtypes=DTYPES,
    grad=1,
)


# --- tables and distances ---


def embedding_bag(places, table, offsets=None, mode="mean", padding_idx=None, per_sample_weights=None):
    if offsets is None:
        bags = [list(range(i * places.shape[1], (i + 1) * places.shape[1])) for i in range(places.shape[0])]
        places = places.reshape(-1)
    else:
        ends = [*offsets[1:], len(places)]
        bags = [list(range(a, b)) for a, b in zip(offsets, ends)]
    out = np.zeros((len(bags), table.shape[1]), table.dtype)
    for i, bag in enumerate(bags):
        kept = [j for j in bag if places[j] != padding_idx]
        if kept:
            found = table[places[kept]]
            found = found if per_sample_weights is None else found * per_sample_weights[kept, None]
            out[i] = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](found, 0)
    return out


PLACES, OFFSETS = np.array([1, 2, 4, 5, 4, 3, 2, 9]), np.array([0, 0, 3, 7])
op(
    "nn.functional.embedding_bag",
    embedding_bag,
    lambda r: [
        *(S(PLACES, r.distinct(10, 3) / 8, OFFSETS, mode=mode) for mode in ("sum", "mean", "max")),
        *(S(PLACES.reshape(2, 4), r.distinct(10, 3) / 8, mode=mode, padding_idx=2) for mode in ("sum", "mean", "max")),
        S(PLACES, r.distinct(10, 3) / 8, OFFSETS, mode="sum", per_sample_weights=r(8)),
        S(np.zeros(0, np.int64), r.distinct(3, 2) / 8, np.array([0, 0]), mode="max"),
    ],
    dtypes=DTYPES,
    grad=1,
)


def pdist(x, p=2.0):
    pairs = itertools.combinations(range(x.shape[0]), 2)
    differences = np.array([np.abs(x[i] - x[j]) for i, j in pairs], x.dtype).reshape(-1, x.shape[1])
    if p == math.inf:
        return differences.max(-1)
    return (differences**p).sum(-1) ** x.dtype.type(1 / p)


op(
    "nn.functional.pdist",
    pdist,
    lambda r: [S(r(5, 3)), S(r(4, 7), 1.0), S(r(4, 3), 3.0), S(r(3, 4), math.inf), S(r(1, 3))],
    dtypes=DTYPES,
    grad=1,
)


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    means = np.zeros_like(x)
    for c in range(x.shape[1]):
        low, high = c - size // 2, c + (size - 1) // 2 + 1
        means[:, c] = (x[:, max(low, 0) : high] ** 2).sum(1) / x.dtype.type(size)
    return x / (x.dtype.type(k) + x.dtype.type(alpha) * means) ** x.dtype.type(beta)


op(
    "nn.functional.local_response_norm",
    local_response_norm,
    lambda r: [S(r(2, 5, 3), 3, 0.5), S(r(1, 6, 2, 3), 2, 0.5, 0.5, 2.0), S(r(1, 3, 2), 5, 1.0)],
    dtypes=DTYPES,
    grad=1,
)
