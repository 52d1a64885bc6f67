"""Images of other sizes, and images read at any positions."""

import itertools
import math

import fastdl
from fastdl.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from fastdl.nn.functional.sizes import each

__all__ = [
    "affine_grid",
    "grid_sample",
    "interpolate",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

# The modes that weigh neighbours, by the number of resampled dimensions that each is for.
_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}


def _cubic_weights(t, a):
    """Keys' cubic convolution for the neighbours at -1, 0, 1 and 2 of a position t after 0."""

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)


def _taps(mode, size, out, scale, align_corners, antialias):
    """What one resampled dimension is made of: (indices, weights) of each neighbour, both (out,); weights None for 1.

    `scale`: input elements an output element, None for the sizes' ratio. Positions are computed in float64: their
    fractions, which are the weights, are differences of numbers that may be large.
    """
    if align_corners:
        step = (size - 1) / (out - 1) if out > 1 else 0.0
    else:
        step = size / out if scale is None else scale
    if mode.startswith("nearest"):
        # In float32, whose rounding decides among neighbours, as in PyTorch.
        at = fastdl.arange(out, dtype=fastdl.float32)
        at = at + 0.5 if mode == "nearest-exact" else at
        return [((at * step).floor().to(fastdl.int64).clamp(max=size - 1), None)]
    at = fastdl.arange(out, dtype=fastdl.float64)
    if antialias:
        return _antialiased_taps(mode, size, at, step)
    at = at * step if align_corners else (at + 0.5) * step - 0.5
    if mode == "bicubic":
        low = at.floor()
        weights = _cubic_weights(at - low, -0.75)
        return [((low.to(fastdl.int64) + k).clamp(0, size - 1), w) for k, w in zip(range(-1, 3), weights)]
    at = at.clamp(min=0.0)
    low = at.floor().clamp(max=size - 1)
    share = (at - low).clamp(0.0, 1.0)
    index = low.to(fastdl.int64)
    return [(index, 1 - share), ((index + 1).clamp(max=size - 1), share)]


def _antialiased_taps(mode, size, at, step):
    """The filter's triangle or cubic, as wide as a step where the output is smaller, over all elements below it."""
    reach, widen = 2 if mode == "bicubic" else 1, max(step, 1.0)
    center = (at + 0.5) * step
    low = (center - reach * widen + 0.5).to(fastdl.int64).clamp(min=0)
    end = (center + reach * widen + 0.5).to(fastdl.int64).clamp(max=size)
    taps, total = [], 0.0
    for k in range(int((end - low).amax())):
        x = ((low + k - center + 0.5) / widen).abs()
        if mode == "bicubic":
            outer, inner, *_ = _cubic_weights(fastdl.where(x < 1, x, x - 1), -0.5)
            weight = fastdl.where(x < 1, inner, outer) * (x < 2)
        else:
            weight = (1 - x).clamp(min=0.0)
        weight = weight * (low + k < end)
        total = total + weight
        taps.append(((low + k).clamp(max=size - 1), weight))
    return [(index, weight / total) for index, weight in taps]


def _resample(x, dim, taps):
    out = None
    for index, weight in taps:
        part = x.index_select(dim, index.to(device=x.device))
        if weight is not None:
            part = part * weight.to(x.dtype).to(device=x.device).view(-1, *(1,) * (x.ndim - 1 - dim))
        out = part if out is None else out + part
    return out


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """The input resampled to another size.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: of the resampled dimensions, an int or one each.
        scale_factor: or their factors, a number or one each; sizes are rounded down.
        mode: "nearest", "nearest-exact" (the centre decides), "linear" (3-d input), "bilinear" and "bicubic" (4-d),
            "trilinear" (5-d), "area" (means of equal parts).
        align_corners: for the linear and cubic modes, whether the corners' centres keep their values; else the edges of
            the corners meet.
        recompute_scale_factor: compute positions from the sizes rather than from scale_factor.
        antialias: for "bilinear" and "bicubic", widen the filter when shrinking.

    Raises:
        ShapeError: another number of dimensions, or an empty input or output.
        ValueError: both or none of size and scale_factor, an unknown mode, options that do not go with it.
        DTypeError: integers, with a mode other than the nearest.

    Keys, "Cubic convolution interpolation for digital image processing", 1981.

    >>> F.interpolate(fd.tensor([[[0.0, 2.0]]]), size=4, mode="linear").tolist()
    [[[0.0, 0.5, 1.5, 2.0]]]
    >>> F.interpolate(fd.ones(1, 3, 4, 5), scale_factor=2).shape
    (1, 3, 8, 10)
    """
    dims = input.ndim - 2
    if dims not in (1, 2, 3):
        raise fastdl.ShapeError(f"interpolate: expected a 3-d, 4-d or 5-d input, got {list(input.shape)}")
    if mode not in ("nearest", "nearest-exact", "area", *_LINEAR):
        raise fastdl.ValueError(f"interpolate: unknown mode {mode!r}")
    if mode in _LINEAR and _LINEAR[mode] != dims:
        raise fastdl.ValueError(f"interpolate: mode {mode!r} is not for an input of {list(input.shape)}")
    if align_corners is not None and mode not in _LINEAR:
        raise fastdl.ValueError(f"interpolate: align_corners goes with {', '.join(_LINEAR)}, not with {mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise fastdl.ValueError(f"interpolate: antialias goes with bilinear and bicubic, not with {mode!r}")
    if (size is None) == (scale_factor is None):
        raise fastdl.ValueError("interpolate: exactly one of size and scale_factor must be given")
    if recompute_scale_factor and size is not None:
        raise fastdl.ValueError("interpolate: recompute_scale_factor goes with scale_factor, not with size")
    old, scales = input.shape[2:], (None,) * dims
    if size is not None:
        new = each("interpolate", "size", size, dims)
    else:
        factors = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * dims
        if len(factors) != dims or not all(f > 0 for f in factors):
            raise fastdl.ValueError(f"interpolate: scale_factor needs {dims} positive numbers, got {scale_factor}")
        new = tuple(math.floor(n * f) for n, f in zip(old, factors))
        if not recompute_scale_factor:
            scales = tuple(1.0 / f for f in factors)
    if min(old) < 1 or min(new) < 1:
        raise fastdl.ShapeError(
            f"interpolate: sizes must be positive, got input {list(input.shape)} and size {list(new)}"
        )
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[dims - 1](input, new)
    nearest = mode.startswith("nearest")
    if not nearest and not input.is_floating_point():
        raise fastdl.DTypeError(f"interpolate: mode {mode!r} needs floating-point numbers, got {input.dtype}")
    y = input if nearest or input.dtype == fastdl.float64 else input.to(fastdl.float32)
    for i, (before, after, scale) in enumerate(zip(old, new, scales)):
        # A linear mode copies a dimension that keeps its size, whatever the scale, as in PyTorch.
        copied = scale in (None, 1.0) or (mode in _LINEAR and mode != "bicubic" and not antialias)
        if before != after or not copied:
            y = _resample(y, 2 + i, _taps(mode, before, after, scale, bool(align_corners), antialias))
    return y.clone() if y is input else y.to(input.dtype)


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """:func:`interpolate` by its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """:func:`interpolate` to the nearest elements."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """:func:`interpolate` with mode "bilinear" and align_corners."""
    return interpolate(input, size, scale_factor, "bilinear", True)


def affine_grid(theta, size, align_corners=None):
    """Where :func:`grid_sample` reads to apply affine maps: theta (x, y, 1) for each output position.

    Args:
        theta: (N, 2, 3) for images, (N, 3, 4) for volumes.
        size: of the output, (N, C, H, W) or (N, C, D, H, W).
        align_corners: -1 and 1 are the centres of the corner elements, not their outer edges.

    Returns:
        (N, H, W, 2) or (N, D, H, W, 3): positions x, y(, z).

    Raises:
        ShapeError: theta does not fit the size.

    Jaderberg et al., "Spatial transformer networks", 2015.

    >>> F.affine_grid(fd.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2), align_corners=True).tolist()
    [[[[-1.0, 0.0], [1.0, 0.0]]]]
    """
    n, _, *spatial = size
    dims = len(spatial)
    if dims not in (2, 3) or tuple(theta.shape) != (n, dims, dims + 1):
        raise fastdl.ShapeError(
            f"affine_grid: theta {list(theta.shape)} for size {list(size)}, expected [N, 2, 3] for a size of 4 and "
            f"[N, 3, 4] for one of 5"
        )
    if not theta.is_floating_point():
        raise fastdl.DTypeError(f"affine_grid: theta must hold floating-point numbers, got {theta.dtype}")
    if min(size) < 1:
        raise fastdl.ValueError(f"affine_grid: sizes must be positive, got {list(size)}")
    axes = []
    for i, count in enumerate(spatial):
        axis = fastdl.linspace(-1.0, 1.0, count, dtype=theta.dtype) if count > 1 else fastdl.zeros(1, dtype=theta.dtype)
        axis = axis if align_corners else axis * ((count - 1) / count)
        axes.insert(0, axis.view(*(1,) * i, -1, *(1,) * (dims - 1 - i)).expand(*spatial))
    base = fastdl.stack([*axes, fastdl.ones(*spatial, dtype=theta.dtype)], -1).to(device=theta.device)
    return (base.view(1, -1, dims + 1) @ theta.transpose(1, 2)).view(n, *spatial, dims)


def _reflect(x, low, high):
    """x mirrored at low and high until it is between them."""
    if high == low:
        return x * 0 + low
    x = (x - low).abs()
    with fastdl.no_grad():
        flips = (x / (high - low)).floor()
    rest = x - flips * (high - low)
    return fastdl.where(flips % 2 == 0, rest + low, high - rest)


def _inside(x, size, padding_mode, align_corners):
    """Positions beyond the edges, as the padding mode has them."""
    if padding_mode == "reflection":
        x = _reflect(x, 0.0, size - 1.0) if align_corners else _reflect(x, -0.5, size - 0.5)
    return x if padding_mode == "zeros" else x.clamp(0.0, size - 1.0)


def _neighbours(x, size, mode, padding_mode, align_corners):
    """(position, weight) of the elements that make up the value at x along one dimension; positions are whole floats."""
    if mode == "bicubic":
        low = x.detach().floor()
        weights = _cubic_weights(x - low, -0.75)
        return [(_inside(low + k, size, padding_mode, align_corners), w) for k, w in zip(range(-1, 3), weights)]
    x = _inside(x, size, padding_mode, align_corners)
    if mode == "nearest":
        return [(x.detach().round(), None)]
    low = x.detach().floor()
    return [(low, low + 1 - x), (low + 1, x - low)]


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """The input read at the positions of `grid`, between its elements by interpolation.

    Args:
        input: (N, C, H, W), or (N, C, D, H, W).
        grid: (N, H', W', 2) with positions x, y, or (N, D', H', W', 3) with x, y, z; -1 and 1 are the input's edges.
        mode: "bilinear" (of volumes trilinear), "nearest", or for images "bicubic".
        padding_mode: what is outside: "zeros", "border" (the edge's elements), "reflection".
        align_corners: -1 and 1 are the centres of the corner elements, not their outer edges.

    Returns:
        (N, C, H', W') or (N, C, D', H', W').

    Raises:
        ShapeError: input and grid do not fit. DTypeError: of different dtypes. ValueError: an unknown mode.

    Jaderberg et al., "Spatial transformer networks", 2015.

    >>> F.grid_sample(fd.tensor([[[[0.0, 4.0]]]]), fd.tensor([[[[0.0, 0.0]]]]), align_corners=True).tolist()
    [[[[2.0]]]]
    """
    dims = input.ndim - 2
    if dims not in (2, 3) or grid.ndim != input.ndim or grid.shape[0] != input.shape[0] or grid.shape[-1] != dims:
        raise fastdl.ShapeError(
            f"grid_sample: grid {list(grid.shape)} for an input of {list(input.shape)}, expected [N, H', W', 2] for "
            f"[N, C, H, W] and [N, D', H', W', 3] for [N, C, D, H, W]"
        )
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and dims == 3):
        raise fastdl.ValueError(f"grid_sample: mode {mode!r} is not for an input of {list(input.shape)}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise fastdl.ValueError(f"grid_sample: unknown padding_mode {padding_mode!r}")
    if input.dtype != grid.dtype or not input.is_floating_point():
        raise fastdl.DTypeError(
            f"grid_sample: input and grid must have one floating-point dtype, got {input.dtype} and {grid.dtype}"
        )
    n, c, *sizes = input.shape
    if min(sizes) < 1:
        raise fastdl.ShapeError(f"grid_sample: the sampled dimensions of input {list(input.shape)} must not be empty")
    per_dimension = []
    for d, size in enumerate(sizes):
        x = grid[..., dims - 1 - d].reshape(n, -1)
        x = (x + 1) * ((size - 1) / 2) if align_corners else ((x + 1) * size - 1) * 0.5
        per_dimension.append(_neighbours(x, size, mode, padding_mode, align_corners))
    flat, y = input.reshape(n, c, -1), None
    for corner in itertools.product(*per_dimension):
        place, weight, within = 0, 1.0, True
        for (position, share), size in zip(corner, sizes):
            within = (position >= 0) & (position <= size - 1) & within
            place = place * size + position.to(fastdl.int64).clamp(0, size - 1)
            weight = weight if share is None else share * weight
        part = flat.gather(2, place.unsqueeze(1).expand(n, c, place.shape[1]))
        if padding_mode == "zeros":
            weight = fastdl.where(within, weight, 0.0)
        part = part * (weight.unsqueeze(1) if isinstance(weight, fastdl.Tensor) else weight)
        y = part if y is None else y + part
    return y.view(n, c, *grid.shape[1:-1])
