"""What the op table is made of: rows, samples, benchmarks, values in a dtype. See opdb.py."""

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

FLOATS = ("float32", "float64", "bfloat16", "float16")
INTS = ("int64", "int32", "int8", "uint8")
REAL = FLOATS + INTS
ALL = (*REAL, "bool")


@dataclass(frozen=True)
class Sample:
    """Arguments of one call."""

    args: tuple
    kwargs: dict = field(default_factory=dict)

    def __str__(self):
        return f"({', '.join([_show(a) for a in self.args] + [f'{k}={_show(v)}' for k, v in self.kwargs.items()])})"


def _show(a):
    if isinstance(a, np.ndarray):
        return f"{a.dtype}{list(a.shape)}"
    return f"[{', '.join(map(_show, a))}]" if isinstance(a, (tuple, list)) else repr(a)


def S(*args, **kwargs):
    return Sample(tuple(np.asarray(a) if isinstance(a, np.generic) else a for a in args), kwargs)


@dataclass(frozen=True)
class Bench:
    """A benchmark of a row: its inputs, and the work that the mathematics needs.

    flops: 2 for a multiply-add of products and convolutions; 0 for what memory bounds. nbytes: each input read once and
    each output written once. With `backward`, the gradients of all float inputs are computed too.
    """

    name: str
    make: Callable
    flops: float = 0.0
    nbytes: float = 0.0
    backward: bool = False
    dtype: str = "float32"
    numpy: bool = True  # the reference is a fair peer (one NumPy or BLAS call, or a few)


@dataclass(frozen=True)
class Row:
    name: str
    function: object  # dotted name below fastdl and torch, or f(library, *args, **kwargs)
    reference: Callable
    samples: Callable
    dtypes: tuple = FLOATS
    grad: int = 0  # 0: none, 1: first order, 2: second order too
    torch: bool = True  # whether PyTorch has it under the same name
    inplace: bool = False  # writes to its first argument and returns it
    pointwise: bool = False  # each output from few inputs: errors are relative to each element; NaN and Inf are tried
    view: bool = False  # the result shares the input's memory
    levels: bool = True  # False: no kernel of a CPU level runs
    nograd: tuple = ()  # positions of float arguments that get no gradient
    slack: float = 2.0  # our error is at most this many times the plain formula's
    bench: tuple = ()


ROWS: dict[str, Row] = {}


def op(name, reference, samples, *, function=None, bench=(), **options):
    """Adds a row."""
    assert name not in ROWS, name
    ROWS[name] = Row(name, function or name, reference, samples, bench=tuple(bench), **options)


def resolve(library, row):
    """The row's callable in fastdl or torch."""
    if not isinstance(row.function, str):
        return functools.partial(row.function, library)
    return functools.reduce(getattr, row.function.split("."), library)


class Random:
    """The source of sample values, the same for a row in every run."""

    def __init__(self, name):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def __call__(self, *shape, low=-3.0, high=3.0):
        return self.rng.uniform(low, high, shape) if shape else np.array(self.rng.uniform(low, high))

    def normal(self, *shape):
        return self.rng.standard_normal(shape, dtype=np.float32).astype(np.float64)

    def ints(self, *shape, low=0, high):
        return np.asarray(self.rng.integers(low, high, shape), dtype=np.int64)

    def bools(self, *shape):
        return np.asarray(self.rng.random(shape) < 0.5)

    def distinct(self, *shape):
        """Values without ties, exact in every dtype, for maxima and sorting."""
        n = int(np.prod(shape))
        return (self.rng.permutation(n).astype(np.float64) - n // 2).reshape(shape)


def samples(row):
    return list(row.samples(Random(row.name)))


# --- values in a dtype ---


def round_bfloat16(a):
    """float32 values rounded to the nearest bfloat16, ties to even."""
    a = np.asarray(a, dtype=np.float32)
    bits = a.view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return np.where(np.isnan(a), a, rounded)


def cast(a, dtype):
    """The float64 values of a sample as values of a dtype (bfloat16: rounded float32)."""
    if dtype == "bfloat16":
        return round_bfloat16(a)
    if dtype in FLOATS:
        return a.astype(dtype)
    if dtype == "bool":
        return a > 0
    with np.errstate(invalid="ignore"):
        whole = np.asarray(np.rint(a))
        return np.asarray(np.abs(whole) if dtype == "uint8" else whole).astype(dtype)


def compute_dtype(dtype):
    """The dtype in which the plain formula works: 16-bit floats are stored, float32 is computed with."""
    return "float32" if dtype in ("bfloat16", "float16") else dtype


def map_arrays(f, a):
    """f over the arrays in an argument, within lists and tuples too."""
    if isinstance(a, np.ndarray):
        return f(a)
    return type(a)(map_arrays(f, x) for x in a) if isinstance(a, (tuple, list)) else a


def with_arrays(f, sample):
    return Sample(tuple(map_arrays(f, a) for a in sample.args), {k: map_arrays(f, v) for k, v in sample.kwargs.items()})


def evaluate(row, sample):
    """The reference's results as a tuple of arrays."""
    with np.errstate(all="ignore"):
        out = row.reference(*sample.args, **sample.kwargs)
    return tuple(np.asarray(o) for o in out) if isinstance(out, (tuple, list)) else (np.asarray(out),)


# --- shapes that most rows use ---

SHAPES = ((), (1,), (7,), (65,), (129,), (0,), (3, 0, 2), (3, 129), (2, 3, 5), (5, 1, 7))
PAIRS = (
    ((), ()),
    ((7,), ()),
    ((), (7,)),
    ((129,), (129,)),
    ((65,), (1,)),
    ((3, 1), (1, 5)),
    ((2, 3, 7), (3, 7)),
    ((2, 1, 7), (2, 3, 1)),
    ((7, 65), (7, 65)),
    ((0,), (1,)),
    ((2, 0, 3), (3,)),
    ((5, 65), (5, 1)),
)


def unary_samples(low=-3.0, high=3.0, shapes=SHAPES, **kwargs):
    return lambda r: [S(r(*s, low=low, high=high), **kwargs) for s in shapes]


def binary_samples(low=-3.0, high=3.0, low2=None, high2=None, pairs=PAIRS, **kwargs):
    low2, high2 = low if low2 is None else low2, high if high2 is None else high2
    return lambda r: [S(r(*a, low=low, high=high), r(*b, low=low2, high=high2), **kwargs) for a, b in pairs]


def stream(n, arrays, low=-3.0, high=3.0):
    """A benchmark over n elements: `arrays` inputs, one output."""
    return Bench(
        f"{n:.0e}".replace("e+0", "e"),
        lambda r: S(*(r(n, low=low, high=high) for _ in range(arrays))),
        nbytes=4.0 * n * (arrays + 1),
    )
