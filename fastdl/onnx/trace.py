"""Records a module's ops as the nodes of an ONNX graph."""

import fastdl as fd
from fastdl.onnx.emit import EMITTERS
from fastdl.onnx.values import CODES
from fastdl.serialize import to_entry

_SAME = {"detach", "clone", "contiguous", "to_channels_last"}  # another tensor with the same values


class Tracer:
    """Observes ops and writes nodes for those that depend on the inputs; all else becomes constants.

    A tensor is known by its Python object, which the tracer keeps; its name changes when it is written to in place.
    """

    def __init__(self, names):
        self.nodes, self.initializers = [], {}
        self.given = names  # id of a parameter or buffer: its name
        self.traced = {}  # id of a tensor: (the tensor, its name now)
        self.constants = {}  # id of a tensor that was made while tracing: (the tensor, a copy of what it held then)
        self.stale = {}  # id of a tensor whose memory an op has changed through another: that op
        self._taken = {*names.values()}
        self._counts, self._shared = {}, {}

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
        """The name of an initializer with these values, a list, a number or a tensor; equal ones are shared."""
        tensor = values if isinstance(values, fd.Tensor) else fd.tensor(values, dtype=dtype)
        proto = initializer(tensor)
        key = (proto.data_type, tuple(proto.dims), proto.raw_data)
        if key not in self._shared:
            proto.name = self._shared[key] = self.fresh("constant")
            self.initializers[proto.name] = proto
        return self._shared[key]

    def name(self, value, dtype=None):
        """The name of a tensor's or a number's value, cast to ``dtype`` where one is given; "" for None."""
        if value is None:
            return ""
        if not isinstance(value, fd.Tensor):
            return self.constant(value, dtype or fd.get_default_dtype())
        if id(value) in self.stale:
            raise fd.Error(
                f"onnx.export: a tensor {list(value.shape)} is read after {self.stale[id(value)]} changed its memory "
                "through another; work on a clone()"
            )
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
        in_place = op.endswith("_") or op == "setitem"
        if not any(id(t) in self.traced for t in _tensors(arguments)):
            for t in _tensors((result,)):
                self._keep(t)
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

    def _keep(self, t):
        """A constant made while tracing, as it is now: a later op may write to it."""
        if id(t) not in self.given:
            self.constants[id(t)] = (t, t.detach().clone())

    def _write(self, op, arguments):
        """An op that writes to its first argument: its name is from now on that of the new value."""
        target = arguments[0]
        emit = EMITTERS.get(op if op == "setitem" else op[:-1])
        if emit is None:
            raise fd.Error(f"onnx.export: the op {op} has no form in ONNX yet")
        if id(target) not in self.traced:
            if id(target) not in self.constants:
                raise fd.Error(f"onnx.export: {op} writes what depends on the inputs to a tensor of the module's")
            # The op has run, so what was there before is in the copy.
            self.traced[id(target)] = (target, self.name(self.constants[id(target)][1]))
        name = emit(self, target, *arguments)
        base = _memory(target)
        for store in (self.traced, self.constants):
            for key, (other, _) in store.items():
                if other is not target and _memory(other) == base and other.numel():
                    self.stale[key] = op
        self.traced[id(target)] = (target, name)
        self.stale.pop(id(target), None)

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


def _tensors(values):
    """The tensors in arguments, in lists and tuples too."""
    for value in values:
        if isinstance(value, fd.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
