"""The results of `--json FILE` as a Markdown table: shares of the bound and ratios to the peers, side by side for each
number of threads."""

import fnmatch

# What the table shows when no filter is given; the other cases are variations of these.
REPRESENTATIVE = (
    "matmul nn 256x256x256", "matmul nn 1024x1024x1024*", "matmul nn 8x1024x4096", "matmul nn 64x128x128x64", "linear *",
    "conv2d 3x3 64->64*", "conv2d 1x1*", "conv2d 3x3/2*fwd", "conv2d 3x3 depthwise*",
    "scaled_dot_product_attention 2x12*", "scaled_dot_product_attention 8x8x256x64 causal*", "nn.LSTM*", "nn.GRU*fwd",
    "softmax*", "layer_norm*", "batch_norm*", "max_pool2d*fwdbwd", "embedding*", "cross_entropy*",
    "add 1e7", "exp 1e7", "gelu*", "sum*", "optim.*", "train *", "overhead *",
)  # fmt: skip
PEERS = {"numpy": "NumPy", "torch": "PyTorch", "cupy": "CuPy"}


def matches(name, pattern):
    """Whether a case's name holds the pattern or, if that has wildcards, is like it."""
    return fnmatch.fnmatchcase(name, pattern if any(c in pattern for c in "*?[") else f"*{pattern}*")


def table(records, pattern=None):
    """The lines of the table."""
    patterns = (pattern,) if pattern else REPRESENTATIVE
    order = {r["name"]: next((i for i, p in enumerate(patterns) if matches(r["name"], p)), None) for r in records}
    names = sorted((n for n in order if order[n] is not None), key=order.get)
    if not names:
        raise ValueError(f"no case in the file matches {pattern or 'the table'!r}")
    threads = sorted({r["threads"] for r in records})
    peers = [p for p in PEERS if any(p in r["seconds"] for r in records)]
    by_case = {(r["name"], r["threads"]): r for r in records}
    heads = ["case"] + [
        label for count in threads
        for label in (f"{count} thread{'s' * (count > 1)}", *(f"vs {PEERS[p]}" for p in peers))
    ]  # fmt: skip
    lines = [
        f"{' and '.join(sorted({r['cpu'] for r in records}))}, level {' and '.join(sorted({r['level'] for r in records}))};"
        " shares of the float32 multiply-add peak or of the copy bandwidth of the same run, whichever binds; peers: their time"
        " over fastdl's.",
        "",
        f"| {' | '.join(heads)} |",
        f"|---|{'--:|' * (len(heads) - 1)}",
    ]
    for name in names:
        cells = [cell for count in threads for cell in cells_of(by_case.get((name, count)), peers)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def cells_of(record, peers):
    """Share of the bound, or the time where nothing binds; then the ratio to each peer."""
    if record is None:
        return [""] * (1 + len(peers))
    ours = record["seconds"]["fastdl"]
    share = f"{ours * 1e6:.2f} us" if record["share"] is None else f"{100 * record['share']:.0f} % {record['bound']}"
    return [share, *(f"{record['seconds'][p] / ours:.2f}x" if p in record["seconds"] else "" for p in peers)]
