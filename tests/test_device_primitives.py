"""The functions that stand for a GPU's instructions, on the simulated device, against plain arithmetic.

tests/device/primitives.cu runs each of them. Where tests/device/primitives.txt is there, its lines are a GPU's, printed by
the same program built with nvcc, and the simulated device must give them too.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "tests/device/primitives.cu"
RECORDED = ROOT / "tests/device/primitives.txt"
SIMULATOR = [ROOT / "csrc/cuda/sim" / name for name in ("scheduler.cpp", "runtime.cpp", "tensor_core.cpp")]
MODES = [(schedule, when) for schedule in ("rr", "skew", "random:7") for when in ("eager", "late")]

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++ to build tests/device/primitives.cu")


def parse(text):
    """The program's lines: a name and numbers each."""
    lines = (line.split() for line in text.splitlines())
    return {name: np.array(numbers, float) for name, *numbers in lines}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program, built for the simulated device."""
    folder = tmp_path_factory.mktemp("primitives")
    flags = ["-std=c++20", "-O1", "-march=x86-64-v3", "-fno-strict-aliasing", "-fno-stack-protector", "-Wno-unknown-pragmas"]
    command = ["g++", *flags, f"-I{ROOT / 'csrc'}", "-xc++", PROGRAM, *SIMULATOR, "-o", folder / "primitives", "-lpthread"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / "primitives"


@pytest.fixture(scope="module", params=MODES, ids=lambda m: f"{m[0]}-{m[1]}")
def results(request, program):
    """What the program prints under one order of threads, and with asynchronous work done at once or late."""
    schedule, when = request.param
    environment = {**os.environ, "FASTDL_SIM_SCHEDULE": schedule, "FASTDL_SIM_ASYNC": when}
    run = subprocess.run([program], capture_output=True, text=True, env=environment, timeout=120)
    assert run.returncode == 0, run.stdout[-500:] + run.stderr
    return parse(run.stdout)


def values(shape, seed):
    """The program's operand number `seed`."""
    return ((37 * np.arange(np.prod(shape)) + 11 * seed) % 15 - 7).reshape(shape)


def swizzled(box):
    """Rows of 64 elements with their pieces of 8 exchanged: piece i of row j at i ^ j % 8."""
    pieces = box.reshape(len(box), 8, 8)
    return np.stack([row[np.arange(8) ^ j % 8] for j, row in enumerate(pieces)])


def test_async_copy(results):
    expected = values((32, 4), 0) * (np.arange(4) < (np.arange(32) % 5)[:, None])
    assert (results["async_copy"].reshape(32, 4) == expected[::-1]).all()


def test_load_matrices(results):
    matrices = np.arange(256).reshape(4, 8, 8)
    for name, m in ("load_matrices", matrices), ("load_matrices_transposed", matrices.transpose(0, 2, 1)):
        expected = m.reshape(4, 32, 2).transpose(1, 0, 2)  # lane 4 g + t holds (g, 2 t) and (g, 2 t + 1) of each matrix
        assert (results[name].reshape(32, 4, 2) == expected).all()


@pytest.mark.parametrize("kind, depth", [("bf16", 16), ("f16", 16), ("tf32", 8)])
def test_multiply_add(results, kind, depth):
    expected = 1 + values((16, depth), 1) @ values((depth, 8), 2)
    assert (results[f"multiply_add_{kind}"].reshape(16, 8) == expected).all()


def test_to_tf32(results):
    # The program prints six digits: 1 + 2^-10 is 1.00098. A tie goes away from zero.
    assert results["to_tf32"].tolist() == [1, 1.00098, 1.00098, -1]


def test_barriers(results):
    assert (results["named_barrier"] == np.arange(128) ^ 32).all()
    assert (results["mbarrier"] == 3 * (31 - np.arange(32)) + 3).all()
    assert (results["cluster"] == [3, 0, 1, 2] * 2).all()


def test_tensor_load(results):
    tensor = values((2, 20, 72), 3)
    assert (results["tensor_load"].reshape(16, 8, 8) == swizzled(tensor[0, :16, :64])).all()
    padded = np.pad(tensor[1], ((3, 0), (0, 64)))
    assert (results["tensor_load_outside"].reshape(16, 8, 8) == swizzled(padded[:16, 24:88])).all()


def test_tensor_store(results):
    expected = values((2, 20, 72), 3)
    box = swizzled(values((16, 64), 5)).reshape(16, 64)  # the exchange is its own inverse
    expected[1, 8:, 64:] = box[:12, :8]
    assert (results["tensor_store_outside"].reshape(2, 20, 72) == expected).all()


@pytest.mark.parametrize("columns", [64, 128, 256])
@pytest.mark.parametrize("b", ["k", "mn"])
@pytest.mark.parametrize("a", ["k", "mn"])
@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_wgmma(results, dtype, a, b, columns):
    left = values((64, 64), 1) if a == "k" else values((64, 64), 1).T
    right = values((columns, 64), 2).T if b == "k" else values((64, columns), 2)
    assert (results[f"wgmma_{dtype}_{a}_{b}_{columns}"].reshape(64, columns) == left @ right).all()


@pytest.mark.skipif(not RECORDED.exists(), reason="no GPU's results are recorded")
def test_as_a_gpu(results):
    recorded = parse(RECORDED.read_text())
    assert results.keys() == recorded.keys()
    for name, numbers in recorded.items():
        assert (results[name] == numbers).all(), name


def test_every_instruction_is_run():
    """Each function of the headers appears in the program; those without an effect to see are named here."""
    invisible = {"shrink_registers", "grow_registers", "shared_address", "has_tensor_map"}
    text = PROGRAM.read_text()
    for header in ("async_copy", "mma", "barrier", "tma", "wgmma"):
        source = (ROOT / f"csrc/cuda/device/{header}.h").read_text()
        for name in re.findall(r"^(?:__device__|inline|template.*__device__|template.*\n__device__)\s.*?(\w+)\(", source, re.M):
            assert name in invisible or name in text, f"{name} of {header}.h is not run by {PROGRAM.name}"
