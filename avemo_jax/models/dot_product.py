"""Scaled dot-product attention of many heads; on CPU in blocks of queries whose scores stay in the cache."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from avemo_jax.models.by_platform import by_platform

_BLOCK_BYTES = 12 << 20  # of a block's scores: about the best of 6 to 24 MiB on an Intel Xeon (benchmarks/whisper.py)
_WHOLE_BYTES = 4 << 20  # scores of a clip up to here are computed at once, as blocks gain nothing there
_MASKED = -1e30  # score of a masked key: finite, so that a clip without a real key gives no NaN


def attend(query: jax.Array, key: jax.Array, value: jax.Array, bias: jax.Array | None = None, mask: jax.Array | None = None) -> jax.Array:
    """Return scaled dot-product attention (B, T, A, D) float32; Vaswani et al. 2017, arXiv 1706.03762, equation 1.

    The numbers are those of `jax.nn.dot_product_attention`, which accelerators and short sequences take. On CPU it writes all scores to
    memory several times and reduces along the innermost axis, which XLA does not vectorise; in blocks with the keys on an outer axis 1,500
    steps take half of the processor time (`python -m benchmarks.whisper --clips 1x30`).

    Args:
      query: (B, T, A, D) of A heads.
      key, value: (B, S, A, D).
      bias: (B or 1, A, T, S), added to the scores.
      mask: (B, S), True where a key is real; None where all are.
    """
    if _score_bytes(query.shape[1], key) <= _WHOLE_BYTES:
        return _whole(query, key, value, bias, mask)
    return by_platform(query, key, value, bias, mask, cpu=_in_blocks, general=_whole)


def _score_bytes(num_queries: int, key: jax.Array) -> int:
    """Return the bytes of the scores of one clip."""
    return 4 * num_queries * key.shape[1] * key.shape[2]


def _whole(query: jax.Array, key: jax.Array, value: jax.Array, bias: jax.Array | None, mask: jax.Array | None) -> jax.Array:
    return jax.nn.dot_product_attention(query, key, value, bias=bias, mask=None if mask is None else mask[:, None, None, :])


def _in_blocks(query: jax.Array, key: jax.Array, value: jax.Array, bias: jax.Array | None, mask: jax.Array | None) -> jax.Array:
    _, num_queries, num_heads, width = query.shape
    num_blocks = -(-_score_bytes(num_queries, key) // _BLOCK_BYTES)
    length = -(-num_queries // num_blocks)
    padding = num_blocks * length - num_queries
    in_blocks = None
    if bias is not None:  # (blocks, B or 1, A, length, S)
        in_blocks = jnp.pad(bias, ((0, 0), (0, 0), (0, padding), (0, 0)))
        in_blocks = in_blocks.reshape(bias.shape[0], num_heads, num_blocks, length, -1).transpose(2, 0, 1, 3, 4)
    is_shared = bias is not None and bias.shape[0] == 1  # one bias of all clips is not copied for each

    def of_clip(inputs: tuple[jax.Array, ...]) -> jax.Array:
        """Return (T, A, D); a leading axis of one clip stays, as without it XLA computes the exponential without vector instructions."""
        query, key, value, own, mask = (None if one is None else one[None] for one in inputs)
        keys, values = key.transpose(0, 2, 1, 3), value.transpose(0, 2, 1, 3)

        def of_block(inputs: tuple[jax.Array, jax.Array | None]) -> jax.Array:
            queries, bias = inputs
            scores = jnp.einsum("basd,btad->bast", keys, queries)
            if bias is not None:
                scores += bias.transpose(0, 1, 3, 2)
            if mask is not None:
                scores = jnp.where(mask[:, None, :, None], scores, _MASKED)
            weights = jnp.exp(scores - jax.lax.stop_gradient(jnp.max(scores, axis=2, keepdims=True)))
            # The outputs are normalised in place of the weights, of which there are more.
            return jnp.einsum("bast,basd->badt", weights, values) / jnp.sum(weights, axis=2)[:, :, None]

        queries = jnp.pad(query * width**-0.5, ((0, 0), (0, padding), (0, 0), (0, 0)))
        queries = queries.reshape(1, num_blocks, length, num_heads, width).swapaxes(0, 1)
        bias = in_blocks if is_shared else None if own is None else own[0][:, None]
        attended = jax.lax.map(of_block, (queries, bias))  # (blocks, 1, A, D, length)
        return attended.transpose(1, 0, 4, 2, 3).reshape(num_blocks * length, num_heads, width)[:num_queries]

    own = None if in_blocks is None or is_shared else in_blocks.swapaxes(0, 1)
    return jax.lax.map(of_clip, (query, key, value, own, mask))
