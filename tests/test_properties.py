"""Laws that hold for any shape, dtype or index, tried on generated ones."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastdl as fd

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
floats32 = st.floats(-1e3, 1e3, width=32, allow_subnormal=False)  # kernels flush subnormal numbers
arrays = hnp.arrays(np.float32, shapes, elements=floats32)
DTYPES = ("bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64")


def same(t, a):
    np.testing.assert_array_equal(t.numpy(force=True), a)
    assert t.shape == a.shape


@given(arrays)
def test_numpy_round_trip(a):
    t = fd.tensor(a)
    same(t, a)
    same(fd.tensor(t.tolist()).reshape(a.shape), a)
    assert t.dtype is fd.float32


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=5), st.data())
def test_broadcast(given_shapes, data):
    a, b = (data.draw(hnp.arrays(np.float32, s, elements=floats32)) for s in given_shapes.input_shapes)
    same(fd.tensor(a) + fd.tensor(b), a + b)
    same(fd.tensor(a) * fd.tensor(b), a * b)


@given(arrays, st.randoms())
def test_permute_there_and_back(a, random):
    order = list(range(a.ndim))
    random.shuffle(order)
    back = [order.index(i) for i in range(a.ndim)]
    t = fd.tensor(a).permute(order)
    same(t, a.transpose(order))
    same(t.contiguous(), a.transpose(order))
    same(t.permute(back), a)


@given(arrays, st.randoms())
def test_reshape_there_and_back(a, random):
    t = fd.tensor(a)
    flat = (
        t.permute(*reversed(range(a.ndim))).reshape(-1)
        if a.ndim and a.size
        else t.reshape(-1)
        if a.size
        else t.flatten()
    )
    same(flat, a.T.reshape(-1))
    same(t.reshape(-1).reshape(a.shape) if a.size else t, a)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=4, max_side=6), elements=floats32), st.data())
def test_basic_indexing(a, data):
    """Integers, slices with steps, None and the ellipsis."""
    index = data.draw(hnp.basic_indices(a.shape, allow_newaxis=True, allow_ellipsis=True))
    listed = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, slice) and (i.step or 1) < 0 for i in listed) or a[index].ndim > 8:
        return  # no negative strides
    same(fd.tensor(a)[index], a[index])


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=floats32), st.data())
def test_integer_indexing(a, data):
    index = data.draw(hnp.integer_array_indices(a.shape))
    same(fd.tensor(a)[tuple(fd.tensor(i.astype(np.int64)) for i in index)], a[index])


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=floats32), st.data())
def test_boolean_indexing(a, data):
    mask = data.draw(hnp.arrays(bool, a.shape))
    same(fd.tensor(a)[fd.tensor(mask)], a[mask])
    t, b = fd.tensor(a), a.copy()
    t[fd.tensor(mask)] = 7.0
    b[mask] = 7.0
    same(t, b)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=floats32), st.data())
def test_assignment(a, data):
    index = data.draw(hnp.basic_indices(a.shape))
    listed = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, slice) and (i.step or 1) < 0 for i in listed):
        return
    t, b = fd.tensor(a), a.copy()
    t[index] = -1.0
    b[index] = -1.0
    same(t, b)


@given(arrays)
def test_sums_agree_in_any_order(a):
    t = fd.tensor(a)
    for d in range(a.ndim):
        np.testing.assert_allclose(
            t.sum(d).sum().item(), a.astype(np.float64).sum(), rtol=1e-5, atol=1e-3 * max(a.size, 1)
        )


def promoted(a, b):
    """PyTorch's table among our dtypes: the wider of a category, the higher of two; int8 with uint8 is int32."""
    kinds = {"bool": 0, "uint8": 1, "int8": 1, "int32": 1, "int64": 1}
    if {a, b} == {"int8", "uint8"}:
        return "int32"
    ka, kb = kinds.get(a, 2), kinds.get(b, 2)
    if ka != kb:
        return a if ka > kb else b
    return max(a, b, key=lambda d: (np.dtype(d).itemsize, d == "uint8"))


@pytest.mark.parametrize(("a", "b"), list(itertools.product(DTYPES, DTYPES)))
def test_promotion(a, b):
    x, y = fd.ones(2, dtype=getattr(fd, a)), fd.ones(2, dtype=getattr(fd, b))
    assert (x * y).dtype.name == promoted(a, b)


@pytest.mark.compare
@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
def test_promotion_with_numbers_as_in_torch(torch, dtype):
    for number in (True, 2, 2.5):
        ours, theirs = (
            fd.ones(2, dtype=getattr(fd, dtype)) * number,
            torch.ones(2, dtype=getattr(torch, dtype)) * number,
        )
        assert str(theirs.dtype) == f"torch.{ours.dtype.name}", (dtype, number)
