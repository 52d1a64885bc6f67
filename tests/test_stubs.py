"""fastdl/_C.pyi says what the extension has."""

import subprocess
import sys
from pathlib import Path


def test_stub_is_up_to_date(tmp_path):
    script = Path(__file__).resolve().parents[1] / ".ci" / "stubs.py"
    done = subprocess.run([sys.executable, str(script), "--check"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
