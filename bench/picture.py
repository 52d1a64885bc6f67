"""The results of `--json FILE` as a picture: shares of the bound per group beside the peers', and the roofline."""

import statistics

from fastdl.extras import require

from .table import PEERS

Figure = require("matplotlib.figure", "fastdl bench --picture").Figure
COLOURS = {"fastdl": "#1b6ca8", "numpy": "#bdbdbd", "torch": "#e8743b"}
NAMES = {"fastdl": "fastdl", **PEERS}
ELEMENTWISE = {"add", "mul", "div", "exp", "log", "tanh", "relu", "gelu"}


def group_of(name):
    """What a case counts to: its op; the elementwise ones together."""
    op = name.split()[0].removeprefix("nn.")
    return "elementwise" if op in ELEMENTWISE else op.replace("scaled_dot_product_attention", "attention")


def picture(records, path):
    """Writes the picture of the records of one number of threads for each row of axes.

    Raises:
        ValueError: no record has a bound.
    """
    records = [r for r in records if r["share"] is not None]
    if not records:
        raise ValueError("no case in the results has a bound to draw")
    threads = sorted({r["threads"] for r in records})
    figure = Figure(figsize=(15, 6.5 * len(threads)), layout="constrained")
    for row, (bars, roof) in zip(threads, figure.subplots(len(threads), 2, squeeze=False), strict=True):
        of_row = [r for r in records if r["threads"] == row]
        draw_groups(bars, of_row)
        draw_roofline(roof, of_row)
        bars.set_title(f"share of the bound, {row} thread{'s' * (row > 1)}")
        roof.set_title(f"roofline, {row} thread{'s' * (row > 1)}")
    cpus = " and ".join(sorted({f"{r['cpu']}, level {r['level']}" for r in records}))
    figure.suptitle(f"fastdl bench on {cpus}")
    figure.savefig(path, dpi=110, format="png")


def draw_groups(axes, records):
    """Bars of the geometric mean over each group's cases: ours, and each peer's over the cases that it has."""
    groups = list(dict.fromkeys(group_of(r["name"]) for r in records))
    libraries = [name for name in COLOURS if any(name in r["seconds"] for r in records)]
    height = 0.8 / len(libraries)
    for i, library in enumerate(libraries):
        at, width = [], []
        for y, group in enumerate(groups):
            shares = [
                r["share"] * r["seconds"]["fastdl"] / r["seconds"][library]
                for r in records
                if group_of(r["name"]) == group and library in r["seconds"]
            ]
            if shares:
                at.append(y + (i - (len(libraries) - 1) / 2) * height)
                width.append(100 * statistics.geometric_mean(shares))
        axes.barh(at, width, height, color=COLOURS[library], label=NAMES[library])
    axes.set_yticks(range(len(groups)), groups)
    axes.invert_yaxis()
    axes.axvline(100, color="black", linewidth=0.8)
    axes.set_xlabel("% of the multiply-add peak or the copy bandwidth, whichever binds (geometric mean)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, frameon=False)


def draw_roofline(axes, records):
    """Operations a second over operations a byte. A case without operations counts one for each four bytes."""
    peak = statistics.median(r["peak_flops"] for r in records)
    bandwidth = statistics.median(r["copy_bytes_per_second"] for r in records if r["copy_bytes_per_second"])
    points = {}
    for r in records:
        flops = r["flops"] or r["bytes"] / 4
        intensity = flops / r["bytes"] if r["bytes"] else 1e3  # no bytes given: far right
        points.setdefault(group_of(r["name"]), []).append((intensity, flops / r["seconds"]["fastdl"] / 1e9))
    low = min(x for xs in points.values() for x, _ in xs) / 2
    high = max(2e3, 2 * max(x for xs in points.values() for x, _ in xs))
    ridge = peak / bandwidth
    axes.plot([low, ridge, high], [low * bandwidth / 1e9, peak / 1e9, peak / 1e9], color="black", linewidth=1)
    for i, (group, xy) in enumerate(points.items()):
        axes.scatter(*zip(*xy, strict=True), s=28, marker="osD^vP*X"[i % 8], color=f"C{i % 10}", label=group)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("floating-point operations a byte")
    axes.set_ylabel("GFLOP/s")
    axes.legend(fontsize=7, ncols=2, loc="lower right")
