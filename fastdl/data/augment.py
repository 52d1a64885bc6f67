"""Augmentation of whole batches of images, with the names of ``torchvision.transforms``.

Each image of a batch draws numbers of its own from the generator, so the seed decides, whatever the number of threads. The
transforms work on any dtype and device, raw uint8 pixels too.
"""

import numbers

import fastdl as fd
from fastdl import _C

__all__ = ["Compose", "RandomCrop", "RandomErasing", "RandomHorizontalFlip", "RandomVerticalFlip"]


class Compose:
    """Transforms one after the other.

    Args:
        transforms: list of callables.

    Source: ``torchvision.transforms.Compose``.

    Example:
        >>> augment = Compose([RandomCrop(28, padding=2), RandomHorizontalFlip()])
        >>> tuple(augment(fd.zeros(3, 1, 28, 28)).shape)
        (3, 1, 28, 28)
    """

    def __init__(self, transforms):
        self.transforms = list(transforms)

    def __call__(self, images):
        for transform in self.transforms:
            images = transform(images)
        return images


class _OnBatches:
    """Applies ``_batch`` to (N, C, H, W), and to (C, H, W) as a batch of one"""

    def __call__(self, images):
        if images.ndim == 3:
            return self._batch(images.unsqueeze(0)).squeeze(0)
        return self._batch(images)


class RandomCrop(_OnBatches):
    """Cut a window out of each image, at a place drawn uniformly.

    Shape: (N, C, height, width) or (C, height, width) -> the same with the size of the window.

    Args:
        size: (height, width) of the window, or one int for a square.
        padding: pixels to add first: one int for all sides, (horizontal, vertical), or (left, top, right, bottom).
        pad_if_needed: add what is missing where an image is smaller than the window, on both sides.
        fill: the value of constant padding.
        padding_mode: ``"constant"``, ``"edge"`` (repeats the last pixel), ``"reflect"`` (mirrors without the last pixel),
            ``"symmetric"`` (mirrors with it).
        generator: the ``fastdl.Generator`` to draw from; the default one if None.

    Raises:
        ShapeError: (when called) the window is larger than the padded images, or mirrors are wider than them.
        ValueError: an argument is out of range.

    Source: ``torchvision.transforms.RandomCrop``, which draws once for a batch.

    Example:
        >>> tuple(RandomCrop((2, 3))(fd.rand(5, 1, 4, 4)).shape)
        (5, 1, 2, 3)
    """

    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant", generator=None):
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        sides = (padding or 0,) if isinstance(padding, int | None) else tuple(padding)
        if len(sides) not in (1, 2, 4):
            raise ValueError(f"RandomCrop: padding must have 1, 2 or 4 numbers, got {padding!r}")
        self.padding = sides * (4 // len(sides))
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode
        self.generator = generator

    def _batch(self, images):
        left, top, right, bottom = self.padding
        if self.pad_if_needed:
            more_rows = max(self.size[0] - images.shape[2] - top - bottom, 0)
            more_columns = max(self.size[1] - images.shape[3] - left - right, 0)
            left, top, right, bottom = left + more_columns, top + more_rows, right + more_columns, bottom + more_rows
        return _C.random_crop(
            images, self.size, (left, top, right, bottom), self.fill, self.padding_mode, self.generator
        )


class RandomHorizontalFlip(_OnBatches):
    """Mirror each image left to right, with a probability.

    Shape: (N, C, height, width) or (C, height, width) -> the same.

    Args:
        p: the probability.
        generator: the ``fastdl.Generator`` to draw from; the default one if None.

    Raises:
        ValueError: (when called) p is outside [0, 1].

    Source: ``torchvision.transforms.RandomHorizontalFlip``, which draws once for a batch.

    Example:
        >>> RandomHorizontalFlip(p=1)(fd.tensor([[[1, 2, 3]]])).tolist()
        [[[3, 2, 1]]]
    """

    _dim = 3

    def __init__(self, p=0.5, generator=None):
        self.p = p
        self.generator = generator

    def _batch(self, images):
        return _C.random_flip(images, self.p, self._dim, self.generator)


class RandomVerticalFlip(RandomHorizontalFlip):
    """Mirror each image top to bottom, with a probability: see :class:`RandomHorizontalFlip`.

    Source: ``torchvision.transforms.RandomVerticalFlip``, which draws once for a batch.

    Example:
        >>> RandomVerticalFlip(p=1)(fd.tensor([[[1], [2]]])).tolist()
        [[[2], [1]]]
    """

    _dim = 2


class RandomErasing(_OnBatches):
    """Overwrite a rectangle of each image, with a probability.

    The rectangle's share of the area is uniform in ``scale``, the logarithm of its aspect (height by width) in ``ratio``;
    of ten such rectangles the first one that is smaller than the image in both directions is taken, and put at a place
    drawn uniformly. An image for which none fits stays as it is.

    Shape: (N, C, height, width) or (C, height, width) -> the same.

    Args:
        p: the probability.
        scale: least and largest share of the area.
        ratio: least and largest aspect.
        value: number, or one for each channel, or ``"random"``: standard normal numbers (floating-point images only).
        generator: the ``fastdl.Generator`` to draw from; the default one if None.

    Raises:
        ValueError: (when called) an argument is out of range.

    Source: Z. Zhong et al. (2017), Random Erasing Data Augmentation, arXiv:1708.04896;
    ``torchvision.transforms.RandomErasing``, which draws once for a batch.

    Example:
        >>> images = RandomErasing(p=1, scale=(0.25, 0.25), ratio=(1, 1), value=9)(fd.zeros(2, 1, 8, 8))
        >>> (images == 9).sum((1, 2, 3)).tolist()
        [16, 16]
    """

    def __init__(self, p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0, generator=None):
        if not (
            value == "random" or isinstance(value, numbers.Real) or all(isinstance(v, numbers.Real) for v in value)
        ):
            raise ValueError(f"RandomErasing: value must be a number, one for each channel, or 'random', got {value!r}")
        self.p = p
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.value = value
        self.generator = generator

    def _batch(self, images):
        value = self.value
        if value == "random":
            value = fd.empty_like(images).normal_(generator=self.generator)
        else:
            value = fd.tensor(value, dtype=images.dtype, device=images.device).reshape(-1, 1, 1)
        return _C.random_erasing(images, self.p, *self.scale, *self.ratio, value, self.generator)
