"""Fingerprints of sound and picture: small arrays that stay nearly the same when a recording is re-encoded, made louder or trimmed, and
differ when an actor repeats the same sentence.

A fingerprint of sound is one 32-bit word every 12 ms. Source: Haitsma and Kalker 2002, A Highly Robust Audio Fingerprinting System, section
4. Differs: 8 kHz and 300-3000 Hz with windows of 128 ms in place of 5 kHz, 300-2000 Hz and 370 ms, so that two takes of one sentence
differ at every frame; frames 30 dB below the loudest do not count, because codecs change near-silence arbitrarily.
(Chromaprint, the library of this kind, is made for music of ten seconds and more, and comes as a system library alone.)

A fingerprint of a picture is a perceptual hash (imagehash) of the mean picture, and one of the deviation from it every 80 ms: takes of one
actor in one studio share the first and differ in the second.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import cv2
import imagehash
import numpy as np
from PIL import Image

from data_prep.decoding.media import Frame

# Part of the key of every fingerprint on disk: raised when the code below changes their values.
VERSION = 1

SOUND_RATE_HZ = 8000
LONGEST_SOUND_S = 120.0
LONGEST_PICTURE_S = 30.0
_WINDOW_SAMPLES = 1024
_HOP_SAMPLES = 96
_NUM_BITS = 32
_BAND_EDGES_HZ = np.geomspace(300.0, 3000.0, _NUM_BITS + 2)
_ACTIVE_DB = -30.0  # of the clip's loudest frame
_STEADY_SHARE = 0.01  # of the energy changes from frame to frame: in a steady tone the words are made of noise
_SILENT_RMS = 1e-3  # -60 dB of full scale: the loudest frame of a silent clip
_BLOCK_FRAMES = 512

# Bits that may differ in two fingerprints of one recording, chosen on RAVDESS and TESS between copies (mp3 and Opus of 24 kbit/s, ends cut
# off, a quarter of the level), which differ less, and takes by one speaker, which differ more.
LARGEST_SOUND_ERROR = 0.20
_FEWEST_FRAMES = 50  # 0.6 s common to both
_SMALLEST_SHARE = 0.5  # of the shorter one
_MOST_COMMON = 256  # a word of more frames than this distinguishes nothing, and costs the square of their number

_PICTURE_RATE_FPS = 12.5
_THUMB_PX = 32
_RESIDUAL_PX = 16
_SCENE_SIZE, _MOTION_SIZE = 16, 8
_SCENE_BITS, _MOTION_BITS = _SCENE_SIZE**2, _MOTION_SIZE**2
_RESIDUAL_GAIN = 4.0  # grey levels of movement are few; so they fill the range
_LARGEST_LAG_FRAMES = 8
LARGEST_SCENE_ERROR = 40 / _SCENE_BITS  # of films: a few tenths of a second cut off change the mean picture
LARGEST_STILL_ERROR = 8 / _SCENE_BITS
# Chosen on clips of GRID and CREMA-D and on drawn faces, between copies (a half and a third of the size, other codecs and frame rates, ends
# cut off) and other clips of one speaker, which share the scene.
LARGEST_MOTION_ERROR = 0.19
SMALLEST_CORRELATION = 0.80
_STILL_BELOW = 0.5  # grey levels that the picture moves by in the mean: less is noise, and the scene alone decides


@dataclasses.dataclass(frozen=True)
class SoundPrint:
    """words: (F,) uint32, one every 12 ms; active: (F,) bool, where the sound is loud and lively enough to count."""

    words: np.ndarray
    active: np.ndarray


@dataclasses.dataclass(frozen=True)
class PicturePrint:
    """Fingerprint of a film, or of a still, which has one frame.

    Attributes:
      scene: (256,) bool, hash of the mean picture.
      motion: (T, 64) bool, hash of each frame's deviation from it, every 80 ms.
      residual: (T, 16, 16) int8, that deviation in grey levels.
    """

    scene: np.ndarray
    motion: np.ndarray
    residual: np.ndarray


@dataclasses.dataclass(frozen=True)
class Match:
    """Two fingerprints of one recording: their names, the share of bits that differ, and by how much the second starts later in s."""

    first: str
    second: str
    error: float
    shift_s: float


def sound_print(samples: np.ndarray) -> SoundPrint:
    """Fingerprint of a clip's sound.

    Args:
      samples: (S,) float32, mono, 8 kHz, nominally in [-1, 1].

    Returns:
      One word every 96 samples; no frame of a silent clip or of a steady tone is active.
    """
    edges = np.ceil(_BAND_EDGES_HZ * _WINDOW_SAMPLES / SOUND_RATE_HZ).astype(int)
    window = np.hanning(_WINDOW_SAMPLES).astype(np.float32)
    padded = np.pad(samples.astype(np.float32), _WINDOW_SAMPLES // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_SAMPLES)[::_HOP_SAMPLES]
    energies = []
    for start in range(0, len(frames), _BLOCK_FRAMES):
        power = np.abs(np.fft.rfft(frames[start : start + _BLOCK_FRAMES] * window, axis=1)) ** 2
        energies.append(np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1))
    energy = np.concatenate(energies)
    difference = energy[:, :-1] - energy[:, 1:]
    rises = difference[1:] - difference[:-1] > 0
    words = np.bitwise_or.reduce(rises.astype(np.uint32) << np.arange(_NUM_BITS, dtype=np.uint32), axis=1)
    level = energy[1:].sum(axis=1)
    loudest = max(level.max(initial=0.0), _WINDOW_SAMPLES * (window**2).sum() / 2 * _SILENT_RMS**2)
    changes = np.abs(np.diff(energy, axis=0)).sum(axis=1) > _STEADY_SHARE * level
    return SoundPrint(words, changes & (level > loudest * 10 ** (_ACTIVE_DB / 10)))


def picture_print(frames: Iterable[Frame]) -> PicturePrint:
    """Fingerprint of the first half minute of a film, or of a still.

    Args:
      frames: in order of time, at least one.
    """
    thumbs: list[np.ndarray] = []
    for frame in frames:
        if frame.time_s >= LONGEST_PICTURE_S:
            break
        if frame.time_s >= len(thumbs) / _PICTURE_RATE_FPS - 1e-6:
            gray = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
            thumbs.append(cv2.resize(gray, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32))
            # A gap in the film must not be filled by frames that follow it closely.
            thumbs += [thumbs[-1]] * (int(frame.time_s * _PICTURE_RATE_FPS + 1e-6) + 1 - len(thumbs))
    stack = np.stack(thumbs)
    mean = stack.mean(axis=0)
    deviation = stack - mean
    small = deviation.reshape(len(stack), _RESIDUAL_PX, _THUMB_PX // _RESIDUAL_PX, _RESIDUAL_PX, _THUMB_PX // _RESIDUAL_PX).mean(
        axis=(2, 4)
    )
    return PicturePrint(
        scene=_perceptual_hash(mean, _SCENE_SIZE),
        motion=np.stack([_perceptual_hash(128 + _RESIDUAL_GAIN * one, _MOTION_SIZE) for one in deviation]),
        residual=np.clip(np.round(small * 2), -127, 127).astype(np.int8),
    )


def _perceptual_hash(gray: np.ndarray, size: int) -> np.ndarray:
    """(size * size,) bool: imagehash's pHash of a 32 x 32 picture."""
    image = Image.fromarray(np.clip(np.round(gray), 0, 255).astype(np.uint8))
    return np.asarray(imagehash.phash(image, hash_size=size, highfreq_factor=_THUMB_PX // size).hash, dtype=bool).ravel()


def sound_matches(prints: Mapping[str, SoundPrint]) -> Iterator[Match]:
    """All pairs that hold the same recording, or half of the shorter one, at any shift.

    Pairs are found by words that are equal up to one bit, so the effort grows with the number of such words and not with that of pairs.
    """
    names = sorted(name for name, one in prints.items() if one.active.any())
    if len(names) < 2:
        return
    ordered = [prints[name] for name in names]
    owner = np.concatenate([np.full(int(one.active.sum()), row) for row, one in enumerate(ordered)])
    place = np.concatenate([np.flatnonzero(one.active) for one in ordered])
    word = np.concatenate([one.words[one.active] for one in ordered])
    order = np.argsort(word, kind="stable")
    owner, place, word = owner[order], place[order], word[order]
    reach = max(len(one.words) for one in ordered) + 1
    found = []
    for flipped in (0, *(1 << bit for bit in range(_NUM_BITS))):
        wanted = word ^ np.uint32(flipped)
        start, stop = np.searchsorted(word, wanted, "left"), np.searchsorted(word, wanted, "right")
        count = np.where(stop - start <= _MOST_COMMON, stop - start, 0)
        one = np.repeat(np.arange(len(word)), count)
        other = np.repeat(start - np.cumsum(count) + count, count) + np.arange(count.sum())
        is_ordered = owner[one] < owner[other]
        one, other = one[is_ordered], other[is_ordered]
        found.append((owner[one] * len(names) + owner[other]) * (2 * reach) + place[other] - place[one] + reach)
    # Pairs with two words that agree on the shift, give or take a frame, are compared in full.
    keys, count = np.unique(np.concatenate(found), return_counts=True)
    followed = np.append(np.diff(keys) == 1, False)
    likely = keys[(count > 1) | followed]
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for candidate in likely.tolist():
        pair, shift = divmod(candidate, 2 * reach)
        first, second = divmod(pair, len(names))
        for near in (shift - reach - 1, shift - reach, shift - reach + 1):
            error = _sound_error(ordered[first], ordered[second], near)
            if error <= LARGEST_SOUND_ERROR and error < best.get((first, second), (1.0, 0))[0]:
                best[first, second] = (error, near)
    for (first, second), (error, shift) in sorted(best.items()):
        yield Match(names[first], names[second], error, shift * _HOP_SAMPLES / SOUND_RATE_HZ)


def _sound_error(first: SoundPrint, second: SoundPrint, shift: int) -> float:
    """Share of different bits where both are active, the second's frames `shift` later; 1 where too little is common to both."""
    start, stop = max(0, -shift), min(len(first.words), len(second.words) - shift)
    if stop - start < _FEWEST_FRAMES:
        return 1.0
    both = first.active[start:stop] & second.active[start + shift : stop + shift]
    num_both = int(both.sum())
    if num_both < max(_FEWEST_FRAMES, _SMALLEST_SHARE * min(int(first.active.sum()), int(second.active.sum()))):
        return 1.0
    one, other = first.words[start:stop][both], second.words[start + shift : stop + shift][both]
    return float(np.bitwise_count(one ^ other).mean()) / _NUM_BITS


def picture_matches(prints: Mapping[str, PicturePrint]) -> Iterator[Match]:
    """All pairs that hold the same film at a shift of up to 0.64 s, or the same still."""
    names = sorted(prints)
    if len(names) < 2:
        return
    scenes = np.stack([prints[name].scene for name in names]).astype(np.float32) * 2 - 1
    for second in range(1, len(names)):
        error = (1 - scenes[:second] @ scenes[second] / _SCENE_BITS) / 2
        for first in np.flatnonzero(error <= LARGEST_SCENE_ERROR).tolist():
            match = _picture_error(prints[names[first]], prints[names[second]], float(error[first]))
            if match is not None:
                yield Match(names[first], names[second], *match)


def _picture_error(first: PicturePrint, second: PicturePrint, scene_error: float) -> tuple[float, float] | None:
    """(share of different bits, shift in s) of two films or stills of one recording, None where they are not."""
    moving = [float(np.sqrt((one.residual.astype(np.float32) ** 2).mean())) / 2 >= _STILL_BELOW for one in (first, second)]
    if not any(moving):
        return (scene_error, 0.0) if scene_error <= LARGEST_STILL_ERROR else None
    if not all(moving):
        return None
    best: tuple[float, float] | None = None
    for shift in range(-_LARGEST_LAG_FRAMES, _LARGEST_LAG_FRAMES + 1):
        start, stop = max(0, -shift), min(len(first.motion), len(second.motion) - shift)
        if stop - start < max(2, _SMALLEST_SHARE * min(len(first.motion), len(second.motion))):
            continue
        error = float((first.motion[start:stop] != second.motion[start + shift : stop + shift]).mean())
        if error <= LARGEST_MOTION_ERROR and (best is None or error < best[0]):
            one, other = (
                p.residual[a:b].astype(np.float32).ravel() for p, a, b in ((first, start, stop), (second, start + shift, stop + shift))
            )
            if one @ other >= SMALLEST_CORRELATION * np.sqrt((one @ one) * (other @ other)):
                best = (error, shift / _PICTURE_RATE_FPS)
    return best
