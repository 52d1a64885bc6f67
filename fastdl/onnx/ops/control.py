"""Operators that run graphs, and those on sequences and optional values: a list, and a value or None."""

import fastdl as fd
from fastdl.onnx.values import axis_of, dtype_of, ints, number


def if_(cond, *, then_branch, else_branch):
    return tuple((then_branch if cond.reshape(()).item() else else_branch)())


def loop(trips, cond, *state, body):
    """Runs body(step, cond, *state) to (cond, *state, *scanned) while cond holds; scanned values are stacked."""
    most = None if trips is None else int(number(trips))
    going = True if cond is None else bool(number(cond))
    state, scanned, step = list(state), [[] for _ in range(len(body.outputs) - 1 - len(state))], 0
    while going and (most is None or step < most):
        cond, *values = body(fd.tensor(step), fd.tensor(True) if cond is None else cond, *state)
        going = bool(number(cond))
        state = values[: len(state)]
        for kept, value in zip(scanned, values[len(state) :]):
            kept.append(value)
        step += 1
    first = 1 + len(state)
    stacks = [fd.stack(kept) if kept else body.empty(first + i) for i, kept in enumerate(scanned)]
    return (*state, *stacks)


def scan(
    *inputs, body, num_scan_inputs, scan_input_axes=None, scan_input_directions=None, scan_output_axes=None,
    scan_output_directions=None,
):  # fmt: skip
    """body(*state, *slices) to (*state, *slices) for each slice of the scanned inputs."""
    count = len(inputs) - num_scan_inputs
    state, scanned = list(inputs[:count]), inputs[count:]
    axes = [axis_of(a, x.ndim) for a, x in zip(scan_input_axes or [0] * num_scan_inputs, scanned)]
    back = scan_input_directions or [0] * num_scan_inputs
    slices = [(x.flip(a) if b else x).unbind(a) for x, a, b in zip(scanned, axes, back)]
    outputs = [[] for _ in range(len(body.outputs) - count)]
    for parts in zip(*slices):
        values = body(*state, *parts)
        state = values[:count]
        for kept, value in zip(outputs, values[count:]):
            kept.append(value)
    made = []
    for i, kept in enumerate(outputs):
        if not kept:
            made.append(body.empty(count + i))
            continue
        axis = axis_of((scan_output_axes or [0] * len(outputs))[i], kept[0].ndim + 1)
        y = fd.stack(kept, axis)
        made.append(y.flip(axis) if (scan_output_directions or [0] * len(outputs))[i] else y)
    return (*state, *made)


# --- sequences ---


def sequence_map(sequence, *others, body):
    """body for each element; further sequences go along, tensors are given each time."""
    outputs = [[] for _ in body.outputs]
    for i, element in enumerate(sequence):
        values = body(element, *(o[i] if isinstance(o, list) else o for o in others))
        for kept, value in zip(outputs, values):
            kept.append(value)
    return tuple(outputs)


def sequence_insert(sequence, tensor, position=None):
    out = list(sequence)
    i = len(out) if position is None else int(number(position))
    if not -len(out) <= i <= len(out):
        raise fd.IndexError(f"SequenceInsert: position {i} is out of range for a sequence of {len(out)}")
    out.insert(i, tensor)
    return out


def sequence_erase(sequence, position=None):
    out = list(sequence)
    del out[-1 if position is None else _place(position, len(out))]
    return out


def _place(position, n):
    i = int(number(position))
    if not -n <= i < n:
        raise fd.IndexError(f"position {i} is out of range for a sequence of {n}")
    return i + n if i < 0 else i


def split_to_sequence(x, split=None, *, axis=0, keepdims=1):
    axis = axis_of(axis, x.ndim)
    if split is None:
        return list(x.split(1, axis) if keepdims else x.unbind(axis))
    return list(x.split(ints(split) if split.ndim else int(number(split)), axis))


def concat_from_sequence(sequence, *, axis, new_axis=0):
    if new_axis:
        return fd.stack(sequence, axis_of(axis, sequence[0].ndim + 1))
    return fd.cat(sequence, axis_of(axis, sequence[0].ndim))


def sequence_empty(*, dtype=1):
    dtype_of(dtype, "the result of SequenceEmpty")
    return []


OPERATORS = {
    "ConcatFromSequence": concat_from_sequence,
    "If": if_,
    "Loop": loop,
    "Optional": lambda x=None, *, type=None: x,
    "OptionalGetElement": lambda x: x,
    "OptionalHasElement": lambda x=None: fd.tensor(x is not None),
    "Scan": scan,
    "SequenceAt": lambda sequence, position: sequence[_place(position, len(sequence))],
    "SequenceConstruct": lambda *inputs: list(inputs),
    "SequenceEmpty": sequence_empty,
    "SequenceErase": sequence_erase,
    "SequenceInsert": sequence_insert,
    "SequenceLength": lambda sequence: fd.tensor(len(sequence)),
    "SequenceMap": sequence_map,
    "SplitToSequence": split_to_sequence,
}
