"""Tensors in files: ``fastdl.save`` writes safetensors, ``fastdl.load`` reads them and what ``torch.save`` wrote.

A file is the header's length (8 bytes, little-endian), a JSON header padded with spaces, and the tensors' bytes without
gaps (https://huggingface.co/docs/safetensors): nothing that could be executed. PyTorch, NumPy and JAX read these files
and fastdl reads theirs. ``save`` adds a SHA-256 of names, dtypes, shapes and bytes to the metadata, and ``load`` checks
it where it is present: the format itself would not notice a flipped bit in a weight.
"""

import hashlib
import json
import math
import os

import fastdl as fd

from .files import atomic_write

# code in the file: (fastdl's dtype, bytes of an element)
_DTYPES = {
    "C64": ("complex64", 8),
    "F64": ("float64", 8),
    "I64": ("int64", 8),
    "F32": ("float32", 4),
    "I32": ("int32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}
_CODES = {name: code for code, (name, _) in _DTYPES.items()}
_CHECKSUM = "fastdl.sha256"
_MAX_HEADER = 100_000_000  # the limit of the format's reference implementation


def save(obj, f, metadata=None):
    """Write a dictionary of tensors to a safetensors file, atomically.

    Views, strided tensors and tensors that share storage are each written in full, as contiguous tensors. Gradients
    are not written. The same content gives the same bytes. The file takes its place only when it is complete (see
    ``fastdl.files.atomic_write``).

    Args:
        obj: dictionary from names to tensors, such as ``model.state_dict()``.
        f: the file to write; an existing one is replaced.
        metadata: dictionary from str to str to keep in the header.

    Raises:
        TypeError: a name is no str, a value no tensor, or metadata something other than str to str.
        OSError: the folder is missing or the disk full; a file that was there before stays as it was.

    Source: the safetensors format.

    Example:
        >>> import os, tempfile, fastdl as fd
        >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
        >>> fd.save({"weight": fd.tensor([[1.0, 2.0]])}, path, metadata={"epoch": "3"})
        >>> fd.load(path)["weight"].tolist()
        [[1.0, 2.0]]
    """
    entries = [to_entry(name, tensor) for name, tensor in _checked_items(obj)]
    # The largest elements first, so that each tensor is aligned; the order in which the reference writes them.
    entries.sort(key=lambda entry: (-_DTYPES[entry[1]][1], entry[0]))
    header = {"__metadata__": {**_checked_metadata(metadata or {}), _CHECKSUM: _checksum(entries)}}
    end = 0
    for name, code, shape, data in entries:
        start, end = end, end + data.nbytes
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise ValueError(f"save: the header would need {len(text)} bytes; the format allows {_MAX_HEADER}")
    with atomic_write(f) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for _, _, _, data in entries:
            file.write(data)


def load(path):
    """Read the tensors of a safetensors file, or of one that ``torch.save`` wrote (``.pt``, ``.pth``, ``.bin``).

    Which of them it is the file's first bytes say. A PyTorch file needs no PyTorch, and no code in its pickle runs: it
    may hold tensors (of a ``state_dict()``, say), numbers, strings and None in lists, tuples and dictionaries.

    Args:
        path: a file written by ``fastdl.save``, ``torch.save`` or any writer of safetensors.

    Returns:
        Dictionary from names to new tensors on the CPU, in the order of their bytes in the file; of a PyTorch file the
        object that was saved.

    Raises:
        ValueError: the file is truncated or damaged, of another format, holds a dtype that fastdl lacks, or as a
            PyTorch file something else than the above.
        OSError: the file cannot be read.

    Source: the safetensors format.

    Example:
        >>> import os, tempfile, fastdl as fd
        >>> path = os.path.join(tempfile.mkdtemp(), "half.safetensors")
        >>> fd.save({"x": fd.tensor([0.5]).to(fd.bfloat16)}, path)
        >>> fd.load(path)["x"].dtype == fd.bfloat16
        True
    """
    with open(path, "rb") as file:
        start = file.read(4)
        file.seek(0)
        if start == b"PK\x03\x04":
            from .torch_file import load_torch

            return load_torch(path)
        if start[:2] == b"\x80\x02":
            raise ValueError(
                f"load: {os.fspath(path)} is a bare pickle (a file of PyTorch before 1.6, or no weights at all), which is "
                "not read; save it again with torch.save"
            )
        header, size = _read_header(file, path)
        metadata = header.pop("__metadata__", {})
        layout = _checked_layout(header, size, path)
        entries = [(name, code, shape, _read_exactly(file, count, path)) for name, code, shape, count in layout]
    expected = metadata.get(_CHECKSUM)
    if expected is not None and expected != _checksum(entries):
        raise ValueError(
            f"load: the tensors in {os.fspath(path)} do not match the checksum in its header; "
            "the file was damaged or changed after it was saved"
        )
    return {name: to_tensor(name, code, shape, data, path) for name, code, shape, data in entries}


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
    with open(path, "rb") as file:
        metadata = _read_header(file, path)[0].get("__metadata__", {})
    return {key: value for key, value in metadata.items() if key != _CHECKSUM}


def _checked_items(obj):
    if not hasattr(obj, "items"):
        raise TypeError(f"save: expected a dictionary from names to tensors, got {type(obj).__name__}")
    for name, tensor in obj.items():
        if not isinstance(name, str):
            raise TypeError(f"save: names must be str, got {name!r}")
        if name == "__metadata__":
            raise ValueError("save: the format keeps the name __metadata__ for itself")
        if not isinstance(tensor, fd.Tensor):
            raise TypeError(f"save: {name} must be a tensor, got {type(tensor).__name__}")
        yield name, tensor


def _checked_metadata(metadata):
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"save: metadata must map str to str, got {key!r}: {value!r}")
    return metadata


def to_entry(name, tensor):
    """(name, code of the dtype, shape, flat array with the tensor's bytes)."""
    import numpy as np

    code = _CODES.get(str(tensor.dtype).rpartition(".")[2])
    if code is None:
        raise TypeError(f"save: {name} has dtype {tensor.dtype}; expected one of {', '.join(_CODES)}")
    shape = tuple(tensor.shape)
    tensor = tensor.detach().cpu().contiguous().reshape(-1)
    if code == "BF16":  # NumPy has none; it is the upper half of a float32
        return name, code, shape, (tensor.to(fd.float32).numpy().view(np.uint32) >> 16).astype(np.uint16)
    return name, code, shape, tensor.numpy()


def to_tensor(name, code, shape, data, path):
    """A new tensor from the bytes of elements of a safetensors code."""
    import numpy as np

    if code == "BF16":
        bits = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return fd.from_numpy(bits.view(np.float32)).to(fd.bfloat16).reshape(shape)
    if code == "BOOL" and max(data, default=0) > 1:
        raise ValueError(f"load: tensor {name} in {os.fspath(path)} is bool and holds bytes other than 0 and 1")
    # clone gives the tensor memory of its own, aligned as kernels like it
    return fd.from_numpy(np.frombuffer(data, _DTYPES[code][0])).clone().reshape(shape)


def _checksum(entries):
    """SHA-256 over (name, code, shape, flat buffer) entries, whatever their order"""
    digest = hashlib.sha256()
    for name, code, shape, data in sorted(entries, key=lambda entry: entry[0]):
        digest.update(json.dumps([name, code, list(shape)]).encode())
        digest.update(data)
    return digest.hexdigest()


def _damaged(path, what):
    return ValueError(
        f"load: {os.fspath(path)} is no complete safetensors file: {what}; "
        "it is truncated, damaged or of another format"
    )


def _read_header(file, path):
    """(the JSON header, bytes after it)"""
    size = os.fstat(file.fileno()).st_size
    head = file.read(8)
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length > min(size - 8, _MAX_HEADER):
        raise _damaged(path, f"it has {size} bytes, and its header would end at byte {8 + length}")
    try:
        header = json.loads(_read_exactly(file, length, path))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is no JSON ({error})") from error
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "its header is no JSON object with metadata from str to str")
    return header, size - 8 - length


def _checked_layout(header, size, path):
    """[(name, code, shape, bytes)] in the order of the file; the tensors must fill ``size`` bytes without gaps"""
    layout = []
    for name, entry in header.items():
        try:
            code, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, f"tensor {name} lacks dtype, shape or data_offsets") from error
        if not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
            raise _damaged(path, f"tensor {name} has shape {list(shape)} and offsets {start} to {end}")
        if not isinstance(code, str) or code not in _DTYPES:
            raise ValueError(
                f"load: tensor {name} {list(shape)} in {os.fspath(path)} has dtype {code}; "
                f"expected one of {', '.join(_DTYPES)}"
            )
        if end - start != math.prod(shape) * _DTYPES[code][1]:
            raise _damaged(path, f"tensor {name} of dtype {code} and shape {list(shape)} has {end - start} bytes")
        layout.append((start, end, name, code, shape))
    layout.sort(key=lambda row: row[:2])
    filled = 0
    for start, end, name, _, _ in layout:
        if start != filled:
            raise _damaged(path, f"tensor {name} begins at byte {start} of the data, expected {filled}")
        filled = end
    if filled != size:
        raise _damaged(path, f"its tensors need {filled} bytes, and {size} are there")
    return [(name, code, shape, end - start) for start, end, name, code, shape in layout]


def _read_exactly(file, count, path):
    data = bytearray(count)
    if file.readinto(data) != count:
        raise _damaged(path, "it became shorter while it was read")
    return data
