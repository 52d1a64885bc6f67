"""Every hot kernel of the GPU once, on shapes that no tile divides, checked against the CPU: what compute-sanitizer watches.

$ compute-sanitizer --tool memcheck python -m bench.hot_kernels
"""

import sys

import fastdl as fd
import fastdl.nn.functional as F

TOLERANCE = {"float32": 2e-3, "float16": 2e-2, "bfloat16": 1e-1}  # of the largest value


def random(*shape):
    return fd.randn(*shape, device="cpu")


def attention(causal):
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def lstm(x):
    fd.manual_seed(0)
    layer = fd.nn.LSTM(x.shape[-1], 40)
    for p in layer.parameters():  # the same on both devices: random numbers are
        p.requires_grad = False
    return layer.to(device=x.device)(x)[0]


def adamw(x):
    p = fd.nn.Parameter(x.detach().clone())
    p.grad = x.detach() * 0.5
    optimizer = fd.optim.AdamW([p], lr=0.1)
    optimizer.step()
    return p.detach() + 0 * x


# A name, the function, its floating-point arguments and the dtypes.
CASES = [
    ("matmul", lambda a, b: a @ b, [random(65, 129), random(129, 67)], ("float32", "float16", "bfloat16")),
    ("matmul of batches", lambda a, b: a @ b.mT, [random(3, 130, 72), random(3, 65, 72)], ("float32", "bfloat16")),
    ("linear", F.linear, [random(33, 72), random(130, 72), random(130)], ("float32", "bfloat16")),
    ("attention", attention(False), [random(2, 3, 65, 64) for _ in range(3)], ("float32", "bfloat16")),
    ("causal attention", attention(True), [random(1, 2, 130, 128) for _ in range(3)], ("float16",)),
    ("conv2d", lambda x, w: F.conv2d(x, w, padding=1), [random(2, 16, 9, 9), random(24, 16, 3, 3)], ("float32", "bfloat16")),
    ("max_pool2d", lambda x: F.max_pool2d(x, 3, 2), [random(2, 5, 13, 13)], ("float32",)),
    ("softmax", lambda x: F.softmax(x, -1), [random(7, 1029)], ("float32", "float16")),
    ("layer_norm", lambda x, w: F.layer_norm(x, (129,), w), [random(65, 129), random(129)], ("float32",)),
    ("batch_norm", lambda x: F.batch_norm(x, None, None, training=True), [random(9, 7, 5, 5)], ("float32",)),
    ("cross_entropy", lambda x: F.cross_entropy(x, fd.arange(33, device=x.device)), [random(33, 1001)], ("float32", "bfloat16")),
    ("embedding", lambda w: F.embedding(fd.arange(65, device=w.device) % 7, w), [random(11, 37)], ("float32",)),
    ("sum", lambda x: x.sum(0) + x.amax(0), [random(257, 129)], ("float32",)),
    ("cumsum", lambda x: x.cumsum(0), [random(129, 65)], ("float32",)),
    ("LSTM", lstm, [random(5, 3, 24)], ("float32",)),
    ("AdamW", adamw, [random(4097)], ("float32",)),
]  # fmt: skip


def run(function, arguments, device, dtype):
    """The result and its gradients, in float32 on the CPU."""
    leaves = [a.to(device=device, dtype=getattr(fd, dtype)).requires_grad_() for a in arguments]
    out = function(*leaves)
    fd.manual_seed(1)
    gradients = fd.autograd.grad(out, leaves, random(*out.shape).to(device=device, dtype=out.dtype))
    return [t.detach().float().cpu() for t in (out, *gradients)]


def main():
    before, failed = fd.get_default_device(), 0
    fd.set_default_device("cuda")
    try:
        for name, function, arguments, dtypes in CASES:
            for dtype in dtypes:
                expected = run(function, arguments, "cpu", dtype)
                worst = 0.0
                for got, want in zip(run(function, arguments, "cuda", dtype), expected, strict=True):
                    error = (got - want).abs().max().item() / max(want.abs().max().item(), 1e-6)
                    worst = max(worst, error if error == error else float("inf"))
                fine = worst <= TOLERANCE[dtype]
                failed += not fine
                print(f"{name} {dtype}: {'agrees with' if fine else 'DIFFERS from'} the CPU by {worst:.1e}", flush=True)
    finally:
        fd.set_default_device(before)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
