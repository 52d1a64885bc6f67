"""Arguments that are a number for all dimensions or one for each."""

import fastdl


def each(op, what, value, n):
    """``value`` as a tuple of n ints.

    Raises:
        ShapeError: another number of values. TypeError: not ints.
    """
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not all(isinstance(v, int) for v in values):
        raise TypeError(f"{op}: {what} must be an int or {n} ints, got {value!r}")
    if len(values) not in (1, n):
        raise fastdl.ShapeError(f"{op}: {what} needs 1 or {n} values, got {list(values)}")
    return values * n if len(values) == 1 else values


def check_ndim(op, input, expected):
    """Raises ShapeError where the input has another number of dimensions than the two of ``expected``."""
    if input.ndim not in expected:
        wanted = " or ".join(f"{n}-d" for n in sorted(expected))
        raise fastdl.ShapeError(f"{op}: expected a {wanted} input, got {list(input.shape)}")
