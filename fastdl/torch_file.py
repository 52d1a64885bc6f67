"""Files that ``torch.save`` wrote, read without PyTorch and without running what a pickle may ask for.

Such a file is a zip archive: ``data.pkl`` is a pickle of the object, in which a tensor is a call of
``torch._utils._rebuild_tensor_v2`` on a storage, and ``data/KEY`` holds each storage's bytes. A pickle is a program for
a small stack machine that may import and call anything. Here a machine of our own reads it: it makes numbers, strings,
containers and tensors, keeps every other name as a name, and looks calls up in a table of five. There is nothing to
escape from: no import, no attribute access and no call of what the file names exists.
"""

import math
import os
import pickletools
import zipfile
from collections import OrderedDict

import fastdl as fd

from .serialize import to_tensor

# PyTorch's storage classes: the code of the elements in a safetensors file.
_STORAGES = {
    "torch.ComplexFloatStorage": "C64",
    "torch.DoubleStorage": "F64",
    "torch.FloatStorage": "F32",
    "torch.HalfStorage": "F16",
    "torch.BFloat16Storage": "BF16",
    "torch.LongStorage": "I64",
    "torch.IntStorage": "I32",
    "torch.CharStorage": "I8",
    "torch.ByteStorage": "U8",
    "torch.BoolStorage": "BOOL",
}
_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool")
_ALLOWED = "only tensors, numbers, strings, None, and lists, tuples and dictionaries of them are read"


def load_torch(path):
    """The object in a file of ``torch.save``: what ``fastdl.load`` does with a zip archive.

    Args:
        path: the file.

    Returns:
        Tensors, numbers, strings and None in lists, tuples and dictionaries. Tensors are on the CPU, wherever they
        were; those that shared memory share it here too.

    Raises:
        ValueError: the file is damaged, or holds something else; the message names it. Nothing was executed.
        OSError: the file cannot be read.
    """
    name = os.fspath(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, name).object()
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(f"load: {name} is no complete zip archive: {error}") from error


class _Global:
    """A name that the pickle imports; it stays a name."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name


class _Mark:
    pass


class _Archive:
    """One file: the storages read so far, and the calls that a pickle may make."""

    def __init__(self, archive, name):
        self.archive, self.name = archive, name
        self.storages = {}
        pickles = [entry for entry in archive.namelist() if entry.endswith("/data.pkl") or entry == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(
                f"load: {name} is no file of torch.save: it has {len(pickles)} entries data.pkl, expected one"
            )
        self.folder = pickles[0][: -len("data.pkl")]
        if self.folder + "constants.pkl" in archive.namelist():
            raise ValueError(f"load: {name} is a TorchScript program; save its state_dict() instead")
        if self.folder + "byteorder" in archive.namelist() and self.read("byteorder") != b"little":
            raise ValueError(f"load: {name} was written on a big-endian machine")
        self.calls = {
            "collections.OrderedDict": self.ordered_dict,
            "torch.Size": tuple,
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_parameter": self.parameter,
        }

    def refuse(self, what):
        return ValueError(f"load: {self.name} holds {what}; {_ALLOWED}. Nothing was executed")

    def damaged(self, what):
        return ValueError(f"load: {self.name} is damaged: {what}")

    def read(self, entry):
        try:
            info = self.archive.getinfo(self.folder + entry)
        except KeyError as error:
            raise self.damaged(f"the archive has no entry {entry}") from error
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise self.damaged(f"entry {entry} is compressed or encrypted; torch.save does neither")
        return self.archive.read(info)

    # --- what a pickle may call ---

    def ordered_dict(self, items=()):
        return OrderedDict((self.plain(key), self.plain(value)) for key, value in items)

    def parameter(self, data, requires_grad=True, backward_hooks=None):
        if not isinstance(data, fd.Tensor):
            raise self.damaged("a parameter without a tensor")
        return data

    def tensor(self, storage, offset, size, stride, requires_grad=False, backward_hooks=None, metadata=None):
        numbers = (offset, *size, *stride)
        if not isinstance(storage, fd.Tensor) or not all(type(n) is int and n >= 0 for n in numbers):
            raise self.damaged("a tensor without a storage, or with sizes that are no numbers")
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if math.prod(size) and last >= storage.numel():
            raise self.damaged(
                f"a tensor of shape {list(size)} reaches to element {last} of a storage of {storage.numel()}"
            )
        return storage.as_strided(tuple(size), tuple(stride), min(offset, storage.numel()))

    def storage(self, pid):
        """A storage as a flat tensor, from ('storage', class, key, location, elements)."""
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage" or not isinstance(pid[1], _Global):
            raise self.damaged(f"a reference {pid!r} to something else than a storage")
        _, kind, key, _location, count = pid
        if kind.name not in _STORAGES:
            raise self.refuse(f"a {kind.name}")
        if key not in self.storages:
            data = bytearray(self.read(f"data/{key}"))
            self.storages[key] = to_tensor(f"storage {key}", _STORAGES[kind.name], (-1,), data, self.name)
        tensor = self.storages[key]
        if tensor.numel() != count:
            raise self.damaged(f"storage {key} has {tensor.numel()} elements, expected {count}")
        return tensor

    # --- the pickle machine ---

    def object(self):
        try:
            value = self.run(self.read("data.pkl"))
        except (IndexError, KeyError, TypeError, AttributeError, OverflowError, fd.Error) as error:
            raise self.damaged(f"its pickle makes no sense ({type(error).__name__}: {error})") from error
        except RecursionError as error:
            raise self.damaged("its pickle is nested too deeply") from error
        return value

    def run(self, program):
        stack, memo = [], {}

        def since_mark():
            at = len(stack) - 1
            while not isinstance(stack[at], _Mark):
                at -= 1
                if at < 0:
                    raise self.damaged("its pickle has an item without a mark")
            items = stack[at + 1 :]
            del stack[at:]
            return items

        def set_items(items):
            if not isinstance(stack[-1], dict) or len(items) % 2:
                raise self.damaged("its pickle sets items of something else than a dictionary")
            for key, value in zip(items[::2], items[1::2]):
                stack[-1][self.plain(key)] = self.plain(value)

        def append(items):
            if type(stack[-1]) is not list:
                raise self.damaged("its pickle appends to something else than a list")
            stack[-1].extend(self.plain(item) for item in items)

        try:
            for opcode, argument, _ in pickletools.genops(program):
                op = opcode.name
                if op in _VALUES:
                    stack.append(argument)
                elif op in _CONSTANTS:
                    stack.append(_CONSTANTS[op])
                elif op in _MAKERS:
                    stack.append(_MAKERS[op]())
                elif op in ("PUT", "BINPUT", "LONG_BINPUT"):
                    memo[argument] = stack[-1]
                elif op == "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                elif op in ("GET", "BINGET", "LONG_BINGET"):
                    stack.append(memo[argument])
                elif op in _TUPLES:
                    count = _TUPLES[op]
                    items = stack[len(stack) - count :]
                    del stack[len(stack) - count :]
                    stack.append(tuple(items))
                elif op == "TUPLE":
                    stack.append(tuple(since_mark()))
                elif op == "LIST":
                    stack.append([self.plain(item) for item in since_mark()])
                elif op == "DICT":
                    items = since_mark()
                    stack.append({})
                    set_items(items)
                elif op == "APPEND":
                    item = stack.pop()
                    append([item])
                elif op == "APPENDS":
                    append(since_mark())
                elif op == "SETITEM":
                    items = stack[-2:]
                    del stack[-2:]
                    set_items(items)
                elif op == "SETITEMS":
                    set_items(since_mark())
                elif op == "GLOBAL":
                    stack.append(_Global(argument.replace(" ", ".", 1)))
                elif op == "STACK_GLOBAL":
                    name = stack.pop()
                    stack.append(_Global(f"{stack.pop()}.{name}"))
                elif op == "BINPERSID":
                    stack.append(self.storage(stack.pop()))
                elif op == "REDUCE":
                    arguments = stack.pop()
                    stack.append(self.call(stack.pop(), arguments))
                elif op == "BUILD":
                    state = stack.pop()
                    if not isinstance(stack[-1], OrderedDict) or not isinstance(state, dict):
                        raise self.refuse("an object with a state")
                    # the versions of a state_dict's modules: for PyTorch alone
                elif op == "POP":
                    stack.pop()
                elif op == "STOP":
                    return self.plain(stack.pop())
                elif op not in ("PROTO", "FRAME"):
                    raise self.refuse(f"an object made by the pickle instruction {op}")
        except ValueError as error:
            if str(error).startswith("load: "):
                raise
            raise self.damaged(f"its pickle cannot be read ({error})") from error
        raise self.damaged("its pickle does not end")

    def call(self, function, arguments):
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise self.damaged("its pickle calls something that is no function")
        if function.name not in self.calls:
            raise self.refuse(function.name)
        return self.calls[function.name](*arguments)

    def plain(self, value):
        """The value as a part of the result: a dtype's name becomes the dtype, other names are refused."""
        if isinstance(value, _Global):
            module, _, name = value.name.partition(".")
            if module == "torch" and name in _DTYPES:
                return getattr(fd, name)
            raise self.refuse(value.name)
        if isinstance(value, _Mark):
            raise self.damaged("its pickle has a mark without items")
        if isinstance(value, tuple):
            return tuple(self.plain(item) for item in value)
        return value


_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_MAKERS = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "MARK": _Mark}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
