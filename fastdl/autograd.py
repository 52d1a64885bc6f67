"""Gradients: modes, backward, grad, functions written in Python, and a check against finite differences."""

from . import _C
from ._C import Tensor, is_grad_enabled, is_inference_mode_enabled

__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "grad", "gradcheck", "gradgradcheck",
    "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "set_detect_anomaly",
    "set_grad_enabled", "set_multithreading_enabled",
]  # fmt: skip


class _Mode:
    """A context manager that is a decorator too."""

    __slots__ = ("_before",)

    def __call__(self, function):
        make = self._again()

        def wrapper(*args, **kwargs):
            with make():
                return function(*args, **kwargs)

        for name in ("__module__", "__name__", "__qualname__", "__doc__"):  # functools would double the import time
            if hasattr(function, name):  # a module, say, has no name
                setattr(wrapper, name, getattr(function, name))
        wrapper.__wrapped__ = function
        return wrapper

    def _again(self):
        return type(self)


class no_grad(_Mode):
    """Within it, or within a function decorated with it, ops record nothing for backward.

    >>> import fastdl as fd
    >>> x = fd.ones(2, requires_grad=True)
    >>> with fd.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    __slots__ = ()
    _on = False

    def __new__(cls, function=None):
        mode = super().__new__(cls)
        return mode if function is None else mode(function)

    def __enter__(self):
        self._before = _C.is_grad_enabled()
        _C.set_grad_enabled(self._on)

    def __exit__(self, *error):
        _C.set_grad_enabled(self._before)


class enable_grad(no_grad):
    """Records again within `no_grad`."""

    __slots__ = ()
    _on = True


class set_grad_enabled(_Mode):
    """Turns recording on or off: at once when called, and back again at the end of a `with` block."""

    __slots__ = ("_mode",)

    def __init__(self, mode):
        self._before = _C.is_grad_enabled()
        self._mode = bool(mode)
        _C.set_grad_enabled(self._mode)

    def __call__(self, function):
        _C.set_grad_enabled(self._before)
        return super().__call__(function)

    def _again(self):
        mode = self._mode
        return lambda: set_grad_enabled(mode)

    def __enter__(self):
        _C.set_grad_enabled(self._mode)

    def __exit__(self, *error):
        _C.set_grad_enabled(self._before)


class inference_mode(_Mode):
    """Like `no_grad`, for code that will never need gradients of its results."""

    __slots__ = ("_inference", "_mode")

    def __new__(cls, mode=True):
        if callable(mode):
            return cls()(mode)
        self = super().__new__(cls)
        self._mode = mode
        return self

    def _again(self):
        mode = self._mode
        return lambda: inference_mode(mode)

    def __enter__(self):
        self._before, self._inference = _C.is_grad_enabled(), _C.is_inference_mode_enabled()
        if self._mode:
            _C.set_grad_enabled(False)
        _C.set_inference_mode(self._mode)

    def __exit__(self, *error):
        _C.set_grad_enabled(self._before)
        _C.set_inference_mode(self._inference)


class set_detect_anomaly(_Mode):
    """Whether backward looks for NaN: at once when called, and back again at the end of a `with` block.

    Args:
        mode: whether each gradient is searched for NaN; the op that gave the first one is named in an Error.
        check_nan: turns the search off.
    """

    __slots__ = ("_mode",)

    def __init__(self, mode, check_nan=True):
        self._before = _C.is_anomaly_enabled()
        self._mode = bool(mode and check_nan)
        _C.set_anomaly_enabled(self._mode)

    def __call__(self, function):
        _C.set_anomaly_enabled(self._before)
        return super().__call__(function)

    def _again(self):
        mode = self._mode
        return lambda: set_detect_anomaly(mode)

    def __enter__(self):
        _C.set_anomaly_enabled(self._mode)

    def __exit__(self, *error):
        _C.set_anomaly_enabled(self._before)


class detect_anomaly(_Mode):
    """Within it, backward raises an Error that names the op whose gradient is NaN first.

    >>> import fastdl as fd
    >>> x = fd.tensor(0.0, requires_grad=True)
    >>> with fd.autograd.detect_anomaly():
    ...     (x.sqrt() * 0.0).backward()
    Traceback (most recent call last):
    fastdl.Error: backward: sqrt gives NaN as the gradient of its input 0, a tensor of shape [] (detect_anomaly)
    """

    __slots__ = ("_mode",)

    def __init__(self, check_nan=True):
        self._mode = bool(check_nan)

    def _again(self):
        mode = self._mode
        return lambda: detect_anomaly(mode)

    def __enter__(self):
        self._before = _C.is_anomaly_enabled()
        _C.set_anomaly_enabled(self._mode)

    def __exit__(self, *error):
        _C.set_anomaly_enabled(self._before)


class set_multithreading_enabled(_Mode):
    """Nothing to set: backward runs on the calling thread, its kernels on all."""

    __slots__ = ("_mode",)

    def __init__(self, mode):
        self._mode = bool(mode)

    def _again(self):
        mode = self._mode
        return lambda: set_multithreading_enabled(mode)

    def __enter__(self):
        pass

    def __exit__(self, *error):
        pass


def Variable(data, requires_grad=False):
    """A tensor over the memory of `data`: what tensors with gradients were before PyTorch 0.4."""
    return data.detach().requires_grad_(requires_grad)


def _listed(value):
    return (value,) if isinstance(value, Tensor) or value is None else tuple(value)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None):
    """Adds the gradient of the sum of `tensors` (weighted by `grad_tensors`) to the `.grad` of every leaf.

    Args:
        tensors: a tensor or a sequence of tensors with history.
        grad_tensors: a gradient for each, of its shape; None for a tensor of one element means 1.
        retain_graph: keep what was saved for backward, so that it can be walked again (default: `create_graph`).
        create_graph: record the gradients' own computation, for second-order gradients.
        grad_variables: an older name of `grad_tensors`.
        inputs: the tensors whose `.grad` is added to; every leaf when None.

    Raises:
        Error: a tensor without history, or a graph that was freed by an earlier backward.
        ShapeError: a gradient is missing for a tensor of more than one element, or has another shape.
    """
    keep = create_graph if retain_graph is None else retain_graph
    given = grad_variables if grad_tensors is None else grad_tensors
    given = () if given is None else _listed(given)
    if inputs is None:
        _C.backward(_listed(tensors), given, keep, create_graph)
        return
    inputs = _listed(inputs)
    for x, g in zip(inputs, _C.grad(_listed(tensors), given, inputs, keep, create_graph)):
        if g is not None:
            x.grad = g if x.grad is None else x.grad + g


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of `outputs` with respect to `inputs`, as a tuple; no `.grad` is touched.

    Args:
        outputs: a tensor or a sequence of tensors.
        inputs: the tensors to differentiate by; each must require a gradient.
        grad_outputs: a gradient for each output (None: 1, for outputs of one element).
        only_inputs: must be True, as in PyTorch.
        is_grads_batched: must be False: there are no function transforms.
        allow_unused: give None for an input that has no part in the outputs, instead of an error.
        materialize_grads: give zeros for such an input.

    Raises:
        Error: an input that has no part in the outputs, unless `allow_unused`.

    >>> import fastdl as fd
    >>> x = fd.tensor(3.0, requires_grad=True)
    >>> (dx,) = fd.autograd.grad(x**3, x, create_graph=True)
    >>> fd.autograd.grad(dx, x)
    (tensor(18.),)
    """
    if not only_inputs or is_grads_batched:
        raise _C.ValueError("grad: only_inputs=False and is_grads_batched=True are not supported")
    inputs = _listed(inputs)
    keep = create_graph if retain_graph is None else retain_graph
    result = _C.grad(
        _listed(outputs), () if grad_outputs is None else _listed(grad_outputs), inputs, keep, create_graph
    )
    if materialize_grads:
        return tuple(_C.full(x.shape, 0, x.dtype, x.device) if g is None else g for g, x in zip(result, inputs))
    if not allow_unused:
        for i, g in enumerate(result):
            if g is None:
                raise _C.Error(f"grad: input {i} has no part in the outputs; pass allow_unused=True to get None for it")
    return result


class FunctionCtx:
    """What `forward` keeps for `backward`."""

    def __init__(self):
        self._saved = ()
        self._versions = ()
        self._dirty = ()
        self._not_differentiable = ()
        self._materialize = True
        self.needs_input_grad = ()

    def save_for_backward(self, *tensors):
        """Keeps tensors; `saved_tensors` gives them back in backward, unless one was changed in place."""
        self._saved = tensors
        self._versions = tuple(None if t is None else t._version for t in tensors)

    @property
    def saved_tensors(self):
        for t, version in zip(self._saved, self._versions):
            if t is not None and t._version != version:
                raise _C.VersionError(
                    f"{type(self).__name__}: a saved tensor of shape {tuple(t.shape)} was changed in place "
                    f"(version {t._version}, expected {version})"
                )
        return self._saved

    def mark_dirty(self, *tensors):
        """Names inputs that `forward` changed in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors):
        """Names outputs that have no gradient."""
        self._not_differentiable = tensors

    def set_materialize_grads(self, value):
        """Whether missing output gradients arrive as zeros (always so here) rather than None."""
        self._materialize = bool(value)


class Function:
    """An op written in Python: `forward(ctx, *args)` and `backward(ctx, *output_gradients)`, called through `apply`.

    Bodies may use fastdl's ops or, on `x.numpy()`, anything else; on a GPU CuPy, which shares the memory both ways:
    ``cupy.from_dlpack(x.detach())`` of a tensor, ``fastdl.from_dlpack(array)`` of its result (or ``cupy.asarray`` and
    ``fastdl.as_tensor``). Each side's stream waits for the other's at the hand-over. `backward` returns a gradient for each argument of
    `forward`, None for those that have none. What `backward` computes with fastdl's ops is recorded when second-order
    gradients are asked for.

    >>> import fastdl as fd
    >>> class Cube(fd.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x * x * g
    >>> x = fd.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    @staticmethod
    def forward(ctx, *args, **kwargs):
        raise NotImplementedError("a Function needs a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx, *grad_outputs):
        raise NotImplementedError("a Function needs a static method backward(ctx, *grad_outputs)")

    @classmethod
    def apply(cls, *args, **kwargs):
        """Runs `forward` and records `backward`."""
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            if cls.__dict__.get("setup_context") is not None:
                outputs = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, outputs)
            else:
                outputs = cls.forward(ctx, *args, **kwargs)
        if not (is_grad_enabled() and any(ctx.needs_input_grad)):
            return outputs
        single = isinstance(outputs, Tensor)
        # An output that is an input, or a view of one, must not change that tensor's own history.
        outs = [o.detach() if isinstance(o, Tensor) else o for o in ((outputs,) if single else outputs)]
        plain = {id(t) for t in ctx._not_differentiable}
        recorded = [
            new
            for new, old in zip(outs, (outputs,) if single else outputs)
            if isinstance(new, Tensor) and (new.is_floating_point() or new.is_complex()) and id(old) not in plain
        ]
        positions = [i for i, o in enumerate(outs) if any(o is r for r in recorded)]
        count = len(outs)

        def run_backward(grads, wanted):
            full = [None] * count
            for i, g in zip(positions, grads):
                full[i] = g
            ctx.needs_input_grad = wanted
            result = cls.backward(ctx, *full)
            result = result if isinstance(result, tuple) else (result,)
            if len(result) > len(args) and all(r is None for r in result[len(args) :]):
                result = result[: len(args)]
            if len(result) != len(args):
                raise _C.Error(f"{cls.__name__}: backward returned {len(result)} gradients for {len(args)} arguments")
            return result

        inputs = [a if isinstance(a, Tensor) else None for a in args]
        _C.attach_function(cls.__name__, recorded, inputs, run_backward)
        return outs[0] if single else tuple(outs)


def gradcheck(
    func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True, nondet_tol=0.0, check_undefined_grad=True,
    check_grad_dtypes=False, check_batched_grad=False, check_batched_forward_grad=False, check_forward_ad=False,
    check_backward_ad=True, fast_mode=False, masked=None,
):  # fmt: skip
    """Compares the gradients of `func` with central finite differences, element by element.

    Args:
        func: takes the inputs, returns a tensor or a tuple of tensors.
        inputs: a tensor or a tuple; those that require a gradient must be float64.
        eps: half the step of the difference.
        atol, rtol: |analytic - numeric| <= atol + rtol |numeric| must hold.
        raise_exception: raise an Error that names the place, rather than return False.
        nondet_tol, check_undefined_grad, check_grad_dtypes, fast_mode: taken, and without effect: results are the same
            bits every time, missing gradients are always allowed for, and every element is checked.
        check_batched_grad, check_batched_forward_grad, check_forward_ad, masked: must be off: there is neither vmap nor
            forward mode nor a sparse layout.
        check_backward_ad: must be True.

    >>> import fastdl as fd
    >>> x = fd.tensor([1.0, 2.0], dtype=fd.float64, requires_grad=True)
    >>> fd.autograd.gradcheck(lambda x: x * x, x)
    True
    """
    if check_batched_grad or check_batched_forward_grad or check_forward_ad or masked or not check_backward_ad:
        raise _C.ValueError("gradcheck: only gradients by backward can be checked")
    inputs = _listed(inputs)
    checked = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    for i in checked:
        if inputs[i].dtype is not _C.float64:
            raise _C.DTypeError(f"gradcheck: input {i} is {inputs[i].dtype}, expected float64")

    def evaluate():
        return [o for o in _listed(func(*inputs)) if isinstance(o, Tensor) and o.dtype.is_floating_point]

    # All of backward first: the differences change the inputs, which the graph has saved.
    analytic = []  # for each output, for each checked input, a row for each output element
    for out in evaluate():
        rows = {i: [] for i in checked}
        for j in range(out.numel()):
            grads = [None] * len(checked)
            if out.requires_grad:
                seed = _C.full((out.numel(),), 0.0, out.dtype, out.device)
                seed[j] = 1.0
                wanted = [inputs[i] for i in checked]
                grads = grad(out, wanted, seed.reshape(out.shape), retain_graph=True, allow_unused=True)
            for i, g in zip(checked, grads):
                rows[i].append([0.0] * inputs[i].numel() if g is None else g.reshape(-1).tolist())
        analytic.append(rows)
    for k, rows in enumerate(analytic):
        for i in checked:
            with no_grad():
                for e in range(inputs[i].numel()):
                    column = _difference(evaluate, inputs[i], e, eps, k)
                    for j, n in enumerate(column):
                        a = rows[i][j][e]
                        if not abs(a - n) <= atol + rtol * abs(n):
                            if not raise_exception:
                                return False
                            raise _C.Error(
                                f"gradcheck: d output {k}[{j}] / d input {i}[{e}] is {a} by backward, {n} by differences"
                            )
    return True


def _difference(evaluate, x, element, eps, k):
    # Element `element` in row-major order, whatever the strides.
    index, rest = [], element
    for n in reversed(x.shape):
        index.append(rest % n)
        rest //= n
    place = x.detach()
    for i in reversed(index):
        place = place.select(0, i)
    before = place.item()
    place.copy_(before + eps)
    high = evaluate()[k].reshape(-1).tolist()
    place.copy_(before - eps)
    low = evaluate()[k].reshape(-1).tolist()
    place.copy_(before)
    return [(a - b) / (2 * eps) for a, b in zip(high, low)]


def gradgradcheck(
    func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3, gen_non_contig_grad_outputs=False,
    raise_exception=True, nondet_tol=0.0, check_undefined_grad=True, check_grad_dtypes=False, check_batched_grad=False,
    check_fwd_over_rev=False, check_rev_over_rev=True, fast_mode=False, masked=False,
):  # fmt: skip
    """`gradcheck` of the gradient of `func`: checks second-order gradients, with weights on the outputs.

    Args:
        grad_outputs: the outputs' weights, float64; some that are all different when None.
        check_rev_over_rev: must be True.
        check_fwd_over_rev: must be False: there is no forward mode.
        gen_non_contig_grad_outputs: lay the weights out with gaps.
        and those of `gradcheck`.
    """
    if check_fwd_over_rev or not check_rev_over_rev:
        raise _C.ValueError("gradgradcheck: only backward over backward can be checked")
    inputs = _listed(inputs)
    wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    given = None if grad_outputs is None else _listed(grad_outputs)

    def weights_of(outputs):
        if given is not None:
            return list(given)
        out = [(o.detach() * 0 + 1).cumsum(0).sin() if o.ndim else o.detach() * 0 + 1 for o in outputs]
        return [_C.stack([w, w], -1)[..., 0] for w in out] if gen_non_contig_grad_outputs else out

    def first_order(*args):
        outputs = [o for o in _listed(func(*args)) if isinstance(o, Tensor) and o.requires_grad]
        inputs = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
        return grad(outputs, inputs, weights_of(outputs), create_graph=True, allow_unused=True, materialize_grads=True)

    if not wanted:
        raise _C.Error("gradgradcheck: no input requires a gradient")
    with enable_grad():
        return gradcheck(
            lambda *a: enable_grad(first_order)(*a),
            inputs,
            eps=eps,
            atol=atol,
            rtol=rtol,
            raise_exception=raise_exception,
            check_batched_grad=check_batched_grad,
            masked=masked,
        )
