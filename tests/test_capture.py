"""Captured steps: the same bits as the function itself, for whole training steps; what is recorded anew, and when."""

import gc
import threading
import warnings

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import nn


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Linear(16 * 4 * 4, 32), nn.Tanh(), nn.Dropout(0.3), nn.Linear(32, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


class Sentiment(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 16, num_layers=2, dropout=0.2, batch_first=True)
        self.out = nn.Linear(16, 10)

    def forward(self, x):
        return self.out(self.lstm(self.embedding(x))[0][:, -1])


class GPT(nn.Module):
    def __init__(self, width=16, heads=2, length=12, words=20):
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
        self.register_buffer("positions", fd.arange(length))
        layer = nn.TransformerEncoderLayer(width, heads, 32, dropout=0.1, activation="gelu", batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2)
        self.register_buffer("mask", fd.ones(length, length, dtype=fd.bool).triu(1))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

    def forward(self, x):
        h = self.words(x) + self.places(self.positions[: x.shape[1]])
        return self.head(self.norm(self.blocks(h, mask=self.mask))).transpose(1, 2)


def mlp():
    return nn.Sequential(
        nn.Linear(4, 64),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(64, 64),
        nn.BatchNorm1d(64),
        nn.GELU(),
        nn.Linear(64, 10),
    )


# The model, its inputs and its labels.
NETWORKS = {
    "mlp": (mlp, lambda: fd.randn(16, 4), lambda: fd.randint(0, 10, (16,))),
    "lenet": (LeNet, lambda: fd.randn(4, 1, 24, 24), lambda: fd.randint(0, 10, (4,))),
    "lstm": (Sentiment, lambda: fd.randint(0, 20, (4, 7)), lambda: fd.randint(0, 10, (4,))),
    "gpt": (GPT, lambda: fd.randint(0, 20, (3, 12)), lambda: fd.randint(0, 20, (3, 12))),
}
OPTIMIZERS = {
    "sgd": lambda p: fd.optim.SGD(p, lr=0.1),
    "momentum": lambda p: fd.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=1e-2),
    "adam": lambda p: fd.optim.Adam(p, lr=1e-2, amsgrad=True, weight_decay=1e-2),
    "adamw": lambda p: fd.optim.AdamW(p, lr=1e-2),
    "adamax": lambda p: fd.optim.Adamax(p),
    "nadam": lambda p: fd.optim.NAdam(p),
    "radam": lambda p: fd.optim.RAdam(p),
    "rmsprop": lambda p: fd.optim.RMSprop(p, momentum=0.5, centered=True),
    "adagrad": lambda p: fd.optim.Adagrad(p),
    "adadelta": lambda p: fd.optim.Adadelta(p),
    "asgd": lambda p: fd.optim.ASGD(p, t0=2),
    "rprop": lambda p: fd.optim.Rprop(p),
    "lion": lambda p: fd.optim.Lion(p),
}


class Training:
    """A model with its optimizer and scheduler, and one step of it."""

    def __init__(self, network="mlp", optimizer="adamw", *, clip=0.5, set_to_none=True, inside=True):
        make, self.inputs, self.labels = NETWORKS[network]
        fd.manual_seed(1)
        self.model = make()
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.scheduler = fd.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        self.clip, self.set_to_none, self.inside = clip, set_to_none, inside

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=self.set_to_none)
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.clip) if self.clip else fd.tensor(0.0)
        self.optimizer.step()
        if self.inside:
            self.scheduler.step()
        return loss, norm

    def state(self):
        tensors = [*self.model.state_dict().values(), *(p.grad for p in self.model.parameters())]
        for entries in self.optimizer.state_dict()["state"].values():
            tensors += entries.values()
        return [None if t is None else t.tolist() for t in tensors], self.scheduler.state_dict(), lrs(self.optimizer)

    def batches(self, n):
        generator = fd.get_rng_state()
        fd.manual_seed(7)
        out = [(self.inputs(), self.labels()) for _ in range(n)]
        fd.set_rng_state(generator)
        return out


def memory_stats():
    """Of the device that tensors are made on."""
    return (fd.cuda if fd.get_default_device().type == "cuda" else fd).memory_stats()


def lrs(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def run(training, step, n=5):
    values = [tuple(v.item() for v in step(*batch)) for batch in training.batches(n)]
    return values, training.state(), fd.get_rng_state().tolist()


# --- the same bits ---


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("network", NETWORKS)
def test_same_bits_as_the_function(network, count, threads):
    threads(count)
    a = Training(network)
    expected = run(a, a.step)
    b = Training(network)
    step = fd.capture(b.step)
    assert run(b, step) == expected
    assert len(step.plans) == 1


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_give_the_same_bits(optimizer, set_to_none):
    results = []
    for capture in (lambda f: f, fd.capture):
        training = Training(optimizer=optimizer, set_to_none=set_to_none)
        step = capture(training.step)
        results.append(run(training, step, 7))
    assert results[0] == results[1]
    assert len(step.plans) <= 3  # without gradients, with those of the first call, and once more


@pytest.mark.parametrize("clip", [0.0, 1e-3, 1e6])
def test_clipping_that_does_and_does_not_apply(clip):
    a = Training(clip=clip)
    expected = run(a, a.step)
    b = Training(clip=clip)
    assert run(b, fd.capture(b.step)) == expected


def test_scheduler_outside_the_step():
    results = []
    for capture in (lambda f: f, fd.capture):
        training = Training(inside=False)
        step = capture(training.step)
        losses = []
        for batch in training.batches(5):
            losses.append(step(*batch)[0].item())
            training.scheduler.step()
        results.append((losses, training.state()))
    assert results[0] == results[1]


@pytest.mark.parametrize("make", [
    lambda o: fd.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=10),
    lambda o: fd.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    lambda o: fd.optim.lr_scheduler.SequentialLR(
        o, [fd.optim.lr_scheduler.ConstantLR(o, 0.5, 2), fd.optim.lr_scheduler.ExponentialLR(o, 0.5)], [2]),
], ids=["OneCycleLR", "CosineAnnealingWarmRestarts", "SequentialLR"])  # fmt: skip
def test_schedulers_inside_the_step(make):
    results = []
    for capture in (lambda f: f, fd.capture):
        training = Training(optimizer="adam")
        training.scheduler = make(training.optimizer)
        training.scheduler.state_dict = lambda: None
        results.append(run(training, capture(training.step), 6))
    assert results[0] == results[1]


def test_scheduler_that_looks_at_the_loss():
    def result(capture):
        training = Training(inside=False, clip=0)
        plateau = fd.optim.lr_scheduler.ReduceLROnPlateau(training.optimizer, factor=0.5, patience=0)

        def step(x, y):
            loss, norm = training.step(x, y)
            plateau.step(loss)
            return loss, norm

        return run(training, capture(step), 8), lrs(training.optimizer)

    expected = result(lambda f: f)
    assert result(fd.capture) == expected
    assert expected[1][0] < 1e-2


def test_learning_rate_set_by_hand_and_as_a_tensor():
    w = fd.zeros(3, requires_grad=True)
    optimizer = fd.optim.SGD([w], lr=1.0)

    @fd.capture
    def step():
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()

    step(), step()
    optimizer.param_groups[0]["lr"] = 0.5
    step()
    optimizer.param_groups[0]["lr"] = fd.tensor(0.25)
    step()
    optimizer.param_groups[0]["lr"].fill_(2.0)
    step()
    assert w.tolist() == [-4.75] * 3
    assert len(step.plans) == 1


def test_inference():
    training = Training("gpt")
    training.model.eval()
    with fd.no_grad():
        step = fd.capture(training.model)
        for x, _ in training.batches(3):
            assert step(x).tolist() == training.model(x).tolist()
    assert len(step.plans) == 1


def test_double_backward_and_functions_of_the_user():
    class Cube(fd.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return 3 * x * x * gradient

    def penalty(x):
        (g,) = fd.autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
        (g * g).sum().backward()
        return g

    step = fd.capture(penalty)
    for seed in range(3):
        fd.manual_seed(seed)
        x = fd.randn(5)
        a, b = (x.clone().requires_grad_() for _ in range(2))
        assert penalty(a).tolist() == step(b).tolist()
        assert a.grad.tolist() == b.grad.tolist()


def test_a_generator_of_ones_own():
    results = []
    for capture in (lambda f: f, fd.capture):
        generator = fd.Generator().manual_seed(3)
        step = capture(lambda g=generator: fd.rand(5, generator=g) + fd.randn(5, generator=g))
        del generator
        gc.collect()
        results.append([step().tolist() for _ in range(3)])
    assert results[0] == results[1]
    assert results[0][0] != results[0][1]


def test_random_numbers_go_on_after_seeding():
    step = fd.capture(lambda: fd.rand(4))
    step()
    fd.manual_seed(5)
    got = [step().tolist() for _ in range(2)]
    fd.manual_seed(5)
    assert got == [fd.rand(4).tolist() for _ in range(2)]


# --- arguments and results ---


def test_arguments_in_containers():
    def f(pair, options, *, scale, name="x"):
        a, b = pair
        return {"sum": (a + b * scale), "list": [options["z"][0] * 2, name, None]}

    step = fd.capture(f)
    for i in range(3):
        a, b, z = fd.full((2,), float(i)), fd.ones(2), fd.tensor([i, 3.0])
        got = step((a, b), {"z": [z]}, scale=2.0)
        assert got["sum"].tolist() == [i + 2.0] * 2
        assert [got["list"][0].tolist(), *got["list"][1:]] == [[2.0 * i, 6.0], "x", None]
    assert len(step.plans) == 1
    step((a, b), {"z": [z]}, scale=3.0)  # another number
    step((a, b), {"z": [z]}, scale=3.0, name="y")
    assert len(step.plans) == 3


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "strided", "channels_last", "expanded"])
def test_layouts_of_arguments(layout):
    fd.manual_seed(0)
    make = {
        "contiguous": lambda: fd.randn(2, 3, 4, 5),
        "transposed": lambda: fd.randn(5, 4, 3, 2).permute(3, 2, 1, 0),
        "strided": lambda: fd.randn(2, 3, 4, 10)[..., ::2],
        "channels_last": lambda: fd.randn(2, 3, 4, 5).to(memory_format=fd.channels_last),
        "expanded": lambda: fd.randn(1, 3, 4, 1).expand(2, 3, 4, 5),
    }[layout]
    f = lambda x: F.softmax(x, 1) @ x.transpose(2, 3)
    step = fd.capture(f)
    for _ in range(3):
        x = make()
        assert step(x).tolist() == f(x).tolist()
    assert len(step.plans) == 1


def test_other_shapes_and_dtypes_are_other_plans():
    step = fd.capture(lambda x: (x * 2).sum(), max_plans=3)
    for n in (1, 7, 65, 1, 7, 65):
        assert step(fd.ones(n)).item() == 2 * n
    assert [len(step.plans), step.plans[0].calls[0]["bytes"]] == [3, 65 * 8 + 8]
    assert step(fd.ones(7, dtype=fd.float64)).dtype is fd.float64
    assert len(step.plans) == 3  # the least recently used is gone
    assert step(fd.ones(0)).item() == 0
    assert step(fd.tensor(3)).item() == 6


def test_large_arguments_and_empty_ones():
    step = fd.capture(lambda x, y: x + y.sum())
    for i in range(2):
        assert step(fd.full((300, 300), float(i)), fd.ones(0)).tolist() == fd.full((300, 300), float(i)).tolist()


def test_results_live_until_the_next_call():
    step = fd.capture(lambda x: (x * 2, x.sum()))
    first, total = step(fd.ones(3))
    kept = first.clone()
    second, other = step(fd.zeros(3))
    assert first is second and first.tolist() == [0.0] * 3
    assert kept.tolist() == [2.0] * 3
    assert [total.item(), other.item()] == [3.0, 0.0]  # one number: new at every call


def test_results_saved_for_a_gradient():
    step = fd.capture(lambda x: x * 2)
    w = fd.ones(3, requires_grad=True)
    loss = (step(fd.ones(3)) * w).sum()
    step(fd.zeros(3))
    with pytest.raises(fd.VersionError):  # not the gradient for another value
        loss.backward()


def test_results_outlive_the_step():
    step = fd.capture(lambda x: x * 2)
    y = step(fd.ones(1000))
    del step
    gc.collect()
    assert (y * 1).tolist() == [2.0] * 1000


def test_gradients_of_arguments():
    def f(x, w):
        loss = (x * w).sum()
        loss.backward()
        return loss

    step = fd.capture(f)
    for i in range(1, 4):
        x, w = fd.full((3,), float(i), requires_grad=True), fd.tensor([1.0, 2.0, 3.0])
        step(x, w)
        step(x, w)
        assert x.grad.tolist() == [2.0, 4.0, 6.0]
        assert w.grad is None


def test_arguments_written_in_place():
    @fd.capture
    def step(cache, x):
        cache[1].add_(x)
        return cache.sum()

    for _ in range(3):
        cache = fd.zeros(2, 3)
        for i in range(1, 4):
            assert step(cache, fd.ones(3)).item() == 3.0 * i
        assert cache.tolist() == [[0.0] * 3, [3.0] * 3]


def test_a_step_without_arguments_or_results():
    total = fd.zeros(2)

    def add():
        total.add_(1.0)

    step = fd.capture(add)
    assert [step() for _ in range(3)] == [None] * 3
    assert total.tolist() == [3.0, 3.0]


def test_versions_count_replays():
    w = fd.ones(3, requires_grad=True)

    @fd.capture
    def step():
        with fd.no_grad():
            w.mul_(2.0)

    step()
    loss = (w * w).sum()
    step()
    with pytest.raises(fd.VersionError):
        loss.backward()


# --- gradients between calls ---


def test_accumulating_gradients():
    def result(capture):
        training = Training(clip=0)

        def micro(x, y):
            loss = F.cross_entropy(training.model(x), y)
            loss.backward()
            return loss

        accumulate = capture(micro)
        for i, batch in enumerate(training.batches(12)):
            accumulate(*batch)
            if i % 3 == 2:
                training.optimizer.step()
                training.optimizer.zero_grad()
        return training.state(), accumulate

    state, accumulate = result(fd.capture)
    assert state == result(lambda f: f)[0]
    assert len(accumulate.plans) == 2  # the first of three, and the others


def test_gradients_are_there_after_a_call():
    w = fd.tensor([2.0], requires_grad=True)

    @fd.capture
    def step(x):
        w.grad = None
        (w * x).sum().backward()

    for i in range(3):
        step(fd.tensor([float(i)]))
        assert w.grad.item() == i
        w.grad = None
    assert len(step.plans) == 1


# --- what a step depends on ---


def test_autocast_inside_and_outside():
    def step_of(training, inside):
        def step(x, y):
            training.optimizer.zero_grad()
            with fd.autocast("cpu", enabled=inside or fd.is_autocast_enabled("cpu")):
                loss = F.cross_entropy(training.model(x), y)
            loss.backward()
            training.optimizer.step()
            return (loss,)

        return step

    for inside in (True, False):
        results = []
        for capture in (lambda f: f, fd.capture):
            training = Training("gpt", inside=False)
            step = capture(step_of(training, inside))
            losses = []
            for i, batch in enumerate(training.batches(5)):
                with fd.autocast("cpu", enabled=not inside and i != 3):
                    training.model(batch[0])  # leaves casts of the weights behind
                    losses.append(step(*batch)[0].item())
            results.append((losses, training.state()))
        assert results[0] == results[1]
        assert len(step.plans) == (1 if inside else 2)


def test_train_and_eval():
    training = Training()
    model = training.model
    with fd.no_grad():
        step = fd.capture(model)
        x = fd.randn(8, 4)
        for _ in range(2):
            model.train()
            a = step(x).tolist()
            model.eval()
            assert step(x).tolist() == model(x).tolist() != a
    assert len(step.plans) == 2
    with fd.enable_grad():
        step(x)
    assert len(step.plans) == 3


def test_modules_that_change():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    step = fd.capture(model)
    x = fd.randn(3, 2)
    same = lambda: step(x).tolist() == model(x).tolist()
    assert same() and same()
    model[1] = nn.Linear(2, 2)
    assert same()
    model[0].weight = nn.Parameter(fd.ones(2, 2))
    assert same()
    model[0].weight.data = fd.zeros(2, 2)
    assert same()
    with fd.no_grad():
        model[0].weight.add_(1.0)  # the same memory
    count = len(step.plans)
    assert same()
    assert len(step.plans) == count
    model.load_state_dict(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).state_dict())
    assert same()
    model.double()
    x = x.double()
    assert same()


def test_parameters_that_are_frozen():
    a, b = fd.ones(2, requires_grad=True), fd.ones(2, requires_grad=True)

    @fd.capture
    def step():
        a.grad = b.grad = None
        (a * b).sum().backward()

    step()
    b.requires_grad = False
    b.grad = None
    step()
    assert a.grad.tolist() == [1.0, 1.0] and b.grad is None


def test_optimizer_state_that_is_loaded():
    results = []
    for capture in (lambda f: f, fd.capture):
        training = Training(optimizer="momentum")
        step = capture(training.step)
        batches = training.batches(6)
        for batch in batches[:2]:
            step(*batch)
        saved = training.optimizer.state_dict()
        saved = {"state": {k: {n: t.clone() for n, t in s.items()} for k, s in saved["state"].items()},
                 "param_groups": [dict(g) for g in saved["param_groups"]]}  # fmt: skip
        for batch in batches[2:4]:
            step(*batch)
        training.optimizer.load_state_dict(saved)
        for batch in batches[4:]:
            step(*batch)
        results.append(training.state())
    assert results[0] == results[1]


def test_the_model_may_go_before_the_step():
    model = nn.Linear(3, 3)
    weights = model.weight.detach().clone(), model.bias.detach().clone()
    call = lambda x, m: m[0](x)
    holder = [model]
    step = fd.capture(lambda x: call(x, holder))
    x = fd.randn(2, 3)
    step(x)
    holder.clear()
    del model
    gc.collect()
    assert step(x).tolist() == F.linear(x, *weights).tolist()


def test_a_decorated_method():
    class Trainer:
        def __init__(self, scale):
            self.scale = fd.tensor(scale)

        @fd.capture
        def step(self, x):
            """Scales."""
            return x * self.scale

    a, b = Trainer(2.0), Trainer(3.0)
    for _ in range(2):
        assert [t.step(fd.ones(2)).tolist() for t in (a, b)] == [[2.0] * 2, [3.0] * 2]
    assert a.step.__doc__ == "Scales." and a.step.__name__ == "step"


def test_a_step_inside_a_step():
    inner = fd.capture(lambda x: x * 2)
    outer = fd.capture(lambda x: inner(x) + 1)
    assert inner(fd.ones(2)).tolist() == [2.0, 2.0]
    assert [outer(fd.full((2,), float(i))).tolist()[0] for i in range(3)] == [1.0, 3.0, 5.0]


def test_reset_and_repr():
    step = fd.capture(lambda x: x + 1)
    with pytest.raises(fd.CaptureError, match="was not called"):
        step.summary()
    step(fd.ones(2))
    assert repr(step) == "<captured <lambda>: 1 plans>"
    step.reset()
    assert step.plans == []


def test_steps_that_are_never_replayed_are_reported():
    step = fd.capture(lambda x, i: x * i, max_plans=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(3):
            step(fd.ones(1), i)
    with pytest.warns(RuntimeWarning, match="recorded anew"):
        step(fd.ones(1), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(4):
            step(fd.ones(1), i)


# --- the plan ---


def test_a_replay_allocates_nothing():
    training = Training("lenet")

    def quiet(x, y):
        training.step(x, y)

    step = fd.capture(quiet)
    batch = training.batches(1)[0]
    step(*batch), step(*batch)
    before = memory_stats()
    for _ in range(5):
        step(*batch)
    after = memory_stats()
    assert after["allocations"] == before["allocations"]
    assert after["bytes_in_use"] == before["bytes_in_use"]


def test_memory_is_used_again_within_a_plan():
    def chain(x):
        with fd.no_grad():
            for _ in range(50):
                x = (x * 0.001).sum(0, keepdim=True) + x
        return x.sum()

    step = fd.capture(chain)
    x = fd.randn(100, 1000)
    assert step(x).item() == chain(x).item()
    memory = step.plans[0].memory
    assert memory < 5 * x.nbytes
    held = memory_stats()["bytes_in_use"]
    del step
    gc.collect()
    assert memory_stats()["bytes_in_use"] <= held - memory


@pytest.mark.cpu
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("n", [100_000, 1 << 15, 32_768 * 3 + 5])
def test_elementwise_calls_are_fused(n, count, threads):
    threads(count)

    def f(a, b, mask):
        with fd.no_grad():
            c = fd.tanh(a * b + 2.0)
            c.mul_(a)
            d = fd.where(mask > 0, c, b).double()
            return d.exp(), c.sum()

    step = fd.capture(f)
    for seed in range(2):
        fd.manual_seed(seed)
        a, b, mask = fd.randn(n), fd.randn(n), fd.randn(n)
        for got, expected in zip(step(a, b, mask), f(a, b, mask)):
            assert got.tolist() == expected.tolist()
    fused = [c["fused"] for c in step.plans[0].calls]
    assert max(fused) >= 5


def test_elementwise_calls_that_depend_on_other_elements_are_not_fused():
    n = 100_000

    def f(a):
        with fd.no_grad():
            b = a * 2
            b[1:] += a[:-1]  # shifted
            c = b[:-1] + b[1:]
            b[:1].add_(c[:1])
            return c, (b + b[0]), b.flip(0) + b

    step = fd.capture(f)
    for seed in range(2):
        fd.manual_seed(seed)
        a = fd.randn(n)
        for got, expected in zip(step(a), f(a)):
            assert got.tolist() == expected.tolist()


def test_calls_that_nobody_reads_are_left_out():
    def f(x):
        y = x * 3
        y = y.exp() + y
        fd.zeros(1000).add_(1.0)
        kept.copy_(x)
        return x + 1

    kept = fd.zeros(5)
    with fd.no_grad():
        step = fd.capture(f)
        for i in range(3):
            x = fd.full((5,), float(i))
            assert step(x).tolist() == [i + 1.0] * 5
            assert kept.tolist() == x.tolist()
        assert step.plans[0].dropped == 5
        assert [c["name"] for c in step.plans[0].calls] == ["copy", "binary"]


def test_constants_made_inside():
    def f(x):
        scale = fd.tensor([[1.0, 2.0], [3.0, 4.0]])
        for _ in range(3):
            x = x @ scale * 0.5 + fd.arange(2) / 4
            x = x[[1, 0]] + fd.tensor(np.full(2, 3.0, np.float32)) * np.float32(2)
            x[0] = [7.0, 8.0]
        return x

    step = fd.capture(f)
    for i in range(3):
        x = fd.full((2, 2), float(i))
        assert step(x).tolist() == f(x).tolist()
        [fd.full((2,), -1.0) for _ in range(20)]  # memory that the constants must not have given back


def test_summary():
    training = Training()
    step = fd.capture(training.step)
    batch = training.batches(1)[0]
    step(*batch)
    before = training.state(), fd.get_rng_state().tolist()
    text = step.summary()
    assert (training.state(), fd.get_rng_state().tolist()) == before
    plan = step.plans[0]
    assert len(text.splitlines()) == len(plan.calls) + 3
    assert "optimizer_step" in text and "of the bound" in text and "GFLOP/s" in text
    products = [c for c in plan.calls if c["name"] == "matmul"]
    assert products[0]["flops"] == 2 * 16 * 4 * 64
    assert products[0]["bytes"] == 4 * (16 * 4 + 4 * 64 + 64 + 16 * 64)
    assert len(plan.profile(2)) == len(plan.calls)


def test_many_threads_call_one_step():
    model = nn.Linear(8, 8)
    step = fd.capture(lambda x: model(x).sum())
    inputs = [fd.full((4, 8), float(i)) for i in range(4)]
    expected = [model(x).sum().item() for x in inputs]
    wrong = []

    def work(i):
        for _ in range(100):
            if step(inputs[i]).item() != expected[i]:
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in workers:
        t.start()
    for t in workers:
        t.join()
    assert wrong == []
