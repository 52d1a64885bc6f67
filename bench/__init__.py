"""The benchmarks: every case of the op table (tests/opdb.py), optimizers, training steps, overheads.

`python -m bench` in a checkout; `fastdl bench` from a wheel, which carries this folder
and the op table as fastdl.bench.
"""

import sys
from pathlib import Path

_here = Path(__file__).resolve().parent
_root = _here.parent

# In a checkout whose extension is not built in place, fastdl is the installed one, not the source folder.
if not any((_root / "fastdl").glob("_C*.so")):
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _root]

sys.path.append(str(_here if (_here / "opdb.py").exists() else _root / "tests"))
