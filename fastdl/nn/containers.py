"""Modules and parameters in lists and dicts."""

from operator import index

from fastdl.nn.module import Module, indent
from fastdl.nn.parameter import Parameter
from fastdl.tensor import Tensor


class Container(Module):
    """A module of the modules given by name; the older way to write one.

    >>> nn.Container(act=nn.ReLU()).act
    ReLU()
    """

    def __init__(self, **kwargs):
        super().__init__()
        for name, module in kwargs.items():
            self.add_module(name, module)


class _ModuleSequence(Module):
    """What Sequential and ModuleList share: submodules named "0", "1", ..."""

    def _replace_all(self, modules):
        for name in list(self._module_names):
            delattr(self, name)
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def _values(self):
        return [self.__dict__[name] for name in self._module_names]

    def _name_at(self, idx):
        names = list(self._module_names)
        i = index(idx)
        if not -len(names) <= i < len(names):
            raise IndexError(f"index {i} is out of range for {len(names)} modules")
        return names[i]

    def __len__(self):
        return len(self._module_names)

    def __iter__(self):
        return iter(self._values())

    def __setitem__(self, idx, module):
        setattr(self, self._name_at(idx), module)

    def __delitem__(self, idx):
        values = self._values()
        if not isinstance(idx, slice):
            self._name_at(idx)
        del values[idx]
        self._replace_all(values)

    def append(self, module):
        """Adds a module at the end; returns ``self``."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index, module):
        """Puts a module before the one at ``index``."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        values = self._values()
        if not -len(values) <= index <= len(values):
            raise IndexError(f"index {index} is out of range for {len(values)} modules")
        values.insert(index, module)
        self._replace_all(values)

    def extend(self, modules):
        """Adds all modules of an iterable at the end; returns ``self``."""
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key):
        """Removes the module at ``key`` and returns it."""
        module = self[key]
        del self[key]
        return module

    def __iadd__(self, other):
        return self.extend(other)


class Sequential(_ModuleSequence):
    """Calls its modules one after the other.

    Args:
        args: the modules, or one dict of names and modules.

    Raises:
        TypeError: not a module.

    >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> net(fd.zeros(3, 2)).shape
    (3, 1)
    >>> net[1]
    ReLU()
    """

    def __init__(self, *args):
        super().__init__()
        if len(args) == 1 and isinstance(args[0], dict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(args):
                self.add_module(str(i), module)

    def forward(self, input):
        modules = self.__dict__
        for name in self._module_names:
            input = modules[name](input)
        return input

    def __getitem__(self, idx):
        if isinstance(idx, slice):
            return type(self)({name: self.__dict__[name] for name in list(self._module_names)[idx]})
        return self.__dict__[self._name_at(idx)]

    def __add__(self, other):
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)


class ModuleList(_ModuleSequence):
    """A list of modules, which are registered.

    Args:
        modules: an iterable of modules.

    >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    >>> layers
    ModuleList(
      (0-2): 3 x Linear(in_features=4, out_features=4, bias=True)
    )
    """

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, idx):
        if isinstance(idx, slice):
            return type(self)(self._values()[idx])
        return self.__dict__[self._name_at(idx)]

    def __add__(self, other):
        return ModuleList([*self, *other])

    def __repr__(self):
        runs = []  # [first, last, text] of equal neighbours
        for i, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        if not runs:
            return f"{self._get_name()}()"
        lines = [f"({a}): {text}" if a == b else f"({a}-{b}): {b - a + 1} x {text}" for a, b, text in runs]
        return f"{self._get_name()}(\n  " + "\n  ".join(indent(line) for line in lines) + "\n)"


class ModuleDict(Module):
    """A dict of modules, which are registered; in insertion order.

    Args:
        modules: a mapping or an iterable of (name, module).

    >>> layers = nn.ModuleDict({"act": nn.ReLU()})
    >>> layers["act"](fd.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key):
        if key not in self._module_names:
            raise KeyError(key)
        return self.__dict__[key]

    def __setitem__(self, key, module):
        self.add_module(key, module)

    def __delitem__(self, key):
        if key not in self._module_names:
            raise KeyError(key)
        delattr(self, key)

    def __len__(self):
        return len(self._module_names)

    def __iter__(self):
        return iter(self._module_names)

    def __contains__(self, key):
        return key in self._module_names

    def clear(self):
        """Removes all modules."""
        for name in list(self._module_names):
            delattr(self, name)

    def pop(self, key):
        """Removes the module at ``key`` and returns it."""
        module = self[key]
        del self[key]
        return module

    def keys(self):
        """The names."""
        return self._modules.keys()

    def values(self):
        """The modules."""
        return self._modules.values()

    def items(self):
        """The pairs (name, module)."""
        return self._modules.items()

    def update(self, modules):
        """Adds or replaces the modules of a mapping or of an iterable of (name, module)."""
        for name, module in modules.items() if hasattr(modules, "items") else modules:
            self[name] = module


def _as_parameter(value):
    """A tensor as a Parameter; anything else as it is."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _describe(value):
    if isinstance(value, Tensor):
        return f"{type(value).__name__} containing: [{value.dtype} of size {'x'.join(map(str, value.shape))}]"
    return f"Object of type: {type(value).__name__}"


class ParameterList(Module):
    """A list of parameters, which are registered; tensors become parameters, other values are kept as they are.

    Args:
        values: an iterable of parameters and other values.

    >>> weights = nn.ParameterList([fd.ones(2), fd.ones(3)])
    >>> [name for name, _ in weights.named_parameters()]
    ['0', '1']
    """

    def __init__(self, values=None):
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _name_at(self, idx):
        i = index(idx)
        if not -self._size <= i < self._size:
            raise IndexError(f"index {i} is out of range for {self._size} parameters")
        return str(i % self._size)

    def __getitem__(self, idx):
        if isinstance(idx, slice):
            return type(self)([self[i] for i in range(*idx.indices(self._size))])
        return getattr(self, self._name_at(idx))

    def __setitem__(self, idx, value):
        setattr(self, self._name_at(idx), _as_parameter(value))

    def __len__(self):
        return self._size

    def __iter__(self):
        return iter([self[i] for i in range(self._size)])

    def __iadd__(self, values):
        return self.extend(values)

    def append(self, value):
        """Adds a value at the end; returns ``self``."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values):
        """Adds all values of an iterable at the end; returns ``self``."""
        if isinstance(values, Tensor):
            raise TypeError("expected an iterable of parameters, got a tensor")
        for value in list(values):
            self.append(value)
        return self

    def pop(self):
        """Removes the last value and returns it."""
        value = self[-1]
        delattr(self, self._name_at(-1))
        self._size -= 1
        return value

    def extra_repr(self):
        return "\n".join(f"({i}): {_describe(value)}" for i, value in enumerate(self))


class ParameterDict(Module):
    """A dict of parameters, which are registered; tensors become parameters, other values are kept as they are.

    Args:
        parameters: a mapping or an iterable of (name, value).

    >>> weights = nn.ParameterDict({"left": fd.ones(2)})
    >>> weights["left"].requires_grad
    True
    """

    def __init__(self, parameters=None):
        super().__init__()
        self._keys = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key):
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key, value):
        self._check_new_name("parameter", key)
        if key not in self._keys and hasattr(self, key):
            raise KeyError(f"attribute {key!r} already exists")
        self._keys[key] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key):
        if key not in self._keys:
            raise KeyError(key)
        del self._keys[key]
        delattr(self, key)

    def __len__(self):
        return len(self._keys)

    def __iter__(self):
        return iter(self._keys)

    def __contains__(self, key):
        return key in self._keys

    def clear(self):
        """Removes all values."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key):
        """Removes the value at ``key`` and returns it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self):
        """Removes the last pair (name, value) and returns it."""
        if not self._keys:
            raise KeyError("popitem: the ParameterDict is empty")
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def setdefault(self, key, default=None):
        """The value at ``key``, which is ``default`` from now on if there is none."""
        if key not in self._keys:
            self[key] = default
        return self[key]

    def copy(self):
        """A new ParameterDict of the same values."""
        return type(self)(self.items())

    def fromkeys(self, keys, default=None):
        """A new ParameterDict with these names, all of one value."""
        return type(self)((key, default) for key in keys)

    def get(self, key, default=None):
        """The value at ``key``, or ``default``."""
        return self[key] if key in self._keys else default

    def keys(self):
        """The names."""
        return self._keys.keys()

    def values(self):
        """The values."""
        return [self[key] for key in self._keys]

    def items(self):
        """The pairs (name, value)."""
        return [(key, self[key]) for key in self._keys]

    def update(self, parameters):
        """Adds or replaces the values of a mapping or of an iterable of (name, value)."""
        for key, value in parameters.items() if hasattr(parameters, "items") else parameters:
            self[key] = value

    def extra_repr(self):
        return "\n".join(f"({key}): {_describe(value)}" for key, value in self.items())
