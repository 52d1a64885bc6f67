"""Cases of a GPU's size, the goals of the CUDA kernels: products, attention, convolution, norms, optimizers, recurrences."""

import numpy as np

from .cases import Case, arrays_only


def product(n, dtype, left="n", right="n"):
    """x y of n by n matrices; "t": stored transposed."""

    def build(library):
        if arrays_only(library):
            if dtype == "bfloat16":
                return None
            make = lambda: library.random.standard_normal((n, n)).astype(dtype)
        else:
            make = lambda: library.randn(n, n).to(getattr(library, dtype))
        x, y = make(), make()
        x, y = x.T if left == "t" else x, y.T if right == "t" else y
        return lambda: x @ y

    size = np.dtype("float32" if dtype == "float32" else "float16").itemsize
    return Case(f"gpu matmul {left}{right} {n} {dtype}", build, 2.0 * n**3, 3.0 * size * n * n)


def linear_gelu(n, dtype="bfloat16"):
    def build(library):
        if arrays_only(library):
            return None
        x, w, b = (library.randn(*shape).to(getattr(library, dtype)) for shape in ((n, n), (n, n), (n,)))
        F = library.nn.functional
        return lambda: F.gelu(F.linear(x, w, b))

    return Case(f"gpu linear + gelu {n} {dtype}", build, 2.0 * n**3, 6.0 * n * n)


def differentiated(name, make, flops=0.0, nbytes=0.0, share=2.5):
    """Two cases of a function: forward, and its gradients alone by the time of both. make(library): (function, leaves)."""

    def forward(library):
        if arrays_only(library):
            return None
        f, _ = make(library)
        no_grad = library.no_grad

        def run():
            with no_grad():
                return f()

        return run

    def both(library):
        if arrays_only(library):
            return None
        f, leaves = make(library)
        for leaf in leaves:
            leaf.requires_grad = True
        y = f()
        dy = library.randn(*y.shape).to(y.dtype)
        return lambda: library.autograd.grad(f(), leaves, dy)

    return [
        Case(f"gpu {name} fwd", forward, flops, nbytes),
        Case(f"gpu {name} fwdbwd", both, flops * (1 + share), nbytes * (1 + share)),
    ]


def attention(length, causal, heads=16, width=128, batch=4, dtype="bfloat16"):
    def make(library):
        q, k, v = (library.randn(batch, heads, length, width).to(getattr(library, dtype)) for _ in range(3))
        f = library.nn.functional.scaled_dot_product_attention
        return lambda: f(q, k, v, is_causal=causal), [q, k, v]

    flops = 4.0 * batch * heads * length**2 * width / (2 if causal else 1)
    return differentiated(f"attention d{width} {length}{' causal' if causal else ''}", make, flops)


def convolution(channels, size, kernel=3, batch=64, dtype="bfloat16"):
    def make(library):
        kind = getattr(library, dtype)
        x = library.randn(batch, channels, size, size).to(kind).to(memory_format=library.channels_last)
        w = library.randn(channels, channels, kernel, kernel).to(kind).to(memory_format=library.channels_last)
        return lambda: library.nn.functional.conv2d(x, w, padding=kernel // 2), [x, w]

    flops = 2.0 * batch * size**2 * channels**2 * kernel**2
    return differentiated(f"conv2d nhwc {kernel}x{kernel} {channels}@{size}", make, flops, share=2.0)


def rows(name, function, n=8192, dtype="float16"):
    def make(library):
        x = library.randn(n, n).to(getattr(library, dtype))
        return lambda: function(library.nn.functional, x), [x]

    return differentiated(f"{name} {n}x{n} {dtype}", make, nbytes=4.0 * n * n, share=1.5)


def cross_entropy(tokens=8192, words=50304, dtype="bfloat16"):
    def make(library):
        x = library.randn(tokens, words).to(getattr(library, dtype))
        y = library.randint(0, words, (tokens,))
        return lambda: library.nn.functional.cross_entropy(x, y), [x]

    return differentiated(f"cross_entropy {tokens}x{words} {dtype}", make, nbytes=2.0 * tokens * words)


def adamw(numbers=124_000_000, tensors=148):
    def build(library):
        if arrays_only(library):
            return None
        n = numbers // tensors
        parameters = [library.nn.Parameter(library.randn(n)) for _ in range(tensors)]
        for p in parameters:
            p.grad = library.randn(n)
        fused = {"fused": True} if library.__name__ == "torch" else {}
        return library.optim.AdamW(parameters, lr=1e-3, **fused).step

    return Case("gpu optim.AdamW 124M", build, nbytes=28.0 * numbers)


def recurrence(kind, width, length=128, batch=64):
    def make(library):
        layer, x = getattr(library.nn, kind)(width, width), library.randn(length, batch, width)
        return lambda: layer(x)[0], [x, *layer.parameters()]

    gates = {"LSTM": 4, "GRU": 3}[kind]
    flops = 2.0 * length * batch * gates * 2 * width * width
    return differentiated(f"nn.{kind} {width}", make, flops, share=2.0)


def gpt2(dtype="bfloat16", batch=8, length=1024, width=768, heads=12, layers=12, words=50304):
    """A training step of GPT-2's 124M configuration; fastdl's is captured."""

    def build(library):
        if arrays_only(library):
            return None
        nn, F = library.nn, library.nn.functional

        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
                self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
                self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

            def forward(self, x):
                q, k, v = self.qkv(self.ln1(x)).chunk(3, -1)
                split = lambda t: t.reshape(batch, length, heads, width // heads).transpose(1, 2)
                y = F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=True)
                x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
                return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))

        words_in, places = nn.Embedding(words, width), nn.Embedding(length, width)
        model = nn.Sequential(*[Block() for _ in range(layers)], nn.LayerNorm(width))
        parameters = [*words_in.parameters(), *places.parameters(), *model.parameters()]
        fused = {"fused": True} if library.__name__ == "torch" else {}
        optimizer = library.optim.AdamW(parameters, lr=1e-4, **fused)
        x, y = (library.randint(0, words, (batch, length)) for _ in range(2))
        positions = library.arange(length)

        def step():
            optimizer.zero_grad()
            with library.autocast("cuda", dtype=getattr(library, dtype)):
                logits = F.linear(model(words_in(x) + places(positions)), words_in.weight)
                loss = F.cross_entropy(logits.reshape(-1, words), y.reshape(-1))
            loss.backward()
            optimizer.step()
            return loss

        return library.capture(step) if hasattr(library, "capture") else step

    return Case("gpu train GPT-2 124M", build, 6.0 * 124e6 * batch * length + 12.0 * layers * width * batch * length**2)


def cases():
    """The most telling first: a run may be ended early."""
    return [
        *(product(n, "bfloat16", a, b) for n in (4096, 8192) for a, b in ("nn", "nt", "tn", "tt")),
        product(8192, "float16"),
        product(4096, "float32"),
        linear_gelu(4096),
        *(case for causal in (False, True) for case in attention(4096, causal)),
        *(case for shape in ((64, 56), (256, 14), (512, 7)) for case in convolution(*shape)),
        *rows("softmax", lambda F, x: F.softmax(x, -1)),
        *rows("layer_norm", lambda F, x: F.layer_norm(x, x.shape[-1:])),
        *cross_entropy(),
        adamw(),
        *(case for kind in ("LSTM", "GRU") for width in (256, 1024) for case in recurrence(kind, width)),
        gpt2(),
    ]
