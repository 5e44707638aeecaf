"""How far from the border of a chunk the features of Whisper are what they are in its middle: the measure behind `overlap_s`.

    python -m benchmarks.chunk_borders --weights FOLDER --sound "FOLDER/Actor_0[1-8]/*.wav"

The files are joined in random order. Chunks of 30 s begin every 2 s, so that each moment lies at many distances from a border. Its features
there are compared with those of the chunk in which it lies in the middle. Positions are part of the features, so the mean feature of each
position is subtracted first.

Prints, for distances from the left and from the right border, the root mean square of the difference, divided by that of two unrelated
moments: 1 where nothing of the moment is left.
"""

from __future__ import annotations

import argparse
import glob
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from avemo_jax.config import parse
from avemo_jax.data.prepared import Example
from configs import demo
from data_prep.decoding.sound import stream_audio
from data_prep.views.logmel_whisper import LogmelWhisper

_RATE_HZ, _CHUNK_S, _STEP_S = 16_000, 30.0, 0.02
_EDGES_S = (0.0, 0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0)


def joined_sound(files: Sequence[str], seconds: float) -> np.ndarray:
    """Return the sound of the files in random order, joined, up to that length."""
    parts: list[np.ndarray] = []
    for file in np.random.default_rng(0).permutation(sorted(files)):
        parts += stream_audio(Path(file), rate_hz=_RATE_HZ)
        if sum(map(len, parts)) >= seconds * _RATE_HZ:
            break
    return np.concatenate(parts)[: round(seconds * _RATE_HZ)]


def chunks_of(sound: np.ndarray, starts_s: np.ndarray) -> Iterator[Example]:
    """Yield the log-mel frames of the chunks that begin there."""
    for number, start_s in enumerate(starts_s):
        start = round(start_s * _RATE_HZ)
        (segment,) = LogmelWhisper().segments(iter([sound[start : start + round(_CHUNK_S * _RATE_HZ)]]))
        yield Example(f"{number:04d}", 0, segment.values, segment.mask, segment.times_s)


def difference_by_place(features: np.ndarray, starts_s: np.ndarray) -> np.ndarray:
    """Return, for each step of a chunk, how much its features differ from those of the same moment in the middle of a chunk.

    Args:
      features: (N, T, D) float32 of N chunks.
      starts_s: (N,) where they begin.

    Returns:
      (T,) float64, relative to the difference of two unrelated moments; NaN where no other chunk has the moment in its middle.
    """
    own = features - features.mean(axis=0)
    num_chunks, num_steps, _ = own.shape
    rng = np.random.default_rng(0)
    pairs = [own[rng.integers(0, num_chunks, 4000), rng.integers(num_steps // 4, 3 * num_steps // 4, 4000)] for _ in range(2)]
    unrelated = np.square(pairs[0] - pairs[1]).sum(axis=1).mean()
    sums, counts = np.zeros(num_steps), np.zeros(num_steps)
    places = np.arange(num_steps)
    for number, start_s in enumerate(starts_s):
        middles = np.abs(start_s + places[:, None] * _STEP_S - starts_s - num_steps * _STEP_S / 2)
        other = middles.argmin(axis=1)
        there = places + np.round((start_s - starts_s[other]) / _STEP_S).astype(int)
        used = (other != number) & (middles.min(axis=1) <= np.diff(starts_s).max() / 2 + _STEP_S)
        sums[used] += np.square(own[number, used] - own[other[used], there[used]]).sum(axis=1)
        counts[used] += 1
    with np.errstate(invalid="ignore"):
        return np.sqrt(sums / counts / unrelated)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sound", required=True, help="files, a pattern")
    parser.add_argument("--encoder", default="whisper_base")
    parser.add_argument("--weights", default="random", help="folder of the encoder's published weights")
    parser.add_argument("--layer", default="3")
    parser.add_argument("--seconds", type=float, default=124.0, help="length of the joined sound")
    arguments = parser.parse_args()
    config = demo.get_config("whisper")
    config.encoders[arguments.encoder].weights = arguments.weights
    config.encoders[arguments.encoder].layers = arguments.layer
    from avemo_jax.experiment.features import frozen_encoder  # late: brings JAX

    encoder = frozen_encoder(parse(config.to_dict()), arguments.encoder, LogmelWhisper().step_shape, "float32")
    sound = joined_sound(glob.glob(arguments.sound), arguments.seconds)
    starts_s = np.arange(0, len(sound) / _RATE_HZ - _CHUNK_S + 1e-6, 2.0)
    features = np.stack([one.values for one in encoder.run(chunks_of(sound, starts_s))])
    found = difference_by_place(features, starts_s)
    print(f"{len(starts_s)} chunks of {len(sound) / _RATE_HZ:.0f} s of sound\ndistance, s   left   right")
    for low_s, high_s in itertools.pairwise(_EDGES_S):
        part = slice(round(low_s / _STEP_S), round(high_s / _STEP_S))
        print(f"{low_s:4.1f} - {high_s:4.1f}  {np.nanmean(found[part]):6.3f}  {np.nanmean(found[::-1][part]):6.3f}", flush=True)


if __name__ == "__main__":
    main()
