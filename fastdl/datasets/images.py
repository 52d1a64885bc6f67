"""Labelled images in memory."""

from dataclasses import dataclass

import fastdl as fd
from fastdl.data import TensorDataset


@dataclass(frozen=True)
class ImageData:
    """A classification task on small images.

    Attributes:
        name: the dataset's name.
        train, test: ``TensorDataset`` of images (N, 1, height, width), uint8, and labels (N,), int64.
        classes: the names of the classes, in the order of the labels.
        pixel_max: the pixel value of full ink; 0 is the background.
        attribution: who made the data, and its license.

    Example:
        >>> from fastdl.datasets import digits
        >>> data = digits()
        >>> tuple(data.train.tensors[0].shape[1:]), len(data.classes), data.pixel_max
        ((1, 8, 8), 10, 16)
    """

    name: str
    train: TensorDataset
    test: TensorDataset
    classes: tuple
    pixel_max: int
    attribution: str

    @property
    def image_size(self):
        """(height, width) of the images."""
        return tuple(self.train.tensors[0].shape[2:])


def labelled(images, labels):
    """TensorDataset of images (N, height, width) and labels (N,), both uint8 arrays.

    Example:
        >>> import numpy as np
        >>> image, label = labelled(np.zeros((5, 8, 8), np.uint8), np.arange(5, dtype=np.uint8))[3]
        >>> tuple(image.shape), int(label)
        ((1, 8, 8), 3)
    """
    import numpy as np

    images = np.array(images[:, None], np.uint8, order="C")  # copies: the library may write to its tensors
    return TensorDataset(fd.from_numpy(images), fd.from_numpy(labels.astype(np.int64)))
