"""Discrete Fourier transforms with names of `torch.fft`, computed on the host by NumPy's.

Three maps do all the work, each without a factor: complex to complex, real to the first half of its spectrum, and such a
half to real. They are linear: the gradient of each is its adjoint, which is again one of them or differs from it by
weights. Factors, lengths and the order of dimensions are ops of tensors.
"""

from . import complex_ops
from .complex_tensor import view_as_complex, view_as_real
from .functions import arange
from .host import HostOp
from .rearrange import cat, roll
from .settings import get_default_dtype
from .tensor import DTypeError, IndexError, ShapeError, ValueError

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft",
    "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip


# --- the maps, on pairs (..., 2) where numbers are complex ---


def _numbers(np, pairs):
    pairs = np.ascontiguousarray(pairs)
    return pairs.view(np.complex64 if pairs.dtype == np.float32 else np.complex128)[..., 0]


def _pairs(np, numbers, dtype):
    return np.stack([numbers.real, numbers.imag], -1).astype(dtype)


def _complex(dims, inverse):
    """sum_n x_n exp(-+ 2 pi i k n / N) over each of `dims`: (..., 2) to (..., 2)."""

    def make(inverse):
        def forward(np, x):
            transform = np.fft.ifftn if inverse else np.fft.fftn
            return _pairs(np, transform(_numbers(np, x), axes=dims, norm="forward" if inverse else "backward"), x.dtype)

        return forward

    there = HostOp("ifft" if inverse else "fft", make(inverse), lambda g, x, y: back(g[0]))
    back = HostOp("fft" if inverse else "ifft", make(not inverse), lambda g, x, y: there(g[0]))
    return there


def _to_half(n):
    """The first n // 2 + 1 places of the spectrum of the last dimension: (..., n) to (..., n // 2 + 1, 2)."""

    def forward(np, x):
        return _pairs(np, np.fft.rfft(x), x.dtype)

    def adjoint(np, g):
        g = _numbers(np, g)
        full = np.zeros((*g.shape[:-1], n), g.dtype)
        full[..., : g.shape[-1]] = g
        return np.fft.ifft(full, norm="forward").real.astype(g.real.dtype)

    there = HostOp("rfft", forward, lambda g, x, y: back(g[0]))
    back = HostOp("rfft backward", adjoint, lambda g, x, y: there(g[0]))
    return there


def _from_half(n):
    """The real numbers whose spectrum's first half is given: (..., n // 2 + 1, 2) to (..., n), times n."""

    def forward(np, x):
        return np.fft.irfft(_numbers(np, x), n, norm="forward").astype(x.dtype)

    def adjoint(np, g):
        y = np.fft.rfft(g)
        y[..., 1 : (n + 1) // 2] *= 2  # each stands for its conjugate too, but for the first and an even number's last
        return _pairs(np, y, g.dtype)

    there = HostOp("irfft", forward, lambda g, x, y: back(g[0]))
    back = HostOp("irfft backward", adjoint, lambda g, x, y: there(g[0]))
    return there


# --- arguments ---


def _number_tensor(name, input, complex):
    """The input as floating-point or, if `complex`, complex numbers."""
    if input.dtype.is_complex:
        if not complex:
            raise DTypeError(f"{name}: expected real numbers, got {input.dtype}; see fft")
        return input
    if input.dtype.is_floating_point and input.dtype.itemsize < 4:
        raise DTypeError(f"{name}: expected float32, float64 or integers, got {input.dtype}")
    x = input if input.dtype.is_floating_point else input.to(get_default_dtype())
    return view_as_complex(complex_ops.pairs(x, x.dtype)) if complex else x


def _dims(name, input, s, dim):
    """(sizes, dimensions counted from the front): those that PyTorch means by `s` and `dim`."""
    if isinstance(s, int):
        s = (s,)
    if dim is None:
        count = input.ndim if s is None else len(s)
        if count > input.ndim:
            raise ShapeError(f"{name}: s {tuple(s)} has more sizes than input {list(input.shape)} has dimensions")
        dims = tuple(range(input.ndim - count, input.ndim))
    else:
        given = (dim,) if isinstance(dim, int) else tuple(dim)
        if not all(-input.ndim <= d < input.ndim for d in given):
            raise IndexError(f"{name}: dim {dim} for input {list(input.shape)} of {input.ndim} dimensions")
        dims = tuple(d % input.ndim for d in given)
    if len(set(dims)) != len(dims):
        raise ValueError(f"{name}: dim {dim} names a dimension twice")
    if s is not None and len(s) != len(dims):
        raise ShapeError(f"{name}: s {tuple(s)} and dim {dim} have different lengths")
    sizes = [input.shape[d] if s is None or s[i] in (None, -1) else s[i] for i, d in enumerate(dims)]
    return sizes, dims


def _fit(name, x, sizes, dims):
    """x cut, or continued with zeros, to the sizes."""
    for n, d in zip(sizes, dims):
        if n < 1:
            raise ValueError(f"{name}: {n} places in dimension {d}, expected at least 1")
        have = x.shape[d]
        if n < have:
            x = x.narrow(d, 0, n)
        elif n > have:
            x = cat([x, x.new_zeros([n - have if i == d else size for i, size in enumerate(x.shape)])], d)
    return x


def _factor(name, sizes, norm, inverse):
    """What the sums are multiplied by."""
    n = 1
    for size in sizes:
        n *= size
    if norm not in (None, "backward", "forward", "ortho"):
        raise ValueError(f"{name}: norm {norm!r}, expected 'backward', 'forward' or 'ortho'")
    if norm == "ortho":
        return n**-0.5
    return 1 / n if (norm == "forward") != inverse else 1.0


_SWAPPED = {None: "forward", "backward": "forward", "forward": "backward"}


def _result(out, value):
    return value if out is None else out.copy_(value)


def _scaled(x, factor):
    return x if factor == 1.0 else x * factor


# --- transforms of any number of dimensions ---


def _c2c(name, input, s, dim, norm, inverse):
    x = _number_tensor(name, input, complex=True)
    sizes, dims = _dims(name, x, s, dim)
    x = _fit(name, x, sizes, dims)
    if dims:
        x = view_as_complex(_complex(dims, inverse)(view_as_real(x)))
    return _scaled(x, _factor(name, sizes, norm, inverse))


def _r2c(name, input, s, dim, norm):
    x = _number_tensor(name, input, complex=False)
    sizes, dims = _dims(name, x, s, dim)
    if not dims:
        raise ShapeError(f"{name}: expected at least one dimension to transform, got dim {dim}")
    x = _fit(name, x, sizes, dims)
    half = view_as_complex(_to_half(sizes[-1])(x.movedim(dims[-1], -1))).movedim(-1, dims[-1])
    if dims[:-1]:
        half = view_as_complex(_complex(dims[:-1], False)(view_as_real(half)))
    return _scaled(half, _factor(name, sizes, norm, False))


def _c2r(name, input, s, dim, norm):
    x = _number_tensor(name, input, complex=True)
    sizes, dims = _dims(name, x, s, dim)
    if not dims:
        raise ShapeError(f"{name}: expected at least one dimension to transform, got dim {dim}")
    last = dims[-1]
    s_last = None if s is None else (s,)[-1] if isinstance(s, int) else s[-1]
    n = 2 * (x.shape[last] - 1) if s_last in (None, -1) else s_last
    if n < 1:
        raise ValueError(f"{name}: {n} places in the last dimension, expected at least 1")
    x = _fit(name, x, [*sizes[:-1], n // 2 + 1], dims)
    if dims[:-1]:
        x = view_as_complex(_complex(dims[:-1], True)(view_as_real(x)))
    out = _from_half(n)(view_as_real(x.movedim(last, -1))).movedim(-1, last)
    return _scaled(out, _factor(name, [*sizes[:-1], n], norm, True))


def fftn(input, s=None, dim=None, norm=None, *, out=None):
    """sum_n x_n exp(-2 pi i k n / N) over each of the dimensions.

    Args:
        input: real or complex numbers, any shape.
        s: sizes of the dimensions, which are cut or continued with zeros; -1 leaves one as it is.
        dim: the dimensions; the last ones that `s` is for, or all.
        norm: 'backward' (default): no factor here, 1 / n in the inverse; 'ortho': 1 / sqrt(n) in both; 'forward': 1 / n
            here.

    Raises:
        IndexError: no such dimension. DTypeError: 16-bit floats. ShapeError, ValueError: sizes that do not fit.

    >>> import fastdl as fd
    >>> fd.fft.fftn(fd.ones(2, 2)).real
    tensor([[4., 0.],
            [0., 0.]])
    """
    return _result(out, _c2c("fftn", input, s, dim, norm, False))


def ifftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `fftn`: sum_k X_k exp(2 pi i k n / N) / N."""
    return _result(out, _c2c("ifftn", input, s, dim, norm, True))


def rfftn(input, s=None, dim=None, norm=None, *, out=None):
    """`fftn` of real numbers: in the last dimension the first n // 2 + 1 places, whose conjugates the others are."""
    return _result(out, _r2c("rfftn", input, s, dim, norm))


def irfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `rfftn`: real numbers, 2 (places - 1) in the last dimension unless `s` says how many."""
    return _result(out, _c2r("irfftn", input, s, dim, norm))


def hfftn(input, s=None, dim=None, norm=None, *, out=None):
    """`fftn` of numbers whose other half is their conjugate: real, 2 (places - 1) in the last dimension, or `s`."""
    x = _number_tensor("hfftn", input, complex=True).conj()
    return _result(out, _c2r("hfftn", x, s, dim, _SWAPPED.get(norm, norm)))


def ihfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `hfftn`: of real numbers the first half."""
    return _result(out, _r2c("ihfftn", input, s, dim, _SWAPPED.get(norm, norm)).conj())


# --- the same over one dimension and over two ---


def fft(input, n=None, dim=-1, norm=None, *, out=None):
    """sum_j x_j exp(-2 pi i k j / n) along `dim`; see `fftn`.

    >>> import fastdl as fd
    >>> fd.fft.fft(fd.tensor([1.0, 0.0, -1.0, 0.0])).real
    tensor([0., 2., 0., 2.])
    """
    return fftn(input, n, dim, norm, out=out)


def ifft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `fft`."""
    return ifftn(input, n, dim, norm, out=out)


def rfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The first n // 2 + 1 places of `fft` of real numbers; see `rfftn`.

    >>> import fastdl as fd
    >>> fd.fft.rfft(fd.tensor([1.0, 0.0, -1.0, 0.0])).abs()
    tensor([0., 2., 0.])
    """
    return rfftn(input, n, dim, norm, out=out)


def irfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `rfft`; see `irfftn`."""
    return irfftn(input, n, dim, norm, out=out)


def hfft(input, n=None, dim=-1, norm=None, *, out=None):
    """`fft` of numbers whose other half is their conjugate; see `hfftn`."""
    return hfftn(input, n, dim, norm, out=out)


def ihfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `hfft`."""
    return ihfftn(input, n, dim, norm, out=out)


def fft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`fftn` over two dimensions."""
    return fftn(input, s, dim, norm, out=out)


def ifft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`ifftn` over two dimensions."""
    return ifftn(input, s, dim, norm, out=out)


def rfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`rfftn` over two dimensions."""
    return rfftn(input, s, dim, norm, out=out)


def irfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`irfftn` over two dimensions."""
    return irfftn(input, s, dim, norm, out=out)


def hfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`hfftn` over two dimensions."""
    return hfftn(input, s, dim, norm, out=out)


def ihfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`ihfftn` over two dimensions."""
    return ihfftn(input, s, dim, norm, out=out)


# --- frequencies and their order ---


def fftfreq(n, d=1.0, *, dtype=None, device=None, requires_grad=False):
    """The frequencies of a transform of n samples, d apart: 0, 1, ..., -2, -1 divided by n d.

    >>> import fastdl as fd
    >>> fd.fft.fftfreq(4)
    tensor([ 0.  ,  0.25, -0.5 , -0.25])
    """
    if n <= 0:
        raise ValueError(f"fftfreq: n {n}, expected at least 1")
    places = arange(n, device=device)
    out = ((places + n // 2) % n - n // 2).to(dtype or get_default_dtype()) / (n * d)
    return out.requires_grad_() if requires_grad else out


def rfftfreq(n, d=1.0, *, dtype=None, device=None, requires_grad=False):
    """The frequencies of a transform of n real samples, d apart: 0, 1, ..., n / 2 divided by n d."""
    if n <= 0:
        raise ValueError(f"rfftfreq: n {n}, expected at least 1")
    out = arange(n // 2 + 1, dtype=dtype or get_default_dtype(), device=device) / (n * d)
    return out.requires_grad_() if requires_grad else out


def _shift(input, dim, half):
    dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    return roll(input, tuple(half(input.size(d)) for d in dims), tuple(dims)) if dims else input.clone()


def fftshift(input, dim=None):
    """The order with frequency 0 in the middle, along `dim` (all when None).

    >>> import fastdl as fd
    >>> fd.fft.fftshift(fd.fft.fftfreq(4))
    tensor([-0.5 , -0.25,  0.  ,  0.25])
    """
    return _shift(input, dim, lambda n: n // 2)


def ifftshift(input, dim=None):
    """The inverse of `fftshift`."""
    return _shift(input, dim, lambda n: -(n // 2))
