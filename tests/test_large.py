"""Outputs of many megabytes are written past the caches, in whole vectors between the cache lines that neighbouring rows
share: the same bits as the pieces of them give, which are written as usual."""

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F

pytestmark = pytest.mark.cpu
BYTES = 17 << 20  # csrc/cpu/simd/rows.h: kStreamBytes


def gradient_of(function):
    def gradient(x):
        x = x.detach().requires_grad_()
        weight = fd.arange(x.numel() // len(x), dtype=fd.float32).reshape(x.shape[1:]).cos()
        return fd.autograd.grad((function(x) * weight).sum(), x)[0]

    return gradient


def cross_entropy_gradient(x):
    x = x.detach().requires_grad_()
    return fd.autograd.grad(F.cross_entropy(x, x.detach().argmin(1), reduction="sum"), x)[0]


def normalized(x):
    channels = x.shape[1]
    mean, var = fd.arange(channels, dtype=fd.float32), fd.arange(1, channels + 1, dtype=fd.float32)
    return F.batch_norm(x, mean, var)


ROWS = {
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "batch_norm": normalized,
    "batch_norm, planes": lambda x: normalized(x.unflatten(1, (1, -1))).flatten(1),
    "softmax, gradient": gradient_of(lambda x: F.softmax(x, 1)),
    "layer_norm, gradient": gradient_of(lambda x: F.layer_norm(x, x.shape[1:])),
    "cross_entropy, gradient": cross_entropy_gradient,
}


@pytest.mark.parametrize("columns", [1, 3, 5, 15, 16, 17, 31, 129])
@pytest.mark.parametrize("name", ROWS)
def test_rows_past_the_caches(name, columns):
    rows = BYTES // 4 // columns + 1
    x = fd.randn(64, columns, generator=fd.Generator().manual_seed(columns)).repeat(rows // 64 + 1, 1)[:rows]
    piece = ROWS[name](x[:64]).numpy(force=True)
    whole = ROWS[name](x).numpy(force=True)
    expected = np.tile(piece, (rows // 64 + 1, 1))[:rows]
    assert np.array_equal(whole, expected)
