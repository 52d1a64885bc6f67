"""Modules as ONNX files."""

import math

import fastdl as fd
from fastdl.extras import require
from fastdl.files import atomic_write
from fastdl.observe import observed
from fastdl.onnx.trace import Tracer
from fastdl.onnx.values import CODES

OPSET = 20  # what the emitters write

# The largest difference to onnxruntime, in units of the largest value.
_TOLERANCE = {fd.float16: 1e-2, fd.float32: 1e-4, fd.float64: 1e-8}


def export(module, args, path, *, input_names=None, output_names=None):
    """Writes a module to an ONNX file, once ONNX's checker and onnxruntime agree with it.

    The module is called once, in evaluation mode, and its ops are recorded: what Python decides, by shapes or settings,
    is fixed in the file, and so are the shapes of the inputs. The file is then run by onnxruntime on ``args`` and on the
    same numbers in another order, and written (atomically) only if its outputs are the module's.

    Args:
        module: an :class:`nn.Module`, or any function of tensors.
        args: its arguments, a tuple (or one tensor); tensors may lie in tuples, lists and dictionaries. A tensor given
            twice is one input.
        path: the file.
        input_names, output_names: names for the tensors in the arguments and in the result, in order; by default
            ``input_0``, ... and ``output_0``, .... Parameters and buffers keep their names.

    Raises:
        Error: an op that has no form in ONNX, a tensor's value read on the host, random numbers, or a result that
            onnxruntime does not agree with. No file is written then.
        ImportError: the packages onnx and onnxruntime are not installed. OSError: the file cannot be written.

    Source: the ONNX standard, opset 20.

    >>> fd.onnx.export(nn.Linear(4, 2), fd.zeros(3, 4), "linear.onnx")  # doctest: +SKIP
    """
    onnx = require("onnx", "fastdl.onnx", "onnx")
    runtime = require("onnxruntime", "fastdl.onnx.export", "onnx")
    args = args if isinstance(args, tuple) else (args,)
    inputs = list({id(t): t for t in flat_tensors(args)}.values())
    if not inputs:
        raise fd.ValueError("onnx.export: args hold no tensor")
    input_names = _names("input", input_names, len(inputs))
    with _evaluation(module), fd.no_grad():
        model, outputs = _trace(module, args, inputs, input_names, output_names)
        content = model.SerializeToString()
        try:
            onnx.checker.check_model(model, full_check=True)
            session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        except Exception as error:  # of classes of their own
            raise fd.Error(f"onnx.export: the model is refused, and not written: {error}") from error
        _compare(session, input_names, inputs, outputs)
        others = {id(t): _in_other_order(t) for t in inputs}
        try:
            outputs = flat_tensors((module(*_replaced(args, others)),))
        except (fd.Error, ValueError, IndexError):
            pass  # an input such as sorted lengths has no other order
        else:
            _compare(session, input_names, list(others.values()), outputs)
    with atomic_write(path) as file:
        file.write(content)


def _trace(module, args, inputs, input_names, output_names):
    """(the model, the module's outputs)."""
    import onnx
    from onnx import helper

    named = [*module.named_parameters(), *module.named_buffers()] if isinstance(module, fd.nn.Module) else []
    tracer = Tracer([(_free(name, input_names), tensor) for name, tensor in named])
    tracer.reserve([*input_names, *(output_names or ())])
    for name, tensor in zip(input_names, inputs):
        tracer.begin(name, tensor)
    with observed(tracer):
        result = module(*args)
    outputs = flat_tensors((result,))
    if not outputs:
        raise fd.Error("onnx.export: the module gives no tensor")
    output_names = _names("output", output_names, len(outputs))
    for name, tensor in zip(output_names, outputs):
        tracer.nodes.append(helper.make_node("Identity", [tracer.name(tensor)], [name], name=f"give_{name}"))

    def info(name, tensor):
        return helper.make_tensor_value_info(name, CODES[tensor.dtype], list(tensor.shape))

    graph = helper.make_graph(
        tracer.nodes,
        type(module).__name__,
        [info(name, tensor) for name, tensor in zip(input_names, inputs)],
        [info(name, tensor) for name, tensor in zip(output_names, outputs)],
        list(tracer.initializers.values()),
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph,
        producer_name="fastdl",
        producer_version=fd.__version__,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
    )
    if model.ByteSize() > onnx.checker.MAXIMUM_PROTOBUF:
        raise fd.Error(f"onnx.export: the model has {model.ByteSize()} bytes; a file without external data holds 2 GiB")
    return model, outputs


def _free(name, taken):
    while name in taken:
        name += "_"
    return name


def _names(stem, names, count):
    if names is None:
        return [f"{stem}_{i}" for i in range(count)]
    names = list(names)
    if len(names) != count or len({*names}) != count:
        raise fd.ValueError(f"onnx.export: {stem}_names {names}, expected {count} different ones")
    return names


class _evaluation:
    """The module in evaluation mode for a while; its parts come back to what each was in."""

    def __init__(self, module):
        self.modes = [(m, m.training) for m in module.modules()] if isinstance(module, fd.nn.Module) else []
        self.module = module

    def __enter__(self):
        if self.modes:
            self.module.eval()

    def __exit__(self, *error):
        for module, training in self.modes:
            module.training = training


def flat_tensors(value):
    """The tensors in nested tuples, lists and dictionaries, in order."""
    if isinstance(value, fd.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [t for item in value for t in flat_tensors(item)]
    return []


def _replaced(value, others):
    """The same structure with other tensors."""
    if isinstance(value, fd.Tensor):
        return others[id(value)]
    if isinstance(value, dict):
        return {key: _replaced(item, others) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_replaced(item, others) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(_replaced(item, others) for item in value)
    return value


def _in_other_order(t):
    """The same numbers from the last to the first, floating-point ones a little smaller."""
    other = t.detach().reshape(-1).flip(0).reshape(t.shape)
    return other * 0.75 if t.dtype.is_floating_point else other


def _compare(session, names, inputs, outputs):
    import numpy as np

    feed = {name: np.ascontiguousarray(t.detach().numpy()) for name, t in zip(names, inputs)}
    used = {i.name for i in session.get_inputs()}
    try:
        results = session.run(None, {name: array for name, array in feed.items() if name in used})
    except Exception as error:  # of classes of its own
        raise fd.Error(f"onnx.export: onnxruntime cannot run the model, which is not written: {error}") from error
    for output, ours, theirs in zip(session.get_outputs(), outputs, results):
        expected = ours.detach().numpy()
        tolerance = _TOLERANCE.get(ours.dtype, 0)
        finite = expected[np.isfinite(expected)] if tolerance else expected
        largest = float(np.abs(finite).max(initial=0)) if tolerance else 0.0
        if expected.shape != theirs.shape or not np.allclose(
            theirs, expected, rtol=tolerance, atol=tolerance * largest, equal_nan=True
        ):
            worst = (
                np.abs(np.subtract(theirs, expected, dtype=np.float64)).max()
                if expected.shape == theirs.shape
                else math.nan
            )
            raise fd.Error(
                f"onnx.export: onnxruntime gives another {output.name} {list(theirs.shape)} than the module "
                f"{list(expected.shape)} (largest difference {worst:.3g} of {largest:.3g}); the file is not written"
            )
