"""From samples of the op table to tensors, and the rule by which results are judged."""

import functools

import numpy as np
from opdb_row import FLOATS, cast, compute_dtype, evaluate, map_arrays, resolve, round_bfloat16, samples, with_arrays

import fastdl as fd
from fastdl import _C

LAYOUTS = ("contiguous", "transposed", "strided")
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
SMALLEST = {"float64": 2.3e-308, "float32": 1.2e-38, "float16": 6.2e-5, "bfloat16": 1.2e-38}  # normal numbers
SEVENTH = 7  # what lies between the elements of a strided tensor: read by mistake, it shows


def is_value(a):
    """Whether an array of a sample takes the dtype under test."""
    return a.dtype == np.float64


def in_dtype(sample, dtype):
    return with_arrays(lambda a: cast(a, dtype) if is_value(a) else a, sample)


@functools.cache
def prepared(row, dtype):
    """A row's samples in a dtype: (sample, truth, plain formula's result, size of the terms)."""
    out = []
    for sample in samples(row):
        values = in_dtype(sample, dtype)
        out.append((sample, *judges(row, values, dtype)))
    return out


def judges(row, values, dtype):
    """The truth, the plain formula's result, and the size of the terms that each result is made of.

    The truth is computed in a wider type than the dtype. The size is that of the formula over absolute values: what
    rounding errors of sums with cancellation are relative to.
    """
    wide = np.longdouble if dtype == "float64" else np.float64
    to = lambda t, f=lambda a: a: with_arrays(lambda a: f(a.astype(t)) if a.dtype.kind == "f" else a, values)
    truth = evaluate(row, to(wide))
    sizes = [np.abs(t[np.isfinite(t)]) for t in evaluate(row, to(wide, np.abs)) if t.dtype.kind == "f"]
    return truth, evaluate(row, to(compute_dtype(dtype))), max((float(s.max()) for s in sizes if s.size), default=0.0)


def tensor(a, dtype=None, layout="contiguous"):
    """A tensor of an array's values: in a dtype if the array takes the one under test, in some memory layout."""
    target = getattr(fd, dtype) if dtype and is_value(a) else None
    values = cast(a, dtype) if target is not None else a
    if layout == "contiguous" or a.ndim == 0:
        t = fd.tensor(values)
        return t if target is None else t.to(target)
    if layout == "transposed" and a.ndim > 1:
        t = fd.tensor(values.T.copy())
        return (t if target is None else t.to(target)).permute(*range(a.ndim - 1, -1, -1))
    n = a.shape[-1]
    spread = np.full((*a.shape[:-1], 2 * n + 1), SEVENTH, dtype=values.dtype)
    spread[..., 1::2] = values
    t = fd.tensor(spread)
    t = t if target is None else t.to(target)
    return t.as_strided(a.shape, (*t.stride()[:-1], 2), 1)


def arguments(sample, make):
    return [map_arrays(make, a) for a in sample.args], {k: map_arrays(make, v) for k, v in sample.kwargs.items()}


def call(row, sample, dtype, layout="contiguous"):
    """The op's results on a sample, as a tuple of tensors."""
    args, kwargs = arguments(sample, lambda a: tensor(a, dtype, layout))
    return listed(resolve(fd, row)(*args, **kwargs))


def listed(out):
    return tuple(out) if isinstance(out, (tuple, list)) else (out,)


def poison(shapes):
    """Leaves bytes that read as NaN in the memory that the next tensors of these sizes get."""
    for nbytes in {int(np.prod(s)) * size for s in shapes for size in (1, 2, 4, 8)}:
        blocks = [_C.full((nbytes,), 255, fd.uint8, "cpu") for _ in range(2)]
        del blocks


def array(t):
    """A tensor's values: bfloat16 as float32."""
    return t.detach().numpy(force=True)


def judge(row, dtype, got, truth, plain, size, note):
    """Our error against the truth must be at most `row.slack` times the plain formula's, plus 4 units in the last.

    The plain formula's error is the largest over the row's samples: on one sample it may be small by luck.
    """
    assert len(got) == len(truth), f"{note}: {len(got)} results, expected {len(truth)}"
    for ours, exact, formula in zip(got, truth, plain):
        name = ours.dtype.name
        values = array(ours)
        assert values.shape == exact.shape, f"{note}: shape {values.shape}, expected {exact.shape}"
        if name not in FLOATS or exact.dtype.kind != "f":
            if not row.name.startswith("to "):
                assert name == formula.dtype.name, f"{note}: dtype {name}, expected {formula.dtype.name}"
            np.testing.assert_array_equal(values, formula, err_msg=note)
            continue
        if dtype in FLOATS and not row.name.startswith("to "):
            assert name == dtype, f"{note}: dtype {name}, expected {dtype}"
        formula = rounded(formula, name)
        np.testing.assert_array_equal(np.isnan(values), np.isnan(formula), err_msg=f"{note}: NaN in other places")
        infinite = np.isinf(formula)
        np.testing.assert_array_equal(values[infinite], formula[infinite], err_msg=f"{note}: other infinities")
        worst = error(row, name, values, exact, formula, size)
        bound = (
            row.slack * max(plain_error(row, name), error(row, name, formula, exact, formula, size)) + 4 * EPSILON[name]
        )
        assert worst <= bound, f"{note}: error {worst:.3g} is above {bound:.3g}, from the plain formula's error"


def rounded(formula, name):
    """The plain formula's result, stored in a dtype."""
    with np.errstate(over="ignore"):
        return round_bfloat16(formula) if name == "bfloat16" else formula.astype(name)


@functools.cache
def plain_error(row, name):
    """The largest error of the plain formula over a row's samples."""
    if name not in row.dtypes:
        return 0.0
    return max(
        error(row, name, rounded(f, name), t, rounded(f, name), size)
        for _, truth, plain, size in prepared(row, name)
        for f, t in zip(plain, truth)
        if t.dtype.kind == "f"
    )


def error(row, name, values, exact, formula, size):
    """The largest error, relative to each element or to the size of the terms, where the formula is finite."""
    finite = np.isfinite(formula)
    if not finite.any():
        return 0.0
    values, exact = values[finite].astype(exact.dtype), exact[finite]
    scale = np.abs(exact) if row.pointwise else np.full(exact.shape, max(np.abs(exact).max(), size))
    return float(np.max(np.abs(values - exact) / np.maximum(scale, SMALLEST[name] / EPSILON[name])))
