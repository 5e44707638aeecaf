"""Synthesised voices of the synthetic corpus: glottal pulses through vowel formants, in syllables."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import ndimage, signal

SAMPLE_RATE_HZ = 48000

# Formant frequencies in Hz of a male speaker's vowels. Source: Peterson and Barney 1952, table II (F4: a common value).
FORMANTS_HZ = {
    "a": (730, 1090, 2440, 3400),
    "i": (270, 2290, 3010, 3500),
    "u": (300, 870, 2240, 3300),
    "e": (530, 1840, 2480, 3500),
    "o": (570, 840, 2410, 3300),
}
_BANDWIDTHS_HZ = (80, 100, 130, 180)
SENTENCES = {"1": "aieoueia", "2": "oeuaiaeu"}  # vowels of the two sentences, said over again where a clip has time


class Manner(NamedTuple):
    """How something is said.

    Fields: pitch_st, level in semitones over the speaker's own; range_st, rise and fall of a syllable in semitones; slope_st, change
    of pitch from the beginning to the end; energy_db; rate_hz, syllables a second; tilt_oct, octaves by which the spectrum reaches
    higher; breath, share of noise in the source; tremor_st, depth of a 6 Hz tremor in semitones.
    """

    pitch_st: float
    range_st: float
    slope_st: float
    energy_db: float
    rate_hz: float
    tilt_oct: float
    breath: float
    tremor_st: float


# Four voices for eight emotions, in other pairs than the faces (see synthetic.py).
MANNERS = {
    "neutral": Manner(0.0, 1.2, -1.5, -3.0, 3.6, 0.0, 0.06, 0.1),
    "calm": Manner(-0.9, 0.9, -1.2, -4.5, 3.3, -0.2, 0.09, 0.1),
    "happy": Manner(5.2, 4.0, 1.0, 1.0, 4.7, 0.5, 0.06, 0.2),
    "surprised": Manner(6.6, 4.6, 3.0, 0.5, 4.4, 0.6, 0.08, 0.2),
    "angry": Manner(2.6, 2.8, -4.5, 6.0, 4.6, 1.4, 0.10, 0.2),
    "disgust": Manner(1.4, 2.4, -5.0, 4.5, 4.1, 1.2, 0.13, 0.2),
    "sad": Manner(-0.5, 0.8, -3.0, -9.0, 2.6, -1.0, 0.24, 0.5),
    "fearful": Manner(0.9, 1.0, -2.0, -8.0, 2.9, -0.8, 0.28, 0.9),
}
# Standard deviation of one clip's manner around its emotion's.
JITTER = Manner(1.5, 0.8, 1.6, 2.2, 0.45, 0.35, 0.05, 0.25)


@dataclasses.dataclass(frozen=True)
class Voice:
    """What stays the same in all clips of an actor."""

    pitch_hz: float
    tract: float
    energy_db: float
    tilt_hz: float

    @classmethod
    def draw(cls, rng: np.random.Generator, *, male: bool) -> Voice:
        """Draw an actor's voice; `tract` scales the formants up as a shorter vocal tract does."""
        return cls(
            pitch_hz=(115.0 if male else 205.0) * 2 ** (rng.uniform(-2, 2) / 12),
            tract=rng.uniform(0.95, 1.05) * (1.0 if male else 1.16),
            energy_db=rng.uniform(-1.5, 1.5),
            tilt_hz=1200.0 * 2 ** rng.uniform(-0.25, 0.25),
        )


def speak(rng: np.random.Generator, voice: Voice, emotion: str, sentence: str, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Say a sentence.

    Args:
      rng: source of this clip's chance.
      voice: the actor's.
      emotion: key of MANNERS.
      sentence: key of SENTENCES.
      duration_s: of the clip, with a short silence at both ends.

    Returns:
      samples: (S,) float32, mono, [-1, 1], SAMPLE_RATE_HZ.
      level: (S,) float32 in [0, 1], loudness of the voice, for the mouth to move with.
    """
    manner = Manner(*(np.asarray(MANNERS[emotion]) + np.asarray(JITTER) * rng.standard_normal(len(JITTER))))
    num_samples = round(duration_s * SAMPLE_RATE_HZ)
    time_s = np.arange(num_samples) / SAMPLE_RATE_HZ
    begin_s, end_s = rng.uniform(0.08, 0.2), duration_s - rng.uniform(0.08, 0.2)

    # Syllables: where each sample lies within its own (position in [0, 1]), and which it is.
    count = max(3, round(max(1.8, manner.rate_hz) * (end_s - begin_s)))
    lengths = rng.uniform(0.75, 1.25, count)
    edges = begin_s + (end_s - begin_s) * np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])
    index = np.clip(np.searchsorted(edges, time_s, side="right") - 1, 0, count - 1)
    position = np.clip((time_s - edges[index]) / np.diff(edges)[index], 0, 1)
    stress = rng.uniform(0.65, 1.0, count)[index]
    level = stress * np.sin(np.pi * position) ** 0.7 * ((time_s >= begin_s) & (time_s < end_s))

    through = np.clip((time_s - begin_s) / (end_s - begin_s), 0, 1)
    contour_st = (
        manner.pitch_st
        + manner.slope_st * (through - 0.5)
        + max(0.2, manner.range_st) * (stress * np.sin(np.pi * position) - 0.5)
        + max(0.0, manner.tremor_st) * np.sin(2 * np.pi * 6.0 * time_s)
        + np.interp(time_s, np.arange(0, duration_s + 0.05, 0.05), 0.3 * rng.standard_normal(len(np.arange(0, duration_s + 0.05, 0.05))))
    )
    source = _glottal_source(np.cumsum(voice.pitch_hz * 2 ** (contour_st / 12)) / SAMPLE_RATE_HZ)
    cutoff_hz = float(np.clip(voice.tilt_hz * 2**manner.tilt_oct, 300, 9000))
    source = signal.lfilter(*signal.butter(1, cutoff_hz, fs=SAMPLE_RATE_HZ), source)
    breath = rng.standard_normal(num_samples) * np.std(source)
    source = (source + max(0.01, manner.breath) * breath) * level

    speech = np.zeros(num_samples)
    spoken = np.array([SENTENCES[sentence][i % len(SENTENCES[sentence])] for i in range(count)])
    for vowel in np.unique(spoken):
        share = ndimage.uniform_filter1d((spoken == vowel)[index].astype(float), SAMPLE_RATE_HZ // 40)
        speech += share * _formants(source, vowel, voice.tract)
    # A short hiss opens every syllable, as a consonant would.
    hiss = signal.lfilter(*signal.butter(2, 3000, "highpass", fs=SAMPLE_RATE_HZ), rng.standard_normal(num_samples))
    speech = speech / np.std(speech) + 0.5 * hiss * np.exp(-(((position - 0.06) / 0.05) ** 2)) * (level > 0)

    gain = 0.06 * 10 ** ((manner.energy_db + voice.energy_db) / 20)
    room = 0.0025 * 10 ** (rng.uniform(-6, 6) / 20) * rng.standard_normal(num_samples)
    # tanh: a loud voice saturates softly instead of leaving [-1, 1].
    samples = np.tanh(gain * speech + room)
    return samples.astype(np.float32), level.astype(np.float32)


def _glottal_source(phase: np.ndarray) -> np.ndarray:
    """Flow derivative of Rosenberg's glottal pulse (J. Acoust. Soc. Am. 49, 1971, type B) along a phase counted in periods."""
    within = phase % 1.0
    opening = 0.5 * (1 - np.cos(np.pi * within / 0.4))
    closing = np.cos(0.5 * np.pi * (within - 0.4) / 0.16)
    flow = np.where(within < 0.4, opening, np.where(within < 0.56, closing, 0.0))
    return np.gradient(flow) * 100


def _formants(source: np.ndarray, vowel: str, tract: float) -> np.ndarray:
    """Pass a source through the cascade of a vowel's resonators, each of unit gain at 0 Hz."""
    sections = []
    for frequency_hz, bandwidth_hz in zip(FORMANTS_HZ[vowel], _BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE_HZ)
        feedback = [1.0, -2 * radius * np.cos(2 * np.pi * tract * frequency_hz / SAMPLE_RATE_HZ), radius**2]
        sections.append([sum(feedback), 0.0, 0.0, *feedback])
    return signal.sosfilt(np.array(sections), source)
