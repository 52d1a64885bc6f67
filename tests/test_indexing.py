"""Ops that take, put, join and rearrange elements, against NumPy; gradients by finite differences."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import _C
from fastdl.autograd import gradcheck

DTYPES = [np.float32, np.float64, np.float16, np.int64, np.int32, np.uint8, np.bool_]


@pytest.fixture(params=_C.cpu_levels())
def level(request):
    before = _C.cpu_level()
    _C.set_cpu_level(request.param)
    yield
    _C.set_cpu_level(before)


def layouts(x):
    """The same values contiguous and with reversed strides."""
    return [fd.tensor(x.copy()), fd.tensor(x.T.copy()).permute(*reversed(range(x.ndim)))]


def sample(shape, dtype, seed=0):
    return (np.random.default_rng(seed).standard_normal(shape) * 9).astype(dtype)


def grid(index, dim):
    """Index arrays of every dimension for gather's element-wise meaning."""
    places = list(np.ix_(*map(np.arange, index.shape)))
    places[dim] = index
    return tuple(places)


# (input shape, dim, index shape): equal sizes, smaller ones, long lines, many lines, nothing.
ELEMENTWISE = [
    ((7,), 0, (9,)), ((5, 7), 0, (3, 7)), ((5, 7), 1, (4, 20)), ((3, 4, 5), 1, (3, 9, 2)), ((2, 50000), 1, (2, 50000)),
    ((300, 70), 0, (280, 70)), ((4, 5), 0, (0, 5)), ((4, 3), -1, (4, 0)),
]  # fmt: skip


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize(("shape", "dim", "index_shape"), ELEMENTWISE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gather_and_scatter(shape, dim, index_shape, dtype):
    x, source = sample(shape, dtype), sample(index_shape, dtype, 1)
    index = np.random.default_rng(2).integers(0, shape[dim], index_shape)
    # no repeats along dim
    once = np.argsort(np.random.default_rng(3).random(shape), axis=dim)[tuple(map(slice, index_shape))]
    put, added = x.copy(), x.copy()
    put[grid(once, dim)] = source[tuple(map(slice, once.shape))]
    for t in layouts(x):
        assert np.array_equal(t.gather(dim, fd.tensor(index)).numpy(force=True), x[grid(index, dim)])
        assert np.array_equal(t.scatter(dim, fd.tensor(once), fd.tensor(source)).numpy(force=True), put)
    if dtype in (np.float64, np.int64):
        np.add.at(added, grid(index, dim), source)
        for t in layouts(x):
            np.testing.assert_allclose(
                t.scatter_add(dim, fd.tensor(index), fd.tensor(source)).numpy(force=True), added, rtol=1e-12
            )


def test_scatter_of_a_number_and_in_place():
    x = fd.zeros(2, 3)
    assert x.scatter_(1, fd.tensor([[2], [0]]), 5.0) is x
    assert x.tolist() == [[0, 0, 5], [5, 0, 0]]
    assert x.scatter(0, fd.tensor([[1, 1]]), -1).tolist() == [[0, 0, 5], [-1, -1, 0]]
    assert fd.tensor(3.0).gather(0, fd.tensor(0)).item() == 3


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows(dtype):
    x, index = sample((5, 6, 70), dtype), np.array([3, 0, 3, 4])
    source = sample((5, 4, 70), dtype, 1)
    for t in layouts(x):
        for dim in (0, 1, 2, -1):
            assert np.array_equal(t.index_select(dim, fd.tensor(index)).numpy(force=True), np.take(x, index, dim))
        if dtype in (np.float64, np.int64):
            want = x.copy()
            np.add.at(want, (slice(None), index), 2 * source)
            np.testing.assert_allclose(
                t.index_add(1, fd.tensor(index), fd.tensor(source), alpha=2).numpy(force=True), want, rtol=1e-12
            )
    order = np.argsort(x[:, :1], axis=2, kind="stable")
    assert np.array_equal(
        fd.tensor(x).take_along_dim(fd.tensor(order), 2).numpy(force=True), np.take_along_axis(x, order, 2)
    )


@pytest.mark.usefixtures("level")
def test_embedding():
    rng = np.random.default_rng(0)
    weight, places = rng.standard_normal((50, 130)), rng.integers(0, 50, (40, 30))
    incoming = rng.standard_normal((40, 30, 130))
    for padding in (None, 3, -1):
        w = fd.tensor(weight.copy()).requires_grad_()
        out = _C.embedding(w, fd.tensor(places), padding)
        assert np.array_equal(out.detach().numpy(force=True), weight[places])
        out.backward(fd.tensor(incoming))
        want = np.zeros_like(weight)
        np.add.at(want, places, incoming)
        if padding is not None:
            want[padding] = 0
        np.testing.assert_allclose(w.grad.numpy(force=True), want, rtol=1e-12, atol=1e-12)
    assert _C.embedding(w, fd.zeros(0, 2, dtype=fd.int64)).shape == (0, 2, 130)


def test_embedding_gradient_has_the_same_bits_at_any_thread_count():
    rng = np.random.default_rng(0)
    places, incoming = (
        fd.tensor(rng.integers(0, 20, 5000)),
        fd.tensor(rng.standard_normal((5000, 128)).astype(np.float32)),
    )

    def gradient(threads):
        fd.set_num_threads(threads)
        w = fd.zeros(20, 128).requires_grad_()
        _C.embedding(w, places).backward(incoming)
        return w.grad.numpy(force=True).tobytes()

    before = fd.get_num_threads()
    try:
        assert gradient(1) == gradient(2) == gradient(3)
    finally:
        fd.set_num_threads(before)


def test_sums_of_half_floats_are_made_in_float32():
    """4096 ones: a running sum in float16 stops at 2048."""
    places = fd.zeros(4096, dtype=fd.int64)
    for take in (lambda x: x[places], lambda x: x.gather(0, places), lambda x: x.index_select(0, places),
                 lambda x: _C.embedding(x.unsqueeze(1), places)):  # fmt: skip
        x = fd.ones(2, dtype=fd.float16).requires_grad_()
        take(x).sum().backward()
        assert x.grad.tolist() == [4096, 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_joining_and_rearranging(dtype):
    x, y = sample((3, 5, 4), dtype), sample((3, 2, 4), dtype, 1)
    for a, b in zip(layouts(x), layouts(y), strict=True):
        same = {
            "cat": (_C.cat([a, b, a], 1), np.concatenate([x, y, x], 1)),
            "cat skips empty vectors": (_C.cat([fd.tensor(np.zeros(0, dtype)), a], -2), x),
            "stack": (_C.stack([a, a], -1), np.stack([x, x], -1)),
            "repeat": (a.repeat(2, 1, 3, 2), np.tile(x, (2, 1, 3, 2))),
            "repeat once": (a.repeat(1, 1, 1), x),
            "repeat nothing": (a.repeat(1, 0, 1), x[:, :0]),
            "tile": (a.tile(2, 3), np.tile(x, (2, 3))),
            "repeat_interleave": (_C.repeat_interleave(a, 3, 1), np.repeat(x, 3, 1)),
            "repeat_interleave flat": (_C.repeat_interleave(a, 2), np.repeat(x, 2)),
            "repeat_interleave counts": (
                _C.repeat_interleave_tensor(a, fd.tensor([2, 0, 1]), 0),
                np.repeat(x, [2, 0, 1], 0),
            ),
            "flip": (_C.flip(a, (0, -1)), np.flip(x, (0, -1))),
            "flip nothing": (_C.flip(a, ()), x),
            "roll": (a.roll((2, -7), (0, 1)), np.roll(x, (2, -7), (0, 1))),
            "roll flat": (a.roll((5,)), np.roll(x, 5)),
        }
        for diagonal in (-9, -2, 0, 1, 9):
            same[f"tril {diagonal}"] = (a.tril(diagonal), np.tril(x, diagonal))
            same[f"triu {diagonal}"] = (a.triu(diagonal), np.triu(x, diagonal))
        for name, (got, want) in same.items():
            assert got.shape == want.shape, name
            assert np.array_equal(got.numpy(force=True), want), name
            assert got.data_ptr() != a.data_ptr() or want.size == 0, f"{name} must copy"


def test_cat_promotes():
    assert _C.cat([fd.ones(1), fd.ones(1, dtype=fd.int64), fd.ones(1, dtype=fd.float64)]).dtype is fd.float64
    x = fd.ones(2).requires_grad_()
    _C.cat([x, fd.ones(1, dtype=fd.float64)]).sum().backward()
    assert x.grad.dtype is fd.float32


INDEX = fd.tensor([[0, 2, 1], [2, 2, 0]])
GRADIENTS = {
    "gather": (lambda x: x.gather(1, INDEX), (2, 3)),
    "gather dim 0": (lambda x: x.gather(0, INDEX), (3, 4)),
    "scatter": (lambda x, y: x.scatter(1, fd.tensor([[0, 2], [2, 1]]), y), (2, 3), (2, 2)),
    "scatter, larger source": (lambda x, y: x.scatter(0, fd.tensor([[1, 2]]), y), (3, 4), (2, 3)),
    "scatter_add": (lambda x, y: x.scatter_add(1, INDEX, y), (2, 3), (2, 3)),
    "take_along_dim": (lambda x: x.take_along_dim(fd.tensor([[1, 1, 0]]), 1), (2, 3)),
    "index_select": (lambda x: x.index_select(1, fd.tensor([2, 2, 0])), (2, 3)),
    "index_add": (lambda x, y: x.index_add(0, fd.tensor([1, 1]), y, alpha=3), (2, 3), (2, 3)),
    "embedding": (lambda x: _C.embedding(x, INDEX), (3, 4)),
    "cat": (lambda x, y: _C.cat([x, y, x], 1), (2, 3), (2, 1)),
    "stack": (lambda x, y: _C.stack([x, y], 1), (2, 3), (2, 3)),
    "repeat": (lambda x: x.repeat(2, 1, 3), (2, 3)),
    "repeat_interleave": (lambda x: _C.repeat_interleave(x, 2, 1), (2, 3)),
    "repeat_interleave counts": (lambda x: _C.repeat_interleave_tensor(x, fd.tensor([2, 1, 0]), 1), (2, 3)),
    "flip": (lambda x: _C.flip(x, (1,)), (2, 3)),
    "roll": (lambda x: x.roll((1,), (1,)), (2, 3)),
    "tril": (lambda x: x.tril(), (3, 3)),
    "triu": (lambda x: x.triu(1), (3, 3)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    function, *shapes = GRADIENTS[name]
    inputs = [fd.tensor(np.random.default_rng(i).standard_normal(s)).requires_grad_() for i, s in enumerate(shapes)]
    assert gradcheck(lambda *x: (function(*x) * function(*x)).sum(), inputs)


X, V = fd.ones(3, 4), fd.ones(5)
BAD = [
    (lambda: X.gather(0, fd.tensor([[3]])), IndexError,
     r"gather: index 3 is out of range for dimension 0 of size 3 of input \[3, 4\]"),
    (lambda: X.gather(0, fd.tensor([[-1]])), IndexError, "index -1"),
    (lambda: X.gather(0, fd.tensor([0])), fd.ShapeError, "gather"),
    (lambda: X.gather(0, fd.zeros(1, 5, dtype=fd.int64)), fd.ShapeError, "reaches beyond input"),
    (lambda: X.gather(0, fd.zeros(1, 4)), fd.DTypeError, "expected int64"),
    (lambda: X.gather(2, fd.tensor([[0]])), IndexError, "dimension 2"),
    (lambda: X.scatter(0, fd.tensor([[9]]), X), IndexError, "scatter: index 9"),
    (lambda: X.scatter(0, fd.zeros(4, 4, dtype=fd.int64), X), fd.ShapeError, "reaches beyond src"),
    (lambda: X.scatter(0, fd.tensor([[0]]), X.to(fd.float64)), fd.DTypeError, "src is float64"),
    (lambda: X.index_select(0, fd.tensor([[0]])), fd.ShapeError, "one dimension"),
    (lambda: X.index_select(1, fd.tensor([4])), IndexError, "index_select: index 4"),
    (lambda: X.index_add(0, fd.tensor([0]), X), fd.ShapeError, r"expected \[1, 4\]"),
    (lambda: _C.embedding(X, fd.tensor([1, 7])), IndexError, "embedding: index 7 is out of range .* of size 3"),
    (lambda: _C.embedding(X, fd.tensor([1]), 3), IndexError, "padding_idx 3"),
    (lambda: _C.embedding(V, fd.tensor([1])), fd.ShapeError, "embedding"),
    (lambda: _C.cat([]), ValueError, "at least one"),
    (lambda: _C.cat([X, V]), fd.ShapeError, r"tensor 1 of shape \[5\]"),
    (lambda: _C.cat([X, fd.ones(3, 5)]), fd.ShapeError, "outside dimension 0"),
    (lambda: _C.stack([X, V]), fd.ShapeError, "stack"),
    (lambda: X.repeat(2), fd.ShapeError, "fewer dimensions"),
    (lambda: X.repeat(2, -1), ValueError, "negative"),
    (lambda: _C.repeat_interleave_tensor(X, fd.tensor([1, 2]), 0), fd.ShapeError, "one count for each of 3"),
    (lambda: _C.repeat_interleave_tensor(V, fd.tensor([1, 2, -1, 0, 0])), ValueError, r"repeats\[2\] is -1"),
    (lambda: _C.flip(X, (0, -2)), ValueError, "twice"),
    (lambda: X.roll((1, 2), (0,)), ValueError, "same length"),
    (lambda: V.tril(), fd.ShapeError, "matrices"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_bad_index_writes_nothing():
    x = fd.zeros(3, 4)
    writes = [
        lambda: x.scatter_(0, fd.tensor([[0], [5]]), 1.0),
        lambda: x.index_add_(0, fd.tensor([0, 5]), fd.ones(2, 4)),
        lambda: x.__setitem__(fd.tensor([0, 5]), 1.0),
    ]
    for write in writes:
        with pytest.raises(IndexError):
            write()
    assert x.sum().item() == 0
