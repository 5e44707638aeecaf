"""Fingerprints of sound and picture: small arrays that stay nearly the same when a recording is re-encoded, made louder or trimmed, and
differ when an actor repeats the same sentence.

A fingerprint of sound is one 32-bit word every 12 ms. Source: Haitsma and Kalker 2002, A Highly Robust Audio Fingerprinting System, section
4. Differs: 8 kHz and 300-3000 Hz with windows of 128 ms in place of 5 kHz, 300-2000 Hz and 370 ms, so that two takes of one sentence
differ at every frame; frames 30 dB below the loudest do not count, because codecs change near-silence arbitrarily.
(Chromaprint, the library of this kind, is made for music of ten seconds and more, and comes as a system library alone.)

A fingerprint of a picture is a perceptual hash (imagehash) of the mean picture, and one of the deviation from it every 80 ms: takes of one
actor in one studio share the first and differ in the second. `matches` compares fingerprints.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

import cv2
import imagehash
import numpy as np
from PIL import Image

from data_prep.decoding.media import Frame

# Part of the key of every fingerprint on disk: raised when the code below changes their values.
VERSION = 2

SOUND_RATE_HZ = 8000
LONGEST_SOUND_S = 4 * 3600.0
LONGEST_PICTURE_S = 30.0
_WINDOW_SAMPLES = 1024
_HOP_SAMPLES = 96
HOP_S = _HOP_SAMPLES / SOUND_RATE_HZ
NUM_BITS = 32
_BAND_EDGES_HZ = np.geomspace(300.0, 3000.0, NUM_BITS + 2)
_ACTIVE_DB = -30.0  # of the loudest frame
_STEADY_SHARE = 0.01  # of the energy changes from frame to frame: in a steady tone the words are made of noise
_SILENT_RMS = 1e-3  # -60 dB of full scale: the loudest frame of a silent clip
_WINDOW = np.hanning(_WINDOW_SAMPLES).astype(np.float32)
_BLOCK_FRAMES = 512
_LEVEL_FRAMES = 834  # 10 s: in a longer sound, "loudest" is that of each such stretch, so that one noise does not hide the rest

PICTURE_RATE_FPS = 12.5
_FRAME_RATE_FPS = 30.0  # a still is any frame of a film
_TIME_ROUNDING_S = 0.002  # of containers that count in ms
_THUMB_PX = 32
_RESIDUAL_PX = 16
_SCENE_SIZE, _MOTION_SIZE = 16, 8
SCENE_BITS = _SCENE_SIZE**2
_RESIDUAL_GAIN = 4.0  # grey levels of movement are few; so they fill the range


@dataclasses.dataclass(frozen=True)
class SoundPrint:
    """Fingerprint of a sound.

    Attributes:
      words: (F,) uint32, one every 12 ms.
      active: (F,) bool, where the sound is loud and lively enough to count.
      goes_on: the sound is longer than the fingerprint.
    """

    words: np.ndarray
    active: np.ndarray
    goes_on: bool = False


@dataclasses.dataclass(frozen=True)
class PicturePrint:
    """Fingerprint of a film, or of a still, which has one frame.

    Attributes:
      scene: (256,) bool, hash of the mean picture.
      motion: (T, 64) bool, hash of each frame's deviation from it, every 80 ms.
      residual: (T, 16, 16) int8, that deviation in half grey levels.
      frames: (N, 16, 16) uint8, each frame, at most 30 a second, in grey levels.
      goes_on: the film is longer than the fingerprint.
    """

    scene: np.ndarray
    motion: np.ndarray
    residual: np.ndarray
    frames: np.ndarray
    goes_on: bool = False


def sound_print(samples: np.ndarray | Iterable[np.ndarray]) -> SoundPrint:
    """Fingerprint of a clip's sound, up to its first four hours.

    Args:
      samples: (S,) float32, mono, 8 kHz, nominally in [-1, 1]; or consecutive pieces of that.

    Returns:
      One word every 96 samples; no frame of a silent clip or of a steady tone is active.
    """
    words: list[np.ndarray] = []
    levels: list[np.ndarray] = []
    lively: list[np.ndarray] = []
    last: np.ndarray | None = None
    num_frames, goes_on = 0, False
    for energy in _band_energies([samples] if isinstance(samples, np.ndarray) else samples):
        if num_frames >= LONGEST_SOUND_S / HOP_S:
            goes_on = True
            break
        num_frames += len(energy)
        energy = energy if last is None else np.concatenate([last, energy])
        last = energy[-1:]
        difference = energy[:, :-1] - energy[:, 1:]
        rises = difference[1:] - difference[:-1] > 0
        words.append(np.bitwise_or.reduce(rises.astype(np.uint32) << np.arange(NUM_BITS, dtype=np.uint32), axis=1))
        levels.append(energy[1:].sum(axis=1))
        lively.append(np.abs(np.diff(energy, axis=0)).sum(axis=1) > _STEADY_SHARE * levels[-1])
    level = np.concatenate(levels)
    least = _WINDOW_SAMPLES * (_WINDOW**2).sum() / 2 * _SILENT_RMS**2
    stretches = [level[start : start + _LEVEL_FRAMES] for start in range(0, len(level), _LEVEL_FRAMES)]
    is_loud = [stretch > max(stretch.max(), least) * 10 ** (_ACTIVE_DB / 10) for stretch in stretches]
    return SoundPrint(np.concatenate(words), np.concatenate(lively) & np.concatenate([np.zeros(0, bool), *is_loud]), goes_on)


def _band_energies(pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the energies of the 33 bands, (F, 33), of consecutive frames, in memory that does not grow with the sound."""
    edges = np.ceil(_BAND_EDGES_HZ * _WINDOW_SAMPLES / SOUND_RATE_HZ).astype(int)
    silence = np.zeros(_WINDOW_SAMPLES // 2, np.float32)
    rest = silence
    for piece in itertools.chain(pieces, [silence]):
        held = np.concatenate([rest, piece.astype(np.float32)])
        num_frames = max(0, (len(held) - _WINDOW_SAMPLES) // _HOP_SAMPLES + 1)
        rest = held[num_frames * _HOP_SAMPLES :]
        if not num_frames:
            continue
        frames = np.lib.stride_tricks.sliding_window_view(held, _WINDOW_SAMPLES)[::_HOP_SAMPLES]
        for start in range(0, num_frames, _BLOCK_FRAMES):
            power = np.abs(np.fft.rfft(frames[start : start + _BLOCK_FRAMES] * _WINDOW, axis=1)) ** 2
            yield np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)


def picture_print(frames: Iterable[Frame]) -> PicturePrint:
    """Fingerprint of the first half minute of a film, or of a still.

    Args:
      frames: in order of time, at least one.
    """
    thumbs: list[np.ndarray] = []
    small: list[np.ndarray] = []
    last_s, goes_on = -np.inf, False
    for frame in frames:
        if goes_on := frame.time_s >= LONGEST_PICTURE_S:
            break
        if frame.time_s < last_s + 1 / _FRAME_RATE_FPS - _TIME_ROUNDING_S:
            continue
        last_s = frame.time_s
        gray = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        thumb = cv2.resize(gray, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
        small.append(np.round(_halved(thumb[None])[0]).astype(np.uint8))
        if frame.time_s >= len(thumbs) / PICTURE_RATE_FPS - 1e-6:
            thumbs.append(thumb)
            # A gap in the film must not be filled by frames that follow it closely.
            thumbs += [thumbs[-1]] * (int(frame.time_s * PICTURE_RATE_FPS + 1e-6) + 1 - len(thumbs))
    stack = np.stack(thumbs)
    mean = stack.mean(axis=0)
    deviation = stack - mean
    return PicturePrint(
        scene=_perceptual_hash(mean, _SCENE_SIZE),
        motion=np.stack([_perceptual_hash(128 + _RESIDUAL_GAIN * one, _MOTION_SIZE) for one in deviation]),
        residual=np.clip(np.round(_halved(deviation) * 2), -127, 127).astype(np.int8),
        frames=np.stack(small),
        goes_on=goes_on,
    )


def _halved(stack: np.ndarray) -> np.ndarray:
    """Return thumbnails (T, 32, 32) at half their size."""
    return stack.reshape(len(stack), _RESIDUAL_PX, _THUMB_PX // _RESIDUAL_PX, _RESIDUAL_PX, _THUMB_PX // _RESIDUAL_PX).mean(axis=(2, 4))


def _perceptual_hash(gray: np.ndarray, size: int) -> np.ndarray:
    """(size * size,) bool: imagehash's pHash of a 32 x 32 picture."""
    image = Image.fromarray(np.clip(np.round(gray), 0, 255).astype(np.uint8))
    return np.asarray(imagehash.phash(image, hash_size=size, highfreq_factor=_THUMB_PX // size).hash, dtype=bool).ravel()
