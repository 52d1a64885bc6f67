"""What the op table does not say of the top level's functions: refusals, promotion, distributions, in-place forms."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastdl as fd
from fastdl import linalg

X = fd.arange(6.0).reshape(2, 3)
V = fd.tensor([3.0, 1.0, 2.0])
I = fd.tensor([0, 1])
S2 = fd.eye(2)

# --- what is refused, and what the message names ---

REFUSED = [
    # einsum, products
    (lambda: fd.einsum("ij,jk->ik", X, X), fd.ShapeError, "einsum.*'j' stands for sizes 3 and 2"),
    (lambda: fd.einsum("ij->", V), fd.ShapeError, r"einsum: 'ij'.*\[3\]"),
    (lambda: fd.einsum("i,i", V), fd.ValueError, "einsum.*2 operands, got 1"),
    (lambda: fd.einsum("i->j", V), fd.ValueError, "'j' is in no operand"),
    (lambda: fd.einsum("i->ii", V), fd.ValueError, "repeated in the result"),
    (lambda: fd.einsum("i1->i", V), fd.ValueError, "expected letters"),
    (lambda: fd.tensordot(X, X, 1), fd.ShapeError, "tensordot: dimension 1"),
    (lambda: fd.tensordot(X, X, 5), fd.ValueError, "tensordot: dims 5"),
    (lambda: fd.cross(X, X, 0), fd.ShapeError, "cross: dimension 0.*expected size 3"),
    (lambda: fd.inner(X, fd.ones(2)), fd.ShapeError, "inner.*same size"),
    (lambda: fd.trace(V), fd.ShapeError, "trace: expected a matrix"),
    (lambda: fd.matrix_power(X, 2), fd.ShapeError, "matrix_power: expected square"),
    (lambda: fd.chain_matmul(), fd.ValueError, "at least one matrix"),
    # shapes
    (lambda: fd.broadcast_shapes((2,), (3,)), fd.ShapeError, "do not broadcast"),
    (lambda: fd.meshgrid(X, V), fd.ShapeError, "meshgrid: expected vectors"),
    (lambda: fd.meshgrid(V, V, indexing="ji"), fd.ValueError, "indexing 'ji'"),
    (lambda: fd.block_diag(fd.ones(1, 1, 1)), fd.ShapeError, "block_diag"),
    (lambda: fd.tensor_split(V, 0), fd.ValueError, "sections 0"),
    (lambda: fd.hsplit(X, 2), fd.ValueError, "hsplit: 3 places"),
    (lambda: fd.dsplit(X, 1), fd.ShapeError, "dsplit.*too few dimensions"),
    (lambda: fd.rot90(X, 1, (0, 0)), fd.ValueError, "rot90"),
    (lambda: fd.diag(fd.ones(1, 1, 1)), fd.ShapeError, "diag"),
    (lambda: fd.diag_embed(V, 0, 1, 1), fd.ShapeError, "diag_embed"),
    (lambda: fd.diagonal_scatter(X, V), fd.ShapeError, "diagonal_scatter"),
    (lambda: fd.vander(X), fd.ShapeError, "vander"),
    (lambda: fd.as_strided(X, (9,), (1,)), fd.IndexError, "as_strided"),
    (lambda: fd.combinations(X), fd.ShapeError, "combinations"),
    # picking
    (lambda: fd.take(X, fd.tensor([6])), fd.IndexError, "index 6 is out of range"),
    (lambda: fd.take(X, V), fd.DTypeError, "take: index is"),
    (lambda: fd.put(X, I, V), fd.ShapeError, r"put: source \[3\]"),
    (lambda: fd.index_fill(X, 2, I, 0), fd.IndexError, "dimension 2"),
    (lambda: fd.index_fill(X, 0, fd.tensor([2]), 0), fd.IndexError, "index 2 is out of range"),
    (lambda: fd.index_copy(X, 0, I, V), fd.ShapeError, "index_copy: source"),
    (lambda: fd.index_reduce(X, 0, I, X, "sum"), fd.ValueError, "reduce 'sum'"),
    (lambda: fd.scatter_reduce(X, 0, fd.tensor([[0]]), X, "max"), fd.ValueError, "reduce 'max'"),
    (lambda: fd.scatter_reduce(X, 0, fd.tensor([[5]]), X, "sum"), fd.IndexError, "index 5 is out of range"),
    (lambda: fd.scatter(X, 0, fd.tensor([[0]]), X, reduce="max"), fd.ValueError, "reduce 'max'"),
    (lambda: fd.masked_scatter(X, X > 0, V), fd.ShapeError, "3 elements for 5 places"),
    (lambda: fd.masked_scatter(X, X, V), fd.DTypeError, "mask is"),
    (lambda: fd.select_scatter(X, X, 0, 0), fd.ShapeError, "select_scatter"),
    (lambda: fd.slice_scatter(X, X, 0, 0, 1), fd.ShapeError, "slice_scatter"),
    (lambda: fd.unravel_index(fd.tensor([9]), (2, 3)), fd.IndexError, "unravel_index"),
    # order and counts
    (lambda: fd.kthvalue(V, 0), fd.IndexError, "k 0 of 3"),
    (lambda: fd.kthvalue(V, 1, dim=1), fd.IndexError, "dimension 1"),
    (lambda: fd.mode(fd.ones(2, 0)), fd.ShapeError, "no elements"),
    (lambda: fd.quantile(V, 1.5), fd.ValueError, r"\[0, 1\]"),
    (lambda: fd.quantile(V, fd.ones(1, 1)), fd.ShapeError, "q has shape"),
    (lambda: fd.quantile(I, 0.5), fd.DTypeError, "quantile"),
    (lambda: fd.quantile(V, 0.5, interpolation="no"), fd.ValueError, "interpolation 'no'"),
    (lambda: fd.searchsorted(X, V), fd.ShapeError, "same leading dimensions"),
    (lambda: fd.searchsorted(V, V, side="middle"), fd.ValueError, "side 'middle'"),
    (lambda: fd.searchsorted(V, V, side="left", right=True), fd.ValueError, "contradict"),
    (lambda: fd.bucketize(V, X), fd.ShapeError, "bucketize"),
    (lambda: fd.bincount(fd.tensor([-1])), fd.ValueError, "-1 is negative"),
    (lambda: fd.bincount(V), fd.DTypeError, "bincount"),
    (lambda: fd.histc(fd.tensor([float("nan")])), fd.ValueError, "not finite"),
    (lambda: fd.histc(V, bins=0), fd.ValueError, "bins 0"),
    (lambda: fd.cov(X, fweights=V), fd.DTypeError, "fweights"),
    (lambda: fd.diff(V, -1), fd.ValueError, "n -1"),
    (lambda: fd.cdist(X, S2), fd.ShapeError, "cdist"),
    (lambda: fd.cumprod(V, 1), fd.IndexError, "cumprod"),
    (lambda: fd.logcumsumexp(I, 0), fd.DTypeError, "logcumsumexp"),
    # elementwise
    (lambda: V << 1, fd.DTypeError, "bitwise_left_shift"),
    (lambda: fd.gcd(V, V), fd.DTypeError, "gcd"),
    (lambda: fd.heaviside(V, I), fd.DTypeError, "heaviside"),
    (lambda: fd.polygamma(-1, V), fd.ValueError, "polygamma: n -1"),
    (lambda: fd.mvlgamma(V, 0), fd.ValueError, "p 0"),
    (lambda: fd.nextafter(V.half(), V.half()), fd.DTypeError, "nextafter"),
    (lambda: fd.igamma(V.clone().requires_grad_(), V), fd.Error, "igamma.*first argument"),
    (lambda: fd.finfo(fd.int64), TypeError, "finfo"),
    (lambda: fd.iinfo(fd.float32), TypeError, "iinfo"),
    # linear algebra
    (lambda: linalg.inv(X), fd.ShapeError, r"inv: expected square matrices, got shape \[2, 3\]"),
    (lambda: linalg.inv(S2.half()), fd.DTypeError, "inv: expected float32 or float64"),
    (lambda: linalg.inv(fd.zeros(2, 2)), linalg.LinAlgError, r"inv: singular matrix; input of shape \[2, 2\]"),
    (lambda: linalg.cholesky(-S2), linalg.LinAlgError, "cholesky"),
    (lambda: linalg.solve(S2, V), fd.ShapeError, "solve"),
    (lambda: linalg.solve(S2, S2.double()), fd.DTypeError, "solve"),
    (lambda: linalg.qr(X, "half"), fd.ValueError, "mode 'half'"),
    (lambda: linalg.matrix_norm(X, 3), fd.ValueError, "ord 3"),
    (lambda: linalg.lstsq(X, V), fd.ShapeError, "lstsq"),
    (lambda: linalg.svd(V), fd.ShapeError, "svd: expected at least 2 dimensions"),
    (lambda: fd.stft(V, 8), fd.Error, "stft|pad"),
    (lambda: fd.stft(fd.ones(9) + 1j, 4, onesided=True), fd.ValueError, "two sides"),
    # random
    (lambda: fd.multinomial(-V, 1), fd.ValueError, "negative"),
    (lambda: fd.multinomial(V, 4), fd.ValueError, "4 samples of 3"),
    (lambda: fd.multinomial(fd.zeros(3), 1, replacement=True), fd.ValueError, "all 0"),
    (lambda: fd.multinomial(V, 0), fd.ValueError, "num_samples 0"),
    (lambda: fd.poisson(-V), fd.ValueError, "poisson"),
    (lambda: V.clone().bernoulli_(2.0), fd.ValueError, "bernoulli_"),
    (lambda: V.clone().exponential_(0.0), fd.ValueError, "exponential_"),
    (lambda: V.clone().geometric_(1.5), fd.ValueError, "geometric_"),
    (lambda: V.clone().cauchy_(0, -1.0), fd.ValueError, "cauchy_"),
    (lambda: fd.normal(V, -V), fd.ValueError, "normal"),
    (lambda: fd.set_printoptions(profile="wide"), fd.ValueError, "profile"),
    (lambda: fd.set_default_device("cuda:63"), fd.DeviceError, "device cuda"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_failed_in_place_op_changes_nothing():
    for call in (
        lambda t: t.cumsum_(5),
        lambda t: t.index_copy_(0, I, V),
        lambda t: t.scatter_(0, fd.tensor([[7]]), 1.0),
        lambda t: t.masked_scatter_(t >= 0, V),
        lambda t: t.addmm_(X, X),
    ):
        t = X.clone()
        before, version = t.tolist(), t._version
        with pytest.raises(fd.Error):
            call(t)
        assert t.tolist() == before
        assert t._version == version


# --- promotion ---

DTYPES = ("bool", "uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", "float64")


@pytest.mark.compare
def test_promotion_as_in_torch(torch):
    ours_for = lambda theirs: {"int16": "int32"}.get(theirs, theirs)  # what uint8 and int8 give: there is no int16
    for a, b in itertools.product(DTYPES, DTYPES):
        theirs = str(torch.promote_types(getattr(torch, a), getattr(torch, b))).removeprefix("torch.")
        assert fd.promote_types(getattr(fd, a), getattr(fd, b)).name == ours_for(theirs), (a, b)
        assert fd.can_cast(getattr(fd, a), getattr(fd, b)) == torch.can_cast(getattr(torch, a), getattr(torch, b))
        for dims in itertools.product(((), (1,)), ((), (1,))):
            ours = fd.result_type(*(fd.ones(*s, dtype=getattr(fd, t)) for s, t in zip(dims, (a, b))))
            theirs = torch.result_type(*(torch.ones(s, dtype=getattr(torch, t)) for s, t in zip(dims, (a, b))))
            assert ours.name == ours_for(str(theirs).removeprefix("torch.")), (a, b, dims)
    for a, number in itertools.product(DTYPES, (True, 1, 1.5)):
        for shape in ((), (1,)):
            ours = fd.result_type(fd.ones(*shape, dtype=getattr(fd, a)), number)
            theirs = torch.result_type(torch.ones(shape, dtype=getattr(torch, a)), number)
            assert ours.name == str(theirs).removeprefix("torch."), (a, number, shape)


@pytest.mark.compare
def test_limits_as_in_torch(torch):
    for name in ("float16", "bfloat16", "float32", "float64"):
        ours, theirs = fd.finfo(getattr(fd, name)), torch.finfo(getattr(torch, name))
        for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
            assert getattr(ours, field) == getattr(theirs, field), (name, field)
    for name in ("uint8", "int8", "int32", "int64"):
        ours, theirs = fd.iinfo(getattr(fd, name)), torch.iinfo(getattr(torch, name))
        assert (ours.bits, ours.min, ours.max, ours.dtype) == (theirs.bits, theirs.min, theirs.max, theirs.dtype)


# --- operators and in-place forms ---


def test_shift_and_in_place_operators():
    t = fd.tensor([5, -9, 64])
    assert (t << 2).tolist() == [20, -36, 256]
    assert (1 << fd.tensor([0, 3])).tolist() == [1, 8]
    assert (t >> 1).tolist() == [2, -5, 32]
    assert (t << 64).tolist() == [0, 0, 0]
    assert (t >> 100).tolist() == [0, -1, 0]
    for change, expected in (
        ("t //= 2", [2, -5, 32]),
        ("t %= 4", [1, 3, 0]),
        ("t **= 2", [25, 81, 4096]),
        ("t &= 4", [4, 4, 0]),
        ("t |= 1", [5, -9, 65]),
        ("t ^= 1", [4, -10, 65]),
        ("t <<= 1", [10, -18, 128]),
        ("t >>= 2", [1, -3, 16]),
    ):
        scope = {"t": t.clone()}
        address = scope["t"].data_ptr()
        exec(change, scope)
        assert scope["t"].tolist() == expected, change
        assert scope["t"].data_ptr() == address
    with pytest.raises(fd.DTypeError):
        t *= 0.5


def test_in_place_forms_agree_with_the_functions():
    from fastdl import inplace

    given = {
        "arctan2": (V,), "atan2": (V,), "clamp_max": (0.5,), "clamp_min": (0.5,), "clip": (0.2, 0.5), "copysign": (-V,),
        "cumprod": (0,), "cumsum": (0,), "divide": (V,), "eq": (V,), "float_power": (2,), "floor_divide": (V,), "fmod": (V,),
        "ge": (V,), "greater": (V,), "greater_equal": (V,), "gt": (V,), "heaviside": (V,), "hypot": (V,), "igamma": (V,),
        "igammac": (V,), "ldexp": (V,), "le": (V,), "less": (V,), "less_equal": (V,), "logical_and": (V,), "logical_or": (V,),
        "logical_xor": (V,), "lt": (V,), "multiply": (V,), "mvlgamma": (1,), "ne": (V,), "nextafter": (V,),
        "not_equal": (V,), "remainder": (V,), "subtract": (V,), "true_divide": (V,), "xlogy": (V,),
    }  # fmt: skip
    checked = 0
    for names in inplace._METHODS.values():
        for name in names.split():
            if name in given or name in (
                "absolute acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh cosh deg2rad digamma "
                "erfc erfinv fix frac i0 lgamma logical_not logit nan_to_num negative rad2deg sgn sinc sinh"
            ):
                t = fd.tensor([0.3, 0.6, 0.9])
                function = getattr(fd, name)
                expected = function(t, *given.get(name, ())).float()
                out = getattr(t, f"{name}_")(*given.get(name, ()))
                assert out is t
                np.testing.assert_array_equal(t.numpy(force=True), expected.numpy(force=True), err_msg=name)
                checked += 1
    assert checked > 60


def test_in_place_forms_have_gradients():
    x = fd.tensor([0.1, 0.2, 0.3], dtype=fd.float64, requires_grad=True)

    def chain(x):
        t = x.clone()
        t.asinh_().atan2_(fd.tensor([1.0, 2.0, 3.0], dtype=fd.float64)).cumsum_(0).erfinv_()
        return t

    assert fd.autograd.gradcheck(chain, x)


def test_reshaping_in_place():
    t = X.clone()
    assert t.t_() is t
    assert t.shape == (3, 2)
    assert t.unsqueeze_(0).squeeze_(0).transpose_(0, 1).tolist() == X.tolist()
    with pytest.raises(fd.Error, match="its shape is fixed"):
        X.clone().requires_grad_().t_()


def test_fill_diagonal():
    assert fd.zeros(2, 3).fill_diagonal_(1).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert fd.zeros(2, 2, 2).fill_diagonal_(1).sum().item() == 2
    tall = fd.zeros(7, 3).fill_diagonal_(1, wrap=True).numpy(force=True)
    expected = np.zeros((7, 3), np.float32)
    np.fill_diagonal(expected, 1, wrap=True)
    np.testing.assert_array_equal(tall, expected)


# --- special cases ---


def test_einsum_forms():
    a, b = fd.rand(2, 3), fd.rand(3, 4)
    product = (a @ b).numpy(force=True)
    np.testing.assert_allclose(fd.einsum(a, [0, 1], b, [1, 2], [0, 2]).numpy(force=True), product, rtol=1e-6)
    np.testing.assert_allclose(fd.einsum(a, [0, 1], b, [1, 2]).numpy(force=True), product, rtol=1e-6)
    np.testing.assert_allclose(fd.einsum("ij,jk", [a, b]).numpy(force=True), product, rtol=1e-6)
    np.testing.assert_allclose(fd.einsum("i j, j k -> i k", a, b).numpy(force=True), product, rtol=1e-6)
    np.testing.assert_allclose(
        fd.einsum("ij,jk->ik", a[:, :1], b).numpy(force=True), (a[:, :1] * b.sum(0)).numpy(force=True), rtol=1e-6
    )


@given(st.data())
def test_einsum_agrees_with_numpy(data):
    letters = "abcd"
    sizes = {c: data.draw(st.integers(1, 4)) for c in letters}
    terms = data.draw(st.lists(st.text(letters, min_size=1, max_size=3), min_size=1, max_size=3))
    output = "".join(sorted(data.draw(st.sets(st.sampled_from(sorted(set("".join(terms))))))))
    equation = f"{','.join(terms)}->{output}"
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal([sizes[c] for c in term]) for term in terms]
    ours = fd.einsum(equation, *map(fd.tensor, arrays)).numpy(force=True)
    np.testing.assert_allclose(ours, np.einsum(equation, *arrays), rtol=1e-9, atol=1e-9)


def test_nan_in_order_statistics():
    t = fd.tensor([1.0, math.nan, 3.0])
    assert math.isnan(fd.quantile(t, 0.5).item())
    assert fd.nanquantile(t, 0.5).item() == 2
    assert fd.nanmedian(t).item() == 1
    assert fd.searchsorted(fd.tensor([1.0, 2.0]), t).tolist() == [0, 2, 2]
    assert fd.cummax(t, 0).indices.tolist() == [0, 1, 1]
    assert len(fd.unique(fd.tensor([math.nan, math.nan, 1.0]))) == 3
    assert fd.aminmax(t).min.isnan()


def test_empty_tensors():
    none = fd.zeros(0)
    assert fd.unique(none, return_counts=True)[1].shape == (0,)
    assert fd.bincount(fd.zeros(0, dtype=fd.int64), minlength=3).tolist() == [0, 0, 0]
    assert fd.isin(V, none).tolist() == [False] * 3
    assert fd.cumprod(none, 0).shape == (0,)
    assert fd.cummax(none, 0).indices.shape == (0,)
    assert fd.einsum("ij,jk->ik", fd.ones(2, 0), fd.ones(0, 3)).tolist() == [[0.0] * 3] * 2
    assert fd.histc(none, bins=2).tolist() == [0, 0]
    assert linalg.inv(fd.zeros(0, 3, 3)).shape == (0, 3, 3)
    assert linalg.det(fd.zeros(0, 0)).item() == 1
    assert fd.take(X, fd.zeros(0, dtype=fd.int64)).shape == (0,)
    assert [t.shape for t in fd.tensor_split(none, 2)] == [(0,), (0,)]


def test_special_values():
    inf, nan = math.inf, math.nan
    f = lambda g, *x: [round(v, 4) for v in g(fd.tensor(list(x), dtype=fd.float64)).tolist()]
    assert f(fd.erfinv, -1, 0, 1) == [-inf, 0, inf]
    assert f(fd.lgamma, 0.0, -1, 1, inf) == [inf, inf, 0, inf]
    assert f(fd.digamma, 0.0, inf) == [-inf, inf]
    assert f(fd.i0, inf, -inf, 0) == [inf, inf, 1]
    assert f(fd.special.i1, inf, -inf, 0) == [inf, -inf, 0]
    assert f(lambda x: fd.logaddexp(x, x), inf, -inf) == [inf, -inf]
    assert f(fd.sinc, 0, inf)[0] == 1
    assert f(lambda x: fd.xlogy(fd.zeros_like(x), x), 0, inf) == [0, 0]
    assert f(lambda x: fd.igamma(x, x), 1e-3, 1e4)[1] == pytest.approx(0.5013, abs=1e-3)
    assert f(fd.special.ndtri, 0, 1e-300, 1e-20, 0.5, 1) == [-inf, -37.0471, -9.2623, 0, inf]
    assert f(fd.special.log_ndtr, -40) == [-804.6084]
    assert f(fd.special.erfcx, 1e10) == [0]
    assert all(math.isnan(v) for v in f(fd.erfinv, 2, nan) + f(fd.digamma, -1) + f(fd.acosh, 0.5) + f(fd.atanh, 2))
    assert fd.nan_to_num(fd.tensor([nan, inf, -inf])).tolist() == [
        0,
        fd.finfo(fd.float32).max,
        fd.finfo(fd.float32).min,
    ]


def test_singular_matrices():
    a = fd.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=fd.float64, requires_grad=True)
    linalg.det(a).backward()
    np.testing.assert_allclose(a.grad.numpy(force=True), [[4, -2], [-2, 1]], atol=1e-12)
    assert linalg.matrix_rank(a).item() == 1
    assert linalg.slogdet(a.detach() * 0).logabsdet.item() == -math.inf
    assert linalg.inv_ex(a.detach() * 0).info.item() == 1
    assert linalg.cholesky_ex(-S2).info.item() == 1


def test_lu_factors_solve():
    rng = np.random.default_rng(3)
    a, b = fd.tensor(rng.standard_normal((2, 5, 5))), fd.tensor(rng.standard_normal((2, 5, 3)))
    packed, pivots = linalg.lu_factor(a)
    p, l, u = fd.lu_unpack(packed, pivots)
    np.testing.assert_allclose((p @ l @ u).numpy(force=True), a.numpy(force=True), atol=1e-12)
    for options in ({}, {"adjoint": True}):
        x = linalg.lu_solve(packed, pivots, b, **options)
        np.testing.assert_allclose(((a.mT if options else a) @ x).numpy(force=True), b.numpy(force=True), atol=1e-10)
    x = linalg.lu_solve(packed, pivots, b.mT, left=False)
    np.testing.assert_allclose((x @ a).numpy(force=True), b.mT.numpy(force=True), atol=1e-10)


def test_low_rank():
    fd.manual_seed(0)
    a = fd.randn(40, 3) @ fd.randn(3, 20)
    u, s, v = fd.svd_lowrank(a, q=5)
    np.testing.assert_allclose(((u * s) @ v.mT).numpy(force=True), a.numpy(force=True), atol=1e-3)
    np.testing.assert_allclose(s[:3].numpy(force=True), linalg.svdvals(a)[:3].numpy(force=True), rtol=1e-3)
    assert fd.pca_lowrank(a)[2].shape == (20, 6)


def test_stft_is_numpys():
    x = fd.tensor(np.random.default_rng(0).standard_normal(50), requires_grad=True)
    window = fd.hann_window(16, dtype=fd.float64)
    got = fd.stft(x, 16, 4, window=window, center=False)
    frames = np.lib.stride_tricks.sliding_window_view(x.detach().numpy(force=True), 16)[::4] * window.numpy(force=True)
    spectrum = np.fft.rfft(frames).T
    np.testing.assert_allclose(got.detach().numpy(force=True), np.stack([spectrum.real, spectrum.imag], -1), atol=1e-12)
    assert fd.autograd.gradcheck(lambda x: fd.stft(x, 8, 4, normalized=True), x)


@pytest.mark.compare
@pytest.mark.filterwarnings("ignore")
def test_windows_and_stft_as_in_torch(torch):
    for name in ("hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window"):
        for n, periodic in ((0, True), (1, True), (2, True), (9, True), (9, False)):
            ours, theirs = getattr(fd, name)(n, periodic), getattr(torch, name)(n, periodic)
            np.testing.assert_allclose(
                ours.numpy(force=True), theirs.numpy(force=True), atol=2e-6, err_msg=f"{name}({n}, {periodic})"
            )
    x = np.random.default_rng(0).standard_normal((2, 60))
    for options in (
        {},
        {"hop_length": 5, "win_length": 12},
        {"onesided": False},
        {"pad_mode": "constant"},
        {"normalized": True},
    ):
        theirs = torch.stft(torch.tensor(x), 16, return_complex=True, **options)
        ours = fd.stft(fd.tensor(x), 16, return_complex=True, **options)
        np.testing.assert_allclose(ours.numpy(force=True), theirs.numpy(force=True), atol=1e-10)
        pairs = fd.stft(fd.tensor(x), 16, **options)
        np.testing.assert_allclose(pairs.numpy(force=True), torch.view_as_real(theirs).numpy(force=True), atol=1e-10)
        if "pad_mode" not in options:
            window = np.hanning(options.get("win_length", 16) + 2)[1:-1]
            back = fd.istft(ours, 16, window=fd.tensor(window), **options)
            expected = torch.istft(theirs, 16, window=torch.tensor(window), **options)
            np.testing.assert_allclose(back.numpy(force=True), expected.numpy(force=True), atol=1e-10)
    z = x + 1j * x[:, ::-1]
    ours, theirs = fd.stft(fd.tensor(z), 16, return_complex=True), torch.stft(torch.tensor(z), 16, return_complex=True)
    np.testing.assert_allclose(ours.numpy(force=True), theirs.numpy(force=True), atol=1e-10)
    back, expected = (
        library.istft(spectrum, 16, window=library.ones(16, dtype=library.float64), onesided=False, return_complex=True)
        for library, spectrum in ((fd, ours), (torch, theirs))
    )
    np.testing.assert_allclose(back.numpy(force=True), expected.numpy(force=True), atol=1e-10)


# --- distributions ---


def moments(t):
    t = t.double()
    return t.mean().item(), t.var().item()


def test_distributions():
    fd.manual_seed(1)
    n = 200_000
    for make, mean, var in (
        (lambda: fd.empty(n).exponential_(2.0), 0.5, 0.25),
        (lambda: fd.empty(n).geometric_(0.25), 4.0, 12.0),
        (lambda: fd.empty(n).log_normal_(0.0, 0.5), math.exp(0.125), (math.exp(0.25) - 1) * math.exp(0.25)),
        (lambda: fd.empty(n).bernoulli_(0.3), 0.3, 0.21),
        (lambda: fd.poisson(fd.full((n,), 3.5)), 3.5, 3.5),
        (lambda: fd.binomial(fd.full((n,), 10.0), fd.full((n,), 0.4)), 4.0, 2.4),
        (lambda: fd.empty(n, dtype=fd.int64).random_(10), 4.5, 8.25),
        (lambda: fd.normal(fd.full((n,), 2.0), fd.full((1,), 3.0)), 2.0, 9.0),
    ):
        t = make()
        m, v = moments(t)
        assert abs(m - mean) <= 6 * math.sqrt(var / n), (m, mean)
        assert abs(v - var) <= 0.08 * var, (v, var)
    t = fd.empty(n).cauchy_(1.0, 2.0)
    assert abs(t.median().item() - 1.0) < 0.05
    assert abs(t.quantile(0.75).item() - 3.0) < 0.1
    assert (fd.empty(n).exponential_() >= 0).all()


def test_multinomial():
    fd.manual_seed(2)
    weights = fd.tensor([0.0, 1.0, 3.0, 0.0, 6.0])
    counts = fd.bincount(fd.multinomial(weights, 100_000, replacement=True), minlength=5).float() / 100_000
    np.testing.assert_allclose(counts.numpy(force=True), [0, 0.1, 0.3, 0, 0.6], atol=0.01)
    rows = fd.multinomial(fd.ones(7, 9), 9)
    assert rows.sort(1).values.tolist() == [list(range(9))] * 7
    first = fd.multinomial(weights.expand(20_000, 5), 2)[:, 0]
    np.testing.assert_allclose(
        (fd.bincount(first, minlength=5) / 20_000).numpy(force=True), [0, 0.1, 0.3, 0, 0.6], atol=0.02
    )
    with pytest.raises(fd.ValueError, match="fewer than 4"):
        fd.multinomial(weights, 4)


def test_seeds_decide_draws():
    for draw in (
        lambda g: fd.empty(5).exponential_(generator=g),
        lambda g: fd.poisson(fd.full((5,), 100.0), g),
        lambda g: fd.multinomial(fd.ones(50), 5, generator=g),
        lambda g: fd.empty(5).cauchy_(generator=g),
    ):
        g = fd.Generator().manual_seed(7)
        a, b = draw(g), draw(g)
        assert fd.equal(a, draw(fd.Generator().manual_seed(7)))
        assert not fd.equal(a, b)


# --- printing ---


def test_printing_options():
    t = fd.tensor([1.23456, 1000.0])
    with fd.printoptions(precision=2):
        assert repr(fd.tensor([1.23456])) == "tensor([1.23])"
    with fd.printoptions(sci_mode=True):
        assert repr(t) == "tensor([1.2346e+00, 1.0000e+03])"
    with fd.printoptions(sci_mode=False):
        assert repr(t) == "tensor([1.2346, 1000.0000])"
    with fd.printoptions(threshold=5, edgeitems=1):
        assert repr(fd.arange(9)) == "tensor([0, ..., 8])"
    before = fd.get_printoptions()
    fd.set_printoptions(profile="full")
    assert "..." not in repr(fd.arange(2000))
    fd.set_printoptions(profile="default")
    assert fd.get_printoptions() == before


@pytest.mark.parametrize("name", ["empty", "ones", "zeros"])
def test_new_tensors_are_where_the_old_one_is(name):
    for device in {"cpu", str(fd.get_default_device())}:
        assert getattr(fd.zeros(1, device=device), f"new_{name}")(2).device == fd.device(device)
