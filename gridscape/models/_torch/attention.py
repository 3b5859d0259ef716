"""Attention: of one head, and PyTorch's of several."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.types import Array, Key
from gridscape.errors import UntranslatedError
from gridscape.models._torch.layers import dropout
from gridscape.models._torch.numbers import where
from gridscape.models._torch.products import linear, matmul
from gridscape.models._torch.registry import aligned, translates

# Those that are given ``random``, the key of their dropout: ``key`` is theirs already.
RANDOM = ("scaled_dot_product_attention", "multi_head_attention_forward")


@translates("scaled_dot_product_attention")
def _attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    random: Key | None = None,
) -> Array:
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if enable_gqa:  # groups of heads share keys and values
        n_shared = query.shape[-3] // key.shape[-3]
        key, value = (jnp.repeat(x, n_shared, axis=-3) for x in (key, value))
    if is_causal:
        attn_mask = np.tri(query.shape[-2], key.shape[-2], dtype=bool)
    if attn_mask is not None and attn_mask.dtype == bool:
        attn_mask = where(attn_mask, 0.0, -jnp.inf)
    return _attended(query, key, value, attn_mask, dropout_p, scale, random, True)[0]


def _attended(
    query: Array,
    key: Array,
    value: Array,
    added: Any,
    dropout_p: float,
    scale: float,
    random: Key | None,
    is_fused: bool,
) -> tuple[Array, Array]:
    """What is read, and by which weights; ``added`` to the scores is a mask of 0 and -inf.

    is_fused: as PyTorch's one function reads nothing where all is masked; else that is NaN.
    """
    scores = matmul(query, jnp.swapaxes(key, -1, -2)) * scale
    scores = scores if added is None else aligned(jnp.add, scores, added)
    if is_fused and added is not None:
        is_masked = (scores == -jnp.inf).all(axis=-1, keepdims=True)
        weights = jax.nn.softmax(jnp.where(is_masked, 0.0, scores), axis=-1)
        weights = jnp.where(is_masked, 0.0, weights)
    else:
        weights = jax.nn.softmax(scores, axis=-1)
    weights = dropout(weights, dropout_p, True, key=random)
    return matmul(weights, value), weights


@translates("multi_head_attention_forward")
def _multi_head_attention(
    query: Array,
    key: Array,
    value: Array,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Array | None,
    in_proj_bias: Array | None,
    bias_k: Array | None,
    bias_v: Array | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Array,
    out_proj_bias: Array | None,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Array | None = None,
    k_proj_weight: Array | None = None,
    v_proj_weight: Array | None = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    random: Key | None = None,
) -> tuple[Array, Array | None]:
    """PyTorch's, of (T, B, E): (T, B, E), and the weights (B, T, S) or (B, H, T, S)."""
    if bias_k is not None or add_zero_attn:
        raise UntranslatedError("MultiheadAttention with add_bias_kv or add_zero_attn")
    if query.ndim != 3:
        raise UntranslatedError(f"MultiheadAttention of {query.ndim} dimensions, without a batch")
    weights: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    if not use_separate_proj_weight:
        assert in_proj_weight is not None  # one or the other
        weights = jnp.split(in_proj_weight, 3)
    biases: Any = [None] * 3 if in_proj_bias is None else jnp.split(in_proj_bias, 3)
    q, k, v = (
        _by_heads(linear(x, w, b), num_heads)
        for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    added = _masks(attn_mask, key_padding_mask, num_heads)
    scale = 1 / math.sqrt(q.shape[-1])
    dropped = dropout_p if training else 0.0
    read, shares = _attended(q, k, v, added, dropped, scale, random, not need_weights)
    joined = jnp.transpose(read, (2, 0, 1, 3)).reshape(query.shape[0], query.shape[1], -1)
    outputs = linear(joined, out_proj_weight, out_proj_bias)
    if not need_weights:
        return outputs, None
    return outputs, shares.mean(axis=1) if average_attn_weights else shares


def _by_heads(x: Array, n: int) -> Array:
    """(T, B, E) -> (B, H, T, E / H)."""
    return jnp.transpose(x.reshape(*x.shape[:2], n, -1), (1, 2, 0, 3))


def _masks(attn_mask: Any, key_padding_mask: Any, n_heads: int) -> Any:
    """Both masks as what is added to scores (B, H, T, S), None where there is none."""
    added = None if attn_mask is None else canonical_mask(attn_mask)
    if added is not None and added.ndim == 3:
        added = added.reshape(-1, n_heads, *added.shape[1:])
    if key_padding_mask is None:
        return added
    of_keys = canonical_mask(key_padding_mask)[:, None, None, :]
    return of_keys if added is None else aligned(jnp.add, added, of_keys)


@translates("canonical_mask")
def canonical_mask(mask: Any, *_: Any, **__: Any) -> Any:
    """A mask as what is added to scores: -inf where it is true."""
    return jnp.where(mask, -jnp.inf, 0.0) if mask.dtype == bool else mask
