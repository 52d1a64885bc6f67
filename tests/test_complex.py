"""Complex tensors: values and gradients against PyTorch's, what NumPy shares, what has no meaning, and training."""

import copy
import pickle

import numpy as np
import pytest

import fastdl as fd
from fastdl import nn

RNG = np.random.default_rng(5)


def numbers(*shape, dtype=np.complex128):
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


A, B = numbers(3, 4), numbers(3, 4)
REAL = RNG.normal(size=(3, 4))
SQUARE, WIDE = numbers(2, 4, 4), numbers(2, 4, 5)

# (name, function of the library and tensors, arrays): run on both libraries
CASES = [
    ("add", lambda t, a, b: a + b, A, B),
    ("add real", lambda t, a, b: a + b, A, REAL),
    ("add alpha", lambda t, a, b: t.add(a, b, alpha=2), A, B),
    ("sub number", lambda t, a: 1 - a - 2j, A),
    ("mul", lambda t, a, b: a * b, A, B),
    ("mul real", lambda t, a, b: b * a, A, REAL),
    ("mul broadcast", lambda t, a, b: a * b, A, numbers(4)),
    ("real times number", lambda t, a: a * (1 + 2j), REAL),
    ("div", lambda t, a, b: a / b, A, B),
    ("div by real", lambda t, a, b: a / b, A, REAL),
    ("real by complex", lambda t, a, b: b / a, A, REAL),
    ("number by complex", lambda t, a: 2 / a, A),
    ("square", lambda t, a: a**2, A),
    ("power -3", lambda t, a: a**-3, A),
    ("power 0.5", lambda t, a: a**0.5, A),
    ("power 1.3", lambda t, a: a**1.3, A),
    ("power complex", lambda t, a, b: a**b, A, B),
    ("number to a power", lambda t, a: 2.0**a, A),
    ("neg", lambda t, a: -a, A),
    ("abs", lambda t, a: a.abs(), A),
    ("abs of zero", lambda t, a: (a - a.detach()).abs(), A),
    ("angle", lambda t, a: a.angle(), A),
    ("angle function", lambda t, a: t.angle(a), A),
    ("conj", lambda t, a: t.conj(a), A),
    ("sgn", lambda t, a: t.sgn(a), A),
    ("real", lambda t, a: a.real, A),
    ("imag", lambda t, a: t.imag(a), A),
    ("exp", lambda t, a: a.exp(), A),
    ("log", lambda t, a: t.log(a), A),
    ("expm1", lambda t, a: t.expm1(a), A),
    ("log1p", lambda t, a: t.log1p(a), A),
    ("addmv", lambda t, a, b, c: t.addmv(c, a, b, alpha=0.5), A, B[0], A[:, 0].copy()),
    ("log10", lambda t, a: t.log10(a), A),
    ("sqrt", lambda t, a: a.sqrt(), A),
    ("rsqrt", lambda t, a: a.rsqrt(), A),
    ("reciprocal", lambda t, a: a.reciprocal(), A),
    ("sin", lambda t, a: a.sin(), A),
    ("cos", lambda t, a: a.cos(), A),
    ("tan", lambda t, a: a.tan(), A),
    ("sinh", lambda t, a: a.sinh(), A),
    ("cosh", lambda t, a: a.cosh(), A),
    ("tanh", lambda t, a: a.tanh(), A),
    ("sigmoid", lambda t, a: t.sigmoid(a), A),
    ("matmul", lambda t, a, b: a @ b, SQUARE, WIDE),
    ("matmul real", lambda t, a, b: a @ b.to(t.complex128), SQUARE, RNG.normal(size=(2, 4, 5))),
    ("matmul broadcast", lambda t, a, b: t.matmul(a, b), SQUARE, WIDE[0]),
    ("matmul vector", lambda t, a, b: a @ b, SQUARE, numbers(4)),
    ("vector matmul", lambda t, a, b: a @ b, numbers(4), WIDE),
    ("dot", lambda t, a, b: t.dot(a, b), A[0], B[0]),
    ("vdot", lambda t, a, b: t.vdot(a, b), A[0], B[0]),
    ("mm", lambda t, a, b: t.mm(a, b.T), A, B),
    ("bmm", lambda t, a, b: t.bmm(a, b), SQUARE, WIDE),
    ("outer", lambda t, a, b: t.outer(a, b), A[0], B[1]),
    ("einsum", lambda t, a, b: t.einsum("bixy,ioxy->boxy", a, b), numbers(2, 3, 2, 3), numbers(3, 4, 2, 3)),
    ("einsum trace", lambda t, a: t.einsum("bii->b", a), SQUARE),
    ("einsum real", lambda t, a, b: t.einsum("ij,kj->ik", a, b), A, B),
    ("kron", lambda t, a, b: t.kron(a, b), A[:2, :2], B[:1]),
    ("sum", lambda t, a: a.sum(), A),
    ("sum dim", lambda t, a: a.sum(-1, keepdim=True), A),
    ("mean", lambda t, a: a.mean(dim=(0, 1)), A),
    ("prod", lambda t, a: a.prod(1), A),
    ("cumsum", lambda t, a: a.cumsum(-1), A),
    ("var", lambda t, a: a.var(1), A),
    ("std", lambda t, a: a.std(), A),
    ("norm", lambda t, a: t.linalg.vector_norm(a, dim=1), A),
    ("getitem", lambda t, a: a[1:, ..., None, 2], A),
    ("getitem list", lambda t, a: a[[0, 2], :3], A),
    ("getitem mask", lambda t, a, b: a[b.detach() > 0], A, REAL),
    ("reshape", lambda t, a: a.reshape(2, -1), A),
    ("view", lambda t, a: a.view(12).view(-1, 3), A),
    ("permute", lambda t, a: a.permute(-1, 0), A),
    ("transpose", lambda t, a: a.transpose(-2, -1).T.mT, A),
    ("adjoint", lambda t, a: a.mH @ t.adjoint(a).H, SQUARE[0]),
    ("flatten", lambda t, a: a.flatten(-2), SQUARE),
    ("unflatten", lambda t, a: a.unflatten(-1, (2, 2)), A),
    ("expand", lambda t, a: a[:, None].expand(-1, 2, -1), A),
    ("repeat", lambda t, a: a.repeat(2, 1, 2), A),
    ("tile", lambda t, a: t.tile(a, (2,)), A),
    ("roll", lambda t, a: t.roll(a, (1, 2), (0, -1)), A),
    ("roll all", lambda t, a: t.roll(a, 1), A),
    ("flip", lambda t, a: t.flip(a, (-1,)), A),
    ("squeeze", lambda t, a: a.unsqueeze(-1).unsqueeze(0).squeeze(), A),
    ("squeeze dim", lambda t, a: a.unsqueeze(-1).squeeze(-1), A),
    ("split", lambda t, a: t.cat(a.split(3, -1)[::-1], -1), A),
    ("chunk", lambda t, a: t.stack(a.chunk(2, 1), -1), A),
    ("unbind", lambda t, a: t.stack(t.unbind(a, -1)), A),
    ("stack real", lambda t, a, b: t.stack([a, b.to(t.complex128)], -2), A, REAL),
    ("movedim", lambda t, a: a.movedim(0, -1), SQUARE),
    ("diagonal", lambda t, a: a.diagonal(1, -2, -1), SQUARE),
    ("triu", lambda t, a: a.triu(1) + a.tril(), SQUARE),
    ("unfold", lambda t, a: a.unfold(-1, 2, 2), A),
    ("pad", lambda t, a: t.nn.functional.pad(a, (1, 2)), A),
    ("pad reflect", lambda t, a: t.nn.functional.pad(a, (1, 2), mode="reflect"), A),
    ("where", lambda t, a, b: t.where(a.real > 0, a, b), A, B),
    ("where number", lambda t, a: t.where(a.detach().real > 0, a, 0.0), A),
    ("masked_fill", lambda t, a: a.masked_fill(a.detach().imag > 0, 1 + 1j), A),
    ("index_select", lambda t, a: a.index_select(-1, t.tensor([2, 0])), A),
    ("index_add", lambda t, a, b: a.index_add(-1, t.tensor([2, 0]), b), A, B[:, :2].copy()),
    ("index_put", lambda t, a, b: a.index_put((t.tensor([2, 0]),), b), A, B[:2].copy()),
    ("scatter", lambda t, a, b: a.scatter(-1, t.tensor([[2], [1], [3]]), b), A, B[:, :1].copy()),
    ("gather", lambda t, a: a.gather(-1, t.tensor([[2, 0], [1, 1], [3, 3]])), A),
    ("complex", lambda t, a, b: t.complex(a, b), REAL, REAL[::-1].copy()),
    ("polar", lambda t, a, b: t.polar(a, b), abs(REAL), REAL[::-1].copy()),
    ("view_as_real", lambda t, a: t.view_as_real(a) * 2, A),
    ("view_as_complex", lambda t, a: t.view_as_complex(a), RNG.normal(size=(3, 2))),
    ("to complex", lambda t, a: a.to(t.cdouble) * 1j, REAL),
    ("linear", lambda t, a, b: t.nn.functional.linear(a, b), A, B),
    ("addmm", lambda t, a, b, c: t.addmm(c, a, b, beta=0.5, alpha=2), SQUARE[0], WIDE[0], numbers(4, 5)),
]


def run(library, function, arrays, make):
    inputs = [make(a).requires_grad_() for a in arrays]
    out = function(library, *inputs)
    # a loss that weighs every real and imaginary part differently
    parts = library.view_as_real(out.resolve_conj()) if out.is_complex() else out
    weights = make(np.cos(np.arange(max(parts.numel(), 1), dtype=float))[: parts.numel()].reshape(parts.shape))
    (parts * weights).sum().backward()
    return out.detach(), [x.grad for x in inputs]


@pytest.mark.compare
@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_values_and_gradients_are_pytorchs(case):
    torch = pytest.importorskip("torch")
    _, function, *arrays = case
    ours, our_grads = run(fd, function, arrays, fd.tensor)
    theirs, their_grads = run(torch, function, arrays, torch.tensor)
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.numpy(force=True), theirs.numpy(force=True), rtol=1e-9, atol=1e-12)
    for g, expected in zip(our_grads, their_grads):
        assert (g is None) == (expected is None)
        if g is not None:
            np.testing.assert_allclose(g.numpy(force=True), expected.numpy(force=True), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize(
    "function",
    [
        lambda z: (z * z.conj()).real,
        lambda z: (z @ z.mH).abs(),
        lambda z: z.exp().imag + z.sqrt().real,
        lambda z: (1 / z).angle(),
        lambda z: fd.fft.fft(z).abs() + fd.fft.ifft(z, dim=0).imag,
    ],
)
def test_gradients_are_finite_differences(function):
    parts = fd.tensor(RNG.normal(size=(3, 3, 2)), requires_grad=True)
    assert fd.autograd.gradcheck(lambda p: function(fd.view_as_complex(p)), parts)
    assert fd.autograd.gradgradcheck(lambda p: function(fd.view_as_complex(p)), parts)


@pytest.mark.compare
@pytest.mark.parametrize("matrix", [RNG.normal(size=(2, 4, 4)), SQUARE], ids=["real", "complex"])
def test_eigenvalues_are_pytorchs(matrix):
    torch = pytest.importorskip("torch")
    grads = []
    for library in (fd, torch):
        a = library.tensor(matrix, requires_grad=True)
        values, vectors = library.linalg.eig(a)
        # what neither the order nor the vectors' phases change
        (values.exp().sum() * (1 + 2j)).real.backward(retain_graph=True)
        (vectors.abs() ** 3 * values.abs()[..., None, :]).sum().backward()
        grads.append(a.grad.numpy(force=True))
        residual = a.detach().to(values.dtype) @ vectors.detach() - vectors.detach() * values.detach()[..., None, :]
        assert residual.abs().max() < 1e-12
    np.testing.assert_allclose(*grads, rtol=1e-8, atol=1e-9)
    ours = np.sort_complex(fd.linalg.eigvals(fd.tensor(matrix)).numpy(force=True))
    np.testing.assert_allclose(ours, np.sort_complex(np.linalg.eigvals(matrix)), atol=1e-12)


def test_gradients_of_eigenvalues_are_finite_differences():
    a = fd.tensor(RNG.normal(size=(3, 3)), requires_grad=True)
    assert fd.autograd.gradcheck(lambda a: fd.linalg.eigvals(a).abs().sum(), a)
    assert fd.autograd.gradgradcheck(lambda a: fd.linalg.eigvals(a).abs().sum(), a)
    with pytest.raises(fd.ShapeError, match="eig: expected square"):
        fd.linalg.eig(fd.ones(2, 3))
    with pytest.raises(fd.DTypeError, match="eig"):
        fd.linalg.eigvals(fd.ones(2, 2, dtype=fd.int64))


# --- making, promotion, conversion ---


def test_numbers_become_complex64_as_floats_become_float32():
    assert fd.tensor([1 + 2j, 3]).dtype is fd.complex64
    assert fd.tensor(1j).item() == 1j
    assert fd.tensor([[1j], [2.0]]).tolist() == [[1j], [2 + 0j]]
    assert fd.tensor(1j, dtype=fd.complex128).dtype is fd.cdouble
    assert fd.tensor([1.0], dtype=fd.cfloat).tolist() == [1 + 0j]
    assert fd.full((2,), 1j).tolist() == [1j, 1j]
    for array in (A, A.astype(np.complex64), A[:, ::2], A.T):
        np.testing.assert_array_equal(fd.tensor(array).numpy(force=True), array)
        assert fd.tensor(array).dtype.name == array.dtype.name


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_factories(dtype):
    dtype = getattr(fd, dtype)
    for make in (fd.zeros, fd.ones, fd.empty, fd.rand, fd.randn):
        z = make(2, 3, dtype=dtype)
        assert z.dtype is dtype and z.shape == (2, 3) and z.is_complex() and not z.is_floating_point()
        assert z.numel() == 6 and z.ndim == z.dim() == 2 and z.itemsize == dtype.itemsize and z.nbytes == 6 * z.itemsize
    assert fd.ones(2, dtype=dtype).tolist() == [1, 1]
    for make in (fd.zeros_like, fd.ones_like, fd.empty_like, fd.rand_like, fd.randn_like):
        assert make(fd.zeros(2, dtype=dtype)).dtype is dtype
        assert make(fd.zeros(2), dtype=dtype).dtype is dtype
    assert fd.zeros(2, dtype=dtype).new_zeros(3).dtype is dtype
    assert abs(fd.randn(20000, dtype=dtype).abs().square().mean().item() - 1) < 0.05
    u = fd.rand(1000, dtype=dtype)
    assert 0 <= u.real.min() and u.imag.max() < 1 and u.imag.std() > 0.2


def test_promotion():
    z, w = fd.ones(2, dtype=fd.complex64), fd.ones(2, dtype=fd.complex128)
    assert (z + w).dtype is fd.complex128
    assert (z * fd.ones(2, dtype=fd.float64)).dtype is fd.complex128
    assert (z * fd.tensor(1.0, dtype=fd.float64)).dtype is fd.complex64
    assert (z + fd.ones(2, dtype=fd.int64)).dtype is fd.complex64
    assert (fd.ones(2) * 1j).dtype is fd.complex64
    assert (1j * fd.ones(2, dtype=fd.float64)).dtype is fd.complex128
    assert (fd.arange(2) + 1j).dtype is fd.complex64
    assert fd.promote_types(fd.complex64, fd.float64) is fd.complex128
    assert fd.result_type(z, 1.0) is fd.complex64
    assert fd.can_cast(fd.float32, fd.complex64) and not fd.can_cast(fd.complex64, fd.float32)
    for convert in (fd.Tensor.float, fd.Tensor.long, lambda z: z.to(fd.float64), fd.cov):
        with pytest.raises(TypeError, match="imaginary"):  # PyTorch warns, and leaves them out
            convert(z)
    assert z.bool().tolist() == [True, True]
    assert z.to(w).dtype is fd.complex128


def test_memory_is_shared_with_numpy_and_with_parts():
    array = A.copy()
    z = fd.from_numpy(array)
    z[0, 0] = 5j
    assert array[0, 0] == 5j
    z.numpy()[1, 1] = 7
    assert z[1, 1].item() == 7
    z.real[2] = 0.0
    assert (z[2].real == 0).all() and (z[2].imag != 0).all()
    np.testing.assert_array_equal(np.asarray(z.T), array.T)
    assert memoryview(z).shape == (3, 4)
    z.imag = fd.ones(4)
    assert (z.imag == 1).all()
    assert z.view(fd.float64).shape == (3, 8) and z.view(fd.float64).view(fd.complex128).shape == (3, 4)
    parts = fd.view_as_real(z)
    assert parts.shape == (3, 4, 2) and parts.data_ptr() == z.data_ptr()
    assert fd.view_as_complex(parts).data_ptr() == z.data_ptr()
    assert z.stride() == (4, 1) and z[1:].storage_offset() == 4 and z.is_contiguous() and not z.T.is_contiguous()


def test_assignment_and_in_place():
    z = fd.zeros(2, 3, dtype=fd.cfloat)
    z[:, 1] = fd.tensor([1 + 1j, 2.0])
    z[0, 0] = 2
    z[..., -1] = 1j
    assert z.tolist() == [[2, 1 + 1j, 1j], [0, 2, 1j]]
    z += 1
    z *= 2j
    z /= 2
    z -= fd.ones(3)
    assert z.tolist() == [[3j - 1, 2j - 2, 1j - 2], [1j - 1, 3j - 1, 1j - 2]]
    z.copy_(fd.ones(3))
    z.zero_()
    z.fill_(1j)
    assert z.tolist() == [[1j] * 3] * 2
    with pytest.raises(fd.IndexError):
        z[0, 0, 0]
    x = fd.ones(2)
    with pytest.raises(TypeError, match="complex"):
        x += 1j
    with pytest.raises(TypeError):
        x[0] = 1j
    with pytest.raises(TypeError, match="complex"):
        x.copy_(fd.ones(2, dtype=fd.cfloat))
    assert x.tolist() == [1, 1]


def test_comparisons_and_tests():
    z = fd.tensor([1 + 1j, 1, complex("nan")])
    assert (z == fd.tensor([1 + 1j, 1j, 0])).tolist() == [True, False, False]
    assert (z != 1).tolist() == [True, False, True]
    assert z.isnan().tolist() == [False, False, True]
    assert z.isfinite().tolist() == [True, True, False]
    assert fd.isreal(z).tolist() == [False, True, True]
    assert fd.allclose(z[:2], z[:2] + 1e-9) and not fd.allclose(z[:2], z[:2] + 1j)
    assert fd.equal(z[:2], z[:2].clone())
    assert bool(z[0]) and complex(z[0]) == 1 + 1j and float(z[1]) == 1
    with pytest.raises(RuntimeError, match="imaginary"):
        float(z[0])
    assert fd.nan_to_num(fd.tensor([complex("nan+1j")]), 7.0).tolist() == [7 + 1j]
    assert len(z) == 3 and [x.item() for x in z[:2]] == [1 + 1j, 1]
    assert fd.is_complex(z) and not fd.is_complex(z.real) and fd.is_tensor(z)
    assert isinstance(z, fd.Tensor) and fd.complex64.is_complex and not fd.complex64.is_floating_point


def test_printing():
    assert repr(fd.tensor([1 + 2j])) == "tensor([1.+2.j])"
    assert repr(fd.tensor(1.5j)) == "tensor(0.+1.5j)"
    assert "complex128" in repr(fd.from_numpy(A))
    assert "grad_fn" in repr(fd.tensor(1j, requires_grad=True) * 2)
    assert repr(fd.complex64) == "fastdl.complex64"


@pytest.mark.parametrize(
    "call",
    [
        lambda z: fd.softmax(z, 0),
        lambda z: z.max(),
        lambda z: z < z,
        lambda z: z // 2,
        lambda z: z & z,
        lambda z: fd.sort(z),
        lambda z: fd.erf(z),
        lambda z: fd.relu(z),
        lambda z: z.floor(),
        lambda z: ~z,
        lambda z: nn.Linear(3, 2)(z.reshape(1, 3)) and nn.LayerNorm(3)(z),
        lambda z: fd.maximum(fd.ones(3), z),
        lambda z: int(z[0]),
        lambda z: fd.utils.dlpack.to_dlpack(z) if hasattr(fd.utils, "dlpack") else z.__dlpack__(),
        lambda z: fd.ones(2).imag,
        lambda z: fd.tensor([1j], dtype=fd.float32),
        lambda z: fd.view_as_real(fd.ones(2)),
        lambda z: fd.view_as_complex(fd.ones(2, dtype=fd.int64)),
    ],
)
def test_what_has_no_meaning_is_refused(call):
    with pytest.raises((TypeError, RuntimeError)):
        call(fd.tensor([1 + 1j, 2.0, 3.0]))


def test_the_error_names_the_op():
    with pytest.raises(TypeError, match=r"softmax: is not defined for complex numbers \(input complex64 \[3\]\)"):
        fd.softmax(fd.ones(3, dtype=fd.cfloat), 0)
    with pytest.raises(fd.ShapeError, match="last dimension of 2"):
        fd.view_as_complex(fd.ones(3))
    with pytest.raises(fd.ShapeError, match="side by side"):
        fd.view_as_complex(fd.ones(2, 3).T)
    with pytest.raises(fd.DTypeError, match="complex"):
        fd.complex(fd.ones(2), fd.ones(2, dtype=fd.float64))
    with pytest.raises(fd.ShapeError, match="matmul"):
        fd.ones(2, 3, dtype=fd.cfloat) @ fd.ones(2, 3, dtype=fd.cfloat)
    with pytest.raises(fd.IndexError):
        fd.ones(2, 3, dtype=fd.cfloat).sum(2)
    with pytest.raises(fd.IndexError):
        fd.ones(2, 3, dtype=fd.cfloat).transpose(0, 2)


# --- autograd ---


def test_gradients_are_complex_tensors_of_the_leaf():
    z = fd.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    z.abs().square().sum().backward()
    assert z.grad.is_complex() and fd.allclose(z.grad, 2 * z.detach())
    z.grad.zero_()
    assert z.grad.tolist() == [0, 0]
    z.grad = fd.ones(2, dtype=fd.cfloat)
    assert z.grad.tolist() == [1, 1]
    with pytest.raises(TypeError, match="complex"):
        z.grad = fd.ones(2, 2)
    z.grad = None
    assert z.grad is None and z.is_leaf and not (z * 2).is_leaf
    (g,) = fd.autograd.grad((z * z).real.sum(), z, create_graph=True)
    assert g.is_complex() and fd.allclose(g, 2 * z.conj())
    (second,) = fd.autograd.grad(g.imag.sum(), z)
    assert second.is_complex() and second.tolist() == [-2j, -2j]
    w = z * 1j
    w.backward(fd.tensor([1.0 + 0j, 1j]))
    assert z.grad.tolist() == [-1j, 1]
    seen = []
    handle = z.register_hook(lambda g: seen.append(g) or g * 2)
    z.grad = None
    (z * 1j).imag.sum().backward()
    assert seen[0].is_complex() and z.grad.tolist() == [2, 2]
    handle.remove()
    w = z * 2
    w.retain_grad()
    w.real.sum().backward()
    assert w.grad.tolist() == [1, 1]
    assert z.detach().requires_grad is False and z.data.is_complex()


def test_functions_in_python():
    class Turn(fd.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            return z * 1j

        @staticmethod
        def backward(ctx, g):
            assert g.is_complex()
            return g * -1j

    z = fd.tensor([1 + 2j], requires_grad=True)
    Turn.apply(z).imag.sum().backward()
    assert z.grad.tolist() == [1]


def test_copies():
    z = fd.tensor([1 + 2j], requires_grad=True)
    for twin in (copy.deepcopy(z), pickle.loads(pickle.dumps(z))):
        assert type(twin) is type(z) and twin.tolist() == z.tolist() and twin.requires_grad
    p = nn.Parameter(z.detach())
    for twin in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert isinstance(twin, nn.Parameter) and twin.tolist() == z.tolist() and twin.dtype is fd.complex64
        assert twin.data_ptr() != p.data_ptr()
    assert repr(p).startswith("Parameter containing:\ntensor([1.+2.j]")


# --- modules ---


class SpectralConv2d(nn.Module):
    """The block of Fourier neural operators, as it is written for PyTorch."""

    def __init__(self, inputs, outputs, modes1, modes2):
        super().__init__()
        self.outputs, self.modes1, self.modes2 = outputs, modes1, modes2
        scale = 1 / (inputs * outputs)
        self.weights1 = nn.Parameter(scale * fd.rand(inputs, outputs, modes1, modes2, dtype=fd.cfloat))
        self.weights2 = nn.Parameter(scale * fd.rand(inputs, outputs, modes1, modes2, dtype=fd.cfloat))

    def forward(self, x):
        ft = fd.fft.rfft2(x)
        out = fd.zeros(x.shape[0], self.outputs, x.size(-2), x.size(-1) // 2 + 1, dtype=fd.cfloat, device=x.device)
        mix = lambda a, w: fd.einsum("bixy,ioxy->boxy", a, w)
        out[:, :, : self.modes1, : self.modes2] = mix(ft[:, :, : self.modes1, : self.modes2], self.weights1)
        out[:, :, -self.modes1 :, : self.modes2] = mix(ft[:, :, -self.modes1 :, : self.modes2], self.weights2)
        return fd.fft.irfft2(out, s=(x.size(-2), x.size(-1)))


@pytest.mark.parametrize("optimizer", ["Adam", "AdamW", "SGD", "RMSprop"])
def test_a_fourier_neural_operator_learns(optimizer, tmp_path):
    fd.manual_seed(0)
    net = nn.Sequential(SpectralConv2d(1, 4, 3, 3), nn.GELU(), SpectralConv2d(4, 1, 3, 3))
    rate = {"SGD": 4.0}.get(optimizer, 0.02)
    step = getattr(fd.optim, optimizer)(net.parameters(), lr=rate)
    x = fd.randn(8, 1, 10, 10)
    smooth = fd.fft.rfft2(x)
    smooth[..., 2:] = 0
    smooth[..., 2:-1, :] = 0
    y = fd.fft.irfft2(smooth, s=(10, 10))
    losses = []
    for _ in range(60):
        step.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        step.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    state = net.state_dict()
    assert all(v.dtype is fd.complex64 for v in state.values()) and len(state) == 4
    fd.save(state, tmp_path / "fno.safetensors")
    twin = nn.Sequential(SpectralConv2d(1, 4, 3, 3), nn.GELU(), SpectralConv2d(4, 1, 3, 3))
    twin.load_state_dict(fd.load(tmp_path / "fno.safetensors"))
    assert fd.equal(twin(x), net(x))
    resumed = getattr(fd.optim, optimizer)(twin.parameters(), lr=rate)
    resumed.load_state_dict(step.state_dict())
    for model, o in ((net, step), (twin, resumed)):
        o.zero_grad()
        (model(x) - y).square().mean().backward()
        o.step()
    assert fd.equal(twin[0].weights1, net[0].weights1)
    assert all(p.is_complex() for p in net.double().parameters())


@pytest.mark.compare
@pytest.mark.parametrize(
    "optimizer", ["Adam", "AdamW", "SGD", "Adagrad", "RMSprop", "NAdam", "RAdam", "Adamax", "Adadelta"]
)
def test_optimizers_see_pairs_as_pytorchs_do(optimizer):
    torch = pytest.importorskip("torch")
    ends = []
    for library, make in ((fd, fd.tensor), (torch, torch.tensor)):
        p = library.nn.Parameter(make(A))
        o = getattr(library.optim, optimizer)([p], lr=0.1)
        for _ in range(4):
            o.zero_grad()
            ((p * make(B) - 1).abs() ** 2).sum().backward()
            o.step()
        ends.append(p.detach().numpy(force=True))
    np.testing.assert_allclose(*ends, rtol=1e-6, atol=1e-8)


@pytest.mark.compare
def test_state_moves_to_pytorch_and_back(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.from_numpy(A.astype(np.complex64))}, tmp_path / "w.pt")
    np.testing.assert_array_equal(fd.load(tmp_path / "w.pt")["w"].numpy(force=True), A.astype(np.complex64))


def test_fnet_mixing_learns():
    """Lee-Thorp et al., "FNet: mixing tokens with Fourier transforms", 2021."""

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

        def forward(self, x):
            x = self.norm1(x + fd.fft.fft(fd.fft.fft(x, dim=-1), dim=-2).real)
            return self.norm2(x + self.feed(x))

    fd.manual_seed(1)
    net = nn.Sequential(Block(8), Block(8), nn.Flatten(), nn.Linear(48, 2))
    x = fd.randn(32, 6, 8)
    y = (x[:, :, 0].sum(1) > 0).long()
    optimizer = fd.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    assert (net(x).argmax(1) == y).float().mean() > 0.9
