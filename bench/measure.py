"""Timing side by side: A B C A B C ..., the median of each, beside the machine's ceilings, the best of the same rounds.

With one thread the process is pinned to one core and its CPU time counts, so that other processes on the machine do
not; with more threads it is wall time, and nobody is measured before everyone else's worker threads sleep: those of
OpenBLAS and OpenMP wait for their next work in a loop, up to tens of milliseconds, on the cores that the next contender
needs. On a GPU, events before and after the calls tell the time. Only ratios within one run mean anything.
"""

import os
import statistics
import time
from dataclasses import dataclass

import fastdl as fd
from fastdl import _C

ROUND_SECONDS = 0.02  # the least time of one contender in one round
COPY_FLOATS = 1 << 25  # the largest copy: far beyond any cache


def pin_to_one_core():
    """Leaves this process one core, the last that it may use."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def host_timer(threads):
    """A function that gives the seconds of a call of f, of `calls` of them, by the processor's or the wall's clock."""
    now = time.process_time if threads == 1 else time.perf_counter

    def seconds(f, calls):
        start = now()
        for _ in range(calls):
            f()
        return (now() - start) / calls

    return seconds


def device_timer():
    """The same by events in the default stream, which is every library's unless it is told otherwise."""

    def seconds(f, calls):
        start, end = fd.cuda.Event(enable_timing=True), fd.cuda.Event(enable_timing=True)
        fd.cuda.synchronize()
        start.record()
        for _ in range(calls):
            f()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000 / calls

    return seconds


def processor():
    """The CPU's name, or the GPU's where that is the default device."""
    if fd.get_default_device().type == "cuda":
        return fd.cuda.get_device_name()
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown CPU")


def level():
    """The CPU's instruction set, or the GPU's compute capability."""
    if fd.get_default_device().type == "cuda":
        return "sm_{}{}".format(*fd.cuda.get_device_capability())
    return _C.cpu_level()


def settle(threads):
    """Returns when this process's worker threads sleep: while they spin, its CPU time goes on."""
    quiet = 0
    for _ in range(100 if threads > 1 else 0):
        cpu, wall = time.process_time(), time.perf_counter()
        time.sleep(0.005)
        idle = time.process_time() - cpu < 0.1 * (time.perf_counter() - wall)
        quiet = quiet + 1 if idle else 0
        if quiet == 3:
            return


def calls_for(f, seconds):
    """Warms up, and finds how many calls make one round."""
    f()
    calls = 1
    while True:
        t = seconds(f, calls) * calls
        if t >= ROUND_SECONDS / 2 or calls >= 1 << 20:
            return max(1, round(calls * ROUND_SECONDS / max(t, 1e-9)))
        calls *= 4


class Ceilings:
    """Probes of the float32 multiply-add peak, and of the bandwidth of copying as many bytes as a case touches."""

    def __init__(self, threads, seconds):
        self.seconds = seconds
        self.device = fd.get_default_device()
        if self.device.type == "cuda":  # csrc/cuda/kernels/probe.cu: 8 chains a thread
            self.tasks = 2048 * fd.cuda.get_device_properties().multi_processor_count
            self.iterations, self.flops_an_iteration = 1 if fd.cuda.is_simulated() else 20_000, 2.0 * 8 * self.tasks
        else:  # csrc/cpu/kernels/probe.cpp
            lanes = {"base": 4, "avx2": 8, "avx512": 16}[_C.cpu_level()]
            self.tasks, self.iterations = threads, 2_000_000
            self.flops_an_iteration = 2.0 * lanes * (16 if lanes == 16 else 12) * threads

    def peak(self):
        """Floating-point operations a second."""
        _C.probe_flops(self.iterations // 10, self.tasks, self.device)
        probe = lambda: _C.probe_flops(self.iterations, self.tasks, self.device)
        return self.flops_an_iteration / self.seconds(probe, 1) * self.iterations

    def copier(self, nbytes):
        """A function that measures bytes a second, read and written, of copies of a size; the better kind of store."""
        n = int(min(max(nbytes / 8, 16), COPY_FLOATS))
        source, target = fd.full((n,), 1.0), fd.full((n,), 0.0)
        calls = max(1, round(ROUND_SECONDS / 2 / (8 * n / 2e10)))

        def measure():
            times = [self.seconds(lambda s=s: _C.probe_copy(target, source, s), calls) for s in (False, True)]
            return 8 * n / min(times)

        measure()
        return measure


@dataclass
class Result:
    name: str
    threads: int
    seconds: dict  # of each contender
    flops: float
    nbytes: float
    peak: float  # flops a second
    bandwidth: float  # bytes a second

    @property
    def compute_bound(self):
        return self.flops * self.bandwidth > self.nbytes * self.peak

    @property
    def share(self):
        """Of the ceiling that binds: the peak, or the bandwidth of a copy."""
        if not (self.flops or self.nbytes):
            return None
        ideal = self.flops / self.peak if self.compute_bound else self.nbytes / self.bandwidth
        return ideal / self.seconds["fastdl"]

    def line(self):
        t = self.seconds["fastdl"]
        if self.share is None:
            text = f"{t * 1e6:10.3f} us"
        else:
            rate = (
                f"{self.flops / t / 1e9:10.1f} GFLOP/s"
                if self.compute_bound
                else f"{self.nbytes / t / 1e9:10.1f} GB/s   "
            )
            text = f"{rate}  {100 * self.share:4.0f} % of {'peak' if self.compute_bound else 'copy'}"
        peers = "".join(f"  {p} {self.seconds[p] / t:6.2f}x" for p in self.seconds if p != "fastdl")
        return f"{self.name:58s} {text:38s}{peers}"

    def record(self):
        return {
            "name": self.name, "threads": self.threads, "cpu": processor(), "level": level(), "seconds": self.seconds,
            "flops": self.flops, "bytes": self.nbytes, "peak_flops": self.peak, "copy_bytes_per_second": self.bandwidth,
            "bound": None if self.share is None else "peak" if self.compute_bound else "copy", "share": self.share,
        }  # fmt: skip


def compare(case, contenders, threads, rounds):
    """Measures {name: function} in turns, each when the others' threads sleep and its own have been woken."""
    seconds = device_timer() if fd.get_default_device().type == "cuda" else host_timer(threads)
    ceilings = Ceilings(threads, seconds)
    calls = {}
    for name, f in contenders.items():
        settle(threads)
        calls[name] = calls_for(f, seconds)
    settle(threads)
    copier = ceilings.copier(case.nbytes) if case.nbytes else None
    times, peaks, copies = {name: [] for name in contenders}, [], []
    for _ in range(rounds):
        settle(threads)
        if case.flops or case.nbytes:
            peaks.append(ceilings.peak())
        if copier:
            copies.append(copier())
        for name, f in contenders.items():
            settle(threads)
            f()
            times[name].append(seconds(f, calls[name]))
    # A ceiling is the best of the rounds: what disturbs a probe can only lower it, and a share of a lowered ceiling flatters.
    return Result(
        case.name,
        threads,
        {n: statistics.median(t) for n, t in times.items()},
        case.flops,
        case.nbytes,
        max(peaks, default=0.0),
        max(copies, default=0.0),
    )
