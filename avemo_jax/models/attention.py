"""Pooling of steps into one vector: attention, mean, last step, mean and deviation. Masked steps have no effect on any of them."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

POOLINGS = ("attention", "mean", "last", "mean_std", "attention_mean_std", "flatten")


def masked_softmax(scores: jax.Array, mask: jax.Array) -> jax.Array:
    """Return the softmax of scores (..., T) over the steps where mask (..., T) is True; zeros elsewhere and in rows without a real step."""
    # A large finite number, not -inf: rows without a real step must give zeros and zero gradients, not NaN.
    weights = jax.nn.softmax(jnp.where(mask, scores, -1e9), axis=-1)
    return jnp.where(mask, weights, 0)


def masked_mean(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Return the mean of x (B, T, D) over the steps where mask (B, T) is True, (B, D); zeros where there is none."""
    return weighted_sum(mask / jnp.maximum(jnp.sum(mask, axis=-1, keepdims=True), 1), x)


def weighted_sum(weights: jax.Array, x: jax.Array) -> jax.Array:
    """Return the sum of x (B, T, D) over T with weights (B, T), (B, D)."""
    return jnp.einsum("bt,btd->bd", weights.astype(x.dtype), x)


def last_step(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Return the last real step of x (B, T, D) by mask (B, T), (B, D); zeros where there is none."""
    steps_from_here = jnp.cumsum(mask[:, ::-1], axis=-1)[:, ::-1]
    return weighted_sum(mask & (steps_from_here == 1), x)


class Pooling(nn.Module):
    """Pooling of steps into one vector.

    Attributes:
      kind: "attention": weights a = softmax over steps of s_i = tanh(W_c h + W_x x_i), pooled = sum a_i x_i, with h the last
          recurrent state; "mean"; "last": h itself; "mean_std": mean and standard deviation concatenated, 2 D wide;
          "attention_mean_std": the attention's sum, mean and deviation concatenated, 3 D wide; "flatten": the first `num_steps` steps
          concatenated.
      attention_units: width of the hidden layer of scores. 0: a score is one number, as in the text; n: tanh gives n numbers, and the
          score is their sum weighted by a learned vector (Bahdanau et al. 2015, arXiv 1409.0473, appendix A.1.2), so that weights can
          differ by more than tanh's range allows (e^2).
      num_steps: number of steps of "flatten"; fewer steps are padded with zeros.

    Source: thesis of system E, section 2.6.1, eq. 2.28 to 2.30. Choice: the text calls s_i "the attention score" of a step and
    shows no further product, so W_c and W_x map to one number; its h_(t-1), the state of a decoder that the system lacks, is the
    last state of the recurrent layer below.
    """

    kind: str
    attention_units: int = 0
    num_steps: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, last: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        """Pool x (B, T, D) with last state (B, D) and mask (B, T) bool to (B, D), (B, 2 D), (B, 3 D) or (B, num_steps D), and
        attention's weights (B, T) or None.

        An example without a real step gives zeros (a deviation of sqrt(1e-5)).

        Raises:
          ValueError: an unknown kind, or "flatten" without a number of steps.
        """
        if self.kind == "attention":
            return self._attend(x, last, mask)
        if self.kind == "mean":
            return masked_mean(x, mask), None
        if self.kind == "last":
            return last, None
        if self.kind == "mean_std":
            return _mean_std(x, mask), None
        if self.kind == "attention_mean_std":
            attended, weights = self._attend(x, last, mask)
            return jnp.concatenate([attended, _mean_std(x, mask)], axis=-1), weights
        if self.kind == "flatten":
            if self.num_steps < 1:
                raise ValueError(f"pooling 'flatten' needs pooling_steps of at least 1, got {self.num_steps}; set it to 1 or more")
            real = jnp.where(mask[..., None], x, 0)[:, : self.num_steps]
            real = jnp.pad(real, ((0, 0), (0, self.num_steps - real.shape[1]), (0, 0)))
            return real.reshape(real.shape[0], -1), None
        raise ValueError(f"expected a pooling among {POOLINGS}, got {self.kind!r}")

    def _attend(self, x, last, mask):
        width = max(self.attention_units, 1)
        from_state = nn.Dense(width, use_bias=False, name="state")(last)
        scores = jnp.tanh(from_state[:, None] + nn.Dense(width, use_bias=False, name="steps")(x))
        if self.attention_units:
            scores = nn.Dense(1, use_bias=False, name="score")(scores)
        weights = masked_softmax(scores[..., 0], mask)
        return weighted_sum(weights, x), weights


def _mean_std(x, mask):
    mean = masked_mean(x, mask)
    variance = masked_mean(jnp.square(x - mean[:, None]), mask)
    return jnp.concatenate([mean, jnp.sqrt(variance + 1e-5)], axis=-1)  # at least 1e-5, as the gradient of the root is infinite at 0
