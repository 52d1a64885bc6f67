"""The thread pool, fork, the allocator and the generator."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import fastdl as fd
from fastdl import _C

LARGE = 1 << 20  # elements: enough for several tasks


@pytest.fixture
def threads():
    before = fd.get_num_threads()
    yield fd.set_num_threads
    fd.set_num_threads(before)


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def work(x):
    return (x * 2 + 1).sum().item()


# --- threads ---


def test_number_of_threads(threads):
    assert 1 <= _C.available_threads() <= os.cpu_count()
    threads(3)
    assert fd.get_num_threads() == 3
    for bad in (0, -1, 100000):
        with pytest.raises(ValueError, match="set_num_threads"):
            threads(bad)
    assert fd.get_num_threads() == 3


def test_number_of_threads_from_the_environment():
    code = "import fastdl as fd; print(fd.get_num_threads())"
    assert run_python(code, FASTDL_NUM_THREADS="5").stdout == "5\n"
    assert run_python(code, FASTDL_NUM_THREADS="").stdout == f"{_C.available_threads()}\n"
    for bad in ("0", "two", "-3"):
        got = run_python(code, FASTDL_NUM_THREADS=bad)
        assert got.returncode == 1
        assert f"FASTDL_NUM_THREADS={bad}" in got.stderr


def test_affinity_is_respected():
    code = """
        import os
        os.sched_setaffinity(0, {next(iter(os.sched_getaffinity(0)))})
        import fastdl as fd
        print(fd.get_num_threads())
    """
    assert run_python(code, FASTDL_NUM_THREADS="").stdout == "1\n"


@pytest.mark.parametrize(
    ("group", "mounted", "files", "want"),
    [
        ("0::/", "/ 2", {"cpu.max": "150000 100000", "memory.max": "1000000"}, (1.5, 1000000)),
        ("0::/", "/ 2", {"cpu.max": "max 100000", "memory.max": "max"}, (0, 0)),
        ("0::/a/b", "/ 2", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, (2, 0)),
        ("0::/a/b", "/ 2", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "50000 100000"}, (0.5, 0)),
        (
            "4:cpu,cpuacct:/job",
            "/ cpu,cpuacct",
            {"job/cpu.cfs_quota_us": "300000", "job/cpu.cfs_period_us": "100000"},
            (3, 0),
        ),
        ("4:cpu:/docker/1", "/docker/1 cpu", {"cpu.cfs_quota_us": "250000", "cpu.cfs_period_us": "100000"}, (2.5, 0)),
        ("4:cpu:/docker/1", "/docker/1 cpu", {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, (0, 0)),
        ("5:memory:/", "/ memory", {"memory.limit_in_bytes": "9223372036854771712"}, (0, 0)),
        ("", "/ 2", {}, (0, 0)),
    ],
)
def test_control_groups(tmp_path, group, mounted, files, want):
    root = tmp_path / "groups"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (tmp_path / "cgroup").write_text(group + "\n")
    top, controllers = mounted.split()
    kind = "cgroup2 cgroup2 rw" if controllers == "2" else f"cgroup cgroup rw,{controllers}"
    (tmp_path / "mountinfo").write_text(f"36 25 0:31 {top} {root} rw,nosuid shared:9 - {kind}\n")
    assert _C.cgroup_limits(str(tmp_path / "cgroup"), str(tmp_path / "mountinfo")) == want


def test_same_bits_at_any_number_of_threads(threads):
    x = fd.tensor(np.random.default_rng(0).standard_normal(LARGE).astype(np.float32))
    results = []
    for n in (1, 2, 5, 1):
        threads(n)
        results.append((work(x), (x * x).numpy(force=True).tobytes()))
    assert len(set(results)) == 1


def test_from_several_python_threads(threads):
    threads(2)
    x = fd.ones(LARGE)
    results = []

    def run():
        results.extend(work(x) for _ in range(10))

    workers = [threading.Thread(target=run) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert results == [3 * LARGE] * 40


@pytest.mark.cpu
def test_denormals_are_flushed(threads):
    """By kernels of any size and number of tasks, and only there: Python's own arithmetic keeps them."""
    for n in (1, 100, LARGE):
        for count in (1, 2):
            threads(count)
            x = fd.full((n,), 1e-39)
            assert (x * 1.0).sum().item() == 0
    assert np.float32(1e-39) * np.float32(1) != 0
    assert 5e-324 * 1.0 != 0


# --- fork ---


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_works_after_fork(threads):
    threads(2)
    x = fd.ones(LARGE)
    assert work(x) == 3 * LARGE  # the pool runs
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            work(x)

    other = threading.Thread(target=busy)  # forks happen while this thread is inside kernels and the allocator
    other.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                import signal

                signal.alarm(30)
                os._exit(0 if work(fd.ones(LARGE)) == 3 * LARGE and fd.get_num_threads() == 2 else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        other.join()
    assert work(x) == 3 * LARGE


def test_exits_cleanly():
    code = """
        import threading, fastdl as fd
        fd.set_num_threads(4)
        x = fd.ones(1 << 20)
        kept = x * 2
        threading.Thread(target=lambda: [x * 2 for _ in range(200)], daemon=True).start()
        print((x + kept).sum().item())
    """
    for _ in range(3):
        got = run_python(code)
        assert (got.returncode, got.stdout, got.stderr) == (0, f"{3.0 * LARGE}\n", "")


# --- memory ---


@pytest.mark.cpu
def test_freed_blocks_are_used_again():
    fd.empty_cache()
    before = fd.memory_stats()
    assert before["bytes_cached"] == 0
    x = fd.empty(1000)
    address = x.data_ptr()
    during = fd.memory_stats()
    assert during["bytes_in_use"] - before["bytes_in_use"] == 4096
    assert during["blocks_in_use"] == before["blocks_in_use"] + 1
    del x
    after = fd.memory_stats()
    assert after["bytes_in_use"] == before["bytes_in_use"]
    assert after["bytes_cached"] >= 4096
    y = fd.empty(1001)  # the same size class
    assert y.data_ptr() == address
    assert fd.memory_stats()["cache_misses"] == during["cache_misses"]


@pytest.mark.cpu
def test_alignment():
    for n in (1, 15, 17, 1000, 5000, 1 << 19, 700_001, 3 << 20):
        x = fd.empty(n)
        assert x.data_ptr() % 64 == 0
        if 4 * n >= 2 << 20:
            assert x.data_ptr() % (2 << 20) == 0
        x[n - 1] = 1.0


@pytest.mark.cpu
def test_peak():
    fd.reset_peak_memory_stats()
    base = fd.memory_stats()["bytes_in_use"]
    x = fd.empty(1 << 20)
    del x
    assert fd.memory_stats()["peak_bytes"] - base == 4 << 20
    fd.reset_peak_memory_stats()
    assert fd.memory_stats()["peak_bytes"] == fd.memory_stats()["bytes_in_use"]


@pytest.mark.cpu
def test_cache_limit():
    code = """
        import fastdl as fd
        for _ in range(3):
            fd.empty(1 << 20)
        print(fd.memory_stats()["bytes_cached"])
    """
    assert run_python(code, FASTDL_CACHE_BYTES="0").stdout == "0\n"
    assert run_python(code, FASTDL_CACHE_BYTES="100000000").stdout != "0\n"
    assert "FASTDL_CACHE_BYTES=lots" in run_python(code, FASTDL_CACHE_BYTES="lots").stderr


@pytest.mark.cpu
@pytest.mark.parametrize("shape", [(10**12,), (10**14,), (10**18,), (2**40, 2**40)])
def test_more_memory_than_there_is(shape):
    before = fd.memory_stats()
    with pytest.raises((MemoryError, fd.ShapeError), match=r"bytes|too many elements"):
        fd.empty(*shape)
    after = fd.memory_stats()
    assert after["bytes_in_use"] == before["bytes_in_use"]
    assert after["peak_bytes"] == before["peak_bytes"]


# --- the generator ---


def test_generator_state():
    fd.manual_seed(7)
    state = fd.get_rng_state()
    first = fd.rand(100).tolist()
    second = fd.rand(100).tolist()
    assert first != second
    fd.set_rng_state(state)
    assert fd.rand(100).tolist() == first
    fd.manual_seed(7)
    assert fd.rand(100).tolist() == first
    assert fd.initial_seed() == 7
