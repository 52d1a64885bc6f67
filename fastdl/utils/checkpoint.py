"""Less memory for more computing: what a function computed is thrown away and computed again in backward."""

import fastdl
from fastdl.autograd import Function, enable_grad

__all__ = ["checkpoint", "checkpoint_sequential"]


class _Recomputed(Function):
    @staticmethod
    def forward(ctx, run, preserve, anchor, *inputs):
        ctx.run, ctx.random_state = run, fastdl.get_rng_state() if preserve else None
        ctx.inputs = inputs
        ctx.versions = [x._version if fastdl.is_tensor(x) else None for x in inputs]
        return run(*inputs)

    @staticmethod
    def backward(ctx, *gradients):
        for x, version in zip(ctx.inputs, ctx.versions):
            if version is not None and x._version != version:
                raise fastdl.VersionError(f"checkpoint: an input of shape {tuple(x.shape)} was changed in place")
        inputs = [_leaf(x) for x in ctx.inputs]
        now = fastdl.get_rng_state()
        if ctx.random_state is not None:
            fastdl.set_rng_state(ctx.random_state)
        try:
            with enable_grad():
                outputs = ctx.run(*inputs)
        finally:
            fastdl.set_rng_state(now)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        pairs = [
            (o, g) for o, g in zip(outputs, gradients) if fastdl.is_tensor(o) and o.requires_grad and g is not None
        ]
        fastdl.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        return None, None, None, *(x.grad if fastdl.is_tensor(x) else None for x in inputs)


def _leaf(x):
    return x.detach().requires_grad_(x.requires_grad) if fastdl.is_tensor(x) else x


def checkpoint(function, *args, use_reentrant=None, preserve_rng_state=True, **kwargs):
    """function(*args, **kwargs), which keeps only its inputs for backward and is called again there.

    Args:
        function: a module, or a function of modules; what it returns must not depend on anything that changes until
            backward, other than random numbers.
        use_reentrant: taken, and without effect. `backward` brings gradients to the parameters within; `autograd.grad`
            does so for the inputs only.
        preserve_rng_state: draw the same random numbers (dropout) in the second call.

    Raises:
        VersionError: (in backward) an input was changed in place.

    Chen et al., "Training deep nets with sublinear memory cost", 2016.

    >>> import fastdl as fd
    >>> layer = fd.nn.Linear(3, 3)
    >>> fd.utils.checkpoint.checkpoint(layer, fd.ones(2, 3)).sum().backward()
    >>> layer.weight.grad.shape
    (3, 3)
    """
    if not fastdl.is_grad_enabled():
        return function(*args, **kwargs)
    # Parameters inside are no inputs of the node: this one makes it record in any case.
    anchor = fastdl.zeros(0, requires_grad=True)
    return _Recomputed.apply(lambda *inputs: function(*inputs, **kwargs), preserve_rng_state, anchor, *args)


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
