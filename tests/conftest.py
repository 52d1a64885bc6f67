"""Fixtures of all tests."""

import importlib.util
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, settings

import fastdl as fd
from fastdl import _C

# Children must find the fastdl that the tests run on, not a source folder without the extension.
os.environ["PYTHONSAFEPATH"] = "1"

# A shell that starts the tests in the background has them ignore Ctrl-C, which some of them send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# FASTDL_CUDA=sim: everything that names no device runs on the simulated GPU; FASTDL_CUDA=gpu: on a GPU.
if os.environ.get("FASTDL_CUDA") in ("sim", "gpu"):
    fd.set_default_device("cuda")
    fd.backends.cudnn.allow_tf32 = False  # tests judge float32; those of TF32 allow it

settings.register_profile("fastdl", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fastdl")


def pytest_collection_modifyitems(config, items):
    """Slow tests run when asked for; comparisons need torch; some tests are about the CPU."""
    skips = {}
    if not config.getoption("markexpr"):
        skips["slow"] = pytest.mark.skip(reason="slow (run by pytest -m slow)")
    if os.environ.get("FASTDL_CUDA") == "sim":
        skips["unsimulated"] = pytest.mark.skip(reason="takes minutes on the simulated device")
    if os.environ.get("FASTDL_CUDA") != "gpu":
        skips["gpu"] = pytest.mark.skip(reason="needs a GPU (FASTDL_CUDA=gpu)")
    if fd.get_default_device().type != "cpu":
        skips["cpu"] = pytest.mark.skip(reason="about the CPU")
    if importlib.util.find_spec("torch") is None:
        skips["compare"] = pytest.mark.skip(reason="torch is not installed")
    for item in items:
        for name, mark in skips.items():
            if item.get_closest_marker(name):  # not item.keywords, which has the folders' names too
                item.add_marker(mark)


@pytest.fixture
def run_python(tmp_path):
    """Runs Python code in a fresh process and returns it when done."""

    def run(code, timeout=120, **environment):
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture
def level(request):
    """Runs the test on one of the CPU's instruction sets."""
    before = _C.cpu_level()
    _C.set_cpu_level(request.param)
    yield request.param
    _C.set_cpu_level(before)


@pytest.fixture
def threads():
    """Puts the number of threads back after the test."""
    before = _C.get_num_threads()
    yield _C.set_num_threads
    _C.set_num_threads(before)


@pytest.fixture(scope="session")
def torch():
    """PyTorch, for tests marked `compare`."""
    return pytest.importorskip("torch")
