"""Recurrent networks: layers over whole sequences, and cells for one step."""

import itertools
import math

import fastdl
from fastdl.nn import functional as F
from fastdl.nn import init
from fastdl.nn.module import Module
from fastdl.nn.parameter import Parameter
from fastdl.nn.utils.rnn import PackedSequence

# Rows of the weights for each hidden element.
_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters, checks, and the walk over layers and directions.

    Args:
        mode: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU"; the other arguments are :class:`RNN`'s.
    """

    states = 1  # tensors of state: h, and c for an LSTM

    def __init__(self, mode, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
                 bidirectional=False, proj_size=0, device=None, dtype=None):  # fmt: skip
        super().__init__()
        name = type(self).__name__
        if mode not in _GATES:
            raise ValueError(f"{name}: mode must be one of {list(_GATES)}, got {mode!r}")
        for what, value in (("bias", bias), ("batch_first", batch_first), ("bidirectional", bidirectional)):
            if not isinstance(value, bool):
                raise TypeError(f"{name}: {what} should be a bool, got {type(value).__name__}")
        for what, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if not isinstance(value, int):
                raise TypeError(f"{name}: {what} should be an int, got {type(value).__name__}")
            if value <= 0:
                raise ValueError(f"{name}: {what} must be greater than zero, got {value}")
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout should be a number in range [0, 1], got {dropout!r}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"{name}: proj_size must be from 0 to hidden_size - 1 = {hidden_size - 1}, got {proj_size}"
            )
        if proj_size and mode != "LSTM":
            raise ValueError(f"{name}: proj_size is for LSTM only, got {proj_size}")
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bidirectional
        self.proj_size = proj_size
        directions = 2 if bidirectional else 1
        rows, outputs = _GATES[mode] * hidden_size, proj_size or hidden_size
        self._weights = []  # the names of (w_ih, w_hh, b_ih, b_hh, w_hr), where they are, one tuple a layer and direction
        for layer in range(num_layers):
            columns = input_size if layer == 0 else directions * outputs
            for suffix in ("", "_reverse")[:directions]:
                shapes = {"weight_ih": (rows, columns), "weight_hh": (rows, outputs)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = {kind: f"{kind}_l{layer}{suffix}" for kind in shapes}
                for kind, shape in shapes.items():
                    setattr(self, names[kind], Parameter(fastdl.empty(*shape, device=device, dtype=dtype)))
                self._weights.append(tuple(names.values()))
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the parameters anew."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self):
        """Does nothing: the kernels take the parameters as they are."""

    @property
    def all_weights(self):
        """The parameters, one list a layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._weights]

    def _layer(self, input, state, weights, reverse):
        """One layer in one direction: the output (T, N, H) and the last state, a tuple."""
        raise NotImplementedError(f"{type(self).__name__} has no layer")

    def _packed_layer(self, data, batch_sizes, state, weights, reverse):
        """`_layer` of a packed batch: run by run of steps with the same number of sequences, so nothing is padded.

        Forwards, the states of sequences that end are put aside; backwards, those of longer ones come in before.
        """
        runs, begin = [], 0
        for batch, steps in ((size, len(list(run))) for size, run in itertools.groupby(batch_sizes)):
            runs.append((begin, steps, batch))
            begin += steps * batch
        outputs, ended = [], []
        current = tuple(s[: runs[-1 if reverse else 0][2]] for s in state)
        for begin, steps, batch in reversed(runs) if reverse else runs:
            before = current[0].shape[0]
            if batch > before:
                current = tuple(fastdl.cat((c, s[before:batch])) for c, s in zip(current, state))
            elif batch < before:
                ended.append(tuple(c[batch:] for c in current))
                current = tuple(c[:batch] for c in current)
            x = data[begin : begin + steps * batch].reshape(steps, batch, -1)
            y, current = self._layer(x, current, weights, reverse)
            outputs.append(y.reshape(steps * batch, -1))
        if ended:
            current = tuple(fastdl.cat((c, *(e[i] for e in reversed(ended)))) for i, c in enumerate(current))
        return fastdl.cat(outputs[::-1] if reverse else outputs), current

    def _initial_states(self, hx, batch, batched, input):
        """The given states as (layers x directions, N, H) tensors, or zeros."""
        count = len(self._weights)
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: self.states]
        if hx is None:
            return tuple(fastdl.zeros(count, batch, size, dtype=input.dtype, device=input.device) for size in sizes)
        states = (hx,) if self.states == 1 else tuple(hx)
        if len(states) != self.states:
            raise ValueError(f"{type(self).__name__}: expected a state of {self.states} tensors, got {len(states)}")
        for state, size in zip(states, sizes):
            expected = (count, batch, size) if batched else (count, size)
            if tuple(state.shape) != expected:
                raise fastdl.ShapeError(
                    f"{type(self).__name__}: initial state {list(state.shape)}, expected {list(expected)} "
                    f"for an input of {list(input.shape)}"
                )
        return states if batched else tuple(state.unsqueeze(1) for state in states)

    def forward(self, input, hx=None):
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.ndim not in (2, 3):
            raise fastdl.ShapeError(f"{type(self).__name__}: expected a 2-d or 3-d input, got {list(input.shape)}")
        self._check_size(input)
        batched = input.ndim == 3
        x = input.unsqueeze(1) if not batched else input.transpose(0, 1) if self.batch_first else input
        initial = self._initial_states(hx, x.shape[1], batched, input)
        x, states = self._layers(x, initial, self._layer)
        if not batched:
            x, states = x.squeeze(1), [s.squeeze(1) for s in states]
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, states[0] if self.states == 1 else tuple(states)

    def _forward_packed(self, packed, hx):
        data, batch_sizes, order, inverse = packed
        self._check_size(data)
        sizes = batch_sizes.tolist()
        initial = self._initial_states(hx, sizes[0], True, data)
        if hx is not None and order is not None:
            initial = tuple(s.index_select(1, order) for s in initial)

        def layer(x, state, weights, reverse):
            return self._packed_layer(x, sizes, state, weights, reverse)

        data, states = self._layers(data, initial, layer)
        if inverse is not None:
            states = [s.index_select(1, inverse) for s in states]
        return PackedSequence(data, batch_sizes, order, inverse), states[0] if self.states == 1 else tuple(states)

    def _check_size(self, input):
        if input.shape[-1] != self.input_size:
            raise fastdl.ShapeError(
                f"{type(self).__name__}: input {list(input.shape)} needs last dimension {self.input_size}"
            )

    def _layers(self, x, initial, layer):
        """All layers and directions, each by ``layer``: the last output and the states, each (layers x directions, N, H)."""
        attributes = self.__dict__
        directions = 2 if self.bidirectional else 1
        last = [[] for _ in range(self.states)]
        for i in range(0, len(self._weights), directions):
            if i and self.dropout and self.training:
                x = F.dropout(x, self.dropout, True)
            outputs = []
            for reverse in range(directions):
                weights = [
                    attributes[name] if name in attributes else getattr(self, name)
                    for name in self._weights[i + reverse]
                ]
                output, state = layer(x, tuple(s[i + reverse] for s in initial), weights, bool(reverse))
                outputs.append(output)
                for kept, s in zip(last, state):
                    kept.append(s)
            x = outputs[0] if directions == 1 else fastdl.cat(outputs, -1)
        return x, [fastdl.stack(kept) if len(kept) > 1 else kept[0].unsqueeze(0) for kept in last]

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), in layers.

    Args:
        input_size, hidden_size: I and H.
        num_layers: each layer's output is the next one's input.
        nonlinearity: "tanh" or "relu".
        bias: whether there are b_ih and b_hh.
        batch_first: x and y are (N, T, ...) in place of (T, N, ...).
        dropout: in training, on the input of every layer but the first.
        bidirectional: a second set of layers reads backwards; y holds both, (T, N, 2 H).

    Shapes: x (T, N, I) or (T, I), or a ``PackedSequence``; the state h (layers x directions, N, H), zeros when left out;
    returns y (T, N, H) or packed, and the last h. Parameters: ``weight_ih_l0`` (H, I), ``weight_hh_l0`` (H, H), ``bias_ih_l0`` and ``bias_hh_l0`` (H,),
    and so on for each layer, with ``_reverse`` for the second direction; all from U(-k, k), k = 1 / sqrt(H).

    Raises:
        ShapeError: x or h does not fit. ValueError: an argument out of range.

    Source: Elman, "Finding structure in time", 1990.

    >>> y, h = nn.RNN(10, 20, 2)(fd.randn(5, 3, 10))
    >>> y.shape, h.shape
    ((5, 3, 20), (2, 3, 20))
    """

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True, batch_first=False, dropout=0.0,
                 bidirectional=False, proj_size=0, device=None, dtype=None):  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: unknown nonlinearity {nonlinearity!r}, choose 'tanh' or 'relu'")
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )
        self.nonlinearity = nonlinearity

    def _layer(self, input, state, weights, reverse):
        y, h = F.rnn_layer(input, state[0], *weights, nonlinearity=self.nonlinearity, reverse=reverse)
        return y, (h,)


class LSTM(RNNBase):
    """i, f, g, o = s(a_i), s(a_f), tanh(a_g), s(a_o); c_t = f c_(t-1) + i g; h_t = o tanh(c_t), in layers.

    a = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh, its rows in the order i, f, g, o; s is the sigmoid.

    Arguments as :class:`RNN`, without a choice of nonlinearity, and:
        proj_size: P, where h_t = W_hr o tanh(c_t) is to have fewer elements than c; 0 is none.

    Shapes: x (T, N, I) or (T, I); the state (h, c), each (layers x directions, N, H), zeros when left out; returns y
    (T, N, H) and the last (h, c); with a projection h and y end in P. Parameters as :class:`RNN`, with 4 H rows, and
    ``weight_hr_l0`` (P, H).

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997.

    >>> y, (h, c) = nn.LSTM(10, 20, 2)(fd.randn(5, 3, 10))
    >>> y.shape, h.shape, c.shape
    ((5, 3, 20), (2, 3, 20), (2, 3, 20))
    """

    states = 2

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
                 proj_size=0, device=None, dtype=None):  # fmt: skip
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def _layer(self, input, state, weights, reverse):
        if not self.proj_size:
            y, h, c = F.lstm_layer(input, *state, *weights, reverse=reverse)
            return y, (h, c)
        # With m = o tanh(c) and h = W_hr m, W_hh h_(t-1) = (W_hh W_hr) m_(t-1): an LSTM without projection over m. The
        # first step's W_hh h_0, which is no such product, comes in with that step's input.
        (h, c), (w_ih, w_hh, *biases, w_hr) = state, weights
        rest = fastdl.zeros(input.shape[0] - 1, *h.shape, dtype=h.dtype, device=h.device)
        first = fastdl.cat((rest, h.unsqueeze(0)) if reverse else (h.unsqueeze(0), rest))
        zero = fastdl.zeros_like(c)
        m, last, c = F.lstm_layer(
            fastdl.cat((input, first), -1), zero, c, fastdl.cat((w_ih, w_hh), 1), w_hh @ w_hr, *biases, reverse=reverse
        )
        return F.linear(m, w_hr), (F.linear(last, w_hr), c)


class GRU(RNNBase):
    """r, z = s(a_r), s(a_z); n = tanh(W_in x_t + b_in + r (W_hn h_(t-1) + b_hn)); h_t = (1 - z) n + z h_(t-1), in layers.

    a = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh, its rows in the order r, z, n; s is the sigmoid.

    Arguments, shapes and parameters as :class:`RNN`, without a choice of nonlinearity and with 3 H rows.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    >>> y, h = nn.GRU(10, 20, 2)(fd.randn(5, 3, 10))
    >>> y.shape, h.shape
    ((5, 3, 20), (2, 3, 20))
    """

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
                 proj_size=0, device=None, dtype=None):  # fmt: skip
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def _layer(self, input, state, weights, reverse):
        y, h = F.gru_layer(input, state[0], *weights, reverse=reverse)
        return y, (h,)


class RNNCellBase(Module):
    """What the cells share: a layer's parameters, for sequences of one step.

    Args:
        input_size, hidden_size, bias: as of :class:`RNNCell`.
        num_chunks: rows of the weights for each hidden element: 1, 3 for a GRU, 4 for an LSTM.
    """

    states = 1

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size

        def new(*shape):
            return Parameter(fastdl.empty(*shape, device=device, dtype=dtype))

        self.weight_ih, self.weight_hh = new(rows, input_size), new(rows, hidden_size)
        self.register_parameter("bias_ih", new(rows) if bias else None)
        self.register_parameter("bias_hh", new(rows) if bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the parameters anew."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _step(self, layer, input, state, **options):
        """The new state, of a batch or of a single sample."""
        name = type(self).__name__
        if input.ndim not in (1, 2):
            raise fastdl.ShapeError(f"{name}: expected a 1-d or 2-d input, got {list(input.shape)}")
        if input.shape[-1] != self.input_size:
            raise fastdl.ShapeError(f"{name}: input {list(input.shape)} needs last dimension {self.input_size}")
        expected = (*input.shape[:-1], self.hidden_size)
        if state is None:
            state = (fastdl.zeros(*expected, dtype=input.dtype, device=input.device),) * self.states
        for s in state:
            if tuple(s.shape) != expected:
                raise fastdl.ShapeError(
                    f"{name}: state {list(s.shape)}, expected {list(expected)} for an input of {list(input.shape)}"
                )
        single = input.ndim == 1
        if single:
            input, state = input.unsqueeze(0), [s.unsqueeze(0) for s in state]
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        _, *state = layer(input.unsqueeze(0), *state, *weights, **options)
        return [s.squeeze(0) for s in state] if single else state

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text


class RNNCell(RNNCellBase):
    """One step of :class:`RNN`: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Shapes: x (N, I) or (I,), h (N, H) or (H,), zeros when left out; returns h'. Parameters ``weight_ih`` (H, I),
    ``weight_hh`` (H, H), ``bias_ih``, ``bias_hh`` (H,).

    >>> nn.RNNCell(10, 20)(fd.randn(3, 10)).shape
    (3, 20)
    """

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: unknown nonlinearity {nonlinearity!r}, choose 'tanh' or 'relu'")
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        return self._step(F.rnn_layer, input, None if hx is None else (hx,), nonlinearity=self.nonlinearity)[0]


class LSTMCell(RNNCellBase):
    """One step of :class:`LSTM`.

    Shapes: x (N, I) or (I,), the state (h, c), each (N, H) or (H,), zeros when left out; returns the new (h, c).
    Parameters as :class:`RNNCell`, with 4 H rows.

    >>> h, c = nn.LSTMCell(10, 20)(fd.randn(3, 10))
    >>> h.shape, c.shape
    ((3, 20), (3, 20))
    """

    states = 2

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input, hx=None):
        return tuple(self._step(F.lstm_layer, input, hx))


class GRUCell(RNNCellBase):
    """One step of :class:`GRU`.

    Shapes: x (N, I) or (I,), h (N, H) or (H,), zeros when left out; returns h'. Parameters as :class:`RNNCell`, with
    3 H rows.

    >>> nn.GRUCell(10, 20)(fd.randn(3, 10)).shape
    (3, 20)
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input, hx=None):
        return self._step(F.gru_layer, input, None if hx is None else (hx,))[0]
