"""fastdl.save and fastdl.load: every dtype and layout, other writers and readers, damage, full disks."""

import contextlib
import errno
import json
import os
import resource
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdl as fd
from fastdl.files import atomic_write
from fastdl.serialize import load_metadata

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tensors.safetensors"


def sample(dtype, shape):
    values = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape)
    return fd.tensor(values.tolist(), dtype=getattr(fd, dtype)).reshape(shape)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 5)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(path, dtype, shape):
    tensor = sample(dtype, shape)
    fd.save({"x": tensor}, path)
    loaded = fd.load(path)["x"]
    assert loaded.dtype == tensor.dtype
    assert tuple(loaded.shape) == shape
    assert loaded.tolist() == tensor.tolist()
    loaded.fill_(1)  # memory of its own, writable


def test_special_values_keep_their_bits(path):
    values = np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38], np.float32)
    fd.save({"x": fd.tensor(values.copy())}, path)
    assert fd.load(path)["x"].numpy(force=True).tobytes() == values.tobytes()
    half = fd.tensor(values.copy()).to(fd.bfloat16)
    fd.save({"x": half}, path)
    assert (
        fd.load(path)["x"].to(fd.float32).numpy(force=True).tobytes() == half.to(fd.float32).numpy(force=True).tobytes()
    )


def test_views_strides_and_shared_storage(path):
    base = fd.arange(24).reshape(4, 6)
    views = {
        "base": base,
        "transposed": base.t(),
        "column": base[:, 2],
        "every second": base[::2, 1::2],
        "offset": base[3],
        "expanded": base[:1].expand(3, 6),
        "weight": fd.ones(2, 2).requires_grad_(),
    }
    fd.save(views, path)
    loaded = fd.load(path)
    assert {name: tensor.tolist() for name, tensor in loaded.items()} == {
        name: tensor.tolist() for name, tensor in views.items()
    }
    loaded["base"].zero_()
    assert loaded["offset"].tolist() == base[3].tolist()
    assert not loaded["weight"].requires_grad


def test_state_dict_round_trip(path):
    fd.manual_seed(0)
    model, other = (
        fd.nn.Sequential(fd.nn.Conv2d(1, 2, 3), fd.nn.BatchNorm2d(2), fd.nn.Flatten(), fd.nn.Linear(8, 2))
        for _ in range(2)
    )
    x = fd.randn(3, 1, 4, 4)
    model(x)
    fd.save(model.state_dict(), path, metadata={"epoch": "3", "ü": "é"})
    other.load_state_dict(fd.load(path))
    assert other.eval()(x).tolist() == model.eval()(x).tolist()
    assert load_metadata(path) == {"epoch": "3", "ü": "é"}


def test_the_package_s_own_reader_and_writer(path):
    numpy = pytest.importorskip("safetensors.numpy")
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7)}
    fd.save({name: fd.tensor(array) for name, array in arrays.items()}, path)
    read = numpy.load_file(path)
    assert all((read[name] == array).all() and read[name].shape == array.shape for name, array in arrays.items())
    numpy.save_file(arrays, path)
    assert {name: tensor.tolist() for name, tensor in fd.load(path).items()} == {
        name: array.tolist() for name, array in arrays.items()
    }


def test_pytorch_reads_and_writes_the_same_file(path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    fd.save({"x": fd.tensor([1.0, 2.5]).to(fd.bfloat16)}, path)
    assert load_file(path)["x"].tolist() == [1.0, 2.5]
    save_file({"y": torch.tensor([[3.0]], dtype=torch.bfloat16)}, path)
    assert fd.load(path)["y"].tolist() == [[3.0]]


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([fd.zeros(1)],), "dictionary"),
        (({1: fd.zeros(1)},), "names must be str, got 1"),
        (({"x": [1.0]},), "x must be a tensor, got list"),
        (({"x": np.zeros(1)},), "x must be a tensor, got ndarray"),
        (({"x": fd.zeros(1)}, {"epoch": 3}), "metadata must map str to str"),
    ],
)
def test_save_refuses(path, arguments, message):
    obj, *metadata = arguments
    with pytest.raises(TypeError, match=message):
        fd.save(obj, path, *metadata)
    assert not path.exists()


def test_unknown_dtype_in_the_file(path):
    path.write_bytes(crafted({"x": entry("U64", (3,), 0, 24)}, bytes(24)))
    with pytest.raises(ValueError, match=r"tensor x \[3\].*U64"):
        fd.load(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        fd.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="no folder"):
        fd.save({}, tmp_path / "no" / "x.safetensors")
    with pytest.raises(IsADirectoryError):
        fd.save({}, tmp_path)
    with pytest.raises(IsADirectoryError):
        fd.load(tmp_path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "x.safetensors"
    fd.save({"weight": fd.arange(12).reshape(3, 4).to(fd.float32), "bias": fd.ones(3)}, path, {"note": "hello"})
    return path


def test_truncation_at_every_byte_is_noticed(saved, tmp_path):
    content = saved.read_bytes()
    path = tmp_path / "cut.safetensors"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.safetensors"):
            fd.load(path)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_flipped_bit_never_changes_a_tensor_silently(saved, tmp_path_factory, data):
    content = bytearray(saved.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    path.write_bytes(content)
    with contextlib.suppress(ValueError):
        loaded, original = fd.load(path), fd.load(saved)  # loads only where the bit was in the metadata
        assert {name: tensor.tolist() for name, tensor in loaded.items()} == {
            name: tensor.tolist() for name, tensor in original.items()
        }


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip file of some kind", b"\x80\x04pickle", b"\xff" * 64])
def test_other_formats(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"tensors\.safetensors"):
        fd.load(path)
    with pytest.raises(ValueError, match=r"tensors\.safetensors"):
        load_metadata(path)


def crafted(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), start=0, end=8):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (crafted({"x": entry()}, bytes(7)), "tensors need 8 bytes, and 7 are there"),
        (crafted({"x": entry()}, bytes(9)), "tensors need 8 bytes, and 9 are there"),
        (crafted({"x": entry(shape=(3,))}, bytes(8)), r"dtype F32 and shape \[3\] has 8 bytes"),
        (crafted({"x": entry(shape=(-1, -2))}, bytes(8)), r"shape \[-1, -2\]"),
        (crafted({"x": entry(shape=(2.0,))}, bytes(8)), r"shape \[2\.0\]"),
        (crafted({"x": entry(shape=(2**40, 2**40))}, bytes(8)), "has 8 bytes"),
        (crafted({"x": entry(), "y": entry()}, bytes(8)), "begins at byte 0 of the data, expected 8"),
        (crafted({"x": entry(), "y": entry(start=4, end=12)}, bytes(12)), "begins at byte 4 of the data, expected 8"),
        (crafted({"x": entry(start=4, end=12)}, bytes(12)), "begins at byte 4 of the data, expected 0"),
        (crafted({"x": {"dtype": "F32", "shape": [2]}}, bytes(8)), "lacks dtype, shape or data_offsets"),
        (crafted({"x": 3}), "lacks dtype, shape or data_offsets"),
        (crafted([1, 2]), "no JSON object"),
        (crafted({"__metadata__": {"a": 1}}), "metadata from str to str"),
        (crafted(b"[" * 100_000), "no JSON"),
        (crafted(b"\xff\xfe{}"), "no JSON"),
    ],
)
def test_crafted_headers_are_refused_as_the_reference_does(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        fd.load(path)
    safetensors = pytest.importorskip("safetensors")
    with pytest.raises((safetensors.SafetensorError, TypeError)):
        safetensors.deserialize(content)


def test_bool_bytes_other_than_0_and_1_are_refused(path):
    path.write_bytes(crafted({"x": entry("BOOL", (2,), 0, 2)}, b"\1\2"))
    with pytest.raises(ValueError, match=r"tensor x .* is bool and holds bytes other than 0 and 1"):
        fd.load(path)


def test_the_same_content_gives_the_same_bytes(path):
    tensors = {"b": fd.ones(3), "a": fd.zeros(2, 2), "c": fd.tensor([True])}
    fd.save(tensors, path, {"y": "2", "x": "1"})
    first = path.read_bytes()
    fd.save(tensors, path, {"y": "2", "x": "1"})
    assert path.read_bytes() == first
    length = int.from_bytes(first[:8], "little")
    assert (8 + length) % 8 == 0  # the first tensor is aligned


# --- atomic writing


def test_a_full_disk_leaves_the_old_file(path):
    fd.save({"x": fd.zeros(2)}, path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the disk takes 4 KiB of the file and no more
    try:
        with pytest.raises(OSError, match=r"tensors\.safetensors") as raised:
            fd.save({"x": fd.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno == errno.EFBIG
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_failing_flush_leaves_the_old_file(path, monkeypatch):
    path.write_bytes(b"old")

    def fsync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"), atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupt_leaves_the_old_file(path):
    path.write_bytes(b"old")

    def interrupted():
        with atomic_write(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_write_flushes_before_it_renames(path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, n=name, f=original: (calls.append(n), f(*args))[1])
    with atomic_write(path) as file:
        file.write(b"new")
    assert calls == ["fsync", "replace", "fsync"]


def test_links_and_permissions(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    old = os.umask(0o027)
    try:
        with atomic_write(link) as file:
            file.write(b"new")
    finally:
        os.umask(old)
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
