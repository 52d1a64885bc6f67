import numpy as np
import pytest
from reference import (
    EPS,
    FLOATS,
    assert_all_accurate,
    assert_same_bits_on_threads,
    check_dtypes,
    check_gradients,
    level,  # noqa: F401
    plain_dtype,
    rounded,
    wide,
)

import fastdl as fd
import fastdl.nn.functional as F

attention = F.scaled_dot_product_attention


def reference(q, k, v, mask=None, causal=False, scale=None):
    """Key heads are repeated for the query heads of their group; a row that sees nothing gives zeros."""
    if k.ndim > 2 and q.shape[-3] != k.shape[-3]:
        k, v = (np.repeat(a, q.shape[-3] // a.shape[-3], axis=-3) for a in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * q.dtype.type(scale or q.shape[-1] ** -0.5)
    if causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask.astype(q.dtype)
    top = scores.max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(scores - np.where(np.isinf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    return (e / np.where(total == 0, 1, total)) @ v


# query, key and value shapes
SHAPES = [
    ((1, 1), (1, 1), (1, 1)),
    ((2, 7, 5), (2, 7, 5), (2, 7, 5)),
    ((2, 3, 65, 32), (2, 3, 65, 32), (2, 3, 65, 32)),
    ((1, 2, 130, 16), (1, 2, 17, 16), (1, 2, 17, 9)),  # cross attention, another width of values
    ((1, 2, 5, 64), (1, 2, 200, 64), (1, 2, 200, 64)),
    ((2, 4, 66, 20), (2, 2, 66, 20), (2, 2, 66, 20)),  # two query heads a key head
    ((1, 3, 131, 96), (1, 1, 70, 96), (1, 1, 70, 128)),
]


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ["full", "causal", "bool", "float"])
def test_values(kind, dtype):
    rng = np.random.default_rng(0)
    results = []
    for shapes in SHAPES * 2:
        (q, q64), (k, k64), (v, v64) = (rounded(rng, s, dtype) for s in shapes)
        t, s = q.shape[-2], k.shape[-2]
        mask = mask64 = None
        if kind == "bool":
            mask64 = rng.random((t, s)) < 0.6
            mask64[t // 2] = False
            mask = fd.tensor(mask64)
        elif kind == "float":
            mask, mask64 = rounded(rng, (1, s), dtype)  # broadcast over the queries
        out = attention(q, k, v, mask, is_causal=kind == "causal", enable_gqa=q.ndim > 2 and q.shape[-3] != k.shape[-3])
        exact = reference(q64, k64, v64, mask64, kind == "causal")
        plain = reference(*(a.astype(plain_dtype(dtype)) for a in (q64, k64, v64)), mask64, kind == "causal")
        results.append((out, exact, plain, np.abs(v64).max()))
    assert_all_accurate(results, dtype, slack=3)  # scores are kept in base 2: log2(e) rounds each once more


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("kind", ["full", "causal", "bool", "float"])
def test_gradients(kind):
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s) for s in ((2, 5, 3), (2, 4, 3), (2, 4, 2))]
    mask = None
    if kind == "bool":
        mask = rng.random((5, 4)) < 0.6
        mask[1] = False
    elif kind == "float":
        mask = rng.standard_normal((2, 1, 4))
        mask[:, :, 2] = -np.inf
    mask = None if mask is None else fd.tensor(mask)

    def f(q, k, v):
        m = mask.to(q.dtype) if kind == "float" else mask
        return attention(q, k, v, m, is_causal=kind == "causal", scale=0.7)

    check_gradients(f, arrays)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("kind", ["full", "causal", "bool"])
@pytest.mark.parametrize("shapes", SHAPES[2:])
def test_gradients_of_long_sequences_against_plain_ops(shapes, kind):
    """The fused backward against the gradient through matmul and softmax (which create_graph takes), in every dtype."""
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal(s) for s in shapes]
    t, s = shapes[0][-2], shapes[1][-2]
    mask = None
    if kind == "bool":
        mask = rng.random((t, s)) < 0.6
        mask[3] = False
        mask = fd.tensor(mask)

    def f(q, k, v):
        return attention(q, k, v, mask, is_causal=kind == "causal", enable_gqa=shapes[0][1] != shapes[1][1])

    inputs = [fd.tensor(a, requires_grad=True) for a in arrays]
    y = f(*inputs)
    g = fd.tensor(rng.standard_normal(tuple(y.shape)))
    fused = fd.autograd.grad(y, inputs, g, retain_graph=True)
    plain = fd.autograd.grad(y, inputs, g, create_graph=True)
    for a, b in zip(fused, plain, strict=True):
        np.testing.assert_allclose(a.numpy(force=True), b.detach().numpy(force=True), rtol=1e-10, atol=1e-12)
    check_dtypes(f, arrays)


def test_gradient_of_the_mask():
    rng = np.random.default_rng(3)
    check_gradients(attention, [rng.standard_normal(s) for s in ((2, 3, 2), (2, 4, 2), (2, 4, 2), (3, 4))])


def test_leading_dimensions_broadcast():
    rng = np.random.default_rng(4)
    arrays = [rng.standard_normal(s) for s in ((2, 1, 3, 2), (3, 4, 2), (1, 3, 4, 2))]
    q, k, v = (fd.tensor(a) for a in arrays)
    np.testing.assert_allclose(
        attention(q, k, v).numpy(force=True), reference(*(np.broadcast_to(a, (2, 3, *a.shape[-2:])) for a in arrays))
    )
    check_gradients(attention, arrays)


@pytest.mark.parametrize("causal", [False, True])
def test_views_of_a_packed_projection(causal):
    """Strided heads give what contiguous ones give, and the output goes back to (B, T, H * D) without a copy."""
    rng = np.random.default_rng(5)
    b, t, h, d = 2, 70, 3, 16
    packed = fd.tensor(rng.standard_normal((b, t, 3 * h * d)).astype(np.float32), requires_grad=True)
    q, k, v = (x.view(b, t, h, d).transpose(1, 2) for x in packed.chunk(3, -1))
    out = attention(q, k, v, is_causal=causal)
    same = attention(q.contiguous(), k.contiguous(), v.contiguous(), is_causal=causal)
    np.testing.assert_array_equal(out.detach().numpy(force=True), same.detach().numpy(force=True))
    assert out.transpose(1, 2).is_contiguous()
    g = fd.tensor(rng.standard_normal((b, h, t, d)).astype(np.float32))
    (strided,) = fd.autograd.grad(out, [packed], g, retain_graph=True)
    (dense,) = fd.autograd.grad(same, [packed], g)
    np.testing.assert_array_equal(strided.numpy(force=True), dense.numpy(force=True))


def test_a_dimension_with_stride():
    rng = np.random.default_rng(6)
    q, k, v = (fd.tensor(rng.standard_normal((2, 8, 20)).astype(np.float32)).transpose(1, 2) for _ in range(3))
    np.testing.assert_array_equal(
        attention(q, k, v).numpy(force=True),
        attention(q.contiguous(), k.contiguous(), v.contiguous()).numpy(force=True),
    )


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout(dtype):
    """Values of ones show the kept weights: zero or 1 / (1 - p) times the weight, the same in the backward."""
    p, n = 0.25, 70
    kind = getattr(fd, dtype)
    q, k = fd.zeros(2, n, 4, dtype=kind), fd.zeros(2, n, 4, dtype=kind)
    eye = fd.tensor(np.broadcast_to(np.eye(n), (2, n, n)).copy()).to(kind).requires_grad_()
    fd.manual_seed(1)
    out = attention(q, k, eye, dropout_p=p)
    weights = wide(out)  # the identity as values
    kept = weights > 0
    assert 0.7 < kept.mean() < 0.8
    np.testing.assert_allclose(weights[kept], 1 / (1 - p) / n, rtol=2 * EPS[dtype] + 1e-6)
    g, g64 = rounded(np.random.default_rng(7), (2, n, n), dtype)
    out.backward(g)
    expected = (np.swapaxes(weights, 1, 2) @ g64).astype(np.float64)
    np.testing.assert_allclose(wide(eye.grad), expected, rtol=1e-4, atol=1e-6 + 4 * EPS[dtype] * np.abs(expected).max())
    fd.manual_seed(1)
    np.testing.assert_array_equal(wide(attention(q, k, eye, dropout_p=p)), weights)
    assert (wide(attention(q, k, eye, dropout_p=p)) != weights).any()
    fd.manual_seed(1)  # which weights are dropped does not depend on the dtype
    doubles = [t.detach().to(fd.float64) for t in (q, k, eye)]
    np.testing.assert_array_equal(wide(attention(*doubles, dropout_p=p)) > 0, kept)


def test_gradients_with_dropout():
    rng = np.random.default_rng(8)

    def f(q, k, v):
        fd.manual_seed(3)
        return attention(q, k, v, dropout_p=0.4, is_causal=True)

    check_gradients(f, [rng.standard_normal(s) for s in ((2, 5, 3), (2, 6, 3), (2, 6, 2))])
    check_dtypes(f, [rng.standard_normal((2, 70, 64)) for _ in range(3)])


@pytest.mark.usefixtures("level")
def test_special_values():
    q, v = fd.ones(1, 3, 4), fd.tensor([[[1.0], [2.0], [3.0]]])
    out = attention(q, q, v, fd.tensor([[False] * 3, [True] * 3, [False, False, True]]))
    assert out.tolist() == [[[0.0], [2.0], [3.0]]]
    k = np.ones((1, 3, 4), np.float32)
    k[0, 1] = np.nan
    assert np.isnan(attention(q, fd.tensor(k), v).numpy(force=True)).all()
    causal = attention(q, fd.tensor(k), v, is_causal=True).numpy(force=True)
    assert causal[0, 0, 0] == 1
    assert np.isnan(causal[0, 1:]).all()
    large = attention(fd.ones(1, 1, 4) * 1e4, fd.tensor([[[1e4] * 4, [-1e4] * 4]]), fd.tensor([[[1.0], [2.0]]]))
    assert large.tolist() == [[[1.0]]]


def test_empty():
    assert tuple(attention(fd.zeros(0, 3, 4), fd.zeros(0, 3, 4), fd.zeros(0, 3, 4)).shape) == (0, 3, 4)
    assert tuple(attention(fd.zeros(2, 0, 4), fd.zeros(2, 3, 4), fd.zeros(2, 3, 4)).shape) == (2, 0, 4)
    q, k = fd.ones(2, 3, 4, requires_grad=True), fd.ones(2, 0, 4, requires_grad=True)
    out = attention(q, k, k)
    assert not out.detach().numpy(force=True).any()
    out.sum().backward()
    assert not q.grad.numpy(force=True).any()
    assert tuple(k.grad.shape) == (2, 0, 4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_same_bits_at_one_and_two_threads(dtype):
    arrays = [np.random.default_rng(9).standard_normal((1, 3, 600, 32)) for _ in range(3)]

    def f(q, k, v):
        fd.manual_seed(3)
        return attention(q, k, v, is_causal=True, dropout_p=0.1).to(fd.float32)

    assert_same_bits_on_threads(lambda q, k, v: attention(q, k, v), arrays)
    assert_same_bits_on_threads(f, arrays)


def test_errors():
    x = fd.zeros(2, 3, 4)
    with pytest.raises(ValueError, match=r"expected query \(..., T, D\).*got \[2, 3, 4\], \[2, 3, 5\]"):
        attention(x, fd.zeros(2, 3, 5), x)
    with pytest.raises(ValueError, match=r"attn_mask \[3, 4\] does not broadcast to \[2, 3, 3\]"):
        attention(x, x, x, fd.zeros(3, 4))
    with pytest.raises(ValueError, match="attn_mask and is_causal"):
        attention(x, x, x, fd.zeros(3, 3), is_causal=True)
    with pytest.raises(ValueError, match=r"dropout_p 1\.5"):
        attention(x, x, x, dropout_p=1.5)
    with pytest.raises(ValueError, match="do not broadcast"):
        attention(x, fd.zeros(3, 3, 4), fd.zeros(3, 3, 4))
    with pytest.raises(ValueError, match="3 query heads do not divide among 2 key heads"):
        attention(fd.zeros(3, 5, 4), fd.zeros(2, 5, 4), fd.zeros(2, 5, 4), enable_gqa=True)
    with pytest.raises(TypeError, match="one dtype"):
        attention(x, x, x.to(fd.float64))
    with pytest.raises(TypeError, match="attn_mask is int64"):
        attention(x, x, x, fd.zeros(3, 3, dtype=fd.int64))
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        attention(fd.zeros(4), x, x)


def test_like_pytorch_where_nothing_is_visible():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(10).standard_normal((1, 2, 4, 8)).astype(np.float32)
    mask = np.zeros((4, 4), bool)
    mask[1, :2] = True
    ours = attention(*[fd.tensor(x)] * 3, fd.tensor(mask))
    theirs = torch.nn.functional.scaled_dot_product_attention(*[torch.tensor(x)] * 3, torch.tensor(mask))
    np.testing.assert_allclose(ours.numpy(force=True), theirs.numpy(force=True), rtol=1e-5, atol=1e-6)
