"""Random number generators: one stream of Philox numbers a Generator, positions independent of threads and devices."""

from . import _C
from ._C import Generator, Tensor, default_generator
from .allocation import empty, finish, like, size_of
from .autograd import no_grad

__all__ = [
    "Generator", "bernoulli", "binomial", "default_generator", "get_rng_state", "initial_seed", "manual_seed",
    "multinomial", "normal", "poisson", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm",
    "seed", "set_rng_state",
]  # fmt: skip


def manual_seed(seed):
    """Starts the default generator's stream of `seed` from its beginning and returns the generator.

    >>> import fastdl as fd
    >>> a = fd.manual_seed(0) and fd.rand(2)
    >>> b = fd.manual_seed(0) and fd.rand(2)
    >>> bool((a == b).all())
    True
    """
    return default_generator.manual_seed(seed)


def seed():
    """Seeds the default generator from the operating system and returns the seed."""
    return default_generator.seed()


def initial_seed():
    """The seed that the default generator's stream started from."""
    return default_generator.initial_seed()


def get_rng_state():
    """The default generator's state: a uint8 tensor of 16 bytes (seed, position)."""
    return default_generator.get_state()


def set_rng_state(new_state):
    """Puts the default generator into a state that `get_rng_state` returned."""
    default_generator.set_state(new_state)


# --- random tensors ---


def rand(*sizes, size=None, generator=None, dtype=None, device=None, requires_grad=False):
    """Uniform numbers from [0, 1).

    >>> import fastdl as fd
    >>> fd.rand(2, 3).shape
    (2, 3)
    """
    return finish(empty(size_of(sizes, size), dtype, device).uniform_(0.0, 1.0, generator), requires_grad)


def randn(*sizes, size=None, generator=None, dtype=None, device=None, requires_grad=False):
    """Normal numbers of mean 0 and variance 1."""
    return finish(empty(size_of(sizes, size), dtype, device).normal_(0.0, 1.0, generator), requires_grad)


def randint(low, high=None, size=None, *, generator=None, dtype=None, device=None, requires_grad=False):
    """Integers from [low, high), each as likely; `randint(high, size)` starts at 0.

    Raises:
        ValueError: low >= high.
    """
    if size is None:
        low, high, size = 0, low, high
    t = empty(size, dtype or _C.int64, device)
    return finish(_C.random_integers_(t, low, high, generator), requires_grad)


def randperm(n, *, generator=None, dtype=None, device=None):
    """The integers from 0 to n - 1 in random order.

    >>> import fastdl as fd
    >>> sorted(fd.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    return _C.randperm(n, dtype or _C.int64, generator).to(device=device or _C.default_device())


def rand_like(input, *, dtype=None, device=None, requires_grad=False):
    """`rand` with the shape and, by default, the dtype of `input`."""
    return finish(like(input, dtype, device).uniform_(), requires_grad)


def randn_like(input, *, dtype=None, device=None, requires_grad=False):
    """`randn` with the shape and, by default, the dtype of `input`."""
    return finish(like(input, dtype, device).normal_(), requires_grad)


def randint_like(input, low, high=None, *, dtype=None, device=None):
    """`randint` with the shape and, by default, the dtype of `input`."""
    if high is None:
        low, high = 0, low
    return _C.random_integers_(like(input, dtype, device), low, high, None)


def bernoulli(input, *, generator=None):
    """1 with the probability that each element of `input` gives, else 0.

    Raises:
        ValueError: a probability outside [0, 1].
    """
    return _C.bernoulli(input, generator)


def normal(mean=0.0, std=1.0, size=None, *, generator=None, dtype=None, device=None, requires_grad=False):
    """Normal numbers; `mean` and `std` are numbers (with `size`) or tensors, which broadcast.

    Raises:
        ValueError: a negative standard deviation.
    """
    tensors = [t for t in (mean, std) if isinstance(t, Tensor)]
    if not tensors:
        return finish(empty(size, dtype, device).normal_(mean, std, generator), requires_grad)
    if isinstance(std, Tensor) and std.numel() and bool(_C.lt(std, 0).any()):
        raise _C.ValueError("normal: the standard deviations must not be negative")
    if not isinstance(std, Tensor) and std < 0:
        raise _C.ValueError(f"normal: std {std} must not be negative")
    like = _C.add(*tensors) if len(tensors) == 2 else tensors[0]
    noise = _C.empty_like(like, like.dtype).normal_(0.0, 1.0, generator)
    return _C.add(_C.mul(noise, std), mean).detach()


def multinomial(input, num_samples, replacement=False, *, generator=None):
    """Places drawn with probabilities in proportion to the weights in each row.

    Without replacement by the race of exponential times: the places of the largest weight / time (Efraimidis and Spirakis).

    Args:
        input: (n) or (rows, n) of weights, not negative, not all 0, floating point.
        num_samples: how many to draw from each row.
        replacement: whether a place may be drawn again.

    Returns:
        int64, (num_samples) or (rows, num_samples).

    Raises:
        ValueError: weights that are negative, not finite or all 0, or more samples than places without replacement.

    >>> import fastdl as fd
    >>> fd.multinomial(fd.tensor([0.0, 1.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    if input.ndim not in (1, 2):
        raise _C.ShapeError(f"multinomial: expected 1 or 2 dimensions, got shape {list(input.shape)}")
    if not input.dtype.is_floating_point:
        raise _C.DTypeError(f"multinomial: expected a floating-point tensor, got {input.dtype}")
    n = input.shape[-1]
    if num_samples <= 0:
        raise _C.ValueError(f"multinomial: num_samples {num_samples}, expected at least 1")
    if not replacement and num_samples > n:
        raise _C.ValueError(f"multinomial: {num_samples} samples of {n} places without replacement")
    weights = input.detach().to(_C.float64)
    usable = _C.logical_and(_C.ge(weights, 0), _C.isfinite(weights))
    if not bool(_C.all(usable)):
        raise _C.ValueError("multinomial: a weight is negative, infinite or NaN")
    if not replacement:
        if bool((_C.sum(_C.gt(weights, 0), -1) < num_samples).any()):
            raise _C.ValueError(f"multinomial: fewer than {num_samples} weights of a row are positive")
        keys = _C.div(weights, _C.empty_like(weights, _C.float64).exponential_(1.0, generator=generator))
        return _C.topk(keys, num_samples, -1, True, True)[1]
    total = _C.cumsum(weights, -1)
    if bool(_C.eq(total[..., -1], 0).any()):
        raise _C.ValueError("multinomial: the weights of a row are all 0")
    from .ordering import searchsorted

    draws = _C.empty((*input.shape[:-1], num_samples), _C.float64, input.device).uniform_(0.0, 1.0, generator)
    places = searchsorted(total, _C.mul(draws, total[..., -1:]), right=True)
    # Rounding may reach the end: the last place with a weight.
    last = n - 1 - _C.argmax(_C.flip(_C.gt(weights, 0), (-1,)).to(_C.int64), -1, True)
    return _C.minimum(places, last)


def _numpy_generator(generator):
    """NumPy's generator at a place that ours determines, which moves on."""
    import numpy

    seeds = _C.random_integers_(_C.empty((2,), _C.int64, "cpu"), 0, 2**63 - 1, generator)
    return numpy.random.Generator(numpy.random.Philox(seeds.tolist()))


def poisson(input, generator=None):
    """Numbers from Poisson's distribution with the rates in `input`, drawn on the host by NumPy.

    Raises:
        ValueError: a negative rate, or one above 9e18.
    """
    if not input.dtype.is_floating_point:
        raise _C.DTypeError(f"poisson: expected a floating-point tensor, got {input.dtype}")
    rates = input.detach().to(_C.float64)
    if rates.numel() and not bool(_C.logical_and(_C.ge(rates, 0), _C.lt(rates, 9e18)).all()):
        raise _C.ValueError("poisson: the rates must lie in [0, 9e18)")
    return _C.tensor_from(_numpy_generator(generator).poisson(rates.cpu().numpy()), input.dtype, input.device)


def binomial(count, prob, generator=None):
    """The numbers of successes in `count` trials of probability `prob`, drawn on the host by NumPy; they broadcast.

    Raises:
        ValueError: a negative count, or a probability outside [0, 1].
    """
    n, p = count.detach().to(_C.int64), prob.detach().to(_C.float64)
    if bool(_C.lt(n, 0).any()) or not bool(_C.logical_and(_C.ge(p, 0), _C.le(p, 1)).all()):
        raise _C.ValueError("binomial: counts must not be negative and probabilities lie in [0, 1]")
    return _C.tensor_from(
        _numpy_generator(generator).binomial(n.cpu().numpy(), p.cpu().numpy()), count.dtype, count.device
    )


# --- in place ---


def _method(function):
    setattr(Tensor, function.__name__, function)
    return function


def _fill(name, self, transform, generator):
    """Fills a floating-point tensor with transform(u), u uniform from [0, 1)."""
    if not self.dtype.is_floating_point:
        raise _C.DTypeError(f"{name}: expected a floating-point tensor, got {self.dtype}")
    wide = _C.float64 if self.dtype is _C.float64 else _C.float32
    with no_grad():
        u = _C.empty(self.shape, wide, self.device).uniform_(0.0, 1.0, generator)
        return self.copy_(transform(u))


@_method
def bernoulli_(self, p=0.5, *, generator=None):
    """Fills with 1 with probability `p` (a number, or a tensor that broadcasts), else 0.

    Raises:
        ValueError: a probability outside [0, 1].
    """
    with no_grad():
        if isinstance(p, Tensor):
            return self.copy_(_C.bernoulli(p.detach().expand(self.shape), generator))
        if not 0 <= p <= 1:
            raise _C.ValueError(f"bernoulli_: p {p}, expected a value in [0, 1]")
        return self.copy_(_C.lt(_C.empty(self.shape, _C.float64, self.device).uniform_(0.0, 1.0, generator), p))


@_method
def exponential_(self, lambd=1.0, *, generator=None):
    """Fills with waiting times of rate `lambd`: density lambd e^(-lambd x).

    Raises:
        ValueError: a rate that is not positive.
    """
    if not lambd > 0:
        raise _C.ValueError(f"exponential_: lambd {lambd} must be positive")
    return _fill("exponential_", self, lambda u: _C.mul(_C.log1p(_C.neg(u)), -1.0 / lambd), generator)


@_method
def geometric_(self, p, *, generator=None):
    """Fills with the numbers of trials, 1 or more, until one of probability `p` succeeds.

    Raises:
        ValueError: p outside (0, 1).
    """
    import math

    if not 0 < p < 1:
        raise _C.ValueError(f"geometric_: p {p}, expected a value in (0, 1)")
    with no_grad():
        u = _C.empty(self.shape, _C.float64, self.device).uniform_(0.0, 1.0, generator)
        return self.copy_(_C.add(_C.floor(_C.div(_C.log1p(_C.neg(u)), math.log1p(-p))), 1))


@_method
def cauchy_(self, median=0.0, sigma=1.0, *, generator=None):
    """Fills with numbers from Cauchy's distribution: median + sigma tan(pi (u - 1/2)).

    Raises:
        ValueError: a sigma that is not positive.
    """
    if not sigma > 0:
        raise _C.ValueError(f"cauchy_: sigma {sigma} must be positive")
    angle = lambda u: _C.mul(_C.sub(u, 0.5), 3.141592653589793)
    return _fill("cauchy_", self, lambda u: _C.add(_C.mul(_C.tan(angle(u)), sigma), median), generator)


@_method
def log_normal_(self, mean=1.0, std=2.0, *, generator=None):
    """Fills with e^x, x normal with that mean and standard deviation.

    Raises:
        ValueError: a standard deviation that is not positive.
    """
    if not std > 0:
        raise _C.ValueError(f"log_normal_: std {std} must be positive")
    if not self.dtype.is_floating_point:
        raise _C.DTypeError(f"log_normal_: expected a floating-point tensor, got {self.dtype}")
    with no_grad():
        return self.copy_(_C.exp(_C.empty_like(self, self.dtype).normal_(mean, std, generator)))


@_method
def random_(self, from_=0, to=None, *, generator=None):
    """Fills with integers from [from_, to), each as likely; `random_(to)` starts at 0.

    Without bounds up to the largest number of the dtype; of floats the largest whole number below which all are exact.
    """
    if to is None and from_ != 0:
        from_, to = 0, from_
    if to is None:
        to = {
            _C.float32: 2**24 + 1, _C.float64: 2**53 + 1, _C.float16: 2**11 + 1, _C.bfloat16: 2**8 + 1, _C.bool: 2,
            _C.uint8: 256, _C.int8: 128, _C.int32: 2**31, _C.int64: 2**63 - 1,
        }[self.dtype]  # fmt: skip
    with no_grad():
        return _C.random_integers_(self, from_, to, generator)


Tensor.multinomial = multinomial
