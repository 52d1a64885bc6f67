"""Ops that reduce, sort and accumulate, and products."""

import fastdl as fd


def _axes(x, dim):
    dims = range(x.ndim) if dim is None or dim == () else [dim] if isinstance(dim, int) else dim
    return [d % max(x.ndim, 1) for d in dims]


def _reduced(g, operator, name, axes, keepdim):
    return g.node(operator, [name, g.constant(axes)] if axes else [name], keepdims=int(keepdim))


def reduction(operator):
    """Over ``dim``, computed in the result's type."""

    def emit(g, out, x, dim=None, keepdim=False, dtype=None):
        return _reduced(g, operator, g.name(x, out.dtype), _axes(x, dim), keepdim)

    return emit


def _all(operator):
    def emit(g, out, x, dim=None, keepdim=False):
        flags = g.cast(g.name(x, fd.bool), fd.int32)
        return g.cast(_reduced(g, operator, flags, _axes(x, dim), keepdim), out.dtype)

    return emit


def _count_nonzero(g, out, x, dim=None):
    return _reduced(g, "ReduceSum", g.cast(g.name(x, fd.bool), fd.int64), _axes(x, dim), False)


def _arg(operator):
    def emit(g, out, x, dim=None, keepdim=False):
        if dim is None:
            y = g.node(operator, [g.reshape(g.name(x), [x.numel()])], axis=0, keepdims=0)
            return g.reshape(y, out.shape)
        return g.node(operator, [g.name(x)], axis=dim % max(x.ndim, 1), keepdims=int(keepdim))

    return emit


def _with_place(value, place):
    """(the extreme along a dimension, its first place)."""

    def emit(g, out, x, dim, keepdim=False):
        name, axis = g.name(x), dim % max(x.ndim, 1)
        places = g.node(place, [name], axis=axis, keepdims=int(keepdim))
        return [_reduced(g, value, name, [axis], keepdim), places]

    return emit


def _var(g, out, x, dim, correction, keepdim):
    axes, name = _axes(x, dim), g.name(x)
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    centred = g.node("Sub", [name, _reduced(g, "ReduceMean", name, axes, True)])
    total = _reduced(g, "ReduceSumSquare", centred, axes, keepdim)
    return g.node("Div", [total, g.constant(max(count - correction, 0), out.dtype)])


def _std(g, out, x, dim, correction, keepdim):
    return g.node("Sqrt", [_var(g, out, x, dim, correction, keepdim)])


def _vector_norm(g, out, x, ord=2.0, dim=None, keepdim=False):
    axes, name = _axes(x, dim), g.name(x, out.dtype)
    if ord in (1, 2):
        return _reduced(g, f"ReduceL{int(ord)}", name, axes, keepdim)
    size = g.node("Abs", [name])
    if ord in (float("inf"), float("-inf")):
        return _reduced(g, "ReduceMax" if ord > 0 else "ReduceMin", size, axes, keepdim)
    total = _reduced(g, "ReduceSum", g.node("Pow", [size, g.constant(ord, out.dtype)]), axes, keepdim)
    return g.node("Pow", [total, g.constant(1 / ord, out.dtype)])


def _cumsum(g, out, x, dim, dtype=None):
    return g.node("CumSum", [g.name(x, out.dtype), g.constant(dim % max(x.ndim, 1))])


def _top(g, x, k, dim, largest):
    return g.node("TopK", [g.name(x), g.constant([k])], outputs=2, axis=dim % x.ndim, largest=int(largest))


def _topk(g, out, x, k, dim=-1, largest=True, sorted=True):
    return _top(g, x, int(k), dim, largest)


def _sort(g, out, x, dim=-1, descending=False, stable=False):
    return _top(g, x, x.shape[dim], dim, descending)


def _argsort(g, out, x, dim=-1, descending=False, stable=False):
    return _top(g, x, x.shape[dim], dim, descending)[1]


def _softmax(operator):
    return lambda g, out, x, dim: g.node(operator, [g.name(x)], axis=dim % max(x.ndim, 1))


# --- products ---


def _matmul(g, out, a, b):
    return g.node("MatMul", [g.name(a, out.dtype), g.name(b, out.dtype)])


def _outer(g, out, a, b):
    column = g.node("Unsqueeze", [g.name(a, out.dtype), g.constant([1])])
    return g.node("Mul", [column, g.name(b, out.dtype)])


def _added(g, out, x, a, b, beta=1.0, alpha=1.0):
    """beta x + alpha a b."""
    y = g.node("MatMul", [g.name(a), g.name(b)])
    y = y if alpha == 1 else g.node("Mul", [y, g.constant(alpha, out.dtype)])
    if beta == 0:
        return y
    x = g.name(x)
    return g.node("Add", [x if beta == 1 else g.node("Mul", [x, g.constant(beta, out.dtype)]), y])


def _linear(g, out, x, weight, bias=None):
    if x.ndim == 2:
        return g.node("Gemm", [g.name(x), g.name(weight), g.name(bias)], transB=1)
    y = g.node("MatMul", [g.name(x), g.node("Transpose", [g.name(weight)], perm=[1, 0])])
    return y if bias is None else g.node("Add", [y, g.name(bias)])


EMITTERS = {
    "addmm": _added,
    "all": _all("ReduceMin"),
    "amax": reduction("ReduceMax"),
    "amin": reduction("ReduceMin"),
    "any": _all("ReduceMax"),
    "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"),
    "argsort": _argsort,
    "baddbmm": _added,
    "bmm": _matmul,
    "count_nonzero": _count_nonzero,
    "cumsum": _cumsum,
    "dot": _matmul,
    "linear": _linear,
    "log_softmax": _softmax("LogSoftmax"),
    "matmul": _matmul,
    "max_dim": _with_place("ReduceMax", "ArgMax"),
    "mean": reduction("ReduceMean"),
    "min_dim": _with_place("ReduceMin", "ArgMin"),
    "mm": _matmul,
    "mv": _matmul,
    "outer": _outer,
    "prod": reduction("ReduceProd"),
    "softmax": _softmax("Softmax"),
    "sort": _sort,
    "std": _std,
    "sum": reduction("ReduceSum"),
    "topk": _topk,
    "var": _var,
    "vector_norm": _vector_norm,
}
