"""Recurrent layers: against the formulas in NumPy float64, gradients of both orders, and PyTorch where it is installed."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import _C
from fastdl.autograd import gradcheck, gradgradcheck

CELLS = ["lstm", "gru", "tanh", "relu"]
GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}
LEVELS = [level for level in ("base", "avx2", "avx512") if level in _C.cpu_levels()]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(cell, x, h, c, w_ih, w_hh, b_ih, b_hh, reverse):
    """Output, last h, last c (lstm), step by step."""
    output = np.zeros((x.shape[0], *h.shape))
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        p, u = x[t] @ w_ih.T + b_ih, h @ w_hh.T + b_hh
        if cell == "lstm":
            i, f, g, o = np.split(p + u, 4, 1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        elif cell == "gru":
            (pr, pz, pn), (ur, uz, un) = np.split(p, 3, 1), np.split(u, 3, 1)
            z = sigmoid(pz + uz)
            h = (1 - z) * np.tanh(pn + sigmoid(pr + ur) * un) + z * h
        else:
            h = np.tanh(p + u) if cell == "tanh" else np.maximum(p + u, 0)
        output[t] = h
    return output, h, c


def operands(cell, steps, batch, features, hidden, seed=0):
    rng = np.random.default_rng(seed)
    rows, k = GATES[cell] * hidden, hidden**-0.5
    shapes = [
        (steps, batch, features),
        (batch, hidden),
        (batch, hidden),
        (rows, features),
        (rows, hidden),
        (rows,),
        (rows,),
    ]
    return [rng.standard_normal(s) * (1 if n < 3 else k) for n, s in enumerate(shapes)]


def layer(cell, x, h, c, *weights, reverse=False):
    if cell == "lstm":
        return _C.lstm_layer(x, h, c, *weights, reverse=reverse)
    if cell == "gru":
        return _C.gru_layer(x, h, *weights, reverse=reverse)
    return _C.rnn_layer(x, h, *weights, nonlinearity=cell, reverse=reverse)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("cell", CELLS)
def test_forward(cell, level):
    before = _C.cpu_level()
    _C.set_cpu_level(level)
    try:
        for sizes in [(1, 1, 1, 1), (3, 2, 5, 7), (5, 17, 3, 33), (4, 33, 9, 65), (2, 3, 0, 4), (2, 0, 3, 4)]:
            values = operands(cell, *sizes)
            for reverse in (False, True):
                expected = reference(cell, *values, reverse)
                for dtype, bound in [("float64", 1e-12), ("float32", 2e-6), ("bfloat16", 0.05)]:
                    got = layer(cell, *(fd.tensor(v).to(getattr(fd, dtype)) for v in values), reverse=reverse)
                    for ours, theirs in zip(got, expected):
                        assert ours.dtype is getattr(fd, dtype) and ours.shape == theirs.shape
                        np.testing.assert_allclose(ours.to(fd.float64).numpy(force=True), theirs, rtol=0, atol=bound)
    finally:
        _C.set_cpu_level(before)


@pytest.mark.parametrize("reverse", [pytest.param(False, marks=pytest.mark.unsimulated), True])
@pytest.mark.parametrize("cell", [pytest.param("lstm", marks=pytest.mark.unsimulated), *CELLS[1:]])
def test_gradients(cell, reverse):
    values = [fd.tensor(v, requires_grad=True) for v in operands(cell, 3, 2, 2, 3)]
    if cell != "lstm":
        values[2] = None
    inputs = [v for v in values if v is not None]

    def outputs(*inputs):
        it = iter(inputs)
        return layer(cell, *(None if v is None else next(it) for v in values), reverse=reverse)

    assert gradcheck(outputs, inputs)
    assert gradgradcheck(lambda *inputs: outputs(*inputs)[0][1:], inputs)


@pytest.mark.parametrize("cell", CELLS)
def test_without_bias_and_one_step(cell):
    values = operands(cell, 1, 3, 4, 5)
    zeros = np.zeros_like(values[5])
    expected = reference(cell, *values[:5], zeros, zeros, False)
    got = layer(cell, *(fd.tensor(v) for v in values[:5]))
    for ours, theirs in zip(got, expected):
        np.testing.assert_allclose(ours.numpy(force=True), theirs, atol=1e-12)


def test_states_own_their_memory():
    y, h = layer("tanh", *(fd.tensor(v) for v in operands("tanh", 3, 2, 2, 3)))
    before = h.numpy(force=True).copy()
    y.fill_(0)
    np.testing.assert_array_equal(h.numpy(force=True), before)


@pytest.mark.parametrize("cell", CELLS)
def test_same_bits_at_any_thread_count(cell):
    values = [fd.tensor(v.astype("float32"), requires_grad=True) for v in operands(cell, 6, 50, 40, 70)]
    before, results = fd.get_num_threads(), []
    try:
        for threads in (1, 2):
            fd.set_num_threads(threads)
            y = layer(cell, *values)[0]
            y.sum().backward()
            results.append(
                [y.detach().numpy(force=True).tobytes()]
                + [v.grad.numpy(force=True).tobytes() for v in values if v.grad is not None]
            )
            for v in values:
                v.grad = None
    finally:
        fd.set_num_threads(before)
    assert results[0] == results[1]


@pytest.mark.parametrize("cell", CELLS)
def test_matches_torch(cell):
    torch = pytest.importorskip("torch")
    values = operands(cell, 7, 20, 12, 24, seed=3)
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(cell, torch.nn.RNN)
    theirs = kind(12, 24, **({"nonlinearity": cell} if cell in ("tanh", "relu") else {})).double()
    with torch.no_grad():
        for p, v in zip(theirs.parameters(), values[3:]):
            p.copy_(torch.tensor(v))
    tx, th, tc = (torch.tensor(v, requires_grad=True) for v in values[:3])
    expected, _ = theirs(tx, (th[None], tc[None]) if cell == "lstm" else th[None])
    expected.pow(2).sum().backward()
    ours = [fd.tensor(v, requires_grad=True) for v in values]
    y = layer(cell, *ours)[0]
    (y * y).sum().backward()
    np.testing.assert_allclose(y.detach().numpy(force=True), expected.detach().numpy(force=True), atol=1e-12)
    for o, t in zip([ours[0], ours[1], *ours[3:]], [tx, th, *theirs.parameters()]):
        np.testing.assert_allclose(o.grad.numpy(force=True), t.grad.numpy(force=True), atol=1e-10)


@pytest.mark.parametrize(
    "change, message",
    [
        ({0: (2, 3)}, r"lstm: needs input \(steps, batch, features\)"),
        ({0: (0, 2, 3)}, "at least one step"),
        ({1: (3, 4)}, r"lstm: needs h0 of shape \[2, 4\]"),
        ({3: (16, 5)}, r"lstm: needs weight_ih of shape \[16, 3\] for input \[5, 2, 3\], got \[16, 5\]"),
        ({6: (4,)}, r"bias_hh of shape \[16\]"),
    ],
)
def test_errors(change, message):
    values = [fd.tensor(v) for v in operands("lstm", 5, 2, 3, 4)]
    for i, shape in change.items():
        values[i] = fd.zeros(*shape, dtype=fd.float64)
    with pytest.raises(_C.ShapeError, match=message):
        layer("lstm", *values)
