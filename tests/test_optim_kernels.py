"""Optimizer steps and gradient clipping against the formulas in NumPy float64, and against PyTorch."""

import numpy as np
import pytest
from optim_reference import CASES

import fastdl as fd
from fastdl import _C
from fastdl.optim.rule import RuleOptimizer

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
    return [fd.tensor(v.copy()).to(getattr(fd, dtype)) for v in values]


def values(tensors):
    return [np.asarray(t.to(fd.float64).tolist()).reshape(tuple(t.shape)) for t in tensors]


def assert_close(got, want, tolerance):
    for g, w in zip(values(got), want, strict=True):
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance)


RULES = [case for case in CASES if issubclass(getattr(fd.optim, case[0]), RuleOptimizer)]


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "formula", "options"), RULES, ids=[f"{c[0]} {c[2]}" for c in RULES])
def test_every_rule(dtype, name, formula, options):
    """Two steps: the second starts from states that are not zero."""
    if name in ("Lion", "Rprop") and dtype.endswith("16"):
        pytest.skip("the sign of a sum near 0 is rounding's")
    params = [p.requires_grad_() for p in tensors(arrays(0), dtype)]
    optimizer = getattr(fd.optim, name)(params, **options)
    want, states = values(params), [{} for _ in SHAPES]
    for step in (1, 2):
        grads = tensors(arrays(step), dtype)
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        optimizer.step()
        want = [formula(p, g, s, **options) for p, g, s in zip(want, values(grads), states, strict=True)]
    assert_close(params, want, 2 * DTYPES[dtype])


def test_rules_follow_the_float32_of_torch():
    torch = pytest.importorskip("torch")
    start = arrays(0, [(129, 3)])
    for name, _, options in RULES:
        if not hasattr(torch.optim, name):
            continue
        results = []
        for lib in (fd, torch):
            p = lib.tensor(start[0].tolist(), dtype=lib.float32, requires_grad=True)
            optimizer = getattr(lib.optim, name)([p], **options)
            for step in range(1, 6):
                p.grad = lib.tensor(arrays(step, [(129, 3)])[0].tolist(), dtype=lib.float32)
                optimizer.step()
            results.append(np.array(p.tolist()))
        np.testing.assert_allclose(*results, rtol=2e-5, atol=2e-6, err_msg=f"{name} {options}")


def adam_step(p, g, m, v, steps, lr=1e-2):
    _C.optimizer_step("adam", p, g, [m, v], [steps], lr, (0.9, 0.99, 1e-8), 0.1, True)


def counts(params):
    return [fd.tensor(0.0) for _ in params]


def test_layouts_may_differ():
    p, g, m, v = (arrays(i, [(6, 5)], positive=i == 3)[0] for i in range(4))
    want = [p * (1 - 1e-3), 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g]
    want[0] = want[0] - 1e-2 * (want[1] / 0.1) / (np.sqrt(want[2] / 0.01) + 1e-8)

    def transposed(x):
        return fd.tensor(x.T.copy()).transpose(0, 1)

    def gaps(x):
        return fd.tensor(np.repeat(x, 2, axis=1)).reshape(*x.shape, 2).select(2, 0)

    def plain(x):
        return fd.tensor(x.copy())

    for layouts in [(plain, transposed, gaps, plain), (transposed, plain, plain, gaps), (gaps, transposed, gaps, plain),
                    (transposed, transposed, transposed, transposed)]:  # fmt: skip
        tp, tg, tm, tv = (f(x) for f, x in zip(layouts, (p, g, m, v), strict=True))
        adam_step([tp], [tg], [tm], [tv], counts([tp]))
        assert_close([tp, tm, tv], want, 1e-14)


def test_the_learning_rate_may_be_a_cell():
    p, g = fd.ones(3), fd.ones(3)
    for lr in (fd.tensor(0.5), fd.tensor(0.5, dtype=fd.float64), fd.tensor([0.5])):
        q = p.clone()
        _C.optimizer_step("sgd", [q], [g], [], [], lr)
        assert q.tolist() == [0.5] * 3


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
        adam_step(p, g, m, v, counts(p))
        return [t.tolist() for t in (*p, *m, *v, norm)]

    threads = fd.get_num_threads()
    try:
        assert run(1) == run(2) == run(3)
    finally:
        fd.set_num_threads(threads)


def test_bad_arguments():
    p, g = tensors(arrays(0), "float32"), tensors(arrays(1), "float32")
    before = values(p)
    with pytest.raises(ValueError, match="unknown rule 'newton'"):
        _C.optimizer_step("newton", p, g, [], [], 0.1)
    with pytest.raises(ValueError, match="5 grads for 6 params"):
        _C.optimizer_step("sgd", p, g[:-1], [], [], 0.1)
    with pytest.raises(fd.ShapeError, match=r"grads\[0\] has shape \[129, 3\], its parameter \[7\]"):
        _C.optimizer_step("sgd", p, [g[1], *g[1:]], [], [], 0.1)
    with pytest.raises(fd.DTypeError, match="float64"):
        _C.optimizer_step("sgd", p, [g[0].to(fd.float64), *g[1:]], [], [], 0.1)
    with pytest.raises(fd.ShapeError, match="a number is a tensor of shape"):
        _C.optimizer_step("sgd", p, g, [], [], fd.ones(2))
    with pytest.raises(ValueError, match="0 lists of states for the rule 'momentum', expected 1"):
        _C.optimizer_step("momentum", p, g, [], [], 0.1, (0.9, 0.0, False))
    with pytest.raises(ValueError, match="2 options for the rule 'momentum', expected 3"):
        _C.optimizer_step("momentum", p, g, [g], [], 0.1, (0.9, 0.0))
    with pytest.raises(ValueError, match=r"5 cells\[0\] for 6 params"):
        adam_step(p, g, g, g, counts(p)[:-1])
    with pytest.raises(ValueError, match="float32 tensors of one element"):
        adam_step(p, g, g, g, [fd.zeros(2)] * 6)
    with pytest.raises(ValueError, match=r"states\[0\]\[1\] is None"):
        adam_step(p, g, [g[0], None, *g[2:]], g, counts(p))
    with pytest.raises(TypeError, match="a sequence of numbers"):
        _C.optimizer_step("momentum", p, g, [g], [], 0.1, "abc")
    assert_close(p, before, 0)
    with pytest.raises(ValueError, match="max_norm"):
        _C.clip_grad_norm_(g, -1.0)
    with pytest.raises(ValueError, match="norm_type 3"):
        _C.clip_grad_norm_(g, 1.0, 3.0)


def test_parameters_without_a_gradient_are_left_alone():
    p, m, v = (tensors(arrays(i, positive=True), "float32") for i in range(3))
    g, steps = tensors(arrays(4), "float32"), counts(p)
    before = [values(x) for x in (p, m, v)]
    g[1] = None
    for _ in range(2):
        adam_step(p, g, m, v, steps)
    _C.optimizer_step("sgd", p, g, [], [], 0.1)
    for now, then in zip((p, m, v), before, strict=True):
        assert np.array_equal(values([now[1]])[0], then[1])
        assert not np.array_equal(values([now[0]])[0], then[0])
    assert [s.item() for s in steps] == [2, 0, 2, 2, 2, 2]
    # The second parameter joins later: each has the correction of its own step.
    g[1] = fd.ones_like(p[1])
    alone = [[x[1].clone()] for x in (p, m, v)]
    adam_step(p, g, m, v, steps)
    adam_step(alone[0], [g[1]], alone[1], alone[2], counts([0]))
    assert p[1].tolist() == alone[0][0].tolist()
