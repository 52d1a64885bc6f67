"""How fastdl's ops are written as ONNX nodes (of opset 20): one table from an op's name to a function.

A function takes the tracer, the op's result (for its shape and dtype; for an op that writes in place the tensor
written to) and the op's arguments, and gives the name of the result, or a list of names for several.
"""

from . import elementwise, layers, reduce, shape

EMITTERS = {
    name: function for family in (elementwise, layers, reduce, shape) for name, function in family.EMITTERS.items()
}
