"""Windows, and the short-time Fourier transform."""

from .complex_tensor import view_as_complex, view_as_real
from .dtypes import float64
from .elementwise import cos, mul, sqrt, square
from .functions import arange, linspace, ones, zeros
from .settings import get_default_dtype
from .special import i0
from .tensor import DTypeError, ShapeError, ValueError

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "istft", "kaiser_window", "stft"]

_DTYPES = ("float32", "float64", "complex64", "complex128")
_PI = 3.141592653589793


def _window(name, window_length, periodic, dtype, device, requires_grad, f):
    """f(0 ... 1) of the places of a symmetric window, or of one that is a place longer without its end."""
    if window_length < 0:
        raise ValueError(f"{name}: window_length {window_length} must not be negative")
    dtype = dtype or get_default_dtype()
    if not dtype.is_floating_point:
        raise DTypeError(f"{name}: expected a floating-point dtype, got {dtype}")
    if window_length < 2:
        out = ones(window_length, dtype=dtype, device=device)
    else:
        n = window_length + bool(periodic)
        out = f(linspace(0.0, 1.0, n, dtype=float64, device=device)[:window_length]).to(dtype)
    return out.requires_grad_() if requires_grad else out


def hann_window(window_length, periodic=True, *, dtype=None, device=None, requires_grad=False):
    """1/2 - 1/2 cos(2 pi x).

    Args:
        periodic: for spectra: the window continues periodically; else it is symmetric.

    >>> import fastdl as fd
    >>> fd.hann_window(4)
    tensor([0. , 0.5, 1. , 0.5])
    """
    return hamming_window(window_length, periodic, 0.5, 0.5, dtype=dtype, device=device, requires_grad=requires_grad)


def hamming_window(
    window_length, periodic=True, alpha=0.54, beta=0.46, *, dtype=None, device=None, requires_grad=False
):
    """alpha - beta cos(2 pi x); see `hann_window`."""
    wave = lambda x: alpha - beta * cos(x * (2 * _PI))
    return _window("hamming_window", window_length, periodic, dtype, device, requires_grad, wave)


def blackman_window(window_length, periodic=True, *, dtype=None, device=None, requires_grad=False):
    """0.42 - 0.5 cos(2 pi x) + 0.08 cos(4 pi x); see `hann_window`."""
    wave = lambda x: 0.42 - 0.5 * cos(x * (2 * _PI)) + 0.08 * cos(x * (4 * _PI))
    return _window("blackman_window", window_length, periodic, dtype, device, requires_grad, wave)


def bartlett_window(window_length, periodic=True, *, dtype=None, device=None, requires_grad=False):
    """A triangle: 1 - |2 x - 1|; see `hann_window`."""
    return _window(
        "bartlett_window", window_length, periodic, dtype, device, requires_grad, lambda x: 1 - (2 * x - 1).abs()
    )


def kaiser_window(window_length, periodic=True, beta=12.0, *, dtype=None, device=None, requires_grad=False):
    """i0(beta sqrt(1 - (2 x - 1)^2)) / i0(beta); see `hann_window`."""
    bell = lambda x: (
        i0(beta * sqrt((1 - square(2 * x - 1)).clamp(min=0))) / i0(ones(1, dtype=x.dtype, device=x.device) * beta)
    )
    return _window("kaiser_window", window_length, periodic, dtype, device, requires_grad, bell)


def stft(
    input, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect", normalized=False,
    onesided=None, return_complex=None, align_to_window=None,
):  # fmt: skip
    """The Fourier transforms of overlapping frames.

    Args:
        input: (samples) or (batch, samples), float32, float64 or complex.
        n_fft: samples of a frame.
        hop_length: from one frame to the next; n_fft // 4 when None.
        win_length: of the window, which is padded to n_fft on both sides; n_fft when None.
        window: (win_length); ones when None.
        center: pad n_fft // 2 samples on both sides, so that frame t is centred at t * hop_length.
        pad_mode: 'reflect', 'constant', 'replicate' or 'circular'.
        normalized: divide by sqrt(n_fft).
        onesided: only the n_fft // 2 + 1 frequencies that are not the conjugates of others (default, unless the input
            is complex).
        return_complex: give complex numbers, rather than real and imaginary parts in a last dimension of 2.
        align_to_window: without `center`, whether the first window, rather than the first frame, begins at the start.

    Returns:
        (batch, frequencies, frames), or (batch, frequencies, frames, 2).

    Raises:
        ShapeError: fewer samples than a frame, or a window of another length.
        ValueError: `onesided` with complex numbers.

    >>> import fastdl as fd
    >>> fd.stft(fd.ones(8), 4, center=False, return_complex=True).shape
    (3, 5)
    """
    if input.ndim not in (1, 2):
        raise ShapeError(f"stft: expected (samples) or (batch, samples), got shape {list(input.shape)}")
    if input.dtype.name not in _DTYPES:
        raise DTypeError(f"stft: expected float32, float64 or complex, got {input.dtype}")
    complex = input.is_complex() or (window is not None and window.is_complex())
    onesided = not complex if onesided is None else onesided
    if onesided and complex:
        raise ValueError("stft: the spectrum of complex numbers has two sides; leave onesided out")
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    if n_fft < 1 or hop < 1 or not 0 < length <= n_fft:
        raise ValueError(f"stft: n_fft {n_fft}, hop_length {hop}, win_length {length}")
    if window is not None and window.shape != (length,):
        raise ShapeError(f"stft: window {list(window.shape)}, expected [{length}]")
    if align_to_window is not None and center:
        raise ValueError("stft: align_to_window is for center=False")
    from .nn.functional import pad

    x = input if input.ndim == 2 else input[None]
    if center:
        x = pad(x[:, None], (n_fft // 2, n_fft // 2), pad_mode)[:, 0]
    elif align_to_window:
        left = (n_fft - length) // 2
        x = pad(x, (left, n_fft - length - left))
    if x.shape[1] < n_fft:
        raise ShapeError(f"stft: {x.shape[1]} samples, expected at least n_fft = {n_fft}")
    frames = x.unfold(1, n_fft, hop)
    if window is not None or length < n_fft:
        window = ones(length, dtype=x.dtype, device=x.device) if window is None else window
        left = (n_fft - length) // 2
        frames = mul(frames, pad(window, (left, n_fft - length - left)))
    from . import fft

    out = (fft.rfft if onesided else fft.fft)(frames, norm="ortho" if normalized else None).transpose(1, 2)
    out = out if input.ndim == 2 else out[0]
    return out if return_complex else view_as_real(out)


def istft(
    input, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False, onesided=None,
    length=None, return_complex=False,
):  # fmt: skip
    """The signal whose `stft`, with the same arguments, is closest to `input`: frames added up, divided by the windows.

    Griffin and Lim, Signal estimation from modified short-time Fourier transform (1984).

    Args:
        input: (frequencies, frames) or (batch, frequencies, frames) of complex numbers, or of pairs in one more dimension,
            as `stft` gives them.
        n_fft, hop_length, win_length, window, center, normalized, onesided: those of `stft`. For a real signal the first
            half of both sides is read, the other one being its conjugate.
        length: of the signal; what the frames cover when None.
        return_complex: the signal is complex; only for spectra of two sides.

    Returns:
        (batch, samples).

    Raises:
        ShapeError: another number of frequencies than n_fft has, a real input without a last dimension of 2, a window of
            another length.
        ValueError: the windows leave a sample out, or return_complex for a spectrum of one side.

    >>> import fastdl as fd
    >>> x = fd.arange(16.0)
    >>> fd.allclose(fd.istft(fd.stft(x, 4, window=fd.hann_window(4)), 4, window=fd.hann_window(4)), x, atol=1e-5)
    True
    """
    if input.dtype.name not in _DTYPES:
        raise DTypeError(f"istft: expected complex64 or complex128, or their parts, got {input.dtype}")
    if not input.is_complex():
        if input.ndim not in (3, 4) or input.shape[-1] != 2:
            raise ShapeError(
                f"istft: expected (batch, frequencies, frames) of complex numbers, or of pairs of real ones in one more "
                f"dimension, got {input.dtype} {list(input.shape)}"
            )
        input = view_as_complex(input.contiguous())
    if input.ndim not in (2, 3):
        raise ShapeError(
            f"istft: expected (frequencies, frames) or (batch, frequencies, frames), got {list(input.shape)}"
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    if n_fft < 1 or not 0 < hop <= width <= n_fft:
        raise ValueError(f"istft: n_fft {n_fft}, hop_length {hop}, win_length {width}")
    if window is not None and window.shape != (width,):
        raise ShapeError(f"istft: window {list(window.shape)}, expected [{width}]")
    x = input if input.ndim == 3 else input[None]
    batch, count, frames = x.shape
    onesided = count != n_fft if onesided is None else onesided
    if count != (n_fft // 2 + 1 if onesided else n_fft) or frames < 1:
        raise ShapeError(f"istft: {count} frequencies in {frames} frames, n_fft {n_fft} has "
                         f"{n_fft // 2 + 1 if onesided else n_fft}")  # fmt: skip
    if return_complex and onesided:
        raise ValueError("istft: return_complex needs both sides of the spectrum; onesided=False")
    from . import fft
    from .nn.functional import pad

    real = x.real.dtype
    window = ones(width, dtype=real, device=x.device) if window is None else window
    left = (n_fft - width) // 2
    window = pad(window, (left, n_fft - width - left))
    x, norm = x.transpose(1, 2), "ortho" if normalized else None
    pieces = fft.ifft(x, norm=norm) if return_complex else fft.irfft(x[..., : n_fft // 2 + 1], n_fft, norm=norm)
    pieces = pieces * window
    total = n_fft + hop * (frames - 1)
    places = (arange(frames, device=x.device)[:, None] * hop + arange(n_fft, device=x.device)).reshape(-1)
    signal = zeros(batch, total, dtype=pieces.dtype, device=x.device).index_add(1, places, pieces.reshape(batch, -1))
    weight = square(window.abs()).expand(frames, n_fft).reshape(-1)
    weight = zeros(total, dtype=real, device=x.device).index_add(0, places, weight)
    start = n_fft // 2 if center else 0
    end = total - start if length is None else min(start + length, total)
    weight = weight[start:end]
    if weight.numel() and float(weight.detach().min()) < 1e-11:
        raise ValueError("istft: the windows do not cover every sample")
    signal = signal[:, start:end] / weight
    if length is not None and signal.shape[1] < length:
        signal = pad(signal, (0, length - signal.shape[1]))
    return signal if input.ndim == 3 else signal[0]
