"""The cases: what each computes in fastdl, PyTorch and NumPy, its floating-point operations and its bytes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from opdb import ROWS
from opdb_row import Random, map_arrays, resolve

from .recipes import STEPS


@dataclass(frozen=True)
class Case:
    """`build(library)` returns the function to time; library is fastdl, torch, numpy or cupy. None: that library lacks it."""

    name: str
    build: Callable
    flops: float = 0.0
    nbytes: float = 0.0


def arrays_only(library):
    """Whether the library has arrays but no layers: NumPy, and on a GPU CuPy."""
    return library.__name__ in ("numpy", "cupy")


def tensor(library, a, dtype="float32"):
    """A tensor of an array's values with the array's memory order."""
    if not (a.flags.c_contiguous or a.ndim < 2):
        return tensor(library, np.swapaxes(a, -1, -2), dtype).transpose(-1, -2)
    if a.dtype.kind != "f":
        return library.tensor(a)
    return library.tensor(a.astype(np.float32)).to(getattr(library, dtype))


def of_row(row, bench):
    def build(library):
        sample = bench.make(Random(row.name))
        if arrays_only(library):
            if bench.backward or not bench.numpy:
                return None
            single = lambda a: library.asarray(a.astype(np.float32) if a.dtype.kind == "f" else a)
            args = [map_arrays(single, a) for a in sample.args]
            kwargs = {k: map_arrays(single, v) for k, v in sample.kwargs.items()}
            return lambda: row.reference(*args, **kwargs)
        make = lambda a: tensor(library, a, bench.dtype)
        args = [map_arrays(make, a) for a in sample.args]
        kwargs = {k: map_arrays(make, v) for k, v in sample.kwargs.items()}
        function = resolve(library, row)
        if not bench.backward:
            return lambda: function(*args, **kwargs)
        leaves = [
            a for i, a in enumerate(args)
            if hasattr(a, "requires_grad") and a.dtype.is_floating_point and i not in row.nograd
        ]  # fmt: skip
        for a in leaves:
            a.requires_grad = True
        first = lambda out: out[0] if isinstance(out, tuple) else out
        y = first(function(*args, **kwargs))
        dy = tensor(library, Random("dy").normal(*y.shape), bench.dtype)
        return lambda: library.autograd.grad(first(function(*args, **kwargs)), leaves, dy)

    return Case(f"{row.name.removeprefix('nn.functional.')} {bench.name}", build, bench.flops, bench.nbytes)


# --- optimizers: 10 million parameters in 50 tensors ---


def optimizer(name, passes, **options):
    def build(library):
        if arrays_only(library):
            return None
        parameters = [library.nn.Parameter(library.randn(500, 400)) for _ in range(50)]
        for p in parameters:
            p.grad = library.randn(500, 400)
        fused = {"fused": True} if library.__name__ == "torch" else {}
        return getattr(library.optim, name)(parameters, lr=1e-3, **options, **fused).step

    return Case(f"optim.{name} 10M", build, nbytes=4.0 * passes * 10_000_000)


# --- weights of 8 bits ---


def linear_int8(rows, inputs, outputs):
    """Beside the float32 layer of the same sizes; its share is of the float32 peak."""

    def build(library):
        if arrays_only(library):
            return None
        layer = library.nn.Sequential(library.nn.Linear(inputs, outputs))
        options = {"dtype": library.qint8} if library.__name__ == "torch" else {}
        model = library.ao.quantization.quantize_dynamic(layer, {library.nn.Linear}, **options)
        x = library.randn(rows, inputs)
        return lambda: model(x)

    nbytes = 4.0 * rows * (inputs + outputs) + inputs * outputs
    return Case(f"linear int8 {rows}x{inputs}->{outputs}", build, 2.0 * rows * inputs * outputs, nbytes)


# --- whole training steps ---


def mlp(nn):
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)), (64, 784)


def mlp_small(nn):
    return nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)), (32, 4)


def convnet(nn):
    layers = []
    for c, k in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(c, k, 3, padding=1), nn.BatchNorm2d(k), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 10)), (32, 3, 32, 32)


def transformer(nn):
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(128 * 64, 10)), (16, 64, 128)


def training_step(make, captured=False):
    """With `captured`, fastdl replays the step; the others run it as it is."""

    def build(library):
        if arrays_only(library):
            return None
        library.manual_seed(0)
        model, shape = make(library.nn)
        fused = {"fused": True} if library.__name__ == "torch" else {}
        optimizer = library.optim.AdamW(model.parameters(), lr=1e-3, **fused)
        x, y = library.randn(*shape), library.randint(0, 2, shape[:1])

        def step(x, y):
            optimizer.zero_grad()
            loss = library.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        if captured and hasattr(library, "capture"):
            step = library.capture(step)
        return lambda: step(x, y)

    return Case(f"train {make.__name__}{' captured' if captured else ''}", build)


# --- overheads ---


def add_eight(library):
    a, b = (library.ones(8, np.float32),) * 2 if arrays_only(library) else (library.ones(8), library.ones(8))
    return lambda: a + b


def add_eight_recorded(library):
    if arrays_only(library):
        return None
    a, b = library.ones(8, requires_grad=True), library.ones(8)
    return lambda: a + b


def add_eight_backward(library):
    if arrays_only(library):
        return None
    a, b = library.ones(8, requires_grad=True), library.ones(8)
    return lambda: (a + b).sum().backward()


def add_hundred_captured(library):
    """One addition of 8 floats costs a hundredth of it."""
    if arrays_only(library):
        return None
    a, b = library.ones(8), library.ones(8)

    def step():
        for _ in range(100):
            a.add_(b)

    if not hasattr(library, "capture"):
        return step
    return library.capture(step)


def linear_small(library):
    if arrays_only(library):
        return None
    x, w, b = library.ones(1, 16), library.ones(16, 16), library.ones(16)
    return lambda: library.nn.functional.linear(x, w, b)


def linear_module(library):
    if arrays_only(library):
        return None
    x, layer = library.ones(1, 64), library.nn.Linear(64, 64)
    return lambda: layer(x)


def cases():
    """All of them, by family."""
    return [
        *(of_row(row, bench) for row in ROWS.values() for bench in row.bench),
        optimizer("AdamW", 7),
        optimizer("SGD", 5, momentum=0.9),
        *(linear_int8(rows, n, n) for rows, n in ((1024, 1024), (64, 1024), (1, 1024))),
        *(
            training_step(make, captured)
            for make in (mlp_small, mlp, convnet, transformer)
            for captured in (False, True)
        ),
        *(
            Case(f"train {name}", lambda library, build=build: None if arrays_only(library) else build(library))
            for name, build in STEPS.items()
        ),
        Case("overhead a + b, 8 floats", add_eight),
        Case("overhead a + b, 8 floats, recorded", add_eight_recorded),
        Case("overhead (a + b).sum().backward(), 8 floats", add_eight_backward),
        Case("overhead 100 times a.add_(b), 8 floats, captured", add_hundred_captured),
        Case("overhead linear, 16 to 16", linear_small),
        Case("overhead nn.Linear(64, 64), one row, recorded", linear_module),
    ]
