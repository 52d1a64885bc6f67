"""One's own images in the four files of MNIST."""

from pathlib import Path

from .idx import read_idx
from .images import ImageData, labelled

_PARTS = {"train": "train", "test": "t10k"}


def mnist_format(data_dir, image_size=(28, 28), classes=tuple("0123456789")):
    """Load images from a folder with files in the format, and of the names, of MNIST.

    These are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
    ``t10k-labels-idx1-ubyte``, plain or with ``.gz``: any number of images. There is no checksum that they must match.

    Args:
        data_dir: the folder.
        image_size: (height, width) that the images must have.
        classes: the names of the classes, in the order of the labels.

    Returns:
        ``ImageData``.

    Raises:
        FileNotFoundError: there is no such folder, or it lacks a file.
        ValueError: a file is truncated or damaged, images are of another size or not of bytes, images and labels differ in
            number, or a label is out of range.

    Source: Y. LeCun, http://yann.lecun.com/exdb/mnist (file formats).

    Example:
        >>> data = mnist_format("my-images")  # doctest: +SKIP
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    sets = {}
    for part, prefix in _PARTS.items():
        images = _read(folder, f"{prefix}-images-idx3-ubyte", (None, *image_size))
        labels = _read(folder, f"{prefix}-labels-idx1-ubyte", (len(images),))
        wrong = (labels >= len(classes)).nonzero()[0]
        if len(wrong):
            raise ValueError(
                f"{folder}/{prefix}-labels-idx1-ubyte has label {labels[wrong[0]]} at position {wrong[0]}; "
                f"expected labels from 0 to {len(classes) - 1}"
            )
        if not len(images):
            raise ValueError(f"{folder}/{prefix}-images-idx3-ubyte holds no images")
        sets[part] = labelled(images, labels)
    return ImageData(
        name=folder.name, **sets, classes=tuple(classes), pixel_max=255, attribution=f"the images in {folder}"
    )


def _read(folder, name, shape):
    path = find_file(folder, name)
    if path is None:
        raise FileNotFoundError(f"{folder} has no file {name} or {name}.gz")
    array = read_idx(path, shape)
    if array.dtype != "uint8":
        raise ValueError(f"{path} holds elements of type {array.dtype}; expected bytes")
    return array


def find_file(folder, name):
    """The path of a file, plain or with ``.gz``, or None.

    Example:
        >>> find_file("/nowhere", "train-images-idx3-ubyte") is None
        True
    """
    return next((path for path in (Path(folder, name), Path(folder, f"{name}.gz")) if path.is_file()), None)
