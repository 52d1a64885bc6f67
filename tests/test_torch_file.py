"""fastdl.load of PyTorch's files: written here byte by byte, by PyTorch where it is installed, damaged, and hostile."""

import collections
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdl as fd

STORAGES = {
    "float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage",
    "int64": "LongStorage", "int32": "IntStorage", "int8": "CharStorage", "uint8": "ByteStorage", "bool": "BoolStorage",
}  # fmt: skip


class Name:
    """Pickled as a global of that name, whether it exists or not."""

    def __init__(self, name):
        self.module, self.attribute = name.rsplit(".", 1)


class Call:
    def __init__(self, function, *arguments):
        self.function, self.arguments = Name(function), arguments


class Stored:
    """A storage: its elements as an array, its class and its key."""

    def __init__(self, array, kind="FloatStorage", key="0"):
        self.array, self.kind, self.key = array, kind, key


class Pickler(pickle._Pickler):
    """Python's own pickler, with globals by name and storages by reference, as PyTorch writes them."""

    def persistent_id(self, obj):
        if isinstance(obj, Stored):
            return ("storage", Name(f"torch.{obj.kind}"), obj.key, "cpu", obj.array.size)
        return None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Name):
            return self.write(pickle.GLOBAL + f"{obj.module}\n{obj.attribute}\n".encode())
        if isinstance(obj, Call):
            self.save(obj.function)
            self.save(obj.arguments)
            return self.write(pickle.REDUCE)
        return super().save(obj, save_persistent_id)


def write(path, obj, storages=(), protocol=2, **entries):
    """A file as torch.save lays it out; entries add to it or, as None, take away."""
    text = io.BytesIO()
    Pickler(text, protocol).dump(obj)
    content = {"data.pkl": text.getvalue(), "byteorder": b"little", "version": b"3\n"}
    content |= {f"data/{s.key}": s.array.tobytes() for s in storages}
    content |= {name.replace("_pkl", ".pkl"): data for name, data in entries.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(f"archive/{name}", data)


def tensor(storage, offset, size, stride):
    return Call("torch._utils._rebuild_tensor_v2", storage, offset, size, stride, False, collections.OrderedDict())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.pt"


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("dtype", STORAGES)
def test_every_dtype(path, dtype, protocol):
    values = [0, 1, 1, 0, 1, 1]
    array = fd.tensor(values).to(getattr(fd, dtype))
    raw = (
        np.array(array.float().numpy(force=True).view(np.uint32) >> 16, np.uint16)
        if dtype == "bfloat16"
        else array.numpy(force=True)
    )
    stored = Stored(raw, STORAGES[dtype])
    write(path, {"x": tensor(stored, 1, (2, 2), (1, 2))}, [stored], protocol)
    x = fd.load(path)["x"]
    assert x.dtype == getattr(fd, dtype)
    assert x.tolist() == array.as_strided((2, 2), (1, 2), 1).tolist()


def test_nested_containers_and_sharing(path):
    stored = Stored(np.arange(6, dtype=np.float32))
    weight = tensor(stored, 0, (2, 3), (3, 1))
    obj = {
        "model": collections.OrderedDict(weight=Call("torch._utils._rebuild_parameter", weight, True, None)),
        "tied": weight,
        "epoch": 3,
        "big": 2**70,
        "loss": [0.5, -1e300, None, True, False],
        "name": "ünï",
        "shape": Call("torch.Size", (2, 3)),
        "dtype": Name("torch.float16"),
        "pair": (1, ("two", 3.0), []),
        "empty": tensor(stored, 6, (0, 3), (3, 1)),
        "scalar": tensor(stored, 5, (), ()),
        7: {"nested": {}},
    }
    write(path, obj, [stored])
    loaded = fd.load(path)
    assert list(loaded) == list(obj)
    assert loaded["model"]["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    loaded["tied"].zero_()
    assert loaded["model"]["weight"].sum() == 0  # tied weights stay tied
    assert (loaded["epoch"], loaded["big"], loaded["loss"], loaded["name"]) == (3, 2**70, obj["loss"], "ünï")
    assert (loaded["shape"], loaded["dtype"], loaded["pair"], loaded[7]) == ((2, 3), fd.float16, obj["pair"], obj[7])
    assert loaded["empty"].shape == (0, 3)
    assert loaded["scalar"].shape == ()


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("where", ["alone", "dict", "list", "tuple", "key"])
def test_nothing_is_executed(path, tmp_path, where):
    file = tmp_path / "executed"
    hostile = Hostile(file)
    obj = {"alone": hostile, "dict": {"x": hostile}, "list": [hostile], "tuple": (1, hostile), "key": {(1, hostile): 1}}
    write(path, obj[where])
    with pytest.raises(ValueError, match=r"posix\.system.*Nothing was executed"):
        fd.load(path)
    assert not file.exists()


@pytest.mark.parametrize(
    ("obj", "name"),
    [
        (Call("builtins.eval", "1"), r"builtins\.eval"),
        (Call("builtins.getattr", Name("os.path"), "x"), r"builtins\.getattr"),
        ({"x": Name("os.system")}, r"os\.system"),
        ([Name("torch.nn.modules.linear.Linear")], r"torch\.nn\.modules\.linear\.Linear"),
        (Call("numpy.core.multiarray.scalar", 1), r"numpy\.core\.multiarray\.scalar"),
        (Call("torch._utils._rebuild_tensor_v3", 1), "_rebuild_tensor_v3"),
        (Call("torch._utils._rebuild_qtensor", 1), "_rebuild_qtensor"),
        (Call("argparse.Namespace"), r"argparse\.Namespace"),
        ({"x": complex(1, 2)}, r"__builtin__\.complex"),
        (Call("collections.OrderedDict", [("x", Name("os.system"))]), r"os\.system"),
        (Call("collections.OrderedDict", (("x", Name("os.system")),)), r"os\.system"),
        ({"x": Call("torch.Size", Name("os.system"))}, "damaged|os.system"),
    ],
)
def test_other_objects_are_refused_by_name(path, obj, name):
    write(path, obj)
    with pytest.raises(ValueError, match=name):
        fd.load(path)


def test_other_instructions_are_refused(path):
    for code, op in (
        (b"\x80\x02cos\nsystem\n)\x81.", "NEWOBJ"),
        (b"(cos\nsystem\no.", "OBJ"),
        (b"(ios\nsystem\n.", "INST"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x04\x8f.", "EMPTY_SET"),
    ):
        write(path, None, data_pkl=code)
        with pytest.raises(ValueError, match=op):
            fd.load(path)


def test_an_object_with_a_state_is_refused(path):
    write(path, None, data_pkl=b"\x80\x02]}b.")
    with pytest.raises(ValueError, match="an object with a state"):
        fd.load(path)


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (tensor(Stored(np.zeros(4, np.float32)), 0, (5,), (1,)), "reaches to element 4 of a storage of 4"),
        (tensor(Stored(np.zeros(4, np.float32)), 2, (2, 2), (2, 1)), "reaches to element 5"),
        (tensor(Stored(np.zeros(4, np.float32)), -1, (2,), (1,)), "sizes"),
        (tensor(Stored(np.zeros(4, np.float32)), 0, (2,), (-1,)), "sizes"),
        (tensor(Stored(np.zeros(4, np.float32)), 0, (2, 2), (1,)), "damaged"),
        (tensor(Stored(np.zeros(5, np.float32)), 0, (2,), (1,)), "has 4 elements, expected 5"),
        (tensor(Stored(np.zeros(4, np.int16), "ShortStorage"), 0, (2,), (1,)), r"torch\.ShortStorage"),
        (tensor(Stored(np.zeros(4, np.float32), key="../1"), 0, (2,), (1,)), "no entry"),
        (tensor(5, 0, (2,), (1,)), "without a storage"),
        (Call("torch._utils._rebuild_parameter", 5, True, None), "parameter"),
    ],
)
def test_tensors_outside_their_memory_are_refused(path, obj, message):
    write(path, {"x": obj}, [Stored(np.zeros(4, np.float32))])
    with pytest.raises(ValueError, match=message):
        fd.load(path)


@pytest.mark.parametrize(
    "pickled",
    [b"", b".", b"\x80\x02", b"\x80\x02}", b"\x80\x02t.", b"\x80\x02h\x05.", b"\x80\x02)R.", b"\x80\x02(.", b"\x80\x02}K\x01s.",
     b"\x80\x02]K\x01u.", b"\x80\x02Q.", b"\xff\xff", b"\x80\x02X\xff\xff\xff\x7fab."],
    ids=repr,
)  # fmt: skip
def test_damaged_pickles(path, pickled):
    write(path, None, data_pkl=pickled)
    with pytest.raises(ValueError, match="damaged"):
        fd.load(path)


def test_other_archives(path):
    write(path, {}, data_pkl=None)
    with pytest.raises(ValueError, match=r"0 entries data\.pkl"):
        fd.load(path)
    write(path, {}, constants_pkl=b"")
    with pytest.raises(ValueError, match="TorchScript"):
        fd.load(path)
    write(path, {}, byteorder=b"big")
    with pytest.raises(ValueError, match="big-endian"):
        fd.load(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, 2) * 100)
    with pytest.raises(ValueError, match="compressed"):
        fd.load(path)
    path.write_bytes(pickle.dumps({}, 2))
    with pytest.raises(ValueError, match=r"PyTorch before 1\.6"):
        fd.load(path)


@settings(max_examples=100)
@given(st.data())
def test_damage_never_gets_further_than_a_value_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("x") / "x.pt"
    stored = Stored(np.arange(6, dtype=np.float32))
    write(path, {"w": tensor(stored, 0, (2, 3), (3, 1)), "n": [1, "two"]}, [stored])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    try:
        fd.load(path)
    except ValueError:
        pass


def test_files_of_pytorch(path, torch):
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.BatchNorm2d(2),
        torch.nn.Flatten(),
        torch.nn.LSTM(8, 4),
        torch.nn.Embedding(5, 3),
    )
    torch.save(model.state_dict(), path)
    state = fd.load(path)
    assert list(state) == list(model.state_dict())
    for key, value in model.state_dict().items():
        assert state[key].shape == tuple(value.shape)
        assert state[key].tolist() == value.tolist()
    optimizer = torch.optim.Adam(model.parameters())
    sum((p * p).sum() for p in model.parameters()).backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "p": model[0].bias}, path)
    loaded = fd.load(path)
    assert loaded["epoch"] == 3
    assert loaded["optimizer"]["state"][0]["exp_avg"].tolist() == optimizer.state_dict()["state"][0]["exp_avg"].tolist()
    assert loaded["p"].tolist() == model[0].bias.tolist()
    ours = fd.nn.Sequential(
        fd.nn.Conv2d(1, 2, 3), fd.nn.BatchNorm2d(2), fd.nn.Flatten(), fd.nn.LSTM(8, 4), fd.nn.Embedding(5, 3)
    )
    ours.load_state_dict(loaded["model"])
    torch.save(model, path)
    with pytest.raises(ValueError, match="torch.nn.modules|instruction"):
        fd.load(path)
    torch.save({"x": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"PyTorch before 1\.6"):
        fd.load(path)
