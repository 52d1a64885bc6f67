"""The command: `fastdl bench [FILTER] [--vs numpy,torch] [--threads 1,2] [--json FILE] [--picture FILE] [--device cuda]`,
and `fastdl bench [FILTER] --table FILE`, which prints such a JSON file as a Markdown table.

Each line gives the rate, its share of the multiply-add peak or of the copy bandwidth (whichever binds, both measured in
the same rounds) and, for each peer, how many times longer it takes.
"""

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .table import PEERS, matches, table

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "FASTDL_NUM_THREADS")


def main(argv=None):
    options = parser().parse_args(argv)
    if options.worker:
        return work(options)
    draw = drawing(options.picture)
    if options.table:
        records = json.loads(Path(options.table).read_text())
        print("\n".join(table(records, None if options.filter == "*" else options.filter)))
        draw(records)
        return 0
    if options.list:
        print("\n".join(c.name for c in cases_for(options.device)))
        return 0
    peers = [p for p in options.vs.split(",") if p]
    for peer in peers:
        if peer not in PEERS:
            raise ValueError(f"--vs {peer}: expected {', '.join(PEERS)}")
        if importlib.util.find_spec(peer) is None:
            print(f"{peer} is not installed: left out")
    records = []
    for threads in thread_counts(options.threads):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            if code := run_worker(options, threads, file.name):
                return code
            records += json.loads(Path(file.name).read_text())
    if options.json:
        Path(options.json).write_text(json.dumps(records, indent=1) + "\n")
    draw(records)
    return 0


def cases_for(device):
    """What is measured on a device: all cases and, on a GPU, those of its size."""
    from .cases import cases

    if device == "cpu":
        return cases()
    from .device_cases import cases as device_cases

    return [*device_cases(), *cases()]


def drawing(path):
    """A function that draws records there. What it needs is imported now, not after minutes of measuring."""
    if not path:
        return lambda records: None
    from .picture import picture

    return lambda records: picture(records, path)


def parser():
    p = argparse.ArgumentParser(
        prog="fastdl bench", description="Measure kernels against the machine's peak, and peers."
    )
    p.add_argument(
        "filter", nargs="?", default="*", metavar="FILTER", help="cases whose name holds it, or matches the pattern"
    )
    p.add_argument("--vs", default="", metavar="PEERS", help="of numpy, torch and cupy: measured in turns with fastdl")
    p.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where (default: cpu)")
    p.add_argument("--threads", default="1", metavar="N[,N]", help="thread counts (default: 1)")
    p.add_argument("--rounds", type=int, default=7, help="rounds, of which the median counts (default: 7)")
    p.add_argument("--seconds", type=float, default=float("inf"), help="start no case after that time")
    p.add_argument("--json", metavar="FILE", help="write the results there")
    p.add_argument("--table", metavar="FILE", help="print the results that --json wrote there as a Markdown table")
    p.add_argument("--picture", metavar="FILE", help="draw the results, or those of --table, there (PNG)")
    p.add_argument("--list", action="store_true", help="print the names of the cases")
    p.add_argument("--worker", metavar="FILE", help=argparse.SUPPRESS)
    return p


def thread_counts(text):
    try:
        counts = [int(n) for n in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        raise ValueError(f"--threads {text}: expected numbers of at least 1, separated by commas")
    return counts


def run_worker(options, threads, file):
    """A process of its own for each thread count: the peers read theirs when they are imported."""
    root = str(Path(__file__).resolve().parents[__package__.count(".") + 1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    command = [sys.executable, "-P", "-m", __package__, options.filter, "--vs", options.vs, "--threads", str(threads)]
    command += ["--rounds", str(options.rounds), "--device", options.device, "--seconds", str(options.seconds)]
    command += ["--worker", file]
    return subprocess.run(command, env=environment).returncode


def work(options):
    from .measure import compare, level, pin_to_one_core

    started, threads = time.monotonic(), int(options.threads)
    if threads == 1:
        pin_to_one_core()
    libraries = load(options.vs.split(","), threads, options.device)
    chosen = [c for c in cases_for(options.device) if matches(c.name, options.filter)]
    if not chosen:
        print(f"no case matches {options.filter!r}; --list prints the names", file=sys.stderr)
        return 1
    print(f"level {level()}, {threads} thread{'s' * (threads > 1)}; peers: their time over ours")
    records = []
    for case in chosen:
        contenders = {name: f for name, library in libraries.items() if (f := built(case, name, library)) is not None}
        result = compare(case, contenders, threads, options.rounds)
        print(result.line(), flush=True)
        records.append(result.record())
        if time.monotonic() - started > options.seconds:
            print(f"{len(chosen) - len(records)} cases left out: the {options.seconds} seconds are over")
            break
    Path(options.worker).write_text(json.dumps(records))
    return 0


def built(case, name, library):
    """The function to time. A peer that fails is left out, and says why; fastdl must not."""
    try:
        f = case.build(library)
        if f is not None and name not in ("fastdl", "numpy"):
            f()
    except Exception as error:
        if name == "fastdl":
            raise
        print(f"{case.name}: {name} is left out: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
        return None
    return f


def load(peers, threads, device="cpu"):
    libraries = {"fastdl": importlib.import_module("fastdl")}
    libraries["fastdl"].set_num_threads(threads)
    if device != "cpu":
        libraries["fastdl"].set_default_device(device)
    for name in peers:
        if name and importlib.util.find_spec(name) is not None:
            libraries[name] = importlib.import_module(name)
            if name == "torch":
                libraries[name].set_num_threads(threads)
                libraries[name].set_default_device(device)
    return libraries


if __name__ == "__main__":
    sys.exit(main())
