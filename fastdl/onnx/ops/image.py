"""Operators on images: resampling, regions of interest, boxes."""

import io
import itertools
import math

import fastdl as fd
from fastdl.extras import require
from fastdl.onnx.values import axis_of, ints, number

# --- resampling on a grid of its own ---


def _cubic(t, a):
    """Keys' cubic kernel."""
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def _original(i, mode, scale, length, resized, roi):
    """Where the centre of element i of the result lies in the input. What the result's size is for, the standard takes
    as the scaled size, which need not be whole."""
    whole, resized = resized, scale * length
    if mode == "half_pixel":
        return (i + 0.5) / scale - 0.5
    if mode == "half_pixel_symmetric":
        return length / 2 * (1 - whole / resized) + (i + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return (i + 0.5) / scale - 0.5 if resized > 1 else 0.0
    if mode == "align_corners":
        return i * (length - 1) / (resized - 1) if resized != 1 else 0.0
    if mode == "asymmetric":
        return i / scale
    if mode == "tf_crop_and_resize":
        start, end = roi
        if resized > 1:
            return start * (length - 1) + i * (end - start) * (length - 1) / (resized - 1)
        return 0.5 * (start + end) * (length - 1)
    raise fd.ValueError(f"Resize: unknown coordinate_transformation_mode {mode!r}")


_NEAREST = {
    "round_prefer_floor": lambda c: math.ceil(c - 0.5),
    "round_prefer_ceil": lambda c: math.floor(c + 0.5),
    "floor": math.floor,
    "ceil": math.ceil,
}


def _taps(coordinate, mode, scale, a):
    """[(place, weight)] of the elements that make the one at a coordinate; scale below 1 widens the filter."""
    support = (1 if mode == "linear" else 2) / min(scale, 1)
    first = math.floor(coordinate) + math.floor(-support) + 1
    places = range(first, 2 * math.floor(coordinate) + 2 - first)
    shrink = min(scale, 1)
    if mode == "linear":
        weights = [max(1 - abs(i - coordinate) * shrink, 0) for i in places]
    else:
        weights = [_cubic((i - coordinate) * shrink, a) for i in places]
    return list(zip(places, weights))


def resize(
    x, roi=None, scales=None, sizes=None, *, antialias=0, axes=None, coordinate_transformation_mode="half_pixel",
    cubic_coeff_a=-0.75, exclude_outside=0, extrapolation_value=0.0, keep_aspect_ratio_policy="stretch", mode="nearest",
    nearest_mode="round_prefer_floor",
):  # fmt: skip
    """One axis after the other: an element of the result is a weighted sum of few of the input's."""
    axes = list(range(x.ndim)) if axes is None else [axis_of(a, x.ndim) for a in axes]
    lengths = [x.shape[a] for a in axes]
    if sizes is not None and sizes.numel():
        resized = ints(sizes)
        ratios = [r / n for r, n in zip(resized, lengths)]
        if keep_aspect_ratio_policy != "stretch":
            ratio = min(ratios) if keep_aspect_ratio_policy == "not_larger" else max(ratios)
            ratios = [ratio] * len(axes)
            resized = [math.floor(ratio * n + 0.5) for n in lengths]
    else:
        ratios = scales.tolist()
        resized = [math.floor(n * ratio) for n, ratio in zip(lengths, ratios)]
    rois = list(zip(roi.tolist()[: len(axes)], roi.tolist()[len(axes) :])) if roi is not None and roi.numel() else None
    crop = coordinate_transformation_mode == "tf_crop_and_resize"
    wide = x.dtype if x.dtype in (fd.float32, fd.float64) or mode == "nearest" else fd.float32
    y, outside = x.to(wide), []
    for d, (axis, n, size, scale) in enumerate(zip(axes, lengths, resized, ratios)):
        if size == n and scale == 1 and not crop:
            continue
        where = [
            _original(i, coordinate_transformation_mode, scale, n, size, rois[d] if rois else (0, 1))
            for i in range(size)
        ]
        outside.append((axis, [crop and not 0 <= c <= n - 1 for c in where]))
        if mode == "nearest":
            taps = [[(_NEAREST[nearest_mode](c), 1.0)] for c in where]
        else:
            taps = [_taps(c, mode, scale if antialias else 1.0, cubic_coeff_a) for c in where]
        if exclude_outside:
            taps = [[(i, w if 0 <= i < n else 0.0) for i, w in row] for row in taps]
        if mode != "nearest":
            taps = [[(i, w / sum(w for _, w in row)) for i, w in row] for row in taps]
        y = _resample(y, axis, taps)
    for axis, flags in outside:
        if any(flags):
            mask = fd.tensor(flags).reshape([-1 if i == axis else 1 for i in range(y.ndim)])
            y = fd.where(mask, extrapolation_value, y).to(wide)
    if not x.dtype.is_floating_point and mode != "nearest":
        y = fd.round(y)
    return y.to(x.dtype)


def _resample(x, axis, taps):
    """Element i along the axis is the sum of weight * x[place] over taps[i]; places beyond an end are the end's."""
    n, most, out = x.shape[axis], max(map(len, taps)), None
    view = [-1 if i == axis else 1 for i in range(x.ndim)]
    for k in range(most):
        column = [row[k] if k < len(row) else (0, 0.0) for row in taps]
        part = x.index_select(axis, fd.tensor([min(max(i, 0), n - 1) for i, _ in column], dtype=fd.int64))
        if most > 1 or any(w != 1 for _, w in column):
            part = part * fd.tensor([w for _, w in column], dtype=x.dtype).reshape(view)
        out = part if out is None else out + part
    return out


# --- sampling at given points ---


def _reflect(c, low, high):
    """A coordinate thrown back from both ends until it lies between them."""
    span = high - low
    if span <= 0:
        return fd.zeros_like(c)
    c = fd.remainder((c - low).abs(), 2 * span)
    return low + fd.minimum(c, 2 * span - c)


def sample(x, points, mode="linear", padding="zeros", align_corners=False):
    """The values of x (N, C, *sizes) at points (N, P, D), which count in elements, rows first: (N, C, P).

    ``padding`` says what lies outside: zeros, the border, or a reflection.
    """
    total = None
    for place, weight in corners(x.shape[2:], points, mode, padding, align_corners):
        part = read(x, place) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def corners(sizes, points, mode, padding, align_corners):
    """Yields (flat places (N, P), weights (N, P)) of the elements that make each point."""
    lines = []
    for d, size in enumerate(sizes):
        c = points[..., d]
        low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)

        def inside(c, size=size, low=low, high=high):
            if padding == "border":
                return c.clamp(0, size - 1)
            return _reflect(c, low, high).clamp(0, size - 1) if padding == "reflection" else c

        if mode == "nearest":
            taps = [(fd.round(inside(c)), fd.ones_like(c))]
        elif mode == "linear":
            c = inside(c)
            first = c.floor()
            taps = [(first, 1 - (c - first)), (first + 1, c - first)]
        else:
            first = c.floor()
            t = c - first
            taps = [
                (inside(first - 1), _cubic_far(t + 1)),
                (inside(first), _cubic_near(t)),
                (inside(first + 1), _cubic_near(1 - t)),
                (inside(first + 2), _cubic_far(2 - t)),
            ]
        line = []
        for place, weight in taps:
            valid = (place >= 0) & (place <= size - 1)
            line.append((place.clamp(0, size - 1).long(), fd.where(valid, weight, fd.zeros_like(weight))))
        lines.append(line)
    for chosen in itertools.product(*lines):
        place, weight = chosen[0]
        for (p, w), size in zip(chosen[1:], sizes[1:]):
            place, weight = place * size + p, weight * w
        yield place, weight


def _cubic_near(t, a=-0.75):
    return ((a + 2) * t - (a + 3)) * t * t + 1


def _cubic_far(t, a=-0.75):
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def read(x, places):
    """The elements of each channel at flat places (N, P): (N, C, P)."""
    flat = x.flatten(2)
    return fd.gather(flat, 2, places.unsqueeze(1).expand(places.shape[0], x.shape[1], places.shape[1]))


def sample_linear(x, points):
    return sample(x, points)


def grid_sample(x, grid, *, align_corners=0, mode="linear", padding_mode="zeros"):
    """Points of the grid are (x, y) or (x, y, z) from -1 to 1."""
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    sizes = x.shape[2:]
    columns = []
    for d, size in enumerate(sizes):
        g = grid[..., len(sizes) - 1 - d]
        columns.append((g + 1) / 2 * (size - 1) if align_corners else ((g + 1) * size - 1) / 2)
    points = fd.stack(columns, -1).reshape(x.shape[0], -1, len(sizes))
    y = sample(x, points, mode, padding_mode, bool(align_corners))
    return y.reshape(*x.shape[:2], *grid.shape[1:-1])


def affine_grid(theta, size, *, align_corners=0):
    """The grid of an affine map of the output's centres (or corners), for GridSample."""
    batch, _, *sizes = ints(size)
    lines = []
    for n in sizes:
        i = fd.arange(n, dtype=theta.dtype)
        lines.append(2 * i / max(n - 1, 1) - 1 if align_corners else (2 * i + 1) / n - 1)
    dims = len(sizes)
    grids = [line.reshape([-1 if i == d else 1 for i in range(dims)]).expand(sizes) for d, line in enumerate(lines)]
    points = fd.stack([*reversed(grids), fd.ones(*sizes, dtype=theta.dtype)], -1).reshape(1, -1, dims + 1)
    return (points.expand(batch, points.shape[1], dims + 1) @ theta.transpose(1, 2)).reshape(batch, *sizes, dims)


# --- regions and boxes ---


def roi_align(
    x, rois, batch_indices, *, coordinate_transformation_mode="half_pixel", mode="avg", output_height=1, output_width=1,
    sampling_ratio=0, spatial_scale=1.0,
):  # fmt: skip
    """The mean (or maximum) of bilinear samples in each bin of each region (He et al., "Mask R-CNN", 2017)."""
    half = 0.5 if coordinate_transformation_mode == "half_pixel" else 0.0
    boxes = [[v * spatial_scale - half for v in box] for box in rois.tolist()]
    owners = ints(batch_indices)
    height, width = x.shape[2:]
    groups = {}  # regions with the same number of samples a bin are computed together
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        w, h = x2 - x1, y2 - y1
        if not half:
            w, h = max(w, 1.0), max(h, 1.0)
        rows = sampling_ratio or max(math.ceil(h / output_height), 1)
        columns = sampling_ratio or max(math.ceil(w / output_width), 1)
        groups.setdefault((rows, columns), []).append((i, y1, x1, h, w))
    out = [None] * len(boxes)
    for (rows, columns), members in groups.items():

        def line(start, extent, bins, samples):
            step = extent / (bins * samples)
            return [start + (k + 0.5) * step for k in range(bins * samples)]

        ys = fd.tensor([line(y1, h, output_height, rows) for _, y1, _, h, _ in members], dtype=x.dtype)
        xs = fd.tensor([line(x1, w, output_width, columns) for _, _, x1, _, w in members], dtype=x.dtype)
        n, p, q = len(members), ys.shape[1], xs.shape[1]
        points = fd.stack([ys.unsqueeze(2).expand(n, p, q), xs.unsqueeze(1).expand(n, p, q)], -1).reshape(n, p * q, 2)
        limit = shape_limits(points, height, width)
        images = x.index_select(0, fd.tensor([owners[i] for i, *_ in members], dtype=fd.int64))
        parts = [
            read(images, place) * (weight * limit).unsqueeze(1)
            for place, weight in corners((height, width), points, "linear", "border", False)
        ]
        bins = (n, x.shape[1], output_height, rows, output_width, columns)
        if mode == "max":  # of the weighted corners, not of the samples: the standard's reference does so
            y = fd.stack(parts).amax(0).reshape(bins).amax((3, 5))
        else:
            y = sum(parts[1:], parts[0]).reshape(bins).mean((3, 5))
        for (i, *_), row in zip(members, y):
            out[i] = row
    return fd.stack(out) if out else fd.zeros(0, x.shape[1], output_height, output_width, dtype=x.dtype)


def shape_limits(points, height, width):
    """1 for points at most one element outside of an image, else 0."""
    row, column = points[..., 0], points[..., 1]
    return ((row >= -1) & (row <= height) & (column >= -1) & (column <= width)).to(points.dtype)


def non_max_suppression(
    boxes, scores, max_output_boxes_per_class=None, iou_threshold=None, score_threshold=None, *, center_point_box=0
):
    """Per class, the boxes of highest score that overlap no better one by more than the threshold: (image, class, box)."""
    most, overlap = int(number(max_output_boxes_per_class, 0)), number(iou_threshold, 0.0)
    least = number(score_threshold)
    if center_point_box:
        centre, extent = boxes[..., :2], boxes[..., 2:]
        low, high = centre - extent / 2, centre + extent / 2
    else:
        low, high = fd.minimum(boxes[..., :2], boxes[..., 2:]), fd.maximum(boxes[..., :2], boxes[..., 2:])
    area = (high - low).prod(-1)
    chosen = []
    for image in range(scores.shape[0]):
        for label in range(scores.shape[1]):
            values = scores[image, label]
            order = fd.argsort(values, descending=True, stable=True)
            if least is not None:
                order = order[values[order] > least]
            kept = 0
            while order.numel() and kept < most:
                best, order = order[0], order[1:]
                chosen.append([image, label, int(best)])
                kept += 1
                edges = fd.minimum(high[image, order], high[image, best]) - fd.maximum(
                    low[image, order], low[image, best]
                )
                shared = edges.clamp(min=0).prod(-1)
                union = area[image, order] + area[image, best] - shared
                order = order[~((union > 0) & (shared > overlap * union))]
    return fd.tensor(chosen, dtype=fd.int64).reshape(len(chosen), 3)


def image_decoder(encoded, *, pixel_format="RGB"):
    """The pixels (height, width, channels), uint8, of a file's bytes in any format that Pillow reads."""
    import numpy as np

    image = require("PIL.Image", "ImageDecoder").open(io.BytesIO(bytes(encoded.cpu())))
    if pixel_format == "Grayscale":
        return fd.tensor(np.array(image.convert("L"))).unsqueeze(-1)
    pixels = fd.tensor(np.array(image.convert("RGB")))
    return pixels.flip(-1) if pixel_format == "BGR" else pixels


OPERATORS = {
    "AffineGrid": affine_grid,
    "GridSample": grid_sample,
    "ImageDecoder": image_decoder,
    "NonMaxSuppression": non_max_suppression,
    "Resize": resize,
    "RoiAlign": roi_align,
}
