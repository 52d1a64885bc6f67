"""ONNX files as modules."""

import os

import fastdl as fd
from fastdl import nn
from fastdl.extras import require
from fastdl.onnx.graph import OPSETS, Compiler
from fastdl.onnx.values import with_external_data


class OnnxModule(nn.Module):
    """A model from an ONNX file: called with its inputs in the file's order or by their names.

    Gives a tensor, or a tuple where the model has several outputs. The file's initializers are the ``state_dict``, by
    their names: parameters where they are floating-point (frozen; ``requires_grad_(True)`` makes them trainable), else
    buffers. A name that a module has already, such as ``type``, ends in an underscore.

    Attributes:
        input_names, output_names: tuples of names.
    """

    def __init__(self, graph):
        super().__init__()
        self._graph, self._places = graph, {}
        self.input_names = tuple(name for name in graph.inputs if name not in graph.constants)
        self.output_names = tuple(graph.outputs)
        for name, tensor in graph.constants.items():
            self._places[name] = _attach(self, name, tensor)
        graph.constants = {}  # the module's own, which can be moved, cast and trained

    def forward(self, *args, **kwargs):
        values = {name: owner.__dict__[attribute] for name, (owner, attribute) in self._places.items()}
        if len(args) > len(self.input_names):
            raise TypeError(
                f"the model takes {len(self.input_names)} inputs ({', '.join(self.input_names)}), got {len(args)}"
            )
        given = dict(zip(self.input_names, args))
        for name, value in kwargs.items():
            if name not in self._graph.inputs or name in given:
                raise TypeError(
                    f"the model has no further input {name!r}; its inputs are {', '.join(self._graph.inputs)}"
                )
            given[name] = value
        for name in self.input_names:
            if name not in given:
                raise TypeError(f"the model's input {name!r} is missing")
        values |= {name: self._checked(name, value) for name, value in given.items()}
        outputs = self._graph.run(values)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _checked(self, name, value):
        """An input as a tensor of the declared type and shape."""
        declared = self._graph.types.get(name)
        if value is None or (isinstance(value, (list, tuple)) and declared is None):
            return value if value is None else [fd.as_tensor(v) for v in value]
        x = fd.as_tensor(value)
        if declared is None:
            return x
        dtype, sizes = declared
        if dtype is not None and x.dtype != dtype:
            raise fd.DTypeError(f"onnx: input {name!r} is {x.dtype.name}, expected {dtype.name}")
        if sizes is not None:
            fits = len(sizes) == x.ndim and all(not isinstance(s, int) or s == n for s, n in zip(sizes, x.shape))
            if not fits:
                shown = ", ".join("?" if s is None else str(s) for s in sizes)
                raise fd.ShapeError(f"onnx: input {name!r} has shape {list(x.shape)}, expected [{shown}]")
        return x

    def extra_repr(self):
        return f"{', '.join(self.input_names)} -> {', '.join(self.output_names)}, {len(self._graph.nodes)} nodes"


def _attach(root, name, tensor):
    """Registers a tensor under a dotted name, by modules for its parts; gives (module, attribute)."""
    parts = name.split(".")
    owner = root
    for part in parts[:-1]:
        inner = owner.__dict__.get(part)
        if not isinstance(inner, nn.Module):
            if not part or hasattr(owner, part):
                return _attach(root, name.replace(".", "_"), tensor)
            inner = nn.Module()
            owner.register_module(part, inner)
        owner = inner
    attribute = parts[-1]
    while not attribute or hasattr(owner, attribute):
        attribute += "_"
    if tensor.dtype.is_floating_point:
        owner.register_parameter(attribute, nn.Parameter(tensor, requires_grad=False))
    else:
        owner.register_buffer(attribute, tensor)
    return owner, attribute


def load(path):
    """A module from an ONNX file.

    Args:
        path: the file (its external data, if any, must lie in the same folder or below), or an ``onnx.ModelProto``.

    Returns:
        An :class:`OnnxModule`, in evaluation mode.

    Raises:
        ValueError: the file is damaged or no valid model, an operator is not supported (all are named, with the nodes
            that use them), or external data lies outside of the folder. DTypeError: elements of a type that fastdl lacks.
        ImportError: the package onnx is not installed. OSError: the file cannot be read.

    Source: the ONNX standard, opsets 13 to 28; models of older opsets are converted by ONNX's own converter first.

    >>> model = fd.onnx.load("model.onnx")  # doctest: +SKIP
    >>> y = model(x)  # doctest: +SKIP
    """
    onnx = require("onnx", "fastdl.onnx", "onnx")
    folder = None
    if isinstance(path, onnx.ModelProto):
        model = path
    else:
        folder = os.path.dirname(os.path.realpath(path))
        with open(path, "rb") as file:
            content = file.read()
        model = onnx.ModelProto()
        try:
            model.ParseFromString(content)
        except Exception as error:  # the error's class has moved between versions of protobuf
            raise fd.ValueError(f"onnx: {os.fspath(path)} is no complete ONNX file: {error}") from error
        if not model.HasField("graph"):
            raise fd.ValueError(f"onnx: {os.fspath(path)} is no complete ONNX file: it has no graph")
    current = _converted(model, folder)
    compiler = Compiler(current, folder)
    compiler.check(current.graph)
    graph = compiler.graph(current.graph)
    try:
        # By its path the checker finds external data, which a converted model no longer has.
        onnx.checker.check_model(os.fspath(path) if folder is not None and current is model else current)
    except Exception as error:  # ValidationError, and what the checker's C++ part throws
        raise fd.ValueError(f"onnx: no valid model: {error}") from error
    return OnnxModule(graph).eval()


def _converted(model, folder):
    """The model in opset 13, if it was written for an older one."""
    import onnx

    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)
    if opset is None or opset >= OPSETS[0]:
        return model
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor.CopyFrom(with_external_data(tensor, f"initializer {tensor.name!r}", folder))
    if opset < 9 and any(node.op_type == "Scan" for node in model.graph.node):
        raise fd.ValueError(
            "onnx: unsupported operators: Scan as of opset 8"
        )  # over batches; the converter misses that
    try:
        converted = onnx.version_converter.convert_version(model, OPSETS[0])
    except Exception as error:  # the converter's C++ part throws several kinds
        raise fd.ValueError(
            f"onnx: the model is of opset {opset} and cannot be converted to {OPSETS[0]}: {error}"
        ) from error
    converted.ir_version = max(converted.ir_version, 4)  # of before 4, initializers would have to be inputs too
    return converted
