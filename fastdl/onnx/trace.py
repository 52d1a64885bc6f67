"""Records a module's ops as the nodes of an ONNX graph."""

import fastdl as fd
from fastdl.onnx.emit import EMITTERS
from fastdl.onnx.values import CODES
from fastdl.serialize import to_entry

_SAME = {"detach", "clone", "contiguous", "to_channels_last"}  # another tensor with the same values
_EMPTY = {"empty_like"}  # only the shape of what they are given matters


class Tracer:
    """Observes ops and writes nodes for those that depend on the inputs; all else becomes constants.

    A tensor is known by its Python object, which the tracer keeps. Its name changes when an op writes to it, and, once it
    is read again, when an op has written to another view of its memory.

    Args:
        names: the module's tensors: [(name, tensor)].
    """

    def __init__(self, names):
        self.nodes, self.initializers = [], {}
        self.given = {id(tensor): name for name, tensor in names}
        self.traced = {}  # id of a tensor: (the tensor, its name now)
        self.constants = {}  # id of a tensor that was made while tracing: (the tensor, a copy of what it holds)
        self.pending = {}  # id of a tensor: [(another view of its memory, the name of what was written to that)]
        self._module_memory = {_memory(tensor) for _, tensor in names}
        self._taken = {*self.given.values()}
        self._counts = {}
        self.fill = None  # what the tensor that is written to was full of, where it was a uniform constant
        self.outputs = []

    # --- what emitters use ---

    def fresh(self, stem):
        """A name that nothing has."""
        while True:
            count = self._counts[stem] = self._counts.get(stem, -1) + 1
            name = f"{stem}_{count}"
            if name not in self._taken:
                self._taken.add(name)
                return name

    def node(self, operator, inputs, outputs=1, **attributes):
        """Adds a node; gives the name of its output, or a list of names for several. Inputs are names, "" for none."""
        made = [self.fresh(operator) for _ in range(outputs)]
        inputs = list(inputs)
        while inputs and not inputs[-1]:
            inputs.pop()
        self.nodes.append(helper().make_node(operator, inputs, made, name=made[0], **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, values, dtype=fd.int64):
        """The name of a new initializer with these values, a list, a number or a tensor."""
        tensor = values if isinstance(values, fd.Tensor) else fd.tensor(values, dtype=dtype)
        proto = initializer(tensor)
        proto.name = self.fresh("constant")
        self.initializers[proto.name] = proto
        return proto.name

    def name(self, value, dtype=None):
        """The name of a tensor's or a number's value, cast to ``dtype`` where one is given; "" for None."""
        if value is None:
            return ""
        if not isinstance(value, fd.Tensor):
            return self.constant(value, dtype or fd.get_default_dtype())
        if id(value) in self.pending:
            self._catch_up(value)
        if id(value) in self.traced:
            name = self.traced[id(value)][1]
            return name if dtype in (None, value.dtype) else self.cast(name, dtype)
        if id(value) not in self.given or dtype not in (None, value.dtype):
            return self.constant(value.detach().to(dtype or value.dtype))
        given = self.given[id(value)]
        if given not in self.initializers:
            self.initializers[given] = initializer(value.detach())
            self.initializers[given].name = given
        return given

    def cast(self, name, dtype):
        return self.node("Cast", [name], to=CODES[dtype])

    def is_constant(self, value):
        return isinstance(value, fd.Tensor) and id(value) not in self.traced

    def reshape(self, name, shape):
        return self.node("Reshape", [name, self.constant(list(shape))])

    def tidy(self):
        """Equal constants become one, and those that no node reads go."""
        first, other = {}, {}
        for name, proto in self.initializers.items():
            key = (proto.data_type, tuple(proto.dims), proto.raw_data)
            if name.startswith("constant_") and first.setdefault(key, name) != name:
                other[name] = first[key]
        for node in self.nodes:
            for i, name in enumerate(node.input):
                if name in other:
                    node.input[i] = other[name]
        used = {name for node in self.nodes for name in node.input}
        self.initializers = {name: proto for name, proto in self.initializers.items() if name in used}

    # --- what ops report ---

    def reserve(self, names):
        """Names that are used elsewhere."""
        self._taken.update(names)

    def begin(self, name, tensor):
        """An input of the graph."""
        self.traced[id(tensor)] = (tensor, name)

    def __call__(self, op, arguments, result):
        if op == "item":
            if id(arguments[0]) in self.traced:
                raise fd.Error(
                    "onnx.export: the value of a tensor that depends on the inputs is read on the host (item, if, numpy, "
                    "...); the file would always do what it says now"
                )
            return
        if op == "assign":  # (the name of what is done in place, the tensor, its new value)
            op, arguments = "copy_", arguments[1:]
        in_place = op.endswith("_") or op == "setitem"
        if op in _EMPTY or not any(id(t) in self.traced for t in _tensors(arguments)):
            for t in _tensors((result,)):
                self._keep(t, in_place)
            return
        if op in _SAME:
            self._bind(result, self.name(arguments[0]))
            return
        if in_place:
            self._write(op, arguments)
            return
        emit = EMITTERS.get(op)
        if emit is None:
            raise fd.Error(f"onnx.export: the op {op} has no form in ONNX yet")
        self._bind(result, emit(self, result, *arguments))

    def _keep(self, t, written):
        """A constant made while tracing, as it is now: a later op may write to it."""
        if written:
            for key, (other, _) in self.constants.items():
                if _memory(other) == _memory(t):
                    self.constants[key] = (other, other.detach().clone())
        if id(t) not in self.given:
            self.constants[id(t)] = (t, t.detach().clone())

    def _write(self, op, arguments):
        """An op that writes to its first argument: its name is from now on that of the new value."""
        target = arguments[0]
        emit = EMITTERS.get(op if op == "setitem" else op[:-1])
        if emit is None:
            raise fd.Error(f"onnx.export: the op {op} has no form in ONNX yet")
        if _memory(target) in self._module_memory:
            raise fd.Error(f"onnx.export: {op} writes what depends on the inputs to a tensor of the module's")
        self.fill = self._uniform(target)
        self._start(target)
        name = emit(self, target, *arguments)
        for store in (self.traced, self.constants):
            for key, (other, _) in store.items():
                if other is not target and _memory(other) == _memory(target) and other.numel() and target.numel():
                    self.pending.setdefault(key, []).append((target, name))
        self.traced[id(target)] = (target, name)
        self.pending.pop(id(target), None)

    def _uniform(self, tensor):
        """The value of all elements of a constant that was not written to; None if they differ."""
        if id(tensor) in self.traced or id(tensor) not in self.constants or not tensor.numel():
            return None
        values = self.constants[id(tensor)][1].reshape(-1)
        return values[:1] if bool((values == values[0]).all()) else None

    def _start(self, tensor):
        """Makes a constant that was written to a traced tensor. The op has run: what was there before is in the copy."""
        if id(tensor) not in self.traced:
            if id(tensor) not in self.constants:
                raise fd.Error("onnx.export: a tensor from outside of the module is written to")
            self.traced[id(tensor)] = (tensor, self.name(self.constants[id(tensor)][1]))

    def _catch_up(self, tensor):
        """Puts what was written through other views of a tensor's memory into its value."""
        writes = self.pending.pop(id(tensor))
        self._start(tensor)
        name = self.traced[id(tensor)][1]
        own = _places(tensor)
        for other, written in writes:
            theirs = _places(other)
            where = fd.full((int(fd.cat([own, theirs]).amax()) + 1,), -1)
            where[theirs] = fd.arange(theirs.numel())
            source = where[own]  # for each element of the tensor, which of the written ones it is
            mine = (source >= 0).nonzero().reshape(-1)
            if not mine.numel():
                continue
            new = self.node("Gather", [self.reshape(written, [-1]), self.constant(source[mine])], axis=0)
            if mine.numel() < own.numel():
                new = self.node("ScatterElements", [self.reshape(name, [-1]), self.constant(mine), new], axis=0)
            name = self.reshape(new, tensor.shape)
        self.traced[id(tensor)] = (tensor, name)

    def _bind(self, result, names):
        if isinstance(result, fd.Tensor):
            result, names = (result,), (names,)
        for tensor, name in zip(result, names, strict=True):
            self.traced[id(tensor)] = (tensor, name)


def helper():
    import onnx.helper

    return onnx.helper


def initializer(tensor):
    """A TensorProto, without a name."""
    import onnx

    _, _, shape, data = to_entry("a constant", tensor)
    return onnx.TensorProto(data_type=CODES[tensor.dtype], dims=shape, raw_data=data.tobytes())


def _memory(tensor):
    """Where a tensor's memory begins: equal for all views of it."""
    return tensor.data_ptr() - tensor.storage_offset() * tensor.itemsize


def _places(tensor):
    """Where in its memory each element lies, flattened."""
    places = fd.full((1,), tensor.storage_offset())
    for size, stride in zip(tensor.shape, tensor.stride()):
        places = (places.unsqueeze(1) + fd.arange(size) * stride).reshape(-1)
    return places


def _tensors(values):
    """The tensors in arguments, in lists and tuples too."""
    for value in values:
        if isinstance(value, fd.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
