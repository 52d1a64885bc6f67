"""Transformer encoders and decoders."""

import copy

import fastdl
from fastdl.nn import functional as F
from fastdl.nn import init
from fastdl.nn.attention import MultiheadAttention
from fastdl.nn.containers import ModuleList
from fastdl.nn.dropout import Dropout
from fastdl.nn.linear import Linear
from fastdl.nn.module import Module
from fastdl.nn.normalization import LayerNorm


def _activation(activation):
    if callable(activation):
        return activation
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return F.relu if activation == "relu" else F.gelu


def generate_square_subsequent_mask(sz, device=None, dtype=None):
    """The causal mask (sz, sz): 0 on and below the diagonal, -inf above.

    >>> nn.transformer.generate_square_subsequent_mask(2).tolist()
    [[0.0, -inf], [0.0, 0.0]]
    """
    return fastdl.full((sz, sz), float("-inf"), dtype=dtype or fastdl.get_default_dtype(), device=device).triu(1)


class TransformerEncoderLayer(Module):
    """x = norm1(x + attention(x)); x = norm2(x + feed_forward(x)); with norm_first, each norm is inside its branch.

    Args:
        d_model: E, the size of x's last dimension.
        nhead: heads of the attention.
        dim_feedforward: the hidden size of the feed-forward part.
        dropout: after attention, activation and feed-forward, and of the attention weights.
        activation: "relu", "gelu" or a function.
        layer_norm_eps: added to the norms' variance.
        batch_first: x is (N, T, E) in place of (T, N, E).
        norm_first: normalize before each branch, not after it.
        bias: of all linear layers and norms.

    Forward takes ``src``, ``src_mask``, ``src_key_padding_mask`` and ``is_causal`` as :class:`MultiheadAttention` does.

    Source: Vaswani et al., "Attention is all you need", 2017.

    >>> nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)(fd.randn(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation=F.relu, layer_norm_eps=1e-5,
                 batch_first=False, norm_first=False, bias=True, device=None, dtype=None):  # fmt: skip
        super().__init__()
        factory = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **factory)
        self.linear1 = Linear(d_model, dim_feedforward, **factory)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **factory)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, **factory)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, **factory)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _activation(activation)

    def _attend(self, x, mask, padding, is_causal):
        x, _ = self.self_attn(
            x, x, x, attn_mask=mask, key_padding_mask=padding, need_weights=False, is_causal=is_causal
        )
        return self.dropout1(x)

    def _feed_forward(self, x):
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        x = src
        if self.norm_first:
            x = x + self._attend(self.norm1(x), src_mask, src_key_padding_mask, is_causal)
            return x + self._feed_forward(self.norm2(x))
        x = self.norm1(x + self._attend(x, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(x + self._feed_forward(x))


class TransformerEncoder(Module):
    """``num_layers`` copies of a layer, one after the other.

    Args:
        encoder_layer: a :class:`TransformerEncoderLayer`; the copies start with its values.
        num_layers: how many.
        norm: a last normalization.
        enable_nested_tensor, mask_check: accepted and without effect.

    >>> layer = nn.TransformerEncoderLayer(8, 2, 16)
    >>> nn.TransformerEncoder(layer, 2)(fd.randn(5, 3, 8)).shape
    (5, 3, 8)
    """

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        super().__init__()
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoderLayer(Module):
    """x = norm1(x + self_attention(x)); x = norm2(x + attention(x, memory)); x = norm3(x + feed_forward(x)).

    Arguments as :class:`TransformerEncoderLayer`. Forward takes ``tgt``, ``memory``, a mask and a key padding mask for
    each (``tgt_mask``, ``memory_mask``, ...), and ``tgt_is_causal``, ``memory_is_causal``.

    Source: Vaswani et al., "Attention is all you need", 2017.

    >>> layer = nn.TransformerDecoderLayer(8, 2, 16)
    >>> layer(fd.randn(4, 3, 8), fd.randn(5, 3, 8)).shape
    (4, 3, 8)
    """

    def __init__(self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation=F.relu, layer_norm_eps=1e-5,
                 batch_first=False, norm_first=False, bias=True, device=None, dtype=None):  # fmt: skip
        super().__init__()
        factory = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **factory)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **factory)
        self.linear1 = Linear(d_model, dim_feedforward, **factory)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **factory)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, **factory)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, **factory)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, **factory)
        self.dropout1, self.dropout2, self.dropout3 = Dropout(dropout), Dropout(dropout), Dropout(dropout)
        self.activation = _activation(activation)

    def _feed_forward(self, x):
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))

    def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None,
                tgt_is_causal=False, memory_is_causal=False):  # fmt: skip
        def attend(x):
            y, _ = self.self_attn(
                x,
                x,
                x,
                attn_mask=tgt_mask,
                key_padding_mask=tgt_key_padding_mask,
                need_weights=False,
                is_causal=tgt_is_causal,
            )
            return self.dropout1(y)

        def attend_memory(x):
            y, _ = self.multihead_attn(
                x,
                memory,
                memory,
                attn_mask=memory_mask,
                key_padding_mask=memory_key_padding_mask,
                need_weights=False,
                is_causal=memory_is_causal,
            )
            return self.dropout2(y)

        x = tgt
        for norm, branch in ((self.norm1, attend), (self.norm2, attend_memory), (self.norm3, self._feed_forward)):
            x = x + branch(norm(x)) if self.norm_first else norm(x + branch(x))
        return x


class TransformerDecoder(Module):
    """``num_layers`` copies of a layer, one after the other.

    Args:
        decoder_layer: a :class:`TransformerDecoderLayer`; the copies start with its values.
        num_layers: how many.
        norm: a last normalization.

    >>> layer = nn.TransformerDecoderLayer(8, 2, 16)
    >>> nn.TransformerDecoder(layer, 2)(fd.randn(4, 3, 8), fd.randn(5, 3, 8)).shape
    (4, 3, 8)
    """

    def __init__(self, decoder_layer, num_layers, norm=None):
        super().__init__()
        self.layers = ModuleList(copy.deepcopy(decoder_layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None,
                tgt_is_causal=None, memory_is_causal=False):  # fmt: skip
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder over the source, and a decoder over the target and the encoder's output.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: of all layers,
            see :class:`TransformerEncoderLayer`.
        num_encoder_layers, num_decoder_layers: how many.
        custom_encoder, custom_decoder: modules to use in their place.

    Forward takes ``src`` (S, N, E) and ``tgt`` (T, N, E), masks and key padding masks of each (``src_mask``, ``tgt_mask``,
    ``memory_mask``, ``src_key_padding_mask``, ...) and ``src_is_causal``, ``tgt_is_causal``, ``memory_is_causal``.

    Parameters: those of ``encoder`` and ``decoder``; matrices are drawn by :func:`fastdl.nn.init.xavier_uniform_`.

    Raises:
        ShapeError: src and tgt differ in batch or E.

    Source: Vaswani et al., "Attention is all you need", 2017.

    >>> net = nn.Transformer(8, 2, 1, 1, 16)
    >>> net(fd.randn(5, 3, 8), fd.randn(4, 3, 8)).shape
    (4, 3, 8)
    """

    def __init__(self, d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6, dim_feedforward=2048, dropout=0.1,
                 activation=F.relu, custom_encoder=None, custom_decoder=None, layer_norm_eps=1e-5, batch_first=False,
                 norm_first=False, bias=True, device=None, dtype=None):  # fmt: skip
        super().__init__()
        factory = {"bias": bias, "device": device, "dtype": dtype}
        layer = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)

        def norm():
            return LayerNorm(d_model, eps=layer_norm_eps, **factory)

        self.encoder, self.decoder = custom_encoder, custom_decoder
        if custom_encoder is None:
            self.encoder = TransformerEncoder(TransformerEncoderLayer(*layer, **factory), num_encoder_layers, norm())
        if custom_decoder is None:
            self.decoder = TransformerDecoder(TransformerDecoderLayer(*layer, **factory), num_decoder_layers, norm())
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self._reset_parameters()

    def _reset_parameters(self):
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(self, src, tgt, src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None,
                tgt_key_padding_mask=None, memory_key_padding_mask=None, src_is_causal=None, tgt_is_causal=None,
                memory_is_causal=False):  # fmt: skip
        batch = 0 if self.batch_first else 1
        if src.ndim != tgt.ndim or src.ndim not in (2, 3) or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch]):
            raise fastdl.ShapeError(f"Transformer: src {list(src.shape)} and tgt {list(tgt.shape)} need one batch")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise fastdl.ShapeError(
                f"Transformer: src {list(src.shape)} and tgt {list(tgt.shape)} need last dimension d_model = {self.d_model}"
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz, device=None, dtype=None):
        """The causal mask (sz, sz): 0 on and below the diagonal, -inf above."""
        return generate_square_subsequent_mask(sz, device, dtype)
