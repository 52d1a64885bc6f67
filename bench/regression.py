"""Whether a change made anything slower: two commits measured in turns on one machine.

    python -m bench.regression BASE [HEAD] [--filter FILTER] [--threads 1] [--rounds 9] [--tolerance 0.1]

Builds both (HEAD is the working tree if it is left out), starts a process for each, and has them run every case of this
checkout's bench/cases.py in turns, A B A B. Prints the time at HEAD over the time at BASE, the median over the rounds,
and exits with 1 where that is above 1 + tolerance. A case that one of them cannot run is named and left out.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from .table import matches

ROOT = Path(__file__).resolve().parents[1]


def main(argv=None):
    options = parser().parse_args(argv)
    if options.serve:
        return serve(options.threads)
    with tempfile.TemporaryDirectory(prefix="fastdl-regression-") as folder:
        packages = [
            build(commit, Path(folder) / side) for side, commit in (("base", options.base), ("head", options.head))
        ]
        base, head = (Side(package, options.threads) for package in packages)
        slower, measured = [], 0
        for name in base.ask("names").split("\t"):
            if not matches(name, options.filter):
                continue
            replies = [side.ask(f"case\t{name}") for side in (base, head)]
            if any(r != "ready" for r in replies):
                print(f"{name:58s} left out: {' / '.join(replies)}", flush=True)
                continue
            ratio = statistics.median(
                1 / float(base.ask("round")) * float(head.ask("round")) for _ in range(options.rounds)
            )
            measured += 1
            if ratio > 1 + options.tolerance:
                slower.append(name)
            print(f"{name:58s} {ratio:6.3f}{'  slower' if name in slower[-1:] else ''}", flush=True)
    if not measured:
        print(f"no case matches {options.filter!r}", file=sys.stderr)
        return 2
    print(f"{measured} cases, {len(slower)} slower by more than {options.tolerance:.0%}")
    return 1 if slower else 0


def parser():
    p = argparse.ArgumentParser(prog="python -m bench.regression", description="Measure two commits in turns.")
    p.add_argument("base", nargs="?", default="HEAD", metavar="BASE", help="the commit to compare with (default: HEAD)")
    p.add_argument("head", nargs="?", metavar="HEAD", help="the commit in question (default: the working tree)")
    p.add_argument("--filter", default="*", help="cases whose name holds it, or matches the pattern")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--tolerance", type=float, default=0.1, help="slower by more than this is a regression")
    p.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return p


def build(commit, folder):
    """Installs fastdl as it is at a commit, or in the working tree, into a folder of its own."""
    source = ROOT
    if commit is not None:
        source = folder / "source"
        source.mkdir(parents=True)
        archive = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", source], input=archive.stdout, check=True)
    print(f"building {commit or 'the working tree'}", flush=True)
    package = folder / "package"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", package, source], check=True)
    return package


class Side:
    """One of the two, in a process of its own that answers a line with a line."""

    def __init__(self, package, threads):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), str(ROOT)]), "PYTHONSAFEPATH": "1"}
        command = [sys.executable, "-m", "bench.regression", "--serve", "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, cwd=package, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the measuring process ended with {self.process.wait()} at {line!r}")
        return answer.rstrip("\n")


def serve(threads):
    import fastdl as fd

    from .cases import cases
    from .measure import calls_for, host_timer, pin_to_one_core, settle

    fd.set_num_threads(threads)
    if threads == 1:
        pin_to_one_core()
    by_name = {c.name: c for c in cases()}
    seconds, function, calls = host_timer(threads), None, 0
    for line in sys.stdin:
        verb, _, name = line.rstrip("\n").partition("\t")
        if verb == "names":
            answer = "\t".join(by_name)
        elif verb == "case":
            try:
                function = by_name[name].build(fd)
                calls = calls_for(function, seconds)
                answer = "ready"
            except Exception as error:  # an older commit may lack what the case needs
                answer = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        else:
            function()
            answer = repr(seconds(function, calls))
            settle(threads)
        print(answer, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
