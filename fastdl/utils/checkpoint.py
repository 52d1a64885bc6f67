"""Less memory for more computing: what a function computed is thrown away and computed again in backward."""

import fastdl
from fastdl import _C
from fastdl.autograd import Function, enable_grad, grad

__all__ = ["checkpoint", "checkpoint_sequential"]


class _Recomputed(Function):
    """The outputs without a graph. `leaves` are the tensors beside the inputs that the function has gradients for."""

    @staticmethod
    def forward(ctx, run, outputs, random_state, count, *tensors):
        ctx.run, ctx.random_state, ctx.count, ctx.tensors = run, random_state, count, tensors
        ctx.versions = [x._version if fastdl.is_tensor(x) else None for x in tensors[:count]]
        return outputs

    @staticmethod
    def backward(ctx, *gradients):
        if fastdl.is_grad_enabled():
            raise fastdl.Error("checkpoint: gradients of gradients (create_graph=True) do not pass through it")
        given, leaves = ctx.tensors[: ctx.count], ctx.tensors[ctx.count :]
        for x, version in zip(given, ctx.versions):
            if version is not None and x._version != version:
                raise fastdl.VersionError(f"checkpoint: an input of shape {tuple(x.shape)} was changed in place")
        inputs = [_leaf(x) for x in given]
        now = fastdl.get_rng_state()
        if ctx.random_state is not None:
            fastdl.set_rng_state(ctx.random_state)
        try:
            with enable_grad():
                outputs = ctx.run(*inputs)
        finally:
            fastdl.set_rng_state(now)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        pairs = [(o, g) for o, g in zip(outputs, gradients) if _differentiable(o) and g is not None]
        wanted = [x for x in (*inputs, *leaves) if _differentiable(x)]
        found = iter(grad([o for o, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True))
        return None, None, None, None, *(next(found) if _differentiable(x) else None for x in (*inputs, *leaves))


def _differentiable(x):
    return fastdl.is_tensor(x) and x.requires_grad


def _leaf(x):
    return x.detach().requires_grad_(x.requires_grad) if fastdl.is_tensor(x) else x


def checkpoint(function, *args, use_reentrant=None, preserve_rng_state=True, **kwargs):
    """function(*args, **kwargs), which keeps only its inputs for backward and is called again there.

    Args:
        function: a module, or a function of modules; what it returns must not depend on anything that changes until
            backward, other than random numbers.
        use_reentrant: taken, and without effect: `backward` and `autograd.grad` bring gradients to the inputs and to the
            parameters within.
        preserve_rng_state: draw the same random numbers (dropout) in the second call.

    Raises:
        VersionError: (in backward) an input was changed in place.
        Error: (in backward) with create_graph=True.

    Chen et al., "Training deep nets with sublinear memory cost", 2016.

    >>> import fastdl as fd
    >>> layer = fd.nn.Linear(3, 3)
    >>> fd.utils.checkpoint.checkpoint(layer, fd.ones(2, 3)).sum().backward()
    >>> layer.weight.grad.shape
    (3, 3)
    """
    if not fastdl.is_grad_enabled():
        return function(*args, **kwargs)
    run = lambda *inputs: function(*inputs, **kwargs)
    random_state = fastdl.get_rng_state() if preserve_rng_state else None
    # The graph of this first call is only looked at: which tensors, beside the inputs, it has gradients for.
    inputs = [_leaf(x) for x in args]
    outputs = run(*inputs)
    several = isinstance(outputs, tuple)
    known = {id(x) for x in inputs}
    reached = _C.leaves_of([o for o in (outputs if several else (outputs,)) if _differentiable(o)])
    leaves = [x for x in reached if id(x) not in known]
    plain = [o.detach() if fastdl.is_tensor(o) else o for o in (outputs if several else (outputs,))]
    del outputs, reached
    return _Recomputed.apply(run, tuple(plain) if several else plain[0], random_state, len(args), *args, *leaves)


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """A sequence of modules in so many parts, each but the last a `checkpoint`.

    >>> import fastdl as fd
    >>> net = fd.nn.Sequential(*(fd.nn.Linear(2, 2) for _ in range(4)))
    >>> bool((fd.utils.checkpoint.checkpoint_sequential(net, 2, fd.ones(1, 2)) == net(fd.ones(1, 2))).all())
    True
    """
    functions = list(functions.children()) if isinstance(functions, fastdl.nn.Module) else list(functions)
    if not 1 <= segments <= len(functions):
        raise fastdl.ValueError(f"checkpoint_sequential: {segments} segments of {len(functions)} functions")
    size = len(functions) // segments

    def run(part):
        def chained(x):
            for f in part:
                x = f(x)
            return x

        return chained

    for start in range(0, size * (segments - 1), size):
        input = checkpoint(run(functions[start : start + size]), input, use_reentrant=use_reentrant, **kwargs)
    return run(functions[size * (segments - 1) :])(input)
