"""Modules as ONNX files."""

import math

import fastdl as fd
from fastdl.extras import require
from fastdl.files import atomic_write
from fastdl.observe import observed
from fastdl.onnx.dynamic import Resizer, variants
from fastdl.onnx.trace import Tracer, helper
from fastdl.onnx.values import CODES

OPSET = 20  # what the emitters write

# The largest difference to onnxruntime, in units of the largest value; sums that cancel may differ by a few units in the
# last place of 1 besides.
_TOLERANCE = {fd.float16: 1e-2, fd.float32: 1e-4, fd.float64: 1e-8}


def export(module, args, path, *, input_names=None, output_names=None, dynamic_axes=None):
    """Writes a module to an ONNX file, once ONNX's checker and onnxruntime agree with it.

    The module is called in evaluation mode and its ops are recorded: what Python decides is fixed in the file, and so are
    the shapes, except for ``dynamic_axes``. The file is then run by onnxruntime on ``args``, on the same numbers in
    another order and at other sizes of the free dimensions, and written (atomically) only if its outputs are the module's.

    Args:
        module: an :class:`nn.Module`, or any function of tensors.
        args: its arguments, a tuple (or one tensor); tensors may lie in tuples, lists and dictionaries. A tensor given
            twice is one input.
        path: the file.
        input_names, output_names: names for the tensors in the arguments and in the result, in order; by default
            ``input_0``, ... and ``output_0``, .... Parameters and buffers keep their names.
        dynamic_axes: by an input's name the dimensions whose size is free, with a name for the size:
            ``{"input_0": {0: "batch"}}``, or ``{"input_0": [0]}``. Equal names are one size. The outputs' follow.

    Raises:
        Error: an op that has no form in ONNX, a tensor's value read on the host, random numbers, something that depends on
            a free size by more than a shape, or a result that onnxruntime does not agree with. No file is written then.
        ImportError: the packages onnx and onnxruntime are not installed. OSError: the file cannot be written.

    Source: the ONNX standard, opset 20.

    >>> fd.onnx.export(nn.Linear(4, 2), fd.zeros(3, 4), "linear.onnx")  # doctest: +SKIP
    """
    require("onnx", "fastdl.onnx", "onnx")
    require("onnxruntime", "fastdl.onnx.export", "onnx")
    args = args if isinstance(args, tuple) else (args,)
    inputs = list({id(t): t for t in flat_tensors(args)}.values())
    if not inputs:
        raise fd.ValueError("onnx.export: args hold no tensor")
    input_names = _names("input", input_names, len(inputs))
    places, sizes = _symbols(dynamic_axes or {}, dict(zip(input_names, inputs)))
    samples = [sizes, *(variants(sizes) if sizes else ())]
    with _evaluation(module), fd.no_grad():
        feeds, traces = [], []
        for sample in samples:
            resized = {id(t): _resized(t, name, places, sample) for name, t in zip(input_names, inputs)}
            feeds.append(list(resized.values()))
            traces.append(_trace(module, _replaced(args, resized), feeds[-1], input_names, output_names))
        output_names = _names("output", output_names, len(traces[0].outputs))
        resizer = Resizer(traces, samples, {symbol: where[0] for symbol, where in places.items()})
        output_sizes = [resizer.output_sizes(i) for i in range(len(output_names))]
        resizer.run()
        traces[0].tidy()
        input_sizes = [list(t.shape) for t in inputs]
        for symbol, where in places.items():
            for name, dim in where:
                input_sizes[input_names.index(name)][dim] = symbol
        content = _model(
            module,
            traces[0],
            [*zip(input_names, inputs, input_sizes)],
            [*zip(output_names, traces[0].outputs, output_sizes)],
        )
        session = _session(content)
        for feed, trace in zip(feeds, traces):
            _compare(session, input_names, feed, trace.outputs)
        others = {id(t): _in_other_order(t) for t in inputs}
        try:
            outputs = flat_tensors((module(*_replaced(args, others)),))
        except (fd.Error, ValueError, IndexError):
            pass  # an input such as sorted lengths has no other order
        else:
            _compare(session, input_names, list(others.values()), outputs)
    with atomic_write(path) as file:
        file.write(content)


def _symbols(dynamic_axes, inputs):
    """(by symbol [(input, dimension)], by symbol its size in the arguments)."""
    places, sizes = {}, {}
    for name, axes in dynamic_axes.items():
        if name not in inputs:
            raise fd.ValueError(f"onnx.export: dynamic_axes name {name!r}; the inputs are {', '.join(inputs)}")
        shape = inputs[name].shape
        named = axes.items() if isinstance(axes, dict) else ((dim, f"{name}_size_{dim}") for dim in axes)
        for dim, symbol in named:
            if not -len(shape) <= dim < len(shape):
                raise fd.IndexError(
                    f"onnx.export: dynamic_axes: dimension {dim} is out of range for {name} {list(shape)}"
                )
            dim = dim % len(shape)
            if sizes.setdefault(symbol, shape[dim]) != shape[dim]:
                raise fd.ShapeError(f"onnx.export: {symbol!r} is {sizes[symbol]} and, in {name}, {shape[dim]}")
            places.setdefault(symbol, []).append((name, dim))
    if any(n == 0 for n in sizes.values()):
        raise fd.ShapeError(f"onnx.export: a free dimension must not be empty in args: {sizes}")
    return places, sizes


def _resized(t, name, places, sizes):
    """The tensor with the sizes of a sample, its elements repeated."""
    for symbol, where in places.items():
        for owner, dim in where:
            if owner == name and t.shape[dim] != sizes[symbol]:
                t = t.detach().index_select(dim, fd.arange(sizes[symbol]) % t.shape[dim])
    return t


def _trace(module, args, inputs, input_names, output_names):
    """A Tracer that has seen the module run; its ``outputs`` are the module's."""
    named = [*module.named_parameters(), *module.named_buffers()] if isinstance(module, fd.nn.Module) else []
    tracer = Tracer([(_free(name, input_names), tensor) for name, tensor in named])
    tracer.reserve([*input_names, *(output_names or ())])
    for name, tensor in zip(input_names, inputs):
        tracer.begin(name, tensor)
    with observed(tracer):
        result = module(*args)
    tracer.outputs = flat_tensors((result,))
    if not tracer.outputs:
        raise fd.Error("onnx.export: the module gives no tensor")
    output_names = _names("output", output_names, len(tracer.outputs))
    for name, tensor in zip(output_names, tracer.outputs):
        tracer.nodes.append(helper().make_node("Identity", [tracer.name(tensor)], [name], name=f"give_{name}"))
    return tracer


def _model(module, trace, inputs, outputs):
    """The file's bytes, which ONNX's checker accepts; inputs and outputs are (name, tensor, sizes)."""
    import onnx

    def info(name, tensor, sizes):
        return helper().make_tensor_value_info(name, CODES[tensor.dtype], sizes)

    graph = helper().make_graph(
        trace.nodes,
        type(module).__name__,
        [info(*i) for i in inputs],
        [info(*o) for o in outputs],
        list(trace.initializers.values()),
    )
    opsets = [helper().make_opsetid("", OPSET)]
    model = helper().make_model(
        graph, producer_name="fastdl", producer_version=fd.__version__, opset_imports=opsets,
        ir_version=helper().find_min_ir_version_for(opsets),
    )  # fmt: skip
    if model.ByteSize() > onnx.checker.MAXIMUM_PROTOBUF:
        raise fd.Error(f"onnx.export: the model has {model.ByteSize()} bytes; a file without external data holds 2 GiB")
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # of several kinds
        raise fd.Error(f"onnx.export: ONNX's checker refuses the model, which is not written: {error}") from error
    return model.SerializeToString()


def _session(content):
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # of classes of its own
        raise fd.Error(f"onnx.export: onnxruntime refuses the model, which is not written: {error}") from error


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

    feed = {name: np.ascontiguousarray(t.numpy(force=True)) for name, t in zip(names, inputs)}
    used = {i.name for i in session.get_inputs()}
    try:
        results = session.run(None, {name: array for name, array in feed.items() if name in used})
    except Exception as error:  # of classes of its own
        raise fd.Error(f"onnx.export: onnxruntime cannot run the model, which is not written: {error}") from error
    for output, ours, theirs in zip(session.get_outputs(), outputs, results):
        expected = ours.numpy(force=True)
        tolerance = _TOLERANCE.get(ours.dtype, 0)
        finite = expected[np.isfinite(expected)] if tolerance else expected
        largest = float(np.abs(finite).max(initial=0)) if tolerance else 0.0
        rest = 8 * float(np.finfo(expected.dtype).eps) if tolerance else 0.0
        if expected.shape != theirs.shape or not np.allclose(
            theirs, expected, rtol=tolerance, atol=tolerance * largest + rest, equal_nan=True
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
