"""Free sizes of an exported graph: which of its constants depend on them, and how.

A trace knows numbers only. So the module is traced again with other sizes, one symbol changed at a time and all of
them, and what differs between the traces tells what a constant is made of: an entry of a shape that grows by k with a
size is k size + c, one that depends on two may hold their product as well, and one that depends on more is a multiple of their
product. Each such constant becomes a few
nodes that compute it from the inputs' shapes.
"""

import math

import fastdl as fd
from fastdl.onnx.trace import helper
from fastdl.onnx.values import CODES, tensor_of


def variants(sizes):
    """Other sizes to trace with: each symbol alone, then all together."""
    others = {symbol: n + 3 + i for i, (symbol, n) in enumerate(sizes.items())}
    made = [{**sizes, symbol: n} for symbol, n in others.items()]
    return made if len(made) == 1 else [*made, others]


class Expression:
    """What a number is made of, from its values at several sizes.

    Attributes:
        terms: (factor, symbols whose product it multiplies), to be added to ``constant``.
    """

    def __init__(self, what, values, samples):
        """values[i] is the number at samples[i], a dictionary of sizes; the first is the trace's own."""
        base, sizes = values[0], samples[0]
        changed = [s for s, v in zip(sizes, values[1:]) if v != base]
        grown = [(v - base, sample[s] - sizes[s]) for s, v, sample in zip(sizes, values[1:], samples[1:]) if v != base]
        self.terms, self.constant = [], base
        if len(changed) > 2:
            self.terms, self.constant = [(base // math.prod(sizes[s] for s in changed), tuple(changed))], 0
        elif len(changed) == 2:
            # c + k a + l b + m a b: the last sample has both changed.
            (more_a, by_a), (more_b, by_b) = grown
            a, b = (sizes[s] for s in changed)
            both = (values[-1] - base - more_a - more_b) // (by_a * by_b)
            one, other = more_a // by_a - both * b, more_b // by_b - both * a
            self.terms = [(one, changed[:1]), (other, changed[1:]), (both, changed)]
            self.constant = base - one * a - other * b - both * a * b
        elif changed:
            factor = grown[0][0] // grown[0][1]
            self.terms, self.constant = [(factor, changed)], base - factor * sizes[changed[0]]
        self.terms = [(factor, symbols) for factor, symbols in self.terms if factor]
        if not self.fits(values, samples):
            raise fd.Error(f"onnx.export: {what} depends on {', '.join(changed)} in no simple way: {values}")

    def fits(self, values, samples):
        def at(sizes):
            return self.constant + sum(k * math.prod(sizes[s] for s in symbols) for k, symbols in self.terms)

        return all(at(sizes) == v for v, sizes in zip(values, samples))


class Resizer:
    """Turns the constants of a trace that depend on sizes into nodes.

    Args:
        traces: at each of the samples; the first is changed.
        samples: dictionaries of sizes by symbol.
        places: by symbol, (the name of an input, its dimension).
    """

    def __init__(self, traces, samples, places):
        self.traces, self.samples, self.places = traces, samples, places
        self.nodes, self.names = [], {}

    def run(self):
        trace = self.traces[0]
        for other in self.traces[1:]:
            if len(other.nodes) != len(trace.nodes):
                raise fd.Error(
                    f"onnx.export: at other sizes the module has {len(other.nodes)} nodes, not {len(trace.nodes)}"
                )
            for a, b in zip(trace.nodes, other.nodes):
                if a != b:
                    raise fd.Error(
                        f"onnx.export: {a.op_type} depends on a size by more than a shape: {_text(a)}; {_text(b)}"
                    )
        for name in list(trace.initializers):
            protos = [t.initializers[name] for t in self.traces]
            if any(p != protos[0] for p in protos[1:]):
                self.replace(name, [tensor_of(p, name) for p in protos])
                del trace.initializers[name]
        trace.nodes[:0] = self.nodes

    def output_sizes(self, i):
        """The declared sizes of output i: numbers, symbols, or names of their own for what is computed."""
        made = []
        for d, values in enumerate(zip(*(t.outputs[i].shape for t in self.traces))):
            e = Expression(f"dimension {d} of output {i}", list(values), self.samples)
            if not e.terms:
                made.append(values[0])
            elif e.constant == 0 and len(e.terms) == 1 and e.terms[0][0] == 1 and len(e.terms[0][1]) == 1:
                made.append(e.terms[0][1][0])
            else:
                made.append(f"output_{i}_size_{d}")
        return made

    # --- nodes ---

    def node(self, operator, inputs, output=None, **attributes):
        output = output or self.traces[0].fresh("size")
        self.nodes.append(helper().make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, values):
        return self.traces[0].constant(values)

    def size(self, symbol):
        if symbol not in self.names:
            name, dim = self.places[symbol]
            self.names[symbol] = self.node("Shape", [name], start=dim, end=dim + 1)
        return self.names[symbol]

    def computed(self, e):
        """The name of a vector of one element."""
        total = None if e.constant == 0 and e.terms else self.constant([e.constant])
        for factor, symbols in e.terms:
            term = self.size(symbols[0])
            for symbol in symbols[1:]:
                term = self.node("Mul", [term, self.size(symbol)])
            if factor != 1:
                term = self.node("Mul", [term, self.constant([factor])])
            total = term if total is None else self.node("Add", [total, term])
        return total

    def vector(self, what, rows, output=None):
        """A vector of numbers, given at each sample."""
        parts = [self.computed(Expression(what, list(values), self.samples)) for values in zip(*rows)]
        return self.node("Concat", parts, output, axis=0)

    def replace(self, name, tensors):
        """Nodes that give a constant by its values at each sample."""
        what = f"a constant {list(tensors[0].shape)}"
        same_shape = all(t.shape == tensors[0].shape for t in tensors)
        if same_shape and tensors[0].dtype == fd.int64 and tensors[0].ndim < 2:
            vector = self.vector(what, [t.reshape(-1).tolist() for t in tensors], name if tensors[0].ndim else None)
            if not tensors[0].ndim:
                self.node("Squeeze", [vector, self.constant([0])], name)
            return
        if same_shape:
            raise fd.Error(f"onnx.export: {what} has other values at other sizes")
        shape = self.vector(what, [t.shape for t in tensors])
        first = tensors[0]
        value = first.reshape(-1)[:1]
        if all(bool((t == value).all()) for t in tensors):
            self.node("Expand", [self.traces[0].constant(value), shape], name)
            return
        for axis in range(first.ndim):
            if all(_counts_along(t, axis) for t in tensors):
                self.counting(name, tensors, axis, shape)
                return
        for diagonal in range(1 - first.shape[0], first.shape[-1]) if first.ndim == 2 else ():
            inside, outside = (_one_value(first, _lower(first, diagonal, keep)) for keep in (True, False))
            if (
                inside is not None
                and outside is not None
                and all(_is_lower(t, diagonal, inside, outside) for t in tensors)
            ):
                ones = self.node("Expand", [self.constant([1]), shape])
                lower = self.node("Trilu", [ones, self.constant(diagonal)], upper=0)
                if first.dtype == fd.bool:  # onnxruntime has no Where of bools
                    self.node("Equal", [lower, self.constant([int(inside)])], name)
                    return
                values = (self.traces[0].constant(v.reshape(1)) for v in (inside, outside))
                self.node("Where", [self.node("Cast", [lower], to=CODES[fd.bool]), *values], name)
                return
        raise fd.Error(f"onnx.export: {what} depends on a size, and is neither uniform, nor counting, nor triangular")

    def counting(self, name, tensors, axis, shape):
        """0, 1, 2, ... along an axis."""
        length = Expression("a length", [t.shape[axis] for t in tensors], self.samples)
        end = self.node("Squeeze", [self.computed(length), self.constant([0])])
        line = self.node("Range", [self.constant(0), end, self.constant(1)])
        line = self.node("Reshape", [line, self.constant([-1 if d == axis else 1 for d in range(tensors[0].ndim)])])
        proto = self.traces[0].initializers[name]
        self.node("Expand", [self.node("Cast", [line], to=proto.data_type), shape], name)


def _text(node):
    return f"{node.op_type}({', '.join(f'{a.name}={helper().get_attribute_value(a)}' for a in node.attribute)})"


def _counts_along(t, axis):
    line = fd.arange(t.shape[axis]).reshape([-1 if d == axis else 1 for d in range(t.ndim)])
    return t.dtype != fd.bool and bool((t == line).all())


def _lower(t, diagonal, keep):
    lower = fd.ones(*t.shape, dtype=fd.bool).tril(diagonal)
    return lower if keep else ~lower


def _one_value(t, mask):
    """The value of all elements under the mask, a tensor; None if they differ or there are none."""
    values = t[mask]
    return values[0] if values.numel() and bool((values == values[0]).all()) else None


def _is_lower(t, diagonal, inside, outside):
    return bool((t == fd.where(_lower(t, diagonal, True), inside, outside)).all())
