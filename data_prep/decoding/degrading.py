"""Degraded media: decoded sound and pictures with noise, a codec, another speed, an occlusion of the face, or lost frames.

Random draws are seeded by the clip's id: a clip is always degraded in the same way.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import av
import numpy as np
import soxr

from avemo_jax.degradation import KINDS, Degradation
from data_prep.decoding.media import Frame

# Part of the key of every degraded set: raised when the code below changes its values.
VERSION = 1

_OPUS_RATE_HZ = 48000
_GREY = 127


def degraded(
    degradation: Degradation, medium: str, content: Iterator[Any], *, clip_id: str, rate_hz: int, segment_s: float
) -> Iterator[Any]:
    """Return a clip's sound in pieces, or its frames, degraded where the degradation is of that medium.

    Args:
      medium: "audio" or "video".
      content: pieces (S,) float32 at rate_hz, or `Frame`s.
      clip_id: seeds the random draws.
      rate_hz: of the sound.
      segment_s: length of the pieces of sound in s; the last one is shorter.
    """
    if degradation.kind not in KINDS or degradation.modality != medium:
        return content
    seed = int.from_bytes(hashlib.sha256(f"{degradation.text} {clip_id}".encode()).digest()[:8], "big")
    random = np.random.default_rng(seed)
    if degradation.kind == "noise":
        return (add_noise(samples, degradation.amount, random) for samples in content)
    if degradation.kind == "codec":
        return (through_opus(samples, rate_hz, degradation.amount) for samples in content)
    if degradation.kind == "speed":
        return at_speed(content, rate_hz, degradation.amount, segment_s)
    if degradation.kind == "occlusion":
        return hide(content, degradation.amount, random)
    return drop_frames(content, degradation.amount, random)


def add_noise(samples: np.ndarray, snr_db: float, random: np.random.Generator) -> np.ndarray:
    """Return samples (S,) float32 with white noise, `snr_db` below their mean power; clipped to [-1, 1] as by a recorder."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    noise = random.normal(size=len(samples)) * np.sqrt(power / 10 ** (snr_db / 10))
    return np.clip(samples + noise, -1, 1).astype(np.float32)


def through_opus(samples: np.ndarray, rate_hz: int, rate_kbit_s: float) -> np.ndarray:
    """Return samples (S,) float32 at rate_hz encoded by Opus at a constant rate and decoded again, of the same length."""
    sound = np.clip(soxr.resample(samples, rate_hz, _OPUS_RATE_HZ, quality="HQ"), -1, 1)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=_OPUS_RATE_HZ, layout="mono")
        stream.bit_rate = round(1000 * rate_kbit_s)
        stream.codec_context.thread_count = 1
        frame = av.AudioFrame.from_ndarray(np.round(sound * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = _OPUS_RATE_HZ, 0
        context = stream.codec_context
        cut = av.AudioResampler(format=context.format, layout="mono", rate=_OPUS_RATE_HZ, frame_size=context.frame_size or 960)
        for part in [*cut.resample(frame), *cut.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        to_float = av.AudioResampler(format="fltp", layout="mono")
        decoded = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in to_float.resample(frame)]
    back = soxr.resample(np.concatenate(decoded), _OPUS_RATE_HZ, rate_hz, quality="HQ").astype(np.float32)
    return np.pad(back, (0, max(0, len(samples) - len(back))))[: len(samples)]


def at_speed(pieces: Iterable[np.ndarray], rate_hz: int, speed: float, segment_s: float) -> Iterator[np.ndarray]:
    """Yield a sound at `speed` times its speed and pitch, cut into pieces of segment_s again; all in samples (S,) float32 at rate_hz.

    Source: Ko et al. 2015, Audio augmentation for speech recognition, section 2.
    """
    stream = soxr.ResampleStream(rate_hz * speed, rate_hz, 1, dtype="float32", quality="HQ")
    size, waiting = round(segment_s * rate_hz), np.zeros(0, np.float32)
    end = np.zeros(0, np.float32)
    for samples, is_last in itertools.chain(((piece, False) for piece in pieces), [(end, True)]):
        waiting = np.concatenate([waiting, stream.resample_chunk(samples, last=is_last)])
        while len(waiting) > size or (is_last and len(waiting)):
            yield waiting[:size]
            waiting = waiting[size:]


def hide(frames: Iterable[Frame], share: float, random: np.random.Generator) -> Iterator[Frame]:
    """Cover a rectangle of the picture's proportions with grey, at one place for the whole clip."""
    down, right = random.random(2)
    side = np.sqrt(share)

    def covered(frame: Frame) -> np.ndarray:
        height, width = frame.image.shape[:2]
        size = round(side * height), round(side * width)
        top, left = round(down * (height - size[0])), round(right * (width - size[1]))
        image = frame.image.copy()
        image[top : top + size[0], left : left + size[1]] = _GREY
        return image

    for frame in frames:
        yield Frame(frame.time_s, functools.partial(covered, frame))


def drop_frames(frames: Iterable[Frame], share: float, random: np.random.Generator) -> Iterator[Frame]:
    """Replace lost frames by the last one before them; the first is never lost."""
    shown: Frame | None = None
    for frame in frames:
        if shown is None or random.random() >= share:
            shown = frame
        yield Frame(frame.time_s, functools.partial(getattr, shown, "image"))
