"""Scaled dot-product and multi-head attention."""

import math

import fastdl
from fastdl import _C
from fastdl.nn.functional.activation import softmax
from fastdl.nn.functional.dropout import dropout
from fastdl.nn.functional.linear import linear
from fastdl.nn.functional.padding import pad

__all__ = [
    "multi_head_attention_forward",
    "scaled_dot_product_attention",
]


def _float_mask(name, mask, query, expected):
    """A mask as floats to add: a boolean one is -inf where it is true."""
    if mask is None:
        return None
    if mask.shape not in expected:
        raise fastdl.ShapeError(
            f"{name}: shape {list(mask.shape)}, expected {' or '.join(str(list(s)) for s in expected)}"
        )
    if mask.dtype == fastdl.bool:
        return fastdl.zeros(*mask.shape, dtype=query.dtype, device=query.device).masked_fill(mask, float("-inf"))
    return mask.to(query.dtype)


def _project(query, key, value, weight, bias):
    """The projections to Q, K and V by one packed weight (3 E, E): one product where the inputs are the same."""
    size = query.shape[-1]
    if key is value:
        if query is key:
            return linear(query, weight, bias).chunk(3, -1)
        k, v = linear(key, weight[size:], None if bias is None else bias[size:]).chunk(2, -1)
        return linear(query, weight[:size], None if bias is None else bias[:size]), k, v
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), weight.chunk(3), biases))


def multi_head_attention_forward(
    query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn, dropout_p,
    out_proj_weight, out_proj_bias, training=True, key_padding_mask=None, need_weights=True, attn_mask=None,
    use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None,
    average_attn_weights=True, is_causal=False,
):  # fmt: skip
    """Multi-head attention; see :class:`fastdl.nn.MultiheadAttention`, whose forward it is.

    Args:
        query, key, value: (T, N, E), (S, N, kdim), (S, N, vdim), or without N.
        static_k, static_v: keys and values (N heads, S, E / heads) to use in place of the projected ones.

    Returns:
        The output, shaped as query, and the weights (N, T, S) or None.

    Raises:
        ShapeError: inputs or masks do not fit. ValueError: is_causal without attn_mask.
    """
    op = "multi_head_attention"
    batched = query.ndim == 3
    if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
        shapes = ", ".join(str(list(t.shape)) for t in (query, key, value))
        raise fastdl.ShapeError(f"{op}: query, key and value must all be 2-d or all 3-d, got {shapes}")
    if not batched:
        same_kv, same_qk = value is key, key is query
        query = query.unsqueeze(1)
        key = query if same_qk else key.unsqueeze(1)
        value = key if same_kv else value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    target, batch, size = query.shape
    source = key.shape[0]
    if size != embed_dim_to_check:
        raise fastdl.ShapeError(f"{op}: query {list(query.shape)} needs last dimension {embed_dim_to_check}")
    if key.shape[:2] != value.shape[:2] or key.shape[1] != batch:
        raise fastdl.ShapeError(
            f"{op}: key {list(key.shape)} and value {list(value.shape)} must have the same length, and the batch of "
            f"query {list(query.shape)}"
        )
    if is_causal and attn_mask is None:
        raise fastdl.ValueError(f"{op}: is_causal needs attn_mask")
    head = size // num_heads
    per_head = (batch * num_heads, target, source)
    mask = _float_mask(f"{op}: attn_mask", attn_mask, query, ((target, source), per_head))
    padding = _float_mask(f"{op}: key_padding_mask", key_padding_mask, query, ((batch, source),))

    if use_separate_proj_weight:
        biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))
    else:
        q, k, v = _project(query, key, value, in_proj_weight, in_proj_bias)
    extra = 0
    if bias_k is not None:
        k, v = (fastdl.cat((t, b.expand(1, batch, size))) for t, b in ((k, bias_k), (v, bias_v)))
        extra += 1

    def split(t):  # (L, N, E) to (N, heads, L, head)
        return t.unflatten(-1, (num_heads, head)).permute(1, 2, 0, 3)

    q = split(q)
    k = split(k) if static_k is None else static_k.unflatten(0, (batch, num_heads))
    v = split(v) if static_v is None else static_v.unflatten(0, (batch, num_heads))
    if add_zero_attn:
        zero = fastdl.zeros(batch, num_heads, 1, head, dtype=k.dtype, device=k.device)
        k, v = fastdl.cat((k, zero), 2), fastdl.cat((v, zero), 2)
        extra += 1
    causal_alone = is_causal and not need_weights and padding is None and not extra
    if causal_alone:
        mask = None  # the kernel knows the causal mask
    if mask is not None:
        mask = mask.unflatten(0, (batch, num_heads)) if mask.ndim == 3 else mask
    if padding is not None:
        padding = padding.view(batch, 1, 1, source)
        mask = padding if mask is None else mask + padding
    if mask is not None and extra:
        mask = pad(mask, (0, extra))
    if not training:
        dropout_p = 0.0

    if need_weights:
        scores = (q * (1.0 / math.sqrt(head))) @ k.transpose(-2, -1)
        weights = softmax(scores if mask is None else scores + mask, -1)
        if dropout_p > 0.0:
            weights = dropout(weights, dropout_p)
        y = weights @ v
        if average_attn_weights:
            weights = weights.mean(1)
    else:
        weights = None
        y = scaled_dot_product_attention(q, k, v, mask, dropout_p, causal_alone)
    y = linear(y.permute(2, 0, 1, 3).reshape(target, batch, size), out_proj_weight, out_proj_bias)
    if batched:
        return y, weights
    return y.squeeze(1), None if weights is None else weights.squeeze(0)


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """Attention: weighted means of the values, the weights a softmax of how well query and key match.

    out = softmax(scale * query @ key^T + mask) @ value

    The T x S weights are never stored, neither here nor for the gradient. Views (heads cut from a packed projection) are
    read in place, and the output has the query's order of dimensions in memory.

    Args:
        query: (..., T, D).
        key: (..., S, D).
        value: (..., S, E). Leading dimensions broadcast.
        attn_mask: broadcasts to (..., T, S); bool (True takes part) or added to the scores.
        dropout_p: the probability of dropping a weight; applied whenever it is not 0, as there is no training flag here.
        is_causal: query t sees keys 0 to t. Not together with attn_mask.
        scale: 1 / sqrt(D) when None.
        enable_gqa: query (..., H, T, D) may have a multiple of the heads of key and value; each key head serves H / Hkv
            consecutive query heads.

    Returns:
        (..., T, E). A query that sees no key gives zeros.

    Raises:
        ShapeError: shapes that do not fit as above.
        DTypeError: query, key and value differ in dtype, or the mask is neither bool nor of that dtype.
        ValueError: dropout_p outside [0, 1), or both attn_mask and is_causal.

    Vaswani et al., "Attention is all you need", 2017; Dao et al., "FlashAttention", 2022.

    >>> q = fd.zeros(1, 2, 1)
    >>> F.scaled_dot_product_attention(q, q, fd.tensor([[[1.0], [3.0]]]), is_causal=True)
    tensor([[[1.],
             [2.]]])
    """
    return _C.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
