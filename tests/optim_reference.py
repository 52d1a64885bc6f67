"""Optimizers' formulas in NumPy float64, one function a rule: (p, g, state, options) -> p, and the options to test."""

import numpy as np


def penalized(p, g, weight_decay=0.0, maximize=False, **_):
    return (-g if maximize else g) + weight_decay * p


def mean(state, key, value, beta):
    state[key] = beta * state.get(key, 0.0) + (1 - beta) * value
    return state[key]


def sgd(p, g, state, lr=1e-3, momentum=0.0, dampening=0.0, nesterov=False, **options):
    g = penalized(p, g, **options)
    if momentum:
        b = state["b"] = momentum * state["b"] + (1 - dampening) * g if "b" in state else g
        g = g + momentum * b if nesterov else b
    return p - lr * g


def decay(p, g, lr, decoupled_weight_decay=False, weight_decay=0.0, maximize=False):
    if decoupled_weight_decay:
        return p * (1 - lr * weight_decay), penalized(p, g, 0.0, maximize)
    return p, penalized(p, g, weight_decay, maximize)


def adam(p, g, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, amsgrad=False, **options):
    p, g = decay(p, g, lr, **options)
    t = state["t"] = state.get("t", 0) + 1
    m, v = mean(state, "m", g, betas[0]), mean(state, "v", g * g, betas[1])
    if amsgrad:
        v = state["x"] = np.maximum(state.get("x", 0), v)
    return p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def adamw(p, g, state, weight_decay=1e-2, **options):
    return adam(p, g, state, weight_decay=weight_decay, decoupled_weight_decay=True, **options)


def adamax(p, g, state, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, **options):
    g = penalized(p, g, **options)
    t = state["t"] = state.get("t", 0) + 1
    m = mean(state, "m", g, betas[0])
    u = state["u"] = np.maximum(betas[1] * state.get("u", 0.0), abs(g) + eps)
    return p - lr / (1 - betas[0] ** t) * m / u


def nadam(p, g, state, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3, **options):
    p, g = decay(p, g, lr, **options)
    t = state["t"] = state.get("t", 0) + 1
    mu, next_mu = (betas[0] * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
    product = state["product"] = state.get("product", np.float32(1)) * np.float32(mu)  # kept in float32
    product = float(product)
    m, v = mean(state, "m", g, betas[0]), mean(state, "v", g * g, betas[1])
    step = (1 - mu) / (1 - product) * g + next_mu / (1 - product * next_mu) * m
    return p - lr * step / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def radam(p, g, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, **options):
    p, g = decay(p, g, lr, **options)
    t = state["t"] = state.get("t", 0) + 1
    m, v = mean(state, "m", g, betas[0]), mean(state, "v", g * g, betas[1])
    m = m / (1 - betas[0] ** t)
    longest = 2 / (1 - betas[1]) - 1
    rho = longest - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
    if rho <= 5:
        return p - lr * m
    r = np.sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
    return p - lr * m * r * np.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)


def rmsprop(p, g, state, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0.0, centered=False, **options):
    g = penalized(p, g, **options)
    v = mean(state, "v", g * g, alpha)
    if centered:
        v = v - mean(state, "a", g, alpha) ** 2
    step = g / (np.sqrt(v) + eps)
    if momentum:
        step = state["b"] = momentum * state.get("b", 0.0) + step
    return p - lr * step


def adagrad(p, g, state, lr=1e-2, lr_decay=0.0, eps=1e-10, initial_accumulator_value=0.0, **options):
    g = penalized(p, g, **options)
    t = state["t"] = state.get("t", 0) + 1
    s = state["s"] = state.get("s", initial_accumulator_value) + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s) + eps)


def adadelta(p, g, state, lr=1.0, rho=0.9, eps=1e-6, **options):
    g = penalized(p, g, **options)
    v = mean(state, "v", g * g, rho)
    d = np.sqrt(state.get("u", 0.0) + eps) / np.sqrt(v + eps) * g
    mean(state, "u", d * d, rho)
    return p - lr * d


def asgd(p, g, state, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, **options):
    g = penalized(p, g, **options)
    t = state["t"] = state.get("t", 0) + 1
    eta, mu = state.get("eta", np.float32(lr)), state.get("mu", 1.0)
    p = p * (1 - lambd * float(eta)) - float(eta) * g
    state["ax"] = p if mu == 1 else state["ax"] + (p - state["ax"]) * float(mu)
    state["eta"] = np.float32(lr / (1 + lambd * lr * t) ** alpha)
    state["mu"] = np.float32(1 / max(1, t - t0))
    return p


def rprop(p, g, state, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), **options):
    g = penalized(p, g, **options)
    turn = np.sign(g * state.get("g", 0.0))
    factor = np.where(turn > 0, etas[1], np.where(turn < 0, etas[0], 1.0))
    s = state["s"] = np.clip(state.get("s", lr) * factor, *step_sizes)
    g = state["g"] = np.where(turn < 0, 0.0, g)
    return p - np.sign(g) * s


def lion(p, g, state, lr=1e-4, betas=(0.9, 0.99), **options):
    p, g = decay(p, g, lr, decoupled_weight_decay=True, **options)
    step = np.sign(betas[0] * state.get("m", 0.0) + (1 - betas[0]) * g)
    mean(state, "m", g, betas[1])
    return p - lr * step


def adafactor(p, g, state, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, maximize=False):
    if p.size == 0:
        return p
    g = penalized(p, g, maximize=maximize)
    t = state["t"] = state.get("t", 0) + 1
    eps1, beta = np.finfo(np.float64).eps if eps[0] is None else eps[0], 1 - t**beta2_decay
    step = max(eps[1], np.sqrt((p * p).mean())) * min(lr, t**-0.5)
    if p.ndim > 1:
        r, c = (
            mean(state, "r", (g * g).mean(-1, keepdims=True), beta),
            mean(state, "c", (g * g).mean(-2, keepdims=True), beta),
        )
        v = r * c / np.maximum(r.mean(-2, keepdims=True), eps1)
    else:
        v = mean(state, "v", g * g, beta)
    u = g / np.sqrt(np.maximum(v, eps1 * eps1))
    return p * (1 - lr * weight_decay) - step * u / max(1.0, np.sqrt((u * u).mean()) / d)


def sparse_adam(p, g, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False):
    g = penalized(p, g, maximize=maximize)
    t = state["t"] = state.get("t", 0) + 1
    rows = (g != 0).any(axis=tuple(range(1, g.ndim)), keepdims=True) if g.ndim else g != 0
    for key, value, beta in (("m", g, betas[0]), ("v", g * g, betas[1])):
        old = state.get(key, np.zeros_like(g))
        state[key] = np.where(rows, beta * old + (1 - beta) * value, old)
    step = lr * np.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t) * state["m"] / (np.sqrt(state["v"]) + eps)
    return np.where(rows, p - step, p)


# The optimizer's name, its formula, options. Each option appears at least once, most of them together.
CASES = [
    ("SGD", sgd, {"lr": 0.1}),
    ("SGD", sgd, {"lr": 0.1, "momentum": 0.9}),
    ("SGD", sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05}),
    ("SGD", sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05, "maximize": True}),
    ("SGD", sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", sgd, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("Adam", adam, {}),
    ("Adam", adam, {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", adam, {"lr": 0.05, "amsgrad": True, "maximize": True}),
    ("Adam", adam, {"lr": 0.05, "weight_decay": 0.2, "decoupled_weight_decay": True}),
    ("AdamW", adamw, {"lr": 0.05}),
    ("AdamW", adamw, {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    ("Adamax", adamax, {}),
    ("Adamax", adamax, {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", nadam, {}),
    ("NAdam", nadam, {"lr": 0.05, "betas": (0.5, 0.9), "weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}),
    ("NAdam", nadam, {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True, "eps": 1e-3}),
    ("RAdam", radam, {}),
    ("RAdam", radam, {"lr": 0.05, "betas": (0.5, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", radam, {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True, "eps": 1e-3}),
    ("RMSprop", rmsprop, {}),
    ("RMSprop", rmsprop, {"lr": 0.05, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", rmsprop, {"momentum": 0.7, "weight_decay": 0.1}),
    ("RMSprop", rmsprop, {"centered": True, "eps": 1e-2}),
    ("RMSprop", rmsprop, {"centered": True, "momentum": 0.7, "maximize": True, "eps": 1e-2}),
    ("Adagrad", adagrad, {}),
    ("Adagrad", adagrad, {"lr": 0.1, "lr_decay": 0.3, "weight_decay": 0.1, "eps": 1e-3, "maximize": True}),
    ("Adagrad", adagrad, {"lr": 0.1, "initial_accumulator_value": 0.5}),
    ("Adadelta", adadelta, {}),
    ("Adadelta", adadelta, {"lr": 0.5, "rho": 0.7, "eps": 1e-2, "weight_decay": 0.1, "maximize": True}),
    ("ASGD", asgd, {}),
    ("ASGD", asgd, {"lr": 0.1, "lambd": 0.05, "alpha": 0.5, "t0": 3.0, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", rprop, {}),
    ("Rprop", rprop, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.2), "maximize": True}),
    ("Lion", lion, {}),
    ("Lion", lion, {"lr": 0.05, "betas": (0.5, 0.9), "weight_decay": 0.3, "maximize": True}),
    ("Adafactor", adafactor, {}),
    ("Adafactor", adafactor, {"lr": 0.5, "beta2_decay": -0.5, "d": 2.0, "weight_decay": 0.1, "maximize": True}),
    ("Adafactor", adafactor, {"lr": 0.5, "eps": (1e-2, 0.5)}),
    ("SparseAdam", sparse_adam, {}),
    ("SparseAdam", sparse_adam, {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3, "maximize": True}),
]
IDS = [f"{name} {options}" for name, _, options in CASES]
