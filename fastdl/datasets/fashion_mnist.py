"""Fashion-MNIST: from a folder, from Debian's package, or downloaded once."""

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from fastdl.files import atomic_write, cache_folder

from .idx import read_idx
from .images import ImageData, labelled
from .mnist_format import find_file

_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_DEBIAN = "/usr/share/datasets/fashion-mnist"  # package dataset-fashion-mnist
_MAX_BYTES = 64 << 20  # no file is larger, so that a wrong server cannot fill the disk

# Name, dimensions, and SHA-256 of the decompressed content: archives of the same data differ in their gzip headers.
_FILES = {
    "train images": (
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train labels": (
        "train-labels-idx1-ubyte",
        (60000,),
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "test images": (
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "test labels": (
        "t10k-labels-idx1-ubyte",
        (10000,),
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fashion_mnist(data_dir=None):
    """Load Fashion-MNIST: 60,000 images of clothes to train on and 10,000 to test with, 28 x 28 pixels from 0 to 255.

    Looks for the four IDX files, plain or ``.gz``, in ``data_dir``; without it, in the folder of Debian's package
    ``dataset-fashion-mnist``, then in ``fashion-mnist`` of the cache (``$FASTDL_CACHE``, else ``$XDG_CACHE_HOME/fastdl``,
    else ``~/.cache/fastdl``), where they are downloaded to if they are missing (31 MB). Every file is checked against its SHA-256.

    Args:
        data_dir: folder with the files, or None.

    Returns:
        ``ImageData``.

    Raises:
        FileNotFoundError: ``data_dir`` does not exist or lacks a file.
        ValueError: a file is truncated, damaged or not the original.
        OSError: the download failed.

    Source: H. Xiao, K. Rasul and R. Vollgraf (2017), Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms, arXiv:1708.07747, MIT License.

    Example:
        >>> data = fashion_mnist()  # doctest: +SKIP
        >>> len(data.train), data.classes[9]  # doctest: +SKIP
        (60000, 'Ankle boot')
    """
    folder, may_download = _choose_folder(data_dir)
    arrays = {}
    for part, (name, shape, sha256) in _FILES.items():
        path = find_file(folder, name)
        if path is None and may_download:
            path = _download(name + ".gz", folder, shape, sha256)
        if path is None:
            raise FileNotFoundError(f"fashion_mnist: {folder} has no file {name} or {name}.gz")
        arrays[part] = read_idx(path, shape, sha256)
    return ImageData(
        name="fashion-mnist",
        train=labelled(arrays["train images"], arrays["train labels"]),
        test=labelled(arrays["test images"], arrays["test labels"]),
        classes=_CLASSES,
        pixel_max=255,
        attribution="Fashion-MNIST, H. Xiao, K. Rasul and R. Vollgraf (2017), Zalando SE, MIT License",
    )


def _choose_folder(data_dir):
    """(folder, whether missing files may be downloaded into it)"""
    if data_dir is not None:
        if not os.path.isdir(data_dir):
            raise FileNotFoundError(f"fashion_mnist: there is no folder {data_dir}")
        return Path(data_dir), False
    if os.path.isdir(_DEBIAN):
        return Path(_DEBIAN), False
    return cache_folder() / "fashion-mnist", True


def _download(name, folder, shape, sha256):
    """Fetch a file; it appears in the folder only after its content was checked"""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    url = _URL + name
    try:
        with atomic_write(path) as file, urllib.request.urlopen(url, timeout=60) as response:
            size = 0
            while part := response.read(1 << 20):
                size += len(part)
                if size > _MAX_BYTES:
                    raise ValueError(f"fashion_mnist: {url} is larger than {_MAX_BYTES} bytes")
                file.write(part)
            file.flush()
            try:
                read_idx(file.name, shape, sha256)
            except ValueError as error:
                raise ValueError(f"fashion_mnist: the download of {url} is not the original: {error}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise OSError(
            f"fashion_mnist: could not download {url}: {getattr(error, 'reason', error)}. Install Debian's package "
            "dataset-fashion-mnist, or give the folder that has the four files (--data-dir)"
        ) from error
    return path
