"""The cases as pytest-benchmark benchmarks: `pytest bench`; filter with -k, compare runs with --benchmark-compare."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for the package bench; an installed fastdl comes first

import fastdl as fd
from bench.cases import cases

CASES = [c for c in cases() if "2048" not in c.name]


@pytest.fixture(autouse=True)
def one_thread():
    before = fd.get_num_threads()
    fd.set_num_threads(1)
    yield
    fd.set_num_threads(before)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_case(benchmark, case):
    benchmark.extra_info.update(flops=case.flops, bytes=case.nbytes)
    benchmark.pedantic(case.build(fd), rounds=3, iterations=1, warmup_rounds=1)
