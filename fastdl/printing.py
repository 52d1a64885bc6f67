"""How tensors are printed."""

from . import _C
from .autograd import _Mode

__all__ = ["get_printoptions", "printoptions", "set_printoptions"]

_DEFAULT = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
_PROFILES = {
    "default": _DEFAULT,
    "short": {**_DEFAULT, "precision": 2, "edgeitems": 2},
    "full": {**_DEFAULT, "threshold": float("inf")},
}
_options = dict(_DEFAULT)


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """Sets how tensors are printed.

    Args:
        precision: digits after the point.
        threshold: elements from which on only the first and last ones of each dimension are shown.
        edgeitems: how many of those.
        linewidth: characters of a line.
        profile: 'default', 'short' or 'full', from which the options that are None are taken.
        sci_mode: True for scientific notation, False for none; None decides by the values.

    Raises:
        ValueError: another profile.

    >>> import fastdl as fd
    >>> with fd.printoptions(precision=2):
    ...     fd.tensor([1.23456])
    tensor([1.23])
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise _C.ValueError(f"set_printoptions: profile {profile!r}, expected 'default', 'short' or 'full'")
        _options.update(_PROFILES[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({k: v for k, v in given.items() if v is not None})
    _options["sci_mode"] = sci_mode


def get_printoptions():
    """The options of `set_printoptions` that hold."""
    return dict(_options)


class printoptions(_Mode):
    """`set_printoptions` within a `with` block."""

    __slots__ = ("_given",)

    def __init__(self, **options):
        self._given = options

    def _again(self):
        return lambda: printoptions(**self._given)

    def __enter__(self):
        self._before = get_printoptions()
        set_printoptions(**self._given)

    def __exit__(self, *error):
        _options.update(self._before)


def to_text(self):
    """The values, the dtype where it cannot be seen from them, and what the gradient comes from."""
    import numpy

    _C.check_host_read("print")
    plain = self.detach().cpu()
    array = numpy.asarray(plain.float() if self.dtype in (_C.bfloat16, _C.float16) else plain)
    precision, scientific = _options["precision"], _options["sci_mode"]
    formatter = None
    if scientific is not None and self.dtype.is_floating_point:
        formatter = {"float_kind": lambda x: format(x, f".{precision}{'e' if scientific else 'f'}")}
    text = numpy.array2string(
        array, separator=", ", prefix="tensor(", precision=precision, threshold=_options["threshold"],
        edgeitems=_options["edgeitems"], max_line_width=_options["linewidth"], suppress_small=False, formatter=formatter,
    )  # fmt: skip
    if self.ndim == 0 and self.dtype.is_floating_point and formatter is None:
        plainly = 1e-4 <= abs(array) < 1e8 or array == 0
        text = f"{array:.{precision}f}".rstrip("0") if plainly else f"{array:.{precision}e}"
    if self.numel() == 0:
        text = "[]" if self.ndim == 1 else f"[], size={self.shape}"
    notes = ""
    number = _C.promote_types(_C.default_dtype(), _C.complex64) if self.dtype.is_complex else _C.default_dtype()
    if self.dtype not in (number, _C.int64, _C.bool):
        notes += f", dtype=fastdl.{self.dtype.name}"
    if self.requires_grad:
        notes += ", requires_grad=True" if self.is_leaf else f", grad_fn={self.grad_fn!r}"
    return f"tensor({text}{notes})"
