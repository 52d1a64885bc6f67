"""A step recorded once and replayed without Python."""

import os
import threading
import traceback
import warnings
import weakref

from . import _C
from ._C import CaptureError, PauseRecording

__all__ = ["CaptureError", "capture"]

# The recording of the thread that records, while there is one; modules and optimizers report to it.
_state = threading.local()
# Counts changes that a step may depend on and that no tensor shows: registered parameters, training modes, loaded states.
structure = 0
# How many steps are being recorded, by any thread.
recordings = 0


def structure_changed():
    """Has captured steps look again at the modules and optimizers that they use, before their next replay."""
    global structure
    structure += 1


def current():
    """This thread's recording, or None; also None while it is paused."""
    return _state.recording if recordings and _C.is_recording() else None


paused = PauseRecording


def capture(function, *, max_plans=8):
    """Makes a step that is recorded at its first call and replayed at later ones, in C++ and without allocating.

    A step is any function of tensors: a forward pass, or a whole training step with ``zero_grad()``, ``backward()``,
    gradient clipping, the optimizer's and the scheduler's ``step()``. Its first call runs it as it is, and notes every
    kernel that it runs; later calls run these kernels again, on the memory of the first call. Parameters, buffers, the
    optimizer's state and the random numbers come out as if the function itself had been called, to the last bit.

    Args:
        function: called with whatever the step is called with. Python inside it runs at the first call only, so what
            it prints, counts or appends happens once, and branches are taken as they were then.
        max_plans: recordings that are kept, the least recently used goes first. A call is recorded anew for arguments
            of other shapes, dtypes, strides, devices or ``requires_grad``, for other numbers and strings, for other
            objects, in another grad mode, when modules change (``train()``, ``eval()``, other parameters), and when
            gradients that the step adds to are not the tensors that they were.

    The arguments' tensors, in tuples, lists and dicts too, are copied into the step's own memory; what the step writes
    into them in place, and their gradients, is copied back. Other tensors that the step uses are used where they are.

    The returned tensors, without history, are the step's own memory and hold their values until its next call; ``clone()``
    what is to be kept. Tensors of one element, such as a loss, are new at every call.

    Learning rates and the other numbers of ``optimizer.param_groups`` are read again at each call, and schedulers go on,
    whether their ``step()`` stands inside or outside. ``set_to_none=True`` and ``False`` both work.

    Raises:
        CaptureError: the function reads a value on the host (``item()``, ``if tensor:``, ``print``, ``numpy()``, a
            shape that depends on values), makes a parameter, gives a module a new tensor, or differentiates what was
            computed outside. The message says where. Then, and after any exception at the first call, parameters,
            buffers, gradients, optimizer state and random state are as before.

    >>> model = fd.nn.Linear(4, 1)
    >>> optimizer = fd.optim.AdamW(model.parameters(), lr=0.1)
    >>> @fd.capture
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = ((model(x) - y) ** 2).mean()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = fd.randn(8, 4), fd.ones(8, 1)
    >>> losses = [step(x, y).item() for _ in range(100)]
    >>> losses[-1] < 0.1 * losses[0]
    True
    >>> len(step.plans)
    1
    """
    return Captured(function, max_plans)


class Captured:
    """What :func:`capture` returns: callable like the function, with its recordings as ``plans``."""

    def __init__(self, function, max_plans=8):
        if not callable(function):
            raise TypeError(f"capture: expected a function, not {type(function).__name__}")
        if max_plans < 1:
            raise ValueError(f"capture: max_plans {max_plans}, expected at least 1")
        self.function, self.max_plans = function, max_plans
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(self, name, getattr(function, name, None))
        self.__wrapped__ = function
        self._steps = []  # most recently used first
        self._uses = weakref.WeakKeyDictionary()  # of each step: what it depends on besides tensors
        self._structure = structure
        self._unused = 0  # recordings in a row that were never replayed
        self._lock = threading.RLock()
        _alive.add(self)

    def __call__(self, *args, **kwargs):
        with self._lock:
            if self._structure != structure:
                self._look_again()
            result = _C.replay(self._steps, args, kwargs)
            if result is not NotImplemented:
                self._unused = 0
                return result
            if _C.is_recording():  # inside another step, or inside itself: a part of that
                return self.function(*args, **kwargs)
            return self._record(args, kwargs)

    def __get__(self, instance, owner=None):
        """A decorated method: each instance has recordings of its own."""
        if instance is None:
            return self
        bound = Captured(self.function.__get__(instance, owner), self.max_plans)
        instance.__dict__[self.__name__] = bound
        return bound

    def _look_again(self):
        self._structure = structure
        for step in self._steps:
            step.valid = all(use.holds() for use in self._uses[step])

    def _record(self, args, kwargs):
        global recordings
        step = _C.CapturedStep(args, kwargs)
        recording = Recording()
        recordings += 1
        _state.recording = recording
        try:
            step.begin()
            try:
                own_args, own_kwargs = step.arguments()
                result = step.finish(self.function(*own_args, **own_kwargs), args, kwargs)
            except BaseException as error:
                step.abandon()
                recording.undo()
                if isinstance(error, CaptureError):
                    _locate(error)
                raise
        finally:
            del _state.recording
            recordings -= 1
        self._structure = structure
        self._uses[step] = recording.uses
        self._steps.insert(0, step)
        del self._steps[self.max_plans :]
        self._unused += 1
        if self._unused == 2 * self.max_plans:
            warnings.warn(
                f"capture: the last {self._unused} calls of {self.__name__} were all recorded anew, none was a replay: "
                f"their arguments (shapes, numbers, objects), or the gradients that they add to, differ every time",
                RuntimeWarning, stacklevel=3,
            )  # fmt: skip
        return result

    def reset(self):
        """Forgets all recordings; the next call records anew."""
        with self._lock:
            self._steps = []

    @property
    def plans(self):
        """The recordings, most recently used first."""
        return [PlanInfo(step, self.__name__) for step in self._steps]

    def summary(self):
        """:meth:`PlanInfo.summary` of the most recently used recording.

        Raises:
            CaptureError: there is none so far.
        """
        if not self._steps:
            raise CaptureError(f"capture: {self.__name__} was not called so far")
        with self._lock:
            return self.plans[0].summary()

    def __repr__(self):
        return f"<captured {self.__name__}: {len(self._steps)} plans>"


_alive = weakref.WeakSet()


def _after_fork():
    """A child has one thread: the locks that others held are free, and nothing is being recorded."""
    global recordings
    recordings = 0
    _state.__dict__.clear()
    for captured in list(_alive):
        captured._lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def _locate(error):
    """Adds the line of the user's code, the innermost outside this package, to the message."""
    package = os.path.dirname(os.path.abspath(__file__)) + os.sep
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not os.path.abspath(f.filename).startswith(package)
    ]
    if frames:
        error.args = (f"{error} (at {frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line})",)


class Recording:
    """What Python objects leave with a step while it is recorded."""

    def __init__(self):
        self.uses = []  # what a replay depends on: objects with holds()
        self._undo = []
        self._known = set()

    def first(self, thing):
        """Whether this object has not been seen in this recording."""
        if id(thing) in self._known:
            return False
        self._known.add(id(thing))
        return True

    def use_module(self, module):
        if self.first(module):
            self.uses.append(_ModuleUse(module))

    def on_failure(self, undo):
        self._undo.append(undo)

    def undo(self):
        for undo in reversed(self._undo):
            undo()


class _ModuleUse:
    """A module that a step called: its mode, parameters, buffers and submodules must stay the same objects."""

    def __init__(self, module):
        self.module, self.parts = module, self._look(module)

    @staticmethod
    def _look(module):
        attributes = module.__dict__
        names = (n for kind in ("_parameter_names", "_buffer_names", "_module_names") for n in attributes[kind])
        return [module.training, *(attributes[name] for name in names)]

    def holds(self):
        now = self._look(self.module)
        return len(now) == len(self.parts) and all(a is b for a, b in zip(now, self.parts))


class PlanInfo:
    """One recording of a captured step.

    Attributes:
        calls: a dict for each call, in order: ``name``, ``fused`` (how many elementwise calls are in it), ``flops``,
            ``bytes`` (read and written once), ``host`` (it runs on the host, between kernels).
        flops, bytes: of all calls.
        memory: bytes that the plan has for everything that it makes.
        dropped: calls left out because nothing reads what they write.
    """

    def __init__(self, step, name):
        self._step, self._name = step, name
        keys = ("name", "fused", "flops", "bytes", "host")
        self.calls = [dict(zip(keys, call)) for call in step.calls()]
        self.flops = sum(c["flops"] for c in self.calls)
        self.bytes = sum(c["bytes"] for c in self.calls)
        self.memory, self.dropped = step.memory_bytes, step.dropped

    def profile(self, repeats=10):
        """Seconds of each call, the mean of ``repeats`` runs; parameters, states and random numbers stay as they are."""
        return self._step.profile(repeats)

    def summary(self, repeats=10):
        """A table: each call's floating-point operations, bytes, time and share of its bound, and the totals.

        The bound is the larger of the operations over the machine's multiply-add peak and the bytes over the bandwidth of
        copying, both measured now; what stays in the caches can be faster than it.
        """
        seconds = self.profile(repeats)
        peak, bandwidth = _ceilings()
        lines = [f"{'call':28s}{'MFLOP':>10s}{'KB':>12s}{'us':>10s}{'of the bound':>14s}"]

        def line(name, flops, nbytes, time):
            bound = max(flops / peak, nbytes / bandwidth)
            share = f"{100 * bound / time:.0f} %" if time > 0 and bound > 0 else ""
            return f"{name:28s}{flops / 1e6:10.3f}{nbytes / 1e3:12.1f}{1e6 * time:10.2f}{share:>14s}"

        for call, time in zip(self.calls, seconds):
            name = f"{call['name']} x {call['fused']}" if call["fused"] > 1 else call["name"]
            lines.append(f"{name:28s}{'host':>10s}" if call["host"] else line(name, call["flops"], call["bytes"], time))
        lines.append(line(f"{self._name}: {len(self.calls)} calls", self.flops, self.bytes, sum(seconds)))
        lines.append(
            f"memory {self.memory / 1e6:.3f} MB, {self.dropped} calls left out; peak {peak / 1e9:.0f} GFLOP/s, "
            f"copy {bandwidth / 1e9:.1f} GB/s"
        )
        return "\n".join(lines)


def _ceilings():
    """Multiply-add operations and bytes of a large copy a second, on as many threads as are in use."""
    from time import perf_counter

    from .functions import full

    threads = _C.get_num_threads()
    lanes = {"base": 4, "avx2": 8, "avx512": 16}[_C.cpu_level()]
    iterations = 200_000
    work = 2.0 * lanes * (16 if lanes == 16 else 12) * threads * iterations  # csrc/cpu/kernels/probe.cpp

    def best(f):
        times = []
        for _ in range(5):
            start = perf_counter()
            f()
            times.append(perf_counter() - start)
        return min(times)

    source, target = full((1 << 22,), 1.0), full((1 << 22,), 0.0)
    copying = min(best(lambda s=s: _C.probe_copy(target, source, s)) for s in (False, True))
    return work / best(lambda: _C.probe_flops(iterations, threads)), 8 * (1 << 22) / copying
