"""Losses, random numbers, and the optimizers of ai.onnx.preview.training."""

import fastdl as fd
from fastdl.nn import functional as F
from fastdl.onnx.values import dtype_of

# --- losses ---


def negative_log_likelihood(log_p, target, weight=None, *, ignore_index=None, reduction="mean"):
    """-weight[t] log_p[t] of each target t (N, ...) among the classes in dimension 1 of log_p."""
    target = target.long()
    ignored = fd.zeros(*target.shape, dtype=fd.bool) if ignore_index is None else target == ignore_index
    safe = target.masked_fill(ignored, 0)
    each = fd.ones(*target.shape, dtype=log_p.dtype) if weight is None else weight[safe]
    each = each.masked_fill(ignored, 0)
    loss = -fd.gather(log_p, 1, safe.unsqueeze(1)).squeeze(1) * each
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.sum() / each.sum()


def softmax_cross_entropy(scores, labels, weight=None, *, ignore_index=None, reduction="mean"):
    log_p = F.log_softmax(scores, 1)
    return negative_log_likelihood(log_p, labels, weight, ignore_index=ignore_index, reduction=reduction), log_p


# --- random numbers ---


def _generator(seed):
    return None if seed is None else fd.Generator().manual_seed(int(seed))


def _random(fill):
    """(from a shape, like a tensor): the dtype is the attribute's, or float32 or the tensor's."""

    def make(shape, dtype, seed, options):
        y = fd.empty(*shape, dtype=fd.float32)
        return fill(y, _generator(seed), **options).to(dtype)

    def from_shape(*, shape, dtype=1, seed=None, **options):
        return make(shape, dtype_of(dtype, "a random tensor"), seed, options)

    def like(x, *, dtype=None, seed=None, **options):
        return make(x.shape, x.dtype if dtype is None else dtype_of(dtype, "a random tensor"), seed, options)

    return from_shape, like


random_normal, random_normal_like = _random(lambda y, g, mean=0.0, scale=1.0: y.normal_(mean, scale, generator=g))
random_uniform, random_uniform_like = _random(lambda y, g, low=0.0, high=1.0: y.uniform_(low, high, generator=g))


def bernoulli(p, *, dtype=None, seed=None):
    y = fd.bernoulli(p, generator=_generator(seed))
    return y.to(p.dtype if dtype is None else dtype_of(dtype, "the result of Bernoulli"))


def multinomial(x, *, dtype=6, sample_size=1, seed=None):
    """Classes drawn by unnormalized log-probabilities (N, classes)."""
    edges = F.softmax(x.double(), -1).cumsum(-1)
    draws = fd.empty(x.shape[0], sample_size, dtype=fd.float64).uniform_(0, 1, generator=_generator(seed))
    classes = (draws.unsqueeze(-1) >= edges.unsqueeze(1)).sum(-1).clamp(max=x.shape[1] - 1)
    return classes.to(dtype_of(dtype, "the result of Multinomial"))


# --- optimizers: (rate, step, *tensors, *gradients, *states) to (*tensors, *states) ---


def _per_tensor(states, update):
    def run(rate, step, *values, **options):
        count = len(values) // (2 + states)
        groups = [values[i * count : (i + 1) * count] for i in range(2 + states)]
        made = [update(rate, step, *tensors, **options) for tensors in zip(*groups)]
        return tuple(y[i] for i in range(1 + states) for y in made)

    return run


def _adagrad(rate, step, x, gradient, square, *, decay_factor=0.0, epsilon=0.0, norm_coefficient=0.0):
    rate = rate / (1 + step.to(rate.dtype) * decay_factor)
    gradient = norm_coefficient * x + gradient
    square = square + gradient * gradient
    return x - rate * gradient / (square.sqrt() + epsilon), square


def _adam(
    rate, step, x, gradient, first, second, *, alpha=0.9, beta=0.999, epsilon=0.0, norm_coefficient=0.0,
    norm_coefficient_post=0.0,
):  # fmt: skip
    gradient = norm_coefficient * x + gradient
    first = alpha * first + (1 - alpha) * gradient
    second = beta * second + (1 - beta) * gradient * gradient
    t = int(step)
    if t > 0:
        rate = rate * ((1 - beta**t) ** 0.5 / (1 - alpha**t))
    x = x - rate * first / (second.sqrt() + epsilon)
    return (1 - norm_coefficient_post) * x, first, second


def _momentum(rate, step, x, gradient, velocity, *, alpha, beta, mode, norm_coefficient):
    gradient = norm_coefficient * x + gradient
    velocity = alpha * velocity + (beta if int(step) > 0 else 1.0) * gradient
    return x - rate * (gradient + alpha * velocity if mode == "nesterov" else velocity), velocity


OPERATORS = {
    "Bernoulli": bernoulli,
    "Multinomial": multinomial,
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "RandomNormal": random_normal,
    "RandomNormalLike": random_normal_like,
    "RandomUniform": random_uniform,
    "RandomUniformLike": random_uniform_like,
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
    "ai.onnx.preview.training.Adagrad": _per_tensor(1, _adagrad),
    "ai.onnx.preview.training.Adam": _per_tensor(2, _adam),
    "ai.onnx.preview.training.Momentum": _per_tensor(1, _momentum),
}
