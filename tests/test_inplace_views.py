"""In-place changes of views under autograd, as PyTorch defines them."""

import numpy as np
import pytest

import fastdl as fd


def doubled_row(x):
    y = x * 1
    y[0].mul_(2)
    return y


def sibling_view(x):
    y = x * 1
    row, column = y[0], y[:, 1]
    row.mul_(x[1])
    return column * 3


def written_base(x):
    y = fd.zeros(3, 4, dtype=fd.float64)
    y[1].copy_(x[2])
    return y * y


def transposed_base(x):
    y = (x * 1).t()
    y[2].add_(x[:, 0])
    return y * y


def view_of_view(x):
    y = x * 1
    y[1:][0][2:].mul_(5)
    return y * x


def sliced_operator(x):
    y = x * 1
    y[:, ::2] *= 3
    y[1] += x[0]
    return y * y


@pytest.mark.parametrize(
    "function", [doubled_row, sibling_view, written_base, transposed_base, view_of_view, sliced_operator]
)
def test_gradient(function):
    x = fd.tensor(np.random.default_rng(0).standard_normal((3, 4))).requires_grad_()
    assert fd.autograd.gradcheck(function, x)
    assert fd.autograd.gradgradcheck(lambda x: function(x) * x.sum(), x)


def test_a_leaf_is_refused_through_a_view():
    w = fd.ones(2, 2, requires_grad=True)
    with pytest.raises(fd.Error, match="leaf"):
        w[0].mul_(2)
    with fd.no_grad():
        w[0].mul_(2)
    assert w.tolist() == [[2, 2], [1, 1]]


def test_a_saved_tensor_changed_through_a_view_is_found():
    x = fd.ones(2, 2, requires_grad=True)
    y = x * 1
    z = y * y
    y[0].mul_(2)
    with pytest.raises(fd.VersionError, match="changed in place"):
        z.sum().backward()
