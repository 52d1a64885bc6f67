"""Quantized operators: 8-bit integers q stand for (q - zero point) * scale."""

import fastdl as fd
from fastdl.nn import functional as F
from fastdl.onnx.ops.linear import conv
from fastdl.onnx.ops.pool import average_pool
from fastdl.onnx.ops.reduce import highest, lowest
from fastdl.onnx.values import axis_of, dtype_of


def _along(v, x, axis, block_size=0):
    """A scale or zero point for all of x, one for each place along the axis, or one for each block along it."""
    if v is None or v.ndim == 0 or (v.numel() == 1 and v.ndim <= 1):
        return v if v is None else v.reshape(())
    axis = axis_of(axis, x.ndim)
    if block_size:
        v = v.repeat_interleave(block_size, axis)
        return v.narrow(axis, 0, x.shape[axis])
    return v.reshape([-1 if d == axis else 1 for d in range(x.ndim)])


def _round_to(x, dtype):
    """Rounded half to even and kept within the type."""
    return fd.round(x).clamp(lowest(dtype), highest(dtype)).to(dtype)


def quantize_linear(
    x, scale, zero_point=None, *, axis=1, saturate=1, block_size=0, output_dtype=0, precision=0, round_mode="up"
):
    dtype = zero_point.dtype if zero_point is not None else fd.uint8
    if output_dtype:
        dtype = dtype_of(output_dtype, "the result of QuantizeLinear")
    y = fd.round(x.float() / _along(scale, x, axis, block_size).float())
    if zero_point is not None:
        y = y + _along(zero_point, x, axis, block_size).float()
    return _round_to(y, dtype)


def dequantize_linear(x, scale, zero_point=None, *, axis=1, block_size=0, output_dtype=0):
    y = x.float()
    if zero_point is not None:
        y = y - _along(zero_point, x, axis, block_size).float()
    y = y * _along(scale, x, axis, block_size).float()
    return y.to(dtype_of(output_dtype, "the result of DequantizeLinear") if output_dtype else scale.dtype)


def dynamic_quantize_linear(x):
    """To uint8, with a range that holds all values and 0."""
    low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
    scale = (high - low) / 255
    zero_point = _round_to(fd.where(scale == 0, fd.zeros_like(scale), -low / scale), fd.uint8)
    return quantize_linear(x, scale, zero_point), scale, zero_point


def _centred(x, zero_point, axis):
    """Exact in float32 up to 2^24, so products are made in float64."""
    y = x.double()
    return y if zero_point is None else y - _along(zero_point, x, axis).double()


def matmul_integer(a, b, a_zero_point=None, b_zero_point=None):
    """The zero point of a belongs to rows, that of b to columns."""
    rows = a_zero_point is not None and a_zero_point.ndim == 1 and a_zero_point.numel() > 1
    a = (
        _centred(a, a_zero_point, -2)
        if rows or a_zero_point is None or a_zero_point.ndim < 2
        else a.double() - a_zero_point.double()
    )
    b = (
        _centred(b, b_zero_point, -1)
        if b_zero_point is None or b_zero_point.ndim < 2
        else b.double() - b_zero_point.double()
    )
    return (a @ b).to(fd.int32)


def conv_integer(x, w, x_zero_point=None, w_zero_point=None, **attributes):
    return conv(_centred(x, x_zero_point, 1), _centred(w, w_zero_point, 0), **attributes).to(fd.int32)


def _like_columns(scale, y):
    """A scale for each row or column of a product, to be broadcast."""
    return scale.double() if scale.ndim > 1 or scale.numel() == 1 else scale.double().reshape(-1)


def qlinear_matmul(a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point):
    sums = matmul_integer(a, b, a_zero_point, b_zero_point).double()
    a_scale = a_scale.unsqueeze(-1) if a_scale.ndim == 1 and a_scale.numel() > 1 else a_scale
    y = sums * _like_columns(a_scale, sums) * _like_columns(b_scale, sums) / y_scale.double()
    return _round_to(fd.round(y) + y_zero_point.double(), y_zero_point.dtype)


def qlinear_conv(x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, b=None, **attributes):
    sums = conv(_centred(x, x_zero_point, 1), _centred(w, w_zero_point, 0), **attributes)
    if b is not None:
        sums = sums + b.double().reshape(-1, *(1,) * (x.ndim - 2))
    each = w_scale.double().reshape(-1, *(1,) * (x.ndim - 2)) if w_scale.numel() > 1 else w_scale.double().reshape(())
    y = sums * x_scale.double().reshape(()) * each / y_scale.double().reshape(())
    return _round_to(fd.round(y) + y_zero_point.double().reshape(()), y_zero_point.dtype)


# --- onnxruntime's own operators, which its quantizer writes in the format QOperator ---


def _plain(x, scale, zero_point):
    y = x.double() if zero_point is None else x.double() - zero_point.double()
    return y * scale.double()


def _back(y, scale, zero_point, dtype):
    y = fd.round(y / scale.double())
    return _round_to(y if zero_point is None else y + zero_point.double(), dtype)


def on_two(function):
    """An operator of two quantized tensors."""

    def run(a, a_scale, a_zero_point, b, b_scale, b_zero_point, scale, zero_point=None):
        return _back(
            function(_plain(a, a_scale, a_zero_point), _plain(b, b_scale, b_zero_point)), scale, zero_point, a.dtype
        )

    return run


def on_one(function):
    """An operator of one quantized tensor."""

    def run(x, x_scale, x_zero_point, scale, zero_point=None, **attributes):
        return _back(function(_plain(x, x_scale, x_zero_point), **attributes), scale, zero_point, x.dtype)

    return run


def qgemm(
    a,
    a_scale,
    a_zero_point,
    b,
    b_scale,
    b_zero_point,
    c=None,
    scale=None,
    zero_point=None,
    *,
    alpha=1.0,
    transA=0,
    transB=0,
):
    """c is of int32, in units of the product of the scales; without a scale the result is in float32."""
    x, w = _centred(a, a_zero_point, 1), _centred(b, b_zero_point, 0 if transB else 1)
    y = (x.t() if transA else x) @ (w.t() if transB else w)
    y = (y if c is None else y + c.double()) * a_scale.double() * b_scale.double().reshape(-1) * alpha
    return y.float() if scale is None else _back(y, scale, zero_point, a.dtype)


def qlinear_concat(scale, zero_point, *parts, axis):
    """parts are (tensor, scale, zero point) one after the other."""
    plain = [_plain(*parts[i : i + 3]) for i in range(0, len(parts), 3)]
    return _back(fd.cat(plain, axis_of(axis, plain[0].ndim)), scale, zero_point, parts[0].dtype)


def _channels_first(function):
    """Pooling in either layout."""

    def run(x, *, channels_last=0, **attributes):
        if not channels_last:
            return function(x, **attributes)
        return function(x.movedim(-1, 1), **attributes).movedim(1, -1)

    return run


OPERATORS = {
    "ConvInteger": conv_integer,
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
    "MatMulInteger": matmul_integer,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "QuantizeLinear": quantize_linear,
    "com.microsoft.QGemm": qgemm,
    "com.microsoft.QLinearAdd": on_two(fd.add),
    "com.microsoft.QLinearAveragePool": on_one(_channels_first(average_pool)),
    "com.microsoft.QLinearConcat": qlinear_concat,
    "com.microsoft.QLinearGlobalAveragePool": on_one(_channels_first(lambda x: x.mean(tuple(range(2, x.ndim)), True))),
    "com.microsoft.QLinearLeakyRelu": on_one(lambda x, *, alpha=0.01: F.leaky_relu(x, alpha)),
    "com.microsoft.QLinearMul": on_two(fd.mul),
    "com.microsoft.QLinearSigmoid": on_one(fd.sigmoid),
}
