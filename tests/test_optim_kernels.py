"""Optimizer steps and gradient clipping against the formulas in NumPy float64, and against PyTorch."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import _C

SHAPES = [(7,), (129, 3), (), (0, 4), (64, 257), (1,)]
DTYPES = {"float32": 1e-6, "float64": 1e-14, "bfloat16": 2e-2, "float16": 2e-3}


@pytest.fixture(params=_C.cpu_levels())
def level(request):
    before = _C.cpu_level()
    _C.set_cpu_level(request.param)
    yield
    _C.set_cpu_level(before)


def arrays(seed, shapes=SHAPES, positive=False):
    rng = np.random.default_rng(seed)
    made = [np.asarray(rng.standard_normal(s)) for s in shapes]
    return [np.abs(x) for x in made] if positive else made


def tensors(values, dtype):
    return [fd.from_numpy(v.copy()).to(getattr(fd, dtype)) for v in values]


def values(tensors):
    return [np.asarray(t.to(fd.float64).tolist()).reshape(tuple(t.shape)) for t in tensors]


def assert_close(got, want, tolerance):
    for g, w in zip(values(got), want, strict=True):
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance)


def sgd_reference(p, g, b, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    g = -g if maximize else g
    g = g + weight_decay * p
    if b is not None:
        b = g if first else momentum * b + (1 - dampening) * g
        g = g + momentum * b if nesterov else b
    return p - lr * g, b


def adam_reference(p, g, m, v, largest, step, lr, b1, b2, eps, weight_decay, decoupled, amsgrad, maximize):
    g = -g if maximize else g
    if decoupled:
        p = p * (1 - lr * weight_decay)
    else:
        g = g + weight_decay * p
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    largest = np.maximum(largest, v) if amsgrad else largest
    root = np.sqrt(largest if amsgrad else v) / np.sqrt(1 - b2**step)
    return p - lr / (1 - b1**step) * m / (root + eps), m, v, largest


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("momentum", "dampening", "weight_decay", "nesterov", "maximize", "first"),
    [(0, 0, 0, False, False, False), (0.9, 0.1, 0.01, False, True, False), (0.9, 0, 0.1, True, False, False),
     (0.5, 0.5, 0, False, False, True)],
)  # fmt: skip
def test_sgd_step(dtype, momentum, dampening, weight_decay, nesterov, maximize, first):
    params, grads, buffers = (tensors(arrays(i), dtype) for i in range(3))
    buffers = buffers if momentum else []
    p, g, b = values(params), values(grads), values(buffers) or [None] * len(SHAPES)
    rule = (0.1, momentum, dampening, weight_decay, nesterov, maximize, first)
    _C.sgd_step(params, grads, buffers, *rule)
    want = [sgd_reference(*x, *rule) for x in zip(p, g, b, strict=True)]
    assert_close(params, [w[0] for w in want], DTYPES[dtype])
    if momentum:
        assert_close(buffers, [w[1] for w in want], DTYPES[dtype])


def counts(step, params):
    """Adam's count of the steps done so far, one a parameter."""
    return [fd.tensor(float(step)) for _ in params]


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_step(dtype, decoupled, amsgrad):
    params, grads, means = (tensors(arrays(i), dtype) for i in range(3))
    squares, largest = (tensors(arrays(i, positive=True), dtype) for i in range(3, 5))
    before = [values(x) for x in (params, grads, means, squares, largest)]
    rule = (3, 1e-2, 0.9, 0.99, 1e-8, 0.1, decoupled, amsgrad, amsgrad)
    _C.adam_step(params, grads, means, squares, largest if amsgrad else [], counts(2, params), *rule[1:])
    want = [adam_reference(*x, *rule) for x in zip(*before, strict=True)]
    for i, got in enumerate((params, means, squares, largest)):
        assert_close(got, [w[i] for w in want], DTYPES[dtype])


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_step_follows_torch(decoupled):
    torch = pytest.importorskip("torch")
    shapes = [s for s in SHAPES if s != (0, 4)]
    ours, grads = tensors(arrays(0, shapes), "float32"), [arrays(i, shapes) for i in range(1, 6)]
    theirs = [torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in arrays(0, shapes)]
    optimizer = (torch.optim.AdamW if decoupled else torch.optim.Adam)(theirs, lr=1e-2, weight_decay=0.1)
    means, squares = ([fd.zeros_like(p) for p in ours] for _ in range(2))
    steps = counts(0, ours)
    for g in grads:
        for p, x in zip(theirs, g, strict=True):
            p.grad = torch.tensor(x, dtype=torch.float32)
        optimizer.step()
        _C.adam_step(
            ours, tensors(g, "float32"), means, squares, [], steps, 1e-2, 0.9, 0.999, 1e-8, 0.1, decoupled, False, False
        )
    assert_close(ours, [p.detach().double().numpy() for p in theirs], 2e-6)


def test_layouts_may_differ():
    p, g, m, v = (arrays(i, [(6, 5)], positive=i == 3)[0] for i in range(4))
    rule = (1, 0.1, 0.9, 0.999, 1e-8, 0.0, False, False, False)
    want = adam_reference(p, g, m, v, None, *rule)

    def transposed(x):
        return fd.from_numpy(x.T.copy()).transpose(0, 1)

    def gaps(x):
        return fd.from_numpy(np.repeat(x, 2, axis=1)).reshape(*x.shape, 2).select(2, 0)

    def plain(x):
        return fd.from_numpy(x.copy())

    for layouts in [(plain, transposed, gaps, plain), (transposed, plain, plain, gaps), (gaps, transposed, gaps, plain),
                    (transposed, transposed, transposed, transposed)]:  # fmt: skip
        tp, tg, tm, tv = (f(x) for f, x in zip(layouts, (p, g, m, v), strict=True))
        _C.adam_step([tp], [tg], [tm], [tv], [], counts(0, [tp]), *rule[1:])
        assert_close([tp, tm, tv], want[:3], 1e-14)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm_type", [1.0, 2.0, float("inf")])
def test_clip_grad_norm(dtype, norm_type):
    grads = tensors(arrays(0), dtype)
    before = values(grads)
    flat = np.concatenate([b.ravel() for b in before])
    want = np.linalg.norm(flat, norm_type)
    norm = _C.clip_grad_norm_(grads, 1e6, norm_type)
    np.testing.assert_allclose(norm.item(), want, rtol=max(DTYPES[dtype], 1e-7))
    assert_close(grads, before, 0)  # below the limit: untouched
    _C.clip_grad_norm_(grads, 0.5, norm_type)
    assert_close(grads, [b * (0.5 / (want + 1e-6)) for b in before], DTYPES[dtype])


def test_clip_grad_norm_of_special_values():
    grads = tensors([np.array([3.0, np.nan]), np.array([4.0])], "float32")
    for kind in (1.0, 2.0, float("inf")):
        assert np.isnan(_C.clip_grad_norm_(grads, 1.0, kind).item())
        with pytest.raises(ValueError, match="norm of 2 gradients is"):
            _C.clip_grad_norm_(grads, 1.0, kind, True)
    assert np.isnan(values(grads)[1]).all()
    huge = tensors([np.array([1e30, 1e30])], "float32")  # whose squares overflow float32
    np.testing.assert_allclose(_C.clip_grad_norm_(huge, 1.0).item(), np.sqrt(2) * 1e30, rtol=1e-6)
    assert _C.clip_grad_norm_([], 1.0).item() == 0


def test_same_bits_at_any_thread_count():
    def run(threads):
        fd.set_num_threads(threads)
        p, g, m, v = (tensors(arrays(i, [(300, 999), (5,)], positive=i == 3), "float32") for i in range(4))
        norm = _C.clip_grad_norm_(g, 1.0)
        _C.adam_step(p, g, m, v, [], counts(0, p), 1e-2, 0.9, 0.99, 1e-8, 0.1, True, False, False)
        return [t.tolist() for t in (*p, *m, *v, norm)]

    threads = fd.get_num_threads()
    try:
        assert run(1) == run(2) == run(3)
    finally:
        fd.set_num_threads(threads)


def test_bad_arguments():
    p, g = tensors(arrays(0), "float32"), tensors(arrays(1), "float32")
    adam = (1e-2, 0.9, 0.99, 1e-8, 0.1, True, False, False)
    with pytest.raises(ValueError, match="sgd_step: 5 grads for 6 params"):
        _C.sgd_step(p, g[:-1], [], 0.1)
    with pytest.raises(fd.ShapeError, match=r"grads\[0\] has shape \[129, 3\], its parameter \[7\]"):
        _C.sgd_step(p, [g[1], *g[1:]], [], 0.1)
    with pytest.raises(fd.DTypeError, match="float64"):
        _C.sgd_step(p, [g[0].to(fd.float64), *g[1:]], [], 0.1)
    with pytest.raises(ValueError, match="needs a momentum buffer"):
        _C.sgd_step(p, g, [], 0.1, 0.9)
    with pytest.raises(ValueError, match="5 steps for 6 params"):
        _C.adam_step(p, g, g, g, [], counts(0, p)[:-1], *adam)
    with pytest.raises(ValueError, match="float32 tensors of one element"):
        _C.adam_step(p, g, g, g, [], [fd.zeros(2)] * 6, *adam)
    with pytest.raises(ValueError, match="as many exp_avgs"):
        _C.adam_step(p, g, [], g, [], counts(0, p), *adam)
    with pytest.raises(ValueError, match="max_norm"):
        _C.clip_grad_norm_(g, -1.0)
    with pytest.raises(ValueError, match="norm_type 3"):
        _C.clip_grad_norm_(g, 1.0, 3.0)


def test_parameters_without_a_gradient_are_left_alone():
    p, m, v = (tensors(arrays(i, positive=True), "float32") for i in range(3))
    g, steps = tensors(arrays(4), "float32"), counts(0, p)
    before = [values(x) for x in (p, m, v)]
    g[1] = None
    for _ in range(2):
        _C.adam_step(p, g, m, v, [], steps, 1e-2, 0.9, 0.99, 1e-8, 0.1, True, False, False)
    _C.sgd_step(p, g, [], 0.1)
    for now, then in zip((p, m, v), before, strict=True):
        assert np.array_equal(values([now[1]])[0], then[1])
        assert not np.array_equal(values([now[0]])[0], then[0])
    assert [s.item() for s in steps] == [2, 0, 2, 2, 2, 2]
    # The second parameter joins later: each has the correction of its own step.
    g[1] = fd.ones_like(p[1])
    alone = [[x[1].clone()] for x in (p, m, v)]
    _C.adam_step(p, g, m, v, [], steps, 1e-2, 0.9, 0.99, 1e-8, 0.1, True, False, False)
    _C.adam_step(
        alone[0], [g[1]], alone[1], alone[2], [], counts(0, [0]), 1e-2, 0.9, 0.99, 1e-8, 0.1, True, False, False
    )
    assert p[1].tolist() == alone[0][0].tolist()
