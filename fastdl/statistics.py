"""Sums and means without NaN, extremes, differences, histograms, covariances and distances."""

from . import _C
from ._C import Tensor
from .results import MinMax, ValuesIndices, result

__all__ = [
    "aminmax", "bincount", "cdist", "corrcoef", "cov", "cummax", "cummin", "cumprod", "cumulative_trapezoid", "diff", "dist",
    "gradient", "histc", "histogram", "histogramdd", "logcumsumexp", "nanmean", "nansum", "renorm", "trapezoid", "trapz",
]  # fmt: skip

HistBinEdges = result("hist", "bin_edges")


# --- reductions ---


def aminmax(input, *, dim=None, keepdim=False):
    """The smallest and the largest elements, over one dimension or all.

    >>> import fastdl as fd
    >>> fd.aminmax(fd.tensor([3.0, 1.0, 2.0]))
    (min=tensor(1.), max=tensor(3.))
    """
    return MinMax((_C.amin(input, dim, keepdim), _C.amax(input, dim, keepdim)))


def _without_nan(input):
    return _C.where(_C.isnan(input), 0.0, input) if input.is_floating_point() or input.is_complex() else input


def nansum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum of the elements that are not NaN."""
    return _C.sum(_without_nan(input), dim, keepdim, dtype)


def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean of the elements that are not NaN; NaN of none.

    Raises:
        DTypeError: integers.
    """
    if not input.dtype.is_floating_point:
        raise _C.DTypeError(f"nanmean: expected a floating-point tensor, got {input.dtype}")
    count = _C.sum(_C.logical_not(_C.isnan(input)), dim, keepdim)
    return _C.div(nansum(input, dim, keepdim, dtype=dtype), count)


def dist(input, other, p=2):
    """The p-norm of the difference of two tensors, which broadcast."""
    return _C.vector_norm(_C.sub(input, other), float(p))


def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The p-norms of the differences of every row of `x1` (*, n, m) and every row of `x2` (*, k, m): (*, n, k).

    Args:
        p: 0 counts what differs, inf takes the largest.
        compute_mode: for p = 2, whether |a - b|^2 = |a|^2 + |b|^2 - 2 a b may be used, a matrix product, which loses
            digits of small distances: '..._if_necessary' beyond 25 rows, 'use_mm_for_euclid_dist', or
            'donot_use_mm_for_euclid_dist'.

    >>> import fastdl as fd
    >>> fd.cdist(fd.tensor([[0.0, 0.0]]), fd.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise _C.ValueError(f"cdist: compute_mode {compute_mode!r}, expected one of {', '.join(modes)}")
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise _C.ShapeError(f"cdist: x1 {list(x1.shape)} and x2 {list(x2.shape)} need rows of one length")
    if p < 0:
        raise _C.ValueError(f"cdist: p {p} must not be negative")
    large = max(x1.shape[-2], x2.shape[-2]) > 25
    if p == 2 and (compute_mode == modes[1] or (compute_mode == modes[0] and large)):
        lengths = lambda x: _C.sum(_C.square(x), -1, True)
        squares = _C.sub(_C.add(lengths(x1), lengths(x2).mT), _C.mul(_C.matmul(x1, x2.mT), 2))
        apart = _C.gt(squares, 0)  # the gradient of equal rows is 0
        return _C.where(apart, _C.sqrt(_C.where(apart, squares, 1.0)), 0.0)
    return _C.vector_norm(_C.sub(_C.unsqueeze(x1, -2), _C.unsqueeze(x2, -3)), float(p), -1)


def renorm(input, p, dim, maxnorm):
    """Slices along `dim` whose p-norm exceeds `maxnorm` scaled down to it."""
    n = input.ndim
    if n < 2 or not -n <= dim < n:
        raise _C.IndexError(f"renorm: dimension {dim} of input {list(input.shape)} of at least 2 dimensions")
    if maxnorm < 0 or p <= 0:
        raise _C.ValueError(f"renorm: p {p} and maxnorm {maxnorm} must be positive")
    norms = _C.vector_norm(input, float(p), [d for d in range(n) if d != dim % n], True)
    scale = _C.where(_C.gt(norms, maxnorm), maxnorm / _C.add(norms, 1e-7), 1.0)
    return _C.mul(input, scale)


# --- along one dimension ---


def cumprod(input, dim, *, dtype=None):
    """Running products along `dim`, in float64 (integers in int64).

    >>> import fastdl as fd
    >>> fd.cumprod(fd.tensor([1, 2, 3]), 0)
    tensor([1, 2, 6])
    """
    return _C.cumprod(input, dim, dtype)


def logcumsumexp(input, dim):
    """The logarithms of the running sums of e^x along `dim`, without overflow."""
    return _C.logcumsumexp(input, dim)


def cummax(input, dim):
    """The largest element so far along `dim`, and its last place.

    >>> import fastdl as fd
    >>> fd.cummax(fd.tensor([1, 3, 2]), 0)
    (values=tensor([1, 3, 3]), indices=tensor([0, 1, 1]))
    """
    return ValuesIndices(_C.cummax(input, dim))


def cummin(input, dim):
    """The smallest element so far along `dim`, and its last place."""
    return ValuesIndices(_C.cummin(input, dim))


def diff(input, n=1, dim=-1, prepend=None, append=None):
    """Differences of neighbours along `dim`, taken n times; `prepend` and `append` are joined to the input first.

    >>> import fastdl as fd
    >>> fd.diff(fd.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if input.ndim == 0:
        raise _C.ShapeError("diff: expected at least one dimension, got a number")
    if n < 0:
        raise _C.ValueError(f"diff: n {n} must not be negative")
    parts = [t for t in (prepend, input, append) if t is not None]
    x = _C.cat(parts, dim) if len(parts) > 1 and n else input
    for _ in range(min(n, x.size(dim))):
        m = max(x.size(dim) - 1, 0)
        after, before = _C.narrow(x, dim, x.size(dim) - m, m), _C.narrow(x, dim, 0, m)
        x = _C.ne(after, before) if x.dtype is _C.bool else _C.sub(after, before)
    return x


def _strips(name, y, x, dx, dim):
    """The areas below the lines between neighbours along `dim`."""
    if not -y.ndim <= dim < y.ndim:
        raise _C.IndexError(f"{name}: dimension {dim} is out of range for shape {list(y.shape)}")
    m = max(y.size(dim) - 1, 0)
    heights = _C.add(_C.narrow(y, dim, 0, m), _C.narrow(y, dim, y.size(dim) - m, m))
    if x is None:
        return _C.mul(heights, dx / 2)
    if x.ndim == 1:
        widths = _C.reshape(diff(x), [-1 if d == dim % y.ndim else 1 for d in range(y.ndim)])
    else:
        widths = diff(x, dim=dim)
    return _C.div(_C.mul(heights, widths), 2)


def trapezoid(y, x=None, *, dx=1.0, dim=-1):
    """The area below the line through the points (x, y) along `dim`; without `x` they are `dx` apart.

    >>> import fastdl as fd
    >>> fd.trapezoid(fd.tensor([1.0, 5.0, 10.0]))
    tensor(10.5)
    """
    return _C.sum(_strips("trapezoid", y, x, dx, dim), dim)


trapz = trapezoid


def cumulative_trapezoid(y, x=None, *, dx=1.0, dim=-1):
    """The running sums of `trapezoid`: one element fewer along `dim`."""
    return _C.cumsum(_strips("cumulative_trapezoid", y, x, dx, dim), dim)


def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """Estimates of the derivative along each of `dim` (all when None) by differences of second order inside.

    Args:
        input: (*) of at least edge_order + 1 elements along each dimension.
        spacing: the distance of neighbours: a number for all, or for each dimension a number or a vector of coordinates.
        edge_order: 1 or 2, the order of the one-sided differences at both ends.

    Returns:
        A list of tensors, one for each dimension.

    >>> import fastdl as fd
    >>> fd.gradient(fd.tensor([1.0, 4.0, 9.0, 16.0]))
    [tensor([3., 4., 6., 7.])]
    """
    if edge_order not in (1, 2):
        raise _C.ValueError(f"gradient: edge_order {edge_order}, expected 1 or 2")
    dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    spacing = 1 if spacing is None else spacing
    steps = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if len(steps) != len(dims):
        raise _C.ValueError(f"gradient: {len(steps)} spacings for {len(dims)} dimensions")
    return [_gradient_along(input, d, h, edge_order) for d, h in zip(dims, steps)]


def _gradient_along(x, dim, spacing, edge_order):
    n = x.size(dim)
    if n < edge_order + 1:
        raise _C.ShapeError(f"gradient: {n} elements along dimension {dim}, expected at least {edge_order + 1}")
    if isinstance(spacing, Tensor) and spacing.ndim:
        if spacing.shape != (n,):
            raise _C.ShapeError(f"gradient: spacing {list(spacing.shape)} for {n} elements along dimension {dim}")
        gaps = diff(spacing)
    else:
        gaps = _C.full((n - 1,), 1.0, x.dtype if x.dtype.is_floating_point else _C.default_dtype(), x.device) * spacing
    shaped = lambda g: _C.reshape(g, [-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
    part = lambda start, length: _C.narrow(x, dim, start, length)
    first = _C.div(_C.sub(part(1, 1), part(0, 1)), shaped(gaps[:1]))
    last = _C.div(_C.sub(part(n - 1, 1), part(n - 2, 1)), shaped(gaps[-1:]))
    pieces = [first, last]
    if n > 2:
        a, b = shaped(gaps[:-1]), shaped(gaps[1:])
        inside = (
            part(0, n - 2) * (-b / (a * (a + b)))
            + part(1, n - 2) * ((b - a) / (a * b))
            + part(2, n - 2) * (a / (b * (a + b)))
        )
        if edge_order == 2:
            second = lambda i: _C.div(_C.sub(part(i + 1, 1), part(i, 1)), shaped(gaps[i : i + 1]))
            h, k = shaped(gaps[:1]), shaped(gaps[1:2])
            first = first - h * (second(1) - second(0)) / (h + k)
            h, k = shaped(gaps[-1:]), shaped(gaps[-2:-1])
            last = last + h * (second(n - 2) - second(n - 3)) / (h + k)
        pieces = [first, inside, last]
    return _C.cat(pieces, dim)


# --- counts ---


def bincount(input, weights=None, minlength=0):
    """How often each of 0, 1, 2, ... occurs in a vector of integers, or the sums of their weights.

    Raises:
        ValueError: a negative value or `minlength`.
        ShapeError: not a vector, or weights of another shape.

    >>> import fastdl as fd
    >>> fd.bincount(fd.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    if input.ndim != 1:
        raise _C.ShapeError(f"bincount: expected a vector, got shape {list(input.shape)}")
    if input.dtype.is_floating_point or input.dtype is _C.bool:
        raise _C.DTypeError(f"bincount: expected integers, got {input.dtype}")
    if minlength < 0:
        raise _C.ValueError(f"bincount: minlength {minlength} must not be negative")
    if weights is not None and weights.shape != input.shape:
        raise _C.ShapeError(f"bincount: weights {list(weights.shape)}, expected {list(input.shape)}")
    length = minlength
    if input.numel():
        low, high = input.min().item(), input.max().item()
        if low < 0:
            raise _C.ValueError(f"bincount: value {low} is negative")
        length = max(length, high + 1)
    if weights is None:
        weights = _C.full(input.shape, 1, _C.int64, input.device)
    elif weights.dtype is not _C.float32:
        weights = weights.to(_C.float64)
    out = _C.full((length,), 0, weights.dtype, input.device)
    return _C.scatter_add(out, 0, input.to(_C.int64), weights.detach())


def _range(name, input, low, high, widened=1.0):
    for v in (low, high):
        if v != v or v in (float("inf"), float("-inf")):
            raise _C.ValueError(f"{name}: the range [{low}, {high}] is not finite")
    if low == high and input.numel():
        low, high = input.min().item(), input.max().item()
        for v in (low, high):
            if v != v or v in (float("inf"), float("-inf")):
                raise _C.ValueError(f"{name}: the range [{low}, {high}] is not finite")
    if low > high:
        raise _C.ValueError(f"{name}: min {low} must not exceed max {high}")
    return (low - widened, high + widened) if low == high else (low, high)


def histc(input, bins=100, min=0, max=0):
    """How many elements lie in each of `bins` intervals of equal width from `min` to `max` (both 0: of the elements).

    The last interval includes `max`; elements outside are not counted. The counts have the input's dtype.

    >>> import fastdl as fd
    >>> fd.histc(fd.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    if bins <= 0:
        raise _C.ValueError(f"histc: bins {bins}, expected at least 1")
    if not input.dtype.is_floating_point:
        raise _C.DTypeError(f"histc: expected a floating-point tensor, got {input.dtype}")
    x = _C.reshape(input.detach(), (-1,))
    low, high = _range("histc", x, min, max)
    inside = x[_C.logical_and(_C.ge(x, low), _C.le(x, high))]
    place = _C.mul(_C.div(_C.sub(inside, low), high - low), bins).to(_C.int64)
    return bincount(_C.clamp(place, None, bins - 1), minlength=bins).to(input.dtype)


def histogram(input, bins, *, range=None, weight=None, density=False):
    """The counts, or the sums of weights, in intervals, and the intervals' edges.

    Args:
        input: floating point.
        bins: a number of intervals of equal width, or a sorted vector of their edges; the last one includes its end.
        range: (low, high) of the intervals; that of the elements when None.
        weight: of the input's shape.
        density: divide by the sum and by the widths, so that the area is 1.

    >>> import fastdl as fd
    >>> fd.histogram(fd.tensor([1.0, 2.0, 1.0]), bins=4, range=(0.0, 4.0))
    (hist=tensor([0., 2., 1., 0.]), bin_edges=tensor([0., 1., 2., 3., 4.]))
    """
    from .functions import linspace
    from .ordering import searchsorted

    x = _C.reshape(input.detach(), (-1,))
    if isinstance(bins, Tensor):
        edges = bins
        if bins.ndim != 1 or bins.numel() < 2:
            raise _C.ShapeError(f"histogram: bins {list(bins.shape)}, expected a vector of at least 2 edges")
    else:
        if bins <= 0:
            raise _C.ValueError(f"histogram: bins {bins}, expected at least 1")
        low, high = _range("histogram", x, *(range or (0.0, 0.0)), widened=0.5)
        edges = linspace(low, high, bins + 1, dtype=input.dtype)
    count = edges.numel() - 1
    place = _C.sub(searchsorted(edges, x, right=True), 1)
    place = _C.where(_C.eq(x, edges[-1]), count - 1, place)
    inside = _C.logical_and(_C.ge(place, 0), _C.lt(place, count))
    sums = _C.full(x.shape, 1.0, input.dtype, x.device) if weight is None else _C.reshape(weight.detach(), (-1,))
    hist = _C.scatter_add(_C.full((count,), 0, input.dtype, x.device), 0, place[inside], sums[inside])
    if density:
        hist = _C.div(_C.div(hist, _C.sum(hist)), diff(edges))
    return HistBinEdges((hist, edges))


def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """`histogram` of points in several dimensions: counts in boxes, and for each dimension the boxes' edges.

    Args:
        input: (*, n), points of n coordinates.
        bins: a number of intervals for each coordinate, one for all, or a sequence of vectors of edges.
        range: low and high of each coordinate, one after the other.
        weight: (*).

    >>> import fastdl as fd
    >>> fd.histogramdd(fd.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]]), 2).hist
    tensor([[0., 1.],
            [2., 0.]])
    """
    from .functions import linspace
    from .ordering import searchsorted

    points = _C.reshape(input.detach(), (-1, input.shape[-1]))
    n = points.shape[1]
    bins = [bins] * n if isinstance(bins, int) else list(bins)
    if len(bins) != n or (range is not None and len(range) != 2 * n):
        raise _C.ValueError(f"histogramdd: {len(bins)} bins and range {range} for points of {n} coordinates")
    edges, places, inside = [], [], None
    for d, b in enumerate(bins):
        x = points[:, d].contiguous()
        if isinstance(b, Tensor):
            edges.append(b)
        else:
            limits = (0.0, 0.0) if range is None else range[2 * d : 2 * d + 2]
            low, high = _range("histogramdd", x, *limits, widened=0.5)
            edges.append(linspace(low, high, b + 1, dtype=input.dtype, device=input.device))
        count = edges[d].numel() - 1
        place = _C.sub(searchsorted(edges[d], x, right=True), 1)
        places.append(_C.where(_C.eq(x, edges[d][-1]), count - 1, place))
        within = _C.logical_and(_C.ge(places[d], 0), _C.lt(places[d], count))
        inside = within if inside is None else _C.logical_and(inside, within)
    shape = [e.numel() - 1 for e in edges]
    index, total = _C.full((points.shape[0],), 0, _C.int64, input.device), 1
    for place, count in zip(places, shape):
        index, total = _C.add(_C.mul(index, count), place), total * count
    each = (
        _C.full(index.shape, 1.0, input.dtype, input.device) if weight is None else _C.reshape(weight.detach(), (-1,))
    )
    hist = _C.scatter_add(_C.full((total,), 0, input.dtype, input.device), 0, index[inside], each[inside])
    hist = _C.reshape(hist, shape)
    if density:
        hist = _C.div(hist, _C.sum(hist))
        for d, e in enumerate(edges):
            hist = _C.div(hist, _C.reshape(diff(e), [-1 if i == d else 1 for i, _ in enumerate(edges)]))
    return HistBinEdges((hist, tuple(edges)))


# --- covariances ---


def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariance matrix of variables in rows, observations in columns.

    Args:
        input: (variables, observations), or a vector of observations of one variable.
        correction: subtracted from the number of observations.
        fweights: how often each observation counts, integers.
        aweights: how much each observation weighs.

    >>> import fastdl as fd
    >>> fd.cov(fd.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.ndim > 2:
        raise _C.ShapeError(f"cov: expected at most 2 dimensions, got shape {list(input.shape)}")
    if input.dtype is _C.bool:
        raise _C.DTypeError("cov: bool tensors have no covariance")
    x = _C.reshape(input, (1, -1)) if input.ndim < 2 else input
    x = x if x.dtype.is_floating_point else x.to(_C.default_dtype())
    n = x.shape[1]
    weights = None
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        if w.shape != (n,):
            raise _C.ShapeError(f"cov: {name} {list(w.shape)} for {n} observations")
        if (name == "fweights") == w.dtype.is_floating_point:
            raise _C.DTypeError(f"cov: {name} are {w.dtype}")
        if bool(_C.lt(w, 0).any()):
            raise _C.ValueError(f"cov: {name} must not be negative")
        weights = w if weights is None else _C.mul(weights, w)
    if weights is None:
        centred = _C.sub(x, _C.mean(x, 1, True)) if n else x
        scaled, norm = centred, max(n - correction, 0)
    else:
        total = _C.sum(weights)
        centred = _C.sub(x, _C.div(_C.sum(_C.mul(x, weights), 1, True), total))
        scaled = _C.mul(centred, weights)
        if aweights is None or correction == 0:
            norm = _C.sub(total, correction)
        else:
            norm = _C.sub(total, _C.div(_C.mul(_C.sum(_C.mul(weights, aweights)), correction), total))
        norm = _C.clamp(norm, 0, None)
    out = _C.div(_C.mm(scaled, centred.t()), norm)
    return _C.squeeze(out)


def corrcoef(input):
    """The correlations of variables in rows: `cov` divided by the standard deviations, clipped to [-1, 1]."""
    c = cov(input)
    if c.ndim == 0:
        return _C.div(c, c)
    deviations = _C.sqrt(_C.diagonal(c))
    return _C.clamp(_C.div(_C.div(c, _C.unsqueeze(deviations, 1)), _C.unsqueeze(deviations, 0)), -1, 1)


for _name in (
    "aminmax", "bincount", "cdist", "corrcoef", "cov", "cummax", "cummin", "diff", "dist", "histc", "histogram", "nanmean",
    "nansum", "renorm",
):  # fmt: skip
    setattr(Tensor, _name, globals()[_name])
