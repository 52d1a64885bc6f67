"""The IDX format of MNIST and its relatives.

A big-endian file: two zero bytes, a code for the element type, the number of dimensions, each dimension as 32 bits,
then the elements. Files may be compressed with gzip.
"""

import gzip
import hashlib
import math
import os
import zlib

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 20


def read_idx(path, shape=None, sha256=None):
    """Read an IDX file, plain or compressed with gzip, and refuse anything that is not exactly right.

    Args:
        path: the file; it is taken for a gzip file if it starts like one, whatever its name.
        shape: expected dimensions, None for those that may be anything, or None for no expectation.
        sha256: expected SHA-256 of the (decompressed) content, as hexadecimal digits, or None.

    Returns:
        Array of the file's dimensions and element type.

    Raises:
        ValueError: the file is truncated, too long, damaged, of another format, of another shape than expected, or does
            not match the checksum. The message names the file and what was expected.
        OSError: the file cannot be read.

    Source: Y. LeCun, http://yann.lecun.com/exdb/mnist (file formats).

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "x.idx")
        >>> with open(path, "wb") as file:
        ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3]) + b"abc")
        >>> read_idx(path).tolist()
        [97, 98, 99]
    """
    import numpy as np

    name = os.fspath(path)
    with open(path, "rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            with gzip.open(raw) if compressed else raw as file:
                header, dims, payload = _read(file, name, shape)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"read_idx: {name} is a damaged or truncated gzip file: {error}") from error
    if sha256 is not None:
        found = hashlib.sha256(header + payload).hexdigest()
        if found != sha256:
            raise ValueError(f"read_idx: {name} was damaged or changed: expected SHA-256 {sha256}, found {found}")
    array = np.frombuffer(payload, _TYPES[header[2]]).reshape(dims)
    return array.astype(array.dtype.newbyteorder("="))


def _read(file, name, shape):
    """(header, dimensions, payload), with everything checked that the header and the length can tell"""
    header = _read_up_to(file, 4)
    if len(header) < 4:
        raise ValueError(f"read_idx: {name} is truncated: expected a header, found {len(header)} bytes")
    if header[:2] != b"\0\0" or header[2] not in _TYPES:
        raise ValueError(
            f"read_idx: {name} is no IDX file: expected it to start with 00 00 and a type code from 08 to 0e, "
            f"found {header.hex(' ')}"
        )
    rank = header[3]
    sizes = _read_up_to(file, 4 * rank)
    if len(sizes) < 4 * rank:
        raise ValueError(f"read_idx: {name} is truncated: expected {rank} dimensions of 4 bytes, found {len(sizes)}")
    dims = tuple(int.from_bytes(sizes[4 * i : 4 * i + 4], "big") for i in range(rank))
    if shape is not None and (len(shape) != rank or any(want not in (None, dim) for want, dim in zip(shape, dims))):
        wanted = " x ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"read_idx: {name} has dimensions {' x '.join(map(str, dims))}; expected {wanted}")
    expected = math.prod(dims) * int(_TYPES[header[2]][-1])
    payload = _read_up_to(file, expected + 1)
    if len(payload) != expected:
        found = f"only {len(payload)}" if len(payload) < expected else "more"
        raise ValueError(
            f"read_idx: {name} has the wrong length: dimensions {' x '.join(map(str, dims))} need {expected} bytes "
            f"after the header, found {found}"
        )
    return header + sizes, dims, payload


def _read_up_to(file, count):
    """At most ``count`` bytes, in pieces: a damaged header may ask for more than any memory holds"""
    parts = []
    while count > 0 and (part := file.read(min(count, _CHUNK))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
