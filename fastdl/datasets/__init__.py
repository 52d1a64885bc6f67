"""Datasets for learning and tests: ``digits`` ships with the library, ``fashion_mnist`` is found or downloaded."""

from .digits import digits
from .fashion_mnist import fashion_mnist
from .idx import read_idx
from .images import ImageData
from .mnist_format import mnist_format
from .package import read_members, sdist

DATASETS = {"digits": digits, "fashion-mnist": fashion_mnist}

__all__ = ["DATASETS", "ImageData", "digits", "fashion_mnist", "mnist_format", "read_idx", "read_members", "sdist"]
