"""tensor[index] and tensor[index] = value against NumPy, and their gradients."""

import numpy as np
import pytest

import fastdl as fd

SHAPE = (4, 5, 6)
ROWS, COLS = np.array([[0, 2], [3, -3]]), np.array([1, 3])
MASK = np.arange(20).reshape(4, 5) % 3 == 0
INDICES = [
    0, -1, slice(None), slice(1, 3), slice(None, None, 2), slice(3, 1), None, ..., True, False,
    (0, 1, 2), (slice(1), -1), (..., 0), (0, ..., 1), (None, 0, None, slice(2, None)), (slice(None), slice(1, 4, 2)),
    [0, 2], ROWS, (ROWS, COLS), (slice(None), COLS), (COLS[:, None], slice(None), COLS), (0, COLS, COLS),
    (slice(None), COLS, COLS), (COLS, slice(None), COLS), (..., COLS, COLS), (COLS[:1], ..., 0), MASK, (MASK, 0), (MASK, slice(2)),
    (slice(None), MASK[0]), (0, MASK[0], COLS[:1]), np.zeros(0, np.int64), np.zeros((4, 5, 6), bool), (None, ROWS, None),
    np.int64(2), (slice(None), np.array([0, 1], np.uint8)),
]  # fmt: skip


def ours(index):
    if isinstance(index, tuple):
        return tuple(ours(i) for i in index)
    return fd.tensor(index) if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("index", INDICES, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, np.float16])
def test_get(index, dtype):
    x = np.arange(120).reshape(SHAPE).astype(dtype)
    for array, tensor in ((x, fd.tensor(x)), (x, fd.tensor(x.T.copy()).permute(2, 1, 0))):
        got = tensor[ours(index)]
        assert np.array_equal(got.numpy(force=True), array[index])
        assert got.shape == array[index].shape


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_set(index):
    x = np.zeros(SHAPE, np.float32)
    place = x[index].shape
    values = np.asarray(np.random.default_rng(0).standard_normal(place), np.float32)
    for value in (values, np.float32(3)):
        a, b = x.copy(), fd.tensor(x.copy())
        a[index] = value
        b[ours(index)] = fd.tensor(value) if isinstance(value, np.ndarray) else float(value)
        assert np.array_equal(b.numpy(force=True), a)


@pytest.mark.parametrize(
    "index", [0, slice(1, 3), (0, ..., 1), ROWS, (slice(None), COLS), MASK, (COLS, slice(None), COLS)], ids=repr
)
def test_gradients(index):
    rng = np.random.default_rng(0)
    x = fd.tensor(rng.standard_normal(SHAPE)).requires_grad_()
    assert fd.autograd.gradcheck(lambda x: (x[ours(index)] * x[ours(index)]).sum(), x)
    v = fd.tensor(rng.standard_normal(x[ours(index)].shape)).requires_grad_()

    def assign(x, v):
        y = x * 2
        y[ours(index)] = v * v
        return (y * y).sum()

    assert fd.autograd.gradcheck(assign, (x, v))


def test_basic_indexing_is_a_view():
    x = fd.zeros(3, 4)
    x[1][2] = 5
    y = x[:, 1:3]
    y.fill_(7)
    assert x.tolist() == [[0, 7, 7, 0], [0, 7, 7, 0], [0, 7, 7, 0]]


def test_repeated_places_accumulate():
    x = fd.zeros(3)
    x.index_put_((fd.tensor([0, 0, 2]),), fd.tensor([1.0, 2.0, 3.0]), accumulate=True)
    assert x.tolist() == [3, 0, 3]
    y = fd.ones(4, requires_grad=True)
    y[fd.tensor([1, 1, 3])].sum().backward()
    assert y.grad.tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize(
    "index",
    [4, -5, (0, 5), (0, 0, 0, 0), [4], np.array([0, -5]), (..., 6), np.ones((3, 5), bool), (..., ...)],
    ids=repr,
)
def test_out_of_range(index):
    x = fd.zeros(SHAPE)
    with pytest.raises(IndexError, match=r"index|select"):
        x[ours(index)]
    with pytest.raises(IndexError):
        x[ours(index)] = 1.0
    assert x.sum().item() == 0


@pytest.mark.parametrize("index", [1.5, "a", slice(None, None, -1), fd.tensor([0.5]), {}], ids=repr)
def test_wrong_types(index):
    with pytest.raises((TypeError, IndexError, ValueError)):
        fd.zeros(SHAPE)[index]


def test_failed_assignment_changes_nothing():
    x = fd.zeros(SHAPE)
    with pytest.raises(fd.ShapeError, match="broadcast"):
        x[fd.tensor([0, 1])] = fd.ones(3, 5, 6)
    with pytest.raises(fd.Error):
        x[0] = fd.ones(7)
    with pytest.raises(IndexError):
        x[fd.tensor([0, 1, 9])] = 1.0
    assert x.sum().item() == 0


def test_nonzero_and_masked_select():
    x = fd.tensor([[0, 1], [2, 0]])
    assert x.nonzero().tolist() == [[0, 1], [1, 0]]
    assert fd.tensor([[1.0, 2.0], [3.0, 4.0]]).masked_select(fd.tensor([True, False])).tolist() == [1, 3]
    assert fd.zeros(2, 0).nonzero().shape == (0, 2)
