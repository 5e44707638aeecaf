"""Length buckets: batches of clips of similar length, cut after the longest of them, in one compiled program.

Resident arrays are padded to the longest clip of the corpus, and where a few clips are ten times as long as most, nearly all of a
recurrence is padding. With `config.train.length_buckets` K, an epoch's shuffled examples are sorted by K length classes before they are cut
into batches, and the batches are shuffled again. The compiled step has K branches, one a length class; each batch takes the shortest branch
that its examples fit into. The output of a network does not depend on padding, but the choice of examples that share a batch changes
training, so the default is 1, without length classes.

Where trials run side by side (`vmap`), as on accelerators by default, XLA computes all branches and nothing is gained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.data.rows import reach
from avemo_jax.training.state import Recipe, trial_key

Limits = tuple[tuple[str, tuple[int, ...]], ...]  # (stream, largest number of steps of each length class, ascending)


def length_limits(lengths: Mapping[str, np.ndarray], num_steps: Mapping[str, int], num_buckets: int) -> Limits:
    """Return length classes with equally many examples each, or fewer classes where many examples have one length; () for one class.

    Args:
      lengths: stream -> (N,) steps of each example up to the last real one.
      num_steps: stream -> T, steps that every example is padded to. The length of an example is its largest share of T in any stream.
      num_buckets: K, at least 1.

    Raises:
      ValueError: num_buckets is below 1.
    """
    if num_buckets < 1:
        raise ValueError(f"--config.train.length_buckets must be at least 1, got {num_buckets}")
    share = np.max([own / num_steps[stream] for stream, own in lengths.items()], axis=0)
    shares = np.append(np.quantile(share[share > 0], np.arange(1, num_buckets) / num_buckets, method="higher"), 1.0)
    steps = sorted({tuple(int(np.ceil(one * num_steps[stream] - 1e-9)) for stream in lengths) for one in shares})
    return tuple(zip(lengths, zip(*steps, strict=True), strict=True)) if len(steps) > 1 else ()


def bucket_of(limits: Limits, batch: Mapping[str, Any]) -> jax.Array:
    """Return the length class of each example of a batch, (B,) int32."""
    needed = [jnp.searchsorted(jnp.asarray(steps), reach(batch[f"{stream}_mask"])) for stream, steps in limits]
    return jnp.max(jnp.stack(needed), axis=0)


def by_length(limits: Limits, batch: dict[str, Any], function: Callable[[dict[str, Any]], Any]) -> Any:
    """Return `function` of the batch, cut after its longest real example; the shape of the result must not depend on the length."""
    if not limits:
        return function(batch)

    def branch(index: int) -> Callable[[dict[str, Any]], Any]:
        steps = {name: own[index] for stream, own in limits for name in (stream, f"{stream}_mask")}
        return lambda whole: function(whole | {name: whole[name][:, :most] for name, most in steps.items()})

    longest = jnp.max(jnp.where(batch["mask"], bucket_of(limits, batch), 0))
    return jax.lax.switch(longest, [branch(index) for index in range(len(limits[0][1]))], batch)


def by_class(limits: Limits, data: Mapping[str, Any], index: jax.Array, real: jax.Array | None = None) -> jax.Array:
    """Return the permutation (S,) that sorts the examples `index` (S,) of the resident set by length class, padding (not `real`) last."""
    bucket = bucket_of(limits, {f"{stream}_mask": data[f"{stream}_mask"][index] for stream, _ in limits})
    return jnp.argsort(bucket if real is None else jnp.where(real, bucket, len(limits[0][1])), stable=True)


def bucketed_epoch_order(
    recipe: Recipe, data: Mapping[str, Any], seed: jax.Array, epoch: jax.Array, order: jax.Array, real: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return an epoch's order with examples of one length class in the same batches, and the batches in random order.

    It is a pure function of seed and epoch and does not depend on padding, like `epoch_order`.

    Args:
      data: the resident set.
      order, real: (S,) shuffled examples from `epoch_order`, the real ones first, S a multiple of the batch size.

    Returns:
      The same examples, and which of them are real; batches without real examples come last.
    """
    if not recipe.length_limits:
        return order, real
    place = by_class(recipe.length_limits, data, order, real)
    order, real = (one[place].reshape(-1, recipe.batch_size) for one in (order, real))
    key = jax.random.fold_in(trial_key(seed, "batches"), epoch)
    draw = jax.vmap(lambda batch: jax.random.bits(jax.random.fold_in(key, batch)))(jnp.arange(len(order)))
    place = jnp.lexsort((draw, ~real[:, 0]))
    return order[place].reshape(-1), real[place].reshape(-1)
