"""Names of PyTorch outside the op table, compared with PyTorch: what they return, and what their gradients are."""

import numpy as np
import pytest

import fastdl as fd

RNG = np.random.default_rng(0)
compare = pytest.mark.compare


def array(t):
    return t.detach().numpy()


def same(ours, theirs, tolerance=1e-9):
    ours, theirs = ([x] if hasattr(x, "shape") else list(x) for x in (ours, theirs))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        if not hasattr(a, "shape"):
            same(a, b, tolerance)
            continue
        assert a.dtype.name == str(b.dtype).split(".")[1]
        np.testing.assert_allclose(array(a), array(b), rtol=tolerance, atol=tolerance)


def matrix(*shape):
    return RNG.standard_normal(shape)


def symmetric(*shape):
    a = RNG.standard_normal(shape)
    return a + np.swapaxes(a, -1, -2)


# Each: a function of the library and tensors, and the tensors' arrays; floating ones get gradients where there are any.
CASES = {
    "channel_shuffle": (lambda t, x: t.channel_shuffle(x, 2), matrix(2, 4, 3)),
    "conv3d": (lambda t, x, w: t.conv3d(x, w, padding=1), matrix(1, 2, 3, 4, 3), matrix(3, 2, 2, 2, 2)),
    "conv_transpose3d": (lambda t, x, w: t.conv_transpose3d(x, w, stride=2), matrix(1, 2, 3, 2, 3), matrix(2, 3, 2, 2, 2)),
    "pdist": (lambda t, x: t.pdist(x), matrix(4, 3)),
    "pdist 1": (lambda t, x: t.pdist(x, 1.0), matrix(4, 3)),
    "celu_": (lambda t, x: t.celu_(x * 1), matrix(7)),
    "selu_": (lambda t, x: t.selu_(x * 1), matrix(7)),
    "threshold_": (lambda t, x: t.threshold_(x * 1, 0.1, 2.0), matrix(7)),
    "rrelu_": (lambda t, x: t.rrelu_(x * 1), matrix(7)),
    "hardshrink": (lambda t, x: x.hardshrink(0.3), matrix(7)),
    "polygamma_": (lambda t, x: (x * 1).polygamma_(1), np.abs(matrix(7)) + 0.5),
    "as_strided_scatter": (
        lambda t, x, s: t.as_strided_scatter(x.detach(), s.detach(), (2, 2), (5, 1), 1), matrix(3, 5), matrix(2, 2)
    ),
    "range": (lambda t: t.range(1, 4, 0.5),),
    "lu": (lambda t, x: t.lu(x), matrix(2, 4, 4)),
    "lu infos": (lambda t, x: t.lu(x, get_infos=True), matrix(3, 3)),
    "lu_factor_ex": (lambda t, x: t.linalg.lu_factor_ex(x.detach()), np.array([[1.0, 2.0], [2.0, 4.0]])),
    "geqrf": (lambda t, x: t.geqrf(x.detach()), matrix(2, 5, 3)),
    "orgqr": (lambda t, x, tau: t.orgqr(x, tau), matrix(5, 3), np.abs(matrix(3))),
    "ormqr": (lambda t, x, tau, y: t.ormqr(x.detach(), tau.detach(), y), matrix(5, 3), np.abs(matrix(3)), matrix(5, 2)),
    "ormqr transposed": (
        lambda t, x, tau, y: t.ormqr(x.detach(), tau.detach(), y, transpose=True), matrix(5, 3), np.abs(matrix(3)), matrix(5, 2)
    ),
    "ormqr right": (
        lambda t, x, tau, y: x.detach().ormqr(tau.detach(), y, left=False), matrix(5, 3), np.abs(matrix(3)), matrix(2, 5)
    ),
    "ldl_factor": (lambda t, x: t.linalg.ldl_factor(x.detach()), symmetric(3, 5, 5)),
    "ldl_factor of zeros": (lambda t, x: t.linalg.ldl_factor_ex(x.detach()), np.zeros((3, 3))),
    "ldl_solve": (
        lambda t, x, b: t.linalg.ldl_solve(*t.linalg.ldl_factor(x.detach()), b.detach()), symmetric(3, 6, 6), matrix(3, 6, 2)
    ),
    "histogramdd": (lambda t, x: t.histogramdd(x.detach(), [3, 4]), matrix(30, 2)),
    "histogramdd edges": (
        lambda t, x, w: t.histogramdd(
            x.detach(), [t.tensor([-1.0, 0.0, 2.0]).double(), t.tensor([-2.0, 2.0]).double()], weight=w.detach(), density=True
        ),
        matrix(30, 2), np.abs(matrix(30)),
    ),
    "nonzero_static": (lambda t, x: t.nonzero_static(x, size=4), np.array([0, 3, 0, 2])),
    "segment_reduce mean": (
        lambda t, x: t.segment_reduce(x, "mean", lengths=t.tensor([2, 0, 4])), matrix(6, 2)
    ),
    "segment_reduce initial": (
        lambda t, x: t.segment_reduce(x, "max", lengths=t.tensor([2, 0, 4]), initial=0.5), matrix(6)
    ),
    "view as int": (lambda t, x: x.detach().view(t.int32), matrix(3, 2)),
    "view as wider": (lambda t, x: x.view(t.int64), np.arange(8, dtype=np.int32).reshape(2, 4)),
    "resize_": (lambda t, x: x.detach().clone().resize_(2, 2), matrix(5)),
    "resize_as_": (lambda t, x, y: x.detach().clone().resize_as_(y), matrix(2, 3), matrix(3, 2)),
    "as_strided_": (lambda t, x: x.detach().clone().as_strided_((2, 2), (1, 2)), matrix(6)),
    "apply_": (lambda t, x: x.detach().clone().apply_(lambda v: v * 2 + 1), matrix(2, 3)),
    "map_": (lambda t, x, y: x.detach().clone().map_(y.detach(), lambda a, b: a * b), matrix(2, 3), matrix(2, 3)),
    "unsafe_split": (lambda t, x: x.unsafe_split(2, 1), matrix(3, 5)),
    "unsafe_chunk": (lambda t, x: t.unsafe_chunk(x, 2), matrix(3, 5)),
    "frombuffer": (lambda t: t.frombuffer(bytearray(range(16)), dtype=t.int32, count=2, offset=4),),
    "size by name": (lambda t: t.zeros(size=(2, 3)),),
    "LongTensor": (lambda t: t.LongTensor([[1, 2], [3, 4]]),),
    "FloatTensor of sizes": (lambda t: t.FloatTensor(2, 3).fill_(1.5),),
    "type": (lambda t, x: x.detach().type(t.FloatTensor), matrix(2)),
    "zeros_like": (
        lambda t, x: t.zeros_like(x, memory_format=t.contiguous_format), matrix(2, 3)
    ),
    "Variable": (lambda t, x: t.autograd.Variable(x, requires_grad=True).detach() * 2, matrix(2)),
}  # fmt: skip


def run(library, function, arrays):
    tensors = [library.tensor(a) for a in arrays]
    leaves = [x.requires_grad_() for x in tensors if x.is_floating_point()]
    out = function(library, *tensors)
    outs = [o for o in (out if isinstance(out, (tuple, list)) else [out]) if hasattr(o, "requires_grad")]
    recorded = [o for o in outs if o.requires_grad]
    if not recorded:
        return out, []
    total = sum((o * library.arange(1.0, o.numel() + 1, dtype=o.dtype).reshape(o.shape).cos()).sum() for o in recorded)
    return out, [g for g in library.autograd.grad(total, leaves, allow_unused=True) if g is not None]


@compare
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_as_in_torch(name, torch):
    function, *arrays = CASES[name]
    ours, our_gradients = run(fd, function, arrays)
    theirs, their_gradients = run(torch, function, arrays)
    same(ours, theirs)
    same(our_gradients, their_gradients)


@compare
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("onesided", [True, False])
@pytest.mark.parametrize("length", [None, 50])
def test_istft(torch, center, onesided, length):
    x, window = matrix(2, 60), np.hanning(14)[1:-1]
    parts = {}
    for t in (torch, fd):
        signal, w = t.tensor(x), t.tensor(window)
        options = {"hop_length": 3, "win_length": 12, "window": w, "center": center}
        options |= {"onesided": onesided, "normalized": True}
        spectrum = t.stft(signal, 16, **options, return_complex=t is torch)
        if t is torch:
            spectrum = torch.view_as_real(spectrum)
        # Not the spectrum of any signal.
        spectrum = (spectrum * t.tensor(np.cos(np.arange(spectrum.numel())).reshape(spectrum.shape))).requires_grad_()
        if not center:
            options["window"] = t.ones(12, dtype=t.float64)
            options["win_length"] = 12
            with pytest.raises((RuntimeError, ValueError)):  # the first samples have no window
                t.istft(torch.view_as_complex(spectrum) if t is torch else spectrum, 16, **options)
            return
        y = t.istft(torch.view_as_complex(spectrum) if t is torch else spectrum, 16, length=length, **options)
        (g,) = t.autograd.grad((y * y).sum(), spectrum)
        parts[t] = (array(y), array(g))
    for a, b in zip(parts[fd], parts[torch]):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_istft_gradient():
    x = fd.tensor(matrix(5, 4, 2), requires_grad=True)
    assert fd.autograd.gradcheck(lambda x: fd.istft(x, 8, 2, window=fd.hann_window(8, dtype=fd.float64)), x)
    for shape, error in (((5, 4), fd.ShapeError), ((6, 4, 2), fd.ShapeError)):
        with pytest.raises(error, match="istft"):
            fd.istft(fd.ones(shape), 8)


@compare
def test_special_functions(torch):
    """All digits of float64 against SciPy, where it is installed; the edges as in PyTorch."""
    scipy = pytest.importorskip("scipy.special")
    x = np.concatenate([np.linspace(-60, 60, 1201), [1e-8, 1e-3, 24.999, 25.0, 2.0, 700.0]])
    for name, reference in {
        "airy_ai": lambda x: scipy.airy(x)[0],
        "bessel_j0": scipy.j0, "bessel_j1": scipy.j1, "bessel_y0": scipy.y0, "bessel_y1": scipy.y1,
        "modified_bessel_k0": scipy.k0, "modified_bessel_k1": scipy.k1,
        "scaled_modified_bessel_k0": scipy.k0e, "scaled_modified_bessel_k1": scipy.k1e,
        "spherical_bessel_j0": lambda x: scipy.spherical_jn(0, np.abs(x)),
    }.items():  # fmt: skip
        ours, expected = array(getattr(fd.special, name)(fd.tensor(x))), reference(x)
        expected = np.where((x < 0) & np.isinf(expected), np.nan, expected) if "_k" in name else expected
        np.testing.assert_allclose(ours, expected, rtol=3e-14, atol=3e-14, err_msg=name)
        edges = [0.0, -1.0, np.inf, np.nan]
        theirs = array(getattr(torch.special, name)(torch.tensor(edges[:2], dtype=torch.float64)))
        ours = array(getattr(fd.special, name)(fd.tensor(edges, dtype=fd.float64)))
        np.testing.assert_allclose(ours[:2], theirs, rtol=1e-12, atol=1e-12, err_msg=name)
        assert ours[2] == 0 and np.isnan(ours[3]), name


@compare
@pytest.mark.parametrize("kind", ["t", "u", "v", "w"])
def test_polynomials(torch, kind):
    x, n = np.linspace(-1.5, 1.5, 13)[:, None], np.arange(-1, 9)
    others = {
        "t": "hermite_polynomial_h",
        "u": "hermite_polynomial_he",
        "v": "laguerre_polynomial_l",
        "w": "legendre_polynomial_p",
    }
    for name in (f"chebyshev_polynomial_{kind}", f"shifted_chebyshev_polynomial_{kind}", others[kind]):
        ours, theirs = (getattr(t.special, name)(t.tensor(x), t.tensor(n)) for t in (fd, torch))
        np.testing.assert_allclose(array(ours), array(theirs), rtol=1e-10, atol=1e-10, err_msg=name)


def test_as_strided_scatter_gradient():
    """PyTorch's gives the input the gradient of the places that are replaced."""
    x, source = (fd.tensor(matrix(*s), requires_grad=True) for s in ((3, 5), (2, 2)))
    assert fd.autograd.gradcheck(lambda x, s: fd.as_strided_scatter(x, s, (2, 2), (5, 1), 1), (x, source))
    with pytest.raises(fd.ShapeError, match=r"src \[2, 2\], expected \[2, 3\]"):
        fd.as_strided_scatter(x, source, (2, 3), (5, 1))


def test_ldl_solve_gradient():
    factors = fd.linalg.ldl_factor(fd.tensor(symmetric(4, 4)))
    b = fd.tensor(matrix(4, 2), requires_grad=True)
    assert fd.autograd.gradcheck(lambda b: fd.linalg.ldl_solve(*factors, b), b)


def test_lobpcg():
    a = symmetric(2, 9, 9)
    b = matrix(9, 9)
    b = b @ b.T + 9 * np.eye(9)
    values = np.linalg.eigvalsh(a)
    for largest, expected in ((True, values[:, ::-1]), (False, values)):
        found, vectors = fd.lobpcg(fd.tensor(a), k=3, largest=largest)
        np.testing.assert_allclose(array(found), expected[:, :3], atol=1e-9)
        np.testing.assert_allclose(a @ array(vectors), array(vectors) * array(found)[:, None], atol=1e-9)
    found, vectors = (array(t) for t in fd.lobpcg(fd.tensor(a[0]), k=2, B=fd.tensor(b)))
    np.testing.assert_allclose(a[0] @ vectors, b @ vectors * found, atol=1e-9)
    with pytest.raises(fd.ValueError, match="k 4"):
        fd.lobpcg(fd.tensor(a), k=4)


# --- tensors and memory ---


def test_shapes_are_sizes():
    shape = fd.zeros(2, 3, 4).shape
    assert isinstance(shape, fd.Size) and isinstance(shape, tuple) and shape == (2, 3, 4)
    assert shape.numel() == 24 and shape[1:].numel() == 12 and (shape[:1] + (5,)).numel() == 10
    assert fd.Size([]).numel() == 1 and fd.Size([2, 0]).numel() == 0 and repr(shape) == "(2, 3, 4)"
    assert hash(shape) == hash((2, 3, 4)) and fd.Tensor(shape).shape == shape


def test_storages():
    x = fd.arange(6.0).reshape(2, 3)
    view = x[1, 1:]
    assert view.storage().tolist() == [0, 1, 2, 3, 4, 5] and view.storage().size() == 6
    assert view.untyped_storage().nbytes() == 24 and view.untyped_storage().data_ptr() == x.data_ptr()
    assert view.untyped_storage() == x.untyped_storage() and fd.is_storage(x.storage()) and not fd.is_storage(x)
    x.storage()[0] = 7
    assert x[0, 0].item() == 7
    y = fd.empty(0).set_(x.storage(), 1, (2, 2), (3, 1))
    assert y.tolist() == [[1, 2], [4, 5]] and not y.is_set_to(x) and x.is_set_to(x.view(2, 3))
    with pytest.raises(fd.DTypeError, match="set_"):
        fd.empty(0, dtype=fd.int64).set_(x)
    with pytest.raises(fd.Error, match="requires a gradient"):
        fd.ones(2, requires_grad=True).resize_(3)


def test_shared_memory_is_seen_by_a_fork():
    import multiprocessing

    x = fd.arange(4.0)
    view = x.share_memory_()
    assert view is x and x.is_shared() and x[1:].is_shared() and not fd.ones(2).is_shared()
    process = multiprocessing.get_context("fork").Process(target=lambda: x.fill_(5.0))
    process.start()
    process.join(60)
    assert x.tolist() == [5.0] * 4


def test_views_of_other_dtypes_are_checked():
    x = fd.zeros(2, 6)
    for make, message in (
        (lambda: x[:, ::2].view(fd.int64), "side by side"),
        (lambda: fd.zeros(3).view(fd.int64), "whole elements"),
        (lambda: fd.zeros(3)[1:].view(fd.int64), "aligned"),
        (lambda: fd.tensor(1.0).view(fd.int64), "0-d"),
    ):
        with pytest.raises(fd.ShapeError, match=message):
            make()


def test_files_and_buffers(tmp_path):
    path = tmp_path / "numbers"
    shared = fd.from_file(path, shared=True, size=3, dtype=fd.float64)
    shared.copy_(fd.tensor([1.0, 2.0, 3.0]))
    private = fd.from_file(path, size=2, dtype=fd.float64)
    private.zero_()
    assert fd.from_file(path, size=3, dtype=fd.float64).tolist() == [1, 2, 3]
    with pytest.raises(fd.ValueError, match="24 bytes"):
        fd.from_file(path, size=4, dtype=fd.float64)
    for arguments, message in (
        ({"count": 5}, "need 20 bytes"),
        ({"offset": 9}, "offset 9"),
        ({"offset": 1}, "whole number"),
    ):
        with pytest.raises(fd.ValueError, match=message):
            fd.frombuffer(bytearray(8), dtype=fd.int32, **arguments)
    assert fd.from_dlpack(fd.to_dlpack(fd.ones(2))).tolist() == [1, 1]


def test_flags():
    x = fd.ones(2, 3, requires_grad=True)
    y = x * 2
    assert not y.retains_grad
    y.retain_grad()
    assert y.retains_grad and y.grad_dtype is fd.float32
    assert x.T.dim_order() == (1, 0) and x.pin_memory() is x and not x.is_pinned()
    assert not (x.is_meta or x.is_mps or x.is_xla or x.is_inference() or x.is_neg()) and x.to_dense() is x
    assert fd.typename(x) == "fastdl.float32" and fd.get_float32_matmul_precision() == "highest"
    assert fd.empty_permuted((2, 3, 4), (0, 2, 1)).stride() == (12, 1, 3)
    assert fd.zeros_like(fd.ones(2, 3, 4, 5), memory_format=fd.channels_last).is_contiguous(
        memory_format=fd.channels_last
    )
    assert isinstance(fd.tensor([1]), fd.LongTensor) and not isinstance(x, fd.LongTensor)
    fd.set_default_tensor_type(fd.DoubleTensor)
    try:
        assert fd.ones(1).dtype is fd.float64
    finally:
        fd.set_default_tensor_type("torch.FloatTensor")


# --- gradients ---


def test_anomalies_are_named():
    x = fd.zeros(3, requires_grad=True)
    with fd.autograd.detect_anomaly(), pytest.raises(fd.Error, match=r"backward: sqrt gives NaN .* input 0"):
        (x.sqrt() * 0.0).sum().backward()
    (x.sqrt() * 0.0).sum().backward()
    assert x.grad.isnan().all()
    fd.autograd.set_detect_anomaly(True)
    with pytest.raises(fd.Error, match="sqrt"):
        (x.sqrt() * 0.0).sum().backward()
    with fd.autograd.set_detect_anomaly(False):
        (x.sqrt() * 0.0).sum().backward()
    fd.autograd.set_detect_anomaly(False)


def test_backward_into_some_inputs():
    x, y = fd.ones(2, requires_grad=True), fd.ones(2, requires_grad=True)
    fd.autograd.backward((x * y).sum(), inputs=[x])
    assert x.grad.tolist() == [1, 1] and y.grad is None


def test_checkpoints():
    """The same gradients from less memory, dropout included; in place changes are found."""
    from fastdl.utils.checkpoint import checkpoint, checkpoint_sequential

    net = fd.nn.Sequential(fd.nn.Linear(4, 8), fd.nn.ReLU(), fd.nn.Dropout(0.5), fd.nn.Linear(8, 4))
    x = fd.randn(3, 4, requires_grad=True)
    results = []
    for run in (net, lambda x: checkpoint(net, x, use_reentrant=False), lambda x: checkpoint_sequential(net, 2, x)):
        net.zero_grad()
        x.grad = None
        fd.manual_seed(3)
        (run(x) ** 2).sum().backward()
        results.append([g.grad.tolist() for g in (x, *net.parameters())])
    assert results[0] == results[1] == results[2]
    y = x * 1
    out = checkpoint(net, y)
    y.detach().zero_()
    with pytest.raises(fd.VersionError, match="checkpoint"):
        out.sum().backward()


@pytest.mark.parametrize("name", ["plain", "checkpointed"])
def test_checkpoints_with_grad(name):
    """`autograd.grad` finds parameters, tensors that the function closes over, and inputs; .grad stays untouched."""
    from fastdl.utils.checkpoint import checkpoint

    fd.manual_seed(0)
    net, scale = fd.nn.Linear(3, 3).double(), fd.ones(3, dtype=fd.float64, requires_grad=True)
    function = lambda x: (net(x) * scale).sin()
    x = fd.randn(2, 3, dtype=fd.float64, requires_grad=True)
    wanted = (x, scale, *net.parameters())
    expected = fd.autograd.grad(function(x).sum(), wanted)
    y = checkpoint(function, x * 1) if name == "checkpointed" else function(x * 1)
    seen = []
    handle = net.weight.register_hook(lambda g: seen.append(g))
    found = fd.autograd.grad(y.sum(), wanted)
    assert all(fd.allclose(a, b) for a, b in zip(found, expected)) and all(t.grad is None for t in wanted)
    handle.remove()
    nested = checkpoint(lambda x: checkpoint(function, x), x)
    assert all(fd.allclose(a, b) for a, b in zip(fd.autograd.grad(nested.sum(), wanted), expected))
    if name == "checkpointed":
        (g,) = fd.autograd.grad(checkpoint(function, x).sum(), x, create_graph=False)
        assert fd.allclose(g, expected[0])
        with pytest.raises(fd.Error, match="create_graph"):
            fd.autograd.grad(checkpoint(function, x).sum(), x, create_graph=True)
    with fd.no_grad():
        assert not checkpoint(function, x).requires_grad


def test_imports_as_in_torch():
    from fastdl.utils.data import DataLoader, Dataset

    from fastdl.nn.utils.prune import l1_unstructured  # noqa: F401
    from fastdl.utils.checkpoint import checkpoint  # noqa: F401

    assert DataLoader is fd.data.DataLoader and Dataset is fd.utils.data.Dataset
