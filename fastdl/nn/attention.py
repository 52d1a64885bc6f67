"""Multi-head attention."""

import fastdl
from fastdl.nn import functional as F
from fastdl.nn import init
from fastdl.nn.linear import Linear
from fastdl.nn.module import Module
from fastdl.nn.parameter import Parameter


class MultiheadAttention(Module):
    """Concatenated heads softmax(Q_i K_i^T / sqrt(d)) V_i, projected; Q, K and V are projections of the inputs.

    Args:
        embed_dim: E, the sum of the heads' sizes d.
        num_heads: how many; they divide E.
        dropout: of the attention weights, in training.
        bias: of all projections.
        add_bias_kv: a trained key and value after the given ones.
        add_zero_attn: a zero key and value after the given ones.
        kdim, vdim: sizes of keys' and values' last dimension, E when left out.
        batch_first: inputs and output are (N, T, ...) in place of (T, N, ...).

    Shapes: query (T, N, E) or (T, E), key (S, N, kdim), value (S, N, vdim), output as query. ``key_padding_mask`` (N, S)
    and ``attn_mask`` (T, S) or (N heads, T, S): true is left out, floats are added. ``is_causal`` says that attn_mask is
    the causal one. ``need_weights`` also returns the weights (N, T, S), or per head (N, heads, T, S) with
    ``average_attn_weights=False``; without, the second result is None and no T x S matrix is made.

    Parameters: ``in_proj_weight`` (3 E, E), or ``q_proj_weight``, ``k_proj_weight``, ``v_proj_weight`` where kdim or vdim
    differ, ``in_proj_bias`` (3 E,), ``out_proj``.

    Raises:
        ValueError: E does not divide by num_heads. ShapeError: inputs or masks do not fit.

    Source: Vaswani et al., "Attention is all you need", 2017.

    >>> attention = nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = fd.randn(3, 5, 8)
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, kdim=None,
                 vdim=None, batch_first=False, device=None, dtype=None):  # fmt: skip
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(f"embed_dim and num_heads must be greater than 0, got {embed_dim} and {num_heads}")
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim ({embed_dim}) must be divisible by num_heads ({num_heads})")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim

        def new(*shape):
            return Parameter(fastdl.empty(*shape, device=device, dtype=dtype))

        together = self._qkv_same_embed_dim
        self.register_parameter("q_proj_weight", None if together else new(embed_dim, embed_dim))
        self.register_parameter("k_proj_weight", None if together else new(embed_dim, self.kdim))
        self.register_parameter("v_proj_weight", None if together else new(embed_dim, self.vdim))
        self.register_parameter("in_proj_weight", new(3 * embed_dim, embed_dim) if together else None)
        self.register_parameter("in_proj_bias", new(3 * embed_dim) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.bias_k = new(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = new(1, 1, embed_dim) if add_bias_kv else None
        self._reset_parameters()

    def _reset_parameters(self):
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True,
                is_causal=False):  # fmt: skip
        batched = query.ndim == 3
        if self.batch_first and batched:
            same_kv, same_qk = value is key, key is query
            query = query.transpose(0, 1)
            key = query if same_qk else key.transpose(0, 1)
            value = key if same_kv else value.transpose(0, 1)
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(0, 1) if self.batch_first and batched else output), weights
