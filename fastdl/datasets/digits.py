"""The UCI handwritten digits, shipped in ``digits.npz``."""

from pathlib import Path

from .images import ImageData, labelled

_FILE = Path(__file__).with_name("digits.npz")


def digits():
    """Load the UCI handwritten digits: 1,797 images of 8 x 8 pixels with values from 0 to 16.

    Within each class every fifth image is a test image: 1,442 images to train on and 355 to test with.

    Returns:
        ``ImageData``.

    Raises:
        ValueError: the installed file is damaged.

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, CC BY 4.0.

    Example:
        >>> data = digits()
        >>> len(data.train), len(data.test)
        (1442, 355)
    """
    import numpy as np

    try:
        with np.load(_FILE, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged archive raises errors of zipfile, zlib or NumPy
        raise ValueError(f"digits: {_FILE} is damaged ({error}); install fastdl again") from error
    test = np.zeros(len(labels), bool)
    for label in range(10):
        test[np.flatnonzero(labels == label)[4::5]] = True
    return ImageData(
        name="digits",
        train=labelled(images[~test], labels[~test]),
        test=labelled(images[test], labels[test]),
        classes=tuple("0123456789"),
        pixel_max=16,
        attribution="UCI handwritten digits, E. Alpaydin and C. Kaynak (1998), CC BY 4.0",
    )
