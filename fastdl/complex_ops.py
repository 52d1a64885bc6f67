"""What ops mean for complex numbers, in ops of their real and imaginary parts.

`OPS` maps an op's name to a function of (name, **arguments). Most ops do the same to both parts: `_by_parts` calls the
op itself on the pairs. A dimension that is counted from the front means the same there; the others are made so.
"""

from . import _C
from ._C import Tensor

OPS = {}


def _op(function):
    """Enters a function under its name, less an underscore in front."""
    OPS[function.__name__.removeprefix("_")] = function
    return function


def _is_complex(x):
    return isinstance(x, Tensor) and x.dtype.is_complex


# --- pairs ---


def joined(real, imag):
    """The complex tensor of its parts, which broadcast."""
    if real.shape != imag.shape:
        real, imag = _C.add(real, _zeros(imag)), _C.add(imag, _zeros(real))
    return _C.as_complex(_C.stack([real, imag], -1))


def part_dtype(*operands):
    """float32 or float64: the parts of what an op makes of the operands. Tensors of no dimensions count after others,
    numbers last."""
    tensors = [x for x in operands if isinstance(x, Tensor)]
    for group in ([x for x in tensors if x.ndim], [x for x in tensors if not x.ndim]):
        dtypes = [x.dtype for x in group if x.dtype.is_complex or x.dtype.is_floating_point]
        if dtypes:
            return _C.float64 if {_C.float64, _C.complex128}.intersection(dtypes) else _C.float32
    return _C.default_dtype()


def pairs(x, dtype, device=None):
    """The parts of a tensor, number or array, real ones with a zero, in a last dimension of 2."""
    if _is_complex(x):
        return _C.to_dtype(_C.as_real(x), dtype)
    if isinstance(x, Tensor):
        x = _C.to_dtype(x, dtype)
        return _C.stack([x, _zeros(x)], -1)
    if hasattr(x, "shape") or isinstance(x, (list, tuple)):
        return pairs(_C.tensor_from(x, None, device), dtype)
    x = _number(x)
    return _C.tensor_from([x.real, x.imag], dtype, device)


_number = complex


def _zeros(x):
    return _C.full(x.shape, 0, x.dtype, x.device)


def _device(*operands):
    return next((x.device for x in operands if isinstance(x, Tensor)), None)


def _operands(*operands):
    """The pairs of each, in one dtype."""
    dtype, device = part_dtype(*operands), _device(*operands)
    return [pairs(x, dtype, device) for x in operands]


def _parts(z):
    return z.real, z.imag


# --- ops that do the same to both parts ---

_DIMS = {"dim", "dim0", "dim1", "dim2", "dims", "start_dim", "end_dim", "source", "destination"}
_INSERTING = ("unsqueeze", "stack")


def _from_front(op, dim, ndim):
    if isinstance(dim, (list, tuple)):
        return [_from_front(op, d, ndim) for d in dim]
    n = ndim + (op in _INSERTING)
    if not -n <= dim < n:
        raise _C.IndexError(f"{op}: dimension {dim} is out of range for a complex tensor of {ndim} dimensions")
    return dim % n


def _function(op):
    return getattr(_C, op, None) or getattr(Tensor, op)


def _as_pairs(value):
    """Complex tensors, also those in lists, as pairs; anything else as it is."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_as_pairs, value))
    return _C.as_real(value) if _is_complex(value) else value


def _as_complex(value):
    return tuple(map(_C.as_complex, value)) if isinstance(value, tuple) else _C.as_complex(value)


def _by_parts(op, input, **arguments):
    ndim = input.ndim
    values = [_C.as_real(input)]
    for name, value in arguments.items():
        if name in _DIMS and value is not None:
            value = _from_front(op, value, ndim)
        elif name in ("shape", "size"):
            value = (*value, 2) if isinstance(value, (list, tuple)) else (value, 2)
        elif name == "dtype" and value is not None:
            value = part_dtype(_C.empty((1,), value, "cpu"))
        else:
            value = _as_pairs(value)
        values.append(value)
    return _as_complex(_function(op)(*values))


for _name in (
    "view reshape unflatten transpose expand unsqueeze select narrow split_sizes chunk unbind movedim "
    "contiguous clone zero_ to_device neg neg_ flip index_select cumsum repeat_interleave_tensor"
).split():
    OPS[_name] = _by_parts


@_op
def permute(op, input, dims):
    return _C.as_complex(_C.permute(_C.as_real(input), [*_from_front(op, list(dims), input.ndim), input.ndim]))


@_op
def as_strided(op, input, size, stride, storage_offset):
    return _C.as_complex(
        _C.as_strided(_C.as_real(input), (*size, 2), (*(2 * s for s in stride), 1), 2 * storage_offset)
    )


@_op
def detach(op, input):
    return input.data


@_op
def squeeze(op, input, dim):
    return input if input.ndim == 0 else _by_parts(op, input, dim=dim)


@_op
def flatten(op, input, start_dim, end_dim):
    if input.ndim == 0:
        return _C.reshape(input, (1,))
    return _by_parts(op, input, start_dim=start_dim, end_dim=end_dim)


def _split(op, tensor, dim, **sizes):
    return _by_parts(op, tensor, **sizes, dim=dim)


OPS["split"] = OPS["split_sizes"] = _split


def _reduce(op, input, dim, keepdim=False, dtype=None):
    dims = list(range(input.ndim)) if dim is None or dim in ((), []) else [dim] if isinstance(dim, int) else list(dim)
    if not input.ndim:
        return input.clone()
    return _by_parts(op, input, dim=dims, keepdim=keepdim, dtype=dtype)


OPS["sum"] = OPS["mean"] = _reduce


def _join(op, tensors, dim):
    first = next(x for x in tensors if _is_complex(x))
    return _C.as_complex(_function(op)(_operands(*tensors), _from_front(op, dim, first.ndim)))


OPS["cat"] = OPS["stack"] = _join


@_op
def roll(op, input, shifts, dims):
    if isinstance(dims, (list, tuple)) and not dims:
        return _C.reshape(roll(op, _C.reshape(input, (-1,)), shifts, (0,)), input.shape)
    return _by_parts(op, input, shifts=shifts, dims=dims)


@_op
def repeat_interleave(op, input, repeats, dim):
    if dim is None:
        input, dim = _C.reshape(input, (-1,)), 0
    return _by_parts(op, input, repeats=repeats, dim=dim)


def _tile(op, input, dims=(), repeats=()):
    counts = dims or repeats
    counts = [counts] if isinstance(counts, int) else list(counts)
    if op == "tile":
        counts = [1] * (input.ndim - len(counts)) + counts
    return _C.as_complex(Tensor.repeat(_C.as_real(input), *counts, 1))


OPS["tile"] = OPS["repeat"] = _tile


def _on_last_dimensions(op, input, **arguments):
    """With the parts first: what the op does to the last dimensions, or to dimensions counted from the end."""
    x = _C.movedim(_C.as_real(input), -1, 0)
    return _C.as_complex(_C.movedim(_function(op)(x, *arguments.values()), 0, -1))


OPS["tril"] = OPS["triu"] = _on_last_dimensions


@_op
def diagonal(op, input, offset, dim1, dim2):
    dim1, dim2 = (_from_front(op, d, input.ndim) - input.ndim for d in (dim1, dim2))
    return _on_last_dimensions(op, input, offset=offset, dim1=dim1, dim2=dim2)


@_op
def unfold(op, input, dimension, size, step):
    dimension = _from_front(op, dimension, input.ndim) - input.ndim
    return _on_last_dimensions(op, input, dimension=dimension, size=size, step=step)


@_op
def t(op, input):
    if input.ndim > 2:
        raise _C.ShapeError(f"t: expected at most 2 dimensions, got shape {list(input.shape)}")
    return _C.transpose(input, 0, 1) if input.ndim == 2 else input


# --- making ---


@_op
def tensor_from(op, data, dtype, device):
    if not _is_complex(data):
        if dtype is not None and not dtype.is_complex:
            raise _C.DTypeError(f"tensor: complex numbers do not fit into {dtype}")
        if not isinstance(data, Tensor):
            import numpy

            array = numpy.array(_to_numbers(data))
            if array.dtype.kind not in "cfiub":
                raise TypeError("tensor: expected numbers")
            single = not hasattr(data, "dtype") and _C.default_dtype() is not _C.float64
            parts = _C.float32 if single or array.dtype == "complex64" else _C.float64
            data = from_buffer(op, array.astype("complex128" if parts is _C.float64 else "complex64", order="C"))
    out = _C.to_device(data, device or (data.device if _is_complex(data) else _C.default_device()), False)
    out = out if dtype is None else _C.to_dtype(out, dtype)
    return out.detach().clone() if out is data or _is_complex(data) else out


def _to_numbers(data):
    if isinstance(data, (list, tuple)):
        return [_to_numbers(x) for x in data]
    return data.tolist() if isinstance(data, Tensor) else data


@_op
def from_buffer(op, array):
    import numpy

    if not array.flags.writeable or any(s < 0 for s in array.strides) or not array.dtype.isnative:
        array = array.copy()
    return _C.as_complex(_C.from_buffer(array[..., None].view(numpy.float32 if array.itemsize == 8 else numpy.float64)))


def _part_of(dtype):
    return _C.float64 if dtype is _C.complex128 else _C.float32


@_op
def full(op, size, fill_value, dtype, device):
    dtype = _part_of(dtype) if dtype.is_complex else dtype
    out = _C.as_complex(_C.empty((*_listed(size), 2), dtype, device))
    return out.fill_(fill_value)


def _listed(size):
    return (size,) if isinstance(size, int) else tuple(size)


@_op
def empty(op, size, dtype, device):
    return _C.as_complex(_C.empty((*_listed(size), 2), _part_of(dtype), device))


@_op
def empty_like(op, input, dtype):
    if not dtype.is_complex:
        return _C.empty_like(input.real, dtype)
    if not _is_complex(input):
        return empty("empty", input.shape, dtype, input.device)
    return _C.as_complex(_C.empty_like(_C.as_real(input), _part_of(dtype)))


@_op
def to_dtype(op, input, dtype):
    if dtype is input.dtype:
        return input
    if dtype.is_complex:
        return _C.as_complex(pairs(input, _part_of(dtype)))
    if dtype is _C.bool:
        return _C.ne(input, 0)
    raise _C.DTypeError(
        f"to: {input.dtype} to {dtype} would leave the imaginary parts out; take .real, .abs() or view_as_real()"
    )


@_op
def view_dtype(op, input, dtype):
    if _is_complex(input):
        parts = _C.flatten(_C.as_real(input), -2, -1) if input.ndim else _C.as_real(input)
        return parts.view(dtype)
    if not input.ndim or input.shape[-1] * input.itemsize % dtype.itemsize:
        raise _C.ShapeError(f"view: {input.dtype} {list(input.shape)} cannot be read as {dtype}")
    parts = input.view(_part_of(dtype))
    from .complex_tensor import view_as_complex

    return view_as_complex(_C.unflatten(parts, -1, (parts.shape[-1] // 2, 2)))


@_op
def uniform_(op, input, generator, **bounds):
    _C.as_real(input).uniform_(*bounds.values(), generator)
    return input


@_op
def normal_(op, input, mean, std, generator):
    """Each part has half of the variance."""
    _C.as_real(input).normal_(0.0, std * 0.5**0.5, generator)
    return input.add_(mean) if mean else input


@_op
def result_type(op, input, other):
    return _C.complex128 if part_dtype(input, other) is _C.float64 else _C.complex64


@_op
def promote_types(op, type1, type2):
    wide = _C.complex128 in (type1, type2) or _C.float64 in (type1, type2)
    return _C.complex128 if wide else _C.complex64


# --- writing in place ---


def _write(op, input, value):
    if not _is_complex(input):
        raise _C.DTypeError(f"{op}: complex numbers do not fit into a tensor of {input.dtype}")
    parts = _C.as_real(input)
    parts.copy_(pairs(value, parts.dtype, parts.device))
    return input


@_op
def copy_(op, input, src):
    return _write(op, input, src)


@_op
def fill_(op, input, value):
    return _write(op, input, value)


@_op
def assign(op, name, input, value):
    return _write(name, input, value)


def _in_place(op, input, **arguments):
    """op_ by op: the result is written back."""
    source = input.clone() if input.requires_grad and _C.is_grad_enabled() else input
    return _write(op, input, OPS[op.removesuffix("_")](op.removesuffix("_"), source, **arguments))


for (
    _name
) in "add sub mul div pow exp log sqrt reciprocal square masked_fill index_put index_add scatter scatter_add".split():
    OPS[f"{_name}_"] = _in_place


# --- arithmetic ---


@_op
def add(op, input, other, alpha=1):
    a, b = _operands(input, other if alpha == 1 else other * alpha)
    return _C.as_complex(_C.add(a, b))


@_op
def sub(op, input, other, alpha=1):
    a, b = _operands(input, other if alpha == 1 else other * alpha)
    return _C.as_complex(_C.sub(a, b))


def _scale(x, dtype):
    """A real operand, to be broadcast over pairs."""
    return _C.to_dtype(x, dtype).unsqueeze(-1) if isinstance(x, Tensor) else x


def _is_real(x):
    return not isinstance(x, _number) and not _is_complex(x)


@_op
def mul(op, input, other):
    if _is_real(input):
        input, other = other, input
    if _is_real(other) and _is_complex(input):
        dtype = part_dtype(input, other)
        return _C.as_complex(_C.mul(pairs(input, dtype), _scale(other, dtype)))
    a, b = (_C.unbind(x, -1) for x in _operands(input, other))
    return joined(a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0])


@_op
def div(op, input, other):
    if _is_real(other):
        dtype = part_dtype(input, other)
        return _C.as_complex(_C.div(pairs(input, dtype), _scale(other, dtype)))
    a, b = _operands(input, other)
    # Divided by its largest part first, so that the square of its size neither overflows nor vanishes.
    largest = _C.amax(_C.abs(b.detach()), -1, False)
    largest = _C.where(_C.logical_and(_C.gt(largest, 0), _C.isfinite(largest)), largest, 1.0)
    c, d = _C.unbind(_C.div(b, largest.unsqueeze(-1)), -1)
    size = (c * c + d * d) * largest
    x, y = _C.unbind(a, -1)
    return joined((x * c + y * d) / size, (y * c - x * d) / size)


@_op
def reciprocal(op, input):
    return div(op, 1 + 0j, input)


@_op
def square(op, input):
    return mul(op, input, input)


@_op
def pow(op, input, other):
    if isinstance(other, (int, float)) and other == int(other) and abs(other) <= 64:
        return _integer_power(input, int(other))
    if isinstance(other, float) and other == 0.5:
        return sqrt(op, input)
    z, w = map(_C.as_complex, _operands(input, other))
    zero = _C.eq(z, 0)  # its logarithm is not finite
    power = exp(op, mul(op, log(op, where(op, zero, 1.0, z)), w))
    return where(op, zero, to_dtype(op, _C.eq(w, 0), w.dtype), power)


def _integer_power(z, n):
    if n < 0:
        return reciprocal("reciprocal", _integer_power(z, -n))
    if n == 0:
        return mul("mul", z, 0) + 1
    out = None
    while True:
        if n & 1:
            out = z if out is None else out * z
        n >>= 1
        if not n:
            return out.clone() if out is z else out
        z = z * z


@_op
def conj(op, input):
    return joined(input.real, _C.neg(input.imag))


@_op
def _abs(op, input):
    re, im = _parts(input)
    zero = _C.logical_and(_C.eq(re, 0), _C.eq(im, 0))  # where hypot has no gradient, it is 0
    return _C.where(zero, 0.0, _C.hypot(_C.where(zero, 1.0, re), im))


@_op
def angle(op, input):
    return _C.atan2(input.imag, input.real)


@_op
def sgn(op, input):
    size = _abs(op, input)
    return div(op, input, _C.where(_C.eq(size, 0), 1.0, size))


# --- functions ---


@_op
def exp(op, input):
    re, im = _parts(input)
    size = _C.exp(re)
    return joined(size * _C.cos(im), size * _C.sin(im))


@_op
def log(op, input):
    return joined(_C.log(_abs(op, input)), angle(op, input))


@_op
def expm1(op, input):
    re, im = _parts(input)
    half = _C.sin(im * 0.5)
    return joined(_C.expm1(re) * _C.cos(im) - half * half * 2, _C.exp(re) * _C.sin(im))


@_op
def log1p(op, input):
    re, im = _parts(input)
    return joined(_C.log1p(re * (re + 2) + im * im) * 0.5, _C.atan2(im, re + 1))


@_op
def log2(op, input):
    return log(op, input) * 1.4426950408889634


@_op
def log10(op, input):
    return log(op, input) * 0.4342944819032518


@_op
def sqrt(op, input):
    re, im = _parts(input)
    # Of the two parts the larger one first; 2 * larger * smaller = |im|.
    larger = _C.sqrt((_abs(op, input) + _C.abs(re)) * 0.5)
    zero = _C.eq(larger, 0)
    smaller = _C.abs(im) / (_C.where(zero, 1.0, larger) * 2)
    right = _C.ge(re, 0)
    return joined(_C.where(right, larger, smaller), _C.copysign(_C.where(right, smaller, larger), im))


@_op
def rsqrt(op, input):
    return reciprocal(op, sqrt(op, input))


@_op
def sin(op, input):
    re, im = _parts(input)
    return joined(_C.sin(re) * _C.cosh(im), _C.cos(re) * _C.sinh(im))


@_op
def cos(op, input):
    re, im = _parts(input)
    return joined(_C.cos(re) * _C.cosh(im), _C.neg(_C.sin(re) * _C.sinh(im)))


@_op
def sinh(op, input):
    re, im = _parts(input)
    return joined(_C.sinh(re) * _C.cos(im), _C.cosh(re) * _C.sin(im))


@_op
def cosh(op, input):
    re, im = _parts(input)
    return joined(_C.cosh(re) * _C.cos(im), _C.sinh(re) * _C.sin(im))


@_op
def tanh(op, input):
    # (sinh 2x + i sin 2y) / (cosh 2x + cos 2y); beyond |x| = 20 nothing changes but the overflow.
    re, im = _C.clamp(input.real, -20.0, 20.0) * 2, input.imag * 2
    size = _C.cosh(re) + _C.cos(im)
    return joined(_C.sinh(re) / size, _C.sin(im) / size)


@_op
def tan(op, input):
    return mul(op, tanh(op, mul(op, input, 1j)), -1j)


@_op
def sigmoid(op, input):
    return (tanh(op, input * 0.5) + 1) * 0.5


# --- comparisons and tests ---


def _compare(op, input, other):
    both = _function(op)(*_operands(input, other))
    return _C.all(both, -1, False) if op == "eq" else _C.any(both, -1, False)


OPS["eq"] = OPS["ne"] = _compare


def _test(op, input):
    parts = _function(op)(_C.as_real(input))
    return _C.all(parts, -1, False) if op == "isfinite" else _C.any(parts, -1, False)


OPS["isnan"] = OPS["isinf"] = OPS["isfinite"] = _test


def _of_nonzero(op, input, **arguments):
    return _function(op)(_C.ne(input, 0), *arguments.values())


OPS["any"] = OPS["all"] = OPS["count_nonzero"] = OPS["nonzero"] = OPS["logical_not"] = _of_nonzero


# --- choosing ---


@_op
def where(op, condition, input, other):
    return _C.as_complex(_C.where(condition.unsqueeze(-1), *_operands(input, other)))


@_op
def masked_fill(op, input, mask, value):
    return where(op, mask, value, input)


@_op
def masked_select(op, input, mask):
    shape = _C.add(_C.to_dtype(mask, _C.int64), _C.to_dtype(_zeros(input.real), _C.int64)).shape
    return input.expand(shape)[mask.expand(shape)]


@_op
def gather(op, input, dim, index):
    return _by_parts(op, input, dim=dim, index=_for_both(index))


def _for_both(index):
    return index.unsqueeze(-1).expand(*index.shape, 2)


def _scatter(op, input, dim, index, src):
    dtype = part_dtype(input)
    value = pairs(src, dtype, input.device)
    value = value if isinstance(src, Tensor) else value.expand(*index.shape, 2)
    return _by_parts(op, input, dim=dim, index=_for_both(index), src=value)


OPS["scatter"] = OPS["scatter_add"] = _scatter


@_op
def index_add(op, input, dim, index, source, alpha):
    added = pairs(source, part_dtype(input))  # no dimension, as the argument of this name is elsewhere
    return _C.as_complex(_C.index_add(_C.as_real(input), _from_front(op, dim, input.ndim), index, added, alpha))


@_op
def index_put(op, input, indices, values, accumulate):
    return _by_parts(
        op, input, indices=indices, values=pairs(values, part_dtype(input), input.device), accumulate=accumulate
    )


# --- products and sums ---


def _rotated(b):
    """Pairs times i: what a product needs beside the pairs themselves."""
    re, im = _C.unbind(b, -1)
    return _C.stack([_C.neg(im), re], -1)


def _product(op, input, other):
    """One real product: rows (re, im), side by side, with [[re, im], [-im, re]] for each number of the other side."""
    a, b = _operands(input, other)
    vectors = (a.ndim == 2, b.ndim == 2)
    a = a.unsqueeze(0) if vectors[0] else a  # (..., n, k, 2)
    b = b.unsqueeze(1) if vectors[1] else b  # (..., k, m, 2)
    if a.ndim < 3 or b.ndim < 3:
        raise _C.ShapeError(f"{op}: input {list(a.shape[:-1])} and other {list(b.shape[:-1])}, expected dimensions")
    if a.shape[-2] != b.shape[-3]:
        raise _C.ShapeError(
            f"{op}: input {list(a.shape[:-1])} has {a.shape[-2]} columns, other {list(b.shape[:-1])} has {b.shape[-3]} rows"
        )
    a = _C.flatten(a, -2, -1)  # (..., n, 2 k)
    b = _C.stack([b, _rotated(b)], b.ndim - 2)  # (..., k, 2, m, 2)
    b = _C.flatten(_C.flatten(b, -2, -1), -3, -2)  # (..., 2 k, 2 m)
    out = _C.to_dtype(_C.matmul(a, b), a.dtype)  # under autocast too, as in PyTorch
    out = _C.unflatten(out, -1, (out.shape[-1] // 2, 2))
    out = out.squeeze(-2) if vectors[1] else out
    return _C.as_complex(out.squeeze(-2 if vectors[1] else -3) if vectors[0] else out)


_RANKS = {"mm": (2, 2), "bmm": (3, 3), "mv": (2, 1), "dot": (1, 1)}


def _ranked(op, input, **other):
    (other,) = other.values()
    if (input.ndim, other.ndim) != _RANKS[op]:
        raise _C.ShapeError(
            f"{op}: expected {_RANKS[op][0]} and {_RANKS[op][1]} dimensions, got {list(input.shape)} and {list(other.shape)}"
        )
    return _product(op, input, other)


OPS["matmul"] = _product
OPS["mm"] = OPS["bmm"] = OPS["mv"] = OPS["dot"] = _ranked


@_op
def linear(op, input, weight, bias):
    out = _product(op, input, weight.transpose(0, 1))
    return out if bias is None else out + bias


@_op
def outer(op, input, vec2):
    return input.unsqueeze(-1) * vec2


def _add_product(op, input, beta, alpha, **matrices):
    product = _product(op, *matrices.values())
    return (input if beta == 1 else input * beta) + (product if alpha == 1 else product * alpha)


OPS["addmm"] = OPS["baddbmm"] = _add_product


@_op
def addcmul(op, input, tensor1, tensor2, value):
    return input + tensor1 * tensor2 * value


@_op
def addcdiv(op, input, tensor1, tensor2, value):
    return input + tensor1 / tensor2 * value


@_op
def lerp(op, input, end, weight):
    return input + (end - input) * weight


@_op
def prod(op, input, dim, keepdim, dtype):
    if dim is None:
        out = prod(op, _C.reshape(input, (-1,)), 0, False, dtype)
        return out.reshape((1,) * input.ndim) if keepdim else out
    dim = _from_front(op, dim if isinstance(dim, int) else dim[0], input.ndim)
    if not input.shape[dim]:
        return full(op, [n for d, n in enumerate(input.shape) if d != dim], 1, input.dtype, input.device)
    while (n := input.shape[dim]) > 1:  # halves against each other
        half = n // 2
        rest = [input.narrow(dim, 2 * half, 1)] if n % 2 else []
        both = input.narrow(dim, 0, half) * input.narrow(dim, half, half)
        input = _C.cat([both, *rest], dim) if rest else both
    return input if keepdim else input.squeeze(dim)


@_op
def var(op, input, dim, correction, keepdim):
    dims = list(range(input.ndim)) if dim is None else dim
    dims = [_from_front(op, d, input.ndim) for d in ([dims] if isinstance(dims, int) else dims)]
    return _C.sum(_C.var(_C.as_real(input), dims, correction, keepdim), [-1], False, None)


@_op
def std(op, input, dim, correction, keepdim):
    return _C.sqrt(var(op, input, dim, correction, keepdim))


@_op
def vector_norm(op, input, ord, dim, keepdim):
    return _C.vector_norm(_abs(op, input), ord, dim, keepdim)


# --- training: optimizers and clipping see pairs of real parameters, as PyTorch's do ---


def _unchanged(op, **arguments):
    return _function(op)(*map(_as_pairs, arguments.values()))


OPS["optimizer_step"] = OPS["clip_grad_norm_"] = _unchanged
