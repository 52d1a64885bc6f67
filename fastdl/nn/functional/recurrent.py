"""Recurrent layers over a whole sequence."""

from fastdl import _C

__all__ = [
    "gru_layer",
    "lstm_layer",
    "rnn_layer",
]


def lstm_layer(input, h0, c0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, reverse=False):
    """One direction of one LSTM layer as one kernel over time; the formulas are :class:`fastdl.nn.LSTM`'s.

    Args:
        input: (T, N, I).
        h0, c0: (N, H).
        weight_ih, weight_hh: (4 H, I) and (4 H, H), rows in the order i, f, g, o.
        bias_ih, bias_hh: (4 H,), or None.
        reverse: from the last step to the first.

    Returns:
        The output (T, N, H) and the last h and c (N, H).

    Raises:
        ShapeError: the sizes do not fit, or T is 0. DTypeError: operands of different dtypes.

    >>> y, h, c = F.lstm_layer(fd.ones(5, 2, 3), fd.zeros(2, 4), fd.zeros(2, 4), fd.zeros(16, 3), fd.zeros(16, 4))
    >>> y.shape, h.shape
    ((5, 2, 4), (2, 4))
    """
    return _C.lstm_layer(input, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, reverse)


def gru_layer(input, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, reverse=False):
    """One direction of one GRU layer as one kernel over time; the formulas are :class:`fastdl.nn.GRU`'s.

    Arguments, shapes and errors as `lstm_layer`, without c and with 3 H rows in the order r, z, n.

    >>> y, h = F.gru_layer(fd.ones(5, 2, 3), fd.zeros(2, 4), fd.zeros(12, 3), fd.zeros(12, 4))
    >>> y.shape, h.shape
    ((5, 2, 4), (2, 4))
    """
    return _C.gru_layer(input, h0, weight_ih, weight_hh, bias_ih, bias_hh, reverse)


def rnn_layer(input, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, nonlinearity="tanh", reverse=False):
    """One direction of one plain recurrent layer as one kernel over time; the formula is :class:`fastdl.nn.RNN`'s.

    Arguments, shapes and errors as `lstm_layer`, without c, with H rows, and `nonlinearity` "tanh" or "relu".

    >>> y, h = F.rnn_layer(fd.ones(5, 2, 3), fd.zeros(2, 4), fd.zeros(4, 3), fd.zeros(4, 4))
    >>> y.shape, h.shape
    ((5, 2, 4), (2, 4))
    """
    return _C.rnn_layer(input, h0, weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity, reverse)
