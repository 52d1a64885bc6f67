"""Tensors in safetensors files: ``fastdl.save`` and ``fastdl.load``.

The format is a JSON header and the tensors' bytes, nothing that could be executed
(https://huggingface.co/docs/safetensors). PyTorch, NumPy and JAX read these files and fastdl reads theirs. ``save``
adds a SHA-256 of names, dtypes, shapes and bytes to the metadata, and ``load`` checks it where it is present: the
format itself would not notice a flipped bit in a weight.
"""

import hashlib
import json
import os

import fastdl as fd

from .extras import require
from .files import atomic_write

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
_CHECKSUM = "fastdl.sha256"


def save(obj, path, metadata=None):
    """Write a dictionary of tensors to a safetensors file, atomically.

    Views, strided tensors and tensors that share storage are each written in full, as contiguous tensors. Gradients
    are not written. The file takes its place only when it is complete (see ``fastdl.files.atomic_write``).

    Args:
        obj: dictionary from names to tensors, such as ``model.state_dict()``.
        path: the file to write; an existing one is replaced.
        metadata: dictionary from str to str to keep in the header.

    Raises:
        TypeError: a name is no str, a value no tensor, or metadata something other than str to str.
        ImportError: the package safetensors is not installed.
        OSError: the folder is missing or the disk full; a file that was there before stays as it was.

    Source: the safetensors format.

    Example:
        >>> import os, tempfile, fastdl as fd
        >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
        >>> fd.save({"weight": fd.tensor([[1.0, 2.0]])}, path, metadata={"epoch": "3"})
        >>> fd.load(path)["weight"].tolist()
        [[1.0, 2.0]]
    """
    arrays = {name: _to_array(name, tensor) for name, tensor in _checked_items(obj)}
    metadata = dict(_checked_metadata(metadata or {}))
    metadata[_CHECKSUM] = _checksum(
        (name, dtype, array.shape, array.reshape(-1)) for name, (dtype, array) in arrays.items()
    )
    content = _serialize(arrays, metadata)
    with atomic_write(path) as file:
        file.write(content)


def load(path):
    """Read the tensors of a safetensors file.

    Args:
        path: a file written by ``fastdl.save`` or by any other writer of the format.

    Returns:
        Dictionary from names to new tensors on the CPU, in the order of the file.

    Raises:
        ValueError: the file is truncated or damaged, is no safetensors file, or holds a dtype that fastdl lacks.
        ImportError: the package safetensors is not installed.
        OSError: the file cannot be read.

    Source: the safetensors format.

    Example:
        >>> import os, tempfile, fastdl as fd
        >>> path = os.path.join(tempfile.mkdtemp(), "half.safetensors")
        >>> fd.save({"x": fd.tensor([0.5]).to(fd.bfloat16)}, path)
        >>> fd.load(path)["x"].dtype == fd.bfloat16
        True
    """
    safetensors = require("safetensors", "fastdl.load")
    with open(path, "rb") as file:
        content = file.read()
    try:
        entries = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"load: {os.fspath(path)} is no complete safetensors file of {len(content)} bytes: {error}; "
            "it is truncated, damaged or of another format"
        ) from error
    entries = [(name, entry["dtype"], tuple(entry["shape"]), entry["data"]) for name, entry in entries]
    for name, dtype, shape, _ in entries:
        if dtype not in _DTYPES:
            raise ValueError(
                f"load: tensor {name} {list(shape)} in {os.fspath(path)} has dtype {dtype}; "
                f"expected one of {', '.join(_DTYPES)}"
            )
    expected = _read_metadata(content).get(_CHECKSUM)
    if expected is not None and expected != _checksum(entries):
        raise ValueError(
            f"load: the tensors in {os.fspath(path)} do not match the checksum in its header; "
            "the file was damaged or changed after it was saved"
        )
    return {name: _from_bytes(dtype, shape, data) for name, dtype, shape, data in entries}


def load_metadata(path):
    """Read the metadata of a safetensors file without its tensors.

    Args:
        path: a safetensors file.

    Returns:
        Dictionary from str to str, without what ``fastdl.save`` adds for itself.

    Raises:
        ValueError: the header is truncated or damaged.
        OSError: the file cannot be read.

    Example:
        >>> import os, tempfile, fastdl as fd
        >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
        >>> fd.save({"weight": fd.zeros(2)}, path, metadata={"epoch": "3"})
        >>> load_metadata(path)
        {'epoch': '3'}
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(8)
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > size - 8:
            raise ValueError(
                f"load_metadata: {os.fspath(path)} is no complete safetensors file: "
                f"it has {size} bytes and its header would need {8 + length}"
            )
        try:
            metadata = _read_metadata(head + file.read(length))
        except ValueError as error:
            raise ValueError(f"load_metadata: the header of {os.fspath(path)} is damaged: {error}") from error
    metadata.pop(_CHECKSUM, None)
    return metadata


def _checked_items(obj):
    if not hasattr(obj, "items"):
        raise TypeError(f"save: expected a dictionary from names to tensors, got {type(obj).__name__}")
    for name, tensor in obj.items():
        if not isinstance(name, str):
            raise TypeError(f"save: names must be str, got {name!r}")
        if not isinstance(tensor, fd.Tensor):
            raise TypeError(f"save: {name} must be a tensor, got {type(tensor).__name__}")
        yield name, tensor


def _checked_metadata(metadata):
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"save: metadata must map str to str, got {key!r}: {value!r}")
        yield key, value


def _to_array(name, tensor):
    """(name of the dtype in the format, contiguous array with the tensor's bytes)"""
    dtype = str(tensor.dtype).rpartition(".")[2]
    codes = [code for code, known in _DTYPES.items() if known == dtype]
    if not codes:
        raise TypeError(f"save: {name} has dtype {dtype}; expected one of {', '.join(_DTYPES.values())}")
    tensor = tensor.detach().cpu().contiguous()
    if dtype == "bfloat16":  # NumPy has no bfloat16: hand over the same bits under a type of the same size
        tensor = tensor.view(fd.float16)
    return codes[0], tensor.numpy()


def _from_bytes(dtype, shape, data):
    import numpy as np

    stored = "F16" if dtype == "BF16" else dtype
    array = np.ndarray(shape, np.dtype(_DTYPES[stored]), buffer=data if len(data) else bytearray(8))
    tensor = fd.from_numpy(array).clone()  # aligned memory of our own
    return tensor.view(fd.bfloat16) if dtype == "BF16" else tensor


def _checksum(entries):
    """SHA-256 over (name, dtype, shape, one-dimensional buffer) entries, whatever their order"""
    digest = hashlib.sha256()
    for name, dtype, shape, data in sorted(entries, key=lambda entry: entry[0]):
        digest.update(json.dumps([name, dtype, list(shape)]).encode())
        digest.update(data)
    return digest.hexdigest()


def _serialize(arrays, metadata):
    safetensors = require("safetensors", "fastdl.save")
    if hasattr(safetensors, "TensorSpec"):
        specs = {
            name: safetensors.TensorSpec(
                dtype=_DTYPES[code], shape=list(array.shape), data_ptr=array.ctypes.data, data_len=array.nbytes
            )
            for name, (code, array) in arrays.items()
        }
    else:  # before safetensors 0.8
        specs = {
            name: {"dtype": _DTYPES[code], "shape": array.shape, "data": array.tobytes()}
            for name, (code, array) in arrays.items()
        }
    return safetensors.serialize(specs, metadata)


def _read_metadata(content):
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        raise ValueError("it is no JSON object with metadata")
    return metadata
