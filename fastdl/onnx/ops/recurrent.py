"""RNN, GRU and LSTM: by fastdl's kernels where the operator is PyTorch's layer, else step by step."""

import fastdl as fd
from fastdl.nn import functional as F

# name: (function of x, alpha, beta; the default alpha; the default beta)
_ACTIVATIONS = {
    "relu": (lambda x, a, b: x.relu(), None, None),
    "tanh": (lambda x, a, b: x.tanh(), None, None),
    "sigmoid": (lambda x, a, b: x.sigmoid(), None, None),
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "leakyrelu": (lambda x, a, b: F.leaky_relu(x, a), 0.01, None),
    "thresholdedrelu": (lambda x, a, b: F.threshold(x, a, 0.0), 1.0, None),
    "scaledtanh": (lambda x, a, b: a * (b * x).tanh(), 1.0, 1.0),
    "hardsigmoid": (lambda x, a, b: (a * x + b).clamp(0, 1), 0.2, 0.5),
    "elu": (lambda x, a, b: F.elu(x, a), 1.0, None),
    "softsign": (lambda x, a, b: F.softsign(x), None, None),
    "softplus": (lambda x, a, b: F.softplus(x), None, None),
}


def _activations(names, alphas, betas):
    """Functions of one argument; alphas and betas are given in order to those that take them."""
    alphas, betas = iter(alphas or ()), iter(betas or ())
    made = []
    for name in names:
        if name.lower() not in _ACTIVATIONS:
            raise fd.ValueError(f"recurrent activation {name!r}, expected one of {', '.join(_ACTIVATIONS)}")
        function, alpha, beta = _ACTIVATIONS[name.lower()]
        a = None if alpha is None else next(alphas, alpha)
        b = None if beta is None else next(betas, beta)
        made.append(lambda x, function=function, a=a, b=b: function(x, a, b))
    return made


def _in_order(w, blocks):
    """The rows of a weight in another order of its gates."""
    parts = w.chunk(len(blocks), 0)
    return fd.cat([parts[i] for i in blocks], 0)


def _rnn_step(x, states, u, b, functions, options):
    """x: W x_t + bias of the input, computed for all steps before; u: the weight of h."""
    (h,) = states
    return (functions[0](options["clip"](x + h @ u.t() + b)),)


def _gru_step(x, states, u, b, functions, options):
    (h,) = states
    f, g = functions
    xz, xr, xh = x.chunk(3, -1)
    uz, ur, uh = u.chunk(3, 0)
    bz, br, bh = b.chunk(3, -1)
    z = f(options["clip"](xz + h @ uz.t() + bz))
    r = f(options["clip"](xr + h @ ur.t() + br))
    inner = r * (h @ uh.t() + bh) if options["linear_before_reset"] else (r * h) @ uh.t() + bh
    n = g(options["clip"](xh + inner))
    return ((1 - z) * n + z * h,)


def _lstm_step(x, states, u, b, functions, options):
    h, c = states
    f, g, last = functions
    i, o, forget, cell = (x + h @ u.t() + b).chunk(4, -1)
    clip = options["clip"]
    pi, po, pf = options["peepholes"]
    i = f(clip(i + pi * c))
    forget = 1 - i if options["input_forget"] else f(clip(forget + pf * c))
    c = forget * c + i * g(clip(cell))
    o = f(clip(o + po * c))
    return o * last(c), c


def _steps(step, x, states, w, u, b_in, b, functions, lengths, options):
    """The outputs (T, N, H) and last states of one direction; steps past a sequence's length change nothing."""
    inputs = x @ w.t() + b_in
    out = []
    for t in range(x.shape[0]):
        new = step(inputs[t], states, u, b, functions, options)
        if lengths is None:
            states = new
            out.append(new[0])
        else:
            going = (lengths > t).unsqueeze(1)
            states = tuple(fd.where(going, a, b) for a, b in zip(new, states))
            out.append(fd.where(going, new[0], fd.zeros_like(new[0])))
    return fd.stack(out), states


def _turned(x, lengths):
    """Each sequence (T, N, ...) backwards, within its length."""
    if lengths is None:
        return x.flip(0)
    steps = fd.arange(x.shape[0]).unsqueeze(1)
    places = fd.where(steps < lengths, lengths - 1 - steps, steps)
    return fd.gather(x, 0, places.unsqueeze(-1).expand(x.shape))


def _recurrent(gates, states, default, step, kernel):
    """An operator from its number of gates and states, its activations, a step, and a kernel for the plain case."""

    def run(
        x, w, r, b=None, sequence_lens=None, initial_h=None, initial_c=None, p=None, *, activation_alpha=None,
        activation_beta=None, activations=None, clip=None, direction="forward", hidden_size=None, layout=0,
        input_forget=0, linear_before_reset=0,
    ):  # fmt: skip
        directions, hidden = r.shape[0], r.shape[2]
        names = list(activations) if activations else list(default) * directions
        if layout:
            x = x.transpose(0, 1)
        batch = x.shape[1]
        starts = [
            fd.zeros(directions, batch, hidden, dtype=x.dtype) if s is None else (s.transpose(0, 1) if layout else s)
            for s in (initial_h, initial_c)[:states]
        ]
        lengths = None
        if sequence_lens is not None and (sequence_lens != x.shape[0]).any():
            lengths = sequence_lens.long()
        plain = lengths is None and clip is None and p is None and not input_forget and activation_alpha is None
        outputs, lasts = [], []
        for d in range(directions):
            backwards = direction == "reverse" or d == 1
            state = tuple(s[d] for s in starts)
            chosen = [name.lower() for name in names[d * len(default) : (d + 1) * len(default)]]
            b_in, b_hidden = b[d].chunk(2) if b is not None else (fd.zeros(gates * hidden, dtype=x.dtype),) * 2
            y = kernel(x, state, w[d], r[d], b_in, b_hidden, backwards, chosen, linear_before_reset) if plain else None
            if y is None:
                bound = (lambda v: v) if clip is None else (lambda v: v.clamp(-clip, clip))
                options = {"clip": bound, "linear_before_reset": linear_before_reset, "input_forget": input_forget}
                options["peepholes"] = p[d].chunk(3) if p is not None else (0.0, 0.0, 0.0)
                functions = _activations(chosen, activation_alpha, activation_beta)
                y = _steps(
                    step,
                    _turned(x, lengths) if backwards else x,
                    state,
                    w[d],
                    r[d],
                    b_in,
                    b_hidden,
                    functions,
                    lengths,
                    options,
                )
                y = (_turned(y[0], lengths) if backwards else y[0], y[1])
            outputs.append(y[0])
            lasts.append(y[1])
        y = fd.stack(outputs, 1)  # (T, D, N, H)
        last = [fd.stack(list(s)) for s in zip(*lasts)]
        if layout:
            y, last = y.permute(2, 0, 1, 3), [s.transpose(0, 1) for s in last]
        return (y, *last)

    return run


def _rnn_kernel(x, state, w, r, b_in, b, backwards, chosen, _):
    if chosen[0] not in ("tanh", "relu") or not x.shape[0]:
        return None
    y, h = F.rnn_layer(x, state[0], w, r, b_in, b, nonlinearity=chosen[0], reverse=backwards)
    return y, (h,)


def _gru_kernel(x, state, w, r, b_in, b, backwards, chosen, linear_before_reset):
    if chosen != ["sigmoid", "tanh"] or not linear_before_reset or not x.shape[0]:
        return None
    w, r, b_in, b = (_in_order(v, (1, 0, 2)) for v in (w, r, b_in, b))  # z, r, h to r, z, n
    y, h = F.gru_layer(x, state[0], w, r, b_in, b, reverse=backwards)
    return y, (h,)


def _lstm_kernel(x, state, w, r, b_in, b, backwards, chosen, _):
    if chosen != ["sigmoid", "tanh", "tanh"] or not x.shape[0]:
        return None
    w, r, b_in, b = (_in_order(v, (0, 2, 3, 1)) for v in (w, r, b_in, b))  # i, o, f, c to i, f, g, o
    y, h, c = F.lstm_layer(x, *state, w, r, b_in, b, reverse=backwards)
    return y, (h, c)


OPERATORS = {
    "GRU": _recurrent(3, 1, ("Sigmoid", "Tanh"), _gru_step, _gru_kernel),
    "LSTM": _recurrent(4, 2, ("Sigmoid", "Tanh", "Tanh"), _lstm_step, _lstm_kernel),
    "RNN": _recurrent(1, 1, ("Tanh",), _rnn_step, _rnn_kernel),
}
