"""A decoder-only transformer: what predicts the next token from those before it, and generates by doing so."""

import math

import fastdl as fd
from fastdl import nn
from fastdl.nn import functional as F


class _Attention(nn.Module):
    """Each step's mean of the values at or before it, weighted by softmax(q k^T / sqrt(d)), in heads of size d."""

    def __init__(self, width, heads, context):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.rotary = nn.RotaryEmbedding(width // heads, length=context)

    def forward(self, x, cache):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        if cache is None:
            y = F.scaled_dot_product_attention(self.rotary(q), self.rotary(k), v, is_causal=True)
        else:
            y = cache.attend(self.rotary(q, len(cache)), self.rotary(k, len(cache)), v)
        return self.out(y.transpose(1, 2).flatten(2))


class _Block(nn.Module):
    """Attention and a feed-forward network, each of the normalized input and added to it."""

    def __init__(self, width, heads, context, dropout):
        super().__init__()
        self.norm1 = nn.RMSNorm(width)
        self.attention = _Attention(width, heads, context)
        self.norm2 = nn.RMSNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width, bias=False), nn.GELU("tanh"), nn.Linear(4 * width, width, bias=False)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, cache):
        x = x + self.dropout(self.attention(self.norm1(x), cache))
        return x + self.dropout(self.feed_forward(self.norm2(x)))


class GPT(nn.Module):
    """A stack of pre-norm transformer blocks with causal attention, rotary positions and tied embeddings.

    Shape: tokens (N, T), int64 -> logits (N, T, vocabulary) of each next token.

    Args:
        vocabulary: number of tokens.
        context: the longest sequence that it takes.
        layers: number of blocks.
        width: size of a token's vector.
        heads: of each attention; their size, width / heads, is even.
        dropout: probability of dropping an element of what a block adds.

    Forward takes ``caches``, one :class:`fastdl.nn.KVCache` a layer from :meth:`new_caches`, too: then the tokens follow
    those that the caches have seen.

    Raises:
        ValueError: a size that is not positive, or heads that do not divide the width into even parts.
        ShapeError: more than ``context`` tokens. IndexError: a token out of range.

    Source: Radford et al., "Language models are unsupervised multitask learners", 2019; Su et al., "RoFormer", 2021;
    Press and Wolf, "Using the output embedding to improve language models", 2017.

    >>> model = GPT(vocabulary=5, context=8, layers=1, width=16, heads=2)
    >>> model(fd.tensor([[0, 1, 2]])).shape
    (1, 3, 5)
    """

    def __init__(self, vocabulary, context=256, layers=4, width=256, heads=4, dropout=0.0):
        super().__init__()
        sizes = {"vocabulary": vocabulary, "context": context, "layers": layers, "width": width, "heads": heads}
        for name, size in sizes.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"GPT: {name} must be a positive int, got {size!r}")
        if width % (2 * heads):
            raise ValueError(f"GPT: width {width} does not divide into {heads} heads of an even size")
        self.config = {"type": type(self).__name__, **sizes, "dropout": dropout}
        self.context = context
        self.embedding = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(width, heads, context, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the parameters anew: N(0, 0.02), smaller for the last layers of what is added to the residual stream."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                ends_branch = name.endswith(("attention.out.weight", "feed_forward.2.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * len(self.blocks)) if ends_branch else 0.02)

    def forward(self, tokens, caches=None):
        before = len(caches[0]) if caches else 0
        if tokens.ndim != 2 or before + tokens.shape[1] > self.context:
            seen = f" after {before}" if before else ""
            raise fd.ShapeError(
                f"GPT: tokens {list(tokens.shape)}{seen}, expected [N, T] of at most {self.context} steps in all"
            )
        x = self.dropout(self.embedding(tokens))
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks)):
            x = block(x, cache)
        return F.linear(self.norm(x), self.embedding.weight)

    def new_caches(self):
        """An empty :class:`fastdl.nn.KVCache` for each layer."""
        return [nn.KVCache(self.context) for _ in self.blocks]

    def generate(self, tokens, steps, temperature=1.0, top_k=None, generator=None):
        """Yields ``steps`` tokens that follow ``tokens``, each drawn from softmax(logits / temperature).

        Keys and values of earlier steps are kept, so a step costs one token's forward pass. Once ``context`` tokens are
        behind it, the model goes on from the last half of them.

        Args:
            tokens: list of ints, at least one; only the last ``context`` count.
            temperature: 0 takes the likeliest token; below 1 favours likely ones.
            top_k: draw among the k likeliest tokens only.
            generator: of the draws; the default one if None.

        Raises:
            ValueError: no tokens, a negative temperature, or a top_k below 1. IndexError: a token out of range.

        >>> model = GPT(vocabulary=5, context=8, layers=1, width=16, heads=2)
        >>> len(list(model.generate([0], 20, top_k=2)))
        20
        """
        tokens = list(tokens)
        if not tokens:
            raise ValueError("GPT.generate: expected at least one token to go on from")
        if not (temperature >= 0 and math.isfinite(temperature)):
            raise ValueError(f"GPT.generate: temperature must be finite and at least 0, got {temperature}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"GPT.generate: top_k must be at least 1, got {top_k}")
        return self._generate(tokens[-self.context :], steps, temperature, top_k, generator)

    def _generate(self, seen, steps, temperature, top_k, generator):
        device = self.embedding.weight.device
        caches, new = self.new_caches(), seen
        for _ in range(steps):
            if len(caches[0]) + len(new) > self.context:
                caches, new = self.new_caches(), seen[-max(self.context // 2, 1) :]
            with fd.inference_mode():
                logits = self(fd.tensor([new]).to(device=device), caches)[0, -1].float().cpu()
                token = _draw(logits, temperature, top_k, generator)
            seen, new = [*seen[1 - self.context :], token], [token]
            yield token


def _draw(logits, temperature, top_k, generator):
    if temperature == 0:
        return logits.argmax().item()
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k)[0][-1], -math.inf)
    return fd.multinomial((logits / temperature).softmax(0), 1, generator=generator).item()
