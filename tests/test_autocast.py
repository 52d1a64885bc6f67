"""Mixed precision: which op computes in what, what the graph records, and the regions themselves."""

import re
import threading
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl import nn
from fastdl.nn import functional as F

BF16, F32, F64 = fd.bfloat16, fd.float32, fd.float64
DEVICE = fd.get_default_device().type


def x(*shape, dtype=F32):
    return fd.randn(*shape, dtype=dtype)


LOWER = {
    "matmul": lambda d: fd.matmul(x(2, 3, dtype=d), x(3, 4)),
    "@": lambda d: x(2, 3, dtype=d) @ x(3, 4),
    "method": lambda d: x(2, 3, dtype=d).matmul(x(3, 4)),
    "mm": lambda d: fd.mm(x(2, 3, dtype=d), x(3, 4)),
    "bmm": lambda d: fd.bmm(x(1, 2, 3, dtype=d), x(1, 3, 4)),
    "mv": lambda d: fd.mv(x(2, 3, dtype=d), x(3)),
    "addmm": lambda d: fd.addmm(x(4), x(2, 3, dtype=d), x(3, 4)),
    "baddbmm": lambda d: fd.baddbmm(x(1, 2, 4), x(1, 2, 3, dtype=d), x(1, 3, 4)),
    "linear": lambda d: F.linear(x(2, 3, dtype=d), x(4, 3), x(4)),
    "conv1d": lambda d: F.conv1d(x(1, 2, 5, dtype=d), x(3, 2, 3), x(3)),
    "conv2d": lambda d: F.conv2d(x(1, 2, 5, 5, dtype=d), x(3, 2, 3, 3), x(3)),
    "conv_transpose1d": lambda d: F.conv_transpose1d(x(1, 2, 5, dtype=d), x(2, 3, 3)),
    "conv_transpose2d": lambda d: F.conv_transpose2d(x(1, 2, 5, 5, dtype=d), x(2, 3, 3, 3)),
    "attention": lambda d: F.scaled_dot_product_attention(
        x(1, 2, 3, 4, dtype=d), x(1, 2, 3, 4), x(1, 2, 3, 4), x(3, 3)
    ),
    "LSTM": lambda d: nn.LSTM(3, 4, 2, bidirectional=True)(x(5, 2, 3, dtype=d))[0],
    "GRU": lambda d: nn.GRU(3, 4)(x(5, 2, 3, dtype=d))[0],
    "RNN": lambda d: nn.RNN(3, 4)(x(5, 2, 3, dtype=d))[1],
    "MultiheadAttention": lambda d: nn.MultiheadAttention(4, 2)(*[x(3, 1, 4, dtype=d)] * 3, need_weights=False)[0],
}
WIDEN = {
    "softmax": lambda d: x(2, 3, dtype=d).softmax(1),
    "log_softmax": lambda d: F.log_softmax(x(2, 3, dtype=d), 1),
    "layer_norm": lambda d: nn.LayerNorm(3)(x(2, 3, dtype=d)),
    "rms_norm": lambda d: nn.RMSNorm(3)(x(2, 3, dtype=d)),
    "group_norm": lambda d: nn.GroupNorm(1, 3)(x(2, 3, 4, dtype=d)),
    "sum": lambda d: x(2, 3, dtype=d).sum(),
    "prod": lambda d: x(2, 3, dtype=d).prod(),
    "cumsum": lambda d: x(2, 3, dtype=d).cumsum(0),
    "norm": lambda d: x(2, 3, dtype=d).norm(),
    "exp": lambda d: x(3, dtype=d).exp(),
    "log": lambda d: x(3, dtype=d).log(),
    "pow": lambda d: x(3, dtype=d).pow(2),
    "**": lambda d: x(3, dtype=d) ** 2,
    "softplus": lambda d: F.softplus(x(3, dtype=d)),
    "cross_entropy": lambda d: F.cross_entropy(x(2, 3, dtype=d), fd.tensor([0, 2])),
    "nll_loss": lambda d: F.nll_loss(x(2, 3, dtype=d), fd.tensor([0, 2])),
    "mse_loss": lambda d: F.mse_loss(x(2, 3, dtype=d), x(2, 3)),
    "l1_loss": lambda d: F.l1_loss(x(2, 3, dtype=d), x(2, 3, dtype=d)),
    "smooth_l1_loss": lambda d: F.smooth_l1_loss(x(2, 3, dtype=d), x(2, 3)),
    "huber_loss": lambda d: F.huber_loss(x(2, 3, dtype=d), x(2, 3)),
    "bce": lambda d: F.binary_cross_entropy(x(2, 3, dtype=d).sigmoid(), fd.ones(2, 3)),
    "bce_with_logits": lambda d: F.binary_cross_entropy_with_logits(x(2, 3, dtype=d), fd.ones(2, 3)),
    "kl_div": lambda d: F.kl_div(x(2, 3, dtype=d), fd.ones(2, 3)),
}
WIDEST = {
    "cat": lambda d: fd.cat([x(2, dtype=d), x(3)]),
    "stack": lambda d: fd.stack([x(2, dtype=d), x(2)]),
    "dot": lambda d: fd.dot(x(2, dtype=d), x(2)),
    "scatter_add": lambda d: x(2, dtype=d).scatter_add(0, fd.tensor([0, 1]), x(2)),
    "index_put": lambda d: x(2, dtype=d).index_put((fd.tensor([0]),), x(1)),
    "addcmul": lambda d: fd.addcmul(x(2, dtype=d), x(2), x(2)),
    "addcdiv": lambda d: fd.addcdiv(x(2, dtype=d), x(2), x(2)),
}
SAME = {
    "add": lambda d: x(2, dtype=d) + x(2, dtype=d),
    "mul": lambda d: x(2, dtype=d) * 2.0,
    "relu": lambda d: x(2, dtype=d).relu(),
    "gelu": lambda d: F.gelu(x(2, dtype=d)),
    "tanh": lambda d: x(2, dtype=d).tanh(),
    "mean": lambda d: x(2, dtype=d).mean(),
    "dropout": lambda d: F.dropout(x(2, dtype=d)),
    "batch_norm": lambda d: nn.BatchNorm1d(3)(x(2, 3, dtype=d)),
    "max_pool": lambda d: F.max_pool2d(x(1, 1, 4, 4, dtype=d), 2),
    "reshape": lambda d: x(2, dtype=d).reshape(2, 1),
}


@pytest.mark.parametrize("given", [F32, BF16], ids=str)
@pytest.mark.parametrize("name", LOWER)
def test_products_are_low(name, given):
    with fd.autocast(DEVICE, dtype=BF16):
        assert LOWER[name](given).dtype is BF16
    with fd.autocast(DEVICE, dtype=fd.float16):
        assert LOWER[name](given).dtype is fd.float16


@pytest.mark.parametrize("given", [F32, BF16], ids=str)
@pytest.mark.parametrize("name", [*WIDEN, *WIDEST])
def test_sums_are_wide(name, given):
    with fd.autocast(DEVICE, dtype=BF16):
        assert {**WIDEN, **WIDEST}[name](given).dtype is F32


@pytest.mark.parametrize("given", [F32, BF16, F64], ids=str)
@pytest.mark.parametrize("name", SAME)
def test_the_rest_is_as_given(name, given):
    with fd.autocast(DEVICE, dtype=BF16):
        assert SAME[name](given).dtype is given


# PyTorch's lists for GPUs, as far as an op may be bound under such a name; RNNs are bound layer by layer.
PYTORCH = {
    "lower": """addbmm addmm addmv addr baddbmm bmm chain_matmul conv1d conv2d conv3d conv_transpose1d conv_transpose2d
        conv_transpose3d einsum gru_layer linear lstm_layer matmul mm multi_dot mv prelu rnn_layer
        scaled_dot_product_attention""",
    "widen": """acos asin binary_cross_entropy binary_cross_entropy_with_logits cdist cosh cosine_embedding_loss
        cosine_similarity cross_entropy ctc_loss cumprod cumsum dist erfinv exp expm1 group_norm hinge_embedding_loss
        huber_loss kl_div l1_loss layer_norm log log10 log1p log2 log_softmax margin_ranking_loss mse_loss
        multi_margin_loss multilabel_margin_loss nll_loss norm pdist poisson_nll_loss pow prod reciprocal renorm rms_norm
        rsqrt sinh smooth_l1_loss soft_margin_loss softmax softplus sum tan triplet_margin_loss vector_norm""",
    "widest": "addcdiv addcmul atan2 bilinear cat cross dot grid_sampler index_put scatter_add stack tensordot",
}


@pytest.mark.parametrize("policy", PYTORCH)
def test_every_op_of_the_lists_is_wrapped(policy):
    text = (Path(__file__).parents[1] / "csrc/bind/ops.cpp").read_text()
    for name in PYTORCH[policy].split():
        bound = re.findall(rf"^ *(?:def|method|both)<(.*&ops::{name}\b.*)>\(", text, re.M)
        assert all(b.startswith(f"{policy}<") for b in bound), f"{name} is bound without {policy}<...>"


def test_the_widest_of_halves():
    with fd.autocast(DEVICE, dtype=BF16):
        assert fd.dot(x(2, dtype=fd.float16), x(2, dtype=fd.float16)).dtype is fd.float16
        assert fd.dot(x(2, dtype=fd.float16), x(2, dtype=BF16)).dtype is F32
        assert x(2, dtype=BF16).index_put((fd.tensor([0]),), 2.0).dtype is BF16


def test_float64_is_left_alone():
    with fd.autocast(DEVICE, dtype=BF16):
        assert (x(2, 3, dtype=F64) @ x(3, 2, dtype=F64)).dtype is F64
        assert x(2, dtype=F64).softmax(0).dtype is F64


def test_integers_are_left_alone():
    with fd.autocast(DEVICE, dtype=BF16):
        a = fd.ones(2, 2, dtype=fd.int64)
        assert (a @ a).dtype is fd.int64
        assert a.sum().dtype is fd.int64


def test_bits_are_those_of_the_same_casts_by_hand():
    w, b, v = (t.requires_grad_() for t in (x(4, 3), x(4), x(2, 3)))
    with fd.autocast(DEVICE, dtype=BF16):
        loss = F.linear(v, w, b).relu().softmax(1).sum(0)
    loss.backward(fd.arange(4.0))
    got = [t.grad.tolist() for t in (w, b, v)]
    assert all(t.grad.dtype is F32 for t in (w, b, v))
    for t in (w, b, v):
        t.grad = None
    same = F.linear(v.to(BF16), w.to(BF16), b.to(BF16)).relu().to(F32).softmax(1).sum(0)
    assert same.tolist() == loss.tolist()
    same.backward(fd.arange(4.0))
    assert got == [t.grad.tolist() for t in (w, b, v)]


def cast_of(y):
    """The node that cast the weight of a linear layer's output."""
    return y.grad_fn.next_functions[1][0]


def test_a_weight_is_cast_once_a_region():
    w, v = x(4, 3).requires_grad_(), x(2, 3)
    with fd.autocast(DEVICE, dtype=BF16):
        first = F.linear(v, w)
        with fd.autocast(DEVICE, dtype=BF16):
            inner = F.linear(v, w)
        again = F.linear(v, w)
    with fd.autocast(DEVICE, dtype=BF16):
        later = F.linear(v, w)
        fd.clear_autocast_cache()
        cleared = F.linear(v, w)
    with fd.autocast(DEVICE, dtype=BF16, cache_enabled=False):
        assert not fd.is_autocast_cache_enabled()
        assert cast_of(F.linear(v, w)) != cast_of(F.linear(v, w))
    assert cast_of(first) == cast_of(inner) == cast_of(again)
    assert cast_of(first) != cast_of(later)
    assert cast_of(later) != cast_of(cleared)
    (first.sum() + again.sum()).backward()
    np.testing.assert_allclose(w.grad.tolist(), [(2 * v.to(BF16).float().sum(0)).tolist()] * 4, rtol=1e-2)


def test_a_weight_that_changed_is_cast_again():
    w, v = fd.ones(1, 2, requires_grad=True), fd.ones(1, 2)
    optimizer = fd.optim.SGD([w], lr=1.0)
    with fd.autocast(DEVICE, dtype=BF16):
        for expected in (2.0, 0.0, -2.0):
            y = F.linear(v, w)
            assert y.item() == expected
            optimizer.zero_grad()
            y.backward()
            optimizer.step()


def test_backward_twice_through_one_cast():
    w, v = fd.ones(1, 2, requires_grad=True), fd.ones(1, 2)
    with fd.autocast(DEVICE, dtype=BF16):
        F.linear(v, w).backward()
        F.linear(v, w).backward()
    assert w.grad.tolist() == [[2.0, 2.0]]


def test_a_cast_under_no_grad_does_not_serve_where_a_gradient_is_wanted():
    w, v = fd.ones(1, 2, requires_grad=True), fd.ones(1, 2)
    with fd.autocast(DEVICE, dtype=BF16):
        with fd.no_grad():
            assert not F.linear(v, w).requires_grad
        F.linear(v, w).backward()
        with fd.no_grad():
            assert not F.linear(v, w).requires_grad
    assert w.grad.tolist() == [[1.0, 1.0]]


def test_regions_nest_and_end():
    a, before = fd.ones(2, 2), fd.get_autocast_dtype(DEVICE)
    assert not fd.is_autocast_enabled(DEVICE)
    with fd.autocast(DEVICE, dtype=BF16) as region:
        assert fd.is_autocast_enabled(DEVICE)
        assert not fd.is_autocast_enabled({"cpu": "cuda", "cuda": "cpu"}[DEVICE])
        with fd.amp.autocast(DEVICE, enabled=False):
            assert (a @ a).dtype is F32
            with fd.autocast(DEVICE, dtype=fd.float16):
                assert fd.get_autocast_dtype(DEVICE) is fd.float16
                assert (a @ a).dtype is fd.float16
            assert (a @ a).dtype is F32
        with region, region:
            assert (a @ a).dtype is BF16
        with pytest.raises(fd.ShapeError), fd.autocast(DEVICE, enabled=False):
            a @ fd.ones(3)
        assert (a @ a).dtype is BF16
    assert (a @ a).dtype is F32
    assert fd.get_autocast_dtype(DEVICE) is before


def test_a_decorated_function_is_a_region():
    @fd.autocast(DEVICE, dtype=BF16)
    def product(a):
        """Its own docstring."""
        return a @ a

    assert product(fd.ones(2, 2)).dtype is BF16
    assert product.__doc__ == "Its own docstring."
    assert (fd.ones(2, 2) @ fd.ones(2, 2)).dtype is F32


def test_a_region_is_of_its_thread():
    found = []
    with fd.autocast(DEVICE, dtype=BF16):
        thread = threading.Thread(target=lambda: found.append((fd.ones(2, 2) @ fd.ones(2, 2)).dtype))
        thread.start()
        thread.join()
    assert found == [F32]


def test_wrong_arguments():
    with pytest.raises(RuntimeError, match="unknown device type 'tpu'"):
        fd.autocast("tpu")
    with pytest.raises(TypeError, match="must be a str"):
        fd.autocast(3)
    with pytest.warns(UserWarning, match="neither bfloat16 nor float16"):
        region = fd.autocast(DEVICE, dtype=fd.float64)
    with region:
        assert (fd.ones(2, 2) @ fd.ones(2, 2)).dtype is F32
    if not fd.cuda.is_available():
        with pytest.warns(UserWarning, match="no GPU"):
            fd.autocast("cuda")


def test_function_with_its_own_casts():
    seen = []

    class Twice(fd.autograd.Function):
        @staticmethod
        @fd.amp.custom_fwd(device_type=DEVICE, cast_inputs=F32)
        def forward(ctx, a, flag):
            seen.append((a.dtype, fd.is_autocast_enabled(DEVICE), flag))
            return a * 2

        @staticmethod
        @fd.amp.custom_bwd(device_type=DEVICE)
        def backward(ctx, g):
            seen.append(fd.is_autocast_enabled(DEVICE))
            return g * 2, None

    a = fd.ones(2, dtype=BF16, requires_grad=True)
    with fd.autocast(DEVICE, dtype=BF16):
        y = Twice.apply(a, "flag")
    y.sum().backward()
    assert seen == [(F32, False, "flag"), False]
    assert a.grad.tolist() == [2.0, 2.0]


def small_model(lib):
    class Model(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = lib.nn.Conv2d(1, 4, 3, padding=1, bias=False)
            self.norm = lib.nn.BatchNorm2d(4)
            self.hidden = lib.nn.Linear(64, 16)
            self.attention = lib.nn.MultiheadAttention(16, 2, batch_first=True)
            self.layer_norm = lib.nn.LayerNorm(16)
            self.out = lib.nn.Linear(16, 5)

        def forward(self, images):
            h = self.norm(self.conv(images)).relu().reshape(-1, 4, 64)
            h = self.hidden(h)
            h = self.layer_norm(h + self.attention(h, h, h, need_weights=False)[0])
            return self.out(h).mean(1)

    return Model()


@pytest.mark.compare
def test_a_model_under_torch_autocast(torch):
    theirs = small_model(torch)
    ours = small_model(fd)
    ours.load_state_dict({key: fd.tensor(value.tolist()) for key, value in theirs.state_dict().items()})
    images, labels = np.random.default_rng(0).normal(size=(6, 1, 8, 8)), [0, 1, 2, 3, 4, 0]
    losses = []
    for lib, model in ((fd, ours), (torch, theirs)):
        with lib.autocast(DEVICE if lib is fd else "cpu", dtype=lib.bfloat16):
            logits = model(lib.tensor(images.tolist()))
            loss = lib.nn.functional.cross_entropy(logits, lib.tensor(labels))
        assert logits.dtype is lib.bfloat16
        assert loss.dtype is lib.float32
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)
    gradients = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        assert p.grad.dtype is F32
        expected = gradients[name].grad.numpy(force=True)
        np.testing.assert_allclose(
            np.array(p.grad.tolist()), expected, atol=0.05 * abs(expected).max() + 1e-4, err_msg=name
        )


def test_training_reaches_what_float32_reaches():
    def train(enabled):
        fd.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
        data = fd.randn(256, 8)
        target = data[:, :1] * data[:, 1:2]
        optimizer = fd.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(200):
            with fd.autocast(DEVICE, enabled=enabled):
                loss = F.mse_loss(model(data), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    wide, low = train(False), train(True)
    assert low < 0.05
    assert abs(low - wide) < 0.02


def scaled_steps(lib):
    w = lib.ones(2, requires_grad=True)
    optimizer = lib.optim.SGD([w], lr=0.25)
    scaler = lib.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    rows = []
    for factor in (1.0, 1.0, float("inf"), 1.0, float("nan"), 1.0, 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale((w * w).sum() * factor).backward()
        if factor == 1.0:
            scaler.unscale_(optimizer)
            lib.nn.utils.clip_grad_norm_([w], 1.0)
        scaler.step(optimizer)
        scaler.update()
        rows.append((w.tolist(), scaler.get_scale()))
    return rows, scaler.state_dict()


def test_grad_scaler():
    rows, state = scaled_steps(fd)
    assert [scale for _, scale in rows] == [8.0, 16.0, 8.0, 8.0, 4.0, 4.0, 8.0, 8.0]
    assert rows[1][0] == rows[2][0]
    assert rows[3][0] == rows[4][0]
    other = fd.amp.GradScaler("cpu")
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert other.get_scale() == 8.0


@pytest.mark.compare
def test_grad_scaler_as_torch(torch):
    (ours, state), (theirs, their_state) = scaled_steps(fd), scaled_steps(torch)
    assert state == their_state
    for (w, scale), (their_w, their_scale) in zip(ours, theirs, strict=True):
        assert scale == their_scale
        assert w == pytest.approx(their_w, rel=1e-6)


def test_grad_scaler_in_wrong_order():
    w = fd.ones(2, requires_grad=True)
    optimizer, scaler = fd.optim.SGD([w], lr=0.1), fd.amp.GradScaler("cpu")
    with pytest.raises(RuntimeError, match="no output was scaled"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="no gradients were unscaled"):
        scaler.update()
    assert scaler.scale([fd.ones(1), {"a": fd.ones(1)}])[1]["a"].item() == 2.0**16
    with pytest.raises(ValueError, match="expected tensors, got float"):
        scaler.scale(1.0)
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="called twice"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="called twice"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="called after step"):
        scaler.unscale_(optimizer)
    h = fd.ones(2, dtype=fd.float16, requires_grad=True)
    h.grad = fd.ones(2, dtype=fd.float16)
    with pytest.raises(ValueError, match="float16 gradients"):
        scaler.unscale_(fd.optim.SGD([h], lr=0.1))
    with pytest.raises(ValueError, match="growth factor"):
        fd.amp.GradScaler("cpu", growth_factor=1.0)
    with pytest.raises(ValueError, match="backoff factor"):
        fd.amp.GradScaler("cpu", backoff_factor=1.0)
    with pytest.raises(RuntimeError, match="closure"):
        scaler.step(optimizer, closure=lambda: 0)
    off = fd.amp.GradScaler("cpu", enabled=False)
    assert off.scale(3.0) == 3.0
    assert off.state_dict() == {}
    off.step(optimizer)
    off.update()
    with pytest.raises(RuntimeError, match="the state is empty"):
        scaler.load_state_dict({})
