"""Layers beyond PyTorch's, against formulas: rotary embedding, SwiGLU, DropPath, KV cache, LoRA."""

import numpy as np
import pytest
from layer_cases import floats

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import nn


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_embedding(interleaved):
    """Pairs as complex numbers, turned by position times frequency."""
    x, rope = floats(2, 3, 7, 8), nn.RotaryEmbedding(8, base=100.0, interleaved=interleaved)
    for offset in (0, 5):
        pairs = x[..., 0::2] + 1j * x[..., 1::2] if interleaved else x[..., :4] + 1j * x[..., 4:]
        turned = pairs * np.exp(1j * np.outer(np.arange(offset, offset + 7), 100.0 ** (-np.arange(0, 8, 2) / 8)))
        parts = (turned.real, turned.imag)
        expected = np.stack(parts, -1).reshape(x.shape) if interleaved else np.concatenate(parts, -1)
        np.testing.assert_allclose(rope(fd.tensor(x), offset).numpy(force=True), expected, atol=1e-12)
    assert rope(fd.tensor(x).bfloat16()).dtype == fd.bfloat16
    q, k = fd.tensor(floats(1, 8)), fd.tensor(floats(1, 8, seed=1))
    dots = [float((rope(q, a) * rope(k, b)).sum()) for a, b in ((3, 1), (103, 101))]
    assert dots[0] == pytest.approx(dots[1])  # the difference of the positions alone counts
    assert not rope.state_dict()
    for wrong in (lambda: nn.RotaryEmbedding(7), lambda: rope(fd.zeros(3, 6)), lambda: rope(fd.zeros(3, 8), -1)):
        with pytest.raises(ValueError):
            wrong()


def test_rotary_embedding_at_far_positions():
    x = fd.ones(1, 2)
    turned = nn.RotaryEmbedding(2)(x, 100_000).numpy(force=True)
    angle = 100_000.0
    np.testing.assert_allclose(turned[0], [np.cos(angle) - np.sin(angle), np.cos(angle) + np.sin(angle)], atol=1e-6)


def test_rotary_tables_made_at_once():
    rope, x = nn.RotaryEmbedding(8, length=12), floats(2, 12, 8)
    assert rope.cos.shape == (12, 4)
    exact = nn.RotaryEmbedding(8)(fd.tensor(x)).numpy(force=True)
    tables = rope.cos
    turned = fd.capture(lambda x: rope(x))(fd.tensor(x).float()).numpy(force=True)
    assert rope.cos is tables
    np.testing.assert_allclose(turned, exact, atol=1e-6)
    np.testing.assert_allclose(rope.double()(fd.tensor(x)).numpy(force=True), exact, atol=1e-15)
    assert rope.half().cos.dtype == fd.float32
    with pytest.raises(ValueError, match="length must be at least 0, got -1"):
        nn.RotaryEmbedding(8, length=-1)


def test_swiglu():
    layer, x = nn.SwiGLU(4, 6, 3, bias=True).double(), floats(2, 5, 4)
    p = {k: v.numpy(force=True) for k, v in layer.state_dict().items()}
    gate = x @ p["w1.weight"].T + p["w1.bias"]
    hidden = gate / (1 + np.exp(-gate)) * (x @ p["w3.weight"].T + p["w3.bias"])
    np.testing.assert_allclose(
        layer(fd.tensor(x)).detach().numpy(force=True), hidden @ p["w2.weight"].T + p["w2.bias"], atol=1e-12
    )


def test_drop_path():
    fd.manual_seed(0)
    y = nn.DropPath(0.25)(fd.ones(2000, 3, 2)).numpy(force=True)
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert (y == y[:, :1, :1]).all()
    assert abs((y == 0).mean() - 0.25) < 0.05
    x = fd.ones(4)
    assert nn.DropPath(0.5).eval()(x) is x
    for wrong in (lambda: nn.DropPath(1.5), lambda: F.drop_path(x, -1.0)):
        with pytest.raises(ValueError):
            wrong()


@pytest.mark.parametrize("steps", [[6], [1] * 6, [2, 3, 1], [4, 2]])
@pytest.mark.parametrize("max_length", [None, 8])
def test_kv_cache_attends_as_all_at_once(steps, max_length):
    q, k, v = (fd.tensor(floats(2, 4, 6, 8, seed=i)) for i in range(3))
    k, v = k[:, :2], v[:, :2]  # two query heads for each
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).numpy(force=True)
    cache, found, begin = nn.KVCache(max_length), [], 0
    for n in steps:
        part = [t.narrow(2, begin, n) for t in (q, k, v)]
        found.append(cache.attend(*part, enable_gqa=True))
        begin += n
    assert len(cache) == 6
    np.testing.assert_allclose(fd.cat(found, 2).numpy(force=True), expected, atol=1e-12)
    assert cache.keys.tolist() == k.tolist()
    cache.crop(2)
    assert cache.values.tolist() == v[:, :, :2].tolist()
    with pytest.raises(ValueError):
        cache.crop(3)
    cache.reset()
    assert len(cache) == 0
    with pytest.raises(fd.ShapeError):
        cache.update(k[:1], v[:1])
    with pytest.raises(fd.ShapeError):
        cache.update(k, v[:, :, :2])
    assert len(cache) == 0


def test_kv_cache_is_full():
    cache = nn.KVCache(2)
    cache.update(fd.ones(1, 1, 2, 3), fd.ones(1, 1, 2, 3))
    with pytest.raises(ValueError, match="max_length"):
        cache.update(fd.ones(1, 1, 1, 3), fd.ones(1, 1, 1, 3))
    assert len(cache) == 2


def test_lora():
    fd.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    x = fd.tensor(floats(5, 4))
    before = net(x).detach()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    assert nn.add_lora(net, r=2, alpha=6.0, targets=("2",)) is net
    assert type(net[0]) is nn.Linear and isinstance(net[2], nn.LoRALinear)
    assert net(x).tolist() == before.tolist()  # B is 0
    trained = [n for n, p in net.named_parameters() if p.requires_grad]
    assert trained == ["2.lora_A", "2.lora_B"]
    with fd.no_grad():
        net[2].lora_B.copy_(fd.tensor(floats(2, 2)))
    after = net(x)
    h = np.maximum(x.numpy(force=True) @ state["0.weight"].numpy(force=True).T + state["0.bias"].numpy(force=True), 0)
    weight = state["2.weight"].numpy(force=True) + 3.0 * net[2].lora_B.detach().numpy(force=True) @ net[
        2
    ].lora_A.detach().numpy(force=True)
    np.testing.assert_allclose(
        after.detach().numpy(force=True), h @ weight.T + state["2.bias"].numpy(force=True), atol=1e-12
    )
    after.sum().backward()
    assert net[2].weight.grad is None
    assert float(net[2].lora_A.grad.abs().sum()) > 0
    small = nn.lora_state_dict(net)
    assert list(small) == trained
    np.testing.assert_allclose(
        net[2].merge()(h := net[:2](x)).detach().numpy(force=True), after.detach().numpy(force=True), atol=1e-12
    )
    np.testing.assert_allclose(
        net[2].unmerge()(h).detach().numpy(force=True), after.detach().numpy(force=True), atol=1e-12
    )
    merged = nn.merge_lora(net)
    assert type(merged[2]) is nn.Linear
    np.testing.assert_allclose(merged(x).detach().numpy(force=True), after.detach().numpy(force=True), atol=1e-12)
    with pytest.raises(ValueError, match="no Linear"):
        nn.add_lora(nn.Sequential(nn.ReLU()))
    with pytest.raises(ValueError):
        nn.LoRALinear(2, 2, r=0)
