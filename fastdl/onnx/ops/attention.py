"""Attention, rotary embedding and linear attention."""

import math

import fastdl as fd
from fastdl.nn import functional as F
from fastdl.onnx.values import dtype_of


def _heads(x, count):
    """(N, T, heads * d) to (N, heads, T, d)."""
    return x.unflatten(-1, (count, x.shape[-1] // count)).transpose(1, 2)


def _causal_and_window(offset, queries, keys, is_causal, left, right):
    """Which keys a query may see, by its place: offset (a number, or one a sample) + its number."""
    place = fd.arange(queries).unsqueeze(1) + offset
    key = fd.arange(keys)
    allowed = fd.ones(*place.shape[:-1], keys, dtype=fd.bool)
    if is_causal:
        allowed = allowed & (key <= place)
    if left >= 0:
        allowed = allowed & (place - key <= left)
    if right >= 0:
        allowed = allowed & (key - place <= right)
    return allowed


def attention(
    q, k, v, attn_mask=None, past_key=None, past_value=None, nonpad_kv_seqlen=None, *, is_causal=0, kv_num_heads=None,
    left_window_size=-1, q_num_heads=None, qk_matmul_output_mode=0, right_window_size=-1, scale=None, softcap=0.0,
    softmax_precision=None, n_outputs=1,
):  # fmt: skip
    """softmax(softcap(q k^T scale) + bias) v, with the keys and values so far in front of the given ones.

    A query at place p sees, where causal, the keys up to p; p counts from the number of keys that came before. A query
    that sees no key gives 0.
    """
    packed = q.ndim == 3
    if packed:
        q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    offset = 0
    if past_key is not None:
        offset = past_key.shape[2]
        k, v = fd.cat([past_key, k], 2), fd.cat([past_value, v], 2)
    present = (k, v)
    queries, keys = q.shape[2], k.shape[2]
    if nonpad_kv_seqlen is not None:
        offset = nonpad_kv_seqlen.long().reshape(-1, 1, 1, 1) - queries
    allowed, bias = None, None
    if attn_mask is not None:
        missing = keys - attn_mask.shape[-1]
        if attn_mask.dtype == fd.bool:
            allowed = F.pad(attn_mask, (0, missing)) if missing else attn_mask
        else:
            bias = F.pad(attn_mask, (0, missing), value=-math.inf) if missing else attn_mask
    if is_causal or left_window_size >= 0 or right_window_size >= 0:
        seen = _causal_and_window(offset, queries, keys, is_causal, left_window_size, right_window_size)
        allowed = seen if allowed is None else allowed & seen
    if nonpad_kv_seqlen is not None:
        there = fd.arange(keys) < nonpad_kv_seqlen.long().reshape(-1, 1, 1, 1)
        allowed = there if allowed is None else allowed & there
    if k.shape[1] != q.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1])
    if n_outputs < 4 and not softcap and softmax_precision is None and bias is None and allowed is None:
        y = F.scaled_dot_product_attention(q, k, v, scale=scale)
        return ((y.transpose(1, 2).flatten(2) if packed else y), *present)
    root = math.sqrt(scale)
    scores = (q * root).to(q.dtype) @ (k * root).to(q.dtype).transpose(-2, -1)
    shown = scores
    if softcap:
        scores = softcap * fd.tanh(scores / softcap)
        shown = scores if qk_matmul_output_mode == 1 else shown
    if bias is not None:
        scores = scores + bias
    if allowed is not None:
        scores = fd.where(allowed, scores, -math.inf).to(q.dtype)
    shown = scores if qk_matmul_output_mode == 2 else shown
    wide = scores if softmax_precision is None else scores.to(dtype_of(softmax_precision, "the softmax of Attention"))
    blind = wide.amax(-1, True) == -math.inf
    p = fd.where(blind, fd.zeros_like(wide), F.softmax(wide, -1)).to(q.dtype)
    y = p @ v
    shown = p if qk_matmul_output_mode == 3 else shown
    return ((y.transpose(1, 2).flatten(2) if packed else y), *present, shown)


def flex_attention(q, k, v, *, scale=None, score_mod=None, prob_mod=None, softmax_precision=None):
    """Attention whose scores and probabilities go through functions of the model's."""
    if k.shape[1] != q.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    root = math.sqrt(1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    scores = (q * root).to(q.dtype) @ (k * root).to(q.dtype).transpose(-2, -1)
    half = q.dtype in (fd.float16, fd.bfloat16)
    wide = q.dtype if not half else fd.float32
    if softmax_precision is not None:
        wide = dtype_of(softmax_precision, "the softmax of FlexAttention")
    scores = scores.to(wide)
    if score_mod is not None:
        (scores,) = score_mod(scores)
    p = F.softmax(scores, -1)
    if prob_mod is not None:
        (p,) = prob_mod(p)
    return (p @ v.to(wide)).to(v.dtype)


def rotary_embedding(x, cos, sin, position_ids=None, *, interleaved=0, num_heads=0, rotary_embedding_dim=0):
    """Turns pairs of elements by the angle of their place (Su et al., "RoFormer", 2021)."""
    packed = x.ndim == 3
    y = x.unflatten(-1, (num_heads, x.shape[-1] // num_heads)) if packed else x.transpose(1, 2)  # (N, T, heads, d)
    size = rotary_embedding_dim or y.shape[-1]
    turned, rest = y[..., :size], y[..., size:]
    if position_ids is not None:
        cos, sin = (v[position_ids.long()] for v in (cos, sin))
    cos, sin = (v[..., : size // 2].unsqueeze(2) for v in (cos, sin))
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        turned = fd.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
    else:
        a, b = turned.chunk(2, -1)
        turned = fd.cat([a * cos - b * sin, b * cos + a * sin], -1)
    y = fd.cat([turned, rest], -1) if rest.shape[-1] else turned
    return y.flatten(2) if packed else y.transpose(1, 2)


def linear_attention(
    query, key, value, past_state=None, decay=None, beta=None, *, kv_num_heads, q_num_heads, chunk_size=64, scale=0.0,
    update_rule="gated_delta",
):  # fmt: skip
    """o_t = scale q_t^T S_t, where S_t = exp(g_t) S_(t-1) + k_t (x) v_t, and with the delta rule v_t is
    beta_t (v_t - S^T k_t). In float32; the state's type is that of the past one."""
    if update_rule not in ("linear", "gated", "delta", "gated_delta"):
        raise fd.ValueError(f"LinearAttention: unknown update_rule {update_rule!r}")
    q, k, v = _heads(query.float(), q_num_heads), _heads(key.float(), kv_num_heads), _heads(value.float(), kv_num_heads)
    batch, _, steps, size = q.shape
    state = fd.zeros(batch, kv_num_heads, size, v.shape[-1]) if past_state is None else past_state.float()
    if decay is not None:
        decay = _heads(decay.float(), kv_num_heads).exp()
    if beta is not None:
        beta = _heads(beta.float(), beta.shape[-1])
    scale = scale or 1 / math.sqrt(size)
    outputs = []
    for t in range(steps):
        kt, vt = k[:, :, t].unsqueeze(-1), v[:, :, t].unsqueeze(-2)
        if "gated" in update_rule:
            state = decay[:, :, t].unsqueeze(-1) * state
        if "delta" in update_rule:
            vt = beta[:, :, t].unsqueeze(-1) * (vt - kt.transpose(-2, -1) @ state)
        state = state + kt * vt
        seen = state.repeat_interleave(q_num_heads // kv_num_heads, 1)
        outputs.append(scale * (q[:, :, t].unsqueeze(-2) @ seen))
    y = fd.cat(outputs, 2).transpose(1, 2).flatten(2)
    return y.to(query.dtype), state.to(query.dtype if past_state is None else past_state.dtype)


OPERATORS = {
    "Attention": attention,
    "LinearAttention": linear_attention,
    "RotaryEmbedding": rotary_embedding,
    "ai.onnx.preview.FlexAttention": flex_attention,
}
