"""The methods and functions whose names end in `_`: the result of a function is written into its first argument.

Those with kernels of their own come with the Tensor type; the others are made here from the functions. The gradient is
that of the function; the result must have the tensor's shape, and a kind of dtype (bool, integer, floating) that fits.
"""

from . import _C, elementwise, picking, products, rearrange, reductions, special, statistics
from ._C import Tensor

# Methods for functions of these modules.
_METHODS = {
    elementwise: (
        "absolute acos acosh arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh "
        "bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor clamp_max clamp_min clip "
        "conj_physical copysign cosh deg2rad divide eq fix float_power floor_divide fmod frac gcd ge greater greater_equal gt heaviside "
        "hypot lcm ldexp le less less_equal logical_and logical_not logical_or logical_xor lt multiply nan_to_num ne "
        "negative nextafter not_equal rad2deg remainder sgn sinh subtract true_divide"
    ),
    special: "digamma erfc erfinv i0 igamma igammac lgamma logit mvlgamma sinc xlogy",
    statistics: "cumprod renorm",
    picking: "index_copy index_fill index_reduce masked_scatter put scatter_reduce",
    products: "addbmm addmm addmv addr baddbmm",
    rearrange: "tril triu",
    reductions: "cumsum",
}
# Functions of the top level for methods.
_FUNCTIONS = (
    "abs acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil clamp clamp_max clamp_min clip "
    "cos cosh deg2rad erf erfc exp exp2 expm1 fill fix floor frac gcd i0 index_put lcm ldexp log log10 log1p log2 logit "
    "nan_to_num neg negative rad2deg reciprocal relu round rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc xlogy zero"
)
__all__ = [f"{name}_" for name in _FUNCTIONS.split()]


def _make_method(function, name):
    def method(self, *args, **kwargs):
        # The function may save its input for backward: then that is a copy, which stays what it is.
        source = self.clone() if self.requires_grad and _C.is_grad_enabled() else self
        return _C.assign(name, self, function(source, *args, **kwargs))

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{name[:-1]}`, written into this tensor."
    return method


def _make_function(name):
    method = getattr(Tensor, name)

    def function(input, *args, **kwargs):
        return method(input, *args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{name[:-1]}`, written into `input`, which is returned."
    return function


for _module, _names in _METHODS.items():
    for _name in _names.split():
        setattr(Tensor, f"{_name}_", _make_method(getattr(_module, _name), f"{_name}_"))


def _polygamma_(self, n):
    """`polygamma(n, self)`, written into this tensor."""
    return _C.assign("polygamma_", self, special.polygamma(n, self.clone() if self.requires_grad else self))


Tensor.polygamma_ = _polygamma_

for _name in __all__:
    globals()[_name] = _make_function(_name)


# --- in-place changes of the shape: the same memory, seen otherwise ---


def _make_reshaping(name):
    reshape = getattr(Tensor, name)

    def method(self, *args):
        if self.requires_grad:
            raise _C.Error(f"{name}_: the tensor requires a gradient, so its shape is fixed; use {name}()")
        self.data = reshape(self, *args)
        return self

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"The tensor itself, now with the shape and strides of `{name}`."
    return method


for _name in ("squeeze", "swapaxes", "swapdims", "t", "transpose", "unsqueeze"):
    setattr(Tensor, f"{_name}_", _make_reshaping(_name))


def _fill_diagonal_(self, fill_value, wrap=False):
    """Writes a number to the main diagonal, in place; with `wrap`, that of a tall matrix starts again below its end.

    Raises:
        ShapeError: fewer than two dimensions, or more than two of different sizes.
    """
    n = self.ndim
    if n < 2 or (n > 2 and len(set(self.shape)) > 1):
        raise _C.ShapeError(f"fill_diagonal_: expected a matrix or equal sizes, got shape {list(self.shape)}")
    if n > 2:
        place = self.as_strided((self.shape[0],), (sum(self.stride()),), self.storage_offset())
        place.fill_(fill_value)
        return self
    rows, columns = self.shape
    for first in range(0, rows if wrap else min(rows, 1), columns + 1):
        self[first : first + columns].diagonal().fill_(fill_value)
    return self


Tensor.fill_diagonal_ = _fill_diagonal_
