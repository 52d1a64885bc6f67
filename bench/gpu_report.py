"""What bench/gpu_session.sh found, from the files of its steps: one JSON, and one table in Markdown.

python -m bench.gpu_report FOLDER    reads steps.tsv, device.txt, bench.json, ... there; writes gpu.json and gpu.md
"""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from .table import PEERS


def commit(root):
    found = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def steps_of(text):
    """Each line: a name, the exit status, seconds and the limit. 124: it ran past the limit; 77: it was left out."""
    words = {"0": "passed", "77": "skipped", "124": "timed out", "137": "timed out"}
    lines = (line.split("\t") for line in text.splitlines() if line)
    return [
        {"name": name, "status": words.get(code, "failed"), "exit": int(code), "seconds": float(s), "limit": float(limit)}
        for name, code, s, limit in lines
    ]  # fmt: skip


def report(folder):
    folder = Path(folder)
    read = lambda name: (folder / name).read_text() if (folder / name).exists() else ""
    measured = json.loads(read("bench.json") or "[]")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(Path(__file__).resolve().parents[1]),
        "device": read("device.txt").splitlines(),
        "steps": steps_of(read("steps.tsv")),
        "measured": measured,
    }


def table(found):
    """The lines of the Markdown table: the steps, then what was measured."""
    lines = [f"{found['date']}, commit {found['commit'][:12]}; {'; '.join(found['device'])}", ""]
    lines += ["| step | result | seconds |", "|---|---|--:|"]
    lines += [f"| {s['name']} | {s['status']} | {s['seconds']:.0f} of {s['limit']:.0f} |" for s in found["steps"]]
    if not found["measured"]:
        return [*lines, "", "Nothing was measured."]
    peers = [p for p in PEERS if any(p in r["seconds"] for r in found["measured"])]
    lines += ["", "Times by events; peers: their time over fastdl's.", ""]
    lines += [
        f"| case | time | rate |{''.join(f' vs {PEERS[p]} |' for p in peers)}",
        f"|---|--:|--:|{'--:|' * len(peers)}",
    ]
    for r in found["measured"]:
        ours = r["seconds"]["fastdl"]
        rate = f"{r['flops'] / ours / 1e12:.1f} TFLOP/s" if r["flops"] else f"{r['bytes'] / ours / 1e9:.0f} GB/s"
        ratios = "".join(f" {r['seconds'][p] / ours:.2f} |" if p in r["seconds"] else " |" for p in peers)
        lines.append(f"| {r['name']} | {ours * 1e6:.1f} us | {rate if r['flops'] or r['bytes'] else ''} |{ratios}")
    return lines


def main(folder):
    found = report(folder)
    Path(folder, "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
    lines = table(found)
    Path(folder, "gpu.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1])
