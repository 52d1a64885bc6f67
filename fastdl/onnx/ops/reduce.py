"""Operators that reduce, sort and accumulate along axes."""

import math

import fastdl as fd
from fastdl.nn import functional as F
from fastdl.onnx.values import axis_of, ints, number


def reduction(function, empty=None):
    """An operator over ``axes`` (an input since opset 13 or 18, an attribute before; all when left out).

    ``empty`` is the result for no elements where the function has none, or a function of the dtype.
    """

    def reduce(x, axes_input=None, *, axes=None, keepdims=1, noop_with_empty_axes=0):
        axes = ints(axes_input) if axes_input is not None else axes
        if not axes:
            if noop_with_empty_axes:
                axes = []
            else:
                axes = range(x.ndim)
        axes = tuple(axis_of(a, x.ndim) for a in axes)
        if empty is not None and any(x.shape[a] == 0 for a in axes):
            shape = [1 if d in axes else s for d, s in enumerate(x.shape) if keepdims or d not in axes]
            return fd.full(shape, empty(x.dtype), dtype=x.dtype, device=x.device)
        if axes:
            return function(x, axes, bool(keepdims)).to(x.dtype)
        x = x.unsqueeze(0)  # each element is reduced alone
        return function(x, (0,), False).to(x.dtype)

    return reduce


_INTEGER_RANGE = {fd.uint8: (0, 255), fd.int8: (-128, 127), fd.int32: (-(2**31), 2**31 - 1),
                  fd.int64: (-(2**63), 2**63 - 1), fd.bool: (False, True)}  # fmt: skip


def lowest(dtype):
    return _INTEGER_RANGE[dtype][0] if dtype in _INTEGER_RANGE else -math.inf


def highest(dtype):
    return _INTEGER_RANGE[dtype][1] if dtype in _INTEGER_RANGE else math.inf


def _float(x):
    return x if x.dtype.is_floating_point else x.double()


def _product(x, axes, keepdims):
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdims)
    return x


def _mean(x, axes, keepdims):
    if x.dtype.is_floating_point:
        return x.mean(axes, keepdims)
    return fd.div(x.sum(axes, keepdims), math.prod(x.shape[a] for a in axes), rounding_mode="trunc")


def _log_sum_exp(x, axes, keepdims):
    return fd.logsumexp(_float(x), axes, keepdims)


def arg_extreme(largest):
    def find(x, *, axis=0, keepdims=1, select_last_index=0):
        axis = axis_of(axis, x.ndim)
        pick = fd.argmax if largest else fd.argmin
        if not select_last_index:
            return pick(x, axis, bool(keepdims))
        return x.shape[axis] - 1 - pick(x.flip(axis), axis, bool(keepdims))

    return find


def _along(x, axis, exclusive, reverse, start, accumulate):
    """Accumulates along the axis, from the end if reversed; exclusive: without the element itself."""
    axis = axis_of(number(axis), x.ndim)
    if reverse:
        x = x.flip(axis)
    if exclusive and x.shape[axis]:
        first = fd.full_like(x.narrow(axis, 0, 1), start)
        x = fd.cat([first, x.narrow(axis, 0, x.shape[axis] - 1)], axis)
    y = accumulate(x, axis)
    return y.flip(axis) if reverse else y


def cum_sum(x, axis, *, exclusive=0, reverse=0):
    return _along(x, axis, exclusive, reverse, 0, lambda x, d: fd.cumsum(x, d).to(x.dtype))


def _running_product(x, axis):
    parts = list(x.unbind(axis))
    for i in range(1, len(parts)):
        parts[i] = parts[i - 1] * parts[i]
    return fd.stack(parts, axis) if parts else x


def cum_prod(x, axis, *, exclusive=0, reverse=0):
    return _along(x, axis, exclusive, reverse, 1, _running_product)


def top_k(x, k, *, axis=-1, largest=1, sorted=1):
    values, indices = fd.topk(x, number(k), axis_of(axis, x.ndim), bool(largest), True)
    return values, indices


def softmax(x, *, axis=-1):
    return F.softmax(x, axis)


def log_softmax(x, *, axis=-1):
    return F.log_softmax(x, axis)


def hardmax(x, *, axis=-1):
    axis = axis_of(axis, x.ndim)
    places = fd.arange(x.shape[axis], device=x.device).reshape(-1, *(1,) * (x.ndim - 1 - axis))
    return (places == fd.argmax(x, axis, True)).to(x.dtype)


def lp_normalization(x, *, axis=-1, p=2):
    """x / |x|_p along the axis; 0 where the norm is 0."""
    norm = x.norm(p, axis, True)
    return fd.where(norm == 0, fd.zeros_like(x), x / norm)


def unique(x, *, axis=None, sorted=1):
    """The distinct elements (or slices along the axis), where each is first, which of them each is, and how often."""
    rows = x.reshape(-1, 1) if axis is None else x.movedim(axis, 0).reshape(x.shape[axis], -1)
    keys = [tuple(row) for row in rows.tolist()]
    first, counts = {}, {}
    for i, key in enumerate(keys):
        first.setdefault(key, i)
        counts[key] = counts.get(key, 0) + 1
    order = list(first)
    if sorted:
        order.sort()
    rank = {key: i for i, key in enumerate(order)}
    indices = fd.tensor([first[key] for key in order], dtype=fd.int64)
    values = x.reshape(-1)[indices] if axis is None else x.index_select(axis_of(axis, x.ndim), indices)
    inverse = fd.tensor([rank[key] for key in keys], dtype=fd.int64)
    return values, indices, inverse, fd.tensor([counts[key] for key in order], dtype=fd.int64)


def non_zero(x):
    return fd.nonzero(x).t()


def compress(x, condition, *, axis=None):
    chosen = condition.nonzero().reshape(-1)
    return x.reshape(-1)[chosen] if axis is None else x.index_select(axis_of(axis, x.ndim), chosen)


def _log_sum(x, axes, keepdims):
    return _float(x).sum(axes, keepdims).log()


def _l2(x, axes, keepdims):
    return _float(x).square().sum(axes, keepdims).sqrt()


OPERATORS = {
    "ArgMax": arg_extreme(True),
    "ArgMin": arg_extreme(False),
    "Compress": compress,
    "CumProd": cum_prod,
    "CumSum": cum_sum,
    "Hardmax": hardmax,
    "LogSoftmax": log_softmax,
    "LpNormalization": lp_normalization,
    "NonZero": non_zero,
    "ReduceL1": reduction(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": reduction(_l2),
    "ReduceLogSum": reduction(_log_sum),
    "ReduceLogSumExp": reduction(_log_sum_exp, empty=lambda dtype: -math.inf),
    "ReduceMax": reduction(lambda x, axes, keep: x.amax(axes, keep), empty=lowest),
    "ReduceMean": reduction(_mean),
    "ReduceMin": reduction(lambda x, axes, keep: x.amin(axes, keep), empty=highest),
    "ReduceProd": reduction(_product),
    "ReduceSum": reduction(lambda x, axes, keep: x.sum(axes, keep)),
    "ReduceSumSquare": reduction(lambda x, axes, keep: x.square().sum(axes, keep)),
    "Softmax": softmax,
    "TopK": top_k,
    "Unique": unique,
}
