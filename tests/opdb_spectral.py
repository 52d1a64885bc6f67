"""Rows for Fourier transforms. Complex numbers go in and come out as pairs, in which the table's checks work."""

import numpy as np
from opdb_row import S, op

SINGLE = ("float32", "float64")


def numbers(x):
    return x[..., 0] + 1j * x[..., 1]


def pairs(z):
    return np.stack([z.real, z.imag], -1)


def spectral(name, function, reference, shapes, **keywords):
    """A row for function(library, x), whose reference works in double precision as NumPy's transforms may."""
    op(
        name,
        lambda x, **k: np.asarray(reference(x, **k)).astype(x.dtype),
        lambda r: [S(r(*s), **keywords) for s in shapes],
        function=function,
        dtypes=SINGLE,
        grad=2,
        levels=False,
        slack=8.0,
    )


def complex_to_complex(name, dims):
    spectral(
        f"fft.{name}",
        lambda lib, x: lib.view_as_real(getattr(lib.fft, name)(lib.view_as_complex(x.contiguous()), dim=dims)),
        lambda x: pairs(getattr(np.fft, name)(numbers(x), None, dims)),
        ((1, 1, 2), (3, 4, 2), (2, 5, 3, 2)),
    )


complex_to_complex("fft", -1)
complex_to_complex("ifft", 0)
complex_to_complex("fft2", (-2, -1))
complex_to_complex("ifftn", (0, 1))
REALS = ((1, 1), (4, 5), (2, 3, 6))
HALVES = ((2, 2, 2), (4, 5, 2), (2, 3, 4, 2))
for _name in ("rfft", "rfft2"):
    spectral(
        f"fft.{_name}",
        lambda lib, x, name=_name: lib.view_as_real(getattr(lib.fft, name)(x)),
        lambda x, name=_name: pairs(getattr(np.fft, name)(x)),
        REALS,
    )
for _name in ("irfft", "irfft2"):
    spectral(
        f"fft.{_name}",
        lambda lib, x, name=_name: getattr(lib.fft, name)(lib.view_as_complex(x.contiguous())),
        lambda x, name=_name: getattr(np.fft, name)(numbers(x)),
        HALVES,
    )
spectral(
    "fft.hfft",
    lambda lib, x: lib.fft.hfft(lib.view_as_complex(x.contiguous()), norm="ortho"),
    lambda x: np.fft.hfft(numbers(x), norm="ortho"),
    HALVES,
)
spectral("fft.ihfft", lambda lib, x: lib.view_as_real(lib.fft.ihfft(x)), lambda x: pairs(np.fft.ihfft(x)), REALS)

# --- frames ---

FRAME, HOP = 8, 3
WINDOW = 0.6 - 0.4 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)


def window(lib, x):
    return lib.tensor(WINDOW.tolist(), dtype=x.dtype, device=x.device)


def short_time(x):
    padded = np.pad(x, [(0, 0), (FRAME // 2, FRAME // 2)], mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME, 1)[:, ::HOP]
    return pairs(np.fft.rfft(frames * WINDOW)).swapaxes(1, 2)


def signal(x):
    frames = np.fft.irfft(numbers(x).swapaxes(-1, -2), FRAME) * WINDOW
    total = FRAME + HOP * (frames.shape[1] - 1)
    out, weight = np.zeros((len(x), total)), np.zeros(total)
    for i in range(frames.shape[1]):
        out[:, i * HOP : i * HOP + FRAME] += frames[:, i]
        weight[i * HOP : i * HOP + FRAME] += WINDOW**2
    return (out / weight)[:, FRAME // 2 : total - FRAME // 2]


spectral(
    "stft",
    lambda lib, x: lib.view_as_real(lib.stft(x, FRAME, HOP, window=window(lib, x), return_complex=True)),
    short_time,
    ((1, 9), (2, 14)),
)
spectral(
    "istft",
    lambda lib, x: lib.istft(lib.view_as_complex(x.contiguous()), FRAME, HOP, window=window(lib, x)),
    signal,
    ((1, 5, 3, 2), (2, 5, 5, 2)),
)
