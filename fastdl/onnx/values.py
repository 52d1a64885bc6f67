"""ONNX's element types, tensors and attributes as fastdl's."""

import math
import os

import fastdl as fd
from fastdl.serialize import to_tensor

# TensorProto.DataType: (its name, fastdl's dtype or None, the code of a safetensors file)
TYPES = {
    1: ("FLOAT", fd.float32, "F32"),
    2: ("UINT8", fd.uint8, "U8"),
    3: ("INT8", fd.int8, "I8"),
    6: ("INT32", fd.int32, "I32"),
    7: ("INT64", fd.int64, "I64"),
    9: ("BOOL", fd.bool, "BOOL"),
    10: ("FLOAT16", fd.float16, "F16"),
    11: ("DOUBLE", fd.float64, "F64"),
    16: ("BFLOAT16", fd.bfloat16, "BF16"),
}
CODES = {dtype: code for code, (_, dtype, _) in TYPES.items()}


def dtype_of(code, what):
    """fastdl's dtype for a TensorProto.DataType.

    Raises:
        DTypeError: it has none; the message begins with ``what``.
    """
    if code not in TYPES:
        import onnx

        known = onnx.TensorProto.DataType.values()
        name = onnx.TensorProto.DataType.Name(code) if code in known else str(code)
        raise fd.DTypeError(
            f"onnx: {what} is of type {name}, expected one of {', '.join(name for name, _, _ in TYPES.values())}"
        )
    return TYPES[code][1]


def tensor_of(proto, what, folder=None):
    """A tensor from a TensorProto; data outside of the file must lie in ``folder``.

    Raises:
        DTypeError: elements of a type that fastdl lacks. ValueError: bytes that do not fit the shape, or a place outside
        of the folder.
    """
    import onnx

    dtype_of(proto.data_type, what)
    if proto.data_location == onnx.TensorProto.EXTERNAL:
        proto = with_external_data(proto, what, folder)
    try:
        array = onnx.numpy_helper.to_array(proto)
        code = TYPES[proto.data_type][2]
        return to_tensor(what, code, array.shape, bytearray(array.tobytes()), "an ONNX file").to(
            fd.get_default_device()
        )
    except fd.Error:
        raise
    except Exception as error:  # protobuf, NumPy and onnx each have their own for bytes that do not fit the shape
        raise fd.ValueError(f"onnx: {what} is damaged: {error}") from error


def with_external_data(proto, what, folder):
    """The TensorProto with its bytes, which another file holds."""
    import onnx

    info = {entry.key: entry.value for entry in proto.external_data}
    location = info.get("location", "")
    if folder is None:
        raise fd.ValueError(f"onnx: {what} lies in the file {location!r}; load the model by its path")
    root = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(root, location))
    if not location or os.path.isabs(location) or os.path.commonpath([root, path]) != root or not os.path.isfile(path):
        raise fd.ValueError(f"onnx: {what} lies in {location!r}, which is no file in the model's folder; refused")
    size = os.path.getsize(path)
    needed = math.prod(proto.dims) * fd.empty(0, dtype=dtype_of(proto.data_type, what)).itemsize
    try:
        offset = int(info.get("offset", 0))
        length = int(info.get("length", size - offset))
    except ValueError:
        offset = length = -1
    if offset < 0 or length != needed or offset + length > size:
        raise fd.ValueError(
            f"onnx: {what} needs {needed} bytes; the model says {length} from byte {offset} of {location!r} on, which has {size}"
        )
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(length)
    whole = onnx.TensorProto()
    whole.CopyFrom(proto)
    whole.ClearField("data_location")
    del whole.external_data[:]
    whole.raw_data = data
    return whole


def ints(tensor):
    """The values of a small integer tensor (a shape, axes, pads), or of a list, as a list; None stays None."""
    return [int(v) for v in tensor.reshape(-1).tolist()] if isinstance(tensor, fd.Tensor) else tensor


def number(tensor, default=None):
    """The value of a tensor of one element; the default for None."""
    return default if tensor is None else tensor.reshape(()).item()


def axis_of(axis, ndim):
    """A dimension counted from the front.

    Raises:
        IndexError: it is out of range.
    """
    if not -ndim <= axis < max(ndim, 1):
        raise fd.IndexError(f"axis {axis} is out of range for {ndim} dimensions")
    return axis + ndim if axis < 0 else axis


def shaped_like(values, x):
    """A tensor of the dtype and device of x from a list of numbers."""
    return fd.tensor(values, dtype=x.dtype, device=x.device)
