"""What runs around a module's forward and backward, and around saving and loading its state."""

from fastdl.autograd import Function
from fastdl.tensor import Tensor


class RemovableHandle:
    """Takes a hook away again: by ``remove()``, or at the end of a ``with`` block."""

    def __init__(self, hooks):
        self._hooks = hooks
        self._key = object()

    def remove(self):
        """Removes the hook; does nothing the second time."""
        self._hooks.pop(self._key, None)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def add_hook(hooks, hook, prepend=False):
    """Appends (or prepends) ``hook`` to the dict ``hooks`` and returns its handle."""
    handle = RemovableHandle(hooks)
    if prepend:
        others = dict(hooks)
        hooks.clear()
        hooks[handle._key] = hook
        hooks.update(others)
    else:
        hooks[handle._key] = hook
    return handle


class StateHooks:
    """The hooks of ``state_dict`` and ``load_state_dict``."""

    def __init__(self):
        self.before_save, self.after_save, self.before_load, self.after_load = {}, {}, {}, {}


class CallHooks:
    """The hooks of a module's call; ``forward`` and ``forward_pre`` hold ``(hook, with_kwargs, always_call)``."""

    def __init__(self):
        self.forward_pre, self.forward, self.backward_pre, self.backward = {}, {}, {}, {}

    def call(self, module, args, kwargs):
        """Calls ``module.forward`` with all hooks around it."""
        called = set()
        try:
            for hook, with_kwargs, _ in list(self.forward_pre.values()):
                if with_kwargs:
                    changed = hook(module, args, kwargs)
                    if changed is not None:
                        if not (isinstance(changed, tuple) and len(changed) == 2):
                            raise RuntimeError(
                                f"a forward pre-hook with kwargs must return None or (args, kwargs), not {changed!r}"
                            )
                        args, kwargs = changed
                else:
                    changed = hook(module, args)
                    if changed is not None:
                        args = changed if isinstance(changed, tuple) else (changed,)
            backward = BackwardHooks(module, self) if self.backward or self.backward_pre else None
            if backward:
                args = backward.watch_inputs(args)
            output = module.forward(*args, **kwargs)
            for key, (hook, with_kwargs, _) in list(self.forward.items()):
                called.add(key)
                changed = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
                if changed is not None:
                    output = changed
            return backward.watch_outputs(output) if backward else output
        except Exception:
            for key, (hook, with_kwargs, always_call) in list(self.forward.items()):
                if always_call and key not in called:
                    hook(module, args, kwargs, None) if with_kwargs else hook(module, args, None)
            raise


class _Tap(Function):
    """The identity on some tensors; ``callback`` sees their gradients pass, and may replace them."""

    @staticmethod
    def forward(ctx, callback, *tensors):
        ctx.callback = callback
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def backward(ctx, *grads):
        return (None, *ctx.callback(grads))


class BackwardHooks:
    """Runs a module's full backward hooks in one call: a tap on its inputs and one on its outputs."""

    def __init__(self, module, hooks):
        self.module, self.hooks = module, hooks
        self.grad_output = None
        self.inputs_watched = False

    def watch_inputs(self, args):
        watched = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not watched:
            return args
        self.inputs_watched = True
        args = list(args)

        def callback(grads):
            grad_input = [None] * len(args)
            for i, g in zip(watched, grads):
                grad_input[i] = g
            grad_input = self._run(tuple(grad_input))
            return [grad_input[i] for i in watched]

        for i, t in zip(watched, _Tap.apply(callback, *(args[i] for i in watched))):
            args[i] = t
        return tuple(args)

    def watch_outputs(self, output):
        single = isinstance(output, Tensor)
        outputs = [output] if single else list(output) if isinstance(output, (tuple, list)) else None
        if outputs is None:
            raise TypeError(
                f"a full backward hook needs a module that returns a tensor or a tuple of tensors, "
                f"{type(self.module).__name__} returned {type(output).__name__}"
            )
        watched = [i for i, o in enumerate(outputs) if isinstance(o, Tensor) and o.requires_grad]
        if not watched:
            return output

        def callback(grads):
            grad_output = [None] * len(outputs)
            for i, g in zip(watched, grads):
                grad_output[i] = g
            grad_output = tuple(grad_output)
            for hook in list(self.hooks.backward_pre.values()):
                changed = hook(self.module, grad_output)
                if changed is not None:
                    grad_output = changed if isinstance(changed, tuple) else (changed,)
            self.grad_output = grad_output
            if not self.inputs_watched:
                self._run((None,))
            return [grad_output[i] for i in watched]

        for i, t in zip(watched, _Tap.apply(callback, *(outputs[i] for i in watched))):
            outputs[i] = t
        return outputs[0] if single else type(output)(outputs)

    def _run(self, grad_input):
        for hook in list(self.hooks.backward.values()):
            changed = hook(self.module, grad_input, self.grad_output)
            if changed is not None:
                changed = changed if isinstance(changed, tuple) else (changed,)
                if len(changed) != len(grad_input):
                    raise RuntimeError(
                        f"a backward hook returned {len(changed)} gradients, the module has {len(grad_input)} inputs"
                    )
                grad_input = changed
        return grad_input
