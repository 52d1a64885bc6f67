"""Fourier transforms and what goes with them. fastdl has no complex numbers: the last dimension is (real, imaginary)."""

import math

import fastdl as fd
from fastdl.onnx.values import axis_of, dtype_of, number


def _waves(rows, n, dtype):
    """cos and sin (rows, n) of 2 pi j k / n; j k is reduced modulo n first, so large products stay exact."""
    turns = fd.remainder(fd.arange(rows).unsqueeze(1) * fd.arange(n), n).double() * (2 * math.pi / n)
    return turns.cos().to(dtype), turns.sin().to(dtype)


def _fourier(x, n, inverse, onesided):
    """The transform of the last but one dimension of (..., length, 1 or 2), by a product with the matrix of waves."""
    length = x.shape[-2]
    if length > n:
        x = x[..., :n, :]
    real, imaginary = x[..., 0], x[..., 1] if x.shape[-1] == 2 else None
    bins = n // 2 + 1 if onesided and not inverse else n
    if inverse and onesided:  # the other half is the mirror image
        real, imaginary = _mirrored(real, n, 1), _mirrored(imaginary, n, -1)
    cos, sin = _waves(bins, n, x.dtype)
    cos, sin = cos[:, : real.shape[-1]].t(), sin[:, : real.shape[-1]].t()
    sign = 1 if inverse else -1
    a, b = real @ cos, sign * (real @ sin)
    if imaginary is not None:
        a, b = a - sign * (imaginary @ sin), b + imaginary @ cos
    if inverse:
        a, b = a / n, b / n
    return a.unsqueeze(-1) if inverse and onesided else fd.stack([a, b], -1)


def _mirrored(half, n, sign):
    rest = half[..., 1 : n - half.shape[-1] + 1].flip(-1)
    return fd.cat([half, sign * rest], -1)


def dft(x, dft_length=None, axis_input=None, *, axis=1, inverse=0, onesided=0, opset):
    """Along the axis: an input since opset 20 (-2 unless given), an attribute before."""
    if opset >= 20:
        axis = int(number(axis_input, -2))
    axis = axis_of(axis, x.ndim)
    length = x.shape[axis]
    if dft_length is not None:
        length = int(number(dft_length))
    elif inverse and onesided:
        length = 2 * (length - 1)
    y = _fourier(x.movedim(axis, -2), length, bool(inverse), bool(onesided))
    return y.movedim(-2, axis)


def stft(x, frame_step, window=None, frame_length=None, *, onesided=1):
    length = int(number(frame_length)) if frame_length is not None else window.shape[0]
    if x.ndim == 2:
        x = x.unsqueeze(-1)
    frames = x.unfold(1, length, int(number(frame_step)))  # (N, frames, 1 or 2, length)
    frames = frames.transpose(2, 3)
    if window is not None:
        frames = frames * window.reshape(-1, 1)
    return _fourier(frames, length, False, bool(onesided))


def window(*weights):
    """Sums of cosines: a_0 - a_1 cos(2 pi i / n) + a_2 cos(4 pi i / n); n is the size, or one less if not periodic."""

    def make(size, *, output_datatype=1, periodic=1):
        n = int(number(size))
        turns = fd.arange(n, dtype=fd.float64) * (2 * math.pi / max(n if periodic else n - 1, 1))
        y = sum((-1) ** k * a * (k * turns).cos() for k, a in enumerate(weights))
        return y.to(dtype_of(output_datatype, "a window"))

    return make


def mel_weight_matrix(bins, dft_length, sample_rate, lower, upper, *, output_datatype=1):
    """Triangles, equally spaced by mel(f) = 2595 log10(1 + f / 700), over the bins of a spectrum."""
    bins, length, rate, lower, upper = (number(v) for v in (bins, dft_length, sample_rate, lower, upper))
    spectrum = int(length) // 2 + 1
    low, high = (2595 * math.log10(1 + f / 700) for f in (lower, upper))
    step = (high - low) / (bins + 2)  # the standard's reference divides by one more than there are gaps
    edges = [int((length + 1) * (700 * (10 ** ((low + i * step) / 2595) - 1)) // rate) for i in range(int(bins) + 2)]
    out = [[0.0] * int(bins) for _ in range(spectrum)]
    for i in range(int(bins)):
        left, centre, right = edges[i : i + 3]
        if centre == left:
            out[centre][i] = 1.0
        else:
            for j in range(left, centre + 1):
                out[j][i] = (j - left) / (centre - left)
        for j in range(centre, right):
            out[j][i] = (right - j) / (right - centre)
    return fd.tensor(out, dtype=dtype_of(output_datatype, "the result of MelWeightMatrix"))


OPERATORS = {
    "BlackmanWindow": window(0.42, 0.5, 0.08),
    "DFT": dft,
    "HammingWindow": window(25 / 46, 21 / 46),
    "HannWindow": window(0.5, 0.5),
    "MelWeightMatrix": mel_weight_matrix,
    "STFT": stft,
}
