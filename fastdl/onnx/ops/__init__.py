"""The operators: one table from a name to a function.

A function takes an operator's inputs in their order (a tensor, or None for one that is left out) and its attributes by
their names, with the standard's defaults, and returns a tensor or several. It may ask for ``opset``, the version that the
model was written for, and ``n_outputs``, how many results are used. Names outside of the standard domain are
``domain.name``.
"""

from . import attention, control, elementwise, image, linear, pool, quantize, recurrent, reduce, shape, signal, training

OPERATORS = {
    name: function
    for family in (
        attention,
        control,
        elementwise,
        image,
        linear,
        pool,
        quantize,
        recurrent,
        reduce,
        shape,
        signal,
        training,
    )
    for name, function in family.OPERATORS.items()
}
