"""The base class of layers and models."""

from collections import namedtuple
from types import MappingProxyType

import fastdl
from fastdl import _C, captured
from fastdl.autograd import no_grad
from fastdl.nn.hooks import CallHooks, RemovableHandle, StateHooks, add_hook
from fastdl.nn.parameter import Buffer, Parameter
from fastdl.tensor import Tensor

_EXTRA_STATE = "_extra_state"


# What ``load_state_dict(strict=False)`` did not load.
IncompatibleKeys = namedtuple("IncompatibleKeys", ("missing_keys", "unexpected_keys"))


class LoadReport:
    """What one ``load_state_dict`` found, and the copies that it makes once nothing is wrong."""

    def __init__(self, strict, assign):
        self.strict, self.assign = strict, assign
        self.missing_keys, self.unexpected_keys, self.errors, self.copies = [], [], [], []


class Module(_C.Callable):
    """The base class of layers and models.

    A subclass creates its parameters, buffers and submodules in ``__init__``, by assigning them to attributes after
    ``super().__init__()``, and computes in ``forward``. An error of the library that leaves a call names the module.

    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = nn.Linear(4, 8)
    ...         self.out = nn.Linear(8, 2)
    ...
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).relu())
    >>> net = Net()
    >>> net(fd.zeros(3, 4)).shape
    (3, 2)
    >>> [name for name, _ in net.named_parameters()]
    ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    # Parameters, buffers and submodules are ordinary entries of __dict__, so that reading one costs what reading any
    # attribute costs. The registries hold names alone.
    training = True
    _call_hooks = None
    _state_hooks = None

    def __init__(self):
        attributes = self.__dict__
        attributes["training"] = True
        attributes["_parameter_names"] = {}
        attributes["_buffer_names"] = {}  # name: whether it is in the state_dict
        attributes["_module_names"] = {}

    def forward(self, *args, **kwargs):
        """Computes the output; every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    # A call goes from the base class, which is written in C++, straight to forward(); only with hooks, or while a step is
    # captured, comes it here.
    def _call(self, *args, **kwargs):
        if recording := captured.current():
            recording.use_module(self)
        if self._call_hooks is None:
            return self.forward(*args, **kwargs)
        return self._call_hooks.call(self, args, kwargs)

    def _locate(self, error):
        """Ends the message of an error that leaves this module's call with the path of the module that raised it. Every
        caller on the way out writes it anew, so that the outermost one's path, the longest, stays."""
        details = error.__dict__
        source = details.setdefault("_module", self)
        message = details.setdefault("_message", str(error))
        path = next((path for path, m in self.named_modules() if m is source), None)
        if path is not None:
            error.args = (f"{message}, in {type(self).__name__}{'.' if path else ''}{path}", *error.args[1:])

    # --- registration ---

    def _registry(self, kind):
        try:
            return self.__dict__[kind]
        except KeyError:
            what = kind.strip("_").split("_")[0]
            raise AttributeError(f"cannot assign a {what} before Module.__init__() is called") from None

    def _check_new_name(self, kind, name):
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string, not {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name!r}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')

    def _check_free(self, name, registry):
        if hasattr(self, name) and name not in registry:
            raise KeyError(f"attribute {name!r} already exists")

    def _enter(self, registry, name, value, note=None):
        self._changes(name)
        for other in ("_parameter_names", "_buffer_names", "_module_names"):
            if self.__dict__[other] is not registry:
                self.__dict__[other].pop(name, None)
        registry[name] = note
        self.__dict__[name] = value

    def register_parameter(self, name, param):
        """Adds a parameter; ``None`` keeps the name without a value.

        Raises:
            TypeError: not a Parameter. KeyError: the name is taken, empty or has a dot. ValueError: not a leaf.
        """
        registry = self._registry("_parameter_names")
        self._check_new_name("parameter", name)
        self._check_free(name, registry)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign {type(param).__name__!r} object to parameter {name!r} (Parameter or None required)"
            )
        if param is not None and not param.is_leaf:
            raise ValueError(f"cannot register parameter {name!r}: it has history; detach it first")
        self._enter(registry, name, param)

    def register_buffer(self, name, tensor, persistent=True):
        """Adds a tensor that is not trained; ``persistent=False`` leaves it out of the state_dict.

        Raises:
            TypeError: not a tensor. KeyError: the name is taken, empty or has a dot.
        """
        registry = self._registry("_buffer_names")
        self._check_new_name("buffer", name)
        self._check_free(name, registry)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign {type(tensor).__name__!r} object to buffer {name!r} (Tensor or None required)"
            )
        self._enter(registry, name, tensor, persistent)

    def register_module(self, name, module):
        """Adds a submodule; ``None`` keeps the name without a value.

        Raises:
            TypeError: not a Module. KeyError: the name is taken, empty or has a dot.
        """
        registry = self._registry("_module_names")
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._check_new_name("module", name)
        self._check_free(name, registry)
        self._enter(registry, name, module)

    add_module = register_module

    def __setattr__(self, name, value):
        if isinstance(value, Parameter):
            self._enter(self._registry("_parameter_names"), name, value)
        elif isinstance(value, Module):
            self._enter(self._registry("_module_names"), name, value)
        elif isinstance(value, Buffer):
            self._enter(self._registry("_buffer_names"), name, value, value.persistent)
        else:
            attributes = self.__dict__
            if name == "training":
                if attributes.get(name) is not value:
                    captured.structure_changed()
            elif isinstance(value, Tensor) or name in attributes.get("_buffer_names", ()):
                self._changes(name)
            if value is not None:
                for registry, kind in (("_parameter_names", "Parameter"), ("_module_names", "Module")):
                    if name in attributes.get(registry, ()):
                        raise TypeError(
                            f"cannot assign {type(value).__name__!r} object to {name!r} ({kind} or None expected)"
                        )
                if name in attributes.get("_buffer_names", ()) and not isinstance(value, Tensor):
                    raise TypeError(
                        f"cannot assign {type(value).__name__!r} object to buffer {name!r} (Tensor or None expected)"
                    )
            object.__setattr__(self, name, value)

    def _changes(self, name):
        """Of a parameter, buffer, submodule or tensor that is another object from now on."""
        if captured.current():
            raise captured.CaptureError(
                f"{type(self).__name__}.{name}: a captured step cannot give a module new parameters, buffers or tensors, "
                f"which its replays would not see; write into the old one with copy_()"
            )
        captured.structure_changed()

    def __delattr__(self, name):
        self._changes(name)
        for registry in ("_parameter_names", "_buffer_names", "_module_names"):
            self.__dict__.get(registry, {}).pop(name, None)
        object.__delattr__(self, name)

    # Read-only views, for code that looks at PyTorch's registries; change them by assigning attributes.
    @property
    def _parameters(self):
        return MappingProxyType({name: self.__dict__[name] for name in self._parameter_names})

    @property
    def _buffers(self):
        return MappingProxyType({name: self.__dict__[name] for name in self._buffer_names})

    @property
    def _modules(self):
        return MappingProxyType({name: self.__dict__[name] for name in self._module_names})

    # --- looking at parts ---

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """Yields ``(path, module)`` for this module and all below it, parents first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        attributes = self.__dict__
        for name in self._module_names:
            if attributes[name] is not None:
                yield from attributes[name].named_modules(
                    memo, f"{prefix}.{name}" if prefix else name, remove_duplicate
                )

    def modules(self):
        """Yields this module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self):
        """Yields ``(name, module)`` for the direct submodules, each once."""
        seen = set()
        for name in self._module_names:
            module = self.__dict__[name]
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self):
        """Yields the direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def _named_tensors(self, registry, prefix, recurse, remove_duplicate):
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            attributes = module.__dict__
            for name in attributes[registry]:
                tensor = attributes[name]
                if tensor is None or tensor in seen:
                    continue
                if remove_duplicate:
                    seen.add(tensor)
                yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """Yields ``(path, parameter)``, of this module and with ``recurse`` of all below it."""
        return self._named_tensors("_parameter_names", prefix, recurse, remove_duplicate)

    def parameters(self, recurse=True):
        """Yields the parameters, each once: what an optimizer is given."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """Yields ``(path, buffer)``, of this module and with ``recurse`` of all below it."""
        return self._named_tensors("_buffer_names", prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """Yields the buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target):
        """The submodule at a path such as ``"layers.0.attention"``; ``""`` is the module itself.

        Raises:
            AttributeError: there is none.
        """
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target, module, strict=False):
        """Puts a module at a path such as ``"layers.0.attention"``, in place of what is there; with ``strict`` there must
        be one. Raises ValueError for an empty path or no module, AttributeError when the path leads nowhere.

        >>> net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
        >>> net.set_submodule("1.0", nn.Tanh())
        >>> net[1][0]
        Tanh()
        """
        if not target:
            raise ValueError("set_submodule: cannot replace the module itself, got an empty path")
        if not isinstance(module, Module):
            raise ValueError(f"set_submodule: expected a Module, got {type(module).__name__}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if (strict or hasattr(parent, name)) and not isinstance(getattr(parent, name, None), Module):
            raise AttributeError(f"`{name}` of {type(parent).__name__} is not an nn.Module")
        setattr(parent, name, module)

    def _get_tensor(self, target, registry, kind):
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        if name not in module.__dict__[registry]:
            raise AttributeError(f"`{name}` is not {kind}")
        return getattr(module, name)

    def get_parameter(self, target):
        """The parameter at a path such as ``"layers.0.weight"``. Raises AttributeError when there is none."""
        return self._get_tensor(target, "_parameter_names", "a parameter")

    def get_buffer(self, target):
        """The buffer at a path such as ``"norm.running_mean"``. Raises AttributeError when there is none."""
        return self._get_tensor(target, "_buffer_names", "a buffer")

    # --- changing all parts ---

    def apply(self, fn):
        """Calls ``fn(module)`` for every submodule and then for this one; returns ``self``."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn, recurse=True):
        """Replaces every parameter's memory, its gradient and every buffer by ``fn`` of it. Parameters stay the same
        objects, so that an optimizer made before keeps working."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        attributes = self.__dict__
        with no_grad():
            for name in self._parameter_names:
                parameter = attributes[name]
                if parameter is None:
                    continue
                grad = parameter.grad
                parameter.grad = None
                parameter.data = fn(parameter.data)
                if grad is not None:
                    parameter.grad = fn(grad)
            for name in self._buffer_names:
                if attributes[name] is not None:
                    attributes[name] = fn(attributes[name])
        return self

    def to(self, *args, **kwargs):
        """Moves or casts, in place: ``to(device)``, ``to(dtype)``, ``to(device, dtype)``, ``to(tensor)``.

        Args:
            device: where the memory is to be.
            dtype: a floating-point type; integer buffers keep theirs.
            memory_format: ``fastdl.channels_last`` lays 4-d parameters and buffers out that way.

        Raises:
            TypeError: a dtype that is not floating-point.

        >>> nn.Linear(2, 3).to(fd.float64).weight.dtype
        fastdl.float64
        """
        device, dtype, memory_format = _parse_to(*args, **kwargs)

        def convert(t):
            kw = {}
            if memory_format is not None and t.ndim == 4:
                kw["memory_format"] = memory_format
            if device is not None:
                kw["device"] = device
            if dtype is not None and t.is_floating_point():
                kw["dtype"] = dtype
            return t.to(**kw) if kw else t

        return self._apply(convert)

    def to_empty(self, *, device, recurse=True):
        """Moves to a device without copying the values; what the memory holds is undefined."""
        return self._apply(lambda t: fastdl.empty_like(t, device=device), recurse)

    def cpu(self):
        """Moves all parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self, device=None):
        """Moves all parameters and buffers to a GPU, the first unless ``device`` says another."""
        return self.to("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)

    def type(self, dst_type):
        """Casts all parameters and buffers, integer ones too, to ``dst_type``."""
        return self._apply(lambda t: t.to(dtype=dst_type))

    def float(self):
        """Casts floating-point parameters and buffers to float32."""
        return self.to(fastdl.float32)

    def double(self):
        """Casts floating-point parameters and buffers to float64."""
        return self.to(fastdl.float64)

    def half(self):
        """Casts floating-point parameters and buffers to float16."""
        return self.to(fastdl.float16)

    def bfloat16(self):
        """Casts floating-point parameters and buffers to bfloat16."""
        return self.to(fastdl.bfloat16)

    def train(self, mode=True):
        """Sets training mode here and below: dropout drops, batch norm uses the batch's statistics.

        Raises:
            ValueError: ``mode`` is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Sets evaluation mode: the same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Sets whether gradients are computed for all parameters; ``False`` freezes them."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none=True):
        """Clears all gradients: removes them, or with ``set_to_none=False`` fills them with zeros."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                if set_to_none:
                    parameter.grad = None
                else:
                    parameter.grad.zero_()

    # --- hooks ---

    def _hooks_of_calls(self):
        if self._call_hooks is None:
            self._call_hooks = CallHooks()
        return self._call_hooks

    def _hooks_of_state(self):
        if self._state_hooks is None:
            self._state_hooks = StateHooks()
        return self._state_hooks

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False) -> RemovableHandle:
        """Before each call: ``hook(module, args)`` may return other arguments; ``with_kwargs``:
        ``hook(module, args, kwargs)`` may return ``(args, kwargs)``. Returns a handle with ``remove()``."""
        return add_hook(self._hooks_of_calls().forward_pre, (hook, with_kwargs, False), prepend)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False) -> RemovableHandle:
        """After each call: ``hook(module, args, output)`` may return another output; ``with_kwargs``:
        ``hook(module, args, kwargs, output)``; ``always_call``: also when forward raised. Returns a handle.

        >>> layer = nn.Linear(2, 2)
        >>> with layer.register_forward_hook(lambda module, args, output: print(output.shape)):
        ...     _ = layer(fd.zeros(5, 2))
        (5, 2)
        """
        return add_hook(self._hooks_of_calls().forward, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook, prepend=False) -> RemovableHandle:
        """When the gradient of the output is known: ``hook(module, grad_output)`` may return another one."""
        return add_hook(self._hooks_of_calls().backward_pre, hook, prepend)

    def register_full_backward_hook(self, hook, prepend=False) -> RemovableHandle:
        """When the gradient of the inputs is known: ``hook(module, grad_input, grad_output)`` may return another
        ``grad_input``. Both are tuples, with None for what is no tensor or needs no gradient."""
        return add_hook(self._hooks_of_calls().backward, hook, prepend)

    def register_state_dict_pre_hook(self, hook) -> RemovableHandle:
        """Before this module's part of ``state_dict()``: ``hook(module, prefix, keep_vars)``."""
        return add_hook(self._hooks_of_state().before_save, hook)

    def register_state_dict_post_hook(self, hook) -> RemovableHandle:
        """After this module's part of ``state_dict()``: ``hook(module, state_dict, prefix, local_metadata)``, which
        may change the dict in place; the metadata is empty."""
        return add_hook(self._hooks_of_state().after_save, hook)

    def register_load_state_dict_pre_hook(self, hook) -> RemovableHandle:
        """Before this module's part of ``load_state_dict()``: ``hook(module, state_dict, prefix, local_metadata,
        strict, missing_keys, unexpected_keys, error_msgs)``, which may change ``state_dict`` in place."""
        return add_hook(self._hooks_of_state().before_load, hook)

    def register_load_state_dict_post_hook(self, hook) -> RemovableHandle:
        """After loading: ``hook(module, incompatible_keys)``, which may change the lists of missing and unexpected
        keys in place."""
        return add_hook(self._hooks_of_state().after_load, hook)

    # --- state ---

    def get_extra_state(self):
        """State besides tensors that ``state_dict()`` keeps under ``"_extra_state"``; override both or neither."""
        raise NotImplementedError

    def set_extra_state(self, state):
        """Takes back what ``get_extra_state`` returned."""
        raise NotImplementedError

    def state_dict(self, *, destination=None, prefix="", keep_vars=False):
        """All parameters and persistent buffers by path, sharing their memory.

        Args:
            destination: a dict to fill; a new one when left out.
            prefix: put before every path.
            keep_vars: keep the parameters themselves in place of tensors without history.

        >>> {name: value.shape for name, value in nn.Linear(2, 3).state_dict().items()}
        {'weight': (3, 2), 'bias': (3,)}
        """
        destination = {} if destination is None else destination
        hooks = self._state_hooks
        if hooks:
            for hook in list(hooks.before_save.values()):
                hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name in self._module_names:
            module = self.__dict__[name]
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        if hooks:
            for hook in list(hooks.after_save.values()):
                hook(self, destination, prefix, {})
        return destination

    def _own_state(self):
        for name in self._parameter_names:
            yield name, self.__dict__[name]
        for name, persistent in self._buffer_names.items():
            if persistent:
                yield name, self.__dict__[name]

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        for name, tensor in self._own_state():
            if tensor is not None:
                destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copies values by path into parameters and buffers: all of them, or on an error none.

        Args:
            state_dict: what ``state_dict()`` returned, here or in PyTorch (as fastdl tensors).
            strict: missing and unexpected keys are errors.
            assign: take the tensors themselves, with their dtype and device, in place of copying.

        Returns:
            The lists ``missing_keys`` and ``unexpected_keys``.

        Raises:
            Error (a RuntimeError): with every missing, unexpected and mis-shaped key.
            TypeError: ``state_dict`` is no mapping.

        >>> a, b = nn.Linear(2, 3), nn.Linear(2, 3)
        >>> a.load_state_dict(b.state_dict()).missing_keys
        []
        >>> bool((a.weight == b.weight).all())
        True
        """
        if not hasattr(state_dict, "items") or not hasattr(state_dict, "keys"):
            raise TypeError(f"expected state_dict to be dict-like, got {type(state_dict).__name__}")
        state = dict(state_dict)
        report = LoadReport(strict, assign)
        self._load(state, "", report)
        incompatible = IncompatibleKeys(report.missing_keys, report.unexpected_keys)
        for _, module in self.named_modules(remove_duplicate=False):
            if module._state_hooks:
                for hook in list(module._state_hooks.after_load.values()):
                    hook(module, incompatible)
        errors = report.errors
        if strict and report.missing_keys:
            errors.insert(0, "Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in report.missing_keys) + ".")
        if strict and report.unexpected_keys:
            errors.insert(
                0, "Unexpected key(s) in state_dict: " + ", ".join(f'"{k}"' for k in report.unexpected_keys) + "."
            )
        if errors:
            raise fastdl.Error(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors))
        with no_grad():
            for copy in report.copies:
                copy()
        return incompatible

    def _load(self, state, prefix, report):
        if self._state_hooks:
            for hook in list(self._state_hooks.before_load.values()):
                hook(self, state, prefix, {}, report.strict, report.missing_keys, report.unexpected_keys, report.errors)
        self._load_from_state_dict(state, prefix, report)
        for name in self._module_names:
            module = self.__dict__[name]
            if module is not None:
                module._load(state, f"{prefix}{name}.", report)

    def _load_from_state_dict(self, state, prefix, report):
        """Adds this module's own part to the report: keys, errors and the copies to make."""
        own = {name: tensor for name, tensor in self._own_state() if tensor is not None}
        for name, tensor in own.items():
            key = prefix + name
            if key not in state:
                report.missing_keys.append(key)
                continue
            value = state[key]
            if not isinstance(value, Tensor):
                report.errors.append(f"{key}: expected a fastdl.Tensor, got {type(value).__name__}")
            elif value.shape != tensor.shape:
                report.errors.append(
                    f"size mismatch for {key}: copying a param with shape {list(value.shape)} from checkpoint, "
                    f"the shape in current model is {list(tensor.shape)}."
                )
            elif report.assign:
                if isinstance(tensor, Parameter):
                    value = Parameter(value, requires_grad=tensor.requires_grad)
                report.copies.append(lambda name=name, value=value: setattr(self, name, value))
            else:
                report.copies.append(lambda tensor=tensor, value=value: tensor.copy_(value))
        has_extra_state = type(self).set_extra_state is not Module.set_extra_state
        if has_extra_state:
            key = prefix + _EXTRA_STATE
            if key in state:
                report.copies.append(lambda: self.set_extra_state(state[key]))
            else:
                report.missing_keys.append(key)
        for key in state:
            if key.startswith(prefix):
                name, _, rest = key[len(prefix) :].partition(".")
                known = name in self._module_names and self.__dict__[name] is not None if rest else name in own
                if not known and not (has_extra_state and key == prefix + _EXTRA_STATE):
                    report.unexpected_keys.append(key)

    # --- text ---

    def extra_repr(self):
        """What ``repr`` shows in the parentheses after the class name."""
        return ""

    def _get_name(self):
        return type(self).__name__

    def __repr__(self):
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {indent(repr(self.__dict__[name]))}" for name in self._module_names]
        if len(lines) <= 1 and not children:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines + children) + "\n)"


def indent(text):
    """``text`` with all lines but the first moved two columns."""
    return text.replace("\n", "\n  ")


def _parse_to(*args, device=None, dtype=None, non_blocking=False, memory_format=None):
    for arg in args:
        if isinstance(arg, Tensor):
            device, dtype = arg.device, arg.dtype
        elif isinstance(arg, fastdl.dtype):
            dtype = arg
        elif isinstance(arg, (str, int, fastdl.device)) and not isinstance(arg, bool):
            device = f"cuda:{arg}" if isinstance(arg, int) else arg
        elif arg is not None and not isinstance(arg, bool):  # a bool is non_blocking
            raise TypeError(f"to: expected a device, a dtype or a tensor, got {type(arg).__name__}")
    if dtype is not None and not dtype.is_floating_point:
        raise TypeError(f"to: a module's dtype must be floating-point, got {dtype}")
    return device, dtype, memory_format
