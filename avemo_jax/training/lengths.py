"""Length buckets: batches of clips of similar length, cut behind the longest of them, in one compiled program.

Resident arrays are padded to the longest clip of the corpus, and where a few clips are ten times as long as most, nearly all of a
recurrence is padding. With `config.train.length_buckets` K, an epoch's shuffled examples are put in order of K classes of length before
they are cut into batches, the batches are shuffled again, and the compiled step has K branches, of which each batch takes the shortest
that holds it. Networks give the same for any padding; what changes is which examples share a batch, so 1, which leaves all of this out, is
the default.

Where trials run side by side (`vmap`), as on accelerators by default, XLA computes all branches and nothing is gained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.training.state import Recipe, trial_key

Limits = tuple[tuple[str, tuple[int, ...]], ...]  # stream -> steps that examples of each class have at most, ascending


def length_limits(lengths: Mapping[str, np.ndarray], num_steps: Mapping[str, int], num_buckets: int) -> Limits:
    """Classes of length that hold equally many examples each, or fewer classes where many have one length; () for one class.

    Args:
      lengths: stream -> (N,) steps of each example up to the last real one.
      num_steps: stream -> T, steps that every example is padded to. The length of an example is that of the stream whose share of its T
        steps is the largest.
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


def _reach(mask: Any) -> Any:
    """Steps of (N, T) masks up to the last real one, (N,)."""
    return (mask * np.arange(1, mask.shape[1] + 1)).max(axis=1)


def bucket_of(limits: Limits, batch: Mapping[str, Any]) -> jax.Array:
    """The class of length of each example of a batch, (B,) int32."""
    needed = [jnp.searchsorted(jnp.asarray(steps), _reach(batch[f"{stream}_mask"])) for stream, steps in limits]
    return jnp.max(jnp.stack(needed), axis=0)


def by_length(limits: Limits, batch: dict[str, Any], function: Callable[[dict[str, Any]], Any]) -> Any:
    """`function` of the batch, cut behind the longest of its real examples; its result must have one shape however long they are."""
    if not limits:
        return function(batch)

    def branch(index: int) -> Callable[[dict[str, Any]], Any]:
        steps = {name: own[index] for stream, own in limits for name in (stream, f"{stream}_mask")}
        return lambda whole: function(whole | {name: whole[name][:, :most] for name, most in steps.items()})

    longest = jnp.max(jnp.where(batch["mask"], bucket_of(limits, batch), 0))
    return jax.lax.switch(longest, [branch(index) for index in range(len(limits[0][1]))], batch)


def by_class(limits: Limits, data: Mapping[str, Any], index: jax.Array, real: jax.Array | None = None) -> jax.Array:
    """Places (S,) that put the examples `index` (S,) of the resident set in order of their classes; those that are not `real` come last."""
    bucket = bucket_of(limits, {f"{stream}_mask": data[f"{stream}_mask"][index] for stream, _ in limits})
    return jnp.argsort(bucket if real is None else jnp.where(real, bucket, len(limits[0][1])), stable=True)


def bucketed_epoch_order(
    recipe: Recipe, data: Mapping[str, Any], seed: jax.Array, epoch: jax.Array, order: jax.Array, real: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """An epoch's order with examples of one class of length in the same batches, and batches in random order.

    A pure function of seed and epoch, as `epoch_order` is, and like it independent of padding.

    Args:
      data: the resident set.
      order, real: (S,) shuffled examples, the real ones first, S a multiple of the batch size; as `epoch_order` gives them.

    Returns:
      the same examples, and which of them are real; batches without any come last.
    """
    if not recipe.length_limits:
        return order, real
    place = by_class(recipe.length_limits, data, order, real)
    order, real = (one[place].reshape(-1, recipe.batch_size) for one in (order, real))
    key = jax.random.fold_in(trial_key(seed, "batches"), epoch)
    draw = jax.vmap(lambda batch: jax.random.bits(jax.random.fold_in(key, batch)))(jnp.arange(len(order)))
    place = jnp.lexsort((draw, ~real[:, 0]))
    return order[place].reshape(-1), real[place].reshape(-1)
