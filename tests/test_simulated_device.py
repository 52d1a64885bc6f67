"""What the simulated device is for: a kernel's mistake is found, and the same kernel without it is not blamed.

tests/device/mistakes.cu has one kernel for each kind of mistake. Wrong numbers, NaN and reports come from the plain build;
AddressSanitizer's finds accesses out of bounds, and ThreadSanitizer's names both lines of a race.
"""

import math
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [ROOT / "tests/device/mistakes.cu", *sorted((ROOT / "csrc/cuda/sim").glob("[!a]*.cpp"))]
SCHEDULES = ["rr", "skew", "random:3"]
SUM = {"early_release": 672.0}  # else 2080

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++ to build tests/device/mistakes.cu")


def build(folder, *flags):
    """The program of the kernels, on the simulated device."""
    program = folder / "mistakes"
    options = "-std=c++20 -O1 -g1 -march=x86-64-v3 -fno-strict-aliasing -fno-stack-protector -Wno-unknown-pragmas -xc++"
    command = ["g++", *options.split(), *flags, f"-I{ROOT / 'csrc'}", *SOURCES, "-o", program, "-lpthread"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return program


def run(program, name, which, schedule="skew", when="eager"):
    environment = {**os.environ, "FASTDL_SIM_SCHEDULE": schedule, "FASTDL_SIM_ASYNC": when}
    return subprocess.run([program, name, which], capture_output=True, text=True, env=environment, timeout=60)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return build(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return build(tmp_path_factory.mktemp("address"), "-fsanitize=address")


@pytest.fixture(scope="module")
def thread(tmp_path_factory):
    return build(tmp_path_factory.mktemp("thread"), "-fsanitize=thread")


# A mistake, when asynchronous work is done, and what is seen under some order of the threads: a report, or other numbers.
FOUND = [
    ("missing_barrier", "eager", None),
    ("divergent_barrier", "eager", r"__syncthreads at .*mistakes.cu:\d+ meets one at .*mistakes.cu:\d+"),
    ("deadlock", "eager", "deadlock: 32 threads wait: thread 0 at named_barrier"),
    ("divergent_shuffle", "eager", "deadlock: .* at __shfl_xor_sync"),
    ("uninitialised_shared_memory", "eager", None),
    ("early_read", "late", None),
    ("early_release", "eager", None),
    ("missing_arrival", "eager", "deadlock: 64 threads wait: thread 0 at mbarrier_wait"),
    ("host_pointer", "eager", "a kernel argument holds the host address"),
]


@pytest.mark.parametrize("name, when, report", FOUND)
def test_a_mistake_is_found(plain, name, when, report):
    found = 0
    for schedule in SCHEDULES:
        right = run(plain, name, "right", schedule, when)
        assert (right.returncode, float(right.stdout)) == (0, SUM.get(name, 2080.0)), right.stdout + right.stderr
        wrong = run(plain, name, "wrong", schedule, when).stdout
        if report:
            assert re.search(report, wrong), wrong
        else:
            found += math.isnan(float(wrong)) or float(wrong) != float(right.stdout)
    assert report or found


@pytest.mark.parametrize("name", ["outside_of_shared_memory", "outside_of_device_memory"])
def test_accesses_out_of_bounds(address, name):
    right = run(address, name, "right")
    assert (right.returncode, right.stdout) == (0, "2080\n"), right.stderr
    wrong = run(address, name, "wrong")
    assert wrong.returncode != 0
    assert f"in {name}" in wrong.stderr and "mistakes.cu:" in wrong.stderr


@pytest.mark.parametrize("name", ["missing_barrier", "early_release"])
def test_races(thread, name):
    right = run(thread, name, "right")
    if "unexpected memory mapping" in right.stderr:
        pytest.skip("ThreadSanitizer does not run under this kernel's address randomization")
    assert (right.returncode, float(right.stdout)) == (0, SUM.get(name, 2080.0)), right.stderr
    wrong = run(thread, name, "wrong")
    assert wrong.returncode != 0
    assert "data race" in wrong.stderr and wrong.stderr.count(f"{name} ") >= 2
