"""The pieces of bench/gpu_session.sh, which is for a machine with a GPU, as far as they run without one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastdl as fd

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = str(
    Path(fd.__file__).parents[1]
)  # where the library is that the tests import: the checkout may have none built
SCRIPT = ROOT / "bench" / "gpu_session.sh"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="needs a checkout")
on_device = pytest.mark.skipif(fd.get_default_device().type != "cuda", reason="needs FASTDL_CUDA=sim or gpu")


def module(name, *arguments, **options):
    """python -m bench..., from the checkout."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([INSTALLED, str(ROOT)]), "PYTHONSAFEPATH": "1"}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, **options
    )  # fmt: skip


def test_a_session_that_ends_early_reports_its_steps(tmp_path):
    """On a machine without a driver every step fails or is left out, and the report says so."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("nvidia-smi", "nvcc", "cmake"):
        (programs / name).write_text(f"#!/bin/sh\necho '{name} is not here' >&2\nexit 9\n")
        (programs / name).chmod(0o755)
    checkout = tmp_path / "checkout"
    (checkout / "fastdl").mkdir(parents=True)
    shutil.copytree(ROOT / "bench", checkout / "bench", ignore=shutil.ignore_patterns("results", "__pycache__"))
    environment = {
        **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "OUT": str(tmp_path / "out"), "PYTHON": sys.executable,
    }  # fmt: skip
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(
        [checkout / "bench" / "gpu_session.sh", "device", "build", "primitives"],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "gpu.json").read_text())
    assert [(s["name"], s["status"]) for s in found["steps"]] == [
        ("device", "failed"), ("build", "failed"), ("primitives", "failed"),
    ]  # fmt: skip
    assert found["measured"] == []
    assert "Nothing was measured." in (tmp_path / "out" / "gpu.md").read_text()
    assert "nvidia-smi is not here" in (tmp_path / "out" / "device.log").read_text()


def test_limits_add_up_to_less_than_nine_minutes():
    limits = [int(n) for n in re.findall(r"^ *step \w+ (\d+) ", SCRIPT.read_text(), re.M)]
    assert len(limits) == 7 and sum(limits) + 30 + 5 < 540  # and the least that is left for the tests


def test_the_report(tmp_path):
    (tmp_path / "device.txt").write_text("NVIDIA H100, 580.1\n")
    (tmp_path / "steps.tsv").write_text(
        "build\t0\t90\t210\nmemcheck\t124\t35\t35\nracecheck\t77\t0\t35\ntests\t1\t9\t30\n"
    )
    record = {
        "name": "gpu matmul nn 4096 bfloat16",
        "seconds": {"fastdl": 2e-4, "torch": 1e-4},
        "flops": 2.0 * 4096**3,
        "bytes": 1.0,
    }
    (tmp_path / "bench.json").write_text(json.dumps([record]))
    done = module("bench.gpu_report", tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [s["status"] for s in found["steps"]] == ["passed", "timed out", "skipped", "failed"]
    assert found["device"] == ["NVIDIA H100, 580.1"] and found["measured"] == [record]
    assert "| gpu matmul nn 4096 bfloat16 | 200.0 us | 687.2 TFLOP/s | 0.50 |" in (tmp_path / "gpu.md").read_text()


# Each family of the cases at a size for any device.
SMALL = """
import fastdl as fd
from bench import device_cases as d
made = [d.product(8, "bfloat16", "t"), d.product(8, "float32", "n", "t"), d.linear_gelu(8), *d.attention(8, True, 2, 32, 1),
        *d.convolution(8, 5, batch=2), *d.rows("softmax", lambda F, x: F.softmax(x, -1), 9), *d.cross_entropy(5, 11),
        d.adamw(64, 4), *d.recurrence("GRU", 8, 3, 2), d.gpt2(batch=1, length=4, width=8, heads=2, layers=1, words=11)]
for case in made:
    run = case.build(fd)
    run(), run()
    print(case.name)
names = [c.name for c in d.cases()]
assert len(set(names)) == len(names) and all(n.startswith("gpu ") for n in names)
assert all(c.flops or c.nbytes for c in d.cases())
"""


def test_cases_of_a_gpus_size_run():
    before = f"import fastdl as fd; fd.set_default_device({fd.get_default_device().type!r})\n"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([INSTALLED, str(ROOT / "tests"), str(ROOT)]),
        "PYTHONSAFEPATH": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", before + SMALL], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 15


@on_device
def test_measured_by_events(tmp_path):
    file = tmp_path / "bench.json"
    done = module("bench", "overhead linear, 16 to 16", "--device", "cuda", "--rounds", 1, "--json", file)
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = json.loads(file.read_text())
    assert record["level"] == "sm_90" and record["cpu"] == fd.cuda.get_device_name() and record["seconds"]["fastdl"] > 0
    done = module("bench", "overhead*", "--device", "cuda", "--rounds", 1, "--seconds", 0, "--json", file)
    assert "cases left out" in done.stdout and len(json.loads(file.read_text())) == 1


@on_device
def test_hot_kernels_agree_with_the_cpu():
    done = module("bench.hot_kernels")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("agrees with the CPU") == len(done.stdout.splitlines()) >= 20
