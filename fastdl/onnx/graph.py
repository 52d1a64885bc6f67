"""A graph of operators, ready to run: every node holds its function, the names it reads and those it gives."""

import inspect

import fastdl as fd
from fastdl.onnx.ops import OPERATORS
from fastdl.onnx.values import dtype_of, tensor_of

OPSETS = range(13, 29)  # the versions whose operators the table knows


class Graph:
    """Nodes in an order in which each reads what was given before, from named inputs to named outputs.

    Attributes:
        inputs, outputs: names. types: by name, the declared (dtype, sizes) of inputs and outputs, None where unknown.
    """

    def __init__(self, inputs, outputs, nodes, constants, types):
        self.inputs, self.outputs, self.nodes, self.constants, self.types = inputs, outputs, nodes, constants, types
        last = {}
        for node in nodes:
            for name in node.reads:
                last[name] = node
        for name in {*last} - {*outputs}:
            last[name].drops.append(name)
        for node in nodes:  # what nobody reads
            node.drops += [name for name in node.outputs if name not in last and name not in outputs]

    @property
    def captured(self):
        """The names that the graph reads from the graph around it."""
        own = {*self.inputs, *self.constants, *(name for node in self.nodes for name in node.outputs)}
        reads = {name for node in self.nodes for name in node.reads} | {*self.outputs}
        return reads - own

    def run(self, values):
        """The outputs, a list, for a dictionary of inputs and of the values of the graphs around."""
        values = {**values, **self.constants}
        for node in self.nodes:
            node.run(values)
            for name in node.drops:
                values.pop(name, None)
        return [values[name] for name in self.outputs]

    def empty(self, i):
        """A tensor of no elements for scanned output i: nothing was there to stack."""
        dtype, sizes = self.types.get(self.outputs[i]) or (fd.float32, ())
        return fd.zeros(0, *(s if isinstance(s, int) else 0 for s in sizes or ()), dtype=dtype)


class Subgraph:
    """A graph that a node runs, as a function of its inputs; it sees the values around it."""

    def __init__(self, graph, values):
        self.graph, self.values = graph, values
        self.outputs, self.empty = graph.outputs, graph.empty

    def __call__(self, *arguments):
        return self.graph.run({**self.values, **dict(zip(self.graph.inputs, arguments, strict=True))})


class Node:
    """One call of an operator."""

    def __init__(self, label, function, inputs, outputs, attributes):
        self.label, self.function, self.inputs, self.outputs = label, function, inputs, outputs
        self.attributes = {name: value for name, value in attributes.items() if not isinstance(value, Graph)}
        self.graphs = {name: value for name, value in attributes.items() if isinstance(value, Graph)}
        self.reads = {name for name in inputs if name}.union(*(g.captured for g in self.graphs.values()))
        self.drops = []

    def run(self, values):
        arguments = [values[name] if name else None for name in self.inputs]
        graphs = {name: Subgraph(graph, values) for name, graph in self.graphs.items()}
        try:
            results = self.function(*arguments, **self.attributes, **graphs)
        except fd.Error as error:
            error.args = (f"{error}, in {self.label}",)
            raise
        except (
            TypeError,
            ValueError,
            IndexError,
            KeyError,
            ZeroDivisionError,
            AttributeError,
            AssertionError,
        ) as error:
            raise fd.Error(f"onnx: {self.label} cannot run: {type(error).__name__}: {error}") from error
        if not isinstance(results, tuple):
            results = (results,)
        for name, value in zip(self.outputs, results):
            if name:
                values[name] = value


class Compiler:
    """Makes graphs of one model: knows its opsets, its functions, and the folder of its external data."""

    def __init__(self, model, folder):
        self.folder = folder
        self.functions = {(f.domain, f.name): f for f in model.functions}
        self.opsets = {_domain(o.domain): o.version for o in model.opset_import}
        self.opset = self.opsets.get("")
        self.unknown = {}  # operator: labels of the nodes that use it

    def check(self, graph):
        """Refuses a model with operators that are not in the table, all of them at once.

        Raises:
            ValueError: which, and the nodes that use them.
        """
        if self.opset is not None and self.opset > OPSETS[-1]:
            raise fd.ValueError(f"onnx: the model is of opset {self.opset}, expected at most {OPSETS[-1]}")
        self._collect_unknown(graph.node)
        if self.unknown:
            lines = [f"{name} ({', '.join(labels)})" for name, labels in self.unknown.items()]
            raise fd.ValueError(f"onnx: unsupported operators: {'; '.join(lines)}")

    def _collect_unknown(self, nodes, inside=""):
        for i, node in enumerate(nodes):
            domain = _domain(node.domain)
            function = self.functions.get((node.domain, node.op_type))
            if function is not None:
                if function.name not in inside.split("/"):  # a function that calls itself is refused when compiled
                    self._collect_unknown(function.node, f"{inside}{function.name}/")
                continue
            problem = self._problem(domain, node.op_type)
            if problem:
                self.unknown.setdefault(problem, []).append(f"node {inside}{node.name or i}")
            for attribute in node.attribute:
                for graph in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                    self._collect_unknown(graph.node, f"{inside}{node.name or i}/")

    def _problem(self, domain, operator):
        """Why an operator cannot be run, or None."""
        import onnx

        key = f"{domain}.{operator}" if domain else operator
        if key not in OPERATORS:
            return key
        if domain:
            return None
        if self.opset is None:
            return f"{key} (the model imports no version of the standard operators)"
        try:
            since = onnx.defs.get_schema(operator, self.opset, "").since_version
        except onnx.defs.SchemaError:
            return f"{key} (not in opset {self.opset})"
        known = set()
        for version in OPSETS:
            try:
                known.add(onnx.defs.get_schema(operator, version, "").since_version)
            except onnx.defs.SchemaError:
                pass
        return None if since in known else f"{key} as of opset {since}"

    def graph(self, proto, around=()):
        """A Graph from a GraphProto; ``around`` are the names of the graphs that contain it."""
        constants = {}
        for tensor in proto.initializer:
            constants[tensor.name] = tensor_of(tensor, f"initializer {tensor.name!r}", self.folder)
        if proto.sparse_initializer:
            raise fd.ValueError("onnx: sparse initializers are not supported")
        inputs = [v.name for v in proto.input]
        types = {v.name: declared_type(v) for v in [*proto.input, *proto.output]}
        nodes = self.nodes(proto.node, {*around, *inputs, *constants}, proto.name)
        known = {*around, *inputs, *constants, *(name for node in nodes for name in node.outputs)}
        for v in proto.output:
            if v.name not in known:
                raise fd.ValueError(f"onnx: no node gives the output {v.name!r} of graph {proto.name!r}")
        return Graph(inputs, [v.name for v in proto.output], nodes, constants, types)

    def nodes(self, protos, known, where, bound=None, calls=()):
        """Nodes in the file's order, which must be one that can be run."""
        known, made = set(known), []
        for i, proto in enumerate(protos):
            label = f"node {proto.name or i} ({proto.op_type})"
            for name in proto.input:
                if name and name not in known:
                    raise fd.ValueError(
                        f"onnx: {label} of {where or 'the graph'} reads {name!r}, which nothing before it gives; "
                        "the graph is cyclic, truncated or out of order"
                    )
            for name in proto.output:
                if name and name in known:
                    raise fd.ValueError(f"onnx: {label} gives {name!r}, which is given before")
            made.append(self.node(proto, label, known, bound, calls))
            known.update(name for name in proto.output if name)
        return made

    def node(self, proto, label, known, bound, calls):
        attributes = {}
        for attribute in proto.attribute:
            if attribute.ref_attr_name:  # inside a function: the caller's, or else the operator's default
                if attribute.ref_attr_name in (bound or {}):
                    attributes[attribute.name] = bound[attribute.ref_attr_name]
                continue
            attributes[attribute.name] = self.attribute(attribute, label, known)
        function = self.functions.get((proto.domain, proto.op_type))
        outputs = list(proto.output)
        while outputs and not outputs[-1]:
            outputs.pop()
        if function is not None:
            called = self.function(function, attributes, (*calls, (proto.domain, proto.op_type)), label)
            return Node(label, called, list(proto.input), outputs, {})
        domain = _domain(proto.domain)
        operator = OPERATORS[f"{domain}.{proto.op_type}" if domain else proto.op_type]
        asked = _keywords(operator)
        if "opset" in asked:
            attributes["opset"] = self.opset
        if "n_outputs" in asked:
            attributes["n_outputs"] = len(outputs)
        extra = [name for name in attributes if name not in asked]
        if extra:
            raise fd.ValueError(f"onnx: {label} has the attributes {', '.join(extra)}, which are not supported")
        return Node(label, operator, list(proto.input), outputs, attributes)

    def function(self, proto, attributes, calls, label):
        """A model's own function, with its attributes filled in, as a function of its inputs."""
        if calls.count(calls[-1]) > 1:
            raise fd.ValueError(f"onnx: {label}: function {proto.name} calls itself")
        bound = {a.name: self.attribute(a, label, ()) for a in proto.attribute_proto}
        bound |= attributes
        nodes = self.nodes(proto.node, proto.input, f"function {proto.name}", bound, calls)
        graph = Graph(list(proto.input), list(proto.output), nodes, {}, {})

        def run(*arguments):
            missing = [None] * (len(graph.inputs) - len(arguments))
            return tuple(graph.run(dict(zip(graph.inputs, [*arguments, *missing], strict=True))))

        return run

    def attribute(self, proto, label, known):
        import onnx

        what = f"attribute {proto.name} of {label}"
        kind = proto.type
        kinds = onnx.AttributeProto
        if kind == kinds.TENSOR:
            return tensor_of(proto.t, what, self.folder)
        if kind == kinds.GRAPH:
            return self.graph(proto.g, known)
        if kind == kinds.STRING:
            return proto.s.decode("utf-8", "replace")
        if kind == kinds.STRINGS:
            return [s.decode("utf-8", "replace") for s in proto.strings]
        if kind in (kinds.FLOAT, kinds.INT):
            return proto.f if kind == kinds.FLOAT else proto.i
        if kind in (kinds.FLOATS, kinds.INTS):
            return list(proto.floats if kind == kinds.FLOATS else proto.ints)
        if kind == kinds.TYPE_PROTO:
            return proto.tp
        raise fd.ValueError(f"onnx: {what} is of kind {kinds.AttributeType.Name(kind)}, which is not supported")


class _Attributes:
    """Contains every name that may be an attribute's: of a function that passes them on."""

    def __contains__(self, name):
        return name not in ("opset", "n_outputs")


def _keywords(function):
    """The names of a function's keyword arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a function of the extension: no attributes
        return ()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return _Attributes()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def _domain(domain):
    return "" if domain == "ai.onnx" else domain


def declared_type(value):
    """(dtype, sizes) of an input or output; a size is an int, or a name or None where it is free. None: no tensor.

    Raises:
        DTypeError: elements of a type that fastdl lacks.
    """
    kind = value.type.WhichOneof("value")
    if kind == "optional_type":
        return None
    if kind == "sequence_type":
        inner = value.type.sequence_type.elem_type
        if inner.WhichOneof("value") == "tensor_type":
            dtype_of(inner.tensor_type.elem_type, f"{value.name!r}, a sequence,")
        return None
    if kind != "tensor_type":
        if kind is None:
            return None
        raise fd.DTypeError(f"onnx: {value.name!r} is a {kind}, expected a tensor, a sequence or an optional value")
    tensor = value.type.tensor_type
    dtype = dtype_of(tensor.elem_type, repr(value.name)) if tensor.elem_type else None
    if not tensor.HasField("shape"):
        return dtype, None
    return dtype, [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim]
