"""Every row of the op table: on each CPU level, dtype and layout; gradients; the same bits at any thread count."""

import functools

import numpy as np
import pytest
from harness import (
    EPSILON,
    LAYOUTS,
    arguments,
    array,
    call,
    cast,
    in_dtype,
    is_value,
    judge,
    judges,
    listed,
    poison,
    prepared,
    tensor,
)
from opdb import ROWS
from opdb_row import FLOATS, Random, Sample, evaluate, map_arrays, resolve, samples, with_arrays

import fastdl as fd
from fastdl import _C

LEVELS = _C.cpu_levels() if fd.get_default_device().type == "cpu" else [_C.cpu_level()]
BEST = LEVELS[-1]


def rows(condition=lambda row: True, levels=LEVELS):
    """Parameters (row, level); rows that run no kernel of a level are tried on one."""
    cases = [(r, v) for r in ROWS.values() if condition(r) for v in levels if r.levels or v == levels[-1]]
    return pytest.mark.parametrize(
        ("row", "level"), [pytest.param(r, v, id=f"{r.name}-{v}") for r, v in cases], indirect=["level"]
    )


# --- values ---


@rows()
def test_forward(row, level):
    for dtype in row.dtypes:
        for sample, truth, plain, size in prepared(row, dtype):
            for layout in LAYOUTS:
                poison([a.shape for a in truth])
                judge(
                    row,
                    dtype,
                    call(row, sample, dtype, layout),
                    truth,
                    plain,
                    size,
                    f"{row.name} {sample} {dtype} {layout}",
                )


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.5, 1e30, -1e30, 1e-30, 88.0, -200.0])


@rows(lambda row: row.pointwise and "float32" in row.dtypes and not row.inplace)
def test_special_values(row, level):
    """NaN, infinities, zeros of both signs, huge and tiny numbers: what the plain formula gives."""
    first = next(
        s for s in samples(row) if sum(isinstance(a, np.ndarray) for a in s.args) == len(s.args) or len(s.args) == 1
    )
    count = sum(is_value(a) for a in first.args)
    grid = iter(np.meshgrid(*[SPECIAL] * min(count, 2)))
    args = [
        next(grid, SPECIAL[:, None]).reshape(-1) if is_value(a) else np.resize([True, False], len(SPECIAL) ** 2)
        for a in first.args
    ]
    if count > 2:
        args = [np.resize(a, len(SPECIAL) ** 2) for a in args]
    sample = Sample(tuple(args), first.kwargs)
    values = in_dtype(sample, "float32")
    judge(
        row, "float32", call(row, sample, "float32"), *judges(row, values, "float32"), f"{row.name} at special values"
    )


@rows(lambda row: row.inplace, levels=[BEST])
def test_in_place_returns_its_input(row, level):
    sample = samples(row)[0]
    args, kwargs = arguments(sample, lambda a: tensor(a, row.dtypes[0]))
    address = args[0].data_ptr()
    out = resolve(fd, row)(*args, **kwargs)
    assert out is args[0]
    assert out.data_ptr() == address


@rows(lambda row: row.view, levels=[BEST])
def test_views_share_memory(row, level):
    for sample in samples(row):
        args, kwargs = arguments(sample, lambda a: tensor(a, row.dtypes[0]))
        start, size = args[0].data_ptr(), args[0].numel() * args[0].element_size()
        for out in listed(resolve(fd, row)(*args, **kwargs)):
            assert out.numel() == 0 or start <= out.data_ptr() < start + size, f"{row.name} {sample}"


# --- gradients ---


def weighted(outputs, weights):
    total = 0.0
    for out, w in zip(outputs, weights):
        if out.requires_grad:
            total = total + (out * w).sum()
    return total


def leaves_of(row, args):
    """The float tensors among the arguments, within lists too; those that get a gradient require one."""
    found = []

    def visit(a, wanted):
        if isinstance(a, fd.Tensor):
            if a.dtype.is_floating_point and wanted:
                a.requires_grad = True
                found.append(a)
        elif isinstance(a, (list, tuple)):
            for x in a:
                visit(x, wanted)

    for i, a in enumerate(args):
        visit(a, i not in row.nograd)
    return found


def gradients(row, sample, dtype, layout, weights):
    """Gradients of the weighted sum of the results, for each float argument."""
    args, kwargs = arguments(sample, lambda a: tensor(a, dtype, layout))
    leaves = leaves_of(row, [*args, *kwargs.values()])
    if row.inplace:  # a leaf cannot be written to
        args[0] = args[0].clone()
    outputs = listed(resolve(fd, row)(*args, **kwargs))
    shaped = [tensor(w, dtype, layout) for w in weights]
    return leaves, fd.autograd.grad(weighted(outputs, shaped), leaves)


def value_arrays(row, sample):
    """The arrays that `leaves_of` turns into leaves, in its order."""
    found = []
    for i, a in enumerate([*sample.args, *sample.kwargs.values()]):
        if i not in row.nograd:
            map_arrays(lambda x: found.append(x) if is_value(x) else None, a if not isinstance(a, tuple) else list(a))
    return found


@functools.cache
def differences(row):
    """For each sample: weights of the results, and directional derivatives of the reference by central differences."""
    out = []
    r, step = Random(f"{row.name} directions"), 1e-5
    for sample in samples(row):
        results = evaluate(row, sample)
        if not any(o.dtype.kind == "f" and o.size for o in results):
            continue
        weights = [r(*o.shape) for o in results]
        derivatives = []
        for x in value_arrays(row, sample):
            direction = r(*x.shape)

            def moved(sign, sample=sample, x=x, direction=direction):
                near = with_arrays(lambda a: a + sign * step * direction if a is x else a, sample)
                return [o.astype(np.float64) for o in evaluate(row, near)]

            difference = [(high - low) / (2 * step) for high, low in zip(moved(1), moved(-1))]
            derivatives.append((direction, difference))
        out.append((sample, weights, derivatives))
    return out


@rows(lambda row: row.grad > 0 and "float64" in row.dtypes)
def test_gradient(row, level):
    """In float64 against finite differences of the reference; other dtypes and layouts against float64."""
    for sample, weights, derivatives in differences(row):
        note = f"{row.name} {sample}"
        leaves, exact = gradients(row, sample, "float64", "contiguous", weights)
        assert len(leaves) == len(derivatives), note
        outputs = call_with_grad(row, sample)
        for i, (g, (direction, difference)) in enumerate(zip(exact, derivatives)):
            terms = [(d * w).sum() for d, w, o in zip(difference, weights, outputs) if o.requires_grad]
            numeric, analytic = float(np.sum(terms)), float((array(g) * direction).sum())
            scale = 1.0 + abs(numeric) + sum(np.abs(d * w).sum() for d, w in zip(difference, weights))
            assert abs(analytic - numeric) <= 1e-6 * scale, (
                f"{note}: argument {i}: {analytic} by backward, {numeric} by differences"
            )
        for dtype in (d for d in row.dtypes if d in FLOATS):
            if dtype == "float64":
                rounded = exact
            else:
                near = with_arrays(lambda a, d=dtype: cast(a, d).astype(np.float64) if is_value(a) else a, sample)
                near_weights = [cast(w, dtype).astype(np.float64) for w in weights]
                rounded = gradients(row, near, "float64", "contiguous", near_weights)[1]
            for layout in LAYOUTS:
                _, got = gradients(row, sample, dtype, layout, weights)
                for i, (g, e) in enumerate(zip(got, rounded)):
                    assert g.dtype.name == dtype, f"{note}: the gradient of argument {i} is {g.dtype}"
                    compare_gradient(g, e, weights, dtype, f"{note} {dtype} {layout}: gradient of argument {i}")


def compare_gradient(got, exact, weights, dtype, note):
    """Relative to the larger of the gradient and what came in: y (1 - y) g, say, loses what 1 - y does."""
    g, e = array(got).astype(np.float64), array(exact)
    assert g.shape == e.shape, note
    if not e.size:
        return
    bound = (
        EPSILON[dtype]
        * (16 if dtype in ("bfloat16", "float16") else 256)
        * max(np.abs(e).max(), *(np.abs(w).max() for w in weights if w.size))
    )
    assert np.abs(g - e).max() <= bound, f"{note}: error {np.abs(g - e).max():.3g} is above {bound:.3g}"


def call_with_grad(row, sample):
    args, kwargs = arguments(sample, lambda a: tensor(a, "float64"))
    leaves_of(row, [*args, *kwargs.values()])
    if row.inplace:
        args[0] = args[0].clone()
    return listed(resolve(fd, row)(*args, **kwargs))


@rows(lambda row: row.grad > 1 and "float64" in row.dtypes, levels=[BEST])
def test_second_order_gradient(row, level):
    """The gradient's own derivative, along a direction, against differences of the gradient."""
    r = Random(f"{row.name} second order")
    checked = 0
    for sample, weights, derivatives in differences(row):
        if sum(d.size for d, _ in derivatives) > 400 or not derivatives:
            continue
        directions, seconds = [d for d, _ in derivatives], [r(*d.shape) for d, _ in derivatives]

        def slope(shift, record, sample=sample, weights=weights, directions=directions, seconds=seconds):
            args, kwargs = arguments(sample, lambda a: tensor(a, "float64"))
            leaves = leaves_of(row, [*args, *kwargs.values()])
            with fd.no_grad():
                for x, s in zip(leaves, seconds):
                    x.copy_(x + tensor(s) * shift)
            if row.inplace:
                args[0] = args[0].clone()
            total = weighted(listed(resolve(fd, row)(*args, **kwargs)), [tensor(w) for w in weights])
            firsts = fd.autograd.grad(total, leaves, create_graph=True)
            along = sum((g * tensor(d)).sum() for g, d in zip(firsts, directions))
            if not record:
                return along.item()
            if not along.requires_grad:
                return 0.0
            results = fd.autograd.grad(along, leaves, allow_unused=True)
            return sum(float((array(g) * s).sum()) for g, s in zip(results, seconds) if g is not None)

        step = 1e-5
        numeric = (slope(step, False) - slope(-step, False)) / (2 * step)
        analytic = slope(0.0, True)
        scale = 1.0 + abs(numeric) + abs(slope(0.0, False))
        assert abs(analytic - numeric) <= 1e-5 * scale, (
            f"{row.name} {sample}: {analytic} by backward, {numeric} by differences"
        )
        checked += 1
    assert checked


# --- threads ---


def bits(tensors):
    return [array(t.float() if t.dtype.name == "bfloat16" else t).tobytes() for t in tensors]


@pytest.mark.parametrize("row", [pytest.param(r, id=r.name) for r in ROWS.values() if r.bench])
def test_same_bits_at_any_thread_count(row, threads):
    """On the sizes of the benchmarks, which are large enough to be split; with gradients."""
    sizes = sorted(row.bench, key=lambda b: max(b.flops / 50, b.nbytes))
    bench = next((b for b in sizes if b.nbytes > 2e6), sizes[-1])
    sample = bench.make(Random(row.name))
    results = []
    for n in (1, 2, 3):
        threads(n)
        args, kwargs = arguments(sample, lambda a: tensor(a, "float32"))
        leaves = leaves_of(row, args) if row.grad else []
        outputs = listed(resolve(fd, row)(*args, **kwargs))
        recorded = [o for o in outputs if o.requires_grad]
        grads = fd.autograd.grad(sum((o * o).sum() for o in recorded), leaves, allow_unused=True) if recorded else ()
        results.append(bits([*outputs, *(g for g in grads if g is not None)]))
    assert results[0] == results[1], f"{row.name} {bench.name}: 1 and 2 threads differ"
    assert results[0] == results[2], f"{row.name} {bench.name}: 1 and 3 threads differ"
