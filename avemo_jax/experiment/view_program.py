"""Views that are arithmetic on samples, as a part of a program: from sound to the features of a stream, in jax.numpy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.mel_arithmetic import MelArithmetic

_LEAST_POWER = 1e-10
_MOST_S = 10.0
_DB = 10 / np.log(10)


def num_samples_of(view: MelArithmetic, num_steps: int) -> int:
    """Return the number of samples of a program's input: what the steps of the network last, or a segment where parts may be left out.

    It is 10 s at most: all of it is computed for a short sound too.
    """
    if view.trim_db or view.max_frames or view.is_mean:
        return min(view.num_samples, round(_MOST_S * view.sample_rate_hz))
    return min(view.num_samples, num_steps * view.hop_samples)


def mel_steps(samples: jax.Array, mask: jax.Array, view: MelArithmetic, num_steps: int) -> tuple[jax.Array, jax.Array]:
    """Return the steps of a view and their mask: (B, num_steps, D) float32 and (B, num_steps) bool; of mean frames (B, D, 1) and (B, D).

    They are those of `data_prep.views` in float32, except that sounds with more than num_steps frames are cut there.

    Args:
      samples: (B, S) float32, [-1, 1], S at least a window; behind a sound anything.
      mask: (B, S) bool, True where a sample is real: from the beginning.
    """
    window, hop = len(view.window), view.hop_samples
    size = max(samples.shape[1], view.padded_samples, window)
    samples = jnp.pad(jnp.where(mask, samples, 0.0), ((0, 0), (0, size - samples.shape[1])))
    lengths = jnp.maximum(jnp.sum(mask.astype(jnp.int32), axis=1), max(window, view.padded_samples))
    frames = _frames(samples, window, hop)
    is_frame = jnp.arange(frames.shape[1]) < 1 + lengths[:, None] // hop
    emphasized = _frames(_emphasized(samples, lengths, view.pre_emphasis), window, hop) if view.pre_emphasis else frames
    spectrum = jnp.fft.rfft(emphasized * jnp.asarray(view.window))
    power = jnp.square(jnp.real(spectrum)) + jnp.square(jnp.imag(spectrum))
    level = _db(power @ jnp.asarray(view.filters.T))
    if view.range_db:
        highest = jnp.max(jnp.where(is_frame[..., None], level, -jnp.inf), axis=(1, 2), keepdims=True)
        level = jnp.maximum(level, highest - view.range_db)
    features = level if view.cosines is None else level @ jnp.asarray(view.cosines)
    first, end = _used(frames, is_frame, lengths, view)
    if view.is_mean:
        used = (jnp.arange(frames.shape[1]) < end[:, None]) & (jnp.arange(frames.shape[1]) >= first[:, None])
        mean = jnp.sum(jnp.where(used[..., None], features, 0.0), axis=1) / jnp.sum(used, axis=1, dtype=jnp.float32)[:, None]
        return mean[..., None], jnp.ones(mean.shape, bool)
    places = first[:, None] + jnp.arange(num_steps, dtype=jnp.int32)
    is_step = places < end[:, None]
    steps = jnp.take_along_axis(features, jnp.minimum(places, features.shape[1] - 1)[..., None], axis=1)
    return jnp.where(is_step[..., None], steps, 0.0), is_step


def _frames(samples: jax.Array, window: int, hop: int) -> jax.Array:
    """Return the frames that are centred at the hops, silence around the sound: (B, 1 + S // hop, window)."""
    num_frames, per_window = 1 + samples.shape[1] // hop, -(-window // hop)
    behind = (num_frames + per_window) * hop - samples.shape[1] - window // 2
    blocks = jnp.pad(samples, ((0, 0), (window // 2, behind))).reshape(samples.shape[0], num_frames + per_window, hop)
    return jnp.concatenate([blocks[:, start : start + num_frames] for start in range(per_window)], axis=-1)[..., :window]


def _emphasized(samples: jax.Array, lengths: jax.Array, share: float) -> jax.Array:
    """Return samples minus a share of the one before each, the first as librosa has it; zero behind a sound."""
    emphasized = jnp.concatenate([3 * samples[:, :1] - samples[:, 1:2], samples[:, 1:] - share * samples[:, :-1]], axis=1)
    return jnp.where(jnp.arange(samples.shape[1]) < lengths[:, None], emphasized, 0.0)


def _db(power: jax.Array) -> jax.Array:
    return _DB * jnp.log(jnp.maximum(power, _LEAST_POWER))


def _used(frames: jax.Array, is_frame: jax.Array, lengths: jax.Array, view: MelArithmetic) -> tuple[jax.Array, jax.Array]:
    """Return the first frame that is used and the one after the last: (B,) int32 each."""
    num_frames = jnp.sum(is_frame.astype(jnp.int32), axis=1)
    first, end = jnp.zeros_like(num_frames), num_frames
    if view.trim_db:
        level = jnp.where(is_frame, _db(jnp.mean(jnp.square(frames), axis=-1)), -jnp.inf)
        is_loud = level - jnp.max(level, axis=1, keepdims=True) > -view.trim_db
        places = jnp.arange(frames.shape[1], dtype=jnp.int32)
        first_loud = jnp.min(jnp.where(is_loud, places, frames.shape[1]), axis=1)
        last_loud = jnp.max(jnp.where(is_loud, places, -1), axis=1)
        stop = jnp.minimum(lengths, (last_loud + 1) * view.hop_samples)
        some = stop > first_loud * view.hop_samples  # else all of it is silence
        first = jnp.where(some, jnp.maximum(0, first_loud - 1), 0)
        end = jnp.where(some, jnp.minimum(num_frames, stop // view.hop_samples + 2), num_frames)
    if view.max_frames:
        end = jnp.minimum(end, first + view.max_frames)
    return first, end
