"""The measuring process of bench/regression.py, two of which it has run in turns."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def side():
    if not (ROOT / "bench").is_dir():
        pytest.skip("needs a checkout")
    code = f"import sys; sys.path.append({str(ROOT)!r}); from bench.regression import main; sys.exit(main(['--serve']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(line):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline().rstrip("\n")

    yield ask
    process.communicate()
    assert process.returncode == 0


def test_a_side_measures_the_cases_it_is_asked_for(side):
    name = "overhead a + b, 8 floats"
    assert name in side("names").split("\t")
    assert side(f"case\t{name}") == "ready"
    assert 0 < float(side("round")) < 1
    assert side("case\tno such case") == "KeyError: 'no such case'"
