"""Nested state in one safetensors file.

Tensors are stored as tensors; everything around them (dictionaries, lists, numbers, strings) as JSON in the file's
metadata, where each tensor is a reference. Nothing in such a file can be executed, unlike in a pickle.
"""

import json

import fastdl as fd
from fastdl.serialize import load, load_metadata, save

_KEY = "fastdl.tree"


def save_tree(tree, path):
    """Write nested dictionaries, lists and tuples of tensors, numbers, strings and None to a file, atomically.

    Args:
        tree: the state, such as ``{"model": model.state_dict(), "epoch": 3}``.
        path: the file to write.

    Raises:
        TypeError: something in it can be none of these; the message names where.
        OSError: the file cannot be written; a previous one stays as it was.

    Example:
        >>> import os, tempfile, fastdl as fd
        >>> path = os.path.join(tempfile.mkdtemp(), "state.safetensors")
        >>> save_tree({"step": 3, "betas": (0.9, 0.999), "state": {0: fd.ones(2)}}, path)
        >>> tree = load_tree(path)
        >>> tree["step"], tree["betas"], tree["state"][0].tolist()
        (3, (0.9, 0.999), [1.0, 1.0])
    """
    tensors = {}
    encoded = json.dumps(_encode(tree, "state", tensors))
    save(tensors, path, {_KEY: encoded})


def load_tree(path):
    """Read what ``save_tree`` wrote.

    Args:
        path: the file.

    Returns:
        The state, with new tensors on the CPU.

    Raises:
        ValueError: the file is truncated, damaged or was not written by ``save_tree``.
        OSError: the file cannot be read.

    Example: see ``save_tree``.
    """
    tensors = load(path)
    try:
        return _decode(json.loads(load_metadata(path)[_KEY]), tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"load_tree: {path} is no checkpoint of fastdl, or a damaged one") from error


def _encode(value, where, tensors):
    if isinstance(value, fd.Tensor):
        while where in tensors:  # {"a": {"b": x}, "a.b": y}
            where += "'"
        tensors[where] = value
        return {"tensor": where}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_encode(member, f"{where}.{i}", tensors) for i, member in enumerate(value)]
    if isinstance(value, tuple):
        return {"tuple": _encode(list(value), where, tensors)}
    if hasattr(value, "items"):
        return {"dict": [[_encode_key(key, where), _encode(v, f"{where}.{key}", tensors)] for key, v in value.items()]}
    raise TypeError(
        f"save_tree: {where} is of type {type(value).__name__}; expected tensors, numbers, strings, None, and "
        "dictionaries, lists and tuples of such"
    )


def _encode_key(key, where):
    if not isinstance(key, str | int):
        raise TypeError(f"save_tree: the keys of {where} must be str or int, got {key!r}")
    return key


def _decode(value, tensors):
    if isinstance(value, list):
        return [_decode(member, tensors) for member in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(_decode(content, tensors))
    return {key: _decode(member, tensors) for key, member in content}
