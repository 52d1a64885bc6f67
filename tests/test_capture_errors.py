"""Captured steps of functions that cannot be captured, or that fail: an error that says where, and nothing changed."""

import os
import threading

import numpy as np
import pytest

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import nn


class World:
    """A model in the middle of its training, and everything that a step may change."""

    def __init__(self):
        fd.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
        self.optimizer = fd.optim.AdamW(self.model.parameters(), lr=0.1)
        constant = fd.optim.lr_scheduler.ConstantLR(self.optimizer, 0.5, 1)
        decay = fd.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        self.scheduler = fd.optim.lr_scheduler.SequentialLR(self.optimizer, [constant, decay], [1])
        self.x, self.y = fd.randn(6, 3), fd.randint(0, 2, (6,))
        self.outside = (self.model(self.x) * 2).sum()

    def half(self):
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return loss

    def state(self):
        state = self.optimizer.state_dict()["state"]
        return (
            {name: t.tolist() for name, t in self.model.state_dict().items()},
            [None if p.grad is None else p.grad.tolist() for p in self.model.parameters()],
            {i: {name: t.tolist() for name, t in entries.items()} for i, entries in state.items()},
            self.scheduler.state_dict(),
            [g["lr"] for g in self.optimizer.param_groups],
            fd.get_rng_state().tolist(),
            list(self.model.__dict__),
        )


def branch(world, loss):
    if loss > 0:
        return


def attribute(world, loss):
    world.model.last = loss


def buffer(world, loss):
    world.model[1].running_mean = world.model[1].running_mean * 2


def parameter(world, loss):
    nn.Linear(2, 2)


def closed(world, loss):
    world.model.zero_grad()
    world.model[0].weight.data = fd.ones(8, 3)


def hook(world, loss):
    x = world.x.clone().requires_grad_()
    x.register_hook(lambda g: print(g))
    x.sum().backward()


class NumpyFunction(fd.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return fd.from_numpy(np.exp(x.detach().numpy()))

    @staticmethod
    def backward(ctx, g):
        return g


# What follows half a step, and words of the message.
CASES = {
    "item": (lambda w, loss: loss.item(), "item"),
    "float": (lambda w, loss: float(loss), "item"),
    "int": (lambda w, loss: int(w.y[0]), "item"),
    "branch": (branch, "item"),
    "print": (lambda w, loss: print(loss), "print"),
    "format": (lambda w, loss: f"{loss:.3f}", "item"),
    "numpy": (lambda w, loss: loss.detach().numpy(), "numpy"),
    "asarray": (lambda w, loss: np.asarray(loss.detach()), "numpy"),
    "tolist": (lambda w, loss: w.x.tolist(), "tolist"),
    "list": (lambda w, loss: fd.tensor([1.0, loss]), "item"),
    "contains": (lambda w, loss: 1.0 in w.x, "tolist"),
    "nonzero": (lambda w, loss: w.x.nonzero(), "nonzero"),
    "mask": (lambda w, loss: w.x[w.x > 0], "mask"),
    "masked_select": (lambda w, loss: w.x.masked_select(w.x > 0), "mask"),
    "repeat_interleave": (lambda w, loss: fd.repeat_interleave(w.x, w.y, dim=0), "repeat_interleave"),
    "slice": (lambda w, loss: w.x[: w.y[0]], "item"),
    "NumPy function": (lambda w, loss: NumpyFunction.apply(w.x), "numpy"),
    "hook": (hook, "print"),
    "new parameter": (parameter, "parameter"),
    "tensor attribute": (attribute, "Sequential.last"),
    "buffer": (buffer, "BatchNorm1d.running_mean"),
    "data": (closed, "data"),
    "seed": (lambda w, loss: fd.manual_seed(3), "manual_seed"),
    "set_rng_state": (lambda w, loss: fd.set_rng_state(w.rng), "set_state"),
    "graph from outside": (lambda w, loss: w.outside.backward(), "backward"),
    "optimizer": (lambda w, loss: Frozen([w.x]).step(), "Frozen"),
    "anomaly": (lambda w, loss: 1 / 0, None),
    "interrupt": (lambda w, loss: (_ for _ in ()).throw(KeyboardInterrupt), None),
    "shapes": (lambda w, loss: w.x @ w.x, None),
    "memory": (lambda w, loss: fd.ones(10**12), None),
}


class Frozen(fd.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {"lr": 0.1})


@pytest.mark.parametrize("first", [True, False], ids=["untrained", "trained"])
@pytest.mark.parametrize("case", CASES)
def test_an_error_leaves_everything_as_it_was(case, first):
    world = World()
    world.rng = fd.get_rng_state()
    if not first:
        world.half(), world.half()
    before = world.state()
    fail, words = CASES[case]

    def step():
        loss = world.half()
        return fail(world, loss)

    captured = fd.capture(step)
    for _ in range(2):  # the second time as the first
        with pytest.raises(BaseException) as error:
            captured()
        if words is None:
            assert not isinstance(error.value, fd.CaptureError)
        else:
            assert isinstance(error.value, fd.CaptureError), error.value
            assert words in str(error.value)
            assert "test_capture_errors.py:" in str(error.value)
        assert world.state() == before
    assert captured.plans == []
    # Nothing keeps recording, and a step that can be captured works.
    assert fd.ones(1).item() == 1.0
    expected = World()
    if not first:
        expected.half(), expected.half()
    losses = [expected.half().item() for _ in range(3)]
    if first:
        world = World()  # draws the same numbers
    else:
        world = World()
        world.half(), world.half()
    good = fd.capture(world.half)
    assert [good().item() for _ in range(3)] == losses


def test_the_line_is_the_users():
    model = nn.Sequential(nn.Linear(2, 2))

    def step(x):
        y = model(x)
        return y.sum().item()  # here

    with pytest.raises(fd.CaptureError, match=r"return y.sum\(\).item\(\)  # here"):
        fd.capture(step)(fd.ones(1, 2))


def test_printing_before_and_after_is_fine(capsys):
    step = fd.capture(lambda x: x.sum())
    for _ in range(2):
        print(step(fd.ones(2)))
    assert capsys.readouterr().out == "tensor(2.)\ntensor(2.)\n"


@pytest.mark.parametrize(
    ("f", "good", "bad", "words"),
    [
        (lambda y: F.cross_entropy(fd.ones(2, 3), y), [0, 1], [0, 3], "cross_entropy: label 3"),
        (lambda y: F.embedding(y, fd.ones(3, 2)), [0, 1], [0, 7], "index 7"),
        (lambda y: fd.ones(3)[y], [0, -1], [0, 5], "index 5"),
        (lambda y: fd.gather(fd.ones(3), 0, y), [0, 1], [0, 3], "gather: index 3"),
        (lambda y: 7 // y, [1, 2], [1, 0], "division by zero"),
    ],
)
def test_replays_check_values_as_the_function_does(f, good, bad, words):
    step = fd.capture(f)
    expected = step(fd.tensor(good)).tolist()
    for _ in range(2):
        with pytest.raises(fd.Error, match=words):
            step(fd.tensor(bad))
        assert step(fd.tensor(good)).tolist() == expected
    assert len(step.plans) == 1
    with pytest.raises(fd.Error, match=words):
        fd.capture(f)(fd.tensor(bad))


def test_clipping_that_is_to_raise():
    w = fd.ones(2, requires_grad=True)

    @fd.capture
    def step(x):
        w.grad = None
        (w * x).sum().backward()
        return nn.utils.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)

    assert step(fd.ones(2)).item() == pytest.approx(2**0.5)
    with pytest.raises(fd.Error, match="clip_grad_norm_"):
        step(fd.tensor([1.0, float("inf")]))
    assert step(fd.ones(2)).item() == pytest.approx(2**0.5)


def test_bernoulli_checks_its_probabilities():
    step = fd.capture(fd.bernoulli)
    step(fd.full((4,), 0.5))
    with pytest.raises(fd.Error, match="bernoulli"):
        step(fd.full((4,), 1.5))


@pytest.mark.parametrize("argument", [np.ones(3), np.ones(()), bytearray(3)])
def test_arrays_are_not_arguments(argument):
    with pytest.raises(TypeError, match="pass it as a tensor"):
        fd.capture(lambda x: x)(argument)


def test_arguments_with_a_history():
    x = fd.ones(2, requires_grad=True)
    step = fd.capture(lambda x: x.sum())
    with pytest.raises(fd.CaptureError, match="history"):
        step(x * 2)
    step(x)
    with pytest.raises(fd.CaptureError, match="history"):
        step(x * 2)


def test_wrong_uses():
    with pytest.raises(TypeError, match="function"):
        fd.capture(3)
    with pytest.raises(ValueError, match="max_plans"):
        fd.capture(lambda: None, max_plans=0)


def test_a_function_that_changes_its_containers():
    def step(batch):
        batch.append(batch[0] * 2)

    captured = fd.capture(lambda: fd.set_grad_enabled(False))
    with pytest.raises(fd.CaptureError, match="changed"):
        captured()
    fd.set_grad_enabled(True)
    batch = [fd.ones(2)]
    fd.capture(step)(batch)
    assert len(batch) == 1  # the step has a list of its own


def test_recursion_runs_inline():
    step = None

    def f(x, n):
        return x if n == 0 else step(x * 2, n - 1)

    step = fd.capture(f)
    assert [step(fd.ones(1), 3).item() for _ in range(2)] == [8.0, 8.0]
    assert len(step.plans) == 1


def test_other_threads_are_not_recorded():
    inside, done = threading.Event(), threading.Event()
    seen = []

    def other():
        inside.wait(10)
        seen.append((fd.ones(3) * 2).sum().item())  # reads on the host
        seen.append(nn.Linear(2, 2).weight.shape)
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    def f(x):
        y = x * 2
        inside.set()
        done.wait(10)
        return y + 1

    step = fd.capture(f)
    assert step(fd.ones(2)).tolist() == [3.0, 3.0]
    thread.join()
    assert seen == [6.0, (2, 2)]
    assert step(fd.zeros(2)).tolist() == [1.0, 1.0]
    assert len(step.plans[0].calls) == 2


def forked(work):
    """Runs work() in a forked child; true if it went well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def test_fork_between_calls():
    model = nn.Linear(4, 4)
    step = fd.capture(lambda x: model(x).sum())
    x = fd.ones(2, 4)
    expected = step(x).item()

    def work():
        assert step(x).item() == expected
        assert fd.capture(lambda x: x * 2)(x).sum().item() == 16.0

    assert forked(work)
    assert step(x).item() == expected


def test_fork_while_recording():
    results = []

    def f(x):
        y = x * 2
        results.append(forked(lambda: [y.sum().item(), nn.Linear(2, 2), print("", end="")]))
        return y

    step = fd.capture(f)
    assert step(fd.ones(2)).tolist() == [2.0, 2.0]
    assert results == [True]


def test_fork_while_another_thread_calls():
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    step = fd.capture(lambda x: model(x).sum())
    x = fd.ones(64, 64)
    expected = step(x).item()
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            step(x)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(5):

            def work():
                assert step(x).item() == expected

            assert forked(work)
    finally:
        stop.set()
        thread.join()


def test_out_of_memory_while_recording(run_python):
    done = run_python(
        """
import resource
import fastdl as fd
w = fd.ones(1000, 1000, requires_grad=True)
def step(n):
    with fd.no_grad():
        w.mul_(2.0)
    x = fd.rand(5)
    kept = [w * i for i in range(n)]
    return x
small = fd.capture(step)
before = fd.get_rng_state().tolist()
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (400 << 20), -1))
try:
    small(4000)
except MemoryError as e:
    print(type(e).__name__)
print(w.sum().item(), fd.get_rng_state().tolist() == before)
print(len(small.plans), small(2).shape, small(2).shape, w.sum().item())
""",
        FASTDL_NUM_THREADS="1",
    )
    expected = ["OutOfMemoryError", "1000000.0 True", "0 (5,) (5,) 4000000.0"]
    assert done.stdout.splitlines() == expected, done.stdout + done.stderr


def test_a_scaler_says_why_it_cannot_be_captured():
    model = fd.nn.Linear(2, 2)
    optimizer, scaler = fd.optim.SGD(model.parameters(), lr=0.1), fd.amp.GradScaler("cpu")

    def step(x):
        optimizer.zero_grad()
        scaler.scale(model(x).sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    with pytest.raises(fd.CaptureError, match="GradScaler: whether a step is left out"):
        fd.capture(step)(fd.ones(1, 2))
